"""The worker: claims what waits in the inbox and takes it through its handlers, accounts side by side."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from pinwheel_async._clock import Clock
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.webhooks._dispatch import Course, Dispatcher, unreadable
from pinwheel_async.webhooks._inbox import Claim, Inbox
from pinwheel_async.webhooks._jobs import Job, Jobs, trouble
from pinwheel_async.webhooks._progress import Progress

_log = logging.getLogger("pinwheel_async.webhooks")

PATIENT = RetryPolicy(attempts=10, base_s=4.0, cap_s=600.0)
"""The policy of handlers that have none: ten attempts over up to half an hour."""

TROUBLE_S = 1.0
"""Seconds to wait after the inbox failed."""

REMEMBERED = 10_000
"""Deliveries between two attempts of which the worker remembers who has handled them already."""

STAND_BACK_S = 0.05
"""Seconds to wait before every claim while many deliveries arrive, so that they are acknowledged first."""

IDLE_S = 5.0
"""Seconds after which an idle worker looks, even if nothing woke it: another process may have stored something."""


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
        is_crowded: Callable[[], bool] = bool,
    ) -> None:
        self._inbox = inbox
        self._is_crowded = is_crowded
        self._dispatcher = dispatcher
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._retry = retry
        self._clock = clock or Clock()
        self._jobs = Jobs(self._work, inbox.release)
        self._progress: dict[str, Progress] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._resting: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to work."""
        self._stopping = False
        self._jobs = Jobs(self._work, self._inbox.release)  # made anew, because they belong to the loop that runs now
        self._loops = [
            asyncio.create_task(self._run(), name="pinwheel worker"),
            asyncio.create_task(self._keep_leases(), name="pinwheel leases"),
        ]

    async def stop(self, drain_s: float) -> None:
        """Claim nothing more, let running handlers finish for so many seconds, give the rest back to the inbox."""
        if not self._loops:
            return
        self._stopping = True
        self._jobs.wake()
        if self._resting is not None:
            self._resting.cancel()
        await asyncio.wait(self._loops[:1], timeout=drain_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self._jobs.all_finished()
        for job in self._jobs:
            self._jobs.give_up(job)
        await self._jobs.all_finished()
        left, self._loops = self._loops, []
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _run(self) -> None:
        """Work until stopped; whatever the inbox raises is logged and waited out."""
        while not self._stopping:
            try:
                await self._round()
            except Exception as error:  # noqa: BLE001  # nobody would notice that nothing is handled any more
                _log.error("the inbox failed, trying again in %g s: %s", TROUBLE_S, trouble(error))
                await self._rest(self._sleep(TROUBLE_S))

    async def _round(self) -> None:
        # Handlers of what is being marked have ended; but not more is marked at once than that.
        free = min(self._concurrency - self._jobs.running, 2 * self._concurrency - len(self._jobs))
        if free <= 0:
            await self._jobs.change()
            return
        if self._is_crowded():
            await self._rest(self._sleep(STAND_BACK_S))
            if self._stopping:
                return
        claims = await self._inbox.claim(free, lease_s=self._lease_s)
        for claim in claims:
            self._jobs.add(claim)
        if not claims:
            await self._rest(self._inbox.wait(IDLE_S))

    async def _rest(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait for something, or until stopped."""
        self._resting = asyncio.create_task(waiting, name="pinwheel rest")
        if self._stopping:
            self._resting.cancel()
        await asyncio.wait({self._resting})
        if not self._resting.cancelled():
            self._resting.result()

    async def _work(self, job: Job, rest: Course | None = None) -> None:
        """Take one delivery through its handlers, or the rest of them, and mark it; a cancelled one is given back."""
        if self._stopping and rest is None:
            await self._inbox.release(job.claim)
            return
        progress = self._progress.get(job.event_id) or Progress()
        attempt = job.claim.attempt
        try:
            course = rest or self._begin(job, progress)
            await self._dispatcher.follow(course)
        except asyncio.CancelledError:
            if job.task is asyncio.current_task():
                await self._inbox.release(job.claim)
            raise
        except Exception as error:  # noqa: BLE001  # a fault of ours must not bring the delivery back for ever
            course = unreadable(f"(delivery): {type(error).__name__}")
        if job.task is asyncio.current_task():  # and was not left behind
            self._jobs.ended(job)
            await self._settle(job, attempt, course, progress)

    def _begin(self, job: Job, progress: Progress) -> Course:
        delivery, attempt = job.claim.delivery, job.claim.attempt
        return self._dispatcher.begin(
            delivery, delivery.body, delivery.version, attempt=attempt, watch=job, skip=progress.skip
        )

    async def _settle(self, job: Job, attempt: int, course: Course, progress: Progress) -> None:
        """Mark a delivery as what its handlers have made of it."""
        delivery = job.claim.delivery
        wait = progress.note(course, attempt=attempt, default=self._retry, random=self._clock.random())
        # Kept until the mark is made: a delivery that comes again because marking failed must not run them twice.
        self._remember(delivery.event_id, progress)
        if wait is None and course.ok and not progress.given_up:
            if await self._mark(job, self._inbox.done):
                self._progress.pop(delivery.event_id, None)
            return
        failures = {failure.handler: failure.reason for failure in course.failures} | progress.given_up
        reason = "; ".join([*course.problems, *[f"{one.name}: {why}" for one, why in failures.items()]])[:1000]
        if wait is None:
            _log.error("event %s (%s) is dead after attempt %d: %s", delivery.event_id, delivery.event, attempt, reason)
        await self._mark(job, lambda claim: self._inbox.fail(claim, reason=reason, retry_in_s=wait))
        if wait is None:
            progress.bury()

    def _remember(self, event_id: str, progress: Progress) -> None:
        self._progress[event_id] = progress
        if len(self._progress) > REMEMBERED:
            del self._progress[next(iter(self._progress))]

    async def _mark(self, job: Job, mark: Callable[[Claim], Awaitable[bool]]) -> bool:
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
                _log.error("event %s is not marked yet: %s", claim.delivery.event_id, trouble(error))
                await self._sleep(TROUBLE_S)
                claim = None
        _log.warning("event %s was handled after its lease was lost", job.event_id)
        return False

    async def _keep_leases(self) -> None:
        """Begin the leases of running deliveries anew; whoever lost one is stopped, because another worker has it."""
        while True:
            await self._sleep(self._lease_s / 3)
            await asyncio.gather(*[self._keep(job, job.claim) for job in self._jobs])

    async def _keep(self, job: Job, claim: Claim) -> None:
        try:
            kept = await self._inbox.extend(claim, lease_s=self._lease_s)
        except Exception as error:  # noqa: BLE001  # the lease may still hold; the marks are fenced in any case
            _log.warning("the lease of event %s is not renewed: %s", claim.delivery.event_id, trouble(error))
            return
        if not kept and job.claim is claim and not job.handled:
            _log.warning("the lease of event %s is lost", claim.delivery.event_id)
            self._jobs.give_up(job)

    async def _sleep(self, seconds: float) -> None:
        """Sleep by the clock that was given."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()
