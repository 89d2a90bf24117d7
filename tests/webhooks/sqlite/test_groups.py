"""What the thread of a SQLite inbox does at once, and that it stays little however much there is."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from pinwheel_async.webhooks import _sqlite_ledger
from pinwheel_async.webhooks._group_commit import ENOUGH
from pinwheel_async.webhooks._sqlite_ledger import Ledger
from pinwheel_async.webhooks._sqlite_queries import CLAIMABLE, DUE, FOUND, NEW, NEW_IDS, NEXT, PROMOTE_NEXT, TAKEN

from .holding import held_up


async def count_commits(inbox):
    """Return a list that grows with every commit."""
    commits = []
    await inbox._group.submit(
        lambda ledger: ledger.connection.set_trace_callback(
            lambda sql: commits.append(sql) if sql == "COMMIT" else None
        )
    )
    commits.clear()
    return commits


async def test_claiming_costs_the_same_however_much_waits(opened, deliver, path):
    """Behind 100,000 in one lane, and as many dead, done and waiting for another attempt, it takes no more steps."""

    async def steps(inbox, work):
        taken = [0]

        def count():
            taken[0] += 1

        await inbox._group.submit(lambda ledger: ledger.connection.set_progress_handler(count, 1))
        await work
        await inbox._group.submit(lambda ledger: ledger.connection.set_progress_handler(None, 1))
        return taken[0]

    async def handle(inbox, name):
        await inbox.put(deliver(name, lane=name))
        (claim,) = await inbox.claim(1, lease_s=60)
        await inbox.wait(0)
        await inbox.done(claim)
        assert name == claim.delivery.event_id

    async with opened(max_waiting=None) as inbox:
        few = await steps(inbox, handle(inbox, "few"))
        await inbox.put(deliver("first", lane="lane"))
        (first,) = await inbox.claim(1, lease_s=60)
        with closing(sqlite3.connect(path)) as other:
            other.executescript("""
                WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000),
                    kind (first, state, lane, at) AS (
                        VALUES (0, 'behind', 'lane', 0), (0, 'dead', 'dead', 0), (0, 'done', 'done', 9e9),
                            (1, 'later', NULL, 9e9)
                    )
                INSERT INTO delivery
                    (event_id, event, lane, received_at, signed_with, admitted, first, state, at, attempts, token)
                SELECT state || i, 'e', coalesce(lane, state || i), 0, 'k', 1, first, state, at, 0, 0 FROM n, kind;
            """)
        many = await steps(inbox, handle(inbox, "many"))
        next_of_many = await steps(inbox, inbox.done(first))

    # Deeper trees take a few steps more; looking at rows one by one would take a hundred thousand.
    assert many < few + 100
    assert next_of_many < few


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        (CLAIMABLE, {"now": 0, "limit": 1}, "delivery_by_state (state=? AND at=?)"),
        (CLAIMABLE, {"now": 0, "limit": 1}, "delivery_by_state (state=? AND at<?)"),
        (NEXT, ("lane",), "lane_behind (lane=?)"),
        (DUE, {"now": 0}, "delivery_by_state (state=?)"),
        (FOUND.format("?"), ("",), "delivery_known (event_id=?)"),
        (NEW, (1,), "delivery_by_state (state=? AND at=?)"),
        (NEW_IDS, (), "delivery_by_state (state=? AND at=?)"),
        (TAKEN.format("?"), ("lane",), "lane_head (lane=?)"),
        (PROMOTE_NEXT, {"now": 0, "lane": "lane"}, "lane_behind (lane=?)"),
    ],
)
async def test_queries_use_their_index(opened, query, values, index):
    """No query that runs for every delivery looks through a table."""
    async with opened() as inbox:
        plan = await inbox._group.submit(
            lambda ledger: ledger.connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
        )
    text = "\n".join(row[3] for row in plan)

    assert index in text
    assert "SCAN delivery" not in text


async def test_old_ids_go_in_small_portions(opened, deliver, time):
    """Each transaction forgets some of what is old, until nothing is; nothing else is touched."""
    async with opened(remember_s=100) as inbox:
        await asyncio.gather(*(inbox.put(deliver(f"{number}")) for number in range(150)))
        for claim in await inbox.claim(149, lease_s=60):
            await inbox.done(claim)
        time.advance(100)
        left = [(await inbox.counts()).done for _ in range(4)]

        assert [149, 149 - 64, 149 - 128, 0] == left
        assert ["149"] == [one.event_id for one in await inbox.entries()]


@pytest.mark.parametrize("most", [8, 4])
async def test_who_only_puts(opened, path, deliver, monkeypatch, most):
    """Where nobody claims, little stays new, and less if another process writes, too; and all is in order."""
    monkeypatch.setattr(_sqlite_ledger, "MANY", 8)
    monkeypatch.setattr(_sqlite_ledger, "MANY_SHARED", 4)
    monkeypatch.setattr(_sqlite_ledger, "ADMITTED", 4)
    async with opened() as inbox:
        if most == 4:
            with closing(sqlite3.connect(path)) as other:
                other.executescript("CREATE TABLE theirs (x)")
        new = []
        for number in range(50):
            await inbox.put(deliver(f"{number}", lane=f"{number % 20}"))
            new.append(await inbox._group.submit(lambda ledger: len(ledger.fresh)))
        again = [await inbox.put(deliver(f"{number}")) for number in range(50)]
        claimed = [one.delivery.event_id for one in await inbox.claim(50, lease_s=60)]

    assert most == max(new)
    assert {False} == set(again)
    assert [f"{number}" for number in range(20)] == claimed


async def test_a_claim_does_not_look_at_all_that_is_new(opened, deliver, monkeypatch):
    """However much is new, one claim gives a part of it its place; what it does not come to is due at once."""
    monkeypatch.setattr(_sqlite_ledger, "ADMITTED", 2)
    monkeypatch.setattr(_sqlite_ledger, "MOST", 3)
    async with opened() as inbox:
        await asyncio.gather(*(inbox.put(deliver(f"{number}", lane="lane")) for number in range(10)))
        await inbox.put(deliver("other", lane="other"))
        claimed = [[one.delivery.event_id for one in await inbox.claim(2, lease_s=60)]]
        due = [await inbox._group.submit(lambda ledger: ledger.due_in_s())]
        claimed.append([one.delivery.event_id for one in await inbox.claim(2, lease_s=60)])
        due.append(await inbox._group.submit(lambda ledger: ledger.due_in_s()))

    assert [["0"], ["other"]] == claimed
    assert [True, False] == [one <= 0 for one in due]


@pytest.mark.parametrize(("count", "least"), [(ENOUGH - 1, 1), (3 * ENOUGH, 2)])
async def test_a_turn_that_brings_nothing_more_ends_a_group(opened, deliver, count, least):
    """What is asked for in turns of the loop that follow one another is one group, unless there is enough of it."""
    async with opened() as inbox:
        commits = await count_commits(inbox)
        puts = [inbox._group.submit_to(Ledger.put, deliver("first"))]
        for number in range(1, count):
            puts.append(inbox._group.submit_to(Ledger.put, deliver(f"{number}")))
            await asyncio.sleep(0)
        await asyncio.gather(*puts)

    assert least <= len(commits) <= count // ENOUGH + 1


async def test_whatever_waits_shares_a_commit(opened, deliver):
    """Puts, claims and marks that wait together are one transaction; 600 of them are two, and one alone is one."""
    async with opened() as inbox:
        commits = await count_commits(inbox)
        async with held_up(inbox):
            puts = [asyncio.ensure_future(inbox.put(deliver(f"{number}"))) for number in range(300)]
            claims = [asyncio.ensure_future(inbox.claim(1, lease_s=60)) for _ in range(300)]
        await asyncio.gather(*puts)
        claimed = [one for got in await asyncio.gather(*claims) for one in got]
        together = len(commits)
        commits.clear()
        await inbox.done(claimed[0])
        alone = len(commits)

    assert 300 == len({one.delivery.event_id for one in claimed})
    # The held one, 512, and the other 88.
    assert (3, 1) == (together, alone)


async def test_reading_flushes_nothing(opened, path):
    """Who only looks writes nothing to the log."""
    async with opened() as inbox:
        before = path.with_name("inbox.db-wal").stat().st_size
        await inbox.counts()
        await inbox.wait(0)
        await inbox.claim(10, lease_s=1)
        await inbox.entries()

        assert before == path.with_name("inbox.db-wal").stat().st_size


async def test_one_fault_is_its_own(opened, deliver):
    """An operation that cannot be carried out fails alone; its neighbours are stored."""
    async with opened(max_waiting=2) as inbox:
        async with held_up(inbox):
            names = ("1", "\ud800", "2", "3")
            puts = [asyncio.ensure_future(inbox.put(deliver(name))) for name in names]
        outcomes = await asyncio.gather(*puts, return_exceptions=True)

        assert [True, "UnicodeEncodeError", True, "MaxWaiting"] == [getattr(one, "reason", one) for one in outcomes]
        assert ["2", "1"] == [one.event_id for one in await inbox.entries()]
        assert 2 == (await inbox.counts()).waiting
