"""Listener: tells that another process has stored or revived something, by LISTEN on a connection of its own."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from pinwheel_async._clock import time_limit
from pinwheel_async._postgres.driver import Connection
from pinwheel_async.webhooks._postgres.line import end

_log = logging.getLogger("pinwheel_async.webhooks")

HEARD_WITHIN_S = 2.0
"""Seconds within which a notification of our own has to be heard."""

RECONNECT_S = 1.0
"""Seconds between two attempts to listen again."""

ALIVE_EVERY_S = 15.0
"""Seconds between two looks whether the connection still hears: a broken one may say nothing for hours."""


class Listener:
    """Listens in a task, connects again after trouble, and tests that it hears.

    Through a pooler in transaction mode nothing fails, and nothing is ever heard: then it says so once.
    Workers find what others have stored by looking every second as well, so nothing depends on it but that second.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        notify: Callable[[str], Awaitable[object]],
        heard: Callable[[], object],
        channel: str,
    ) -> None:
        """Make ready.

        Args:
            connect: Connects to the database, past any pooler.
            notify: Sends a text to the channel, over another connection.
            heard: Called whenever another process has sent something, and when something may have been missed.
            channel: Its name.
        """
        self.name = secrets.token_hex(8)
        """What this process sends; what it hears of itself is nothing new."""
        self.hears = asyncio.Event()
        """Set while it is known that it hears."""
        self._connect = connect
        self._notify = notify
        self._heard = heard
        self._channel = channel
        self._task: asyncio.Task[None] | None = None
        self._echo = asyncio.Event()
        self._has_warned = False

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._run(), name="pinwheel inbox listener")

    async def stop(self) -> None:
        """Listen no more."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()  # again, because a driver that has just connected may have taken no notice
            await asyncio.wait({task}, timeout=0.1)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001  # whatever it is, looking every second takes its place
                if self.hears.is_set():
                    _log.debug("the inbox hears nothing until it is connected again: %s", type(error).__name__)
            self.hears.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        async with time_limit(HEARD_WITHIN_S):
            connection = await self._connect()
        try:
            await connection.add_listener(self._channel, self._take)
            while not connection.is_closed():
                if await self._is_heard():
                    if not self.hears.is_set():
                        self.hears.set()
                        self._heard()  # something may have been missed until now
                elif not self._has_warned:
                    self._has_warned = True
                    _log.warning(
                        "the inbox hears no notifications, so what another process stores waits up to a second longer:"
                        " give listen=, a URL that leads past the pooler"
                    )
                await asyncio.sleep(ALIVE_EVERY_S)
        finally:
            await end(connection)

    async def _is_heard(self) -> bool:
        self._echo.clear()
        await self._notify(self.name)
        try:
            async with time_limit(HEARD_WITHIN_S):
                await self._echo.wait()
        except TimeoutError:
            return False
        return True

    def _take(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        if payload == self.name:
            self._echo.set()
        else:
            self._heard()
