"""What all Link events have in common, and the register of their names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from attrs import field, frozen

from pinwheel_async._core.fields import Model


@frozen(kw_only=True, repr=False)
class LinkEvent(Model):
    """What Link told a page: the base of all its events."""

    NAME: ClassVar[str] = ""
    """Name of the event, in lower case; empty for a base class."""

    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as it came: Link's events have no version, and many are documented in part."""


@frozen(kw_only=True, repr=False)
class UnknownLinkEvent(LinkEvent):
    """An event that this version of the library does not know."""

    name: str
    """Name of the event as it came."""
    payload: Any = None
    """What came with it."""


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
