"""HTTP client for another receiver: deliveries go to it as they came, or signed with its own secret."""

import os
from collections.abc import Callable, Mapping
from time import perf_counter, time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from attrs import frozen

from pinwheel_async._clock import time_limit
from pinwheel_async._core.signature import KeyRing, check_headers, sign
from pinwheel_async._privacy import Discreet, without_locals
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.settings import LOOPBACK_HOSTS
from pinwheel_async.testing import SignedDelivery
from pinwheel_async.testing._webhooks.sender import Sender
from pinwheel_async.webhooks import Delivery
from pinwheel_async.webhooks._body import ByteBudget
from pinwheel_async.webhooks._delivery import DEFAULT_MAX_BODY_BYTES, authenticate, lowered, make_delivery
from pinwheel_async.webhooks._receiver import DEFAULT_MAX_BUFFERED_BYTES, RETRY_AFTER_S

FORWARD_SECRET_VARIABLE = "PINWHEEL_FORWARD_SECRET"  # noqa: S105  # the name of a variable, not a secret
"""Where the secret of another receiver comes from: an argument would show in the list of processes."""

TIMEOUT_S = 10.0
"""Seconds that a receiver has for its answer. Pinwheel gives up after 15, and it is stored after that."""

_READ_TIMEOUT_S = 10.0
"""Seconds until a body must be there, as `webhook_app` has it."""

_OF_ONE_CONNECTION = {
    *("host", "content-length", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
    *("proxy-authenticate", "proxy-authorization", "proxy-connection"),
}
"""Headers that say nothing of the delivery, but of the connection on which it came."""


@frozen(kw_only=True)
class Reply:
    """How a receiver answered."""

    status: int | None
    """None if it gave no answer."""
    ms: int

    @property
    def is_good(self) -> bool:
        """Whether it has taken the delivery."""
        return self.status is not None and 200 <= self.status < 300


class Target(Discreet):
    """Receiver at a URL, for the length of a block."""

    @without_locals
    def __init__(self, url: str, *, secret: str | None = None) -> None:
        check_url(url)
        self._url = url
        self._secret = secret
        self._sender = Sender()

    @property
    def host(self) -> str:
        """Host and port, which may be shown; the path may be a secret."""
        return urlsplit(self._url).netloc.rpartition("@")[2]

    @without_locals
    async def post(self, headers: Mapping[str, str], body: bytes, *, timeout_s: float | None = None) -> Reply:
        """Send a delivery, signed anew if there is a secret, and return how it was answered.

        Args:
            headers: All headers, with lower-case names.
            body: The raw bytes.
            timeout_s: Seconds that the receiver has for its answer; ten if None.
        """
        if self._secret is not None:
            stamp = str(int(time()))
            signature = sign(self._secret, stamp, body)
            headers = {**headers, "x-pinwheel-signature": signature, "x-timestamp": stamp}
        delivery = SignedDelivery(headers=headers, body=body)
        began, status = perf_counter(), None
        try:
            async with time_limit(TIMEOUT_S if timeout_s is None else timeout_s):
                status = await self._sender.post(self._url, delivery)
        except TimeoutError:
            pass
        return Reply(status=status, ms=round((perf_counter() - began) * 1_000))

    async def __aenter__(self) -> Self:
        await self._sender.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sender.__aexit__(kind, error, trace)


@without_locals
def forwarding(target: Target, *, secret: str, on_reply: Callable[[Delivery, Reply], object]) -> Middleware:
    """Return a middleware that forwards what is authentic, and passes on to the receiver what was taken.

    What the target does not take is not stored either: the sender gets its answer, or 503 where there was none, and
    comes again as it would if it had called the target itself.

    Args:
        target: Where to.
        secret: What signs the deliveries that come.
        on_reply: What is told of each.
    """
    ring = KeyRing([secret])
    budget = ByteBudget(DEFAULT_MAX_BUFFERED_BYTES)

    @web.middleware
    @without_locals
    async def forward(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = lowered(request.headers)
        has_signature = check_headers(headers.get("x-pinwheel-signature"), headers.get("x-timestamp")) is None
        if request.method != "POST" or not has_signature:
            return await handler(request)  # the receiver refuses it before a body is read
        size = DEFAULT_MAX_BODY_BYTES if request.content_length is None else request.content_length
        if size > DEFAULT_MAX_BODY_BYTES or not budget.take(size):
            return _come_again()
        try:
            body = await _read(request)
            return _come_again() if body is None else await forward_read(request, handler, body)
        finally:
            budget.give(size)

    @without_locals
    async def forward_read(request: web.Request, handler: Handler, body: bytes) -> web.StreamResponse:
        headers = lowered(request.headers)
        found = authenticate(ring, headers, body, max_age_s=None, max_body_bytes=DEFAULT_MAX_BODY_BYTES)
        if isinstance(found, str) or not found[0].ok:
            return await handler(request)  # the receiver refuses it, and says why
        reply = await target.post(_end_to_end(request.headers), body)
        on_reply(make_delivery(headers, found[1], key=""), reply)
        if reply.status is None:
            return _come_again()
        stored = await handler(request) if reply.is_good else None
        return web.Response(status=reply.status) if stored is None or stored.status == 200 else stored

    return forward


async def _read(request: web.Request) -> bytes | None:
    """Return the body, which the request keeps for the receiver; None if it does not come."""
    try:
        async with time_limit(_READ_TIMEOUT_S):
            return await request.read()
    except Exception:  # noqa: BLE001  # a body that is broken on its way may raise anything
        return None


def _come_again() -> web.Response:
    response = web.Response(status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
    response.force_close()  # the body may not have been read to its end
    return response


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a delivery by their lower-case names; of several with one name the first, as verified."""
    kept = {name.lower(): headers[name] for name in headers}
    return {name: value for name, value in kept.items() if name not in _OF_ONE_CONNECTION}


def forward_secret() -> str | None:
    """Return the secret of another receiver, if the variable `PINWHEEL_FORWARD_SECRET` holds one.

    Raises:
        ConfigurationError: It holds something that cannot be a secret.
    """
    secret = os.environ.get(FORWARD_SECRET_VARIABLE) or None
    if secret is not None and (not (secret.isascii() and secret.isprintable()) or secret != secret.strip()):
        del secret
        raise ConfigurationError(f"{FORWARD_SECRET_VARIABLE} must be printable ASCII without blanks at its ends")
    return secret


def check_url(url: str) -> None:
    """Refuse a URL to which no delivery may go: on its way, plain http shows what people earn.

    Raises:
        ConfigurationError: It is neither https, nor http on this machine.
    """
    if not _is_safe(url):
        raise ConfigurationError("the URL of a receiver must be https, or http on this machine")


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises, if it is none
    except ValueError:
        return False
    if parts.scheme == "http":
        return parts.hostname in LOOPBACK_HOSTS
    return parts.scheme == "https" and bool(parts.hostname)
