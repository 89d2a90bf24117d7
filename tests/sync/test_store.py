"""What a store in a database remembers, on SQLite and on PostgreSQL."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from sqlalchemy import Table, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pinwheel_async import DecodeError, SinkError, SupersededError
from pinwheel_async._core.convert import encode
from pinwheel_async._core.fields import Model
from pinwheel_async.models import Account, Document, Income, Paystub, Shift, Tax, TaxFormSummary
from pinwheel_async.models.account import AccountDataRefreshedAt, AccountDataUpdatedAt
from pinwheel_async.sync import METADATA, Announcement, Batch, LedgerStore, Mark, SqlSink
from pinwheel_async.sync._sql_schema import prepare

BEGAN = datetime(2026, 1, 1, 12, 30, 0, 7, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of either kind."""
    return request.getfixturevalue("url" if request.param == "sqlite" else "postgres")


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """A connection of a reader's own."""
    made = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    yield made
    await made.dispose()


@asynccontextmanager
async def opened(place: Any, **options: Any) -> AsyncIterator[SqlSink]:
    sink = SqlSink(place, **options)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close(complete=True)


async def rows(engine: AsyncEngine, table: str | Table) -> list[Any]:
    table = METADATA.tables[str(table)]
    async with engine.connect() as connection:
        return [*(await connection.execute(select(table).order_by(*table.primary_key)))]


async def ids(engine: AsyncEngine, table: str = "paystubs") -> list[str]:
    return [one.id for one in await rows(engine, table)]


def model(kind: type[Model], **values: Any) -> Any:
    """Make an object, obviously made up."""
    fields = attrs.fields(kind)  # type: ignore[arg-type]
    return kind(**(dict.fromkeys(one.name for one in fields) | {"account_id": "a"} | values))


def paystub(id: str, day: int | None = None, **values: Any) -> Paystub:
    taxes = (Tax(name="tax", category="other", amount=1),)
    return model(Paystub, id=id, pay_date=day and date(2026, 1, day), taxes=taxes, **values)


def mark(reached: Any = "complete", later: int = 0, **values: Any) -> Mark:
    return Mark(begun_at=BEGAN + timedelta(microseconds=later), reached=reached, **values)


def page(*items: Model, mark: Mark | None, account_id: str = "a", kind: Any = "paystubs", **values: Any) -> Batch:
    return Batch(kind=kind, account_id=account_id, items=items, mark=mark, **values)


async def test_it_is_a_ledger_store():
    """The sink has every method of a ledger."""
    assert isinstance(SqlSink("sqlite://"), LedgerStore)


async def test_an_older_page_is_refused_alone(database: str, engine: AsyncEngine):
    """A page of an older reading is not stored, and the others of its group are."""
    async with opened(database) as sink:
        await sink.write(page(paystub("new"), mark=mark(later=1)))

        pages = [
            page(paystub("b"), mark=mark(), account_id="b"),
            page(paystub("old"), mark=mark()),
            page(paystub("c"), mark=mark(), account_id="c"),
        ]
        outcomes = await asyncio.gather(*map(sink.write, pages), return_exceptions=True)

        assert [type(one) for one in outcomes] == [type(None), SupersededError, type(None)]
        assert (await sink.marks(["a"]))["a", "paystubs"] == mark(later=1)
    assert await ids(engine) == ["new", "b", "c"]


async def test_a_patch_outlives_what_began_before_it(database: str, engine: AsyncEngine):
    """A patch keeps the mark, and a reading that began before it is superseded."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), mark=mark("reading", cursor="c")))
        await sink.write(page(paystub("q"), mark=mark("patch", later=2)))

        with pytest.raises(SupersededError):
            await sink.write(page(paystub("r"), mark=mark(later=1), first=False))
        assert (await sink.marks(["a"])) == {("a", "paystubs"): mark("reading", cursor="c")}
    assert await ids(engine) == ["p", "q"]


async def test_a_patch_alone_leaves_no_mark(database: str):
    """Where there was only a patch, nothing was read to an end."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), mark=mark("patch")))

        assert await sink.marks(["a"]) == {}


