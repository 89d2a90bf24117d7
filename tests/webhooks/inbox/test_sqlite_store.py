"""Store of deliveries: what an operation costs, however much there is, and what a transaction does besides."""

import asyncio
import sqlite3
from contextlib import closing
from random import Random

import pytest

from pinwheel_async.webhooks import DeliveryFilter
from pinwheel_async.webhooks._inbox import sqlite_store


async def test_claiming_costs_the_same_however_much_waits(opened, deliver_apart, path):
    """Behind 100,000 of one ordering key, and as many dead, done and to be tried again, it takes no more steps."""

    async def steps(inbox, work):
        taken = [0]

        def count():
            taken[0] += 1

        await inbox._group.submit(lambda store: store.connection.set_progress_handler(count, 1))
        await work
        await inbox._group.submit(lambda store: store.connection.set_progress_handler(None, 1))
        return taken[0]

    async def handle(inbox, name):
        await inbox.put(deliver_apart(name))
        (claim,) = await inbox.claim(1, lease_s=60)
        await inbox.wait(0)
        await inbox.done(claim)
        assert name == claim.delivery.event_id

    async with opened(max_waiting=None) as inbox:
        few = await steps(inbox, handle(inbox, "few"))
        await inbox.put(deliver_apart("first", ordering_key="account"))
        (first,) = await inbox.claim(1, lease_s=60)
        with closing(sqlite3.connect(path)) as other:
            other.executescript("""
                WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000),
                    kind (first, state, ordering_key, at) AS (
                        VALUES (0, 'behind', 'account', 0), (0, 'dead', 'dead', 0), (0, 'done', 'done', 9e9),
                            (1, 'later', NULL, 9e9)
                    )
                INSERT INTO delivery (
                    event_id, event, ordering_key, received_at, signed_with, assigned, first, state, at, attempts, token
                )
                SELECT state || i, 'e', coalesce(ordering_key, state || i), 0, 'k', 1, first, state, at, 0, 0
                FROM n, kind;
            """)
        many = await steps(inbox, handle(inbox, "many"))
        next_of_many = await steps(inbox, inbox.done(first))

    # Deeper trees take a few steps more; looking at each row would take a hundred thousand.
    assert many < few + 100
    assert next_of_many < few


async def test_old_ids_go_in_small_portions(opened, deliver_apart, time):
    """Each transaction forgets some of what is old, until nothing is; nothing else is touched."""
    async with opened(remember_s=100) as inbox:
        await asyncio.gather(*(inbox.put(deliver_apart(f"{number}")) for number in range(150)))
        for claim in await inbox.claim(149, lease_s=60):
            await inbox.done(claim)
        time.advance(100)
        left = [(await inbox.counts()).done for _ in range(4)]

        assert [149, 149 - 64, 149 - 128, 0] == left
        assert ["149"] == [entry.event_id for entry in await inbox.entries()]


async def test_inbox_that_only_puts(opened, deliver_apart, monkeypatch):
    """Without claims, little stays new, and all is in order."""
    monkeypatch.setattr(sqlite_store, "MAX_NEW", 8)
    monkeypatch.setattr(sqlite_store, "ASSIGNED_AT_ONCE", 4)
    async with opened() as inbox:
        new = []
        for number in range(50):
            await inbox.put(deliver_apart(f"{number}", ordering_key=f"{number % 20}"))
            new.append(await inbox._group.submit(lambda store: len(store.new_ids)))
        again = [await inbox.put(deliver_apart(f"{number}")) for number in range(50)]
        claimed = [claim.delivery.event_id for claim in await inbox.claim(50, lease_s=60)]

    assert 8 == max(new)
    assert {False} == set(again)
    assert [f"{number}" for number in range(20)] == claimed


async def test_bound_of_what_is_new_holds_for_groups(opened, deliver_apart, monkeypatch):
    """However large groups are, no more is new than the bound says, or than came last."""
    monkeypatch.setattr(sqlite_store, "MAX_NEW", 300)
    async with opened() as inbox:
        new = []
        for group in range(5):
            names = [f"{group}-{number}" for number in range(250)]
            await asyncio.gather(*(inbox.put(deliver_apart(name)) for name in names))
            new.append(await inbox._group.submit(lambda store: len(store.new_ids)))

    assert max(new) <= 300


async def test_new_ids_of_others_are_read_once(opened, deliver_apart):
    """A transaction after another process has written reads what is new since, not all that is new."""
    async with opened() as inbox, opened() as other:
        await asyncio.gather(*(other.put(deliver_apart(f"{number}")) for number in range(2_000)))
        await inbox.counts()
        steps = [0]

        def count():
            steps[0] += 1

        await other.put(deliver_apart("new"))
        await inbox._group.submit(lambda store: store.connection.set_progress_handler(count, 1))
        known = [await inbox.put(deliver_apart(name)) for name in ("new", "0", "1999")]

    assert [False] * 3 == known
    assert steps[0] < 1_000


@pytest.mark.parametrize("remember_s", [0, 100])
async def test_new_ids_of_others_are_right(opened, deliver_apart, monkeypatch, remember_s):
    """Whatever others put, assign, purge and forget, in whatever order, a repetition is known and a new one is not."""
    monkeypatch.setattr(sqlite_store, "ASSIGNED_AT_ONCE", 2)
    monkeypatch.setattr(sqlite_store, "CLEANUP_EVERY_S", 0)
    random = Random(1)
    async with opened(remember_s=remember_s) as inbox, opened() as other:
        known = set()
        for _ in range(400):
            chosen, name = random.choice([inbox, other]), f"{random.randrange(12)}"
            doing = random.randrange(4)
            if doing == 0:
                await chosen.purge(DeliveryFilter(ordering_key=name))
                known.discard(name)
            elif doing == 1:
                for claim in await chosen.claim(random.randrange(3), lease_s=600):
                    await chosen.done(claim)
                    if not remember_s:
                        known.discard(claim.delivery.event_id)
            else:
                assert await chosen.put(deliver_apart(name)) is (name not in known)
                known.add(name)


async def test_a_claim_does_not_look_at_all_that_is_new(opened, deliver_apart, monkeypatch):
    """However much is new, one claim assigns a part of it its places; what it does not come to is due at once."""
    monkeypatch.setattr(sqlite_store, "ASSIGNED_AT_ONCE", 2)
    monkeypatch.setattr(sqlite_store, "ASSIGNMENTS_PER_CLAIM", 3)
    async with opened() as inbox:
        await asyncio.gather(*(inbox.put(deliver_apart(f"{number}", ordering_key="account")) for number in range(10)))
        await inbox.put(deliver_apart("other"))
        claimed = [[claim.delivery.event_id for claim in await inbox.claim(2, lease_s=60)]]
        due_in_s = [await inbox._group.submit(lambda store: store.due_in_s())]
        claimed.append([claim.delivery.event_id for claim in await inbox.claim(2, lease_s=60)])
        due_in_s.append(await inbox._group.submit(lambda store: store.due_in_s()))

    assert [["0"], ["other"]] == claimed
    assert [True, False] == [seconds <= 0 for seconds in due_in_s]


async def test_reading_flushes_nothing(opened, path):
    """Operations that only read write nothing to the log."""
    async with opened() as inbox:
        before = path.with_name("inbox.db-wal").stat().st_size
        await inbox.counts()
        await inbox.wait(0)
        await inbox.claim(10, lease_s=1)
        await inbox.entries()

        assert before == path.with_name("inbox.db-wal").stat().st_size
