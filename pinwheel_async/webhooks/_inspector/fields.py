"""Fields of an event: their names and the kind of value each has; the values only where they were revealed."""

import json
import types
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from attrs import frozen, has

from pinwheel_async._core.fields import attributes, is_list, is_object, wire_name
from pinwheel_async._privacy import Discreet
from pinwheel_async.events import EVENTS, DecodedEvent
from pinwheel_async.events._decode import read_event

MAX_FIELDS = 500
"""Fields that are shown, at most; a census has as many as its company has employees."""

MAX_TEXT = 100_000
"""Characters that are shown of a body that cannot be read as an event."""

_ENVELOPE = {"event_id", "event", "extra"}


@frozen(kw_only=True, repr=False)
class ShownField(Discreet):
    """A field of an event."""

    path: str
    """Such as `params.added[].id`, or `params.added[0].id` of a revealed one."""
    text: str
    """Its value, or the kind of it."""


@frozen(kw_only=True, repr=False)
class Revealed(Discreet):
    """What a body holds."""

    fields: tuple[ShownField, ...] = ()
    problems: tuple[str, ...] = ()
    """Why it cannot be read as an event."""
    text: str = ""
    """The body, where it cannot be read."""
    left_out: int = 0
    """Fields that are not shown, as there are too many."""


@cache
def masked_fields(event: str) -> tuple[ShownField, ...]:
    """Return the fields that an event of this name has, with the kind of value of each; none if it is not known.

    They are those of its class: the body, which would have to be decrypted for it, is not read.
    """
    kind = EVENTS.get(event)
    return () if kind is None else tuple(_declared(kind, ""))


def revealed_fields(body: bytes, version: str | None = None) -> Revealed:
    """Return the fields of a body and their values; its text, if it is no event that can be read."""
    event = read_event(body, version)
    problems: tuple[str, ...] = ()
    if isinstance(event, DecodedEvent):
        problems = event.problems
        if event.event is None:
            return Revealed(problems=problems, text=body[: 4 * MAX_TEXT].decode("utf-8", "replace")[:MAX_TEXT])
        event = event.event
    fields = list(_values(event.to_dict().get("payload"), ""))
    return Revealed(fields=tuple(fields[:MAX_FIELDS]), problems=problems, left_out=max(0, len(fields) - MAX_FIELDS))


def _declared(kind: type, path: str) -> Iterator[ShownField]:
    hints = get_type_hints(kind, include_extras=True)
    for attribute in attributes(kind):
        if not path and attribute.name in _ENVELOPE:
            continue
        yield from _of_type(hints[attribute.name], f"{path}.{wire_name(attribute)}".lstrip("."))


def _of_type(annotation: Any, path: str) -> Iterator[ShownField]:
    """Yield a field, or those of the object or the list that it holds."""
    origin = get_origin(annotation)
    if origin is Annotated:
        annotation = get_args(annotation)[0]
    elif origin in {Union, types.UnionType}:
        named = [part for part in get_args(annotation) if part is not type(None)]
        # Of a model and other things it may be, the model says most.
        annotation = next((part for part in named if has(part)), named[0])
    if get_origin(annotation) in {Union, types.UnionType, Annotated}:
        yield from _of_type(annotation, path)
    elif get_origin(annotation) is tuple:
        yield from _of_type(get_args(annotation)[0], f"{path}[]")
    elif isinstance(annotation, type) and has(annotation):
        yield from _declared(annotation, path)
    else:
        yield ShownField(path=path, text=_kind(annotation))


def _kind(annotation: Any) -> str:
    """Return the kind of value in a word."""
    annotation = getattr(annotation, "__supertype__", annotation)  # what a NewType is made of
    origin = get_origin(annotation) or annotation
    if origin is Literal or not isinstance(origin, type):
        return "text"
    if issubclass(origin, bool):
        return "yes or no"
    if issubclass(origin, int | float | Decimal):
        return "number"
    if issubclass(origin, date):
        return "date"
    return "object" if issubclass(origin, Mapping) else "text"


def _values(value: Any, path: str) -> Iterator[ShownField]:
    if is_object(value) and value:
        for key, inner in value.items():
            yield from _values(inner, f"{path}.{key}".lstrip("."))
    elif is_list(value) and value:
        for index, inner in enumerate(value):
            yield from _values(inner, f"{path}[{index}]")
    else:
        yield ShownField(path=path, text=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
