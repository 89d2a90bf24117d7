"""Group commit: a queue of operations, and a thread that owns the connection and carries out what waits together.

There are no timers: a group is handed over when the thread has nothing to do and the event loop brings nothing more.
So under light load a group is one operation, and the more there is to do the larger the groups are. There is one commit
per group, so there is one flush to disk for all of it, or none if nothing of it needs one. What is alike in a group is
done at once.
"""

import asyncio
import logging
import math
import sqlite3
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from attrs import define

from pinwheel_async._privacy import Discreet
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._inbox.hand_over import Committed, HandOver
from pinwheel_async.webhooks._inbox.sqlite_store import DeliveryStore

_log = logging.getLogger("pinwheel_async.webhooks")

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741

BatchFunction: TypeAlias = Callable[[DeliveryStore, Sequence[I]], Sequence[T | InboxError]]
"""Does the same with many items; returns what came of each."""

MAX_GROUP = 512
"""Operations in one transaction, at most; so many hold the file, and the tasks that wait, for some ten milliseconds."""

FULL_GROUP = 64
"""Operations that do not wait for others to join them: shared by so many, a flush costs each of them little."""

IDLE_TURNS = 2
"""Turns of the event loop that must bring no other operation before a group is handed over: in the first one, a request
that follows an answer is read, in the next one it asks to store. So the group of a sender with many connections stays
whole, which saves flushes."""

IDLE_S = 1.0
"""Seconds without anything to do after which the thread looks whether the file is still there, empties its log and
makes it smaller. A worker that has nothing to do asks every five seconds."""

SHRINK_S = 0.02
"""Seconds between two steps of that."""

