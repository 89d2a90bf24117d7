"""The bell of an inbox: rung when a delivery may have become due, heard by whoever waits for one."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from pinwheel_async._clock import Clock


class Bell:
    """Wakes everyone who waits; who does not wait yet hears nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake everyone who waits."""
        for heard in self._waiting:
            _wake(heard)

    async def wait(self, look: Callable[[], Awaitable[float | None]], timeout_s: float) -> None:
        """Return when it rings, when what *look* foresees is due, or when the time is over.

        Args:
            look: Returns in how many seconds something is due; None if nothing will be by itself. It is asked after
                listening has begun, so nothing slips between looking and waiting.
            timeout_s: Seconds to wait at most.
        """
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(heard)
        try:
            due_in_s = await look()
            delay_s = timeout_s if due_in_s is None else min(timeout_s, due_in_s)
            if delay_s <= 0:
                return
            timer = self._clock.call_later(delay_s, partial(_wake, heard))
            try:
                await heard
            finally:
                timer.cancel()
        finally:
            self._waiting.discard(heard)


def _wake(heard: "asyncio.Future[None]") -> None:
    if not heard.done():
        heard.set_result(None)
