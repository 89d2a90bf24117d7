"""Exact readers for single JSON values, and the diagnostics that remember where a document was odd.

A reader takes what JSON gave and returns what the field wants. What can be forgiven without changing its meaning is
forgiven and noted as drift; everything else is refused with the place and the kind that was expected. A value never
enters a note.
"""

import math
import re
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from pinwheel_async._core.fields import is_list, is_object

MAX_PROBLEMS = 100
"""Problems after which reading stops: nobody reads more, and a hostile body has millions."""

MAX_VALUES = 2_000_000
"""Values that the slow path reads of one document, about a second of work. A full page has some 100,000."""

HALF_PAIR = "\ufdd0"
"""What stands for half of a surrogate pair until its place is known: a code point that is no character."""

_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|z|[+-]\d{2}(?::?\d{2})?)?", re.ASCII)
_YEAR = re.compile(r"\d{4}", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)
_UNFIT = re.compile(f"[\x00\ud800-\udfff{HALF_PAIR}]")
_NO_DAY = "0000-00-00"


class StopReading(Exception):  # noqa: N818  # control flow, caught by those who begin a reading
    """Raised when a document has too many problems, or too many values, to go on."""


class Diagnostics:
    """One pass through a document: its present path, what it refused, what it forgave. Bounded, whatever comes."""

    __slots__ = ("_values", "drift", "path", "place", "problems")

    def __init__(self) -> None:
        self.path: list[str | int] = []
        self.place: str | None = None
        """The present place as drift names it, where it is known beforehand, and no path is kept."""
        self.problems: list[str] = []
        self.drift: dict[str, None] = {}
        """Places and what was forgiven there, each once, in the order of their first appearance."""
        self._values = 0

    def refuse(self, what: str) -> None:
        """Note that the value at this place cannot be read.

        Raises:
            StopReading: That was one problem too many.
        """
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        self.problems.append(f"{text.removeprefix('.') or '(body)'}: {what}")
        if len(self.problems) >= MAX_PROBLEMS:
            raise StopReading

    def note_drift(self, what: str) -> None:
        """Note that the value at this place was read although the documentation rules it out."""
        text = self.place
        if text is None:
            text = "".join(["[]" if isinstance(part, int) else f".{part}" for part in self.path])
        self.drift[f"{text.removeprefix('.') or '(body)'}: {what}"] = None

    def count(self, values: int) -> None:
        """Count values that are about to be read.

        Raises:
            StopReading: The document has more than the API can send.
        """
        self._values += values
        if self._values > MAX_VALUES:
            self.problems.append("(body): more values than the API sends")
            raise StopReading


current: ContextVar[Diagnostics] = ContextVar("pinwheel_async_diagnostics")
"""The diagnostics of the reading under way: converter hooks have no argument to carry it."""


def read_text(value: Any, _: Any = None) -> Any:
    """Read text; half of a surrogate pair and NUL, which no database and no UTF-8 has, become U+FFFD."""
    if not isinstance(value, str):
        return current.get().refuse("not text")
    if _UNFIT.search(value) is None:
        return value
    current.get().note_drift("text with NUL or half of a surrogate pair")
    return _UNFIT.sub("\ufffd", value)


def read_bool(value: Any, _: Any = None) -> Any:
    """Read true or false."""
    return value if isinstance(value, bool) else current.get().refuse("not true or false")


def read_int(value: Any, _: Any = None) -> Any:
    """Read a whole number; 12.0 and "12" are forgiven, 12.7 and "12.00" are not: that might be another unit."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        current.get().note_drift("number as text")
        return int(value)
    number = Decimal(value) if isinstance(value, float | Decimal) else None
    if number is None or not number.is_finite() or number != number.to_integral_value() or abs(number) >= 10**18:
        return _refuse(value, "not a whole number")
    current.get().note_drift("whole number with a fraction part")
    return int(number)


def read_year(value: Any, _: Any = None) -> Any:
    """Read a year; text is forgiven, because the documentation shows it as text, too."""
    if isinstance(value, str) and _YEAR.fullmatch(value):
        current.get().note_drift("year as text")
        return int(value)
    return read_int(value)


def read_float(value: Any, _: Any = None) -> Any:
    """Read a number; the text of a plain decimal is forgiven."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        current.get().note_drift("number as text")
        return float(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    return _refuse(value, "not a number")


def read_decimal(value: Any, _: Any = None) -> Any:
    """Read a decimal number without rounding it; the documentation shows some as text."""
    if isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        try:
            number = Decimal(repr(value) if isinstance(value, float) else value)
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite():
            return number
    return _refuse(value, "not a number")


def read_number_or_text(value: Any, _: Any = None) -> Any:
    """Read a number or text, whichever came."""
    if isinstance(value, str):
        return read_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float | Decimal):
        return read_float(value)
    return current.get().refuse("not a number or text")


def read_date(value: Any, _: Any = None) -> Any:
    """Read a day; a moment (which gives its day) and digits without their zeros are forgiven."""
    if isinstance(value, str):
        moment = _TIME.fullmatch(value)
        parts = None if moment else _DATE.fullmatch(value)
        day = None
        try:
            if moment:
                day = date.fromisoformat(moment[1])
            elif parts:
                day = date(int(parts[1]), int(parts[2]), int(parts[3]))
        except ValueError:
            pass
        if day is not None:
            if moment:
                current.get().note_drift("moment for a day")
            elif len(value) != 10:
                current.get().note_drift("day without its zeros")
            return day
    return _refuse(value, "not a date", _NO_DAY)


def read_datetime(value: Any, _: Any = None) -> Any:
    """Read a moment.

    A space for the T, a missing or short offset (missing means UTC), a bare day and a leap second are forgiven.
    """
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        day = _DATE.fullmatch(value) if isinstance(value, str) and len(value) == 10 else None
        moment = _moment(f"{value}T00:00:00Z") if day else None
        if moment is None:
            return _refuse(value, "not a moment in time", _NO_DAY)
        current.get().note_drift("day for a moment")
        return moment
    clock, offset = found[2] if len(found[2]) > 5 else f"{found[2]}:00", (found[3] or "Z").upper()
    leap = clock[6:8] == "60"
    moment = _moment(
        f"{found[1]}T{f'{clock[:6]}59' if leap else clock}{offset if len(offset) != 3 else f'{offset}:00'}"
    )
    if moment is None:
        return current.get().refuse("not a moment in time")
    if leap:
        current.get().note_drift("leap second")
        moment += timedelta(seconds=1)
    if not found[3]:
        current.get().note_drift("moment without offset")
    elif len(found[3]) in {3, 5}:
        current.get().note_drift("moment with a short offset")
    return moment


def _moment(text: str) -> datetime | None:
    """Parse RFC 3339 as the fast path does, so that both round a seventh digit alike."""
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None


def _refuse(value: Any, what: str, *blanks: str) -> None:
    """Take what stands for "no value" where a number, a day or a moment belongs for null; refuse anything else."""
    if isinstance(value, str) and value in ("", *blanks):
        current.get().note_drift("blank for null")
    else:
        current.get().refuse(what)


def read_any(value: Any, _: Any = None) -> Any:
    """Read whatever came, with its decimals as ordinary numbers."""
    if isinstance(value, str):
        return read_text(value)
    if isinstance(value, Decimal):
        return float(value)
    if is_object(value):
        current.get().count(len(value))
        return {read_text(key): read_any(inner) for key, inner in value.items()}
    if is_list(value):
        current.get().count(len(value))
        return [read_any(item) for item in value]
    return value
