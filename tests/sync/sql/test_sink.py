"""A sync into a real database: a SQLite file, and PostgreSQL where the test says so."""

import asyncio
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from pinwheel_async import PRODUCTS, ConfigurationError, DecodeError, Pinwheel, SinkError
from pinwheel_async._core.model import Model
from pinwheel_async.models import Document, Income, Paystub, Shift, Tax, TaxFormSummary
from pinwheel_async.sync import METADATA, Batch, MemorySink, SqlSink, sync
from pinwheel_async.sync._sql.database import spot_of
from pinwheel_async.sync._sql.tables import NO_ACCOUNT, STORED
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.webhooks import SqliteInbox

Dump = Callable[[], Any]


async def rows(engine: AsyncEngine, table: Table) -> list[Any]:
    async with engine.connect() as connection:
        return [*(await connection.execute(select(table).order_by(*table.primary_key)))]


def dump(url: str) -> dict[str, list[Any]]:
    """Read everything in a SQLite file."""
    connection = sqlite3.connect(url.partition("///")[2])
    found = {
        name: connection.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608  # our own names
        for name in sorted(METADATA.tables)
    }
    connection.close()
    return found


def value(column: Any, item: Any) -> Any:
    """Return what a column should hold of an object: the value of a field, or of a field in it."""
    found = getattr(item, column.info["attribute"])
    if "member" in column.info:
        return getattr(found, column.info["member"])
    return found.id if isinstance(found, Document) else found


def plain(table: Table) -> list[Any]:
    """Return the columns that hold the value of a field itself, not JSON."""
    return [column for column in table.columns if "attribute" in column.info and type(column.type).__name__ != "Plain"]


