"""Derived classes: structs in place of models, and builders that become models and know where the API is odd."""

import itertools
import json
import pickle
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import attrs
import msgspec
import pytest

from pinwheel_async import models
from pinwheel_async._core import convert
from pinwheel_async._core.convert import MAX_ODD_PLACES, Decoded, Shape, _ShapeDecoder, decode
from pinwheel_async._core.derived import builder_of, repair_of
from pinwheel_async._core.fields import attributes
from pinwheel_async._core.page import PaginationMeta
from pinwheel_async.link.deposit import LinkAllocationTarget

LATEST = "2025-07-08"
META = {"count": 2, "next_cursor": None}
MODELS = sorted(
    (
        model
        for model in (getattr(models, name) for name in models.__all__)
        if isinstance(model, type) and attrs.has(model)
    ),
    key=lambda model: model.__name__,
)


def page_of(*documents: Any) -> bytes:
    return json.dumps({"data": documents, "meta": META}).encode()


def odd_paystub(**oddities: Any) -> dict[str, Any]:
    required = {
        "created_at": "2024-01-31T00:00:00Z",
        **dict.fromkeys(["id", "account_id", "currency"], "a"),
        **dict.fromkeys(["pay_date", "pay_period_start", "pay_period_end"], "2024-01-31"),
        **dict.fromkeys(["gross_pay_amount", "net_pay_amount", "check_amount", "gross_pay_ytd", "net_pay_ytd"], 1),
        **dict.fromkeys(["total_taxes", "total_deductions", "total_reimbursements"], 1),
        **{key: [] for key in ["taxes", "deductions", "earnings", "time_off"]},
        "document": None,
    }
    return {key: value for key, value in {**required, **oddities}.items() if value is not ...}


def odd_shift(**oddities: Any) -> dict[str, Any]:
    required = {
        "created_at": "2024-01-31T00:00:00Z",
        **dict.fromkeys(["id", "account_id", "currency", "type"], "a"),
        **dict.fromkeys(["start_date", "end_date"], "2024-01-31"),
        **{key: [] for key in ["timestamps", "earnings"]},
    }
    return required | oddities


def without_slow_path(decoder: _ShapeDecoder, body: bytes) -> Decoded:
    with (
        patch.object(_ShapeDecoder, "_items", side_effect=AssertionError),
        patch.object(_ShapeDecoder, "_document", side_effect=AssertionError),
    ):
        return decoder.decode(body, LATEST)


@pytest.mark.parametrize(
    ("oddities", "notes"),
    [
        ({"currency": None}, ["currency: null"]),
        ({"currency": ...}, ["currency: missing"]),
        ({"pay_date": "2024-01-31T00:00:00Z"}, ["pay_date: moment for a day"]),
        ({"pay_date": ""}, ["pay_date: blank for null"]),
        ({"created_at": "2024-01-31T00:00:00"}, ["created_at: moment without offset"]),
        ({"net_pay_ytd": "12"}, ["net_pay_ytd: number as text"]),
        ({"taxes": None}, ["taxes: null"]),
        ({"taxes": ...}, ["taxes: missing"]),
        (
            {"taxes": [{"name": "a", "category": None, "amount": 1}, {"name": "a", "category": "fica"}]},
            ["taxes[].amount: missing", "taxes[].category: null"],
        ),
    ],
)
def test_fast_path_takes_known_places(oddities, notes):
    """Where the API was odd before, the fast path reads the answer, notes the same, and makes true models."""
    decoder = _ShapeDecoder(Shape(models.Paystub, many=True, meta=PaginationMeta))
    body = page_of(odd_paystub(**oddities), odd_paystub())
    first = decoder.decode(body, LATEST)

    again = without_slow_path(decoder, body)

    assert [f"data[].{note}" for note in notes] == sorted(first.drift) == sorted(again.drift)
    assert first.data == again.data
    assert {models.Paystub} == set(map(type, again.data))
    assert {models.Tax} >= {type(tax) for paystub in again.data for tax in paystub.taxes}
    assert pickle.loads(pickle.dumps(again.data)) == first.data  # noqa: S301  # our own


def test_clean_answers_stay_clean():
    """An answer without oddities has no notes, whatever was odd before it."""
    decoder = _ShapeDecoder(Shape(models.Paystub, many=True, meta=PaginationMeta))
    decoder.decode(page_of(odd_paystub(currency=None, pay_date="")), LATEST)

    assert () == without_slow_path(decoder, page_of(odd_paystub())).drift


