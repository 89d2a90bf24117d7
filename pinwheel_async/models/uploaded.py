"""Parsed data of documents that end users uploaded. Dates are text as it stands on the document."""

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import DocumentType, TimeOffCategory
from pinwheel_async.models.identity import Address


@frozen(kw_only=True, repr=False)
class UploadedPaystubEmployee(Model):
    """The employee block read from an uploaded paystub."""

    name: str | None = None
    """Name of the employee."""
    address: Address | None = None
    """Address of the employee."""


@frozen(kw_only=True, repr=False)
class UploadedPaystubEmployer(Model):
    """The employer block read from an uploaded paystub."""

    name: str | None = None
    """Name of the employer."""
    address: Address | None = None
    """Address of the employer."""


@frozen(kw_only=True, repr=False)
class UploadedEarning(Model):
    """An earnings line read from an uploaded paystub."""

    type: str | None = None
    """Type of the line, as free text."""
    description: str | None = None
    """Label on the document."""
    amount: MinorUnits | None = None
    """Amount, in cents."""
    amount_ytd: MinorUnits | None = None
    """Amount, year to date, in cents."""


@frozen(kw_only=True, repr=False)
class UploadedTax(Model):
    """A tax line read from an uploaded paystub."""

    type: str | None = None
    """Type of the line, as free text."""
    description: str | None = None
    """Label on the document."""
    amount: MinorUnits | None = None
    """Amount, in cents."""
    amount_ytd: MinorUnits | None = None
    """Amount, year to date, in cents."""


@frozen(kw_only=True, repr=False)
class UploadedDeduction(Model):
    """A deduction line read from an uploaded paystub."""

    type: str | None = None
    """Type of the line, as free text."""
    description: str | None = None
    """Label on the document."""
    amount: MinorUnits | None = None
    """Amount, in cents."""
    amount_ytd: MinorUnits | None = None
    """Amount, year to date, in cents."""


@frozen(kw_only=True, repr=False)
class UploadedTimeOff(Model):
    """A time-off balance read from an uploaded paystub."""

    name: str | None = None
    """Name of the balance."""
    category: TimeOffCategory | str | None = None
    """Kind of time off."""
    available_hours: float | None = None
    """Hours left at the end of the pay period, else at retrieval."""
    earned_hours: float | None = None
    """Hours earned in the pay period."""
    used_hours: float | None = None
    """Hours used in the pay period."""


@frozen(kw_only=True, repr=False)
class UploadedPaystub(Model):
    """What was read from an uploaded paystub."""

    document_type: DocumentType | str | None = None
    """Always `paystub`, the default."""
    pay_date: str | None = None
    """Day the pay arrives."""
    pay_period_start: str | None = None
    """First day of the pay period; some sources have none."""
    pay_period_end: str | None = None
    """Last day of the pay period; some sources have none."""
    gross_pay_amount: MinorUnits | None = None
    """Pay before taxes and deductions, in cents."""
    gross_pay_ytd: MinorUnits | None = None
    """Gross pay, year to date, in cents."""
    net_pay_amount: MinorUnits | None = None
    """Pay after taxes and deductions, in cents."""
    net_pay_ytd: MinorUnits | None = None
    """Net pay, year to date, in cents."""
    earnings: tuple[UploadedEarning, ...] | None = None
    """Earnings lines."""
    taxes: tuple[UploadedTax, ...] | None = None
    """Tax lines."""
    deductions: tuple[UploadedDeduction, ...] | None = None
    """Deduction lines."""
    employer: UploadedPaystubEmployer | None = None
    """Employer block."""
    employee: UploadedPaystubEmployee | None = None
    """Employee block."""
    time_off: tuple[UploadedTimeOff, ...] | None = None
    """Time-off balances; filled only where Pinwheel switched them on for the workspace."""


@frozen(kw_only=True, repr=False)
class UploadedDocumentApplicant(Model):
    """The applicant block of an uploaded document. New in 2025-07-08."""

    name: str | None = None
    """Name of the applicant."""
    address: Address | None = None
    """Address of the applicant."""


