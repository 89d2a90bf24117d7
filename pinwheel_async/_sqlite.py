"""Set-up of SQLite files: the write-ahead log, and files that only their owner can read."""

import os
import sqlite3
import time
from contextlib import suppress

_RETRY_S = 0.01
"""Seconds between two attempts to switch the journal: what keeps it busy is the start of another process, and short."""


def create_private(path: str | os.PathLike[str]) -> None:
    """Create a file that only its owner can read and write, unless it exists.

    Raises:
        OSError: It does not exist and cannot be created.
    """
    # Links are resolved, because O_EXCL refuses one, and SQLite would create its missing target for everyone to read.
    # O_EXCL, because a file that exists must not even be opened: under POSIX, closing it again would drop all locks
    # that this process holds on it through another connection.
    with suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def use_wal(connection: sqlite3.Connection, *, timeout_s: float) -> bool:
    """Switch a database to the write-ahead log, so that others can read while something is written.

    Args:
        connection: Outside of a transaction.
        timeout_s: Seconds to wait for another process that is doing the same.

    Returns:
        Whether it has the log now: a database in memory, or where processes cannot share memory, has none.

    Raises:
        sqlite3.OperationalError: The file cannot be written to, or stayed busy.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            # This statement ignores the connection's busy timeout, so waiting is done here. The low byte is the primary
            # code; the bits above tell kinds of busy apart.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return mode == "wal"
