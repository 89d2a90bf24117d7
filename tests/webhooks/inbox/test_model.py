"""Whatever happens, in whatever order, every inbox does what a simple list would do."""

import asyncio
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from pinwheel_async._clock import Clock
from pinwheel_async.webhooks import Claim, Delivery, MemoryInbox, SqliteInbox, _sqlite_ledger

IDS = st.sampled_from("abcdefgh")
LANES = st.sampled_from("xyz")
SECONDS = st.sampled_from([0, 1, 5, 20])


@attrs.define
class Row:
    delivery: Delivery
    state: str = "waiting"
    at: float = 0
    attempts: int = 0
    reason: str | None = None
    claim: Claim | None = None


class Machine(RuleBasedStateMachine):
    """An inbox beside a list of rows."""

    claims: Bundle[Claim] = Bundle("claims")
    inbox: Any

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.start = datetime(2026, 1, 1, tzinfo=UTC)
        self.now = 0
        self.rows: list[Row] = []
        self.saved: dict[str, bytes | None] = {}

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.start + timedelta(seconds=self.now))

    def run(self, awaitable: Any) -> Any:
        return self.runner.run(awaitable)

    def teardown(self) -> None:
        self.run(self.inbox.close())
        self.runner.close()

    def held(self, claim: Claim) -> Row | None:
        return next((row for row in self.rows if row.claim is claim and row.state == "claimed"), None)

    def due(self) -> list[Row]:
        found = []
        for lane in {row.delivery.lane for row in self.rows}:
            line = [row for row in self.rows if row.delivery.lane == lane]
            busy = [row for row in line if row.state == "claimed"]
            waiting = [row for row in line if row.state == "waiting"]
            found += [row for row in (busy or waiting)[:1] if row.at <= self.now]
        return sorted(found, key=self.rows.index)

    @rule(event_id=IDS, lane=LANES)
    def put(self, event_id, lane):
        known = any(row.delivery.event_id == event_id for row in self.rows)
        delivery = Delivery(
            event_id=event_id, event="e", lane=lane, received_at=self.clock.now(), key="k", body=event_id.encode()
        )
        assert self.run(self.inbox.put(delivery)) is not known
        if not known:
            self.rows.append(Row(delivery))

    @rule(target=claims, limit=st.integers(0, 4), lease_s=SECONDS)
    def claim(self, limit, lease_s):
        expected = self.due()[:limit]
        got = self.run(self.inbox.claim(limit, lease_s=lease_s))
        for row in expected:
            row.attempts += 1
        assert [(row.delivery, row.attempts) for row in expected] == [(one.delivery, one.attempt) for one in got]
        for row, one in zip(expected, got, strict=True):
            row.state, row.at, row.claim = "claimed", self.now + lease_s, one
        return multiple(*got)

    @rule(claim=claims, lease_s=SECONDS)
    def extend(self, claim, lease_s):
        row = self.held(claim)
        assert self.run(self.inbox.extend(claim, lease_s=lease_s)) is (row is not None)
        if row:
            row.at = self.now + lease_s

    @rule(claim=claims)
    def done(self, claim):
        row = self.held(claim)
        assert self.run(self.inbox.done(claim)) is (row is not None)
        if row:
            row.state, row.at = "done", self.now

    @rule(claim=claims, retry_in_s=st.none() | SECONDS)
    def fail(self, claim, retry_in_s):
        row = self.held(claim)
        reason = f"failed at {self.now}"
        assert self.run(self.inbox.fail(claim, reason=reason, retry_in_s=retry_in_s)) is (row is not None)
        if row:
            row.state, row.at = ("dead", 0) if retry_in_s is None else ("waiting", self.now + retry_in_s)
            row.reason = reason

    @rule(claim=consumes(claims))
    def release(self, claim):
        row = self.held(claim)
        assert self.run(self.inbox.release(claim)) is (row is not None)
        if row:
            row.state, row.at, row.attempts = "waiting", 0, row.attempts - 1

    @rule(event_ids=st.none() | st.lists(IDS, max_size=3))
    def revive(self, event_ids):
        dead = [
            row
            for row in self.rows
            if row.state == "dead" and (event_ids is None or row.delivery.event_id in event_ids)
        ]
        assert len(dead) == self.run(self.inbox.revive(event_ids))
        for row in dead:
            row.state, row.at, row.attempts = "waiting", 0, 0

    @rule(done_before_s=st.none() | SECONDS, lane=st.none() | LANES)
    def purge(self, done_before_s, lane):
        gone = [
            row
            for row in self.rows
            if (lane is None or row.delivery.lane == lane)
            and (done_before_s is None or (row.state == "done" and row.at <= self.now - done_before_s))
            and not (done_before_s is None and lane is None)
        ]
        assert len(gone) == self.run(self.inbox.purge(done_before_s=done_before_s, lane=lane))
        self.rows = [row for row in self.rows if row not in gone]

    @rule(seconds=SECONDS)
    def pass_time(self, seconds):
        self.now += seconds

    @rule(key=st.sampled_from("pq"), value=st.none() | st.binary(max_size=2))
    def save(self, key, value):
        self.run(self.inbox.save(key, value))
        self.saved[key] = value

    @rule()
    def reopen(self):
        self.run(self.inbox.close())
        self.run(self.inbox.open())

    @rule()
    def wait(self):
        if self.due():
            self.run(self.inbox.wait(60))

    @invariant()
    def same_entries(self):
        expected = [
            (row.delivery.event_id, row.delivery.lane, row.state, row.attempts, row.reason) for row in self.rows[::-1]
        ]
        entries = self.run(self.inbox.entries())
        assert expected == [(one.event_id, one.lane, one.state, one.attempts, one.reason) for one in entries]

    @invariant()
    def same_counts(self):
        states = [row.state for row in self.rows]
        waiting = [row.delivery.received_at for row in self.rows if row.state == "waiting"]
        counts = self.run(self.inbox.counts())
        assert [states.count(one) for one in ("waiting", "claimed", "done", "dead")] == [
            counts.waiting,
            counts.claimed,
            counts.done,
            counts.dead,
        ]
        assert counts.oldest_waiting_s == ((self.clock.now() - waiting[0]).total_seconds() if waiting else None)

    @invariant()
    def same_values(self):
        for key, value in self.saved.items():
            assert value == self.run(self.inbox.load(key))


