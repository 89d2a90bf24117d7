"""Whatever happens, in whatever order, every inbox does what a simple list would do."""

import asyncio
import itertools
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import attrs
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from pinwheel_async._clock import Clock
from pinwheel_async.webhooks import Claim, Delivery, DeliveryFilter, MemoryInbox, PostgresInbox, SqliteInbox
from pinwheel_async.webhooks._inbox import sqlite_admin, sqlite_store
from pinwheel_async.webhooks._inbox.hand_over import Handed
from pinwheel_async.webhooks._postgres import admin as postgres_admin

from .postgres_books import books

_schemas = itertools.count(1)

IDS = st.sampled_from("abcdefgh")
KEYS = st.sampled_from("xyz")
EVENTS = st.sampled_from(["p.added", "p.changed", "q.added", "p", "%.added"])
PROGRESS = st.none() | st.binary(max_size=2)
SECONDS = st.sampled_from([0, 1, 5, 20])
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "states": st.lists(st.sampled_from(["waiting", "claimed", "done", "dead"]), unique=True),
        "events": st.lists(EVENTS | st.sampled_from(["p.*", "q.*", "%.*"]), max_size=2),
        "ordering_key": KEYS,
        "reason": st.sampled_from(["failed", "at 5", "%"]),
        "received_after": SECONDS,
        "received_before": SECONDS,
        "event_ids": st.lists(IDS, max_size=3),
    },
)


