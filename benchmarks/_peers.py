"""Models of the peers, made from ours field by field, so that all contenders read the same answers."""

import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from pydantic import BaseModel, Field, create_model

from pinwheel_async._core.fields import wire_name
from pinwheel_async._core.model import Model


def pydantic_model(kind: type[Model]) -> type[BaseModel]:
    """Make a pydantic model with the fields of one of ours."""
    return _made(kind, BaseModel)


def stainless_model(kind: type[Model]) -> type[Any]:
    """Make a model as Stainless generates them, on the base class of its SDK for Finch."""
    from finch._models import BaseModel as StainlessModel  # noqa: PLC0415  # an extra that not all benchmarks need

    return _made(kind, StainlessModel)


@cache
def _made(kind: type[Model], base: type[BaseModel]) -> type[Any]:
    hints = get_type_hints(kind)
    fields: dict[str, Any] = {}
    for field in attrs.fields(kind):
        default, wire = ... if field.default is attrs.NOTHING else field.default, wire_name(field)
        given = default if wire == field.name else Field(default, alias=wire)
        fields[field.name] = (_translated(hints[field.name], base), given)
    return create_model(kind.__name__, __base__=base, **fields)


def _translated(hint: Any, base: type[BaseModel]) -> Any:
    if isinstance(hint, type) and issubclass(hint, Model):
        return _made(hint, base)
    if get_origin(hint) is tuple:
        return list[_translated(get_args(hint)[0], base)]
    if get_origin(hint) in {Union, types.UnionType}:
        members = get_args(hint)
        if base is not BaseModel and any(get_origin(member) is Literal for member in members):
            members = tuple(
                member for member in members if member is not str
            )  # Stainless writes closed enums, checks none
        return Union[tuple(_translated(member, base) for member in members)]  # noqa: UP007  # built at run time
    return getattr(hint, "__supertype__", hint)