class MemoryMachine(Machine):
    """`MemoryInbox` beside the list."""

    @initialize()
    def open(self):
        self.inbox = MemoryInbox(clock=self.clock)
        self.run(self.inbox.open())


class SqliteMachine(Machine):
    """`SqliteInbox` beside the list; whoever opens it alone finds every lease at its end.

    There may be two that have it open. Few are given their place at once, so that much is new at any time.
    """

    other = None

    @rule()
    def reopen(self):
        if self.other:
            self.run(self.other.close())
            self.other = None
        super().reopen()
        for row in self.rows:
            if row.state == "claimed":
                row.at = 0

    @rule()
    def switch(self):
        if self.other is None:
            self.other = self.make()
            self.run(self.other.open())
        self.inbox, self.other = self.other, self.inbox

    @initialize(keep_bodies_s=st.sampled_from([0, 5]), portion=st.sampled_from([1, 2, 64]))
    def open(self, keep_bodies_s, portion):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(_sqlite_ledger, "ADMITTED", portion)
        self.patch.setattr(_sqlite_ledger, "MANY", 2 * portion)
        self.patch.setattr(_sqlite_ledger, "MANY_SHARED", portion)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "inbox.db")
        self.make = partial(SqliteInbox, self.path, keep_bodies_s=keep_bodies_s, synchronous="NORMAL", clock=self.clock)
        self.inbox = self.make()
        self.run(self.inbox.open())

    def teardown(self):
        if self.other:
            self.run(self.other.close())
        super().teardown()
        self.patch.undo()
        connection = sqlite3.connect(self.path)
        ok = connection.execute("PRAGMA integrity_check").fetchall()
        first = connection.execute(
            "SELECT count(*) FROM delivery WHERE first <> (state IN ('ready', 'later', 'claimed'))"
        ).fetchone()
        bodies = connection.execute(
            "SELECT count(*) FROM body JOIN delivery USING (seq) WHERE state = 'done'"
        ).fetchone()
        missing = connection.execute(
            "SELECT count(*) FROM delivery LEFT JOIN body USING (seq) WHERE state <> 'done' AND content IS NULL"
        ).fetchone()
        orphans = connection.execute(
            "SELECT count(*) FROM body LEFT JOIN delivery USING (seq) WHERE event_id IS NULL"
        ).fetchone()
        connection.close()
        self.folder.cleanup()

        assert [("ok",)] == ok
        assert [(0,)] * 4 == [first, bodies, missing, orphans]


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)

TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