@attrs.define
class Row:
    delivery: Delivery
    state: str = "waiting"
    at: float = 0
    attempts: int = 0
    interrupted: int = 0
    reason: str | None = None
    progress: bytes | None = None
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
        self.last_token = 0
        self.rows: list[Row] = []
        self.saved: dict[str, bytes | None] = {}

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now, now=lambda: self.start + timedelta(seconds=self.now))

    def run(self, awaitable: Any) -> Any:
        return self.runner.run(awaitable)

    def teardown(self) -> None:
        self.run(self.inbox.close())
        self.runner.close()

    def held(self, claim: Claim) -> Row | None:
        return next((row for row in self.rows if row.claim is claim and row.state == "claimed"), None)

    def due(self) -> list[Row]:
        found = []
        for key in {row.delivery.ordering_key for row in self.rows}:
            rows = [row for row in self.rows if row.delivery.ordering_key == key]
            busy = [row for row in rows if row.state == "claimed"]
            waiting = [row for row in rows if row.state == "waiting"]
            found += [row for row in (busy or waiting)[:1] if row.at <= self.now]
        return sorted(found, key=self.rows.index)

    @rule(event_id=IDS, ordering_key=KEYS, event=EVENTS)
    def put(self, event_id, ordering_key, event):
        known = any(row.delivery.event_id == event_id for row in self.rows)
        delivery = Delivery(
            event_id=event_id,
            event=event,
            ordering_key=ordering_key,
            received_at=self.clock.now(),
            key="k",
            body=event_id.encode(),
        )
        assert self.run(self.inbox.put(delivery)) is not known
        if not known:
            self.rows.append(Row(delivery))

    @rule(target=claims, limit=st.integers(0, 4), lease_s=SECONDS)
    def claim(self, limit, lease_s):
        expected = self.due()[:limit]
        got = self.run(self.inbox.claim(limit, lease_s=lease_s))
        self.take(expected, got, lease_s)
        return multiple(*got)

    def take(self, expected, got, lease_s):
        for row in expected:
            row.attempts += row.state != "claimed"
            row.interrupted += row.state == "claimed"
        assert [(row.delivery, row.attempts, row.interrupted, row.progress) for row in expected] == [
            (claim.delivery, claim.attempt, claim.interrupted, claim.progress) for claim in got
        ]
        assert all(claim.token > self.last_token for claim in got)
        self.last_token = max([self.last_token, *[claim.token for claim in got]])
        for row, claim in zip(expected, got, strict=True):
            row.state, row.at, row.claim = "claimed", self.now + lease_s, claim

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

    @rule(claim=claims, retry_in_s=st.none() | SECONDS, progress=PROGRESS)
    def fail(self, claim, retry_in_s, progress):
        row = self.held(claim)
        reason = f"failed at {self.now}"
        marked = self.run(self.inbox.fail(claim, reason=reason, retry_in_s=retry_in_s, progress=progress))
        assert marked is (row is not None)
        if row:
            row.state, row.at = ("dead", 0) if retry_in_s is None else ("waiting", self.now + retry_in_s)
            row.reason = reason
            row.interrupted = row.interrupted if retry_in_s is None else 0
            row.progress = row.progress if progress is None else progress

    @rule(claim=consumes(claims), progress=PROGRESS)
    def release(self, claim, progress):
        row = self.held(claim)
        assert self.run(self.inbox.release(claim, progress=progress)) is (row is not None)
        if row:
            row.progress = row.progress if progress is None else progress
            row.state, row.at, row.attempts = "waiting", 0, row.attempts - 1

    @rule(filter=FILTERS)
    def revive(self, filter):
        dead = [row for row in self.rows if row.state == "dead" and self.meant(row, filter)]
        assert len(dead) == self.run(self.inbox.revive(self.filter_of(filter)))
        for row in dead:
            row.state, row.at, row.attempts, row.interrupted = "waiting", 0, 0, 0

    @rule(filter=FILTERS)
    def purge(self, filter):
        gone = [row for row in self.rows if self.meant(row, filter)]
        assert len(gone) == self.run(self.inbox.purge(self.filter_of(filter)))
        self.rows = [row for row in self.rows if row not in gone]

    @rule(filter=FILTERS)
    def preview(self, filter):
        rows = [row for row in self.rows if self.meant(row, filter)]
        preview = self.run(self.inbox.preview(self.filter_of(filter)))
        assert Counter(row.state for row in rows) == preview.states
        assert Counter(row.delivery.event for row in rows) == preview.events
        assert (len(rows), len({row.delivery.ordering_key for row in rows})) == (
            preview.deliveries,
            preview.ordering_keys,
        )

    @rule(filter=FILTERS)
    def list_some(self, filter):
        listed = [entry.event_id for entry in self.run(self.inbox.entries(self.filter_of(filter)))]
        assert listed == [row.delivery.event_id for row in reversed(self.rows) if self.meant(row, filter)]

    def filter_of(self, filter):
        """Make the filter of what was drawn: moments are drawn as seconds since the start."""
        moments = {
            name: self.start + timedelta(seconds=filter[name])
            for name in ("received_after", "received_before")
            if name in filter
        }
        return DeliveryFilter(**(filter | moments))

    def meant(self, row, filter):
        """Whether a filter selects a row, said once more in other words."""
        delivery = row.delivery
        seconds = (delivery.received_at - self.start).total_seconds()
        events = filter.get("events", ())
        family, dot, _ = delivery.event.partition(".")
        return all(
            [
                row.state in filter.get("states", ()) or not filter.get("states"),
                not events or delivery.event in events or (dot and f"{family}.*" in events),
                filter.get("ordering_key", delivery.ordering_key) == delivery.ordering_key,
                filter.get("reason", "") in (row.reason or "") and (row.reason is not None or "reason" not in filter),
                filter.get("received_after", 0) <= seconds,
                seconds < filter.get("received_before", 10**9),
                delivery.event_id in filter.get("event_ids", delivery.event_id),
            ]
        )

    @rule(seconds=SECONDS)
    def pass_time(self, seconds):
        self.now += seconds

    @rule(key=st.sampled_from("pq"), value=st.none() | st.binary(max_size=2))
    def save(self, key, value):
        self.run(self.inbox.save(key, value))
        self.saved[key] = value

    @rule(key=st.sampled_from("pq"), value=st.binary(max_size=2))
    def load_or_save(self, key, value):
        saved = self.run(self.inbox.load_or_save(key, value))
        if self.saved.get(key) is None:
            self.saved[key] = value
        assert self.saved[key] == saved

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
            (row.delivery.event_id, row.delivery.ordering_key, row.state, row.attempts, row.reason, row.interrupted)
            for row in self.rows[::-1]
        ]
        entries = self.run(self.inbox.entries())
        assert expected == [
            (entry.event_id, entry.ordering_key, entry.state, entry.attempts, entry.reason, entry.interrupted)
            for entry in entries
        ]

    @invariant()
    def same_counts(self):
        states = [row.state for row in self.rows]
        waiting = [row.delivery.received_at for row in self.rows if row.state == "waiting"]
        counts = self.run(self.inbox.counts())
        assert [states.count(state) for state in ("waiting", "claimed", "done", "dead")] == [
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


class SharedMachine(Machine):
    """An inbox that two have open: what the one does, the other one sees."""

    make: Callable[[], Any]
    patch: pytest.MonkeyPatch
    other: Any = None

    @rule()
    def switch(self):
        if self.other is None:
            self.other = self.make()
            self.run(self.other.open())
        self.inbox, self.other = self.other, self.inbox

    def teardown(self):
        if self.other:
            self.run(self.other.close())
        super().teardown()
        self.patch.undo()


class SqliteMachine(SharedMachine):
    """`SqliteInbox` beside the list; opening it alone ends every lease.

    Two may have it open. Few are assigned their places at once, so that much is new at any time.
    """

    @rule()
    def reopen(self):
        if self.other:
            self.run(self.other.close())
            self.other = None
        super().reopen()
        for row in self.rows:
            if row.state == "claimed":
                row.at = 0

    @initialize(keep_bodies_s=st.sampled_from([0, 5]), portion=st.sampled_from([1, 2, 64]))
    def open(self, keep_bodies_s, portion):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(sqlite_store, "ASSIGNED_AT_ONCE", portion)
        self.patch.setattr(sqlite_admin, "FOUND_ROWS", 2 * portion)
        self.patch.setattr(sqlite_admin, "PORTION_ROWS", portion)
        self.patch.setattr(sqlite_store, "MAX_NEW", 2 * portion)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "inbox.db")
        self.make = partial(SqliteInbox, self.path, keep_bodies_s=keep_bodies_s, synchronous="NORMAL", clock=self.clock)
        self.inbox = self.make()
        self.run(self.inbox.open())

    def teardown(self):
        super().teardown()
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


