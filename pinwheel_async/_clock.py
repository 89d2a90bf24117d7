"""Clock and random numbers in one value, so that tests can bring their own; and time limits."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from attrs import frozen


class Timer(Protocol):
    """Handle of a call that is due later."""

    def cancel(self) -> None:
        """Stop the call from being made."""
        ...


def _now() -> datetime:
    return datetime.now(UTC)


def _call_later(delay_s: float, callback: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(delay_s, callback)


@frozen(kw_only=True)
class Clock:
    """Clock, timers and random numbers: those of this machine, unless others are given."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds that never jump."""
    now: Callable[[], datetime] = _now
    """Wall clock, aware."""
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    call_later: Callable[[float, Callable[[], None]], Timer] = _call_later
    random: Callable[[], float] = random.random
    """A number in [0, 1)."""


def time_limit(delay_s: float | None) -> AbstractAsyncContextManager[asyncio.Timeout]:
    """Return `asyncio.timeout`, also for tasks that were cancelled before and go on, as a server does that shuts down.

    In these, before 3.11.3, a block that has run out of time is left by `CancelledError` instead of `TimeoutError`.
    """
    return asyncio.timeout(delay_s) if sys.version_info >= (3, 11, 3) else _time_limit(delay_s)


@asynccontextmanager
async def _time_limit(delay_s: float | None) -> AsyncGenerator[asyncio.Timeout]:
    task = asyncio.current_task()
    cancelling = task.cancelling() if task is not None else 0
    limit = asyncio.timeout(delay_s)
    try:
        async with limit:
            yield limit
    except asyncio.CancelledError as error:
        if not limit.expired() or (task is not None and task.cancelling() > cancelling):
            raise
        raise TimeoutError from error
