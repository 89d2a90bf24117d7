"""Group commit: what shares a transaction, and what fails alone in it."""

import asyncio

import pytest

from pinwheel_async.webhooks._inbox.group_commit import FULL_GROUP
from pinwheel_async.webhooks._inbox.sqlite_store import DeliveryStore

from .busy_thread import busy_thread


async def count_commits(inbox):
    """Return a list that grows with every commit."""
    commits = []
    await inbox._group.submit(
        lambda store: store.connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    )
    commits.clear()
    return commits


@pytest.mark.parametrize(("count", "least"), [(FULL_GROUP - 1, 1), (3 * FULL_GROUP, 2)])
async def test_turns_that_bring_nothing_more_end_a_group(opened, deliver_apart, count, least):
    """What is asked for in turns of the loop that follow one another is one group, unless there is enough of it."""
    async with opened() as inbox:
        commits = await count_commits(inbox)
        puts = [inbox._group.submit_to(DeliveryStore.put, deliver_apart("first"))]
        for number in range(1, count):
            puts.append(inbox._group.submit_to(DeliveryStore.put, deliver_apart(f"{number}")))
            await asyncio.sleep(0)
        await asyncio.gather(*puts)

    assert least <= len(commits) <= count // FULL_GROUP + 1


async def test_whatever_waits_shares_a_commit(opened, deliver_apart):
    """Puts, claims and marks that wait together are one transaction; 600 of them are two, and one alone is one."""
    async with opened() as inbox:
        commits = await count_commits(inbox)
        async with busy_thread(inbox):
            puts = [asyncio.ensure_future(inbox.put(deliver_apart(f"{number}"))) for number in range(300)]
            claims = [asyncio.ensure_future(inbox.claim(1, lease_s=60)) for _ in range(300)]
        await asyncio.gather(*puts)
        claimed = [claim for found in await asyncio.gather(*claims) for claim in found]
        together = len(commits)
        commits.clear()
        await inbox.done(claimed[0])
        alone = len(commits)

    assert 300 == len({claim.delivery.event_id for claim in claimed})
    # That of the busy thread, 512, and the other 88.
    assert (3, 1) == (together, alone)


async def test_operation_that_fails_alone(opened, deliver_apart):
    """An operation that cannot be carried out fails alone; its neighbours are stored."""
    async with opened(max_waiting=2) as inbox:
        async with busy_thread(inbox):
            names = ("1", "\ud800", "2", "3")
            puts = [asyncio.ensure_future(inbox.put(deliver_apart(name))) for name in names]
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        reasons = [getattr(outcome, "reason", outcome) for outcome in outcomes]

        assert [True, "UnicodeEncodeError", True, "MaxWaiting"] == reasons
        assert ["2", "1"] == [entry.event_id for entry in await inbox.entries()]
        assert 2 == (await inbox.counts()).waiting


async def test_operations_of_several_kinds_that_fail_alone(opened, deliver_apart):
    """However many fail among however many, of whatever kind, all others are carried out, in a few commits more."""
    async with opened() as inbox:
        store = await inbox._group.submit(lambda store: store)
        commits = await count_commits(inbox)
        async with busy_thread(inbox):
            names = [f"{number}" if number % 50 else f"\ud800{number}" for number in range(200)]
            puts = [asyncio.ensure_future(inbox.put(deliver_apart(name))) for name in names]
            claiming = asyncio.ensure_future(inbox.claim(2**70, lease_s=60))
            counting = asyncio.ensure_future(inbox.counts())
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        refused = await asyncio.gather(claiming, return_exceptions=True)
        counts = await counting

        assert [bool(number % 50) for number in range(200)] == [outcome is True for outcome in outcomes]
        assert ["OverflowError"] == [error.reason for error in refused]
        assert 196 == counts.waiting
        assert len(commits) < 60
        assert store is await inbox._group.submit(lambda store: store)  # the connection took no harm
