"""What a run does not believe at once: it never removes anything on the word of one odd answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pinwheel_async import DecodeError, Pinwheel, UnconfirmedRemovalError
from pinwheel_async.sync import MemorySink, MemoryStore, Store, sync
from pinwheel_async.sync._run import reading
from pinwheel_async.testing import FakePinwheel, Fault

Stores = Callable[[], Store]
PRODUCTS: Any = ["paystubs"]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait before a reading is repeated."""
    monkeypatch.setattr(reading, "_PAUSE_S", 0)


@pytest.fixture
async def account(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores) -> str:
    """An account with more than 20 paystubs, which are stored, and of which one is new since."""
    wanted = next(
        account_id for account_id in fake.world.account_ids() if len(fake.world.records(account_id, "paystubs")) > 20
    )
    await sync(pinwheel, store(), accounts=[wanted], products=PRODUCTS)
    fake.world.touch(wanted, "paystubs")
    fake.clear_records()
    return wanted


def there(fake: FakePinwheel, account_id: str) -> set[str]:
    return {record["id"] for record in fake.world.records(account_id, "paystubs")}


async def stored(store: Any, account_id: str) -> set[str]:
    await store.open()
    found = await store.held(account_id, "paystubs")
    await store.close(complete=True)
    return set(found)


def some(fake: FakePinwheel, account_id: str, count: int) -> list[Any]:
    """Return some paystubs as the API sends them."""
    index = fake.world.index(account_id)
    entries = fake.world.entries(index, "paystubs")[:count]
    return [json.loads(entry.body) | {"document": None} for entry in entries]


def answer(data: list[Any], **meta: Any) -> Fault:
    return Fault(json={"data": data, "meta": {"count": len(data), "next_cursor": None} | meta})


ODD: dict[str, Callable[[list[Any]], Fault]] = {
    "empty": lambda _: answer([]),
    "empty, and says otherwise": lambda _: answer([], count=25),
    "few": answer,
    "few, and says otherwise": lambda few: answer(few, count=22),
    "few, without meta": lambda few: Fault(json={"data": few}),
    "few, with an empty meta": lambda few: Fault(json={"data": few, "meta": {}}),
    "few, with meta null": lambda few: Fault(json={"data": few, "meta": None}),
    "few, without a cursor": lambda few: Fault(json={"data": few, "meta": {"count": len(few)}}),
}


@pytest.mark.parametrize("odd", ODD)
async def test_one_odd_answer(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, account: str, odd: str):
    """An odd answer that comes once removes nothing; the list is read again, and the report says so."""
    fake.script(ODD[odd](some(fake, account, 2)), operation="list_paystubs")

    report = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS)

    assert (report.ok, report.held_back, fake.counts["list_paystubs"]) == (True, 1, 2)
    assert await stored(store(), account) == there(fake, account)


@pytest.mark.parametrize("odd", ODD)
async def test_an_odd_answer_that_comes_twice(
    fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, account: str, odd: str
):
    """What two whole readings say is believed."""
    few = some(fake, account, 2)
    fake.script(*[ODD[odd](few)] * 2, operation="list_paystubs")

    report = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS)

    assert (report.ok, report.held_back, fake.counts["list_paystubs"]) == (True, 1, 2)
    assert await stored(store(), account) == ({paystub["id"] for paystub in few} if "few" in odd else set())


async def test_answers_that_never_agree(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, account: str):
    """If each reading says something else, nothing is removed, and it is a failure that the next run tries again."""
    before = await stored(store(), account)
    fake.script(*[answer(some(fake, account, count)) for count in (1, 2, 3, 4)], operation="list_paystubs")

    report = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS)
    again = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS)

    assert [UnconfirmedRemovalError] == [type(failure.error) for failure in report.failures]
    assert report.held_back == 4
    assert again.ok
    assert before <= await stored(store(), account) == there(fake, account)


async def test_answers_of_which_every_second_one_agrees(
    fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, account: str
):
    """Only two readings in a row can agree: if the first and the third say the same, nothing is removed."""
    fake.script(*[answer(some(fake, account, count)) for count in (1, 2, 1)], operation="list_paystubs")

    report = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS)

    assert (report.ok, report.held_back) == (True, 3)
    assert await stored(store(), account) == there(fake, account)


async def test_a_reading_that_breaks_off_between_two(
    fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, account: str
):
    """Two readings do not agree if one between them, which was not ended, may have met something else."""
    few, more = answer(some(fake, account, 1)), answer(some(fake, account, 2), next_cursor="cursor")
    fake.script(few, more, Fault(status=400), few, operation="list_paystubs")

    report = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS)

    assert (report.ok, report.held_back) == (True, 2)
    assert await stored(store(), account) == there(fake, account)


async def test_contradictions_that_never_agree(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, account: str):
    """Lists that contradict themselves, each in another way, are a failure that names the place."""
    odd = [answer(some(fake, account, count), count=99) for count in (1, 2, 3, 4)]
    fake.script(*odd, operation="list_paystubs")

    report = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS)

    (failure,) = report.failures
    assert isinstance(failure.error, DecodeError)
    assert failure.error.paths == ("meta.count: not the number of objects",)


