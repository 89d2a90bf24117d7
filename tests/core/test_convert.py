"""Decoding of answers: envelopes, odd items, older shapes, exactness."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from pinwheel_async._core.convert import Shape, decode
from pinwheel_async._core.converter import encode
from pinwheel_async._core.page import PaginationMeta, RefreshablePaginationMeta
from pinwheel_async.models import (
    Account,
    ApiKey,
    EndUserDocument,
    Job,
    LinkToken,
    LinkTokenAllocation,
    LinkTokenBankAccount,
    Paystub,
    Platform,
    Shift,
    TaxFormSummary,
    TaxFormW2,
    UploadedW2,
)

LATEST = "2025-07-08"

PAYSTUB = {
    "id": "p1",
    "created_at": "2026-03-17T15:05:03.000001+00:00",
    "account_id": "a1",
    "pay_date": "2026-03-13",
    "currency": "USD",
    "gross_pay_amount": 100_00,
    "net_pay_amount": 80_00,
    "check_amount": 80_00,
    "total_taxes": 20_00,
    "total_deductions": 0,
    "total_reimbursements": 0,
    "taxes": [{"name": "Federal", "category": "federal_income", "amount": 20_00}],
    "deductions": [],
    "earnings": [{"name": "Regular", "category": "hourly", "amount": 100_00, "hours": 10.0}],
    "time_off": [],
}

SHIFT = {
    "id": "s1",
    "created_at": "2026-03-17T15:05:03.000001+00:00",
    "account_id": "a1",
    "start_date": "2026-03-17",
    "end_date": "2026-03-17",
    "type": "shift",
    "timestamps": [{"from": "2026-03-17T08:00:00-05:00", "to": "2026-03-17T16:00:00-05:00"}],
    "currency": "USD",
    "earnings": [],
}

JOB = {
    "id": "j1",
    "name": "direct_deposit_switch",
    "timestamp": "2020-11-02T10:00:00",
    "outcome": "success",
    "link_token_id": "t1",
}

DOCUMENT = {"id": "d1", "created_at": "2026-03-17T15:05:03+00:00", "end_user_id": "u1", "document": {"id": "f1"}}


def page(model, *items, version=LATEST, meta=RefreshablePaginationMeta):
    body = json.dumps({"data": items, "meta": {"count": len(items), "next_cursor": None}}).encode()
    return decode(Shape(model, many=True, meta=meta), body, version)


def single(model, item, version=LATEST):
    return decode(Shape(model, many=False, meta=None), json.dumps({"data": item}).encode(), version)


def test_only_the_odd_item_is_forgiven():
    """One odd item on a page leaves the others as they are and is forgiven under its own path."""
    decoded = page(Paystub, PAYSTUB, PAYSTUB | {"deductions": None, "created_at": "2026-03-17 15:05:03"}, PAYSTUB)

    assert decoded.data[0] == decoded.data[2]
    assert () == decoded.data[1].deductions
    assert datetime(2026, 3, 17, 15, 5, 3, tzinfo=UTC) == decoded.data[1].created_at
    assert ("data[].created_at: moment without offset", "data[].deductions: null") == decoded.drift


def test_a_page_with_an_unreadable_item_is_no_page():
    """An item that cannot be read makes the page a problem, because a page that lacks an item would be misread."""
    decoded = page(Paystub, PAYSTUB, PAYSTUB | {"net_pay_amount": "80.00"})

    assert decoded.data is None
    assert ("data[1].net_pay_amount: not a whole number",) == decoded.problems


@pytest.mark.parametrize("amount", [80.5, "80.00", "8,000", "8e3", "0x10", " 8000", "+8000", True, [], {}])
def test_money_is_never_coerced(amount):
    """Money that is not a whole number is refused."""
    assert ("data[0].gross_pay_amount: not a whole number",) == page(
        Paystub, PAYSTUB | {"gross_pay_amount": amount}
    ).problems


def test_a_whole_float_is_money():
    """8000.0 is 8000, and counted as odd."""
    decoded = page(Paystub, PAYSTUB | {"net_pay_amount": 8000.0})

    assert 8000 == decoded.data[0].net_pay_amount
    assert isinstance(decoded.data[0].net_pay_amount, int)
    assert ("data[].net_pay_amount: whole number with a fraction part",) == decoded.drift


def test_missing_required_field():
    """A required field that is absent is None, and counted."""
    without = {name: value for name, value in PAYSTUB.items() if name != "currency"}
    decoded = page(Paystub, without)

    assert decoded.data[0].currency is None
    assert ("data[].currency: missing",) == decoded.drift


def test_another_object():
    """An object with none of the documented fields is not taken for an empty one."""
    assert ("data: an object without any of the documented fields",) == single(Paystub, {"detail": "planted"}).problems


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-17T15:05:03Z", datetime(2026, 3, 17, 15, 5, 3, tzinfo=UTC)),
        ("2026-03-17 15:05:03", datetime(2026, 3, 17, 15, 5, 3, tzinfo=UTC)),
        ("2026-03-17T15:05:03.5", datetime(2026, 3, 17, 15, 5, 3, 500_000, tzinfo=UTC)),
        ("2026-03-17 15:05:03.000001+00", datetime(2026, 3, 17, 15, 5, 3, 1, tzinfo=UTC)),
        ("2026-03-17T10:05:03-0500", datetime(2026, 3, 17, 15, 5, 3, tzinfo=UTC)),
        ("2026-03-17", datetime(2026, 3, 17, tzinfo=UTC)),
    ],
)
def test_times(text, moment):
    """Times with a space, with Z, with a short offset, without offset or without time of day are read as UTC."""
    decoded = page(Paystub, PAYSTUB | {"created_at": text})

    assert moment == decoded.data[0].created_at
    assert decoded.data[0].created_at.tzinfo is not None


def test_local_offset_is_kept():
    """The offset of a shift's clock times is the one that was sent."""
    decoded = page(Shift, SHIFT)

    assert "2026-03-17T08:00:00-05:00" == decoded.data[0].timestamps[0].from_.isoformat()
    assert () == decoded.drift


