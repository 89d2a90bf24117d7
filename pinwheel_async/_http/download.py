"""Downloads by signed links: to memory, or to a file that appears whole; no secret goes with them, no link is shown.

The host is not the API's, so neither its pace nor its credentials are for these requests. Nothing that aiohttp raises
leaves this file, because its exceptions and frames hold the link.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

import aiohttp
from yarl import URL

from pinwheel_async._clock import Clock
from pinwheel_async._core.reply import api_error
from pinwheel_async._core.retry import Failure, worth_repeating
from pinwheel_async._core.wire import Response, SignedLink
from pinwheel_async._http.send import timeout
from pinwheel_async.errors import ClosedError, DeadlineError, RequestError, TransportError
from pinwheel_async.settings import LOOPBACK_HOSTS, Settings

NAME = "GET (signed link)"
"""How such a request is named in errors."""

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Bound for a file: scans of a form have some megabytes, and the API takes no large uploads."""

_MAX_ERROR_BYTES = 64 * 1024
"""Of an answer that is no success; the storage's error documents have about 1 kB."""

_BUFFER_BYTES = 1 << 20
"""Bytes that are written at once: one change of threads for each megabyte."""


async def download(
    session: aiohttp.ClientSession, link: SignedLink, path: Path | None, *, settings: Settings, clock: Clock
) -> bytes | int:
    """Fetch a file, again if that may help.

    Args:
        session: An open session, of which the connections are used, and neither headers nor cookies.
        link: The signed link.
        path: Where to put it, readable by its owner only; None returns it.
        settings: Deadline and retries.
        clock: The clock.

    Returns:
        The file, or the number of its bytes if it was written to *path*.

    Raises:
        RequestError: The link is not https, nor http to this machine.
        TransportError: No file came back.
        ApiError: The host answered, and not with success; 403 where the link has run out.
        ClosedError: The session was closed.
        OSError: The file cannot be written.
    """
    if not _is_safe(link):
        raise RequestError(["the link of the document must be https, without user and password"])
    target = _Memory() if path is None else _File(path)
    try:
        outcome, attempts = await _fetch_with_retries(session, link, target, settings, clock)
        if outcome is None:
            return await target.finish()
    finally:
        await target.drop()
    if isinstance(outcome, Response):
        raise api_error(NAME, outcome)
    if session.closed:
        raise ClosedError("the client was closed during the download")
    kind = DeadlineError if outcome.timed_out else TransportError
    raise kind(endpoint=NAME, reason=outcome.reason, attempts=attempts, sent=True)


async def _fetch_with_retries(
    session: aiohttp.ClientSession, link: SignedLink, target: "_Memory | _File", settings: Settings, clock: Clock
) -> tuple[Response | Failure | None, int]:
    """Fetch until another attempt makes no sense or has no time; return how it ended (None: well) and the attempts."""
    deadline, attempt = clock.monotonic() + settings.timeout_s, 0
    while True:
        attempt += 1
        outcome = await _attempt(session, link, target, timeout(max(deadline - clock.monotonic(), 0.001)))
        if isinstance(outcome, OSError):
            raise outcome
        wait_s = settings.retry.backoff_s(attempt, clock.random())
        repeat = outcome is not None and worth_repeating(outcome, repeatable=True)
        if not repeat or attempt >= settings.retry.attempts or clock.monotonic() + wait_s >= deadline:
            return outcome, attempt
        await clock.sleep(wait_s)


def _is_safe(link: SignedLink) -> bool:
    try:
        url = URL(link.url, encoded=True)
    except (ValueError, TypeError):
        return False
    is_private = url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK_HOSTS)
    return is_private and bool(url.host) and url.user is None and url.password is None


async def _attempt(
    session: aiohttp.ClientSession, link: SignedLink, target: "_Memory | _File", limits: aiohttp.ClientTimeout
) -> Response | Failure | OSError | None:
    """Fetch once; None if the target has it all. Even a cancellation would carry frames that hold link and content."""
    try:
        return await _fetch(session, link, target, limits)
    except asyncio.CancelledError as error:
        raise error.with_traceback(None) from None
    except _FileError as error:
        return error.cause
    except Exception as error:  # noqa: BLE001  # whatever it is, it knows the link
        return Failure(
            reason=type(error).__name__,
            sent=True,
            timed_out=isinstance(error, TimeoutError),
            lasting=not isinstance(error, (aiohttp.ClientError, OSError)),
        )


async def _fetch(
    session: aiohttp.ClientSession, link: SignedLink, target: "_Memory | _File", limits: aiohttp.ClientTimeout
) -> Response | Failure | None:
    await target.begin()
    # A session of its own, because the headers of a session that a caller gave are for the API only.
    async with (
        aiohttp.ClientSession(
            connector=session.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=session.trust_env,
        ) as bare,
        bare.get(URL(link.url, encoded=True), timeout=limits, allow_redirects=False) as reply,
    ):
        if reply.status != 200:
            body = await reply.content.read(_MAX_ERROR_BYTES)
            headers = {name.lower(): value for name, value in reply.headers.items()}
            return Response(status=reply.status, headers=headers, body=body)
        size = 0
        while block := await reply.content.readany():
            size += len(block)
            if size > MAX_FILE_BYTES:
                return Failure(reason="file too large", sent=True, lasting=True)
            await target.write(block)
    return None


class _Memory:
    """A target in memory. No repr of it or its frames shows the content."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    async def begin(self) -> None:
        self._blocks.clear()

    async def write(self, block: bytes) -> None:
        self._blocks.append(block)

    async def finish(self) -> bytes:
        return b"".join(self._blocks)

    async def drop(self) -> None:
        self._blocks.clear()


class _FileError(Exception):
    """The system refused to write."""

    def __init__(self, cause: OSError) -> None:
        self.cause = cause
        super().__init__()


class _File:
    """A target that bears another name until it is complete and safe on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name[:100]}.{token_hex(8)}.partial")
        self._descriptor: int | None = None
        self._buffer = bytearray()
        self._size = 0

    async def begin(self) -> None:
        await self.drop()
        self._buffer.clear()
        self._size = 0
        await self._run(self._open)

    async def write(self, block: bytes) -> None:
        self._buffer += block
        self._size += len(block)
        if len(self._buffer) >= _BUFFER_BYTES:
            await self._run(self._flush)

    async def finish(self) -> int:
        try:
            await self._run(self._complete)
        except _FileError as error:
            cause = error.cause
        else:
            return self._size
        raise cause

    async def drop(self) -> None:
        """Remove what is not complete."""
        if self._descriptor is not None:
            await self._run(self._remove)

    async def _run(self, work: Callable[[], None]) -> None:
        """Work in a thread, which is over before anything else happens to the file, even if this is cancelled."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
        except OSError as error:
            cause = error.with_traceback(None)
        else:
            return
        raise _FileError(cause)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        self._descriptor = os.open(self._partial, flags, 0o600)

    def _flush(self) -> None:
        if self._descriptor is not None:
            with memoryview(self._buffer) as rest:
                written = 0
                while written < len(rest):
                    written += os.write(self._descriptor, rest[written:])
            self._buffer.clear()

    def _complete(self) -> None:
        self._flush()
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            try:
                self._partial.replace(self._path)
            except OSError:
                self._partial.unlink(missing_ok=True)
                raise

    def _remove(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._partial.unlink(missing_ok=True)
