"""Worker: accounts in order and side by side, failures retried by the policy of each handler."""

import asyncio

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import Context, DeliveryFilter

ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2, base_s=10.0)
PATIENT = RetryPolicy(attempts=3, base_s=100.0)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def inbox(request, any_inbox):
    """Every test here is for each of them."""
    return any_inbox(request.param)


async def test_one_account_in_order(work):
    """Deliveries of one account are handled one after another, in order of arrival."""
    order, running = [], []

    async def handle(event: Event) -> None:
        assert [] == running
        running.append(event.event_id)
        await asyncio.sleep(0)
        order.append(running.pop())

    await work(handle)
    await work.put(*"321")
    await work.settled()

    assert ["3", "2", "1"] == order


async def test_a_stuck_account_delays_no_other(work):
    """While a handler of one account hangs, the deliveries of all others are handled."""
    order, release = [], asyncio.Event()

    async def handle(event: IncomeAdded) -> None:
        if event.account_id == "stuck":
            await release.wait()
        order.append(event.event_id)

    await work(handle, concurrency=2)
    await work.put("s1", "s2", account_id="stuck")
    for number in range(9):
        await work.put(f"o{number}", account_id=f"other-{number % 3}")
    await work.until(lambda: len(order) == 9)
    release.set()
    await work.settled()

    assert ["s1", "s2"] == order[9:]


async def test_marking_takes_no_place(work, inbox):
    """While what was handled is being marked other accounts are handled, but not more than can be marked at once."""
    marking, release, handled = [], asyncio.Event(), []
    done = inbox.done

    async def slow(claim):
        marking.append(claim)
        await release.wait()
        return await done(claim)

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    inbox.done = slow
    inbox.hand_over_to = inbox.claim_chains = None  # what comes from memory is marked in groups
    await work(handle, concurrency=1)
    for number in range(4):
        await work.put(f"{number}", account_id=f"account-{number}")
    await work.until(lambda: len(marking) == 2)
    for _ in range(50):
        await asyncio.sleep(0)
    meanwhile = list(handled)
    release.set()
    await work.settled()

    assert (["0", "1"], ["0", "1", "2", "3"]) == (meanwhile, handled)


async def test_a_failing_account_delays_no_other(work):
    """While a delivery waits for its next attempt its account waits with it, and the others go on."""
    order = []

    async def handle(event: IncomeAdded) -> None:
        order.append(event.event_id)
        if order.count("bad") == 1 and event.event_id == "bad":
            raise ValueError

    await work(handle, concurrency=1, retry=TWICE)
    await work.put("bad", "behind", account_id="failing")
    await work.put("o1", "o2", account_id="other")
    await work.until(lambda: "o2" in order)
    before = list(order)
    await work.retry(10.0)
    await work.settled()

    assert ["bad", "o1", "o2"] == before
    assert ["bad", "behind"] == order[3:]


async def test_only_handlers_that_have_not_returned_run_again(work):
    """The next attempt leaves out the handlers that have returned, and keeps the order of the others."""
    calls = []

    async def first(event: Event) -> None:
        calls.append("first")

    async def second(event: Event, context: Context) -> None:
        calls.append(f"second {context.attempt}")
        if context.attempt == 1:
            raise ValueError

    async def third(event: Event) -> None:
        calls.append("third")

    await work(first, second, third, retry=TWICE)
    await work.put("1")
    await work.retry(10.0)
    await work.settled()

    assert ["first", "second 1", "third", "second 2"] == calls


async def test_every_handler_has_its_own_policy(work):
    """A handler whose tries are used up does not run again while another one still tries."""
    calls = []

    async def once(event: Event) -> None:
        calls.append("once")
        raise KeyError

    async def patient(event: Event) -> None:
        calls.append("patient")
        if calls.count("patient") < 3:
            raise ValueError

    await work((once, {"retry": ONCE}), (patient, {"retry": PATIENT}))
    await work.put("1")
    await work.retry(100.0)
    await work.retry(200.0)
    counts = await work.settled()
    (entry,) = await work.inbox.entries()

    assert ["once", "patient", "patient", "patient"] == calls
    assert (1, True) == (counts.dead, "once: KeyError at " in entry.reason)


