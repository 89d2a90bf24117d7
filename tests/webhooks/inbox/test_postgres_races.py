"""Every pair of operations of two machines at the same time, interleaved at the database: as if one came first.

The first operation is carried out by one connection, the second by another one, in two ways. *Blocked*: the first is
done and not committed when the second begins, which then waits for it, or passes by. *Stale*: the second has begun, so
that it has its snapshot, when the first begins and commits; a gate in the statement, an advisory lock, holds it there.

What comes out is compared with `MemoryInbox`, which does both one after another: one of the two orders must fit. A
claim may also find nothing, and then it must have changed nothing.
"""

import asyncio

import asyncpg
import attrs
import pytest

from pinwheel_async.webhooks import DeliveryFilter, MemoryInbox
from pinwheel_async.webhooks._postgres import admin, statements
from pinwheel_async.webhooks._postgres.schema import queue_of
from pinwheel_async.webhooks._postgres.store import ClaimItem, MarkItem

from .claims import LEASE_S, ids
from .postgres_books import books

GATE = 4711
OPERATIONS = ("put", "repeat", "claim", "extend", "done", "finish", "fail", "die", "release", "revive", "purge", "tidy")
BY_CLAIM = {"extend", "done", "finish", "fail", "die", "release"}
STORED = ["dead", "done", "first", "second"]
SCENARIOS = {
    "claimed": OPERATIONS,
    "lapsed": OPERATIONS,
    "last": ("put", "done", "fail", "die", "revive", "purge"),
    "ready": tuple(name for name in OPERATIONS if name not in BY_CLAIM),
}
"""The first unfinished delivery of the account is claimed, was claimed and its lease is over, is claimed with nothing
behind it, or waits; and what can be done then."""

GATED = {
    "PUT": "WHERE $11 = 0",
    "CLAIM": "WHERE state = 'r'",
    "MARK": "WHERE q.queue = g.asked AND q.token = g.token",
    "EXTEND": "WHERE q.queue = g.queue AND q.token = g.token",
    "_LOCK": "WHERE event_id = ANY($1::text[])",
}


def gated(statement, condition):
    """Let a statement wait for an advisory lock before it looks at the first row, and after it has its snapshot."""
    assert condition in statement
    gate = f"WHERE (SELECT pg_advisory_xact_lock_shared({GATE}) IS NOT NULL) AND ({condition.removeprefix('WHERE ')}"
    rest = statement.split(condition, 1)[1]
    end = "\n    ON CONFLICT" if condition == "WHERE $11 = 0" else " FOR UPDATE" if " = g." in condition else None
    before = statement.split(condition, 1)[0]
    if end is None:
        return f"{before}{gate}){rest}"
    inside, after = rest.split(end, 1)
    return f"{before}{gate}{inside}){end}{after}"


class Open:
    """A connection in a transaction that somebody else ends, whatever is said to it."""

    def __init__(self, connection):
        self.connection = connection

    def __getattr__(self, name):
        return getattr(self.connection, name)

    async def execute(self, query, *arguments):
        return "" if query in {"BEGIN", "COMMIT"} else await self.connection.execute(query, *arguments)


