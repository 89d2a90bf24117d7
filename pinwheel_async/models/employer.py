"""Employers that users can pick in Link."""

from decimal import Decimal

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import CompanyJobType, JobType


@frozen(kw_only=True, repr=False)
class Employer(Model):
    """An employer that users can pick in Link."""

    id: str
    """Id of the employer."""
    name: str
    """Name of the employer."""
    last_updated: Timestamp
    """When the employer last changed."""
    supported_jobs: tuple[JobType | CompanyJobType | str, ...]
    """Jobs that the employer can do."""
    fractional_amount_supported: bool
    """Whether a deposit switch may have amounts with decimals."""
    amount_supported: bool
    """Whether a deposit switch may have a fixed amount."""
    min_percentage: int
    """Smallest percentage of a deposit switch; above 0, below 100."""
    max_percentage: int
    """Largest percentage of a deposit switch; above 0, below 100."""
    percentage_supported: bool
    """Whether a deposit switch may have a percentage."""
    logo_url: str | None = None
    """URL of the logo."""
    min_amount: Decimal | None = None
    """Smallest amount of a deposit switch, in dollars (unverified)."""
    max_amount: Decimal | None = None
    """Largest amount of a deposit switch, in dollars (unverified)."""
