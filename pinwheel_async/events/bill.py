"""Recurring bills of end users. No endpoint returns them: what an event says is all there is, so keep it."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp
from pinwheel_async.events._base import EndUserEvent, event
from pinwheel_async.models.job import BillDetectionMethod, BillFrequency, JobMerchantPayment


@frozen(kw_only=True, repr=False)
class BillEvent(EndUserEvent):
    """Something about a bill, found in transactions and not by a job: it belongs to the end user, to no account."""

    id: str
    """Bill; `params.bill_id` in `bill_switch.*` events."""
    platform_id: str | None
    """Merchant."""
    platform_name: str | None
    """Name of the merchant; `Other (merchant)` for one that Pinwheel does not track."""
    detection_method: BillDetectionMethod | str | None
    """How the bill was found."""
    frequency: BillFrequency | str | None
    """How often it is paid."""
    next_payment_amount_cents: MinorUnits | None
    """Expected next payment, in cents; 0 for a bill that the user typed in."""
    first_seen_at: Timestamp | None
    """When the bill was found."""
    reported_platform_name: str | None = None
    """Name that the user gave to a merchant that Pinwheel does not track."""
    reserved_platform_id: str | None = None
    """Id that such a merchant would get if it were tracked later."""
    next_payment_date: Timestamp | None = None
    """Expected next payment."""
    last_payment_date: Timestamp | None = None
    """Last payment seen."""
    payment: JobMerchantPayment | None = None
    """Means of payment in use."""


@event("bill.added")
@frozen(kw_only=True, repr=False)
class BillAdded(BillEvent):
    """A bill was found. The first connection of an end user brings one event per bill, in a burst."""

    platform_id: str
    """Merchant."""
    platform_name: str
    """Name of the merchant; `Other (merchant)` for one that Pinwheel does not track."""
    detection_method: BillDetectionMethod | str
    """How the bill was found."""
    frequency: BillFrequency | str
    """How often it is paid."""
    next_payment_amount_cents: MinorUnits
    """Expected next payment, in cents; 0 for a bill that the user typed in."""
    first_seen_at: Timestamp
    """When the bill was found."""


@frozen(kw_only=True, repr=False)
class BillChangeEvent(BillEvent):
    """Something about a bill that `bill.added` announced: the same record, as far as it is there (unverified)."""

    platform_id: str | None = None
    """Merchant."""
    platform_name: str | None = None
    """Name of the merchant; `Other (merchant)` for one that Pinwheel does not track."""
    detection_method: BillDetectionMethod | str | None = None
    """How the bill was found."""
    frequency: BillFrequency | str | None = None
    """How often it is paid."""
    next_payment_amount_cents: MinorUnits | None = None
    """Expected next payment, in cents; 0 for a bill that the user typed in."""
    first_seen_at: Timestamp | None = None
    """When the bill was found."""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: not all of it is documented."""


@event("bill.updated")
@frozen(kw_only=True, repr=False)
class BillUpdated(BillChangeEvent):
    """A bill changed."""


@event("bill.reminder")
@frozen(kw_only=True, repr=False)
class BillReminder(BillChangeEvent):
    """A bill is due soon."""


@event("bill.removed")
@frozen(kw_only=True, repr=False)
class BillRemoved(BillChangeEvent):
    """A bill is gone."""
