"""Benchmark of the sync: what storing costs beside writing the same rows, at two sizes, and a night without changes.

All accounts of a server of canned answers, five products each: 33 objects with 270 lines an account. Contenders:
the fetched forgotten; into a new SQLite file; into a new PostgreSQL database; both also with a writer process. Beside
them stands the database itself: the rows that a sync has written are written again as fast as the driver can, into the
same tables, 500 rows a transaction with `executemany` (SQLite) or COPY (PostgreSQL). CPU time is that of the process
that fetches. The server is confined to one core, and where there are only two, the others share them with it.

Targets: a sync at least 0.6 of the speed of the database itself; storing at most 15 µs an object in the process that
fetches, without a writer process; a night in which nothing changed 0.05 ms an account, with a request for each hundred.

    pip install '.[bench]' && python -m benchmarks sync

PostgreSQL is the one of `PINWHEEL_ASYNC_POSTGRES_URL`, or of this machine; without one it is left out. `python
benchmarks/bench_sync.py 2000 1` takes fewer accounts and rounds.
"""

import asyncio
import gc
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import asyncpg
from _bench import Nowhere, report, show
from _static import static_server
from sqlalchemy import make_url

from pinwheel_async import Pinwheel, Product
from pinwheel_async.sync import Sink, SqlSink, SyncReport, sync

SIZES = (2_000, 20_000)
"""Accounts; the larger ones are for the peak of memory and for nights."""

ROUNDS = 3
"""Few, because a round is long; odd, so that the median is a measured round."""

PORTION = 500
"""Rows of a transaction of the database itself."""

PRODUCTS: tuple[Product, ...] = ("identity", "income", "employment", "paystubs", "shifts")
NOWHERE, SQLITE, POSTGRES = "fetched and forgotten", "pinwheel_async into SQLite", "pinwheel_async into PostgreSQL"
PROCESS_SQLITE, PROCESS_POSTGRES = f"{SQLITE}, writer process", f"{POSTGRES}, writer process"
RAW_SQLITE, RAW_POSTGRES = "executemany into SQLite", "COPY into PostgreSQL"

ADMIN = make_url(os.environ.get("PINWHEEL_ASYNC_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres"))
DATABASE = f"pinwheel_async_bench_{os.getpid()}"


async def _sync(base_url: str, sink: Sink) -> SyncReport:
    async with Pinwheel("secret", base_url=base_url) as pinwheel:
        found = await sync(pinwheel, sink, products=PRODUCTS)
    assert found.ok
    return found


async def _in_postgres(work: Callable[[Any], Awaitable[Any]], database: str | None = None) -> Any:
    url = ADMIN if database is None else ADMIN.set(database=database)
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        return await work(connection)
    finally:
        await connection.close()


def in_postgres(*statements: str) -> None:
    """Run statements, each in a transaction of its own, in the database from which others are made."""

    async def work(connection: Any) -> None:
        for statement in statements:
            await connection.execute(statement)

    asyncio.run(_in_postgres(work))


def has_postgres() -> bool:
    """Whether there is a server that lets us make databases."""
    try:
        in_postgres("SELECT 1")
    except (OSError, asyncpg.PostgresError):
        return False
    return True


def make_sink(name: str, folder: str, *, new: bool = True) -> Sink:
    """Return a sink, into something new and empty unless what is there is wanted."""
    is_process = name in {PROCESS_SQLITE, PROCESS_POSTGRES}
    if name in {SQLITE, PROCESS_SQLITE}:
        for file in Path(folder).iterdir() if new else ():
            file.unlink()
        return SqlSink(f"sqlite:///{folder}/payroll.db", writer_process=is_process)
    if name in {POSTGRES, PROCESS_POSTGRES}:
        if new:
            in_postgres(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", f"CREATE DATABASE {DATABASE}")
        return SqlSink(ADMIN.set(database=DATABASE), writer_process=is_process)
    return Nowhere()


def run(name: str, base_url: str, folder: str, *, new: bool = True) -> tuple[float, float, SyncReport]:
    """Sync once; return seconds, seconds of CPU, and the report."""
    sink = make_sink(name, folder, new=new)
    gc.collect()
    began, began_cpu = perf_counter(), process_time()
    found = asyncio.run(_sync(base_url, sink))
    return perf_counter() - began, process_time() - began_cpu, found


def raw_sqlite(folder: str) -> tuple[float, float]:
    """Write the rows of the copy into the same tables of another file; return seconds, and seconds of CPU."""
    with TemporaryDirectory() as other:
        source, target = (
            sqlite3.connect(f"{folder}/payroll.db"),
            sqlite3.connect(f"{other}/raw.db", isolation_level=None),
        )
        target.execute("PRAGMA journal_mode = WAL")
        target.execute("PRAGMA synchronous = NORMAL")
        made = source.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC")
        rows: dict[str, list[Any]] = {}
        for kind, name, sql in made.fetchall():
            if not name.startswith("sqlite_"):
                target.execute(sql)
                if kind == "table":
                    rows[name] = source.execute(f'SELECT * FROM "{name}"').fetchall()  # our own name
        began, began_cpu = perf_counter(), process_time()
        for name, found in rows.items():
            into = f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(found[0]))})' if found else ""
            for first in range(0, len(found), PORTION):
                target.execute("BEGIN")
                target.executemany(into, found[first : first + PORTION])
                target.execute("COMMIT")
        took = perf_counter() - began, process_time() - began_cpu
        source.close()
        target.close()
    return took


