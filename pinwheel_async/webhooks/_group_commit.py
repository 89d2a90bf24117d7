"""One thread that owns the connection: whatever waits is done in one transaction, and meanwhile the next group gathers.

No timers: a group is handed over when the thread has nothing to do and the event loop brings nothing more. So under
light load a group is one operation, and the more there is to do the larger the groups are. There is one commit per
group, so there is one flush to disk for all of it, or none if nothing of it needs one. What is alike in a group is done
at once.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from attrs import define

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._sqlite_ledger import Ledger

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741

Batch: TypeAlias = Callable[[Ledger, Sequence[I]], Sequence[T | InboxError]]
"""Does the same with many things; tells of each what came of it."""

GROUP = 512
"""Operations in one transaction, at most."""

ENOUGH = 64
"""Operations that do not wait for others to join them."""

QUIET = 2
"""Turns of the event loop that must bring no other: one reads what comes after an answer, the next asks for it."""

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


@define(eq=False, repr=False)
class _Job:
    future: "asyncio.Future[Any]"
    flush: bool
    batch: Batch[Any, Any]
    item: Any = None
    outcome: Any = None


class GroupCommit:
    """Carries out operations, each in one transaction with its neighbours.

    They begin in the order in which they were asked for; those of one group are done together where they are alike.
    What was asked for is carried out even if whoever waits for it is cancelled.
    """

    def __init__(self, connect: Callable[[], Ledger]) -> None:
        """Make ready.

        Args:
            connect: Opens the file; called in the thread, at first and after trouble.
        """
        self._connect = connect
        self._ledger: Ledger | None = None
        self._queue: SimpleQueue[list[_Job]] = SimpleQueue()
        self._waiting: list[_Job] = []
        self._busy = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def start(self) -> bool:
        """Start the thread for the loop that runs now; return False if it runs already."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what an earlier loop has left waiting, nobody waits for
            self._loop, self._waiting, self._busy = loop, [], False
        if self._thread is not None and self._thread.is_alive():
            return False
        # A daemon, because whoever forgets to close must still be able to exit; the file takes no harm from that.
        self._thread = Thread(target=self._run, name="pinwheel-inbox", daemon=True)
        self._thread.start()
        return True

    async def stop(self) -> None:
        """Carry out what was asked for, close the file, end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._add(_Job(ended, flush=False, batch=_nothing))
            await ended
            thread.join()

    def submit(self, operation: Callable[[Ledger], T], *, flush: bool = True) -> "asyncio.Future[T]":
        """Ask for an operation; what it returns or raises is the future's, once the commit is durable.

        An operation raises `InboxError` only before it has changed anything.

        Args:
            operation: What to do.
            flush: Whether a crash of the machine must not undo it. A group of which nothing has to be flushed is not,
                and takes a fifth of the time.
        """
        return self.submit_to(lambda ledger, _: [operation(ledger)], None, flush=flush)

    def submit_to(self, batch: Batch[I, T], item: I, *, flush: bool = True) -> "asyncio.Future[T]":
        """Ask for an operation that is done together with others of its kind: those of the very same *batch*."""
        if self._thread is None or self._loop is None:
            raise InboxError("the inbox is not open", reason="Closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._add(_Job(future, flush, batch, item))
        return future

    def _add(self, job: _Job) -> None:
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            job.future.get_loop().call_soon(self._hand_over, len(self._waiting))

    def _hand_over(self, before: int, quiet: int = 0) -> None:
        """Hand what waits to the thread, if it is enough or nothing more has come for some turns of the loop."""
        waiting = len(self._waiting)
        quiet = quiet + 1 if waiting == before else 0
        if waiting < ENOUGH and quiet < QUIET:
            self._waiting[0].future.get_loop().call_soon(self._hand_over, waiting, quiet)
            return
        group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
        self._queue.put(group)

    def _finish(self, group: list[_Job]) -> None:
        for job in group:
            if job.future.done():
                continue
            if isinstance(job.outcome, InboxError):
                job.future.set_exception(job.outcome)
            else:
                job.future.set_result(job.outcome)
        if self._waiting:
            self._hand_over(0)
        else:
            self._busy = False

    def _run(self) -> None:
        last = False
        while not last:
            group = self._queue.get()
            last = group[-1].batch is _nothing
            for job, outcome in zip(group, self._outcomes(group[:-1] if last else group), strict=False):
                job.outcome = outcome  # not an argument of what follows: asyncio's debug mode shows those
            if last:
                self._disconnect()
            try:
                group[0].future.get_loop().call_soon_threadsafe(self._finish, group)
            except RuntimeError:  # the loop was closed, and nobody is left who could ask for anything
                self._disconnect()
                return

    def _outcomes(self, group: list[_Job]) -> list[Any]:
        """Carry out a group; what went wrong stands in the place of the result."""
        if not group:
            return []
        try:
            return self._commit(group)
        except Exception as error:  # noqa: BLE001  # the thread outlives everything, and nobody must wait forever
            self._recover(error)
            return [_trouble(error) for _ in group]

    def _commit(self, group: list[_Job]) -> list[Any]:
        flush = any(job.flush for job in group)
        refused: dict[int, InboxError] = {}
        together = True
        while True:
            ledger = self._ready()
            ledger.begin(flush=flush)
            outcomes: list[Any] = [refused.get(index) for index in range(len(group))]
            for indices in _alike(group, together=together):
                if indices[0] in refused:
                    continue
                items = [group[index].item for index in indices]
                try:
                    found = group[indices[0]].batch(ledger, items)
                except InboxError as error:
                    found = [error] * len(items)
                except Exception as error:
                    if _of_the_storage(error):
                        raise
                    # The fault of one: once more, each by itself, and then without it.
                    if not together:
                        refused[indices[0]] = _trouble(error)
                    together = False
                    ledger.rollback()
                    break
                for index, outcome in zip(indices, found, strict=True):
                    outcomes[index] = outcome
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


def _nothing(_: Ledger, items: Sequence[None]) -> Sequence[None]:
    """Mark the last operation, which ends the thread."""
    return items


def _alike(group: list[_Job], *, together: bool) -> Iterable[list[int]]:
    """Return the places of a group's operations, those of a kind together if wanted."""
    if not together:
        return [[index] for index in range(len(group))]
    kinds: dict[Any, list[int]] = {}
    for index, job in enumerate(group):
        kinds.setdefault(job.batch, []).append(index)
    return kinds.values()


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
