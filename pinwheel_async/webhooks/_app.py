"""aiohttp sub-application: mounts the receiver in a server."""

import asyncio
import hmac
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

from pinwheel_async._core.arguments import wrong
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._privacy import clear_frames, without_locals
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks._arguments import check_more_than_0
from pinwheel_async.webhooks._body import read_body, read_cached
from pinwheel_async.webhooks._ctrl_c import is_ctrl_c
from pinwheel_async.webhooks._delivery import DEFAULT_MAX_BODY_BYTES
from pinwheel_async.webhooks._hooks import StoredDelivery
from pinwheel_async.webhooks._inbox.base import Inbox
from pinwheel_async.webhooks._metrics import Telemetry, prometheus_text
from pinwheel_async.webhooks._receiver import (
    DEFAULT_MAX_BUFFERED_BYTES,
    OK,
    RETRY_AFTER_S,
    Answer,
    Receiver,
)
from pinwheel_async.webhooks._refusals import RefusalReason
from pinwheel_async.webhooks._router import Router
from pinwheel_async.webhooks._secrets import GivenSecrets, SecretFunction
from pinwheel_async.webhooks._worker.worker import DEFAULT_RETRY

if TYPE_CHECKING:
    from pinwheel_async.webhooks._inspector.inspector import Inspector

_log = logging.getLogger("pinwheel_async.webhooks")

HealthAuth: TypeAlias = str | Callable[[web.Request], bool | Awaitable[bool]]
"""A token, or a function that tells whether a request may see the details of the health."""


@without_locals
def webhook_app(
    router: Router,
    *,
    secrets: GivenSecrets | SecretFunction,
    inbox: Inbox | None = None,
    root: web.Application | None = None,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    max_buffered_bytes: int = DEFAULT_MAX_BUFFERED_BYTES,
    read_timeout_s: float = 10.0,
    max_age_s: float | None = None,
    version: str | None = None,
    concurrency: int = 16,
    lease_s: float = 15.0,
    retry: RetryPolicy = DEFAULT_RETRY,
    timeout_s: float | None = None,
    shutdown_timeout_s: float = 10.0,
    hold_stuck: bool = False,
    log_exceptions: bool = False,
    work: bool = True,
    health_auth: HealthAuth | None = None,
    on_refused: Callable[[RefusalReason, int], object] | None = None,
    on_stored: Callable[[StoredDelivery], object] | None = None,
    telemetry: Telemetry | None = None,
    inspector: "Inspector | None" = None,
) -> web.Application:
    """Make a sub-application that receives webhooks, to be mounted in any aiohttp server.

    ```python
    app.add_subapp("/webhooks/pinwheel", webhook_app(router, secrets=[api_secret], inbox=SqliteInbox("inbox.db")))
    ```

    It answers `POST` on the prefix, with and without a trailing slash. Statuses: 200 stored (or handled, without
    inbox), 401 not authentic, 405 another method, 500 a handler failed and there is no inbox, 503 for everything that
    may be authentic and could not be read or stored, as the sender repeats after a 503. Headers are looked at before
    the body is read. An access log of the server halves its throughput; this library never logs bodies.

    `GET` on `<prefix>/health/live` is answered 200 as long as the process answers, on `<prefix>/health/ready` 200 if
    deliveries can be stored and are handled, else 503; on `<prefix>/health` the same as on `ready`, with the state in a
    word and, for those whom *health_auth* lets, all of `Health`. They also get `<prefix>/health/metrics`, the metrics
    in the text format of Prometheus; it answers others 403.

    Args:
        router: Router with the handlers to run.
        secrets: The API secrets that may have signed, or a function that returns them: see `Receiver`.
        inbox: Where deliveries are safe before they are acknowledged. Without one, handlers run before the answer.
        root: What handlers find as `context.app`; the sub-application itself, if not given.
        max_body_bytes: See `Receiver`. Recorded bodies had up to 7 kB.
        max_buffered_bytes: See `Receiver`.
        read_timeout_s: Seconds until the body must be there.
        max_age_s: See `Receiver`.
        version: See `Receiver`.
        concurrency: See `Receiver`.
        lease_s: See `Receiver`.
        retry: See `Receiver`.
        timeout_s: See `Receiver`.
        shutdown_timeout_s: Seconds that running handlers get to finish at shutdown; the rest stays in the inbox.
        hold_stuck: See `Receiver`.
        log_exceptions: See `Receiver`.
        work: See `Receiver`.
        health_auth: Who may see more than a word of the health: a token of at least 16 characters, sent as
            `Authorization: Bearer ...`, or a function of the request, which may be asynchronous. Nobody, if not given.
        on_refused: See `Receiver`.
        on_stored: See `Receiver`.
        telemetry: See `Receiver`.
        inspector: Pages at `<prefix>/inspector/` that show what is stored to those whom the `Inspector` lets. None, if
            not given.

    Raises:
        ConfigurationError: There is no secret, one cannot be a secret, the token is too short, a number does not fit,
            there is an inspector and no inbox, or an argument is of another kind.
    """
    check_more_than_0(read_timeout_s=read_timeout_s)
    given_root: Any = root
    if not isinstance(given_root, web.Application | None):
        raise ConfigurationError(wrong("root", "a web.Application", given_root))
    pages = None if inspector is None else _pages(inspector, inbox)
    app = web.Application()
    receiver = Receiver(
        router,
        secrets,
        inbox=inbox,
        max_age_s=max_age_s,
        version=version,
        concurrency=concurrency,
        lease_s=lease_s,
        retry=retry,
        timeout_s=timeout_s,
        shutdown_timeout_s=shutdown_timeout_s,
        hold_stuck=hold_stuck,
        log_exceptions=log_exceptions,
        work=work,
        app=app if root is None else root,
        max_body_bytes=max_body_bytes,
        max_buffered_bytes=max_buffered_bytes,
        on_refused=on_refused,
        on_stored=on_stored,
        telemetry=telemetry,
    )

    async def drain(_: web.Application) -> None:
        await receiver.drain()

    async def run(_: web.Application) -> AsyncIterator[None]:
        await receiver.start()
        yield
        await receiver.stop()

    handlers = _RequestHandlers(receiver, max_body_bytes, read_timeout_s, _make_guard(health_auth))
    app.router.add_post("", handlers.receive)
    app.router.add_post("/", handlers.receive)
    app.router.add_get("/health", handlers.health)
    app.router.add_get("/health/live", handlers.live)
    app.router.add_get("/health/ready", handlers.ready)
    app.router.add_get("/health/metrics", handlers.metrics)
    if pages is not None:
        app.add_subapp("/inspector", pages)
    # Handlers must finish at shutdown: the application around this one cleans up before this one does, and closes what
    # they may still need.
    app.on_shutdown.append(drain)
    app.cleanup_ctx.append(run)
    return app


