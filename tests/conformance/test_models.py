"""The models say what `tests/data/reference.json`, our record of the API, says."""

import ast
import inspect
import json
import types
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec
import pytest

from pinwheel_async import models
from pinwheel_async._core.fields import MinorUnits, Model, Timestamp, Year

Fact: TypeAlias = dict[str, Any]
Hint: TypeAlias = Any

REFERENCE: Fact = json.loads((Path(__file__).parents[1] / "data" / "reference.json").read_text(encoding="utf-8"))
MODELS: dict[str, Fact] = REFERENCE["models"] | REFERENCE["legacy"]["models"]
FIELDS = [(model, name) for model, fact in MODELS.items() for name in fact["fields"]]
ENUM_FIELDS = [(model, name) for model, name in FIELDS if MODELS[model]["fields"][name].get("enum")]
PARSED_SHAPES = {"TaxFormW2", "UploadedBankStatement", "UploadedPaystub", "UploadedSSIAwardLetter", "UploadedW2"}
PLANTED = "planted-value"


@pytest.mark.parametrize("model", MODELS)
def test_fields(model):
    """A model has exactly the fields of the reference."""
    assert set(MODELS[model]["fields"]) == set(_attributes(model))


@pytest.mark.parametrize("model", MODELS)
def test_only_renamed_field(model):
    """A field has its wire name, but for `ShiftTimestamp.from`, a keyword."""
    renamed = [attribute.name for attribute in _attributes(model).values() if "wire" in attribute.metadata]

    assert (["from_"] if model == "ShiftTimestamp" else []) == renamed


def test_every_class_is_in_the_reference():
    """There is no model that the reference does not have."""
    public = {name for name in models.__all__ if isinstance(getattr(models, name), type)}

    assert set(MODELS) == public - {"MinorUnits", "Year"}


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_nullability(model, name):
    """A field may be None where it is optional without a default, or where null was seen."""
    fact = MODELS[model]["fields"][name]
    may_be_none = fact["nullable"] if fact["required"] else not _has_default(model, fact)

    assert may_be_none is (types.NoneType in _members(_hint(model, name)))


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_default(model, name):
    """A required field has no default; an optional one has the documented default of a request, else None."""
    fact = MODELS[model]["fields"][name]
    attribute = _attributes(model)[name]
    documented: object = fact["default"] if _has_default(model, fact) else None
    optional: object = () if documented == [] else documented

    assert (attrs.NOTHING if fact["required"] else optional) == attribute.default


@pytest.mark.parametrize("model", MODELS)
def test_required_fields_come_first(model):
    """A class's own required fields stand before its optional ones."""
    own = [a for a in _attributes(model).values() if not a.inherited]
    optional = [attribute.default is not attrs.NOTHING for attribute in own]

    assert sorted(optional) == optional


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_type(model, name):
    """A field has the type that its kind, format and unit ask for."""
    hint = _hint(model, name)

    assert _expected(model, name, MODELS[model]["fields"][name]) == _without_none_and_literals(hint)


@pytest.mark.parametrize(("model", "name"), ENUM_FIELDS)
def test_enum_values(model, name):
    """An enum field names exactly the values of the reference, and those seen beside them."""
    fact = MODELS[model]["fields"][name]
    expected = list(fact["enum"])
    if name == "supported_jobs":
        expected += get_args(models.CompanyJobType)
    if name == "document_type" and model in PARSED_SHAPES:
        expected = REFERENCE["enums"]["DocumentType"]

    assert sorted(expected) == sorted(_literal_values(_hint(model, name)))


@pytest.mark.parametrize(("model", "name"), ENUM_FIELDS)
def test_enums_are_open(model, name):
    """An enum field also takes values that the API adds later."""
    assert str in _members(_item(_hint(model, name)))


@pytest.mark.parametrize("enum", REFERENCE["enums"])
def test_named_enum(enum):
    """An enum that the reference names is public under that name, with the same values."""
    assert tuple(REFERENCE["enums"][enum]) == get_args(getattr(models, enum))


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_values_seen_outside_an_enum_are_named(model, name):
    """A value that answers had and the enum has not is named all the same."""
    seen: list[str] = MODELS[model]["fields"][name].get("observed_values_outside_enum", [])

    assert set(seen) <= set(_literal_values(_hint(model, name)))


@pytest.mark.parametrize("model", MODELS)
def test_decoder(model):
    """A model makes a msgspec decoder, unless one of its fields holds one of several classes."""
    if model == "EndUserDocument":
        with pytest.raises(TypeError):
            msgspec.json.Decoder(_class(model))
    else:
        msgspec.json.Decoder(_class(model))


@pytest.mark.parametrize("model", MODELS)
def test_shape(model):
    """A model is a frozen, slotted, keyword-only attrs class without converters, aliases or validators."""
    cls = _class(model)
    plain = [a.converter is None and a.validator is None and a.alias == a.name and a.kw_only for a in attrs.fields(cls)]

    assert all(plain)
    assert issubclass(cls, Model)
    assert "__dict__" not in dir(cls)
    assert cls.__setattr__ is not object.__setattr__


