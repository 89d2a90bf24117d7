"""Command `pinwheel-async listen`: a webhook receiver that prints a line for each event."""

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from json import dumps
from typing import Annotated, Any, get_args

from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async.cli._options import InboxPlace, Json
from pinwheel_async.cli._server import inspecting, receiving
from pinwheel_async.cli._signals import on_sigterm
from pinwheel_async.events import EVENTS, Event
from pinwheel_async.models.job import JobOutcome, SyncStatus
from pinwheel_async.settings import find_secret
from pinwheel_async.webhooks import Context, Router

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))]


async def listen(
    *,
    host: str = "127.0.0.1",
    port: Port = 8080,
    path: str = "/webhooks/pinwheel",
    inbox: str = "listen.db",
    inbox_schema: str | None = None,
    inspect: Annotated[bool, Parameter(show_default=False)] = False,
    json: Json = False,
) -> None:
    """Receive webhooks and print a line for each: ids, names and counts, no payroll data.

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
    """
    secret = find_secret(None)
    logging.basicConfig(format="pinwheel-async: %(message)s", stream=sys.stderr)
    logging.getLogger("pinwheel_async.webhooks").setLevel(logging.INFO)
    stop = on_sigterm()
    router = _printing(as_json if json else as_line, stop)
    store = InboxPlace(inbox=inbox, inbox_schema=inbox_schema).make(consumer="listen", create=True)
    async with AsyncExitStack() as running:
        receiver = receiving(router, secret=secret, inbox=store, path=path, host=host, port=port)
        url = await running.enter_async_context(receiver)
        print(f"pinwheel-async: listening at {url}, health at {url}/health", file=sys.stderr, flush=True)
        if inspect:
            inspector_url = await running.enter_async_context(inspecting(store))
            print(f"pinwheel-async: inspector, once, at {inspector_url}", file=sys.stderr, flush=True)
        await stop.wait()


def _printing(render: Callable[[Event, Context], str], stop: asyncio.Event) -> Router:
    router = Router()

    @router.on(Event)
    async def show(event: Event, context: Context) -> None:
        try:
            print(render(event, context), flush=True)
        except BrokenPipeError:  # the reader has closed the pipe: stop, and leave the event in the inbox
            stop.set()
            raise

    return router


def as_line(event: Event, context: Context) -> str:
    """Return what may be shown of an event, as one line."""
    shown = facts(event, context)
    head = [shown.pop(name) for name in ("time", "event", "event_id")]
    return " ".join([*head, *(f"{name}={value}" for name, value in shown.items() if value is not None)])


def as_json(event: Event, context: Context) -> str:
    """Return what may be shown of an event, as a JSON object in one line."""
    return dumps(facts(event, context))


def facts(event: Event, context: Context) -> dict[str, Any]:
    """Return what may be shown of an event: ids, counts and known words, but no free text."""
    params: Any = getattr(event, "params", None)
    count: object = getattr(params, "count", None)
    return {
        "time": context.received_at.isoformat(timespec="seconds"),
        "event": event.event if event.event in EVENTS else _plain(event.event),
        "event_id": _plain(context.event_id),
        "account_id": _plain(getattr(event, "account_id", None)),
        "outcome": _known(getattr(event, "outcome", None), get_args(JobOutcome)),
        "count": count if isinstance(count, int) else None,
        "sync_status": _known(getattr(params, "sync_status", None), get_args(SyncStatus)),
        "attempt": context.attempt if context.attempt > 1 else None,
    }


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
