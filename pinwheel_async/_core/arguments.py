"""Arguments: what a caller hands over, read by its declared type before anything is sent.

What means the same is taken (a `uuid.UUID` or a member of a `(str, Enum)` for text, an `int` for a `Decimal`, a dict
for a model); for everything else there is a sentence that names the argument, the type of what was given and the cure,
never the value. What is sent has closed lists: a misspelt name is worth more than one that the API may add some day.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, TypeGuard, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

import attrs
from typing_extensions import TypeIs

from pinwheel_async._core.fields import Timestamp, attributes
from pinwheel_async._core.model import Model

Id: TypeAlias = str | UUID
"""An id, as text or as the UUID that most of them are."""

M = TypeVar("M", bound=Model)

MAX_PROBLEMS = 100
"""Sentences after which the items of a list are left unread: nobody reads more."""

_LISTED = 12
"""Names that a sentence lists in full; longer lists (events, states) are only counted."""

_LONGEST = 64
"""Characters beyond which text is no misspelt name: the longest documented one has 44."""


def text_of(value: object) -> str | None:
    """Return text as it is sent: that of an enum member, too, and that of a UUID; None for anything else."""
    if type(value) is str:
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        inner: object = value.value if isinstance(value, Enum) else value
        return str.__str__(inner if isinstance(inner, str) else value)
    return None


def wrong(name: str, wanted: str, value: object, kind: type | None = None) -> str:
    """Say what an argument must be; the type of what was given is named, unless it is the right one (*kind*)."""
    return f"{name} must be {wanted}" if type(value) is kind else f"{name} must be {wanted}, not {type(value).__name__}"


def id_text(name: str, value: object) -> tuple[str, str | None]:
    """Return an id as text, and what is wrong with it."""
    text = text_of(value)
    if text is not None:
        return text, None
    cure = ": give its .id" if isinstance(value, Model) and hasattr(value, "id") else ""
    return "", f"{wrong(name, 'an id, as text or uuid.UUID', value)}{cure}"


def meant(text: str, names: Iterable[str]) -> str:
    """Return the end of a sentence about a name that is none of *names*: which of them was probably meant."""
    if len(text) > _LONGEST:
        return ""
    lowered = {name.lower(): name for name in names}
    near = get_close_matches(text.lower(), lowered, 1)
    return f"; did you mean {lowered[near[0]]}?" if near else ""


def read(kind: Any, name: str, value: object, problems: list[str], wanted: str | None = None) -> Any:
    """Return an argument as it is sent, or None after noting in *problems* what is wrong with it.

    Args:
        kind: The declared type.
        name: How the argument is named, such as `cards[0].card_number`.
        value: What was given.
        problems: Where sentences are added to.
        wanted: What a scalar must be, in words, where the type says too little.
    """
    if kind in _SCALARS:
        scalar, usual = _SCALARS[kind]
        found = scalar(value)
        if found is None:
            problems.append(wrong(name, wanted or usual, value, datetime if kind == Timestamp else kind))
        return found
    origin = get_origin(kind)
    if origin is Union or origin is UnionType:
        members = [member for member in get_args(kind) if member is not NoneType]
        return None if value is None and len(members) < len(get_args(kind)) else read(members[0], name, value, problems)
    if origin is Literal:
        return _choice(get_args(kind), name, value, problems)
    if origin is tuple:
        return read_several(get_args(kind)[0], name, value, problems)
    return _text_map(name, value, problems) if origin is Mapping else _model(kind, name, value, problems)


def build(kind: type[M], values: Mapping[str, object], problems: list[str], prefix: str = "") -> M:
    """Build what is sent of its fields; a field that cannot be read is noted in *problems*, and None.

    None counts as left out where the field has a default.
    """
    found: dict[str, Any] = {}
    for attribute in attributes(kind):
        name, optional = attribute.name, attribute.default is not attrs.NOTHING
        value = values.get(name)
        if value is not None or (name in values and not optional):
            converter = cast("Any", attribute).converter
            if converter is not None:
                value = converter(value)
            wanted = attribute.metadata.get("wanted")
            found[name] = read(attribute.type, f"{prefix}{name}", value, problems, wanted)
        elif not optional:
            problems.append(f"{prefix}{name} must be given{_as_one_of(attribute.type)}")
            found[name] = None
    return kind(**found)


def _model(kind: type[M], name: str, value: object, problems: list[str]) -> M | None:
    known = [attribute.name for attribute in attributes(kind)]
    if isinstance(value, kind):
        return build(kind, {field: getattr(value, field) for field in known}, problems, f"{name}.")
    if not isinstance(value, Mapping):
        problems.append(wrong(name, f"a {kind.__name__} or a dict", value))
        return None
    fields = cast("Mapping[Any, object]", value)
    for key in fields:
        if key not in known:  # the key may be a value in the wrong place, so it is not shown
            hint = meant(text_of(key) or "", known)
            problems.append(f"{name} must hold no other keys than the fields of {kind.__name__}{hint}")
    return build(kind, fields, problems, f"{name}.")


def _choice(names: tuple[str, ...], name: str, value: object, problems: list[str]) -> str | None:
    text = text_of(value)
    if text in names:
        return text
    listed = f"one of {', '.join(names)}" if len(names) <= _LISTED else f"one of the {len(names)} documented values"
    if text is None:
        problems.append(wrong(name, listed, value))
    else:
        problems.append(f"{name} must be {listed}{meant(text, names)}; a newer value goes through with_options")
    return None


def _as_one_of(kind: Any) -> str:
    return f", as one of {', '.join(get_args(kind))}" if get_origin(kind) is Literal else ""


def read_several(item: Any, name: str, value: object, problems: list[str]) -> tuple[Any, ...] | None:
    """Return the items of a list as they are sent; see `read`."""
    if not _is_list(value):
        problems.append(wrong(name, "a list, such as [value], even for one value", value))
        return None
    found: list[Any] = []
    for index, element in enumerate(value):
        if len(problems) >= MAX_PROBLEMS:
            break
        found.append(read(item, f"{name}[{index}]", element, problems))
    return None if None in found else tuple(found)


def _text_map(name: str, value: object, problems: list[str]) -> dict[str, str] | None:
    if not isinstance(value, Mapping):
        problems.append(wrong(name, "a mapping of text to text", value))
        return None
    pairs = cast("Mapping[object, object]", value)
    for part in (part for pair in pairs.items() for part in pair):
        if text_of(part) is None:
            problems.append(f"{name} must map text to text, not {type(part).__name__}")
            return None
    return {str(text_of(key)): str(text_of(inner)) for key, inner in pairs.items()}


def is_number(value: object) -> TypeIs[int | float]:
    """Whether it is a number; True and False, which Python counts as numbers, are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_at_least(value: object, least: float) -> bool:
    """Whether it is a number, and not less."""
    return is_number(value) and value >= least


