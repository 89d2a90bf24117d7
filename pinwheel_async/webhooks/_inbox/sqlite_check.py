"""Check of a SQLite inbox: whether the file is whole, and whether its books agree with what is in it."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from os import PathLike
from pathlib import Path

from attrs import evolve

from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._inbox import sqlite_schema as sql
from pinwheel_async.webhooks._inbox.administration import InboxCheck
from pinwheel_async.webhooks._inbox.base import STATES, State
from pinwheel_async.webhooks._inbox.encryption import BodyCipher, saved_context
from pinwheel_async.webhooks._inbox.group_commit import inbox_error
from pinwheel_async.webhooks._inbox.sqlite_keys import FileKeys

_MOST = 20
"""Problems of the file itself that are named; a file with more is no better known by them."""

_BOOKS = (
    (
        "{:,} deliveries are marked as first of their key and are not, or the other way round",
        "SELECT count(*) FROM delivery WHERE first <> (state IN ('ready', 'later', 'claimed'))",
    ),
    (
        "{:,} keys have deliveries that wait behind none",
        """
        SELECT count(DISTINCT ordering_key) FROM delivery AS behind WHERE state = 'behind' AND NOT EXISTS (
            SELECT 1 FROM delivery WHERE first = 1 AND ordering_key = behind.ordering_key
        )
        """,
    ),
    (
        "{:,} deliveries that are not done have no body",
        """
        SELECT count(*) FROM delivery
        WHERE state <> 'done' AND NOT EXISTS (SELECT 1 FROM body WHERE body.seq = delivery.seq)
        """,
    ),
    (
        "{:,} bodies belong to no delivery, or to one that is done",
        """
        SELECT count(*) FROM body
        WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.seq = body.seq AND state <> 'done')
        """,
    ),
    (
        "{:,} event ids are stored more than once",
        "SELECT count(*) FROM (SELECT 1 FROM delivery GROUP BY event_id HAVING count(*) > 1)",
    ),
)
"""What is wrong if a query counts anything, and the query."""


@without_locals
async def check_inbox(
    path: str | PathLike[str], *, key: bytes | None = None, old_keys: Sequence[bytes] = ()
) -> InboxCheck:
    """Check a file, and change nothing; a receiver may have it open.

    The file must be sound (`PRAGMA integrity_check`); the counts by state must be those of the deliveries; one delivery
    of each ordering key must be the first of those that have not ended; whatever is not done must have a body, and no
    body be without its delivery; and everything that is encrypted must be decrypted by its key.

    Args:
        path: The file.
        key: Its key, if it is encrypted.
        old_keys: Keys from before a rotation that is not over.

    Raises:
        ConfigurationError: There is no such file, or a key has not 32 bytes.
        InboxError: It cannot be read, is no inbox or of another version, or its key was not given.
    """
    ciphers = [BodyCipher(secret) for secret in ([] if key is None else [key, *old_keys])]
    return await asyncio.to_thread(_check, Path(path), ciphers)


def _check(path: Path, ciphers: Sequence[BodyCipher]) -> InboxCheck:
    if not path.is_file():
        raise ConfigurationError(f"there is no inbox at {path}")
    keys = FileKeys(ciphers)
    check = InboxCheck(deliveries=0, bodies=0, problems=())
    try:
        with closing(sql.connect_read_only(str(path.absolute()))) as connection:
            connection.execute("BEGIN")  # everything as of one moment
            keys.find(connection)
            check = evolve(check, problems=tuple(_damages(connection)))
            deliveries, bodies = _numbers(connection)
            check = evolve(check, deliveries=deliveries, bodies=bodies)
            for problems in (_miscounts, _disagreements, partial(_undecipherable, keys=keys)):
                check = evolve(check, problems=(*check.problems, *problems(connection)))
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise inbox_error(error) from None
        check = evolve(check, problems=(*check.problems, f"the file is damaged: {error.sqlite_errorname}"))
    return check


def _damages(connection: sqlite3.Connection) -> Iterator[str]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST})"):
        if text != "ok":
            yield f"the file is damaged: {text}"


def _numbers(connection: sqlite3.Connection) -> tuple[int, int]:
    query = "SELECT (SELECT count(*) FROM delivery), (SELECT count(*) FROM body)"
    deliveries, bodies = connection.execute(query).fetchone()
    return deliveries, bodies


def _miscounts(connection: sqlite3.Connection) -> Iterator[str]:
    states: Counter[State] = Counter()
    for stored, count in connection.execute("SELECT state, count(*) FROM delivery GROUP BY state"):
        if stored in sql.STATES:
            states[sql.STATES[stored]] += count
        else:
            yield f"{count:,} deliveries have a state that there is not"
    rows = connection.execute("SELECT waiting, claimed, done, dead FROM state_count").fetchall()
    if len(rows) != 1:
        yield "the counts by state are missing"
        return
    for state, counted in zip(STATES, rows[0], strict=True):
        if counted != states[state]:
            yield f"{counted:,} deliveries are counted as {state}, and there are {states[state]:,}"


def _disagreements(connection: sqlite3.Connection) -> Iterator[str]:
    for problem, query in _BOOKS:
        (count,) = connection.execute(query).fetchone()
        if count:
            yield problem.format(count)


def _undecipherable(connection: sqlite3.Connection, *, keys: FileKeys) -> Iterator[str]:
    rows = connection.execute("SELECT key_number, content, event_id FROM body JOIN delivery USING (seq)")
    if count := sum(not _decrypts(keys, *row) for row in rows):
        yield f"{count:,} bodies cannot be decrypted"
    values = connection.execute("SELECT key_number, value, name FROM saved")
    if count := sum(not _decrypts(keys, number, value, saved_context(name)) for number, value, name in values):
        yield f"{count:,} saved values cannot be decrypted"


def _decrypts(keys: FileKeys, number: int, content: bytes, context: str) -> bool:
    try:
        return keys.decrypt(number, content, context) is not None
    except InboxError:  # the file does not know the key any more
        return False