class HandOverMachine(SqliteMachine):
    """`SqliteInbox` beside the list, where some of what is put is handed over to a worker that has no handlers."""

    @initialize(keep_bodies_s=st.sampled_from([0, 5]), portion=st.sampled_from([1, 2, 64]))
    def open(self, keep_bodies_s, portion):
        super().open(keep_bodies_s, portion)
        make, self.takers = self.make, {}

        def make_handing() -> SqliteInbox:
            inbox = make()
            self.takers[inbox] = taker = Taker(self.clock)
            inbox.hand_over_to(taker)
            return inbox

        self.run(self.inbox.close())
        self.make = make_handing
        self.inbox = make_handing()
        self.run(self.inbox.open())

    @rule(
        target=Machine.claims,
        event_id=IDS,
        ordering_key=KEYS,
        event=EVENTS,
        has_room=st.sampled_from([True, True, True, False]),
    )
    def put(self, event_id, ordering_key, event, has_room):
        taker = self.takers[self.inbox]
        taker.has_room = has_room
        own = [row for row in self.rows if row.delivery.ordering_key == ordering_key]
        unfinished = [row for row in own if row.state in {"waiting", "claimed"}]
        number = len(self.rows)
        super().put(event_id, ordering_key, event)
        handed, taker.taken = taker.taken, []
        if not handed:
            assert len(self.rows) == number or unfinished or not has_room
            return multiple()
        ((item, row),) = [(item, self.rows[-1]) for item in handed]
        assert (item.claim.delivery, item.claim.attempt) == (row.delivery, 1)
        assert item.claim.token > self.last_token
        self.last_token = item.claim.token
        chain = taker.chains.setdefault(ordering_key, [])
        assert item.is_first is not bool(unfinished)
        assert [row for _, row in chain] == unfinished
        chain.append((item, row))
        if not item.is_first:
            return multiple()
        self.claim_handed(item, row)
        return item.claim

    @rule(target=Machine.claims, key=KEYS, number=st.integers(1, 3))
    def finish(self, key, number):
        taker = self.takers[self.inbox]
        self.run(self.inbox.counts())  # it is told what others have done
        chain = taker.chains.pop(key, [])
        if not chain:
            return multiple()
        finished, left = chain[:number], chain[number:]
        is_held = self.held(chain[0][0].claim) is not None
        (ok,) = self.run(self.inbox.finish([(key, [item.seq for item, _ in finished])], lease_s=Taker.lease_s))
        assert ok is is_held
        if not ok:
            return multiple()
        for _, row in finished:
            row.state, row.at = "done", self.now
        if not left:
            return multiple()
        taker.chains[key] = left
        self.claim_handed(*left[0])
        return left[0][0].claim

    def claim_handed(self, item, row):
        row.state, row.at, row.claim, row.attempts = "claimed", self.now + Taker.lease_s, item.claim, row.attempts + 1

    @rule(claim=Machine.claims)
    def done(self, claim):
        super().done(claim)
        self.cut(claim)

    @rule(claim=Machine.claims, retry_in_s=st.none() | SECONDS, progress=PROGRESS)
    def fail(self, claim, retry_in_s, progress):
        super().fail(claim, retry_in_s, progress)
        self.cut(claim)

    @rule(claim=consumes(Machine.claims), progress=PROGRESS)
    def release(self, claim, progress):
        super().release(claim, progress)
        self.cut(claim)

    def cut(self, claim):
        """Do as a worker does that has marked in another way than as done with others."""
        for taker in self.takers.values():
            taker.chains = {key: chain for key, chain in taker.chains.items() if chain[0][0].claim is not claim}

    @rule()
    def reopen(self):
        for taker in self.takers.values():
            taker.chains = {}
        super().reopen()


