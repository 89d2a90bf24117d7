"""Worker and handlers that are slow, hang, or do not end: other accounts go on, and memory has an end."""

import asyncio

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import Context
from pinwheel_async.webhooks._worker.worker import MOST_SLOW, SLOW_S

ONCE = RetryPolicy(attempts=1)


class Accounts:
    """Handler that waits for those accounts that are named so, until it is released."""

    def __init__(self):
        self.release = asyncio.Event()
        self.handled = []
        self.running = set()

    async def hang(self, event: IncomeAdded) -> None:
        self.running.add(event.account_id)
        if event.account_id.startswith("hangs"):
            await self.release.wait()
        self.running.discard(event.account_id)
        self.handled.append(event.event_id)

    async def ignore(self, event: IncomeAdded) -> None:
        self.running.add(event.event_id)
        while event.account_id.startswith("hangs") and not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                continue
        self.running.discard(event.event_id)
        self.handled.append(event.event_id)


@pytest.fixture
def accounts():
    """What is still running at the end is let go, or the event loop would wait for it for ever."""
    accounts = Accounts()
    yield accounts
    accounts.release.set()


async def settle():
    for _ in range(50):
        await asyncio.sleep(0)


async def test_hanging_accounts_hold_up_others_for_a_moment_only(work, time, accounts):
    """Accounts whose handlers hang, as many as are worked on side by side, hold up the others for two seconds."""
    await work(accounts.hang, concurrency=4)
    for number in range(4):
        await work.put(f"h{number}", account_id=f"hangs-{number}")
    await work.until(lambda: len(accounts.running) == 4)
    await work.put("o", account_id="other")
    await settle()
    before = list(accounts.handled)
    time.advance(SLOW_S)
    await work.until(lambda: accounts.handled)
    after = list(accounts.handled)
    accounts.release.set()
    await work.settled()

    assert ([], ["o"]) == (before, after)


async def test_a_few_that_hang_take_no_place(work, time, accounts):
    """While some accounts hang for long, as many others are worked on side by side as ever."""
    await work(accounts.hang, concurrency=4)
    for number in range(3):
        await work.put(f"h{number}", account_id=f"hangs-{number}")
    await work.until(lambda: len(accounts.running) == 3)
    time.advance(SLOW_S)
    for number in range(3, 9):
        await work.put(f"h{number}", account_id=f"hangs-{number}")
    await work.until(lambda: len(accounts.running) == 7)
    await settle()
    side_by_side = len(accounts.running)
    accounts.release.set()
    await work.settled()

    assert 3 + 4 == side_by_side


async def test_slow_handlers_have_a_limit(work, time, accounts, caplog):
    """However many accounts hang, only so many are worked on at once; that is logged once, and ends with them."""
    await work(accounts.hang, concurrency=1)
    for number in range(MOST_SLOW + 5):
        await work.put(f"{number}", account_id=f"hangs-{number}")
    for _ in range(MOST_SLOW + 3):
        await settle()
        time.advance(SLOW_S)
    most = len(accounts.running)
    accounts.release.set()
    counts = await work.settled()

    assert (MOST_SLOW, MOST_SLOW + 5) == (most, counts.done)
    assert 1 == caplog.text.count(f"nothing more is claimed until some end: {MOST_SLOW} handlers are slow or stuck")


async def test_stuck_handlers_are_counted_and_have_a_limit(work, time, accounts, grace):
    """Handlers that ignore their cancellation are counted, and no more than so many are let go on."""
    await work((accounts.ignore, {"timeout_s": 0.001}), concurrency=1, retry=ONCE)
    alive = work.worker.is_alive
    for number in range(MOST_SLOW + 5):
        await work.put(f"{number}", account_id=f"hangs-{number}")
    await work.until(lambda: work.worker.stuck == MOST_SLOW)
    await settle()
    most = len(accounts.running)
    accounts.release.set()
    await work.until(lambda: time.advance(SLOW_S) or len(accounts.handled) == MOST_SLOW + 5)
    await work.until(lambda: not work.worker.stuck)
    await work.worker.stop(1)

    assert (MOST_SLOW, True, False) == (most, alive, work.worker.is_alive)


