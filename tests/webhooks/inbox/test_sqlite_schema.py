"""Schema of files that are new, old, newer or not ours, also when several processes open them at once."""

import asyncio
import sqlite3
from contextlib import closing
from threading import Thread

import pytest

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._inbox import sqlite_schema
from pinwheel_async.webhooks._inbox.sqlite_schema import (
    BY_ID,
    CLAIMABLE,
    DUE,
    FIRST,
    FIRST_NEW,
    KEYS_WITH_FIRST,
    KNOWN,
    MAKE_READY,
    NEW,
    NEW_IDS,
    NEXT,
    OLD_BODIES,
    OLD_IDS,
    OLDEST,
    PROMOTE_NEXT,
    STEPS,
    _migrate,
    connect,
)

from .refusals import refusal


async def test_newer_schema(path):
    """A file of a newer version is refused with the cure, and not touched."""
    connect(str(path), synchronous="FULL", steps=(*STEPS, ("CREATE TABLE later (x)",))).close()
    before = path.read_bytes()
    error = await refusal(SqliteInbox(path).open())

    assert ("NewerSchema", True) == (error.reason, "newer version" in str(error))
    assert before == path.read_bytes()


@pytest.mark.parametrize("mark", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7"])
async def test_foreign_file(path, mark):
    """A database of another program is refused, and not touched."""
    connection = sqlite3.connect(path)
    connection.execute(mark)
    connection.close()
    before = path.read_bytes()
    error = await refusal(SqliteInbox(path).open())

    assert ("Foreign", True) == (error.reason, "another program" in str(error))
    assert before == path.read_bytes()


async def test_older_schema(opened, path, deliver_apart):
    """A file of an older version is brought up to date with what it holds, once."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
    steps = (*STEPS, ("ALTER TABLE delivery ADD COLUMN hue TEXT", "UPDATE delivery SET hue = 'red'"), ("SELECT 1",))
    for _ in range(2):
        connection = connect(str(path), synchronous="FULL", steps=steps)
        rows = connection.execute("SELECT event_id, hue FROM delivery").fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.close()

    assert ([("1", "red")], len(STEPS) + 2) == (rows, version)


def test_step_that_fails(path):
    """A step that fails leaves the file as it was."""
    with pytest.raises(sqlite3.OperationalError):
        connect(str(path), synchronous="FULL", steps=(*STEPS, ("CREATE TABLE fine (x)", "NO SQL")))
    connection = connect(str(path), synchronous="FULL")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE name = 'fine'")]
    connection.close()

    assert [] == tables


async def test_made_by_another_meanwhile(path, deliver_apart):
    """While another process makes the file, opening waits, although changing the journal does not wait by itself."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    inbox = SqliteInbox(path)
    opening = asyncio.create_task(inbox.open())
    done, _ = await asyncio.wait([opening], timeout=0.1)
    other.execute("ROLLBACK")
    other.close()
    await opening
    stored = await inbox.put(deliver_apart("1"))
    await inbox.close()

    assert (set(), True) == (done, stored)


def test_brought_up_to_date_by_another_meanwhile(path):
    """Of two processes that bring a file up to date at once, one does it and the other finds it done."""
    connection = sqlite3.connect(path, isolation_level=None)

    def overtake(statement):
        if statement == "BEGIN IMMEDIATE":
            connect(str(path), synchronous="FULL").close()

    connection.set_trace_callback(overtake)
    _migrate(connection, STEPS)
    tables = connection.execute("SELECT count(*) FROM state_count").fetchone()
    connection.close()

    assert (1,) == tables


def test_made_by_another_between_two_looks(path, monkeypatch):
    """A file that another process makes between two looks at it is not taken for one of another program."""
    look, others = sqlite_schema._pragma, []

    def overtaken(connection, name):
        found = look(connection, name)
        if not others:
            others.append(Thread(target=lambda: connect(str(path), synchronous="FULL").close()))
            others[0].start()
            others[0].join(0.5)  # it may have to wait for us
        return found

    monkeypatch.setattr(sqlite_schema, "_pragma", overtaken)
    connect(str(path), synchronous="FULL").close()
    others[0].join()

    assert sqlite3_version(path) == len(STEPS)


def sqlite3_version(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_no_shared_memory(tmp_path, monkeypatch):
    """Where there can be no log beside the file, the inbox says what it needs."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InboxError, match="local disk"):
        connect(":memory:", synchronous="FULL")


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        (CLAIMABLE, {"now": 0, "limit": 1}, "delivery_by_state (state=? AND at=?)"),
        (CLAIMABLE, {"now": 0, "limit": 1}, "delivery_by_state (state=? AND at<?)"),
        (MAKE_READY, (0,), "delivery_by_state (state=? AND at<?)"),
        (DUE, {"now": 0}, "delivery_by_state (state=?)"),
        (KNOWN.format("?"), ("",), "delivery_known (event_id=?)"),
        (BY_ID.format("?"), ("",), "delivery_known (event_id=?)"),
        (NEW, (1,), "delivery_by_state (state=? AND at=?)"),
        (NEW_IDS, (0,), "delivery_by_state (state=? AND at=? AND rowid>?)"),
        (FIRST_NEW, (), "delivery_by_state (state=? AND at=?)"),
        (KEYS_WITH_FIRST.format("?"), ("",), "delivery_first (ordering_key=?)"),
        (FIRST, ("",), "delivery_first (ordering_key=?)"),
        (NEXT, ("",), "delivery_behind (ordering_key=?)"),
        (PROMOTE_NEXT, {"now": 0, "ordering_key": ""}, "delivery_behind (ordering_key=?)"),
        (OLDEST, (), "delivery_later (state=?)"),
        (OLD_BODIES, (0, 1), "delivery_by_state (state=? AND at<?)"),
        (OLD_IDS, (0, 1), "delivery_by_state (state=? AND at<?)"),
    ],
)
def test_queries_use_their_index(path, query, values, index):
    """No query that runs for every delivery looks through a table."""
    with closing(connect(str(path), synchronous="NORMAL")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
    text = "\n".join(row[3] for row in plan)

    assert index in text
    assert "SCAN delivery" not in text
