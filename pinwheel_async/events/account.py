"""Accounts: connected, their monitoring, and what else could be connected."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async.events._base import AccountEvent, event
from pinwheel_async.models.account import MonitoringStatus
from pinwheel_async.models.enums import PlatformType


@event("account.added")
@frozen(kw_only=True, repr=False)
class AccountAdded(AccountEvent):
    """An end user logged in, so that there is a new account; the same moment as Link's `login`.

    Often the first event of a connection, but no rule says so. Whether connecting a known account again brings another
    one is (unverified).
    """

    platform_id: str
    """Platform of the account."""
    created_at: Timestamp
    """When the account was created; there is no `timestamp`."""
    connected: bool
    """Whether new data can be fetched later."""
    link_token_id: str | None = None
    """Link token of the session."""
    platform_name: str | None = None
    """Name of the platform; `Other (merchant)` for a merchant that Pinwheel does not track. Null before 2022."""
    platform_type: PlatformType | str | None = None
    """Kind of the platform; older webhooks leave it out."""
    reported_platform_name: str | None = None
    """Name that the user gave to a merchant that Pinwheel does not track."""
    reserved_platform_id: str | None = None
    """Id that such a merchant would get if it were tracked later."""
    monitoring_status: MonitoringStatus | str | None = None
    """State of background monitoring; older webhooks leave it out."""


@event("account.monitoring_status.updated")
@frozen(kw_only=True, repr=False)
class AccountMonitoringStatusUpdated(AccountEvent):
    """The ability to refresh the account changed; also when an On Demand Update brought monitoring back.

    On `user_action_required` the end user must log in again, with a new Link token made for this `account_id`.
    """

    monitoring_status: MonitoringStatus | str
    """The new state."""
    link_token_id: str | None = None
    """Link token of the session (unverified)."""
    connected: bool | None = None
    """Whether new data can be fetched later (unverified)."""
    platform_id: str | None = None
    """Platform of the account (unverified)."""
    platform_name: str | None = None
    """Name of the platform (unverified)."""
    timestamp: Timestamp | None = None
    """When the state changed (unverified)."""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: not all of it is documented."""


@event("account.additional_connections_recommended")
@frozen(kw_only=True, repr=False)
class AccountAdditionalConnectionsRecommended(AccountEvent):
    """The account's data was analysed, and another account of the same end user could add to it.

    The way there is a new Link token for the same `end_user_id` with the platform type `time_and_attendance`.
    """

    additional_connections: tuple[Mapping[str, Any], ...]
    """Recommendations. Their key `action` is documented, with the value `search`; the other keys are (unverified)."""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: not all of it is documented."""


@event("account.disconnected")
@frozen(kw_only=True, repr=False)
class AccountDisconnected(AccountEvent):
    """The account was disconnected. Retired in 2022; its payload is (unverified)."""

    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: nothing of it is documented."""


@event("account.reconnected")
@frozen(kw_only=True, repr=False)
class AccountReconnected(AccountEvent):
    """The account was connected again. Retired in 2022; its name and its payload are (unverified)."""

    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: nothing of it is documented."""
