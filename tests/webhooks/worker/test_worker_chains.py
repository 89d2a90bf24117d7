"""Worker that claims chains: those of an account one after another from memory, marked together, and never too late."""

import asyncio
from collections import Counter

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.events import IncomeAdded
from pinwheel_async.webhooks import Context, DeliveryFilter
from pinwheel_async.webhooks._inbox.hand_over import BEGIN_WITHIN_S
from pinwheel_async.webhooks._worker import worker as worker_module
from pinwheel_async.webhooks._worker.ahead import AHEAD_S, MAX_AHEAD, MAX_PER_PLACE, Ahead

TWICE = RetryPolicy(attempts=2, base_s=10.0)


@pytest.fixture
def inbox(any_inbox):
    """An inbox that gives chains, and notes what it was asked for."""
    inbox = any_inbox("postgres")
    inbox.asked = asked = Counter()
    for name in ("claim_chains", "finish_chains"):
        setattr(inbox, name, _counting(getattr(inbox, name), name, asked))
    return inbox


def _counting(method, name, asked):
    async def counting(*arguments, **settings):
        found = await method(*arguments, **settings)
        asked[name] += bool(found)
        return found

    return counting


@pytest.fixture
def long_chains(monkeypatch):
    """A worker that claims as much as it can from the first."""
    monkeypatch.setattr(Ahead, "limit", lambda _, places, queued: max(places - queued, 0))
    monkeypatch.setattr(Ahead, "per_place", MAX_PER_PLACE, raising=False)
    monkeypatch.setattr(
        worker_module, "Ahead", type("Long", (Ahead,), {"__init__": lambda _: None, "add": lambda *_: 0})
    )


async def test_one_account_alone(work, inbox):
    """Many deliveries of one account take few claims and few marks, and come in order, once, under rising tokens."""
    order, attempts = [], set()

    async def handle(event: IncomeAdded, context: Context) -> None:
        order.append((context.token, event.event_id))
        attempts.add(context.attempt)

    await inbox.open()
    await work.put(*[f"{number}" for number in range(200)], account_id="a")
    await work(handle)
    counts = await work.settled()

    assert ([f"{number}" for number in range(200)], {1}, 200) == ([name for _, name in order], attempts, counts.done)
    assert sorted(order) == order
    assert 200 == len({token for token, _ in order})
    assert inbox.asked["claim_chains"] < 20
    assert inbox.asked["finish_chains"] < 40


async def test_a_failure_holds_up_what_follows(work, inbox, long_chains):
    """What came before a failure is marked, and what comes after it waits for the next attempt, in order."""
    order, calls = [], Counter()

    async def good(event: IncomeAdded) -> None:
        calls[event.event_id] += 1

    async def bad(event: IncomeAdded) -> None:
        order.append(event.event_id)
        if order == ["1", "2", "3"]:
            raise ValueError

    await inbox.open()
    await work.put(*"12345", account_id="a")
    await work((good, {}), (bad, {"retry": TWICE}))
    await work.retry(10)
    counts = await work.settled()

    assert (["1", "2", "3", "3", "4", "5"], 5) == (order, counts.done)
    assert dict.fromkeys("12345", 1) == calls


async def test_what_follows_late_is_claimed_anew(work, inbox, any_inbox, time, long_chains):
    """After a handler that takes long the next does not begin from memory: others may have changed it, or have it."""
    began, release, handled = asyncio.Event(), asyncio.Event(), []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)
        began.set()
        await release.wait()

    await inbox.open()
    await work.put(*"123", account_id="a")
    await work(handle)
    await began.wait()
    other = any_inbox("postgres")
    await other.open()
    async with asyncio.timeout(10):
        await other.purge(DeliveryFilter(event_ids="2"))
    await other.close()
    time.advance(2 * BEGIN_WITHIN_S)
    release.set()
    await work.settled()

    assert (["1", "3"], 2) == (handled, inbox.asked["claim_chains"])


async def test_no_place_in_time(work, inbox, any_inbox, time, long_chains):
    """What is claimed and finds no place in time is given back, without an attempt, for others that have one."""
    release, handled = asyncio.Event(), []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)
        await release.wait()

    await inbox.open()
    for event_id in "123":
        await work.put(event_id, account_id=event_id)
    await work(handle, concurrency=1)
    work.worker._ahead.limit = lambda *_: 3
    await work.until(lambda: work.worker._late_dropping)
    time.advance(2 * BEGIN_WITHIN_S)

    async def given_back():
        entries = await inbox.entries()
        return {entry.event_id: (entry.state, entry.attempts) for entry in entries}

    async def two_wait():
        return (await given_back())["2"] == ("waiting", 0)

    await work.until(two_wait)
    other = any_inbox("postgres")
    await other.open()
    claims = [claim.delivery.event_id for claim in await other.claim(9, lease_s=9)]
    await other.close()

    assert (["1"], ["2", "3"]) == (handled, claims)
    release.set()


