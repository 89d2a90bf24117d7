"""Worker whose process ends while it works: the delivery that does it is found, and no other pays for it."""

import asyncio

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import InboxError
from pinwheel_async.events import IncomeAdded
from pinwheel_async.webhooks import DeliveryFilter, MemoryInbox
from pinwheel_async.webhooks._worker.worker import MAX_INTERRUPTIONS, SUSPECT_AFTER

LEASE_S = 15.0
TWICE = RetryPolicy(attempts=2, base_s=1.0)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def inbox(request, any_inbox):
    """Every test here is for each of them."""
    return any_inbox(request.param)


class Unreachable(MemoryInbox):
    """What an inbox is to a process that has ended: nothing reaches it."""

    async def release(self, claim, *, progress=None):
        raise InboxError("gone", reason="Gone")


class Machine:
    """A process that works, and ends whenever the handler of a poisonous delivery begins."""

    def __init__(self, work, time):
        self.work = work
        self.time = time
        self.crashed = asyncio.Event()
        self.running = set()
        self.beside = []
        """What else ran when it crashed, for each crash."""
        self.handled = []

    async def handle(self, event: IncomeAdded) -> None:
        if event.event_id == "poison":
            self.beside.append(set(self.running))
            self.crashed.set()
            await asyncio.Event().wait()
        self.running.add(event.event_id)
        try:
            for _ in range(10):
                await asyncio.sleep(0)
        finally:
            self.running.discard(event.event_id)
        self.handled.append(event.event_id)

    async def start(self, **options):
        self.crashed.clear()
        await self.work(self.handle, **options)

    async def until_it_ends(self):
        """Wait until the process crashes or has nothing left to do; return whether it crashed."""

        async def is_over():
            counts = await self.work.inbox.counts()
            return self.crashed.is_set() or not (counts.waiting or counts.claimed)

        await self.work.until(is_over)
        worker = self.work.worker
        if not self.crashed.is_set():
            await worker.stop(5)
            return False
        worker._inbox = Unreachable()
        await worker.stop(0)
        self.time.now += LEASE_S
        return True


@pytest.fixture
async def machine(work, inbox, time):
    await inbox.open()
    return Machine(work, time)


async def crashes_of(machine, limit=20):
    """Start the process until it no longer crashes; return how often it did."""
    for count in range(limit):
        await machine.start(retry=TWICE)
        if not await machine.until_it_ends():
            return count
    return limit


async def test_poison_dies(machine, work):
    """A delivery that ends the process each time is dead after a few times, and the reason says why."""
    await work.put("poison", account_id="poison")
    crashes = await crashes_of(machine)
    (entry,) = await work.inbox.entries(DeliveryFilter(states="dead"))

    assert MAX_INTERRUPTIONS == crashes
    assert f"the process ended {MAX_INTERRUPTIONS} times while it ran" == entry.reason


async def test_suspects_run_alone(machine, work):
    """After the process has ended a few times, each delivery that ran then is run with nothing beside it."""
    await work.put("before", account_id="a")
    await work.put("poison", account_id="poison")
    for number in range(20):
        await work.put(f"after-{number}", account_id=f"b-{number}")
    await crashes_of(machine)

    assert [set()] * (MAX_INTERRUPTIONS - SUSPECT_AFTER) == machine.beside[SUSPECT_AFTER:]
    assert machine.beside[0]
    assert 21 == len(set(machine.handled))


async def test_the_next_of_a_poisonous_account_follows(machine, work):
    """When the poisonous delivery is dead the account goes on, and everybody side by side again."""
    await work.put("poison", account_id="poison")
    await work.put("next", account_id="poison")
    await crashes_of(machine)

    assert (["next"], False) == (machine.handled, work.worker._alone)


async def test_bystanders_keep_their_attempts(machine, work, time):
    """Deliveries that were in flight whenever the process ended still have all attempts of their policy."""
    attempts, crashed = [], asyncio.Event()

    async def handle(event: IncomeAdded) -> None:
        if event.event_id == "poison":
            crashed.set()
            await asyncio.Event().wait()
        if crashed.is_set():
            await asyncio.Event().wait()
        attempts.append(event.event_id)
        if attempts.count(event.event_id) == 1:
            raise ValueError

    machine.handle, machine.crashed = handle, crashed
    await work.put("poison", account_id="poison")
    await work.put("innocent", account_id="other")
    while True:
        await machine.start(retry=TWICE)
        await work.until(lambda: time.advance(0.1) or crashed.is_set() or attempts.count("innocent") == 2)
        if not crashed.is_set():
            break
        await machine.until_it_ends()
    counts = await work.settled()

    assert (["innocent", "innocent"], 1, 1) == (attempts, counts.done, counts.dead)


async def test_a_revived_delivery_has_not_been_interrupted(machine, work):
    """A delivery that died of crashes is run again once it is revived."""
    await work.put("poison", account_id="poison")
    await crashes_of(machine)
    await work.inbox.revive()

    assert MAX_INTERRUPTIONS == await crashes_of(machine)
