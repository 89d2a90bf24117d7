"""An open file of a SQLite inbox: its transactions, its running count, and what is cleared away in passing."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from attrs import frozen

from pinwheel_async._clock import Clock
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._inbox import State
from pinwheel_async.webhooks._sealing import Sealer
from pinwheel_async.webhooks._sqlite_queries import DROP, NEW_IDS, OLD_BODIES, OLD_IDS, listed
from pinwheel_async.webhooks._sqlite_schema import Synchronous, connect

TIDY = 64
"""Old rows that one transaction clears away, at most."""

TIDY_EVERY_S = 1.0
"""Seconds from one look for old rows to the next, while there are few."""


@frozen(kw_only=True, repr=False)
class Terms:
    """What an inbox was asked to be."""

    path: str
    keep_bodies_s: float
    remember_s: float
    max_waiting: int | None
    synchronous: Synchronous
    sealer: Sealer | None
    clock: Clock


class SqliteFile:
    """A connection and the transaction that is open on it."""

    def __init__(self, terms: Terms) -> None:
        """Open the file.

        Raises:
            InboxError: It is encrypted with another key, or is not for us.
            sqlite3.Error: It cannot be opened.
        """
        self.terms = terms
        self.now = 0.0
        self.tally: dict[State, int] = {}
        self.fresh: set[str] = set()
        """Ids of all that is new."""
        self.last = 0
        """Number of the last row."""
        self.shared = False
        """Whether others have written to the file since it was opened."""
        self._seen = -1
        self._stored_tally: dict[State, int] = {}
        self._tidy_at = 0.0
        self._synchronous = terms.synchronous
        self.connection = connect(terms.path, synchronous=terms.synchronous)
        try:
            self._identity = _identity(terms.path)
            self.begin()
            self._prove_key()
            self.commit()
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Bring everything from the log into the file, as far as possible, and close it."""
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(sqlite3.Error):
            self.connection.close()

    def in_place(self) -> bool:
        """Whether the file is still where it was; one that was taken away would swallow everything without a word."""
        return self._identity == _identity(self.terms.path)

    def begin(self, *, flush: bool = True) -> None:
        """Begin a transaction, once nobody else writes; a crash of the machine may undo one that is not flushed."""
        synchronous = self.terms.synchronous if flush else "NORMAL"
        if synchronous != self._synchronous:
            self.connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        self.connection.execute("BEGIN IMMEDIATE")
        self.now = self.terms.clock.now().timestamp()
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if version != self._seen:  # another connection has written since
            self.shared = self.shared or self._seen >= 0
            self._look()
            self._seen = version
        self._stored_tally = dict(self.tally)

    def commit(self) -> None:
        """Clear some old rows away, and make everything durable."""
        self._tidy()
        if self.tally != self._stored_tally:
            self.connection.execute(
                "UPDATE tally SET waiting = ?, claimed = ?, done = ?, dead = ?", tuple(self.tally.values())
            )
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo everything since `begin`."""
        self._seen = -1
        self.connection.rollback()

    def drop_bodies(self, seqs: Sequence[int]) -> None:
        """Remove bodies for good: what is deleted is overwritten."""
        for statement, values in listed(DROP, seqs):
            self.connection.execute(statement, values)

    def new_ids(self) -> set[str]:
        """Look up the ids of all that is new."""
        return {event_id for (event_id,) in self.connection.execute(NEW_IDS)}

    def _look(self) -> None:
        """Learn by heart what is asked for all the time."""
        row = self.connection.execute("SELECT waiting, claimed, done, dead FROM tally").fetchone()
        self.tally = {"waiting": row[0], "claimed": row[1], "done": row[2], "dead": row[3]}
        self.fresh = self.new_ids()
        (last,) = self.connection.execute("SELECT max(seq) FROM delivery").fetchone()
        self.last = last or 0

    def _tidy(self) -> None:
        """Drop bodies that were kept long enough and forget ids that were remembered long enough, a few at a time."""
        if self.now < self._tidy_at:
            return
        kept = self.connection.execute(OLD_BODIES, (self.now - self.terms.keep_bodies_s, TIDY)).fetchall()
        self.drop_bodies([seq for (seq,) in kept])
        self.connection.executemany("UPDATE delivery SET state = 'done' WHERE seq = ?", kept)
        forgotten = self.connection.execute(OLD_IDS, (self.now - self.terms.remember_s, TIDY)).rowcount
        self.tally["done"] -= forgotten
        more = TIDY in {len(kept), forgotten}
        self._tidy_at = self.now if more else self.now + TIDY_EVERY_S

    def _prove_key(self) -> None:
        """Raise if the bodies were sealed with another key; the first key of a file becomes its key."""
        sealer = self.terms.sealer
        row = self.connection.execute("SELECT proof FROM seal").fetchone()
        if sealer is None:
            if row is not None:
                raise no_key()
        elif row is None:
            self.connection.execute("INSERT INTO seal VALUES (?)", (sealer.seal(b"", ""),))
        elif sealer.unseal(row[0], "") is None:
            raise InboxError("the inbox is encrypted with another key: open it with that one", reason="WrongKey")


def no_key() -> InboxError:
    """Say that bodies are encrypted and there is no key."""
    return InboxError("the bodies in the inbox are encrypted: open it with its key", reason="NoKey")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # for every transaction, and three times as fast
    except OSError:
        return None
    return found.st_dev, found.st_ino