def raw_postgres() -> tuple[float, float]:
    """Empty the tables of the copy and write their rows again; return seconds, and seconds of CPU."""

    async def work(connection: Any) -> tuple[float, float]:
        names = [
            found["tablename"]
            for found in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        rows = {name: await connection.fetch(f'SELECT * FROM "{name}"') for name in names}  # our own
        await connection.execute(f"TRUNCATE {', '.join(names)}")
        began, began_cpu = perf_counter(), process_time()
        for name, found in rows.items():
            for first in range(0, len(found), PORTION):
                await connection.copy_records_to_table(name, records=found[first : first + PORTION])
        return perf_counter() - began, process_time() - began_cpu

    took: tuple[float, float] = asyncio.run(_in_postgres(work, DATABASE))
    return took


def _peak_mb() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


def _into_sinks(base_url: str, folder: str, accounts: int, rounds: int, *, postgres: bool) -> None:
    names = [NOWHERE, SQLITE, PROCESS_SQLITE, *([POSTGRES, PROCESS_POSTGRES] if postgres else [])]
    wall: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}

    def note(name: str, seconds: float, cpu_seconds: float, items: int) -> None:
        wall.setdefault(name, []).append(seconds / items * 1e6)
        cpu.setdefault(name, []).append(cpu_seconds / items * 1e6)

    for number in range(rounds):
        for name in names[:: 1 if number % 2 else -1]:
            seconds, cpu_seconds, found = run(name, base_url, folder)
            note(name, seconds, cpu_seconds, found.items)
            if name == SQLITE:
                note(RAW_SQLITE, *raw_sqlite(folder), found.items)
            elif name == POSTGRES:
                note(RAW_POSTGRES, *raw_postgres(), found.items)
    target = {"storing_microseconds": 15}
    report(
        f"Sync of {accounts:,} accounts", "CPU µs an object, of the process that fetches", cpu, NOWHERE, target=target
    )
    for raw, others in ((RAW_SQLITE, (SQLITE, PROCESS_SQLITE)), (RAW_POSTGRES, (POSTGRES, PROCESS_POSTGRES))):
        if raw in wall:
            some: Mapping[str, list[float]] = {name: wall[name] for name in (raw, *others)}
            target = {"of_floor": round(1 / 0.6, 2)}
            report(f"Sync of {accounts:,} accounts, beside the database", "µs an object", some, raw, target=target)


def _nights(base_url: str, folder: str, accounts: int, rounds: int, *, postgres: bool) -> None:
    figures: dict[str, list[float]] = {}
    before_mb = _peak_mb()
    for name in (SQLITE, *([POSTGRES] if postgres else [])):
        run(name, base_url, folder)
        for _ in range(rounds):
            _, cpu_seconds, found = run(name, base_url, folder, new=False)
            assert found.items == 0
            figures.setdefault(f"{name}, nothing changed", []).append(cpu_seconds / accounts * 1e3)
    report(
        f"A night of {accounts:,} accounts", "CPU ms an account", figures, next(iter(figures)), target={"median": 0.05}
    )
    grown = round(_peak_mb() - before_mb, 1)
    show("Memory", ("accounts", "peak grown, MB"), [(accounts, grown)], {"title": "Memory", "peak_grown_mb": grown})


def main() -> None:
    """Run the rounds and print the tables."""
    few, many = (int(sys.argv[1]),) * 2 if len(sys.argv) > 1 else SIZES
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    postgres = has_postgres()
    if not postgres:
        print("no PostgreSQL here: left out")
    cores = os.sched_getaffinity(0)
    for accounts, measure in ((few, _into_sinks), (many, _nights)):
        with TemporaryDirectory() as folder, static_server(accounts) as base_url:
            os.sched_setaffinity(0, cores)  # a writer process would inherit what this process is confined to
            measure(base_url, folder, accounts, rounds, postgres=postgres)
    if postgres:
        in_postgres(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


if __name__ == "__main__":
    main()
