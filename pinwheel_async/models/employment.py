"""Employment of the owner of an account."""

from datetime import date

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import EmploymentStatus
from pinwheel_async.models.identity import Address, PhoneNumber


@frozen(kw_only=True, repr=False)
class Employment(Model):
    """Current employment facts of the account owner."""

    id: str
    """Id of the employment."""
    created_at: Timestamp
    """When the employment was created."""
    updated_at: Timestamp
    """When the employment last changed."""
    account_id: str
    """Account that the employment belongs to."""
    employer_name: str
    """Name of the employer. In the sandbox it need not be the employer picked in Link."""
    status: EmploymentStatus | str | None = None
    """Employment status."""
    start_date: date | None = None
    """First day of the employment."""
    termination_date: date | None = None
    """Last day of the employment, if it ended."""
    employer_address: Address | None = None
    """Address of the employer."""
    employer_phone_number: PhoneNumber | None = None
    """Phone number of the employer."""
    title: str | None = None
    """Job title."""
