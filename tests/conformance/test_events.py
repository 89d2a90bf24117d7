"""The events say what `tests/data/events.json`, our record of the webhooks, says, and read every sample of it."""

import json
import re
import types
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async import events, models
from pinwheel_async._core.convert import UndecodedEvent, read_as
from pinwheel_async._core.fields import MinorUnits, Timestamp, Year
from pinwheel_async.events import ALIASES, EVENTS, UnknownEvent, _decode, decode_event
from pinwheel_async.products import PRODUCTS

Fact: TypeAlias = dict[str, Any]

DATA = Path(__file__).parents[1] / "data"
RECORD: Fact = json.loads((DATA / "events.json").read_text(encoding="utf-8"))
FACTS: dict[str, Fact] = RECORD["events"]
FIELDS = [(name, field) for name, fact in FACTS.items() for field in fact["payload"]]
SAMPLES = sorted((DATA / "samples").rglob("*.json"))

SHARED = {"customer_id", "reseller_customer_id", "tags"}
"""What every event about an account or an end user may have."""

IN_TODAYS_SHAPE = [
    path for path in SAMPLES if not path.stem.startswith("future") and "before-2023-11-22" not in path.stem
]

OPEN = {name for name, fact in FACTS.items() if fact["verified"] in {"partial", "name-only"}}
"""Events that are documented in part."""

LIFTED = {("direct_deposit_switch.added", "amount")}
"""Parameters of older versions that a newer one replaced."""

LISTS = {"added", "deleted", "updated"}


def test_every_event_has_a_class():
    """There is a class for each event of the record, and for no other."""
    assert set(FACTS) == set(EVENTS)


def test_every_subscribable_event_has_a_class():
    """There is a class for each event that a webhook can ask for."""
    assert set(get_args(models.WebhookEventName)) <= set(EVENTS)


@pytest.mark.parametrize("name", FACTS)
def test_class_name(name):
    """A class is called as its event, in camel case, and is public."""
    expected = "".join(word.title() for word in re.split(r"[._]", name))

    assert getattr(events, expected) is EVENTS[name]


@pytest.mark.parametrize("name", FACTS)
def test_wire_name(name):
    """A class knows the name of its event."""
    assert name == EVENTS[name].NAME


def test_aliases():
    """Names that guides misspell are known."""
    assert RECORD["aliases"] == dict(ALIASES)


@pytest.mark.parametrize("name", FACTS)
def test_fields(name):
    """An event has exactly the fields of its payload, and `extra` where it is documented in part."""
    bare = {"account.disconnected", "account.reconnected"}  # they have the fields of their base, too
    expected = set(FACTS[name]["payload"]) | (SHARED if name in bare else set())

    assert expected | ({"extra"} if name in OPEN else set()) == _names(EVENTS[name]) - {"event_id", "event"}


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_field(name, field):
    """A field has the type, the default and the nullability of the record."""
    _check(EVENTS[name], field, FACTS[name]["payload"][field], name)


@pytest.mark.parametrize("name", FACTS)
def test_no_invented_parameter(name):
    """Every parameter of an event is one of its family's events in the record."""
    hint = _without_none(_hints(EVENTS[name]).get("params", Mapping[str, Any]))
    family = [FACTS[member] for member in RECORD["families"][FACTS[name]["family"]]]
    documented = {key for fact in family for key in fact["payload"].get("params", {}).get("properties", {})}

    assert get_origin(hint) is Mapping or _names(hint) <= documented


@pytest.mark.parametrize("name", FACTS)
def test_job(name):
    """An event knows the job that ends with it."""
    assert FACTS[name].get("job_name") == EVENTS[name].JOB


@pytest.mark.parametrize("name", FACTS)
def test_products(name):
    """An event knows the products of the account that are to be fetched when it comes."""
    paths = [path.partition("{account_id}/")[2].partition("/")[0] for path in FACTS[name]["fetch"]]

    assert tuple(dict.fromkeys(path for path in paths if path in PRODUCTS)) == EVENTS[name].PRODUCTS


@pytest.mark.parametrize(("enum", "named"), [("outcome", "JobOutcome"), ("error_type", "JobErrorType")])
def test_enums(enum, named):
    """A named enum lists the values of the record."""
    literal = getattr(models, named, None) or getattr(events, named)

    assert set(RECORD["enums"][enum]) == set(get_args(literal))


def test_there_is_a_sample_of_every_event():
    """Each event of the record has a sample, so that what follows covers all of them."""
    assert set(FACTS) == {path.stem for path in SAMPLES if path.parent.name == "samples"}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_is_read_without_a_word(path):
    """A sample is read with nothing to forgive and nothing refused."""
    decoded = decode_event(path.read_bytes(), version="2025-07-08")

    assert ((), ()) == (decoded.problems, decoded.drift)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_nothing_is_lost(path):
    """Whatever a sample says is in its event, but for keys that are not documented and parameters that are lifted."""
    sample = json.loads(path.read_bytes())
    event = decode_event(path.read_bytes()).event
    assert event is not None

    lost = _lost(sample["payload"], event, "") if not isinstance(event, UnknownEvent) else []

    expected = {
        "identity.added--unknown-fields-and-codes": ["a_future_field"],
        "direct_deposit_switch.added--amount-before-2023-11-22": ["params.amount"],
    }
    assert expected.get(path.stem, []) == lost


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_has_its_envelope(path):
    """An event has the id and the name of its delivery."""
    sample = json.loads(path.read_bytes())
    event = decode_event(path.read_bytes()).event

    assert event is not None
    assert (sample["event_id"], sample["event"]) == (event.event_id, event.event)