async def test_a_few_that_vanish(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, account: str):
    """A few objects that vanish are removed at once."""
    for paystub in some(fake, account, 5):
        fake.world.delete(account, "paystubs", paystub["id"])

    report = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS)

    assert (report.held_back, fake.counts["list_paystubs"]) == (0, 1)
    assert await stored(store(), account) == there(fake, account)


@pytest.mark.parametrize(("max_removed", "held_back"), [(0.2, 1), (0.9, 0), (None, 0)])
async def test_the_share_that_may_be_removed(
    fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, account: str, max_removed: float | None, held_back: int
):
    """More than the share that is set is removed only if a second reading agrees."""
    for paystub in some(fake, account, 8):
        fake.world.delete(account, "paystubs", paystub["id"])

    report = await sync(pinwheel, store(), accounts=[account], products=PRODUCTS, max_removed=max_removed)

    assert report.held_back == held_back
    assert await stored(store(), account) == there(fake, account)


async def test_an_empty_list_where_there_was_little(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An empty list is read again, however few objects are stored."""
    account_id = fake.world.account_id(0)
    await sync(pinwheel, store(), accounts=[account_id], products=["tax_forms"])
    held = len(fake.world.records(account_id, "tax_forms"))
    fake.script(answer([]), operation="list_tax_forms")

    report = await sync(pinwheel, store(), accounts=[account_id], products=["tax_forms"], changed_only=False)

    assert held
    assert report.held_back == 1
    assert report.products["tax_forms"].items == held


async def test_a_first_reading_of_nothing(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An empty list where nothing is stored is believed at once."""
    fake.script(answer([]), operation="list_paystubs", account_id=fake.world.account_id(0))

    report = await sync(pinwheel, store(), products=PRODUCTS)

    assert (report.ok, report.held_back) == (True, 0)


async def test_a_long_list_whose_first_page_is_odd(
    pinwheel: Pinwheel, fake: FakePinwheel, monkeypatch: pytest.MonkeyPatch
):
    """A contradiction on any page makes the whole reading doubtful, also if those after it are well."""
    monkeypatch.setattr(reading, "PAGE_LIMIT", 5)
    account_id = fake.world.account_id(0)
    page = await pinwheel.paystubs.list(account_id, limit=5)
    fake.clear_records()
    fake.script(
        answer(some(fake, account_id, 4), count=5, next_cursor=page.next_cursor),
        answer(some(fake, account_id, 10)[5:]),
        operation="list_paystubs",
    )

    report = await sync(pinwheel, store := MemoryStore(), accounts=[account_id], products=PRODUCTS)

    assert (report.ok, report.held_back) == (True, 1)
    assert await stored(store, account_id) == there(fake, account_id)


CONTRADICTORY = [odd for odd in ODD if odd not in {"empty", "few"}]


@pytest.mark.parametrize("odd", CONTRADICTORY)
async def test_a_first_reading_that_contradicts_itself(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, odd: str):
    """A list that does not say where it ends, or how long it is, is read again, also where nothing is stored."""
    account_id = fake.world.account_id(0)
    fake.script(ODD[odd](some(fake, account_id, 2)), operation="list_paystubs")

    report = await sync(pinwheel, store(), accounts=[account_id], products=PRODUCTS)

    assert (report.ok, report.held_back) == (True, 1)
    assert await stored(store(), account_id) == there(fake, account_id)


async def test_a_contradiction_without_a_store(fake: FakePinwheel, pinwheel: Pinwheel):
    """A sink that does not remember would get the list twice: there it is a failure."""
    account_id = fake.world.account_id(0)
    fake.script(ODD["few, without meta"](some(fake, account_id, 2)), operation="list_paystubs")

    report = await sync(pinwheel, MemorySink(), accounts=[account_id], products=PRODUCTS)

    (failure,) = report.failures
    assert isinstance(failure.error, DecodeError)
    assert (fake.counts["list_paystubs"], report.held_back) == (1, 1)


async def test_a_long_list_that_is_cut_short(pinwheel: Pinwheel, fake: FakePinwheel, monkeypatch: pytest.MonkeyPatch):
    """A list of several pages that ends early once loses nothing."""
    monkeypatch.setattr(reading, "PAGE_LIMIT", 5)
    store = MemoryStore()
    account_id = fake.world.account_id(0)
    await sync(pinwheel, store, accounts=[account_id], products=PRODUCTS)
    first, second = some(fake, account_id, 10)[:5], some(fake, account_id, 10)[5:]
    page = await pinwheel.paystubs.list(account_id, limit=5)
    fake.script(answer(first, next_cursor=page.next_cursor), answer(second), operation="list_paystubs")

    report = await sync(pinwheel, store, accounts=[account_id], products=PRODUCTS, changed_only=False)

    assert report.held_back == 1
    assert await stored(store, account_id) == there(fake, account_id)
