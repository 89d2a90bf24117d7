"""Command `pinwheel-async listen`: a webhook receiver that prints a line for each event."""

import asyncio
import logging
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from json import dumps
from socket import gethostname
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from aiohttp.typedefs import Middleware
from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async.cli._forward import (
    FORWARD_SECRET_VARIABLE,
    Reply,
    Target,
    check_url,
    forward_secret,
    forwarding,
)
from pinwheel_async.cli._options import Connection, InboxPlace, Json
from pinwheel_async.cli._server import inspecting, receiving
from pinwheel_async.cli._signals import on_sigterm
from pinwheel_async.errors import ConfigurationError, NotFoundError, PinwheelError
from pinwheel_async.events import EVENTS, Event
from pinwheel_async.models.job import JobOutcome, SyncStatus
from pinwheel_async.settings import find_secret
from pinwheel_async.webhooks import Context, Delivery, Readiness, Router, Subscriptions

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))]


async def listen(
    *,
    host: str = "127.0.0.1",
    port: Port = 8080,
    path: str = "/webhooks/pinwheel",
    inbox: str = "listen.db",
    inbox_schema: str | None = None,
    inspect: Annotated[bool, Parameter(show_default=False)] = False,
    forward_to: str | None = None,
    apply: Annotated[bool, Parameter(show_default=False)] = False,
    public_url: str | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> None:
    """Receive webhooks and print a line for each: ids, names and counts, no payroll data.

    With --forward-to they go on to another receiver; with --apply the API sends them for as long as it runs.

    SIGINT (ctrl-C) and SIGTERM let what is being handled finish; what is left waits in the inbox. After SIGINT the exit
    code is 130, after SIGTERM 0.

    Parameters
    ----------
    host:
        Where to listen; this machine only, unless told otherwise.
    port:
        Where to listen; 0 for a free port.
    path:
        Path of the URL to send to; its health is below it, at /health.
    inbox:
        SQLite file that keeps deliveries, or URL of PostgreSQL; it is made if there is none. It cannot be that of
        another receiver, whose deliveries would be taken away from its handlers.
    inbox_schema:
        Schema of PostgreSQL where the tables of the inbox are.
    inspect:
        Serve the inspector, too, to this machine only and on a port of its own; the URL that is printed logs in once.
    forward_to:
        Receiver that gets what is authentic, too: https, or http on this machine. It gets a delivery as it came, or
        signed anew if the variable PINWHEEL_FORWARD_SECRET holds its secret; the sender gets its answer, and a 503 if
        it gives none. What it takes is kept here.
    apply:
        Let the API send all events to the public URL until the command ends.
    public_url:
        Where a tunnel or a proxy takes requests for this receiver: https; the path is added if it has none.
    """
    secret = find_secret(None)
    resign_with = forward_secret()
    if apply != (public_url is not None):
        raise ConfigurationError("--apply and --public-url go together")
    if forward_to is not None:
        check_url(forward_to)
    logging.basicConfig(format="pinwheel-async: %(message)s", stream=sys.stderr)
    logging.getLogger("pinwheel_async.webhooks").setLevel(logging.INFO)
    stop = on_sigterm()
    printed = _Printed(stop, json=json)
    router = printed.router()
    store = InboxPlace(inbox=inbox, inbox_schema=inbox_schema).make(consumer="listen", create=True)
    readiness = Readiness(store)
    if inspect:
        router.include(readiness.router)
    async with AsyncExitStack() as running:
        middlewares: list[Middleware] = []
        if forward_to is not None:
            target = await running.enter_async_context(Target(forward_to, secret=resign_with))
            middlewares.append(forwarding(target, secret=secret, on_reply=printed.show_reply))
            how = "as they came" if resign_with is None else f"signed with {FORWARD_SECRET_VARIABLE}"
            _say(f"forwarding deliveries to {target.host}, {how}")
        receiver = receiving(
            router, secret=secret, inbox=store, path=path, host=host, port=port, middlewares=middlewares
        )
        url = await running.enter_async_context(receiver)
        _say(f"listening at {url}, health at {url}/health")
        if inspect:
            inspector_url = await running.enter_async_context(inspecting(store, readiness))
            _say(f"inspector, once, at {inspector_url}")
        if public_url is not None:
            await running.enter_async_context(_subscribed(router, connection, public=public_url, local=url))
        await stop.wait()


def _say(text: str) -> None:
    print(f"pinwheel-async: {text}", file=sys.stderr, flush=True)


@asynccontextmanager
async def _subscribed(
    router: Router, connection: Connection | None, *, public: str, local: str
) -> AsyncGenerator[None]:
    """Let the API send every event to the public URL, for the length of the block."""
    path, port = urlsplit(local).path, urlsplit(local).port
    url = public if urlsplit(public).path.strip("/") else public.rstrip("/") + path
    # The same each time, so that the next one of this machine and port clears up after one that was killed.
    name = f"listen-{re.sub('[^A-Za-z0-9-]', '-', gethostname())[:48]}-{port}"
    async with (connection or Connection()).open() as pinwheel:
        report = await Subscriptions(pinwheel, router, url=url, name=name).apply()
        _say(f"subscribed as webhook {report.webhook_id}")
        try:
            yield
        finally:
            try:
                with suppress(NotFoundError):  # somebody else has deleted it
                    await pinwheel.webhooks.delete(report.webhook_id)
            except PinwheelError as error:
                raise PinwheelError(f"webhook {report.webhook_id} is still subscribed: {error}") from None
            _say(f"webhook {report.webhook_id} is deleted")


class _Printed:
    """Lines on stdout, one for each event that is handled, and for each answer of a target."""

    def __init__(self, stop: asyncio.Event, *, json: bool) -> None:
        self._stop = stop
        self._json = json

    def router(self) -> Router:
        """Return a router with a handler of every event."""
        router = Router()

        @router.on(Event)
        async def show(event: Event, context: Context) -> None:
            self._print(facts(event, context))

        return router

    def show_reply(self, delivery: Delivery, reply: Reply) -> None:
        """Print how a target has answered a delivery."""
        head = {
            "time": delivery.received_at.isoformat(timespec="seconds"),
            "event": _event(delivery.event),
            "event_id": _plain(delivery.event_id),
        }
        status = reply.status if self._json else reply.status or "no-answer"
        with suppress(BrokenPipeError):  # the target has the delivery, so it is stored here, too
            self._print({**head, "forwarded": status, "ms": reply.ms})

    def _print(self, shown: dict[str, Any]) -> None:
        try:
            print(dumps(shown) if self._json else _line(shown), flush=True)
        except BrokenPipeError:  # the reader has closed the pipe: stop, and leave the event in the inbox
            self._stop.set()
            raise


def _line(shown: dict[str, Any]) -> str:
    """Return what may be shown as one line: time, event and id first, then names and values."""
    head = [str(shown.pop(name)) for name in ("time", "event", "event_id")]
    return " ".join([*head, *(f"{name}={value}" for name, value in shown.items() if value is not None)])


def facts(event: Event, context: Context) -> dict[str, Any]:
    """Return what may be shown of an event: ids, counts and known words, but no free text."""
    params: Any = getattr(event, "params", None)
    count: object = getattr(params, "count", None)
    return {
        "time": context.received_at.isoformat(timespec="seconds"),
        "event": _event(event.event),
        "event_id": _plain(context.event_id),
        "account_id": _plain(getattr(event, "account_id", None)),
        "outcome": _known(getattr(event, "outcome", None), get_args(JobOutcome)),
        "count": count if isinstance(count, int) else None,
        "sync_status": _known(getattr(params, "sync_status", None), get_args(SyncStatus)),
        "attempt": context.attempt if context.attempt > 1 else None,
    }


def _event(name: str) -> str | None:
    return name if name in EVENTS else _plain(name)


def _plain(value: object) -> str | None:
    """Return an id or a name without characters that would break the line.

    80 characters are enough for any id and keep a hostile one from filling the terminal.
    """
    if value is None:
        return None
    return "".join(char if char.isprintable() and char != " " else "?" for char in str(value)[:80])


def _known(value: object, words: tuple[str, ...]) -> str | None:
    """Return a word if it is a known one; an unknown one may contain payroll data, and becomes a question mark."""
    return None if value is None else str(value) if value in words else "?"
