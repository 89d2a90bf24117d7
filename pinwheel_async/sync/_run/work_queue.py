"""Bounded priority queue with a worker pool: follow-up work goes first, so that it never piles up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import TypeAlias

Step: TypeAlias = Callable[[], Awaitable[None]]
"""One piece of work, done by one worker."""

# While one page of accounts is fetched, every worker finishes about one unit. Four for each are slack enough that none
# waits for the list, and the queue is as short for a million accounts as for a hundred.
_LOOK_AHEAD = 4


STOP_S = 30.0
"""Seconds that a sink may take to store what it has when the run is to stop: less than the 90 that systemd waits before
it kills, and more than it takes to notice that a writer process hangs."""


class WorkQueue:
    """A queue that is never much longer than its workers need, and how many of them work at once.

    Args:
        slots: Most workers that work at once.
        extra_workers: Workers beside them, who take over while others have yielded their slots.
    """

    def __init__(self, slots: int, extra_workers: int = 0) -> None:
        self.workers = slots + extra_workers
        self._slots = asyncio.Semaphore(slots)
        self._holders: set[asyncio.Task[object] | None] = set()
        """Workers that hold a slot. After `yield_slot(last=True)` a worker ends its step without one, and a slot must
        never be released twice."""
        self.yielding: set[asyncio.Task[object] | None] = set()
        self._stopped = False
        # Only what is put is limited. What is pushed comes from workers, and only workers make room: if all of them
        # waited for it, none would ever come.
        self._room = asyncio.Semaphore(_LOOK_AHEAD * slots)
        self._waiting: asyncio.PriorityQueue[tuple[bool, int, Step]] = asyncio.PriorityQueue()
        """Whether a step was put and not pushed, and its number: False sorts before True, so pushed steps come first,
        and the number keeps each kind in order. It is unique, so steps themselves are never compared."""
        self._numbers = count()

    async def put(self, step: Step) -> None:
        """Add a step at the end, as soon as there is room."""
        await self._room.acquire()
        self._waiting.put_nowait((True, next(self._numbers), step))

    def push(self, step: Step) -> None:
        """Add a step before all that were put, at once; for workers, of which each follows up on one step."""
        self._waiting.put_nowait((False, next(self._numbers), step))

    async def work(self) -> None:
        """Do one step after the other, until cancelled."""
        while not self._stopped:
            was_put, _, step = await self._waiting.get()
            if was_put:
                self._room.release()
            await self.take_slot()
            try:
                await step()
            finally:
                self.release_slot()
            self._waiting.task_done()  # only after what the step pushed was counted, or `join` would end too early

    def yield_slot(self, *, last: bool) -> "_YieldedSlot":
        """Let another worker work meanwhile; for workers who wait in the middle of a step.

        Args:
            last: Whether hardly anything of the step is left after it, unless it fails: then the worker does not wait
                for a slot again.
        """
        return _YieldedSlot(self, last=last)

    async def stop(self, workers: Iterable[asyncio.Task[None]]) -> None:
        """Begin nothing more, and cancel what is being done; only workers that have yielded their slots come to an end.

        They wait for the sink, which stores their pages anyway: so the counters say what is stored. One that hangs is
        not waited for without end.
        """
        self._stopped = True
        yielding = [worker for worker in workers if worker in self.yielding]
        for worker in workers:
            if worker not in yielding:
                worker.cancel()
        if yielding:
            _, late = await asyncio.wait(yielding, timeout=STOP_S)
            for worker in late:
                worker.cancel()

    async def join(self) -> None:
        """Wait until everything is done, and all that followed from it."""
        await self._waiting.join()

    async def take_slot(self) -> None:
        """Wait until the worker may work."""
        if self._stopped:  # a worker that had yielded its slot was not cancelled by `stop`, and ends here
            raise asyncio.CancelledError
        await self._slots.acquire()
        self._holders.add(asyncio.current_task())

    def release_slot(self) -> None:
        """Let another worker work, if this one does."""
        task = asyncio.current_task()
        if task in self._holders:
            self._holders.discard(task)
            self._slots.release()


class _YieldedSlot:
    """Context in which a worker has yielded its slot; of `contextlib`, a generator would take twice as long."""

    __slots__ = ("_last", "_queue", "_worker")

    def __init__(self, queue: WorkQueue, *, last: bool) -> None:
        self._queue = queue
        self._last = last
        self._worker = asyncio.current_task()

    async def __aenter__(self) -> None:
        self._queue.release_slot()
        self._queue.yielding.add(self._worker)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        # Before it waits for a slot: `stop` must cancel a worker that has nothing to finish any more.
        self._queue.yielding.discard(self._worker)
        # What handles an error may fetch again.
        if not self._last if kind is None else issubclass(kind, Exception):
            await self._queue.take_slot()
