"""JSON parsing: bytes become plain values, exactly, or the reason why not; what senders get wrong is repaired.

A byte order mark is skipped. Half of a surrogate pair, which some servers cut out of a longer text, becomes a mark that
the readers of `scalars.py` note and replace. Everything else that is no JSON is refused, and the reason names the byte.
An object that is stored as it came is written in one form, so that equal ones are equal texts (`stored_json`).
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import msgspec

from pinwheel_async._core.fields import is_list, is_object
from pinwheel_async._core.scalars import HALF_PAIR

# Besides its own errors msgspec lets these out: for bad UTF-8, for brackets nested without end, and, where floats are
# read as decimals, for exponents without end.
REFUSALS = (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation)

_BOM = b"\xef\xbb\xbf"
_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_MARK = HALF_PAIR.encode()
_MARK_START = _MARK[:1]
_UNKNOWN = "\ufffd".encode()

# An escaped backslash is matched first, so that what follows it is not taken for an escape.
_ESCAPE = re.compile(
    rb"""(\\\\ | \\u[dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2}) | \\u[dD][89a-fA-F][0-9a-fA-F]{2}""",
    re.VERBOSE,
)
_BYTE = re.compile(r"\(byte (\d+)\)")


def repaired(body: bytes) -> bytes:
    """Return a body without its byte order mark, and with a mark for each half of a surrogate pair."""
    body = body.removeprefix(_BOM)
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _ESCAPE.sub(lambda found: found[1] or _MARK, body)


def needs_care(body: bytes) -> bool:
    """Whether the fast path might take text that nothing can hold: with NUL, or half of a surrogate pair."""
    # One byte is found 50 times faster than several: for most bodies of 28 kB this takes 0.5 us instead of 27.
    return (b"\\" in body and b"\\u0000" in body) or (_MARK_START in body and _MARK in body)


def parse_exactly(body: bytes) -> tuple[Any, str | None]:
    """Return the plain values, decimals without rounding, or None and what is wrong with the whole body."""
    try:
        return _EXACT.decode(body), None
    except REFUSALS:
        pass
    body = repaired(body)
    try:
        return _EXACT.decode(body), None
    except REFUSALS as error:
        return None, f"(body): {reason(body, error)}"


def parse_plainly(body: bytes) -> tuple[Any, str | None]:
    """Return what JSON says, with floats for decimals and None for no bytes; or None and what is wrong with it."""
    if not body.strip():
        return None, None
    try:
        return msgspec.json.decode(body), None
    except REFUSALS:
        pass
    _, problem = parse_exactly(body)
    return (None, problem) if problem else (msgspec.json.decode(repaired(body).replace(_MARK, _UNKNOWN)), None)


def reason(body: bytes, error: Exception) -> str:  # noqa: PLR0911  # one line for each reason
    """Say why a body is no JSON, by the error that refused it; never by what stands in it."""
    text = str(error)
    if isinstance(error, UnicodeDecodeError) or "UTF-8" in text:  # since 0.23 it is one of msgspec's own errors
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, msgspec.ValidationError | InvalidOperation):
        return "a number beyond all bounds"
    found = _BYTE.search(text)
    at = int(found[1]) if found else 0
    if not body.strip():
        return "empty"
    if "trailing" in text:
        return f"more after the end of the JSON, at byte {at}"
    if "truncated" in text:
        return "JSON that is cut off"
    if re.match(rb"-?(NaN|Infinity)", body[max(at - 1, 0) :]) or re.match(rb"-?(NaN|Infinity)", body[at:]):
        return f"NaN or Infinity, which JSON does not have, at byte {at}"
    return f"not JSON, at byte {at}"


def is_cut_off(body: bytes) -> bool:
    """Whether a body is the beginning of a JSON document; an empty one is."""
    body = body.removeprefix(_BOM)
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except REFUSALS as error:
        # Where a number is cut, the byte after the last one is named; what is too much also ends there.
        text = str(error)
        return "truncated" in text or (f"(byte {len(body)})" in text and "trailing" not in text)
    return False


_LINK_KEYS = ("download_url", "download_url_expiration")
"""Names under which an object holds a link to a file, at whatever place."""

_SIGNATURE = re.compile(r"(?:signature|credential|token|\bsig)=", re.IGNORECASE).search
"""Finds in the query of a link that it grants access by itself, under whatever name a later version sends it."""

_MAX_EXPONENT = 16_000
"""Digits on either side of the point that PostgreSQL keeps of a number in JSON, less some."""


def stored_json(json: bytes) -> bytes | None:
    """Return JSON in the one form in which it is stored and compared; None if it cannot be read.

    Names and values are those that came, and numbers have their digits. Keys are in the order of their names, so that
    the same object is the same text, and of two equal keys the last one counts, as everywhere here. Links to files,
    which grant access and differ at every call, are null. What no database holds becomes what one does, as it does in
    models: U+FFFD for NUL and for half of a surrogate pair. A whole number of more than 4,300 digits cannot be read.
    """
    for attempt in (json, repaired(json)):
        try:
            value = _DECODER.decode(attempt)
            found = _ENCODER.encode(value)
            if b"://" in found or b"download_url" in found:  # not in what came, where they may be escaped
                _leave_links_out(value)
                found = _ENCODER.encode(value)
            return _storable(found)
        except REFUSALS:
            continue
    return None


def _number(text: str) -> msgspec.Raw | str:
    """Return a number digit for digit; as text if it is one that PostgreSQL does not know."""
    exponent = text.lower().partition("e")[2].lstrip("+-0")
    is_storable = len(text) < _MAX_EXPONENT and int(exponent[:10] or 0) < _MAX_EXPONENT
    return msgspec.Raw(text.encode()) if is_storable else text


_DECODER = msgspec.json.Decoder(float_hook=_number)
_ENCODER = msgspec.json.Encoder(order="sorted")


def _leave_links_out(value: Any) -> None:
    """Replace links to files by null, at whatever depth: without recursion, as it may be that of the parser."""
    left: list[Any] = [value]
    while left:
        container = left.pop()
        pairs: Any = container.items() if is_object(container) else enumerate(container) if is_list(container) else ()
        for key, inner in pairs:
            is_link = isinstance(inner, str) and "://" in inner and _SIGNATURE(inner.partition("?")[2])
            if key in _LINK_KEYS or is_link:
                cast("Any", container)[key] = None  # of a key that is there: the size stays
            elif isinstance(inner, dict | list):
                left.append(inner)


_UNFIT = re.compile(rb"(\\\\)|\\u0000")


def _storable(json: bytes) -> bytes:
    """Replace what no database holds."""
    if b"\\u0000" in json:
        json = _UNFIT.sub(lambda found: found[1] or _UNKNOWN, json)
    return json.replace(_MARK, _UNKNOWN) if _MARK in json else json
