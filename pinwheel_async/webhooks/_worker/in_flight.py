"""Deliveries in flight: claimed by this worker and not yet marked, each in a task of its own."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from attrs import define, field

from pinwheel_async._privacy import Discreet
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._inbox.base import Claim
from pinwheel_async.webhooks._router import Lease
from pinwheel_async.webhooks._worker.memory_queue import AccountQueue
from pinwheel_async.webhooks._worker.start_task import start_task

_log = logging.getLogger("pinwheel_async.webhooks")


@define(eq=False, repr=False)
class InFlight(Discreet):
    """A claimed delivery and the task that works on it."""

    claim: Claim
    lease: Lease
    started_at: float
    """When its handlers began, by the clock of the lease."""
    task: "asyncio.Future[None]" = field(init=False)
    handled: bool = False
    """Whether its handlers have ended, so that only the mark in the inbox is missing."""
    queue: AccountQueue | None = None
    """The queue that it came from, if it was handed over."""
    is_done: bool = False
    """Whether it is to be marked as done with others of its queue."""

    @property
    def event_id(self) -> str:
        """Id of the event."""
        return self.claim.delivery.event_id


class InFlightSet:
    """Deliveries in flight, by event id."""

    def __init__(
        self, work: Callable[[InFlight], Coroutine[Any, Any, None]], on_end: Callable[[InFlight], None]
    ) -> None:
        """Begin with none.

        Args:
            work: Takes a delivery through its handlers and marks it.
            on_end: Called when that has ended.
        """
        self.running = 0
        """Deliveries whose handlers have not ended."""
        self._work = work
        self._on_end = on_end
        self._all: dict[str, InFlight] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def __iter__(self) -> Iterator[InFlight]:
        """Iterate over those that there are now."""
        return iter(list(self._all.values()))

    def slow(self, before: float) -> tuple[int, float | None]:
        """Return how many have been running since before a time, and when the first of the others began."""
        slow = 0
        for in_flight in self._all.values():  # in the order in which they began
            if not in_flight.handled:
                if in_flight.started_at > before:
                    return slow, in_flight.started_at
                slow += 1
        return slow, None

    def renew(self, claim: Claim, ends_at: float) -> InFlight | None:
        """Go on under a new claim with a delivery that is in flight, and return it; None if it is not.

        Then the loop was blocked until the lease had ended, and no other worker was there to claim it.
        """
        in_flight = self._all.get(claim.delivery.event_id)
        if in_flight is not None:
            in_flight.claim, in_flight.lease.ends_at, in_flight.lease.taken = claim, ends_at, False
        return in_flight

    def get(self, claim: Claim) -> InFlight | None:
        """Return the delivery of a claim, if it is in flight under this one."""
        in_flight = self._all.get(claim.delivery.event_id)
        return in_flight if in_flight is not None and in_flight.claim is claim else None

    def add(self, claim: Claim, lease: Lease, queue: AccountQueue | None = None) -> None:
        """Begin to work on a claimed delivery."""
        in_flight = InFlight(claim, lease, lease.monotonic(), queue=queue)
        self.running += 1
        in_flight.task = start_task(self._work(in_flight), name=f"pinwheel event {in_flight.event_id}")
        self._all[in_flight.event_id] = in_flight  # not before: KeyboardInterrupt in an eager handler leaves no task
        if in_flight.task.done():
            self._finish(in_flight, in_flight.task)
        else:
            in_flight.task.add_done_callback(partial(self._finish, in_flight))

    def end_handling(self, in_flight: InFlight) -> None:
        """Note that the handlers of a delivery have ended."""
        if not in_flight.handled:
            in_flight.handled = True
            self.running -= 1
        self.wake()

    def wake(self) -> None:
        """Wake the tasks that wait for a change."""
        self._changed.set()

    async def change(self) -> None:
        """Wait until the handlers of a delivery have ended, or a delivery is finished."""
        self._changed.clear()
        await self._changed.wait()

    async def all_finished(self) -> None:
        """Wait until there are none."""
        while self._all:
            await self.change()

    def _finish(self, in_flight: InFlight, task: "asyncio.Future[None]") -> None:
        del self._all[in_flight.event_id]
        self.end_handling(in_flight)
        self._on_end(in_flight)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("event %s could not be marked: %s", in_flight.event_id, describe(error))


def describe(error: BaseException) -> str:
    """Say what went wrong; only the texts of our own errors hold no values."""
    return str(error) if isinstance(error, InboxError) else type(error).__name__
