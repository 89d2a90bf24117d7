"""How fast does a sync fill an SQLite database, what does storing add to fetching, and does memory stay flat?

Five products of each account, from a FakePinwheel in a process of its own on another core, into a new file. The
contender beside it fetches the same and forgets it. They take turns on 400 accounts; CPU time is that of the syncing
process. The fake is an aiohttp server that makes its answers up, so it is often the bottleneck: items per second say
what one gets here at least, CPU time says what storing costs. An object has about six lines of its own (taxes,
earnings ...), each a row. Target: the peak of memory grows by less than 30 MB from 200 to 2,000 accounts.

    pip install '.[bench]' && python benchmarks/bench_sync.py
"""

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from _bench import ratio, show

from pinwheel_async import Pinwheel
from pinwheel_async.sync import Batch, Sink, SqlSink, SyncReport, sync

FEW, SOME, MANY = 200, 400, 2_000
ROUNDS = 5
PRODUCTS = ("identity", "income", "employment", "paystubs", "shifts")


class Nowhere:
    """Forgets what it is given."""

    async def open(self) -> None: ...

    async def write(self, batch: Batch) -> None: ...

    async def close(self, *, complete: bool) -> None: ...


@contextmanager
def fake() -> Iterator[dict[str, str]]:
    """Start a FakePinwheel on another core than this process, which keeps the first one."""
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "pinwheel_async.testing", "--accounts", str(MANY)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(server.pid, cores[-1:])
    os.sched_setaffinity(0, cores[:1])
    try:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
    finally:
        server.terminate()
        server.wait()
        os.sched_setaffinity(0, cores)


async def _sync(place: dict[str, str], sink: Sink, accounts: int) -> SyncReport:
    async with Pinwheel(place["api_secret"], base_url=place["base_url"]) as pinwheel:
        ids = [one.id async for one in pinwheel.accounts.list(limit=100)][:accounts]
        report = await sync(pinwheel, sink, products=PRODUCTS, accounts=ids)
    assert report.ok
    assert report.accounts == accounts
    return report


def _peak_mb() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the rounds and print the table."""
    wall: dict[str, list[float]] = {"fetch alone": [], "into SQLite": []}
    cpu: dict[str, list[float]] = {"fetch alone": [], "into SQLite": []}
    with fake() as place, TemporaryDirectory() as folder:

        def run(name: str, accounts: int) -> tuple[float, float, int]:
            sink: Sink = Nowhere()
            if name == "into SQLite":
                for file in Path(folder).iterdir():
                    file.unlink()
                sink = SqlSink(f"sqlite:///{folder}/payroll.db")
            gc.collect()
            began, began_cpu = perf_counter(), process_time()
            report = asyncio.run(_sync(place, sink, accounts))
            return perf_counter() - began, process_time() - began_cpu, report.items

        run("into SQLite", FEW)
        before_mb = _peak_mb()
        many_s, _, many = run("into SQLite", MANY)
        grown_mb = _peak_mb() - before_mb
        for number in range(ROUNDS):
            for name in list(wall)[:: 1 if number % 2 else -1]:
                seconds, cpu_seconds, items = run(name, SOME)
                wall[name].append(seconds / items)
                cpu[name].append(cpu_seconds / items)
    rows = [(name, 1 / statistics.median(wall[name]), statistics.median(cpu[name]) * 1e6) for name in wall]
    show(
        f"Sync {SOME} accounts, {len(PRODUCTS)} products each",
        ("contender", "objects/s", "CPU µs each"),
        rows,
        {
            "benchmark": "sync",
            "objects_per_second": {name: round(per_second) for name, per_second, _ in rows},
            "cpu_microseconds": {name: round(each, 1) for name, _, each in rows},
            "storing_times_fetching_cpu": round(ratio(cpu, "into SQLite", "fetch alone"), 2),
            f"{MANY}_accounts": {
                "objects": many,
                "seconds": round(many_s, 1),
                "objects_per_second": round(many / many_s),
            },
            "peak_mb_200_accounts": round(before_mb, 1),
            "peak_grown_mb": round(grown_mb, 1),
            "target": {"peak_grown_mb": 30},
        },
    )


if __name__ == "__main__":
    main()
