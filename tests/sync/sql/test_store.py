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

from pinwheel_async import DecodeError, SinkError, SupersededError, UnconfirmedRemovalError
from pinwheel_async._core.converter import encode
from pinwheel_async._core.model import Model
from pinwheel_async.models import Account, Document, Income, Paystub, Shift, Tax, TaxFormSummary
from pinwheel_async.models.account import AccountDataRefreshedAt, AccountDataUpdatedAt
from pinwheel_async.sync import METADATA, Announcement, AnnouncementStore, Batch, Checkpoint, FailedProduct, SqlSink
from pinwheel_async.sync._sql.migrate import prepare

BEGAN = datetime(2026, 1, 1, 12, 30, 0, 7, tzinfo=UTC)


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
    return [row.id for row in await rows(engine, table)]


def model(kind: type[Model], **values: Any) -> Any:
    """Make an object, obviously made up."""
    fields = attrs.fields(kind)  # type: ignore[arg-type]
    return kind(**(dict.fromkeys(field.name for field in fields) | {"account_id": "a"} | values))


def paystub(id: str, day: int | None = None, **values: Any) -> Paystub:
    taxes = (Tax(name="tax", category="other", amount=1),)
    return model(Paystub, id=id, pay_date=day and date(2026, 1, day), taxes=taxes, **values)


def checkpoint(reached: Any = "complete", later: int = 0, **values: Any) -> Checkpoint:
    return Checkpoint(begun_at=BEGAN + timedelta(microseconds=later), reached=reached, **values)


def page(
    *items: Model, checkpoint: Checkpoint | None, account_id: str = "a", kind: Any = "paystubs", **values: Any
) -> Batch:
    return Batch(kind=kind, account_id=account_id, items=items, checkpoint=checkpoint, **values)


async def test_every_field_of_a_checkpoint(database: AsyncEngine):
    """A checkpoint comes back with every field that is remembered."""
    kept = checkpoint(
        "reading", data_updated_at=BEGAN, from_day=date(2026, 1, 2), cursor="cursor", items=3, misses=4, max_removed=0.5
    )
    fields = attrs.fields_dict(Checkpoint)
    assert [] == [name for name, field in fields.items() if getattr(kept, name) == field.default]

    async with opened(database) as sink:
        await sink.write(page(paystub("p"), checkpoint=kept))
        found = await sink.checkpoints(["a"])

    assert {("a", "paystubs"): attrs.evolve(kept, max_removed=None)} == found


async def test_it_is_an_announcement_store():
    """The sink has every method of a store of announcements."""
    assert isinstance(SqlSink("sqlite://"), AnnouncementStore)


