"""Models made up from nothing."""

from datetime import date, datetime
from typing import Any, Literal, TypeAlias

import attrs
import pytest

from pinwheel_async import models
from pinwheel_async._core.convert import Shape, decode
from pinwheel_async._core.converter import encode
from pinwheel_async._core.fields import MinorUnits, Timestamp, Year
from pinwheel_async._core.model import Model
from pinwheel_async.models import Account, EndUserDocument, Income, LinkTokenRequest, Paystub, UploadedPaystub
from pinwheel_async.testing import (
    make,
    make_account,
    make_direct_deposit_allocations,
    make_employment,
    make_identity,
    make_income,
    make_paystub,
    make_shift,
    make_tax_form,
)

MODELS = [
    kind
    for kind in (getattr(models, name) for name in models.__all__)
    if isinstance(kind, type) and issubclass(kind, Model)
]
NAMED = {
    make_account: "Account",
    make_direct_deposit_allocations: "DirectDepositAllocations",
    make_employment: "Employment",
    make_identity: "Identity",
    make_income: "Income",
    make_paystub: "Paystub",
    make_shift: "Shift",
    make_tax_form: "TaxForm",
}


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_every_model(kind):
    """Every model can be made, and survives a trip over the wire."""
    made = make(kind)
    body = b'{"data":' + encode(made, nulls=True) + b"}"

    found = decode(Shape(kind, many=False, meta=None), body, "2025-07-08")
    assert (made, ()) == (found.data, found.problems)


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_same_seed(kind):
    """The same seed makes the same model."""
    assert make(kind, 5) == make(kind, 5)


@pytest.mark.parametrize(("factory", "name"), NAMED.items(), ids=lambda value: getattr(value, "__name__", value))
def test_named(factory, name):
    """A named factory makes its model, others for other seeds, and takes overrides."""
    assert name == type(factory()).__name__
    assert factory(1) != factory(2)
    assert "mine" == factory(id="mine").id


def test_paystub_adds_up():
    """A made paystub adds up."""
    stub = make_paystub(3)

    assert stub.gross_pay_amount == sum(line.amount for line in stub.earnings)
    assert stub.net_pay_amount == stub.gross_pay_amount - stub.total_taxes - stub.total_deductions


def test_one_account():
    """What one seed makes belongs to one account."""
    assert make(Account, 4).id == make(Paystub, 4).account_id == make(Income, 4).account_id


def test_unknown_override():
    """A field that the model does not have is refused."""
    with pytest.raises(TypeError):
        make_paystub(colour="red")


def test_request_is_good():
    """A made request holds what is needed and nothing else."""
    request = make(LinkTokenRequest)

    assert (("paystubs",), None) == (request.features, request.allocation)


def test_overridden_union():
    """A field that several models fit is empty unless it is given."""
    parsed = make(UploadedPaystub, document_type="paystub")

    assert make(EndUserDocument).parsed_data is None
    assert parsed == make(EndUserDocument, document_type="paystub", parsed_data=parsed).parsed_data


Kind: TypeAlias = Literal["a", "b"]


@attrs.frozen(kw_only=True, repr=False)
class New(Model):
    """A model that nobody has heard of."""

    id: str
    kind: Kind | str
    amount: MinorUnits
    year: Year
    at: Timestamp
    day: date
    lines: tuple[Income, ...]
    other: Any = None
    note: str | None = None
    fixed: int = attrs.field(init=False, default=3)


def test_new_model():
    """A new model can be made at once, with every field of its type."""
    made = make(New)

    assert made.kind in {"a", "b"}
    assert isinstance(made.amount, int)
    assert 2025 == made.year
    assert made.at.tzinfo
    assert isinstance(made.day, date)
    assert not isinstance(made.day, datetime)
    assert isinstance(made.lines[0], Income)
    assert "Example note" == made.note


def test_values_are_fictional():
    """No made model holds digits that could be somebody's."""
    request = make(models.PlatformMatching)

    assert "000000000" == request.social_security_number
    assert "@example.com" in (request.email or "")