@pytest.mark.parametrize("name", ['"from":', 'a "from" : b', '\\"from\\":', '"from"', "x\\"])
def test_the_renamed_key_is_only_ever_a_key(name):
    """Text that looks like the renamed key is left alone."""
    earning = {"name": name, "category": name}
    decoded = page(Shift, SHIFT | {"earnings": [earning], "timezone": name})

    assert name == decoded.data[0].earnings[0].name == decoded.data[0].timezone
    assert () == decoded.drift


@pytest.mark.parametrize("text", ["2026-03-17T15:05:03Z", "2026-03-17"])
def test_a_moment_for_a_day(text):
    """A moment where a day is documented gives its day."""
    key = {"mode": "sandbox", "key": "k", "created_at": "2026-03-17T15:05:03Z", "is_active": True, "last_used_at": text}

    assert date(2026, 3, 17) == page(ApiKey, key).data[0].last_used_at


@pytest.mark.parametrize("year", [2023, "2023", 2023.0])
def test_year(year):
    """A tax year is a number, also when it comes as text."""
    form = {"id": "t", "created_at": "2026-03-17T15:05:03Z", "account_id": "a", "form_type": "W-2", "year": year}

    assert 2023 == page(TaxFormSummary, form).data[0].year


def test_dollars_are_exact():
    """Decimal dollars keep every digit, on both paths."""
    body = b'{"data":[{"id":"p","name":%s,"min_amount":0.1000000000000000055511151231257827,"type":"payroll"}]}'
    shape = Shape(Platform, many=True, meta=PaginationMeta)
    odd = decode(shape, body % b'"x"', LATEST).data[0]

    assert Decimal("0.1000000000000000055511151231257827") == odd.min_amount


@pytest.mark.parametrize(
    ("kind", "parsed", "model"),
    [("W-2", {"box_1": 5}, TaxFormW2), ("w2", {"tax_year": "2025", "total_wages": "12"}, UploadedW2)],
)
def test_parsed_data_is_chosen_by_document_type(kind, parsed, model):
    """`W-2` and `w2` are two document types with two shapes."""
    decoded = single(EndUserDocument, DOCUMENT | {"document_type": kind, "parsed_data": parsed})

    assert model is type(decoded.data.parsed_data)
    assert () == decoded.drift


def test_parsed_data_of_an_unknown_type():
    """Parsed data of a document type without a known shape stays as it came."""
    decoded = single(EndUserDocument, DOCUMENT | {"document_type": "pension_letter", "parsed_data": {"amount": 1.5}})

    assert {"amount": 1.5} == decoded.data.parsed_data