@frozen(kw_only=True, repr=False)
class UploadedBankStatementTransaction(Model):
    """One transaction of an uploaded bank statement. New in 2025-07-08."""

    date: str | None = None
    """Date of the transaction."""
    description: str | None = None
    """Label on the document."""
    amount: int | float | str | None = None
    """Amount, a number or text as the document has it."""
    base_type: str | None = None
    """Base type of the transaction."""
    type: str | None = None
    """Type of the transaction."""


@frozen(kw_only=True, repr=False)
class UploadedBankStatementAccount(Model):
    """One account of an uploaded bank statement. New in 2025-07-08."""

    account_number: int | float | str | None = None
    """Account number, a number or text."""
    account_name: str | None = None
    """Name of the account."""
    bank_account_type: str | None = None
    """Kind of account."""
    is_joint_account: bool | None = None
    """Whether the account is a joint one."""
    total_deposits: int | float | str | None = None
    """Sum of deposits, a number or text."""
    beginning_balance: int | float | str | None = None
    """Opening balance, a number or text."""
    ending_balance: int | float | str | None = None
    """Closing balance, a number or text."""
    transactions: tuple[UploadedBankStatementTransaction, ...] | None = None
    """Transactions of the account."""


@frozen(kw_only=True, repr=False)
class UploadedBankStatement(Model):
    """What was read from an uploaded bank statement. New in 2025-07-08."""

    document_type: DocumentType | str | None = None
    """Always `bank_statement`, the default."""
    bank_name: str | None = None
    """Name of the bank, when known."""
    statement_begin_date: str | None = None
    """First day of the statement."""
    statement_end_date: str | None = None
    """Last day of the statement."""
    statement_holders: tuple[str, ...] | None = None
    """Account holders."""
    applicant1: UploadedDocumentApplicant | None = None
    """First applicant."""
    applicant2: UploadedDocumentApplicant | None = None
    """Second applicant."""
    accounts: tuple[UploadedBankStatementAccount, ...] | None = None
    """Bank accounts of the statement."""


@frozen(kw_only=True, repr=False)
class UploadedSSIAwardLetter(Model):
    """What was read from an uploaded SSI award letter. New in 2025-07-08."""

    document_type: DocumentType | str | None = None
    """Always `ssi_award_letter`, the default."""
    applicant: UploadedDocumentApplicant | None = None
    """The applicant."""
    issue_date: str | None = None
    """Day of issue."""
    pay_date: str | None = None
    """Day the pay arrives."""
    social_security_payment: MinorUnits | None = None
    """Social Security payment, in cents (unverified)."""
    social_security_deduction: MinorUnits | None = None
    """Social Security deduction, in cents (unverified)."""
    social_security_net_payment: MinorUnits | None = None
    """Net Social Security payment, in cents (unverified)."""
    supplemental_security_payment: MinorUnits | None = None
    """Supplemental security payment, in cents (unverified)."""


@frozen(kw_only=True, repr=False)
class UploadedW2(Model):
    """What was read from an uploaded W-2 of document type `w2`; not the same as `TaxFormW2`. New in 2025-07-08."""

    document_type: DocumentType | str | None = None
    """Always `w2`, the default."""
    applicant: UploadedDocumentApplicant | None = None
    """The applicant."""
    employer_name: str | None = None
    """Name of the employer."""
    total_wages: int | float | str | None = None
    """Total wages, in cents (unverified)."""
    state_wages: int | float | str | None = None
    """State wages, in cents (unverified)."""
    social_security_wages: int | float | str | None = None
    """Social Security wages, in cents (unverified)."""
    medicare_wages: int | float | str | None = None
    """Medicare wages, in cents (unverified)."""
    federal_taxes: int | float | str | None = None
    """Federal taxes, in cents (unverified)."""
    state_taxes: int | float | str | None = None
    """State taxes, in cents (unverified)."""
    social_security_taxes: int | float | str | None = None
    """Social Security taxes, in cents (unverified)."""
    medicare_taxes: int | float | str | None = None
    """Medicare taxes, in cents (unverified)."""
    tax_year: str | None = None
    """Tax year."""
