"""Clock and random numbers in one value, so that tests can bring their own."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
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
