"""All benchmarks, or some of them: `python -m benchmarks`, `python -m benchmarks decode client`.

Each question has a process of its own, so that none inherits what another one left in memory, and all programs are
given the same allocator: glibc's limit above which it maps and unmaps memory for every read is raised, as it otherwise
rises by itself in some processes and not in others, which moves a request by a third. (`import` starts interpreters of
its own.) What is printed is also written as JSON, as a table in Markdown, and as a drawing, into the folder `results`
beside this file; with `--readme` the table goes into the README and the manual, too. `plot` draws the figures of both
from what was saved last.

    pip install -e '.[bench]' && python -m benchmarks && python -m benchmarks plot
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks._plot import chart, shown, tables_of

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE.parent / "README.md"
PAGE = HERE.parent / "pinwheel_async" / "docs" / "pages" / "explanation" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"

QUESTIONS = {
    "decode": ("bench_decode.py", "What decoding an answer costs, as documented and not quite"),
    "client": ("bench_client.py", "What a call costs beside one by hand"),
    "receiver": ("bench_receive.py", "How many webhooks a receiver handles"),
    "load": ("bench_open_loop.py", "How late handlers are at a rate, also beyond what can be handled"),
    "inbox": ("bench_inbox.py", "What it costs to keep a delivery, and how that grows with what is known"),
    "postgres": ("bench_postgres.py", "How many deliveries workers take from PostgreSQL, and what accepting costs"),
    "sync": ("bench_sync.py", "What a sync costs, into which sink, and on a night when nothing changed"),
    "import": ("bench_import.py", "What an import costs, and how large the package is"),
}
"""Name of each question, its file, and what it asks. `bench_rewriting.py` is apart: it reads the log of a server."""

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(64 * 1024 * 1024), "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024)}

PLOT = "plot"

FIGURES = {
    "decode.svg": ("decode", "Decode a page of 20 paystubs"),
    "calls.svg": ("client", "Five endpoints, beside peers"),
}
"""The two figures of README and manual: file, question, and title of the table that is drawn. Both are CPU time, which
wanders least with what else the machine does."""


def main() -> int:
    """Run what is asked for; return how many questions had no answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "questions", nargs="*", choices=[*QUESTIONS, PLOT, []], help="all if none is named; plot draws the last ones"
    )
    parser.add_argument("--readme", action="store_true", help="put the table into the README and the manual")
    given = parser.parse_args()
    if PLOT in given.questions:
        return _plot()
    failed = 0
    for name in given.questions or QUESTIONS:
        found = _answers(name)
        failed += not found
        if found:
            RESULTS.mkdir(exist_ok=True)
            _save(name, found)
    if given.readme:
        _put_into_readme_and_manual(_markdown([json.loads(path.read_text()) for path in _saved()]))
    return failed


def _answers(name: str) -> list[dict[str, Any]]:
    """Run one question in a process of its own; return its lines of JSON, none if it failed."""
    file, asks = QUESTIONS[name]
    print(f"\n== {name}: {asks}", flush=True)
    command = [sys.executable, str(HERE / file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **ALLOCATOR}) as process:
        assert process.stdout is not None
        found: list[dict[str, Any]] = []
        for line in process.stdout:
            if line.startswith("{"):
                found.append(json.loads(line))
            else:
                print(line, end="", flush=True)
    return [] if process.returncode else found


def _save(name: str, found: list[dict[str, Any]]) -> None:
    machine = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        **{package: version(package) for package in ("aiohttp", "attrs", "msgspec")},
    }
    whole = {"question": name, "asks": QUESTIONS[name][1], "machine": machine, "answers": found}
    (RESULTS / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(_markdown([whole]))
    (RESULTS / f"{name}.svg").write_text(chart(tables_of(found), _machine(machine)))


def _machine(machine: dict[str, Any]) -> str:
    return ", ".join([f"CPython {machine['python']}", f"{machine['cores']} cores", f"aiohttp {machine['aiohttp']}"])


def _plot() -> int:
    """Draw the figures of README and manual from what was saved last; return how many cannot be drawn."""
    failed = 0
    for file, (question, title) in FIGURES.items():
        path = RESULTS / f"{question}.json"
        whole = json.loads(path.read_text()) if path.exists() else {"answers": []}
        tables = [table for table in tables_of(whole["answers"]) if table[0] == title]
        if tables:
            (PAGE.parent / file).write_text(chart(tables, f"Median and quartiles; {_machine(whole['machine'])}"))
        else:
            print(f"there is no {title!r}: python -m benchmarks {question}", file=sys.stderr)
            failed += 1
    return failed


def _saved() -> list[Path]:
    return [path for name in QUESTIONS if (path := RESULTS / f"{name}.json").exists()]


def _rows(whole: dict[str, Any]) -> Iterable[tuple[str, str, dict[str, float], str]]:
    """Yield title, contender, figures and unit of what was measured with quartiles."""
    for answer in whole["answers"]:
        for contender, figures in answer.get("contenders", {}).items():
            yield answer["title"], contender, figures, answer["unit"]


def _markdown(found: list[dict[str, Any]]) -> str:
    lines = ["| what | contender | median (quartiles) | of the floor |", "|---|---|---|---|"]
    for whole in found:
        before = ""
        for title, contender, figures, unit in _rows(whole):
            spread = f"{shown(figures['median'])} ({shown(figures['q1'])} to {shown(figures['q3'])}) {unit}"
            lines.append(f"| {title if title != before else ''} | {contender} | {spread} | {figures['of_floor']:.2f} |")
            before = title
    return "\n".join(lines) + "\n"


def _put_into_readme_and_manual(table: str) -> None:
    for path in (README, PAGE):
        before, begin, rest = path.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        assert begin
        assert end
        path.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
