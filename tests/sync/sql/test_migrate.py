"""Whose tables are touched: only those that this library made, and only where something is missing."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, TextClause, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pinwheel_async import ConfigurationError, Pinwheel, SinkError
from pinwheel_async.models import Paystub
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync import METADATA, SqlSink, changes, export, purge, status, sync
from pinwheel_async.sync._sql import database as database_module, migrate, sink as sink_module
from pinwheel_async.sync._views.definitions import ALL_VIEWS, VIEWS
from pinwheel_async.testing import FakePinwheel

NAMES = sorted(
    {
        *VIEWS.tables,
        *[name for table in METADATA.sorted_tables for name in (table.name, *[i.name for i in table.indexes])],
    }
)
"""Every name that a copy takes."""

SCHEMA = {
    "sqlite": "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2",
    "postgresql": """SELECT c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND NOT a.attisdropped
        ORDER BY 1, 2, 3""",
}
"""Shows everything that a database is made of."""


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def schema(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(SCHEMA[engine.dialect.name]))]


async def read(engine: AsyncEngine, query: Select[Any]) -> list[Any]:
    async with engine.connect() as connection:
        return [*await connection.execute(query)]


async def open_and_close(place: Any, **options: Any) -> None:
    sink = SqlSink(place, **options)
    await sink.open()
    await sink.close(complete=True)


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE {} (id integer PRIMARY KEY, plan text)", "CREATE VIEW {} AS SELECT 1 AS id"],
    ids=["table", "view"],
)
@pytest.mark.parametrize("database", ["sqlite", "empty-postgresql"], indirect=True)
async def test_tables_of_an_application(database: str, engine: AsyncEngine, statement: str, tmp_path: Path):
    """A table or view of one of our names that we did not make is refused and named, and nothing is changed."""
    for name in NAMES:
        await execute(engine, statement.format(name))
        before = await schema(engine)

        for refused in (
            open_and_close(database),
            open_and_close(engine),
            status(database),
            export(database, tmp_path / "out"),
            purge(database, account_id="a"),
        ):
            with pytest.raises(ConfigurationError, match=f"the database has {name}, .* nothing was changed; .* prefix"):
                await refused

        assert before == await schema(engine)
        await execute(engine, f"DROP {statement.split()[1]} {name}")


async def test_names_in_capitals(url: str):
    """SQLite takes no notice of case in names, so neither does the proof."""
    engine = create_async_engine(url)
    await execute(engine, "CREATE TABLE Accounts (id integer)")
    await engine.dispose()

    with pytest.raises(ConfigurationError, match="the database has accounts"):
        await open_and_close(url)


async def test_a_table_of_another_schema(postgres: str):
    """On PostgreSQL a table counts wherever its bare name is looked for, not only where new tables are made."""
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    await execute(engine, "CREATE TABLE shifts (id integer)", "CREATE SCHEMA payroll")
    await engine.dispose()
    path = {"server_settings": {"search_path": "payroll, public"}}
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"), connect_args=path)

    with pytest.raises(ConfigurationError, match="the database has shifts"):
        await open_and_close(engine)
    await engine.dispose()


async def test_a_refused_file_stays_as_it_is(url: str):
    """A SQLite file that is refused keeps every byte, that of its kind of journal included."""
    path = Path(url.partition("///")[2])
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE accounts (id integer)")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(ConfigurationError):
        await open_and_close(url)

    assert before == path.read_bytes()


async def test_other_tables_beside_the_copy(database: str, engine: AsyncEngine):
    """Tables of an application with names of their own stand beside those of a copy."""
    await execute(engine, "CREATE TABLE users (id integer)")

    await open_and_close(database)

    assert (await status(database)).accounts == 0


async def test_a_table_of_a_later_version(database: str, engine: AsyncEngine):
    """A copy that gets a new table with a later version does not take an application's table of that name for it."""
    await open_and_close(database)
    async with engine.begin() as connection:
        # As an earlier version would have left it, which knew no tax forms.
        made = [name for name in NAMES if not name.startswith("tax_forms")]
        await connection.execute(METADATA.tables["pinwheel_schema"].update().values(made=made))
        await connection.execute(text("DROP TABLE tax_forms"))
        await connection.execute(text("CREATE TABLE tax_forms (id integer)"))
    before = await schema(engine)

    with pytest.raises(ConfigurationError, match="the database has tax_forms"):
        await open_and_close(database)

    assert before == await schema(engine)


