"""The envelope of a delivery: read from any bytes, and never more of it than is needed."""

import json

import pytest
from hypothesis import given, strategies as st
from multidict import CIMultiDict

from pinwheel_async.webhooks._delivery import lowered, make_delivery, without_body


def envelope(body, headers=None):
    return make_delivery(headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), key="k")


def test_what_is_known_of_a_delivery(body):
    """Ids, event name and account come from the body, version, subscription and trace from the headers."""
    raw = body(event_id="1", account_id="a")
    headers = {"pinwheel-version": "2025-07-08", "x-pinwheel-webhook-id": "hook", "traceparent": "00-1-1-00"}
    made = envelope(raw, headers)

    assert ("1", "income.added", "a", raw) == (made.event_id, made.event, made.lane, made.body)
    assert ("2025-07-08", "hook", "00-1-1-00") == (made.version, made.webhook_id, made.traceparent)
    assert b"" == without_body(made).body


@pytest.mark.parametrize(
    ("payload", "lane"),
    [
        ({"account_id": "a", "company_connection_id": "c", "end_user_id": "u"}, "a"),
        ({"company_connection_id": "c", "end_user_id": "u"}, "c"),
        ({"end_user_id": "u"}, "u"),
        ({"account_id": None, "end_user_id": "u"}, "u"),
        ({"account_id": 7, "end_user_id": ["u"]}, "1"),
        ({"account_id": "", "end_user_id": ""}, "1"),
        ({}, "1"),
        (None, "1"),
        ("text", "1"),
        ([{"account_id": "a"}], "1"),
    ],
)
def test_lane(payload, lane):
    """Order belongs to the account, else the company connection, else the end user, else nothing but the event."""
    assert lane == envelope({"event_id": "1", "event": "x", "payload": payload}).lane


@pytest.mark.parametrize("event_id", [None, "", 7, [], {}, True])
def test_without_a_usable_id(event_id):
    """A body without an id is known by its hash, so that the same body is the same delivery."""
    one, same = (envelope({"event_id": event_id, "event": "x", "payload": {}}) for _ in range(2))
    other = envelope({"event_id": event_id, "event": "y", "payload": {}})

    assert one.event_id == same.event_id == one.lane
    assert one.event_id != other.event_id


@pytest.mark.parametrize("odd", ["x" * 10_000, "a\x00b", "a\nb", "a\u202eb"], ids=["long", "nul", "newline", "control"])
def test_odd_ids(odd):
    """Ids that a store or a log cannot hold are told apart by their hash: one more letter is another id."""
    one, same, other = (envelope({"event_id": text, "payload": {"account_id": text}}) for text in (odd, odd, odd + "x"))

    assert (one.event_id, one.lane) == (same.event_id, same.lane)
    assert {one.event_id, one.lane}.isdisjoint({other.event_id, other.lane})
    assert (True, True) == (one.event_id.isprintable(), len(one.event_id) <= 255)


def test_emoji():
    """An id of any script stays as it is."""
    assert "🥐 株式会社" == envelope({"event_id": "🥐 株式会社"}).event_id


@pytest.mark.parametrize("value", ["", "x" * 256, "é", "\udce9", "a\tb", "a\r\nb"])
def test_odd_headers(value):
    """A header that is odd is left out."""
    made = envelope({}, {"pinwheel-version": value, "x-pinwheel-webhook-id": value, "traceparent": value})

    assert (None, None, None) == (made.version, made.webhook_id, made.traceparent)


def test_lowered():
    """Names of headers in any case are found in lower case."""
    assert {"x-timestamp": "1"} == lowered({"X-Timestamp": "1"}) == lowered(CIMultiDict({"X-TIMESTAMP": "1"}))


def test_repr(body):
    """The repr of a delivery shows nothing of its body."""
    assert "planted" not in repr(envelope(body(error_code="planted", account_id="planted", event_id="planted")))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(raw):
    """Any bytes make a delivery with an id, a lane and text that can be stored."""
    made = envelope(raw)

    assert raw == made.body
    assert all(text.encode() and len(text) <= 255 for text in (made.event_id, made.lane))


@given(_JSON, _JSON, _JSON, _JSON)
def test_any_envelope(event_id, event, account_id, end_user_id):
    """Envelopes with anything in their fields make a delivery with an id and a lane."""
    payload = {"account_id": account_id, "end_user_id": end_user_id}
    made = envelope({"event_id": event_id, "event": event, "payload": payload})

    assert all(text.encode() and len(text) <= 255 for text in (made.event_id, made.lane))
