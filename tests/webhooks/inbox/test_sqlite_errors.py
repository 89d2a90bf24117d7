"""Errors of the file and its disk: named without values, and over when their cause is."""

import asyncio
import shutil
import sqlite3

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._inbox import sqlite_schema

from .refusals import BODY, refusal


async def pragma(inbox, text):
    await inbox._group.submit(lambda store: store.connection.execute(f"PRAGMA {text}").fetchall())


async def test_disk_full(opened, deliver_apart):
    """A full disk refuses the whole group, each with an error of its own, and takes the next when there is room."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await pragma(inbox, "max_page_count = 20")
        outcomes = await asyncio.gather(
            inbox.put(deliver_apart("2")), inbox.put(deliver_apart("3", body=BODY * 10_000)), return_exceptions=True
        )
        stored = [entry.event_id for entry in await inbox.entries()]
        await pragma(inbox, "max_page_count = 100000")
        again = [await inbox.put(deliver_apart("2")), await inbox.put(deliver_apart("3", body=BODY * 10_000))]

    first, second = outcomes
    assert ["SQLITE_FULL"] * 2 == [first.reason, second.reason]
    assert first.is_transient
    assert "the disk of the inbox is full: SQLITE_FULL" == str(first)
    assert first is not second
    assert (["1"], [True, True]) == (stored, again)


async def test_full_disk_leaves_room_for_marks(opened, deliver_apart):
    """What fails leaves everything as it was; what needs no room goes on."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        (claim,) = await inbox.claim(1, lease_s=60)
        await pragma(inbox, "max_page_count = 20")
        await refusal(inbox.put(deliver_apart("2", body=BODY * 10_000)))

        assert await inbox.done(claim)
        assert (0, 1) == ((await inbox.counts()).waiting, (await inbox.counts()).done)


async def test_locked_by_another(opened, path, deliver_apart):
    """A process that holds the file too long is waited for no longer than set, and then the inbox goes on."""
    async with opened() as inbox:
        await pragma(inbox, "busy_timeout = 1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        error = await refusal(inbox.put(deliver_apart("1")))
        other.execute("ROLLBACK")
        other.close()

        assert "another process holds the inbox: SQLITE_BUSY" == str(error)
        assert await inbox.put(deliver_apart("1"))


async def test_opening_a_file_that_another_process_holds(opened, path, deliver_apart, monkeypatch):
    """Opening gives up after a while with an error that says it may pass; later it succeeds, and counts as alone."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox.claim(1, lease_s=60)
    monkeypatch.setattr(sqlite_schema, "BUSY_S", 0.05)
    inbox = SqliteInbox(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    error = await refusal(inbox.open())
    other.execute("ROLLBACK")
    other.close()
    await inbox.open()
    claimed = await inbox.claim(1, lease_s=60)
    await inbox.close()

    assert ("SQLITE_BUSY", True, 1) == (error.reason, error.is_transient, len(claimed))


async def test_not_writable(opened, deliver_apart):
    """A connection that cannot write any more is replaced by one that can."""
    async with opened() as inbox:
        await pragma(inbox, "query_only = ON")
        error = await refusal(inbox.put(deliver_apart("1")))

        assert "the file of the inbox, or its directory, cannot be written to: SQLITE_READONLY" == str(error)
        assert await inbox.put(deliver_apart("1"))


async def test_directory_not_writable():
    """A directory in which no file can be made is an error with a name."""
    error = await refusal(SqliteInbox("/proc/self/inbox.db").open())

    assert "SQLITE_CANTOPEN" == error.reason


async def test_directory_missing(path, deliver_apart):
    """A directory that is missing is asked for; once it is there, the same inbox opens."""
    inbox = SqliteInbox(path.parent / "missing" / "inbox.db")
    error = await refusal(inbox.open())
    closed = await refusal(inbox.put(deliver_apart("1")))
    (path.parent / "missing").mkdir()
    await inbox.open()
    stored = await inbox.put(deliver_apart("1"))
    await inbox.close()

    assert str(error).startswith("the file of the inbox cannot be opened; does its directory exist? (/")
    assert str(error).endswith(".db): SQLITE_CANTOPEN")
    assert ("Closed", True) == (closed.reason, stored)


async def test_no_database(path):
    """A file that is no database is refused and left as it was."""
    path.write_bytes(b"something else, " * 100)
    error = await refusal(SqliteInbox(path).open())

    assert f"the file of the inbox is damaged, or no inbox ({path}): SQLITE_NOTADB" == str(error)
    assert b"something else, " * 100 == path.read_bytes()


async def test_damaged_file(opened, path, deliver_apart):
    """A file that was damaged is named so; with a good one in its place, the inbox goes on."""
    async with opened(max_waiting=None) as inbox:
        await asyncio.gather(*(inbox.put(deliver_apart(f"{number}")) for number in range(500)))
    good = path.with_name("good.db")
    shutil.copy(path, good)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    async with asyncio.timeout(30):
        inbox = SqliteInbox(path)
        error = await refusal(inbox.open())
        good.replace(path)
        await inbox.open()
        waiting = (await inbox.counts()).waiting
        await inbox.close()

    assert f"the file of the inbox is damaged ({path}): SQLITE_CORRUPT" == str(error)
    assert 500 == waiting


async def test_damage_that_is_met_later(opened, path, deliver_apart):
    """Damage refuses what meets it and changes nothing; with a good file in its place, it can be opened again."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        page = await inbox._group.submit(
            lambda store: store.connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'body'").fetchone()
        )
    good = path.with_name("good.db")
    shutil.copy(path, good)
    with path.open("r+b") as file:
        file.seek(4096 * (page[0] - 1))
        file.write(b"\xff" * 4096)
    async with opened() as inbox:
        error = await refusal(inbox.claim(1, lease_s=60))
        waiting = (await inbox.counts()).waiting
        good.replace(path)
        await inbox.close()
        await inbox.open()
        (claim,) = await inbox.claim(1, lease_s=60)

    assert ("the file of the inbox is damaged", 1, 1) == (str(error).partition(":")[0], waiting, claim.attempt)


async def test_connection_lost(opened, deliver_apart):
    """A connection that is lost is replaced."""
    async with opened() as inbox:
        await refusal(inbox._group.submit(lambda store: store.connection.close()))

        assert await inbox.put(deliver_apart("1"))


async def test_opening_again_fails(opened, path, deliver_apart):
    """Trouble while an open inbox is opened once more does not close it."""
    async with opened() as inbox:
        await pragma(inbox, "busy_timeout = 1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await refusal(inbox.open())
        other.execute("ROLLBACK")
        other.close()

        assert await inbox.put(deliver_apart("1"))


@pytest.mark.parametrize("settings", [{"keep_bodies_s": -1}, {"synchronous": "OFF"}])
def test_senseless_settings(path, settings):
    """What would lose deliveries is refused at once."""
    with pytest.raises(ConfigurationError):
        SqliteInbox(path, **settings)