async def test_an_older_page_is_refused_alone(database: str, engine: AsyncEngine):
    """A page of an older reading is not stored, and the others of its group are."""
    async with opened(database) as sink:
        await sink.write(page(paystub("new"), checkpoint=checkpoint(later=1)))

        pages = [
            page(paystub("b"), checkpoint=checkpoint(), account_id="b"),
            page(paystub("old"), checkpoint=checkpoint()),
            page(paystub("c"), checkpoint=checkpoint(), account_id="c"),
        ]
        outcomes = await asyncio.gather(*map(sink.write, pages), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [type(None), SupersededError, type(None)]
        assert (await sink.checkpoints(["a"]))["a", "paystubs"] == checkpoint(later=1)
    assert await ids(engine) == ["new", "b", "c"]


async def test_pages_of_a_list_at_once(database: str, engine: AsyncEngine):
    """Several pages of one list that are stored in one transaction are all stored, in their order."""
    async with opened(database) as sink:
        pages = [
            page(paystub("a"), paystub("b"), checkpoint=checkpoint("reading", cursor="c")),
            page(paystub("b", currency="EUR"), checkpoint=checkpoint("reading", cursor="d"), first=False),
            page(paystub("c"), checkpoint=checkpoint(), first=False),
        ]
        await asyncio.gather(*map(sink.write, pages))

        assert (await sink.checkpoints(["a"]))["a", "paystubs"] == checkpoint()
    assert [(row.id, row.currency) for row in await rows(engine, "paystubs")] == [
        ("a", None),
        ("b", "EUR"),
        ("c", None),
    ]


async def test_what_vanished_and_came_back_stays(database: str, engine: AsyncEngine):
    """What a whole reading removed is no leftover: when it comes back on the first page of a longer one, it stays."""
    async with opened(database) as sink:
        await sink.write(page(paystub("a"), paystub("b"), checkpoint=checkpoint()))
        await sink.write(page(paystub("a"), checkpoint=checkpoint(later=1)))
        assert await rows(engine, "pinwheel_leftovers") == []

        await sink.write(page(paystub("a"), paystub("b"), checkpoint=checkpoint("reading", later=2, cursor="c")))
        await sink.write(page(paystub("c"), checkpoint=checkpoint(later=2), first=False))
    assert await ids(engine) == ["a", "b", "c"]


async def test_what_is_marked_as_deleted_has_changed(database: str, engine: AsyncEngine):
    """The moment of change of an object that vanished is that of its mark, and others keep theirs."""
    async with opened(database, keep_deleted=True) as sink:
        await sink.write(page(paystub("a"), paystub("b"), checkpoint=checkpoint()))
        await sink.write(page(paystub("a"), checkpoint=checkpoint(later=1)))

    a, b = await rows(engine, "paystubs")
    assert a.changed_at == a.first_seen_at
    assert b.deleted_at is not None
    assert b.changed_at > b.first_seen_at


async def test_a_patch_outlives_what_began_before_it(database: str, engine: AsyncEngine):
    """A patch keeps the checkpoint, and a reading that began before it is superseded."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), checkpoint=checkpoint("reading", cursor="c")))
        await sink.write(page(paystub("q"), checkpoint=checkpoint("patch", later=2)))

        with pytest.raises(SupersededError):
            await sink.write(page(paystub("r"), checkpoint=checkpoint(later=1), first=False))
        assert (await sink.checkpoints(["a"])) == {("a", "paystubs"): checkpoint("reading", cursor="c")}
    assert await ids(engine) == ["p", "q"]


async def test_a_patch_alone_leaves_no_checkpoint(database: str):
    """Where there was only a patch, nothing was read to an end."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), checkpoint=checkpoint("patch")))

        assert await sink.checkpoints(["a"]) == {}


async def test_checkpoints_come_back_exactly(database: str):
    """Every field of a checkpoint is kept, moments to the microsecond."""
    exact = checkpoint(
        "reading", 3, data_updated_at=BEGAN, from_day=date(2026, 1, 31), cursor="planted", items=9_007_199_254_740_993
    )
    async with opened(database) as sink:
        await sink.write(page(checkpoint=exact))
    async with opened(database) as sink:
        found = await sink.checkpoints(["a", *map(str, range(2_000))])

    assert found == {("a", "paystubs"): exact}


async def test_what_vanished_goes(database: str, engine: AsyncEngine):
    """When a list has been read to its end, what was not in it is removed with its lines, of that account only."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), paystub("q"), checkpoint=checkpoint()))
        await sink.write(page(paystub("p"), checkpoint=checkpoint(), account_id="b"))
        await sink.write(page(paystub("q"), checkpoint=checkpoint(later=1)))

    found = [(row.account_id, row.id) for row in await rows(engine, "paystubs")]
    assert found == [("a", "q"), ("b", "p")]
    assert found == [(row.account_id, row.paystub_id) for row in await rows(engine, "paystub_taxes")]


async def test_only_days_that_were_asked_for_vanish(database: str, engine: AsyncEngine):
    """With a first day, only what is after it vanishes: the day itself, and what has none, stays."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p", 1), paystub("q", 2), paystub("r", 3), paystub("s"), checkpoint=checkpoint()))
        await sink.write(page(checkpoint=checkpoint(later=1, from_day=date(2026, 1, 2))))

    assert await ids(engine) == ["p", "q", "s"]


async def test_a_single_object_that_is_another_one(database: str, engine: AsyncEngine):
    """Where an account has exactly one object, a new id leaves only the new row."""
    async with opened(database) as sink:
        await sink.write(page(model(Income, id="i"), checkpoint=checkpoint(), kind="income"))
        await sink.write(page(model(Income, id="j"), checkpoint=checkpoint(later=1), kind="income"))

    assert await ids(engine, "incomes") == ["j"]


