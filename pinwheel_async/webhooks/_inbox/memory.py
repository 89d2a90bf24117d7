"""In-memory inbox, for tests: acknowledged deliveries are lost with the process."""

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import TypeAlias

from attrs import define

from pinwheel_async._clock import Clock
from pinwheel_async._privacy import Discreet, without_locals
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._arguments import check_at_least
from pinwheel_async.webhooks._delivery import Delivery, without_body
from pinwheel_async.webhooks._inbox.administration import Attachment, system_user
from pinwheel_async.webhooks._inbox.base import Claim, Counts, DeliveryFilter, DeliveryProgress, Entry, Preview, State
from pinwheel_async.webhooks._notifier import Notifier

_AUDIT = logging.getLogger("pinwheel_async.audit")

_Place: TypeAlias = tuple[int, str]
"""Number in the order of arrival, and event id."""


@define(eq=False, repr=False)
class Row(Discreet):
    """One delivery and what became of it."""

    seq: int
    delivery: Delivery
    state: State = "waiting"
    at: float = 0.0
    """While waiting: when it is due. While claimed: when the lease ends. When done: since when. By the monotonic
    clock, as the wall clock may be set."""
    attempts: int = 0
    interrupted: int = 0
    token: int = 0
    reason: str | None = None
    progress: bytes | None = None

    @property
    def ordering_key(self) -> str:
        """See `Delivery.ordering_key`."""
        return self.delivery.ordering_key

    @property
    def entry(self) -> Entry:
        """What may be shown of it."""
        return Entry(
            event_id=self.delivery.event_id,
            event=self.delivery.event,
            ordering_key=self.ordering_key,
            state=self.state,
            attempts=self.attempts,
            received_at=self.delivery.received_at.timestamp(),
            reason=self.reason,
            interrupted=self.interrupted,
            version=self.delivery.version,
        )


