"""One request and its reply: the only place where they meet aiohttp.

Nothing that aiohttp raises leaves this file, because its exceptions and frames hold URLs and headers.
"""

import asyncio
from math import inf

import aiohttp

from pinwheel_async._core.retry import Failure
from pinwheel_async._core.wire import Request, Response
from pinwheel_async._hop import Hop

CONNECT_TIMEOUT_S = 10.0

# What aiohttp raises before a request can have left: ConnectionTimeoutError covers DNS, TCP, TLS and waiting for a slot
# in the caller's own pool.
_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)

# After a lost connection aiohttp sends these once more by itself, so its last exception does not tell whether the first
# one arrived. (Also GET, where it does not matter.)
_REPEATED_BY_AIOHTTP = frozenset({"PUT", "DELETE"})


def timeout(total_s: float) -> aiohttp.ClientTimeout:
    """Return limits for one fetch, in seconds."""
    # A connect timeout below the total one tells what was never sent from what may have been. The threshold keeps
    # aiohttp from rounding up to whole seconds.
    return aiohttp.ClientTimeout(total=total_s, connect=min(CONNECT_TIMEOUT_S, total_s / 2), ceil_threshold=inf)


async def fetch(
    session: aiohttp.ClientSession, request: Request, hop: Hop, limits: aiohttp.ClientTimeout, max_bytes: int
) -> Response | Failure:
    """Fetch, and let nothing out that aiohttp raises; even a cancellation would carry frames that hold headers."""
    try:
        return await _exchange(session, request, hop, limits, max_bytes)
    except asyncio.CancelledError as error:
        raise error.with_traceback(None) from None
    except Exception as error:  # noqa: BLE001  # whatever it is, it knows the URL
        return Failure(
            reason=type(error).__name__,
            sent=not isinstance(error, _UNSENT) or request.method in _REPEATED_BY_AIOHTTP,
            timed_out=isinstance(error, TimeoutError),
            lasting=not isinstance(error, (aiohttp.ClientError, OSError)),
        )


async def _exchange(
    session: aiohttp.ClientSession, request: Request, hop: Hop, limits: aiohttp.ClientTimeout, max_bytes: int
) -> Response | Failure:
    reply = await session.request(
        request.method,
        hop.url,
        data=request.body,
        headers=hop.headers,
        timeout=limits,
        allow_redirects=False,
        raise_for_status=False,
    )
    try:
        body = await _read(reply, max_bytes)
    except BaseException:
        reply.close()
        raise
    if body is None:
        reply.close()
        return Failure(reason="reply too large", sent=True, lasting=True)
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return Response(status=reply.status, headers=headers, body=body)


async def _read(reply: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """Read the body; None if it is larger than *max_bytes*."""
    blocks: list[bytes] = []
    size = 0
    while block := await reply.content.readany():
        size += len(block)
        if size > max_bytes:
            return None
        blocks.append(block)
    return b"".join(blocks)
