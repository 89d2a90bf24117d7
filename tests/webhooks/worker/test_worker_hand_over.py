"""Worker that is handed over what is stored: from memory, in order, under leases, beside what it claims."""

import asyncio
import logging
from collections import Counter

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import InboxError
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import Context, DeliveryFilter
from pinwheel_async.webhooks._worker import memory_queue, worker as worker_module
from pinwheel_async.webhooks._worker.worker import Worker

TWICE = RetryPolicy(attempts=2, base_s=10.0)


@pytest.fixture
def inbox(any_inbox):
    """An inbox that hands over."""
    return any_inbox("sqlite")


@pytest.fixture
def claimed(inbox):
    """Ids of what was claimed, rather than handed over."""
    claim, claimed = inbox.claim, []

    async def noted(limit, *, lease_s):
        claims = await claim(limit, lease_s=lease_s)
        claimed.extend(item.delivery.event_id for item in claims)
        return claims

    inbox.claim = noted
    return claimed


async def test_nothing_is_claimed_that_was_handed_over(work, claimed):
    """What is stored while there is room is handled without a claim, in order per account, once, as attempt 1."""
    order, attempts = {"a": [], "b": []}, set()

    async def handle(event: IncomeAdded, context: Context) -> None:
        order[event.account_id].append((event.event_id, context.token))
        attempts.add(context.attempt)
        if event.event_id in {"1", "4"}:
            await asyncio.sleep(0)

    await work(handle)
    await asyncio.gather(*[work.put(f"{number}", account_id="ab"[number % 2]) for number in range(20)])
    counts = await work.settled()

    assert ([], {1}, 20) == (claimed, attempts, counts.done)
    for number, handled in enumerate(order.values()):
        assert [f"{index}" for index in range(number, 20, 2)] == [event_id for event_id, _ in handled]
        assert sorted(token for _, token in handled) == [token for _, token in handled]


async def test_a_failure_holds_up_what_follows(work, claimed):
    """After a failure the account waits for its next attempt, and everything comes then, in order."""
    order = []

    async def handle(event: IncomeAdded) -> None:
        order.append(event.event_id)
        await asyncio.sleep(0)
        if order == ["1"]:
            raise ValueError

    await work((handle, {"retry": TWICE}))
    await asyncio.gather(*[work.put(event_id, account_id="a") for event_id in "123"])
    await work.retry(10)
    await work.settled()

    assert (["1", "1", "2", "3"], ["1", "2", "3"]) == (order, claimed)


async def test_a_failure_waits_for_the_marks_before_it(work, inbox):
    """A delivery that fails while the one before it is being marked is marked as failed, and tried again."""
    release, order, finish = asyncio.Event(), [], inbox.finish

    async def slow(finished, *, lease_s):
        await release.wait()
        return await finish(finished, lease_s=lease_s)

    async def handle(event: IncomeAdded) -> None:
        order.append(event.event_id)
        if order == ["1", "2"]:
            raise ValueError

    inbox.finish = slow
    await work((handle, {"retry": TWICE}))
    await asyncio.gather(*[work.put(event_id, account_id="a") for event_id in "12"])
    await work.until(lambda: order == ["1", "2"])
    for _ in range(20):
        await asyncio.sleep(0)
    release.set()
    await work.retry(10)
    await work.settled()

    assert ["1", "2", "2"] == order


async def test_a_handler_that_returned_does_not_run_again(work):
    """Where one of two handlers failed only that one runs again, though the first attempt came from memory."""
    calls = Counter()

    async def good(event: IncomeAdded) -> None:
        calls["good"] += 1

    async def bad(event: IncomeAdded) -> None:
        calls["bad"] += 1
        if calls["bad"] == 1:
            raise ValueError

    await work((good, {}), (bad, {"retry": TWICE}))
    await work.put("1")
    await work.retry(10)
    await work.settled()

    assert {"good": 1, "bad": 2} == calls


async def test_marks_that_fail_are_made_again(work, inbox, caplog):
    """While the inbox fails marks are repeated, in order, and nothing is handled again."""
    order, failures, finish = [], [1, 1], inbox.finish

    async def failing(finished, *, lease_s):
        if failures:
            failures.pop()
            raise InboxError("the disk of the inbox is full", reason="SQLITE_FULL")
        return await finish(finished, lease_s=lease_s)

    async def handle(event: IncomeAdded) -> None:
        order.append(event.event_id)

    inbox.finish = failing
    await work(handle)
    await asyncio.gather(*[work.put(event_id, account_id="a") for event_id in "123"])

    async def passing():
        work.time.advance(1)
        return not failures

    await work.until(passing)
    counts = await work.settled()

    assert (["1", "2", "3"], 3) == (order, counts.done)
    assert 1 == sum("not marked yet" in record.getMessage() for record in caplog.records)