@pytest.mark.parametrize("model", MODELS)
def test_docstrings(model):
    """A class, and each of its own fields, has a docstring."""
    tree = ast.parse(inspect.getsource(_class(model))).body[0]
    assert isinstance(tree, ast.ClassDef)

    undocumented = [
        ast.unparse(statement)
        for statement, after in zip(tree.body, [*tree.body[1:], None], strict=True)
        if isinstance(statement, ast.AnnAssign) and not _is_text(after)
    ]

    assert ast.get_docstring(tree)
    assert undocumented == []


@pytest.mark.parametrize("model", MODELS)
def test_repr_hides_values(model):
    """The repr and the text of a model show none of its values."""
    value = _class(model)(**{attribute.name: PLANTED for attribute in attrs.fields(_class(model))})

    assert PLANTED not in f"{value!r} {value}"
    assert model in repr(value)


@pytest.mark.parametrize("model", [model for model in MODELS if model not in {"EndUserDocument", "ShiftTimestamp"}])
def test_full_object_decodes(model):
    """An object with every documented field, and one that nobody documented, decodes with each value in place."""
    sample = _sample(model)

    decoded = msgspec.json.decode(json.dumps(sample | {"new": {"deep": [1]}}), type=_class(model))

    assert sample == json.loads(msgspec.json.Encoder(decimal_format="number").encode(decoded))


@pytest.mark.parametrize("model", [model for model in MODELS if model not in {"EndUserDocument", "ShiftTimestamp"}])
def test_nulls_decode(model):
    """An object whose nullable fields are all null decodes."""
    facts = MODELS[model]["fields"]
    nullable = {name for name in facts if types.NoneType in _members(_hint(model, name))}

    decoded = msgspec.convert(_sample(model) | dict.fromkeys(nullable), type=_class(model))

    assert all(getattr(decoded, name) is None for name in nullable)


def _class(model: str) -> type[Any]:
    cls: type[Any] = getattr(models, model)
    return cls


def _attributes(model: str) -> dict[str, Any]:
    """Give the attributes of a model by wire name."""
    return {attribute.metadata.get("wire", attribute.name): attribute for attribute in attrs.fields(_class(model))}


def _hint(model: str, name: str) -> Hint:
    return get_type_hints(_class(model), include_extras=True)[_attributes(model)[name].name]


def _has_default(model: str, fact: Fact) -> bool:
    """Say whether a field has a default to send; answers have documented defaults, too, but send them themselves."""
    is_request = MODELS[model].get("kind") == "request" or model in {"LegacyLinkTokenRequest", "LegacySiteRequest"}
    return is_request and "default" in fact


def _members(hint: Hint) -> tuple[Hint, ...]:
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


def _item(hint: Hint) -> Hint:
    """Give the item's type where a field, or what it is beside null, is a tuple."""
    tuples = [part for part in _members(hint) if get_origin(part) is tuple]
    return get_args(tuples[0])[0] if tuples else hint


def _without_none_and_literals(hint: Hint) -> Hint:
    kept = [part for part in _members(hint) if part is not types.NoneType and get_origin(part) is not Literal]
    if len(kept) == 1 and get_origin(kept[0]) is tuple:
        item = _without_none_and_literals(get_args(kept[0])[0])
        return tuple[item, ...]
    return Union[tuple(kept)]  # noqa: UP007 - the members are known only here


def _literal_values(hint: Hint) -> list[str]:
    return [value for part in _members(_item(hint)) if get_origin(part) is Literal for value in get_args(part)]


def _expected(model: str, name: str, fact: Fact) -> Hint:
    kind, unit, form = fact["type"], fact.get("unit") or "", fact.get("format") or ""
    if name == "parsed_data" and kind == "union":
        return Union[tuple(_class(shape) for shape in fact["one_of"]) + (Mapping[str, Any],)]  # noqa: RUF005, UP007
    if kind == "array":
        item = _expected(model, name, fact["items"])
        return tuple[item, ...]
    if kind in MODELS:
        return _class(kind)
    if kind == "object":
        return Mapping[str, str] if fact["additional_properties"] == "string" else Mapping[str, Any]
    if kind == "string":
        return _text(form)
    return _number(kind, name, unit)


def _text(form: str) -> Hint:
    if form == "date":
        return date
    return Timestamp if form == "date-time" or form.startswith("timestamp") else str


def _number(kind: str, name: str, unit: str) -> Hint:
    if "cents" in unit and "not cents" not in unit and "|" not in kind:
        return MinorUnits
    if unit == "smallest currency unit":
        return MinorUnits
    if "dollars" in unit or name in {"min_amount", "max_amount"}:
        return Decimal
    if name == "year":
        return Year
    return {"number": float, "integer": int, "boolean": bool, "number|string": int | float | str}[kind]


def _is_text(statement: ast.stmt | None) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _sample(model: str) -> dict[str, Any]:
    """Make an object as the API would send it, with a value in every field."""
    return {name: _sample_value(model, name, fact) for name, fact in MODELS[model]["fields"].items()}


def _sample_value(model: str, name: str, fact: Fact) -> Any:
    kind = fact["type"]
    if kind == "array":
        inner = [_sample_value(model, name, fact["items"])]
        return [] if fact["items"]["type"] == "ShiftTimestamp" else inner
    if kind in MODELS:
        return _sample(kind)
    if kind == "string":
        return {date: "2026-01-31", Timestamp: "2026-01-31T10:20:30.123456Z"}.get(_text(fact.get("format") or ""), "x")
    return {"object": {"k": "v"}, "boolean": True, "integer": 7, "number|string": "7.50"}.get(kind, 7)
