"""Reading of request bodies: within a time, a size and a budget, and never a part for the whole."""

import asyncio
import logging

from aiohttp import StreamReader, web

from pinwheel_async._clock import time_limit
from pinwheel_async.webhooks._refusals import RefusalReason

_log = logging.getLogger("pinwheel_async.webhooks")

CATCH_UP_TURNS = 3
"""Turns of the event loop in which nothing of a late body may come before it is given up: one for the socket, one for
TLS, one to spare."""

CATCH_UP_S = 1.0
"""Most seconds for what lies in the socket already, so that nobody stretches the time limit byte by byte."""


class ByteBudget:
    """Bytes that may be in memory at once."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, count: int) -> bool:
        """Take so many, and return True; return False if there are not so many left."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def give(self, count: int) -> None:
        """Give so many back."""
        self._left += count


async def read_cached(request: web.Request) -> bytes | RefusalReason:
    """Return the body of which a middleware around this application has read something.

    Never a part of it, which would look as if it were not authentic.
    """
    body = await request.read()  # what it has read before; nothing is left to be read now
    return body if len(body) == request.content.total_bytes else "body_consumed"


async def read_body(
    request: web.Request, max_bytes: int, timeout_s: float, budget: ByteBudget
) -> bytes | RefusalReason:
    """Read what is left of the body, or return why not."""
    if (request.content_length or 0) > max_bytes:
        return "body_too_large"
    reader = _Reader(request.content, max_bytes, budget)
    try:
        try:
            async with time_limit(timeout_s):
                await reader.read()
        except TimeoutError:
            await reader.catch_up()
        return reader.refusal or b"".join(reader.chunks)
    except Exception as error:  # noqa: BLE001  # a body that is broken on its way may raise anything
        _log.info("a body broke off: %s", type(error).__name__)
        return "body_broken"
    finally:
        reader.close()


class _Reader:
    """Reads one body, bounded in size, and in what it shares with all others."""

    def __init__(self, content: StreamReader, max_bytes: int, budget: ByteBudget) -> None:
        self.chunks: list[bytes] = []
        self.refusal: RefusalReason | None = None
        self._content = content
        self._max_bytes = max_bytes
        self._budget = budget
        self._size = 0

    async def read(self) -> None:
        """Read until the end, or until there is a reason to refuse."""
        while self.refusal is None and (chunk := await self._content.readany()):
            self._add(chunk)

    async def catch_up(self) -> None:
        """Read what lies ready after the time is over: it may be late only because this event loop was blocked."""
        loop = asyncio.get_running_loop()
        deadline, idle_turns = loop.time() + CATCH_UP_S, 0
        while self.refusal is None and not self._content.at_eof():
            chunk = self._content.read_nowait()
            self._add(chunk)
            idle_turns = 0 if chunk else idle_turns + 1
            if idle_turns > CATCH_UP_TURNS or loop.time() > deadline:
                self.refusal = "body_late"
            await asyncio.sleep(0)

    def close(self) -> None:
        """Give back what was taken of the budget: the receiver takes it again, before anything else can."""
        self._budget.give(self._size)
        self._size = 0

    def _add(self, chunk: bytes) -> None:
        if self._size + len(chunk) > self._max_bytes:
            self.refusal = "body_too_large"
        elif not self._budget.take(len(chunk)):
            self.refusal = "overloaded"
        else:
            self._size += len(chunk)
            self.chunks.append(chunk)
