"""Writer process: another process that writes pages into the database, so that this one has its time for fetching.

It holds an ordinary `SqlSink`, is sent pages through a socket, and answers each with its outcome. Pages that it cannot
read, and those that it leaves undone if it dies, are written by the process that fetched them: storing a page twice
changes nothing.
"""

import asyncio
import logging
import os
import socket
import sys
from asyncio.subprocess import Process
from contextlib import aclosing, suppress
from itertools import count
from pathlib import Path
from subprocess import DEVNULL

from sqlalchemy import URL

from pinwheel_async._clock import time_limit
from pinwheel_async._core.derived import pack
from pinwheel_async.errors import ConfigurationError, PinwheelError
from pinwheel_async.sync._page_formats import PageItems
from pinwheel_async.sync._sink import Batch
from pinwheel_async.sync._sql.database import is_in_memory
from pinwheel_async.sync._sql.writer_protocol import (
    GOODBYE,
    HEARTBEAT,
    connect,
    frame,
    frames,
    pack_page,
    unpack_outcome,
)

PAGES_BEFORE_START = 200
"""Pages that are written before the process is started: it takes a second to start, in which so many are written."""

_SOCKET_BYTES = 4 * 1024 * 1024
"""Bytes that the socket should hold: some pages of half a megabyte, so that no side waits for the other at each."""

SILENCE_S = 15.0
"""Seconds without a word after which the process is taken to hang, as when it was stopped by a signal: it sends a
heartbeat every second, and on a busy machine its event loop may be late by a few."""

_CLOSE_S = 30.0
"""Seconds that the process may take to finish what it was given: the pages of a run that ended are stored by then."""

_END_S = 5.0
"""Seconds that a process may take to end after it was killed; one that waits for a broken disk does not end at all."""

logger = logging.getLogger("pinwheel_async.sync")


def wants_writer_process(place: object, asked: bool | None) -> bool:
    """Whether another process is to write into a place: as it is asked for, or if None, where it can and leaves a core.

    Raises:
        ConfigurationError: It is asked for, and cannot be.
    """
    problems = (
        (os.name != "posix", "works on POSIX systems only"),
        (not isinstance(place, URL), "needs a URL: it cannot use an engine of this process"),
        (isinstance(place, URL) and is_in_memory(place), "needs a file: it cannot see the memory of this process"),
    )
    problem = next((what for is_so, what in problems if is_so), None)
    if asked and problem:
        raise ConfigurationError(f"the writer process {problem}")
    return problem is None and (os.cpu_count() or 1) > 1 if asked is None else asked


class WriterProcess:
    """The writer process, as seen from the process that fetches."""

    def __init__(self, url: str, schema: str | None, prefix: str, *, keep_deleted: bool, patience_s: float) -> None:
        """Describe it; it is started when there is enough to do.

        Args:
            url: The database, with its password.
            schema: As for the sink.
            prefix: As for the sink.
            keep_deleted: As for the sink.
            patience_s: As for the sink.
        """
        self._settings = pack((url, schema, prefix, keep_deleted, patience_s))
        self.pid: int | None = None
        """Of the process, while it can be given pages."""
        self._pages = 0
        self._closing = False
        self._numbers = count()
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._outcomes: dict[int, asyncio.Future[PinwheelError | bool]] = {}
        """Of the pages that are under way, by the number of their frame."""

    async def write(self, batch: Batch[PageItems]) -> bool:
        """Let the other process write a page.

        Returns:
            Whether it did; if not, the page is for the caller to write.

        Raises:
            PinwheelError: The page cannot be stored.
        """
        self._pages += 1
        if self._task is None and self._pages > PAGES_BEFORE_START:
            self._task = asyncio.create_task(self._run(), name="pinwheel-sync-writer-process")
        content = pack_page(batch) if self._writer else None
        if self._writer is None or content is None:
            return False
        number = next(self._numbers)
        waiting: asyncio.Future[PinwheelError | bool] = asyncio.get_running_loop().create_future()
        self._outcomes[number] = waiting
        # Not drained: no more pages are under way than there are workers, and each waits for its outcome.
        self._writer.write(frame(number, content))
        del content  # a traceback out of here must not show it
        outcome: PinwheelError | bool = await waiting
        if isinstance(outcome, PinwheelError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Let it finish what it was given, and wait for its end, but not for ever."""
        self._closing = True
        if self._writer is not None:
            self._writer.write(frame(GOODBYE))
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=_CLOSE_S)
        if late:
            logger.warning(
                "the process that writes does not end, and is killed", extra={"event": "writer_process_hangs"}
            )
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        """Start the process, talk to it, and wait for its end."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        with ours, theirs:
            try:
                process = await _start(theirs)
            except OSError as error:
                logger.warning(
                    "no process could be started to write: %s",
                    type(error).__name__,
                    extra={"event": "writer_process_lost"},
                )
                return
            # With its end open here, too, the socket would not say that the process is gone.
            theirs.close()
            try:
                await self._talk(ours, process.pid)
            except TimeoutError:
                logger.warning("the process that writes hangs, and is killed", extra={"event": "writer_process_hangs"})
                with suppress(ProcessLookupError):
                    process.kill()  # before its pages are written by this process: it may hold a lock
            finally:
                await _end(process)

    async def _talk(self, connection: socket.socket, pid: int) -> None:
        """Send the settings, and hand outcomes to the pages that wait for them, until the process is gone.

        Raises:
            TimeoutError: Nothing comes from the process any more.
        """
        reader, writer = await connect(connection)
        writer.write(frame(0, self._settings))
        if self._closing:
            writer.write(frame(GOODBYE))
        else:
            self._writer, self.pid = writer, pid
        try:
            async with aclosing(frames(reader)) as received:
                while True:
                    try:
                        async with time_limit(SILENCE_S):
                            # Without a default: Python 3.11 and 3.12 may raise SystemError in place of returning it.
                            number, content = await anext(received)
                    except StopAsyncIteration:
                        break
                    if number == HEARTBEAT:
                        continue
                    waiting = self._outcomes.pop(number)
                    if not waiting.done():
                        waiting.set_result(unpack_outcome(content))
        finally:
            # First, so that no page is given to it any more; what it has not answered is written by this process.
            self._writer = self.pid = None
            if not self._closing:
                logger.warning(
                    "the process that writes ended: going on without it", extra={"event": "writer_process_lost"}
                )
            for waiting in self._outcomes.values():
                if not waiting.done():
                    waiting.set_result(False)
            self._outcomes.clear()
            writer.close()


async def _end(process: Process) -> None:
    """See a process end that has no socket any more, or kill it; leave it if that is no help."""
    with suppress(ProcessLookupError):
        if not await _ended(process):
            process.kill()
    if not await _ended(process):
        logger.warning("the process that writes cannot be killed, and is left", extra={"event": "writer_process_left"})


async def _ended(process: Process) -> bool:
    """Wait a little for the end of a process; return whether it came."""
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        return False
    return True


async def _start(connection: socket.socket) -> Process:
    """Start the process.

    Its session is its own, so that Ctrl-C reaches only this process, which lets it finish. It prints nothing, because
    what is said about an error may hold values. It imports from where this process does, and from nowhere else: `-m`
    alone would look into the current folder first.
    """
    path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pinwheel_async.sync._sql.writer_main"),
        stdin=connection.fileno(),
        stdout=DEVNULL,
        stderr=DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