class Machines:
    """Two machines with an inbox each, and an account with one delivery of each kind."""

    def __init__(self, inbox, url, schema, deliver, time):
        self.inbox, self.url, self.schema, self.deliver, self.time = inbox, url, schema, deliver, time
        self.store = inbox._store

    async def connect(self):
        self.first, self.second, self.gate = [
            await asyncpg.connect(self.url, server_settings={"search_path": self.schema}) for _ in range(3)
        ]

    async def close(self):
        for connection in (self.first, self.second, self.gate):
            await connection.close()

    async def fill(self, inbox, scenario):
        """Put what there is; return the claim, if there is one."""
        for event_id in ("dead", "done"):
            await inbox.put(self.deliver(event_id))
        for end in ("dead", "done"):
            (held,) = await inbox.claim(1, lease_s=LEASE_S)
            await (inbox.done(held) if end == "done" else inbox.fail(held, reason="r", retry_in_s=None))
        for event_id in ("first",) if scenario == "last" else ("first", "second"):
            await inbox.put(self.deliver(event_id))
        if scenario == "ready":
            return None
        (held,) = await inbox.claim(1, lease_s=LEASE_S)
        return held

    async def following(self):
        """Return the number of what follows the claimed delivery, as a worker has it in memory."""
        query = f"SELECT seq FROM {self.schema}.pinwheel_inbox_deliveries WHERE event_id = 'second'"  # noqa: S608
        return await self.gate.fetchval(query)

    async def carry_out(self, name, connection, held):
        """Carry out an operation over a connection, as the inbox does it; return what it says."""
        store = self.store
        match name:
            case "put" | "repeat":
                (said,) = await store.put(connection, [self.deliver("new")])
            case "claim":
                (claimed,) = await store.claim(connection, [ClaimItem(10, LEASE_S)])
                return ids([chain[0].claim for chain in claimed.chains])
            case "extend":
                (said,) = await store.extend(connection, [(held, LEASE_S)])
            case "revive":
                ((said, _),) = await store.change(
                    connection, [admin.Portion("revive", DeliveryFilter(states="dead"), STORED)]
                )
            case "purge":
                ((said, _),) = await store.change(connection, [admin.Portion("purge", DeliveryFilter(), STORED)])
            case "tidy":
                await store.tidy(connection, [None])
                return None
            case _:
                mark = {"done": "d", "die": "x"}.get(name, "w")
                details = {"retry_in_s": 5, "reason": "failed"} if name == "fail" else {}
                if name == "finish":
                    mark = "d"
                    details = {"following": (self.second_seq, held.token + 1), "lease_s": LEASE_S}
                item = MarkItem(queue_of("account"), held.token, mark, counted=int(name != "release"), **details)
                ((said, goes_on),) = await store.mark(connection, [item])
                if name == "finish":
                    return said and goes_on
        return said

    async def serially(self, scenario, names):
        """Do the same in memory, one after another; return what was said, what is there, and how it comes."""
        inbox = MemoryInbox(clock=self.time.clock)
        await inbox.open()
        held = await self.fill(inbox, scenario)
        if scenario == "lapsed":
            self.time.advance(LEASE_S)
        said = [await self.in_memory(inbox, name, held) for name in names]
        return said, *await self.outcome(inbox)

    async def in_memory(self, inbox, name, held):  # noqa: C901, PLR0911  # one line for each operation
        match name:
            case "put" | "repeat":
                return await inbox.put(self.deliver("new"))
            case "claim":
                return ids(await inbox.claim(10, lease_s=LEASE_S))
            case "extend":
                return await inbox.extend(held, lease_s=LEASE_S)
            case "done":
                return await inbox.done(held)
            case "finish":
                return await inbox.done(held) and ids(await inbox.claim(1, lease_s=LEASE_S)) == ["second"]
            case "fail":
                return await inbox.fail(held, reason="failed", retry_in_s=5)
            case "die":
                return await inbox.fail(held, reason=None, retry_in_s=None)
            case "release":
                return await inbox.release(held)
            case "revive":
                return await inbox.revive(DeliveryFilter(event_ids=STORED))
            case "purge":
                return await inbox.purge(DeliveryFilter(event_ids=STORED))
            case _:
                await inbox.purge(DeliveryFilter(states="done"))
                return None

    async def outcome(self, inbox):
        """Return what there is, and in which order everything unfinished is handled."""
        if inbox is self.inbox:
            listed = await admin.entries(self.gate, self.schema, DeliveryFilter(), 100)
        else:
            listed = await inbox.entries()
        entries = [attrs.evolve(entry, received_at=0, reason=None) for entry in listed]
        self.time.advance(2 * LEASE_S)
        order = []
        while claims := await inbox.claim(10, lease_s=LEASE_S):
            order += [(claim.delivery.event_id, claim.attempt, claim.interrupted) for claim in claims]
            assert all([await inbox.done(claim) for claim in claims])
        return entries, order

    async def blocked(self, task):
        """Wait until the second machine waits for a lock, or what it does is over; return whether it waits."""
        query = "SELECT count(*) FROM pg_locks WHERE pid = $1 AND NOT granted"
        async with asyncio.timeout(60):
            while not task.done():
                if await self.gate.fetchval(query, self.second.get_server_pid()):
                    return True
        return False

    async def together(self, how, names, held, monkeypatch):
        """Let two machines do something at the same time; return what was said."""
        first, second, gate = self.first, self.second, self.gate
        if how == "blocked":
            await first.execute("BEGIN")
            said = await self.carry_out(names[0], Open(first), held)
            task = asyncio.create_task(self.carry_out(names[1], second, held))
            await self.blocked(task)
            await first.execute("COMMIT")
            return [said, await task]
        await gate.execute(f"SELECT pg_advisory_lock({GATE})")
        with monkeypatch.context() as patch:
            for name, condition in GATED.items():
                module = admin if name == "_LOCK" else statements
                patch.setattr(module, name, gated(getattr(module, name), condition))
            patch.setattr(statements, "TIDY", tuple(gated(text, "WHERE state = 'd'") for text in statements.TIDY))
            task = asyncio.create_task(self.carry_out(names[1], second, held))
            assert await self.blocked(task)
        said = await self.carry_out(names[0], first, held)
        await gate.execute(f"SELECT pg_advisory_unlock({GATE})")
        return [said, await task]

    async def clear(self):
        """Empty the tables."""
        for table in ("deliveries", "queues"):
            await self.gate.execute(f"DELETE FROM {self.schema}.pinwheel_inbox_{table}")  # noqa: S608


