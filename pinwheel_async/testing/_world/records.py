"""Records of the made-up world: objects as they stand on the wire, items of lists, and refusals."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from attrs import field, frozen

from pinwheel_async._privacy import Discreet

Record: TypeAlias = dict[str, Any]
"""One object as it stands on the wire: text, numbers, null."""


def stamp(moment: datetime) -> str:
    """Write a moment as the API does: microseconds and a numeric offset."""
    return moment.isoformat(timespec="microseconds")


@frozen
class Entry(Discreet):
    """One item of a list, encoded, with what it can be found and filtered by."""

    rank: int
    """Place in the list; it never changes, so a list may grow or shrink between two pages."""
    body: bytes = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)


class RefusedError(Exception):
    """The request gets an error envelope."""

    def __init__(self, status: int, type: str, code: str, message: str, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(status, code)
        self.status = status
        self.type = type
        self.code = code
        self.message = message
        self.fields = tuple(fields)

    def envelope(self) -> bytes:
        """Return the body of the answer."""
        body: dict[str, Any] = {
            "type": self.type, "code": self.code, "message": self.message, "status_code": self.status
        }  # fmt: skip
        if self.fields:
            body["fields"] = [{"name": name, "message": message} for name, message in self.fields]
        return msgspec.json.encode({"error": body})


def bad_request(code: str, message: str, *fields: tuple[str, str]) -> RefusedError:
    """Return a 400."""
    return RefusedError(400, "INVALID_REQUEST_PARAMETERS", code, message, fields)


def not_found(what: str) -> RefusedError:
    """Return a 404."""
    return RefusedError(404, "RECORD_NOT_FOUND", "RECORD_NOT_FOUND", f"There is no such {what}.")
