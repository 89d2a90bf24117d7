"""Tax forms: as the list shows them, with their document, and the boxes read from a W-2."""

from decimal import Decimal
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp, Year
from pinwheel_async._core.model import Model
from pinwheel_async.models.document import Document, FieldWarning
from pinwheel_async.models.enums import DocumentType
from pinwheel_async.models.identity import Address

TaxFormType: TypeAlias = Literal["W-2", "W-2C", "1099-NEC", "1099-MISC", "1099-K", "1040"]
"""Kind of tax form."""


@frozen(kw_only=True, repr=False)
class W2BoxC(Model):
    """The employer in box c of a W-2."""

    name: str | None = None
    """Name of the employer."""
    address: Address | None = None
    """Address of the employer."""


@frozen(kw_only=True, repr=False)
class W2Box12(Model):
    """One entry of box 12 of a W-2."""

    code: str | None = None
    """Code of the entry."""
    amount: Decimal | None = None
    """Amount of the entry; probably in cents (unverified)."""


@frozen(kw_only=True, repr=False)
class W2Box13(Model):
    """The tick boxes of box 13 of a W-2."""

    statutory_employee: bool | None = None
    """Whether "statutory employee" is ticked."""
    retirement_plan: bool | None = None
    """Whether "retirement plan" is ticked."""
    third_party_sick_pay: bool | None = None
    """Whether "third-party sick pay" is ticked."""


@frozen(kw_only=True, repr=False)
class W2Box15To20(Model):
    """One state and local row of boxes 15 to 20 of a W-2; see `TaxFormW2` for the unit of boxes 16 and 17."""

    box_15_state: str | None = None
    """State."""
    box_15_employer_state_id: str | None = None
    """State id of the employer."""
    box_16: MinorUnits | None = None
    """State wages, in cents."""
    box_17: MinorUnits | None = None
    """State income tax, in cents."""
    box_18: Decimal | None = None
    """Local wages; whether in cents is (unverified)."""
    box_19: Decimal | None = None
    """Local income tax; whether in cents is (unverified)."""
    box_20: str | None = None
    """Name of the locality."""


@frozen(kw_only=True, repr=False)
class TaxFormW2(Model):
    """The boxes read from a W-2.

    Boxes 1 to 6, 16 and 17 are cents. The documentation names no unit, but its own example can be nothing else: box 3,
    Social Security wages, is 2350000, far beyond the wage base if it were dollars, and box 4 is 6.2 % of it. Boxes
    whose unit no example settles are decimals, as they came.
    """

    document_type: DocumentType | str | None = None
    """Always `W-2`, the default; may be left out."""
    box_a: str | None = None
    """Social Security number."""
    box_b: str | None = None
    """EIN of the employer."""
    box_c: W2BoxC | None = None
    """Employer."""
    box_d: str | None = None
    """Control number."""
    box_e: str | None = None
    """Name of the employee."""
    box_f: Address | None = None
    """Address of the employee."""
    box_1: MinorUnits | None = None
    """Wages, tips and other pay, in cents."""
    box_2: MinorUnits | None = None
    """Federal income tax withheld, in cents."""
    box_3: MinorUnits | None = None
    """Social Security wages, in cents."""
    box_4: MinorUnits | None = None
    """Social Security tax withheld, in cents."""
    box_5: MinorUnits | None = None
    """Medicare wages and tips, in cents."""
    box_6: MinorUnits | None = None
    """Medicare tax withheld, in cents."""
    box_7: Decimal | None = None
    """Social Security tips; whether in cents is (unverified)."""
    box_8: Decimal | None = None
    """Allocated tips; whether in cents is (unverified)."""
    box_9: str | None = None
    """Left blank on the form."""
    box_10: str | None = None
    """Dependent care benefits."""
    box_11: str | None = None
    """Nonqualified plans."""
    box_12: tuple[W2Box12, ...] | None = None
    """Coded items."""
    box_13: W2Box13 | None = None
    """Tick boxes."""
    box_14: tuple[str, ...] | None = None
    """Other entries."""
    box_15_to_20: tuple[W2Box15To20, ...] | None = None
    """State and local rows."""


@frozen(kw_only=True, repr=False)
class TaxFormSummary(Model):
    """A tax form as the list shows it, without its document. Shape since 2022-06-22."""

    id: str
    """Id of the tax form."""
    created_at: Timestamp
    """When the tax form was created."""
    account_id: str
    """Account that the tax form belongs to."""
    form_type: TaxFormType | str
    """Kind of tax form."""
    year: Year
    """Calendar or tax year."""


@frozen(kw_only=True, repr=False)
class TaxForm(TaxFormSummary):
    """A tax form with its document. Shape since 2022-06-22."""

    document: Document | None = None
    """File of the form."""
    parsed_data: TaxFormW2 | None = None
    """Data read from the form."""
    warnings: tuple[FieldWarning, ...] | None = None
    """Fields that could not be read."""
