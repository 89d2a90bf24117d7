"""The inbox that forgets: for tests, and for those who can bear to lose what was acknowledged."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from pinwheel_async._clock import Clock
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._bell import Bell
from pinwheel_async.webhooks._delivery import Delivery, without_body
from pinwheel_async.webhooks._inbox import Claim, Counts, Entry, State
from pinwheel_async.webhooks._memory_lanes import Lanes, Row


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
            ConfigurationError: A limit is negative.
        """
        if remember_s < 0 or (max_waiting is not None and max_waiting < 0):
            raise ConfigurationError("the limits of an inbox must not be negative")
        self._max_waiting = max_waiting
        self._remember_s = remember_s
        self._clock = clock or Clock()
        self._bell = Bell(self._clock)
        self._open = False
        self._lanes = Lanes()
        self._done: deque[Row] = deque()
        self._saved: dict[str, bytes] = {}

    async def open(self) -> None:
        """Make ready to store."""
        self._open = True

    async def close(self) -> None:
        """Store nothing more."""
        self._open = False
        self._bell.ring()

    async def put(self, delivery: Delivery) -> bool:
        """Store a delivery; return False if its event id is known already, in whatever state.

        Raises:
            InboxError: Too many wait.
        """
        self._now()
        if delivery.event_id in self._lanes.rows:
            return False
        if self._max_waiting is not None and self._lanes.tally["waiting"] >= self._max_waiting:
            raise InboxError("the inbox is full", reason="MaxWaiting")
        self._lanes.add(delivery)
        self._bell.ring()
        return True

    async def claim(self, limit: int, *, lease_s: float) -> Sequence[Claim]:
        """Claim up to *limit* deliveries that are due, of different lanes, oldest first.

        Those whose lease has ended are due again.
        """
        now = self._now()
        due = islice(self._lanes.due(now), max(limit, 0))
        return tuple([self._lanes.claim(row, now + lease_s) for row in due])

    async def extend(self, claim: Claim, *, lease_s: float) -> bool:
        """Begin the lease anew; return False if it was lost."""
        now = self._now()
        row = self._lanes.held(claim)
        if row is not None:
            row.at = now + lease_s
        return row is not None

    async def done(self, claim: Claim) -> bool:
        """Mark as handled, drop the body, remember the id; return False if the lease was lost.

        A lease that has ended is lost only when somebody else has claimed the delivery.
        """
        now = self._now()
        row = self._lanes.held(claim)
        if row is None:
            return False
        row.delivery = without_body(row.delivery)
        self._done.append(row)
        return self._mark(row, "done", now)

    async def fail(self, claim: Claim, *, reason: str, retry_in_s: float | None) -> bool:
        """Mark as failed: due again in *retry_in_s* seconds, dead if None. Return False if the lease was lost."""
        now = self._now()
        row = self._lanes.held(claim)
        if row is None:
            return False
        row.reason = reason
        return self._mark(row, "dead", 0.0) if retry_in_s is None else self._mark(row, "waiting", now + retry_in_s)

    async def release(self, claim: Claim) -> bool:
        """Give back unhandled, as if it had not been claimed: the attempt does not count."""
        self._now()
        row = self._lanes.held(claim)
        if row is None:
            return False
        row.attempts -= 1
        return self._mark(row, "waiting", 0.0)

    async def revive(self, event_ids: Sequence[str] | None = None) -> int:
        """Let dead deliveries (all, if None) wait again, attempts counted from 0; return how many.

        They take their old place in the lane: before everything that came later and is not claimed.
        """
        self._now()
        rows = self._lanes.rows
        wanted = rows if event_ids is None else dict.fromkeys(event_ids)
        dead = [row for one in wanted if (row := rows.get(one)) is not None and row.state == "dead"]
        for row in dead:
            self._lanes.revive(row)
        if dead:
            self._bell.ring()
        return len(dead)

    async def purge(self, *, done_before_s: float | None = None, lane: str | None = None) -> int:
        """Forget done deliveries older than so many seconds, or everything of one lane; return how many.

        With both, forget what is done and older in that lane; with neither, nothing.
        """
        now = self._now()
        if done_before_s is None and lane is None:
            return 0
        rows = [row for row in self._lanes.rows.values() if lane is None or row.lane == lane]
        if done_before_s is not None:
            rows = [row for row in rows if row.state == "done" and row.at <= now - done_before_s]
        for row in rows:
            self._lanes.forget(row)
        return len(rows)

    async def counts(self) -> Counts:
        """Count by state."""
        now = self._now()
        oldest = next((row for row in self._lanes.rows.values() if row.state == "waiting"), None)
        age = None if oldest is None else max(0.0, now - oldest.delivery.received_at.timestamp())
        return Counts(**self._lanes.tally, oldest_waiting_s=age)

    async def entries(self, *, state: State | None = None, limit: int = 100) -> Sequence[Entry]:
        """List stored deliveries, newest first."""
        self._now()
        rows = (row for row in reversed(self._lanes.rows.values()) if state is None or row.state == state)
        return tuple([row.entry for row in islice(rows, max(limit, 0))])

    async def wait(self, timeout_s: float) -> None:
        """Return when a delivery may be due, or when the time is over."""
        await self._bell.wait(self._due_in_s, timeout_s)

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the deliveries."""
        self._now()
        return self._saved.get(key)

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the deliveries; None removes it."""
        self._now()
        if value is None:
            self._saved.pop(key, None)
        else:
            self._saved[key] = value

    def _now(self) -> float:
        """Return the time, after ids that were remembered long enough are forgotten."""
        if not self._open:
            raise InboxError("the inbox is not open", reason="Closed")
        now = self._clock.now().timestamp()
        while self._done and self._done[0].at <= now - self._remember_s:
            row = self._done.popleft()
            if self._lanes.rows.get(row.delivery.event_id) is row:
                self._lanes.forget(row)
        return now

    async def _due_in_s(self) -> float | None:
        return self._lanes.due_in_s(self._now())

    def _mark(self, row: Row, state: State, at: float) -> bool:
        self._lanes.mark(row, state, at)
        self._bell.ring()
        return True
