"""Benchmark of the inbox: what it costs to keep a delivery and to hand it out, and how that grows with what is known.

An inbox in a new SQLite file, flushed to the disk before `put` returns as it is by default, and one that knows as many
ids of deliveries that are done as a busy receiver has after a month. 64 writers put at once, 8 workers claim and end
what was put, for 500 accounts. The floor is SQLite itself: an insert of the same bodies, 64 in a transaction
that is flushed. Start-up is the time of `open`; memory is what the process has grown by then. Times are by the wall
clock, because to flush is to wait.

    pip install '.[bench]' && python -m benchmarks inbox

`python benchmarks/bench_inbox.py 5000000` takes five million known ids, which takes minutes to prepare.
"""

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter

from _bench import event_body, report, show

from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._delivery import Delivery, make_delivery

KNOWN = (0, 100_000)
DELIVERIES = 5_000
ROUNDS = 5
WRITERS, WORKERS, CLAIMED = 64, 8, 32
LEASE_S = 60.0
FLOOR = "SQLite itself, put"

_numbers = count(1)


def deliveries(number: int) -> list[Delivery]:
    """Make deliveries of 452 bytes with ids that nobody has seen."""
    return [make_delivery({}, event_body(index), key="k") for index in islice(_numbers, number)]


async def _put(inbox: SqliteInbox, some: list[Delivery]) -> None:
    left: Iterator[Delivery] = iter(some)

    async def write() -> None:
        for delivery in left:
            await inbox.put(delivery)

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(write())


async def _finish(inbox: SqliteInbox, number: int) -> None:
    """Claim and mark as done what was put, as workers do."""
    left = number

    async def work() -> None:
        nonlocal left
        while left > 0:
            claims = await inbox.claim(CLAIMED, lease_s=LEASE_S)
            left -= len(claims)
            await asyncio.gather(*map(inbox.done, claims))

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())


def _floor(folder: str, some: list[Delivery]) -> float:
    connection = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS delivery (event_id TEXT PRIMARY KEY, body BLOB)")
    began = perf_counter()
    for first in range(0, len(some), WRITERS):
        connection.execute("BEGIN IMMEDIATE")
        portion = [(delivery.event_id, delivery.body) for delivery in some[first : first + WRITERS]]
        connection.executemany("INSERT INTO delivery VALUES (?, ?)", portion)
        connection.execute("COMMIT")
    took = perf_counter() - began
    connection.close()
    return took


def _memory_mb() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


async def _measure(folder: str, known: int, figures: dict[str, list[float]]) -> tuple[float, float]:
    """Fill an inbox with ids, open it anew, and measure it; return seconds of its start, and the MB it took."""
    path = Path(folder) / f"{known}.db"
    inbox = SqliteInbox(path)
    await inbox.open()
    for first in range(0, known, DELIVERIES):
        number = min(DELIVERIES, known - first)
        await _put(inbox, deliveries(number))
        await _finish(inbox, number)
    await inbox.close()
    before_mb, began, inbox = _memory_mb(), perf_counter(), SqliteInbox(path)
    await inbox.open()
    start_s = perf_counter() - began
    for _ in range(ROUNDS):
        some = deliveries(DELIVERIES)
        began = perf_counter()
        await _put(inbox, some)
        put = perf_counter()
        await _finish(inbox, DELIVERIES)
        done = perf_counter()
        for what, seconds in (("put", put - began), ("claim to done", done - put)):
            figures.setdefault(f"pinwheel_async, {what}, {known:,} known", []).append(seconds / DELIVERIES * 1e6)
        if not known:
            figures.setdefault(FLOOR, []).append(_floor(folder, some) / DELIVERIES * 1e6)
    await inbox.close()
    return start_s, _memory_mb() - before_mb


def main() -> None:
    """Measure an inbox that knows nothing, and others that know much."""
    figures: dict[str, list[float]] = {}
    rows: list[tuple[int, float, float]] = []
    with TemporaryDirectory() as folder:
        for known in (0, int(sys.argv[1])) if len(sys.argv) > 1 else KNOWN:
            start_s, grown_mb = asyncio.run(_measure(folder, known, figures))
            rows.append((known, start_s * 1e3, grown_mb))
    report("Inbox in SQLite, flushed", "µs a delivery", figures, FLOOR)
    facts = {f"{known}_known": {"start_ms": round(start, 1), "mb": round(mb, 1)} for known, start, mb in rows}
    show("Start of an inbox", ("known ids", "ms to open", "MB grown"), rows, {"title": "Start of an inbox", **facts})


if __name__ == "__main__":
    main()
