"""Webhooks: URLs that the API delivers events to. The receiver is `pinwheel_async.webhooks`."""

from collections.abc import Collection, Iterator

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item, nothing, page
from pinwheel_async.endpoints import _validation
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

_LIST = page("list_webhooks", "/v1/webhooks", Webhook, ends_silently=True)
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
        enabled_events: Collection[WebhookEventName],
        version: WebhookVersion,
        status: WebhookStatus = "active",
        customer_id: Id | None = None,
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
        fields = {
            "url": url,
            "status": status,
            "enabled_events": enabled_events,
            "version": version,
            "customer_id": customer_id,
        }
        request = _validation.request(WebhookRequest, fields, _problems)
        return await self._call(_CREATE, body=request)

    async def get(self, webhook_id: Id) -> Webhook:
        """Get one webhook."""
        return await self._call(_GET, path={"webhook_id": webhook_id})

    async def update(
        self,
        webhook_id: Id,
        *,
        url: str | None = None,
        status: WebhookStatus | None = None,
        enabled_events: Collection[WebhookEventName] | None = None,
        customer_id: Id | None = None,
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
        fields = {"url": url, "status": status, "enabled_events": enabled_events, "customer_id": customer_id}
        request = _validation.request(WebhookUpdateRequest, fields, _problems)
        return await self._call(_UPDATE, path={"webhook_id": webhook_id}, body=request)

    async def delete(self, webhook_id: Id) -> None:
        """Delete a webhook: no event is delivered there any more."""
        await self._call(_DELETE, path={"webhook_id": webhook_id})


def _problems(request: WebhookRequest | WebhookUpdateRequest) -> Iterator[str]:
    yield from _validation.https("url", request.url)
    if request.enabled_events == ():
        yield "enabled_events must name at least one event"