@pytest.mark.parametrize(("hold_stuck", "expected"), [(False, ["next"]), (True, [])])
async def test_an_account_waits_for_a_stuck_handler_if_asked_to(work, accounts, grace, hold_stuck, expected):
    """An account goes on beside a handler that ignores its cancellation; with *hold_stuck* it waits for its end."""

    async def handle(event: IncomeAdded) -> None:
        if event.event_id == "next":
            accounts.handled.append("next")
        else:
            await accounts.ignore(event)

    await work((handle, {"timeout_s": 0.001}), retry=ONCE, hold_stuck=hold_stuck)
    await work.put("stuck", "next", account_id="hangs")
    await work.put("other", account_id="other")
    await work.until(lambda: work.worker.stuck and "other" in accounts.handled)
    await settle()
    meanwhile = [event_id for event_id in accounts.handled if event_id != "other"]
    accounts.release.set()
    counts = await work.settled()

    assert expected == meanwhile
    assert (3 if hold_stuck else 2) == counts.done


async def test_stop_while_an_account_waits(work, accounts, grace):
    """A delivery whose stuck handler an account waits for is not given back at a stop, but left to its lease."""
    await work((accounts.ignore, {"timeout_s": 0.001}), hold_stuck=True)
    await work.put("stuck", account_id="hangs")
    await work.until(lambda: work.worker.stuck)
    async with asyncio.timeout(5):
        await work.worker.stop(0.01)
    counts = await work.inbox.counts()
    accounts.release.set()
    await work.until(lambda: not work.worker.stuck)

    assert 1 == counts.claimed


async def test_tokens_and_leases_of_handlers(work, inbox, time):
    """A handler can ask for its fencing token, and whether its lease is lost: known to be, or ended without notice."""
    contexts, release = [], asyncio.Event()

    async def handle(event: Event, context: Context) -> None:
        contexts.append(context)
        await release.wait()

    await work(handle, lease_s=30)
    await work.put("1", account_id="a")
    await work.put("2", account_id="b")
    await work.until(lambda: len(contexts) == 2)
    lost = [context.lease_lost for context in contexts]
    time.now += 30  # the loop stood still, and no timer went off
    paused = [context.lease_lost for context in contexts]
    await inbox.claim(1, lease_s=30)
    time.advance(0)
    await work.until(lambda: not contexts[1].lease_lost)  # extended
    taken = [context.lease_lost for context in contexts]
    release.set()

    assert ([False] * 2, [True] * 2, [True, False]) == (lost, paused, taken)
    assert contexts[1].token > contexts[0].token > 0


async def test_the_worker_claims_again_what_it_has(work, time):
    """When a worker claims again what it still works on, the lease of the handler is no longer lost."""
    contexts, release = [], asyncio.Event()

    async def handle(event: Event, context: Context) -> None:
        contexts.append(context)
        await release.wait()

    await work(handle, lease_s=30)
    await work.put("1", account_id="a")
    await work.until(lambda: contexts)
    time.now += 31
    await work.put("2", account_id="b")
    await work.until(lambda: len(contexts) == 2)
    lost = contexts[0].lease_lost
    release.set()
    counts = await work.settled()

    assert (False, 2) == (lost, counts.done)


async def test_alone_beside_an_account_that_waits(work, inbox, time, accounts, grace):
    """A delivery that has to run alone does not wait for a handler that does not end."""
    await inbox.open()
    await work.put("suspect", account_id="suspect")
    for _ in range(3):
        await inbox.claim(1, lease_s=0)
    await work.put("stuck", account_id="hangs")
    await work((accounts.ignore, {"timeout_s": 0.001}), hold_stuck=True, retry=ONCE)
    await work.until(lambda: time.advance(1) or "suspect" in accounts.handled)
    stuck = work.worker.stuck
    accounts.release.set()
    await work.settled()

    assert 1 == stuck