async def test_one_limit_for_both_paths(work, inbox):
    """What is claimed and what is handed over share one concurrency, and neither waits for all of the other."""
    running, most, handled = set(), [], []

    async def handle(event: IncomeAdded) -> None:
        running.add(event.event_id)
        most.append(len(running))
        for _ in range(3):
            await asyncio.sleep(0)
        running.remove(event.event_id)
        handled.append(event.event_id)

    await inbox.open()
    await work.put(*[f"old-{number}" for number in range(20)], account_id="old")
    await work(handle, concurrency=2)
    await asyncio.gather(*[work.put(f"new-{number}", account_id=f"{number}") for number in range(200)])
    await work.settled()

    assert (220, 2) == (len(handled), max(most))
    assert handled.index("old-0") < 110


async def test_one_place_serves_both_paths(work, inbox):
    """With a concurrency of 1, too, what is claimed and what is handed over take turns."""
    handled = []

    async def handle(event: IncomeAdded) -> None:
        await asyncio.sleep(0)
        handled.append(event.event_id)

    await inbox.open()
    for number in range(5):
        await work.put(f"old-{number}", account_id=f"old-{number}")
    await work(handle, concurrency=1)
    await asyncio.gather(*[work.put(f"new-{number}", account_id=f"{number}") for number in range(50)])
    await work.settled()

    assert 55 == len(handled)
    assert handled.index("old-4") < 50


async def test_what_has_not_begun_is_given_back(work, inbox):
    """At a stop what waits in memory is due again at once, without an attempt, and in order."""
    began = asyncio.Event()

    async def handle(event: IncomeAdded) -> None:
        began.set()
        await asyncio.Event().wait()

    await work(handle, concurrency=1)
    await work.put("1", "2", account_id="a")
    await began.wait()
    await work.put("3", account_id="b")
    await work.worker.stop(0.01)
    entries = {entry.event_id: (entry.state, entry.attempts) for entry in await inbox.entries()}
    order = [item.delivery.event_id for item in await inbox.claim(9, lease_s=9)]

    assert dict.fromkeys("123", ("waiting", 0)) == entries
    assert ["1", "3"] == order


async def test_a_stop_lets_the_rest_of_an_account_be_claimed(work, inbox):
    """At a stop the running handler ends and is marked, and what follows it is not left under a lease."""
    began, release = asyncio.Event(), asyncio.Event()

    async def handle(event: IncomeAdded) -> None:
        began.set()
        await release.wait()

    await work(handle)
    await work.put("1", "2", "3", account_id="a")
    await began.wait()
    stopping = asyncio.create_task(work.worker.stop(5))
    await asyncio.sleep(0)
    await work.put("4", account_id="a")
    release.set()
    await stopping
    states = {entry.event_id: (entry.state, entry.attempts) for entry in await inbox.entries()}

    assert {"1": ("done", 1), **dict.fromkeys("234", ("waiting", 0))} == states
    assert ["2"] == [item.delivery.event_id for item in await inbox.claim(9, lease_s=9)]


async def test_room_in_memory_is_bounded(work, claimed, monkeypatch):
    """What finds no room in memory is claimed from the file when there is a place, and each account is in order."""
    monkeypatch.setattr(memory_queue, "MAX_DELIVERIES", 3)
    order = {"a": [], "b": []}

    async def handle(event: IncomeAdded) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        order[event.account_id].append(int(event.event_id))

    await work(handle)
    await asyncio.gather(*[work.put(f"{number}", account_id="ab"[number % 2]) for number in range(30)])
    await work.settled()

    assert {"a": list(range(0, 30, 2)), "b": list(range(1, 30, 2))} == order
    assert 0 < len(claimed) < 30


async def test_room_in_memory_is_used_again(work, claimed, monkeypatch):
    """What was handed over and is marked makes room for the next."""
    monkeypatch.setattr(memory_queue, "MAX_DELIVERIES", 2)
    handled = []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)

    await work(handle)
    for number in range(10):
        await work.put(f"{number}")
        await work.settled()

    assert (10, []) == (len(handled), claimed)


async def test_what_follows_a_lost_mark_is_cancelled(work, inbox, caplog):
    """Where a mark is refused, as others have the account, the handler that runs for it by then is cancelled."""
    began, ended = asyncio.Event(), []

    async def refused(finished, *, lease_s):
        await began.wait()
        return [False for _ in finished]

    async def handle(event: IncomeAdded, context: Context) -> None:
        if event.event_id == "2":
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(context.lease_lost)

    inbox.finish = refused
    await work(handle)
    await asyncio.gather(*[work.put(event_id, account_id="a") for event_id in "123"])
    await work.until(lambda: ended)

    assert [True] == ended
    assert any("event 1 was handled, but its account was taken" in record.getMessage() for record in caplog.records)


