"""The fake's time: it stands still until it is turned, and then waits at each moment for what is under way there.

However far a test turns it, everything happens as if the time had passed second by second, and nothing sleeps.
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
    """Something that is due at a moment."""

    moment: datetime
    action: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        """Forget it."""
        self.cancelled = True


class FakeClock:
    """What time it is, and what is due when.

    Time stands still between two turns, or goes with the real time if the clock was made so. While something is due at
    a moment, or under way there, time does not go on to a later one: `settled()` waits until it has come as far as it
    was turned.
    """

    def __init__(self, *, real_time: bool = False) -> None:
        self._now = self._limit = datetime.now(UTC)
        self._ahead = timedelta(0) if real_time else None
        self._alarms: list[tuple[datetime, int, Alarm]] = []
        self._numbers = itertools.count()
        self._grips = 0
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        """Return what time it is."""
        return f"<FakeClock {self.now().isoformat()}>"

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop in which what is due is done; None before the fake was started."""
        return self._loop

    def now(self) -> datetime:
        """Return what time it is."""
        return self._now if self._ahead is None else datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Turn the clock ahead; `settle()` of the fake waits until everything on the way has been done.

        Args:
            seconds: 0 or more. A clock that goes with the real time jumps ahead by so much.
        """
        if seconds < 0:
            raise ValueError("time goes ahead only")
        if self._ahead is None:
            self._limit += timedelta(seconds=seconds)
        else:
            self._ahead += timedelta(seconds=seconds)
        self._turn_in_loop()

    def set(self, now: datetime | None) -> None:
        """Stop at an aware moment, or go on with the real time if None.

        What is due at a moment keeps it: it waits if the clock was set back.
        """
        if now is not None and now.tzinfo is None:
            raise ValueError("now must be an aware datetime, such as datetime.now(UTC)")
        self._ahead = timedelta(0) if now is None else None
        if now is not None:
            self._now = self._limit = now.astimezone(UTC)
        self._turn_in_loop()

    def call_at(self, moment: datetime, action: Callable[[], None]) -> Alarm:
        """Do something at a moment, or very soon if it is over; things of one moment are done in order."""
        alarm = Alarm(moment, action)
        heapq.heappush(self._alarms, (moment, next(self._numbers), alarm))
        self._turn_soon()
        return alarm

    def call_later(self, seconds: float, action: Callable[[], None]) -> Alarm:
        """Do something after a while."""
        return self.call_at(self.now() + timedelta(seconds=seconds), action)

    async def settled(self) -> None:
        """Wait until nothing is due any more, and nothing that is under way holds the time; or until it is stopped."""
        while self._loop is not None and not self._turn():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def start(self, loop: AbstractEventLoop) -> None:
        """Do what is due in this loop from now on."""
        self._loop = loop
        self._turn_soon()

    def stop(self) -> None:
        """Forget everything that is due, and let nobody wait for it."""
        self._alarms.clear()
        self._set_timer(None)
        self._loop = None
        self._wake()

    def grip(self, by: int) -> None:
        """Count one more, or one less, that holds the time."""
        self._grips += by
        self._turn_soon()

    def _turn_soon(self) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._turn)

    def _turn_in_loop(self) -> None:
        """Turn at once; from another thread, let the loop do it and wait for that."""
        loop = self._loop
        if loop is None or not loop.is_running() or _is_running_here(loop):
            self._turn()
            return
        turned: Future[bool] = Future()
        loop.call_soon_threadsafe(lambda: turned.set_result(self._turn()))
        turned.result()

    def _turn(self) -> bool:
        """Do what is due, as far as time may go; return whether that was everything."""
        while (alarm := self._next()) and self._may_come(alarm.moment):
            heapq.heappop(self._alarms)
            self._now = max(self._now, alarm.moment)
            alarm.action()
        limit = self._limit if self._ahead is None else self.now()
        settled = not self._grips and (alarm is None or alarm.moment > limit)
        if settled:
            self._now = limit
            self._wake()
        self._set_timer(alarm)
        return settled

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _next(self) -> Alarm | None:
        while self._alarms and self._alarms[0][2].cancelled:
            heapq.heappop(self._alarms)
        return self._alarms[0][2] if self._alarms else None

    def _may_come(self, moment: datetime) -> bool:
        return moment <= self.now() or (self._ahead is None and not self._grips and moment <= self._limit)

    def _set_timer(self, alarm: Alarm | None) -> None:
        """Come back by the real time, where that is the time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if alarm is not None and self._ahead is not None and self._loop is not None:
            self._timer = self._loop.call_later((alarm.moment - self.now()).total_seconds(), self._turn)


def _is_running_here(loop: AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class Grip:
    """What is under way: while it is tight, time does not go on to a later moment."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._tight = False

    def tighten(self) -> None:
        """Hold the time."""
        if not self._tight:
            self._tight = True
            self._clock.grip(1)

    def loosen(self) -> None:
        """Let the time go on."""
        if self._tight:
            self._tight = False
            self._clock.grip(-1)
