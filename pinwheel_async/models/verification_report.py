"""Reports that verify employment (VOE) or income and employment (VOIE)."""

from datetime import date
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.document import Document
from pinwheel_async.models.enums import CompensationUnit, Currency, EarningCategory, EmploymentStatus, PayFrequency
from pinwheel_async.models.identity import Address, PhoneNumber
from pinwheel_async.models.paystub import Earning

VerificationReportType: TypeAlias = Literal["voe", "voie", "base"]
"""Kind of verification report."""


@frozen(kw_only=True, repr=False)
class VerificationReportEmployeeName(Model):
    """The name of the employee in a report."""

    full_name: str
    """Full name."""
    first_name: str | None = None
    """First name."""
    middle_name: str | None = None
    """Middle name."""
    last_name: str | None = None
    """Last name."""


@frozen(kw_only=True, repr=False)
class VerificationReportEmployee(Model):
    """The employee block of a report."""

    name: VerificationReportEmployeeName
    """Name of the employee."""
    date_of_birth: date | None = None
    """Birth date."""
    last_four_ssn: str | None = None
    """Last four digits of the Social Security number."""
    address: Address | None = None
    """Postal address."""
    phone_numbers: tuple[PhoneNumber, ...] | None = None
    """Phone numbers."""


@frozen(kw_only=True, repr=False)
class VerificationReportEarningsYtd(Model):
    """The year-to-date amount of one category of earnings."""

    amount: MinorUnits | None = None
    """Amount, year to date, in minor units of the income block's `currency`."""
    category: EarningCategory | str | None = None
    """Kind of earning."""


@frozen(kw_only=True, repr=False)
class VerificationReportAnnualIncome(Model):
    """The totals of one calendar year. Amounts are minor units of the income block's `currency`."""

    year: str
    """Calendar or tax year, as text."""
    gross_pay_ytd: MinorUnits
    """Gross pay of the year, in minor units."""
    net_pay_ytd: MinorUnits
    """Net pay of the year, in minor units."""
    total_deductions_ytd: MinorUnits
    """Deductions, year to date, in minor units."""
    total_reimbursements_ytd: MinorUnits
    """Reimbursements, year to date, in minor units."""
    total_taxes_ytd: MinorUnits
    """Taxes, year to date, in minor units."""
    earnings_ytds: tuple[VerificationReportEarningsYtd, ...]
    """Earnings, year to date, by category."""


@frozen(kw_only=True, repr=False)
class VerificationReportPaystub(Model):
    """A paystub inside a VOIE report: no taxes, deductions, time off or document."""

    id: str
    """Id of the paystub."""
    created_at: Timestamp
    """When the paystub was created."""
    account_id: str
    """Account that the paystub belongs to."""
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
    earnings: tuple[Earning, ...]
    """Earnings lines."""
    pay_period_start: date | None = None
    """First day of the pay period; some sources have none."""
    pay_period_end: date | None = None
    """Last day of the pay period; some sources have none."""
    gross_pay_ytd: MinorUnits | None = None
    """Gross pay, year to date, in minor units of `currency`."""
    net_pay_ytd: MinorUnits | None = None
    """Net pay, year to date, in minor units of `currency`."""
    external_paystub_id: str | None = None
    """Paystub id used by the payroll provider."""
    employer_name: str | None = None
    """Name of the employer."""


@frozen(kw_only=True, repr=False)
class VerificationReportIncome(Model):
    """The income block of a VOIE report."""

    compensation_unit: CompensationUnit | str
    """What one `compensation_amount` pays for."""
    compensation_amount: MinorUnits
    """Pay per `compensation_unit`, in minor units of `currency`."""
    currency: Currency | str
    """Currency of every amount in the block: an ISO 4217 code, upper case."""
    annual_incomes: tuple[VerificationReportAnnualIncome, ...]
    """The current year and up to two before it."""
    paystubs: tuple[VerificationReportPaystub, ...]
    """The newest paystubs, at most 2."""
    pay_frequency: PayFrequency | str | None = None
    """How often pay comes."""


@frozen(kw_only=True, repr=False)
class VerificationReportEmployment(Model):
    """The employment block of a VOE report."""

    employer_name: str
    """Name of the employer."""
    employer_address: Address | None = None
    """Address of the employer."""
    start_date: date | None = None
    """First day of the employment."""
    employment_duration_months: int | None = None
    """Time employed, in months."""
    employment_status: EmploymentStatus | str | None = None
    """Employment status."""
    employment_type: str | None = None
    """Kind of employment; free text here, not an enum."""
    termination_date: date | None = None
    """Last day of the employment, if it ended."""
    title: str | None = None
    """Job title."""
    most_recent_pay_date: date | None = None
    """Last regular pay day."""


@frozen(kw_only=True, repr=False)
class VerificationReportIncomeAndEmployment(VerificationReportEmployment):
    """The employment block of a VOIE report, with the income."""

    income: VerificationReportIncome
    """Income block."""


@frozen(kw_only=True, repr=False)
class VerificationReportVOE(Model):
    """A verification of employment report."""

    id: str
    """Id of the report."""
    updated_at: Timestamp
    """When the report last changed."""
    refreshed_at: Timestamp
    """When the data was last checked at the source."""
    employee: VerificationReportEmployee
    """Employee block."""
    employments: tuple[VerificationReportEmployment, ...]
    """Employment blocks."""
    report_type: VerificationReportType | str
    """Kind of report."""
    document: Document | None = None
    """File of the report."""


@frozen(kw_only=True, repr=False)
class VerificationReportVOIE(Model):
    """A verification of income and employment report."""

    id: str
    """Id of the report."""
    updated_at: Timestamp
    """When the report last changed."""
    refreshed_at: Timestamp
    """When the data was last checked at the source."""
    employee: VerificationReportEmployee
    """Employee block."""
    employments: tuple[VerificationReportIncomeAndEmployment, ...]
    """Employment blocks."""
    report_type: VerificationReportType | str
    """Kind of report."""
    document: Document | None = None
    """File of the report."""
