"""Receiver in Django, asynchronous: run it with `uvicorn django_app:application`."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from pinwheel_async.events import AccountAdded
from pinwheel_async.webhooks import Receiver, Router, SqliteInbox

Message = MutableMapping[str, Any]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "only for this tutorial"),
    DATA_UPLOAD_MAX_MEMORY_SIZE=16 * 1024 * 1024,  # as long as a delivery may be
)

connected: list[str] = []
"""Accounts that were connected; a model in a real program."""

router = Router()


@router.on(AccountAdded)
async def note_account(event: AccountAdded) -> None:
    """Note an account, once."""
    if event.account_id not in connected:
        connected.append(event.account_id)


receiver = Receiver(
    router,
    lambda: [os.environ["PINWHEEL_API_SECRET"]],
    inbox=SqliteInbox(Path(os.environ.get("INBOX_FOLDER", ".")) / "inbox.db"),
)


@csrf_exempt  # the signature says who sends
async def receive(request: HttpRequest) -> HttpResponse:
    """Take a delivery."""
    answer = await receiver.receive(request.headers, request.body)
    return HttpResponse(status=answer.status, headers=dict(answer.headers))


urlpatterns = [path("webhooks/pinwheel", receive)]

django = get_asgi_application()


async def application(
    scope: Message, receive_message: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Run the receiver as long as the server runs: Django itself has no lifespan."""
    if scope["type"] != "lifespan":
        await django(scope, receive_message, send)
        return
    while True:
        message = await receive_message()
        await (receiver.start() if message["type"] == "lifespan.startup" else receiver.stop())
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
