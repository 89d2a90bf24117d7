"""Both lanes, over every model: what both accept is equal, and whatever comes, nothing escapes."""

import json
import types
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async import models
from pinwheel_async._core.convert import decode, encode
from pinwheel_async._core.exact import Walk
from pinwheel_async._core.fields import Model, Timestamp, Year, attributes, wire_name
from pinwheel_async._core.lean import Lean, attribute_names, lean
from pinwheel_async._core.lenient import structure
from pinwheel_async._core.page import PaginationMeta
from pinwheel_async._core.shape import Packed, Shape

LATEST = "2025-07-08"
ID = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
MODELS = sorted(
    (one for one in (getattr(models, name) for name in models.__all__) if isinstance(one, type) and attrs.has(one)),
    key=lambda one: one.__name__,
)

text = st.text(max_size=8)
moments = st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-5)))).map(datetime.isoformat)
numbers = st.integers(-(2**53), 2**53)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9).map(float)
floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
open_objects = st.dictionaries(text, text | numbers | st.none(), max_size=2)

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: text,
    int: numbers,
    float: floats | numbers,
    bool: st.booleans(),
    Decimal: decimals | numbers,
    date: st.dates().map(date.isoformat),
    datetime: moments,
    Timestamp: moments,
    Year: numbers,
    Any: text | numbers | st.none(),
}