def test_single_objects():
    """Places of an answer with one object are known, too."""
    decoder = _ShapeDecoder(Shape(models.Paystub, many=False, meta=None))
    body = json.dumps({"data": odd_paystub(taxes=None)}).encode()
    first = decoder.decode(body, LATEST)

    again = without_slow_path(decoder, body)

    assert ("data.taxes: null",) == first.drift == again.drift
    assert first.data == again.data


@pytest.mark.parametrize("value", ["planted", True, {"planted": 1}, 1.5, 12.0000000000000000001])
def test_known_places_are_no_open_doors(value):
    """A value that has to be refused is refused at a place where another one was forgiven, with the same words."""
    shape = Shape(models.Paystub, many=True, meta=PaginationMeta)
    decoder = _ShapeDecoder(shape)
    decoder.decode(page_of(odd_paystub(net_pay_ytd=None)), LATEST)
    body = page_of(odd_paystub(net_pay_ytd=value))

    assert _ShapeDecoder(shape).decode(body, LATEST) == decoder.decode(body, LATEST)


def test_numbers_are_never_rounded():
    """At a known place a whole number with a long fraction is refused, as everywhere, and not taken for its float."""
    decoder = _ShapeDecoder(Shape(models.Paystub, many=True, meta=PaginationMeta))
    decoder.decode(page_of(odd_paystub(net_pay_ytd=None)), LATEST)
    body = page_of(odd_paystub(net_pay_ytd=4711)).replace(b"4711", b"12.00000000000000000000001")

    assert ("data[0].net_pay_ytd: not a whole number",) == decoder.decode(body, LATEST).problems


def test_empty_objects_are_refused():
    """An object without any of the documented fields is refused, even if each of them was missing before."""
    decoder = _ShapeDecoder(Shape(models.Tax, many=True, meta=PaginationMeta))
    tax = {"name": "a", "category": "fica", "amount": 1}
    for name in tax:
        decoder.decode(page_of({key: value for key, value in tax.items() if key != name}), LATEST)

    assert ("data[0]: an object without any of the documented fields",) == decoder.decode(page_of({}), LATEST).problems


def test_places_are_bounded():
    """A shape remembers no more places than its limit, so no sender makes it build decoders for ever."""
    decoder = _ShapeDecoder(Shape(models.Paystub, many=True, meta=PaginationMeta))

    decoder._remember([f"data[].field_{number}: null" for number in range(MAX_ODD_PLACES)])
    decoder._remember(["data[].currency: null"])

    assert MAX_ODD_PLACES == len(decoder.odd_places)


def test_hostile_pages_end(monkeypatch):
    """A page of more odd objects than the API can send is given up, also at known places."""
    monkeypatch.setattr("pinwheel_async._core.scalars.MAX_VALUES", 100)
    decoder = _ShapeDecoder(Shape(models.Tax, many=True, meta=PaginationMeta))
    tax = {"category": "fica", "amount": 1}
    decoder.decode(page_of(tax), LATEST)

    assert ("(body): more values than the API sends",) == decoder.decode(page_of(*[tax] * 101), LATEST).problems


def test_refused_items_teach_nothing():
    """What stands beside a refused item is not remembered: the answer may be no answer of the API."""
    decoder = _ShapeDecoder(Shape(models.Paystub, many=True, meta=PaginationMeta))

    decoder.decode(page_of(odd_paystub(currency=None), odd_paystub(taxes=7)), LATEST, apart=True)

    assert not decoder.odd_places


@pytest.mark.parametrize("text", ["NaN", "nan", "-sNaN12", "Infinity", "+inf", "-Inf"])
@pytest.mark.parametrize("decode_to", ["models", "structs"])
def test_decimals_are_numbers(text, decode_to):
    """Text that msgspec takes for a decimal, and that is no number, is refused."""
    body = json.dumps({"data": {"unit": "percentage", "value": text}}).encode()

    decoded = decode(Shape(models.JobAllocation, many=False, meta=None), body, LATEST, decode_to)

    assert ("data.value: not a number",) == decoded.problems


