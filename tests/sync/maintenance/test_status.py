"""What a copy holds, in numbers."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from pinwheel_async import ConfigurationError, Pinwheel
from pinwheel_async.models import Account, AccountDataRefreshedAt, AccountDataUpdatedAt, TaxFormSummary
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync import Announced, Announcement, Batch, Checkpoint, SqlSink, Status, status, sync
from pinwheel_async.sync._mirror.completeness import LISTS
from pinwheel_async.sync._sql.tables import STORED
from pinwheel_async.testing import FakePinwheel, Fault

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def account(id: str) -> Account:
    """Make an account."""
    return Account(
        id=id,
        created_at=NOW,
        platform_id="p",
        connected=True,
        monitoring_status="active",
        data_updated_at=AccountDataUpdatedAt(),
        data_refreshed_at=AccountDataRefreshedAt(),
    )


def forms(account_id: str, *ids: str, reached: Any = "complete", begun_at: datetime = NOW) -> Batch:
    """Make a page of tax forms."""
    made: Any = TaxFormSummary
    items = tuple(
        [made(id=form_id, account_id=account_id, created_at=NOW, form_type="W-2", year=2025) for form_id in ids]
    )
    checkpoint = Checkpoint(begun_at=begun_at, reached=reached)
    return Batch(kind="tax_forms", account_id=account_id, items=items, checkpoint=checkpoint, last=reached != "reading")


def announcement(event_id: str, *added: str, **values: Any) -> Announcement:
    """Make an announcement of tax forms."""
    made = Announcement(
        event_id=event_id,
        event="tax_forms.added",
        account_id="a",
        product="tax_forms",
        announced_at=NOW,
        received_at=NOW,
        added=added,
        final=True,
    )
    return evolve(made, **values)


async def looked(url: str, *batches: Batch, accounts: str = "", announcements: tuple[Announcement, ...] = ()) -> Status:
    """Store something, and return what `status` says."""
    sink = SqlSink(url)
    await sink.open()
    if accounts:
        await sink.write(Batch(kind="accounts", account_id=None, items=tuple(map(account, accounts))))
    for batch in batches:
        await sink.write(batch)
    for announcement in announcements:
        await sink.announce(announcement)
    await sink.close(complete=True)
    return await status(url)


async def test_a_whole_copy(pinwheel: Pinwheel, fake: FakePinwheel, database: str):
    """After a sync every account is complete or missing for every product, and objects are counted."""
    report = await sync(pinwheel, SqlSink(database))

    found = await status(database)

    assert (12, True, ()) == (found.accounts, found.ok, found.failures)
    assert set(PRODUCTS) == found.products.keys()
    for product, product_status in found.products.items():
        counts = report.products[product]
        assert (counts.complete, counts.missing, counts.items) == (
            product_status.complete,
            product_status.missing,
            product_status.objects,
        )
        assert (0, 0, 0, None) == (
            product_status.reading,
            product_status.never,
            product_status.failed,
            product_status.announced,
        )


async def test_how_far_readings_are(database: str):
    """Accounts are counted by how far their reading is; those without a reading were never read."""
    found = await looked(
        database,
        forms("a", "1", "2"),
        forms("b", "3", reached="reading"),
        forms("c", reached="missing"),
        forms("d", "4", reached="patch"),
        accounts="abcde",
    )

    forms_status = found.products["tax_forms"]
    assert (1, 1, 1, 2, 4) == (
        forms_status.complete,
        forms_status.reading,
        forms_status.missing,
        forms_status.never,
        forms_status.objects,
    )
    assert not found.ok


async def test_contradictions(database: str):
    """What an account says it has, and answers 404 for, is counted, and not well."""
    contradicted = evolve(forms("a"), checkpoint=Checkpoint(begun_at=NOW, reached="missing", misses=2))

    found = await looked(database, contradicted, forms("b", reached="missing"), accounts="ab")

    assert (2, 1) == (found.products["tax_forms"].missing, found.products["tax_forms"].contradicted)
    assert not found.products["tax_forms"].ok


async def test_what_a_404_left(database: str):
    """Accounts that answered 404 after something of them was stored are counted apart."""
    missing = Checkpoint(begun_at=NOW + timedelta(minutes=1), reached="missing")
    batches = [
        forms("a", "1"),
        evolve(forms("a"), checkpoint=missing),
        forms("b", "2"),
        evolve(forms("c"), checkpoint=missing),
    ]

    found = await looked(database, *batches, accounts="abc")

    assert (2, 1, 2, True) == (
        found.products["tax_forms"].missing,
        found.products["tax_forms"].left_over,
        found.products["tax_forms"].objects,
        found.products["tax_forms"].ok,
    )


async def test_marks_from_the_future(database: str):
    """Readings that began in the future are counted, and not well."""
    found = await looked(database, forms("a", "1", begun_at=datetime.now(UTC) + timedelta(days=1)), accounts="a")

    assert (1, 1) == (found.products["tax_forms"].complete, found.products["tax_forms"].ahead)
    assert not found.products["tax_forms"].ok


async def test_freshness(database: str):
    """The oldest and the newest of the complete readings are named, others do not count."""
    found = await looked(
        database,
        forms("a", begun_at=NOW),
        forms("b", begun_at=NOW + timedelta(days=1)),
        forms("c", begun_at=NOW + timedelta(days=2), reached="reading"),
    )

    forms_status = found.products["tax_forms"]
    assert (NOW, NOW + timedelta(days=1)) == (forms_status.oldest, forms_status.newest)
    assert found.products["income"].oldest is found.products["income"].newest is None


async def test_what_failed(pinwheel: Pinwheel, fake: FakePinwheel, url: str):
    """What failed in the last run is named by account, product and error, and counted."""
    account_id = fake.world.account_id(3)
    fake.script(Fault(status=400), operation="get_income", account_id=account_id)
    await sync(pinwheel, SqlSink(url), products=["income"])

    found = await status(url)

    (failure,) = found.failures
    assert (account_id, "income", "InvalidRequestError") == (failure.account_id, failure.product, failure.error)
    assert found.products["income"].failed == 1
    assert not found.products["income"].ok


async def test_some_products(pinwheel: Pinwheel, database: str):
    """A copy of some products is whole with these, and says what it is a copy of."""
    await sync(pinwheel, SqlSink(database, keep_deleted=True), products=["paystubs", "income"])

    found = await status(database)

    assert (found.ok, list(found.products)) == (True, ["income", "paystubs"])
    assert (found.scope.environment, found.scope.products, found.scope.keep_deleted, found.scope.raw) == (
        "127.0.0.1",
        ("income", "paystubs"),
        True,
        False,
    )


async def test_what_is_announced_and_absent(database: str):
    """What was announced is compared with what is there."""
    found = await looked(
        database,
        forms("a", "1", "2"),
        announcements=(announcement("e", "1", "3"), announcement("f", "4", account_id="b", final=False)),
    )

    forms_status = found.products["tax_forms"]
    assert Announced(accounts=2, objects=3, absent=2, unfinished=1) == forms_status.announced
    assert not forms_status.ok


async def test_what_was_found_once_is_not_absent(database: str):
    """What was found once, as the mirror notes, and was deleted since, is not absent."""
    sink = SqlSink(database)
    await sink.open()
    await sink.save("mirror:verified:a:tax_forms", NOW.isoformat().encode())
    await sink.close(complete=True)

    found = await looked(database, announcements=(announcement("e", "1"),))

    assert Announced(accounts=1, objects=1) == found.products["tax_forms"].announced


async def test_more_announcements_than_are_read_at_once(url: str):
    """Any number of lists is compared, some hundred at a time."""
    many = tuple([announcement(str(number), str(number), account_id=str(number)) for number in range(700)])

    found = await looked(url, *[forms(str(number), str(number)) for number in range(699)], announcements=many)

    assert Announced(accounts=700, objects=700, absent=1) == found.products["tax_forms"].announced


async def test_deleted_objects_are_not_counted(database: str):
    """Objects that are kept though they were deleted at the source are not counted."""
    sink = SqlSink(database, keep_deleted=True)
    await sink.open()
    await sink.write(forms("a", "1", "2"))
    await sink.write(forms("a", "2", begun_at=NOW + timedelta(days=1)))
    await sink.close(complete=True)

    assert (await status(database)).products["tax_forms"].objects == 1


async def test_version_and_size(url: str, tmp_path: Path):
    """The version of the tables and the size of the file are named."""
    found = await looked(url, forms("a", "1"))

    assert found.schema_version >= 1
    assert (tmp_path / "payroll.db").stat().st_size == found.size


async def test_size_of_postgresql(postgres: str):
    """On PostgreSQL the size is that of the tables with their indexes."""
    small = (await looked(postgres)).size
    many = forms("a", *[f"{number:0100}" for number in range(1_000)])

    assert (await looked(postgres, many)).size > small + 100_000 > 100_000


async def test_json(url: str):
    """It is JSON for programs: numbers, moments and ids."""
    found = json.loads((await looked(url, forms("a", "1"), accounts="ab")).to_json())

    assert (False, 2) == (found["ok"], found["accounts"])
    assert (1, 1) == (found["products"]["tax_forms"]["complete"], found["products"]["tax_forms"]["never"])
    assert NOW == datetime.fromisoformat(found["products"]["tax_forms"]["oldest"])


async def test_no_database(url: str, tmp_path: Path):
    """A database that is not there is a ConfigurationError, and is not made."""
    with pytest.raises(ConfigurationError, match="there is no copy here"):
        await status(url)

    assert not [*tmp_path.iterdir()]


def test_every_list_can_be_compared():
    """Every list whose objects are announced keeps what is deleted apart, which `status` counts on."""
    assert all("deleted_at" in STORED[product].table.c for product in LISTS)
