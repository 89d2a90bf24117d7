"""Finds what no database takes, in a page that one refused: places, never values."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pinwheel_async._core.fields import Model, is_object
from pinwheel_async._core.lean import Lean, attribute_names
from pinwheel_async.sync._sink import Batch

_MOST = 2**63 - 1


def unstorable(batch: Batch) -> tuple[str, ...]:
    """Return every place that holds what a database cannot keep, such as `data[3].check_amount: beyond 64 bits`."""
    found: list[str] = []
    for index, item in enumerate(batch.items):
        if getattr(item, "id", None) is None:
            found.append(f"data[{index}].id: missing")
        found.extend(_places(item, f"data[{index}]"))
    return tuple(found)


def _places(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, Model | Lean):
        for name in attribute_names(type(value)):
            yield from _places(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(cast("Sequence[Any]", value)):
            yield from _places(inner, f"{place}[{index}]")
    elif is_object(value):
        # The keys of free-form objects are data, too: not named.
        for key, inner in value.items():
            yield from _places(key, f"{place} (a key)")
            yield from _places(inner, f"{place} (a value)")
    elif problem := _problem(value):
        yield f"{place}: {problem}"


def _problem(value: object) -> str | None:
    if isinstance(value, int):
        return None if -_MOST <= value <= _MOST else "beyond 64 bits"
    if isinstance(value, datetime):
        try:
            value.astimezone(UTC)
        except OverflowError:
            return "beyond the calendar"
    if isinstance(value, str):
        if "\0" in value:
            return "holds a null character"
        if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
            return "holds half a character"
    return None
