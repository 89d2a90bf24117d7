"""Time that stands still until it is turned."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from pinwheel_async.testing._clock import ClockHold, FakeClock

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
async def clock():
    """A clock that stands at noon."""
    made = FakeClock()
    made.set(NOON)
    made.start(asyncio.get_running_loop())
    yield made
    made.stop()


async def test_stands_still(clock):
    """Nobody turns it, nothing moves."""
    assert NOON == clock.now() == clock.now()


async def test_advance(clock):
    """Where nothing is due, time is turned at once."""
    clock.advance(1.5)

    assert at(1.5) == clock.now()


async def test_backwards(clock):
    """Time cannot be turned back."""
    with pytest.raises(ValueError, match="ahead"):
        clock.advance(-1)


async def test_due_in_order(clock):
    """However far it is turned, what is due is done at its own moment, in order."""
    seen = []
    for seconds in (3, 1, 2, 1):
        clock.call_later(seconds, lambda: seen.append(clock.now()))
    clock.advance(60)

    assert [at(1), at(1), at(2), at(3)] == seen
    assert at(60) == clock.now()


async def test_not_yet_due(clock):
    """What is due later waits."""
    seen = []
    clock.call_later(10, lambda: seen.append(1))
    clock.advance(9)
    await clock.idle()

    assert [] == seen


async def test_over_already(clock):
    """What was due in the past is done at the present moment."""
    seen = []
    clock.call_at(at(-5), lambda: seen.append(clock.now()))
    await clock.idle()

    assert [NOON] == seen


async def test_cancelled(clock):
    """An alarm that was cancelled is forgotten."""
    seen = []
    clock.call_later(1, lambda: seen.append(1)).cancel()
    clock.advance(5)

    assert ([], at(5)) == (seen, clock.now())


async def test_alarm_sets_alarm(clock):
    """What is due may set what is due later on the same way."""
    seen = []
    clock.call_later(1, lambda: clock.call_later(1, lambda: seen.append(clock.now())))
    clock.advance(5)

    assert [at(2)] == seen


async def test_hold(clock):
    """While something is under way, what is due later waits, and time with it."""
    seen = []
    hold = ClockHold(clock)
    hold.acquire()
    clock.call_later(1, lambda: seen.append(clock.now()))
    clock.advance(5)
    assert ([], NOON) == (seen, clock.now())
    hold.release()
    await clock.idle()

    assert ([at(1)], at(5)) == (seen, clock.now())


async def test_hold_twice(clock):
    """To acquire or to release a hold twice is as good as once."""
    hold = ClockHold(clock)
    hold.acquire()
    hold.acquire()
    hold.release()
    hold.release()
    clock.advance(5)

    assert at(5) == clock.now()


async def test_idle_waits_for_hold(clock):
    """A clock is not idle while something is under way."""
    hold = ClockHold(clock)
    hold.acquire()
    waiting = [asyncio.create_task(clock.idle()) for _ in range(2)]
    await asyncio.wait(waiting, timeout=0)
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()
    hold.release()

    await waiting[1]


async def test_set(clock):
    """It can be set to any moment, and goes on from there."""
    clock.set(at(-100))
    clock.advance(1)

    assert at(-99) == clock.now()


async def test_other_offset(clock):
    """Whatever offset it was set with, it tells UTC."""
    clock.set(datetime.fromisoformat("2026-04-01T08:00:00-04:00"))

    assert (NOON, UTC) == (clock.now(), clock.now().tzinfo)


async def test_real_time():
    """With the real time, what is due is done by itself."""
    clock, seen = FakeClock(speed=1), asyncio.Event()
    clock.start(asyncio.get_running_loop())
    before = clock.now()
    clock.call_later(0.01, seen.set)
    async with asyncio.timeout(30):
        await seen.wait()
    clock.stop()

    assert clock.now() > before + timedelta(seconds=0.01)


async def test_real_time_jumps():
    """A clock that goes with the real time can jump ahead."""
    clock, seen = FakeClock(speed=1), []
    clock.start(asyncio.get_running_loop())
    clock.call_later(3_600, lambda: seen.append(1))
    clock.advance(3_600)
    await clock.idle()
    clock.stop()

    assert [1] == seen
    assert clock.now() > datetime.now(UTC) + timedelta(minutes=59)


async def test_stop_forgets():
    """A clock that was stopped does nothing any more, and nobody waits for it."""
    clock, seen = FakeClock(speed=1), []
    clock.start(asyncio.get_running_loop())
    clock.call_later(60, lambda: seen.append(1))
    clock.stop()
    clock.advance(120)
    await clock.idle()

    assert [] == seen


async def test_stop_wakes(clock):
    """`idle()` returns when the clock is stopped, even if something is still under way."""
    ClockHold(clock).acquire()
    waiting = asyncio.create_task(clock.idle())
    await asyncio.wait([waiting], timeout=0)
    clock.stop()

    await waiting


async def test_turned_from_another_thread(clock):
    """To turn it from another thread does what is due in its own loop, before that returns."""
    seen = []
    clock.call_later(1, lambda: seen.append(threading.current_thread()))
    after = await asyncio.to_thread(lambda: (clock.advance(5), clock.now(), list(seen)))

    assert (at(5), [threading.main_thread()]) == after[1:]


def test_without_loop():
    """Without a loop it can be turned all the same."""
    clock = FakeClock()
    clock.set(NOON)
    seen = []
    clock.call_later(2, lambda: seen.append(clock.now()))
    clock.advance(5)

    assert ([at(2)], at(5)) == (seen, clock.now())
    assert "2026-04-01T12:00:05" in repr(clock)


async def test_speed():
    """A clock with a speed begins where it is told to, goes on by itself so many times as fast, and jumps ahead."""
    clock, seen = FakeClock(speed=3_600, start=NOON), asyncio.Event()
    clock.start(asyncio.get_running_loop())
    begun = datetime.now(UTC)
    clock.call_later(3_600, seen.set)
    async with asyncio.timeout(60):
        await seen.wait()
    took_s = (datetime.now(UTC) - begun).total_seconds()
    clock.advance(86_400)

    assert 0.9 < took_s
    assert not clock.stands
    assert at(86_400 + 3_600) <= clock.now() <= at(86_400 + 3_600 * (took_s + 60))
    clock.stop()


async def test_reset():
    """A clock that is reset is where it began, and what was due later is not done any more."""
    for clock in (FakeClock(start=NOON), FakeClock(start=NOON, speed=1)):
        clock.start(asyncio.get_running_loop())
        seen = []
        clock.call_later(100, lambda seen=seen: seen.append(1))
        clock.advance(50)
        clock.reset()
        clock.advance(80)

        assert at(80) <= clock.now() < at(140)
        assert not seen
        clock.stop()


@pytest.mark.parametrize("speed", [0, -1])
def test_no_speed(speed):
    """Time that goes back, or stands still by its speed, is refused."""
    with pytest.raises(ValueError, match="more than 0"):
        FakeClock(speed=speed)
