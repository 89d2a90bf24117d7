"""Accounts that stopped half-way, and the timer that looks for them."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._readiness.readiness import STALL_CHECK_S, Readiness

from .bodies import ACCOUNT, added, connection, job
from .helpers import Broken, Reports, hear, lacking, settled


@asynccontextmanager
async def stalling(time, inbox=None, **options):
    readiness = Readiness(inbox, clock=time.clock, **options)
    reports = Reports(readiness)
    yield readiness, reports


async def looked(readiness, time, seconds):
    """Let time pass, and look."""
    time.advance(seconds)
    await readiness._stall_detector.check()


async def test_stalled(inbox, time):
    """An account that was added and not heard of again is reported once its time is over, and not again."""
    async with stalling(time, inbox) as (readiness, reports):
        await hear(readiness, added())
        await looked(readiness, time, 899)
        early = list(reports.states)
        await looked(readiness, time, 1)
        await looked(readiness, time, 5_000)

    assert ([], [ACCOUNT]) == (early, [state.account_id for state in reports.states])


async def test_a_repetition_is_watched(time):
    """An account of which a process has stored an event, and ended before it was listed, is reported all the same."""
    store = Broken()
    await hear(Readiness(store, clock=time.clock), added())
    async with stalling(time, store) as (readiness, reports):
        await hear(readiness, added())
        await looked(readiness, time, 900)

    assert [ACCOUNT] == [state.account_id for state in reports.states]


async def test_progress_puts_it_off(inbox, time):
    """An event that brings anything new restarts the time of its account; a repetition does not."""
    async with stalling(time, inbox) as (readiness, reports):
        event = job("paystubs.added", sync_status="in_progress")
        await hear(readiness, added())
        await looked(readiness, time, 600)
        await hear(readiness, event)
        await looked(readiness, time, 600)
        early = list(reports.states)
        await hear(readiness, event)
        await looked(readiness, time, 300)

    assert (0, 1) == (len(early), len(reports.states))


async def test_ready_is_not_stalled(inbox, time):
    """An account that has all it should is not reported."""
    async with stalling(time, inbox) as (readiness, reports):
        await hear(readiness, *connection())
        await looked(readiness, time, 5_000)

    assert [] == reports.states


async def test_what_was_waited_for_counts(inbox, time):
    """An account that has what was ever waited for is not reported for what it lacks beside that."""
    async with stalling(time, inbox) as (readiness, reports):
        await hear(readiness, added(), job("identity.added"), job("employment.added"))
        await asyncio.gather(
            readiness.wait(ACCOUNT, products=["identity"]), readiness.wait(ACCOUNT, products=["employment"])
        )
        await looked(readiness, time, 5_000)

    assert [] == reports.states


async def test_what_is_supported_counts(time, pinwheel):
    """An account that was not waited for is measured by the products of its platform."""
    platform_id = await lacking(pinwheel, "shifts")
    async with stalling(time, pinwheel=pinwheel) as (readiness, reports):
        await hear(readiness, added(platform_id=platform_id), job("income.added"), job("paystubs.fully_synced"))
        await looked(readiness, time, 5_000)

    assert "identity" in reports.states[0].unfinished
    assert "shifts" not in reports.states[0].wanted


async def test_account_without_events(time, fake, pinwheel):
    """An account that was waited for and exists is reported, even if no event ever came."""
    account_id = fake.world.account_id(0)
    async with stalling(time, pinwheel=pinwheel) as (readiness, reports):
        await readiness.get(account_id)
        await looked(readiness, time, 5_000)

    assert [account_id] == [state.account_id for state in reports.states]


async def test_stall_survives_a_restart(tmp_path, time):
    """Accounts that were unfinished when a process ended are reported by the next."""
    inbox = SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    async with stalling(time, inbox) as (readiness, _):
        await hear(readiness, added())
    await inbox.close()
    await inbox.open()
    async with stalling(time, inbox) as (readiness, reports):
        await looked(readiness, time, 900)
    await inbox.close()

    assert [ACCOUNT] == [state.account_id for state in reports.states]


@pytest.mark.parametrize("inbox", ["memory", "sqlite"], indirect=True)
async def test_reported_once_across_a_restart(inbox, time):
    """An account that a process has reported is not reported by the next, even if more events come."""
    async with stalling(time, inbox) as (readiness, _):
        await hear(readiness, added())
        await looked(readiness, time, 900)
    async with stalling(time, inbox) as (readiness, reports):
        await hear(readiness, job("identity.added"))
        await looked(readiness, time, 900)

    assert [] == reports.states


async def test_lists_stay_short(time):
    """Accounts that are ready, reported or forgotten are not looked at again."""
    async with stalling(time) as (readiness, _):
        await hear(readiness, *connection(), added(account_id="stalls"), added(account_id="erased"))
        await readiness.forget("erased")
        await looked(readiness, time, 900)

    assert [] == await readiness._store.unfinished()


async def test_vanished_account_is_let_go(time):
    """An account on the list of which nothing is known, as after a crash while it was forgotten, leaves the list."""
    async with stalling(time) as (readiness, reports):
        await readiness._store._enlist(ACCOUNT)
        await readiness._stall_detector.check()

    assert ([], []) == (reports.states, await readiness._store.unfinished())


async def test_nobody_wants_to_know(time):
    """Without a callback no list of accounts is kept."""
    readiness = Readiness(clock=time.clock)
    await hear(readiness, added())

    assert [] == await readiness._store.unfinished()


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt], ids=lambda kind: kind.__name__)
async def test_failing_callback(time, caplog, error, sigint_handled):
    """A callback that raises keeps neither the others nor the next account from being reported; no value is logged."""
    readiness = Readiness(clock=time.clock)

    @readiness.on_stalled
    async def planted(state) -> None:
        raise error("planted")

    reports = Reports(readiness)
    await hear(readiness, added(), added(account_id="account-2"))
    await looked(readiness, time, 900)

    assert 2 == len(reports.states)
    assert error.__name__ in caplog.text
    assert "planted" not in caplog.text


async def test_timer(time):
    """Once started it looks by itself, every minute."""
    called = asyncio.Event()
    async with Readiness(clock=time.clock) as readiness:

        @readiness.on_stalled
        async def wake(state) -> None:
            called.set()

        await hear(readiness, added())
        await settled()
        time.advance(STALL_CHECK_S)
        await settled()
        time.advance(900)

        await asyncio.wait_for(called.wait(), 5)


async def test_timer_outlives_trouble(time, caplog):
    """A store that fails ends a check, and not the checking."""
    store, called = Broken(), asyncio.Event()
    async with Readiness(store, clock=time.clock) as readiness:

        @readiness.on_stalled
        async def wake(state) -> None:
            called.set()

        await hear(readiness, added())
        await settled()
        store.broken = True
        time.advance(900)
        await settled()
        store.broken = False
        time.advance(STALL_CHECK_S)

        await asyncio.wait_for(called.wait(), 5)
    assert [(logging.ERROR, "could not check for stalled accounts: InboxError")] == [
        (record.levelno, record.message) for record in caplog.records
    ]


async def test_stop_during_a_callback(time):
    """A callback that is cut off by the end is called again after the next start."""
    store, calls = Broken(), []
    for _ in range(2):
        readiness = Readiness(store, clock=time.clock)

        @readiness.on_stalled
        async def endless(state) -> None:
            calls.append(state)
            await asyncio.Event().wait()

        await hear(readiness, added())
        await readiness.start()
        await settled()
        time.advance(900)
        await settled()
        await readiness.stop()

    assert 2 == len(calls)


async def test_start_and_stop_twice():
    """Starting what is started and stopping what is stopped does nothing."""
    readiness = Readiness()
    await readiness.stop()
    await readiness.start()
    task = readiness._task
    await readiness.start()
    assert task is readiness._task
    assert "<Readiness started>" == repr(readiness)

    await readiness.stop()

    assert "<Readiness not started>" == repr(readiness)


async def test_cleanup_ctx():
    """An aiohttp application can own it."""
    readiness = Readiness()
    running = readiness.cleanup_ctx(None)
    await anext(running)
    assert "<Readiness started>" == repr(readiness)

    with pytest.raises(StopAsyncIteration):
        await anext(running)

    assert "<Readiness not started>" == repr(readiness)


def test_callback_must_be_async():
    """A plain function is refused where it is registered."""
    with pytest.raises(ConfigurationError, match="async function"):
        Readiness().on_stalled(lambda state: None)


def test_limit_must_be_positive():
    """A limit that would report every account at once is refused."""
    with pytest.raises(ConfigurationError, match="stalled_after_s"):
        Readiness(stalled_after_s=0)
