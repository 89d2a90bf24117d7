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
from collections.abc import Coroutine, Generator
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
        spare.hide()
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


class _Spare:
    """Task in whose name a coroutine begins, and which goes on with it if it waits.

    Its steps are a generator that stands at a `yield` from the beginning: a cancellation before the first step of the
    task is thrown in there, where a coroutine that has not begun would end.
    """

    __slots__ = ("_begun", "_idle", "_is_hidden", "loop", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._begun: tuple[Coroutine[Any, Any, Any], Any, contextvars.Context] | None = None
        """A coroutine to go on with, what it waits for, and its context."""
        self._idle: asyncio.Future[None] | None = None
        """What the task waits for while it has nothing to go on with."""
        self._is_hidden = False
        steps: Any = self._steps()
        next(steps)
        self.task: asyncio.Task[Any] = loop.create_task(steps)

    def hide(self) -> None:
        """Let nobody see the task, which does nothing, nor hear of it when the loop is closed."""
        if not self._is_hidden:
            self._is_hidden = True
            tasks._unregister_task(self.task)  # noqa: SLF001
            self._log_if_destroyed(log=False)

    def go_on(
        self, coroutine: Coroutine[Any, Any, T], awaited: Any, context: contextvars.Context, name: str
    ) -> "asyncio.Task[T]":
        """Go on with a coroutine that waits for something."""
        self._begun = coroutine, awaited, context
        if _is_future(awaited):
            # Only from its yield until the task takes it: meanwhile others may wait for the same future.
            awaited._asyncio_future_blocking = False  # noqa: SLF001
        self.task.set_name(name)
        if self._is_hidden:
            self._log_if_destroyed(log=True)
            tasks._register_task(self.task)  # noqa: SLF001
        if self._idle is not None and not self._idle.done():  # else the coroutine has cancelled its task
            self._idle.set_result(None)
        return self.task

    def _steps(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        try:
            yield
            if self._begun is None:
                self._idle = self.loop.create_future()
                yield from self._idle
        except BaseException as thrown:
            if self._begun is None:
                raise
            error = thrown
        if self._begun is None:  # pragma: no cover  # what is idle is woken to go on with something
            return None
        coroutine, awaited, context = self._begun
        return (yield from _go_on(coroutine, awaited, context, error))

    def _log_if_destroyed(self, *, log: bool) -> None:
        setattr(self.task, "_log_destroy_pending", log)  # noqa: B010  # as `asyncio.gather` does; it has no type


def _go_on(
    coroutine: Coroutine[Any, Any, T], awaited: Any, context: contextvars.Context, error: BaseException | None
) -> Generator[Any, Any, T]:
    """Wait for what a coroutine waits for, or throw an error into it, and take its further steps in its context."""
    if _is_future(awaited):
        if error is not None and awaited.cancel():  # as a task does that is cancelled before it waits
            error = None
        awaited._asyncio_future_blocking = error is None  # noqa: SLF001
    while True:
        if error is None:
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001  # it is the coroutine's
                error = thrown
        try:
            awaited = context.run(coroutine.send, None) if error is None else context.run(coroutine.throw, error)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            error = None


def _is_future(awaited: Any) -> bool:
    return hasattr(awaited, "_asyncio_future_blocking")


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
        spare.hide()
        if spare.task.cancelling():
            return False
        self._spares.append(spare)
        return True


_spares = _Spares()
