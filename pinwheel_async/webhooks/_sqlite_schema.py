"""The file of a SQLite inbox: its tables, how older files are brought up to date, and how it is opened.

State of a row, and what its column `at` means there (0 where it means nothing):

    new       has just been put, and nobody has looked at it
    ready     first of its lane, can be claimed
    later     first of its lane, waits for its next attempt    when that is due
    claimed   first of its lane, a worker has it               when its lease ends
    behind    waits behind the first of its lane               when it is due, if that was known before
    dead      failed for good, keeps its body
    kept      done, keeps its body for a while                 when it was done
    done      done, only the id is remembered                  when it was done

Putting only appends, so that a burst of deliveries is stored as fast as can be; whoever claims next gives what is new
its place. New ids are few and known by heart, so the index of ids leaves them out: it would have to be written to
anywhere in it.

The first of every lane is known at all times, so claiming looks at one short range of one index, however long a lane
is. It is marked in a column of its own, so that claiming leaves the index of the first alone; as that is unique, there
is one first. The rowid stands at the end of every index, so rows of one state come in order of arrival.
"""

import os
import sqlite3
import time
from contextlib import suppress
from typing import Literal

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._sqlite_queries import STATEMENTS

Synchronous = Literal["FULL", "NORMAL"]

BUSY_S = 5.0
"""Seconds to wait for another process; the sender of a delivery waits for 15."""

APPLICATION_ID = 0x50574942
"""Marks the file as one of ours."""

_CACHE_KIB = 16_384

_WAL_PAUSE_S = 0.05

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE delivery (
            seq INTEGER PRIMARY KEY,
            event_id TEXT NOT NULL,
            event TEXT NOT NULL,
            lane TEXT NOT NULL,
            received_at REAL NOT NULL,
            signed_with TEXT NOT NULL,
            version TEXT,
            webhook_id TEXT,
            traceparent TEXT,
            admitted INTEGER NOT NULL,
            first INTEGER NOT NULL,
            state TEXT NOT NULL,
            at REAL NOT NULL,
            attempts INTEGER NOT NULL,
            token INTEGER NOT NULL,
            reason TEXT
        )
        """,
        "CREATE UNIQUE INDEX delivery_known ON delivery (event_id) WHERE admitted = 1",
        "CREATE INDEX delivery_by_state ON delivery (state, at)",
        "CREATE UNIQUE INDEX lane_head ON delivery (lane) WHERE first = 1",
        "CREATE INDEX lane_behind ON delivery (lane) WHERE state = 'behind'",
        # Apart, because claiming and marking rewrite rows.
        "CREATE TABLE body (seq INTEGER PRIMARY KEY, sealed INTEGER NOT NULL, content BLOB NOT NULL)",
        # Counting rows would take longer the more ids are remembered.
        "CREATE TABLE tally (waiting INTEGER, claimed INTEGER, done INTEGER, dead INTEGER)",
        "INSERT INTO tally VALUES (0, 0, 0, 0)",
        "CREATE TABLE saved (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE seal (proof BLOB NOT NULL)",
    ),
)
"""What makes a file of one version a file of the next, in order; version n is what the first n steps make."""


def connect(path: str, *, synchronous: Synchronous, steps: tuple[tuple[str, ...], ...] = STEPS) -> sqlite3.Connection:
    """Open the file, making it or bringing it up to date if needed; several processes may do so at once.

    Raises:
        InboxError: It belongs to a newer version or to another program.
        sqlite3.Error: It cannot be opened.
    """
    # Only where there is none: closing a file that is open elsewhere in this process would drop the locks on it.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, cached_statements=STATEMENTS)
    try:
        connection.execute("BEGIN")  # so that all is read as of one moment: another process may be making the file
        _refuse_foreign(connection, steps)
        connection.execute("COMMIT")
        _use_wal(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        _migrate(connection, steps)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_foreign(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...]) -> None:
    """Raise if the file is not ours to write to, before anything is written to it."""
    owner = _pragma(connection, "application_id")
    if owner != APPLICATION_ID and (owner or connection.execute("SELECT 1 FROM sqlite_master").fetchone()):
        raise InboxError("the file of the inbox belongs to another program: choose another path", reason="Foreign")
    if _pragma(connection, "user_version") > len(steps):
        raise InboxError(
            "the inbox was written by a newer version of pinwheel_async: install that one", reason="NewerSchema"
        )


def _use_wal(connection: sqlite3.Connection) -> None:
    until = time.monotonic() + BUSY_S
    mode: str | None = None
    while mode is None:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            # While another process makes the file, this statement does not wait as all others do.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_WAL_PAUSE_S)
    if mode != "wal":
        raise InboxError("the inbox needs a local disk, where processes can share memory", reason="NoWal")


def _migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...]) -> None:
    if _pragma(connection, "user_version") == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Again, because another process may have been first.
        _refuse_foreign(connection, steps)
        for step in steps[_pragma(connection, "user_version") :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
