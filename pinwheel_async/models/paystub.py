"""Paystubs and their lines. Amounts are minor units of the paystub's `currency`."""

from datetime import date
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.document import Document
from pinwheel_async.models.enums import Currency, EarningCategory, TimeOffCategory

TaxCategory: TypeAlias = Literal[
    "federal_income",
    "social_security",
    "medicare",
    "state_income",
    "local_income",
    "other",
]
"""Kind of tax."""

DeductionCategory: TypeAlias = Literal[
    "retirement",
    "medical_insurance",
    "hsa",
    "fsa",
    "dental",
    "vision",
    "life_insurance",
    "disability",
    "child_support",
    "commuter",
    "union_dues",
    "stock",
    "charity",
    "savings",
    "tips",
    "wage_garnishment",
    "lending",
    "company_perk",
    "tax",
    "loan",
    "job_expense",
    "other",
    "fees",
    "reallocation",
    "retro_pay",
]
"""What was deducted for. Some values are not deductions in the plain sense, like `tips` or `retro_pay`."""

DeductionType: TypeAlias = Literal["pre_tax", "post_tax", "unknown"]
"""Whether a deduction is taken before or after taxes."""


@frozen(kw_only=True, repr=False)
class Tax(Model):
    """One tax line of a paystub."""

    name: str
    """Name of the tax."""
    category: TaxCategory | str
    """Kind of tax."""
    amount: MinorUnits
    """Amount of the tax, in minor units of the paystub's `currency`; may be 0."""


@frozen(kw_only=True, repr=False)
class Deduction(Model):
    """One deduction line of a paystub."""

    name: str
    """Name of the deduction."""
    category: DeductionCategory | str
    """What was deducted for."""
    amount: MinorUnits
    """Amount deducted, in minor units of the paystub's `currency`."""
    type: DeductionType | str
    """Whether the deduction is taken before or after taxes."""


@frozen(kw_only=True, repr=False)
class Earning(Model):
    """One earnings line of a paystub."""

    name: str
    """Name of the earning."""
    category: EarningCategory | str
    """Kind of earning."""
    amount: MinorUnits
    """Amount earned, in minor units of the paystub's `currency`."""
    rate: MinorUnits | None = None
    """Pay per hour, in minor units of the paystub's `currency`."""
    hours: float | None = None
    """Hours worked. `premium` earnings often repeat the hours of other lines."""


@frozen(kw_only=True, repr=False)
class TimeOff(Model):
    """One time-off balance on a paystub."""

    name: str
    """Name of the balance."""
    category: TimeOffCategory | str
    """Kind of time off."""
    available_hours: float | None = None
    """Hours left at the end of the pay period, else at retrieval."""
    earned_hours: float | None = None
    """Hours earned in the pay period."""
    used_hours: float | None = None
    """Hours used in the pay period."""


@frozen(kw_only=True, repr=False)
class Paystub(Model):
    """A paystub. Shape since 2022-03-02."""

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
    taxes: tuple[Tax, ...]
    """Tax lines."""
    deductions: tuple[Deduction, ...]
    """Deduction lines."""
    earnings: tuple[Earning, ...]
    """Earnings lines. They include employer contributions and unpaid time, so they need not sum up to the gross pay."""
    time_off: tuple[TimeOff, ...]
    """Time-off balances; filled only where Pinwheel switched them on for the workspace."""
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
    document: Document | None = None
    """File of the paystub."""
