"""Files that are taken away, replaced or cut short under an open inbox: noticed, said, and never made anew unasked."""

import asyncio
import logging
import shutil

import pytest

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._inbox import group_commit

from .refusals import refusal


def delete(path):
    path.unlink()


def delete_all(path):
    for file in path.parent.iterdir():
        file.unlink()


def delete_folder(path):
    shutil.rmtree(path.parent)


def replace_by_empty(path):
    path.rename(path.with_name("old.db"))
    path.touch()


def replace_by_copy(path):
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:5_000])


def empty(path):
    path.write_bytes(b"")


def delete_log(path):
    path.with_name("inbox.db-wal").unlink()


def delete_index(path):
    path.with_name("inbox.db-shm").unlink()


def replace_log(path):
    delete_log(path)
    path.with_name("inbox.db-wal").touch()


DISASTERS = [
    *(delete, delete_all, delete_folder, replace_by_empty, replace_by_copy),
    *(cut_short, empty, delete_log, delete_index, replace_log),
]


@pytest.fixture
def path(tmp_path):
    """The file of an inbox, in a folder of its own."""
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "inbox.db"


async def fill(inbox, deliver_apart):
    """Leave two that wait, one claimed and one done."""
    for number in range(4):
        await inbox.put(deliver_apart(f"{number}"))
    claims = await inbox.claim(2, lease_s=60)
    await inbox.done(claims[0])


def errors(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parametrize("disaster", DISASTERS)
async def test_lost_file_refuses_and_is_reported(opened, path, deliver_apart, caplog, disaster):
    """What is put is refused, nothing is made in its place, and the log says once how many deliveries are lost."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart)
        disaster(path)
        before = sorted(path.parent.iterdir()) if path.parent.exists() else []
        refused = [await refusal(inbox.put(deliver_apart(name))) for name in ("0", "new")]
        after = sorted(path.parent.iterdir()) if path.parent.exists() else []

    assert ["FileLost"] * 2 == [error.reason for error in refused]
    assert "put it back, or close and open" in str(refused[0])
    assert before == after
    (said,) = errors(caplog)
    assert (str(path) in said, " 3 deliveries that are acknowledged and not handled" in said) == (True, True)


@pytest.mark.parametrize("disaster", DISASTERS)
async def test_lost_file_is_noticed_while_idle(opened, path, deliver_apart, caplog, monkeypatch, disaster):
    """It is reported although nobody asks for anything."""
    monkeypatch.setattr(group_commit, "IDLE_S", 0.01)
    async with opened() as inbox:
        await fill(inbox, deliver_apart)
        disaster(path)
        async with asyncio.timeout(30):
            while not errors(caplog):
                await asyncio.sleep(0.01)


async def test_file_that_comes_back(opened, path, deliver_apart, caplog):
    """Once the very file is back in its place, the inbox goes on with it."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart)
        path.rename(path.with_name("away.db"))
        await refusal(inbox.put(deliver_apart("4")))
        path.with_name("away.db").rename(path)
        stored = [await inbox.put(deliver_apart(name)) for name in ("0", "4")]
        path.rename(path.with_name("away.db"))
        await refusal(inbox.put(deliver_apart("5")))
        path.with_name("away.db").rename(path)

    assert [False, True] == stored
    assert 2 == len(errors(caplog))  # each time


@pytest.mark.parametrize("disaster", DISASTERS[:5])
async def test_begin_with_what_is_there(opened, path, deliver_apart, disaster):
    """Closing and opening the inbox begins with the file that is there then, or a new one."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart)
        disaster(path)
        await refusal(inbox.counts())
        path.parent.mkdir(exist_ok=True)
        await inbox.close()
        await inbox.open()
        stored = await inbox.put(deliver_apart("new"))

    assert stored


@pytest.mark.parametrize("disaster", [delete_log, delete_index, replace_log])
async def test_log_that_is_lost_loses_nothing(opened, path, deliver_apart, disaster):
    """What stood in a log that was deleted is in the file after closing: the open log still had it."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart)
        disaster(path)
        await refusal(inbox.counts())
        await inbox.close()
        await inbox.open()
        counts = await inbox.counts()
        known = [await inbox.put(deliver_apart(f"{number}")) for number in range(4)]

    assert (3, 1) == (counts.waiting + counts.claimed, counts.done)
    assert [False] * 4 == known


async def test_file_lost_during_trouble(opened, path, deliver_apart):
    """A connection that is lost together with its file is not replaced by one to a new file."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart)
        with pytest.raises(InboxError):
            await inbox._group.submit(lambda store: store.connection.close())
        path.unlink()
        error = await refusal(inbox.put(deliver_apart("4")))

    assert ("FileLost", False) == (error.reason, path.exists())


async def test_new_inbox_is_not_taken_for_a_cut_one(path, time, deliver_apart):
    """Neither a file that was just made nor one that a second inbox made meanwhile counts as cut short."""
    inboxes = [SqliteInbox(path, clock=time.clock) for _ in range(3)]
    await asyncio.gather(*(inbox.open() for inbox in inboxes))
    stored = [await inbox.put(deliver_apart(f"{number}")) for number, inbox in enumerate(inboxes)]
    await asyncio.gather(*(inbox.close() for inbox in inboxes))

    assert [True] * 3 == stored


@pytest.mark.parametrize(
    ("reason", "is_transient"),
    [
        ("SQLITE_BUSY", True),
        ("SQLITE_BUSY_SNAPSHOT", True),
        ("SQLITE_IOERR_FSYNC", True),
        ("SQLITE_FULL", True),
        ("Timeout", True),
        ("MaxWaiting", True),
        ("FileLost", True),
        ("SQLITE_CORRUPT", False),
        ("SQLITE_NOTADB", False),
        ("SQLITE_READONLY", False),
        ("OtherConsumer", False),
        ("WrongKey", False),
        ("NewerSchema", False),
        ("Closed", False),
    ],
)
def test_errors_that_may_pass(reason, is_transient):
    """An error tells whether the same may succeed later with nobody doing anything about the program."""
    assert is_transient is InboxError("trouble", reason=reason).is_transient
