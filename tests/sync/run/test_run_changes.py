"""Incremental runs over what an earlier one has stored: they fetch what changed, and no more."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pinwheel_async import PRODUCTS, Pinwheel, RequestError, ServerError
from pinwheel_async.sync import Batch, Checkpoint, MemorySink, MemoryStore, Progress, Sink, Store, SyncReport, sync
from pinwheel_async.testing import FakePinwheel, Fault

Stores = Callable[[], Store]


async def again(
    fake: FakePinwheel, pinwheel: Pinwheel, store: Sink, **arguments: Any
) -> tuple[SyncReport, Counter[str]]:
    """Run a sync; return its report and its requests."""
    fake.clear_records()
    report = await sync(pinwheel, store, **arguments)
    return report, Counter(fake.counts)


async def test_a_finished_run_started_again(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A run that finished, started again, lists the accounts and fetches no product."""
    await sync(pinwheel, store())

    report, requests = await again(fake, pinwheel, store())

    assert requests == {"list_accounts": 1}
    assert (report.ok, report.unchanged, report.items) == (True, 12 * len(PRODUCTS), 0)


async def test_a_nightly_run():
    """A run over unchanged accounts costs one request for a hundred of them."""
    async with FakePinwheel(accounts=230) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        store = MemoryStore()
        await sync(pinwheel, store, products=["income", "shifts"])

        _, requests = await again(fake, pinwheel, store, products=["income", "shifts"])

        assert requests == {"list_accounts": 3}


async def test_checkpoints_are_asked_by_the_page():
    """A store is asked for the checkpoints of a page of accounts at once."""
    asked: list[int] = []

    class Counting(MemoryStore):
        async def checkpoints(self, account_ids: Any) -> Any:
            asked.append(len(account_ids))
            return await super().checkpoints(account_ids)

    async with FakePinwheel(accounts=230) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        await sync(pinwheel, Counting(), products=["income"])
        await sync(pinwheel, Counting(), products=["income"], accounts=fake.world.account_ids())

    assert asked == [100, 100, 30] * 2


