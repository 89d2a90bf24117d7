"""Bounded priority queue with a worker pool: follow-up work goes first, so that it never piles up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Self, TypeAlias

Step: TypeAlias = Callable[["Slot"], Awaitable[None]]
"""One piece of work, done by one worker, in its slot."""

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
        self.slots = asyncio.Semaphore(slots)
        self.yielding: set[asyncio.Task[object] | None] = set()
        """Workers that have yielded their slots."""
        self.stopped = False
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
        slot = Slot(self)
        while not self.stopped:
            was_put, _, step = await self._waiting.get()
            if was_put:
                self._room.release()
            await slot.take()
            try:
                await step(slot)
            finally:
                slot.release()
            self._waiting.task_done()  # only after what the step pushed was counted, or `join` would end too early

    async def stop(self, workers: Iterable[asyncio.Task[None]]) -> None:
        """Begin nothing more, and cancel what is being done; only workers that have yielded their slots come to an end.

        They wait for the sink, which stores their pages anyway: so the counters say what is stored. One that hangs is
        not waited for without end.
        """
        self.stopped = True
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


class Slot:
    """Right of a worker to work, of which there are fewer than workers; context in which others have it."""

    __slots__ = ("_is_held", "_is_last", "_queue", "_worker")

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._worker = asyncio.current_task()
        self._is_held = False  # after `yielded(last=True)` a step ends without, and a slot must not be released twice
        self._is_last = False

    async def take(self) -> None:
        """Wait until the worker may work."""
        if self._queue.stopped:  # a worker that had yielded its slot was not cancelled by `stop`, and ends here
            raise asyncio.CancelledError
        await self._queue.slots.acquire()
        self._is_held = True

    def release(self) -> None:
        """Let another worker work, if this one does."""
        if self._is_held:
            self._is_held = False
            self._queue.slots.release()

    def yielded(self, *, last: bool) -> Self:
        """Let another worker work meanwhile; for workers who wait in the middle of a step.

        Args:
            last: Whether hardly anything of the step is left after it, unless it fails: then the worker does not wait
                for a slot again.
        """
        self._is_last = last
        return self

    async def __aenter__(self) -> None:
        self.release()
        self._queue.yielding.add(self._worker)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        # Before it waits for a slot: `stop` must cancel a worker that has nothing to finish any more.
        self._queue.yielding.discard(self._worker)
        # What handles an error may fetch again.
        if not self._is_last if kind is None else issubclass(kind, Exception):
            await self.take()
