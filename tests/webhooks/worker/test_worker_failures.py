"""Worker with failures: inboxes that fail, leases that are lost, an event loop that is blocked."""

import asyncio

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import InboxError
from pinwheel_async.events import Event
from pinwheel_async.webhooks import DeliveryFilter, MemoryInbox
from pinwheel_async.webhooks._worker.worker import RETRY_INBOX_S


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


ERRORS = [InboxError("the disk is full", reason="SQLITE_FULL"), OSError("planted-4711")]


@pytest.fixture
def faulty(time):
    return Faulty(time.clock)


@pytest.fixture
def inbox(faulty):
    return faulty


@pytest.mark.parametrize("error", ERRORS, ids=["InboxError", "foreign"])
async def test_a_claim_that_fails_is_retried(work, faulty, time, caplog, error):
    """When claiming fails, whatever the inbox raises, the worker waits and claims again."""
    faulty.faults = {"claim": [error]}
    handled = []

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.until(lambda: "claim" in faulty.calls)
    await work.put("1")
    await work.until(lambda: time.advance(RETRY_INBOX_S) or handled)

    assert "the inbox failed, trying again every 1 s" in caplog.text
    assert "planted-4711" not in caplog.text


async def test_an_inbox_that_fails_for_long(work, faulty, time, caplog):
    """While claims fail in the same way, the log has one line a minute, and one when they do not any more."""
    faulty.faults = {"claim": ERRORS[:1] * 90}
    handled, began = [], time.now

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.put("1")
    await work.until(lambda: time.advance(RETRY_INBOX_S) or handled)
    lines = [record.message for record in caplog.records]

    assert 91 <= faulty.calls.count("claim")
    assert 1 <= sum("the inbox failed" in line for line in lines) <= 1 + (time.now - began) / 60
    assert 1 == lines.count("the inbox works again")


async def test_leases_that_cannot_be_renewed_for_long(work, faulty, time, caplog):
    """While leases cannot be renewed for the same reason, the log has a line a minute, however many there are."""
    faulty.faults = {"extend": ERRORS[:1] * 60}
    started, release, began = [], asyncio.Event(), time.now

    async def handle(event: Event) -> None:
        started.append(event.event_id)
        await release.wait()

    await work(handle, lease_s=30)
    for number in range(3):
        await work.put(f"{number}", account_id=f"{number}")
    await work.until(lambda: len(started) == 3)
    await work.until(lambda: time.advance(1) or faulty.calls.count("extend") >= 30)
    release.set()
    await work.settled()
    lines = [record.message for record in caplog.records if "not renewed" in record.message]

    assert {"3 leases are not renewed: the disk is full: SQLITE_FULL"} == set(lines)
    assert len(lines) <= 1 + (time.now - began) / 60


async def handled_and_done(work, faulty, time, *, marks):
    """Let one event be handled until so many marks were tried; return what handlers saw, and how many are done."""
    handled = []

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.put("1")
    await work.until(lambda: time.advance(RETRY_INBOX_S) or faulty.calls.count("done") == marks)
    return handled, (await work.settled()).done


@pytest.mark.parametrize("error", ERRORS, ids=["InboxError", "foreign"])
async def test_a_mark_that_fails_is_retried(work, faulty, time, caplog, error):
    """When a mark cannot be made it is made later, and the handlers do not run again for it."""
    faulty.faults = {"done": [error] * 3}

    assert (["1"], 1) == await handled_and_done(work, faulty, time, marks=4)
    assert "planted-4711" not in caplog.text


async def test_a_mark_that_cannot_be_made_for_long(work, faulty, time):
    """A mark that fails for longer than a lease is left to the lease: it is made then, without the handlers."""
    faulty.faults = {"done": ERRORS[:1] * 61}

    assert (["1"], 1) == await handled_and_done(work, faulty, time, marks=62)


async def test_leases_are_renewed(work, faulty, time):
    """While a handler runs its lease is extended, even if that fails once, so no other worker claims the delivery."""
    faulty.faults = {"extend": ERRORS[:1]}
    started, release = asyncio.Event(), asyncio.Event()

    async def handle(event: Event) -> None:
        started.set()
        await release.wait()

    await work(handle, lease_s=30)
    await work.put("1")
    await started.wait()
    claimed = []
    for _ in range(100):
        time.advance(1)
        for _ in range(10):  # for the worker to extend the lease, if it is about to
            await asyncio.sleep(0)
        claimed += await MemoryInbox.claim(faulty, 1, lease_s=30)
    release.set()
    counts = await work.settled()
    (entry,) = await faulty.entries()

    assert ([], 1) == (claimed, counts.done)
    assert 0 == entry.interrupted  # nor has it ended, and was claimed again by the same worker
    assert time.now - 1000 > 3 * 30


async def test_a_lost_lease(work, faulty, time, caplog):
    """A handler whose lease another worker has got is cancelled, and its marks change nothing."""
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


async def test_a_delivery_that_is_being_marked_has_no_lease(work, faulty, time, caplog, monkeypatch):
    """While a mark is on its way, leases are extended in vain, and what follows the mark is done all the same."""
    dead, marked, go_on = [], asyncio.Event(), asyncio.Event()
    fail = faulty.fail

    async def slow_fail(*given, **named):
        outcome = await fail(*given, **named)
        marked.set()
        await go_on.wait()
        return outcome

    monkeypatch.setattr(faulty, "fail", slow_fail)

    async def handle(event: Event) -> None:
        raise ValueError

    await work(handle, lease_s=30, retry=RetryPolicy(attempts=1), prepare=lambda router: router.on_dead(dead.append))
    await work.put("1")
    await marked.wait()
    await work.until(lambda: time.advance(1) or faulty.calls.count("extend") >= 2)
    go_on.set()
    await work.until(lambda: dead)

    assert "1" == dead[0].event_id
    assert "is lost" not in caplog.text


async def test_a_lease_that_ended_without_another_worker(work, faulty, time):
    """A worker that claims again a delivery in flight goes on with it, and does not handle it twice."""
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
    """A mark that comes after another worker has claimed the delivery is refused, and logged."""
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
    await work.until(lambda: not work.worker._in_flight)

    assert "event 1 was handled after its lease was lost" in caplog.text
    assert await faulty.done(stolen)


async def test_a_lease_that_is_claimed_again_while_marking(work, faulty, time):
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
    monkeypatch.setattr(work.worker._dispatcher, "run", None)
    await work.put("1")
    await work.settled()
    (entry,) = await work.inbox.entries(DeliveryFilter(states="dead"))

    assert "(delivery): TypeError" == entry.reason