async def test_missing_leaves_what_is_there(database: str, engine: AsyncEngine):
    """A product that the server does not know any more keeps its objects, and its checkpoint says so."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), checkpoint=checkpoint()))
        await sink.write(page(checkpoint=checkpoint("missing", later=1)))

        assert (await sink.checkpoints(["a"]))["a", "paystubs"].reached == "missing"
    assert await ids(engine) == ["p"]


KILLED = """
import asyncio, os, sys
sys.path.insert(0, {folder!r})
from test_store import *

async def main():
    sink = SqlSink({database!r})
    await sink.open()
    await sink.write(page(paystub("q"), checkpoint=checkpoint("reading", 1, cursor="c")))
    os._exit(7)

asyncio.run(main())
"""


async def test_leftovers_survive_a_kill(database: str, engine: AsyncEngine):
    """A reading that was killed in the middle, and goes on later, still finds what vanished."""
    async with opened(database) as sink:
        await sink.write(page(*map(paystub, "pqrs"), checkpoint=checkpoint()))
    code = KILLED.format(folder=str(__file__).rpartition("/")[0], database=database)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await killed.wait() == 7

    async with opened(database) as sink:
        cursor = (await sink.checkpoints(["a"]))["a", "paystubs"].cursor
        await sink.write(page(paystub("r"), checkpoint=checkpoint("reading", 1, cursor="d"), first=False))
        before = await sink.held("a", "paystubs")
        await sink.write(page(checkpoint=checkpoint("complete", 1), first=False))

    assert cursor == "c"
    assert before == set("pqrs")
    assert await ids(engine) == ["q", "r"]
    assert not await rows(engine, "pinwheel_leftovers")


async def test_what_an_abandoned_reading_has_not_met(database: str, engine: AsyncEngine):
    """What a reading that was given up had not met is no leftover of the one that takes its place."""
    async with opened(database) as sink:
        await sink.write(page(*map(paystub, "pqr"), checkpoint=checkpoint()))
        await sink.write(page(paystub("p"), checkpoint=checkpoint("reading", 1, cursor="given up")))
        await sink.write(page(*map(paystub, "pq"), checkpoint=checkpoint("reading", 2, cursor="c")))
        await sink.write(page(checkpoint=checkpoint("complete", 2), first=False))

    assert await ids(engine) == ["p", "q"]


async def test_an_abandoned_reading_of_more_days(database: str, engine: AsyncEngine):
    """What a reading that was given up had not met stays if the one that takes its place does not ask for it."""
    async with opened(database) as sink:
        await sink.write(page(paystub("old", 1), paystub("p", 5), paystub("q", 6), checkpoint=checkpoint()))
        await sink.write(page(paystub("p", 5), checkpoint=checkpoint("reading", 1, cursor="given up")))
        await sink.write(page(paystub("p", 5), checkpoint=checkpoint("complete", 2, from_day=date(2026, 1, 4))))

    assert await ids(engine) == ["old", "p"]


async def test_an_abandoned_reading_counts_nothing_twice(database: str, engine: AsyncEngine):
    """What two readings have not met is one object that vanishes, not two: few are removed without a doubt."""
    async with opened(database) as sink:
        await sink.write(page(*map(paystub, "pqrstu"), checkpoint=checkpoint()))
        await sink.write(page(paystub("p"), checkpoint=checkpoint("reading", 1, cursor="given up")))
        await sink.write(page(paystub("p"), checkpoint=checkpoint("complete", 2, items=1, max_removed=0.0)))

    assert await ids(engine) == ["p"]


async def test_failures_that_are_over(database: str):
    """The failure of a list is over when it was read to its end, and not before."""
    failure = FailedProduct(account_id="a", product="paystubs", error="e", first_at=BEGAN, last_at=BEGAN)
    left: list[int] = []
    async with opened(database) as sink:
        await sink.add_failures([failure])
        for reached in ("patch", "reading", "complete"):
            await sink.write(page(paystub("p"), checkpoint=checkpoint(reached)))
            left.append(len(await sink.failures()))

    assert left == [1, 1, 0]


async def test_a_share_of_what_is_there(database: str, engine: AsyncEngine):
    """What is marked as deleted does not count when it is asked whether a reading would remove too much."""
    many = [paystub(f"{number:02}") for number in range(40)]
    async with opened(database, keep_deleted=True) as sink:
        await sink.write(page(*many, checkpoint=checkpoint()))
        await sink.write(page(*many[:10], checkpoint=checkpoint(later=1)))
        with pytest.raises(UnconfirmedRemovalError):  # six of ten
            await sink.write(page(*many[:4], checkpoint=checkpoint(later=2, items=4, max_removed=0.2)))

    assert sum(row.deleted_at is None for row in await rows(engine, "paystubs")) == 10


async def test_two_sinks_on_one_database(database: str, engine: AsyncEngine):
    """Of sinks that write the same accounts at once nothing fails but what is superseded, and the newest wins."""
    accounts = [f"account-{number}" for number in range(20)]

    async def write(later: int) -> list[Any]:
        async with opened(database) as sink:
            pages = [
                page(paystub(str(later)), checkpoint=checkpoint(later=later), account_id=account_id)
                for account_id in accounts
            ]
            return await asyncio.gather(*map(sink.write, pages), return_exceptions=True)

    async with opened(database):
        pass
    outcomes = await asyncio.gather(*map(write, range(4)))

    assert {type(outcome) for group in outcomes for outcome in group} <= {type(None), SupersededError}
    assert outcomes[3] == [None] * 20
    assert await ids(engine) == ["3"] * 20


async def test_lines_without_their_object(database: str, engine: AsyncEngine):
    """Lines that somebody left when they removed an object by hand are replaced, and keep no page out."""
    async with opened(database) as sink:
        await sink.write(page(paystub("p"), checkpoint=checkpoint()))
        async with engine.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM paystubs")

        await sink.write(page(paystub("p"), checkpoint=checkpoint(later=1)))

    assert len(await ids(engine)) == len(await rows(engine, "paystub_taxes")) == 1


async def test_opening_an_empty_database_at_once(database: str, engine: AsyncEngine):
    """Sinks that open an empty database at once make its tables once."""

    async def write(account_id: str) -> None:
        async with opened(database) as sink:
            await sink.write(page(paystub("p"), checkpoint=checkpoint(), account_id=account_id))

    await asyncio.gather(*map(write, "abcd"))

    assert len(await ids(engine)) == 4
    assert len(await rows(engine, "pinwheel_schema")) == 1


async def test_the_same_data_is_the_same_rows(database: str, engine: AsyncEngine):
    """What a database went through leaves no trace in its tables of data."""
    async with opened(database) as sink:
        await sink.write(page(paystub("x"), paystub("p", 1), checkpoint=checkpoint()))
        await sink.write(page(paystub("p"), checkpoint=checkpoint("reading", 1)))
        await sink.write(page(paystub("q"), checkpoint=checkpoint("complete", 1), first=False))
        again = [page(paystub("q"), paystub("p"), checkpoint=checkpoint(later=5), account_id="b")]
        await asyncio.gather(*map(sink.write, again))

    for table in ("paystubs", "paystub_taxes"):
        found = [
            [value for name, value in row._mapping.items() if name not in {"account_id", "first_seen_at", "changed_at"}]
            for row in await rows(engine, table)
        ]
        assert found[: len(found) // 2] == found[len(found) // 2 :]


async def test_deleted_objects_can_be_kept(database: str, engine: AsyncEngine):
    """With `keep_deleted`, what vanished stays with its lines and says when; `held` leaves it out."""
    shift = model(Shift, id="s")
    async with opened(database, keep_deleted=True) as sink:
        await sink.write(page(paystub("p"), paystub("q"), checkpoint=checkpoint()))
        await sink.write(page(shift, checkpoint=checkpoint(), kind="shifts"))
        await sink.write(page(model(Income, id="i"), checkpoint=checkpoint(), kind="income"))
        for later in (1, 2):
            await sink.write(page(paystub("q"), checkpoint=checkpoint(later=later)))
            await sink.write(page(checkpoint=checkpoint(later=later), kind="shifts"))
            await sink.write(page(checkpoint=checkpoint(later=later), kind="income"))

        assert await sink.held("a", "paystubs") == {"q"}
        assert await sink.held("a", "shifts") == set()
    gone = BEGAN + timedelta(microseconds=1)
    assert [(row.id, row.deleted_at) for row in await rows(engine, "paystubs")] == [("p", gone), ("q", None)]
    assert [row.deleted_at for row in await rows(engine, "shifts")] == [gone]
    assert len(await rows(engine, "paystub_taxes")) == 2
    assert not await rows(engine, "incomes")


async def test_a_deleted_object_comes_back(database: str, engine: AsyncEngine):
    """An object that comes again is not deleted any more."""
    async with opened(database, keep_deleted=True) as sink:
        await sink.write(page(paystub("p"), checkpoint=checkpoint()))
        await sink.write(page(checkpoint=checkpoint(later=1)))
        await sink.write(page(paystub("p"), checkpoint=checkpoint(later=2)))

    (found,) = await rows(engine, "paystubs")
    assert found.deleted_at is None


async def test_deleted_objects_that_are_not_kept_any_more(database: str, engine: AsyncEngine):
    """Without `keep_deleted`, the next reading removes what was kept before, too."""
    async with opened(database, keep_deleted=True) as sink:
        await sink.write(page(paystub("p"), checkpoint=checkpoint()))
        await sink.write(page(checkpoint=checkpoint(later=1)))
    async with opened(database, keep_deleted=False, change_scope=True) as sink:
        assert await sink.held("a", "paystubs") == set()
        await sink.write(page(checkpoint=checkpoint(later=2)))

    assert not await ids(engine)
    assert not await rows(engine, "paystub_taxes")


async def test_raw_keeps_every_field(database: str, engine: AsyncEngine):
    """With `raw`, the whole object is there as JSON, without the link to its file; without it, nothing is."""
    document = Document(id="d", download_url="https://planted", download_url_expiration=BEGAN)
    listed, single = paystub("p", 1, document=document), model(Income, id="i")
    async with opened(database, raw=True) as sink:
        await sink.write(page(listed, checkpoint=checkpoint()))
        await sink.write(page(single, checkpoint=checkpoint(), kind="income"))

    (found,) = await rows(engine, "paystubs")
    bare = attrs.evolve(listed, document=Document(id="d"))
    assert found.raw == json.loads(encode(bare, nulls=True))
    assert (await rows(engine, "incomes"))[0].raw == json.loads(encode(single, nulls=True))

    async with opened(database, raw=False, change_scope=True) as sink:
        await sink.write(page(listed, checkpoint=checkpoint(later=1)))
    assert [row.raw for row in await rows(engine, "paystubs")] == [None]


async def test_raw_of_what_no_database_takes(database: str):
    """With `raw`, too, a page that can never be stored names the place, and nothing of it."""
    broken = [
        model(Income, id="i", compensation_amount=2**70),
        model(Income, id="i", currency="planted \ud800"),
        model(Income, id="i", created_at=datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))),
    ]
    async with opened(database, raw=True) as sink:
        for item, place in zip(broken, ("compensation_amount", "currency", "created_at"), strict=True):
            with pytest.raises(DecodeError, match=rf"data\[0\].{place}") as caught:
                await sink.write(page(item, checkpoint=checkpoint(), kind="income"))
            assert "planted" not in str(caught.value)


def announcement(event_id: str, later: int = 0, **values: Any) -> Announcement:
    at = BEGAN + timedelta(microseconds=later)
    given = {"account_id": "a", "product": "paystubs", "announced_at": at, "received_at": BEGAN} | values
    return Announcement(event_id=event_id, event="paystubs.added", **given)


async def test_announcements(database: str):
    """Announcements come back whole and in order of their moments; a repeated one changes nothing."""
    first = announcement("y", 1, count=3, added=("p", "q"), deleted=("r",), final=True)
    async with opened(database) as sink:
        for each in (announcement("z", 2), first, announcement("x", 2), announcement("y", 9)):
            await sink.announce(each)
        await sink.announce(announcement("o", account_id="b"))

        assert await sink.announced("a", "paystubs") == [first, announcement("x", 2), announcement("z", 2)]
        assert await sink.announced("a", "shifts") == []


async def test_order_of_announced_lists(database: str):
    """Accounts and products with announcements come in the order of their bytes, part by part."""
    units: list[Any] = [("B", "shifts"), ("a", "paystubs"), ("a", "shifts"), ("a-b", "income"), ("aa", "income")]
    async with opened(database) as sink:
        for number, (account_id, product) in enumerate((*units, *units)):
            await sink.announce(announcement(str(number), account_id=account_id, product=product))

        for some, expected in (
            (await sink.announced_lists(), units),
            (await sink.announced_lists(limit=2), units[:2]),
            (await sink.announced_lists(after=units[1], limit=2), units[2:4]),
        ):
            assert [(announced.account_id, announced.product) for announced in some] == expected


async def test_announced_lists(database: str):
    """A list comes with its own announcements in order, and with the ids that are stored of it."""
    async with opened(database) as sink:
        for event_id, account_id in (("2", "a"), ("1", "a"), ("3", "b")):
            await sink.announce(announcement(event_id, account_id=account_id))
        for announced in await sink.announced_lists():
            unit = (announced.account_id, announced.product)
            assert announced.announcements == await sink.announced(*unit)
            assert announced.held == await sink.held(*unit)


async def test_announcements_that_are_removed(database: str):
    """Announcements are forgotten by their events' ids."""
    async with opened(database) as sink:
        for event_id in "xyz":
            await sink.announce(announcement(event_id))
        await sink.remove_announcements(["x", "z", "none"])

        assert ["y"] == [some.event_id for some in await sink.announced("a", "paystubs")]