async def test_marks_come_back_exactly(database: str):
    """Every field of a mark is kept, moments to the microsecond."""
    exact = mark(
        "reading", 3, data_updated_at=BEGAN, from_day=date(2026, 1, 31), cursor="planted", items=9_007_199_254_740_993
    )
    async with opened(database) as sink:
        await sink.write(page(mark=exact))
    async with opened(database) as sink:
        found = await sink.marks(["a", *map(str, range(2_000))])

    assert found == {("a", "paystubs"): exact}


async def test_what_vanished_goes(database: str, engine: AsyncEngine):
    """When a list has been read to its end, what was not in it is removed with its lines, of that account only."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), paystub("q"), mark=mark()))
        await sink.write(page(paystub("p"), mark=mark(), account_id="b"))
        await sink.write(page(paystub("q"), mark=mark(later=1)))

    found = [(one.account_id, one.id) for one in await rows(engine, "paystubs")]
    assert found == [("a", "q"), ("b", "p")]
    assert found == [(one.account_id, one.paystub_id) for one in await rows(engine, "paystub_taxes")]


async def test_only_days_that_were_asked_for_vanish(database: str, engine: AsyncEngine):
    """With a first day, only what is after it vanishes: the day itself, and what has none, stays."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p", 1), paystub("q", 2), paystub("r", 3), paystub("s"), mark=mark()))
        await sink.write(page(mark=mark(later=1, from_day=date(2026, 1, 2))))

    assert await ids(engine) == ["p", "q", "s"]


async def test_a_single_object_that_is_another_one(database: str, engine: AsyncEngine):
    """Where an account has exactly one object, a new id leaves only the new row."""
    async with opened(database) as sink:
        await sink.write(page(model(Income, id="i"), mark=mark(), kind="income"))
        await sink.write(page(model(Income, id="j"), mark=mark(later=1), kind="income"))

    assert await ids(engine, "incomes") == ["j"]


async def test_missing_leaves_what_is_there(database: str, engine: AsyncEngine):
    """A product that the server does not know any more keeps its objects, and its mark says so."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), mark=mark()))
        await sink.write(page(mark=mark("missing", later=1)))

        assert (await sink.marks(["a"]))["a", "paystubs"].reached == "missing"
    assert await ids(engine) == ["p"]


KILLED = """
import asyncio, os, sys
sys.path.insert(0, {folder!r})
from test_store import *

async def main():
    sink = SqlSink({database!r})
    await sink.open()
    await sink.write(page(paystub("q"), mark=mark("reading", 1, cursor="c")))
    os._exit(7)

asyncio.run(main())
"""


async def test_leftovers_survive_a_kill(database: str, engine: AsyncEngine):
    """A reading that was killed in the middle, and goes on later, still finds what vanished."""
    async with opened(database) as sink:
        await sink.write(page(*map(paystub, "pqrs"), mark=mark()))
    code = KILLED.format(folder=str(__file__).rpartition("/")[0], database=database)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await killed.wait() == 7

    async with opened(database) as sink:
        cursor = (await sink.marks(["a"]))["a", "paystubs"].cursor
        await sink.write(page(paystub("r"), mark=mark("reading", 1, cursor="d"), first=False))
        before = await sink.held("a", "paystubs")
        await sink.write(page(mark=mark("complete", 1), first=False))

    assert cursor == "c"
    assert before == set("pqrs")
    assert await ids(engine) == ["q", "r"]
    assert not await rows(engine, "pinwheel_leftovers")


async def test_two_sinks_on_one_database(database: str, engine: AsyncEngine):
    """Of sinks that write the same accounts at once nothing fails but what is superseded, and the newest one wins."""
    accounts = [f"account-{number}" for number in range(20)]

    async def write(later: int) -> list[Any]:
        async with opened(database) as sink:
            mine = [page(paystub(str(later)), mark=mark(later=later), account_id=one) for one in accounts]
            return await asyncio.gather(*map(sink.write, mine), return_exceptions=True)

    async with opened(database):
        pass
    outcomes = await asyncio.gather(*map(write, range(4)))

    assert {type(one) for some in outcomes for one in some} <= {type(None), SupersededError}
    assert outcomes[3] == [None] * 20
    assert await ids(engine) == ["3"] * 20


async def test_lines_without_their_object(database: str, engine: AsyncEngine):
    """Lines that somebody left when they removed an object by hand are replaced, and keep no page out."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), mark=mark()))
        async with engine.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM paystubs")

        await sink.write(page(paystub("p"), mark=mark(later=1)))

    assert len(await ids(engine)) == len(await rows(engine, "paystub_taxes")) == 1


