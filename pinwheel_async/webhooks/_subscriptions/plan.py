"""Plan of the changes to the API's webhooks, and the problems found with them, as values that may be shown."""

from collections.abc import Sequence
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import field, frozen

from pinwheel_async._core.converter import Serializable
from pinwheel_async._core.model import Model
from pinwheel_async._privacy import Discreet
from pinwheel_async.models.webhook import Webhook

QUOTA = 10
"""Webhooks that an API key may have, as documented."""

ProblemKind: TypeAlias = Literal[
    "missing", "events_missing", "events_unused", "paused", "version", "duplicate", "stray", "same_url", "retired"
]
"""Kinds of problems, see `SubscriptionProblem`."""


@frozen(kw_only=True)
class CreateWebhook(Discreet):
    """Create a webhook."""

    url: str = field(repr=False)
    """URL that it delivers to, with the name as fragment. The path may be a secret, so it is not shown."""
    enabled_events: tuple[str, ...] = field(repr=False)
    version: str
    customer_id: str | None = field(default=None, repr=False)
    """Copied from the webhook that it replaces; banking platforms only."""

    def __str__(self) -> str:
        """Return one line for people."""
        return f"create {shown(self.url)}: {_count(self.enabled_events)}, version {self.version}"


@frozen(kw_only=True)
class UpdateWebhook(Discreet):
    """Change a webhook."""

    webhook_id: str
    enabled_events: tuple[str, ...] | None = field(default=None, repr=False)
    """All events from now on; None if they stay as they are."""
    added: tuple[str, ...] = ()
    """Events that it lacks."""
    removed: tuple[str, ...] = ()
    """Events that it has and no handler wants."""
    activate: bool = False
    """Whether it is paused and is to deliver again."""

    def __str__(self) -> str:
        """Return one line for people."""
        changes = [*(["activate"] if self.activate else ()), *(f"+{event}" for event in self.added)]
        return f"update {self.webhook_id}: {', '.join([*changes, *(f'-{event}' for event in self.removed)])}"


@frozen(kw_only=True)
class DeleteWebhook:
    """Delete a webhook."""

    webhook_id: str
    reason: Literal["version", "duplicate", "stray"]
    """Another version; the same name and URL as another webhook; another URL under the same name."""

    def __str__(self) -> str:
        """Return one line for people."""
        return f"delete {self.webhook_id}: {self.reason}"


@frozen(kw_only=True)
class KeepWebhook:
    """Keep a webhook as it is."""

    webhook_id: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"keep {self.webhook_id}"


SubscriptionAction: TypeAlias = CreateWebhook | UpdateWebhook | KeepWebhook | DeleteWebhook
"""One step of a plan."""


@frozen(kw_only=True)
class SubscriptionPlan:
    """Actions, in the order in which they are carried out. It may be shown, since it hides the paths of URLs."""

    actions: tuple[SubscriptionAction, ...]
    """First the webhook that is created, changed or kept, then those that are deleted, so that no event is lost."""
    count: int
    """Webhooks that the API key had, those of other names included."""
    notes: tuple[str, ...] = ()
    """Handlers that no subscription can serve, because their events are retired."""

    def __str__(self) -> str:
        """Return one line per action and note."""
        return "\n".join([*map(str, self.actions), *(f"note: {note}" for note in self.notes)])

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return any(not isinstance(action, KeepWebhook) for action in self.actions)

    @property
    def fits(self) -> bool:
        """Whether the quota leaves room to create before anything is deleted."""
        # A key with more than the quota has another quota, and the server will say whether that is used up.
        return self.count != QUOTA or not any(isinstance(action, CreateWebhook) for action in self.actions)


@frozen(kw_only=True)
class SubscriptionReport(Serializable):
    """Changes that were made."""

    webhook_id: str
    """Webhook that delivers from now on."""
    created: bool = False
    updated: bool = False
    deleted: tuple[str, ...] = ()
    """Ids of the webhooks that were deleted."""


@frozen(kw_only=True)
class SubscriptionProblem(Serializable):
    """Problem of the subscription, or of a handler that no subscription can serve."""

    kind: ProblemKind
    """Kind of the problem.

    - `missing`: there is no webhook of this name and URL;
    - `events_missing`: handlers wait for events that it does not ask for;
    - `events_unused`: it asks for events that have no handler;
    - `paused`: it delivers nothing;
    - `version`: its payloads have another version than expected;
    - `duplicate`: there is another webhook of this name and URL;
    - `stray`: there is a webhook of this name with another URL;
    - `same_url`: a webhook of another name, or none, delivers to this URL as well: events come twice;
    - `retired`: a handler's event cannot be subscribed.
    """
    text: str
    """One sentence for people, without the path of a URL."""


@frozen(kw_only=True, repr=False)
class FoundWebhooks(Model):
    """Webhooks of the API key, as far as they concern this subscription."""

    count: int
    matching: tuple[Webhook, ...]
    """Of our name and URL; the webhook that would be kept comes first."""
    strays: tuple[Webhook, ...]
    """Of our name, with another URL."""
    same_url: tuple[Webhook, ...]
    """Of our URL, without our name."""


def classify(
    webhooks: Sequence[Webhook], *, url: str, name: str, version: str, events: tuple[str, ...]
) -> FoundWebhooks:
    """Classify webhooks by name and URL; of those of our name and URL the best comes first.

    The best has the right version, which cannot be changed, delivers, has the wanted events, and is the oldest.
    """

    def rank(webhook: Webhook) -> tuple[object, ...]:
        fits = set(webhook.enabled_events) == set(events)
        return (webhook.version != version, is_paused(webhook), not fits, webhook.created_at, webhook.id)

    parted = [(webhook, *webhook.url.partition("#")[::2]) for webhook in webhooks]
    matching = [webhook for webhook, to, named in parted if (to, named) == (url, name)]
    return FoundWebhooks(
        count=len(webhooks),
        matching=tuple(sorted(matching, key=rank)),
        strays=tuple([webhook for webhook, to, named in parted if named == name and to != url]),
        same_url=tuple([webhook for webhook, to, named in parted if named != name and to == url]),
    )


def plan_update(webhook: Webhook, events: tuple[str, ...]) -> UpdateWebhook | KeepWebhook:
    """Plan what makes a webhook deliver exactly these events."""
    added = tuple([event for event in events if event not in webhook.enabled_events])
    removed = tuple([event for event in webhook.enabled_events if event not in events])
    if not added and not removed and not is_paused(webhook):
        return KeepWebhook(webhook_id=webhook.id)
    return UpdateWebhook(
        webhook_id=webhook.id,
        enabled_events=events if added or removed else None,
        added=added,
        removed=removed,
        activate=is_paused(webhook),
    )


def is_paused(webhook: Webhook) -> bool:
    """Whether it delivers nothing."""
    # The guides of the API show the status in capitals.
    return webhook.status.lower() != "active"


def shown(url: str) -> str:
    """Return an URL without what may be secret in it: user, password, path and query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"https://{parts.hostname}{port}/…#{parts.fragment}"


def _count(events: tuple[str, ...]) -> str:
    return "1 event" if len(events) == 1 else f"{len(events)} events"
