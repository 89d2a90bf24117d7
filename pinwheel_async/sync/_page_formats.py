"""Page formats: how far the pages of a sync are decoded, which its sink decides: to models, to structs, or not at all.

A sink that only reads values needs no models, and a sink that hands pages to another process needs nothing decoded.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from attrs import evolve, field, frozen

from pinwheel_async._core.convert import DecodeTo, Shape, Undecoded, decode
from pinwheel_async._core.derived import StructModel
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.model import Model
from pinwheel_async._core.wire import Request, SignedLink
from pinwheel_async._http.caller import HttpCaller
from pinwheel_async._http.observing import is_capturing
from pinwheel_async._privacy import Discreet
from pinwheel_async.client import Pinwheel
from pinwheel_async.endpoints._paged import OnError
from pinwheel_async.errors import DecodeError
from pinwheel_async.models.account import Account
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.sync._sink import Batch, Sink

Item: TypeAlias = Model | StructModel
"""An object that is decoded; models and structs have the same attributes."""


@frozen(eq=False)
class UndecodedPage(Discreet):
    """The objects of an answer that is not decoded yet."""

    body: bytes = field(repr=False)
    """The whole answer."""
    _count: int
    ids: tuple[Any, ...] | None = field(repr=False)
    """Ids of the objects of a list, by which its reading sees that there is something new."""
    _row: Endpoint[Any] = field(repr=False)
    _note_drift: Callable[[str, tuple[str, ...]], None] = field(repr=False)

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    @property
    def is_list(self) -> bool:
        """Whether the answer holds a list, and not a single object."""
        return self._row.shape == "page"

    def decode(self) -> tuple[Item, ...]:
        """Decode them.

        Raises:
            DecodeError: They are not of the documented shape.
        """
        row = self._row
        # An answer whose objects have to be lifted from an older version is never left undecoded.
        decoded = decode(Shape(cast("Any", row.result), self.is_list, None), self.body, LATEST_VERSION, "structs")
        if decoded.problems:
            raise DecodeError(where=row.name, paths=decoded.problems)
        if decoded.drift:
            self._note_drift(row.name, decoded.drift)
        return decoded.data if self.is_list else (decoded.data,)


PageItems: TypeAlias = tuple[Item, ...] | UndecodedPage
"""What a `BulkSink` gets as the items of a page."""


@runtime_checkable
class BulkSink(Sink, Protocol):
    """A sink of this library that stores many pages at once, and says how far it needs them decoded."""

    @property
    def decode_to(self) -> DecodeTo:
        """How far pages are to be decoded; a page may be decoded further than that."""
        ...

    @property
    def batch_size(self) -> int:
        """How many pages may wait to be stored together, beside those that are being fetched."""
        ...

    async def write(self, batch: Batch[PageItems]) -> None:
        """Store a page; return when it is as safe as the sink makes it."""
        ...


def extra_workers(sink: Sink) -> int:
    """Return how many workers may wait for the sink beside those that fetch."""
    return sink.batch_size if isinstance(sink, BulkSink) else 0


def client_for(pinwheel: Pinwheel, sink: Sink) -> Pinwheel:
    """Return a client whose answers are decoded as far as the sink needs."""
    decode_to = sink.decode_to if isinstance(sink, BulkSink) else "models"
    if decode_to == "models":
        return pinwheel
    wrap = partial(_DecodingCaller, decode_to=decode_to)
    return pinwheel._with_caller(wrap)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # made for this


class _DecodingCaller:
    """Requests structs or bytes instead of models, unless `capture()` is active, which shows models."""

    def __init__(self, caller: HttpCaller, decode_to: DecodeTo) -> None:
        self._caller = caller
        self._decode_to: DecodeTo = decode_to

    async def call(self, row: Endpoint[Any], request: Request, *, on_error: OnError | None = None) -> Any:
        if is_capturing():
            return await self._caller.call(row, request, on_error=on_error)
        # The run itself reads accounts: their ids, and when their data changed.
        decode_to = "structs" if row.result is Account else self._decode_to
        answer = await self._caller.call(row, request, decode_to=decode_to, on_error=on_error)
        data: object = answer.data if row.shape == "page" else answer
        if not isinstance(data, Undecoded):
            return answer
        page = UndecodedPage(data.body, data.count, data.ids, row, self._caller.drift.record)
        # `Paged` looks at the cursor of a page only, and hands its data on.
        return evolve(answer, data=page) if row.shape == "page" else page

    def download(self, link: SignedLink, path: Path | None) -> Coroutine[Any, Any, bytes | int]:
        return self._caller.download(link, path)


def decoded(batch: Batch[PageItems]) -> Batch[tuple[Item, ...]]:
    """Return a page whose items are decoded.

    Raises:
        DecodeError: They are not of the documented shape.
    """
    items = batch.items
    page: Batch[Any] = evolve(batch, items=items.decode()) if isinstance(items, UndecodedPage) else batch
    return page
