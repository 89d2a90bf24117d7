"""Size of the file and its log: an inbox that has nothing to do gives back what it does not need."""

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest

from pinwheel_async.webhooks._inbox import group_commit, sqlite_schema, sqlite_store

from .refusals import refusal

BODY = b"4111-PAYROLL-DATA-1111" * 200


@pytest.fixture
def idle_soon(monkeypatch):
    """An inbox that has nothing to do looks after its file at once."""
    monkeypatch.setattr(group_commit, "IDLE_S", 0.01)
    monkeypatch.setattr(group_commit, "SHRINK_S", 0.001)


def log(path):
    return path.with_name("inbox.db-wal")


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def pragma(inbox, text):
    await inbox._group.submit(lambda store: store.connection.execute(f"PRAGMA {text}").fetchall())


async def flood(inbox, deliver_apart, count=1_500):
    """Let many come and be handled."""
    await asyncio.gather(*(inbox.put(deliver_apart(f"{number}", body=BODY)) for number in range(count)))
    while claims := await inbox.claim(100, lease_s=60):
        await asyncio.gather(*(inbox.done(claim) for claim in claims))


async def test_log_of_an_idle_inbox_is_empty(opened, path, deliver_apart, idle_soon):
    """No text of a payload stays in the log while the inbox is open and has nothing to do."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1", body=BODY))
        await until(lambda: log(path).stat().st_size == 0)
        (claim,) = await inbox.claim(1, lease_s=60)
        await inbox.done(claim)
        await until(lambda: log(path).stat().st_size == 0)

        assert b"PAYROLL" not in path.read_bytes()


async def test_file_shrinks_after_a_flood(opened, path, deliver_apart, idle_soon):
    """What a flood has taken is given back in steps, down to what is kept, and everything is still there."""
    async with opened() as inbox:
        await flood(inbox, deliver_apart)
        await inbox.put(deliver_apart("waits", body=BODY))
        await until(lambda: path.stat().st_size < 4096 * (sqlite_store.FREE_PAGES + 200))
        counts = await inbox.counts()
        free = await inbox._group.submit(lambda store: store.connection.execute("PRAGMA freelist_count").fetchone()[0])
        (claim,) = await inbox.claim(1, lease_s=60)

    assert (1, 1_500, BODY) == (counts.waiting, counts.done, claim.delivery.body)
    assert free <= sqlite_store.FREE_PAGES


async def test_step_of_shrinking_is_small(opened, path, deliver_apart, monkeypatch):
    """One step gives back so many pages and no more, so that no put has to wait for long."""

    def free():
        return other.execute("PRAGMA freelist_count").fetchone()[0]

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with opened() as inbox:
            await flood(inbox, deliver_apart)
            before = free()
            monkeypatch.setattr(group_commit, "IDLE_S", 0.01)
            monkeypatch.setattr(group_commit, "SHRINK_S", 3_600)
            await inbox.counts()
            await until(lambda: free() != before)
            after = free()

    assert sqlite_store.PAGES_PER_VACUUM == before - after


async def test_log_after_a_long_reader(opened, path, deliver_apart, idle_soon):
    """While somebody reads for long the log grows and nobody waits; once he is gone, it is emptied."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM delivery").fetchone()
            await flood(inbox, deliver_apart, 600)
            grown = log(path).stat().st_size
            reader.execute("COMMIT")
        await until(lambda: log(path).stat().st_size == 0)

    assert grown > 600 * len(BODY)


async def test_log_is_limited_without_a_pause(opened, path, deliver_apart):
    """A log that grew is cut to its limit when it is begun anew, also if there is never a pause."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM delivery").fetchone()
            await flood(inbox, deliver_apart)
            grown = log(path).stat().st_size
            reader.execute("COMMIT")
        await inbox.put(deliver_apart("more"))
        await inbox.put(deliver_apart("and more"))

        assert log(path).stat().st_size <= sqlite_schema.LOG_BYTES < grown


async def test_shrinking_beside_a_writer(opened, path, deliver_apart, monkeypatch):
    """An idle inbox that finds another process writing does it later, and goes on."""
    async with opened() as inbox:
        await flood(inbox, deliver_apart)
        store, began = inbox._group._store, threading.Event()
        shrink = store.shrink
        monkeypatch.setattr(store, "shrink", lambda: (began.set(), shrink())[1])
        await pragma(inbox, "busy_timeout = 1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr(group_commit, "IDLE_S", 0.01)
            await refusal(inbox.counts())
            began.clear()
            await until(began.is_set)
            other.execute("ROLLBACK")
        stored = await inbox.put(deliver_apart("new"))
        await until(lambda: path.stat().st_size < 4096 * (sqlite_store.FREE_PAGES + 200))

    assert stored


async def test_tool_does_not_shrink(opened, path, deliver_apart, idle_soon, monkeypatch):
    """What is no receiver leaves the file as large as it is, however long it has nothing to do."""
    async with opened() as inbox:
        monkeypatch.setattr(group_commit, "IDLE_S", 3_600)
        await flood(inbox, deliver_apart)
    monkeypatch.setattr(group_commit, "IDLE_S", 0.01)
    looks = []
    async with opened(consumer=None) as tool:
        before = path.stat().st_size
        shrink = tool._group._store.shrink
        monkeypatch.setattr(tool._group._store, "shrink", lambda: looks.append(shrink()))
        await until(lambda: len(looks) >= 3)
        after = path.stat().st_size

    assert before == after > 4096 * sqlite_store.FREE_PAGES
