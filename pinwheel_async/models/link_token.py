"""Link tokens, which open Link, and what can be asked of them."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias, cast

from attrs import field, frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import BankAccountType, JobType, Language, Mode, PlatformType

AllocationRequestType: TypeAlias = Literal["amount"]
"""How a requested share of the pay is expressed; percentages cannot be preset."""

RequiredJob: TypeAlias = Literal[
    "direct_deposit_switch",
    "direct_deposit_allocations",
    "direct_deposit_payment",
    "employment",
    "identity",
    "income",
    "paystubs",
    "shifts",
    "tax_forms",
]
"""Jobs that a 2023-11-22 link token can ask for."""

PlatformType20231122: TypeAlias = Literal["payroll", "time_and_attendance", "tax"]
"""Kinds of platform that a 2023-11-22 link token can ask for."""

UploadRoute: TypeAlias = Literal["direct", "fallback", "disabled"]
"""Route to document upload or to the deposit form."""

Solution: TypeAlias = Literal[
    "Verify",
    "Bill Switch",
    "Bill Manager",
    "Paycheck Viewer",
    "Switch Kit",
    "Deposit Switch",
]
"""Pinwheel product that Link shows."""

UseCase: TypeAlias = Literal["account_onboarding", "account_servicing", "underwriting"]
"""Where in the app Link is opened."""

# fmt: off
# In rows: one code per line would hide the rest of the file.
UsState: TypeAlias = Literal[
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA", "ME",
    "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA",
    "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY",
]
# fmt: on
"""Codes of the states of the US."""


def _exact(value: Decimal | int | None) -> Decimal | None:
    # True stays as it is, to be refused before it is sent.
    return Decimal(value) if type(value) is int else cast("Decimal | None", value)


def _month_and_year(value: date | str) -> str:
    # What cannot be written with two digits of the year stays as it is, to be refused before it is sent.
    if isinstance(value, date) and not isinstance(value, datetime) and 2000 <= value.year < 2100:
        return f"{value:%m/%y}"
    return cast("str", value)


@frozen(kw_only=True, repr=False)
class LinkTokenBankAccount(Model):
    """A target bank account for a deposit switch, which needs `type`, `routing_number` and `account_number`."""

    name: str | None = None
    """Name shown to the user; 2 to 30 characters."""
    type: BankAccountType | None = None
    """Kind of account."""
    routing_number: str | None = None
    """Routing number; 9 digits."""
    account_number: str | None = None
    """Account number; at least 5 digits, in 2023-11-22 at least 6."""


@frozen(kw_only=True, repr=False)
class LinkTokenAllocation(Model):
    """How much of the pay a deposit switch moves, and to which accounts."""

    type: AllocationRequestType | None = None
    """`amount` for a fixed amount; null lets the user choose."""
    value: Decimal | None = field(default=None, converter=_exact)
    """Amount to move, in dollars; decimals allowed. Needed when `type` is `amount`; not below `min_amount`."""
    min_amount: Decimal | None = field(default=None, converter=_exact)
    """Lowest amount the user may choose, in dollars; decimals allowed."""
    targets: tuple[LinkTokenBankAccount, ...] = ()
    """Accounts that may receive the pay."""


@frozen(kw_only=True, repr=False)
class PlatformMatching(Model):
    """Personal data that finds the payroll platforms of a user. A bad `email` gives a 400."""

    social_security_number: str | None = None
    """Full Social Security number, 9 digits; matches best."""
    social_security_number_last_four: str | None = None
    """Last four digits of the Social Security number."""
    date_of_birth: date | None = None
    """Birth date."""
    last_name: str | None = None
    """Last name."""
    first_name: str | None = None
    """First name."""
    mobile_phone_number: str | None = None
    """Phone number without country code; 10 digits."""
    home_address_zip_code: str | None = None
    """ZIP code of the home; 5 digits."""
    email: str | None = None
    """Email address."""


@frozen(kw_only=True, repr=False)
class LinkTokenEndUser(Model):
    """Optional data about the end user of a link token."""

    platform_matching: PlatformMatching | None = None
    """Personal data for matching. In 2023-11-22 it cannot be combined with `skip_intro_screen`."""


@frozen(kw_only=True, repr=False)
class LinkTokenCard(Model):
    """A card for a bill switch. New in 2025-07-08."""

    card_name: str
    """Name of the new card; 2 to 30 characters."""
    card_number: str
    """Card number; 8 to 19 digits."""
    expiration_date: str = field(converter=_month_and_year, metadata={"wanted": "a date or MM/YY, such as 05/29"})
    """Month in which the card expires, sent as MM/YY; made of a date, or of such text. The schema says date, its text
    and every public example MM/YY."""
    name_on_card: str
    """Name on the card."""
    card_zip_code: str
    """ZIP code of the card; 5 digits."""
    cvc: str | None = None
    """Security code; 3 to 4 characters."""
    billing_address: str | None = None
    """First line of the billing address."""
    billing_address_two: str | None = None
    """Second line of the billing address."""
    city: str | None = None
    """City of the billing address."""
    state: UsState | None = None
    """State of the billing address."""


@frozen(kw_only=True, repr=False)
class LinkTokenRequest(Model):
    """Asks for a link token. Shape of 2025-07-08."""

    org_name: str
    """App name shown in Link; 3 to 30 characters."""
    solution: Solution
    """Pinwheel product to show."""
    allocation: LinkTokenAllocation | None = None
    """Target of a deposit switch."""
    skip_intro_screen: bool = False
    """Whether to skip the first screen of Link."""
    employer_id: str | None = None
    """Employer to open Link at."""
    disable_direct_deposit_splitting: bool = False
    """Whether to allow full switches only."""
    platform_id: str | None = None
    """Platform to open Link at."""
    platform_type: PlatformType | None = None
    """Kind of platform."""
    language: Language = "en"
    """Language of Link."""
    end_user_id: str | None = None
    """Your own user id: 1 to 255 characters, stripped of whitespace at the ends. Needed unless `account_id` is set."""
    account_id: str | None = None
    """Account to use again (On Demand Update); `end_user_id` and `features` are then not needed."""
    document_uploads: UploadRoute | None = None
    """Route to document upload."""
    tags: Mapping[str, str] | None = None
    """Your own tags, text to text."""
    deposit_forms: UploadRoute | None = None
    """Route to the deposit form."""
    end_user: LinkTokenEndUser | None = None
    """Data about the end user."""
    features: tuple[JobType, ...] | None = None
    """Jobs to run; needed unless `account_id` is set. Replaces `required_jobs`."""
    use_case: UseCase | None = None
    """Where in the app Link is opened; needed for Background Identify (PreMatch)."""
    cards: tuple[LinkTokenCard, ...] | None = None
    """Cards for a bill switch."""
    reseller_customer_id: str | None = None
    """Customer id of a reseller, at most 40 characters. Resellers must send it; others get a 400 for it."""


@frozen(kw_only=True, repr=False)
class LinkTokenRequest20231122(Model):
    """Asks for a link token. Shape of 2023-11-22."""

    org_name: str
    """App name shown in Link; 3 to 30 characters."""
    required_jobs: tuple[RequiredJob, ...] | None = None
    """Jobs to run; needed unless `account_id` is set."""
    allocation: LinkTokenAllocation | None = None
    """Target of a deposit switch."""
    skip_intro_screen: bool = False
    """Whether to skip the first screen of Link."""
    employer_id: str | None = None
    """Employer to open Link at."""
    disable_direct_deposit_splitting: bool = False
    """Whether to allow full switches only."""
    platform_id: str | None = None
    """Platform to open Link at."""
    platform_type: PlatformType20231122 | None = None
    """Kind of platform."""
    language: Language = "en"
    """Language of Link."""
    end_user_id: str | None = None
    """Your own user id: 1 to 255 characters, stripped of whitespace at the ends. Needed unless `account_id` is set."""
    account_id: str | None = None
    """Account to use again (On Demand Update); `end_user_id` and `required_jobs` are then not needed."""
    document_uploads: UploadRoute | None = None
    """Route to document upload."""
    tags: Mapping[str, str] | None = None
    """Your own tags, text to text."""
    deposit_forms: UploadRoute | None = None
    """Route to the deposit form."""
    end_user: LinkTokenEndUser | None = None
    """Data about the end user."""


@frozen(kw_only=True, repr=False)
class LinkToken(Model):
    """A short-lived token that opens Link. Shape since 2021-07-28."""

    mode: Mode | str
    """Environment of the token."""
    id: str
    """Id of the link token."""
    token: str
    """Token that opens Link."""
    expires: Timestamp
    """End of validity; 60 minutes after creation when seen."""
    smart_branch_url: str | None = None
    """Flow hosted by Pinwheel; null unless configured for the workspace."""
