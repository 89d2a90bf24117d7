"""Resuming a run where an earlier one was killed."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from pinwheel_async import PRODUCTS, InvalidRequestError, Pinwheel, SinkError
from pinwheel_async.sync import Batch, MemoryStore, Store, sync
from pinwheel_async.sync._run.plan import make_plan
from pinwheel_async.sync._run.run import Run
from pinwheel_async.testing import FakePinwheel, Fault

Stores = Callable[[], Store]

PAYSTUBS = 347


async def until(fake: FakePinwheel, operation: str, count: int) -> None:
    """Wait until a request has come so many times."""
    async with asyncio.timeout(10):
        while fake.counts[operation] < count:
            await asyncio.sleep(0)


async def kill(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture
def long(fake: FakePinwheel) -> str:
    """An account with four pages of paystubs."""
    account_id = fake.world.account_id(0)
    fake.world.recast(account_id, paystubs=350)
    assert len(fake.world.records(account_id, "paystubs")) == PAYSTUBS  # some pay periods are missing
    return account_id


async def read_two_pages(
    fake: FakePinwheel, pinwheel: Pinwheel, store: Store, account_id: str, **arguments: Any
) -> None:
    """Read two pages of four, and be killed at the third."""
    fake.script(Fault(), Fault(), Fault(delay_s=30), operation="list_paystubs", account_id=account_id)
    task = asyncio.create_task(sync(pinwheel, store, accounts=[account_id], products=["paystubs"], **arguments))
    await until(fake, "list_paystubs", 3)
    await kill(task)
    fake.clear_faults()
    fake.clear_records()


async def test_a_list_goes_on(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, long: str):
    """A list that was read in part goes on behind the last page that was stored."""
    await read_two_pages(fake, pinwheel, store(), long)

    report = await sync(pinwheel, store(), accounts=[long], products=["paystubs"])

    assert fake.counts["list_paystubs"] == 2
    assert (report.resumed, report.products["paystubs"].complete, report.items) == (1, 1, PAYSTUBS - 200)


async def test_a_list_that_went_on_is_whole(fake: FakePinwheel, pinwheel: Pinwheel, long: str):
    """A list that was read in two runs is stored whole."""
    store = MemoryStore()
    await read_two_pages(fake, pinwheel, store, long)

    await sync(pinwheel, store, accounts=[long], products=["paystubs"])

    expected = {record["id"] for record in fake.world.records(long, "paystubs")}
    assert expected == {getattr(paystub, "id", None) for paystub in store.items("paystubs", long)}


async def test_a_list_that_moved_begins_again(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, long: str):
    """A list that was read in part begins again if it moved since: its first page may be another one."""
    await read_two_pages(fake, pinwheel, store(), long)
    fake.world.touch(long, "paystubs")

    report = await sync(pinwheel, store(), accounts=[long], products=["paystubs"])

    assert fake.counts["list_paystubs"] == 4
    assert (report.resumed, report.items) == (0, PAYSTUBS + 1)


async def test_another_window_begins_again(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, long: str):
    """A list that was read in part from some day on begins again when another day is wanted."""
    await read_two_pages(fake, pinwheel, store(), long, from_pay_date=date(2010, 1, 1))

    wider = {"products": ["paystubs"], "from_pay_date": date.min}
    report = await sync(pinwheel, store(change_scope=True), accounts=[long], **wider)

    assert (fake.counts["list_paystubs"], report.resumed) == (4, 0)


async def test_a_list_that_is_gone(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, long: str):
    """A list that was read in part and is not there any more is missing, not failed for ever."""
    await read_two_pages(fake, pinwheel, store(), long)
    fake.script(Fault(status=404), Fault(status=404), operation="list_paystubs")

    report = await sync(pinwheel, store(), accounts=[long], products=["paystubs"])

    assert (report.ok, report.missing) == (True, 1)


async def test_cursors_that_expire_between_runs(fake: FakePinwheel, pinwheel: Pinwheel, long: str):
    """A cursor that expired between two runs costs one request, and the list begins again."""
    store = MemoryStore()
    await read_two_pages(fake, pinwheel, store, long)
    fake.expire_cursors()

    report = await sync(pinwheel, store, accounts=[long], products=["paystubs"])

    assert fake.counts["list_paystubs"] == 1 + 4
    assert report.ok
    assert len(store.items("paystubs", long)) == PAYSTUBS


async def test_cursors_that_expire_between_pages(fake: FakePinwheel, pinwheel: Pinwheel, long: str):
    """A cursor that expires while a list is read lets the list begin again."""

    class Expiring(MemoryStore):
        pages = 0

        async def write(self, batch: Batch) -> None:
            await super().write(batch)
            self.pages += batch.kind == "paystubs"
            if self.pages == 2:
                fake.expire_cursors()

    store = Expiring()
    report = await sync(pinwheel, store, accounts=[long], products=["paystubs"])

    assert fake.counts["list_paystubs"] == 2 + 1 + 4
    assert report.ok
    assert len(store.items("paystubs", long)) == PAYSTUBS


async def test_listing_whose_cursor_expires():
    """A cursor of the list of accounts that expires lets the list begin again, and nothing is read twice."""
    async with FakePinwheel(accounts=230) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:

        class Expiring(MemoryStore):
            listed = 0

            async def write(self, batch: Batch) -> None:
                await super().write(batch)
                self.listed += batch.kind == "accounts"
                if batch.kind == "accounts" and self.listed == 2:
                    fake.expire_cursors()

        report = await sync(pinwheel, store := Expiring(), products=["income"])

        assert (report.ok, len(store.items("accounts"))) == (True, 230)
        assert (fake.counts["list_accounts"], fake.counts["get_income"]) == (2 + 1 + 3, 230)


async def test_counts_of_a_listing_whose_cursor_expires():
    """An account is counted once, and so is its product, though the list of accounts began again."""
    async with FakePinwheel(accounts=230) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        fake.script(Fault(), Fault(), Fault(status=400), operation="list_accounts")
        store = MemoryStore()
        await sync(pinwheel, store, products=["income"], accounts=[fake.world.account_id(0)])

        report = await sync(pinwheel, store, products=["income"])

        counts = report.products["income"]
        assert (report.accounts, counts.complete, counts.unchanged) == (230, 229, 1)


async def test_listing_that_is_refused_for_ever(fake: FakePinwheel, pinwheel: Pinwheel):
    """A list of accounts that is refused from the start ends the run."""
    fake.script(Fault(status=400), operation="list_accounts")

    with pytest.raises(InvalidRequestError):
        await sync(pinwheel, MemoryStore(), products=["income"])

    assert fake.counts["list_accounts"] == 1


@pytest.mark.parametrize("seed", range(5))
async def test_killed_anywhere(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, long: str, seed: int):
    """Killed again and again at any request, runs ask for nothing again that was read to its end."""
    dice = random.Random(seed)
    fake.world.recast(fake.world.account_id(7), paystubs=230)
    kills = 0
    while True:
        read = await complete(fake, store())
        fake.clear_records()
        stop_at = dice.randint(2, 30)
        task = asyncio.create_task(sync(pinwheel, store(), concurrency=4))
        while not task.done() and fake.counts.total() < stop_at:
            await asyncio.sleep(0)
        done = task.done()
        if not done:
            kills += 1
            await kill(task)
        assert read.isdisjoint(asked(fake))
        if done:
            break

    assert kills >= 3
    assert task.result().ok
    assert len(await complete(fake, store())) == 12 * len(PRODUCTS)


async def complete(fake: FakePinwheel, store: Store) -> set[tuple[str, str]]:
    """Return what was read to its end."""
    await store.open()
    checkpoints = await store.checkpoints([*fake.world.account_ids()])
    await store.close(complete=False)
    return {unit for unit, checkpoint in checkpoints.items() if checkpoint.reached == "complete"}


def asked(fake: FakePinwheel) -> set[tuple[str, str]]:
    """Return which products of which accounts were asked for."""
    found: set[tuple[str, str]] = set()
    for request in fake.requests:
        if request.operation != "list_accounts":
            _, _, _, account_id, name = request.path.split("/")
            found.add((account_id, name))
    return found


async def test_ended_by_an_error(fake: FakePinwheel, pinwheel: Pinwheel):
    """A run that ended by an error of the sink goes on in the next one."""

    class Full(MemoryStore):
        room = 20

        async def write(self, batch: Batch) -> None:
            self.room -= 1
            if self.room < 0:
                raise SinkError("it is full", reason="ENOSPC")
            await super().write(batch)

    store = Full()
    with pytest.raises(SinkError):
        await sync(pinwheel, store)
    store.room = 1_000
    fake.clear_records()

    report = await sync(pinwheel, store)

    assert report.unchanged == 19
    assert fake.counts.total() == 1 + 12 * len(PRODUCTS) - 19


async def test_everything_again_goes_on(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A run that fetches everything again and is killed goes on without what it has read."""
    await sync(pinwheel, store(), products=["income"])
    fake.script(*[Fault()] * 5, *[Fault(delay_s=30)] * 2, operation="get_income")
    fake.clear_records()
    task = asyncio.create_task(sync(pinwheel, store(), products=["income"], changed_only=False, concurrency=1))
    await until(fake, "get_income", 6)
    await kill(task)
    fake.clear_faults()
    fake.clear_records()

    report = await sync(pinwheel, store(), products=["income"], changed_only=False)

    assert (fake.counts["get_income"], report.unchanged) == (7, 5)


