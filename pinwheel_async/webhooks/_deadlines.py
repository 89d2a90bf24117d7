"""Time limits of tasks that are running: one timer for them all, because one each costs more than most of them do."""

import asyncio
from typing import Any


class Deadlines:
    """Cancels tasks whose time is over."""

    def __init__(self) -> None:
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer_at = 0.0

    def begin(self, task: "asyncio.Task[Any]", limit_s: float) -> None:
        """Give a task so many seconds from now."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit_s
        self._ends[task] = end
        if loop is not self._loop or end < self._timer_at:
            self._set(loop, end)

    def end(self, task: "asyncio.Task[Any]") -> bool:
        """Return whether its time was over, so that it was cancelled; from now on it will not be."""
        return self._ends.pop(task, None) is None

    def _set(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._loop, self._timer_at = loop, at
        loop.call_at(at, self._look, loop, at)

    def _look(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._loop is not loop or self._timer_at != at:
            return  # an earlier one was set since
        late = [task for task, end in self._ends.items() if end <= at]
        for task in late:
            del self._ends[task]
            task.cancel()
        self._loop = None
        if self._ends:
            self._set(loop, min(self._ends.values()))
