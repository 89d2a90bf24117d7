"""The worker: claims what waits in the inbox and takes it through its handlers, accounts side by side."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from attrs import define, field

from pinwheel_async._clock import Clock
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._dispatch import Dispatched, Dispatcher
from pinwheel_async.webhooks._inbox import Claim, Inbox
from pinwheel_async.webhooks._progress import Progress

_log = logging.getLogger("pinwheel_async.webhooks")

PATIENT = RetryPolicy(attempts=10, base_s=4.0, cap_s=600.0)
"""The policy of handlers that have none: ten attempts over up to half an hour."""

TROUBLE_S = 1.0
"""Seconds to wait after the inbox failed."""

REMEMBERED = 10_000
"""Deliveries between two attempts of which the worker remembers who has handled them already."""

IDLE_S = 5.0
"""Seconds after which an idle worker looks, even if nothing woke it: another process may have stored something."""


@define(eq=False, repr=False)
class _Job:
    """A delivery that is being worked on."""

    claim: Claim
    task: "asyncio.Task[None]" = field(init=False)
    handled: bool = False
    """Whether its handlers are through, so that there is nothing to stop."""


class Worker:
    """Claims deliveries under leases and marks them done, failed or dead.

    Deliveries of one account come one after another in order of arrival; up to *concurrency* accounts are worked on
    side by side, so a stuck, failing or slow handler of one account delays no other.
    """

    def __init__(
        self,
        inbox: Inbox,
        dispatcher: Dispatcher,
        *,
        concurrency: int = 16,
        lease_s: float = 15.0,
        retry: RetryPolicy = PATIENT,
        clock: Clock | None = None,
    ) -> None:
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._retry = retry
        self._clock = clock or Clock()
        self._jobs: dict[str, _Job] = {}
        self._progress: dict[str, Progress] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._resting: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to work."""
        self._stopping = False
        self._freed = asyncio.Event()  # made here, because it belongs to the loop that runs now
        self._loops = [
            asyncio.create_task(self._run(), name="pinwheel worker"),
            asyncio.create_task(self._keep_leases(), name="pinwheel leases"),
        ]

    async def stop(self, drain_s: float) -> None:
        """Claim nothing more, let running handlers finish for so many seconds, give the rest back to the inbox."""
        if not self._loops:
            return
        self._stopping = True
        self._freed.set()
        if self._resting is not None:
            self._resting.cancel()
        await asyncio.wait(self._loops[:1], timeout=drain_s)
        running = [job.task for job in self._jobs.values()]
        if running:
            await asyncio.wait(running, timeout=drain_s)
        left, self._loops = [*running, *self._loops], []
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _run(self) -> None:
        """Work until stopped; whatever the inbox raises is logged and waited out."""
        while not self._stopping:
            try:
                await self._round()
            except Exception as error:  # noqa: BLE001  # nobody would notice that nothing is handled any more
                _log.error("the inbox failed, trying again in %g s: %s", TROUBLE_S, _trouble(error))
                await self._rest(self._sleep(TROUBLE_S))

    async def _round(self) -> None:
        free = self._concurrency - len(self._jobs)
        if free <= 0:
            self._freed.clear()
            await self._freed.wait()
            return
        claims = await self._inbox.claim(free, lease_s=self._lease_s)
        for claim in claims:
            self._take(claim)
        if not claims:
            await self._rest(self._inbox.wait(IDLE_S))

    def _take(self, claim: Claim) -> None:
        event_id = claim.delivery.event_id
        job = self._jobs.get(event_id)
        if job is not None:  # the loop was blocked until the lease had ended, and nobody else was there to take it
            job.claim = claim
            return
        job = self._jobs[event_id] = _Job(claim)
        job.task = asyncio.create_task(self._work(job), name=f"pinwheel event {event_id}")
        job.task.add_done_callback(lambda task: self._finished(event_id, task))

    def _finished(self, event_id: str, task: "asyncio.Task[None]") -> None:
        del self._jobs[event_id]
        self._freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("event %s could not be marked: %s", event_id, _trouble(error))

    async def _rest(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait for something, or until stopped."""
        self._resting = asyncio.create_task(waiting, name="pinwheel rest")
        if self._stopping:
            self._resting.cancel()
        await asyncio.wait({self._resting})
        if not self._resting.cancelled():
            self._resting.result()

    async def _work(self, job: _Job) -> None:
        """Take one delivery through its handlers and mark it; a cancelled one is given back."""
        event_id, attempt = job.claim.delivery.event_id, job.claim.attempt
        progress = self._progress.get(event_id) or Progress()
        if self._stopping:
            await self._inbox.release(job.claim)
            return
        try:
            result = await self._dispatcher.dispatch(job.claim.delivery, attempt=attempt, skip=progress.skip)
        except asyncio.CancelledError:
            await self._inbox.release(job.claim)
            raise
        except Exception as error:  # noqa: BLE001  # a fault of ours must not bring the delivery back for ever
            result = Dispatched(problems=(f"(delivery): {type(error).__name__}",))
        job.handled = True
        wait = progress.note(result, attempt=attempt, default=self._retry, random=self._clock.random())
        # Kept until the mark is made: a delivery that comes again because marking failed must not run them twice.
        self._remember(event_id, progress)
        failures = {failure.handler: failure.reason for failure in result.failures} | progress.given_up
        reason = "; ".join([*result.problems, *[f"{one.name}: {why}" for one, why in failures.items()]])[:1000]
        if wait is not None:
            await self._mark(job, lambda claim: self._inbox.fail(claim, reason=reason, retry_in_s=wait))
        elif reason:
            _log.error(
                "event %s (%s) is dead after attempt %d: %s", event_id, job.claim.delivery.event, attempt, reason
            )
            await self._mark(job, lambda claim: self._inbox.fail(claim, reason=reason, retry_in_s=None))
            progress.bury()
        elif await self._mark(job, self._inbox.done):
            self._progress.pop(event_id, None)

    def _remember(self, event_id: str, progress: Progress) -> None:
        self._progress[event_id] = progress
        if len(self._progress) > REMEMBERED:
            del self._progress[next(iter(self._progress))]

    async def _mark(self, job: _Job, mark: Callable[[Claim], Awaitable[bool]]) -> bool:
        """Mark; while the inbox is in trouble try again, for as long as a lease, and then leave it to the lease."""
        deadline = self._clock.monotonic() + self._lease_s
        claim = None
        while claim is not job.claim:  # it is another one if the lease had ended meanwhile and was taken anew
            claim = job.claim
            try:
                if await mark(claim):
                    return True
            except Exception as error:
                if self._clock.monotonic() >= deadline:
                    raise
                _log.error("event %s is not marked yet: %s", claim.delivery.event_id, _trouble(error))
                await self._sleep(TROUBLE_S)
                claim = None
        _log.warning("event %s was handled after its lease was lost", job.claim.delivery.event_id)
        return False

    async def _keep_leases(self) -> None:
        """Begin the leases of running deliveries anew; whoever lost one is stopped, because another worker has it."""
        while True:
            await self._sleep(self._lease_s / 3)
            await asyncio.gather(*[self._keep(job, job.claim) for job in self._jobs.values()])

    async def _keep(self, job: _Job, claim: Claim) -> None:
        try:
            kept = await self._inbox.extend(claim, lease_s=self._lease_s)
        except Exception as error:  # noqa: BLE001  # the lease may still hold; the marks are fenced in any case
            _log.warning("the lease of event %s is not renewed: %s", claim.delivery.event_id, _trouble(error))
            return
        if not kept and job.claim is claim and not job.handled:
            _log.warning("the lease of event %s is lost", claim.delivery.event_id)
            job.task.cancel()

    async def _sleep(self, seconds: float) -> None:
        """Sleep by the clock that was given."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()


def _trouble(error: BaseException) -> str:
    """Say what went wrong; only the texts of our own errors hold no values."""
    return str(error) if isinstance(error, InboxError) else type(error).__name__
