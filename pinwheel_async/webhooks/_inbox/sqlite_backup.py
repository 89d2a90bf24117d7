"""Backup and move of a SQLite inbox: a consistent copy that appears when it is whole, and only its owner can read."""

import asyncio
import errno
import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from os import PathLike
from pathlib import Path
from threading import Event

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._inbox import sqlite_schema as sql
from pinwheel_async.webhooks._inbox.group_commit import inbox_error
from pinwheel_async.webhooks._inbox.open_file import OpenLock

STEP_PAGES = 1_024
"""Pages that are copied at once, between which a backup can be cancelled: 4 MB, some milliseconds."""


class _CancelledError(Exception):
    pass


async def backup_inbox(path: str | PathLike[str], to: str | PathLike[str]) -> int:
    """Copy an inbox as of one moment; return the size in bytes.

    A receiver may have it open: it goes on meanwhile, and its log is not written over until the copy is made. Bodies
    are copied as they are, encrypted if they are, so no key is needed. The copy is made under another name in the
    directory of *to*, flushed to disk, and then renamed; its owner alone can read it. It is opened like any inbox: what
    was not handled when it was made is handled, once more if the receiver has handled it since.

    Raises:
        ConfigurationError: There is no such file, or *to* exists already.
        InboxError: It cannot be read, is no inbox, or the copy cannot be written.
    """
    source, target = _checked(path, to)
    cancelled = Event()
    work = asyncio.ensure_future(asyncio.to_thread(_backup, source, target, cancelled))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        cancelled.set()
        with suppress(Exception):
            await work  # it removes what it has written so far
        raise


async def move_inbox(path: str | PathLike[str], to: str | PathLike[str]) -> None:
    """Move an inbox that no process has open, with all that is in its log, also to another disk.

    Start receivers with the new path afterwards: one that is started with the old one begins an empty inbox there.

    Raises:
        ConfigurationError: There is no such file, or *to* exists already.
        InboxError: A process has it open, or it cannot be told whether one has; it cannot be read, or not be written.
    """
    source, target = _checked(path, to)
    await asyncio.shield(asyncio.to_thread(_move, source, target))


def _checked(path: str | PathLike[str], to: str | PathLike[str]) -> tuple[Path, Path]:
    source, target = Path(path).absolute(), Path(to).absolute()
    if not source.is_file():
        raise ConfigurationError(f"there is no inbox at {path}")
    if target.exists():
        raise ConfigurationError(f"{to} exists already: choose another path")
    return source, target


def _backup(source: Path, target: Path, cancelled: Event) -> int:
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")

    def progress(*_: int) -> None:
        if cancelled.is_set():
            raise _CancelledError

    try:
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            _copy(source, partial, progress)
            _flush(partial)
            partial.rename(target)
            _flush(target.parent)
        except BaseException:
            for name in (partial, Path(f"{partial}-journal"), Path(f"{partial}-wal"), Path(f"{partial}-shm")):
                name.unlink(missing_ok=True)
            raise
        return target.stat().st_size
    except sqlite3.Error as error:
        raise inbox_error(error) from None
    except OSError as error:
        raise _file_error(error) from None


def _copy(source: Path, partial: Path, progress: Callable[[int, int, int], None]) -> None:
    with closing(sql.connect_read_only(str(source))) as reader, closing(sqlite3.connect(partial)) as writer:
        # One transaction for the whole copy. Without it each step would see what was written since the one before, and
        # begin anew: beside a busy receiver it would never end.
        reader.execute("BEGIN")
        sql.require_current(reader)  # the transaction begins with what is read first
        reader.backup(writer, pages=STEP_PAGES, progress=progress, sleep=0)


def _move(source: Path, target: Path) -> None:
    open_lock = OpenLock(f"{source}-open")
    try:
        if not open_lock.try_exclusive():
            raise InboxError("a process has the inbox open, or that cannot be told: stop the receivers", reason="Open")
        with closing(sqlite3.connect(source, timeout=sql.BUSY_S, isolation_level=None)) as connection:
            sql.require_current(connection)
            # Whatever is in the log goes into the file, which is then all there is.
            is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if is_busy:
                raise InboxError("somebody reads the inbox: try again", reason="Busy")
        try:
            source.rename(target)
            _flush(target.parent)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _backup(source, target, Event())
            source.unlink()
        _flush(source.parent)
        for suffix in ("-wal", "-shm", "-open"):
            Path(f"{source}{suffix}").unlink(missing_ok=True)
    except sqlite3.Error as error:
        raise inbox_error(error) from None
    except OSError as error:
        raise _file_error(error) from None
    finally:
        open_lock.release()


def _flush(path: Path) -> None:
    """Flush a file or the names in a directory to disk."""
    if os.name == "nt" and path.is_dir():  # which cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_error(error: OSError) -> InboxError:
    return InboxError("the file cannot be written or moved", reason=errno.errorcode.get(error.errno or 0, "OSError"))
