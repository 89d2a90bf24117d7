"""Commands `pinwheel-async webhooks ...`: plan, apply and check the subscription of a receiver."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from json import dumps
from typing import Annotated, Any, get_args

from attrs import frozen
from cyclopts import Parameter

from pinwheel_async.cli._options import Connection, Json, load_router
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.models.webhook import WebhookEventName
from pinwheel_async.webhooks import Router, SubscriptionPlan, Subscriptions

_CURRENT: tuple[WebhookEventName, ...] = get_args(WebhookEventName)


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
        A router whose handlers say what is wanted, as module:name, looked for from the current folder, too.
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
        router = Router() if self.router is None else load_router(self.router)
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
        print(dumps(report.to_dict() | _lines(made)))
        return
    print(made)
    done = "created" if report.created else "updated" if report.updated else "unchanged"
    print(f"done: {report.webhook_id} {done}, {len(report.deleted)} deleted")


async def check(*, wanted: Wanted, json: Json = False, connection: Connection | None = None) -> int:
    """Say what is wrong with the webhooks; the exit code is 1 if anything is."""
    async with wanted.open(connection) as subscriptions:
        problems = await subscriptions.check()
    if json:
        print(dumps({"ok": not problems, "problems": [problem.to_dict() for problem in problems]}))
    else:
        print("\n".join([f"{problem.kind}: {problem.text}" for problem in problems]) or "all well")
    return 1 if problems else 0


def _lines(plan: SubscriptionPlan) -> dict[str, Any]:
    return {"actions": [str(action) for action in plan.actions], "notes": list(plan.notes)}


def _expand(words: Sequence[str]) -> tuple[WebhookEventName, ...]:
    """Return the names of events that the words stand for."""
    found: list[WebhookEventName] = []
    for word in words:
        below: list[WebhookEventName] = [
            name for name in _CURRENT if word in {"all", name} or name.startswith(f"{word}.")
        ]
        if not below:
            families = dict.fromkeys(name.partition(".")[0] for name in _CURRENT)
            raise ConfigurationError(f"{word} is no event; say all, a name, or one of {', '.join(families)}")
        found += below
    return tuple(dict.fromkeys(found))
