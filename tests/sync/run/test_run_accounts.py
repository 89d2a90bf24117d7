"""The list of accounts is a list like others: what is older takes no place, and what is gone is marked."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from sqlalchemy import select

from pinwheel_async import DecodeError, Pinwheel, UnconfirmedRemovalError
from pinwheel_async.sync import Batch, Checkpoint, MemorySink, MemoryStore, SqlSink, Store, status, sync
from pinwheel_async.sync._run import reading
from pinwheel_async.sync._sql.tables import STORED
from pinwheel_async.testing import FakePinwheel, Fault, make_account

Stores = Callable[[], Store]
ASKED = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCTS: Any = ["income"]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait before a list is repeated."""
    monkeypatch.setattr(reading, "_PAUSE_S", 0)


async def accounts(store: Store) -> dict[str, Any]:
    """Return the accounts that are stored and not marked as deleted."""
    if isinstance(store, MemoryStore):
        return {account.id: account for account in store.items("accounts")}  # type: ignore[attr-defined]
    assert isinstance(store, SqlSink)
    table = STORED["accounts"].table
    await store.open()
    rows = await store._read(lambda connection: [*connection.execute(select(table))])
    await store.close(complete=True)
    return {row.id: row for row in rows if row.deleted_at is None}


def answer(account: Any, minute: int) -> Batch[Any]:
    checkpoint = Checkpoint(begun_at=ASKED + timedelta(minutes=minute), reached="patch")
    return Batch(kind="accounts", account_id=None, items=(account,), checkpoint=checkpoint)


def listing(fake: FakePinwheel, *left_out: int, count: int | None = None) -> Fault:
    """Make a list of accounts that leaves some of them out."""
    found = [json.loads(entry.body) for at, entry in enumerate(fake.world.accounts(None)) if at not in left_out]
    return Fault(json={"data": found, "meta": {"count": len(found) if count is None else count, "next_cursor": None}})


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_an_older_answer(store: Stores, order: tuple[int, int]):
    """Of two answers about an account that of the later question is stored, in whichever order they are written."""
    account = make_account(1, connected=True)
    answers = [answer(account, 0), answer(attrs.evolve(account, connected=False), 1)]
    opened = store()
    await opened.open()
    for at in order:
        await opened.write(answers[at])
    await opened.close(complete=True)

    assert not (await accounts(opened))[account.id].connected


async def test_an_answer_from_the_future(store: Stores):
    """An answer that was noted under a clock that was far ahead keeps no other one out."""
    account, minutes = make_account(1, connected=True), 60 * 24 * 365 * 50
    opened = store()
    await opened.open()
    await opened.write(answer(account, minutes))
    await opened.write(answer(attrs.evolve(account, connected=False), 0))
    await opened.close(complete=True)

    assert not (await accounts(opened))[account.id].connected


