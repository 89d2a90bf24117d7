"""The gate that all requests of a client pass: first come, first served, and background work behind all others."""

import asyncio
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

from pinwheel_async._clock import Clock, Timer
from pinwheel_async._core.pacing import Pace

_BACKGROUND: ContextVar[bool] = ContextVar("pinwheel_async.background", default=False)


@contextmanager
def background() -> Generator[None]:
    """Let calls made in this block, and in tasks started in it, wait behind all others of the client.

    It matters only while calls have to wait: bulk work does not slow down people who look at a page.
    """
    outer = _BACKGROUND.get()
    _BACKGROUND.set(True)
    try:
        yield
    finally:
        _BACKGROUND.set(outer)


class Gate:
    """Slots for requests in flight, handed from one holder to the next, so that a cancelled waiter cannot lose one."""

    __slots__ = ("_back", "_clock", "_front", "_timer", "pace")

    def __init__(self, pace: Pace, clock: Clock) -> None:
        self.pace = pace
        self._clock = clock
        self._timer: Timer | None = None
        # Ordered dicts, because a waiter that is cancelled leaves from the middle.
        self._front: OrderedDict[asyncio.Future[bool], None] = OrderedDict()
        self._back: OrderedDict[asyncio.Future[bool], None] = OrderedDict()

    def enter_nowait(self, now: float) -> bool:
        """Take a slot, if nobody waits and one is free."""
        return not self._front and not self._back and self.pace.begin(now)

    async def enter(self, deadline: float) -> bool:
        """Wait for a slot. False if there is none before *deadline*; at once, if a pause will last until then."""
        now = self._clock.monotonic()
        if now >= deadline or self.pace.paused_until >= deadline:
            return False
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        line = self._back if _BACKGROUND.get() else self._front
        line[waiter] = None
        timer = self._clock.call_later(deadline - now, partial(_refuse, waiter))
        self._pump()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.leave()  # the slot came together with the cancellation
            raise
        finally:
            timer.cancel()
            line.pop(waiter, None)

    def leave(self) -> None:
        """Give the slot back, to the next in line if there is one."""
        self.pace.end()
        if self._front or self._back:
            self._pump()

    def close(self) -> None:
        """Stop the timer; whoever still waits is cancelled by the client."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pump(self) -> None:
        now = self._clock.monotonic()
        for line in (self._front, self._back):
            while line:
                waiter = next(iter(line))
                if not waiter.done():
                    if not self.pace.begin(now):
                        self._wake_after(self.pace.wait_s(now))
                        return
                    waiter.set_result(True)
                del line[waiter]

    def _wake_after(self, delay_s: float) -> None:
        """Pump again when pause and rate allow; a missing slot needs no timer, because `leave` pumps."""
        if delay_s > 0 and self._timer is None:
            self._timer = self._clock.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._pump()


def _refuse(waiter: "asyncio.Future[bool]") -> None:
    if not waiter.done():
        waiter.set_result(False)
