"""Views of a copy: what they show, and that they are made, kept and replaced as tables are."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pinwheel_async import ConfigurationError, Pinwheel, SinkError
from pinwheel_async.sync import METADATA, MemorySink, SqlSink, export, status, sync
from pinwheel_async.sync._sql.migrate import prepare
from pinwheel_async.sync._sql.tables import tables_named
from pinwheel_async.sync._views.definitions import ALL_VIEWS, MONTHLY_INCOME, VIEWS
from pinwheel_async.testing import FakePinwheel

EARLIER = [name for table in METADATA.sorted_tables for name in (table.name, *[str(i.name) for i in table.indexes])]
"""What a copy of an earlier version, which knew no views, had made."""


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def read(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def show(engine: AsyncEngine, view: str, *columns: str) -> list[Any]:
    """Read a view in the order of its keys, with the types that its columns are said to have."""
    table = VIEWS.tables[view]
    chosen = [table.c[name] for name in columns] or [*table.columns]
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(table.select().with_only_columns(*chosen))]


async def open_and_close(place: Any, **options: Any) -> None:
    sink = SqlSink(place, **options)
    await sink.open()
    await sink.close(complete=True)


async def forget_views(engine: AsyncEngine) -> None:
    """Leave a copy as an earlier version would have."""
    await execute(engine, *[f"DROP VIEW {name}" for name in ALL_VIEWS])
    async with engine.begin() as connection:
        await connection.execute(METADATA.tables["pinwheel_schema"].update().values(made=EARLIER))


async def test_paystub_details(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """A paystub is a row with the end user of its account, its employer and its amounts."""
    memory = MemorySink()
    await sync(pinwheel, memory)
    accounts: Sequence[Any] = memory.items("accounts")
    employments: Sequence[Any] = memory.items("employment")
    users = {account.id: (account.end_user_id, account.platform_id) for account in accounts}
    employers = {employment.account_id: employment.employer_name for employment in employments}
    names = (
        "account_id",
        "id",
        "pay_date",
        "currency",
        "net_pay_amount",
        "gross_pay_ytd",
        "created_at",
    )
    paystubs: Sequence[Any] = memory.items("paystubs")

    await sync(pinwheel, SqlSink(database))

    found = await show(engine, "paystub_details", *names, "employer_name", "end_user_id", "platform_id")
    assert found
    assert sorted(found) == sorted(
        (
            *[getattr(paystub, name) for name in names],
            paystub.employer_name or employers[paystub.account_id],
            *users[paystub.account_id],
        )
        for paystub in paystubs
    )


async def test_an_employer_that_the_paystub_does_not_name(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """Where a paystub does not name its employer, the employment of the account does."""
    await sync(pinwheel, SqlSink(database))
    before = await show(engine, "latest_employments", "account_id", "employer_name")

    await execute(engine, "UPDATE paystubs SET employer_name = NULL")

    found = await show(engine, "paystub_details", "account_id", "employer_name")
    assert len(before) == 12
    assert found
    assert {*found} <= {*before}


async def test_monthly_income(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """Pay is added up by account, month of the pay date and currency, in whole minor units."""
    memory = MemorySink()
    await sync(pinwheel, memory)
    paystubs: Sequence[Any] = memory.items("paystubs")
    gross, net, counts = Counter[Any](), Counter[Any](), Counter[Any]()
    for paystub in paystubs:
        key = (paystub.account_id, paystub.pay_date.replace(day=1), paystub.currency)
        gross[key] += paystub.gross_pay_amount
        net[key] += paystub.net_pay_amount
        counts[key] += 1

    await sync(pinwheel, SqlSink(database))

    names = ("account_id", "month", "currency", "paystubs", "gross_pay_amount", "net_pay_amount")
    found = await show(engine, "monthly_income", *names)
    assert max(counts.values()) > 1
    assert sorted(found) == sorted((*key, counts[key], gross[key], net[key]) for key in counts)
    assert {type(value) for row in found for value in row[3:]} == {int}


async def test_months_know_no_time_zone(postgres: str):
    """On PostgreSQL no time zone takes part in the month, whichever one the session has."""
    await open_and_close(postgres)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))

    ((definition,),) = await read(engine, "SELECT pg_get_viewdef('monthly_income'::regclass)")

    await engine.dispose()
    assert "date_trunc('month'" in definition
    assert "with time zone" not in definition


async def test_latest_employments(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """Of several employments of an account the one that changed last is shown, with the end user."""
    await sync(pinwheel, SqlSink(database))
    columns = ", ".join(column.name for column in METADATA.tables["employments"].columns if column.name != "id")
    older = columns.replace("updated_at", "NULL" if engine.dialect.name == "sqlite" else "CAST(NULL AS timestamptz)")
    await execute(
        engine,
        f"INSERT INTO employments ({columns}, id) SELECT {older}, 'zzz' FROM employments",  # noqa: S608  # our own names
    )

    found = await show(engine, "latest_employments", "account_id", "id", "end_user_id", "title", "start_date")

    expected = await read(
        engine,
        "SELECT e.account_id, e.id, a.end_user_id, e.title FROM employments e JOIN accounts a ON a.id = e.account_id"
        " WHERE e.id <> 'zzz'",
    )
    assert len(found) == 12
    assert sorted(row[:4] for row in found) == sorted(expected)
    assert {type(row[4]) for row in found} <= {date, type(None)}


async def test_what_is_deleted(fake: FakePinwheel, pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """A paystub that is marked as deleted is in no view, and counts for no month."""
    await sync(pinwheel, SqlSink(database, keep_deleted=True))
    ((before,),) = await read(engine, "SELECT sum(paystubs) FROM monthly_income")
    account_id = fake.world.account_id(0)
    gone = fake.world.records(account_id, "paystubs")[0]["id"]
    fake.world.delete(account_id, "paystubs", gone)

    await sync(pinwheel, SqlSink(database))

    assert await read(engine, "SELECT count(*) FROM paystubs WHERE deleted_at IS NOT NULL") == [(1,)]
    assert (gone,) not in await show(engine, "paystub_details", "id")
    assert await read(engine, "SELECT sum(paystubs) FROM monthly_income") == [(before - 1,)]


async def test_a_copy_of_an_earlier_version(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """A copy without views can be read as it is, by what makes nothing; the next sink that opens it makes them."""
    await sync(pinwheel, SqlSink(database))
    await forget_views(engine)

    found = await status(database)
    with pytest.raises(Exception, match="paystub_details"):
        await read(engine, "SELECT * FROM paystub_details")
    await open_and_close(database)

    assert found.accounts == 12
    assert len(await show(engine, "latest_employments")) == 12


@pytest.mark.parametrize("name", ALL_VIEWS)
@pytest.mark.parametrize("kind", ["TABLE {} (id integer)", "VIEW {} AS SELECT 1 AS id"], ids=["table", "view"])
async def test_a_view_of_the_users(database: str, engine: AsyncEngine, name: str, kind: str, tmp_path: Path):
    """What has the name of a view of ours in a copy of an earlier version is refused with the cure, and stays."""
    await open_and_close(database)
    await forget_views(engine)
    await execute(engine, f"CREATE {kind.format(name)}")
    before = await read(engine, f"SELECT * FROM {name}")  # noqa: S608  # our own names

    for refused in (open_and_close(database), status(database), export(database, tmp_path)):
        with pytest.raises(
            ConfigurationError, match=f"the database has {name}, .* nothing was changed; rename it, or give"
        ):
            await refused

    assert before == await read(engine, f"SELECT * FROM {name}")  # noqa: S608  # our own names


@pytest.fixture
def later() -> Iterator[Callable[..., None]]:
    """Give this library a later definition of a view; called without one, it has the usual one again."""
    usual = (MONTHLY_INCOME.source, MONTHLY_INCOME.version)

    def change(source: str = "") -> None:
        version = MONTHLY_INCOME.version + 1 if source else usual[1]
        object.__setattr__(MONTHLY_INCOME, "source", source or usual[0])
        object.__setattr__(MONTHLY_INCOME, "version", version)

    yield change
    change()


EMPTY = MONTHLY_INCOME.source.replace("WHERE", "WHERE 1 = 0 AND")
"""What lets a view have no rows."""


async def test_a_new_definition(pinwheel: Pinwheel, database: str, engine: AsyncEngine, later: Callable[..., None]):
    """A view whose definition is a newer one is replaced when a sink is opened, once, and not by an older library."""
    await sync(pinwheel, SqlSink(database))
    assert await read(engine, "SELECT count(*) FROM monthly_income") != [(0,)]
    later(EMPTY)

    assert (await status(database)).accounts == 12
    await open_and_close(database)
    newer = await read(engine, "SELECT count(*) FROM monthly_income")
    noted = await read(engine, "SELECT CAST(made AS text) FROM pinwheel_schema")
    later()
    await open_and_close(database)
    await execute(engine, "DROP VIEW paystub_details")
    await open_and_close(database)  # makes one, and leaves the other as it is

    assert noted == await read(engine, "SELECT CAST(made AS text) FROM pinwheel_schema")
    assert newer == [(0,)] == await read(engine, "SELECT count(*) FROM monthly_income")
    assert await show(engine, "paystub_details", "id")


async def test_rights_to_a_view_stay(postgres: str, later: Callable[..., None]):
    """On PostgreSQL, who may read a view may so after its definition changed, and views on top of it stay."""
    await open_and_close(postgres)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    await execute(
        engine, "GRANT SELECT ON monthly_income TO PUBLIC", "CREATE VIEW mine AS SELECT * FROM monthly_income"
    )
    later(EMPTY)

    await open_and_close(postgres)

    rights = "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = 'PUBLIC' AND table_name = '{}'"
    assert await read(engine, rights.format("monthly_income")) == [(1,)]
    assert await read(engine, "SELECT count(*) FROM mine") == [(0,)]
    await engine.dispose()


async def test_a_definition_with_other_columns(postgres: str, later: Callable[..., None]):
    """On PostgreSQL, a view whose columns cannot be replaced is made anew, unless a view of the user's is on top."""
    await open_and_close(postgres)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    await execute(
        engine,
        "DROP VIEW monthly_income",
        "CREATE VIEW monthly_income AS SELECT 1 AS account_id",  # as if a version had defined it so
        "CREATE VIEW mine AS SELECT * FROM monthly_income",
    )
    later(MONTHLY_INCOME.source)

    with pytest.raises(SinkError, match="DependentObjectsStillExistError: a view of yours"):
        await open_and_close(postgres)
    await execute(engine, "DROP VIEW mine")
    await open_and_close(postgres)

    assert await read(engine, "SELECT count(*), max(month) FROM monthly_income") == [(0, None)]
    await engine.dispose()