class MemoryQueue:
    """All deliveries: by event id, in the order of their keys, and by when they are due.

    Places are never removed from the middle of a heap, which would mean a search: a heap may hold places of rows that
    have moved on or are gone, so a row is checked when its place comes out.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        """By event id, in order of arrival."""
        self.counts: dict[State, int] = {"waiting": 0, "claimed": 0, "done": 0, "dead": 0}
        self._claimed: dict[str, Row] = {}
        """By ordering key: there is one at a time."""
        self._waiting: dict[str, list[_Place]] = {}
        """By ordering key: a heap of all that wait, the oldest first."""
        self._ready: list[_Place] = []
        """A heap of firsts of their keys that are due."""
        self._later: list[tuple[float, _Place]] = []
        """A heap of firsts of their keys, by when they are due."""
        self._last_seq = 0
        self._last_token = 0

    def add(self, delivery: Delivery) -> None:
        """Let a new delivery wait behind all others of its ordering key."""
        self._last_seq += 1
        row = self.rows[delivery.event_id] = Row(self._last_seq, delivery)
        self.counts["waiting"] += 1
        self._enqueue(row)

    def due(self, now: float) -> Iterator[Row]:
        """Yield the rows that can be claimed, oldest first; each is to be claimed before the next is asked for."""
        self._make_ready(now)
        seen: set[str] = set()  # with a lease of 0 seconds, what was claimed just now is due again
        while self._ready:
            row = self._claimable(heappop(self._ready), now)
            if row is not None and row.ordering_key not in seen:
                seen.add(row.ordering_key)
                yield row

    def due_in_s(self, now: float) -> float | None:
        """Return in how many seconds a row will be due by itself, 0 or less if one is; None if none will be."""
        self._make_ready(now)
        while self._ready and self._claimable(self._ready[0], now) is None:
            heappop(self._ready)
        if self._ready:
            return 0.0
        due = [row.at for row in self._claimed.values()] + [at for at, _ in self._later[:1]]
        return min(due) - now if due else None

    def is_next(self, row: Row) -> bool:
        """Whether a row waits, and no other of its ordering key before it."""
        return row.ordering_key not in self._claimed and self._first(row.ordering_key) is row

    def claim(self, row: Row, lease_end: float) -> Claim:
        """Hand a row to a worker."""
        self._last_token += 1
        row.token = self._last_token
        if row.state == "claimed":
            row.interrupted += 1
        else:
            row.attempts += 1
        self._move(row, "claimed", lease_end)
        self._claimed[row.ordering_key] = row
        return Claim(
            delivery=row.delivery,
            attempt=row.attempts,
            token=row.token,
            interrupted=row.interrupted,
            progress=row.progress,
        )

    def held(self, claim: Claim) -> Row | None:
        """Return the row of a claim; None if it was claimed again since, or it is over."""
        row = self._claimed.get(claim.delivery.ordering_key)
        return row if row is not None and row.token == claim.token else None

    def mark(self, row: Row, state: State, at: float) -> None:
        """Take a row back from its worker, and let the first of its ordering key come."""
        del self._claimed[row.ordering_key]
        self._move(row, state, at)
        self._move_up(row.ordering_key)

    def revive(self, row: Row) -> None:
        """Let a dead row wait again, in its old place."""
        row.attempts = row.interrupted = 0
        self._move(row, "waiting", 0.0)
        self._enqueue(row)

    def forget(self, row: Row) -> None:
        """Drop a row; if it was the first of its ordering key, the next moves up."""
        del self.rows[row.delivery.event_id]
        self.counts[row.state] -= 1
        if row.state == "claimed":
            del self._claimed[row.ordering_key]
        if row.state in {"claimed", "waiting"}:
            self._move_up(row.ordering_key)

    def _move(self, row: Row, state: State, at: float) -> None:
        self.counts[row.state] -= 1
        self.counts[state] += 1
        row.state, row.at = state, at

    def _move_up(self, ordering_key: str) -> None:
        """Let the first of an ordering key be claimed when it is due, unless another one is claimed."""
        first = None if ordering_key in self._claimed else self._first(ordering_key)
        if first is not None:
            heappush(self._later, (first.at, _place(first)))

    def _enqueue(self, row: Row) -> None:
        heappush(self._waiting.setdefault(row.ordering_key, []), _place(row))
        if row.ordering_key not in self._claimed and self._first(row.ordering_key) is row:
            heappush(self._later, (row.at, _place(row)))

    def _first(self, ordering_key: str) -> Row | None:
        """Return the oldest row that waits with an ordering key of which no row is claimed."""
        places = self._waiting.get(ordering_key, [])
        while places:
            row = self._row(places[0])
            if row is not None and row.state == "waiting":
                return row
            heappop(places)
        self._waiting.pop(ordering_key, None)
        return None

    def _make_ready(self, now: float) -> None:
        """Move what has become due to what is ready."""
        while self._later and self._later[0][0] <= now:
            heappush(self._ready, heappop(self._later)[1])
        for row in self._claimed.values():
            if row.at <= now:
                heappush(self._ready, _place(row))

    def _claimable(self, place: _Place, now: float) -> Row | None:
        row = self._row(place)
        if row is None or row.at > now:
            return None
        return row if row is (self._claimed.get(row.ordering_key) or self._first(row.ordering_key)) else None

    def _row(self, place: _Place) -> Row | None:
        seq, event_id = place
        row = self.rows.get(event_id)
        return row if row is not None and row.seq == seq else None


class MemoryInbox:
    """Keeps deliveries in this process: what was acknowledged is lost with it.

    Order, leases and repetitions are as in `SqliteInbox`. What it holds outlives `close`, so that a test can stop a
    receiver and start another one.
    """

    def __init__(
        self, max_waiting: int | None = None, *, remember_s: float = 30 * 86_400, clock: Clock | None = None
    ) -> None:
        """Make an empty inbox.

        Args:
            max_waiting: Deliveries that may wait; `put` refuses more. None for no limit.
            remember_s: Seconds for which the id of a delivery that is done is known, so that a repetition is dropped.
            clock: Where time comes from.

        Raises:
            ConfigurationError: A limit is negative, or no number.
        """
        check_at_least(0, remember_s=remember_s, max_waiting=max_waiting)
        self._max_waiting = max_waiting
        self._remember_s = remember_s
        self._clock = clock or Clock()
        self._notifier = Notifier(self._clock)
        self._attachment = Attachment()
        self._open = False
        self._queue = MemoryQueue()
        self._done: deque[Row] = deque()
        self._saved: dict[str, bytes] = {}

    def attach(self, router: object) -> None:
        """Let the deliveries go to the handlers of this router, until `detach`.

        Raises:
            ConfigurationError: They go to another one.
        """
        self._attachment.attach(router)

    def detach(self, router: object) -> None:
        """Let the deliveries go to another router, if they went to this one."""
        self._attachment.detach(router)

    async def open(self) -> None:
        """Make ready to store."""
        self._open = True

    async def close(self) -> None:
        """Store nothing more."""
        self._open = False
        self._notifier.notify()

    async def put(self, delivery: Delivery) -> bool:
        """Store a delivery; return False if its event id is known already, in whatever state.

        Raises:
            InboxError: Too many wait.
        """
        self._now()
        if delivery.event_id in self._queue.rows:
            return False
        if self._max_waiting is not None and self._queue.counts["waiting"] >= self._max_waiting:
            raise InboxError("the inbox is full", reason="MaxWaiting")
        self._queue.add(delivery)
        self._notifier.notify()
        return True

    async def claim(self, limit: int, *, lease_s: float) -> Sequence[Claim]:
        """Claim up to *limit* deliveries that are due, of different ordering keys, oldest first.

        Those whose lease has ended are due again; that attempt counts as interrupted.
        """
        now = self._now()
        due = islice(self._queue.due(now), max(limit, 0))
        return tuple([self._queue.claim(row, now + lease_s) for row in due])

    async def extend(self, claim: Claim, *, lease_s: float) -> bool:
        """Let the lease begin again now; return False if it was lost."""
        now = self._now()
        row = self._queue.held(claim)
        if row is not None:
            row.at = now + lease_s
        return row is not None

    async def done(self, claim: Claim) -> bool:
        """Mark as handled, drop the body, remember the id; return False if the lease was lost.

        A lease that has ended is lost only when the delivery has been claimed again.
        """
        now = self._now()
        row = self._queue.held(claim)
        if row is None:
            return False
        row.delivery, row.progress = without_body(row.delivery), None
        self._done.append(row)
        return self._mark(row, "done", now)

    async def fail(self, claim: Claim, *, reason: str, retry_in_s: float | None, progress: bytes | None = None) -> bool:
        """Mark as failed: due again in *retry_in_s* seconds, dead if None. Return False if the lease was lost.

        Later claims of the delivery find *progress*, also after it was revived; with None, what was saved before.
        """
        now = self._now()
        row = self._queue.held(claim)
        if row is None:
            return False
        row.reason = reason
        row.progress = row.progress if progress is None else progress
        if retry_in_s is None:
            return self._mark(row, "dead", 0.0)
        row.interrupted = 0
        return self._mark(row, "waiting", now + retry_in_s)

    async def release(self, claim: Claim, *, progress: bytes | None = None) -> bool:
        """Give back unhandled, as if it had not been claimed: the attempt does not count. For *progress* see `fail`."""
        self._now()
        row = self._queue.held(claim)
        if row is None:
            return False
        row.attempts -= 1
        row.progress = row.progress if progress is None else progress
        return self._mark(row, "waiting", 0.0)

    async def preview(self, filter: DeliveryFilter) -> Preview:
        """Say what a filter selects, in numbers."""
        self._now()
        found = self._chosen(filter)
        states: Counter[State] = Counter([row.state for row in found])
        return Preview(
            deliveries=len(found),
            states=dict(sorted(states.items())),
            events=dict(sorted(Counter(row.delivery.event for row in found).items())),
            ordering_keys=len({row.ordering_key for row in found}),
            bodies=sum(row.state != "done" for row in found),
        )

    async def revive(self, filter: DeliveryFilter | None = None) -> int:
        """Let those that are meant and dead (all, if None) wait again, attempts counted from 0; return how many.

        They take their old place in the order of their key: before everything that came later and is not claimed.
        """
        self._now()
        dead = [row for row in self._chosen(filter or DeliveryFilter()) if row.state == "dead"]
        for row in dead:
            self._queue.revive(row)
        if dead:
            self._notifier.notify()
        return len(dead)

    async def purge(self, filter: DeliveryFilter) -> int:
        """Forget what a filter selects, in whatever state, with bodies and ids; return how many."""
        self._now()
        found = self._chosen(filter)
        for row in found:
            self._queue.forget(row)
        if found:
            self._notifier.notify()
        return len(found)

    async def counts(self) -> Counts:
        """Count by state."""
        self._now()
        oldest = next((row for row in self._queue.rows.values() if row.state == "waiting"), None)
        age_s = None
        if oldest is not None:
            age_s = max(0.0, self._clock.now().timestamp() - oldest.delivery.received_at.timestamp())
        return Counts(**self._queue.counts, oldest_waiting_s=age_s)

    async def entries(self, filter: DeliveryFilter | None = None, *, limit: int = 100) -> Sequence[Entry]:
        """List what a filter selects (all, if None), newest first."""
        self._now()
        found = reversed(self._chosen(filter or DeliveryFilter()))
        return tuple([row.entry for row in islice(found, max(limit, 0))])

    async def progress(self, event_id: str) -> DeliveryProgress | None:
        """Return how far the handlers of a delivery have come; None if it is not known."""
        now = self._now()
        row = self._queue.rows.get(event_id)
        if row is None:
            return None
        return DeliveryProgress.of(row.progress, due_in_s=row.at - now if self._queue.is_next(row) else None)

    @without_locals
    async def read_body(self, event_id: str) -> bytes | None:
        """Return the stored body of a delivery; None if it is not known or has none any more.

        A body is payroll data, so it is logged by `pinwheel_async.audit` (INFO) who read it: the user of the process,
        and the event id.
        """
        self._now()
        row = self._queue.rows.get(event_id)
        if row is None or row.state == "done":
            return None
        _AUDIT.info("the body of event %s was read by %s", event_id, system_user())
        return row.delivery.body

    async def wait(self, timeout_s: float) -> None:
        """Return when a delivery may be due, or when the time is over."""
        await self._notifier.wait(self._due_in_s, timeout_s)

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the deliveries."""
        self._now()
        return self._saved.get(key)

    async def load_or_save(self, key: str, value: bytes) -> bytes:
        """Return a small value that was saved before; if there is none, save this one, in one step, and return it."""
        self._now()
        return self._saved.setdefault(key, value)

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the deliveries; None removes it."""
        self._now()
        if value is None:
            self._saved.pop(key, None)
        else:
            self._saved[key] = value

    def _chosen(self, filter: DeliveryFilter) -> list[Row]:
        return [row for row in self._queue.rows.values() if filter.matches(row.entry)]

    def _now(self) -> float:
        """Return the time, after ids that were remembered long enough are forgotten."""
        if not self._open:
            raise InboxError("the inbox is not open", reason="Closed")
        now = self._clock.monotonic()
        while self._done and self._done[0].at <= now - self._remember_s:
            row = self._done.popleft()
            if self._queue.rows.get(row.delivery.event_id) is row:
                self._queue.forget(row)
        return now

    async def _due_in_s(self) -> float | None:
        return self._queue.due_in_s(self._now())

    def _mark(self, row: Row, state: State, at: float) -> bool:
        self._queue.mark(row, state, at)
        self._notifier.notify()
        return True


def _place(row: Row) -> _Place:
    return row.seq, row.delivery.event_id
