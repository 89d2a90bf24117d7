"""Link's front-end events: every documented payload, both spellings, and what is odd."""

import re
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async import link
from pinwheel_async.errors import DecodeError
from pinwheel_async.link import (
    LINK_EVENTS,
    LinkAllocation,
    LinkAllocationTarget,
    LinkAmount,
    LinkBillRemoved,
    LinkBillSwitchPlatformsAdded,
    LinkBillSwitchSuccess,
    LinkErrorReport,
    LinkExit,
    LinkInputAllocation,
    LinkInputAmount,
    LinkInputRequired,
    LinkLogin,
    LinkOpen,
    LinkOtherEvent,
    LinkOtherValue,
    LinkPlatform,
    LinkResult,
    LinkResultParams,
    LinkScreenTransition,
    UnknownLinkEvent,
    parse_link_event,
)
from pinwheel_async.link._base import LinkEvent, link_event

PLANTED = "planted-4711"

BILL = {
    "platformId": "p",
    "platformName": "Tidewave",
    "frequency": "monthly",
    "nextPaymentDate": "2026-04-02",
    "amountCents": 1599,
}
ERROR = {"type": "networkError", "code": "networkError", "message": "Try again", "pendingRetry": True}

PAYLOADS: dict[str, dict[str, Any]] = {
    "open": {},
    "select_employer": {"selectedEmployerId": "e", "selectedEmployerName": "Acme"},
    "select_platform": {"selectedPlatformId": "p", "selectedPlatformName": "Harborline"},
    "incorrect_platform_given": {},
    "login_attempt": {"platformId": "p"},
    "input_required": {},
    "login": {"accountId": "a", "platformId": "p"},
    "input_amount": {"value": 12.5, "unit": "%"},
    "input_allocation": {
        "action": "partial_switch",
        "allocation": {
            "type": "amount",
            "value": 50,
            "target": {"accountName": "Everyday", "accountType": "checking"},
        },
    },
    "card_switch_begin": {},
    "doc_uploads_begin": {"uploadedDocumentsSubmittedCount": 1},
    "doc_uploads_submitted": {"uploadedDocumentSubmittedCount": 2},
    "dd_form_begin": {},
    "dd_form_create": {"url": "https://example.com/form"},
    "dd_form_download": {},
    "screen_transition": {
        "screenName": "LOGIN",
        "selectedEmployerId": "e",
        "selectedEmployerName": "Acme",
        "selectedPlatformId": "p",
        "selectedPlatformName": "Harborline",
    },
    "success": {"accountId": "a", "platformId": "p", "job": "login"},
    "error": ERROR,
    "exit": ERROR,
    "other_event": {"name": "input_submit", "payload": [{"key": "k", "value": "true", "type": "boolean"}]},
    "bill_switch_success": BILL | {"isIntegratedSwitch": True, "accountId": "a"},
    "bill_switch_failure": BILL | {"isIntegratedSwitch": True, "accountId": "a"},
    "bill_cancel_success": BILL | {"isIntegratedSwitch": False, "accountId": "a"},
    "bill_cancel_failure": BILL | {"isIntegratedSwitch": False, "accountId": "a"},
    "bill_added": BILL,
    "bill_edited": BILL,
    "bill_marked_inactive": BILL,
    "bill_removed": BILL | {"isIntegratedSwitch": True, "isGuidedSwitch": False},
    "bill_switch_platforms_added": {"platforms": [{"id": "p", "name": "Tidewave"}]},
    "bill_switch_platforms_removed": {"platforms": [{"id": "p", "name": "Tidewave"}]},
    "external_account_connected": {"institutionName": "Bank", "accountName": "Everyday"},
    "merchant_login_success": {"accountId": "a", "platformId": "p"},
    "calendar_sync": {"calendarType": "google"},
    "customer_terms_accepted": {},
    "user_activated": {"solutionName": "Bill Manager"},
}
"""A payload of every event, with every documented key."""


def snake(name):
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def lost(said, read):
    """Return the keys of a payload that are not in what was read."""
    if isinstance(said, dict):
        return [key for key, value in said.items() if lost(value, getattr(read, snake(key), "nowhere"))]
    if isinstance(said, list):
        return [sent for sent, item in zip(said, read, strict=True) if lost(sent, item)]
    return [] if said == read else [said]


def test_every_event_has_a_class():
    """There is a class for each event that Link is known to send."""
    assert set(PAYLOADS) == set(LINK_EVENTS)


@pytest.mark.parametrize("name", PAYLOADS)
def test_class_name(name):
    """A class is called `Link` and its event in camel case; `success` and `error` are called as what they bring."""
    expected = {"success": "LinkResult", "error": "LinkErrorReport"}.get(name, f"Link_{name}".title().replace("_", ""))

    assert getattr(link, expected) is LINK_EVENTS[name]


@pytest.mark.parametrize("name", PAYLOADS)
def test_nothing_is_lost(name):
    """Every documented key of a payload is an attribute."""
    event = parse_link_event(name, PAYLOADS[name])

    assert [] == lost(PAYLOADS[name], event)
    assert {} == event.extra


@pytest.mark.parametrize("name", PAYLOADS)
def test_names_in_upper_case(name):
    """A name in upper case, as a native SDK once sent them, is the same event."""
    assert parse_link_event(name, PAYLOADS[name]) == parse_link_event(name.upper(), PAYLOADS[name])


@pytest.mark.parametrize("name", PAYLOADS)
def test_unknown_keys_are_in_extra(name):
    """What Link says beyond the documentation is in `extra`, under any name."""
    event = parse_link_event(name, PAYLOADS[name] | {"aNewKey": [1], "extra": 2})

    assert {"aNewKey": [1], "extra": 2} == event.extra