async def test_opening_an_empty_database_at_once(database: str, engine: AsyncEngine):
    """Sinks that open an empty database at once make its tables once."""

    async def write(account_id: str) -> None:
        async with opened(database) as sink:
            await sink.write(page(paystub("p"), mark=mark(), account_id=account_id))

    await asyncio.gather(*map(write, "abcd"))

    assert len(await ids(engine)) == 4
    assert len(await rows(engine, "pinwheel_schema")) == 1


async def test_the_same_data_is_the_same_rows(database: str, engine: AsyncEngine):
    """What a database went through leaves no trace in its tables of data."""
    async with opened(database) as sink:
        await sink.write(page(paystub("x"), paystub("p", 1), mark=mark()))
        await sink.write(page(paystub("p"), mark=mark("reading", 1)))
        await sink.write(page(paystub("q"), mark=mark("complete", 1), first=False))
        again = [page(paystub("q"), paystub("p"), mark=mark(later=5), account_id="b")]
        await asyncio.gather(*map(sink.write, again))

    for table in ("paystubs", "paystub_taxes"):
        found = [tuple(one)[1:] for one in await rows(engine, table)]
        assert found[: len(found) // 2] == found[len(found) // 2 :]


async def test_deleted_objects_can_be_kept(database: str, engine: AsyncEngine):
    """With `keep_deleted`, what vanished stays with its lines and says when; `held` leaves it out."""
    shift = model(Shift, id="s")
    async with opened(database, keep_deleted=True) as sink:
        await sink.write(page(paystub("p"), paystub("q"), mark=mark()))
        await sink.write(page(shift, mark=mark(), kind="shifts"))
        await sink.write(page(model(Income, id="i"), mark=mark(), kind="income"))
        for later in (1, 2):
            await sink.write(page(paystub("q"), mark=mark(later=later)))
            await sink.write(page(mark=mark(later=later), kind="shifts"))
            await sink.write(page(mark=mark(later=later), kind="income"))

        assert await sink.held("a", "paystubs") == {"q"}
        assert await sink.held("a", "shifts") == set()
    gone = BEGAN + timedelta(microseconds=1)
    assert [(one.id, one.deleted_at) for one in await rows(engine, "paystubs")] == [("p", gone), ("q", None)]
    assert [one.deleted_at for one in await rows(engine, "shifts")] == [gone]
    assert len(await rows(engine, "paystub_taxes")) == 2
    assert not await rows(engine, "incomes")


async def test_a_deleted_object_comes_back(database: str, engine: AsyncEngine):
    """An object that comes again is no deleted one any more."""
    async with opened(database, keep_deleted=True) as sink:
        await sink.write(page(paystub("p"), mark=mark()))
        await sink.write(page(mark=mark(later=1)))
        await sink.write(page(paystub("p"), mark=mark(later=2)))

    (found,) = await rows(engine, "paystubs")
    assert found.deleted_at is None


async def test_deleted_objects_that_are_not_kept_any_more(database: str, engine: AsyncEngine):
    """Without `keep_deleted`, the next reading removes what was kept before, too."""
    async with opened(database, keep_deleted=True) as sink:
        await sink.write(page(paystub("p"), mark=mark()))
        await sink.write(page(mark=mark(later=1)))
    async with opened(database) as sink:
        assert await sink.held("a", "paystubs") == set()
        await sink.write(page(mark=mark(later=2)))

    assert not await ids(engine)
    assert not await rows(engine, "paystub_taxes")


async def test_raw_keeps_every_field(database: str, engine: AsyncEngine):
    """With `raw`, the whole object is there as JSON, without the link to its file; without it, nothing is."""
    document = Document(id="d", download_url="https://planted", download_url_expiration=BEGAN)
    one, two = paystub("p", 1, document=document), model(Income, id="i")
    async with opened(database, raw=True) as sink:
        await sink.write(page(one, mark=mark()))
        await sink.write(page(two, mark=mark(), kind="income"))

    (found,) = await rows(engine, "paystubs")
    bare = attrs.evolve(one, document=Document(id="d"))
    assert found.raw == json.loads(encode(bare, nulls=True))
    assert (await rows(engine, "incomes"))[0].raw == json.loads(encode(two, nulls=True))

    async with opened(database) as sink:
        await sink.write(page(one, mark=mark(later=1)))
    assert [one.raw for one in await rows(engine, "paystubs")] == [None]


async def test_raw_of_what_no_database_takes(database: str):
    """With `raw`, too, a page that can never be stored names the place, and nothing of it."""
    broken = [
        model(Income, id="i", compensation_amount=2**70),
        model(Income, id="i", currency="planted \ud800"),
        model(Income, id="i", created_at=datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))),
    ]
    async with opened(database, raw=True) as sink:
        for one, place in zip(broken, ("compensation_amount", "currency", "created_at"), strict=True):
            with pytest.raises(DecodeError, match=rf"data\[0\].{place}") as caught:
                await sink.write(page(one, mark=mark(), kind="income"))
            assert "planted" not in str(caught.value)