async def test_many_values(database: str):
    """Many small values are saved and loaded at once; what was never saved is not there."""
    values = {f"key {number}": str(number).encode() for number in range(1_200)}
    async with opened(database) as sink:
        await sink.save_all(values)
        await sink.save_all({"key 7": b"again"})

        assert await sink.load_all([*values, "none"]) == values | {"key 7": b"again"}


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
    values = {field.name: None for field in attrs.fields(Account)} | moments
    return Account(**(values | {"id": id, "end_user_id": end_user_id}))


async def test_a_purge_proves_itself(database: str, engine: AsyncEngine):
    """A purge removes every row of an account from every table, says how many, and leaves other accounts alone."""
    accounts = (account("a", "user"), account("b", "user"), account("c", None))
    async with opened(database) as sink:
        await sink.write(Batch(kind="accounts", account_id=None, items=accounts))
        for account_id in "ab":
            await sink.write(page(paystub("p"), paystub("q"), checkpoint=checkpoint(), account_id=account_id))
            await sink.write(page(paystub("p"), checkpoint=checkpoint("reading", 1), account_id=account_id))
            await sink.announce(announcement(account_id, account_id=account_id))
        there = await sink.remains("b")
        assert await sink.accounts_of("user") == ["a", "b"]

        removed = await sink.purge("a")

        assert {name: count for name, count in removed.items() if count} == {
            "accounts": 1,
            "paystubs": 2,
            "paystub_taxes": 2,
            "pinwheel_announcements": 1,
            "pinwheel_end_users": 1,
            "pinwheel_leftovers": 1,
            "pinwheel_checkpoints": 1,
        }
        others = {"pinwheel_erasures", "pinwheel_runs", "pinwheel_schema", "pinwheel_scope"}
        assert set(removed) == set(METADATA.tables) - others
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
        await sink.write(page(paystub("p", 1), paystub("q", 2), paystub("r"), checkpoint=checkpoint()))
        await sink.write(page(*shifts, checkpoint=checkpoint(), kind="shifts"))
        await sink.write(page(*forms, checkpoint=checkpoint(), kind="tax_forms"))

        removed = await sink.purge_before(date(2026, 1, 2))

    assert {name: count for name, count in removed.items() if count} == {
        "paystubs": 1,
        "paystub_taxes": 1,
        "shifts": 1,
        "tax_forms": 1,
    }
    assert await ids(engine) == ["q", "r"]
    assert [row.paystub_id for row in await rows(engine, "paystub_taxes")] == ["q", "r"]
    assert (await ids(engine, "shifts"), await ids(engine, "tax_forms")) == (["2"], ["2026"])


