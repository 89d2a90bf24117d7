"""Income of the owner of an account: the rate of pay."""

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import CompensationUnit, Currency, PayFrequency


@frozen(kw_only=True, repr=False)
class Income(Model):
    """Current pay rate of the account owner."""

    id: str
    """Id of the income."""
    created_at: Timestamp
    """When the income was created."""
    updated_at: Timestamp
    """When the income last changed."""
    account_id: str
    """Account that the income belongs to."""
    compensation_amount: MinorUnits
    """Pay per `compensation_unit`, in minor units of `currency`."""
    compensation_unit: CompensationUnit | str
    """What one `compensation_amount` pays for."""
    currency: Currency | str
    """Currency of the pay: an ISO 4217 code, upper case."""
    pay_frequency: PayFrequency | str | None = None
    """How often pay comes."""
