"""Decoding deliveries: what is known, what is not, what is odd, and what is hostile."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async.events import (
    ALIASES,
    EVENTS,
    AccountAdded,
    AccountEvent,
    CompanyConnectCensusAdded,
    DirectDepositSwitchAdded,
    EndUserEvent,
    Event,
    IncomeAdded,
    JobEvent,
    PaystubsAdded,
    PaystubsEvent,
    PaystubsParams,
    UnknownEvent,
    decode_event,
)
from pinwheel_async.events._base import event
from pinwheel_async.events._decode import _decode_fast

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
PLANTED = "planted-4711"


def sample(name):
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def deliver(name, /, **changes):
    """Decode a sample with a changed payload."""
    delivery = sample(name)
    delivery["payload"] |= changes
    return decode_event(json.dumps(delivery).encode())


def test_two_classes_for_one_name():
    """A second class for an event's name fails where it is defined."""
    with pytest.raises(TypeError, match=r"account\.added"):

        @event("account.added")
        @attrs.frozen(kw_only=True, repr=False)
        class Second(Event):
            """Never made."""

    assert EVENTS["account.added"] is AccountAdded


def test_register_cannot_be_changed():
    """The register is read-only."""
    with pytest.raises(TypeError):
        EVENTS["account.added"] = Event


def test_package_does_not_import_events():
    """A program that only calls the API does not pay for the events."""
    code = "import sys, pinwheel_async; sys.exit('pinwheel_async.events' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode  # our own code


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (PaystubsAdded, PaystubsEvent), (PaystubsEvent, JobEvent), (JobEvent, AccountEvent), (AccountEvent, Event),
        (AccountAdded, AccountEvent), (UnknownEvent, Event), (EVENTS["documents.added"], EndUserEvent),
    ],
)  # fmt: skip
def test_families(kind, base):
    """A handler of a base gets the events of the family."""
    assert issubclass(kind, base)


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)
def test_base_says_what_an_event_has(kind):
    """What is about an account is an `AccountEvent`, what has an outcome of such is a `JobEvent`, and nothing else."""
    names = {attribute.name for attribute in attrs.fields(kind)}

    assert ("account_id" in names) is issubclass(kind, AccountEvent)
    assert ({"account_id", "outcome"} <= names) is issubclass(kind, JobEvent)


@pytest.mark.parametrize(("outcome", "succeeded"), [("success", True), ("error", False), ("pending", False)])
@pytest.mark.parametrize("name", ["income.added", "documents.added", "company_connect.census.added"])
def test_succeeded(name, outcome, succeeded):
    """Only a success is a success; pending is not."""
    decoded = deliver(name, outcome=outcome)

    assert succeeded is decoded.event.succeeded


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_alias(alias, name):
    """An event under a name that guides misspell is the event, and keeps the name that was sent."""
    delivery = sample(name) | {"event": alias}

    decoded = decode_event(json.dumps(delivery).encode()).event

    assert (type(decoded), decoded.event, decoded.NAME) == (EVENTS[name], alias, name)


def test_unknown_event():
    """An event of tomorrow arrives with its payload."""
    decoded = decode_event(b'{"event": "a.b", "event_id": "e1", "payload": {"x": [1, null, 2.5]}}')

    assert UnknownEvent(event_id="e1", event="a.b", payload={"x": [1, None, 2.5]}) == decoded.event


@pytest.mark.parametrize("payload", ["", ', "payload": null', ', "payload": {}'])
def test_unknown_event_without_payload(payload):
    """An event of tomorrow may have nothing to say."""
    decoded = decode_event(b'{"event": "a.b", "event_id": "e1"%b}' % payload.encode())

    assert UnknownEvent(event_id="e1", event="a.b") == decoded.event


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "(body): empty"),
        (b"[]", "(body): not a JSON object"),
        (b"\xff", "(body): not JSON, at byte 0"),
        (b"[" * 100_000, "(body): nested too deeply"),
        (b"{}", "event: not text"),
        (b'{"event": 7}', "event: not text"),
        (b'{"event": "income.added", "event_id": 7}', "event_id: not text"),
        (b'{"event": "a.b", "event_id": "e", "payload": []}', "payload: not a JSON object"),
        (b'{"event": "income.added", "event_id": "e"}', "payload: not a JSON object"),
        (b'{"event": "income.added", "event_id": "e", "payload": null}', "payload: not a JSON object"),
        (b'{"event": "income.added", "event_id": "e", "payload": "{}"}', "payload: not a JSON object"),
        (
            b'{"event": "income.added", "event_id": "e", "payload": {"account_id": "\xff"}}',
            "payload: not UTF-8",
        ),
        (
            b'{"event": "income.added", "event_id": "e", "payload": {}}',
            "payload: an object without any of the documented fields",
        ),
    ],
)
def test_no_event(body, problem):
    """What is no delivery of an event has a problem that says where."""
    decoded = decode_event(body)

    assert (None, (problem,)) == (decoded.event, decoded.problems)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"timestamp": PLANTED}, "payload.timestamp: not a moment in time"),
        ({"account_id": 4711}, "payload.account_id: not text"),
        ({"params": [PLANTED]}, "payload.params: not an object"),
        ({"added": [{"id": 4711}]}, "payload.added[0].id: not text"),
        ({"params": {"from_pay_date": PLANTED}}, "payload.params.from_pay_date: not a date"),
        ({"params": {"count": "47.11"}}, "payload.params.count: not a whole number"),
    ],
)
def test_problem_names_the_path_and_no_value(changes, problem):
    """A value of the wrong type is a problem that names its place, and never shows what stood there."""
    decoded = deliver("paystubs.added", **changes)

    assert (None, (problem,)) == (decoded.event, decoded.problems)