async def test_an_account_that_is_gone(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that two whole lists do not name is marked as deleted, and the report says so."""
    fake.script(listing(fake), listing(fake, 3), listing(fake, 3), operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in range(3)]

    assert [0, 0, 1] == [report.gone for report in reports]
    assert fake.world.account_id(3) not in await accounts(store())


async def test_an_account_that_comes_back(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that is listed again is not deleted any more."""
    fake.script(listing(fake), listing(fake, 3), listing(fake, 3), operation="list_accounts")
    for _ in range(4):
        await sync(pinwheel, store(), products=PRODUCTS)

    assert len(await accounts(store())) == 12


async def test_an_account_that_one_list_leaves_out(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that single lists leave out is not gone."""
    lists = [listing(fake), listing(fake, 3), listing(fake), listing(fake, 3), listing(fake)]
    fake.script(*lists, operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in lists]

    assert [0] * 5 == [report.gone for report in reports]


async def test_an_account_that_two_odd_lists_leave_out(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A list that contradicts itself names nobody as gone, unless the very next one says the same."""
    odd = listing(fake, 3, count=12)
    fake.script(listing(fake), odd, listing(fake), odd, odd, odd, odd, operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in range(4)]

    assert [0, 1, 1, 1] == [report.held_back for report in reports]
    assert [0, 0, 0, 1] == [report.gone for report in reports]


ODD: dict[str, Any] = {
    "few": lambda fake: listing(fake, *range(3, 12)),
    "none": lambda fake: listing(fake, *range(12)),
    "few, and says otherwise": lambda fake: listing(fake, *range(8, 12), count=12),
    "few, without meta": lambda fake: Fault(json={"data": listing(fake, *range(8, 12)).json["data"]}),
    "none, without a cursor": lambda _: Fault(json={"data": [], "meta": {"count": 0}}),
}


@pytest.mark.parametrize("odd", ODD)
async def test_a_list_of_accounts_that_is_odd_once(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, odd: str):
    """Accounts that an odd list leaves out are listed by the next one, in the same run; nothing is read twice."""
    await sync(pinwheel, store(), products=PRODUCTS)
    for account_id in fake.world.account_ids():
        fake.world.touch(account_id, "income")
    fake.clear_records()
    fake.script(ODD[odd](fake), operation="list_accounts")

    report = await sync(pinwheel, store(), products=PRODUCTS)

    assert (report.ok, report.accounts, report.lists_held_back, report.held_back) == (True, 12, 1, 1)
    assert (fake.counts["list_accounts"], fake.counts["get_income"]) == (2, 12)
    assert (report.products["income"].complete, report.products["income"].unchanged) == (12, 0)


async def test_an_empty_list_where_there_were_few(pinwheel: Pinwheel, fake: FakePinwheel, store: Stores):
    """A list of no accounts is doubted, however few are stored."""
    three = listing(fake, *range(3, 12))
    fake.script(three, ODD["none"](fake), three, operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in range(2)]

    assert [(3, 0), (3, 1)] == [(report.accounts, report.held_back) for report in reports]


async def test_a_first_list_of_accounts_that_is_odd(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """So it is where nothing is stored."""
    fake.script(ODD["few, without meta"](fake), operation="list_accounts")

    report = await sync(pinwheel, store(), products=PRODUCTS)

    assert (report.ok, report.accounts, report.products["income"].complete) == (True, 12, 12)


async def test_lists_of_accounts_that_never_agree(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """If no two lists in a row say the same it is a failure, and nobody is gone; the next run is well."""
    await sync(pinwheel, store(), products=PRODUCTS)
    fake.script(*[listing(fake, *range(few, 12)) for few in (1, 2, 1, 2)], operation="list_accounts")

    report, again = [await sync(pinwheel, store(), products=PRODUCTS) for _ in range(2)]

    (failure,) = report.failures
    assert (failure.account_id, failure.product, type(failure.error)) == (None, "accounts", UnconfirmedRemovalError)
    assert "the list of accounts" in failure.error.__notes__
    assert (report.lists_held_back, report.gone, again.ok, again.gone) == (4, 0, True, 0)
    assert len(await accounts(store())) == 12


async def test_a_list_that_breaks_off_between_two(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Two lists do not agree if one between them, whose cursor was refused, may have named others."""
    await sync(pinwheel, store(), products=PRODUCTS)
    few, cut = listing(fake, *range(3, 12)), listing(fake, *range(6, 12))
    cut.json["meta"]["next_cursor"] = "cursor"
    fake.script(few, cut, Fault(status=400), few, operation="list_accounts")

    report = await sync(pinwheel, store(), products=PRODUCTS)

    assert (report.ok, report.lists_held_back, fake.counts["list_accounts"]) == (True, 2, 6)


@pytest.mark.parametrize(("max_removed", "held_back"), [(0.4, 1), (0.5, 0)])
async def test_the_share_of_accounts_that_may_be_missing(
    fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, max_removed: float, held_back: int
):
    """A list that lacks no more than the share that is set is believed at once."""
    fake.script(listing(fake), listing(fake, *range(6)), listing(fake, *range(6)), operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS, max_removed=max_removed) for _ in range(2)]

    assert [0, held_back] == [report.held_back for report in reports]


async def test_every_list_may_be_believed(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Where all may be removed at once no list of accounts is doubted."""
    fake.script(listing(fake), *[ODD["few, without meta"](fake)] * 2, operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS, max_removed=None) for _ in range(3)]

    assert [(True, 0, 0), (True, 0, 0), (True, 0, 4)] == [
        (report.ok, report.held_back, report.gone) for report in reports
    ]


async def test_an_odd_list_without_a_store(fake: FakePinwheel, pinwheel: Pinwheel):
    """A sink that does not remember would get everything twice: there it is a failure, and what it named is read."""
    fake.script(ODD["few, without meta"](fake), operation="list_accounts")

    report = await sync(pinwheel, MemorySink(), products=PRODUCTS)

    (failure,) = report.failures
    assert isinstance(failure.error, DecodeError)
    assert (failure.error.paths, report.products["income"].complete) == (("meta.next_cursor: missing",), 8)


async def test_failures_while_lists_are_repeated(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """What fails, or is contradicted, while the list of accounts is in doubt is tried once and counted once."""
    odd, even = ODD["few, without meta"](fake), listing(fake)
    for answer in (odd, even):
        answer.json["data"][2]["connected"] = "perhaps"
    fake.script(odd, even, operation="list_accounts")
    fake.script(Fault(status=400), operation="get_income", account_id=fake.world.account_id(0))
    fake.script(Fault(status=404), operation="get_income", account_id=fake.world.account_id(1))

    report = await sync(pinwheel, store(), products=PRODUCTS)

    assert sorted(failure.product for failure in report.failures) == ["accounts", "income"]
    counts = report.products["income"]
    assert (counts.complete, counts.failed, counts.missing, counts.contradicted) == (10, 1, 1, 1)
    assert fake.counts["get_income"] == 12


async def test_what_a_list_names_only_after_it_began_again(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """What an earlier run found contradicted is asked again, also if the list names it only after it began again."""
    late = json.loads([*fake.world.accounts(None)][-1].body)["id"]
    fake.script(Fault(status=404), operation="get_income", account_id=late)
    await sync(pinwheel, store(), products=PRODUCTS)
    cut = listing(fake, *range(6, 12))
    cut.json["meta"]["next_cursor"] = "cursor"
    fake.script(cut, Fault(status=400), operation="list_accounts")
    asked = fake.counts["get_income"]

    report = await sync(pinwheel, store(), products=PRODUCTS)

    assert (report.ok, report.products["income"].complete, report.products["income"].contradicted) == (True, 1, 0)
    assert fake.counts["get_income"] == asked + 1


async def test_an_account_that_cannot_be_read_is_not_gone(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that is listed and cannot be read is not gone."""
    odd = listing(fake)
    odd.json["data"][3]["connected"] = "perhaps"
    fake.script(listing(fake), *[odd] * 3, operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in range(4)]

    assert [0] * 4 == [report.gone for report in reports]


async def test_status_of_what_is_gone(fake: FakePinwheel, pinwheel: Pinwheel, url: str):
    """The status counts accounts that are gone apart, and misses nothing of them."""
    fake.script(listing(fake), listing(fake, 3), listing(fake, 3), operation="list_accounts")
    for products in (PRODUCTS, PRODUCTS, ["income", "employment"]):
        await sync(pinwheel, SqlSink(url, change_scope=True), products=products)

    found = await status(url)

    assert (found.accounts, found.gone, found.products["employment"].never) == (11, 1, 0)
