"""Whose copy it is and what it holds: what differs is refused, and changed only on purpose."""

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import PRODUCTS, ConfigurationError, Pinwheel, SinkError
from pinwheel_async.models import TaxFormSummary
from pinwheel_async.settings import BASE_URLS
from pinwheel_async.sync import METADATA, Batch, Mirror, Scope, SqlSink, Store, purge, status, sync
from pinwheel_async.sync._scope import environment_of
from pinwheel_async.testing import FakePinwheel, make_paystub, make_shift

Stores = Callable[..., Store]

WHOLE = Scope(environment="production", products=("income", "paystubs"), keep_deleted=False, raw=False)
DAY = date(2024, 1, 1)
BOUNDED = Scope(products=("paystubs", "shifts"), from_pay_date=DAY, from_start_date=DAY)


async def count(database: str, table: str) -> int:
    engine = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        found = await connection.scalar(select(func.count()).select_from(METADATA.tables[table]))
    await engine.dispose()
    return found or 0


@pytest.mark.parametrize(
    ("noted", "wanted"),
    [
        (WHOLE, Scope()),
        (WHOLE, WHOLE),
        (WHOLE, Scope(products=("paystubs",))),
        (WHOLE, Scope(from_pay_date=DAY)),
        (BOUNDED, Scope(from_pay_date=date(2025, 1, 1), from_start_date=DAY)),
    ],
)
def test_less_is_no_difference(noted: Scope, wanted: Scope):
    """Who wants what a copy holds, or a part of it, is let in, and the copy stays what it is."""
    assert noted.merge(wanted) == noted


@pytest.mark.parametrize(
    ("noted", "wanted", "problem"),
    [
        (WHOLE, Scope(environment="sandbox"), "environment: production in the copy, sandbox here"),
        (WHOLE, Scope(products=("income", "shifts")), "products: income, paystubs in the copy, income, shifts here"),
        (WHOLE, Scope(keep_deleted=True), "keep_deleted: False in the copy, True here"),
        (WHOLE, Scope(raw=True), "raw: False in the copy, True here"),
        (BOUNDED, Scope(from_pay_date=date(2023, 1, 1)), "from_pay_date: 2024-01-01 in the copy, 2023-01-01 here"),
        (BOUNDED, Scope(from_start_date=date.min), "from_start_date: 2024-01-01 in the copy, 0001-01-01 here"),
    ],
)
def test_what_differs(noted: Scope, wanted: Scope, problem: str):
    """What differs is refused, with both sides and the way to change it; that way, it is changed."""
    with pytest.raises(ConfigurationError, match=f"{problem}.*change_scope=True"):
        noted.merge(wanted)

    changed = noted.merge(wanted, change=True)
    for name in ("environment", "products", "from_pay_date", "from_start_date", "keep_deleted", "raw"):
        value = getattr(wanted, name)
        kept = getattr(noted, name) if value is None else value
        assert getattr(changed, name) == (None if kept == date.min else kept)


def test_everything_that_differs_is_named():
    """All differences come in one error."""
    with pytest.raises(ConfigurationError, match=r"environment: .*; raw: "):
        WHOLE.merge(Scope(environment="sandbox", raw=True))


def test_another_api_version():
    """Another API version is noted, and no other copy: a later version of the library speaks another one."""
    assert WHOLE.merge(Scope(api_version="2026-01-01")).api_version == "2026-01-01"


def test_what_was_purged():
    """What was purged is not asked for, whatever day is given, unless a change asks for earlier days."""
    noted = Scope(products=("paystubs",), purged_before=DAY)

    assert noted.first_day("paystubs", date(2020, 1, 1)) == date(2023, 12, 31)
    assert noted.first_day("paystubs", date(2025, 1, 1)) == date(2025, 1, 1)
    assert noted.merge(Scope(from_pay_date=date(2020, 1, 1))).purged_before == DAY
    assert noted.merge(Scope(keep_deleted=True), change=True).purged_before == DAY
    assert noted.merge(Scope(from_pay_date=date(2020, 1, 1)), change=True).purged_before is None


@pytest.mark.parametrize(
    ("base_url", "environment"),
    [
        *[(url, name) for name, url in BASE_URLS.items()],
        ("https://gateway.example:8443/pinwheel", "gateway.example:8443/pinwheel"),
        ("http://127.0.0.1:4711", "127.0.0.1"),
    ],
)
def test_environments(base_url: str, environment: str):
    """The environment is that of the base URL, or its host; ports of this machine say nothing."""
    assert environment_of(base_url) == environment


