"""Worker: claims deliveries from the inbox and takes them through the handlers, accounts side by side.

What the inbox hands over from memory takes the same way without a claim. The file has over 500 lines because that is
one class: both ways share places, leases, and what a stop has to wait for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeGuard

from pinwheel_async._clock import Clock, Timer, time_limit
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.webhooks._inbox.base import Claim, Entry, Inbox
from pinwheel_async.webhooks._inbox.hand_over import BEGIN_WITHIN_S, Handed
from pinwheel_async.webhooks._router import Handler, Lease
from pinwheel_async.webhooks._worker.ahead import Ahead
from pinwheel_async.webhooks._worker.dispatch import GRACE_S, Dispatcher, HandlerRun
from pinwheel_async.webhooks._worker.in_flight import InFlight, InFlightSet, describe
from pinwheel_async.webhooks._worker.memory_queue import AccountQueue, ClaimsChains, HandsOver, MemoryQueue
from pinwheel_async.webhooks._worker.retries import HandlerRetries, handler_keys
from pinwheel_async.webhooks._worker.trouble import Trouble

_log = logging.getLogger("pinwheel_async.webhooks")

DEFAULT_RETRY = RetryPolicy(attempts=14, base_s=4.0, cap_s=7_200.0)
"""Retry policy of handlers that have none: attempts that outlast an evening's outage of the user's own database.