def _pages(inspector: object, inbox: Inbox | None) -> web.Application:
    """Return the application of an inspector.

    Raises:
        ConfigurationError: It is none, or there is no inbox.
    """
    from pinwheel_async.webhooks._inspector.inspector import Inspector  # noqa: PLC0415  # 25 ms for those who have none

    if not isinstance(inspector, Inspector):
        raise ConfigurationError(wrong("inspector", "an Inspector, such as Inspector(auth=token)", inspector))
    if inbox is None:
        raise ConfigurationError("an inspector shows what an inbox holds: give webhook_app an inbox, too")
    return inspector.app(inbox)


class _RequestHandlers:
    """Handlers of the HTTP requests."""

    def __init__(
        self,
        receiver: Receiver,
        max_body_bytes: int,
        read_timeout_s: float,
        is_allowed: Callable[[web.Request], Awaitable[bool]],
    ) -> None:
        self._receiver = receiver
        self._max_body_bytes = max_body_bytes
        self._read_timeout_s = read_timeout_s
        self._is_allowed = is_allowed

    async def receive(self, request: web.Request) -> web.Response:
        """Take one delivery."""
        content, receiver, waited_s = request.content, self._receiver, 0.0
        body: bytes | RefusalReason
        if content.is_eof() and content.exception() is None:  # all is here, as it mostly is: no timer is needed
            body = content.read_nowait()
        else:
            refused = receiver.check_headers(request.headers)
            if refused is not None:
                return _respond(refused, close=True)
            loop = asyncio.get_running_loop()
            arrived_at = loop.time()
            body = await read_body(request, self._max_body_bytes, self._read_timeout_s, receiver.buffered)
            waited_s = loop.time() - arrived_at
        if isinstance(body, bytes) and len(body) != content.total_bytes:
            body = await read_cached(request)
        if isinstance(body, str):
            return _respond(receiver.refuse(body), close=True)
        try:
            answer = await receiver.take(request.headers, body, waited_s)
        except BaseException as error:
            body = b""  # as whoever is told of the error may show its frames
            clear_frames(error)
            raise
        return web.Response() if answer is OK else _respond(answer)

    async def live(self, _: web.Request) -> web.Response:
        """Say that the process and its event loop answer."""
        return web.json_response({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """Say whether deliveries can be stored, and are handled."""
        return _describe((await self._receiver.health()).status, {})

    async def health(self, request: web.Request) -> web.Response:
        """Say the same, and more to those who may know it."""
        health = await self._receiver.health()
        return _describe(health.status, health.to_dict() if await self._is_allowed(request) else {})

    async def metrics(self, request: web.Request) -> web.Response:
        """Give the metrics to those who may know them."""
        if not await self._is_allowed(request):
            return web.Response(status=403)
        text = prometheus_text(self._receiver.metrics(await self._receiver.health()))
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _respond(answer: Answer, *, close: bool = False) -> web.Response:
    """Answer; where the body was not read to its end, the connection cannot be used again."""
    response = web.Response(status=answer.status, headers=answer.headers)
    if close:
        response.force_close()
    return response


def _describe(status: str, details: dict[str, object]) -> web.Response:
    if status != "unavailable":
        return web.json_response({"status": status, **details})
    return web.json_response({"status": status, **details}, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})


def _make_guard(health_auth: HealthAuth | None) -> Callable[[web.Request], Awaitable[bool]]:
    """Return what tells whether a request may see the details of the health."""
    if health_auth is not None and not isinstance(health_auth, str) and not callable(health_auth):
        raise ConfigurationError(wrong("health_auth", "a token, or a function of the request", health_auth))
    if isinstance(health_auth, str) and (len(health_auth) < 16 or not health_auth.isascii()):
        del health_auth
        raise ConfigurationError("health_auth must be a token of at least 16 ASCII characters, or a function")
    expected = f"Bearer {health_auth}".encode() if isinstance(health_auth, str) else b""

    @without_locals
    async def is_allowed(request: web.Request) -> bool:
        if isinstance(health_auth, str):
            given = request.headers.get("Authorization", "").encode("utf-8", "replace")
            return hmac.compare_digest(given, expected)
        if health_auth is None:
            return False
        try:
            allowed = health_auth(request)
            return bool(await allowed if inspect.isawaitable(allowed) else allowed)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # whatever it raises, the rest of the health is for everybody
            if is_ctrl_c(error):
                raise
            _log.error("health_auth failed: %s", type(error).__name__)
            return False

    return is_allowed
