"""Time limits of what is running: one timer for them all, because one each costs more than most of it does."""

import asyncio
from collections.abc import Callable
from typing import Any


class Deadlines:
    """Calls back when the time of something is over."""

    def __init__(self) -> None:
        self._ends: dict[asyncio.Future[Any], tuple[float, Callable[[], object]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer_at = 0.0

    def begin(self, what: "asyncio.Future[Any]", limit_s: float, over: Callable[[], object]) -> None:
        """Give something so many seconds from now."""
        loop = what.get_loop()
        end = loop.time() + limit_s
        self._ends[what] = (end, over)
        if loop is not self._loop or end < self._timer_at:
            self._set(loop, end)

    def end(self, what: "asyncio.Future[Any]") -> bool:
        """Return whether its time was over; if it was not, it will not be."""
        return self._ends.pop(what, None) is None

    def _set(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._loop, self._timer_at = loop, at
        loop.call_at(at, self._look, loop, at)

    def _look(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._loop is not loop or self._timer_at != at:
            return  # an earlier one was set since
        late = [(what, over) for what, (end, over) in self._ends.items() if end <= at]
        for what, over in late:
            del self._ends[what]
            over()
        self._loop = None
        if self._ends:
            self._set(loop, min(end for end, _ in self._ends.values()))
