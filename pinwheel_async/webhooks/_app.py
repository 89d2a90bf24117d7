"""The receiver as an aiohttp sub-application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiohttp import web

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._inbox import Inbox
from pinwheel_async.webhooks._receiver import OK, RETRY_AFTER_S, Receiver
from pinwheel_async.webhooks._router import Router
from pinwheel_async.webhooks._worker import PATIENT

_log = logging.getLogger("pinwheel_async.webhooks")


def webhook_app(
    router: Router,
    *,
    secrets: Sequence[str] | Mapping[str, str],
    inbox: Inbox | None = None,
    root: web.Application | None = None,
    max_body_bytes: int = 1024 * 1024,
    read_timeout_s: float = 10.0,
    max_age_s: float | None = None,
    version: str | None = None,
    concurrency: int = 16,
    lease_s: float = 15.0,
    retry: RetryPolicy = PATIENT,
    timeout_s: float | None = None,
    drain_s: float = 10.0,
) -> web.Application:
    """Make a sub-application that receives webhooks, to be mounted in any aiohttp server.

    ```python
    app.add_subapp("/webhooks/pinwheel", webhook_app(router, secrets=[api_secret], inbox=SqliteInbox("inbox.db")))
    ```

    It answers `POST` on the prefix, with and without a trailing slash, and `GET` on `<prefix>/health`. Statuses: 200
    stored (or handled, without inbox), 401 not authentic, 405 another method, 408 the body came too slowly, 413 the
    body is too large, 500 a handler failed and there is no inbox, 503 it could not be stored. An access log of the
    server halves its throughput; this library never logs bodies.

    Args:
        router: Whose handlers to run.
        secrets: The API secrets that may have signed: a list, or a mapping from names of your own to secrets.
        inbox: Where deliveries are safe before they are acknowledged. Without one, handlers run before the answer.
        root: What handlers find as `context.app`; the sub-application itself, if not given.
        max_body_bytes: Longest body; what is longer is answered 413. Recorded bodies had up to 7 kB.
        read_timeout_s: Seconds until the body must be there.
        max_age_s: See `Receiver`.
        version: See `Receiver`.
        concurrency: See `Receiver`.
        lease_s: See `Receiver`.
        retry: See `Receiver`.
        timeout_s: See `Receiver`.
        drain_s: Seconds that running handlers get to finish at shutdown; what is left stays in the inbox.

    Raises:
        ConfigurationError: There is no secret, one cannot be a secret, or a number is too small.
    """
    if max_body_bytes < 1 or read_timeout_s <= 0:
        raise ConfigurationError("max_body_bytes and read_timeout_s must be more than 0")
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
        drain_s=drain_s,
        app=app if root is None else root,
    )

    async def receive(request: web.Request) -> web.Response:
        content = request.content
        body: bytes | int
        if content.is_eof() and content.exception() is None:  # all here already: the common case, without a timer
            body = content.read_nowait()
        else:
            body = await _read(request, max_body_bytes, read_timeout_s)
        if isinstance(body, int) or len(body) > max_body_bytes:
            return _refuse(body if isinstance(body, int) else 413)
        answer = await receiver.receive(request.headers, body)
        return web.Response() if answer is OK else web.Response(status=answer.status, headers=answer.headers)

    async def health(_: web.Request) -> web.Response:
        try:
            counts = await receiver.health()
        except InboxError as error:
            _log.error("the inbox cannot store: %s", error)  # no values in it
            return web.json_response(
                {"status": "cannot store"}, status=503, headers={"Retry-After": str(RETRY_AFTER_S)}
            )
        state: dict[str, Any] = {"status": "ok"}
        if counts is not None:
            state |= {"waiting": counts.waiting, "claimed": counts.claimed, "dead": counts.dead}
        return web.json_response(state)

    async def drain(_: web.Application) -> None:
        await receiver.drain()

    async def run(_: web.Application) -> AsyncIterator[None]:
        await receiver.start()
        yield
        await receiver.stop()

    app.router.add_post("", receive)
    app.router.add_post("/", receive)
    app.router.add_get("/health", health)
    # Handlers finish here already: the cleanup of the application around this one comes before our own, and closes
    # what they may still need.
    app.on_shutdown.append(drain)
    app.cleanup_ctx.append(run)
    return app


def _refuse(status: int) -> web.Response:
    """Answer without having read the body; the connection cannot be used again."""
    response = web.Response(status=status)
    response.force_close()
    return response


async def _read(request: web.Request, most: int, timeout_s: float) -> bytes | int:
    """Read the whole body, or return the status to refuse it with."""
    if (request.content_length or 0) > most:
        return 413
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while size <= most and (chunk := await request.content.readany()):
                size += len(chunk)
                chunks.append(chunk)
    except TimeoutError:
        return 408
    except Exception as error:  # noqa: BLE001  # a body that is broken on its way may raise anything
        _log.info("refused a delivery: body %s", type(error).__name__)
        return 400
    return b"".join(chunks) if size <= most else 413
