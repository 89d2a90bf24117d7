"""Tasks that begin at once: a coroutine that never waits is over when `start_task` returns, and needs no task.

Python 3.12 has that (`eager_start`). Before, a coroutine runs up to where it first waits in the name of a spare task,
which then goes on with it: so whatever asks for the task that runs, such as `asyncio.timeout`, gets the right one. What
is private here of `asyncio.tasks` is documented, for libraries that extend asyncio.
"""

import asyncio
import contextvars
import sys
import threading
from asyncio import tasks
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def start_task(
    coroutine: Coroutine[Any, Any, T], *, name: str, context: contextvars.Context | None = None
) -> "asyncio.Future[T]":
    """Run a coroutine until it first waits, and then on in a task; if it never waits, the future is done."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, name=name, context=context, eager_start=True)
    if context is None:
        context = contextvars.copy_context()
    spare = _spares.take(loop)
    before = asyncio.current_task(loop)
    if before is not None:
        tasks._leave_task(loop, before)  # noqa: SLF001
    tasks._enter_task(loop, spare.task)  # noqa: SLF001
    try:
        awaited = context.run(coroutine.send, None)
    except StopIteration as end:
        done: asyncio.Future[T] = loop.create_future()
        if _spares.give_back(spare):
            done.set_result(end.value)
        else:
            done.cancel()  # so ends a task that was cancelled while it ran
        return done
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  # it is the outcome
        _spares.give_back(spare)
        done = loop.create_future()
        if isinstance(error, asyncio.CancelledError):
            done.cancel()
        else:
            done.set_exception(error)
        return done
    finally:
        tasks._leave_task(loop, spare.task)  # noqa: SLF001
        if before is not None:
            tasks._enter_task(loop, before)  # noqa: SLF001
    return spare.go_on(coroutine, awaited, context, name)


class _Spare(Coroutine[Any, Any, Any]):
    """Coroutine of a task that waits for another coroutine to go on with, each step of which runs in its own context.

    A class, because a task that is cancelled before its first step throws the cancellation into its coroutine, and one
    that is written with `async def` would end there.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._given: asyncio.Future[None] = loop.create_future()
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._context = contextvars.Context()
        self._awaited: Any = None
        self._is_resumed = False
        """Whether the task waits for what the coroutine waits for."""
        self.task: asyncio.Task[Any] = loop.create_task(self)
        # Nobody is to see a task that does nothing, nor to hear of it when the loop is closed.
        tasks._unregister_task(self.task)  # noqa: SLF001
        self._log_if_destroyed(log=False)

    def go_on(
        self, coroutine: Coroutine[Any, Any, T], awaited: Any, context: contextvars.Context, name: str
    ) -> "asyncio.Task[T]":
        """Go on with a coroutine that waits for something."""
        self._coroutine, self._awaited, self._context = coroutine, awaited, context
        if self._is_future:
            # Only from its yield until the task takes it: meanwhile others may wait for the same future.
            awaited._asyncio_future_blocking = False  # noqa: SLF001
        self.task.set_name(name)
        self._log_if_destroyed(log=True)
        tasks._register_task(self.task)  # noqa: SLF001
        if not self._given.done():  # else the coroutine has cancelled its task
            self._given.set_result(None)
        return self.task

    def send(self, value: Any, /) -> Any:
        """Take a step."""
        if self._is_resumed:
            return self._step("send", value)
        return self._wait()

    def throw(self, *error: Any) -> Any:
        """Take a step that begins with an error."""
        if self._is_resumed:
            return self._step("throw", *error)
        if self._coroutine is None:
            raise error[0]
        if self._is_future:  # as a task does that is cancelled before it waits
            self._awaited.cancel()
            return self._wait()
        self._is_resumed = True
        return self._step("throw", *error)

    def close(self) -> None:
        """Close the coroutine."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Any:
        """Refuse: only a task takes its steps."""
        raise TypeError("this coroutine belongs to a task")

    @property
    def _is_future(self) -> bool:
        return hasattr(self._awaited, "_asyncio_future_blocking")

    def _wait(self) -> Any:
        """Wait for the coroutine, or for what that waits for."""
        self._is_resumed = self._coroutine is not None
        awaited = self._awaited if self._is_resumed else self._given
        if hasattr(awaited, "_asyncio_future_blocking"):
            awaited._asyncio_future_blocking = True  # noqa: SLF001
        return awaited

    def _step(self, method: str, *arguments: Any) -> Any:
        return self._context.run(getattr(self._coroutine, method), *arguments)

    def _log_if_destroyed(self, *, log: bool) -> None:
        setattr(self.task, "_log_destroy_pending", log)  # noqa: B010  # as `asyncio.gather` does; it has no type


class _Spares(threading.local):
    """Spare tasks of the loop of a thread: as many as ran in one another."""

    def __init__(self) -> None:
        self._spares: list[_Spare] = []

    def take(self, loop: asyncio.AbstractEventLoop) -> _Spare:
        """Return a spare task."""
        while self._spares:
            spare = self._spares.pop()
            if spare.loop is loop and not spare.task.done():
                return spare
        return _Spare(loop)

    def give_back(self, spare: _Spare) -> bool:
        """Take back a task that was not needed; return False if it was cancelled, so that it is of no use."""
        if spare.task.cancelling():
            return False
        self._spares.append(spare)
        return True


_spares = _Spares()
