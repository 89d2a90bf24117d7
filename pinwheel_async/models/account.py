"""Payroll accounts that end users connected, and how fresh their data is."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model

MonitoringStatus: TypeAlias = Literal["active", "degraded", "user_action_required", "customer_disabled", "unavailable"]
"""State of the background monitoring of an account."""


@frozen(kw_only=True, repr=False)
class AccountDataUpdatedAt(Model):
    """When each kind of data of an account last changed. There is no key for tax forms."""

    direct_deposit_allocations: Timestamp | None = None
    """When the direct deposit allocations last changed."""
    income: Timestamp | None = None
    """When the income last changed."""
    employment: Timestamp | None = None
    """When the employment last changed."""
    identity: Timestamp | None = None
    """When the identity last changed."""
    shifts: Timestamp | None = None
    """When the shifts last changed."""
    paystubs: Timestamp | None = None
    """When the paystubs last changed."""


@frozen(kw_only=True, repr=False)
class AccountDataRefreshedAt(Model):
    """When each kind of data of an account was last checked at the source. There is no key for tax forms."""

    direct_deposit_allocations: Timestamp | None = None
    """When the direct deposit allocations were last checked."""
    income: Timestamp | None = None
    """When the income was last checked."""
    employment: Timestamp | None = None
    """When the employment was last checked."""
    identity: Timestamp | None = None
    """When the identity was last checked."""
    shifts: Timestamp | None = None
    """When the shifts were last checked."""
    paystubs: Timestamp | None = None
    """When the paystubs were last checked."""


@frozen(kw_only=True, repr=False)
class Account(Model):
    """A payroll account that an end user connected."""

    created_at: Timestamp
    """When the account was created."""
    platform_id: str
    """Platform of the account."""
    connected: bool
    """Whether new data can still be fetched."""
    monitoring_status: MonitoringStatus | str
    """State of background monitoring."""
    id: str
    """Id of the account."""
    data_updated_at: AccountDataUpdatedAt
    """When each kind of data last changed."""
    data_refreshed_at: AccountDataRefreshedAt
    """When each kind of data was last checked at the source."""
    link_token_id: str | None = None
    """Link token that started the connection."""
    end_user_id: str | None = None
    """Your own user id: 1 to 255 characters, stripped of whitespace at the ends, no personal data. Required in
    2023-11-22, optional in 2025-07-08."""
    customer_id: str | None = None
    """Customer id; banking platforms only. New in 2025-07-08."""
    tags: Mapping[str, Any] | None = None
    """Tags of the link token that started the connection. New in 2025-07-08."""
    reseller_customer_id: str | None = None
    """Customer id of a reseller. New in 2025-07-08."""