def test_bare_array():
    """A list without envelope, as before 2021-04-29, is a page without meta."""
    decoded = decode(Shape(Job, many=True, meta=PaginationMeta), json.dumps([JOB]).encode(), LATEST)

    assert "j1" == decoded.data[0].id
    assert decoded.meta is None


def test_old_link_token():
    """`token_id` and numeric `expires` become `id` and a moment."""
    body = b'{"mode":"sandbox","token":"t","expires":1604311200,"token_id":"lt1"}'
    decoded = decode(Shape(LinkToken, many=False, meta=None), body, LATEST)

    assert "lt1" == decoded.data.id
    assert datetime(2020, 11, 2, 10, tzinfo=UTC) == decoded.data.expires


@pytest.mark.parametrize("version", ["2023-07-18", "2022-03-02"])
def test_old_switch_amount(version):
    """Before 2023-11-22 a switch has an amount; it becomes the allocation, although the fast path would drop it."""
    decoded = page(Job, JOB | {"timestamp": "2020-11-02T10:00:00Z", "params": {"amount": 5000}}, version=version)

    assert ("amount", 5000) == (decoded.data[0].params.allocation.type, decoded.data[0].params.allocation.value)


def test_old_paystub():
    """Before 2022-03-02 two tax categories and the currency were written otherwise, and time off was absent."""
    taxes = [{"name": "State", "category": "state", "amount": 1}]
    old = {name: value for name, value in PAYSTUB.items() if name != "time_off"} | {"currency": "usd", "taxes": taxes}
    (decoded,) = page(Paystub, old, version="2021-07-28").data

    assert ("USD", "state_income", ()) == (decoded.currency, decoded.taxes[0].category, decoded.time_off)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff", "not JSON, at byte 0"),
        (b'{"data":[{"id":"\xff"}], "x": "\xc3("}', "data[0]: not UTF-8"),
        (b'{"data":{"id":"\xff"}}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"nope", "not JSON, at byte 4"),
        (b'{"data":', "JSON that is cut off"),
        (b"\x00", "not JSON, at byte 0"),
        (b'{"data":[]} {"data":[]}', "more after the end of the JSON, at byte 13"),
        (b'{"data":[{"id":NaN}]}', "NaN or Infinity, which JSON does not have, at byte 15"),
        (b'{"data":[{"id":-Infinity}]}', "NaN or Infinity, which JSON does not have, at byte 16"),
        (b'{"data":[{"id":"a\nb"}]}', "not JSON, at byte 17"),
    ],
)
def test_no_json(body, problem):
    """What is no JSON is a problem of the body, and the reason is the right one."""
    wanted = problem if problem.startswith("data") else f"(body): {problem}"

    assert (wanted,) == decode(Shape(Job, many=True, meta=None), body, LATEST).problems


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("odd", ["1e99999999999999999999", '{"a":' * 600 + "1" + "}" * 600, "[" * 600 + "]" * 600])
def test_numbers_and_depths_without_bounds(many, odd):
    """A number or a depth that no reader can take is a problem, not an exception."""
    item = f'{{"id": 3, "tags": {odd}, "created_at": {odd}}}'
    body = f'{{"data": {f"[{item}]" if many else item}}}'.encode()

    assert decode(Shape(Account, many=many, meta=None), body, LATEST).problems


@pytest.mark.parametrize(("many", "problem"), [(True, "data: not a list"), (False, "data: not an object")])
@pytest.mark.parametrize("data", [3, "x", None])
def test_data_of_another_kind(many, problem, data):
    """Data that is neither list nor object is a problem."""
    body = json.dumps({"data": data}).encode()

    assert (problem,) == decode(Shape(Job, many=many, meta=None), body, LATEST).problems


def test_lists_are_as_good_as_tuples():
    """A list given for a tuple is encoded like one."""
    allocation = LinkTokenAllocation(targets=[LinkTokenBankAccount(type="checking")])

    assert b'{"targets":[{"type":"checking"}]}' == encode(allocation)


def test_request_leaves_out_none():
    """A request has no nulls, and dollars are numbers."""
    assert b'{"type":"amount","value":123.45,"targets":[]}' == encode(
        LinkTokenAllocation(type="amount", value=Decimal("123.45"))
    )
