"""Subscriptions as code: creates, updates and deletes the API's webhooks to fit the registered handlers."""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Protocol, cast, get_args
from urllib.parse import urlsplit

from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, NotFoundError, RequestError
from pinwheel_async.events import EVENTS, Event
from pinwheel_async.models.webhook import Webhook, WebhookEventName, WebhookStatus, WebhookVersion
from pinwheel_async.webhooks._router import Router
from pinwheel_async.webhooks._subscriptions.plan import (
    QUOTA,
    CreateWebhook,
    DeleteWebhook,
    FoundWebhooks,
    ProblemKind,
    SubscriptionAction,
    SubscriptionPlan,
    SubscriptionProblem,
    SubscriptionReport,
    UpdateWebhook,
    classify,
    is_paused,
    plan_update,
    shown,
)

if TYPE_CHECKING:
    from pinwheel_async.endpoints import WebhookEndpoints

SUBSCRIBABLE: tuple[str, ...] = get_args(WebhookEventName)
"""Names of the events that a webhook can subscribe to; the others that the library knows are retired."""

_NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)


class WebhookClient(Protocol):
    """Client that lists and changes webhooks, such as `Pinwheel`."""

    @property
    def webhooks(self) -> "WebhookEndpoints":
        """Endpoints of webhooks."""
        ...


