"""Backup and move of an inbox: whole, private, and never in the way of a receiver."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks import SqliteInbox, backup_inbox, check_inbox, move_inbox
from pinwheel_async.webhooks._inbox import sqlite_backup

from .refusals import BODY

KEY = b"k" * 32


@pytest.fixture
def copy(tmp_path):
    """Where a copy goes: a directory of its own."""
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies" / "copy.db"


async def contents(file, time, key=None):
    """Return event ids and bodies of all that waits."""
    inbox = SqliteInbox(file, key=key, clock=time.clock)
    await inbox.open()
    try:
        return [(claim.delivery.event_id, claim.delivery.body) for claim in await inbox.claim(100, lease_s=60)]
    finally:
        await inbox.close()


async def test_backup_beside_a_receiver(opened, path, copy, deliver_apart, time):
    """A copy that is made while deliveries come holds all that was put before it began, and its books are right."""
    async with opened() as inbox:
        for number in range(50):
            await inbox.put(deliver_apart(f"{number}"))
        task = asyncio.create_task(backup_inbox(path, copy))
        number = 50
        while not task.done():
            await inbox.put(deliver_apart(f"{number}"))
            number += 1
        size = await task

    assert copy.stat().st_size == size
    assert (await check_inbox(copy)).ok
    assert [(f"{number}", BODY) for number in range(50)] == (await contents(copy, time))[:50]


async def test_backup_is_of_one_moment(opened, path, copy, deliver_apart, time, monkeypatch):
    """What is written between two steps does not get into the copy, and does not make it begin anew."""
    monkeypatch.setattr(sqlite_backup, "STEP_PAGES", 2)
    steps = []
    async with opened() as inbox:
        for number in range(50):
            await inbox.put(deliver_apart(f"{number}"))
        loop, copying = asyncio.get_running_loop(), sqlite_backup._copy

        def copy_slowly(source, partial, progress):
            def put_and_go_on(*state):
                delivery = deliver_apart(f"new {len(steps)}")
                asyncio.run_coroutine_threadsafe(inbox.put(delivery), loop).result()
                steps.append(state)
                progress(*state)

            copying(source, partial, put_and_go_on)

        monkeypatch.setattr(sqlite_backup, "_copy", copy_slowly)
        await backup_inbox(path, copy)

    left = [remaining for _, remaining, _ in steps]
    assert len(left) > 5
    assert sorted(left, reverse=True) == left
    assert 50 == len(await contents(copy, time))


async def test_copy_is_private(opened, path, copy, deliver_apart):
    """Only the owner can read the copy, and nothing else is left beside it."""
    old = os.umask(0)
    try:
        async with opened() as inbox:
            await inbox.put(deliver_apart("1"))
            await backup_inbox(path, copy)
    finally:
        os.umask(old)

    assert 0o600 == stat.S_IMODE(copy.stat().st_mode)
    assert ["copy.db"] == [file.name for file in copy.parent.iterdir()]


async def test_copy_of_an_encrypted_inbox(opened, path, copy, deliver_apart, time):
    """No key is needed for a copy; what it holds is encrypted as it was."""
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("1"))
    await backup_inbox(path, copy)

    assert BODY not in copy.read_bytes()
    assert [("1", BODY)] == await contents(copy, time, KEY)


async def test_cancelled_backup_leaves_nothing(opened, path, copy, deliver_apart, monkeypatch):
    """A backup that is cancelled leaves no file."""
    monkeypatch.setattr(sqlite_backup, "STEP_PAGES", 1)
    async with opened() as inbox:
        for number in range(50):
            await inbox.put(deliver_apart(f"{number}"))
        loop, copying, begun = asyncio.get_running_loop(), sqlite_backup._copy, asyncio.Event()
        go_on = sqlite_backup.Event()

        def copy_slowly(source, partial, progress):
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(60)
            copying(source, partial, progress)

        monkeypatch.setattr(sqlite_backup, "_copy", copy_slowly)
        task = asyncio.create_task(backup_inbox(path, copy))
        await begun.wait()
        task.cancel()
        loop.call_soon(go_on.set)
        await asyncio.wait([task])

    assert task.cancelled()
    assert [] == list(copy.parent.iterdir())


@pytest.mark.parametrize("function", [backup_inbox, move_inbox])
async def test_target_that_exists(opened, path, copy, function):
    """A file that exists is not replaced."""
    async with opened():
        pass
    copy.write_text("theirs")
    with pytest.raises(ConfigurationError, match="exists already"):
        await function(path, copy)

    assert "theirs" == copy.read_text()


@pytest.mark.parametrize("function", [backup_inbox, move_inbox])
async def test_source_that_does_not_exist(path, copy, function):
    """A missing inbox is an error, and nothing is made."""
    with pytest.raises(ConfigurationError, match="no inbox at"):
        await function(path, copy)

    assert [False, False] == [path.exists(), copy.exists()]


@pytest.mark.parametrize("function", [backup_inbox, move_inbox])
async def test_target_that_cannot_be_written(opened, path, tmp_path, function):
    """A directory that is not there is an error, and the inbox stays as it is."""
    async with opened():
        pass
    with pytest.raises(InboxError) as caught:
        await function(path, tmp_path / "missing" / "copy.db")

    assert "ENOENT" == caught.value.reason
    assert (await check_inbox(path)).ok


@pytest.mark.parametrize("function", [backup_inbox, move_inbox])
async def test_file_of_another_program(path, copy, function):
    """A file that is no inbox is neither copied nor moved."""
    path.write_bytes(b"no database" * 100)
    with pytest.raises(InboxError):
        await function(path, copy)

    assert path.exists()
    assert [] == list(copy.parent.iterdir())


async def test_move(opened, path, copy, deliver_apart, time):
    """A moved inbox is in its new place with all that it held, and nothing is left in the old one."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
    await move_inbox(path, copy)

    assert ["copies"] == [file.name for file in path.parent.iterdir()]
    assert ["copy.db"] == [file.name for file in copy.parent.iterdir()]
    assert [("1", BODY)] == await contents(copy, time)


async def test_move_of_what_stands_in_the_log(opened, path, copy, deliver_apart, time):
    """What a killed process has left in the log goes with the inbox."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        files = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    for file, content in files.items():
        file.write_bytes(content)
    assert Path(f"{path}-wal").stat().st_size
    await move_inbox(path, copy)

    assert [("1", BODY)] == await contents(copy, time)


async def test_move_to_another_disk(opened, path, copy, deliver_apart, time, monkeypatch):
    """Where the file cannot be renamed it is copied, and removed when the copy is whole."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
    rename = Path.rename

    def refuse(self, target):
        if self == path:
            raise OSError(sqlite_backup.errno.EXDEV, "another disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    await move_inbox(path, copy)

    assert not path.exists()
    assert [("1", BODY)] == await contents(copy, time)


async def test_move_of_an_open_inbox(opened, path, copy, deliver_apart):
    """An inbox that a process has open is not moved, and works on."""
    async with opened() as inbox:
        with pytest.raises(InboxError, match="stop the receivers") as caught:
            await move_inbox(path, copy)

        assert "Open" == caught.value.reason
        assert await inbox.put(deliver_apart("1"))
        assert not copy.exists()