async def test_what_comes_at_the_end_of_a_stop_is_not_handed_over(work, inbox):
    """What is stored while a worker gives back what it has is due at once, and under no lease."""
    began, release = asyncio.Event(), inbox.release

    async def handle(event: IncomeAdded) -> None:
        began.set()
        await asyncio.Event().wait()

    async def releasing(claim, *, progress=None):
        await work.put(f"while-{claim.delivery.event_id}", account_id="b")
        return await release(claim, progress=progress)

    await work(handle)
    await work.put("1", account_id="a")
    await began.wait()
    inbox.release = releasing
    await work.worker.stop(0.01)

    assert {"1": "waiting", "while-1": "waiting"} == {entry.event_id: entry.state for entry in await inbox.entries()}


async def test_bytes_in_memory_are_bounded(work, claimed, monkeypatch):
    """Bodies beyond the limit of bytes are not kept in memory."""
    monkeypatch.setattr(memory_queue, "MAX_BYTES", 10)
    handled = []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.put("1")
    await work.settled()

    assert (["1"], ["1"]) == (handled, claimed)


async def test_leases_of_what_runs_are_extended(work, inbox, any_inbox, time):
    """While a handler runs neither its delivery nor what follows it is taken by others, however long it takes."""
    release, handled = asyncio.Event(), []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)
        await release.wait()

    await work(handle, lease_s=9)
    await asyncio.gather(work.put("1", account_id="a"), work.put("2", account_id="a"))
    other = any_inbox("sqlite")
    await other.open()
    for _ in range(10):
        time.advance(3)
        for _ in range(20):
            await inbox.counts()
        assert () == await other.claim(9, lease_s=9)
    release.set()
    await work.settled()
    await other.close()

    assert ["1", "2"] == handled


async def test_what_waits_long_for_a_place_is_given_back(work, inbox, any_inbox, time):
    """What waits in memory for a third of its lease waits in the file from then on, seen, for whoever has a place."""
    release, handled = asyncio.Event(), []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)
        await release.wait()

    await work(handle, concurrency=1, lease_s=3)
    await work.put("1", account_id="a")
    await work.put("2", "3", account_id="b")
    before = await inbox.counts()
    time.advance(1)

    async def given_back():
        return (await inbox.counts()).waiting == 2

    await work.until(given_back)
    counts = await inbox.counts()
    other = any_inbox("sqlite")
    await other.open()
    (claim,) = await other.claim(9, lease_s=9)
    await other.done(claim)
    await other.close()
    release.set()
    await work.settled()

    assert ((1, 2), 1.0) == ((before.waiting, before.claimed), counts.oldest_waiting_s)
    assert ("2", 1, ["1", "3"]) == (claim.delivery.event_id, claim.attempt, handled)


async def test_slow_handlers_hold_up_what_was_handed_over_for_a_while(work, inbox, time):
    """After two seconds a handler that hangs makes way for what waits in memory, also if nothing is to be claimed."""
    release, handled = asyncio.Event(), []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)
        await release.wait()

    await work(handle, concurrency=1)
    await work.until(lambda: inbox._notifier._waiting)  # having found nothing to claim
    await work.put("1", account_id="a")
    await work.put("2", account_id="b")
    for _ in range(20):
        await inbox.counts()
    before = list(handled)
    time.advance(worker_module.SLOW_S)
    await work.until(lambda: len(handled) == 2)
    release.set()
    await work.settled()

    assert (["1"], ["1", "2"]) == (before, handled)


