"""Webhooks: URLs of receivers, and the events that are delivered to them."""

from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model

WebhookEventName: TypeAlias = Literal[
    "account.added",
    "account.additional_connections_recommended",
    "account.monitoring_status.updated",
    "bill.added",
    "bill.reminder",
    "bill.removed",
    "bill.updated",
    "bill_switch.added",
    "bill_switch.cancelled",
    "company_connect.census.added",
    "company_connect.employments.added",
    "company_connect.incomes.added",
    "company_connect.status.updated",
    "direct_deposit_allocations.added",
    "direct_deposit_switch.added",
    "documents.added",
    "earnings_stream.payouts.refreshed",
    "employment.added",
    "identity.added",
    "income.added",
    "paycheck_viewer.added",
    "paystubs.added",
    "paystubs.documents.added",
    "paystubs.fully_synced",
    "paystubs.ninety_days_synced",
    "paystubs.seven_days_synced",
    "paystubs.thirty_days_synced",
    "shifts.added",
    "shifts.fully_synced",
    "shifts.ninety_days_synced",
    "shifts.seven_days_synced",
    "shifts.thirty_days_synced",
    "tax_forms.added",
    "verification_reports.refreshed",
]
"""Names of events. `bill*`, `documents.added` and `paycheck_viewer.added` are new in 2025-07-08."""

WebhookStatus: TypeAlias = Literal["active", "paused"]
"""Whether a webhook receives events."""

WebhookVersion: TypeAlias = Literal["2022-09-09", "2023-04-18", "2023-07-18", "2023-11-22", "2025-07-08"]
"""Versions that the payloads of a webhook can have."""


@frozen(kw_only=True, repr=False)
class WebhookRequest(Model):
    """Asks for a new webhook. Shape since 2023-04-18."""

    url: str
    """URL of the receiver; must be https."""
    status: WebhookStatus
    """Whether the webhook receives events."""
    enabled_events: tuple[WebhookEventName, ...]
    """Names of the events to receive; at least one."""
    version: WebhookVersion
    """Payload version of the events."""
    customer_id: str | None = None
    """Customer id; banking platforms only. New in 2025-07-08."""


@frozen(kw_only=True, repr=False)
class WebhookUpdateRequest(Model):
    """Changes a webhook; what is left out stays as it is."""

    url: str | None = None
    """URL of the receiver; must be https."""
    status: WebhookStatus | None = None
    """Whether the webhook receives events."""
    enabled_events: tuple[WebhookEventName, ...] | None = None
    """Names of the events to receive; at least one."""
    customer_id: str | None = None
    """Customer id; banking platforms only. New in 2025-07-08."""


@frozen(kw_only=True, repr=False)
class Webhook(Model):
    """A registered webhook endpoint."""

    url: str
    """URL of the receiver; must be https."""
    status: WebhookStatus | str
    """Whether the webhook receives events."""
    enabled_events: tuple[WebhookEventName | str, ...]
    """Names of the events to receive; at least one."""
    version: WebhookVersion | str
    """Payload version of the events."""
    id: str
    """Id of the webhook."""
    created_at: Timestamp
    """When the webhook was created."""
    last_updated: Timestamp
    """When the webhook last changed."""
    customer_id: str | None = None
    """Customer id; banking platforms only. New in 2025-07-08."""
