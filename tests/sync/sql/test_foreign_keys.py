"""Foreign keys of lines to their objects."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateTable

from pinwheel_async import Pinwheel
from pinwheel_async.sync import METADATA, SqlSink, purge, status, sync
from pinwheel_async.sync._sql.tables import STORED
from pinwheel_async.testing import FakePinwheel

LINES = [(part.table, stored.table) for stored in STORED.values() for part in stored.parts]


async def execute(engine: AsyncEngine, statement: str) -> list[Any]:
    async with engine.begin() as connection:
        found = await connection.execute(text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


@pytest.mark.parametrize(("lines", "objects"), LINES, ids=lambda table: table.name)
async def test_sqlite_declares_them(pinwheel: Pinwheel, url: str, lines: Any, objects: Any):
    """In SQLite, tools find the object of a line by its foreign key, under the names of the copy."""
    await sync(pinwheel, SqlSink(url, prefix="pw_"), products=["income"])
    engine = create_async_engine(url)

    found = await execute(engine, f"PRAGMA foreign_key_list(pw_{lines.name})")

    await engine.dispose()
    assert [
        ("pw_" + objects.name, name, key) for name, key in ((lines.c[0].name, "account_id"), (lines.c[1].name, "id"))
    ] == [row[2:5] for row in sorted(found, key=lambda row: row[1])]


async def test_postgresql_has_none(postgres: str):
    """PostgreSQL would check each row: it has no foreign key, and says in a comment what a line belongs to."""
    sink = SqlSink(postgres)
    await sink.open()
    await sink.close(complete=True)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))

    keys = await execute(engine, "SELECT conname FROM pg_constraint WHERE contype = 'f'")
    comment = await execute(engine, "SELECT col_description('paystub_taxes'::regclass, 2)")

    await engine.dispose()
    assert (keys, comment) == ([], [("The `id` in `paystubs`, of the same account",)])


async def test_sqlalchemy_joins_by_them(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """With the tables of a sink, a join of lines with their objects needs no condition, in both databases."""
    sink = SqlSink(database, prefix="pw_")
    await sync(pinwheel, sink)
    tables = sink.metadata.tables

    async with engine.connect() as connection:
        for lines, objects in LINES:
            ours, theirs = tables[f"pw_{lines.name}"], tables[f"pw_{objects.name}"]
            joined = await connection.scalar(select(func.count()).select_from(ours.join(theirs)))
            assert joined == await connection.scalar(select(func.count()).select_from(ours)) != 0


async def test_where_they_are_checked(fake: FakePinwheel, pinwheel: Pinwheel, url: str):
    """A connection that checks foreign keys can do all that a copy needs: objects vanish, and are purged."""
    engine = create_async_engine(url)

    @event.listens_for(engine.sync_engine, "connect")
    def check(connection: Any, _: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    await sync(pinwheel, SqlSink(engine))
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        await execute(engine, "INSERT INTO paystub_taxes (account_id, paystub_id, position) VALUES ('a', 'b', 0)")
    account_id = fake.world.account_id(0)
    before = await execute(engine, "SELECT count(*) FROM paystubs")
    fake.world.delete(account_id, "paystubs", fake.world.records(account_id, "paystubs")[0]["id"])

    report = await sync(pinwheel, SqlSink(engine))
    after = await execute(engine, "SELECT count(*) FROM paystubs")
    erasure = await purge(engine, account_id=account_id)
    old = await purge(engine, before=date(2100, 1, 1))

    assert report.ok
    assert before == [(after[0][0] + 1,)]
    assert min(erasure.removed["paystubs"], erasure.removed["paystub_taxes"], old.removed["shift_timestamps"]) > 0
    assert await execute(engine, "SELECT count(*) FROM paystubs") == [(0,)]
    await engine.dispose()


async def test_a_copy_without_them(pinwheel: Pinwheel, url: str):
    """A copy of an earlier version, whose tables have no foreign keys, goes on without."""
    await sync(pinwheel, SqlSink(url), products=["income"])
    engine = create_async_engine(url)
    for lines, _ in LINES:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"DROP TABLE {lines.name}")
            await connection.execute(CreateTable(METADATA.tables[lines.name]))

    report = await sync(pinwheel, SqlSink(url, change_scope=True), products=["paystubs"])

    assert report.ok
    assert await execute(engine, "PRAGMA foreign_key_list(paystub_taxes)") == []
    assert (await status(url)).products["paystubs"].objects > 0
    await engine.dispose()
