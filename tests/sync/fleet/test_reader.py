"""Reading of a partition: what a process that died or was paused has left, and may still try to store."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from pinwheel_async import ForbiddenError, Pinwheel, SupersededError
from pinwheel_async._clock import Clock
from pinwheel_async.sync import Batch, Checkpoint, MemoryStore
from pinwheel_async.sync._fleet.queries import RunRow
from pinwheel_async.sync._fleet.reader import LostLeaseError, Reader
from pinwheel_async.sync._run.plan import make_plan
from pinwheel_async.testing import FakePinwheel, Fault

BEGAN = datetime.now(UTC) - timedelta(minutes=5)

RUN = RunRow(
    number=1,
    state="listed",
    plan={"products": ["paystubs"]},
    began_at=BEGAN,
    ended_at=None,
    forget_before=None,
    cursor=None,
    pages=1,
    is_whole=True,
    partitions=1,
    counts=Counter(),
    waiting=1,
    in_flight=0,
    leases=1,
    now=BEGAN,
)


@pytest.fixture
async def store() -> MemoryStore:
    """An open store."""
    opened = MemoryStore()
    await opened.open()
    return opened


@pytest.fixture
async def account_id(fake: FakePinwheel) -> str:
    """An account with four pages of paystubs."""
    account_id = fake.world.account_id(0)
    fake.world.recast(account_id, paystubs=350)
    return account_id


async def reader(
    pinwheel: Pinwheel,
    store: MemoryStore,
    *account_ids: str,
    is_held: Callable[[], bool] = lambda: True,
    run: RunRow = RUN,
) -> Reader:
    plan = make_plan(products=["paystubs"], accounts=None, ceiling=8)
    units: dict[str, dict[str, str | None]] = {}
    for account_id in account_ids:
        account = await pinwheel.accounts.get(account_id)
        assert account.data_updated_at.paystubs is not None
        units[account_id] = {"paystubs": account.data_updated_at.paystubs.isoformat()}
    return Reader(pinwheel, store, plan, run, units, is_held=is_held, stop=asyncio.Event(), clock=Clock())


async def checkpoint(store: MemoryStore, account_id: str) -> Checkpoint:
    return (await store.checkpoints([account_id]))[account_id, "paystubs"]


async def read_some(pinwheel: Pinwheel, store: MemoryStore, account_id: str, count: int = 2) -> Batch[Any]:
    """Store some pages, lose the lease before the next one, and return that."""
    pages: list[Batch[Any]] = []
    write = store.write

    async def keep(batch: Batch[Any]) -> None:
        pages.append(batch)
        if len(pages) <= count:
            await write(batch)
            return
        raise LostLeaseError("", reason="")

    store.write = keep  # type: ignore[method-assign]
    try:
        with pytest.raises(LostLeaseError):
            await (await reader(pinwheel, store, account_id)).run()
    finally:
        store.write = write  # type: ignore[method-assign]
    return pages[-1]


async def test_a_list_is_gone_on_with(fake: FakePinwheel, pinwheel: Pinwheel, store: MemoryStore, account_id: str):
    """What a process left in the middle of a list is gone on with, and counts whole."""
    await read_some(pinwheel, store, account_id)
    fake.clear_records()

    successor = await reader(pinwheel, store, account_id)
    await successor.run()

    assert fake.counts["list_paystubs"] == 2
    counts = successor.counters.report().products["paystubs"]
    assert (counts.complete, counts.items) == (1, len(fake.world.records(account_id, "paystubs")))


async def test_what_is_read_is_counted(fake: FakePinwheel, pinwheel: Pinwheel, store: MemoryStore, account_id: str):
    """What another process has read in this run is not read again, and counts."""
    await (await reader(pinwheel, store, account_id)).run()
    fake.clear_records()

    successor = await reader(pinwheel, store, account_id)
    await successor.run()

    assert fake.counts["list_paystubs"] == 0
    counts = successor.counters.report().products["paystubs"]
    assert (counts.complete, counts.items) == (1, len(fake.world.records(account_id, "paystubs")))


@pytest.mark.parametrize("is_ended", [False, True])
async def test_a_late_page(fake: FakePinwheel, pinwheel: Pinwheel, store: MemoryStore, account_id: str, is_ended: bool):
    """A page that a paused process still has is refused as soon as another one has gone on with the list."""
    late = await read_some(pinwheel, store, account_id)
    if is_ended:
        await (await reader(pinwheel, store, account_id)).run()
    else:
        await read_some(pinwheel, store, account_id, 1)

    with pytest.raises(SupersededError):
        await store.write(late)

    assert (await checkpoint(store, account_id)).reached == ("complete" if is_ended else "reading")


async def test_after_the_lease(fake: FakePinwheel, pinwheel: Pinwheel, store: MemoryStore, account_id: str):
    """A process whose lease has ended stores nothing more."""
    with pytest.raises(LostLeaseError):
        await (await reader(pinwheel, store, account_id, is_held=lambda: False)).run()

    assert not await store.checkpoints([account_id])


async def test_what_was_read_before_the_run(
    fake: FakePinwheel, pinwheel: Pinwheel, store: MemoryStore, account_id: str
):
    """What was read before the run is read again, though the account has not changed: else it would not be due."""
    await (await reader(pinwheel, store, account_id)).run()
    fake.clear_records()

    await (await reader(pinwheel, store, account_id, run=evolve(RUN, began_at=datetime.now(UTC)))).run()

    assert fake.counts["list_paystubs"] == 4


async def test_a_list_of_before_the_refetch(
    fake: FakePinwheel, pinwheel: Pinwheel, store: MemoryStore, account_id: str
):
    """Where everything is read again, a list that was left in the middle before that is read from its begin."""
    await read_some(pinwheel, store, account_id)
    fake.clear_records()
    now = datetime.now(UTC)

    await (await reader(pinwheel, store, account_id, run=evolve(RUN, began_at=now, forget_before=now))).run()

    assert fake.counts["list_paystubs"] == 4


@pytest.mark.parametrize("counted", [{}, {"paystubs.complete": 1}, {"paystubs.unchanged": 1}, {"paystubs.missing": 1}])
async def test_refused_to_one_of_several(
    fake: FakePinwheel, pinwheel: Pinwheel, store: MemoryStore, counted: dict[str, int]
):
    """A partition of which everything is refused ends the work, unless the run has read something elsewhere."""
    ids = [fake.world.account_id(number) for number in range(2)]
    fake.script(Fault(status=403), times=2, operation="list_paystubs")
    run = evolve(RUN, counts=Counter({"accounts": 3, **counted}))
    refused = await reader(pinwheel, store, *ids, run=run)

    if counted:
        await refused.run()
    else:
        with pytest.raises(ForbiddenError):
            await refused.run()

    assert refused.counters.report().products["paystubs"].failed == 2
