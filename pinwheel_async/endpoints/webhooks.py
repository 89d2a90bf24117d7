"""Webhooks: where the API delivers events to. What receives them is `pinwheel_async.webhooks`."""

from collections.abc import Iterator, Sequence

from pinwheel_async._core.endpoint import item, nothing, page
from pinwheel_async.endpoints import _rules
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.webhook import (
    Webhook,
    WebhookEventName,
    WebhookRequest,
    WebhookStatus,
    WebhookUpdateRequest,
    WebhookVersion,
)

_LIST = page("list_webhooks", "/v1/webhooks", Webhook)
_CREATE = item("create_webhook", "POST", "/v1/webhooks", Webhook, body=WebhookRequest)
_GET = item("get_webhook", "GET", "/v1/webhooks/{webhook_id}", Webhook)
_UPDATE = item("update_webhook", "PUT", "/v1/webhooks/{webhook_id}", Webhook, body=WebhookUpdateRequest)
_DELETE = nothing("delete_webhook", "DELETE", "/v1/webhooks/{webhook_id}")


class WebhookEndpoints(Endpoints):
    """Subscriptions to events; at most ten per API key."""

    __slots__ = ()

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Paged[Webhook]:
        """List the webhooks.

        Args:
            limit: Webhooks per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        return self._paged(_LIST, query={"cursor": cursor, "limit": limit})

    async def create(
        self,
        *,
        url: str,
        enabled_events: Sequence[WebhookEventName | str],
        version: WebhookVersion | str,
        status: WebhookStatus | str = "active",
        customer_id: str | None = None,
    ) -> Webhook:
        """Subscribe a URL to events.

        Args:
            url: Where events are posted to; https.
            enabled_events: Names of the events to deliver; at least one.
            version: API version of the payloads, such as `2025-07-08`. It is fixed for the life of the webhook and
                has nothing to do with the version that the client speaks.
            status: `active`, or `paused` to deliver nothing yet.
            customer_id: For banking platforms only.

        Raises:
            RequestError: The URL is not https, or no event is named.
        """
        _rules.refuse([*_rules.https("url", url), *_event_names(enabled_events)])
        request = WebhookRequest(
            url=url, status=status, enabled_events=tuple(enabled_events), version=version, customer_id=customer_id
        )
        return await self._call(_CREATE, body=request)

    async def get(self, webhook_id: str) -> Webhook:
        """Get one webhook."""
        return await self._call(_GET, path={"webhook_id": webhook_id})

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        status: WebhookStatus | str | None = None,
        enabled_events: Sequence[WebhookEventName | str] | None = None,
        customer_id: str | None = None,
    ) -> Webhook:
        """Change what is given and leave the rest as it is. The version cannot be changed.

        Args:
            webhook_id: The webhook.
            url: Where events are posted to; https.
            status: `active` or `paused`.
            enabled_events: Names of all events to deliver, replacing the earlier ones; at least one.
            customer_id: For banking platforms only.

        Raises:
            RequestError: The URL is not https, or no event is named.
        """
        _rules.refuse(
            [
                *(() if url is None else _rules.https("url", url)),
                *(() if enabled_events is None else _event_names(enabled_events)),
            ]
        )
        events = None if enabled_events is None else tuple(enabled_events)
        request = WebhookUpdateRequest(url=url, status=status, enabled_events=events, customer_id=customer_id)
        return await self._call(_UPDATE, path={"webhook_id": webhook_id}, body=request)

    async def delete(self, webhook_id: str) -> None:
        """Delete a webhook: no event is delivered there any more."""
        await self._call(_DELETE, path={"webhook_id": webhook_id})


def _event_names(events: Sequence[str]) -> Iterator[str]:
    yield from _rules.several("enabled_events", events)
    if not events:
        yield "enabled_events must name at least one event"
