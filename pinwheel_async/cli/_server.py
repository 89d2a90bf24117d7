"""Server that runs an application, or a webhook receiver, for the length of a block."""

import os
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web
from aiohttp.typedefs import Middleware

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import Inbox, Readiness, Router, webhook_app
from pinwheel_async.webhooks._delivery import DEFAULT_MAX_BODY_BYTES
from pinwheel_async.webhooks._inspector.inspector import one_time_app


@asynccontextmanager
async def receiving(
    router: Router,
    *,
    secret: str,
    inbox: Inbox,
    path: str,
    host: str = "127.0.0.1",
    port: int = 0,
    middlewares: Sequence[Middleware] = (),
) -> AsyncGenerator[str]:
    """Receive webhooks, and give the URL to send them to; at the end running handlers finish.

    Args:
        router: Whose handlers to run.
        secret: What signs the deliveries.
        inbox: Where they are stored.
        path: Where on the server, with a slash at the beginning.
        host: Where to listen.
        port: Where to listen; 0 for a free port.
        middlewares: What requests go through before they reach the receiver.

    Raises:
        ConfigurationError: The path has no name in it, or the address cannot be listened on.
        InboxError: The inbox cannot be opened.
    """
    if not path.startswith("/") or not path.strip("/"):
        raise ConfigurationError("the path must begin with a slash, and be more than that")
    # By itself aiohttp lets middlewares read bodies of 1 MiB.
    app = web.Application(middlewares=middlewares, client_max_size=DEFAULT_MAX_BODY_BYTES + 1)
    app.add_subapp(path, webhook_app(router, secrets=[secret], inbox=inbox))
    async with serving(app, host=host, port=port) as url:
        yield f"{url}{path.rstrip('/')}"


@asynccontextmanager
async def serving(app: web.Application, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Serve an application with a webhook receiver in it, and give its URL, without a slash at the end.

    Args:
        app: The application.
        host: Where to listen.
        port: Where to listen; 0 for a free port.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """
    # One second is enough for requests to end: they only store a delivery, or stream until they are cancelled. Handlers
    # run outside of requests, and `webhook_app` gives them its own time to finish.
    # Bodies are verified as they come, so the server does not inflate them. The W3C lets tracing headers have 8,192
    # bytes, two more than aiohttp takes by itself.
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=1, auto_decompress=False, max_field_size=16_384, max_line_size=16_384
    )
    try:
        await runner.setup()
        with listening(host, port):
            await web.TCPSite(runner, host, port).start()
        bound: int = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def inspecting(inbox: Inbox, readiness: Readiness, *, port: int = 0) -> AsyncGenerator[str]:
    """Serve the inspector of an open inbox to this machine, and give a URL that logs in once.

    It has a port of its own: that of a receiver is often forwarded to the internet.

    Args:
        inbox: What is shown.
        readiness: What was noted of its accounts.
        port: Where to listen; 0 for a free port.

    Raises:
        ConfigurationError: The port cannot be listened on.
    """
    app = web.Application()
    inspector, ticket = one_time_app(inbox, readiness)
    app.add_subapp("/inspector", inspector)
    async with serving(app, port=port) as url:
        yield f"{url}/inspector/login?ticket={ticket}"


@contextmanager
def listening(host: str, port: int) -> Generator[None]:
    """Tell in one line why an address cannot be listened on.

    Raises:
        ConfigurationError: It cannot.
    """
    try:
        yield
    except OSError as error:
        # The error's own text repeats the address; only where a name is not found it has no errno of the system.
        code = error.errno or 0
        why = os.strerror(code) if code > 0 else error.strerror or type(error).__name__
        raise ConfigurationError(f"cannot listen on {host}:{port}: {why}") from None
