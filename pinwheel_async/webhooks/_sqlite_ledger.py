"""The deliveries in a SQLite file: every operation of the inbox, as it is done inside a transaction.

Everything is decided inside the transaction, beside which nobody else can write, so any number of processes may share
the file. How states and lanes are stored is told in `_sqlite_schema.py`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks import _sqlite_queries as sql
from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._inbox import Claim, Counts, Entry, State
from pinwheel_async.webhooks._sqlite_file import SqliteFile, no_key


class Ledger(SqliteFile):
    """A file and what can be done in it; every operation raises `InboxError` before it writes, or not at all."""

    def put(self, delivery: Delivery) -> bool:
        """See `Inbox.put`."""
        limit = self.terms.max_waiting
        if limit is not None and self.tally["waiting"] >= limit:
            if self._one("SELECT 1 FROM delivery WHERE event_id = ?", delivery.event_id) is None:
                raise InboxError("the inbox is full", reason="MaxWaiting")
            return False
        cursor = self.connection.execute(
            sql.INSERT,
            (
                delivery.event_id,
                delivery.event,
                delivery.lane,
                delivery.received_at.timestamp(),
                delivery.key,
                delivery.version,
                delivery.webhook_id,
                delivery.traceparent,
            ),
        )
        if not cursor.rowcount:
            return False
        sealer = self.terms.sealer
        content = delivery.body if sealer is None else sealer.seal(delivery.body, delivery.event_id)
        self.connection.execute("INSERT INTO body VALUES (?, ?, ?)", (cursor.lastrowid, sealer is not None, content))
        self.tally["waiting"] += 1
        return True

    def claim(self, limit: int, lease_s: float) -> tuple[Claim, ...]:
        """See `Inbox.claim`."""
        self.connection.execute(sql.RIPEN, (self.now,))
        rows = self.connection.execute(sql.CLAIMABLE, {"now": self.now, "limit": max(limit, 0)}).fetchall()
        if self.terms.sealer is None and any(row[4] for row in rows):
            raise no_key()
        claims = [(row[0], claim) for row in rows if (claim := self._claim(row)) is not None]
        lease_end = self.now + lease_s
        self.connection.executemany(sql.CLAIM, [(lease_end, one.attempt, one.token, seq) for seq, one in claims])
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

    def done(self, claim: Claim) -> bool:
        """See `Inbox.done`."""
        held = self._held(claim)
        if held is None:
            return False
        seq, lane = held
        self.connection.execute(sql.FINISH, ("kept" if self.terms.keep_bodies_s else "done", self.now, None, seq))
        if not self.terms.keep_bodies_s:
            self.drop_bodies([(seq,)])
        self._move("claimed", "done")
        self.connection.execute(sql.PROMOTE_NEXT, {"now": self.now, "lane": lane})
        return True

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
        dead = "SELECT seq, lane FROM delivery WHERE state = 'dead'"
        if event_ids is None:
            rows = self.connection.execute(dead).fetchall()
        else:
            found = [self._one(f"{dead} AND event_id = ?", one) for one in dict.fromkeys(event_ids)]
            rows = [row for row in found if row is not None]
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
        self.drop_bodies([(seq,) for seq, _ in rows])
        self.connection.executemany("DELETE FROM delivery WHERE seq = ?", [(seq,) for seq, _ in rows])
        for _, state in rows:
            self.tally[sql.STATES[state]] -= 1
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
        held: tuple[int, str] | None = self._one(sql.HELD, claim.delivery.event_id, claim.token)
        return held

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
