"""Erasure of an account while something of it is written: whichever commits first, nothing of the account remains."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async.sync import Announcement, FailedProduct, SqlSink
from pinwheel_async.sync._sql import queries
from pinwheel_async.sync._sql.tables import options_for, tables_named

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GONE = "gone"

ANNOUNCEMENT = Announcement(
    event_id="e1", event="e", account_id=GONE, product="shifts", announced_at=NOW, received_at=NOW
)
FAILURE = FailedProduct(account_id=GONE, product="shifts", error="E", first_at=NOW, last_at=NOW)

Work = Callable[[Connection], object]

WRITES: dict[str, Work] = {
    "announcement": lambda connection: queries.announce(connection, ANNOUNCEMENT),
    "value": lambda connection: queries.save_all(connection, {f"mirror:verified:{GONE}:shifts": b"x", "other": b"x"}),
    "failure": lambda connection: queries.add_failures(connection, [FAILURE]),
}


@pytest.fixture
async def copy(engine: AsyncEngine, database: str) -> AsyncEngine:
    """Connections to an empty copy."""
    sink = SqlSink(database)
    await sink.open()
    await sink.close(complete=True)
    return engine.execution_options(**options_for(tables_named()))


def purge(connection: Connection) -> object:
    return queries.purge(connection, GONE, NOW)


async def meanwhile(copy: AsyncEngine, first: Work, second: Work) -> None:
    """Do the first thing; commit it when the second is done as far as it can be before that."""
    waits = asyncio.Event()

    def look(_: Any, __: Any, statement: str, *___: Any) -> None:
        if copy.dialect.name == "sqlite" and statement.startswith(("BEGIN IMMEDIATE", "INSERT")):
            waits.set()

    async def do_second(connection: AsyncConnection) -> None:
        event.listen(connection.sync_connection, "before_cursor_execute", look)
        await connection.run_sync(second)
        await connection.commit()

    async with copy.connect() as connection, copy.connect() as other:
        await connection.run_sync(first)
        task = asyncio.create_task(do_second(other))
        async with asyncio.timeout(10):
            while not (waits.is_set() or task.done() or await is_waiting(copy)):
                await asyncio.sleep(0.002)
        await connection.commit()
        await task


async def is_waiting(copy: AsyncEngine) -> bool:
    """Whether a connection to PostgreSQL waits for a lock."""
    if copy.dialect.name == "sqlite":
        return False
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with copy.connect() as connection:
        return bool(await connection.scalar(text(query)))


async def remains(copy: AsyncEngine) -> int:
    async with copy.connect() as connection:
        return sum((await connection.run_sync(queries.remains, GONE)).values())


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_during_an_erasure(copy: AsyncEngine, write: Work):
    """What is about to be written when its account is being erased is not kept."""
    await meanwhile(copy, purge, write)

    assert await remains(copy) == 0


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_an_erasure_during_a_write(copy: AsyncEngine, write: Work):
    """What is written, but not committed, when the erasure of its account begins is removed."""
    await meanwhile(copy, write, purge)

    assert await remains(copy) == 0
