"""Earnings stream of an end user."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async.events._base import EndUserEvent, event


@event("earnings_stream.payouts.refreshed")
@frozen(kw_only=True, repr=False)
class EarningsStreamPayoutsRefreshed(EndUserEvent):
    """The payouts of an end user, over all accounts, are ready or have changed."""

    updated_at: Timestamp | None = None
    """When the payouts last changed (unverified)."""
    refreshed_at: Timestamp | None = None
    """When the payouts were last checked (unverified)."""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: not all of it is documented."""
