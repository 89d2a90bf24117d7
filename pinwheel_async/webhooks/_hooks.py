"""Hooks: functions of the application that are told of deliveries, and can change nothing about them."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from attrs import frozen

from pinwheel_async._core.converter import Serializable
from pinwheel_async.webhooks._ctrl_c import is_ctrl_c

_log = logging.getLogger("pinwheel_async.webhooks")

Hook: TypeAlias = Callable[..., object]
"""A function; if what it returns can be awaited, it is, beside everything else."""

MAX_RUNNING = 1000
"""Calls of hooks that may be under way, so that one that hangs fills no memory: further ones are dropped."""


@frozen(kw_only=True)
class StoredDelivery(Serializable):
    """Summary of a delivery that was stored, for `on_stored`: never its body."""

    event_id: str
    event: str
    """Event name, such as `paystubs.added`; empty if the body has none."""
    ordering_key: str
    """See `Delivery.ordering_key`."""
    new: bool
    """False for a repetition: its event id is known, and it is not handled again."""


class Hooks:
    """Calls hooks; what they raise is logged by its kind, and reaches nobody."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def call(self, name: str, hook: Hook | None, *arguments: object) -> None:
        """Call a hook, if there is one; an asynchronous one goes on by itself.

        Args:
            name: What the hook is called in the log.
            hook: Function to call.
            arguments: What it is told.
        """
        if hook is None:
            return
        if len(self._running) >= MAX_RUNNING:
            _log.error("hook %s is not called: %d calls are under way", name, MAX_RUNNING)
            return
        try:
            result = hook(*arguments)
            if inspect.isawaitable(result):
                self._add(name, result)
        except BaseException as error:  # no hook may change an answer, or end the server
            if is_ctrl_c(error):
                raise
            _log_failure(name, error)

    async def finish(self, timeout_s: float) -> None:
        """Let the calls that are under way end for so many seconds, then cancel them."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)
        for task in self._running:
            task.cancel()

    def _add(self, name: str, result: Awaitable[object]) -> None:
        task = asyncio.create_task(_wait_for(name, result), name=f"pinwheel hook {name}")
        self._running.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # a Ctrl-C, which has gone through the loop: nobody else asks the task for it


async def _wait_for(name: str, result: Awaitable[object]) -> None:
    try:
        await result
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # in a task, `SystemExit` would end the event loop
        if is_ctrl_c(error):
            raise
        _log_failure(name, error)


def _log_failure(name: str, error: BaseException) -> None:
    """Log the kind only: the text may hold anything."""
    _log.error("hook %s failed: %s", name, type(error).__name__)
