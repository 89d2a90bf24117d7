"""Mask of payroll data: every value becomes another of its kind, the same one wherever it stands.

What a field may hold follows from the class of its model: documented words stay as they are, days and moments are
moved, all else is replaced. What no class knows is replaced whole. The key is random and is never stored, so nobody can
find the mask of a name or a number that they guess.
"""

import hmac
import re
import secrets
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from attrs import has

from pinwheel_async._core.fields import attributes, is_list, is_object, wire_name
from pinwheel_async._privacy import Discreet, Unpicklable

_KEPT_NUMBERS = frozenset({"count", "priority", "limit"})
"""Fields whose whole numbers stay: they say how many objects there are, or in which order."""

_BIRTH = "date_of_birth"
"""Day that is replaced and not moved: whoever knows one true day of a cassette could move it back."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
"""What names of fields look like; a key that looks otherwise may be a value."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_URL = re.compile(r"[a-z]+://\S*", re.IGNORECASE)
_DIGITS = re.compile(r"[\d.,+() /-]*\d[\d.,+() /-]*", re.ASCII)
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}", re.ASCII)
"""What types and codes of errors look like."""


_NO_FIELDS: Mapping[str, Any] = {}


class Mask(Unpicklable, Discreet):
    """Masks values of one cassette."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        # Whole weeks, so that the day of the week stays; back in time, as no pay day is in the future.
        self._moved = timedelta(weeks=-26 - self._number("moved", "", 500))

    def body(self, body: Any, data: Any, meta: type | None) -> Any:
        """Mask the body of an answer.

        Args:
            body: As JSON.
            data: What its `data` are: a class, or a tuple of one; None where that is not known.
            meta: Class of its `meta`.
        """
        if is_object(body) and "error" in body:
            error = body["error"]
            kept = ("type", "code") if is_object(error) else ()
            masked = self.value(error, None)
            return {
                "error": masked | {name: error[name] for name in kept if _is_code(error.get(name))} if kept else masked
            }
        if not is_object(body):
            return self.value(body, data)
        if "data" not in body:  # as some older versions answer
            return self.value(body, data)
        return {name: self.value(part, {"data": data, "meta": meta}.get(name), name) for name, part in body.items()}

    def event(self, body: Any, kind: type | None) -> Any:
        """Mask the body of a webhook; the name of an event that has a class stays."""
        if not is_object(body):
            return self.value(body, None)
        masked = {name: self.value(part, kind if name == "payload" else None, name) for name, part in body.items()}
        return masked if kind is None else masked | {"event": body.get("event")}

    def value(self, value: Any, kind: Any, name: str = "") -> Any:
        """Mask whatever JSON there is.

        Args:
            value: The value.
            kind: Its declared type; None if it has none.
            name: Name of the field.
        """
        if is_object(value):
            return self._object(value, kind)
        if is_list(value):
            item = next((get_args(part)[0] for part in _parts(kind) if get_origin(part) is tuple), None)
            return [self.value(element, item, name) for element in value]
        if value is None:
            return None
        if isinstance(value, bool):
            return value if bool in _parts(kind) else False
        if isinstance(value, int | float):
            return value if int in _parts(kind) and name in _KEPT_NUMBERS else self._masked_number(value)
        return self._word(str(value), kind, name)

    def text(self, text: str) -> str:
        """Mask text of which nothing is known: an id stays an id, a number a number, a URL a URL."""
        if not text:
            return ""
        if _UUID.fullmatch(text):
            return str(UUID(bytes=self._digest("uuid", text.lower())[:16], version=4))
        if _URL.fullmatch(text):
            return f"https://masked.invalid/{self._token(text)}"
        if _moment(text) is not None:
            return (date(1940, 1, 1) + timedelta(days=self._number("day", text, 20_000))).isoformat() + text[10:]
        if _DIGITS.fullmatch(text):
            return self._masked_digits(text)
        return f"masked-{self._token(text)}"

    def _object(self, value: Mapping[str, Any], kind: Any) -> dict[str, Any]:
        parts = _parts(kind)
        models = [_fields(part) for part in parts if isinstance(part, type) and has(part)]
        known = max(models, key=lambda fields: len(fields.keys() & value.keys()), default=_NO_FIELDS)
        has_names = bool(models) or not any(get_origin(part) is Mapping for part in parts)
        return {
            name if has_names and _NAME.fullmatch(name) else self.text(name): self.value(member, known.get(name), name)
            for name, member in value.items()
        }

    def _word(self, text: str, kind: Any, name: str) -> str:
        parts = _parts(kind)
        if any(text in get_args(part) for part in parts if get_origin(part) is Literal):
            return text
        moment = _moment(text) if (date in parts or datetime in parts) and name != _BIRTH else None
        if moment is None:
            return self.text(text)
        try:
            return (moment + self._moved).isoformat() + text[10:]
        except OverflowError:
            return self.text(text)

    def _masked_number(self, number: float) -> int | float:
        if number == 0:
            return number
        if isinstance(number, int):
            return int(self._masked_digits(str(number)))
        return float(self._masked_digits(f"{number:.2f}")) if abs(number) < 1e15 else 1.0

    def _masked_digits(self, text: str) -> str:
        """Replace each digit; the first of several is no 0, so that numbers keep their length."""
        digest = self._digest("digits", text)
        made = [str(digest[at % 32] % 9 + 1) if char.isdigit() else char for at, char in enumerate(text)]
        return "".join(made)

    def _token(self, text: str) -> str:
        return self._digest("text", text).hex()[:12]

    def _number(self, purpose: str, text: str, below: int) -> int:
        return int.from_bytes(self._digest(purpose, text)[:8], "big") % below

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.new(self._key, f"{purpose} {text}".encode("utf-8", "replace"), sha256).digest()


def _moment(text: str) -> date | None:
    """Return the day of a day or a moment in ISO 8601."""
    try:
        datetime.fromisoformat(text)
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _is_code(value: object) -> bool:
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


@cache
def _fields(kind: type) -> Mapping[str, Any]:
    """Return the declared type of each field of a class, by its name in JSON."""
    hints = get_type_hints(kind, include_extras=True)
    return {wire_name(attribute): hints[attribute.name] for attribute in attributes(kind)}


def _parts(kind: Any) -> Sequence[Any]:
    """Return what a declared type may be, without what it is annotated with."""
    return tuple(_unfolded(kind))


def _unfolded(kind: Any) -> Iterator[Any]:
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _unfolded(get_args(kind)[0])
    elif origin in {Union, types.UnionType}:
        for part in get_args(kind):
            yield from _unfolded(part)
    elif kind is not None:
        yield kind
