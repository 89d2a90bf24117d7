"""Errors of the database, in words of the inbox: never with the text of the cause, which may hold values."""

from typing import Any

from pinwheel_async._postgres.driver import driver
from pinwheel_async.errors import InboxError

_KINDS: tuple[tuple[tuple[Any, ...], str, str | None], ...] = (
    ((driver.TooManyConnectionsError,), "the database of the inbox has no connection left", None),
    ((driver.DiskFullError,), "the disk of the inbox's database is full", None),
    ((driver.OutOfMemoryError,), "the database of the inbox is out of memory", None),
    (
        (driver.ReadOnlySQLTransactionError,),
        "the database of the inbox takes no changes: is it a standby?",
        None,
    ),
    (
        (driver.LockNotAvailableError, driver.QueryCanceledError, TimeoutError),
        "the database of the inbox gave no answer in time; it may carry this out later",
        "Timeout",
    ),
    (
        (driver.InvalidAuthorizationSpecificationError,),
        "the database of the inbox does not accept the user or the password",
        None,
    ),
    ((driver.InvalidCatalogNameError,), "there is no such database for the inbox", None),
    ((driver.InsufficientPrivilegeError,), "the role may not do that in the database of the inbox", None),
    (
        (driver.UndefinedTableError, driver.InvalidSchemaNameError),
        "the database has no tables of an inbox: open it to receive, which makes them, or run pinwheel-async migrate",
        None,
    ),
    (
        (driver.DuplicatePreparedStatementError, driver.InvalidSQLStatementNameError),
        "behind PgBouncer in transaction mode an inbox is opened with pooled=True",
        None,
    ),
    (
        (
            OSError,
            driver.PostgresConnectionError,
            driver.InterfaceError,
            driver.OperatorInterventionError,  # it shuts down, starts, or an administrator ended the connection
            driver.InternalClientError,
            EOFError,
        ),
        "the database of the inbox cannot be reached",
        "Unavailable",
    ),
)
"""Kinds of errors, in which words they are told, and as what reason; by the name of the exception, if none is given.
The first that fits counts."""

REPEATABLE: tuple[Any, ...] = (driver.DeadlockDetectedError, driver.SerializationError)
"""Errors after which the very same statement may succeed at once."""


def inbox_error(error: BaseException) -> InboxError:
    """Return what to tell of an error."""
    if isinstance(error, InboxError):
        return InboxError(str(error).removesuffix(f": {error.reason}"), reason=error.reason)
    for kinds, message, reason in _KINDS:
        if isinstance(error, kinds):
            return InboxError(message, reason=reason or type(error).__name__)
    return InboxError("the inbox failed", reason=type(error).__name__)


def blames_the_values(error: BaseException) -> bool:
    """Whether something that should have been stored is to blame, and neither the database nor the way to it."""
    return isinstance(error, (driver.DataError, driver.IntegrityConstraintViolationError, ValueError, TypeError))


def leaves_connection(error: BaseException) -> bool:
    """Whether a connection is as good as it was before an error: the server has told it, and of a statement only."""
    if isinstance(error, (driver.PostgresConnectionError, driver.OperatorInterventionError)):
        return False
    # On a standby nothing can be stored; another connection may lead to the server that has taken its place.
    if isinstance(error, driver.ReadOnlySQLTransactionError):
        return False
    return isinstance(error, (driver.PostgresError, InboxError)) or blames_the_values(error)