def documents(kind: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911  # one line for each kind of type
    """JSON that the reference allows for a type, with unknown enum values and unknown keys."""
    if kind in SCALARS:
        return SCALARS[kind]
    if hasattr(kind, "__supertype__"):
        return documents(kind.__supertype__)
    if isinstance(kind, type) and attrs.has(kind):
        return objects(kind)
    origin = get_origin(kind)
    if origin is tuple:
        return st.lists(documents(get_args(kind)[0]), max_size=2)
    if origin is Mapping:
        return st.dictionaries(text, documents(get_args(kind)[1]), max_size=2)
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    assert origin in {Union, types.UnionType}
    return st.one_of([st.none() if one is types.NoneType else documents(one) for one in get_args(kind)])


def objects(model: type[Model]) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects of a model; optional keys may be absent, keys nobody knows may be there."""
    fields = attributes(model)
    if model is models.EndUserDocument:
        fields = tuple(one for one in fields if one.name != "parsed_data")
    required = {wire_name(one): documents(one.type) for one in fields if one.default is attrs.NOTHING}
    optional = {wire_name(one): documents(one.type) for one in fields if one.default is not attrs.NOTHING}
    known = st.fixed_dictionaries(required, optional=optional)
    return st.tuples(known, st.dictionaries(st.just("a_field_of_tomorrow"), text, max_size=1)).map(
        lambda two: two[0] | two[1]
    )


def leniently(model: type[Model], body: bytes) -> tuple[Any, Walk]:
    walk = Walk()
    payload = msgspec.json.Decoder(float_hook=Decimal).decode(body)
    return structure(payload, model, walk, "data"), walk


@pytest.mark.parametrize("model", MODELS, ids=lambda one: one.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_both_lanes_give_equal_models(model, data):
    """What the fast lane accepts, the lenient lane reads as the same model and has nothing to forgive."""
    document = data.draw(objects(model))
    body = json.dumps({"data": document}).encode()
    decoded = decode(Shape(model, many=False, meta=None), body, LATEST)

    lenient, walk = leniently(model, json.dumps(document).encode())

    assert () == decoded.problems
    assert [] == walk.problems
    assert lenient == decoded.data
    assert decoded.forgiven == tuple(walk.forgiven) == ()


@pytest.mark.parametrize(
    "model", [one for one in MODELS if one is not models.EndUserDocument], ids=lambda one: one.__name__
)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_what_is_encoded_decodes_to_the_same(model, data):
    """A model written with its nulls and read again is the same model."""
    document = data.draw(objects(model))
    first = decode(Shape(model, many=False, meta=None), json.dumps({"data": document}).encode(), LATEST).data

    again = decode(Shape(model, many=False, meta=None), b'{"data":%s}' % encode(first, nulls=True), LATEST)

    assert first == again.data


def flattened(value: Any) -> Any:
    """The values of a model or of its twin, down to the last one."""
    if isinstance(value, Model | Lean):
        return {name: flattened(getattr(value, name)) for name in attribute_names(type(value))}
    return tuple(map(flattened, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("many", [True, False], ids=["page", "object"])
@pytest.mark.parametrize(
    "model", [one for one in MODELS if one is not models.EndUserDocument], ids=lambda one: one.__name__
)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_twins_hold_what_models_hold(many, model, data):
    """A twin has every attribute of its model, with the same value of the same type, and nothing else."""
    document = data.draw(objects(model))
    body = json.dumps({"data": [document] * 2 if many else document}).encode()

    twins = decode(Shape(model, many, meta=PaginationMeta, lean=True), body, LATEST)

    items = decode(Shape(model, many, meta=PaginationMeta), body, LATEST)
    assert isinstance(twins.data[0] if many else twins.data, Lean)
    assert repr(flattened(items.data)) == repr(flattened(twins.data))
    assert items.meta == twins.meta


@pytest.mark.parametrize(
    "model", [models.Paystub, models.Shift, models.Account, models.Identity, models.TaxFormSummary]
)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_what_is_odd_never_becomes_a_twin(model, data):
    """An answer that has to be forgiven is what it is without twins, notes included."""
    body = json.dumps({"data": [data.draw(objects(model)), data.draw(objects(model)) | {"id": None}]}).encode()
    shape = Shape(model, many=True, meta=PaginationMeta)

    found = decode(attrs.evolve(shape, lean=True), body, LATEST)

    assert found == decode(shape, body, LATEST)
    assert found.forgiven == ("data[].id: null",)


def test_an_older_version_never_becomes_a_twin():
    """Objects that have to be lifted are models."""
    body = b'{"data":[{"id":"1"}]}'
    shape = Shape(models.Paystub, many=True, meta=None)

    assert decode(shape, body, "2020-01-01") == decode(attrs.evolve(shape, lean=True), body, "2020-01-01")


def test_twins_show_no_values():
    """The repr of a twin is that of its model: class and ids, never a value."""
    employment = dict.fromkeys(attribute_names(models.Employment)) | {"id": ID, "title": "planted-4711"}
    twin = lean(models.Employment)(**employment)

    assert repr(twin) == f"<Employment id={ID}>"


@pytest.mark.parametrize(
    ("many", "body", "count"),
    [
        (True, b'{"data":[{"id":"1"},{"id":2}],"meta":{"count":2,"next_cursor":"on"}}', 2),
        (True, b'{"data":[],"meta":{"count":0,"next_cursor":"on"}}', 0),
        (False, b'{"data":{"id":"1"},"meta":{"next_cursor":"on"}}', 1),
    ],
)
def test_what_nobody_reads(many: bool, body: bytes, count: int):
    """Packed data stay as they came, and only what the answer says about itself is read."""
    decoded = decode(Shape(models.Paystub, many, PaginationMeta, packed=True), body, LATEST)

    assert decoded.data == Packed(body, count)
    assert decoded.meta.next_cursor == "on"


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b'{"data":{"id":"1"}}', LATEST),
        (b'{"data":[],"meta":{"next_cursor":7}}', LATEST),
        (b'{"data":[]', LATEST),
        (b'[{"id":"1"}]', "2020-01-01"),
    ],
    ids=["no list", "odd meta", "half", "old"],
)
def test_what_is_read_nevertheless(body: bytes, version: str):
    """An answer that is odd as a whole, or of an older version, is read as if nothing could stay packed."""
    shape = Shape(models.Paystub, many=True, meta=PaginationMeta)

    assert decode(shape, body, version) == decode(attrs.evolve(shape, packed=True), body, version)


@pytest.mark.parametrize("model", MODELS, ids=lambda one: one.__name__)
def test_null_where_it_must_not_be(model):
    """A null in any field is None there, never a crash and never the text "None"."""
    document = {wire_name(one): None for one in attributes(model)}
    decoded = decode(Shape(model, many=True, meta=PaginationMeta), json.dumps({"data": [document]}).encode(), LATEST)

    (one,) = decoded.data
    assert {None} == {getattr(one, field.name) for field in attributes(model)}


json_values = st.recursive(
    st.none() | st.booleans() | numbers | floats | text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "id", "meta", "pay_date", "taxes"]), inner)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("model", [models.Paystub, models.Shift, models.Job, models.EndUserDocument, models.LinkToken])
@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()))
def test_hostile_bytes_never_escape(model, body):
    """Whatever the bytes are, decoding ends with a value or with problems, and raises nothing."""
    for many in (True, False):
        decoded = decode(Shape(model, many=many, meta=PaginationMeta), body, LATEST)

        assert decoded.problems or decoded.data is not None


wrong = st.sampled_from([12.5, "planted-4711", True, ["planted-4711"], {"planted-4711": "planted-4711"}])


@pytest.mark.parametrize("model", [models.Paystub, models.Identity, models.Shift, models.Account, models.TaxForm])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_problems_never_show_values(model, data):
    """A value of the wrong type is a problem that names the path and never shows what stood there."""
    fields = [one for one in attributes(model) if one.type in {date, Timestamp} or "tuple" in str(one.type)]
    field = data.draw(st.sampled_from(fields))
    document = data.draw(objects(model)) | {
        wire_name(field): data.draw(wrong.filter(lambda one: not isinstance(one, list)))
    }

    decoded = decode(Shape(model, many=True, meta=None), json.dumps({"data": [document]}).encode(), LATEST)

    assert [f"data[0].{wire_name(field)}"] == [problem.partition(":")[0] for problem in decoded.problems]
    assert "4711" not in " ".join(decoded.problems)
