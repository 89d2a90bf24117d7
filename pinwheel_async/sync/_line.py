"""The line in which work waits for workers: what follows from work that was done comes first, so it never piles up."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeAlias

Step: TypeAlias = Callable[[], Awaitable[None]]
"""Something to do."""

# While one page of accounts is fetched, every worker finishes about one unit.
_LOOK_AHEAD = 4


class Line:
    """A line that is never much longer than its workers need."""

    def __init__(self, workers: int) -> None:
        self._room = asyncio.Semaphore(_LOOK_AHEAD * workers)
        self._waiting: asyncio.PriorityQueue[tuple[bool, int, Step]] = asyncio.PriorityQueue()
        self._numbers = count()

    async def append(self, step: Step) -> None:
        """Line up at the end, when there is room."""
        await self._room.acquire()
        self._waiting.put_nowait((True, next(self._numbers), step))

    def insert(self, step: Step) -> None:
        """Line up before everything that was appended, at once; for workers, of which each follows up on one step."""
        self._waiting.put_nowait((False, next(self._numbers), step))

    async def work(self) -> None:
        """Do one step after the other, until cancelled."""
        while True:
            appended, _, step = await self._waiting.get()
            if appended:
                self._room.release()
            await step()
            self._waiting.task_done()

    async def finish(self) -> None:
        """Wait until everything is done, and all that followed from it."""
        await self._waiting.join()