async def test_another_environment(pinwheel: Pinwheel, fake: FakePinwheel, store: Stores):
    """A sync does not put data of one environment between those of another, and asks for nothing."""
    sink: Any = store()
    await sink.open()
    await sink.claim(Scope(environment="production"))
    await sink.close(complete=True)

    with pytest.raises(ConfigurationError, match="environment: production in the copy"):
        await sync(pinwheel, sink)

    assert not fake.counts


async def test_a_plain_sync_keeps_the_products(pinwheel: Pinwheel, fake: FakePinwheel, store: Stores):
    """A sync that names no products and no days goes on with those of the copy."""
    await sync(pinwheel, store(), products=["paystubs"], from_pay_date=date(2026, 2, 1))
    fake.counts.clear()

    report = await sync(pinwheel, store(), changed_only=False)

    assert set(report.products) == {"paystubs"}
    assert set(fake.counts) == {"list_accounts", "list_paystubs"}
    assert report.items == sum(
        record["pay_date"] > "2026-02-01"
        for account_id in fake.world.account_ids()
        for record in fake.world.records(account_id, "paystubs")
    )


async def test_more_products(pinwheel: Pinwheel, fake: FakePinwheel, store: Stores):
    """More products than the copy holds are refused before anything is fetched, and fetched on purpose."""
    await sync(pinwheel, store(), products=["income"])
    fake.counts.clear()

    with pytest.raises(ConfigurationError, match="products: income in the copy, income, employment here"):
        await sync(pinwheel, store(), products=["income", "employment"])
    assert not fake.counts

    report = await sync(pinwheel, store(change_scope=True), products=["income", "employment"])
    assert {*report.products} == {"income", "employment"}
    assert {*(await sync(pinwheel, store())).products} == {"income", "employment"}


async def test_a_dry_run_notes_nothing(pinwheel: Pinwheel, store: Stores):
    """A dry run compares with what the copy holds, and leaves a new one open."""
    await sync(pinwheel, store(), products=["income"], dry_run=True)

    assert {*(await sync(pinwheel, store())).products} == {*PRODUCTS}


@pytest.mark.parametrize("database", ["sqlite", "empty-postgresql"], indirect=True)
async def test_a_dry_run_makes_no_copy(pinwheel: Pinwheel, database: str):
    """A dry run into a database without a copy counts, and makes none."""
    report = await sync(pinwheel, SqlSink(database), dry_run=True)

    assert report.planned
    with pytest.raises(ConfigurationError, match="there is no copy here"):
        await status(database)
    assert not await SqlSink(database).exists()
    await sync(pinwheel, SqlSink(database), accounts=[])
    assert await SqlSink(database).exists()


async def test_an_archive_is_not_destroyed(pinwheel: Pinwheel, fake: FakePinwheel, database: str):
    """A plain sync of a copy that keeps raw and deleted objects goes on keeping them, with a writer process, too."""
    await sync(pinwheel, SqlSink(database, keep_deleted=True, raw=True), products=["paystubs"])
    account_id = fake.world.account_id(0)
    total = await count(database, "paystubs")
    fake.world.delete(account_id, "paystubs", fake.world.records(account_id, "paystubs")[0]["id"])

    await sync(pinwheel, SqlSink(database, writer_process=True), changed_only=False)

    assert await count(database, "paystubs") == total
    engine = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    paystubs = METADATA.tables["paystubs"].c
    async with engine.connect() as connection:
        raw = await connection.scalar(select(func.count(paystubs.raw)))
        deleted = await connection.scalar(select(func.count(paystubs.deleted_at)))
    await engine.dispose()
    assert (raw, deleted) == (total, 1)


async def test_another_kind_of_archive(database: str):
    """A sink that would keep something else than the copy does is not opened."""
    sink = SqlSink(database, keep_deleted=True)
    await sink.open()
    await sink.close(complete=True)

    other = SqlSink(database, keep_deleted=False)
    for _ in range(2):  # what was opened for the first is closed
        with pytest.raises(ConfigurationError, match="keep_deleted: True in the copy, False here"):
            await other.open()


@pytest.mark.parametrize("change", [{"keep_deleted": True}, {"raw": True}, {"environment": "production"}])
async def test_a_change_while_a_sink_is_open(database: str, change: Any):
    """A sink that is open while the copy becomes another one stores nothing more as it was."""
    sink, other = SqlSink(database), SqlSink(database, change_scope=True)
    await sink.open()
    await sink.claim(Scope(environment="sandbox"))
    await other.open()
    await other.claim(Scope(**change))
    await other.close(complete=True)

    with pytest.raises(SinkError, match="was changed meanwhile: open the sink again"):
        await sink.write(Batch(kind="paystubs", account_id="a", items=(make_paystub(id="p", account_id="a"),)))
    await sink.close(complete=True)

    assert await count(database, "paystubs") == 0


