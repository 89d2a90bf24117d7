"""Clock of the fake: time stands still until it is advanced, and then waits at each moment for what is under way there.

However far a test advances it, everything happens as if the time had passed second by second, and nothing sleeps.
"""

import asyncio
import heapq
import itertools
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

from attrs import define


@define(eq=False)
class Alarm:
    """An action that is due at a moment."""

    moment: datetime
    action: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        """Never do it."""
        self.cancelled = True


class FakeClock:
    """Current time, and the queue of actions that are due later.

    Time stands still between two advances, or goes so many times as fast as the real time. While an action is due at a
    moment, or under way there, time that stands still does not go on to a later one: `idle()` waits until it has come
    as far as it was advanced.
    """

    def __init__(self, *, speed: float | None = None, start: datetime | None = None) -> None:
        if speed is not None and speed <= 0:
            raise ValueError("speed must be more than 0, or None for a clock that stands still")
        self._start = start
        self._speed = speed
        self._origin: tuple[datetime, datetime] | None = None
        """A moment of the real time, and what time it was here then; None while time stands still."""
        self._begin()
        self._alarms: list[tuple[datetime, int, Alarm]] = []
        self._numbers = itertools.count()
        self._holds = 0
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        """Return what time it is."""
        return f"<FakeClock {self.now().isoformat()}>"

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop in which actions are done; None before the fake was started."""
        return self._loop

    @property
    def speed(self) -> float:
        """How many seconds go by in one of the real time; 1 while time stands still."""
        return 1.0 if self._origin is None or self._speed is None else self._speed

    @property
    def stands(self) -> bool:
        """Whether time stands still until it is advanced."""
        return self._origin is None

    def now(self) -> datetime:
        """Return what time it is."""
        if self._origin is None:
            return self._now
        real, here = self._origin
        return here + (datetime.now(UTC) - real) * self.speed

    def advance(self, seconds: float) -> None:
        """Turn the clock ahead; `settle()` of the fake waits until everything on the way has been done.

        Args:
            seconds: 0 or more. A clock that goes on by itself jumps ahead by so much.
        """
        if seconds < 0:
            raise ValueError("time goes ahead only")
        if self._origin is None:
            self._limit += timedelta(seconds=seconds)
        else:
            real, here = self._origin
            self._origin = real, here + timedelta(seconds=seconds)
        self._run_in_loop()

    def set(self, now: datetime | None) -> None:
        """Stop at an aware moment, or go on with the real time if None.

        What is due at a moment keeps it: it waits if the clock was set back.
        """
        if now is not None and now.tzinfo is None:
            raise ValueError("now must be an aware datetime, such as datetime.now(UTC)")
        if now is None:
            real = datetime.now(UTC)
            self._origin = real, real
        else:
            self._origin = None
            self._now = self._limit = now.astimezone(UTC)
        self._run_in_loop()

    def reset(self) -> None:
        """Drop every action that is due later, and go back to the time at which the clock began."""
        self._alarms.clear()
        self._begin()
        self._run_in_loop()

    def _begin(self) -> None:
        real = datetime.now(UTC)
        self._now = self._limit = self._start or real
        self._origin = None if self._speed is None else (real, self._now)

    def call_at(self, moment: datetime, action: Callable[[], None]) -> Alarm:
        """Do something at a moment, or very soon if it is over; actions of one moment are done in order."""
        alarm = Alarm(moment, action)
        # The number keeps the order within a moment; alarms themselves cannot be compared.
        heapq.heappush(self._alarms, (moment, next(self._numbers), alarm))
        self._run_soon()
        return alarm

    def call_later(self, seconds: float, action: Callable[[], None]) -> Alarm:
        """Do something after a while."""
        return self.call_at(self.now() + timedelta(seconds=seconds), action)

    async def idle(self) -> None:
        """Wait until no action is due any more and nothing holds the time, or until the clock is stopped."""
        while self._loop is not None and not self._run_due():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def start(self, loop: AbstractEventLoop) -> None:
        """Do what is due in this loop from now on."""
        self._loop = loop
        self._run_soon()

    def stop(self) -> None:
        """Drop every alarm, and let everything go on that waits in `idle()`."""
        self._alarms.clear()
        self._set_timer(None)
        self._loop = None
        self._wake()

    def hold(self, by: int) -> None:
        """Add to the number of holds (see `ClockHold`), or take from it."""
        self._holds += by
        self._run_soon()

    def _run_soon(self) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._run_due)

    def _run_in_loop(self) -> None:
        """Do what is due at once; from another thread, let the loop do it and wait for that."""
        loop = self._loop
        if loop is None or not loop.is_running() or _is_running_here(loop):
            self._run_due()
            return
        done: Future[bool] = Future()
        loop.call_soon_threadsafe(lambda: done.set_result(self._run_due()))
        done.result()

    def _run_due(self) -> bool:
        """Do what is due, as far as time may go; return whether the clock is idle then."""
        while (alarm := self._next()) and self._may_run(alarm.moment):
            # Off the queue and the time set first: the action may set alarms, and reads the time.
            heapq.heappop(self._alarms)
            self._now = max(self._now, alarm.moment)
            alarm.action()
        limit = self._limit if self._origin is None else self.now()
        idle = not self._holds and (alarm is None or alarm.moment > limit)
        if idle:
            self._now = limit
            self._wake()
        self._set_timer(alarm)
        return idle

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _next(self) -> Alarm | None:
        while self._alarms and self._alarms[0][2].cancelled:
            heapq.heappop(self._alarms)
        return self._alarms[0][2] if self._alarms else None

    def _may_run(self, moment: datetime) -> bool:
        """Tell whether time may go to a moment; a hold keeps it from later ones, but not from what is due already."""
        return moment <= self.now() or (self._origin is None and not self._holds and moment <= self._limit)

    def _set_timer(self, alarm: Alarm | None) -> None:
        """Come back for the next alarm by the real time, if the clock goes on by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if alarm is not None and self._origin is not None and self._loop is not None:
            wait_s = (alarm.moment - self.now()).total_seconds() / self.speed
            self._timer = self._loop.call_later(wait_s, self._run_due)


def _is_running_here(loop: AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class ClockHold:
    """Hold on a clock: while something under way has it, time does not go on to a later moment.

    To acquire or release it twice is as good as once: what was released because it takes too long is released again
    when it ends.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._is_held = False

    def acquire(self) -> None:
        """Hold the time."""
        if not self._is_held:
            self._is_held = True
            self._clock.hold(1)

    def release(self) -> None:
        """Let the time go on."""
        if self._is_held:
            self._is_held = False
            self._clock.hold(-1)
