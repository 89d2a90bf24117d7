"""Refusals: what a database's error means, whether to wait, to find the value that it refuses, or to give up."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from sqlalchemy.exc import DBAPIError

from pinwheel_async.sync._columns import places
from pinwheel_async.sync._sink import Batch

Meaning: TypeAlias = Literal["value", "locked", "away", "other"]
"""What an error means: a value that it cannot keep, a lock that somebody holds, a database that is away, or anything
else, such as a full disk, for which waiting a little is no help."""

_BY_STATE: Mapping[str, Meaning] = {
    "40001": "locked",  # serialization failure
    "40P01": "locked",  # deadlock: one of the two has to begin again
    "55P03": "locked",  # lock_timeout
    "22": "value",  # data exceptions
    "23": "value",  # constraints
    "54": "value",  # limits, such as that of an index row
    "08": "away",
    "53300": "away",  # too many connections
    "57P": "away",  # shut down, starting up
}
"""By SQLSTATE or the beginning of one."""

_BY_NAME: Mapping[str, Meaning] = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_TOOBIG": "value",
    "SQLITE_MISMATCH": "value",
    "SQLITE_CONSTRAINT": "value",
    "SQLITE_RANGE": "value",
}
"""By the name of SQLite's code or the beginning of one."""

_LONG = 2_000
"""Characters of a text that may be too long for an index: PostgreSQL keeps a third of a page, 2,704 bytes."""

_SUSPECTS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "InvalidTextRepresentationError": (
        "no number that JSON knows",
        lambda value: isinstance(value, float) and (value != value or value in {float("inf"), -float("inf")}),  # noqa: PLR0124
    ),
    "ProgramLimitExceededError": ("too long", lambda value: isinstance(value, str) and len(value) > _LONG),
    "UntranslatableCharacterError": ("a character that the database lacks", lambda value: not _is_ascii(value)),
    "UnicodeEncodeError": ("a character that the database lacks", lambda value: not _is_ascii(value)),
}
"""By the driver's name for the refusal, the values that it can be about."""


def _cause_of(error: BaseException) -> BaseException:
    """Return the driver's own error."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return cause.__cause__ or cause


def meaning_of(error: BaseException) -> Meaning:
    """Return what an error of a transaction means."""
    cause = _cause_of(error)
    for attribute, meanings in (("sqlstate", _BY_STATE), ("sqlite_errorname", _BY_NAME)):
        code: object = getattr(cause, attribute, None)
        if isinstance(code, str):
            found: list[Meaning] = [meaning for begin, meaning in meanings.items() if code.startswith(begin)]
            return found[0] if found else "other"
    ended = isinstance(error, DBAPIError) and error.connection_invalidated
    if isinstance(cause, OSError) or ended or _is_closed(cause):
        return "away"
    # What cannot be turned into what the driver takes, before anything is sent.
    own = (ValueError, TypeError, ArithmeticError, RecursionError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
    return "value" if isinstance(cause, own) else "other"


def _is_closed(cause: BaseException) -> bool:
    """Whether asyncpg says that the server has ended the connection, for which it has no SQLSTATE.

    Between the server's last word and the end of the connection, asyncpg 0.30 knows only that its states do not fit
    (`InternalClientError`). After it, `InterfaceError` is what a wrong call raises, too, so its text has to say which.
    """
    name = type(cause).__name__
    return name == "InternalClientError" or (name == "InterfaceError" and "connection is closed" in str(cause))


def explain(batch: Batch[Sequence[Any]], index: int, reason: str) -> tuple[str, ...]:
    """Return the places of an object that a database refuses, as far as its reason says what to look for.

    Args:
        batch: The page.
        index: The object's place on it.
        reason: The driver's name for the refusal.
    """
    what, is_suspect = _SUSPECTS.get(reason, ("", bool))
    try:
        found = places(batch.items[index], f"data[{index}]", lambda value: what if what and is_suspect(value) else None)
        named = tuple(found)
    except RecursionError:
        named = ()
    return named or (f"data[{index}]: the database refuses it: {reason}",)


def _is_ascii(value: object) -> bool:
    return not isinstance(value, str) or value.isascii()
