"""Employers and platforms found by search."""

from decimal import Decimal
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import CompanyJobType, JobType, PlatformType

SearchResultType: TypeAlias = Literal["employer", "platform"]
"""Which kind of object a search result is."""


@frozen(kw_only=True, repr=False)
class SearchResult(Model):
    """One employer or platform found by search."""

    id: str
    """Id of the employer or platform."""
    name: str
    """Name of the employer or platform."""
    last_updated: Timestamp
    """When the employer or platform last changed."""
    supported_jobs: tuple[JobType | CompanyJobType | str, ...]
    """Jobs that the employer or platform can do."""
    fractional_amount_supported: bool
    """Whether a deposit switch may have amounts with decimals."""
    amount_supported: bool
    """Whether a deposit switch may have a fixed amount."""
    min_amount: Decimal | None
    """Smallest amount of a deposit switch, in dollars (unverified). Required, yet null in every answer seen."""
    max_amount: Decimal | None
    """Largest amount of a deposit switch, in dollars (unverified). Required, yet null in every answer seen."""
    response_type: SearchResultType | str
    """Which kind of object this is."""
    min_percentage: int
    """Smallest percentage of a deposit switch; above 0, below 100."""
    max_percentage: int
    """Largest percentage of a deposit switch; above 0, below 100."""
    percentage_supported: bool
    """Whether a deposit switch may have a percentage."""
    platform_type: PlatformType | str | None = None
    """Kind of platform; may be missing for employers."""
    logo_url: str | None = None
    """URL of the logo."""
