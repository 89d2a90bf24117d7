"""From what a page passed on to the event that Link reported."""

from typing import Any

from pinwheel_async._core.exact import Walk
from pinwheel_async._core.fields import attributes, is_object, wire_name
from pinwheel_async._core.lenient import structure
from pinwheel_async.errors import DecodeError
from pinwheel_async.link._base import LINK_EVENTS, LinkEvent, UnknownLinkEvent

_RENAMED = {"screen_name": "screenName"}
"""Keys that the documentation calls otherwise than Link does."""


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
    walk = Walk()
    event: LinkEvent = _read({} if payload is None else payload, kind, walk)
    if walk.problems:
        raise DecodeError(where=f"Link event {kind.NAME}", paths=walk.problems)
    return event


def _read(payload: Any, kind: type[LinkEvent], walk: Walk) -> Any:
    if is_object(payload):
        documented = {wire_name(attribute) for attribute in attributes(kind)} - {"extra"}
        known = {key: payload[key] for key in documented if key in payload}
        known |= {new: payload[old] for old, new in _RENAMED.items() if new in documented - {*known} and old in payload}
        extra = {key: value for key, value in payload.items() if _RENAMED.get(key, key) not in known}
        payload = {**known, "extra": extra}
    try:
        return structure(payload, kind, walk, "payload")
    except RecursionError:
        return walk.refuse("nested too deeply")