@pytest.fixture
async def machines(postgres_inbox, deliver, time):
    inbox = postgres_inbox(clock=time.clock, remember_s=0)
    await inbox.open()
    inbox._tidy = lambda: None  # only as an operation of its own
    machines = Machines(inbox, postgres_inbox.url, postgres_inbox.schema, deliver, time)
    await machines.connect()
    yield machines
    await machines.close()
    await inbox.close()


@pytest.mark.parametrize("how", ["blocked", "stale"])
@pytest.mark.parametrize(
    ("scenario", "first"), [(name, first) for name, firsts in SCENARIOS.items() for first in firsts]
)
async def test_two_at_the_same_time(machines, monkeypatch, scenario, first, how):
    """Whatever another machine does beside an operation, it is as if one of the two had come after the other."""
    wrong = {}
    for second in SCENARIOS[scenario]:
        await machines.clear()
        held = await machines.fill(machines.inbox, scenario)
        machines.second_seq = await machines.following()
        if scenario == "lapsed":
            machines.time.advance(LEASE_S)
        said = await machines.together(how, (first, second), held, monkeypatch)
        problems = await books(machines.gate)
        found = (said, *await machines.outcome(machines.inbox))
        forth = await machines.serially(scenario, (first, second))
        back_said, *back = await machines.serially(scenario, (second, first))
        expected = [forth, (back_said[::-1], *back)]
        if {"finish", "revive"} == {first, second}:
            # What follows in memory may have begun, so it goes on whichever comes first, and what was revived waits.
            expected = [expected[first != "finish"]]
        for place, name in enumerate((first, second)):
            if name == "claim" and said[place] == []:  # it passes by what is locked, and finds it the next time
                others = [first, second][1 - place : 2 - place]
                said_alone, *alone = await machines.serially(scenario, others)
                said_alone.insert(place, [])
                expected.append((said_alone, *alone))
        if problems or found not in expected:
            wrong[second] = (problems, found, expected)

    assert not wrong