async def test_a_stop_gives_back_what_has_not_begun(work, inbox, long_chains):
    """At a stop what ran is marked, and what follows it is due at once, without an attempt."""
    began, release = asyncio.Event(), asyncio.Event()

    async def handle(event: IncomeAdded) -> None:
        if event.event_id == "2":
            began.set()
            await release.wait()

    await inbox.open()
    await work.put(*"1234", account_id="a")
    await work(handle)
    await began.wait()
    stopping = asyncio.create_task(work.worker.stop(5))
    await asyncio.sleep(0)
    release.set()
    await stopping
    states = {entry.event_id: (entry.state, entry.attempts) for entry in await inbox.entries()}

    assert {**dict.fromkeys("12", ("done", 1)), **dict.fromkeys("34", ("waiting", 0))} == states
    assert ["3"] == [claim.delivery.event_id for claim in await inbox.claim(9, lease_s=9)]


async def test_a_suspect_is_claimed_without_what_follows(work, inbox, long_chains):
    """What may have ended a process runs alone, and neither beside others nor with those that follow it."""
    running, together = set(), []

    async def handle(event: IncomeAdded) -> None:
        running.add(event.event_id)
        together.append(frozenset(running))
        for _ in range(5):
            await asyncio.sleep(0)
        running.remove(event.event_id)

    await inbox.open()
    await work.put("suspect", "next", account_id="a")
    for _ in range(worker_module.SUSPECT_AFTER + 1):
        assert await inbox.claim(1, lease_s=0)
    await work.put("1", account_id="b")
    await work(handle)
    await work.settled()

    assert frozenset({"suspect"}) in together
    assert not any({"suspect"} < names for names in together)
    assert 3 == len(together)


async def test_an_own_claim_of_what_is_in_memory(work, inbox, time, long_chains):
    """What this worker claims again after its lease ended, as it stood still, is never handled beside its account."""
    began, release, running, together = asyncio.Event(), asyncio.Event(), set(), []

    async def handle(event: IncomeAdded) -> None:
        running.add(event.event_id)
        together.append(len(running))
        if event.event_id == "2":
            began.set()
            await release.wait()
        running.remove(event.event_id)

    finish, extend = inbox.finish_chains, inbox.extend
    held = asyncio.Event()

    async def slow(finished, *, lease_s):
        await held.wait()
        return await finish(finished, lease_s=lease_s)

    async def failing(claim, *, lease_s):
        await asyncio.sleep(0)
        return True

    inbox.finish_chains, inbox.extend = slow, failing
    await inbox.open()
    await work.put(*"123", account_id="a")
    await work(handle, lease_s=9)
    await began.wait()
    time.advance(10)

    async def interrupted():
        inbox._notifier.notify()
        return any(entry.interrupted for entry in await inbox.entries())

    await work.until(interrupted)
    inbox.extend = extend
    held.set()
    release.set()
    counts = await work.settled()

    assert ({1}, 3) == (set(together), counts.done)
    assert not work.worker._memory


async def test_two_workers_share_the_accounts(work, inbox, any_inbox, body):
    """Two workers on one database handle everything once, each account in order."""
    order: dict[str, list[int]] = {}

    async def handle(event: IncomeAdded) -> None:
        order.setdefault(str(event.account_id), []).append(int(event.event_id))
        await asyncio.sleep(0)

    await inbox.open()
    for number in range(200):
        await work.put(f"{number}", account_id=f"{number % 7}")
    await work(handle)
    other = worker_module.Worker(any_inbox("postgres"), work.worker._dispatcher, clock=work.time.clock)
    await other._inbox.open()
    other.start()
    counts = await work.settled()
    await other.stop(1)
    await other._inbox.close()

    assert 200 == counts.done
    assert {f"{key}": list(range(key, 200, 7)) for key in range(7)} == order


def test_ahead_goes_by_how_long_deliveries_take():
    """A worker claims what it handles in a moment: much of what ends at once, and no more than it has places, else."""
    ahead, found = Ahead(), []
    for seconds in (None, 0.0, AHEAD_S / 2, 1.0):
        if seconds is not None:
            ahead.add(seconds)
        found.append((ahead.limit(16, 0), ahead.per_place))

    assert [(16, 1), (MAX_AHEAD, MAX_PER_PLACE), (32, 2), (16, 1)] == found
    assert [16, 8, 0] == [ahead.limit(16, queued) for queued in (0, 8, 9)]
