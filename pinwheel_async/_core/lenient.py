"""The lenient lane: a cattrs converter whose every hook is exact. The only place that knows cattrs.

Exact, because the stock hooks corrupt payroll data in silence: they turn null into the text "None", 12.7 into 12 and an
object into a list of its keys. These forgive what does not change the meaning (a null where the documentation says
never, a time without offset), note it in the walk under way, and refuse the rest with its path, never with its value.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache, partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, cast, get_args, get_origin

import attrs

from pinwheel_async._core import exact
from pinwheel_async._core.exact import Walk
from pinwheel_async._core.fields import Model, Timestamp, Year, attributes, is_list, is_object, wire_name

if TYPE_CHECKING:
    from cattrs import Converter

Hook = Callable[[Any, Any], Any]

_READERS: tuple[tuple[Any, Hook], ...] = (
    (str, exact.read_text),
    (bool, exact.read_bool),
    (int, exact.read_int),
    (float, exact.read_float),
    (Decimal, exact.read_decimal),
    (date, exact.read_date),
    (datetime, exact.read_datetime),
    (Timestamp, exact.read_datetime),
    (Year, exact.read_year),
    (Any, exact.read_any),
)


def structure(payload: Any, kind: type[Model], walk: Walk, place: str | int) -> Any:
    """Read one object that stands at *place*; what cannot be read is noted in *walk*."""
    token = exact.current.set(walk)
    walk.path.append(place)
    try:
        return _converter().get_structure_hook(kind)(payload, kind)
    finally:
        walk.path.pop()
        exact.current.reset(token)


@cache
def _converter() -> "Converter":
    from cattrs import Converter  # noqa: PLC0415  # most processes never meet an odd answer, and cattrs takes 25 ms

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook_factory(_every_kind, partial(_hook, converter))
    for kind, reader in _READERS:
        if isinstance(kind, type):  # the stock hooks of plain classes stand before every factory
            converter.register_structure_hook(kind, reader)
    return converter


def _every_kind(_: Any) -> bool:
    return True


def _hook(converter: "Converter", kind: Any) -> Hook:  # noqa: PLR0911  # one line for each kind of type
    """Choose the hook of a type.

    Raises:
        TypeError: No hook is exact for it; a model must not have such a field.
    """
    for known, reader in _READERS:
        if kind == known:
            return reader
    if hasattr(kind, "__supertype__"):
        return converter.get_structure_hook(kind.__supertype__)
    if attrs.has(kind):
        return _object_hook(cast("type[Model]", kind), converter)
    origin = get_origin(kind)
    if origin is Literal:
        return exact.read_text
    if origin is tuple:
        return _tuple_hook(kind, converter)
    if origin is dict or origin is Mapping:
        return _mapping_hook(kind, converter)
    if origin is Union or origin is UnionType:
        return _union_hook(kind, converter)
    raise TypeError(f"no exact hook for {kind}")


def _object_hook(kind: type[Model], converter: "Converter") -> Hook:
    fields = [(wire_name(one), one, _field_hook(one, converter), _takes_null(one.type)) for one in attributes(kind)]
    required = frozenset(wire for wire, one, _, _ in fields if one.default is attrs.NOTHING)

    def read(value: Any, _: Any) -> Any:
        walk = exact.current.get()
        if not is_object(value):
            return walk.refuse("not an object")
        if required and required.isdisjoint(value):
            return walk.refuse("an object without any of the documented fields")
        found: dict[str, Any] = {}
        for wire, one, hook, nullable in fields:
            walk.path.append(wire)
            if wire not in value:
                if wire in required:
                    found[one.name] = None
                    walk.forgive("missing")
            elif value[wire] is not None:
                found[one.name] = hook(value[wire], value)
            else:
                found[one.name] = None
                if not nullable:
                    walk.forgive("null")
            walk.path.pop()
        return kind(**found)

    return read


def _field_hook(attribute: "attrs.Attribute[Any]", converter: "Converter") -> Hook:
    """Return what reads a field, given its value and the object around it.

    A field that may hold one of several classes says in its metadata by which sibling to choose (`by`), and which
    value of it means which class (`classes`). What has no class stays as it came.
    """
    by: str | None = attribute.metadata.get("by")
    if by is None:
        return converter.get_structure_hook(attribute.type)
    classes: Mapping[str, type[Model]] = attribute.metadata["classes"]
    hooks: dict[Any, Hook] = {name: converter.get_structure_hook(one) for name, one in classes.items()}

    def read(value: Any, around: dict[str, Any]) -> Any:
        chosen = around.get(by)
        hook = hooks.get(chosen) if isinstance(chosen, str) else None
        return hook(value, None) if hook else _read_object(value)

    return read


def _read_object(value: Any) -> Any:
    return exact.read_any(value) if is_object(value) else exact.current.get().refuse("not an object")


def _takes_null(kind: Any) -> bool:
    return kind is Any or NoneType in get_args(kind)


def _union_hook(kind: Any, converter: "Converter") -> Hook:
    members = [one for one in get_args(kind) if one is not NoneType]
    # An enum is an open list: whatever text comes is kept.
    members = [one for one in members if get_origin(one) is not Literal] or [str]
    if set(members) == {int, float, str}:
        return exact.read_number_or_text
    if len(members) > 1:
        raise TypeError(f"{kind} needs metadata that says how to choose")
    return converter.get_structure_hook(members[0])


def _tuple_hook(kind: Any, converter: "Converter") -> Hook:
    item = get_args(kind)[0]
    hook = converter.get_structure_hook(item)

    def read(value: Any, _: Any) -> Any:
        walk = exact.current.get()
        if not is_list(value):
            return walk.refuse("not a list")
        items: list[Any] = []
        for index, one in enumerate(value):
            walk.path.append(index)
            if one is None:
                walk.forgive("null")
            items.append(None if one is None else hook(one, item))
            walk.path.pop()
        return tuple(items)

    return read


def _mapping_hook(kind: Any, converter: "Converter") -> Hook:
    inner = get_args(kind)[1]
    hook = converter.get_structure_hook(inner)

    def read(value: Any, _: Any) -> Any:
        if not is_object(value):
            return exact.current.get().refuse("not an object")
        return {key: None if one is None else hook(one, inner) for key, one in value.items()}

    return read
