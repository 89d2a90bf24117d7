"""Operations on a copy that meet in the database: a removal, or a change of what it is, while something is written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async import SinkError
from pinwheel_async.sync import Announcement, Batch, Checkpoint, FailedProduct, Scope, SqlSink
from pinwheel_async.sync._sql import queries
from pinwheel_async.sync._sql.database import lock
from pinwheel_async.sync._sql.rows import PageRows
from pinwheel_async.sync._sql.tables import STORED, options_for, tables_named
from pinwheel_async.testing import make_paystub

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GONE = "gone"

ANNOUNCEMENT = Announcement(
    event_id="e1", event="e", account_id=GONE, product="shifts", announced_at=NOW, received_at=NOW
)
FAILURE = FailedProduct(account_id=GONE, product="shifts", error="E", first_at=NOW, last_at=NOW)

Work = Callable[[Connection], object]

PAGE = Batch(
    kind="paystubs",
    account_id=GONE,
    items=(make_paystub(id="p", account_id=GONE, pay_date=date(2025, 1, 1)),),
    checkpoint=Checkpoint(begun_at=NOW, reached="complete"),
)


def write_page(sink: Any, connection: Connection) -> None:
    sink._write([PageRows.of(PAGE)], True, connection)


WRITES: dict[str, Callable[[Any, Connection], object]] = {
    "announcement": lambda _, connection: queries.announce(connection, ANNOUNCEMENT),
    "failure": lambda _, connection: queries.add_failures(connection, [FAILURE]),
    "value": lambda _, connection: queries.save_all(connection, {f"mirror:verified:{GONE}:shifts": b"x", "y": b"x"}),
    "page": write_page,
}


@pytest.fixture
async def sink(database: str) -> AsyncIterator[SqlSink]:
    """An open sink of an empty copy."""
    opened = SqlSink(database)
    await opened.open()
    yield opened
    await opened.close(complete=True)


@pytest.fixture
async def copy(engine: AsyncEngine, sink: SqlSink) -> AsyncEngine:
    """Connections to the copy."""
    return engine.execution_options(**options_for(tables_named()))


def purge(connection: Connection) -> object:
    return queries.purge(connection, GONE)


async def meanwhile(copy: AsyncEngine, first: Work, second: Work) -> None:
    """Do the first thing; commit it when the second is done as far as it can be before that."""
    waits, has_begun = asyncio.Event(), asyncio.Event()

    def look(_: Any, __: Any, statement: str, *___: Any) -> None:
        if has_begun.is_set() and copy.dialect.name == "sqlite" and statement.startswith(("BEGIN IMMEDIATE", "INSERT")):
            waits.set()

    # Of the engine, and before there are connections: those of SQLAlchemy 2.0 have no events of their own.
    event.listen(copy.sync_engine, "before_cursor_execute", look)

    async def do_second(connection: AsyncConnection) -> None:
        has_begun.set()
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


async def paystubs(copy: AsyncEngine) -> int:
    async with copy.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(STORED["paystubs"].table)) or 0


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_during_an_erasure(copy: AsyncEngine, sink: SqlSink, write: Callable[..., object]):
    """What is about to be written when its account is being erased is not kept."""
    await meanwhile(copy, purge, partial(write, sink))

    assert await remains(copy) == 0


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_an_erasure_during_a_write(copy: AsyncEngine, sink: SqlSink, write: Callable[..., object]):
    """What is written, but not committed, when the erasure of its account begins is removed."""
    await meanwhile(copy, partial(write, sink), purge)

    assert await remains(copy) == 0


@pytest.mark.parametrize("page_first", [True, False])
async def test_a_page_and_a_purge_of_what_is_old(copy: AsyncEngine, sink: SqlSink, *, page_first: bool):
    """Of a page that is written while what is old is purged nothing old remains, whichever comes first."""

    def purge_old(connection: Connection) -> object:
        return queries.purge_before(connection, date(2026, 1, 1))

    page = partial(write_page, sink)
    await meanwhile(copy, *((page, purge_old) if page_first else (purge_old, page)))

    assert await paystubs(copy) == 0


async def test_a_page_and_a_change_of_the_copy(copy: AsyncEngine, sink: SqlSink):
    """A page that is about to be written when the copy becomes another one is refused."""

    def change(connection: Connection) -> None:
        lock(connection)
        queries.save_scope(connection, Scope(keep_deleted=True, raw=False, history=False))

    with pytest.raises(SinkError) as caught:
        await meanwhile(copy, change, partial(write_page, sink))

    assert "changed meanwhile" in caught.value.reason
    assert await paystubs(copy) == 0