async def test_a_migration_of_tables_under_a_view(database: str, engine: AsyncEngine):
    """A step to a later version may change what a view shows: it is dropped before, and made afterwards."""
    await open_and_close(database)

    def drop(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE employments DROP COLUMN title")

    async with engine.begin() as connection:
        await connection.run_sync(lambda connection: prepare(connection, version=2, steps={2: drop}))

    assert await show(engine, "latest_employments", "title") == []


async def test_comments(postgres: str):
    """PostgreSQL says what a view shows, and what its sums are."""
    await open_and_close(postgres)
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    query = "SELECT obj_description('monthly_income'::regclass), col_description('monthly_income'::regclass, 7)"

    assert await read(engine, query) == [
        (
            "One row for each account, month and currency in which something was paid",
            "Sum of `net_pay_amount` of these paystubs, in minor units of `currency`, such as cents",
        )
    ]
    await engine.dispose()


@pytest.mark.parametrize("name", ALL_VIEWS)
def test_versions(name: str):
    """Whoever changes a definition raises its version, or copies would keep the one before; then these are noted."""
    view = ALL_VIEWS[name]
    comments = [view.table.comment, *[column.comment for column in view.table.columns]]
    texts = [view.definition(tables_named(), dialect) for dialect in (sqlite.dialect(), postgresql.dialect())]  # type: ignore[no-untyped-call]

    digest = blake2b("\n".join(map(str, [*texts, *comments])).encode(), digest_size=8).hexdigest()

    assert (view.version, digest) == KNOWN[name]


KNOWN = {
    "paystub_details": (1, "960265b3a69fe1ad"),
    "monthly_income": (1, "ad745e93e56e1c65"),
    "latest_employments": (1, "b2068fcff1de3521"),
}
