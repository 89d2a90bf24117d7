"""Objects of the time before 2021-04-29, without version header: bare, flat, and deprecated."""

from decimal import Decimal
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Model, Timestamp
from pinwheel_async.models.enums import BankAccountType, CompanyJobType, JobType, Mode
from pinwheel_async.models.search import SearchResultType
from pinwheel_async.models.webhook import WebhookStatus

LegacyJobName: TypeAlias = Literal["direct_deposit_switch", "direct_deposit_payment"]
"""The two jobs of that time."""

LegacyJobOutcome: TypeAlias = Literal["success", "error"]
"""How a job ended."""


@frozen(kw_only=True, repr=False)
class LegacyLinkTokenRequest(Model):
    """Asks for a link token with one job."""

    job: LegacyJobName | str
    """Job to run."""
    org_name: str
    """App name shown in Link."""
    account_number: str
    """Number of the target account."""
    routing_number: str
    """Routing number of the target account."""
    account_type: BankAccountType | str
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
class LegacyLinkToken(Model):
    """A short-lived token that opens Link."""

    mode: Mode | str
    """Environment of the token."""
    token: str
    """Token that opens Link."""
    expires: float
    """End of validity, in Unix seconds."""
    token_id: str
    """Id of the token."""


@frozen(kw_only=True, repr=False)
class LegacySiteRequest(Model):
    """Asks for a hosted page with one job."""

    job: LegacyJobName | str
    """Job to run."""
    org_name: str
    """App name shown in Link."""
    account_number: str
    """Number of the target account."""
    routing_number: str
    """Routing number of the target account."""
    account_type: BankAccountType | str
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


@frozen(kw_only=True, repr=False)
class LegacyJobParams(Model):
    """The parameters of a job."""

    amount: MinorUnits | None
    """Amount, in cents."""


@frozen(kw_only=True, repr=False)
class LegacyJob(Model):
    """A finished job."""

    id: str
    """Id of the job."""
    name: LegacyJobName | str
    """What the job did."""
    timestamp: Timestamp
    """When the job finished. It was sent without offset."""
    outcome: LegacyJobOutcome | str
    """How the job ended."""
    link_token_id: str
    """Link token that started the job."""
    params: LegacyJobParams
    """Parameters of the job."""
    error_code: str | None = None
    """Error of the job."""


@frozen(kw_only=True, repr=False)
class LegacyEmployer(Model):
    """An employer that users can pick in Link."""

    id: str
    """Id of the employer."""
    name: str
    """Name of the employer."""
    fractional_amount_supported: bool
    """Whether a deposit switch may have amounts with decimals."""
    supported_jobs: tuple[JobType | CompanyJobType | str, ...]
    """Jobs that the employer can do."""
    last_updated: Timestamp
    """When the employer last changed. It was sent with a space and a `+00` offset."""
    min_amount: Decimal | None = None
    """Smallest amount of a deposit switch, in dollars (unverified)."""
    max_amount: Decimal | None = None
    """Largest amount of a deposit switch, in dollars (unverified)."""
    logo_url: str | None = None
    """URL of the logo."""


@frozen(kw_only=True, repr=False)
class LegacyPlatform(Model):
    """A payroll platform."""

    id: str
    """Id of the platform."""
    name: str
    """Name of the platform."""
    fractional_amount_supported: bool
    """Whether a deposit switch may have amounts with decimals."""
    supported_jobs: tuple[JobType | CompanyJobType | str, ...]
    """Jobs that the platform can do."""
    last_updated: Timestamp
    """When the platform last changed. It was sent with a space and a `+00` offset."""
    min_amount: Decimal | None = None
    """Smallest amount of a deposit switch, in dollars (unverified)."""
    max_amount: Decimal | None = None
    """Largest amount of a deposit switch, in dollars (unverified)."""
    logo_url: str | None = None
    """URL of the logo."""


@frozen(kw_only=True, repr=False)
class LegacySearchResult(Model):
    """One employer or platform found by search."""

    id: str
    """Id of the employer or platform."""
    name: str
    """Name of the employer or platform."""
    fractional_amount_supported: bool
    """Whether a deposit switch may have amounts with decimals."""
    supported_jobs: tuple[JobType | CompanyJobType | str, ...]
    """Jobs that the employer or platform can do."""
    last_updated: Timestamp
    """When the employer or platform last changed. It was sent with a space and a `+00` offset."""
    response_type: SearchResultType | str
    """Which kind of object this is."""
    min_amount: Decimal | None = None
    """Smallest amount of a deposit switch, in dollars (unverified)."""
    max_amount: Decimal | None = None
    """Largest amount of a deposit switch, in dollars (unverified)."""
    logo_url: str | None = None
    """URL of the logo."""


@frozen(kw_only=True, repr=False)
class LegacyWebhookRequest(Model):
    """Asks for a new webhook."""

    url: str
    """URL of the receiver; must be https."""
    status: WebhookStatus | str
    """Whether the webhook receives events."""
    enabled_events: tuple[str, ...]
    """Names of the events to receive; at least one."""


@frozen(kw_only=True, repr=False)
class LegacyWebhook(Model):
    """A registered webhook endpoint."""

    url: str
    """URL of the receiver; must be https."""
    status: WebhookStatus | str
    """Whether the webhook receives events."""
    id: str
    """Id of the webhook."""
    created_at: Timestamp | None = None
    """When the webhook was created; only in the list. It was sent without offset."""
