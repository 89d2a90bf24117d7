"""One request and its reply through aiohttp.

Nothing that aiohttp raises leaves this file, because its exceptions and frames hold URLs and headers.
"""

import asyncio
import errno
import re
import socket
import ssl
from functools import partial
from math import inf
from typing import Any

import aiohttp

from pinwheel_async._core.retry import Failure
from pinwheel_async._core.wire import Request, Response, ResponseHeaders
from pinwheel_async._http.prepare import PreparedRequest

CONNECT_TIMEOUT_S = 10.0
"""Seconds for DNS, TCP and TLS, which are a few round trips: a connection that is not there by then is tried again
while the deadline leaves time for it, and an attempt with it says for certain that nothing was sent."""

# What aiohttp raises before a request can have left: ConnectionTimeoutError covers DNS, TCP, TLS and waiting for a slot
# in the caller's own pool. A proxy that refuses has not passed on anything.
_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)

# After a lost connection aiohttp sends these once more by itself, and then neither its exception nor the reply tells
# that there was a first one: a DELETE would find that missing which it had deleted itself. (Also GET, where that does
# no harm and saves a wait.)
_REPEATED_BY_AIOHTTP = frozenset({"PUT", "DELETE"})


_OPENSSL_TEXT = re.compile(r"[A-Za-z ()/-]{1,80}", re.ASCII)
_OPENSSL_REASON = re.compile(r"[A-Z0-9_]{1,80}", re.ASCII)
_ADDRESS_ERRORS = {value: name for name, value in vars(socket).items() if name.startswith("EAI_")}


class _NotRepeated(Exception):  # noqa: N818  # it carries an error, and never leaves this file
    """A lost connection, as an exception that aiohttp does not answer by repeating."""

    def __init__(self, error: Exception) -> None:
        self.error = error


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Middleware that keeps aiohttp from repeating a request."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _NotRepeated(error) from None


async def _without_the_session(
    session: aiohttp.ClientSession,
    prepared: PreparedRequest,
    request: aiohttp.ClientRequest,
    handler: aiohttp.ClientHandlerType,
) -> aiohttp.ClientResponse:
    """Middleware that takes off what the session added: its headers, its cookies and its login.

    Where it stands there is no middleware of the session, which could add them again.
    """
    for name in {*session.headers, "Authorization", "Cookie"}:
        if name not in prepared.headers:
            request.headers.popall(name, None)
    request.headers["Host"] = request.url.host_port_subcomponent or ""
    return await handler(request)


def timeout(total_s: float) -> aiohttp.ClientTimeout:
    """Return limits for one request, in seconds."""
    # A connect timeout below the total one tells what was never sent from what may have been. The threshold keeps
    # aiohttp from rounding up to whole seconds.
    return aiohttp.ClientTimeout(total=total_s, connect=min(CONNECT_TIMEOUT_S, total_s / 2), ceil_threshold=inf)


async def send(
    session: aiohttp.ClientSession,
    request: Request,
    prepared: PreparedRequest,
    limits: aiohttp.ClientTimeout,
    max_bytes: int,
) -> Response | Failure:
    """Send, and let nothing out that aiohttp raises; even a cancellation would carry frames that hold headers."""
    try:
        return await _request(session, request, prepared, limits, max_bytes)
    except asyncio.CancelledError as error:
        raise error.with_traceback(None) from None
    except _NotRepeated as lost:
        return _failure(lost.error)
    except Exception as error:  # noqa: BLE001  # whatever it is, it knows the URL
        return _failure(error)


def _failure(error: Exception) -> Failure:
    cause = _cause(error)
    detail = _detail(cause)
    name = type(error).__name__
    return Failure(
        reason=f"{name} ({detail})" if detail else name,
        sent=not isinstance(error, _UNSENT),
        timed_out=isinstance(error, TimeoutError),
        lasting=not isinstance(error, (aiohttp.ClientError, OSError)) or _is_refusal(cause),
    )


def _cause(error: BaseException) -> BaseException:
    """Return what the system or OpenSSL raised, of which aiohttp made *error*."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error
    return error.__cause__ or error


def _detail(cause: BaseException) -> str | None:
    """Return what is known of a failure and names neither host nor value: a code, or a text of OpenSSL's own."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = cause.verify_message.partition(",")[0]  # behind the comma stands the host
        code = f"code {cause.verify_code}"
        return f"{text}, {code}" if _OPENSSL_TEXT.fullmatch(text) else code
    if isinstance(cause, ssl.SSLError):
        return cause.reason if _OPENSSL_REASON.fullmatch(cause.reason or "") else None
    if isinstance(cause, socket.gaierror):
        return _ADDRESS_ERRORS.get(cause.errno or 0)
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"{cause.status}"
    return errno.errorcode.get(cause.errno or 0) if isinstance(cause, OSError) else None


def _is_refusal(cause: BaseException) -> bool:
    """Whether another attempt would be refused, too: a certificate that one side rejects, a proxy without a login."""
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return 400 <= cause.status < 500
    reason = (cause.reason or "") if isinstance(cause, ssl.SSLError) else ""
    return "CERTIFICATE" in reason or "UNKNOWN_CA" in reason


async def _request(
    session: aiohttp.ClientSession,
    request: Request,
    prepared: PreparedRequest,
    limits: aiohttp.ClientTimeout,
    max_bytes: int,
) -> Response | Failure:
    more: dict[str, Any] = {}
    if prepared.is_foreign:
        more = {"middlewares": (_once, partial(_without_the_session, session, prepared))}
    elif request.method in _REPEATED_BY_AIOHTTP:
        # Middlewares of a request replace those of its session, so a session of the caller's own gives its own to it.
        more = {"middlewares": (_once, *getattr(session, "_middlewares", ()))}
    reply = await session.request(
        request.method,
        prepared.url,
        data=request.body,
        headers=prepared.headers,
        timeout=limits,
        allow_redirects=False,
        raise_for_status=False,
        **more,
    )
    try:
        body = await _read(reply, max_bytes)
    except BaseException:
        # With an unread rest the connection cannot be reused; the garbage collector would close it late, and warn.
        reply.close()
        raise
    if body is None:
        reply.close()
        return Failure(reason="reply too large", sent=True, lasting=True)
    return Response(status=reply.status, headers=ResponseHeaders(reply.headers), body=body)


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
