"""The same models for the peers: made from ours, field by field, so that everybody reads the same answers."""

import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from pydantic import BaseModel, create_model

from pinwheel_async._core.fields import Model


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
    fields: dict[str, Any] = {
        one.name: (_translated(hints[one.name], base), ... if one.default is attrs.NOTHING else one.default)
        for one in attrs.fields(kind)
    }
    return create_model(kind.__name__, __base__=base, **fields)


def _translated(hint: Any, base: type[BaseModel]) -> Any:
    if isinstance(hint, type) and issubclass(hint, Model):
        return _made(hint, base)
    if get_origin(hint) is tuple:
        return list[_translated(get_args(hint)[0], base)]
    if get_origin(hint) in {Union, types.UnionType}:
        members = get_args(hint)
        if base is not BaseModel and any(get_origin(one) is Literal for one in members):
            members = tuple(one for one in members if one is not str)  # Stainless writes closed enums and lets all pass
        return Union[tuple(_translated(one, base) for one in members)]  # noqa: UP007  # built at run time
    return getattr(hint, "__supertype__", hint)
