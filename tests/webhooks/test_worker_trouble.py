"""The worker in trouble: inboxes that fail, leases that are lost, a loop that is blocked."""

import asyncio

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import InboxError
from pinwheel_async.events import Event
from pinwheel_async.webhooks import MemoryInbox, _worker
from pinwheel_async.webhooks._worker import TROUBLE_S


class Faulty(MemoryInbox):
    """Raises once for each fault that is planted; counts the calls."""

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.faults = {}
        self.calls = []

    async def claim(self, limit, *, lease_s):
        self._fail("claim")
        return await super().claim(limit, lease_s=lease_s)

    async def done(self, claim):
        self._fail("done")
        return await super().done(claim)

    async def extend(self, claim, *, lease_s):
        self._fail("extend")
        return await super().extend(claim, lease_s=lease_s)

    def _fail(self, name):
        self.calls.append(name)
        if self.faults.get(name):
            raise self.faults[name].pop()


TROUBLE = [InboxError("the disk is full", reason="SQLITE_FULL"), OSError("planted-4711")]


@pytest.fixture
def faulty(time):
    return Faulty(time.clock)


@pytest.fixture
def inbox(faulty):
    return faulty


@pytest.mark.parametrize("error", TROUBLE, ids=["InboxError", "foreign"])
async def test_trouble_at_claim_is_waited_out(work, faulty, time, caplog, error):
    """When claiming fails, whatever the inbox raises, the worker waits and claims again."""
    faulty.faults = {"claim": [error]}
    handled = []

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.until(lambda: "claim" in faulty.calls)
    await work.put("1")
    await work.until(lambda: time.advance(TROUBLE_S) or handled)

    assert "the inbox failed, trying again in 1 s" in caplog.text
    assert "planted-4711" not in caplog.text


async def handled_and_done(work, faulty, time, *, marks):
    """Let one event be handled until so many marks were tried; return what handlers saw, and how many are done."""
    handled = []

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.put("1")
    await work.until(lambda: time.advance(TROUBLE_S) or faulty.calls.count("done") == marks)
    return handled, (await work.settled()).done


@pytest.mark.parametrize("error", TROUBLE, ids=["InboxError", "foreign"])
async def test_trouble_at_the_mark(work, faulty, time, caplog, error):
    """When a mark cannot be made it is made later, and the handlers do not run again for it."""
    faulty.faults = {"done": [error] * 3}

    assert (["1"], 1) == await handled_and_done(work, faulty, time, marks=4)
    assert "planted-4711" not in caplog.text


async def test_a_mark_that_cannot_be_made_for_long(work, faulty, time):
    """A mark that fails for longer than a lease is left to the lease: it is made then, without the handlers."""
    faulty.faults = {"done": TROUBLE[:1] * 61}

    assert (["1"], 1) == await handled_and_done(work, faulty, time, marks=62)


async def test_leases_are_renewed(work, faulty, time):
    """While a handler runs its lease is renewed, through trouble too, so that nobody else claims the delivery."""
    faulty.faults = {"extend": TROUBLE[:1]}
    started, release = asyncio.Event(), asyncio.Event()

    async def handle(event: Event) -> None:
        started.set()
        await release.wait()

    await work(handle, lease_s=30)
    await work.put("1")
    await started.wait()
    claimed = []
    for number in range(1, 12):
        await work.until(lambda expected=number: time.advance(1) or faulty.calls.count("extend") >= expected)
        claimed += await MemoryInbox.claim(faulty, 1, lease_s=30)
    release.set()
    counts = await work.settled()

    assert ([], 1) == (claimed, counts.done)
    assert time.now - 1000 > 3 * 30


async def test_a_lost_lease(work, faulty, time, caplog):
    """A handler whose lease somebody else has got is cancelled, and its marks change nothing."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(event: Event) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await work(handle, lease_s=30)
    await work.put("1")
    await started.wait()
    time.now += 31  # the loop stood still, and no timer went off
    (stolen,) = await MemoryInbox.claim(faulty, 1, lease_s=30)
    time.advance(0)
    await cancelled.wait()

    assert "the lease of event 1 is lost" in caplog.text
    assert await faulty.done(stolen)


async def test_a_lease_that_ended_with_nobody_there_to_take_it(work, faulty, time):
    """A worker that claims anew what it is still working on goes on with it, and does not handle it twice."""
    started, release, calls = asyncio.Event(), asyncio.Event(), []

    async def handle(event: Event) -> None:
        calls.append(event.event_id)
        started.set()
        await release.wait()

    await work(handle, lease_s=30)
    await work.put("1")
    await started.wait()
    time.now += 31
    before = faulty.calls.count("claim")
    await work.put("2", account_id="other")
    await work.until(lambda: faulty.calls.count("claim") > before + 1)
    release.set()
    counts = await work.settled()

    assert ["1", "2"] == calls
    assert 2 == counts.done


async def test_handled_after_the_lease_was_lost(work, faulty, time, caplog):
    """A mark that comes after somebody else has claimed the delivery is refused, and said so."""
    started, release = asyncio.Event(), asyncio.Event()

    async def handle(event: Event) -> None:
        started.set()
        await release.wait()

    await work(handle, lease_s=30)
    await work.put("1")
    await started.wait()
    time.now += 31
    (stolen,) = await MemoryInbox.claim(faulty, 1, lease_s=30)
    release.set()
    await work.until(lambda: not work.worker._jobs)

    assert "event 1 was handled after its lease was lost" in caplog.text
    assert await faulty.done(stolen)


async def test_a_lease_that_is_taken_anew_while_marking(work, faulty, time):
    """When the worker itself has claimed the delivery again meanwhile, it marks it under the new lease."""
    marking, release, calls = asyncio.Event(), asyncio.Event(), []

    class Slow(Faulty):
        async def done(self, claim):
            marking.set()
            await release.wait()
            return await super().done(claim)

    async def handle(event: Event) -> None:
        calls.append(event.event_id)

    faulty.__class__ = Slow
    await work(handle, lease_s=30)
    await work.put("1")
    await marking.wait()
    time.now += 31
    before = faulty.calls.count("claim")
    await work.put("2", account_id="other")
    await work.until(lambda: faulty.calls.count("claim") > before + 1)
    release.set()
    counts = await work.settled()

    assert (["1", "2"], 2) == (calls, counts.done)


async def test_a_fault_of_ours(work, monkeypatch):
    """A delivery that makes the library itself fail is dead, with the kind of the fault, and not tried for ever."""

    async def handle(event: Event) -> None: ...

    await work(handle)
    monkeypatch.setattr(work.worker._dispatcher, "begin", None)
    await work.put("1")
    await work.settled()
    (entry,) = await work.inbox.entries(state="dead")

    assert "(delivery): TypeError" == entry.reason


async def test_memory_is_bounded(work, monkeypatch):
    """Of deliveries between two attempts only so many are remembered; all of the others' handlers run again."""
    monkeypatch.setattr(_worker, "REMEMBERED", 1)
    calls = []

    async def fine(event: Event) -> None:
        calls.append(event.event_id)

    async def fail(event: Event) -> None:
        raise ValueError

    await work(fine, fail, retry=RetryPolicy(attempts=2, base_s=2.0))
    await work.put("1", account_id="one")
    await work.until(lambda: "1" in work.worker._progress)
    await work.put("2", account_id="two")
    await work.until(lambda: work.time.advance(0.1) or len(calls) == 3)

    assert ["1", "2", "1"] == calls
    assert 1 == len(work.worker._progress)