async def test_every_handler_has_its_own_back_off(work):
    """A handler with a longer back-off skips the attempts of a handler with a shorter one."""
    calls = []

    async def hasty(event: Event) -> None:
        calls.append("hasty")
        raise ValueError

    async def slow(event: Event) -> None:
        calls.append("slow")
        raise ValueError

    await work((hasty, {"retry": RetryPolicy(attempts=3, base_s=2.0)}), (slow, {"retry": TWICE}))
    await work.put("1")
    for wait in (1.5, 3.0, 3.0):  # hasty after 1.5 and 4.5 seconds, slow after 7.5: 3/4 of what the policies allow
        await work.retry(wait)
    await work.settled()

    assert ["hasty", "slow", "hasty", "hasty", "slow"] == calls


async def test_dead_after_the_last_attempt(work, caplog):
    """After its last attempt a delivery is dead, with the kinds of what went wrong and none of the words."""

    async def fail(event: Event) -> None:
        raise ValueError("planted-4711")

    async def hang(event: Event) -> None:
        await asyncio.Event().wait()

    await work(fail, (hang, {"timeout_s": 0.01}), retry=ONCE)
    await work.put("1")
    await work.settled()
    (entry,) = await work.inbox.entries(DeliveryFilter(states="dead"))

    assert "fail: ValueError at " in entry.reason
    assert f"; {hang.__qualname__}: timeout: no end after 0.01 s at " in entry.reason
    assert "event 1 (income.added) is dead after attempt 1" in caplog.text
    assert "planted-4711" not in caplog.text


async def test_the_next_of_the_account_follows_a_dead_one(work):
    """A dead delivery makes way for the next of its account."""
    handled = []

    async def handle(event: Event) -> None:
        if event.event_id == "bad":
            raise ValueError
        handled.append(event.event_id)

    await work(handle, retry=ONCE)
    await work.put("bad", "good")
    counts = await work.settled()

    assert (["good"], 1, 1) == (handled, counts.dead, counts.done)


async def test_revived(work):
    """A dead delivery that is revived has all its attempts again, for the handlers that have not returned."""
    calls = []

    async def fine(event: Event) -> None:
        calls.append("fine")

    async def broken(event: Event, context: Context) -> None:
        calls.append(f"broken {context.attempt}")
        raise ValueError

    await work(fine, broken, retry=TWICE)
    await work.put("1")
    await work.retry(10.0)
    await work.settled()
    await work.inbox.revive()
    await work.retry(10.0)
    counts = await work.settled()

    assert ["fine", "broken 1", "broken 2", "broken 1", "broken 2"] == calls
    assert 1 == counts.dead


async def test_attempts_are_counted_over_restarts(work):
    """Whichever process makes the next attempt: a handler fails as often as its policy says, and returns once."""
    calls = []

    async def fine(event: Event) -> None:
        calls.append("fine")

    async def broken(event: Event) -> None:
        calls.append("broken")
        raise ValueError

    await work(fine, broken, retry=PATIENT)
    await work.put("1")
    for seconds in (100.0, 200.0):
        await work.until(lambda: not work.worker._in_flight and len(calls) > 1)
        await work.worker.stop(1)
        await work(fine, broken, retry=PATIENT)
        await work.retry(seconds)
    counts = await work.settled()

    assert (["fine", "broken", "broken", "broken"], 1) == (calls, counts.dead)


async def test_an_id_that_was_purged_starts_afresh(work):
    """When a dead delivery was purged and its id comes again all handlers run, also those that had returned."""
    calls = []

    async def first(event: Event) -> None:
        calls.append("first")

    async def second(event: Event) -> None:
        calls.append("second")
        if len(calls) == 2:
            raise ValueError

    await work(first, second, retry=ONCE)
    await work.put("1")
    await work.settled()
    await work.inbox.purge(DeliveryFilter(ordering_key="account-1"))
    await work.put("1")
    counts = await work.settled()

    assert (["first", "second", "first", "second"], 1) == (calls, counts.done)


