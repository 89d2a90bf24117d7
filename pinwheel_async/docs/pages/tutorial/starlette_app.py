"""Receiver in Starlette: the same guarantees as in aiohttp, from headers and body."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pinwheel_async.events import AccountAdded
from pinwheel_async.webhooks import Receiver, Router, SqliteInbox

connected: list[str] = []
"""Accounts that were connected; a table in a real program."""

router = Router()


@router.on(AccountAdded)
async def note_account(event: AccountAdded) -> None:
    """Note an account, once."""
    if event.account_id not in connected:
        connected.append(event.account_id)


def make_app(inbox: SqliteInbox) -> Starlette:
    """Make the application; the receiver runs as long as it does."""
    receiver = Receiver(router, [os.environ["PINWHEEL_API_SECRET"]], inbox=inbox)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await receiver.start()
        try:
            yield
        finally:
            await receiver.stop()

    async def receive(request: Request) -> Response:
        """Take a delivery: headers first, so that nobody without a signature makes us read a body."""
        refused = receiver.check_headers(request.headers)
        answer = refused or await receiver.receive(request.headers, await request.body())
        return Response(status_code=answer.status, headers=dict(answer.headers))

    async def health(_: Request) -> Response:
        """Say whether deliveries can be stored and are handled."""
        state = await receiver.health()
        return Response(status_code=503 if state.status == "unavailable" else 200)

    routes = [Route("/webhooks/pinwheel", receive, methods=["POST"]), Route("/health", health)]
    return Starlette(routes=routes, lifespan=lifespan)
