"""Line to the database: one connection, and a task that carries out together what waits for it.

There are no timers: while one group is carried out the next one gathers, so under light load a group is one operation,
and the more there is to do the larger the groups are. What is alike in a group is one statement and one commit.

While the database is away every operation fails at once, and nothing piles up: one task of the line tries to connect,
and nobody waits for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from attrs import define

from pinwheel_async._clock import time_limit
from pinwheel_async._postgres.driver import Connection
from pinwheel_async._privacy import Discreet
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._postgres.errors import REPEATABLE, blames_the_values, inbox_error, leaves_connection

_log = logging.getLogger("pinwheel_async.webhooks")

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741

Function: TypeAlias = Callable[[Connection, Sequence[I]], Awaitable[Sequence[T | InboxError]]]
"""Does the same with many items; returns what came of each."""

MAX_GROUP = 512
"""Operations in one statement, at most: so many take some ten milliseconds."""

FULL_GROUP = 64
"""Operations that do not wait for others to join them."""

IDLE_TURNS = 2
"""Turns of the event loop that must bring no other operation before a group is begun: in the first one, a request that
follows an answer is read, in the next one it asks to store. So the group of a sender with many connections stays
whole."""

RECONNECT_S = 0.25
"""Seconds between two attempts to connect, while the database is away."""

REPETITIONS = 5
"""How often a group is begun, at most, whose transaction the database has undone for the sake of another one."""


@define(eq=False, repr=False)
class _Operation(Discreet):
    function: Function[Any, Any]
    item: Any
    future: "asyncio.Future[Any]"
    unclaimed: Callable[[Any], object] | None = None


class Line:
    """Carries out operations over one connection; opened and closed once, from one event loop."""

    def __init__(self, name: str, connect: Callable[[], Awaitable[Connection]], *, timeout_s: float) -> None:
        """Make ready.

        Args:
            name: What the tasks are called.
            connect: Connects to the database.
            timeout_s: Seconds that one group may take, and as many that connecting may.
        """
        self._name = name
        self._connect = connect
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._waiting: list[_Operation] = []
        self._more = asyncio.Event()
        self._trouble: InboxError | None = None
        """Why the last attempt to connect failed, while there is no connection."""
        self._reconnecting: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether the event loop that runs now can ask for something."""
        return self._is_open and self._running is not None and self._running.get_loop() is asyncio.get_running_loop()

    async def open(self) -> None:
        """Connect.

        Raises:
            InboxError: That did not succeed.
        """
        try:
            self._connection = await self._new_connection()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told in words of the inbox
            raise inbox_error(error) from None
        self._is_open = True
        self._running = asyncio.create_task(self._run(), name=f"pinwheel {self._name}")

    async def close(self) -> None:
        """Carry out what was asked for, and disconnect."""
        self._is_open = False
        self._more.set()
        tasks = [task for task in (self._running, self._reconnecting) if task is not None]
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if tasks and tasks[0].get_loop() is asyncio.get_running_loop():
            await asyncio.wait(tasks)
        connection, self._connection = self._connection, None
        if connection is not None:
            await end(connection)

    def submit(
        self, function: Function[I, T], item: I, *, unclaimed: Callable[[T], object] | None = None
    ) -> "asyncio.Future[T]":
        """Ask for an operation that is done together with others of its kind: those of the very same *function*.

        Args:
            function: What to do; it is carried out even if the task that waits for it is cancelled.
            item: What to do it with.
            unclaimed: Called with what it returned if nobody waits for that any more.

        Raises:
            InboxError: The line is not open, or the database is away.
        """
        if not self.is_open:
            raise InboxError("the inbox is not open", reason="Closed")
        if self._trouble is not None:
            raise inbox_error(self._trouble)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Operation(function, item, future, unclaimed))
        self._more.set()
        return future

    async def _run(self) -> None:
        """Carry out one group after another."""
        while True:
            if not self._waiting:
                if not self._is_open:
                    return
                self._more.clear()
                await self._more.wait()
                continue
            await self._gather()
            function = self._waiting[0].function
            group = [operation for operation in self._waiting if operation.function == function][:MAX_GROUP]
            chosen = set(map(id, group))
            self._waiting = [operation for operation in self._waiting if id(operation) not in chosen]
            await self._carry_out(group)

    async def _gather(self) -> None:
        """Wait until the event loop brings no more for some turns, or it is enough."""
        idle_turns, before = 0, len(self._waiting)
        while before < FULL_GROUP and idle_turns < IDLE_TURNS:
            await asyncio.sleep(0)
            now = len(self._waiting)
            idle_turns = idle_turns + 1 if now == before else 0
            before = now

    async def _carry_out(self, group: Sequence[_Operation]) -> None:
        try:
            outcomes = await self._outcomes(group)
        except Exception as error:  # noqa: BLE001  # no task must wait for ever, whatever the driver raises
            if blames_the_values(error) and len(group) > 1:
                # One item is to blame. Both halves by themselves, and so on, until it fails alone.
                middle = len(group) // 2
                await self._carry_out(group[:middle])
                await self._carry_out(group[middle:])
                return
            outcomes = [inbox_error(error) for _ in group]
        for operation, outcome in zip(group, outcomes, strict=True):
            _finish(operation, outcome)

    async def _outcomes(self, group: Sequence[_Operation]) -> Sequence[Any]:
        function = group[0].function
        items = [operation.item for operation in group]
        attempt = 0
        while True:
            attempt += 1
            connection = await self._connected()
            try:
                async with time_limit(self._timeout_s):
                    return await function(connection, items)
            except REPEATABLE:
                if attempt == REPETITIONS:
                    raise
            except Exception as error:
                if connection.is_closed() or not leaves_connection(error):
                    self._disconnect(error)
                raise

    async def _connected(self) -> Connection:
        """Return the connection, made anew if it was lost meanwhile."""
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            try:
                self._connection = await self._new_connection()
            except Exception as error:
                self._begin_trouble(error)
                raise
        return self._connection

    async def _new_connection(self) -> Connection:
        try:
            async with time_limit(self._timeout_s):
                return await self._connect()
        except TimeoutError:
            raise ConnectionError from None  # nothing was asked for that could be carried out later

    def _disconnect(self, error: Exception) -> None:
        """Give the connection up; what waits behind the group that failed is asked again over another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
        if isinstance(error, TimeoutError):  # whoever waits has waited for so long as well
            self._fail_waiting(error)

    def _begin_trouble(self, error: BaseException) -> None:
        """Let everything fail at once, and try to connect."""
        if self._trouble is None:
            self._trouble = inbox_error(error)
            _log.error("the inbox cannot store: %s", self._trouble)
        self._fail_waiting(error)
        if self._reconnecting is None:
            self._reconnecting = asyncio.create_task(self._reconnect(), name=f"pinwheel {self._name} reconnecting")

    def _fail_waiting(self, error: BaseException) -> None:
        waiting, self._waiting = self._waiting, []
        for operation in waiting:
            _finish(operation, inbox_error(error))

    async def _reconnect(self) -> None:
        while self._is_open:
            await asyncio.sleep(RECONNECT_S)
            try:
                self._connection = await self._new_connection()
            except Exception as error:  # noqa: BLE001  # it was told when it began; the latest is what callers are told
                self._trouble = inbox_error(error)
            else:
                break
        if self._trouble is not None and self._connection is not None:
            _log.warning("the database of the inbox is back")
        self._trouble = self._reconnecting = None


def _finish(operation: _Operation, outcome: Any) -> None:
    if operation.future.done():  # the task that waited for it was cancelled
        if operation.unclaimed is not None and not isinstance(outcome, InboxError):
            operation.unclaimed(outcome)
    elif isinstance(outcome, InboxError):
        operation.future.set_exception(outcome)
    else:
        operation.future.set_result(outcome)


async def end(connection: Connection) -> None:
    """Close a connection, in whatever state it is."""
    with contextlib.suppress(Exception):
        await connection.close(timeout=2)
    if not connection.is_closed():
        connection.terminate()
