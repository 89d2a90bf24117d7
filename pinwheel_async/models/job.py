"""Jobs started from Link, in the shape since 2023-11-22; older answers are lifted to it."""

from datetime import date
from decimal import Decimal
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp, Year
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import AllocationType, BankAccountType, DocumentType, JobType

JobOutcome: TypeAlias = Literal["pending", "error", "success"]
"""How a job ended, or that it has not yet."""

SyncStatus: TypeAlias = Literal["in_progress", "complete"]
"""Whether a sync is finished."""

SwitchAction: TypeAlias = Literal["full_switch", "partial_switch"]
"""Whether a deposit switch moves all of the pay or a part."""

BillPaymentType: TypeAlias = Literal["ach", "card"]
"""Means of payment of a bill switch."""

BillFrequency: TypeAlias = Literal[
    "weekly",
    "bi-weekly",
    "monthly",
    "bi-monthly",
    "quarterly",
    "semi-yearly",
    "yearly",
    "other",
]
"""How often a bill is paid."""

BillDetectionMethod: TypeAlias = Literal["manual", "external_plaid", "first_party"]
"""How a bill was found."""


@frozen(kw_only=True, repr=False)
class JobAllocationTarget(Model):
    """A bank account that a deposit switch went to."""

    account_name: str | None = None
    """Name of the account."""
    account_type: BankAccountType | str | None = None
    """Kind of bank account."""
    last_four_account_number: str | None = None
    """Last four digits of the account number. New in 2025-07-08."""


@frozen(kw_only=True, repr=False)
class JobAllocation(Model):
    """An allocation made by a deposit switch job."""

    type: AllocationType | str | None = None
    """How the share is expressed."""
    value: Decimal | None = None
    """Percent or amount, depending on `type`. Whether an amount is cents or dollars is (unverified): the schema says
    whole number, and the Link token that asks for it takes dollars with decimals."""
    target: JobAllocationTarget | None = None
    """Account that receives the share."""


@frozen(kw_only=True, repr=False)
class JobMerchantPayment(Model):
    """The means of payment that a bill switch job set. New in 2025-07-08."""

    card_name: str | None = None
    """Name of the new card."""
    last_four_card_number: str | None = None
    """Last four digits of the card number."""
    account_name: str | None = None
    """Name of the account."""
    account_type: BankAccountType | str | None = None
    """Kind of bank account."""
    last_four_account_number: str | None = None
    """Last four digits of the account number."""


@frozen(kw_only=True, repr=False)
class JobParams(Model):
    """Parameters and counters of a job. Shape since 2023-11-22."""

    document_type: DocumentType | str | None = None
    """Kind of document."""
    pay_date: str | None = None
    """Day the pay arrives, as text."""
    year: Year | None = None
    """Calendar or tax year."""
    count: int | None = None
    """Number of objects that the job fetched."""
    from_pay_date: date | None = None
    """Earliest pay date fetched."""
    to_pay_date: date | None = None
    """Latest pay date fetched."""
    has_potential_paystubs_documents: bool | None = None
    """Whether a job for the paystub documents will be tried."""
    sync_status: SyncStatus | str | None = None
    """Whether the sync is finished."""
    card_name: str | None = None
    """Name of the new card."""
    action: SwitchAction | str | None = None
    """Full or partial switch."""
    allocation: JobAllocation | None = None
    """Allocation that the job made."""
    bill_id: str | None = None
    """Recurring bill; the id in `bill.*` events. New in 2025-07-08."""
    type: BillPaymentType | str | None = None
    """Means of payment of a bill switch. New in 2025-07-08."""
    payment: JobMerchantPayment | None = None
    """Means of payment that was changed. New in 2025-07-08."""
    frequency: BillFrequency | str | None = None
    """How often the bill is paid. New in 2025-07-08."""
    next_payment_date: Timestamp | None = None
    """Next payment, if known. New in 2025-07-08."""
    next_payment_amount_cents: MinorUnits | None = None
    """Expected next payment, in cents. New in 2025-07-08."""
    is_integrated_switch: bool | None = None
    """Whether the switch is integrated (true) or guided (false). New in 2025-07-08."""
    is_integrated_cancellation: bool | None = None
    """Whether the cancellation is integrated (true) or guided (false). New in 2025-07-08."""
    detection_method: BillDetectionMethod | str | None = None
    """How the bill was found. New in 2025-07-08."""
    reported_platform_name: str | None = None
    """Name of a merchant that Pinwheel does not track. New in 2025-07-08."""
    reserved_platform_id: str | None = None
    """Id the merchant would get if it were tracked later. New in 2025-07-08."""


@frozen(kw_only=True, repr=False)
class Job(Model):
    """A job started from Link, finished or pending. Shape since 2023-11-22."""

    id: str
    """Id of the job."""
    name: JobType | str
    """What the job does."""
    timestamp: Timestamp
    """When the job finished."""
    outcome: JobOutcome | str
    """How the job ended, or that it is pending."""
    link_token_id: str
    """Link token that started the job."""
    error_code: str | None = None
    """Specific error when `outcome` is `error`."""
    error_type: str | None = None
    """Broad class of the error when `outcome` is `error`."""
    params: JobParams | None = None
    """Parameters of the job."""
    account_id: str | None = None
    """Account that the job belongs to."""
