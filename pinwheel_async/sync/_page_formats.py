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
from pinwheel_async._core.reply import read_answer
from pinwheel_async._core.wire import Request, SignedLink
from pinwheel_async._http.caller import HttpCaller
from pinwheel_async._http.observing import capture, is_capturing
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

    def decode(self, *, keep_json: bool = False) -> tuple[Item, ...]:
        """Decode them.

        Args:
            keep_json: Whether each is to hold the JSON that it came as, too.

        Raises:
            DecodeError: They are not of the documented shape.
        """
        row = self._row
        # An answer whose objects have to be lifted from an older version is never left undecoded.
        shape = Shape(cast("Any", row.result), self.is_list, None)
        decoded = decode(shape, self.body, LATEST_VERSION, "structs", keep_json=keep_json)
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
    def keep_json(self) -> bool:
        """Whether objects that are decoded are to hold the JSON that they came as, too."""
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
    if not isinstance(sink, BulkSink):
        return pinwheel
    wrap = partial(_DecodingCaller, decode_to=sink.decode_to, keep_json=sink.keep_json)
    return pinwheel._with_caller(wrap)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # made for this


class _DecodingCaller:
    """Requests structs or bytes instead of models, unless `capture()` is active, which shows models."""

    def __init__(self, caller: HttpCaller, decode_to: DecodeTo, *, keep_json: bool) -> None:
        self._caller = caller
        self._decode_to: DecodeTo = decode_to
        self._keep_json = keep_json

    async def call(self, row: Endpoint[Any], request: Request, *, on_error: OnError | None = None) -> Any:
        if is_capturing():
            return await self._captured(row, request, on_error)
        # The run itself reads accounts: their ids, and when their data changed.
        decode_to = "structs" if row.result is Account else self._decode_to
        answer = await self._caller.call(
            row, request, decode_to=decode_to, keep_json=self._keep_json, on_error=on_error
        )
        data: object = answer.data if row.shape == "page" else answer
        if not isinstance(data, Undecoded):
            return answer
        page = UndecodedPage(data.body, data.count, data.ids, row, self._caller.drift.record)
        # `Paged` looks at the cursor of a page only, and hands its data on.
        # `attrs.evolve` would take as long as everything else that a sync does for a page.
        return type(answer)(data=page, meta=answer.meta) if row.shape == "page" else page

    async def _captured(self, row: Endpoint[Any], request: Request, on_error: OnError | None) -> Any:
        """Call in a way that shows models, and return structs with their JSON if that is kept."""
        with capture() as replies:
            answer = await self._caller.call(row, request, on_error=on_error)
        if not self._keep_json:
            return answer
        return read_answer(
            row,
            replies[-1].response,
            version=request.version or self._caller.settings.version,
            request=request,
            decode_to="structs",
            keep_json=True,
            apart=on_error is not None,
        ).data

    def download(self, link: SignedLink, path: Path | None) -> Coroutine[Any, Any, bytes | int]:
        return self._caller.download(link, path)


def decoded(batch: Batch[PageItems], *, keep_json: bool = False) -> Batch[tuple[Item, ...]]:
    """Return a page whose items are decoded.

    Args:
        batch: The page.
        keep_json: Whether each is to hold the JSON that it came as, if it was not decoded before.

    Raises:
        DecodeError: They are not of the documented shape.
    """
    items = batch.items
    page: Batch[Any] = (
        evolve(batch, items=items.decode(keep_json=keep_json)) if isinstance(items, UndecodedPage) else batch
    )
    return page