async def test_two_environments_at_once(database: str):
    """Of two that claim a new copy for different environments at once, one is refused."""
    sinks = [SqlSink(database) for _ in range(2)]
    for sink in sinks:
        await sink.open()
    claims = [sink.claim(Scope(environment=name)) for sink, name in zip(sinks, ("sandbox", "production"), strict=True)]

    outcomes = await asyncio.gather(*claims, return_exceptions=True)

    for sink in sinks:
        await sink.close(complete=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConfigurationError", "Scope"]


async def test_what_was_purged_stays_away(pinwheel: Pinwheel, fake: FakePinwheel, database: str):
    """What `purge` removed by age is not brought back by a sync, by another one that asks for it, or by a mirror."""
    await sync(pinwheel, SqlSink(database), products=["paystubs", "shifts"])
    before = date(2026, 3, 1)
    await purge(database, before=before)
    left = [await count(database, table) for table in ("paystubs", "paystub_taxes", "shifts")]
    for account_id in fake.world.account_ids():
        fake.world.touch(account_id, "paystubs")

    await sync(pinwheel, SqlSink(database), changed_only=False)
    await sync(pinwheel, SqlSink(database), from_pay_date=date(2000, 1, 1), changed_only=False)
    async with Mirror(pinwheel, SqlSink(database)) as mirror:
        await mirror.reconcile()

    new = sum(
        record["pay_date"] >= str(before)
        for account_id in fake.world.account_ids()
        for record in fake.world.records(account_id, "paystubs")
    )
    assert [await count(database, "paystubs"), await count(database, "shifts")] == [new, left[2]]
    assert (await status(database)).scope.purged_before == before


async def test_a_purge_is_taken_back(pinwheel: Pinwheel, database: str):
    """What was purged comes again when earlier days are asked for on purpose, though the API names no change."""
    await sync(pinwheel, SqlSink(database), products=["paystubs"])
    total = await count(database, "paystubs")
    await purge(database, before=date(2026, 3, 1))
    await sync(pinwheel, SqlSink(database))
    assert await count(database, "paystubs") < total

    await sync(pinwheel, SqlSink(database, change_scope=True), from_pay_date=date.min)

    assert await count(database, "paystubs") == total


async def test_objects_on_the_day(database: str):
    """What is of the very day from which a purge leaves it is stored, older objects are not, and unknown days are."""
    sink = SqlSink(database)
    await sink.open()
    await sink.purge_before(date(2025, 1, 1))
    days = {"old": date(2024, 12, 31), "new": date(2025, 1, 1), "none": None}
    paystubs: Any = [make_paystub(id=name, account_id="a", pay_date=day) for name, day in days.items()]
    shifts: Any = [make_shift(id=name, account_id="a", start_date=day) for name, day in days.items()]
    made: Any = TaxFormSummary
    forms = [
        made(id=name, account_id="a", created_at=None, form_type="w2", year=year)
        for name, year in {"old": 2024, "new": 2025, "none": None}.items()
    ]
    await asyncio.gather(
        sink.write(Batch(kind="paystubs", account_id="a", items=tuple(paystubs))),
        sink.write(Batch(kind="shifts", account_id="a", items=tuple(shifts))),
        sink.write(Batch(kind="tax_forms", account_id="a", items=tuple(forms))),
    )

    for product in ("paystubs", "shifts", "tax_forms"):
        assert await sink.held("a", product) == {"new", "none"}
    await sink.close(complete=True)


async def test_the_scope_can_be_read(pinwheel: Pinwheel, url: str):
    """What the copy is stands in the database, one row for people who look there."""
    await sync(pinwheel, SqlSink(url), products=["income"])

    connection = sqlite3.connect(url.partition("///")[2])
    found = connection.execute("SELECT environment, products, keep_deleted FROM pinwheel_scope").fetchall()
    connection.close()
    assert found == [("127.0.0.1", '["income"]', 0)]


async def test_reconcile_fetches_what_the_copy_holds(pinwheel: Pinwheel, fake: FakePinwheel, store: Stores):
    """A reconciliation asks for no product that the copy does not hold."""
    await sync(pinwheel, store(), products=["income"])
    fake.counts.clear()

    mirrored: Any = store()
    async with Mirror(pinwheel, mirrored) as mirror:
        found = await mirror.reconcile()

    assert (found.ok, found.fetched, {*fake.counts}) == (True, 0, {"list_accounts"})