From the first to the last of 14 there are at least 3.1 hours; in one of a hundred cases less than 3.7, in one of ten
less than 4.1, in half of them less than 4.7; at most 6.3. The second comes after two to four seconds.
"""

RETRY_INBOX_S = 1.0
"""Seconds to wait after the inbox failed, before it is asked again; a full disk is not cured faster."""

SUSPECT_AFTER = 2
"""Interruptions after which a delivery runs alone: if the process ends once more, nothing else was the cause, and
nothing else is interrupted. The first one may be an accident, and running alone holds up everybody."""

MAX_INTERRUPTIONS = 5
"""Interruptions after which a delivery is dead without another attempt; in the last three of them it ran alone. More
than one of those, because a process may also be killed from outside."""

GIVE_BACK_S = 2.0
"""Seconds that the inbox has at a stop to take back what did not finish, besides the grace of handlers. Several times
what a slow disk takes for a flush."""

MAX_REASON = 4_000
"""Characters of the reason of a delivery, at most: of two or three handlers, and the beginning of more."""

IDLE_S = 5.0
"""Seconds after which an idle worker claims even if it was not notified: another process may have stored something."""


SLOW_S = 2.0
"""Seconds after which a delivery whose handlers still run no longer counts in *concurrency*: so long does a crowd of
accounts whose handlers hang hold up the others. Longer than handlers take that only write to a database."""

MOST_SLOW = 10
"""How many times *concurrency* deliveries run at most, with slow and stuck ones: memory and connections have an end."""


SLICE_S = 0.02
"""Seconds for which handlers begin one after another, before the event loop takes a look at requests: what is handed
over at once is begun at once, so that storing does not get ahead of handling, but not for as long as it takes handlers
that compute."""


class Worker:
    """Claims deliveries under leases and marks them done, failed or dead.

    Deliveries of an account come one after another in order of arrival; up to *concurrency* accounts are worked on
    side by side, not counting slow ones, so a stuck, failing or slow handler of one account delays no other account.
    """

    def __init__(
        self,
        inbox: Inbox,
        dispatcher: Dispatcher,
        *,
        concurrency: int = 16,
        lease_s: float = 15.0,
        retry: RetryPolicy = DEFAULT_RETRY,
        clock: Clock | None = None,
    ) -> None:
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._retry = retry
        self._clock = clock or Clock()
        self._in_flight = InFlightSet(self._handle, self._ended)
        self._memory = self._new_memory()
        self._hands_over: HandsOver | None = inbox if _hands_over(inbox) else None
        self._chains: ClaimsChains | None = inbox if _claims_chains(inbox) else None
        self._ahead = Ahead()
        self._spans_versions: bool = getattr(inbox, "spans_versions", False)
        self._beginning: asyncio.Handle | None = None
        """What begins deliveries from memory soon."""
        self._late_beginning: Timer | None = None
        """What does so when those that run are slow, so that their places are free."""
        self._late_dropping: Timer | None = None
        """What gives back what has waited for a place for too long."""
        self._returning: set[asyncio.Task[None]] = set()
        self._marking: asyncio.Task[None] | None = None
        self._kept_places = 0
        """Places that what comes from memory leaves to claims: those that are asked for, or one if none is free."""
        self._handlers: dict[str, Handler[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._pause: asyncio.Task[None] | None = None
        self._trouble = Trouble()
        self._lease_trouble = Trouble()
        self._stopping = False
        self._closing = False
        """Whether a stop waits no longer, so that what cannot be marked at once is left to its lease."""
        self._is_full = False
        """Whether nothing is claimed because too many handlers do not end."""
        self._alone = False
        """Whether deliveries are claimed one by one, each when nothing else is in flight."""

    @property
    def is_alive(self) -> bool:
        """Whether it claims and keeps leases, and has not been stopped."""
        return bool(self._tasks) and not self._stopping and not any(task.done() for task in self._tasks)

    @property
    def stuck(self) -> int:
        """How many handlers go on although they were cancelled."""
        return len(self._dispatcher.stuck)

    def start(self) -> None:
        """Begin to claim."""
        self._stopping = self._closing = self._alone = False
        self._handlers = handler_keys(self._dispatcher.router.handlers())
        # A new set, because its event belongs to the running event loop.
        self._in_flight = InFlightSet(self._handle, self._ended)
        self._memory = self._new_memory()
        self._tasks = [
            asyncio.create_task(self._run(), name="pinwheel worker"),
            asyncio.create_task(self._keep_leases(), name="pinwheel leases"),
        ]
        if self._hands_over is not None:
            self._hands_over.hand_over_to(self._memory)

    async def stop(self, shutdown_timeout_s: float) -> None:
        """Claim nothing more, let running handlers finish for so many seconds, give the rest back to the inbox."""
        if not self._tasks:
            return
        self._stopping = True
        self._memory.close()
        self._in_flight.wake()
        if self._pause is not None:
            self._pause.cancel()
        with suppress(TimeoutError):
            async with time_limit(shutdown_timeout_s):
                await asyncio.wait(self._tasks[:1])
                await self._in_flight.all_finished()
                await self._empty_memory()
        self._closing = True
        for _ in range(2):  # again if the inbox hangs: what it does not take back is left to its lease
            for in_flight in self._in_flight:
                in_flight.task.cancel()
            with suppress(TimeoutError):
                async with time_limit(GRACE_S + GIVE_BACK_S):
                    await self._in_flight.all_finished()
                    await self._empty_memory()
        if self._hands_over is not None:
            self._hands_over.end_hand_over(self._memory)
        if self._marking is not None:
            self._tasks.append(self._marking)
        for timer in (self._late_beginning, self._late_dropping):
            if timer is not None:
                timer.cancel()
        self._late_beginning = self._late_dropping = None
        left, self._tasks = self._tasks, []
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._dispatcher.let_go()

    def _new_memory(self) -> MemoryQueue:
        return MemoryQueue(lease_s=self._lease_s, monotonic=self._clock.monotonic, wake=self._begin_soon)

    async def _empty_memory(self) -> None:
        """Mark what is done, and give back what has not begun."""
        while self._marking is not None and not self._marking.done():
            await asyncio.wait({self._marking})
        if self._memory.to_mark:  # the inbox failed
            await self._mark_handed(once=True)
        await self._give_back([*self._memory.release(), *self._take_late()])
        while self._returning:
            await asyncio.wait(self._returning)

    async def _give_back(self, claims: Sequence[Claim]) -> None:
        """Release claims whose handlers have not begun; those that cannot be released are left to their leases."""
        await asyncio.gather(*[self._inbox.release(claim) for claim in claims], return_exceptions=True)

    async def _run(self) -> None:
        """Claim until stopped; log whatever the inbox raises, wait, and try again."""
        while not self._stopping:
            try:
                await self._claim()
            except Exception as error:  # noqa: BLE001  # if this task ended, nothing would be handled
                if self._trouble.is_news(describe(error), self._clock.monotonic()):
                    _log.error("the inbox failed, trying again every %g s: %s", RETRY_INBOX_S, describe(error))
                await self._pause_for(self._sleep(RETRY_INBOX_S))
            else:
                if self._trouble.end():
                    _log.warning("the inbox works again")

    async def _claim(self) -> None:
        now = self._clock.monotonic()
        free = await self._places_to_claim_for(now)
        if free <= 0:
            return
        ends_at = now + self._lease_s  # counted from before the claim, so that it is no later than the inbox's
        claims, chains = await self._claim_for(free, ends_at)
        new = [claim for claim in claims if not self._renew(claim, ends_at)]
        suspects = [claim for claim in new if SUSPECT_AFTER <= claim.interrupted < MAX_INTERRUPTIONS]
        if suspects:
            chains = {}  # what follows waits for its turn in the inbox
        if suspects and (len(new) > 1 or not self._is_idle()):
            # Given back before the others begin: if one of these ends the process, the suspects are not claimed.
            await self._give_back(suspects)
            new = [claim for claim in new if claim not in suspects]
        elif suspects:
            event_id, interrupted = suspects[0].delivery.event_id, suspects[0].interrupted
            _log.warning("event %s runs alone: the process ended %d times while it ran", event_id, interrupted)
        was_alone, self._alone = self._alone, bool(suspects)
        if was_alone and not self._alone:
            self._begin_soon()
        for claim in new:
            if claim.token not in chains:
                self._in_flight.add(claim, Lease(ends_at=ends_at, monotonic=self._clock.monotonic))
        if chains:
            self._memory.take([handed for claim in new for handed in chains[claim.token]])
        if not claims:
            await self._pause_for(self._inbox.wait(IDLE_S))

    async def _places_to_claim_for(self, now: float) -> int:
        """Return how many places there are; wait until there are more if it is none."""
        slow, next_began_at = self._in_flight.slow(now - SLOW_S)
        free = self._free_places(slow)
        wait_s = SLOW_S
        if free <= 0:
            self._kept_places = 0 if self._chains else 1
            wait_s = SLOW_S if next_began_at is None else next_began_at + SLOW_S - now
        elif self._alone:
            free = int(self._is_idle())
        elif self._chains is not None:
            free = min(self._ahead.limit(free, self._memory.queued()), self._memory.room()[0])
        elif len(self._memory):
            free = (free + 1) // 2  # the others go to what comes from memory meanwhile
        if free <= 0:
            await self._change(wait_s)
        return free

    async def _claim_for(self, free: int, ends_at: float) -> tuple[Sequence[Claim], dict[int, list[Handed]]]:
        """Claim for so many places; return the claims, and by their tokens what follows them, if that is known."""
        if self._chains is None:
            self._kept_places = free
            try:
                return await self._inbox.claim(free, lease_s=self._lease_s), {}
            finally:
                self._kept_places = 0
                self._begin_soon()
        room, room_bytes = self._memory.room()
        length = 1 if self._alone else self._ahead.per_place
        found = await self._chains.claim_chains(
            free, lease_s=self._lease_s, length=length, room=room, room_bytes=room_bytes
        )
        begin_by = self._clock.monotonic() + BEGIN_WITHIN_S
        claims = [chain[0].claim for chain in found]
        return claims, {
            chain[0].claim.token: [
                Handed(claim, seq, ends_at, is_first=not number, begin_by=begin_by)
                for number, (claim, seq) in enumerate(chain)
            ]
            for chain in found
        }

    def _renew(self, claim: Claim, ends_at: float) -> bool:
        """Go on with a delivery under a new claim, if it is in flight; return whether it is."""
        in_flight = self._in_flight.renew(claim, ends_at)
        if in_flight is not None and in_flight.queue is not None:
            # Its account is not handed over any more: others may have had it in between.
            queue, in_flight.queue = in_flight.queue, None
            self._memory.end(queue, ok=False)
        return in_flight is not None

    def _free_places(self, slow: int) -> int:
        """Return how many more deliveries may be claimed while so many are slow."""
        # While a delivery waits for its mark, which takes as long as a flush to the disk, handlers of another may run.
        # But no more than *concurrency* wait for marks, or they would pile up before a slow disk.
        free = min(self._concurrency - self._in_flight.running, 2 * self._concurrency - len(self._in_flight)) + slow
        unheld = self.stuck - self._dispatcher.held
        left = MOST_SLOW * self._concurrency - self._in_flight.running - unheld
        if left <= 0 and not self._is_full:
            number = self._in_flight.running + unheld
            _log.error("nothing more is claimed until some end: %d handlers are slow or stuck", number)
        self._is_full = left <= 0
        return min(free, left)

    def _begin_soon(self) -> None:
        """Begin what was handed over once those that wait in the event loop had their turn, such as for answers."""
        if self._beginning is None and self._tasks:
            self._beginning = asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Begin what was handed over, as far as there are places."""
        until = self._clock.monotonic() + SLICE_S
        memory, self._beginning = self._memory, None
        while memory.is_ready and self._has_place():
            if self._clock.monotonic() >= until:
                self._begin_soon()
                break
            begun = memory.next()
            if begun is None:
                continue
            queue, handed = begun
            lease = Lease(ends_at=handed.ends_at if handed.is_first else queue.ends_at, monotonic=self._clock.monotonic)
            self._in_flight.add(handed.claim, lease, queue)
        else:
            self._begin_when_slow()
        if self._chains is not None:
            self._in_flight.wake()  # for the next claim
            self._drop_late()
        if memory.to_mark and (self._marking is None or self._marking.done()):
            self._marking = asyncio.create_task(self._mark_handed(), name="pinwheel marks")

    def _begin_when_slow(self) -> None:
        """Begin the rest once those that run are slow, if it waits for their places."""
        now = self._clock.monotonic()
        if self._memory.is_ready and self._late_beginning is None:
            _, next_began_at = self._in_flight.slow(now - SLOW_S)
            if next_began_at is not None:
                self._late_beginning = self._clock.call_later(next_began_at + SLOW_S - now, self._begin_late)

    def _drop_late(self) -> None:
        """Give back what may not begin any more, now and when it is too late for the rest."""
        self._memory.drop_late()
        if late := self._take_late():
            returning = asyncio.create_task(self._give_back(late), name="pinwheel return")
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)
        if self._memory.is_ready and self._late_dropping is None:
            self._late_dropping = self._clock.call_later(BEGIN_WITHIN_S, self._drop_late_later)

    def _drop_late_later(self) -> None:
        self._late_dropping = None
        self._drop_late()

    def _take_late(self) -> list[Claim]:
        late, self._memory.late = self._memory.late, []
        return late

    def _begin_late(self) -> None:
        self._late_beginning = None
        self._begin_soon()

    def _has_place(self) -> bool:
        """Whether what was handed over may begin."""
        if self._stopping or self._alone:
            return False
        if self._in_flight.running + self._kept_places < self._concurrency:
            return True
        slow, _ = self._in_flight.slow(self._clock.monotonic() - SLOW_S)
        return self._free_places(slow) > self._kept_places

    def _ended(self, in_flight: InFlight) -> None:
        """Go on with the account of a delivery that was handed over."""
        if self._chains is not None:
            self._ahead.add(self._clock.monotonic() - in_flight.started_at)
        if in_flight.queue is not None:
            self._memory.end(in_flight.queue, ok=in_flight.is_done)
        if self._memory.is_ready or self._memory.to_mark:
            self._begin_soon()

    def _is_idle(self) -> bool:
        """Whether nothing is in flight but what waits for a stuck handler, perhaps for ever."""
        return len(self._in_flight) <= self._dispatcher.held

    async def _change(self, timeout_s: float) -> None:
        """Wait until what is in flight changes, or for so many seconds: a handler that gets stuck wakes nobody."""
        timer = self._clock.call_later(timeout_s, self._in_flight.wake)
        try:
            await self._in_flight.change()
        finally:
            timer.cancel()

    async def _pause_for(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait for something, but no longer than until the worker is stopped."""
        self._pause = asyncio.create_task(waiting, name="pinwheel pause")
        if self._stopping:
            self._pause.cancel()
        await asyncio.wait({self._pause})
        if not self._pause.cancelled():
            self._pause.result()

    async def _handle(self, in_flight: InFlight) -> None:
        """Take one delivery through its handlers and mark it; cancelled, give it back."""
        if self._stopping:
            await self._release(in_flight, None)
            return
        delivery, run = in_flight.claim.delivery, HandlerRun()
        # Only what was tried before has any, and most deliveries never need it.
        progress = in_flight.claim.progress
        retries = HandlerRetries(self._handlers, progress) if progress else None
        if retries and retries.missing:
            _log.warning("event %s is replayed without: %s", delivery.event_id, ", ".join(retries.missing))
        if in_flight.claim.interrupted >= MAX_INTERRUPTIONS:
            run.problems = (f"the process ended {in_flight.claim.interrupted} times while it ran",)
            await self._record(in_flight, run, retries or HandlerRetries(self._handlers))
            return
        try:
            await self._dispatcher.run(
                delivery,
                delivery.body,
                delivery.version,
                attempt=in_flight.claim.attempt,
                token=in_flight.claim.token,
                lease=in_flight.lease,
                skip=retries.skip if retries else (),
                into=run,
            )
        except asyncio.CancelledError:
            if run.is_held:
                raise  # left to its lease, the longest that the account can still wait for the handler
            if not run.is_over:
                retries = retries or HandlerRetries(self._handlers)
                retries.record_returned(run)
                await self._release(in_flight, retries.dump() if run.returned else None)
                raise
        except Exception as error:  # noqa: BLE001  # a fault of ours must not bring the delivery back for ever
            run = HandlerRun((f"(delivery): {type(error).__name__}",))
        self._in_flight.end_handling(in_flight)
        if run.ok and not retries:
            await self._record_done(in_flight)
        else:
            await self._record(in_flight, run, retries or HandlerRetries(self._handlers))

    async def _record_done(self, in_flight: InFlight) -> None:
        """Mark a delivery as done: at once, or with others if it was handed over."""
        if in_flight.queue is None:
            await self._mark(in_flight, self._inbox.done)
        else:
            in_flight.is_done = True

    async def _record(self, in_flight: InFlight, run: HandlerRun, retries: HandlerRetries) -> None:
        """Mark a delivery as done, as failed until its next attempt, or as dead."""
        delivery, attempt = in_flight.claim.delivery, in_flight.claim.attempt
        if run.is_unreadable and self._spans_versions:
            retry_in_s = retries.record_unreadable()
            if retry_in_s is not None:
                _log.warning("event %s cannot be decoded here, tried again in %g s", delivery.event_id, retry_in_s)
        else:
            retry_in_s = retries.record(run, default=self._retry, random=self._clock.random())
        if retry_in_s is None and run.ok and not retries.given_up:
            await self._record_done(in_flight)
            return
        failures = {failure.handler: failure.reason for failure in run.failures} | retries.given_up
        reason = "; ".join([*run.problems, *[f"{handler.name}: {why}" for handler, why in failures.items()]])[
            :MAX_REASON
        ]
        if retry_in_s is None:
            self._dispatcher.counters.add_dead(delivery.event)
            _log.error("event %s (%s) is dead after attempt %d: %s", delivery.event_id, delivery.event, attempt, reason)
            retries.reset()
        progress = retries.dump()
        marked = await self._mark(
            in_flight,
            lambda claim: self._inbox.fail(claim, reason=reason, retry_in_s=retry_in_s, progress=progress),
        )
        if marked and retry_in_s is None:
            await self._dispatcher.tell(self._dispatcher.router.death_callbacks(), _dead(in_flight.claim, reason))

    async def _release(self, in_flight: InFlight, progress: bytes | None) -> None:
        if in_flight.queue is not None:
            await self._memory.marked_before(in_flight.queue)
        await self._inbox.release(in_flight.claim, progress=progress)

    async def _mark_handed(self, *, once: bool = False) -> None:
        """Mark all that was handed over and is done, in groups, one after another; try again while the inbox fails."""
        failed = False
        while self._memory.to_mark:
            queues = self._memory.start_marking()
            ends_at = self._memory.lease_end()
            try:
                outcomes = await self._finish(queues)
            except BaseException as error:
                self._memory.to_mark |= {queue.key: queue for queue in queues}
                if once or self._closing or not isinstance(error, Exception):
                    raise
                if not failed:
                    number = sum(len(queue.handled) for queue in queues)
                    _log.error("%d events are not marked yet: %s", number, describe(error))
                failed = True
                await self._sleep(RETRY_INBOX_S)
                continue
            for queue, ok in zip(queues, outcomes, strict=True):
                self._end_marking(queue, ends_at, ok=ok)

    async def _finish(self, queues: Sequence[AccountQueue]) -> Sequence[bool]:
        if self._chains is not None:
            chains = [(list(queue.handled), queue.following) for queue in queues]
            return await self._chains.finish_chains(chains, lease_s=self._lease_s)
        if self._hands_over is not None:
            rows = [(queue.key, [item.seq for item in queue.handled]) for queue in queues]
            return await self._hands_over.finish(rows, lease_s=self._lease_s)
        return ()

    def _end_marking(self, queue: AccountQueue, ends_at: float, *, ok: bool) -> None:
        """Note what came of the marks of a queue; if its lease was lost, cancel what runs."""
        marked = self._memory.end_marking(queue, ends_at, ok=ok)
        running = None if queue.current is None else self._in_flight.get(queue.current.claim)
        if ok:
            if running is not None:
                running.lease.ends_at = ends_at
            return
        for item in marked:
            # Either it comes again, or it is marked, and only what followed it has gone.
            what = "event %s was handled, but its account was taken by another worker meanwhile, or purged"
            _log.warning(what, item.claim.delivery.event_id)
        self._lose(running)

    def _lose(self, in_flight: InFlight | None) -> None:
        """Cancel what runs although its lease is lost."""
        if in_flight is not None and not in_flight.handled:
            _log.warning("the lease of event %s is lost", in_flight.event_id)
            in_flight.lease.taken = True
            in_flight.task.cancel()

    async def _mark(self, in_flight: InFlight, mark: Callable[[Claim], Awaitable[bool]]) -> bool:
        """Mark; while the inbox fails, try again: the outcome is known here only, and would be lost with this task."""
        if in_flight.queue is not None:
            await self._memory.marked_before(in_flight.queue)
        failed = False
        claim = None
        while claim is not in_flight.claim:  # it has changed if the lease ended meanwhile and this worker claimed again
            claim = in_flight.claim
            try:
                if await mark(claim):
                    return True
            except Exception as error:
                if self._closing:
                    raise
                if not failed:
                    _log.error("event %s is not marked yet: %s", claim.delivery.event_id, describe(error))
                failed = True
                await self._sleep(RETRY_INBOX_S)
                claim = None
        _log.warning("event %s was handled after its lease was lost", in_flight.event_id)
        return False

    async def _keep_leases(self) -> None:
        """Extend the leases of deliveries in flight; cancel those that were lost, because another worker has them."""
        while True:
            await self._sleep(self._lease_s / 3)  # an extension that fails has a second try before the lease ends
            # What has waited for a place for long does so in the file, where others see it, and may have it.
            await self._give_back(self._memory.release(older_than_s=self._lease_s / 3))
            keeping = [
                self._keep(in_flight, in_flight.claim) for in_flight in self._in_flight if in_flight.queue is None
            ]
            keeping += [self._keep_queue(queue, oldest) for queue, oldest in self._memory.kept()]
            failed = [why for why in await asyncio.gather(*keeping) if why is not None]
            if not failed:
                self._lease_trouble.end()
            elif self._lease_trouble.is_news(failed[0], self._clock.monotonic()):
                _log.warning("%d leases are not renewed: %s", len(failed), failed[0])

    async def _keep(self, in_flight: InFlight, claim: Claim) -> str | None:
        """Extend a lease; return why that could not be asked for."""
        ends_at = self._clock.monotonic() + self._lease_s
        try:
            kept = await self._inbox.extend(claim, lease_s=self._lease_s)
        except Exception as error:  # noqa: BLE001  # the lease may still hold; the marks are fenced in any case
            return describe(error)
        if in_flight.claim is not claim:
            return None
        if kept:
            in_flight.lease.ends_at = ends_at
        else:
            self._lose(in_flight)
        return None

    async def _keep_queue(self, queue: AccountQueue, oldest: Handed) -> str | None:
        """Extend the lease on what was handed over of an account; return why that could not be asked for."""
        ends_at = self._memory.lease_end()
        try:
            kept = await self._inbox.extend(oldest.claim, lease_s=self._lease_s)
        except Exception as error:  # noqa: BLE001  # as above
            return describe(error)
        if queue.oldest is not oldest:
            return None
        running = None if queue.current is None else self._in_flight.get(queue.current.claim)
        if kept:
            queue.ends_at = ends_at
            if running is not None:
                running.lease.ends_at = ends_at
        else:
            self._memory.cut(queue)
            self._lose(running)
        return None

    async def _sleep(self, seconds: float) -> None:
        """Sleep by the clock that was given, which may be a fake one."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()


def _hands_over(inbox: object) -> TypeGuard[HandsOver]:
    return callable(getattr(inbox, "hand_over_to", None))


def _claims_chains(inbox: object) -> TypeGuard[ClaimsChains]:
    return callable(getattr(inbox, "claim_chains", None))


def _dead(claim: Claim, reason: str) -> Entry:
    delivery = claim.delivery
    return Entry(
        event_id=delivery.event_id,
        event=delivery.event,
        ordering_key=delivery.ordering_key,
        state="dead",
        attempts=claim.attempt,
        received_at=delivery.received_at.timestamp(),
        reason=reason,
        interrupted=claim.interrupted,
        version=delivery.version,
    )
