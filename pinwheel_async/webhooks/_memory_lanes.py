"""Deliveries in memory, lined up: the first of each lane is at hand, however many there are."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TypeAlias

from attrs import define

from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._inbox import Claim, Entry, State

_Key: TypeAlias = tuple[int, str]
"""Place in the order of arrival, and event id."""


@define(eq=False, repr=False)
class Row:
    """One delivery and what became of it."""

    seq: int
    delivery: Delivery
    state: State = "waiting"
    at: float = 0.0
    """While waiting: when it is due. While claimed: when the lease ends. When done: since when."""
    attempts: int = 0
    token: int = 0
    reason: str | None = None

    @property
    def lane(self) -> str:
        """What its order belongs to."""
        return self.delivery.lane

    @property
    def entry(self) -> Entry:
        """What may be shown of it."""
        return Entry(
            event_id=self.delivery.event_id,
            event=self.delivery.event,
            lane=self.lane,
            state=self.state,
            attempts=self.attempts,
            received_at=self.delivery.received_at.timestamp(),
            reason=self.reason,
        )


class Lanes:
    """All deliveries: by event id, by lane, and by when they are due.

    The heaps may hold keys of rows that have moved on, so a row is looked at again when its key comes out.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        """By event id, in order of arrival."""
        self.tally: dict[State, int] = {"waiting": 0, "claimed": 0, "done": 0, "dead": 0}
        self._claimed: dict[str, Row] = {}
        """By lane: there is one at a time."""
        self._lines: dict[str, list[_Key]] = {}
        self._ready: list[_Key] = []
        self._later: list[tuple[float, _Key]] = []
        self._last_seq = 0
        self._last_token = 0

    def add(self, delivery: Delivery) -> None:
        """Let a new delivery wait at the end of its lane."""
        self._last_seq += 1
        row = self.rows[delivery.event_id] = Row(self._last_seq, delivery)
        self.tally["waiting"] += 1
        self._line_up(row)

    def due(self, now: float) -> Iterator[Row]:
        """Yield the rows that can be claimed, oldest first; each is to be claimed before the next is asked for."""
        self._ripen(now)
        seen: set[str] = set()
        while self._ready:
            row = self._claimable(heappop(self._ready), now)
            if row is not None and row.lane not in seen:
                seen.add(row.lane)
                yield row

    def due_in_s(self, now: float) -> float | None:
        """Return in how many seconds a row will be due by itself, 0 or less if one is; None if none will be."""
        self._ripen(now)
        while self._ready and self._claimable(self._ready[0], now) is None:
            heappop(self._ready)
        if self._ready:
            return 0.0
        due = [row.at for row in self._claimed.values()] + [at for at, _ in self._later[:1]]
        return min(due) - now if due else None

    def claim(self, row: Row, lease_end: float) -> Claim:
        """Hand a row to a worker."""
        self._last_token += 1
        row.token = self._last_token
        row.attempts += 1
        self._move(row, "claimed", lease_end)
        self._claimed[row.lane] = row
        return Claim(delivery=row.delivery, attempt=row.attempts, token=row.token)

    def held(self, claim: Claim) -> Row | None:
        """Return the row of a claim; None if somebody else has claimed it since, or it is over."""
        row = self._claimed.get(claim.delivery.lane)
        return row if row is not None and row.token == claim.token else None

    def mark(self, row: Row, state: State, at: float) -> None:
        """Take a row back from its worker, and let the lane's first come."""
        del self._claimed[row.lane]
        self._move(row, state, at)
        first = self._first(row.lane)
        if first is not None:
            heappush(self._later, (first.at, _key(first)))

    def revive(self, row: Row) -> None:
        """Let a dead row wait again, in its old place."""
        row.attempts = 0
        self._move(row, "waiting", 0.0)
        self._line_up(row)

    def forget(self, row: Row) -> None:
        """Drop a row that nothing in its lane depends on: it is done, or all of its lane is dropped."""
        del self.rows[row.delivery.event_id]
        self.tally[row.state] -= 1
        if row.state != "done":
            self._claimed.pop(row.lane, None)
            self._lines.pop(row.lane, None)

    def _move(self, row: Row, state: State, at: float) -> None:
        self.tally[row.state] -= 1
        self.tally[state] += 1
        row.state, row.at = state, at

    def _line_up(self, row: Row) -> None:
        heappush(self._lines.setdefault(row.lane, []), _key(row))
        if row.lane not in self._claimed and self._first(row.lane) is row:
            heappush(self._later, (row.at, _key(row)))

    def _first(self, lane: str) -> Row | None:
        """Return the oldest row that waits in a lane of which no row is claimed."""
        line = self._lines.get(lane, [])
        while line:
            row = self._row(line[0])
            if row is not None and row.state == "waiting":
                return row
            heappop(line)
        self._lines.pop(lane, None)
        return None

    def _ripen(self, now: float) -> None:
        """Bring what has become due among what is ready."""
        while self._later and self._later[0][0] <= now:
            heappush(self._ready, heappop(self._later)[1])
        for row in self._claimed.values():
            if row.at <= now:
                heappush(self._ready, _key(row))

    def _claimable(self, key: _Key, now: float) -> Row | None:
        row = self._row(key)
        if row is None or row.at > now:
            return None
        return row if row is (self._claimed.get(row.lane) or self._first(row.lane)) else None

    def _row(self, key: _Key) -> Row | None:
        seq, event_id = key
        row = self.rows.get(event_id)
        return row if row is not None and row.seq == seq else None


def _key(row: Row) -> _Key:
    return row.seq, row.delivery.event_id
