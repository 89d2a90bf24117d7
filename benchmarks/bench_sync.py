"""How fast does a sync fill a database, what does storing add to fetching, and does memory stay flat?

The accounts and five products of each, as a FakePinwheel gave them once, from a server of canned answers, into a new
SQLite file and into a new PostgreSQL database, with and without a helper: a process of its own that writes. The
contender beside them fetches the same and forgets it. They take turns on 4,000 accounts; CPU time is that of the
process that fetches. The server is confined to one core, and where there are only two, everybody else has to share
them with it. An object has about six lines of its own (taxes, earnings ...), each a row. Targets, by the wall clock:
SQLite at 0.6 and PostgreSQL at 0.5 of the speed of fetching alone; the peak of memory grows by less than 30 MB from
200 to 2,000 accounts.

    pip install '.[bench]' && python benchmarks/bench_sync.py

PostgreSQL is the one of `PINWHEEL_ASYNC_POSTGRES_URL`, or of this machine; without one it is left out. With `--memory`
it only compares the peaks of memory of 2,000 and 20,000 accounts, two products each, from the FakePinwheel itself,
which takes minutes.
"""

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import asyncpg
from _bench import ratio, show
from _static import static_server
from aiohttp import ClientSession
from sqlalchemy import make_url

from pinwheel_async import Pinwheel, Product, _http
from pinwheel_async._core.wire import Request
from pinwheel_async.sync import Batch, Sink, SqlSink, SyncReport, sync

FEW, SOME, MANY, VERY_MANY = 200, 4_000, 2_000, 20_000
ROUNDS = 3
PRODUCTS = ("identity", "income", "employment", "paystubs", "shifts")
SQLITE, POSTGRES, NOWHERE = "into SQLite", "into PostgreSQL", "fetch alone"
HELPED_SQLITE, HELPED_POSTGRES = "into SQLite, helped", "into PostgreSQL, helped"

_http_fetch = _http.fetch

ADMIN = make_url(os.environ.get("PINWHEEL_ASYNC_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres"))
DATABASE = f"pinwheel_async_bench_{os.getpid()}"


class Nowhere:
    """Forgets what it is given."""

    async def open(self) -> None: ...

    async def write(self, batch: Batch) -> None: ...

    async def close(self, *, complete: bool) -> None: ...


@contextmanager
def fake(accounts: int) -> Iterator[dict[str, str]]:
    """Start a FakePinwheel on another core than this process, which keeps the first one."""
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "pinwheel_async.testing", "--accounts", str(accounts)]
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


@contextmanager
def canned(accounts: int) -> Iterator[dict[str, str]]:
    """Start a server of what a FakePinwheel says to a sync of all its accounts."""
    answers: dict[str, bytes] = {}

    async def fetch(session: ClientSession, request: Request, *others: Any) -> Any:
        answer = await _http_fetch(session, request, *others)
        answers[request.target] = answer.body
        return answer

    with fake(accounts) as place:
        _http.fetch = fetch
        asyncio.run(_sync(place, Nowhere(), PRODUCTS))
        _http.fetch = _http_fetch
    cores = os.sched_getaffinity(0)
    with static_server(answers) as base_url:
        os.sched_setaffinity(0, cores)  # a helper would inherit what this process is confined to
        yield {**place, "base_url": base_url}


async def _sync(place: dict[str, str], sink: Sink, products: Sequence[Product]) -> SyncReport:
    async with Pinwheel(place["api_secret"], base_url=place["base_url"]) as pinwheel:
        report = await sync(pinwheel, sink, products=products)
    assert report.ok
    return report


async def _admin(*statements: str) -> None:
    connection = await asyncpg.connect(ADMIN.render_as_string(hide_password=False))
    for one in statements:
        await connection.execute(one)
    await connection.close()


def has_postgres() -> bool:
    """Whether there is a server that lets us make databases."""
    try:
        asyncio.run(_admin("SELECT 1"))
    except (OSError, asyncpg.PostgresError):
        return False
    return True