def test_decimals_take_the_fast_path():
    """A decimal that is a number is read by the fast path, digit for digit."""
    decoder = _ShapeDecoder(Shape(models.JobAllocation, many=False, meta=None))

    decoded = without_slow_path(decoder, b'{"data":{"unit":"percentage","value":0.10000000000000000000001}}')

    assert Decimal("0.10000000000000000000001") == decoded.data.value


@pytest.mark.parametrize("key", [b'"from":', b'"from" :', b'"\\u0066rom":'])
def test_wire_names(key):
    """A field whose name is a word of Python is read under its name on the wire, however that is written."""
    decoder = _ShapeDecoder(Shape(models.ShiftTimestamp, many=False, meta=None))
    body = b'{"data":{%s"2024-01-31T00:00:00Z","to":"2024-01-31T01:00:00Z","x\\"from":1}}' % key

    found = without_slow_path(decoder, body).data

    assert (type(found), found.from_.hour, found.to.hour) == (models.ShiftTimestamp, 0, 1)


def test_attribute_names_are_no_wire_names():
    """The name of an attribute is no key of the API: `from_` says nothing."""
    body = b'{"data":{"from_":"2024-01-31T00:00:00Z","to":"2024-01-31T01:00:00Z"}}'

    decoded = decode(Shape(models.ShiftTimestamp, many=False, meta=None), body, LATEST)

    assert ("data.from: missing",) == decoded.drift
    assert decoded.data.from_ is None


def test_most_models_need_no_builder():
    """A model that msgspec fills as it should be is its own builder."""
    assert models.Paystub is builder_of(models.Paystub)
    assert models.Shift is builder_of(models.Shift)


def test_msgspec_fills_models_by_their_json_names():
    """The decoder of msgspec itself fills a model whose fields have other names in JSON; it does not promise to."""
    found = msgspec.json.decode(
        b'{"from":"2024-01-31T00:00:00Z","to":"2024-01-31T01:00:00Z"}', type=models.ShiftTimestamp
    )

    assert (type(found), found.from_.hour, found.to.hour) == (models.ShiftTimestamp, 0, 1)
    assert [field.name for field in attributes(models.ShiftTimestamp)] == ["from_", "to"]


def test_models_without_json_names_have_no_fast_path():
    """A model that msgspec would read by other names than those of the API is refused, and not read as if empty."""
    with pytest.raises(TypeError, match="LinkAllocationTarget needs json_names"):
        builder_of(LinkAllocationTarget)


def test_some_days_and_moments_are_odd():
    """Days and moments as documented, and odd ones among them, are read as the slow path reads them."""
    shape = Shape(models.Shift, many=True, meta=None)
    decoder = _ShapeDecoder(shape)
    odd = {"start_date": "2024-01-31T00:00:00Z", "created_at": "2024-01-31T00:00:00"}
    decoder.decode(page_of(odd_shift(**odd)), LATEST)
    days = ["2024-02-01", "2024-2-1", "2024-02-01T00:00:00Z", None, "2024-02-30"]
    moments = ["2024-02-01T00:00:00Z", "2024-02-01", "2024-02-01T00:00:00+01", None, "2024-02-01T00:00:00-05:00"]
    for day, moment in itertools.product(days, moments):
        body = page_of(odd_shift(start_date=day, created_at=moment), odd_shift())

        found, expected = decoder.decode(body, LATEST), _ShapeDecoder(shape).decode(body, LATEST)

        assert (found.data, found.problems, sorted(found.drift)) == (
            expected.data,
            expected.problems,
            sorted(expected.drift),
        )


def test_answers_of_older_versions_teach_nothing():
    """What an older version says in another way is no oddity of the newest."""
    decoder = convert._ShapeDecoder(Shape(models.Paystub, many=True, meta=None))

    decoder.decode(page_of(odd_paystub(currency=None)), "2020-01-01")

    assert not decoder.odd_places


def test_every_field_can_be_odd():
    """Every documented field of every model but decimals, open objects and choices of classes has a fast odd place."""
    slow = {
        f"{model.__name__}.{attribute.name}"
        for model in MODELS
        for attribute in attributes(model)
        if convert.decoder_of(model)
        and repair_of(model, {f".{attribute.metadata.get('wire', attribute.name)}"}, "") is None
    }

    assert not {place for place in slow if place.split(".")[0] in {"Paystub", "Shift", "Income", "Identity"}}
