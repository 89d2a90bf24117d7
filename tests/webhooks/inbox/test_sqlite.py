"""SQLite inbox in one process: cancelled calls, closing, what is flushed, and what is left in the file."""

import asyncio
import sqlite3
import threading

import pytest

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks import DeliveryFilter, SqliteInbox
from pinwheel_async.webhooks._inbox import group_commit

from .busy_thread import busy_thread


def sqlite3_count(path):
    connection = sqlite3.connect(path)
    count = connection.execute("SELECT count(*) FROM delivery WHERE state = 'done'").fetchone()[0]
    connection.close()
    return count


async def test_cancelled_put_is_stored(opened, deliver_apart):
    """Cancelling a put does not take back what was handed over."""
    async with opened() as inbox:
        async with busy_thread(inbox):
            putting = asyncio.create_task(inbox.put(deliver_apart("1")))
            await asyncio.sleep(0)
            putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)

        assert putting.cancelled()
        assert not await inbox.put(deliver_apart("1"))


@pytest.mark.parametrize("closing", [False, True])
async def test_cancelled_claim_is_given_back(opened, deliver_apart, closing):
    """What a cancelled worker would have got is due again at once, and the attempt does not count."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        async with busy_thread(inbox):
            claiming = asyncio.create_task(inbox.claim(1, lease_s=60))
            await asyncio.sleep(0)
            claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        if closing:
            await inbox.close()
            await inbox.open()
        else:
            await asyncio.gather(*inbox._returning)
        (again,) = await inbox.claim(1, lease_s=60)

        assert (True, 1) == (claiming.cancelled(), again.attempt)


async def test_close_carries_out_what_waits(opened, deliver_apart):
    """What was asked for before closing is done; the log is empty then, and the thread is gone."""
    async with opened() as inbox:
        thread = inbox._group._thread
        async with busy_thread(inbox):
            puts = [asyncio.ensure_future(inbox.put(deliver_apart(f"{number}"))) for number in range(50)]
            await asyncio.sleep(0)
            closing = asyncio.create_task(inbox.close())
        results = await asyncio.gather(*puts)
        await closing
        await inbox.open()

        assert [True] * 50 == results
        assert not thread.is_alive()
        assert 50 == (await inbox.counts()).waiting


async def test_closed_file_has_no_log(opened, path, deliver_apart):
    """After closing there are the file and an empty one to lock, which their owner alone may read."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        modes = {path.with_name(f"inbox.db{end}").stat().st_mode & 0o777 for end in ("", "-wal", "-shm", "-open")}

    assert {0o600} == modes
    assert {path, path.with_name("inbox.db-open")} == set(path.parent.iterdir())
    assert b"" == path.with_name("inbox.db-open").read_bytes()


def test_loop_that_was_closed_ends_the_thread(path):
    """A loop that goes away without closing the inbox leaves no thread that works for it; another loop can go on."""

    async def leave():
        await inbox.open()
        go = threading.Event()
        inbox._group.submit(lambda _: go.wait(30))
        return inbox._group._thread, go

    async def go_on():
        await inbox.open()
        counts = await inbox.counts()
        await inbox.close()
        return counts

    inbox = SqliteInbox(path)
    thread, go = asyncio.run(leave())
    go.set()
    thread.join(30)

    assert not thread.is_alive()
    assert 0 == asyncio.run(go_on()).waiting


def test_loop_that_was_idle_when_it_closed_ends_the_thread(path, monkeypatch):
    """A thread whose loop is closed while it has nothing to do ends by itself, and closes the file."""
    monkeypatch.setattr(group_commit, "IDLE_S", 0.01)
    inbox = SqliteInbox(path)
    asyncio.run(inbox.open())
    inbox._group.join(30)

    assert not inbox._group.is_alive
    assert not path.with_name("inbox.db-wal").exists()


def test_loop_that_was_idle_when_it_closed(path):
    """An inbox that was left open and idle can be opened in another loop."""
    inbox = SqliteInbox(path)
    asyncio.run(inbox.open())

    async def go_on():
        await inbox.open()
        counts = await inbox.counts()
        await inbox.close()
        return counts

    assert 0 == asyncio.run(go_on()).waiting


