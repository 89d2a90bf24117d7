"""Lean twins of the models, for those who only read values out of them, such as a database.

A twin has the attributes of its model and the same exact types, and its repr shows as little. It is made several times
faster, and the garbage collector does not know it: pages that wait to be stored cost no more than their memory. It is
no `Model`, has none of its model's methods, and never reaches a user.
"""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin

import attrs
import msgspec

from pinwheel_async._core.fields import Model, attributes, wire_name

UNPACKABLE = (OverflowError, UnicodeError, ValueError, TypeError)
"""What `pack` raises where it cannot, and what unpacking raises where it does not understand."""


class Lean(msgspec.Struct):
    """Base of the twins."""

    __repr__ = Model.__repr__


@cache
def lean(kind: Any) -> Any:
    """Return a type with every model in it replaced by its twin."""
    if isinstance(kind, type) and attrs.has(kind):
        return _twin(cast("type[Model]", kind))
    arguments = tuple([lean(one) for one in get_args(kind)])
    origin = get_origin(kind)
    if arguments == get_args(kind):
        return kind
    return Union[arguments] if origin in {Union, UnionType} else cast("Any", origin)[arguments]  # noqa: UP007


def attribute_names(kind: type[Model | Lean]) -> tuple[str, ...]:
    """Return the names of the attributes of a model, or of its twin: the same ones."""
    if issubclass(kind, Model):
        return tuple([one.name for one in attributes(kind)])
    return kind.__struct_fields__


def values_of(item: Lean) -> dict[str, Any]:
    """Return the values of a twin by wire name."""
    return dict(zip(item.__struct_encode_fields__, msgspec.structs.astuple(item), strict=True))


def pack(value: Any) -> bytes:
    """Pack twins, and plain values around them, for another process of this library; moments in UTC."""
    return msgspec.msgpack.encode(value)


@cache
def unpacker(kind: Any) -> Callable[[bytes], Any]:
    """Return what unpacks values of a type."""
    return msgspec.msgpack.Decoder(kind).decode


def _twin(model: type[Model]) -> type[Lean]:
    fields = [(one.name, lean(cast("Any", one.type)), _field(one)) for one in attributes(model)]
    made = msgspec.defstruct(
        model.__name__, fields, bases=(Lean,), module=__name__, frozen=True, gc=False, kw_only=True
    )
    return cast("type[Lean]", made)


def _field(attribute: "attrs.Attribute[Any]") -> Any:
    name, default = wire_name(attribute), cast("Any", attribute.default)
    if default is attrs.NOTHING:
        return msgspec.field(name=name)
    if isinstance(default, cast("Any", attrs.Factory)):
        return msgspec.field(name=name, default_factory=default.factory)
    return msgspec.field(name=name, default=default)
