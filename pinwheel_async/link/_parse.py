"""Parser of Link events: from what a page passed on to the event that Link reported."""

from typing import Any, cast

from pinwheel_async._core.converter import structure
from pinwheel_async._core.scalars import Diagnostics, StopReading
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import DecodeError
from pinwheel_async.link._base import LINK_EVENTS, LinkEvent, UnknownLinkEvent


@without_locals
def parse_link_event(name: str, payload: Any = None) -> LinkEvent:
    """Read an event of Link; a name that is not known gives an `UnknownLinkEvent`.

    Args:
        name: Name of the event, in lower or upper case: the first argument of `onEvent`.
        payload: What came with it, as plain JSON values; null counts as empty.

    Raises:
        DecodeError: The payload is not of the documented shape.
    """
    kind = LINK_EVENTS.get(name.lower())
    if kind is None:
        return UnknownLinkEvent(name=name, payload=payload)
    diagnostics = Diagnostics()
    event: Any = None
    try:
        event = structure({"event": name, "payload": payload}, kind, diagnostics)
    except StopReading:
        pass
    except RecursionError:
        diagnostics.problems.append("payload: nested too deeply")
    if diagnostics.problems:
        raise DecodeError(where=f"Link event {kind.NAME}", paths=diagnostics.problems)
    return cast("LinkEvent", event)