def make_sink(name: str, folder: str) -> Sink:
    """Return a sink into something new and empty."""
    if name in {SQLITE, HELPED_SQLITE}:
        for file in Path(folder).iterdir():
            file.unlink()
        return SqlSink(f"sqlite:///{folder}/payroll.db", helper=name == HELPED_SQLITE)
    if name in {POSTGRES, HELPED_POSTGRES}:
        asyncio.run(_admin(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", f"CREATE DATABASE {DATABASE}"))
        return SqlSink(ADMIN.set(database=DATABASE), helper=name == HELPED_POSTGRES)
    return Nowhere()


def run(
    name: str, place: dict[str, str], folder: str, products: Sequence[Product] = PRODUCTS
) -> tuple[float, float, int]:
    """Sync all accounts of a fake once; return seconds, seconds of CPU, and objects."""
    sink = make_sink(name, folder)
    gc.collect()
    began, began_cpu = perf_counter(), process_time()
    report = asyncio.run(_sync(place, sink, products))
    return perf_counter() - began, process_time() - began_cpu, report.items


def _peak_mb() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


def memory() -> None:
    """Compare the peaks of memory of many and very many accounts."""
    peaks: dict[int, float] = {}
    with TemporaryDirectory() as folder:
        for accounts in (MANY, VERY_MANY):
            with fake(accounts) as place:
                _, _, items = run(SQLITE, place, folder, ("income", "employment"))
            peaks[accounts] = _peak_mb()
            print(f"  {accounts:,} accounts, {items:,} objects: peak {peaks[accounts]:.0f} MB")
    grown = peaks[VERY_MANY] - peaks[MANY]
    print(json.dumps({"benchmark": "sync_memory", "peak_grown_mb": round(grown, 1), "target": {"peak_grown_mb": 30}}))


def main() -> None:
    """Run the rounds and print the table."""
    names = [NOWHERE, SQLITE, HELPED_SQLITE, *([POSTGRES, HELPED_POSTGRES] if has_postgres() else [])]
    if POSTGRES not in names:
        print("no PostgreSQL here: left out")
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    with TemporaryDirectory() as folder:
        with fake(FEW) as place:
            run(SQLITE, place, folder)
        before_mb = _peak_mb()
        with fake(MANY) as place:
            many_s, _, many = run(SQLITE, place, folder)
        grown_mb = _peak_mb() - before_mb
        with canned(SOME) as place:
            for number in range(ROUNDS):
                for name in names[:: 1 if number % 2 else -1]:
                    seconds, cpu_seconds, items = run(name, place, folder)
                    wall[name].append(seconds / items)
                    cpu[name].append(cpu_seconds / items)
    facts = {
        "storing_times_fetching_cpu": round(ratio(cpu, SQLITE, NOWHERE), 2),
        "sqlite_times_fetching": round(ratio(wall, NOWHERE, SQLITE), 2),
        "helped_sqlite_times_fetching": round(ratio(wall, NOWHERE, HELPED_SQLITE), 2),
    }
    if POSTGRES in names:
        facts["postgres_times_fetching"] = round(ratio(wall, NOWHERE, POSTGRES), 2)
        facts["helped_postgres_times_fetching"] = round(ratio(wall, NOWHERE, HELPED_POSTGRES), 2)
        asyncio.run(_admin(f"DROP DATABASE {DATABASE} WITH (FORCE)"))
    rows = [(name, 1 / statistics.median(wall[name]), statistics.median(cpu[name]) * 1e6) for name in wall]
    show(
        f"Sync {SOME} accounts, {len(PRODUCTS)} products each",
        ("contender", "objects/s", "CPU µs each"),
        rows,
        {
            "benchmark": "sync",
            "objects_per_second": {name: round(per_second) for name, per_second, _ in rows},
            "cpu_microseconds": {name: round(each, 1) for name, _, each in rows},
            **facts,
            f"{MANY}_accounts": {
                "objects": many,
                "seconds": round(many_s, 1),
                "objects_per_second": round(many / many_s),
            },
            "peak_mb_200_accounts": round(before_mb, 1),
            "peak_grown_mb": round(grown_mb, 1),
            "target": {
                "peak_grown_mb": 30,
                "helped_sqlite_times_fetching": 0.6,
                "helped_postgres_times_fetching": 0.5,
            },
        },
    )


if __name__ == "__main__":
    memory() if "--memory" in sys.argv else main()
