"""Limiter of the requests in flight: a priority queue for slots, first come, first served, background work last.

Calls of the foreground wait until their deadline, and are refused as soon as it is clear that they would wait longer.
Background work waits as long as it takes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from math import inf
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._clock import Clock, Timer
from pinwheel_async._http.throttle import Pace

_BACKGROUND: ContextVar[bool] = ContextVar("pinwheel_async.background", default=False)


@contextmanager
def background() -> Generator[None]:
    """Let calls made in this block, and in tasks started in it, wait behind all others of the client.

    It matters only while calls have to wait: then bulk work does not delay calls that a person waits for. It waits as
    long as it takes: time in the client's own line, and time that the server asks to wait, are no part of *timeout_s*,
    which so begins with the first attempt.
    """
    outer = _BACKGROUND.get()
    _BACKGROUND.set(True)
    try:
        yield
    finally:
        _BACKGROUND.set(outer)


def is_background() -> bool:
    """Whether the current task makes its calls in the background."""
    return _BACKGROUND.get()


Cause: TypeAlias = Literal["pause", "endpoint_pause", "rate", "slots"]


@frozen
class Refusal:
    """Why a call got no slot before its deadline."""

    cause: Cause
    """The server asked all calls or those of the endpoint to wait, the cap on the rate, or too few slots."""
    wait_s: float
    """Seconds that the pause still lasts, or until its turn under the rate; or that it waited for a slot in vain."""


class RequestLimiter:
    """Slots for requests in flight, handed from holder to waiter, so that a cancelled waiter cannot lose a slot."""

    __slots__ = ("_background", "_clock", "_foreground", "_timer", "pace")

    def __init__(self, pace: Pace, clock: Clock) -> None:
        self.pace = pace
        self._clock = clock
        self._timer: Timer | None = None
        # Queues; ordered dicts, because a waiter that is cancelled leaves from the middle.
        self._foreground: OrderedDict[asyncio.Future[bool], None] = OrderedDict()
        self._background: OrderedDict[asyncio.Future[bool], None] = OrderedDict()

    def acquire_nowait(self, endpoint: str, now: float) -> bool:
        """Take a slot if one is free and no other call waits for it."""
        pace = self.pace
        free = not self._foreground and not self._background and endpoint not in pace.endpoints_paused
        return free and pace.begin(now)

    async def acquire(self, endpoint: str, deadline: float) -> Refusal | None:
        """Wait for a slot, in the background as long as it takes.

        Args:
            endpoint: What will be called.
            deadline: Clock reading before which a call of the foreground must have its slot.

        Returns:
            Why there is none before the deadline, at once where that is clear; None when the slot is taken.
        """
        if _BACKGROUND.get():
            queue, deadline = self._background, inf
        else:
            queue = self._foreground
        began = now = self._clock.monotonic()
        pause_s = self.pace.endpoint_paused_s(endpoint, now)
        if now + pause_s >= deadline:
            return Refusal("endpoint_pause", pause_s) if pause_s else Refusal("slots", 0.0)
        if pause_s:
            await self._clock.sleep(pause_s)
            now = self._clock.monotonic()
        if now + self.pace.turn_s(now, ahead=len(queue)) >= deadline:
            paused_s = self.pace.paused_s(now)
            if now + paused_s >= deadline:
                return Refusal("pause", paused_s)
            return Refusal("rate", self.pace.turn_s(now, ahead=len(queue)))
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        queue[waiter] = None
        timer = None if deadline == inf else self._clock.call_later(deadline - now, partial(_refuse, waiter))
        self.grant()
        try:
            if await waiter:
                return None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.release()  # the slot came together with the cancellation
            raise
        finally:
            if timer is not None:
                timer.cancel()
            queue.pop(waiter, None)
        return self._refusal(began)

    def _refusal(self, began: float) -> Refusal:
        """Say what a call waited for since *began*."""
        now = self._clock.monotonic()
        if paused_s := self.pace.paused_s(now):
            return Refusal("pause", paused_s)
        if self.pace.is_full or not (self.pace.interval_s or self.pace.shared):
            return Refusal("slots", now - began)
        return Refusal("rate", now - began + self.pace.wait_s(now))

    def release(self) -> None:
        """Give the slot back, to the next waiter if there is one."""
        self.pace.end()
        if self._foreground or self._background:
            self.grant()

    def close(self) -> None:
        """Stop the timer; calls that still wait are cancelled by the client."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def grant(self) -> None:
        """Hand free slots to waiters, those of the background last."""
        now = self._clock.monotonic()
        for queue in (self._foreground, self._background):
            while queue:
                waiter = next(iter(queue))
                if not waiter.done():
                    if not self.pace.begin(now):
                        self._wake_after(self.pace.wait_s(now))
                        return
                    waiter.set_result(True)
                del queue[waiter]

    def _wake_after(self, delay_s: float) -> None:
        """Grant again when pause and rate allow; a missing slot needs no timer, because `release` grants."""
        if delay_s > 0 and self._timer is None:
            self._timer = self._clock.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.grant()


def _refuse(waiter: "asyncio.Future[bool]") -> None:
    if not waiter.done():
        waiter.set_result(False)