@pytest.mark.parametrize("path", IN_TODAYS_SHAPE, ids=lambda path: path.stem)
def test_both_paths_are_equal(path):
    """The fast and the slow path read a sample as the same event."""
    body = path.read_bytes()

    assert decode_event(body, version="2025-07-08") == _read_slowly(body)


@pytest.mark.parametrize("name", FACTS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_both_paths_are_equal_on_anything_documented(name, data):
    """The fast and the slow path read whatever the record allows as the same event, without drift."""
    envelope = {"event": name, "event_id": "e", "payload": data.draw(_objects(FACTS[name]["payload"], name))}
    body = json.dumps(envelope).encode()
    decoded = decode_event(body, version="2025-07-08")

    assert ((), ()) == (decoded.problems, decoded.drift)
    assert decoded == _read_slowly(body)


def _read_slowly(body: bytes) -> Any:
    envelope = read_as(UndecodedEvent, body)
    assert envelope is not None
    return _decode._decode_slow(
        EVENTS[envelope.event], envelope.event_id, envelope.event, bytes(envelope.payload), "2025-07-08", ()
    )


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufdd0"), max_size=8)
moments = st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-5)))).map(datetime.isoformat)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9).map(float)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": text,
    "date": st.dates().map(date.isoformat),
    "date-time": moments,
    "integer": st.integers(-(2**53), 2**53),
    "number": numbers | st.integers(-(2**53), 2**53),
    "boolean": st.booleans(),
}


def _objects(properties: Fact, event: str) -> st.SearchStrategy[Any]:
    """JSON objects as the record allows them; what is not documented may be there, too."""
    known = {name: fact for name, fact in properties.items() if (event, name) not in LIFTED}
    required = {name: _values(fact, event) for name, fact in known.items() if fact["required"]}
    optional = {name: _values(fact, event) for name, fact in known.items() if not fact["required"]}
    unknown = st.dictionaries(st.just("a_field_of_tomorrow"), text | st.none() | numbers, max_size=1)
    return st.tuples(st.fixed_dictionaries(required, optional=optional), unknown).map(lambda two: two[0] | two[1])


def _values(fact: Fact, event: str) -> st.SearchStrategy[Any]:
    if fact["type"] == "array":
        values: st.SearchStrategy[Any] = st.lists(_values(fact["items"], event), max_size=2)
    elif fact["type"] == "object":
        values = _objects(fact.get("properties", {}), event)
    elif "enum" in fact or "open_enum" in fact:
        values = st.sampled_from(fact.get("open_enum") or fact["enum"]) | text
    else:
        values = SCALARS[fact["format"] if fact.get("format") in SCALARS else fact["type"]]
    return values | st.none() if fact.get("nullable") else values


def _lost(said: Any, read: Any, path: str) -> list[str]:
    """Return the places of a payload that are not in what was read."""
    if isinstance(said, dict) and attrs.has(type(read)):
        named = {key: getattr(read, key, None) for key in said}
        named |= {key: value for key, value in getattr(read, "extra", {}).items() if key in said}
        return [lost for key in said for lost in _lost(said[key], named[key], f"{path}.{key}".lstrip("."))]
    if isinstance(said, list) and isinstance(read, tuple) and len(said) == len(read):
        return [lost for at, item in enumerate(said) for lost in _lost(item, read[at], f"{path}[{at}]")]
    if isinstance(read, datetime):
        return [] if datetime.fromisoformat(said) == read else [path]
    if isinstance(read, date):
        return [] if date.fromisoformat(said) == read else [path]
    return [] if said == read else [path]


def _check(model: type, field: str, fact: Fact, event: str) -> None:
    hint, default = _hints(model)[field], attrs.fields_dict(model)[field].default
    sure = fact["required"] and not fact["nullable"] and not fact.get("unverified")
    if field in LISTS:
        assert () == default
    elif sure:
        assert default is attrs.NOTHING
        assert types.NoneType not in get_args(hint)
    else:
        assert default is None
        assert types.NoneType in get_args(hint)
    _check_type(_without_none(hint), field, fact, event)


def _check_type(hint: Any, field: str, fact: Fact, event: str) -> None:
    if fact["type"] == "array":
        assert get_origin(hint) is tuple
        _check_type(get_args(hint)[0], field, fact["items"], event)
    elif fact["type"] == "object" and fact.get("properties") and not fact.get("additional_properties"):
        for name, inner in fact["properties"].items():
            if (event, name) not in LIFTED:
                _check(hint, name, inner, event)
    elif fact["type"] == "object":
        assert hint == Mapping[str, Any]
    elif "enum" in fact or "open_enum" in fact:
        literals = {value for member in get_args(hint) if get_origin(member) is Literal for value in get_args(member)}
        assert set(fact.get("open_enum") or fact["enum"]) == literals
        assert str in get_args(hint)
    else:
        assert _scalar(field, fact) == hint


def _scalar(field: str, fact: Fact) -> Any:
    if fact["type"] == "integer":
        cents = field.endswith("_cents") or fact.get("description", "").startswith("Cents")
        return {"year": Year}.get(field, MinorUnits if cents else int)
    if fact["type"] == "string":
        return {"date-time": Timestamp, "date": date}.get(fact.get("format", ""), str)
    return {"number": Decimal, "boolean": bool}[fact["type"]]


def _names(model: Any) -> set[str]:
    return {attribute.name for attribute in attrs.fields(model)}


def _hints(model: type) -> dict[str, Any]:
    return get_type_hints(model, include_extras=True)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in {Union, types.UnionType}:
        return hint
    members = [member for member in get_args(hint) if member is not types.NoneType]
    return members[0] if len(members) == 1 else Union[tuple(members)]  # noqa: UP007  # made at run time
