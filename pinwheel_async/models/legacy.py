"""Legacy calls from before 2021-04-29, deprecated: flat bodies, and answers without envelope."""

from decimal import Decimal
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import BankAccountType

LegacyJobName: TypeAlias = Literal["direct_deposit_switch", "direct_deposit_payment"]
"""The two jobs of that time."""


@frozen(kw_only=True, repr=False)
class LegacyLinkTokenRequest(Model):
    """Asks for a link token with one job."""

    job: LegacyJobName
    """Job to run."""
    org_name: str
    """App name shown in Link."""
    account_number: str
    """Number of the target account."""
    routing_number: str
    """Routing number of the target account."""
    account_type: BankAccountType
    """Kind of the target account."""
    account_name: str | None = None
    """Name of the account."""
    amount: Decimal | None = None
    """Amount to move, in dollars with exactly two decimals; needed when `job` is `direct_deposit_payment`."""
    employer_id: str | None = None
    """Employer to open Link at."""
    platform_id: str | None = None
    """Platform to open Link at."""
    disable_direct_deposit_splitting: bool = False
    """Whether to allow full switches only."""
    skip_exit_survey: bool = False
    """Whether to skip the survey at the end."""


@frozen(kw_only=True, repr=False)
class LegacySiteRequest(Model):
    """Asks for a hosted page with one job."""

    job: LegacyJobName
    """Job to run."""
    org_name: str
    """App name shown in Link."""
    account_number: str
    """Number of the target account."""
    routing_number: str
    """Routing number of the target account."""
    account_type: BankAccountType
    """Kind of the target account."""
    redirect_url: str
    """URL to return to."""
    amount: Decimal | None = None
    """Amount to move, in dollars with exactly two decimals; needed when `job` is `direct_deposit_payment`."""
    employer_id: str | None = None
    """Employer to open Link at."""
    platform_id: str | None = None
    """Platform to open Link at."""
    skip_exit_survey: bool = False
    """Whether to skip the survey at the end."""
    ttl: float = 900
    """Life of the page, in seconds; 900 to 1209600."""


@frozen(kw_only=True, repr=False)
class LegacySite(Model):
    """A hosted page with one job."""

    url: str
    """URL of the page."""
    expires: float
    """End of validity, in Unix seconds."""
    token_id: str
    """Id of the token."""