def announcement(event_id: str, later: int = 0, **values: Any) -> Announcement:
    at = BEGAN + timedelta(microseconds=later)
    given = {"account_id": "a", "product": "paystubs", "announced_at": at, "received_at": BEGAN} | values
    return Announcement(event_id=event_id, event="paystubs.added", **given)


async def test_announcements(database: str):
    """Announcements come back whole and in order of their moments; one that comes again changes nothing."""
    first = announcement("y", 1, count=3, added=("p", "q"), deleted=("r",), final=True)
    async with opened(database) as sink:
        for one in (announcement("z", 2), first, announcement("x", 2), announcement("y", 9)):
            await sink.announce(one)
        await sink.announce(announcement("o", account_id="b"))

        assert await sink.announced("a", "paystubs") == [first, announcement("x", 2), announcement("z", 2)]
        assert await sink.announced("a", "shifts") == []


async def test_announced_units(database: str):
    """Accounts and products with announcements come in the order of their bytes, part by part."""
    units: list[Any] = [("B", "shifts"), ("a", "paystubs"), ("a", "shifts"), ("a-b", "income"), ("aa", "income")]
    async with opened(database) as sink:
        for number, (account_id, product) in enumerate((*units, *units)):
            await sink.announce(announcement(str(number), account_id=account_id, product=product))

        assert await sink.announced_units() == units
        assert await sink.announced_units(limit=2) == units[:2]
        assert await sink.announced_units(after=units[1], limit=2) == units[2:4]


async def test_values(database: str):
    """A small value is there until it is replaced or removed."""
    async with opened(database) as sink:
        found = [await sink.load("k")]
        for value in (b"\0one", b"two", None, None):
            await sink.save("k", value)
            found.append(await sink.load("k"))

    assert found == [None, b"\0one", b"two", None, None]


def account(id: str, end_user_id: str | None) -> Account:
    moments = {"data_updated_at": AccountDataUpdatedAt(), "data_refreshed_at": AccountDataRefreshedAt()}
    values = {one.name: None for one in attrs.fields(Account)} | moments
    return Account(**(values | {"id": id, "end_user_id": end_user_id}))


async def test_a_purge_proves_itself(database: str, engine: AsyncEngine):
    """A purge removes every row of an account from every table, says how many, and leaves other accounts alone."""
    accounts = (account("a", "user"), account("b", "user"), account("c", None))
    async with opened(database) as sink:
        await sink.write(Batch(kind="accounts", account_id=None, items=accounts))
        for one in "ab":
            await sink.write(page(paystub("p"), paystub("q"), mark=mark(), account_id=one))
            await sink.write(page(paystub("p"), mark=mark("reading", 1), account_id=one))
            await sink.announce(announcement(one, account_id=one))
        there = await sink.remains("b")
        assert await sink.accounts_of("user") == ["a", "b"]

        removed = await sink.purge("a")

        assert {name: count for name, count in removed.items() if count} == {
            "accounts": 1,
            "paystubs": 2,
            "paystub_taxes": 2,
            "pinwheel_announcements": 1,
            "pinwheel_leftovers": 1,
            "pinwheel_marks": 1,
        }
        assert set(removed) == set(METADATA.tables) - {"pinwheel_schema", "pinwheel_values"}
        assert not any((await sink.remains("a")).values())
        assert await sink.remains("b") == there == removed
        assert await sink.accounts_of("user") == ["b"]
    for table in METADATA.sorted_tables:
        assert not [row for row in await rows(engine, table) if "a" in tuple(row)]