@pytest.mark.parametrize("keep_bodies_s", [0, 100])
async def test_dropped_bodies_are_not_in_the_file(opened, path, deliver_apart, time, keep_bodies_s):
    """A body is overwritten once it is dropped: at once, or when it was kept long enough."""
    marker = b"4111-PAYROLL-DATA-1111"
    async with opened(keep_bodies_s=keep_bodies_s) as inbox:
        for number in range(20):
            await inbox.put(deliver_apart(f"{number}", body=marker * (1 + 30 * number)))
        stored = marker in path.read_bytes() + path.with_name("inbox.db-wal").read_bytes()
        for claim in await inbox.claim(20, lease_s=60):
            await inbox.done(claim)
    kept = marker in path.read_bytes()
    async with opened(keep_bodies_s=keep_bodies_s) as inbox:
        time.advance(100)
        await inbox.wait(0)
    left = path.read_bytes()

    assert (True, keep_bodies_s > 0) == (stored, kept)
    assert marker not in left
    assert b"PAYROLL" not in left
    assert 20 == sqlite3_count(path)


async def test_damaged_body_makes_way(opened, deliver_apart):
    """A body that is gone makes its delivery dead, and the next of its ordering key comes."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1", ordering_key="account"))
        await inbox.put(deliver_apart("2", ordering_key="account"))
        await inbox._group.submit(lambda store: store.connection.execute("DELETE FROM body WHERE seq = 1").fetchall())
        first = await inbox.claim(1, lease_s=60)
        second = await inbox.claim(1, lease_s=60)
        (dead,) = await inbox.entries(DeliveryFilter(states="dead"))

        assert [] == list(first)
        assert "2" == second[0].delivery.event_id
        assert ("1", "the stored body is damaged") == (dead.event_id, dead.reason)


async def test_normal_synchronous(opened, deliver_apart):
    """Less safety can be asked for."""
    async with opened(synchronous="NORMAL") as inbox:
        level = await inbox._group.submit(lambda store: store.connection.execute("PRAGMA synchronous").fetchone())

    assert (1,) == level


async def test_full_synchronous(opened):
    """A commit is flushed to the disk, unless told otherwise, and what is deleted is overwritten."""
    async with opened() as inbox:
        values = [
            await inbox._group.submit(lambda store, name=name: store.connection.execute(f"PRAGMA {name}").fetchone())
            for name in ("synchronous", "journal_mode", "secure_delete")
        ]

    assert [(2,), ("wal",), (1,)] == values


async def levels(inbox, doing):
    """Return how durable the commits are that something takes: 2 with a flush, 1 without."""
    statements = []
    await inbox._group.submit(lambda store: store.connection.set_trace_callback(statements.append))
    await doing
    level, found = 2, []
    for statement in statements:
        if statement.startswith("PRAGMA synchronous"):
            level = {"FULL": 2, "NORMAL": 1}[statement.split()[-1]]
        elif statement == "COMMIT":
            found.append(level)
    return found[1:]  # the first is that of the request to trace


async def test_put_is_flushed(opened, deliver_apart):
    """What was put is on the disk."""
    async with opened() as inbox:
        assert [2] == await levels(inbox, inbox.put(deliver_apart("1")))


async def test_handling_is_not_flushed(opened, deliver_apart):
    """That something is claimed, renewed, given back or done waits for the next flush, and the next put makes one."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))

        async def handle():
            (claim,) = await inbox.claim(1, lease_s=60)
            await inbox.extend(claim, lease_s=60)
            await inbox.release(claim)
            (claim,) = await inbox.claim(1, lease_s=60)
            await inbox.done(claim)
            await inbox.put(deliver_apart("2"))

        assert [1, 1, 1, 1, 1, 2] == await levels(inbox, handle())


async def test_group_with_a_put_is_flushed(opened, deliver_apart):
    """A put is flushed whatever stands beside it in its group."""
    async with opened() as inbox:

        async def both():
            async with busy_thread(inbox):
                together = asyncio.gather(inbox.counts(), inbox.put(deliver_apart("1")), inbox.counts())
                await asyncio.sleep(0)
            await together

        # The first is that of what held the thread up.
        assert [2, 2] == await levels(inbox, both())


async def test_error_of_a_cancelled_claim_is_not_logged(opened):
    """A claim that was cancelled and then failed leaves no unread error."""
    async with opened() as inbox:
        async with busy_thread(inbox):
            claiming = asyncio.create_task(inbox.claim(2**70, lease_s=60))
            await asyncio.sleep(0)
            claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        await asyncio.gather(*inbox._returning)

        with pytest.raises(InboxError):
            await inbox.claim(2**70, lease_s=60)
