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
from pinwheel_async._core.fields import MinorUnits, Timestamp, Year
from pinwheel_async._core.model import Model
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.events import EVENTS
from pinwheel_async.link import LINK_EVENTS

Fact: TypeAlias = dict[str, Any]
Hint: TypeAlias = Any

REFERENCE: Fact = json.loads((Path(__file__).parents[1] / "data" / "reference.json").read_text(encoding="utf-8"))
LEFT_OUT = {
    # What the library makes of the body of an error is an `ApiError`, and of a delivery an event.
    "ErrorEnvelope", "ErrorBody", "ErrorField", "WebhookEvent",
    # Older shapes: answers are lifted to the newest, and the client sends a webhook in the newest only.
    "JobLegacy", "JobParamsLegacy", "LegacyJob", "LegacyJobParams", "LegacyLinkToken", "LegacyEmployer",
    "LegacyPlatform", "LegacySearchResult", "LegacyWebhook", "LegacyWebhookRequest", "WebhookRequest20220909",
}  # fmt: skip
"""Objects of the reference that have no class on purpose: no endpoint, event or field would use it."""

DOCUMENTED: dict[str, Fact] = REFERENCE["models"] | REFERENCE["legacy"]["models"]
MODELS = {name: fact for name, fact in DOCUMENTED.items() if name not in LEFT_OUT}
FIELDS = [(model, name) for model, fact in MODELS.items() for name in fact["fields"]]
ENUM_FIELDS = [(model, name) for model, name in FIELDS if MODELS[model]["fields"][name].get("enum")]
REQUESTS = {name for name, fact in MODELS.items() if fact.get("kind") == "request"} | {
    "LegacyLinkTokenRequest", "LegacySiteRequest",
}  # fmt: skip
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
    """There is a model for every object of the reference but those that are left out, and no other."""
    public = {name for name in models.__all__ if isinstance(getattr(models, name), type)}

    assert set(DOCUMENTED) - LEFT_OUT == public - {"MinorUnits", "Year"}
    assert set(DOCUMENTED) >= LEFT_OUT


def test_every_class_is_used():
    """Every model is what an endpoint takes or answers, or stands in such a model, or in an event."""
    used = {row_class for row in ENDPOINTS for row_class in (row.body, row.result, row.meta) if row_class}
    used |= {*EVENTS.values(), *LINK_EVENTS.values(), models.LinkTokenRequest20231122}  # the older form of the body
    found: set[Any] = set()
    while used:
        cls = used.pop()
        found.add(cls)
        used |= {inner for attribute in attrs.fields(cls) for inner in _classes(attribute.type)} - found

    assert {_class(model) for model in MODELS} <= found


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_nullability(model, name):
    """A field may be None where it is optional without a default, or where null was seen."""
    fact = MODELS[model]["fields"][name]
    may_be_none = fact["nullable"] if fact["required"] else not _has_default(model, fact)

    assert may_be_none is (types.NoneType in _members(_hint(model, name)))


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_default(model, name):
    """A required field has no default; an optional one has the documented default of a request, else None.

    But for the cursor of the next page: where it is absent, a page could be taken for the last one.
    """
    fact = MODELS[model]["fields"][name]
    attribute = _attributes(model)[name]
    documented: object = fact["default"] if _has_default(model, fact) else None
    optional: object = () if documented == [] else documented

    is_required = fact["required"] or name == "next_cursor"
    assert (attrs.NOTHING if is_required else optional) == attribute.default


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
    """An enum field of an answer also takes values that the API adds later; one of a request takes no other."""
    assert (str in _members(_item(_hint(model, name)))) is (model not in REQUESTS)


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
    """A model is a frozen, slotted, keyword-only attrs class without aliases or validators; only requests convert."""
    cls = _class(model)
    plain = [
        (a.converter is None or model in REQUESTS) and a.validator is None and a.alias == a.name and a.kw_only
        for a in attrs.fields(cls)
    ]

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


def _classes(hint: Hint) -> set[type[Any]]:
    """Give the models that a field can hold."""
    inner = {cls for part in get_args(hint) for cls in _classes(part)}
    return {hint, *inner} if isinstance(hint, type) and attrs.has(hint) else inner


def _attributes(model: str) -> dict[str, Any]:
    """Give the attributes of a model by wire name."""
    return {attribute.metadata.get("wire", attribute.name): attribute for attribute in attrs.fields(_class(model))}


def _hint(model: str, name: str) -> Hint:
    return get_type_hints(_class(model), include_extras=True)[_attributes(model)[name].name]


def _has_default(model: str, fact: Fact) -> bool:
    """Say whether a field has a default to send; answers have documented defaults, too, but send them themselves."""
    return model in REQUESTS and "default" in fact


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
    return Union[tuple(kept)] if kept else str  # noqa: UP007 - the members are known only here


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
    if "dollars" in unit or unit == "unverified" or name in {"min_amount", "max_amount"}:
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
    if model in REQUESTS and fact.get("enum"):
        return [fact["enum"][0]] if kind == "array" else fact["enum"][0]
    if kind == "array":
        inner = [_sample_value(model, name, fact["items"])]
        return [] if fact["items"]["type"] == "ShiftTimestamp" else inner
    if kind in MODELS:
        return _sample(kind)
    if kind == "string":
        return {date: "2026-01-31", Timestamp: "2026-01-31T10:20:30.123456Z"}.get(_text(fact.get("format") or ""), "x")
    return {"object": {"k": "v"}, "boolean": True, "integer": 7, "number|string": "7.50"}.get(kind, 7)
