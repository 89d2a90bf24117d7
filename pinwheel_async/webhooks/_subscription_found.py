"""The webhooks that there are, sorted by how they concern us, and how far one is from what is wanted."""

from collections.abc import Sequence

from attrs import frozen

from pinwheel_async._core.fields import Model
from pinwheel_async.models.webhook import Webhook
from pinwheel_async.webhooks._subscription_plan import KeepWebhook, UpdateWebhook


@frozen(kw_only=True, repr=False)
class Found(Model):
    """The webhooks of the API key, as far as they concern us."""

    count: int
    homes: tuple[Webhook, ...]
    """Of our name and URL; what would be kept comes first."""
    strays: tuple[Webhook, ...]
    """Of our name, with another URL."""
    neighbours: tuple[Webhook, ...]
    """Of our URL, without our name."""


def sort_out(webhooks: Sequence[Webhook], *, url: str, name: str, version: str, events: tuple[str, ...]) -> Found:
    """Say which webhooks are ours, and which of them needs the least to deliver these events."""

    def rank(webhook: Webhook) -> tuple[object, ...]:
        fits = set(webhook.enabled_events) == set(events)
        return (webhook.version != version, is_paused(webhook), not fits, webhook.created_at, webhook.id)

    parted = [(one, *one.url.partition("#")[::2]) for one in webhooks]
    homes = [one for one, at, named in parted if (at, named) == (url, name)]
    return Found(
        count=len(webhooks),
        homes=tuple(sorted(homes, key=rank)),
        strays=tuple([one for one, at, named in parted if named == name and at != url]),
        neighbours=tuple([one for one, at, named in parted if named != name and at == url]),
    )


def adjust(webhook: Webhook, events: tuple[str, ...]) -> UpdateWebhook | KeepWebhook:
    """Say what makes a webhook deliver exactly these events."""
    added = tuple([one for one in events if one not in webhook.enabled_events])
    removed = tuple([one for one in webhook.enabled_events if one not in events])
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
    # Guides show the status in capitals.
    return webhook.status.lower() != "active"
