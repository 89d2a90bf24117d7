"""Employer-side payroll connections: their link tokens, census, employments, incomes and paystubs."""

from datetime import date
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import CompensationUnit, Currency, EmploymentStatus, Language, Mode, PayFrequency
from pinwheel_async.models.identity import Address, PhoneNumber

CompanyConnectJob: TypeAlias = Literal["company_employments", "company_incomes", "company_census"]
"""Jobs that a Company Connect link token can ask for."""

CompanyConnectionStatus: TypeAlias = Literal[
    "ready_to_connect",
    "connection_failed",
    "processing",
    "data_available",
    "reconnect_needed",
]
"""State of a company connection."""

EmploymentType: TypeAlias = Literal[
    "full_time",
    "part_time",
    "seasonal",
    "temporary",
    "contractor",
    "self_employed",
    "per_diem",
    "commission",
]
"""Kind of employment."""


@frozen(kw_only=True, repr=False)
class CompanyConnectOptions(Model):
    """Ties a Company Connect link token to an existing company connection."""

    company_connection_id: str | None = None
    """Company connection to use."""


@frozen(kw_only=True, repr=False)
class CompanyConnectLinkTokenRequest(Model):
    """Asks for a link token for Company Connect."""

    org_name: str
    """App name shown in Link; 3 to 30 characters."""
    required_jobs: tuple[CompanyConnectJob, ...] | None = None
    """Jobs to run; platforms that lack one of them are hidden."""
    skip_intro_screen: bool = False
    """Whether to skip the first screen of Link."""
    platform_id: str | None = None
    """Platform to open Link at."""
    language: Language = "en"
    """Language of Link."""
    company_connect: CompanyConnectOptions | None = None
    """Company connection to tie the token to."""


@frozen(kw_only=True, repr=False)
class CompanyConnectLinkToken(Model):
    """A short-lived token that opens Link for Company Connect; it has no `smart_branch_url`."""

    mode: Mode | str
    """Environment of the token."""
    id: str
    """Id of the link token."""
    token: str
    """Token that opens Link."""
    expires: Timestamp
    """End of validity."""


@frozen(kw_only=True, repr=False)
class CompanyConnectionRequest(Model):
    """Asks for a new company connection."""

    company_name: str
    """Name of the company."""


@frozen(kw_only=True, repr=False)
class CompanyConnection(Model):
    """A connection to an employer-side payroll system."""

    id: str
    """Id of the connection."""
    created_at: Timestamp
    """When the connection was created."""
    company_name: str
    """Name of the company."""
    status: CompanyConnectionStatus | str
    """State of the connection."""
    status_updated_at: Timestamp
    """When `status` last changed."""


@frozen(kw_only=True, repr=False)
class CompanyEmployment(Model):
    """The employment record of one employee of a connected company. It has no id."""

    created_at: Timestamp
    """When the record was created."""
    employee_external_id: str
    """Employee id given by the employer."""
    employer_name: str
    """Name of the employer."""
    status: EmploymentStatus | str | None = None
    """Employment status."""
    employment_type: EmploymentType | str | None = None
    """Kind of employment."""
    start_date: date | None = None
    """First day of the employment."""
    termination_date: date | None = None
    """Last day of the employment, if it ended."""
    title: str | None = None
    """Job title."""
    department: str | None = None
    """Department."""
    manager_external_id: str | None = None
    """Employee id of the manager."""
    class_code: str | None = None
    """Work class code, 3 to 4 digits, used by insurers."""
    employer_address: Address | None = None
    """Address of the employer."""


@frozen(kw_only=True, repr=False)
class CompanyIdentity(Model):
    """The census record of one employee of a connected company. It has no id."""

    created_at: Timestamp
    """When the record was created."""
    employee_external_id: str
    """Employee id given by the employer."""
    first_name: str
    """First name."""
    middle_name: str
    """Middle name; may be empty."""
    last_name: str
    """Last name."""
    full_name: str
    """Full name."""
    date_of_birth: date | None = None
    """Birth date."""
    emails: tuple[str, ...] | None = None
    """Email addresses."""
    last_four_ssn: str | None = None
    """Last four digits of the Social Security number."""
    address: Address | None = None
    """Postal address."""
    phone_numbers: tuple[PhoneNumber, ...] | None = None
    """Phone numbers."""


@frozen(kw_only=True, repr=False)
class CompanyIncome(Model):
    """The income record of one employee of a connected company. It has no id."""

    created_at: Timestamp
    """When the record was created."""
    employee_external_id: str
    """Employee id given by the employer."""
    compensation_amount: MinorUnits
    """Pay per `compensation_unit`, in minor units of `currency`."""
    compensation_unit: CompensationUnit | str
    """What one `compensation_amount` pays for."""
    currency: Currency | str
    """Currency of the pay: an ISO 4217 code, upper case."""
    pay_frequency: PayFrequency | str | None = None
    """How often pay comes."""


@frozen(kw_only=True, repr=False)
class CompanyPaystub(Model):
    """The paystub totals of one employee of a connected company. No id is promised."""

    created_at: Timestamp
    """When the record was created."""
    employee_external_id: str
    """Employee id given by the employer."""
    pay_date: date
    """Day the pay arrives."""
    currency: Currency | str
    """Currency of every amount here: an ISO 4217 code, upper case."""
    gross_pay_amount: MinorUnits
    """Pay before taxes and deductions, in minor units of `currency`."""
    net_pay_amount: MinorUnits
    """Pay after taxes and deductions, in minor units of `currency`."""
    check_amount: MinorUnits
    """What was really paid out, in minor units of `currency`."""
    total_taxes: MinorUnits
    """Sum of taxes, in minor units of `currency`."""
    total_deductions: MinorUnits
    """Sum of deductions, in minor units of `currency`."""
    total_reimbursements: MinorUnits
    """Sum of reimbursements, in minor units of `currency`; 0 when there are none."""
    pay_period_start: date | None = None
    """First day of the pay period; some sources have none."""
    pay_period_end: date | None = None
    """Last day of the pay period; some sources have none."""
    gross_pay_ytd: MinorUnits | None = None
    """Gross pay, year to date, in minor units of `currency`."""
    net_pay_ytd: MinorUnits | None = None
    """Net pay, year to date, in minor units of `currency`."""
    employer_name: str | None = None
    """Name of the employer."""
