"""Notifier: wakes tasks that wait for a delivery, or for another state of an account, to become due."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from pinwheel_async._clock import Clock


class Notifier:
    """Wakes every task that waits; a task that does not wait yet misses the notification."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Future[bool]] = set()

    def notify(self) -> None:
        """Wake every task that waits."""
        for woken in self._waiting:
            _wake(woken, notified=True)

    async def wait(self, next_due: Callable[[], Awaitable[float | None]], timeout_s: float) -> bool:
        """Return when notified, when what *next_due* foresees is due, or when the time is over; True if notified.

        Args:
            next_due: Returns in how many seconds something is due; None if nothing will be by itself. It is called
                after waiting has begun, so no notification slips between looking and waiting.
            timeout_s: Seconds to wait at most.
        """
        woken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            due_in_s = await next_due()
            delay_s = timeout_s if due_in_s is None else min(timeout_s, due_in_s)
            if delay_s <= 0:
                return woken.done()
            timer = self._clock.call_later(delay_s, partial(_wake, woken, notified=False))
            try:
                return await woken
            finally:
                timer.cancel()
        finally:
            self._waiting.discard(woken)


def _wake(woken: "asyncio.Future[bool]", *, notified: bool) -> None:
    # Two notifications, or one and the timer, may come before the task has run.
    if not woken.done():
        woken.set_result(notified)
