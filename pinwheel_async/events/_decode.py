"""From the raw bytes of an authentic delivery to the event it brings."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from attrs import frozen

from pinwheel_async._core.convert import Parcel, read_exact, read_json, reader
from pinwheel_async._core.exact import Walk
from pinwheel_async._core.fields import Model, attributes, is_object
from pinwheel_async._core.lenient import structure
from pinwheel_async._core.shape import REFUSALS
from pinwheel_async._core.versions import lift, needs_lift
from pinwheel_async.events._base import Event, UnknownEvent, class_of

_OURS = frozenset({"event_id", "event", "extra"})
"""Fields that do not come from the payload."""

_open = reader(Parcel)

_needs_lift = lru_cache(maxsize=1024)(needs_lift)  # bounded, because what a header says is part of the key


@frozen(kw_only=True, repr=False)
class DecodedEvent(Model):
    """What a delivery said, or the places of it that could not be read."""

    event: Event | None = None
    """The event; null if there are problems."""
    problems: tuple[str, ...] = ()
    """Why there is no event: places and what was expected there, such as `payload.timestamp: not a moment in time`."""
    forgiven: tuple[str, ...] = ()
    """Places where the delivery was not as documented, and what was forgiven there."""


def decode_event(body: bytes, *, version: str | None = None) -> DecodedEvent:
    """Decode the raw bytes of a delivery. Never raises: hostile bytes come back as problems.

    A name that is not known gives an `UnknownEvent`; fields that are not known are left out, or kept in `extra` where
    an event is documented in part. Older shapes are lifted to the newest.

    Args:
        body: The bytes whose signature was good.
        version: Version of the webhook, as its `pinwheel-version` header says; null if there was none.
    """
    read = read_event(body, version)
    return read if isinstance(read, DecodedEvent) else DecodedEvent(event=read)


def read_event(body: bytes, version: str | None) -> Event | DecodedEvent:
    """Do the same; an event of which there is nothing else to say, as of most, comes without anything around it."""
    try:
        parcel: Parcel = _open(body)
    except REFUSALS:
        return DecodedEvent(problems=("(body): not a JSON object",))
    event_id, name, packed = parcel.event_id or "", parcel.event, bytes(parcel.payload)
    if not isinstance(name, str) or not isinstance(event_id, str):
        return DecodedEvent(problems=("event_id: not text" if isinstance(name, str) else "event: not text",))
    forgiven = () if event_id else ("event_id: missing",)
    kind = class_of(name)
    if kind is None:
        return _unknown(event_id, name, packed, forgiven)
    event = None if _needs_lift(kind.NAME, version or "") else _fast(kind, packed)
    if event is None:
        return _leniently(kind, event_id, name, packed, forgiven)
    # The event is frozen, but nobody has seen it yet, and a changed copy takes as long as all the rest.
    object.__setattr__(event, "event_id", event_id)
    object.__setattr__(event, "event", name)
    return DecodedEvent(event=event, forgiven=forgiven) if forgiven else event


def _unknown(event_id: str, name: str, packed: bytes, forgiven: tuple[str, ...]) -> DecodedEvent:
    payload: Any = read_json(packed) if packed not in {b"", b"null"} else {}
    if not is_object(payload):
        return DecodedEvent(problems=("payload: not a JSON object",), forgiven=forgiven)
    return DecodedEvent(event=UnknownEvent(event_id=event_id, event=name, payload=payload), forgiven=forgiven)


def _fast(kind: Any, packed: bytes) -> Event | None:
    read, blanks, documented = _lane(kind)
    if packed[:1] != b"{":
        return None
    try:
        event: Event = read(blanks + packed[1:])
    except REFUSALS:
        return None
    if documented is None:
        return event
    payload: Any = read_json(packed)
    if not is_object(payload):  # unreadable where the event's own decoder had no need to look
        return None
    object.__setattr__(event, "extra", {key: value for key, value in payload.items() if key not in documented})
    return event


@cache
def _lane(kind: Any) -> tuple[Callable[[bytes], Any], bytes, frozenset[str] | None]:
    """Return the reader of an event, the beginning of what it is to read, and the documented keys: see `_documented`.

    In that beginning whatever need not come is what it is by default; what comes after takes its place. Where a field
    is absent, msgspec takes ten times as long, and most events lack some.
    """
    blanks: tuple[tuple[Any, str], ...] = ((None, "null"), ("", '""'))
    fields = [f'"{one.name}":{text},' for one in attributes(kind) for blank, text in blanks if one.default == blank]
    return reader(kind), f"{{{''.join(fields)}".encode(), _documented(kind)


def _leniently(kind: Any, event_id: str, name: str, packed: bytes, forgiven: tuple[str, ...]) -> DecodedEvent:
    payload: Any = lift(kind.NAME, read_exact(packed))
    if not is_object(payload):
        return DecodedEvent(problems=("payload: not a JSON object",), forgiven=forgiven)
    documented = _documented(kind)
    if documented is not None:
        payload["extra"] = {key: value for key, value in payload.items() if key not in documented}
    walk = Walk()
    try:
        event = structure(payload | {"event_id": event_id, "event": name}, kind, walk, "payload")
    except RecursionError:
        return DecodedEvent(problems=("payload: nested too deeply",), forgiven=forgiven)
    forgiven += tuple(walk.forgiven)
    if walk.problems:
        return DecodedEvent(problems=tuple(walk.problems), forgiven=forgiven)
    return DecodedEvent(event=event, forgiven=forgiven)


@cache
def _documented(kind: Any) -> frozenset[str] | None:
    """Return the keys that the payload of an event is documented to have; None if that is all of them."""
    names = frozenset(attribute.name for attribute in attributes(kind))
    return names - _OURS if "extra" in names else None