@pytest.mark.parametrize(
    ("changes", "drift"),
    [
        ({"timestamp": "2020-06-26T19:06:16.993000"}, "payload.timestamp: moment without offset"),
        ({"outcome": None}, "payload.outcome: null"),
        ({"added": None}, "payload.added: null"),
        ({"params": {"count": 3.0}}, "payload.params.count: whole number with a fraction part"),
    ],
)
def test_forgiven(changes, drift):
    """What does not change the meaning is forgiven, and noted."""
    decoded = deliver("paystubs.added", **changes)

    assert ((), (drift,)) == (decoded.problems, decoded.drift)


def test_moment_without_offset_is_utc():
    """A timestamp of 2020, which has no offset, is UTC."""
    decoded = deliver("income.added", timestamp="2020-06-26T19:06:16.993000")

    assert datetime(2020, 6, 26, 19, 6, 16, 993000, tzinfo=UTC) == decoded.event.timestamp


@pytest.mark.parametrize("envelope", [{}, {"event_id": None}, {"event_id": ""}])
def test_delivery_without_id(envelope):
    """Before 2021-04-29 there was no event id: that is noted, and the id is empty."""
    delivery = {key: value for key, value in sample("income.added").items() if key != "event_id"} | envelope

    decoded = decode_event(json.dumps(delivery).encode())

    assert ("", ("event_id: missing",)) == (decoded.event.event_id, decoded.drift)


def test_payload_cannot_pose_as_the_envelope():
    """An id or a name in the payload does not replace those of the delivery."""
    decoded = deliver("income.added", event_id=PLANTED, event=PLANTED)

    assert (sample("income.added")["event_id"], "income.added") == (decoded.event.event_id, decoded.event.event)


@pytest.mark.parametrize(("params", "read"), [(None, None), ({}, PaystubsParams())])
def test_params(params, read):
    """Parameters may be null or empty, and stay so."""
    assert read == deliver("paystubs.added", params=params).event.params


def test_absent_params():
    """Parameters that are not there are null."""
    delivery = sample("paystubs.added")
    del delivery["payload"]["params"]

    assert decode_event(json.dumps(delivery).encode()).event.params is None


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_absent_fields_have_their_defaults(path):
    """An event without anything that need not come is read by the fast path, and has the defaults."""
    delivery = json.loads(path.read_text(encoding="utf-8"))
    kind = EVENTS[delivery["event"]]
    required = {field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING}
    payload = {name: value for name, value in delivery["payload"].items() if name in required}

    event = _decode_fast(kind, json.dumps(payload).encode())

    assert event is not None
    absent = [field for field in attrs.fields(kind) if field.name not in required]
    defaults = [
        field.default.factory() if isinstance(field.default, attrs.Factory) else field.default for field in absent
    ]
    assert defaults == [getattr(event, field.name) for field in absent]


def test_unknown_values_of_enums_are_kept():
    """A value that the API adds to an enum tomorrow is kept as it is."""
    decoded = deliver("income.added", outcome="postponed", name="a_new_job", error_type="aNewType")

    assert ("postponed", "a_new_job", "aNewType") == (
        decoded.event.outcome,
        decoded.event.name,
        decoded.event.error_type,
    )


@pytest.mark.parametrize("odd", [{}, {"tags": {"a": 1e3}, "timestamp": "2026-03-17 15:05:03"}])
@pytest.mark.parametrize("key", ["a_future_field", "extra", "event", "event_id"])
def test_extra(key, odd):
    """What a partly documented event says beyond the documentation is in `extra`, on both paths and under any name."""
    decoded = deliver("account.monitoring_status.updated", **{key: {"x": [1, 2.5]}}, **odd)

    assert {key: {"x": [1, 2.5]}} == decoded.event.extra


def test_extra_that_only_one_lane_can_read():
    """An unknown number that is too large for the fast path does not cost the event."""
    body = (SAMPLES / "account.disconnected.json").read_bytes().replace(b'"payload": {', b'"payload": {"x": 1e999,')

    assert {"x": float("inf")} == decode_event(body).event.extra


def test_documented_event_leaves_unknown_fields_out():
    """A fully documented event has no place for unknown fields."""
    assert deliver("income.added", a_future_field=1) == deliver("income.added")