async def test_a_product_that_moved(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Of an account of which one product moved, this product is fetched and nothing else."""
    await sync(pinwheel, store())
    fake.world.touch(fake.world.account_id(3), "paystubs")

    report, requests = await again(fake, pinwheel, store())

    assert requests == {"list_accounts": 1, "list_paystubs": 1}
    assert report.products["paystubs"].complete == 1


async def test_what_was_fetched_is_not_fetched_again(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A product that moved is fetched once, not in every run after it."""
    await sync(pinwheel, store())
    fake.world.touch(fake.world.account_id(3), "paystubs")
    await sync(pinwheel, store())

    _, requests = await again(fake, pinwheel, store())

    assert requests == {"list_accounts": 1}


async def test_a_deleted_paystub(fake: FakePinwheel, pinwheel: Pinwheel):
    """A paystub that is gone at the source vanishes from the copy."""
    store = MemoryStore()
    await sync(pinwheel, store)
    account_id = fake.world.account_id(2)
    gone = fake.world.records(account_id, "paystubs")[1]["id"]
    fake.world.delete(account_id, "paystubs", gone)

    await sync(pinwheel, store)

    expected = {record["id"] for record in fake.world.records(account_id, "paystubs")}
    assert expected == {getattr(paystub, "id", None) for paystub in store.items("paystubs", account_id)}
    assert gone not in expected


async def test_a_new_account(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that came since is fetched whole."""
    await sync(pinwheel, store())
    fake.world.add_account()

    _, requests = await again(fake, pinwheel, store())

    assert requests.total() == 1 + len(PRODUCTS)


async def test_a_window_that_grew(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Paystubs are fetched again when earlier ones are wanted than before."""
    await sync(pinwheel, store(), from_pay_date=date(2026, 3, 1))

    _, earlier = await again(fake, pinwheel, store(change_scope=True), from_pay_date=date(2026, 2, 1))
    _, whole = await again(fake, pinwheel, store(change_scope=True), from_pay_date=date.min)

    assert earlier == whole == {"list_accounts": 1, "list_paystubs": 12}


async def test_a_window_that_shrank(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A narrower window than that of the copy is no reason to fetch anything."""
    await sync(pinwheel, store())

    _, requests = await again(fake, pinwheel, store(), from_pay_date=date(2026, 3, 1))

    assert requests == {"list_accounts": 1}


async def test_a_product_that_was_not_there(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A product that is missing is not asked for again until the account says that it is there."""
    await fake.connect(fake.world.account_id(0))
    first = await sync(pinwheel, store(), products=["income"])

    report, requests = await again(fake, pinwheel, store(), products=["income"])

    assert (first.missing, report.missing, requests) == (1, 0, {"list_accounts": 1})
    fake.world.touch(fake.world.account_id(0), "income")
    report, requests = await again(fake, pinwheel, store(), products=["income"])
    assert requests == {"list_accounts": 1, "get_income": 1}


async def test_a_change_during_the_run(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """What changes between the listing and the reading is fetched again by the next run, never missed."""
    account_id = fake.world.account_id(11)
    touched = False

    def touch(_: object) -> None:
        nonlocal touched
        if not touched:
            touched = True
            fake.world.touch(account_id, "shifts")

    await sync(pinwheel, store(), products=["shifts"], on_progress=touch, concurrency=1)

    _, requests = await again(fake, pinwheel, store(), products=["shifts"])

    assert requests == {"list_accounts": 1, "list_shifts": 1}


async def test_everything_again(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Without *changed_only* a run fetches everything, also what has not moved."""
    await sync(pinwheel, store())

    report, requests = await again(fake, pinwheel, store(), changed_only=False)

    assert requests.total() == 1 + 12 * len(PRODUCTS)
    assert report.unchanged == 0


async def test_a_sink_that_does_not_remember(fake: FakePinwheel, pinwheel: Pinwheel):
    """A sink that does not remember gets everything every time."""
    sink = MemorySink()
    await sync(pinwheel, sink)

    _, requests = await again(fake, pinwheel, sink)

    assert requests.total() == 1 + 12 * len(PRODUCTS)


@pytest.mark.parametrize("argument", ["changed_only", "retry_failed"])
async def test_what_needs_a_memory(fake: FakePinwheel, pinwheel: Pinwheel, argument: str):
    """What only works with a sink that remembers is refused with others, and nothing is sent."""
    arguments: dict[str, Any] = {argument: True}

    with pytest.raises(RequestError, match=f"{argument} must be left out: this sink does not remember"):
        await sync(pinwheel, MemorySink(), **arguments)

    assert not fake.requests


async def test_given_accounts(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Accounts that are given by id are looked up, and only what moved is fetched."""
    ids = [fake.world.account_id(index) for index in (1, 4)]
    _, first = await again(fake, pinwheel, store(), accounts=ids, products=["income", "shifts"])
    fake.world.touch(ids[1], "shifts")

    _, second = await again(fake, pinwheel, store(), accounts=ids, products=["income", "shifts"])

    assert first == {"get_account": 2, "get_income": 2, "list_shifts": 2}
    assert second == {"get_account": 2, "list_shifts": 1}


async def test_given_accounts_and_listed_ones(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """What was fetched of an account that was given is not fetched again when it is listed."""
    await sync(pinwheel, store(), accounts=fake.world.account_ids())

    _, requests = await again(fake, pinwheel, store())

    assert requests == {"list_accounts": 1}


async def test_given_accounts_are_stored(fake: FakePinwheel, pinwheel: Pinwheel):
    """Accounts that are given by id are stored, too."""
    store = MemoryStore()
    ids = [fake.world.account_id(index) for index in (1, 4)]

    await sync(pinwheel, store, accounts=ids, products=["income"])

    assert set(ids) == {getattr(account, "id", None) for account in store.items("accounts")}


async def test_given_accounts_that_still_come(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Accounts that come from an async iterable are fetched as they come."""
    told: list[Progress] = []

    async def come() -> AsyncIterator[str]:
        yield fake.world.account_id(0)
        while not told:
            await asyncio.sleep(0)
        yield fake.world.account_id(1)

    report = await sync(pinwheel, store(), accounts=come(), products=["income"], on_progress=told.append)

    assert (report.accounts, report.products["income"].complete) == (2, 2)


async def test_look_ups_run_at_once(fake: FakePinwheel, pinwheel: Pinwheel):
    """Accounts that are given are looked up by all workers at once, and by no more."""
    fake.fail_randomly(1.0, Fault(delay_s=0.05))

    await sync(pinwheel, MemoryStore(), accounts=fake.world.account_ids(), products=["income"], concurrency=4)

    assert fake.peak_in_flight == 4


async def test_ids_that_come_twice(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that is given twice is visited once."""
    account_id = fake.world.account_id(0)

    report, requests = await again(fake, pinwheel, store(), accounts=[account_id, account_id], products=["income"])

    assert requests == {"get_account": 1, "get_income": 1}
    assert report.accounts == 1


async def test_an_account_that_is_not_there(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Of an account that does not exist everything is missing, after one request."""
    unknown = "00000000-0000-4000-8000-000000000000"

    report, requests = await again(fake, pinwheel, store(), accounts=[unknown])

    assert requests == {"get_account": 1}
    assert (report.ok, report.missing) == (True, len(PRODUCTS))


async def test_an_account_that_cannot_be_looked_up(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that cannot be looked up fails with every product that is wanted, each with a note of its own."""
    account_id = fake.world.account_id(0)
    fake.script(Fault(status=500), operation="get_account")

    report = await sync(pinwheel, store(), accounts=[account_id], products=["income", "shifts"])

    assert [("income", ServerError), ("shifts", ServerError)] == [
        (failure.product, type(failure.error)) for failure in report.failures
    ]
    assert [[f"{product} of account {account_id}"] for product in ("income", "shifts")] == [
        failure.error.__notes__ for failure in report.failures
    ]


async def test_a_404_that_the_account_contradicts(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A 404 for what the account says is there is counted, and the next run asks again."""
    fake.script(Fault(status=404), operation="get_income", account_id=fake.world.account_id(0))
    first = await sync(pinwheel, store(), products=["income"])

    report, requests = await again(fake, pinwheel, store(), products=["income"])

    assert (first.missing, first.contradicted) == (1, 1)
    assert (report.contradicted, requests) == (0, {"list_accounts": 1, "get_income": 1})


async def test_a_contradiction_that_lasts(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A 404 that lasts is not asked for at every run, and is counted at every one."""
    fake.script(*[Fault(status=404)] * 2, operation="get_income", account_id=fake.world.account_id(0))
    await sync(pinwheel, store(), products=["income"])
    await sync(pinwheel, store(), products=["income"])

    report, requests = await again(fake, pinwheel, store(), products=["income"])

    assert (report.contradicted, requests) == (1, {"list_accounts": 1})


async def test_a_mark_from_the_future(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """What was stored under a clock that was far ahead keeps nothing out: it is read again."""
    account_id = fake.world.account_id(0)
    checkpoint = Checkpoint(begun_at=datetime.now(UTC) + timedelta(days=30), reached="complete")
    opened = store()
    await opened.open()
    await opened.write(Batch(kind="income", account_id=account_id, items=(), checkpoint=checkpoint))
    await opened.close(complete=True)

    report, requests = await again(fake, pinwheel, store(), products=["income"], accounts=[account_id])

    assert (report.ok, report.products["income"].complete, requests["get_income"]) == (True, 1, 1)
    assert (await again(fake, pinwheel, store(), products=["income"], accounts=[account_id]))[0].unchanged == 1


async def test_a_patch_from_the_future(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A patch that was stored under a clock that was far ahead keeps nothing out either."""
    account_id = fake.world.account_id(0)
    checkpoint = Checkpoint(begun_at=datetime.now(UTC) + timedelta(days=30), reached="patch")
    opened = store()
    await opened.open()
    await opened.write(Batch(kind="paystubs", account_id=account_id, items=(), checkpoint=checkpoint))
    await opened.close(complete=True)

    report = await sync(pinwheel, store(), products=["paystubs"], accounts=[account_id])

    assert (report.ok, report.products["paystubs"].complete) == (True, 1)