async def test_everything_again_twice(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A run that fetched everything again to its end is not gone on with: the next one fetches everything."""
    await sync(pinwheel, store(), products=["income"], changed_only=False)
    fake.clear_records()

    await sync(pinwheel, store(), products=["income"], changed_only=False)

    assert fake.counts["get_income"] == 12


async def test_a_list_of_before_does_not_go_on(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, long: str):
    """A run that fetches everything again reads a list again that an earlier run had begun."""
    await read_two_pages(fake, pinwheel, store(), long)

    await sync(pinwheel, store(), accounts=[long], products=["paystubs"], changed_only=False)

    assert fake.counts["list_paystubs"] == 4


async def test_a_list_of_everything_again_goes_on(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, long: str):
    """A run that fetches everything again and is killed goes on behind the last page of a list that it stored."""
    await read_two_pages(fake, pinwheel, store(), long, changed_only=False)

    await sync(pinwheel, store(), accounts=[long], products=["paystubs"], changed_only=False)

    assert fake.counts["list_paystubs"] == 2


@pytest.mark.parametrize(("hours", "again"), [(23, 0), (25, 12)])
async def test_an_old_run_of_everything(pinwheel: Pinwheel, fake: FakePinwheel, time: Any, hours: int, again: int):
    """A run that fetches everything again is gone on with for a day."""
    store = MemoryStore()
    plan = make_plan(
        products=["income"],
        accounts=None,
        concurrency=None,
        ceiling=4,
        from_pay_date=None,
        from_start_date=None,
        changed_only=False,
    )
    began = (time.start - timedelta(hours=hours)).isoformat().encode()
    await Run(pinwheel, store, plan, None, clock=time.clock).run()
    await store.save("sync:refetch", began)
    checkpoints = store._checkpoints
    for unit, checkpoint in checkpoints.items():
        checkpoints[unit] = evolve(checkpoint, begun_at=datetime.fromisoformat(began.decode()))
    fake.clear_records()

    await Run(pinwheel, store, plan, None, clock=time.clock).run()

    assert fake.counts["get_income"] == again


@pytest.mark.parametrize(("days", "again"), [(6, 0), (8, 12)])
async def test_tax_forms(pinwheel: Pinwheel, fake: FakePinwheel, time: Any, days: int, again: int):
    """Tax forms, of which the account says nothing, are read again after a week."""
    store = MemoryStore()
    plan = make_plan(
        products=["tax_forms", "income"],
        accounts=None,
        concurrency=None,
        ceiling=4,
        from_pay_date=None,
        from_start_date=None,
    )
    await Run(pinwheel, store, plan, None, clock=time.clock).run()
    time.advance(days * 86_400)
    fake.clear_records()

    await Run(pinwheel, store, plan, None, clock=time.clock).run()

    assert fake.counts == Counter({"list_accounts": 1, "list_tax_forms": again}) - Counter()


async def test_recheck_after(pinwheel: Pinwheel, fake: FakePinwheel, store: Stores):
    """How long a reading of tax forms lasts can be told."""
    await sync(pinwheel, store(), products=["tax_forms"])
    fake.clear_records()

    await sync(pinwheel, store(), products=["tax_forms"], recheck_after=timedelta(0))

    assert fake.counts["list_tax_forms"] == 12
