"""The few field types that every model shares, and the base that keeps values out of reprs."""

import re
from datetime import datetime
from typing import Annotated, Any, NewType, TypeAlias, TypeGuard, cast

import attrs
from msgspec import Meta

MinorUnits = NewType("MinorUnits", int)
"""Money in whole minor units (cents, for dollars) of the currency that stands beside it. May be negative."""

Timestamp: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""An aware `datetime`. The offset is the one that was sent; a missing offset means UTC."""

Year = NewType("Year", int)
"""A calendar year. The API sends it as a number and, in places, as text; it is a number here."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class Model:
    """Base of everything the API says: its repr names the object and never shows what it holds.

    Payroll data must not reach logs by accident, so `repr()` and `str()` give the class and, where they have the form
    of a UUID, the ids. `attrs.asdict(model)` gives every value to those who want them.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the class name and the ids that have the form of a UUID."""
        shown = [type(self).__name__]
        for name in ("event_id", "id", "account_id"):
            value: object = getattr(self, name, None)
            if isinstance(value, str) and _UUID.fullmatch(value):
                shown.append(f"{name}={value}")
        return f"<{' '.join(shown)}>"


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list)


def attributes(model: type[Model]) -> "tuple[attrs.Attribute[Any], ...]":
    """Return the fields of a model."""
    return cast("tuple[attrs.Attribute[Any], ...]", attrs.fields(cast("Any", model)))


def wire_name(attribute: "attrs.Attribute[Any]") -> str:
    """Return the JSON name of a field; it differs from ours only where it is a word of the language."""
    name: str = attribute.metadata.get("wire", attribute.name)
    return name
