"""Direct deposit allocations: how the pay of an account is split between bank accounts today."""

from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import AllocationType, Currency

DepositAccountType: TypeAlias = Literal["checking", "savings", "debit_card", "pay_card"]
"""Kind of account that receives pay."""


@frozen(kw_only=True, repr=False)
class DirectDepositAllocation(Model):
    """One row of the current direct deposit setup of an account."""

    allocation_type: AllocationType | str
    """How the share is expressed."""
    currency: Currency | str
    """Currency of `amount`: an ISO 4217 code, upper case."""
    account_name: str | None = None
    """Name of the receiving account."""
    account_type: DepositAccountType | str | None = None
    """Kind of the receiving account."""
    amount: MinorUnits | None = None
    """Fixed amount, in minor units of `currency`; set when `allocation_type` is `amount`."""
    bank_name: str | None = None
    """Bank that owns the routing number, when known."""
    masked_account_number: str | None = None
    """Last 2 or 4 digits of the account number."""
    percentage: float | None = None
    """Share in percent; set when `allocation_type` is `percentage`."""
    priority: int | None = None
    """Fill order; low first."""
    routing_number: str | None = None
    """Full routing number or its last four digits, as the platform shows it."""


@frozen(kw_only=True, repr=False)
class DirectDepositAllocations(Model):
    """The whole direct deposit setup of an account."""

    id: str
    """Id of the setup."""
    account_id: str
    """Account that the setup belongs to."""
    created_at: Timestamp
    """When the setup was created."""
    updated_at: Timestamp
    """When the setup last changed."""
    allocations: tuple[DirectDepositAllocation, ...]
    """The rows of the setup."""