async def test_tables_hold_what_was_fetched(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """Every object and every line in it is a row, with the values and types that the models have."""
    memory = MemorySink()
    await sync(pinwheel, memory)

    await sync(pinwheel, SqlSink(database))

    for kind, stored in STORED.items():
        items: dict[Any, Any] = {getattr(item, "id", None): item for item in memory.items(kind)}
        found = await rows(engine, stored.table)
        assert items.keys() == {row.id for row in found}
        for row in found:
            mapping = row._mapping
            assert [value(column, items[row.id]) for column in plain(stored.table)] == [
                mapping[column.name] for column in plain(stored.table)
            ]


async def test_lines_hold_what_was_fetched(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """The lines of an object are there in its order, each with its values."""
    memory = MemorySink()
    await sync(pinwheel, memory)

    await sync(pinwheel, SqlSink(database))

    for kind, stored in STORED.items():
        for part in stored.parts:
            expected = {
                (getattr(item, "account_id", None), getattr(item, "id", None), at): [
                    value(column, line) for column in plain(part.table)
                ]
                for item in memory.items(kind)
                for at, line in enumerate(getattr(item, part.attribute))
            }
            found = {
                tuple(row[:3]): [row._mapping[column.name] for column in plain(part.table)]
                for row in await rows(engine, part.table)
            }
            assert expected == found
            assert found


async def test_objects_inside_are_json(fake: FakePinwheel, pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """What is no row of its own is JSON, as the API sends it."""
    await sync(pinwheel, SqlSink(database), products=["identity"])

    (record,) = fake.world.records(fake.world.account_id(0), "identity")
    found = next(row for row in await rows(engine, STORED["identity"].table) if row.id == record["id"])
    assert (record["address"], record["emails"], record["phone_numbers"]) == (
        found.address,
        found.emails,
        found.phone_numbers,
    )


async def test_running_twice_changes_nothing(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """A second sync of the same data leaves every row as it is, but for the one that says when accounts were listed."""

    async def found() -> list[list[Any]]:
        all_rows = [await rows(engine, table) for table in METADATA.sorted_tables]
        return [[row for row in some if row[:2] != (NO_ACCOUNT, "accounts")] for some in all_rows]

    await sync(pinwheel, SqlSink(database))
    before = await found()

    await sync(pinwheel, SqlSink(database))

    assert before == await found()


async def test_changes_arrive(fake: FakePinwheel, pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """A second sync brings what is new."""
    await sync(pinwheel, SqlSink(database))
    before = len(await rows(engine, STORED["paystubs"].table))
    fake.world.touch(fake.world.account_id(1), "paystubs")

    await sync(pinwheel, SqlSink(database))

    assert len(await rows(engine, STORED["paystubs"].table)) == before + 1


def make_paystub(**changes: Any) -> Paystub:
    """Make a paystub, obviously made up."""
    names = [field.name for field in attrs.fields(Paystub) if field.default is attrs.NOTHING]
    empty: dict[str, Any] = dict.fromkeys(names)
    lists: dict[str, Any] = dict.fromkeys(("taxes", "deductions", "earnings", "time_off"), ())
    return Paystub(**(empty | lists | {"id": "p", "account_id": "a"} | changes))


def make_income(**changes: Any) -> Income:
    """Make an income, obviously made up."""
    empty: dict[str, Any] = dict.fromkeys(field.name for field in attrs.fields(Income))
    return Income(**(empty | {"id": "i", "account_id": "a"} | changes))


async def write(url: str, *batches: Batch) -> list[BaseException | None]:
    """Write pages all at once and return what became of each."""
    sink = SqlSink(url)
    await sink.open()
    try:
        return await asyncio.gather(*map(sink.write, batches), return_exceptions=True)
    finally:
        await sink.close(complete=True)


def page(*items: Model, account_id: str = "a", kind: Any = "paystubs") -> Batch:
    return Batch(kind=kind, account_id=account_id, items=items)


async def test_lines_that_are_gone(database: str, engine: AsyncEngine):
    """Lines that an object does not have any more leave the database; those of other objects stay."""
    taxes = tuple([Tax(name=str(amount), category="other", amount=amount) for amount in range(3)])
    await write(database, page(make_paystub(taxes=taxes), make_paystub(id="q", taxes=taxes)))

    await write(database, page(make_paystub(taxes=taxes[1:2])))

    found = [tuple(row[1:4]) for row in await rows(engine, METADATA.tables["paystub_taxes"])]
    assert found == [("p", 0, "1"), ("q", 0, "0"), ("q", 1, "1"), ("q", 2, "2")]


async def test_nulls_are_kept(database: str, engine: AsyncEngine):
    """Nulls where the documentation says there are none are stored as nulls."""
    await write(database, page(make_paystub(taxes=None)))

    (found,) = await rows(engine, METADATA.tables["paystubs"])
    assert (found.pay_date, found.gross_pay_amount, found.created_at, found.document_id) == (None, None, None, None)


async def test_the_same_object_twice(database: str, engine: AsyncEngine):
    """An object that arrives twice, on one page or on two pages at once, is stored once."""
    twice = page(*(make_paystub(id=paystub_id) for paystub_id in "pqrpqr"))

    assert await write(database, twice, twice) == [None, None]

    assert [row.id for row in await rows(engine, METADATA.tables["paystubs"])] == ["p", "q", "r"]


async def test_equal_ids_of_two_accounts(database: str, engine: AsyncEngine):
    """An id that two accounts have in common is two objects."""
    await write(database, page(make_paystub()), page(make_paystub(account_id="b"), account_id="b"))

    assert [row.account_id for row in await rows(engine, METADATA.tables["paystubs"])] == ["a", "b"]


async def test_moments_are_kept_exactly(database: str, engine: AsyncEngine):
    """A moment keeps its microseconds and comes back aware, whatever offset it came with."""
    moment = datetime(2026, 1, 31, 23, 30, 0, 1, tzinfo=timezone(timedelta(hours=-7)))

    await write(database, page(make_paystub(created_at=moment)))

    (found,) = await rows(engine, METADATA.tables["paystubs"])
    assert found.created_at == moment
    assert found.created_at.tzinfo is UTC


async def test_large_amounts(database: str, engine: AsyncEngine):
    """Amounts beyond 32 bits are kept exactly."""
    await write(database, page(make_paystub(gross_pay_amount=9_007_199_254_740_993)))

    (found,) = await rows(engine, METADATA.tables["paystubs"])
    assert found.gross_pay_amount == 9_007_199_254_740_993


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"id": None}, "data[0].id: missing"),
        ({"compensation_amount": 2**63}, "data[0].compensation_amount: beyond 64 bits"),
        (
            {"created_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))},
            "data[0].created_at: beyond the calendar",
        ),
    ],
)
async def test_what_no_database_takes(database: str, engine: AsyncEngine, changes: dict[str, Any], place: str):
    """A page with a value that no database takes fails alone, with the place; pages of the same group are stored."""
    outcomes = await write(
        database,
        page(make_income(), kind="income"),
        page(make_income(**changes), kind="income", account_id="b"),
        page(make_income(), kind="income", account_id="c"),
    )

    assert [None, DecodeError, None] == [outcome and type(outcome) for outcome in outcomes]
    assert isinstance(outcomes[1], DecodeError)
    assert outcomes[1].paths == (place,)
    assert len(await rows(engine, METADATA.tables["incomes"])) == 2


async def test_a_null_character_on_postgresql(postgres: str):
    """Text that PostgreSQL refuses fails with its place, and is not repeated."""
    broken = make_income(currency="planted\0value")

    outcomes = await write(postgres, page(make_income(), kind="income"), page(broken, kind="income", account_id="b"))

    assert outcomes[0] is None
    assert "data[0].currency: holds a null character" in str(outcomes[1])
    assert "planted" not in str(outcomes[1])


async def test_a_cancelled_sync_leaves_a_consistent_database(fake: FakePinwheel, pinwheel: Pinwheel, url: str):
    """Whatever a cancelled sync stored is whole, and the next sync completes it."""
    sink = SqlSink(url)
    stored = asyncio.Event()
    real = sink.write

    async def write(batch: Batch) -> None:
        await real(batch)
        if batch.kind == "paystubs":
            stored.set()

    sink.write = write
    run = asyncio.create_task(sync(pinwheel, sink))
    await stored.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    found = dump(url)
    assert found["paystubs"]
    assert {row[1] for row in found["paystub_taxes"]} == {row[1] for row in found["paystubs"]}
    await sync(pinwheel, SqlSink(url))
    expected = sum(len(fake.world.records(account_id, "paystubs")) for account_id in fake.world.account_ids())
    assert len(dump(url)["paystubs"]) == expected


async def test_pages_share_transactions(pinwheel: Pinwheel, url: str):
    """Pages that wait together are committed together: there are fewer transactions than pages."""
    sink = SqlSink(url)
    groups: list[int] = []
    real = sink._store

    async def store(pages: Any) -> Any:
        groups.append(len(pages))
        return await real(pages)

    sink._store = store
    report = await sync(pinwheel, sink)

    assert sum(groups) == report.pages
    assert len(groups) < report.pages / 2


async def test_readers_are_not_kept_out(pinwheel: Pinwheel, url: str):
    """The database can be read while a sync writes to it."""
    await sync(pinwheel, SqlSink(url), products=["income"])

    connection = sqlite3.connect(url.partition("///")[2])
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_new_files_belong_to_their_owner(pinwheel: Pinwheel, url: str, tmp_path: Path):
    """A new database can be read by its owner only."""
    await sync(pinwheel, SqlSink(url), products=["income"], accounts=[])

    assert (tmp_path / "payroll.db").stat().st_mode & 0o777 == 0o600


async def test_a_sink_can_be_used_again(pinwheel: Pinwheel, url: str):
    """The same sink serves one run after the other."""
    sink = SqlSink(url)

    first = await sync(pinwheel, sink, products=["income"])
    second = await sync(pinwheel, sink, products=["income"], changed_only=False)

    assert first.items == second.items == len(dump(url)["incomes"])


async def test_a_sink_is_not_shared(pinwheel: Pinwheel, url: str):
    """A sink that is open, as that of a mirror, is not opened by a sync, too, and goes on."""
    sink = SqlSink(url)
    await sink.open()

    with pytest.raises(ConfigurationError, match="the sink is open already"):
        await sync(pinwheel, sink)

    await sink.write(page(make_paystub()))
    await sink.close(complete=True)
    assert len(dump(url)["paystubs"]) == 1


async def test_an_engine_of_ones_own_stays_open(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """An engine that was passed in is used as it is, and not closed."""
    pool = engine.pool

    await sync(pinwheel, SqlSink(engine), products=["income", "paystubs"])

    assert len(await rows(engine, METADATA.tables["incomes"])) == 12
    assert engine.pool is pool


async def test_a_missing_column_is_added(pinwheel: Pinwheel, database: str, engine: AsyncEngine):
    """A database of an earlier version gets the columns that it lacks."""
    await sync(pinwheel, SqlSink(database), products=["income"])
    async with engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE incomes DROP COLUMN pay_frequency")

    await sync(pinwheel, SqlSink(database), products=["income"], changed_only=False)

    assert any(row.pay_frequency for row in await rows(engine, METADATA.tables["incomes"]))


async def test_a_full_disk(pinwheel: Pinwheel, url: str):
    """A full disk ends the run with a SinkError that names the reason and no value."""
    await sync(pinwheel, SqlSink(url), accounts=[])
    sink = SqlSink(url)
    await sink.open()
    await sink._database.run(
        lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 45") and None, limit_s=60
    )

    paystubs = [make_paystub(id=str(number), employer_name="planted value" * 100) for number in range(100)]
    with pytest.raises(SinkError, match="SQLITE_FULL") as caught:
        await sink.write(page(*paystubs))
    await sink.close(complete=False)

    assert caught.value.reason == "SQLITE_FULL"
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert "planted" not in "".join(traceback.format_exception(caught.value))


async def test_a_damaged_file(pinwheel: Pinwheel, tmp_path: Path):
    """A file that is no database is a SinkError, which names its path, and in a note where it came from."""
    path = tmp_path / "payroll.db"
    path.write_bytes(b"no database at all" * 100)

    with pytest.raises(SinkError) as caught:
        await sync(pinwheel, SqlSink(f"sqlite:///{path}"))

    assert str(caught.value) == f"the database cannot be used ({path}): SQLITE_NOTADB"
    assert caught.value.place == str(path)
    (note,) = caught.value.__notes__
    assert note.startswith("caused by sqlalchemy.exc.DatabaseError at ")
    assert ", from sqlite3.DatabaseError at " in note


async def test_an_inbox(pinwheel: Pinwheel, tmp_path: Path):
    """A file that is a receiver's inbox is refused, and nothing is written into it."""
    path = tmp_path / "inbox.db"
    inbox = SqliteInbox(path)
    await inbox.open()
    await inbox.close()

    with pytest.raises(ConfigurationError, match="the database is the inbox of a receiver"):
        await sync(pinwheel, SqlSink(f"sqlite:///{path}"))

    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "accounts" not in tables


@pytest.mark.parametrize(
    ("path", "query"),
    [("127.0.0.1:1/test", ""), ("127.0.0.1/test", "?host=127.0.0.1&port=1"), ("127.0.0.1:1/test", "?sslmode=disable")],
)
async def test_where_no_server_is(pinwheel: Pinwheel, path: str, query: str):
    """A server that cannot be reached is named by its host and the database, without user and password."""
    url = f"postgresql://some{'body'}:plan{'ted'}@{path}{query}"  # a traceback shows this file, too
    with pytest.raises(SinkError, match=r"\(127\.0\.0\.1(:1)?/test\): ConnectionRefusedError") as caught:
        await sync(pinwheel, SqlSink(url))

    shown = "".join(traceback.format_exception(caught.value))
    assert "planted" not in shown
    assert "somebody" not in shown


async def test_table_and_column_are_named(engine: AsyncEngine, database: str):
    """A refusal of the database names the column, or whatever the database says of it, and no value."""
    sink = SqlSink(database, patience_s=0)
    await sink.open()
    async with engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE paystubs RENAME COLUMN pay_date TO elsewhere")

    paystubs = page(make_paystub(id="1", employer_name="planted value"))
    with pytest.raises(SinkError) as caught:
        await sink.write(paystubs)
    await sink.close(complete=False)

    assert "pay_date" in str(caught.value)
    assert "planted" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no such table: paystubs", True),
        ("UNIQUE constraint failed: paystubs.account_id, paystubs.id", True),
        ('relation "pw_paystubs" does not exist', True),
        ('column "pay_date" of relation "paystubs" does not exist', True),
        ("permission denied for table paystubs", True),
        ('invalid input syntax for type integer: "123-45-6789"', False),
        ("no such table: paystubs; planted value", False),
        ("no such table: " + "x" * 1_000, False),
        ('relation "Jane Doe" does not exist', False),
    ],
)
def test_texts_of_the_database(text: str, shown: bool):
    """Texts of a database are shown only if they have the form of those that hold names and nothing else."""
    assert (spot_of(sqlite3.OperationalError(text)) == text) is shown


async def test_a_folder_that_is_not_there(pinwheel: Pinwheel, tmp_path: Path):
    """A file in no folder is a SinkError."""
    with pytest.raises(SinkError, match="FileNotFoundError"):
        await sync(pinwheel, SqlSink(f"sqlite:///{tmp_path / 'nowhere' / 'payroll.db'}"))


async def test_a_read_only_database(pinwheel: Pinwheel, url: str):
    """A database that cannot be written to is a SinkError."""
    await sync(pinwheel, SqlSink(url), accounts=[])
    path = url.partition("///")[2]

    with pytest.raises(SinkError, match="SQLITE_READONLY"):
        await sync(pinwheel, SqlSink(f"sqlite:///file:{path}?mode=ro&uri=true"))


async def test_a_locked_database(pinwheel: Pinwheel, url: str, monkeypatch: pytest.MonkeyPatch):
    """A database that another process keeps locked is a SinkError."""
    monkeypatch.setitem(__import__("pinwheel_async.sync._sql.database", fromlist=["_"])._SQLITE, "timeout", 0)
    await sync(pinwheel, SqlSink(url, patience_s=0), accounts=[])
    other = sqlite3.connect(url.partition("///")[2], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(SinkError, match="SQLITE_BUSY"):
        await sync(pinwheel, SqlSink(url, patience_s=0))
    other.close()


async def test_no_server(pinwheel: Pinwheel):
    """A PostgreSQL that does not answer is a SinkError."""
    with pytest.raises(SinkError, match=r"the database cannot be used \(127\.0\.0\.1:1/test\): ConnectionRefusedError"):
        await sync(pinwheel, SqlSink("postgresql://postgres@127.0.0.1:1/test"))


async def test_a_sink_that_is_not_open():
    """Writing to a sink that is not open is a SinkError."""
    with pytest.raises(SinkError, match="closed"):
        await SqlSink("sqlite://").write(page())


@pytest.mark.parametrize("url", ["payroll.db", "mysql://root:planted@host/payroll", "sqlite+nothing:///x"])
def test_other_databases(url: str):
    """A URL that is none, or of another database, is refused at once and not repeated."""
    with pytest.raises(ConfigurationError, match="the database must be a URL") as caught:
        SqlSink(url)

    assert "planted" not in str(caught.value)


async def test_every_product_has_rows(pinwheel: Pinwheel, url: str):
    """No table of data stays empty after a sync of everything."""
    await sync(pinwheel, SqlSink(url), products=PRODUCTS)

    assert not [name for name, found in dump(url).items() if not found and not name.startswith("pinwheel_")]


async def test_empty_pages(url: str):
    """A page without objects stores nothing and is no error."""
    assert await write(url, page(), page(kind="shifts"), page(kind="tax_forms")) == [None, None, None]


def test_stored_classes():
    """Tax forms are stored as the list shows them, paystubs and shifts whole."""
    own = {"deleted_at", "raw", "first_seen_at", "changed_at", "digest"}
    columns = {
        name: {column.name for column in METADATA.tables[name].columns} - own for name in ("tax_forms", "shifts")
    }

    assert {field.name for field in attrs.fields(TaxFormSummary)} == columns["tax_forms"]
    assert {field.name for field in attrs.fields(Shift)} - {"timestamps", "earnings"} == columns["shifts"]
