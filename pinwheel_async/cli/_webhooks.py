"""`pinwheel-async webhooks`: keep the subscription of one receiver as it should be."""

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from json import dumps
from pathlib import Path
from typing import Annotated, Any, get_args

import attrs
from attrs import frozen
from cyclopts import Parameter

from pinwheel_async.cli._options import Connection, Json
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.models.webhook import WebhookEventName
from pinwheel_async.webhooks import Router, SubscriptionPlan, Subscriptions

_CURRENT: tuple[str, ...] = get_args(WebhookEventName)


@Parameter(name="*")
@frozen(kw_only=True)
class Wanted:
    """What is to be delivered where.

    Parameters
    ----------
    url:
        Where the receiver can be reached: https, without a fragment.
    name:
        Which deployment it is; only webhooks of this name are ever changed.
    events:
        Names of events, first words of names such as paystubs, or all.
    router:
        A router whose handlers say what is wanted, as module:attribute, looked for from the current folder, too.
    """

    url: str
    name: str
    events: Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)] = ()
    router: str | None = None

    @asynccontextmanager
    async def open(self, connection: Connection | None) -> AsyncGenerator[Subscriptions]:
        """Open the client, and give the subscriptions."""
        if not self.events and self.router is None:
            raise ConfigurationError("say what is wanted: --events, --router, or both")
        router = Router() if self.router is None else _load(self.router)
        async with (connection or Connection()).open() as pinwheel:
            yield Subscriptions(pinwheel, router, url=self.url, name=self.name, extra_events=_expand(self.events))


async def plan(*, wanted: Wanted, json: Json = False, connection: Connection | None = None) -> None:
    """Print what `apply` would do, and change nothing."""
    async with wanted.open(connection) as subscriptions:
        made = await subscriptions.plan()
    print(dumps({"changes": made.changes, **_lines(made)}) if json else made)


async def apply(
    *, wanted: Wanted, allow_gap: bool = False, json: Json = False, connection: Connection | None = None
) -> None:
    """Make, change and delete webhooks until there is the one that is wanted; again changes nothing.

    Parameters
    ----------
    allow_gap:
        Where there is no room for one more webhook, delete ours before the new one is made; events in between are lost.
    """
    async with wanted.open(connection) as subscriptions:
        made = await subscriptions.plan()
        report = await subscriptions.apply(made, allow_gap=allow_gap)
    if json:
        print(dumps(attrs.asdict(report) | _lines(made)))
        return
    print(made)
    done = "created" if report.created else "updated" if report.updated else "unchanged"
    print(f"done: {report.webhook_id} {done}, {len(report.deleted)} deleted")


async def check(*, wanted: Wanted, json: Json = False, connection: Connection | None = None) -> int:
    """Say what is wrong with the webhooks; the exit code is 1 if anything is."""
    async with wanted.open(connection) as subscriptions:
        problems = await subscriptions.check()
    if json:
        print(dumps({"ok": not problems, "problems": [attrs.asdict(one) for one in problems]}))
    else:
        print("\n".join([f"{one.kind}: {one.text}" for one in problems]) or "all well")
    return 1 if problems else 0


def _lines(plan: SubscriptionPlan) -> dict[str, Any]:
    return {"actions": [str(one) for one in plan.actions], "notes": list(plan.notes)}


def _expand(words: Sequence[str]) -> tuple[str, ...]:
    """Return the names of events that the words stand for."""
    found: list[str] = []
    for word in words:
        below = [name for name in _CURRENT if word in {"all", name} or name.startswith(f"{word}.")]
        if not below and "." not in word:  # a whole name may be that of a new event
            families = dict.fromkeys(name.partition(".")[0] for name in _CURRENT)
            raise ConfigurationError(f"{word} is no event; say all, a name, or one of {', '.join(families)}")
        found += below or [word]
    return tuple(dict.fromkeys(found))


def _load(place: str) -> Router:
    """Import a router; the text of an error stays unseen, because it may hold anything."""
    module, _, attribute = place.partition(":")
    if not module or not attribute:
        raise ConfigurationError("router must be module:attribute, such as app.webhooks:router")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: object = import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except Exception as error:  # noqa: BLE001  # somebody else's module may raise anything
        problem = type(error).__name__
    else:
        if isinstance(found, Router):
            return found
        problem = "not a Router"
    raise ConfigurationError(f"cannot take the router from {place}: {problem}")
