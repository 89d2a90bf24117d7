"""Flushes of the SQLite inbox: nothing is acknowledged that is in the memory of the system only."""

import shutil

import pytest

from pinwheel_async.webhooks._inbox import sqlite_schema, sqlite_store

from .refusals import refusal


@pytest.fixture
def statements(monkeypatch):
    """Every statement from the opening of the file on."""
    connect, statements = sqlite_schema.connect, []

    def traced(*arguments, **settings):
        connection = connect(*arguments, **settings)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite_store.sql, "connect", traced)
    return statements


def flushes(statements):
    """Return how many commits wrote something that was flushed."""
    level, wrote, count = "FULL", False, 0
    for statement in statements:
        if statement.startswith("PRAGMA synchronous"):
            level = statement.split()[-1]
        elif statement.startswith(("UPDATE", "INSERT", "DELETE")):
            wrote = True
        elif statement == "COMMIT":
            count += wrote and level == "FULL"
        if statement in {"COMMIT", "ROLLBACK"}:
            wrote = False
    return count


def left_by_a_killed_process(path, folder):
    """Copy a file and its log while they are in use."""
    folder.mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", folder / f"inbox.db{end}")
    return folder / "inbox.db"


async def test_repetition_after_a_crash(opened, path, tmp_path, deliver_apart, statements):
    """What was in the log of a killed process, flushed or not, is flushed before a repetition is acknowledged."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        copy = left_by_a_killed_process(path, tmp_path / "copy")
    statements.clear()
    async with opened(file=copy) as inbox:
        known = not await inbox.put(deliver_apart("1"))
        flushed = flushes(statements)

    assert (True, True) == (known, flushed >= 1)


async def test_log_of_a_crash_is_copied_into_the_file(opened, path, tmp_path, deliver_apart):
    """Opening writes what the log holds anew: a flush that has failed once may have nothing more to do."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1", body=b"PAYROLL-DATA"))
        copy = left_by_a_killed_process(path, tmp_path / "copy")
    before = b"PAYROLL-DATA" in copy.read_bytes()
    async with opened(file=copy):
        after = b"PAYROLL-DATA" in copy.read_bytes()

    assert (False, True) == (before, after)


@pytest.mark.parametrize("trouble", ["query_only = ON", "max_page_count = 1"])
async def test_repetition_after_a_commit_that_failed(opened, deliver_apart, statements, trouble):
    """After a transaction that failed, the next one is flushed even if it only finds what is known."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox._group.submit(lambda store: store.connection.execute(f"PRAGMA {trouble}").fetchall())
        await refusal(inbox.put(deliver_apart("2", body=b"x" * 100_000)))
        statements.clear()
        await inbox._group.submit(lambda store: store.connection.execute("PRAGMA max_page_count = 9999").fetchall())
        known = not await inbox.put(deliver_apart("1"))

    assert (True, True) == (known, flushes(statements) >= 1)


async def test_repetition_costs_no_flush(opened, deliver_apart, statements):
    """Once something was flushed, a repetition takes no flush of its own."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        statements.clear()
        await inbox.put(deliver_apart("1"))
        flushed = flushes(statements)

    assert 0 == flushed


async def test_flush_that_is_not_asked_for(opened, deliver_apart, statements):
    """A transaction without a flush does not count as one."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        store = await inbox._group.submit(lambda store: store)
        store._is_flushed = False
        await inbox.counts()
        statements.clear()
        await inbox.put(deliver_apart("1"))
        flushed = flushes(statements)

    assert 1 == flushed


def test_flush_writes(tmp_path):
    """The statement that makes a flush changes a page: SQLite flushes nothing where nothing is written."""
    connection = sqlite_schema.connect(str(tmp_path / "inbox.db"), synchronous="FULL")
    log = tmp_path / "inbox.db-wal"
    before = log.stat().st_size
    connection.execute(sqlite_schema.FLUSH)
    after = log.stat().st_size
    connection.close()

    assert before < after
