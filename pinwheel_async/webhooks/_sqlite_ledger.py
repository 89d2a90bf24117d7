"""The deliveries in a SQLite file: every operation of the inbox, as it is done inside a transaction.

Everything is decided inside the transaction, beside which nobody else can write, so any number of processes may share
the file. How states and lanes are stored is told in `_sqlite_schema.py`.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeAlias

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks import _sqlite_queries as sql
from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._inbox import Claim, Counts, Entry, State
from pinwheel_async.webhooks._sqlite_file import SqliteFile, no_key

ADMITTED = 64
"""New deliveries that are given their place at once: few, because storing comes first while there is much to store."""

MOST = 8
"""How often that is done for one claim, at most."""

MANY = 65_536
"""New deliveries of which some are given their place even if nobody claims any."""

MANY_SHARED = 64
"""The same where others write to the file, too: what is new has to be looked up after each time that they do."""

_COLUMNS = attrgetter("event_id", "event", "lane", "key", "version", "webhook_id", "traceparent")

_Found: TypeAlias = tuple[str, int, str, str, int]
"""Event id, row, lane, state and token of a delivery."""


class Ledger(SqliteFile):
    """A file and what can be done in it; every operation raises `InboxError` before it writes, or not at all."""

    def put(self, deliveries: Sequence[Delivery]) -> list[bool | InboxError]:
        """See `Inbox.put`."""
        if len(self.fresh) >= (MANY_SHARED if self.shared else MANY):
            self.admit()
        known = {event_id for (event_id,) in self._listed(sql.KNOWN, [one.event_id for one in deliveries])}
        room = math.inf if self.terms.max_waiting is None else self.terms.max_waiting - self.tally["waiting"]
        outcomes: list[bool | InboxError] = []
        new: list[Delivery] = []
        for one in deliveries:
            if one.event_id in known or one.event_id in self.fresh:
                outcomes.append(False)
            elif len(new) >= room:
                outcomes.append(InboxError("the inbox is full", reason="MaxWaiting"))
            else:
                outcomes.append(True)
                new.append(one)
                self.fresh.add(one.event_id)
        self._append(new)
        self.tally["waiting"] += len(new)
        return outcomes

    def _append(self, deliveries: Sequence[Delivery]) -> None:
        sealer, first = self.terms.sealer, self.last + 1
        self.last += len(deliveries)
        rows = [(seq, one.received_at.timestamp(), *_COLUMNS(one)) for seq, one in enumerate(deliveries, first)]
        bodies = [
            (seq, sealer is not None, one.body if sealer is None else sealer.seal(one.body, one.event_id))
            for seq, one in enumerate(deliveries, first)
        ]
        for statement, values in sql.rows(sql.DELIVERIES, sql.NEW_DELIVERY, rows):
            self.connection.execute(statement, values)
        for statement, values in sql.rows(sql.BODIES, sql.BODY, bodies):
            self.connection.execute(statement, values)

    def admit(self) -> None:
        """Give the oldest of what is new their place in their lanes."""
        found = self.connection.execute(sql.NEW, (ADMITTED,)).fetchall()
        self.fresh.difference_update([event_id for event_id, _, _ in found])
        new = [row[1:] for row in found]
        lanes = {lane for lane, _ in new}
        taken = {lane for (lane,) in self._listed(sql.TAKEN, list(lanes))}
        firsts = {lane: seq for lane, seq in reversed(new) if lane not in taken}
        behind = [seq for lane, seq in new if firsts.get(lane) != seq]
        self._change(sql.ADMIT, (1, "ready"), list(firsts.values()))
        self._change(sql.ADMIT, (0, "behind"), behind)

    def claim(self, limit: int, lease_s: float) -> tuple[Claim, ...]:
        """See `Inbox.claim`."""
        self.connection.execute(sql.RIPEN, (self.now,))
        wanted = {"now": self.now, "limit": max(limit, 0)}
        rows = self.connection.execute(sql.CLAIMABLE, wanted).fetchall()
        for _ in range(MOST):
            if len(rows) >= limit or not self.fresh:
                break
            self.admit()  # what is new came after all that is not
            rows = self.connection.execute(sql.CLAIMABLE, wanted).fetchall()
        if self.terms.sealer is None and any(row[4] for row in rows):
            raise no_key()
        claims = [(row[0], claim) for row in rows if (claim := self._claim(row)) is not None]
        self._change(sql.CLAIM, (self.now + lease_s,), [seq for seq, _ in claims])
        return tuple([claim for _, claim in claims])

    def lapse(self) -> None:
        """End every lease: whoever had claimed something is dead."""
        self.connection.execute("UPDATE delivery SET at = 0 WHERE state = 'claimed'")

    def extend(self, claim: Claim, lease_s: float) -> bool:
        """See `Inbox.extend`."""
        held = self._held(claim)
        if held is not None:
            self.connection.execute("UPDATE delivery SET at = ? WHERE seq = ?", (self.now + lease_s, held[0]))
        return held is not None

    def done(self, claims: Sequence[Claim]) -> list[bool]:
        """See `Inbox.done`."""
        found = {row[0]: row for row in self._found([one.delivery.event_id for one in claims])}
        marked: dict[int, str] = {}
        outcomes: list[bool] = []
        for one in claims:
            row = found.get(one.delivery.event_id)
            if row is not None and _is_held(row, one) and row[1] not in marked:
                marked[row[1]] = row[2]
                outcomes.append(True)
            else:
                outcomes.append(False)
        seqs = list(marked)
        self._change(sql.DONE, ("kept" if self.terms.keep_bodies_s else "done", self.now), seqs)
        if not self.terms.keep_bodies_s:
            self.drop_bodies(seqs)
        self._move("claimed", "done", len(seqs))
        self.connection.executemany(sql.PROMOTE_NEXT, [{"now": self.now, "lane": lane} for lane in marked.values()])
        return outcomes

    def fail(self, claim: Claim, reason: str, retry_in_s: float | None) -> bool:
        """See `Inbox.fail`."""
        held = self._held(claim)
        if held is None:
            return False
        seq, lane = held
        if retry_in_s is None:
            self._bury(seq, lane, "claimed", reason)
            return True
        self.connection.execute(sql.BACK, (self.now + retry_in_s, 0, reason, seq))
        self._move("claimed", "waiting")
        self._settle(lane)
        return True

    def release(self, claim: Claim) -> bool:
        """See `Inbox.release`."""
        held = self._held(claim)
        if held is None:
            return False
        seq, lane = held
        self.connection.execute(sql.BACK, (self.now, 1, None, seq))
        self._move("claimed", "waiting")
        self._settle(lane)
        return True

    def revive(self, event_ids: Sequence[str] | None) -> int:
        """See `Inbox.revive`."""
        if event_ids is None:
            rows = self.connection.execute("SELECT seq, lane FROM delivery WHERE state = 'dead'").fetchall()
        else:
            found = self._found(list(dict.fromkeys(event_ids)))
            rows = [(seq, lane) for _, seq, lane, state, _ in found if state == "dead"]
        self.connection.executemany(
            "UPDATE delivery SET state = 'behind', at = 0, attempts = 0 WHERE seq = ?", [(seq,) for seq, _ in rows]
        )
        self._move("dead", "waiting", len(rows))
        for lane in dict.fromkeys(lane for _, lane in rows):
            self._settle(lane)
        return len(rows)

    def purge(self, done_before_s: float | None, lane: str | None) -> int:
        """See `Inbox.purge`."""
        old, before = "state IN ('kept', 'done') AND at <= :before", self.now - (done_before_s or 0)
        wanted = {(True, False): old, (False, True): "lane = :lane", (True, True): f"lane = :lane AND +{old}"}
        where = wanted.get((done_before_s is not None, lane is not None))
        if where is None:
            return 0
        values = {"before": before, "lane": lane}
        rows = self.connection.execute(f"SELECT seq, state FROM delivery WHERE {where}", values).fetchall()  # noqa: S608  # one of three texts
        self.drop_bodies([seq for seq, _ in rows])
        self.connection.executemany("DELETE FROM delivery WHERE seq = ?", [(seq,) for seq, _ in rows])
        for _, state in rows:
            self.tally[sql.STATES[state]] -= 1
        self.fresh = self.new_ids()
        return len(rows)

    def counts(self) -> Counts:
        """See `Inbox.counts`."""
        oldest = self._one(sql.OLDEST)
        return Counts(**self.tally, oldest_waiting_s=None if oldest is None else max(0.0, self.now - oldest[0]))

    def entries(self, state: State | None, limit: int) -> tuple[Entry, ...]:
        """See `Inbox.entries`."""
        rows = self.connection.execute(sql.ENTRIES[state], (max(limit, 0),)).fetchall()
        return tuple([_entry(*row) for row in rows])

    def due_in_s(self) -> float | None:
        """Return in how many seconds a delivery will be due by itself, 0 or less if one is; None if none will be."""
        at: float | None = self.connection.execute(sql.DUE, {"now": self.now}).fetchone()[0]
        return None if at is None else at - self.now

    def load(self, key: str) -> bytes | None:
        """See `Inbox.load`."""
        row = self._one("SELECT value FROM saved WHERE name = ?", key)
        return None if row is None else row[0]

    def save(self, key: str, value: bytes | None) -> None:
        """See `Inbox.save`."""
        if value is None:
            self.connection.execute("DELETE FROM saved WHERE name = ?", (key,))
        else:
            self.connection.execute("INSERT OR REPLACE INTO saved VALUES (?, ?)", (key, value))

    def _claim(self, row: tuple[Any, ...]) -> Claim | None:
        """Make the claim of a row of `CLAIMABLE`, or bury it: unreadable, it would hold up its lane for ever."""
        seq, state, attempts, token, sealed, body, event_id, event, lane, received_at, *rest = row
        if sealed and self.terms.sealer is not None:
            body = self.terms.sealer.unseal(body, event_id)
        if body is None:
            self._bury(seq, lane, sql.STATES[state], "the stored body is damaged")
            return None
        self._move(sql.STATES[state], "claimed")
        signed_with, version, webhook_id, traceparent = rest
        delivery = Delivery(
            event_id=event_id,
            event=event,
            lane=lane,
            received_at=datetime.fromtimestamp(received_at, UTC),
            key=signed_with,
            version=version,
            webhook_id=webhook_id,
            traceparent=traceparent,
            body=body,
        )
        return Claim(delivery=delivery, attempt=attempts + 1, token=token + 1)

    def _held(self, claim: Claim) -> tuple[int, str] | None:
        """Return row and lane of a claim; None if the lease ended and somebody else has claimed it, or it is over."""
        for row in self._found([claim.delivery.event_id]):
            if _is_held(row, claim):
                return row[1:3]
        return None

    def _found(self, event_ids: Sequence[str]) -> list[_Found]:
        """Return those that are known and not new, in any order."""
        return list(self._listed(sql.FOUND, event_ids))

    def _listed(self, query: str, values: Sequence[Any]) -> Iterator[Any]:
        for statement, some in sql.listed(query, values):
            yield from self.connection.execute(statement, some).fetchall()

    def _change(self, statement: str, first: Sequence[Any], values: Sequence[Any]) -> None:
        for text, some in sql.listed(statement, values):
            self.connection.execute(text, (*first, *some))

    def _bury(self, seq: int, lane: str, state: State, reason: str) -> None:
        self.connection.execute(sql.FINISH, ("dead", 0, reason, seq))
        self._move(state, "dead")
        self._settle(lane)

    def _settle(self, lane: str) -> None:
        """See that the oldest unfinished delivery of a lane is its first, unless a worker has another one."""
        after = self._one(sql.NEXT, lane)
        if after is None:
            return
        first = self._one(sql.FIRST, lane)
        if first is not None:
            if first[1] == "claimed" or first[0] < after[0]:
                return
            self.connection.execute("UPDATE delivery SET first = 0, state = 'behind' WHERE seq = ?", first[:1])
        self.connection.execute(sql.PROMOTE, {"now": self.now, "seq": after[0]})

    def _move(self, before: State, after: State, count: int = 1) -> None:
        self.tally[before] -= count
        self.tally[after] += count

    def _one(self, query: str, *values: Any) -> Any:
        return self.connection.execute(query, values).fetchone()


def _is_held(found: _Found, claim: Claim) -> bool:
    return found[3:] == ("claimed", claim.token)


def _entry(
    event_id: str, event: str, lane: str, state: str, attempts: int, received_at: float, reason: str | None
) -> Entry:
    return Entry(
        event_id=event_id,
        event=event,
        lane=lane,
        state=sql.STATES[state],
        attempts=attempts,
        received_at=received_at,
        reason=reason,
    )
