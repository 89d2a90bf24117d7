"""The line in which work waits for workers: what follows from work that was done comes first, so it never piles up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count
from typing import TypeAlias

Step: TypeAlias = Callable[[], Awaitable[None]]
"""Something to do."""

# While one page of accounts is fetched, every worker finishes about one unit.
_LOOK_AHEAD = 4


class Line:
    """A line that is never much longer than its workers need.

    Args:
        active: Most workers that do something at once.
        resting: Workers beside them, who take over while some rest.
    """

    def __init__(self, active: int, resting: int = 0) -> None:
        self.workers = active + resting
        self._turns = asyncio.Semaphore(active)
        self._busy: set[asyncio.Task[object] | None] = set()
        self._resting: set[asyncio.Task[object] | None] = set()
        self._stopped = False
        self._room = asyncio.Semaphore(_LOOK_AHEAD * active)
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
        while not self._stopped:
            appended, _, step = await self._waiting.get()
            if appended:
                self._room.release()
            await self._begin()
            try:
                await step()
            finally:
                self._end()
            self._waiting.task_done()

    @asynccontextmanager
    async def rest(self, *, last: bool) -> AsyncGenerator[None, None]:
        """Let another worker do something meanwhile; for workers who wait in the middle of a step.

        Args:
            last: Whether hardly anything of the step is left after it, unless it fails.
        """
        self._end()
        self._resting.add(asyncio.current_task())
        try:
            yield
        except Exception:
            self._resting.discard(asyncio.current_task())
            await self._begin()
            raise
        finally:
            self._resting.discard(asyncio.current_task())
        if not last:
            await self._begin()

    async def stop(self, workers: Iterable[asyncio.Task[None]]) -> None:
        """Begin nothing more, and give up what is being done; only let those who rest come to their end."""
        self._stopped = True
        resting = [one for one in workers if one in self._resting]
        for one in workers:
            if one not in resting:
                one.cancel()
        if resting:
            await asyncio.wait(resting)

    async def _begin(self) -> None:
        if self._stopped:
            raise asyncio.CancelledError
        await self._turns.acquire()
        self._busy.add(asyncio.current_task())

    def _end(self) -> None:
        task = asyncio.current_task()
        if task in self._busy:
            self._busy.discard(task)
            self._turns.release()

    async def finish(self) -> None:
        """Wait until everything is done, and all that followed from it."""
        await self._waiting.join()
