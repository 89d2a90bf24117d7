"""The deliveries that a worker has: each in a task of its own, which ends, or is left to itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from attrs import define, field

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._dispatch import GRACE_S, Course
from pinwheel_async.webhooks._inbox import Claim

_log = logging.getLogger("pinwheel_async.webhooks")


@define(eq=False, repr=False)
class Job:
    """A delivery that is being worked on, and who watches over its handlers."""

    jobs: "Jobs"
    claim: Claim
    task: "asyncio.Task[None]" = field(init=False)
    """The task that has it; another one may be left behind by a handler that does not end."""
    handled: bool = False
    """Whether its handlers are through, so that there is nothing to stop."""
    stopped: bool = False
    """Whether it is to be given back."""

    @property
    def event_id(self) -> str:
        """Id of the event."""
        return self.claim.delivery.event_id

    def rescue(self, rest: Course) -> None:
        """Go on in another task."""
        self.jobs.go_on(self, rest)


class Jobs:
    """What is being worked on, by event id."""

    def __init__(
        self,
        work: Callable[[Job, Course | None], Coroutine[Any, Any, None]],
        release: Callable[[Claim], Awaitable[Any]],
    ) -> None:
        """Begin with none.

        Args:
            work: What to do with a job, or with the rest of its handlers.
            release: Gives back what is left unhandled by a handler that takes no notice.
        """
        self.running = 0
        """Those whose handlers are not through."""
        self.stuck: set[asyncio.Task[None]] = set()
        """Tasks that were left to themselves."""
        self._work, self._release = work, release
        self._all: dict[str, Job] = {}
        self._freed = asyncio.Event()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def __iter__(self) -> Iterator[Job]:
        """Iterate over those that there are now."""
        return iter(list(self._all.values()))

    def add(self, claim: Claim) -> None:
        """Begin to work on what was claimed."""
        job = self._all.get(claim.delivery.event_id)
        if job is not None:  # the loop was blocked until the lease had ended, and nobody else was there to take it
            job.claim = claim
            return
        job = self._all[claim.delivery.event_id] = Job(self, claim)
        self.running += 1
        self._start(job, self._work(job, None))

    def go_on(self, job: Job, rest: Course) -> None:
        """Leave a handler that does not end to itself, and go on with the others."""
        self._leave(job)
        self._start(job, self._work(job, rest))

    def give_up(self, job: Job) -> None:
        """Cancel a job, so that it is given back; its handler is left to itself if it takes no notice."""
        job.stopped = True
        job.task.cancel()
        asyncio.get_running_loop().call_later(GRACE_S, self._give_back, job, job.task)

    def ended(self, job: Job) -> None:
        """Note that the handlers of a job are through."""
        if not job.handled:
            job.handled = True
            self.running -= 1
        self.wake()

    def wake(self) -> None:
        """Let whoever waits for a change look."""
        self._freed.set()

    async def change(self) -> None:
        """Wait until the handlers of a job are through, or a job is."""
        self._freed.clear()
        await self._freed.wait()

    async def all_finished(self) -> None:
        """Wait until there are none."""
        while self._all:
            await self.change()

    def _start(self, job: Job, work: Coroutine[Any, Any, None]) -> None:
        job.task = asyncio.create_task(work, name=f"pinwheel event {job.event_id}")
        job.task.add_done_callback(partial(self._finished, job))

    def _finished(self, job: Job, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if task is not job.task:
            return
        del self._all[job.event_id]
        self.ended(job)
        if error is not None:
            _log.error("event %s could not be marked: %s", job.event_id, trouble(error))

    def _give_back(self, job: Job, task: "asyncio.Task[None]") -> None:
        if task is job.task and not task.done():
            _log.error("a handler of event %s ignores its cancellation and goes on unwatched", job.event_id)
            self._leave(job)
            self._start(job, self._return(job))

    async def _return(self, job: Job) -> None:
        await self._release(job.claim)

    def _leave(self, job: Job) -> None:
        self.stuck.add(job.task)
        job.task.add_done_callback(self.stuck.discard)


def trouble(error: BaseException) -> str:
    """Say what went wrong; only the texts of our own errors hold no values."""
    return str(error) if isinstance(error, InboxError) else type(error).__name__