async def test_a_lost_lease_cancels_the_handler(work, inbox, any_inbox, time, caplog):
    """Where others have claimed an account after its lease, its handler is cancelled, and the rest is theirs."""
    ended, lost = [], []

    async def handle(event: IncomeAdded, context: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(event.event_id)
            lost.append(context.lease_lost)
            raise

    inbox.claim = _nothing  # or it would claim its own again
    await work(handle, lease_s=9)
    await work.put("1", "2", account_id="a")
    await work.until(lambda: work.worker._in_flight)
    other = any_inbox("sqlite")
    await other.open()
    inbox.extend, extend = _failing, inbox.extend
    time.advance(10)
    (taken,) = await other.claim(9, lease_s=999)
    inbox.extend = extend

    async def passing():
        time.advance(1)
        return ended

    await work.until(passing)
    marked = await other.done(taken)
    following = await other.claim(9, lease_s=9)
    await other.close()

    assert (["1"], [True], True) == (ended, lost, marked)
    assert ["2"] == [item.delivery.event_id for item in following]
    assert any("the lease of event 1 is lost" in record.getMessage() for record in caplog.records)


async def _nothing(limit, *, lease_s):
    return ()


async def _failing(claim, *, lease_s):
    raise InboxError("the disk of the inbox failed", reason="SQLITE_IOERR")


async def test_an_own_claim_goes_on_with_what_runs(work, inbox, time):
    """What this worker claims again after its lease, as it was blocked, runs on, once, and its account goes on."""
    began, release, handled, extend = asyncio.Event(), asyncio.Event(), [], inbox.extend

    async def handle(event: IncomeAdded) -> None:
        began.set()
        await release.wait()
        handled.append(event.event_id)

    inbox.extend = _failing
    await work(handle, lease_s=9)
    await asyncio.gather(work.put("1", account_id="a"), work.put("2", account_id="a"))
    await began.wait()
    time.advance(10)

    async def interrupted():
        return any(entry.interrupted for entry in await inbox.entries())

    await work.until(interrupted)
    inbox.extend = extend
    for _ in range(20):
        await inbox.counts()
    release.set()
    await work.settled()
    await work.put("3", account_id="a")
    counts = await work.settled()

    assert (["1", "2", "3"], 3) == (handled, counts.done)
    assert not work.worker._memory


async def test_a_purge_takes_what_waits_in_memory(work, inbox):
    """What is purged while it waits in memory is not handled, and the account goes on."""
    began, release, handled = asyncio.Event(), asyncio.Event(), []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)
        began.set()
        await release.wait()

    await work(handle)
    await asyncio.gather(*[work.put(event_id, account_id="a") for event_id in "123"])
    await began.wait()
    await inbox.purge(DeliveryFilter(event_ids=("2",)))
    release.set()
    await work.settled()

    assert ["1", "3"] == handled


async def test_a_suspect_runs_alone(work, inbox, any_inbox, time):
    """While a delivery runs that may have ended the process, nothing that is handed over begins."""
    running, together, release = set(), [], asyncio.Event()

    async def handle(event: Event) -> None:
        running.add(event.event_id)
        together.append(set(running))
        if event.event_id == "suspect":
            await release.wait()
        running.remove(event.event_id)

    await inbox.open()
    await work.put("suspect", account_id="a")
    for _ in range(worker_module.SUSPECT_AFTER + 1):
        assert await inbox.claim(1, lease_s=0)
    await work(handle)
    await work.until(lambda: running)
    await work.put("1", account_id="b")
    for _ in range(20):
        await inbox.counts()
    alone = list(together)
    release.set()
    await work.settled()

    assert ([{"suspect"}], [{"suspect"}, {"1"}]) == (alone, together)


async def test_slices_leave_the_loop_to_others(work, inbox, time):
    """Handlers that compute are begun for no longer than a slice before the loop looks after others."""
    handled, between = [], []

    async def handle(event: IncomeAdded) -> None:
        if not handled:
            asyncio.get_running_loop().call_soon(lambda: between.append(len(handled)))
        handled.append(event.event_id)
        time.now += worker_module.SLICE_S / 2

    await work(handle)
    await asyncio.gather(*[work.put(f"{number}", account_id=f"{number}") for number in range(20)])
    await work.settled()

    assert (20, [2]) == (len(handled), between)


async def test_a_worker_that_is_started_again_is_handed_over_to(work, claimed):
    """After a stop and a start deliveries come from memory again."""
    handled = []

    async def handle(event: IncomeAdded) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.put("1")
    await work.settled()
    await work.worker.stop(1)
    work.worker.start()
    await work.put("2")
    await work.settled()

    assert (["1", "2"], []) == (handled, claimed)


async def test_two_workers_of_one_inbox(work, inbox):
    """Of two workers on one inbox the later is handed over to; nothing is stranded when it begins, nor when it ends."""
    began, release, handled = asyncio.Event(), asyncio.Event(), []

    async def handle(event: IncomeAdded) -> None:
        began.set()
        await release.wait()
        handled.append(event.event_id)

    await work(handle)
    await work.put("1", account_id="a")
    await began.wait()
    other = Worker(inbox, work.worker._dispatcher, clock=work.time.clock)
    other.start()
    await asyncio.gather(work.put("2", account_id="a"), work.put("3", account_id="b"))
    release.set()
    await work.settled()
    await other.stop(1)
    await work.put("4", account_id="a")
    await work.settled()

    assert ["1", "2", "4"] == [event_id for event_id in handled if event_id != "3"]
    assert 4 == len(handled)


async def test_nothing_is_logged_of_an_ordinary_day(work, caplog):
    """Storing, handling and stopping log no warning."""

    async def handle(event: IncomeAdded) -> None:
        await asyncio.sleep(0)

    await work(handle)
    await asyncio.gather(*[work.put(f"{number}", account_id=f"{number % 3}") for number in range(30)])
    await work.settled()
    await work.worker.stop(1)

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
