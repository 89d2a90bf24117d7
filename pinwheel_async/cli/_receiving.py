"""The receiver as a server of its own, for as long as a block lasts."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import Inbox, Router, webhook_app


@asynccontextmanager
async def receiving(
    router: Router, *, secret: str, inbox: Inbox, path: str, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str]:
    """Receive webhooks, and give the URL to send them to; at the end running handlers finish.

    Args:
        router: Whose handlers to run.
        secret: What signs the deliveries.
        inbox: Where they are stored.
        path: Where on the server, with a slash at the beginning.
        host: Where to listen.
        port: Where to listen; 0 for a free port.

    Raises:
        ConfigurationError: There is no such path, or nobody can listen there.
        InboxError: The inbox cannot be opened.
    """
    if not path.startswith("/") or not path.strip("/"):
        raise ConfigurationError("the path must begin with a slash, and be more than that")
    app = web.Application()
    app.add_subapp(path, webhook_app(router, secrets=[secret], inbox=inbox))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    try:
        await runner.setup()
        await _listen(runner, host, port)
        bound: int = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}{path.rstrip('/')}"
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {type(error).__name__} {error.errno}") from None
