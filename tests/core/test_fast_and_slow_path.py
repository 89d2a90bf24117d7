"""Fast and slow path of decoding, over every model: what both accept is equal, and no input raises."""

import functools
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
from pinwheel_async._core.convert import Decoded, Shape, Undecoded, _ShapeDecoder, decode
from pinwheel_async._core.converter import encode, structure
from pinwheel_async._core.derived import StructModel, attribute_names, struct_of
from pinwheel_async._core.fields import Timestamp, Year, attributes, is_list, is_object, wire_name
from pinwheel_async._core.model import Model
from pinwheel_async._core.page import PaginationMeta
from pinwheel_async._core.scalars import Diagnostics

LATEST = "2025-07-08"
META = {"count": 2, "next_cursor": None}
ID = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
MODELS = sorted(
    (
        model
        for model in (getattr(models, name) for name in models.__all__)
        if isinstance(model, type) and attrs.has(model)
    ),
    key=lambda model: model.__name__,
)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufdd0"), max_size=8)
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


@functools.cache  # to make the strategies anew in each example would take most of the time of these tests
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
    return st.one_of([st.none() if member is types.NoneType else documents(member) for member in get_args(kind)])


@functools.cache
def objects(model: type[Model]) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects of a model; optional keys may be absent, unknown keys may be there."""
    fields = attributes(model)
    if model is models.EndUserDocument:
        fields = tuple(field for field in fields if field.name != "parsed_data")
    required = {wire_name(field): documents(field.type) for field in fields if field.default is attrs.NOTHING}
    optional = {wire_name(field): documents(field.type) for field in fields if field.default is not attrs.NOTHING}
    known = st.fixed_dictionaries(required, optional=optional)
    return st.tuples(known, st.dictionaries(st.just("a_field_of_tomorrow"), text, max_size=1)).map(
        lambda parts: parts[0] | parts[1]
    )


def leniently(model: type[Model], body: bytes) -> tuple[Any, Diagnostics]:
    diagnostics = Diagnostics()
    payload = msgspec.json.Decoder(float_hook=Decimal).decode(body)
    return structure(payload, model, diagnostics, "data"), diagnostics


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_both_paths_give_equal_models(model, data):
    """What the fast path accepts, the slow path reads as the same model, without drift."""
    document = data.draw(objects(model))
    body = json.dumps({"data": document}).encode()
    decoded = decode(Shape(model, many=False, meta=None), body, LATEST)

    lenient, diagnostics = leniently(model, json.dumps(document).encode())

    assert () == decoded.problems
    assert [] == diagnostics.problems
    assert lenient == decoded.data
    assert decoded.drift == tuple(diagnostics.drift) == ()


@pytest.mark.parametrize(
    "model", [model for model in MODELS if model is not models.EndUserDocument], ids=lambda model: model.__name__
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
    """The values of a model or of its struct, down to the last one."""
    if isinstance(value, Model | StructModel):
        return {name: flattened(getattr(value, name)) for name in attribute_names(type(value))}
    return tuple(map(flattened, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("many", [True, False], ids=["page", "object"])
@pytest.mark.parametrize(
    "model", [model for model in MODELS if model is not models.EndUserDocument], ids=lambda model: model.__name__
)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_structs_hold_what_models_hold(many, model, data):
    """A struct has every attribute of its model, with the same value of the same type, and nothing else."""
    document = data.draw(objects(model))
    body = json.dumps({"data": [document] * 2 if many else document, "meta": META}).encode()

    structs = decode(Shape(model, many, meta=PaginationMeta), body, LATEST, "structs")

    items = decode(Shape(model, many, meta=PaginationMeta), body, LATEST)
    assert isinstance(structs.data[0] if many else structs.data, StructModel)
    assert repr(flattened(items.data)) == repr(flattened(structs.data))
    assert items.meta == structs.meta


@pytest.mark.parametrize(
    "model", [models.Paystub, models.Shift, models.Account, models.Identity, models.TaxFormSummary]
)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_what_is_odd_never_becomes_a_struct(model, data):
    """An answer that has to be forgiven is what it is without structs, notes included."""
    body = json.dumps(
        {"data": [data.draw(objects(model)), data.draw(objects(model)) | {"id": None}], "meta": META}
    ).encode()
    shape = Shape(model, many=True, meta=PaginationMeta)

    found = decode(shape, body, LATEST, "structs")

    assert found == decode(shape, body, LATEST)
    assert found.drift == ("data[].id: null",)


def test_an_older_version_never_becomes_a_struct():
    """Objects that have to be lifted are models."""
    body = b'{"data":[{"id":"1"}]}'
    shape = Shape(models.Paystub, many=True, meta=None)

    assert decode(shape, body, "2020-01-01") == decode(shape, body, "2020-01-01", "structs")


def test_structs_show_no_values():
    """The repr of a struct is that of its model: class and ids, never a value."""
    employment = dict.fromkeys(attribute_names(models.Employment)) | {"id": ID, "title": "planted-4711"}
    struct = struct_of(models.Employment)(**employment)

    assert repr(struct) == f"<Employment id={ID}>"


@pytest.mark.parametrize(
    ("many", "body", "count", "ids"),
    [
        (True, b'{"data":[{"id":"1"},{"id":2}],"meta":{"count":2,"next_cursor":"on"}}', 2, ("1", 2)),
        (True, b'{"data":[],"meta":{"count":0,"next_cursor":"on"}}', 0, ()),
        (False, b'{"data":{"id":"1"},"meta":{"next_cursor":"on"}}', 1, None),
    ],
)
def test_undecoded_data(many: bool, body: bytes, count: int, ids: tuple[object, ...] | None):
    """Data that are not decoded stay as they came: only ids, and what the answer says about itself, are read."""
    decoded = decode(Shape(models.Paystub, many, PaginationMeta), body, LATEST, "bytes")

    assert decoded.data == Undecoded(body, count, ids)
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
    """An answer that is odd as a whole, or of an older version, is read as if nothing could stay undecoded."""
    shape = Shape(models.Paystub, many=True, meta=PaginationMeta)

    assert decode(shape, body, version) == decode(shape, body, version, "bytes")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_null_where_it_must_not_be(model):
    """A null in any field is None there, never a crash and never the text "None"."""
    document = {wire_name(field): None for field in attributes(model)}
    decoded = decode(Shape(model, many=True, meta=PaginationMeta), json.dumps({"data": [document]}).encode(), LATEST)

    (item,) = decoded.data
    assert all(getattr(item, field.name) in (None, ()) for field in attributes(model))


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
    fields = [field for field in attributes(model) if field.type in {date, Timestamp} or "tuple" in str(field.type)]
    field = data.draw(st.sampled_from(fields))
    document = data.draw(objects(model)) | {
        wire_name(field): data.draw(wrong.filter(lambda value: not isinstance(value, list)))
    }

    decoded = decode(Shape(model, many=True, meta=None), json.dumps({"data": [document]}).encode(), LATEST)

    assert [f"data[0].{wire_name(field)}"] == [problem.partition(":")[0] for problem in decoded.problems]
    assert "4711" not in " ".join(decoded.problems)


ODD_VALUES = [None, "", "12", 12, 12.0, 12.5, "2024-1-31", "2024-01-31T00:00:00", "2024-01-31", True, {}, [], [None]]


def page_of(*documents: Any) -> bytes:
    return json.dumps({"data": documents, "meta": META}).encode()


def places_in(document: Any) -> list[tuple[Any, Any]]:
    """Every object or list of a document, with each of its keys."""
    keys = document.keys() if is_object(document) else range(len(document)) if is_list(document) else ()
    return [(document, key) for key in keys] + [place for key in keys for place in places_in(document[key])]


def comparable(decoded: Decoded) -> Any:
    """What is decoded; only the order of the notes may differ, since builders are filled from the inside out."""
    return decoded.data, decoded.meta, decoded.problems, sorted(decoded.drift)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_known_odd_places(model, data):
    """An answer that is odd, once places are known, reads as it does by the slow path: models, notes and problems."""
    odd, other = (data.draw(objects(model)) for _ in range(2))
    for container, key in data.draw(st.lists(st.sampled_from(places_in(odd) or [({0: 0}, 0)]), max_size=3)):
        if key not in container and not is_list(container):
            continue
        value = data.draw(st.sampled_from([..., *ODD_VALUES]))
        if value is not ... or is_list(container):
            container[key] = None if value is ... else value
        else:
            del container[key]
    shape = Shape(model, many=True, meta=PaginationMeta)
    decoder = _ShapeDecoder(shape)

    for body in (page_of(odd), page_of(other), page_of(other, odd), page_of(odd, odd)):
        found = decoder.decode(body, LATEST)

        assert comparable(_ShapeDecoder(shape).decode(body, LATEST)) == comparable(found)
