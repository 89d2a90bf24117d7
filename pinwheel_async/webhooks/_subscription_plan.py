"""What is to be done about subscriptions, and what is wrong with them, as values that may be shown."""

from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import field, frozen

QUOTA = 10
"""Webhooks that an API key may have."""

ProblemKind: TypeAlias = Literal[
    "missing", "events_missing", "events_unused", "paused", "version", "duplicate", "stray", "same_url", "retired"
]
"""What can be wrong, see `SubscriptionProblem`."""


@frozen(kw_only=True)
class CreateWebhook:
    """A webhook that is to be made."""

    url: str = field(repr=False)
    """Where it delivers to, with the name as fragment. The path may be a secret, so it is not shown."""
    enabled_events: tuple[str, ...] = field(repr=False)
    version: str
    customer_id: str | None = field(default=None, repr=False)
    """Taken over from the webhook that it replaces; banking platforms only."""

    def __str__(self) -> str:
        """Return one line for people."""
        return f"create {shown(self.url)}: {_count(self.enabled_events)}, version {self.version}"


@frozen(kw_only=True)
class UpdateWebhook:
    """A webhook that is to be changed."""

    webhook_id: str
    enabled_events: tuple[str, ...] | None = field(default=None, repr=False)
    """All events from now on; None if they stay as they are."""
    added: tuple[str, ...] = ()
    """Events that it lacks."""
    removed: tuple[str, ...] = ()
    """Events that it has, and nobody wants."""
    activate: bool = False
    """Whether it is paused and is to deliver again."""

    def __str__(self) -> str:
        """Return one line for people."""
        changes = [*(["activate"] if self.activate else ()), *(f"+{one}" for one in self.added)]
        return f"update {self.webhook_id}: {', '.join([*changes, *(f'-{one}' for one in self.removed)])}"


@frozen(kw_only=True)
class DeleteWebhook:
    """A webhook that is to be deleted."""

    webhook_id: str
    reason: Literal["version", "duplicate", "stray"]
    """Another version; one more of the same; another URL under the same name."""

    def __str__(self) -> str:
        """Return one line for people."""
        return f"delete {self.webhook_id}: {self.reason}"


@frozen(kw_only=True)
class KeepWebhook:
    """A webhook that is as it should be."""

    webhook_id: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"keep {self.webhook_id}"


SubscriptionAction: TypeAlias = CreateWebhook | UpdateWebhook | KeepWebhook | DeleteWebhook
"""One step of a plan."""


@frozen(kw_only=True)
class SubscriptionPlan:
    """What is to be done, in this order, and may be shown: neither it nor its lines hold a path of a URL."""

    actions: tuple[SubscriptionAction, ...]
    """First the one webhook that is made, changed or kept, then those that are deleted, so that no event is lost."""
    count: int
    """Webhooks that there were, other people's included."""
    notes: tuple[str, ...] = ()
    """What no subscription can do, such as bring a retired event."""

    def __str__(self) -> str:
        """Return one line per action and note."""
        return "\n".join([*map(str, self.actions), *(f"note: {note}" for note in self.notes)])

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return any(not isinstance(action, KeepWebhook) for action in self.actions)

    @property
    def fits(self) -> bool:
        """Whether there is room to make before anything is deleted."""
        # With more than the quota, another quota holds, and the server will say whether it is used up.
        return self.count != QUOTA or not any(isinstance(action, CreateWebhook) for action in self.actions)


@frozen(kw_only=True)
class SubscriptionReport:
    """What was done."""

    webhook_id: str
    """The webhook that delivers from now on."""
    created: bool = False
    updated: bool = False
    deleted: tuple[str, ...] = ()
    """Ids of webhooks that are gone."""


@frozen(kw_only=True)
class SubscriptionProblem:
    """One thing that is wrong with the subscription, or that no subscription can cure."""

    kind: ProblemKind
    """What kind of thing.

    - `missing`: there is no webhook of this name and URL;
    - `events_missing`: handlers wait for events that it does not ask for;
    - `events_unused`: it asks for events that have no handler;
    - `paused`: it delivers nothing;
    - `version`: its payloads have another version than expected;
    - `duplicate`: there is one more of the same;
    - `stray`: there is one of this name with another URL;
    - `same_url`: one of another name, or none, delivers to this URL as well: events come twice;
    - `retired`: a handler's event cannot be subscribed.
    """
    text: str
    """One sentence for people, without the path of a URL."""


def shown(url: str) -> str:
    """Return an URL without what may be secret in it: user, password, path and query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"https://{parts.hostname}{port}/…#{parts.fragment}"


def _count(events: tuple[str, ...]) -> str:
    return "1 event" if len(events) == 1 else f"{len(events)} events"
