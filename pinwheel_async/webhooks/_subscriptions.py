"""Subscriptions as code: the webhooks that the API delivers to, made to fit the handlers that there are."""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Protocol, get_args
from urllib.parse import urlsplit

from pinwheel_async.errors import ConfigurationError, NotFoundError, RequestError
from pinwheel_async.events import ALIASES, EVENTS, Event
from pinwheel_async.models.webhook import Webhook, WebhookEventName, WebhookVersion
from pinwheel_async.webhooks._router import Router
from pinwheel_async.webhooks._subscription_found import Found, adjust, is_paused, sort_out
from pinwheel_async.webhooks._subscription_plan import (
    QUOTA,
    CreateWebhook,
    DeleteWebhook,
    ProblemKind,
    SubscriptionAction,
    SubscriptionPlan,
    SubscriptionProblem,
    SubscriptionReport,
    UpdateWebhook,
    shown,
)

if TYPE_CHECKING:
    from pinwheel_async.endpoints import WebhookEndpoints

CURRENT: tuple[str, ...] = get_args(WebhookEventName)
"""Events that a webhook can ask for; the others that the library knows are retired."""

_NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)
_EVENT = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+", re.ASCII)


class WebhookKeeper(Protocol):
    """What keeps webhooks: a `Pinwheel` client."""

    @property
    def webhooks(self) -> "WebhookEndpoints":
        """Where webhooks are listed and changed."""
        ...


