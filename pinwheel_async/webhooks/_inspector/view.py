"""State of a page, as its URL has it: which deliveries are listed, and which one is shown."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from attrs import asdict, evolve, frozen

from pinwheel_async._privacy import Discreet
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks._inbox.base import DeliveryFilter

PAGE_ROWS = 50
"""Deliveries on a page."""

MAX_TEXT = 300
"""Characters of a field of a URL, at most; ids and names that are stored have fewer."""

MAX_PAGE = 20
"""Pages that are counted from the newest on; older deliveries are found by when they came."""


@frozen(kw_only=True, repr=False)
class View(Discreet):
    """What somebody looks at."""

    state: str = ""
    event: str = ""
    account: str = ""
    before: str = ""
    """A moment in UTC, as a field of a form gives it: `2026-01-31T12:00:00`."""
    page: int = 1
    id: str = ""
    """Event id of the delivery that is shown."""
    said: str = ""
    """What has just been done, in a word."""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "View":
        """Read the query of a URL; what is not understood counts as not said."""
        given: dict[str, Any] = {
            name: _storable(query.get(name, "").strip()) for name in ("state", "event", "account", "before", "said")
        }
        page = query.get("page", "1")
        number = int(page) if page.isascii() and page.isdecimal() and len(page) < 5 else 1
        return cls(**given, page=min(max(number, 1), MAX_PAGE), id=_storable(query.get("id", "")))

    def href(self, place: str = "./", **changes: str | int) -> str:
        """Return the URL of another view, as a link on any page of the inspector has it."""
        different: dict[str, Any] = {"said": "", **changes}
        said = {name: value for name, value in asdict(evolve(self, **different)).items() if value}
        if said.get("page") == 1:
            del said["page"]
        return f"{place}?{urlencode(said)}" if said else place

    def filter(self) -> DeliveryFilter:
        """Return which deliveries are listed.

        Raises:
            ConfigurationError: There is no such state, event or moment.
        """
        states: Any = (self.state,) if self.state else ()
        return DeliveryFilter(
            states=states,
            events=(self.event,) if self.event else (),
            ordering_key=self.account or None,
            received_before=_moment(self.before) if self.before else None,
        )

    @property
    def is_filtered(self) -> bool:
        """Whether only some deliveries are listed."""
        return bool(self.state or self.event or self.account or self.before)


def _storable(text: str) -> str:
    """Return text without what no inbox can hold, such as a NUL or half a character: nothing is stored under that."""
    return "".join([char if char.isprintable() else "\ufffd" for char in text[:MAX_TEXT]])


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError("a moment is given in UTC, as 2026-01-31T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