async def test_a_missing_index_is_made(database: str, engine: AsyncEngine):
    """A database of an earlier version gets the indexes that it lacks, on tables that are there, too."""
    await open_and_close(database)
    before = await schema(engine)
    await execute(engine, "DROP INDEX paystubs_by_pay_date")

    await open_and_close(database)

    assert before == await schema(engine)


async def test_an_added_column_may_be_null(database: str, engine: AsyncEngine):
    """A column that is added to a table with rows is null in them, also if it must not be in a new table."""
    await open_and_close(database)
    await execute(
        engine,
        "INSERT INTO pinwheel_announcements VALUES "
        "('e', 'x', 'a', 'shifts', '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00', 1, '[]', '[]', false)",
        "ALTER TABLE pinwheel_announcements DROP COLUMN final",
    )

    await open_and_close(database)

    async with engine.connect() as connection:
        assert [*await connection.scalars(text("SELECT final FROM pinwheel_announcements"))] == [None]


async def test_added_moments_are_filled(
    fake: FakePinwheel, pinwheel: Pinwheel, database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    """Columns of moments that a copy lacks are filled from the JSON beside them, which is no change of an account."""
    monkeypatch.setattr(migrate, "_AT_ONCE", 5)  # of 12 accounts
    fake.world.edit_account(fake.world.account_id(0), data_updated_at={})
    await sync(pinwheel, SqlSink(database, history=True), products=["income"])
    table = METADATA.tables["accounts"]
    added = [column.name for column in table.columns if "member" in column.info]
    before = await read(engine, select(table).order_by(table.c.id))
    await execute(engine, *[f"ALTER TABLE accounts DROP COLUMN {name}" for name in added])

    await open_and_close(database)
    filled = await read(engine, select(table).order_by(table.c.id))
    await sync(pinwheel, SqlSink(database), products=["income"])

    assert {f"{product}_updated_at" for product in PRODUCTS if product != "tax_forms"} == {*added}
    assert {None, *[row.paystubs_updated_at for row in before]} != {None}
    assert before == filled == await read(engine, select(table).order_by(table.c.id))
    assert ["new"] * 12 == [change.change async for change in changes(database) if change.kind == "accounts"]


@pytest.mark.parametrize(
    "statement", ["ALTER TABLE paystubs DROP COLUMN net_pay_amount", "DROP TABLE paystub_earnings"]
)
async def test_added_columns_and_lines_are_filled(
    fake: FakePinwheel, pinwheel: Pinwheel, database: str, engine: AsyncEngine, statement: str
):
    """What was read before there was a column, or a table of lines, is read again by the next sync, and by no other."""
    await sync(pinwheel, SqlSink(database), products=["income", "paystubs"])
    tables = [METADATA.tables[name] for name in ("paystubs", "paystub_earnings")]
    queries = [select(table).order_by(*table.primary_key) for table in tables]
    before = [await read(engine, query) for query in queries]
    with_paystubs = len({row.account_id for row in before[0]})
    drop = [f"DROP VIEW {name}" for name in ("paystub_details", "monthly_income")]
    await execute(engine, *drop, statement)

    await open_and_close(database)
    found = await status(database)
    fake.clear_records()
    await sync(pinwheel, SqlSink(database))

    assert (found.ok, found.products["income"].reading, found.products["paystubs"].reading) == (False, 0, with_paystubs)
    assert {"list_accounts": 1, "list_paystubs": with_paystubs} == fake.counts
    assert (await status(database)).ok
    assert [list(map(_without_times, rows)) for rows in before] == [
        list(map(_without_times, await read(engine, query))) for query in queries
    ]


@pytest.mark.parametrize("lacks", [False, True])
async def test_added_columns_are_filled_from_raw(
    fake: FakePinwheel,
    pinwheel: Pinwheel,
    database: str,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    lacks: bool,
):
    """Columns that a copy lacks are filled from raw objects, which is no change; what these lack is read again."""
    monkeypatch.setattr(migrate, "_AT_ONCE", 5)
    await sync(pinwheel, SqlSink(database, raw=True, history=True), products=["income", "shifts"])
    added = {
        "incomes": ["compensation_amount", "created_at"],
        "accounts": ["customer_id", "created_at"],
        "shifts": ["start_date", "type", "created_at"],
    }
    queries = [select(METADATA.tables[name]).order_by(*METADATA.tables[name].primary_key) for name in added]
    before = [await read(engine, query) for query in queries]
    assert all(row.created_at for row in before[0])
    drop = [f"DROP VIEW {name}" for name in ALL_VIEWS]
    drop += [f"DROP INDEX {index.name}" for index in METADATA.tables["shifts"].indexes]
    if lacks:
        plain = "json_remove(raw, '$.created_at')" if database.startswith("sqlite") else "raw - 'created_at'"
        drop.append(f"UPDATE incomes SET raw = {plain} WHERE id = '{before[0][3].id}'")  # noqa: S608  # the fake's
    statements = [f"ALTER TABLE {table} DROP COLUMN {name}" for table, names in added.items() for name in names]
    await execute(engine, *drop, *statements)

    await open_and_close(database)
    filled = [await read(engine, query) for query in queries]
    fake.clear_records()
    await sync(pinwheel, SqlSink(database))

    assert lacks or filled == before
    assert [await read(engine, query) for query in queries[1:]] == before[1:]
    assert {"list_accounts": 1, **({"get_income": len(before[0])} if lacks else {})} == fake.counts
    assert not [change async for change in changes(database) if change.change == "changed"]


def _without_times(row: Any) -> Any:
    return {name: value for name, value in row._mapping.items() if name != "changed_at"}


async def test_a_view_that_was_dropped_is_made(database: str, engine: AsyncEngine):
    """A view that is not there any more is made again."""
    await open_and_close(database)
    await execute(engine, "DROP VIEW monthly_income")

    await open_and_close(database)

    assert [] == await read(engine, select(text("*")).select_from(text("monthly_income")))


async def test_opening_waits_for_nobody(database: str, engine: AsyncEngine):
    """Where nothing is missing, a sink opens while somebody else's transaction goes on, whatever that has locked."""
    await open_and_close(database)
    async with engine.connect() as other:
        locked = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "LOCK TABLE accounts IN EXCLUSIVE MODE"
        await other.exec_driver_sql(locked)
        if engine.dialect.name == "postgresql":
            await other.run_sync(database_module.lock)

        async with asyncio.timeout(20):
            await open_and_close(database)


async def test_a_change_does_not_wait_for_ever(postgres: str, monkeypatch: pytest.MonkeyPatch):
    """Where tables have to be changed behind a transaction that does not end, the sink gives up and says why."""
    monkeypatch.setattr(database_module, "_LOCK_S", 1)
    monkeypatch.setattr(sink_module, "_OPEN_S", 0)
    await open_and_close(postgres)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    await execute(engine, "ALTER TABLE accounts DROP COLUMN customer_id")

    async with engine.connect() as other:
        await other.execute(text("SELECT count(*) FROM accounts"))
        with pytest.raises(SinkError, match="LockNotAvailableError: a transaction of somebody else"):
            await open_and_close(postgres)
    await engine.dispose()


async def test_two_sinks_at_once(database: str):
    """Sinks that are opened at once in an empty database make the tables once."""
    await asyncio.gather(*[open_and_close(database) for _ in range(4)])

    assert (await status(database)).accounts == 0


async def test_comments(postgres: str):
    """PostgreSQL says what a table of data is, which columns are minor units, and what those of the sink's own mean."""
    await open_and_close(postgres)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        comment = await connection.scalar(text("SELECT obj_description('paystubs'::regclass)"))
        rows = await connection.execute(
            text(
                "SELECT column_name, col_description('paystubs'::regclass, ordinal_position) FROM"
                " information_schema.columns WHERE table_name = 'paystubs'"
            )
        )
        columns = {row[0]: row[1] for row in rows}
    await engine.dispose()

    assert comment == Paystub.__doc__
    assert columns["net_pay_amount"] == "Minor units of the currency, such as cents"
    assert all(columns[name] for name in ("deleted_at", "raw", "first_seen_at", "changed_at", "digest"))


@pytest.mark.parametrize("database", ["sqlite", "empty-postgresql"], indirect=True)
async def test_migrate(database: str, engine: AsyncEngine):
    """Tables are made, or brought up to date, once, and a sink that may not do so uses them."""
    refused = SqlSink(database, migrate=False)
    with pytest.raises(SinkError, match="there are no tables: run pinwheel-async migrate"):
        await refused.open()

    assert [await SqlSink(database).migrate() for _ in range(2)] == [True, False]
    await open_and_close(database, migrate=False)
    await execute(engine, "ALTER TABLE accounts DROP COLUMN customer_id")
    with pytest.raises(SinkError, match="its tables are of an earlier version: run pinwheel-async migrate"):
        await refused.open()
    assert [await SqlSink(database).migrate() for _ in range(2)] == [True, False]
    await open_and_close(database, migrate=False)


async def test_migrate_behind_a_transaction(postgres: str, monkeypatch: pytest.MonkeyPatch):
    """A migration that waits behind a transaction goes on when that is over, and lets others pass meanwhile."""
    monkeypatch.setattr(database_module, "_LOCK_S", 1)
    await open_and_close(postgres)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    await execute(engine, "ALTER TABLE accounts DROP COLUMN customer_id")

    async with engine.connect() as other:
        await other.execute(text("SELECT count(*) FROM accounts"))
        migrating = asyncio.create_task(SqlSink(postgres).migrate())
        async with engine.connect() as reader, asyncio.timeout(10):
            while not migrating.done() and await reader.scalar(WAITING) == 0:
                await reader.rollback()  # within a transaction it sees the same each time
                await asyncio.sleep(0.01)
            await reader.rollback()
            await reader.execute(text("SELECT count(*) FROM accounts"))  # it stands in the queue behind the migration
        assert not migrating.done()

    assert await migrating is True
    await engine.dispose()


WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


async def test_tables_of_a_newer_version(database: str, engine: AsyncEngine):
    """Tables of a newer version are used while they say that this one may, and stay of that version."""
    await open_and_close(database)
    await execute(
        engine,
        "UPDATE pinwheel_schema SET version = 9, oldest = 1",
        "ALTER TABLE accounts ADD COLUMN of_tomorrow text",
        "DROP INDEX paystubs_by_pay_date",
    )

    await open_and_close(database, migrate=True)

    assert (await status(database)).schema_version == 9
    assert [(row.version, row.oldest) for row in await read(engine, select(METADATA.tables["pinwheel_schema"]))] == [
        (9, 1)
    ]


async def test_tables_of_the_first_release(database: str, engine: AsyncEngine):
    """Tables that do not say which is the oldest version that may use them are those of this library."""
    await open_and_close(database)
    await execute(
        engine,
        "ALTER TABLE pinwheel_schema DROP COLUMN oldest",
        "DROP TABLE pinwheel_runs",
        "DROP TABLE pinwheel_partitions",
    )

    await open_and_close(database)

    assert (await read(engine, select(METADATA.tables["pinwheel_schema"].c.oldest)))[0].oldest == 1


async def test_a_role_without_the_right_to_create(postgres: str):
    """A role that may only read and write uses tables that another one has made."""
    await SqlSink(postgres).migrate()
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    role = f"pinwheel_clerk_{os.getpid()}"
    await execute(
        engine,
        f"CREATE ROLE {role} LOGIN PASSWORD 'clerk'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    try:
        await open_and_close(make_url(postgres).set(username=role, password="clerk"), migrate=False)
    finally:
        await execute(engine, f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}", f"DROP ROLE {role}")
        await engine.dispose()


BUILDING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE 'CREATE INDEX%'"
)


async def until(engine: AsyncEngine, query: TextClause) -> None:
    """Wait until somebody waits for a lock."""
    async with engine.connect() as connection, asyncio.timeout(30):
        while not await connection.scalar(query):
            await connection.rollback()  # or the same would be found again
            await asyncio.sleep(0.01)


@pytest.fixture
async def copied(postgres: str) -> AsyncIterator[AsyncEngine]:
    """A copy without an index and two columns."""
    await open_and_close(postgres)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    await execute(
        engine,
        "DROP INDEX paystubs_by_pay_date",
        "ALTER TABLE accounts DROP COLUMN customer_id",
        "ALTER TABLE pinwheel_scope DROP COLUMN api_version",
    )
    yield engine
    await engine.dispose()


async def test_an_index_is_built_beside_whoever_writes(fake: FakePinwheel, postgres: str, copied: AsyncEngine):
    """While a missing index is built, syncs go on, and others open the copy without waiting for it."""
    async with (
        copied.connect() as other,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        await other.execution_options(isolation_level="REPEATABLE READ")
        await other.execute(text("SELECT count(*) FROM pinwheel_failures"))  # an index waits for whoever looked before
        migrating = asyncio.create_task(SqlSink(postgres).migrate())
        await until(copied, BUILDING)
        report = await sync(pinwheel, SqlSink(postgres), products=["paystubs"])
        assert not migrating.done()

    assert (report.ok, await migrating, await SqlSink(postgres).migrate()) == (True, True, False)


async def test_a_half_built_index_is_built_anew(postgres: str, copied: AsyncEngine):
    """An index that whoever was killed left half built counts as missing, and is built anew."""
    async with copied.connect() as other:
        await other.execution_options(isolation_level="REPEATABLE READ")
        await other.execute(text("SELECT count(*) FROM pinwheel_failures"))
        migrating = asyncio.create_task(SqlSink(postgres, patience_s=0).migrate())
        await until(copied, BUILDING)
        await execute(copied, str(BUILDING).replace("count(*)", "pg_terminate_backend(pid)"))
        with pytest.raises(SinkError):
            await migrating
    query = select(text("indisvalid")).select_from(text("pg_index"))
    query = query.where(text("indexrelid = 'paystubs_by_pay_date'::regclass"))
    before = await read(copied, query)
    again = await SqlSink(postgres).migrate()

    assert ([(False,)], True, [(True,)]) == (before, again, await read(copied, query))


async def test_no_lock_while_waiting_for_another(postgres: str, copied: AsyncEngine):
    """A migration that waits for one table holds no other one: whoever reads that one goes on."""
    async with copied.connect() as other:
        await other.execute(text("LOCK TABLE pinwheel_scope IN ACCESS SHARE MODE"))
        migrating = asyncio.create_task(SqlSink(postgres).migrate())
        await until(copied, WAITING)
        async with copied.connect() as reader, asyncio.timeout(1):  # less than it waits at once
            found = (await reader.execute(text("SELECT customer_id FROM accounts"))).all()

    assert ([], True) == (found, await migrating)
