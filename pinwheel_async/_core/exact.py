"""Exact readers for single JSON values, and the walk that remembers where a document was odd.

A reader takes what JSON gave and returns what the field wants. What can be forgiven without changing its meaning is
forgiven and noted; everything else is refused with the place and the kind that was expected. A value never enters a
note.
"""

import math
import re
from contextvars import ContextVar
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pinwheel_async._core.fields import is_list, is_object

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|z|[+-]\d{2}(?::?\d{2})?)?", re.ASCII)
_YEAR = re.compile(r"\d{4}", re.ASCII)


class Walk:
    """One pass through a document: where it stands, what it refused, what it forgave."""

    __slots__ = ("forgiven", "path", "problems")

    def __init__(self) -> None:
        self.path: list[str | int] = []
        self.problems: list[str] = []
        self.forgiven: list[str] = []

    def refuse(self, what: str) -> None:
        """Note that the value at this place cannot be read."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        self.problems.append(f"{text.removeprefix('.') or '(body)'}: {what}")

    def forgive(self, what: str) -> None:
        """Note that the value at this place was read although the documentation rules it out."""
        text = "".join("[]" if isinstance(part, int) else f".{part}" for part in self.path)
        self.forgiven.append(f"{text.removeprefix('.') or '(body)'}: {what}")


current: ContextVar[Walk] = ContextVar("pinwheel_async_walk")
"""The walk under way: converter hooks have no argument to carry it."""


def read_text(value: Any, _: Any = None) -> Any:
    """Read text as it is."""
    return value if isinstance(value, str) else current.get().refuse("not text")


def read_bool(value: Any, _: Any = None) -> Any:
    """Read true or false."""
    return value if isinstance(value, bool) else current.get().refuse("not true or false")


def read_int(value: Any, _: Any = None) -> Any:
    """Read a whole number; 12.0 is forgiven, 12.7 and "12" are not."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = Decimal(value) if isinstance(value, float | Decimal) else None
    if number is None or not number.is_finite() or number != number.to_integral_value() or abs(number) >= 10**18:
        return current.get().refuse("not a whole number")
    current.get().forgive("whole number with a fraction part")
    return int(number)


def read_year(value: Any, _: Any = None) -> Any:
    """Read a year; text is forgiven, because the documentation shows it as text, too."""
    if isinstance(value, str) and _YEAR.fullmatch(value):
        current.get().forgive("year as text")
        return int(value)
    return read_int(value)


def read_float(value: Any, _: Any = None) -> Any:
    """Read a number."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    return current.get().refuse("not a number")


def read_decimal(value: Any, _: Any = None) -> Any:
    """Read a decimal number without rounding it."""
    if isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        try:
            number = Decimal(repr(value) if isinstance(value, float) else value)
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite():
            return number
    return current.get().refuse("not a number")


def read_number_or_text(value: Any, _: Any = None) -> Any:
    """Read a number or text, whichever came."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float | Decimal):
        return read_float(value)
    return current.get().refuse("not a number or text")


def read_date(value: Any, _: Any = None) -> Any:
    """Read a day; a moment is forgiven and gives its day."""
    if isinstance(value, str):
        moment = _TIME.fullmatch(value)
        try:
            day = date.fromisoformat(moment[1] if moment else value) if moment or _DATE.fullmatch(value) else None
        except ValueError:
            day = None
        if day is not None:
            if moment:
                current.get().forgive("moment for a day")
            return day
    return current.get().refuse("not a date")


def read_datetime(value: Any, _: Any = None) -> Any:
    """Read a moment; a space for the T, a missing or short offset (missing means UTC) and a bare day are forgiven."""
    if isinstance(value, str):
        found = _TIME.fullmatch(value)
        moment: datetime | None
        try:
            if found:
                moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{(found[3] or '').upper()}")
            else:
                moment = datetime.fromisoformat(value) if _DATE.fullmatch(value) else None
        except ValueError:
            moment = None
        if moment is not None:
            if found is None:
                current.get().forgive("day for a moment")
            elif moment.tzinfo is None:
                current.get().forgive("moment without offset")
            elif found[3] and len(found[3]) in {3, 5}:
                current.get().forgive("moment with a short offset")
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return current.get().refuse("not a moment in time")


def read_any(value: Any, _: Any = None) -> Any:
    """Read whatever came, with its decimals as ordinary numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if is_object(value):
        return {key: read_any(one) for key, one in value.items()}
    return [read_any(one) for one in value] if is_list(value) else value