def test_two_classes_for_one_name():
    """A second class for an event's name fails where it is defined."""
    with pytest.raises(TypeError, match="open"):

        @link_event("open")
        @attrs.frozen(kw_only=True, repr=False)
        class Second(LinkEvent):
            """Never made."""

    assert LINK_EVENTS["open"] is LinkOpen


@pytest.mark.parametrize(
    ("name", "payload", "event"),
    [
        ("open", None, LinkOpen()),
        ("exit", None, LinkExit()),
        ("exit", {}, LinkExit()),
        ("screen_transition", {"screen_name": "LOGIN"}, LinkScreenTransition(screen_name="LOGIN")),
        ("screen_transition", {"screen_name": "A", "screenName": "B"}, LinkScreenTransition(screen_name="B")),
        ("screen_transition", {"screenName": "NEW_ONE"}, LinkScreenTransition(screen_name="NEW_ONE")),
        ("input_amount", {"value": 12.5, "unit": "$"}, LinkInputAmount(value=Decimal("12.5"), unit="$")),
        ("input_allocation", {"action": None}, LinkInputAllocation()),
        (
            "input_allocation",
            {"action": "full_switch", "allocation": {"type": "remainder", "target": {"accountType": "savings"}}},
            LinkInputAllocation(
                action="full_switch",
                allocation=LinkAllocation(type="remainder", target=LinkAllocationTarget(account_type="savings")),
            ),
        ),
        (
            "success",
            {
                "accountId": "a",
                "platformId": "p",
                "job": "direct_deposit_switch",
                "params": {"amount": {"value": 10, "unit": "%"}},
            },
            LinkResult(
                account_id="a",
                platform_id="p",
                job="direct_deposit_switch",
                params=LinkResultParams(amount=LinkAmount(value=Decimal(10), unit="%")),
            ),
        ),
        (
            "success",
            {"accountId": "a", "platformId": "p", "job": "direct_deposit_switch", "params": {"action": "full_switch"}},
            LinkResult(
                account_id="a",
                platform_id="p",
                job="direct_deposit_switch",
                params=LinkResultParams(action="full_switch"),
            ),
        ),
        (
            "error",
            {"type": "aNewType", "code": "aNewCode", "message": "m"},
            LinkErrorReport(type="aNewType", code="aNewCode", message="m"),
        ),
        (
            "other_event",
            {"name": "input_submit", "payload": [{"key": "k", "value": "7", "type": "number"}]},
            LinkOtherEvent(name="input_submit", payload=(LinkOtherValue(key="k", value="7", type="number"),)),
        ),
        ("bill_removed", {"platformId": "p"}, LinkBillRemoved(platform_id="p")),
        ("bill_switch_success", {}, LinkBillSwitchSuccess()),
        ("bill_switch_success", {"isGuidedSwitch": True}, LinkBillSwitchSuccess(is_guided_switch=True)),
        ("INPUT_REQUIRED", {"field": "k"}, LinkInputRequired(extra={"field": "k"})),
        (
            "bill_switch_platforms_added",
            {"platforms": [{"id": "p", "name": "n"}]},
            LinkBillSwitchPlatformsAdded(platforms=(LinkPlatform(id="p", name="n"),)),
        ),
    ],
)  # fmt: skip
def test_shapes(name, payload, event):
    """Every shape that a version of Link sends is read."""
    assert event == parse_link_event(name, payload)


def test_unknown_event():
    """An event of tomorrow arrives with its name and its payload."""
    assert UnknownLinkEvent(name="A_new_One", payload=[1]) == parse_link_event("A_new_One", [1])


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({}, "payload: an object without any of the documented fields"),
        (None, "payload: an object without any of the documented fields"),
        ([PLANTED], "payload: not an object"),
        ({"accountId": 4711, "platformId": "p"}, "payload.accountId: not text"),
    ],
)
def test_not_of_the_documented_shape(payload, path):
    """A payload of another shape raises an error that names the place and never shows a value."""
    with pytest.raises(DecodeError) as caught:
        parse_link_event("login", payload)

    assert (path,) == caught.value.paths
    assert "4711" not in str(caught.value)


def test_missing_key_is_null():
    """A key that should be there and is not is null."""
    event = parse_link_event("login", {"accountId": "a"})

    assert isinstance(event, LinkLogin)
    assert event.platform_id is None


def nested(depth):
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_nested_without_end():
    """A payload that is nested without end raises the one error that there is."""
    with pytest.raises(DecodeError):
        parse_link_event("open", {"x": nested(5000)})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = sorted({key for payload in PAYLOADS.values() for key in payload})


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(sorted(PAYLOADS)) | st.text(),
    payload=json_values | st.dictionaries(st.sampled_from(keys), json_values, max_size=5),
)
def test_any_payload(name, payload):
    """Whatever a page passes on, there is an event or a DecodeError."""
    try:
        event = parse_link_event(name, payload)
    except DecodeError as error:
        assert error.paths  # noqa: PT017  # either is right
    else:
        assert isinstance(event, LinkEvent)


def plant(value):
    if isinstance(value, dict):
        return {key: plant(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plant(item) for item in value]
    return PLANTED if isinstance(value, str) else value


@pytest.mark.parametrize("name", [*PAYLOADS, "a_new_one"])
def test_repr_hides_values(name):
    """No repr of an event, or of a part of it, shows a value of its payload."""
    event = parse_link_event(name, plant(PAYLOADS.get(name, {"x": "y"})))
    parts = attrs.astuple(event, recurse=False)

    assert "4711" not in f"{event!r} {event} {[part for part in parts if attrs.has(type(part))]!r}"