def test_employee_ids_keep_their_zeros():
    """Employee ids are text, with leading zeros."""
    decoded = deliver("company_connect.census.added", added=["000417"])

    assert isinstance(decoded.event, CompanyConnectCensusAdded)
    assert ("000417",) == decoded.event.added


@pytest.mark.parametrize("version", [None, "", "2022-09-09", "2023-07-18"])
def test_amount_is_lifted(version):
    """The amount of an older deposit switch becomes an allocation; without a version, its shape tells."""
    body = (SAMPLES / "variants" / "direct_deposit_switch.added--amount-before-2023-11-22.json").read_bytes()

    switch = decode_event(body, version=version).event

    assert isinstance(switch, DirectDepositSwitchAdded)
    assert ("amount", Decimal(12500)) == (switch.params.allocation.type, switch.params.allocation.value)


@pytest.mark.parametrize("version", [None, "2023-11-22", "2025-07-08"])
def test_new_shape_is_not_lifted(version):
    """What has the newest shape is the same whatever version is named."""
    body = (SAMPLES / "direct_deposit_switch.added.json").read_bytes()

    switch = decode_event(body, version=version).event

    assert isinstance(switch, DirectDepositSwitchAdded)
    assert Decimal(125) == switch.params.allocation.value


@pytest.mark.parametrize("version", [None, "2025-07-08"])
def test_allocation_may_have_a_fraction(version):
    """A share of the pay is read exactly, whole or not."""
    delivery = sample("direct_deposit_switch.added")
    delivery["payload"]["params"]["allocation"]["value"] = 33.35

    switch = decode_event(json.dumps(delivery).encode(), version=version).event

    assert Decimal("33.35") == switch.params.allocation.value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = sorted({attribute.name for kind in EVENTS.values() for attribute in attrs.fields(kind)})
payloads = st.dictionaries(st.sampled_from(keys) | st.text(max_size=8), json_values, max_size=6)
envelopes = st.fixed_dictionaries(
    {"event": st.sampled_from(sorted(EVENTS)) | json_values},
    optional={"event_id": json_values, "payload": payloads | json_values},
)


@settings(deadline=None)
@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(body):
    """Whatever the bytes are, decoding ends with an event or with problems, and raises nothing."""
    decoded = decode_event(body)

    assert (decoded.event is None) is bool(decoded.problems)


@settings(max_examples=400, deadline=None)
@given(envelope=envelopes, version=st.none() | st.text() | st.sampled_from(["2022-09-09", "2025-07-08"]))
def test_any_delivery(envelope, version):
    """Whatever a delivery says, decoding ends with an event or with problems, and raises nothing."""
    decoded = decode_event(json.dumps(envelope).encode(), version=version)

    assert (decoded.event is None) is bool(decoded.problems)


@pytest.mark.parametrize("name", ["some.event", "income.added", "bill.updated", "tax_forms.added"])
@pytest.mark.parametrize("key", ["tags", "params", "a_future_field"])
@pytest.mark.parametrize(
    "value", [b"[" * 600 + b"]" * 600, b"1" * 5000, b"1e999", b"1e99999999999999999999", b'"\xff"', b'"\\ud800"']
)
def test_hostile_values(name, key, value):
    """Deep nesting, endless numbers and broken text end in problems or are passed over, and raise nothing."""
    body = b'{"event": "%b", "event_id": "e", "payload": {"account_id": "a", "id": "i", "%b": {"x": %b}}}'

    decoded = decode_event(body % (name.encode(), key.encode(), value))

    assert (decoded.event is None) is bool(decoded.problems)


def plant(value):
    """Replace every text and number of a payload that may be any."""
    if isinstance(value, dict):
        return {key: plant(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plant(item) for item in value]
    if isinstance(value, str) and not value[:4].isdigit():
        return PLANTED
    return 4711 if type(value) is int else value


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.json")), ids=lambda path: path.stem)
def test_repr_hides_values(path):
    """No repr of an event, or of a part of it, shows a value of its payload."""
    delivery = json.loads(path.read_text(encoding="utf-8"))
    delivery["payload"] = plant(delivery["payload"])
    decoded = decode_event(json.dumps(delivery).encode())
    assert decoded.event is not None

    parts = [value for value in attrs.astuple(decoded.event, recurse=False) if attrs.has(type(value))]

    assert "4711" not in f"{decoded!r} {decoded.event!r} {decoded.event} {parts!r}"


def test_repr_names_the_event():
    """A repr gives the class and the ids, which are no payroll data."""
    event_id, account_id = "85242cd5-d469-42e5-a59d-f0ae0e64d8cf", "2dff2dd6-5825-4d47-ae92-406feb689c4f"
    income = IncomeAdded(
        event_id=event_id,
        account_id=account_id,
        name="income",
        timestamp=datetime(2026, 3, 17, tzinfo=UTC),
        outcome="success",
    )

    assert f"<IncomeAdded event_id={event_id} account_id={account_id}>" == repr(income)
