"""A process of its own that writes pages into a database, so that the one that fetches has its time for that.

The helper holds an ordinary `SqlSink`, is sent pages through a socket, and says of each what became of it. What it
cannot read, and what it leaves undone if it dies, is written by the process that fetched it: storing a page twice
changes nothing.
"""

import asyncio
import logging
import os
import socket
import sys
from asyncio.subprocess import Process
from itertools import count
from pathlib import Path
from subprocess import DEVNULL

from sqlalchemy import URL

from pinwheel_async._core.lean import pack
from pinwheel_async.errors import ConfigurationError, PinwheelError
from pinwheel_async.sync._sink import Batch
from pinwheel_async.sync._sql_database import is_in_memory
from pinwheel_async.sync._sql_helper_frames import GOODBYE, connect, frame, frames, pack_page, unpack_outcome

FEW = 200
"""Pages that are written before a helper is worth the second that it takes to start."""

_BUFFER = 4 * 1024 * 1024
"""Bytes that the socket should hold, so that neither side waits for the other at every page."""

logger = logging.getLogger("pinwheel_async.sync")


def check_helper(place: object, *, raw: bool) -> None:
    """Find out whether a helper can write into a place.

    Raises:
        ConfigurationError: It cannot.
    """
    for problem, what in (
        (os.name != "posix", "works on POSIX systems only"),
        (not isinstance(place, URL), "needs a URL: it cannot use an engine of this process"),
        (isinstance(place, URL) and is_in_memory(place), "needs a file: it cannot see the memory of this process"),
        (raw, "does not keep raw objects: leave out raw or helper"),
    ):
        if problem:
            raise ConfigurationError(f"the helper {what}")


class Helper:
    """The other process, as seen from the one that fetches."""

    def __init__(self, url: str, *, keep_deleted: bool) -> None:
        """Describe it; it is started when there is enough to do.

        Args:
            url: The database, with its password.
            keep_deleted: As for the sink.
        """
        self._told = pack((url, keep_deleted))
        self.pid: int | None = None
        """Of the process, while it can be given pages."""
        self._pages = 0
        self._closing = False
        self._numbers = count()
        self._life: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[PinwheelError | bool]] = {}

    async def write(self, batch: Batch) -> bool:
        """Let the helper write a page.

        Returns:
            Whether it did; if not, the page is for the caller to write.

        Raises:
            PinwheelError: The page cannot be stored.
        """
        self._pages += 1
        if self._life is None and self._pages > FEW:
            self._life = asyncio.create_task(self._live(), name="pinwheel-sync-helper")
        content = pack_page(batch) if self._writer else None
        if self._writer is None or content is None:
            return False
        number = next(self._numbers)
        outcome: asyncio.Future[PinwheelError | bool] = asyncio.get_running_loop().create_future()
        self._waiting[number] = outcome
        self._writer.write(frame(number, content))
        del content  # a traceback out of here must not show it
        found: PinwheelError | bool = await outcome
        if isinstance(found, PinwheelError):
            raise found
        return found

    async def close(self) -> None:
        """Let it finish what it was given, and wait for its end."""
        self._closing = True
        if self._writer is not None:
            self._writer.write(frame(GOODBYE))
        if self._life is not None:
            await self._life

    async def _live(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        with ours, theirs:
            try:
                process = await _start(theirs)
            except OSError as error:
                logger.warning(
                    "no process could be started to write: %s", type(error).__name__, extra={"event": "helper_lost"}
                )
                return
            theirs.close()
            await self._talk(ours, process.pid)
            await process.wait()

    async def _talk(self, connection: socket.socket, pid: int) -> None:
        reader, writer = await connect(connection)
        writer.write(frame(0, self._told))
        if self._closing:
            writer.write(frame(GOODBYE))
        else:
            self._writer, self.pid = writer, pid
        try:
            async for number, content in frames(reader):
                outcome = self._waiting.pop(number)
                if not outcome.done():
                    outcome.set_result(unpack_outcome(content))
        finally:
            self._writer = self.pid = None
            if not self._closing:
                logger.warning("the process that writes ended: going on without it", extra={"event": "helper_lost"})
            for outcome in self._waiting.values():
                if not outcome.done():
                    outcome.set_result(False)
            self._waiting.clear()
            writer.close()


async def _start(connection: socket.socket) -> Process:
    """Start the helper.

    Its session is its own, so that Ctrl-C is heard by the run, which lets it finish. It prints nothing, because what
    is said about an error may hold values. It imports from where this process does, and from nowhere else: `-m` alone
    would look into the current folder first.
    """
    path = os.pathsep.join(one or str(Path.cwd()) for one in sys.path)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pinwheel_async.sync._sql_helper_process"),
        stdin=connection.fileno(),
        stdout=DEVNULL,
        stderr=DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
