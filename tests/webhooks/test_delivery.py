"""The envelope of a delivery: read from any bytes, and never more of it than is needed."""

import json

import pytest
from hypothesis import given, strategies as st
from multidict import CIMultiDict

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks._delivery import as_bytes, lowered, make_delivery, without_body


def envelope(body, headers=None):
    return make_delivery(headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), key="k")


def test_what_is_known_of_a_delivery(body):
    """Ids, event name and account come from the body, version, subscription and trace from the headers."""
    raw = body(event_id="1", account_id="a")
    headers = {"pinwheel-version": "2025-07-08", "x-pinwheel-webhook-id": "hook", "traceparent": "00-1-1-00"}
    made = envelope(raw, headers)

    assert ("1", "income.added", "a", raw) == (made.event_id, made.event, made.ordering_key, made.body)
    assert ("2025-07-08", "hook", "00-1-1-00") == (made.version, made.webhook_id, made.traceparent)
    assert b"" == without_body(made).body


@pytest.mark.parametrize(
    ("payload", "ordering_key"),
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
def test_ordering_key(payload, ordering_key):
    """Order belongs to the account, else the company connection, else the end user, else nothing but the event."""
    assert ordering_key == envelope({"event_id": "1", "event": "x", "payload": payload}).ordering_key


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_half_of_a_pair_costs_no_id(start):
    """Half of a surrogate pair somewhere in the payload takes neither id nor order from a delivery."""
    raw = start + rb'{"event_id":"1","event":"income.added","payload":{"account_id":"a","x":"\ud83d"}}'
    made = envelope(raw)

    assert ("1", "income.added", "a", raw) == (made.event_id, made.event, made.ordering_key, made.body)


@pytest.mark.parametrize("event_id", [None, "", 7, [], {}, True])
def test_without_a_usable_id(event_id):
    """A body without an id is known by its hash, so that the same body is the same delivery."""
    first, same = (envelope({"event_id": event_id, "event": "x", "payload": {}}) for _ in range(2))
    other = envelope({"event_id": event_id, "event": "y", "payload": {}})

    assert first.event_id == same.event_id == first.ordering_key
    assert first.event_id != other.event_id


@pytest.mark.parametrize("odd", ["x" * 10_000, "a\x00b", "a\nb", "a\u202eb"], ids=["long", "nul", "newline", "control"])
def test_odd_ids(odd):
    """Ids that a store or a log cannot hold are told apart by their hash: one more letter is another id."""
    first, same, other = (
        envelope({"event_id": text, "payload": {"account_id": text}}) for text in (odd, odd, odd + "x")
    )

    assert (first.event_id, first.ordering_key) == (same.event_id, same.ordering_key)
    assert {first.event_id, first.ordering_key}.isdisjoint({other.event_id, other.ordering_key})
    assert (True, True) == (first.event_id.isprintable(), len(first.event_id) <= 255)


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
    for headers in ({"X-Timestamp": "1"}, CIMultiDict({"X-TIMESTAMP": "1"})):
        assert "1" == lowered(headers).get("x-timestamp")


FORMS = {
    "pairs": lambda pairs: pairs,
    "pairs of bytes": lambda pairs: [(name.encode(), value.encode()) for name, value in pairs],
    "tuple of lists": lambda pairs: tuple(map(list, pairs)),
    "iterator": iter,
    "mapping of bytes": lambda pairs: {name.encode(): value.encode() for name, value in pairs},
    "mapping of either": lambda pairs: {name: value.encode() for name, value in pairs},
    "another case for one": lambda pairs: {name.title() if "version" in name else name: value for name, value in pairs},
    "mixed case": lambda pairs: {name.title() if name == "x-timestamp" else name: value for name, value in pairs},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_of_headers(headers, form):
    """Whatever form a framework has its headers in, they are found as text."""
    given = headers(b"{}")
    found = lowered(form(list(given.items())))

    assert given == {name: found.get(name) for name in given}


def test_first_of_several_headers():
    """Of several headers with one name the first one counts, as in aiohttp."""
    pairs = [("X-Timestamp", "1"), ("x-timestamp", "2")]

    assert "1" == lowered(pairs)["x-timestamp"] == lowered(CIMultiDict(pairs))["x-timestamp"]


def test_odd_bytes_of_headers():
    """Bytes that are no ASCII become text, and no error: a sender can send any."""
    assert {"x-timestamp": "\xff"} == lowered([(b"X-Timestamp", b"\xff")])


@pytest.mark.parametrize("wrong", [None, 7, "planted: x", [1], [("planted",)], {"planted": [7]}, [("planted", 7)]])
def test_no_headers(wrong):
    """What are no headers is refused with the cure and without a value: an answer of 401 would lose deliveries."""
    with pytest.raises(ConfigurationError, match=r"pass request\.headers") as caught:
        lowered(wrong)

    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_forms_of_bodies(form):
    """A body may be any kind of bytes."""
    assert b"{}" == as_bytes(form(b"{}"))


@pytest.mark.parametrize("wrong", ["planted", None, {"planted": 1}, 7])
def test_no_body(wrong):
    """A body that was decoded already is refused with its type and the cure."""
    with pytest.raises(ConfigurationError, match=f"raw bytes of the request, .* not {type(wrong).__name__}") as caught:
        as_bytes(wrong)

    assert "planted" not in str(caught.value)


def test_repr(body):
    """The repr of a delivery shows nothing of its body."""
    assert "planted" not in repr(envelope(body(error_code="planted", account_id="planted", event_id="planted")))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(raw):
    """Any bytes make a delivery with an id, an ordering key and text that can be stored."""
    made = envelope(raw)

    assert raw == made.body
    assert all(text.encode() and len(text) <= 255 for text in (made.event_id, made.ordering_key))


@given(_JSON, _JSON, _JSON, _JSON)
def test_any_envelope(event_id, event, account_id, end_user_id):
    """Envelopes with anything in their fields make a delivery with an id and an ordering key."""
    payload = {"account_id": account_id, "end_user_id": end_user_id}
    made = envelope({"event_id": event_id, "event": event, "payload": payload})

    assert all(text.encode() and len(text) <= 255 for text in (made.event_id, made.ordering_key))
