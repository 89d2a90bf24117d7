"""Field types that models share, and the reading of their declarations."""

from datetime import datetime
from typing import Annotated, Any, NewType, TypeAlias, TypeGuard, TypeVar, cast

import attrs
import msgspec
from msgspec import Meta

M = TypeVar("M")

MinorUnits = NewType("MinorUnits", int)
"""Money in whole minor units (cents, for dollars) of the currency that stands beside it. May be negative."""

Timestamp: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""An aware `datetime`. The offset is the one that was sent; a missing offset means UTC."""

Year = NewType("Year", int)
"""A calendar year. The API sends it as a number and, in places, as text; it is a number here."""


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list)


def attributes(model: type) -> "tuple[attrs.Attribute[Any], ...]":
    """Return the fields of a model."""
    return cast("tuple[attrs.Attribute[Any], ...]", attrs.fields(cast("Any", model)))


def wire_name(attribute: "attrs.Attribute[Any]") -> str:
    """Return the JSON name of a field; it differs from ours only where it is a word of the language."""
    name: str = attribute.metadata.get("wire", attribute.name)
    return name


def json_names(model: type[M]) -> type[M]:
    """Let msgspec fill the fields of a model by their JSON names; a decorator, for where these are not our own.

    msgspec knows no other names for the fields of attrs classes than their own. It looks at a class once, and keeps on
    the class what it found; so here it is shown the JSON names, and the fields can be set by them. Should it ever look
    again, it would refuse such objects, and leave them to the slow path.
    """
    fields, types, renamed = attributes(model), model.__annotations__, cast("Any", model)
    names = {field.name: wire_name(field) for field in fields}
    for name, wire in names.items():
        setattr(model, wire, vars(model)[name])
    renamed.__attrs_attrs__ = tuple([field.evolve(name=names[field.name]) for field in fields])
    renamed.__annotations__ = {names.get(name, name): kind for name, kind in types.items()}
    try:
        msgspec.json.Decoder(model)
    finally:
        renamed.__attrs_attrs__, renamed.__annotations__ = fields, types
    return model