@pytest.fixture
def one_version(work, monkeypatch):
    """An inbox on which workers of one version are at work; for others see `test_worker_versions.py`."""
    monkeypatch.setattr(type(work.inbox), "spans_versions", False, raising=False)


@pytest.mark.usefixtures("one_version")
async def test_undecodable(work):
    """A delivery that cannot be decoded is dead at once, whole, with the place that could not be read."""

    async def handle(event: Event) -> None:
        raise AssertionError

    await work(handle)
    await work.put("1", timestamp="planted-4711")
    await work.settled()
    (entry,) = await work.inbox.entries(DeliveryFilter(states="dead"))
    await work.inbox.revive()
    await work.settled()

    assert "payload.timestamp: not a moment in time" == entry.reason
    assert 2 == (await work.inbox.entries(DeliveryFilter(states="dead")))[0].attempts + 1


@pytest.mark.usefixtures("one_version")
async def test_undecodable_until_an_upgrade(work, upgraded):
    """A delivery that could not be decoded is handled after an upgrade that can, once it is revived."""
    seen = []

    async def handle(event: Event) -> None:
        seen.append(type(event).__name__)

    with upgraded(moons="a number"):
        await work(handle)
        await work.put("1", event="moon.risen", moons="two")
        counts = await work.settled()
    with upgraded(moons="text"):
        await work.inbox.revive()
        await work.settled()

    assert (1, ["MoonRisen"]) == (counts.dead, seen)


async def test_a_handler_that_ignores_its_cancellation(work, grace, caplog):
    """A stuck handler that cannot be cancelled is left to itself, and its account goes on."""
    handled, release = [], asyncio.Event()

    async def handle(event: Event) -> None:
        while event.event_id == "bad" and not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        handled.append(event.event_id)

    await work((handle, {"timeout_s": 0.01}), retry=ONCE)
    await work.put("bad", "good")
    counts = await work.settled()
    before = list(handled)
    release.set()
    await work.until(lambda: len(handled) == 2)

    assert (["good"], 1) == (before, counts.dead)
    assert "ignores its cancellation" in caplog.text


async def test_the_others_run_when_one_ignores_its_cancellation(work, grace):
    """The handlers after a stuck one run once, and not again when it ends after all."""
    calls, release = [], asyncio.Event()

    async def stuck(event: Event) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        calls.append("stuck")

    async def after(event: Event) -> None:
        calls.append("after")

    await work((stuck, {"timeout_s": 0.01}), after, retry=ONCE)
    await work.put("1")
    counts = await work.settled()
    release.set()
    await work.until(lambda: not work.worker._dispatcher.stuck)
    (entry,) = await work.inbox.entries(DeliveryFilter(states="dead"))

    assert (["after", "stuck"], 1) == (calls, counts.dead)
    assert "stuck: timeout: no end after 0.01 s at " in entry.reason


async def test_a_handler_that_cancels_itself(work):
    """A handler that cancels the task it runs in has failed like any other: its delivery does not come for ever."""
    calls = []

    async def rash(event: Event) -> None:
        calls.append("rash")
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def after(event: Event) -> None:
        await asyncio.sleep(0)
        calls.append("after")

    await work(rash, after, retry=ONCE)
    await work.put("1")
    counts = await work.settled()
    (entry,) = await work.inbox.entries(DeliveryFilter(states="dead"))

    assert (["rash", "after"], 1) == (calls, counts.dead)
    assert entry.reason.endswith("rash: CancelledError")


async def test_deliveries_do_not_share_a_context(work, variable):
    """A context variable that is set for one delivery is not seen by the next."""
    seen = []

    async def handle(event: Event) -> None:
        seen.append(variable.get())
        variable.set(event.event_id)

    await work(handle)
    await work.put("1", "2")
    await work.settled()

    assert [None, None] == seen
