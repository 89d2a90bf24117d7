"""Time limit for what many tasks wait for: one timer serves all of them."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

SWEEP_S = 0.25
"""Seconds between two looks at who has waited too long, while anybody waits: how much a limit may be exceeded."""


BLOCKED_TURNS = 3
"""Turns of the event loop for those who have waited too long: if the loop was blocked, what they wait for may be there
and not yet told to them, which takes a turn for the inbox, one for the task, one to spare."""


class TimeLimit:
    """Cancels what takes too long.

    `asyncio.timeout` would do, but a timer for each delivery takes 4 µs, and this 1. All that storing one in memory
    takes is 12 µs.
    """

    def __init__(self) -> None:
        self._ends: dict[asyncio.Task[object], float] = {}
        """When those that wait have waited long enough."""
        self._late: set[asyncio.Task[object]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop in which the timer runs, if it runs."""

    async def wait(self, awaitable: Awaitable[T], limit_s: float) -> T:
        """Return what is awaited, which is cancelled after so many seconds.

        Raises:
            TimeoutError: It took longer.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._ends[task] = loop.time() + limit_s
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(SWEEP_S, self._sweep, loop)
        cancelling = task.cancelling()
        try:
            return await awaitable
        except asyncio.CancelledError:
            # If somebody else has cancelled the task, too, it is to end.
            if task in self._late and task.cancelling() <= cancelling + 1:
                raise TimeoutError from None
            raise
        finally:
            self._ends.pop(task, None)
            if task in self._late:
                self._late.remove(task)
                task.uncancel()

    def _sweep(self, loop: asyncio.AbstractEventLoop, turns: int = BLOCKED_TURNS) -> None:
        if loop is not self._loop:
            return
        now = loop.time()
        late = [task for task, end in self._ends.items() if end <= now]
        if late and turns:
            loop.call_soon(self._sweep, loop, turns - 1)
            return
        for task in late:
            del self._ends[task]
            self._late.add(task)
            task.cancel()
        if self._ends:
            loop.call_later(SWEEP_S, self._sweep, loop)
        else:
            self._loop = None
