"""Base classes of the Link events, and the registry of Link events by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from attrs import field, frozen

from pinwheel_async._core.fields import attributes, is_object, wire_name
from pinwheel_async._core.model import Model


@frozen(kw_only=True, repr=False)
class LinkEvent(Model):
    """One event of Link, as it told it a page: the base of all Link events."""

    NAME: ClassVar[str] = ""
    """Name of the event, in lower case; empty for a base class."""

    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as it came: Link's events have no version, and many are documented in part."""

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON object of an event: its name and what came with it."""
        extra = fields.pop("extra", {})
        return {"event": self.NAME, "payload": {**fields, **extra}}

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> "tuple[type[LinkEvent], Any, str] | str":
        name, payload = document.get("event"), document.get("payload")
        if not isinstance(name, str):
            return "a Link event without its name"
        kind = LINK_EVENTS.get(name.lower()) or UnknownLinkEvent
        if not issubclass(kind, cls):
            return f"not a Link event of the class {cls.__name__}"
        if kind is UnknownLinkEvent:
            return kind, {"name": name, "payload": payload}, ""
        return kind, _with_extra(kind, payload) if is_object(payload) else {} if payload is None else payload, "payload"


@frozen(kw_only=True, repr=False)
class UnknownLinkEvent(LinkEvent):
    """An event that this version of the library does not know."""

    name: str
    """Name of the event as it came."""
    payload: Any = None
    """What came with it."""

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"event": fields["name"], "payload": fields["payload"]}


E = TypeVar("E", bound=LinkEvent)

_BY_NAME: dict[str, type[LinkEvent]] = {}

LINK_EVENTS: Mapping[str, type[LinkEvent]] = MappingProxyType(_BY_NAME)
"""Every Link event that the library knows, by its name in lower case."""


def link_event(name: str) -> Callable[[type[E]], type[E]]:
    """Register a class under the name of its event. Stands above `@frozen`, which makes the class that is kept."""

    def register(kind: type[E]) -> type[E]:
        if name in _BY_NAME:
            raise TypeError(f"{name} is already the event of {_BY_NAME[name].__name__}")
        kind.NAME = name
        _BY_NAME[name] = kind
        return kind

    return register


_RENAMED = {"screen_name": "screenName"}
"""Keys that the documentation calls otherwise than Link does."""


def _with_extra(kind: type[LinkEvent], payload: dict[str, Any]) -> dict[str, Any]:
    """Put keys that nobody documents apart, and give the others the names that Link uses."""
    documented = {wire_name(attribute) for attribute in attributes(kind)} - {"extra"}
    known = {key: payload[key] for key in documented if key in payload}
    known |= {new: payload[old] for old, new in _RENAMED.items() if new in documented - {*known} and old in payload}
    extra = {key: value for key, value in payload.items() if _RENAMED.get(key, key) not in known}
    return {**known, "extra": extra}
