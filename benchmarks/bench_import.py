"""Benchmark of the import, beyond that of aiohttp, which every asyncio HTTP program has loaded anyway.

Each figure is a fresh interpreter that times one statement from inside; interpreters take turns, and the median over
all rounds is shown. Target: `import pinwheel_async` at most 120 ms longer than `import aiohttp`. Making the first
client brings the models in; it is shown beside it, and so is the same for a Stainless-generated SDK.

    pip install '.[bench]' && python -m benchmarks import
"""

import statistics
import subprocess
import sys
from random import Random

from _bench import report, show

ROUNDS = 15
"""Odd, so that the median is a measured round."""

STATEMENTS = {
    "import aiohttp": "import aiohttp",
    "import pinwheel_async": "import pinwheel_async",
    "import pinwheel_async, and make a client": "import pinwheel_async; pinwheel_async.Pinwheel('secret')",
    "import finch, and make a client": "import finch; finch.AsyncFinch(access_token='secret')",
}
TIMED = "from time import perf_counter as now; began = now(); {}; print(now() - began)"


def _seconds(statement: str) -> float:
    command = [sys.executable, "-I", "-c", TIMED.format(statement)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Run the rounds and print the tables."""
    figures: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    order, rng = list(STATEMENTS), Random(0)
    for name in order:  # the first one of each compiles what is not compiled yet
        _seconds(STATEMENTS[name])
    for _ in range(ROUNDS):
        rng.shuffle(order)
        for name in order:
            figures[name].append(_seconds(STATEMENTS[name]) * 1000)
    beyond = {
        name: statistics.median(a - b for a, b in zip(found, figures["import aiohttp"], strict=True))
        for name, found in figures.items()
    }
    title = "Import, in fresh interpreters"
    report(title, "ms", figures, "import aiohttp")
    facts = {"title": title, "beyond_aiohttp": beyond, "target": {"import pinwheel_async": 120}}
    show("Import beyond that of aiohttp", ("statement", "ms"), [*beyond.items()], facts)


if __name__ == "__main__":
    main()