_MESSAGES = {
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

_TRANSIENT = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
"""Errors that leave the connection as good as it was."""


@define(eq=False, repr=False)
class _Operation(Discreet):
    future: "asyncio.Future[Any]"
    flush: bool
    function: BatchFunction[Any, Any]
    item: Any = None
    unclaimed: Callable[[Any], object] | None = None
    """Called with what it returned if nobody waits for that any more."""
    ends_at: float = math.inf
    """When it has taken too long."""
    outcome: Any = None
    """What it returned, or the `InboxError` that it ended with. Handed back here and not as an argument of a callback,
    because asyncio's debug mode logs the arguments of callbacks."""


class GroupCommit:
    """Carries out operations, each in one transaction with its neighbours.

    They begin in the order in which they were asked for; those of one group are done together where they are alike.
    What was asked for is carried out even if the task that waits for it is cancelled.

    It is used from one event loop, from `start` to `stop`, and once only: a thread that hangs in a call to the disk
    keeps what belongs to it, and takes nothing that is asked for later.
    """

    def __init__(
        self,
        connect: Callable[[], DeliveryStore],
        on_end: Callable[[], None],
        *,
        timeout_s: float | None = None,
        hand_over: HandOver | None = None,
        on_commit: Callable[[Committed], None] | None = None,
    ) -> None:
        """Make ready.

        Args:
            connect: Opens the file; called in the thread, at first and after trouble.
            on_end: Called in the thread after the file is closed, at the end.
            timeout_s: Seconds after which an error is the outcome of what was asked for, as the disk hangs. It may be
                carried out later all the same, if the thread has it by then.
            hand_over: What is handed over by the stores that *connect* opens.
            on_commit: Called in the loop with what groups have brought for the worker, once their tasks were told.
        """
        self._hand_over_book = hand_over or HandOver()
        self._on_commit = on_commit
        self._timeout_s = timeout_s
        self._connect = connect
        self._on_end = on_end
        self._store: DeliveryStore | None = None
        self._last: DeliveryStore | None = None
        """The last one that was opened, perhaps closed since: its file is the one to go on with."""
        self._loss: str | None = None
        """What has become of the file, if that was reported."""
        self._queue: SimpleQueue[list[_Operation]] = SimpleQueue()
        self._waiting: list[_Operation] = []
        self._handed_over: list[_Operation] = []
        self._busy = False
        """Whether a group is with the thread, or about to be handed over."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._is_open = False
        self._timer: asyncio.TimerHandle | None = None
        """What gives up operations that have taken too long, while there may be any."""

    @property
    def is_alive(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_open(self) -> bool:
        """Whether the loop that runs now can ask for something."""
        return self._is_open and self._loop is asyncio.get_running_loop()

    def start(self) -> None:
        """Start the thread for the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        # A daemon, because a program that forgets to close, or whose disk hangs, must still be able to exit; the file
        # takes no harm.
        self._thread = Thread(target=self._run, name="pinwheel-inbox", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Carry out what was asked for, close the file, end the thread; nobody has to wait for it."""
        if self._loop is None or not self._is_open:
            return
        self._is_open = False
        ended: asyncio.Future[None] = self._loop.create_future()
        self._add(_Operation(ended, flush=False, function=_end))
        await ended
        self._cancel_timer()
        self.join()  # it has nothing left to do

    def abandon(self) -> None:
        """Let the thread end when it can, and carry out nothing more: an error is the outcome of what waits."""
        was_open, self._is_open = self._is_open, False
        left = [] if self._loop is None or self._loop.is_closed() else [*self._handed_over, *self._waiting]
        for operation in left:
            self._expire(operation)
        self._waiting = []
        self._cancel_timer()
        if self._loop is not None and (was_open or left):
            # Its future belongs to the loop of this thread, even if that is closed: nobody waits for it.
            self._queue.put([_Operation(self._loop.create_future(), flush=False, function=_end)])

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the end of the thread."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def submit(
        self,
        operation: Callable[[DeliveryStore], T],
        *,
        flush: bool = True,
        may_take_long: bool = False,
        unclaimed: Callable[[T], object] | None = None,
    ) -> "asyncio.Future[T]":
        """Ask for an operation; what it returns or raises is the future's, once the commit is durable.

        An operation raises `InboxError` only before it has changed anything.

        Args:
            operation: What to do.
            flush: Whether a crash of the machine must not undo it. A group of which nothing has to be flushed is not,
                and takes a fifth of the time.
            may_take_long: Whether to wait without a limit, because there may be much to do.
            unclaimed: Called with what it returned if the task that waited for it was cancelled or given an error.
        """
        function: BatchFunction[None, T] = lambda store, _: [operation(store)]  # noqa: E731
        return self.submit_to(function, None, flush=flush, may_take_long=may_take_long, unclaimed=unclaimed)

    def submit_to(
        self,
        function: BatchFunction[I, T],
        item: I,
        *,
        flush: bool = True,
        may_take_long: bool = False,
        unclaimed: Callable[[T], object] | None = None,
    ) -> "asyncio.Future[T]":
        """Ask for an operation that is done together with others of its kind: those of the very same *function*.

        Args:
            function: What to do.
            item: What to do it with.
            flush: See `submit`.
            may_take_long: See `submit`.
            unclaimed: See `submit`.
        """
        if self._loop is None or not self._is_open:
            raise InboxError("the inbox is not open", reason="Closed")
        future: asyncio.Future[T] = self._loop.create_future()
        operation = _Operation(future, flush, function, item, unclaimed)
        if self._timeout_s is not None and not may_take_long:
            operation.ends_at = self._loop.time() + self._timeout_s
            if self._timer is None:
                # One for all, which are in order: one for each takes as long as the rest of this method.
                self._timer = self._loop.call_at(operation.ends_at, self._expire_late)
        self._add(operation)
        return future

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire_late(self) -> None:
        """Give up what has taken too long."""
        self._timer = None
        if self._loop is None or self._loop.is_closed():
            return
        now = self._loop.time()
        operations = [*self._handed_over, *self._waiting]
        for operation in operations:
            if operation.ends_at <= now:
                self._expire(operation)
        ends_at = min([operation.ends_at for operation in operations if operation.ends_at > now], default=math.inf)
        if ends_at < math.inf:
            self._timer = self._loop.call_at(ends_at, self._expire_late)

    def _expire(self, operation: _Operation) -> None:
        """Give an operation up; if it is not with the thread yet, it is not carried out."""
        if operation in self._waiting:
            self._waiting.remove(operation)
        if not operation.future.done():
            operation.future.set_exception(
                InboxError(
                    "the inbox gave no answer, because its disk hangs; it may carry this out later", reason="Timeout"
                )
            )

    def _add(self, operation: _Operation) -> None:
        self._waiting.append(operation)
        if not self._busy:
            self._busy = True
            operation.future.get_loop().call_soon(self._hand_over, len(self._waiting))

    def _hand_over(self, before: int, idle_turns: int = 0) -> None:
        """Hand what waits to the thread, if it is enough or nothing more has come for some turns of the loop."""
        waiting = len(self._waiting)
        if not waiting:  # all were given up
            self._busy = False
            return
        idle_turns = idle_turns + 1 if waiting == before else 0
        if waiting < FULL_GROUP and idle_turns < IDLE_TURNS:
            self._waiting[0].future.get_loop().call_soon(self._hand_over, waiting, idle_turns)
            return
        group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        self._handed_over = group
        self._queue.put(group)

    def _finish(self, group: list[_Operation], committed: Committed) -> None:
        self._handed_over = []
        for operation in group:
            if operation.future.done():  # the task that waited for it was cancelled, or it was given up
                if operation.unclaimed is not None and not isinstance(operation.outcome, InboxError):
                    operation.unclaimed(operation.outcome)
            elif isinstance(operation.outcome, InboxError):
                operation.future.set_exception(operation.outcome)
            else:
                operation.future.set_result(operation.outcome)
        if self._on_commit is not None:
            self._on_commit(committed)
        if self._waiting:
            self._hand_over(0)
        else:
            self._busy = False

    def _run(self) -> None:
        """Carry out one group after another: all that the thread does."""
        last, idle_s = False, IDLE_S
        while not last:
            try:
                group = self._queue.get(timeout=idle_s)
            except Empty:
                if self._loop is None or self._loop.is_closed():
                    self._end()
                    return
                idle_s = self._idle()
                continue
            idle_s = IDLE_S
            last = group[-1].function is _end
            self._carry_out(group[:-1] if last else group)
            if last:
                self._end()
            committed = self._hand_over_book.collect()
            try:
                group[0].future.get_loop().call_soon_threadsafe(self._finish, group, committed)
            except RuntimeError:  # the loop was closed, and no task is left that could ask for anything
                if not last:
                    self._end()
                return

    def _end(self) -> None:
        self._disconnect()
        self._on_end()

    def _carry_out(self, group: Sequence[_Operation]) -> None:
        """Carry out a group; what goes wrong is the outcome of its operations."""
        if not group:
            return
        try:
            self._commit(group)
        except Exception as error:  # noqa: BLE001  # the thread outlives everything, and no task must wait for ever
            self._recover(error)
            if len(group) == 1 or _is_storage_error(error):
                for operation in group:
                    operation.outcome = inbox_error(error)
                return
            # One operation is to blame, and has spoiled the transaction of all. Both halves by themselves, and so on,
            # until it fails alone: a few commits more, in a case so rare that they do not matter.
            middle = len(group) // 2
            self._carry_out(group[:middle])
            self._carry_out(group[middle:])

    def _commit(self, group: Sequence[_Operation]) -> None:
        """Carry out a group in one transaction, the operations of a kind together."""
        store = self._open_store()
        store.begin(flush=any(operation.flush for operation in group))
        kinds: dict[BatchFunction[Any, Any], list[_Operation]] = {}
        for operation in group:
            kinds.setdefault(operation.function, []).append(operation)
        for function, operations in kinds.items():
            outcomes: Sequence[Any]
            try:
                outcomes = function(store, [operation.item for operation in operations])
            except InboxError as error:  # nothing was changed, so the transaction can go on
                outcomes = [error] * len(operations)
            for operation, outcome in zip(operations, outcomes, strict=True):
                operation.outcome = outcome
        store.commit()

    def _open_store(self) -> DeliveryStore:
        """Return the open file; it is opened again after trouble, but only if it is the one that was open."""
        loss = None if self._last is None else self._last.watch.loss()
        if loss is not None:
            if self._last is None or not self._last.options.read_only:
                raise self._lost(loss)
            self._disconnect()
        elif self._loss is not None:
            self._loss = None
            _log.warning("the file of the inbox is back in its place")
        if self._store is None:
            self._store = self._last = self._connect()
        return self._store

    def _lost(self, loss: str) -> InboxError:
        """Return the error of a file that is not in its place any more, and report it once.

        A new one is not made in its place: what the lost one holds was acknowledged, and somebody may still bring it
        back, whom a receiver that goes on as if nothing had happened would not even tell that there is a reason to.
        """
        if self._last is not None and self._loss != loss:
            _log.error(
                "the file of the inbox, %s, was %s while it was open, with %d deliveries that are acknowledged and not "
                "handled: put it back, or restart to begin with what is there now",
                self._last.options.path,
                loss,
                self._last.unfinished(),
            )
        self._loss = loss
        return InboxError(
            f"the file of the inbox was {loss} while it was open: put it back, or close and open the inbox to begin "
            "with what is there now",
            reason="FileLost",
        )

    def _idle(self) -> float:
        """Look after the file while nothing is asked for; return in how many seconds to do it again."""
        if self._store is None or self._store.options.read_only:
            return IDLE_S
        try:
            return SHRINK_S if self._open_store().shrink() else IDLE_S
        except InboxError:  # the loss of the file, which was reported
            return IDLE_S
        except sqlite3.Error as error:  # as it will be said to whoever asks for something
            self._recover(error)
            return IDLE_S

    def _recover(self, error: Exception) -> None:
        """Roll back after an error; unless the connection is known to be good after it, give it up."""
        if self._store is None or isinstance(error, InboxError):  # in which case nothing was begun
            return
        try:
            self._store.rollback()
        except sqlite3.Error:
            self._disconnect()
        else:
            if _is_storage_error(error) and _primary_code(error) not in _TRANSIENT:
                self._disconnect()

    def _disconnect(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()


def _end(_: DeliveryStore, items: Sequence[None]) -> Sequence[None]:
    """Mark the last operation, which ends the thread."""
    return items


def _is_storage_error(error: Exception) -> bool:
    """Whether the file or its disk is to blame, and not what should have been stored."""
    # DatabaseError itself is raised for damaged files; those of its subclasses that are left out blame the statement.
    # An InboxError that comes here is that of a file which could not be opened: those of operations are outcomes.
    return isinstance(error, sqlite3.OperationalError | InboxError) or type(error) is sqlite3.DatabaseError


def _primary_code(error: Exception) -> int:
    """Return the primary result code; the higher bits say more of the same trouble."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def inbox_error(error: Exception) -> InboxError:
    """Say what went wrong: never with the text of the cause, which may hold values."""
    if isinstance(error, InboxError):
        # Each task gets an error of its own, since raising one adds to its traceback; its reason is added again here.
        return InboxError(str(error).removesuffix(f": {error.reason}"), reason=error.reason)
    reason: str = getattr(error, "sqlite_errorname", type(error).__name__)
    return InboxError(_MESSAGES.get(_primary_code(error), "the inbox failed"), reason=reason)
