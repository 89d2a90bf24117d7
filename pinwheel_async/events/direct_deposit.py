"""Direct deposits: where the pay goes, and switches of it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits
from pinwheel_async._core.model import Model
from pinwheel_async.events._base import JobEvent, JobName, event
from pinwheel_async.models.enums import AllocationType
from pinwheel_async.models.job import JobAllocationTarget, SwitchAction
from pinwheel_async.products import Product


@frozen(kw_only=True, repr=False)
class SwitchAllocation(Model):
    """The share of the pay that a deposit switch sends to its target."""

    type: AllocationType | str | None = None
    """How the share is expressed."""
    value: Decimal | None = None
    """Percent or amount, depending on `type`; null for the remainder. The unit of an amount is (unverified); in
    webhooks of a version before 2023-11-22 it was cents, and the number is passed on as it came."""
    target: JobAllocationTarget | None = None
    """Account that receives the share; with several targets in the Link token, the one that the user chose."""


@frozen(kw_only=True, repr=False)
class DirectDepositSwitchParams(Model):
    """What a deposit switch did. The `amount` of versions before 2023-11-22 is lifted into `allocation`."""

    action: SwitchAction | str | None = None
    """Whether all of the pay moved or a part."""
    allocation: SwitchAllocation | None = None
    """The share that moved; null on errors."""


@frozen(kw_only=True, repr=False)
class DirectDepositPaymentParams(Model):
    """What a payment moved."""

    amount: MinorUnits | None = None
    """Amount in cents; null on errors."""


@frozen(kw_only=True, repr=False)
class DirectDepositEvent(JobEvent):
    """Something about the direct deposits of an account."""


@event("direct_deposit_switch.added")
@frozen(kw_only=True, repr=False)
class DirectDepositSwitchAdded(DirectDepositEvent):
    """A direct deposit was switched, or could not be."""

    PRODUCTS: ClassVar[tuple[Product, ...]] = ("direct_deposit_allocations",)
    JOB: ClassVar[JobName | None] = "direct_deposit_switch"

    params: DirectDepositSwitchParams | None = None
    """What the switch did."""


@event("direct_deposit_allocations.added")
@frozen(kw_only=True, repr=False)
class DirectDepositAllocationsAdded(DirectDepositEvent):
    """The direct deposit allocations of an account were fetched, or changed since."""

    PRODUCTS: ClassVar[tuple[Product, ...]] = ("direct_deposit_allocations",)
    JOB: ClassVar[JobName | None] = "direct_deposit_allocations"

    params: Mapping[str, Any] | None = None
    """Parameters of the job; none are documented, and it comes as an empty object."""


@event("direct_deposit_payment.added")
@frozen(kw_only=True, repr=False)
class DirectDepositPaymentAdded(DirectDepositEvent):
    """A payment was made by direct deposit. Retired: webhooks can no longer ask for it."""

    JOB: ClassVar[JobName | None] = "direct_deposit_payment"

    params: DirectDepositPaymentParams | None = None
    """What the payment moved."""
