"""A client whose answers hold twins of the models, for sinks that only read values."""

from collections.abc import Coroutine
from functools import cache
from typing import Any, Protocol, TypeVar, runtime_checkable

from attrs import evolve

from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.wire import Request
from pinwheel_async._watch import is_captured
from pinwheel_async.client import Pinwheel
from pinwheel_async.endpoints._base import Caller
from pinwheel_async.sync._sink import Sink

T = TypeVar("T")


@runtime_checkable
class ValueSink(Sink, Protocol):
    """A sink of this library that stores many pages at once, and only reads values out of them: they need no models."""

    @property
    def reads_values(self) -> bool:
        """Whether twins of the models will do."""
        ...

    @property
    def gathers(self) -> int:
        """How many pages may wait to be stored together, beside those that are being fetched."""
        ...


def resting_of(sink: Sink) -> int:
    """Return how many workers may wait for the sink beside those that fetch."""
    return sink.gathers if isinstance(sink, ValueSink) else 0


def fitting(pinwheel: Pinwheel, sink: Sink) -> Pinwheel:
    """Return the client as it is, or one that spares the sink what it does not look at."""
    return _LeanPinwheel(pinwheel) if isinstance(sink, ValueSink) and sink.reads_values else pinwheel


class _LeanPinwheel(Pinwheel):
    """The same client, seen in another way."""

    def __init__(self, pinwheel: Pinwheel) -> None:
        vars(self).update(vars(pinwheel))
        self._set_groups(_LeanCaller(self._caller))


class _LeanCaller:
    """Asks for twins, unless somebody looks on."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def call(self, row: Endpoint[T], request: Request) -> Coroutine[Any, Any, T]:
        return self._caller.call(row if is_captured() else _lean(row), request)


@cache
def _lean(row: Endpoint[T]) -> Endpoint[T]:
    return evolve(row, lean=True)