async def test_a_newer_database_is_refused(database: str, engine: AsyncEngine):
    """Tables that say that they are for newer versions than this library only are left alone."""
    async with opened(database):
        pass
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE pinwheel_schema SET version = 99, oldest = 2")

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
        await sink.write(page(paystub("p"), checkpoint=checkpoint()))
    for _ in range(2):
        async with engine.begin() as connection:
            await connection.run_sync(lambda connection: prepare(connection, version=3, steps={2: second, 3: third}))

    assert done == [2, 3]
    assert [(row.id, row.employer_name) for row in await rows(engine, "paystubs")] == [("p", "two")]
    assert [row.version for row in await rows(engine, "pinwheel_schema")] == [3]


async def test_a_step_that_fails(database: str, engine: AsyncEngine):
    """A step that fails leaves the tables as they were, those of steps before it included."""

    def second(connection: Any) -> None:
        connection.exec_driver_sql("ALTER TABLE paystubs RENAME TO planted")

    def third(connection: Any) -> None:
        raise ValueError

    async with opened(database) as sink:
        await sink.write(page(paystub("p"), checkpoint=checkpoint()))
    with pytest.raises(ValueError):  # noqa: PT011  # ours
        async with engine.begin() as connection:
            await connection.run_sync(lambda connection: prepare(connection, version=3, steps={2: second, 3: third}))

    assert await ids(engine) == ["p"]
    assert [row.version for row in await rows(engine, "pinwheel_schema")] == [1]


