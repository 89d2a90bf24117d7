"""Switches of the means of payment of a bill, and cancellations of bills."""

from typing import ClassVar

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.events._base import JobEvent, JobName, event
from pinwheel_async.models.job import BillDetectionMethod, BillFrequency, BillPaymentType, JobMerchantPayment


@frozen(kw_only=True, repr=False)
class BillParams(Model):
    """The bill that a job dealt with; each key comes as far as it applies."""

    bill_id: str | None = None
    """Bill; the `id` of `bill.*` events."""
    frequency: BillFrequency | str | None = None
    """How often the bill is paid."""
    next_payment_date: Timestamp | None = None
    """Expected next payment."""
    next_payment_amount_cents: MinorUnits | None = None
    """Expected next payment, in cents."""
    detection_method: BillDetectionMethod | str | None = None
    """How the bill was found."""
    reported_platform_name: str | None = None
    """Name that the user gave to a merchant that Pinwheel does not track."""
    reserved_platform_id: str | None = None
    """Id that such a merchant would get if it were tracked later."""


@frozen(kw_only=True, repr=False)
class BillSwitchParams(BillParams):
    """What a bill switch did."""

    is_integrated_switch: bool | None = None
    """True if Pinwheel switched, false if the user was guided."""
    type: BillPaymentType | str | None = None
    """Means of payment; integrated switches only."""
    payment: JobMerchantPayment | None = None
    """The new means of payment; guided switches may leave it out."""


@frozen(kw_only=True, repr=False)
class BillCancellationParams(BillParams):
    """What a cancellation did."""

    is_integrated_cancellation: bool | None = None
    """True if Pinwheel cancelled, false if the user was guided."""


@frozen(kw_only=True, repr=False)
class BillSwitchEvent(JobEvent):
    """A bill was switched or cancelled, or could not be. Where `platform_id` is missing, `account.added` has it."""

    params: BillParams | None = None
    """The bill, and what was done to it."""


@event("bill_switch.added")
@frozen(kw_only=True, repr=False)
class BillSwitchAdded(BillSwitchEvent):
    """The means of payment of a bill was switched, or could not be."""

    JOB: ClassVar[JobName | None] = "bill_switch"

    params: BillSwitchParams | None = None
    """What the switch did."""


@event("bill_switch.cancelled")
@frozen(kw_only=True, repr=False)
class BillSwitchCancelled(BillSwitchEvent):
    """A bill was cancelled, or could not be. Its job is called `bill_cancellation`."""

    JOB: ClassVar[JobName | None] = "bill_cancellation"

    params: BillCancellationParams | None = None
    """What the cancellation did."""
