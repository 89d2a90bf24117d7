"""A client whose answers hold twins of the models, for sinks that only read values."""

from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from attrs import evolve, field, frozen

from pinwheel_async._core.convert import decode
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.shape import Packed, Shape
from pinwheel_async._core.wire import Request
from pinwheel_async._http import HttpCaller
from pinwheel_async._watch import is_captured
from pinwheel_async.client import Pinwheel
from pinwheel_async.endpoints import AccountEndpoints
from pinwheel_async.endpoints._base import Caller
from pinwheel_async.errors import DecodeError
from pinwheel_async.sync._sink import Batch, Sink

T = TypeVar("T")


@runtime_checkable
class ValueSink(Sink, Protocol):
    """A sink of this library that stores many pages at once, and only reads values out of them: they need no models."""

    @property
    def reads_values(self) -> bool:
        """Whether twins of the models will do."""
        ...

    @property
    def takes_sealed(self) -> bool:
        """Whether items may come as `Sealed`, because another process will read them."""
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
    if isinstance(sink, ValueSink) and sink.reads_values:
        return _LeanPinwheel(pinwheel, packed=sink.takes_sealed)
    return pinwheel


class _LeanPinwheel(Pinwheel):
    """The same client, seen in another way."""

    def __init__(self, pinwheel: Pinwheel, *, packed: bool) -> None:
        vars(self).update(vars(pinwheel))
        lean = _LeanCaller(self._caller)
        self._set_groups(_PackedCaller(self._caller) if packed else lean)
        self.accounts = AccountEndpoints(lean)  # what they say is looked at


class _LeanCaller:
    """Asks for twins, unless somebody looks on."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def call(self, row: Endpoint[T], request: Request) -> Coroutine[Any, Any, T]:
        return self._caller.call(row if is_captured() else _lean(row), request)


class _PackedCaller:
    """Asks for data that nobody has read, unless somebody looks on."""

    def __init__(self, caller: HttpCaller) -> None:
        self._caller = caller

    async def call(self, row: Endpoint[Any], request: Request) -> Any:
        answer = await self._caller.call(row if is_captured() else _packed(row), request)
        is_page = row.shape == "page"
        data: object = answer.data if is_page else answer
        if not isinstance(data, Packed):
            return answer
        sealed = Sealed(data, row, request.version or self._caller.settings.version, self._caller.drift.forgave)
        return evolve(answer, data=sealed) if is_page else sealed


@frozen(eq=False)
class Sealed:
    """The objects of an answer that nobody has read yet; it stands where a tuple of them would."""

    packed: Packed
    _row: Endpoint[Any] = field(repr=False)
    _version: str
    _forgave: Callable[[str, tuple[str, ...]], None] = field(repr=False)

    def __len__(self) -> int:
        """Return how many there are."""
        return self.packed.count

    @property
    def is_list(self) -> bool:
        """Whether the answer holds a list, and not one object."""
        return self._row.shape == "page"

    def open(self) -> tuple[Any, ...]:
        """Read them.

        Raises:
            DecodeError: They are not of the documented shape.
        """
        row = self._row
        shape = Shape(cast("Any", row.result), row.shape == "page", None, lean=True)
        decoded = decode(shape, self.packed.body, self._version)
        if decoded.problems:
            raise DecodeError(where=row.name, paths=decoded.problems)
        if decoded.forgiven:
            self._forgave(row.name, decoded.forgiven)
        return decoded.data if shape.many else (decoded.data,)


def opened(batch: Batch) -> Batch:
    """Return a page whose items are read.

    Raises:
        DecodeError: They are not of the documented shape.
    """
    items: object = batch.items
    return evolve(batch, items=items.open()) if isinstance(items, Sealed) else batch


@cache
def _lean(row: Endpoint[T]) -> Endpoint[T]:
    return evolve(row, lean=True)


@cache
def _packed(row: Endpoint[T]) -> Endpoint[T]:
    return evolve(row, lean=True, packed=True)