class Taker:
    """Worker that takes what is handed over, and begins nothing."""

    lease_s = 5

    def __init__(self, clock):
        self.clock = clock
        self.has_room = False
        self.taken: list[Any] = []
        self.chains: dict[str, list[Any]] = {}

    def lease_end(self):
        return self.clock.monotonic() + self.lease_s

    def room(self):
        return int(self.has_room), 1_000

    def queued(self):
        return 0

    def take(self, handed):
        self.taken += handed

    def drop(self, seqs):
        left = {key: [pair for pair in chain if pair[0].seq not in seqs] for key, chain in self.chains.items()}
        self.chains = {key: chain for key, chain in left.items() if chain}


class PostgresMachine(SharedMachine):
    """`PostgresInbox` beside the list; two have the same tables, and few rows are changed at once.

    Some is claimed in chains, as by a worker that has no handlers, and marked by whichever of the two.
    """

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.chains: dict[str, list[Any]] = {}

    @rule(target=Machine.claims, limit=st.integers(1, 4), length=st.integers(1, 4), lease_s=SECONDS)
    def claim_chains(self, limit, length, lease_s):
        expected = self.due()[:limit]
        found = self.run(
            self.inbox.claim_chains(limit, lease_s=lease_s, length=length, room=1_000, room_bytes=1_000_000)
        )
        self.take(expected, [chain[0].claim for chain in found], lease_s)
        for row, chain in zip(expected, found, strict=True):
            key = row.delivery.ordering_key
            own = [other for other in self.rows if other.delivery.ordering_key == key]
            rows = [row, *[other for other in own[own.index(row) + 1 :] if other.state == "waiting"]]
            assert len(chain) <= length
            for number, (follower, (claim, seq)) in enumerate(zip(rows, chain, strict=False)):
                assert follower.delivery == claim.delivery
                assert not number or (follower.at <= self.now and follower.progress is None)
                assert not number or (claim.attempt, claim.interrupted) == (follower.attempts + 1, 0) == (1, 0)
                assert claim.token == chain[0].claim.token + number
                self.last_token = max(self.last_token, claim.token)
                self.chains.setdefault(key, []).append((Handed(claim, seq, 0, not number), follower))
            self.chains[key] = self.chains[key][-len(chain) :]
        return multiple(*[chain[0].claim for chain in found])

    @rule(target=Machine.claims, key=KEYS, number=st.integers(1, 3), lease_s=SECONDS)
    def finish_chains(self, key, number, lease_s):
        chain = self.chains.pop(key, [])
        if not chain:
            return multiple()
        finished, left = chain[:number], chain[number:]
        is_held = self.held(chain[0][0].claim) is not None
        following = left[0] if left else (None, None)
        done = [handed for handed, _ in finished]
        (ok,) = self.run(self.inbox.finish_chains([(done, following[0])], lease_s=lease_s))
        is_there = not left or any(row is following[1] for row in self.rows)
        assert ok is (is_held and is_there)
        if is_held:
            for place, (_, row) in enumerate(finished):
                row.state, row.at, row.attempts = "done", self.now, row.attempts + (place > 0)
        if not ok or not left:
            return multiple()
        self.chains[key] = left
        claim, row = left[0][0].claim, left[0][1]
        row.state, row.at, row.claim, row.attempts = "claimed", self.now + lease_s, claim, row.attempts + 1
        return claim

    @initialize(keep_bodies_s=st.sampled_from([0, 5]), portion=st.sampled_from([1, 2, 64]))
    def open(self, keep_bodies_s, portion):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(postgres_admin, "FOUND_ROWS", 2 * portion)
        self.patch.setattr(postgres_admin, "PORTION_ROWS", portion)
        self.schema = f"model_{next(_schemas)}"
        self.make = partial(PostgresInbox, self.url, schema=self.schema, keep_bodies_s=keep_bodies_s, clock=self.clock)
        self.inbox = self.make()
        self.run(self.inbox.open())

    async def look(self):
        connection = await asyncpg.connect(self.url, server_settings={"search_path": self.schema})
        try:
            return await books(connection)
        finally:
            await connection.close()

    def teardown(self):
        wrong = self.run(self.look())
        super().teardown()

        assert not wrong


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)

TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


TestHandOver = HandOverMachine.TestCase
TestHandOver.settings = TestSqlite.settings


class TestPostgres(PostgresMachine.TestCase):
    settings = settings(
        max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )

    @pytest.fixture(autouse=True)
    def database(self, shared_postgres):
        PostgresMachine.url = shared_postgres