class Subscriptions:
    """Keeps a webhook of the API subscribed to what the handlers of a router want.

    ```python
    subscriptions = Subscriptions(pinwheel, router, url="https://example.com/webhooks/pinwheel", name="my-app")
    print(await subscriptions.plan())
    await subscriptions.apply()
    ```

    The name stands in the URL as its fragment (`https://example.com/webhooks/pinwheel#my-app`), which the API keeps and
    never sends. Webhooks of this name are ours: `apply` keeps or creates one of them, at this URL, and deletes the
    others. Webhooks of another name, or none, are never touched. To apply again changes nothing.

    Args:
        pinwheel: An open client.
        router: Router whose handlers, with those of the routers it includes, determine the events. A handler of a
            family such as `PaystubsEvent`, or of `Event`, wants every current event below it.
        url: URL of the receiver: https, without a fragment.
        name: Name of the deployment: 1 to 64 letters, digits, and `._~-`.
        version: Version of the payloads; it cannot be changed after a webhook is created.
        extra_events: Names of further events.

    Raises:
        ConfigurationError: The URL or the name cannot be used, or an extra event cannot be subscribed.
    """

    @without_locals
    def __init__(
        self,
        pinwheel: WebhookClient,
        router: Router,
        *,
        url: str,
        name: str,
        version: WebhookVersion = "2025-07-08",
        extra_events: Collection[WebhookEventName] = (),
    ) -> None:
        if not _is_url(url):
            raise ConfigurationError("url must be a URL that starts with https://, without a fragment")
        if not _NAME.fullmatch(name):
            raise ConfigurationError("name must be 1 to 64 letters, digits, and ._~-")
        if isinstance(extra_events, str) or not all(_can_be_extra(event) for event in extra_events):
            raise ConfigurationError("extra_events must be a list of names of documented events that are not retired")
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
        """Names of the events that are wanted now: those with a handler, and the extra events."""
        kinds = [handler.events for handler in self._router.handlers()]
        handled = [name for name in SUBSCRIBABLE if any(issubclass(EVENTS[name], kind) for kind in kinds)]
        return tuple(dict.fromkeys([*handled, *self._extra]))

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for every handler whose event cannot be subscribed."""
        wanted = [(event, handler.name) for handler in self._router.handlers() for event in handler.events]
        names = [(event.__name__, name) for event, name in wanted if not _can_be_subscribed(event)]
        return tuple([f"{event} of handler {name} cannot be subscribed: left out" for event, name in names])

    async def plan(self) -> SubscriptionPlan:
        """Compare the webhooks that exist with the events that are wanted, and change nothing.

        Raises:
            ConfigurationError: No handler wants an event that can be subscribed, and there is no extra event.
        """
        events = self._wanted_events()
        found = await self._find()
        kept = next((webhook for webhook in found.matching if webhook.version == self._version), None)
        others = [webhook for webhook in found.matching if webhook is not kept]
        first = plan_update(kept, events) if kept is not None else self._create(events, found.matching)
        deletes = [
            *(DeleteWebhook(webhook_id=webhook.id, reason="stray") for webhook in found.strays),
            *(DeleteWebhook(webhook_id=webhook.id, reason=self._reason(webhook)) for webhook in others),
        ]
        return SubscriptionPlan(actions=(first, *deletes), count=found.count, notes=self.notes)

    async def apply(self, plan: SubscriptionPlan | None = None, *, allow_gap: bool = False) -> SubscriptionReport:
        """Carry out a plan.

        A webhook is created before the webhook that it replaces is deleted. If it fails half-way, apply again.

        Args:
            plan: The plan; made now if None.
            allow_gap: Whether, if the quota of ten webhooks leaves no room, a webhook of ours may be deleted before the
                new one is created. Events in between are lost.

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
        webhook_id, kind = await self._execute(plan.actions[0])
        for replaced_id in deletes[early:]:
            await self._delete(replaced_id)
        return SubscriptionReport(
            webhook_id=webhook_id, created=kind == "create", updated=kind == "update", deleted=tuple(deletes)
        )

    async def check(self) -> tuple[SubscriptionProblem, ...]:
        """Return the problems: none, if events arrive as the handlers want them.

        Raises:
            ConfigurationError: See `plan`.
        """
        events = self._wanted_events()
        found = await self._find()
        return tuple([SubscriptionProblem(kind=kind, text=text) for kind, text in self._problems(found, events)])

    @property
    def _full_url(self) -> str:
        return f"{self._url}#{self._name}"

    def _wanted_events(self) -> tuple[str, ...]:
        events = self.events
        if not events:
            raise ConfigurationError("the router has no handler of an event that can be subscribed")
        return events

    async def _find(self) -> FoundWebhooks:
        """Read every page of webhooks, and classify them."""
        webhooks = await self._pinwheel.webhooks.list(limit=100).all()
        return classify(webhooks, url=self._url, name=self._name, version=self._version, events=self.events)

    def _create(self, events: tuple[str, ...], replaced: Sequence[Webhook]) -> CreateWebhook:
        customer_id = next((webhook.customer_id for webhook in replaced if webhook.customer_id is not None), None)
        return CreateWebhook(url=self._full_url, enabled_events=events, version=self._version, customer_id=customer_id)

    def _reason(self, webhook: Webhook) -> Literal["duplicate", "version"]:
        return "duplicate" if webhook.version == self._version else "version"

    def _problems(self, found: FoundWebhooks, events: tuple[str, ...]) -> Iterator[tuple[ProblemKind, str]]:
        for note in self.notes:
            yield "retired", note
        if not found.matching:
            yield "missing", f"no webhook delivers to {shown(self._full_url)}"
        for webhook in found.matching[:1]:
            yield from self._problems_of(webhook, events)
        for webhook in found.matching[1:]:
            yield "duplicate", f"webhook {webhook.id} has this name and URL, too"
        for webhook in found.strays:
            yield "stray", f"webhook {webhook.id} has this name, and another URL"
        for webhook in found.same_url:
            yield "same_url", f"webhook {webhook.id} delivers to this URL, too, under another name or none"

    def _problems_of(self, webhook: Webhook, events: tuple[str, ...]) -> Iterator[tuple[ProblemKind, str]]:
        if webhook.version != self._version:
            yield "version", f"webhook {webhook.id} has version {webhook.version}, not {self._version}"
        if is_paused(webhook):
            yield "paused", f"webhook {webhook.id} is paused"
        update = plan_update(webhook, events)
        if isinstance(update, UpdateWebhook) and update.added:
            yield "events_missing", f"webhook {webhook.id} lacks {', '.join(update.added)}"
        if isinstance(update, UpdateWebhook) and update.removed:
            yield "events_unused", f"webhook {webhook.id} has no handler for {', '.join(update.removed)}"

    async def _execute(self, action: SubscriptionAction) -> tuple[str, Literal["create", "update", "keep"]]:
        webhooks = self._pinwheel.webhooks
        match action:
            case CreateWebhook():
                made = await webhooks.create(
                    url=action.url,
                    enabled_events=cast("tuple[WebhookEventName, ...]", action.enabled_events),
                    version=cast("WebhookVersion", action.version),
                    customer_id=action.customer_id,
                )
                return made.id, "create"
            case UpdateWebhook():
                status: WebhookStatus | None = "active" if action.activate else None
                events = cast("tuple[WebhookEventName, ...] | None", action.enabled_events)
                await webhooks.update(action.webhook_id, status=status, enabled_events=events)
                return action.webhook_id, "update"
            case _:
                return action.webhook_id, "keep"

    async def _delete(self, webhook_id: str) -> None:
        with suppress(NotFoundError):  # it was deleted meanwhile
            await self._pinwheel.webhooks.delete(webhook_id)


def _can_be_subscribed(kind: type[Event]) -> bool:
    return any(issubclass(EVENTS[name], kind) for name in SUBSCRIBABLE)


def _can_be_extra(name: str) -> bool:
    return name in SUBSCRIBABLE


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is no port
        return parts.scheme == "https" and bool(parts.hostname) and re.search(r"[#\s]", url) is None
    except ValueError:
        return False