async def test_an_engine_that_begins_by_itself(url: str):
    """An engine of SQLite whose transactions are begun by its owner works, too."""
    engine = create_async_engine(url)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    async with opened(engine) as sink:
        await sink.write(page(paystub("p"), checkpoint=checkpoint()))
        assert await sink.held("a", "paystubs") == {"p"}
    await engine.dispose()


async def test_a_closed_sink_says_so():
    """Whatever is asked of a sink that is not open is a SinkError."""
    sink = SqlSink("sqlite://")

    for asked in (
        sink.checkpoints(["a"]),
        sink.load("k"),
        sink.save("k", b""),
        sink.announce(announcement("x")),
        sink.announced("a", "paystubs"),
        sink.announced_lists(),
        sink.load_all(["k"]),
        sink.remove_announcements([]),
        sink.save_all({"k": b""}),
        sink.failures(),
        sink.add_failures([]),
        sink.remove_failures([]),
        sink.account_ids(),
        sink.miss_accounts([], BEGAN),
        sink.held("a", "paystubs"),
        sink.accounts_of("user"),
        sink.purge("a"),
        sink.remains("a"),
        sink.purge_before(date(2026, 1, 1)),
    ):
        with pytest.raises(SinkError, match="closed"):
            await asked


async def test_the_end_of_a_reading_that_is_held_back_twice(database: str, engine: AsyncEngine):
    """A last page that was held back is held back again, and removes what it should when another reading agrees."""
    async with opened(database) as sink:
        await sink.write(page(*[paystub(str(number)) for number in range(10)], checkpoint=checkpoint()))
        await sink.write(page(paystub("x"), checkpoint=checkpoint("reading", later=1, items=1)))
        last = page(paystub("y"), checkpoint=checkpoint(later=1, items=2, max_removed=0.2), first=False)
        for _ in range(2):
            with pytest.raises(UnconfirmedRemovalError):
                await sink.write(last)
        assert len(await ids(engine)) == 12
        assert (await sink.checkpoints(["a"]))["a", "paystubs"].reached == "reading"

        await sink.write(attrs.evolve(last, checkpoint=checkpoint(later=1, items=2)))

    assert await ids(engine) == ["x", "y"]


async def test_a_page_that_is_held_back_costs_no_other(database: str, engine: AsyncEngine):
    """Of pages that are stored together only that is held back which would remove much."""
    async with opened(database) as sink:
        for account_id in "ab":
            await sink.write(page(paystub("p"), paystub("q"), checkpoint=checkpoint(), account_id=account_id))
        later = checkpoint(later=1, items=1, max_removed=0.2)
        outcomes = await asyncio.gather(
            sink.write(page(checkpoint=attrs.evolve(later, items=0))),
            sink.write(page(paystub("p"), checkpoint=later, account_id="b")),
            return_exceptions=True,
        )

    assert [UnconfirmedRemovalError, None] == [outcome and type(outcome) for outcome in outcomes]
    assert await ids(engine) == ["p", "q", "p"]
