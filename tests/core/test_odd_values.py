"""Odd values: what is forgiven and becomes what, what is refused, and bounds; in models, in pages and in events."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async._core.convert import Shape, decode
from pinwheel_async._core.converter import structure
from pinwheel_async._core.page import PaginationMeta
from pinwheel_async._core.scalars import MAX_PROBLEMS, Diagnostics
from pinwheel_async.events import UnknownEvent, decode_event
from pinwheel_async.link import parse_link_event
from pinwheel_async.models import Account, ApiKey, Employment, Income, Paystub, Platform, Shift, TaxForm
from pinwheel_async.testing import make, make_event, make_paystub, make_shift

LATEST = "2025-07-08"
VERSIONS = ["2021-04-29", "2021-07-28", "2022-03-02", "2023-11-22", LATEST]


def document(model, seed=1):
    return make(model, seed).to_dict()


def read(model, changes, version=LATEST, **whole):
    """A page of an ordinary and of a changed object; the changed one, and its drift or problems."""
    body = {"data": [document(model), document(model) | changes], "meta": {"count": 2, "next_cursor": None}, **whole}
    decoded = decode(Shape(model, many=True, meta=PaginationMeta), json.dumps(body).encode(), version)
    if decoded.problems:
        return None, decoded.problems
    return decoded.data[1], decoded.drift


@pytest.mark.parametrize(
    ("model", "field", "sent", "got", "note"),
    [
        (Employment, "start_date", "", None, "blank for null"),
        (Employment, "start_date", "0000-00-00", None, "blank for null"),
        (Employment, "start_date", "2021-1-31", date(2021, 1, 31), "day without its zeros"),
        (Employment, "start_date", "2021-01-31T00:00:00Z", date(2021, 1, 31), "moment for a day"),
        (Paystub, "created_at", "", None, "blank for null"),
        (Paystub, "created_at", "0000-00-00", None, "blank for null"),
        (Paystub, "created_at", "2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC), "leap second"),
        (Paystub, "net_pay_amount", "", None, "blank for null"),
        (Paystub, "net_pay_amount", "1234", 1234, "number as text"),
        (Paystub, "net_pay_amount", "-1234", -1234, "number as text"),
        (Paystub, "earnings", None, (), "null"),
        (Paystub, "document", {}, None, "blank for null"),
        (Paystub, "id", "a\0b", "a\ufffdb", "text with NUL or half of a surrogate pair"),
        (Paystub, "id", "a\ud83d", "a\ufffd", "text with NUL or half of a surrogate pair"),
        (Paystub, "id", "\ude00a", "\ufffda", "text with NUL or half of a surrogate pair"),
        (Platform, "min_amount", "", None, "blank for null"),
        (Platform, "min_amount", "12.50", Decimal("12.5"), None),
        (TaxForm, "year", "", None, "blank for null"),
    ],
)
def test_forgiven(model, field, sent, got, note):
    """A value that can mean one thing only is read as that, and is drift."""
    found, drift = read(model, {field: sent})

    assert got == getattr(found, field)
    assert type(got) is type(getattr(found, field))
    assert (() if note is None else (f"data[].{field}: {note}",)) == drift


@pytest.mark.parametrize(
    ("model", "field", "sent", "problem"),
    [
        (Employment, "start_date", "01/31/2021", "not a date"),
        (Employment, "start_date", "2021-13-01", "not a date"),
        (Employment, "start_date", "2021-02-30", "not a date"),
        (Employment, "start_date", " ", "not a date"),
        (Employment, "start_date", 20210131, "not a date"),
        (Employment, "start_date", {}, "not a date"),
        (Paystub, "created_at", "2026-03-17T24:00:00Z", "not a moment in time"),
        (Paystub, "created_at", "2026-03-17T15:05:61Z", "not a moment in time"),
        (Paystub, "created_at", 1773759903, "not a moment in time"),
        (Paystub, "net_pay_amount", "80.00", "not a whole number"),
        (Paystub, "net_pay_amount", "0000-00-00", "not a whole number"),
        (Paystub, "net_pay_amount", " 80", "not a whole number"),
        (Paystub, "net_pay_amount", "1" * 19, "not a whole number"),
        (Paystub, "earnings", {}, "not a list"),
        (Paystub, "id", {}, "not text"),
        (Paystub, "document", [], "not an object"),
        (Platform, "min_amount", "12,50", "not a number"),
        (Platform, "min_amount", "NaN", "not a number"),
        (Platform, "min_amount", "-sNaN", "not a number"),
        (Platform, "min_amount", "-Infinity", "not a number"),
        (Platform, "min_amount", "inf", "not a number"),
        (Platform, "supported_jobs", "", "not a list"),
    ],
)
def test_refused(model, field, sent, problem):
    """A value that might mean another thing is refused, with its place."""
    assert (None, (f"data[1].{field}: {problem}",)) == read(model, {field: sent})


@pytest.mark.parametrize(("sent", "got"), [("80.5", 80.5), ("80", 80.0), ("-0.25", -0.25), ("", None)])
def test_hours_as_text(sent, got):
    """The text of a plain decimal is a number."""
    found, drift = read(Paystub, {"earnings": [{"name": "Regular", "category": "hourly", "amount": 1, "hours": sent}]})

    assert got == found.earnings[0].hours
    assert 1 == len(drift)


@pytest.mark.parametrize("sent", ["1e2", "0x10", "inf", "nan", "1_000", "١٢", " 1", "1 ", "+1", ".5", "5."])
def test_text_that_is_no_plain_decimal(sent):
    """Python reads more texts as numbers than the API can mean."""
    earning = {"name": "Regular", "category": "hourly", "amount": 1, "hours": sent}

    assert ("data[1].earnings[0].hours: not a number",) == read(Paystub, {"earnings": [earning]})[1]


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Paystub) if "tuple" in str(field.type)])
def test_documented_lists_can_be_iterated(field):
    """A list that is null, or missing, is empty: a loop over it never crashes."""
    nulled, _ = read(Paystub, {field: None})

    assert () == getattr(nulled, field)

    sent = document(Paystub)
    del sent[field]
    assert () == getattr(Paystub.from_dict(sent), field)


def test_byte_order_mark():
    """A byte order mark before the JSON is skipped."""
    body = b"\xef\xbb\xbf" + json.dumps({"data": document(Income)}).encode()

    assert make(Income, 1) == decode(Shape(Income, many=False, meta=None), body, LATEST).data
    assert make(Income, 1) == Income.from_json(b"\xef\xbb\xbf" + make(Income, 1).to_json().encode())


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\uD83D\uDE00", "\U0001f600"),
        (r"\ud83d\u0041", "\ufffdA"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ud83d", "\ufffd"),
        (r"\\ud83d", "\\ud83d"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\\u0000", "\\u0000"),
        (r"\u0000\\u0000", "\ufffd\\u0000"),
    ],
)
def test_surrogates(escaped, text):
    """Whole pairs stay, halves are replaced, and what is only the text of an escape is left alone."""
    body = make(Income, 1).to_json().encode().replace(b'"currency":"USD"', b'"currency":"%b"' % escaped.encode())

    assert text == Income.from_json(body).currency
    decoded = decode(Shape(Income, many=False, meta=None), b'{"data":%b}' % body, LATEST)
    assert text == decoded.data.currency
    assert ("\ufffd" in text) == bool(decoded.drift)


def test_odd_text_in_open_objects():
    """Keys and values of objects that nobody documents are cleaned as well."""
    found, _ = read(Account, {"tags": {"a\0": ["\ud83d", {"b": "\0"}]}})

    assert {"a\ufffd": ["\ufffd", {"b": "\ufffd"}]} == found.tags


@pytest.mark.parametrize("event", [UnknownEvent, "income.added", "account.disconnected"])
def test_odd_text_in_events(event):
    """An event with NUL or half of a pair anywhere is read, and its text can be stored."""
    if event is UnknownEvent:
        body = make_event(UnknownEvent, payload={"a": "b"}).to_json()
    else:
        body = json.dumps({"event_id": "e", "event": event, "payload": {"account_id": "b"}})
    for odd in (r"\u0000", r"\ud83d"):
        decoded = decode_event(body.replace('"b"', f'"{odd}"').encode(), version=LATEST)

        assert "\ufffd" in decoded.event.to_json()
        assert any("NUL" in place for place in decoded.drift)


def test_odd_text_of_link():
    """What a page passes on may hold half of a pair, too."""
    event = parse_link_event("login", {"accountId": "a\ud83d", "platformId": "p\0"})

    assert ("a\ufffd", "p\ufffd") == (event.account_id, event.platform_id)


def test_seventh_digit_is_rounded_alike():
    """Both paths give the same microsecond of a fraction of seven digits."""
    sent = {"created_at": "2026-03-17T15:05:03.1234567Z"}
    fast, slow = read(Paystub, sent)[0], read(Paystub, sent | {"earnings": None})[0]

    assert 123457 == fast.created_at.microsecond == slow.created_at.microsecond


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("model", [Paystub, Shift, Income, Employment, Account, ApiKey])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_an_odd_neighbour_changes_nothing(model, version, data):
    """Whether one field is odd says nothing about how the others are read, in no version."""
    sent = document(model, data.draw(st.integers(0, 50)))
    sent |= {"currency": data.draw(st.sampled_from(["usd", "USD", "xts"]))} if "currency" in sent else {}
    if model is Paystub:
        category = data.draw(st.sampled_from(["state", "local", "state_income"]))
        sent["taxes"] = [{"name": "n", "category": category, "amount": 1}]
    odd = sent | {"created_at": data.draw(st.sampled_from(["", "2026-03-17 15:05:03", "2016-12-31T23:59:60Z"]))}
    body = json.dumps({"data": [sent, odd], "meta": {"count": 2, "next_cursor": None}}).encode()
    first, second = decode(Shape(model, many=True, meta=PaginationMeta), body, version).data

    assert attrs.evolve(first, created_at=None) == attrs.evolve(second, created_at=None)


@pytest.mark.parametrize("item", ["1", "{}", '{"id":"a"}', '{"id":1}', "[]", '{"earnings":[null]}'])
def test_hostile_pages_are_bounded(item):
    """A page of half a million odd items ends after a bounded number of problems and notes."""
    body = f'{{"data":[{",".join([item] * 500_000)}]}}'.encode()
    decoded = decode(Shape(Paystub, many=True, meta=None), body, LATEST)

    assert 1 <= len(decoded.problems) <= MAX_PROBLEMS + 1
    assert len(decoded.drift) < 100


def test_values_are_counted():
    """Reading stops where a document holds more values than the API can send, however harmless each is."""
    lines = ",".join(['{"name":"n","category":"c","amount":null}'] * 450_000)
    decoded = decode(
        Shape(Paystub, many=False, meta=None), f'{{"data":{{"id":"a","earnings":[{lines}]}}}}'.encode(), LATEST
    )

    assert ("(body): more values than the API sends",) == decoded.problems


def test_a_full_page_is_far_from_the_bounds():
    """A hundred paystubs with all their lines, every one odd, are read."""
    sent = document(Paystub) | {"created_at": "2026-03-17 15:05:03"}
    sent["earnings"] = [{"name": "n", "category": "c", "amount": None}] * 200
    body = json.dumps({"data": [sent] * 100, "meta": {"count": 100, "next_cursor": None}}).encode()
    decoded = decode(Shape(Paystub, many=True, meta=PaginationMeta), body, LATEST)

    assert 100 == len(decoded.data)
    assert ("data[].created_at: moment without offset", "data[].earnings[].amount: null") == decoded.drift


@pytest.mark.parametrize("number", [1e400, 10**400, -(10**400)])
def test_numbers_beyond_all_bounds(number):
    """A number that no float holds is refused where a number belongs, and infinite where anything may stand."""
    diagnostics = Diagnostics()
    structure(document(Platform) | {"min_amount": number}, Platform, diagnostics, "data")
    hours = {"earnings": [{"name": "n", "category": "c", "amount": 1, "hours": number}]}
    structure(document(Paystub) | hours, Paystub, diagnostics, "data")

    assert "data.earnings[0].hours: not a number" in diagnostics.problems


@pytest.mark.parametrize("offset", ["Z", "z", "+00:00", "-05:00", "+0530", "-08", ""])
@pytest.mark.parametrize("clock", ["15:05:03", "15:05", "15:05:03.5", "23:59:59.999999"])
@pytest.mark.parametrize("separator", ["T", "t", " "])
def test_moments(separator, clock, offset):
    """Every way to write a moment gives that moment, with its own offset."""
    text = f"2026-03-17{separator}{clock}{offset}"
    found, _ = read(Paystub, {"created_at": text})
    wanted = datetime.fromisoformat(text.upper() if offset else f"{text.upper()}Z")

    assert wanted == found.created_at
    assert wanted.utcoffset() == found.created_at.utcoffset()


def test_made_objects_are_not_odd():
    """What the factories make needs no forgiveness, so the tables above see only their own change."""
    assert make_paystub(1) == Paystub.from_dict(make_paystub(1).to_dict())
    assert make_shift(1) == Shift.from_dict(make_shift(1).to_dict())
