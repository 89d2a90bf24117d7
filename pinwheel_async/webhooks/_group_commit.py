"""One thread that owns the connection: whatever waits is done in one transaction, and meanwhile the next group gathers.

No timers: under light load a group is one operation, and the more there is to do the larger the groups are. There is
one commit per group, so there is one flush to disk for all of it, or none if nothing of it needs one.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from attrs import frozen

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._sqlite_ledger import Ledger

T = TypeVar("T")

GROUP = 512
"""Operations in one transaction, at most."""

_TROUBLES = {
    sqlite3.SQLITE_FULL: "the disk of the inbox is full",
    sqlite3.SQLITE_BUSY: "another process holds the inbox",
    sqlite3.SQLITE_LOCKED: "another process holds the inbox",
    sqlite3.SQLITE_READONLY: "the file of the inbox, or its directory, cannot be written to",
    sqlite3.SQLITE_PERM: "the file of the inbox, or its directory, cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "the file of the inbox cannot be opened; does its directory exist?",
    sqlite3.SQLITE_CORRUPT: "the file of the inbox is damaged",
    sqlite3.SQLITE_NOTADB: "the file of the inbox is damaged, or no inbox",
    sqlite3.SQLITE_IOERR: "the disk of the inbox failed",
}

_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
"""Troubles that leave the connection as good as it was."""


@frozen(eq=False, repr=False)
class _Job:
    operation: Callable[[Ledger], Any] | None
    """None is the last one: it ends the thread."""
    future: "asyncio.Future[Any]"
    flush: bool


class GroupCommit:
    """Carries out operations in the order in which they were handed over, each in one transaction with its neighbours.

    What was handed over is carried out even if whoever waits for it is cancelled.
    """

    def __init__(self, connect: Callable[[], Ledger]) -> None:
        """Make ready.

        Args:
            connect: Opens the file; called in the thread, at first and after trouble.
        """
        self._connect = connect
        self._ledger: Ledger | None = None
        self._queue: SimpleQueue[_Job] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def start(self) -> bool:
        """Start the thread for the loop that runs now; return False if it runs already."""
        self._loop = asyncio.get_running_loop()
        if self._thread is not None and self._thread.is_alive():
            return False
        # A daemon, because whoever forgets to close must still be able to exit; the file takes no harm from that.
        self._thread = Thread(target=self._run, name="pinwheel-inbox", daemon=True)
        self._thread.start()
        return True

    async def stop(self) -> None:
        """Carry out what was handed over, close the file, end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.put(_Job(None, ended, flush=False))
            await ended
            thread.join()

    def submit(self, operation: Callable[[Ledger], T], *, flush: bool = True) -> "asyncio.Future[T]":
        """Hand over an operation; what it returns or raises is the future's, once the commit is durable.

        An operation raises `InboxError` only before it has changed anything.

        Args:
            operation: What to do.
            flush: Whether a crash of the machine must not undo it. A group of which nothing has to be flushed is not,
                and takes a fifth of the time.
        """
        if self._thread is None or self._loop is None:
            raise InboxError("the inbox is not open", reason="Closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Job(operation, future, flush))
        return future

    def _run(self) -> None:
        last = False
        while not last:
            group = self._gather()
            last = group[-1].operation is None
            operations = [job.operation for job in group if job.operation is not None]
            outcomes = self._outcomes(operations, flush=any(job.flush for job in group))
            if last:
                self._disconnect()
                outcomes.append(None)
            try:
                group[0].future.get_loop().call_soon_threadsafe(_resolve, group, outcomes)
            except RuntimeError:  # the loop was closed, and nobody is left who could ask for anything
                self._disconnect()
                return

    def _gather(self) -> list[_Job]:
        """Wait for an operation and return it with all that wait beside it; the last of all ends the group."""
        group = [self._queue.get()]
        try:
            while len(group) < GROUP and group[-1].operation is not None:
                group.append(self._queue.get_nowait())
        except Empty:
            pass
        return group

    def _outcomes(self, operations: list[Callable[[Ledger], Any]], *, flush: bool) -> list[Any]:
        """Carry out a group; what went wrong stands in the place of the result."""
        if not operations:
            return []
        try:
            return self._commit(operations, flush=flush)
        except Exception as error:  # noqa: BLE001  # the thread outlives everything, and nobody must wait forever
            self._recover(error)
            return [_trouble(error) for _ in operations]

    def _commit(self, operations: list[Callable[[Ledger], Any]], *, flush: bool) -> list[Any]:
        refused: dict[int, InboxError] = {}
        while True:
            ledger = self._ready()
            ledger.begin(flush=flush)
            outcomes: list[Any] = []
            for index, operation in enumerate(operations):
                if index in refused:
                    outcomes.append(refused[index])
                    continue
                try:
                    outcomes.append(operation(ledger))
                except InboxError as error:
                    outcomes.append(error)
                except Exception as error:
                    if _of_the_storage(error):
                        raise
                    # The fault of this one: once more, without it.
                    refused[index] = _trouble(error)
                    ledger.rollback()
                    break
            else:
                ledger.commit()
                return outcomes

    def _ready(self) -> Ledger:
        """Return the open file, opened anew if it was lost or is not where it was."""
        if self._ledger is not None and not self._ledger.in_place():
            self._disconnect()
        if self._ledger is None:
            self._ledger = self._connect()
        return self._ledger

    def _recover(self, error: Exception) -> None:
        if self._ledger is None:
            return
        try:
            self._ledger.rollback()
        except sqlite3.Error:
            self._disconnect()
        else:
            if _code(error) not in _PASSING:
                self._disconnect()

    def _disconnect(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()


def _resolve(group: list[_Job], outcomes: list[Any]) -> None:
    for job, outcome in zip(group, outcomes, strict=True):
        if job.future.done():
            continue
        if isinstance(outcome, InboxError):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)


def _of_the_storage(error: Exception) -> bool:
    """Whether the file or its disk is to blame, and not what should have been stored."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def _code(error: Exception) -> int:
    """Return the primary result code; the higher bits say more of the same trouble."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _trouble(error: Exception) -> InboxError:
    """Say what went wrong: never with the text of the cause, which may hold values."""
    if isinstance(error, InboxError):
        return InboxError(str(error).removesuffix(f": {error.reason}"), reason=error.reason)
    reason: str = getattr(error, "sqlite_errorname", type(error).__name__)
    return InboxError(_TROUBLES.get(_code(error), "the inbox failed"), reason=reason)