def is_more_than(value: object, least: float) -> bool:
    """Whether it is a number, and more."""
    return is_number(value) and value > least


def _is_list(value: object) -> TypeGuard[Collection[object]]:
    return isinstance(value, Collection) and not isinstance(value, str | bytes | bytearray | memoryview | Mapping)


def _bool(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: object) -> float | None:
    return value if is_number(value) and isfinite(value) else None


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return value if isinstance(value, Decimal) and value.is_finite() else None


def _date(value: object) -> date | None:
    # A datetime is a date to the type checkers, but not to the server.
    return value if isinstance(value, date) and not isinstance(value, datetime) else None


def _datetime(value: object) -> datetime | None:
    return value if isinstance(value, datetime) and value.utcoffset() is not None else None


_AWARE = "an aware datetime, such as datetime.now(UTC)"

_SCALARS: Mapping[Any, tuple[Any, str]] = {
    str: (text_of, "text"),
    bool: (_bool, "True or False"),
    int: (_int, "a whole number"),
    float: (_float, "a finite number"),
    Decimal: (_decimal, "a finite Decimal or int"),
    date: (_date, "a date, such as moment.date()"),
    datetime: (_datetime, _AWARE),
    Timestamp: (_datetime, _AWARE),
}
"""How a value that is no composite is read (None: it cannot be), and what it must be, in words."""
