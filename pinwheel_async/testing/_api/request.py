"""Requests as the fake's handlers see them, and the answers that they give."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from attrs import field, frozen

from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._privacy import Discreet
from pinwheel_async.testing._world.records import Entry, RefusedError, bad_request


@frozen
class Listing(Discreet):
    """A list to be answered in pages, sorted by rank."""

    entries: Iterable[Entry] = field(repr=False)
    meta: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)


@frozen
class Item(Discreet):
    """One object to be answered."""

    body: bytes = field(repr=False)
    meta: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)


@frozen
class Nothing:
    """A success that says nothing: 204, or 200 with the body that is given."""

    body: bytes | None = None


@frozen
class Reply(Discreet):
    """One answer, as it goes over the wire."""

    status: int
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)


@frozen(kw_only=True)
class Call(Discreet):
    """Request as a handler gets it: authorised, and with its row of the API table."""

    row: Endpoint[Any]
    path: Mapping[str, str] = field(repr=False)
    query: Mapping[str, Sequence[str]] = field(repr=False)
    body: bytes = field(repr=False)
    version: str
    after: int | None = None
    """Rank of the last item of the page before; None for the first page."""

    def text(self, name: str) -> str | None:
        """Return a query value; the last one, if it was repeated."""
        values = self.query.get(name)
        return values[-1] if values else None

    def texts(self, name: str) -> Sequence[str]:
        """Return every value of a repeated query parameter."""
        return self.query.get(name, ())

    def choice(self, name: str, *allowed: str) -> str | None:
        """Return a query value out of a closed list."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise _bad_query(name, f"must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a query value that is true or false."""
        value = self.choice(name, "true", "false", "True", "False", "1", "0")
        return None if value is None else value in {"true", "True", "1"}

    def number(self, name: str, least: int = 0, most: int = 9_999) -> int | None:
        """Return a query value that is a whole number in a range."""
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and least <= int(value[:9]) <= most):
            raise _bad_query(name, f"must be a whole number from {least} to {most}")
        return int(value)

    def day(self, name: str) -> str | None:
        """Return a query value that is a date, in the form in which dates can be compared as text."""
        value = self.text(name)
        try:
            return None if value is None else date.fromisoformat(value).isoformat()
        except ValueError:
            raise _bad_query(name, "must be a date such as 2026-03-13") from None

    def moment(self, name: str) -> datetime | None:
        """Return a query value that is a moment, as UTC; so it is if it has no offset."""
        value = self.text(name)
        try:
            found = None if value is None else datetime.fromisoformat(value)
        except ValueError:
            raise _bad_query(name, "must be an ISO 8601 timestamp") from None
        if found is None:
            return None
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _bad_query(name: str, message: str) -> RefusedError:
    return bad_request("INVALID_FIELDS", "A query parameter is not valid.", (name, message))