class Subscriptions:
    """Keeps one webhook of the API subscribed to what the handlers of a router want.

    ```python
    subscriptions = Subscriptions(pinwheel, router, url="https://example.com/webhooks/pinwheel", name="my-app")
    print(await subscriptions.plan())
    await subscriptions.apply()
    ```

    The name stands in the URL as its fragment (`https://example.com/webhooks/pinwheel#my-app`), which the API keeps and
    never sends. What has this name is ours: `apply` makes one webhook of it, at this URL, and deletes the others. What
    has another name, or none, is never touched. To apply again changes nothing.

    Args:
        pinwheel: An open client.
        router: Whose handlers say which events are wanted, with those of the routers it includes. A handler of a family
            such as `PaystubsEvent`, or of `Event`, wants every current event below it.
        url: Where the receiver can be reached: https, without a fragment.
        name: Which deployment it is: 1 to 64 letters, digits, and `._~-`.
        version: Version of the payloads; it is fixed when a webhook is made.
        extra_events: Names of further events.

    Raises:
        ConfigurationError: The URL or the name cannot be used, or an extra event is none that can be subscribed.
    """

    def __init__(
        self,
        pinwheel: WebhookKeeper,
        router: Router,
        *,
        url: str,
        name: str,
        version: WebhookVersion | str = "2025-07-08",
        extra_events: Collection[WebhookEventName | str] = (),
    ) -> None:
        if not _is_url(url):
            raise ConfigurationError("url must be a URL that starts with https://, without a fragment")
        if not _NAME.fullmatch(name):
            raise ConfigurationError("name must be 1 to 64 letters, digits, and ._~-")
        if isinstance(extra_events, str) or not all(_can_be_extra(one) for one in extra_events):
            raise ConfigurationError("extra_events must be a list of names of events that are not retired")
        self._pinwheel = pinwheel
        self._router = router
        self._url = url
        self._name = name
        self._version = version
        self._extra = tuple(extra_events)

    def __repr__(self) -> str:
        """Return name and host."""
        return f"<Subscriptions {shown(self._full_url)}>"

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events that are wanted now: those with a handler, and the extra ones."""
        kinds = [handler.event for handler in self._router.handlers()]
        handled = [name for name in CURRENT if any(issubclass(EVENTS[name], kind) for kind in kinds)]
        return tuple(dict.fromkeys([*handled, *self._extra]))

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for every handler whose event cannot be subscribed."""
        lost = [one for one in self._router.handlers() if not _can_be_subscribed(one.event)]
        return tuple([f"{one.event.__name__} of handler {one.name} cannot be subscribed: left out" for one in lost])

    async def plan(self) -> SubscriptionPlan:
        """Compare what there is with what is wanted, and change nothing.

        Raises:
            ConfigurationError: No handler wants an event that can be subscribed, and there is no extra one.
        """
        events = self._wanted()
        found = await self._find()
        right = [one for one in found.homes if one.version == self._version]
        others = found.homes if not right else tuple([one for one in found.homes if one is not right[0]])
        first = adjust(right[0], events) if right else self._create(events, found.homes)
        deletes = [
            *(DeleteWebhook(webhook_id=one.id, reason="stray") for one in found.strays),
            *(DeleteWebhook(webhook_id=one.id, reason=self._reason(one)) for one in others),
        ]
        return SubscriptionPlan(actions=(first, *deletes), count=found.count, notes=self.notes)

    async def apply(self, plan: SubscriptionPlan | None = None, *, allow_gap: bool = False) -> SubscriptionReport:
        """Carry out a plan, or what a plan made now would say.

        What is to replace something is made before that is deleted. If it fails half-way, apply anew.

        Args:
            plan: The plan; made now if None.
            allow_gap: Whether, where the quota of ten webhooks leaves no room, one of ours may be deleted before the
                new one is made. Events in between are lost.

        Raises:
            RequestError: There is no room. Nothing was changed.
            ConfigurationError: See `plan`.
        """
        plan = plan or await self.plan()
        deletes = [action.webhook_id for action in plan.actions if isinstance(action, DeleteWebhook)]
        early = 0 if plan.fits else 1
        if early and not deletes:
            raise RequestError([f"the API key has {QUOTA} webhooks, and none of them is ours: delete one to make room"])
        if early and not allow_gap:
            raise RequestError([f"the API key has {QUOTA} webhooks: delete one, or replace ours with allow_gap=True"])
        for webhook_id in deletes[:early]:
            await self._delete(webhook_id)
        webhook_id, kind = await self._carry_out(plan.actions[0])
        for gone in deletes[early:]:
            await self._delete(gone)
        return SubscriptionReport(
            webhook_id=webhook_id, created=kind == "create", updated=kind == "update", deleted=tuple(deletes)
        )

    async def check(self) -> tuple[SubscriptionProblem, ...]:
        """Say what is wrong: nothing, if events arrive as the handlers want them.

        Raises:
            ConfigurationError: See `plan`.
        """
        events = self._wanted()
        found = await self._find()
        return tuple([SubscriptionProblem(kind=kind, text=text) for kind, text in self._problems(found, events)])

    @property
    def _full_url(self) -> str:
        return f"{self._url}#{self._name}"

    def _wanted(self) -> tuple[str, ...]:
        events = self.events
        if not events:
            raise ConfigurationError("the router has no handler of an event that can be subscribed")
        return events

    async def _find(self) -> Found:
        """Read every page, and sort out what is ours."""
        webhooks = await self._pinwheel.webhooks.list(limit=100).all()
        return sort_out(webhooks, url=self._url, name=self._name, version=self._version, events=self.events)

    def _create(self, events: tuple[str, ...], replaced: Sequence[Webhook]) -> CreateWebhook:
        customer_id = next((one.customer_id for one in replaced if one.customer_id is not None), None)
        return CreateWebhook(url=self._full_url, enabled_events=events, version=self._version, customer_id=customer_id)

    def _reason(self, webhook: Webhook) -> Literal["duplicate", "version"]:
        return "duplicate" if webhook.version == self._version else "version"

    def _problems(self, found: Found, events: tuple[str, ...]) -> Iterator[tuple[ProblemKind, str]]:
        for note in self.notes:
            yield "retired", note
        if not found.homes:
            yield "missing", f"no webhook delivers to {shown(self._full_url)}"
        for one in found.homes[:1]:
            yield from self._problems_of(one, events)
        for one in found.homes[1:]:
            yield "duplicate", f"webhook {one.id} has this name and URL, too"
        for one in found.strays:
            yield "stray", f"webhook {one.id} has this name, and another URL"
        for one in found.neighbours:
            yield "same_url", f"webhook {one.id} delivers to this URL, too, under another name or none"

    def _problems_of(self, webhook: Webhook, events: tuple[str, ...]) -> Iterator[tuple[ProblemKind, str]]:
        if webhook.version != self._version:
            yield "version", f"webhook {webhook.id} has version {webhook.version}, not {self._version}"
        if is_paused(webhook):
            yield "paused", f"webhook {webhook.id} is paused"
        adjusted = adjust(webhook, events)
        if isinstance(adjusted, UpdateWebhook) and adjusted.added:
            yield "events_missing", f"webhook {webhook.id} lacks {', '.join(adjusted.added)}"
        if isinstance(adjusted, UpdateWebhook) and adjusted.removed:
            yield "events_unused", f"webhook {webhook.id} has no handler for {', '.join(adjusted.removed)}"

    async def _carry_out(self, action: SubscriptionAction) -> tuple[str, Literal["create", "update", "keep"]]:
        webhooks = self._pinwheel.webhooks
        match action:
            case CreateWebhook():
                made = await webhooks.create(
                    url=action.url,
                    enabled_events=action.enabled_events,
                    version=action.version,
                    customer_id=action.customer_id,
                )
                return made.id, "create"
            case UpdateWebhook():
                status = "active" if action.activate else None
                await webhooks.update(action.webhook_id, status=status, enabled_events=action.enabled_events)
                return action.webhook_id, "update"
            case _:
                return action.webhook_id, "keep"

    async def _delete(self, webhook_id: str) -> None:
        with suppress(NotFoundError):  # somebody else was faster
            await self._pinwheel.webhooks.delete(webhook_id)


def _can_be_subscribed(kind: type[Event]) -> bool:
    return any(issubclass(EVENTS[name], kind) for name in CURRENT)


def _can_be_extra(name: str) -> bool:
    # A well-formed name that the library does not know may be a new one.
    return bool(_EVENT.fullmatch(name)) and name not in ALIASES and (name in CURRENT or name not in EVENTS)


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises, if it is none
        return parts.scheme == "https" and bool(parts.hostname) and re.search(r"[#\s]", url) is None
    except ValueError:
        return False