async def test_what_is_old_goes(database: str, engine: AsyncEngine):
    """Paystubs paid, shifts begun and tax forms of years ended before a day go with their lines; days unknown stay."""
    shifts = [model(Shift, id=str(day), start_date=date(2026, 1, day)) for day in (1, 2)]
    forms = [model(TaxFormSummary, id=str(year), year=year) for year in (2025, 2026)]
    async with opened(database) as sink:
        await sink.write(page(paystub("p", 1), paystub("q", 2), paystub("r"), mark=mark()))
        await sink.write(page(*shifts, mark=mark(), kind="shifts"))
        await sink.write(page(*forms, mark=mark(), kind="tax_forms"))

        removed = await sink.purge_before(date(2026, 1, 2))

    assert {name: count for name, count in removed.items() if count} == {
        "paystubs": 1,
        "paystub_taxes": 1,
        "shifts": 1,
        "tax_forms": 1,
    }
    assert await ids(engine) == ["q", "r"]
    assert [one.paystub_id for one in await rows(engine, "paystub_taxes")] == ["q", "r"]
    assert (await ids(engine, "shifts"), await ids(engine, "tax_forms")) == (["2"], ["2026"])


async def test_a_newer_database_is_refused(database: str, engine: AsyncEngine):
    """Tables of a newer version than this library are left alone."""
    async with opened(database):
        pass
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE pinwheel_schema SET version = 99")

    with pytest.raises(SinkError, match="its tables are of version 99, and this library knows 1"):
        await SqlSink(database).open()


async def test_steps_between_versions(database: str, engine: AsyncEngine):
    """An older database goes through every step between, once, and none of its rows are lost."""
    done: list[int] = []

    def second(connection: Any) -> None:
        done.append(2)
        connection.exec_driver_sql("UPDATE paystubs SET currency = 'two'")

    def third(connection: Any) -> None:
        done.append(3)
        connection.exec_driver_sql("UPDATE paystubs SET employer_name = currency")

    async with opened(database) as sink:
        await sink.write(page(paystub("p"), mark=mark()))
    for _ in range(2):
        async with engine.begin() as connection:
            await connection.run_sync(lambda one: prepare(one, version=3, steps={2: second, 3: third}))

    assert done == [2, 3]
    assert [(one.id, one.employer_name) for one in await rows(engine, "paystubs")] == [("p", "two")]
    assert [one.version for one in await rows(engine, "pinwheel_schema")] == [3]


async def test_a_step_that_fails(database: str, engine: AsyncEngine):
    """A step that fails leaves the tables as they were, those of steps before it included."""

    def second(connection: Any) -> None:
        connection.exec_driver_sql("ALTER TABLE paystubs RENAME TO planted")

    def third(connection: Any) -> None:
        raise ValueError

    async with opened(database) as sink:
        await sink.write(page(paystub("p"), mark=mark()))
    with pytest.raises(ValueError):  # noqa: PT011  # ours
        async with engine.begin() as connection:
            await connection.run_sync(lambda one: prepare(one, version=3, steps={2: second, 3: third}))

    assert await ids(engine) == ["p"]
    assert [one.version for one in await rows(engine, "pinwheel_schema")] == [1]


async def test_an_engine_that_begins_by_itself(url: str):
    """An engine of SQLite whose transactions are begun by its owner works, too."""
    engine = create_async_engine(url)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    async with opened(engine) as sink:
        await sink.write(page(paystub("p"), mark=mark()))
        assert await sink.held("a", "paystubs") == {"p"}
    await engine.dispose()


async def test_a_closed_sink_says_so():
    """Whatever is asked of a sink that is not open is a SinkError."""
    sink = SqlSink("sqlite://")

    for asked in (
        sink.marks(["a"]),
        sink.load("k"),
        sink.save("k", b""),
        sink.announce(announcement("x")),
        sink.announced("a", "paystubs"),
        sink.announced_units(),
        sink.held("a", "paystubs"),
        sink.accounts_of("user"),
        sink.purge("a"),
        sink.remains("a"),
        sink.purge_before(date(2026, 1, 1)),
    ):
        with pytest.raises(SinkError, match="closed"):
            await asked
