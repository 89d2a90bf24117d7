"""Decoding of answers: JSON becomes models.

Two paths give equal models. The fast path is a cached msgspec decoder that fills the attrs classes straight from the
bytes. What it refuses takes the slow path (`converter.py`), which forgives what does not change the meaning, notes it
as drift, and refuses the rest with its place. On a page, only the odd items take the slow path; and since an API is odd
at the same places again and again, these are remembered, and the fast path takes them from then on (`derived.py`).

Code that only reads values may have structs instead of models, and code that reads nothing the bytes; these ways
forgive nothing, and leave what is odd to the slow path.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

import attrs
import msgspec

from pinwheel_async._core.converter import structure
from pinwheel_async._core.derived import (
    Repair,
    StructModel,
    builder_of,
    json_struct,
    json_struct_of,
    keep_json,
    repair_of,
    struct_of,
)
from pinwheel_async._core.fields import is_list, is_object
from pinwheel_async._core.model import Model
from pinwheel_async._core.page import PaginationMeta
from pinwheel_async._core.parse import REFUSALS, needs_care, parse_exactly, repaired
from pinwheel_async._core.scalars import MAX_PROBLEMS, Diagnostics, StopReading, current
from pinwheel_async._core.versions import FIRST_ENVELOPE, lift, lift_envelope, lifted_before
from pinwheel_async._privacy import Discreet

T = TypeVar("T")
D = TypeVar("D")
M = TypeVar("M")

DecodeTo: TypeAlias = Literal["models", "structs", "bytes"]
"""How far the data of an answer are decoded.

`models`: to what calls return. `structs`: to structs with the same attributes, for code that only reads values.
`bytes`: not at all, for code that hands the answer on. An answer that is not quite as documented, or of an older
version, gives models anyway, or, if their JSON is kept, structs.
"""


@attrs.frozen(repr=False)
class Envelope(Model, Generic[D, M]):
    """An answer as it stands on the wire. One without `meta` is not as documented: the slow path notes it."""

    data: D
    meta: M


@attrs.frozen(repr=False)
class BareEnvelope(Model, Generic[D]):
    """An answer whose `meta` nobody documents."""

    data: D


@attrs.frozen(cache_hash=True)
class Shape:
    """What an answer should hold."""

    item: type[Model]
    many: bool
    meta: type[Model] | None
    ends_silently: bool = False
    """Whether the last page has no `next_cursor`, instead of a null, by its documentation."""


@attrs.frozen(repr=False)
class Undecoded(Model):
    """Data as they stand on the wire."""

    body: bytes
    """The whole answer."""
    count: int
    """How many objects there are in it."""
    ids: tuple[Any, ...] | None = None
    """Their ids, as they came; None where there is one object."""


_NONE_REFUSED: Mapping[int, tuple[str, ...]] = MappingProxyType({})


@attrs.define(repr=False)  # not frozen: one is made for each answer, in half the time
class Decoded(Discreet):
    """What an answer did hold: data and meta, or the places that could not be read."""

    data: Any = None
    meta: Any = None
    problems: tuple[str, ...] = ()
    """Why there is no data: places and what was expected there."""
    drift: tuple[str, ...] = ()
    """Places where the answer was not as documented, and what was forgiven there."""
    tells_end: bool = True
    """Whether a page says if there is another one, as far as its version has a place for that."""
    refused: Mapping[int, tuple[str, ...]] = _NONE_REFUSED
    """Problems of each item that was put apart, by its place in the list."""


def envelope_of(shape: Shape, item: Any) -> Any:
    """Return the type of a whole answer."""
    data: Any = cast("Any", tuple)[item, ...] if shape.many else item
    meta: Any = shape.meta
    return cast("Any", Envelope)[data, meta] if meta else cast("Any", BareEnvelope)[data]


def decoder_of(kind: Any) -> "msgspec.json.Decoder[Any] | None":
    """Build the fast path of a type; None where msgspec cannot, as for a union of classes."""
    try:
        return msgspec.json.Decoder(kind)
    except TypeError:
        return None


_NOTHING = msgspec.Raw()


@attrs.frozen(repr=False)
class UndecodedEvent(Model):
    """A webhook body with its payload still packed."""

    event_id: Any = None
    event: Any = None
    payload: msgspec.Raw = _NOTHING


def decode(
    shape: Shape,
    body: bytes,
    version: str,
    decode_to: DecodeTo = "models",
    *,
    apart: bool = False,
    keep_json: bool = False,
) -> Decoded:
    """Decode an answer of an API version. Never raises: hostile bytes come back as problems.

    Args:
        shape: What it should hold.
        body: Its bytes.
        version: The version that it is of.
        decode_to: How far to decode its data.
        apart: Whether the problems of an item of a list are put apart, and cost no more than this item.
        keep_json: Whether structs hold the JSON that they came as, and stand for models where these would be given.
    """
    decoded: Decoded | None = None
    if decode_to == "bytes":
        decoded = _leave_undecoded(shape, body, version)
    elif decode_to == "structs":
        decode_structs = _decode_to_json_structs if keep_json else _decode_to_structs
        decoded = decode_structs(shape, body, version)
    if decoded is not None:
        return decoded
    decoded = _decoder(shape).decode(body, version, apart=apart)
    return _keeping_json(shape, body, decoded) if keep_json and not decoded.problems else decoded


def read_as(kind: type[T], body: bytes) -> T | None:
    """Parse JSON straight to a type of ours; None when it is not of that type, or no JSON."""
    try:
        return cast("T", reader(cast("Any", kind))(body))
    except REFUSALS:
        return None


@cache
def reader(kind: Any) -> Callable[[bytes], Any]:
    """Return what parses JSON straight to a type of ours, and raises one of `REFUSALS` where it is not of that type."""
    return msgspec.json.Decoder(kind).decode


def read_json(body: bytes) -> Any:
    """Parse JSON to plain values; None when it is no JSON."""
    try:
        return msgspec.json.decode(body)
    except REFUSALS:
        return None


def _decode_to_structs(shape: Shape, body: bytes, version: str) -> Decoded | None:
    """Return the structs that an answer holds; None if it is not quite as documented."""
    decoder = _struct_decoder(shape) if _is_plain(shape, body, version) else None
    if decoder is None:
        return None
    try:
        envelope = decoder.decode(body)
    except REFUSALS:
        return None
    return Decoded(envelope.data, getattr(envelope, "meta", None))


def _decode_to_json_structs(shape: Shape, body: bytes, version: str) -> Decoded | None:
    """Return the structs that an answer holds, each with its JSON; None if it is not quite as documented."""
    if not _is_plain(shape, body, version):
        return None
    whole, item = _json_struct_decoders(shape)
    try:
        envelope: Any = whole.decode(body)
        pieces: Sequence[msgspec.Raw] = envelope.data if shape.many else (envelope.data,)
        items = tuple([keep_json(item.decode(piece), bytes(piece)) for piece in pieces])
    except REFUSALS:
        return None
    return Decoded(items if shape.many else items[0], getattr(envelope, "meta", None))


def _keeping_json(shape: Shape, body: bytes, decoded: Decoded) -> Decoded:
    """Turn models into structs with the JSON that they came as, which needs another look at the body."""
    pieces = [piece for at, piece in enumerate(_pieces(shape, repaired(body))) if at not in decoded.refused]
    models: Sequence[Any] = decoded.data if shape.many else (decoded.data,)
    items = tuple([json_struct(model, bytes(piece)) for model, piece in zip(models, pieces, strict=True)])
    decoded.data = items if shape.many else items[0]
    return decoded


def _pieces(shape: Shape, body: bytes) -> Sequence[msgspec.Raw]:
    """Return the JSON of each object of an answer that could be read, with or without an envelope around it."""
    data: Any = read_as(_Data, body)
    data = data.data if data is not None and data.data != _NOTHING else msgspec.Raw(body)
    return reader(tuple[msgspec.Raw, ...])(data) if shape.many else (data,)


class _Data(msgspec.Struct):
    """An answer of which only its data are looked at."""

    data: msgspec.Raw = _NOTHING


def _leave_undecoded(shape: Shape, body: bytes, version: str) -> Decoded | None:
    """Read nothing but what an answer says about itself; None if that is odd, or the answer of an older version."""
    if not _is_plain(shape, body, version):
        return None
    try:
        envelope: Any = _bytes_decoder(shape).decode(body)
    except REFUSALS:
        return None
    ids = tuple([item.id for item in envelope.data]) if shape.many else None
    return Decoded(Undecoded(body, 1 if ids is None else len(ids), ids), getattr(envelope, "meta", None))


@cache
def _struct_decoder(shape: Shape) -> "msgspec.json.Decoder[Any] | None":
    return decoder_of(envelope_of(shape, struct_of(cast("Any", shape.item))))


@cache
def _json_struct_decoders(
    shape: Shape,
) -> "tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[StructModel]]":
    whole = msgspec.json.Decoder(envelope_of(shape, msgspec.Raw))
    return whole, msgspec.json.Decoder(json_struct_of(cast("Any", shape.item)))


@cache
def _bytes_decoder(shape: Shape) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(envelope_of(shape, _Identified if shape.many else msgspec.Raw))


class _Identified(msgspec.Struct):
    """An item of a list of which only its id is read."""

    id: Any = None


def _is_plain(shape: Shape, body: bytes, version: str) -> bool:
    """Whether the fast path may read a body: it is of today's shape, and holds no text that needs care."""
    return version >= lifted_before(shape.item.__name__) and not needs_care(body)


@cache
def _decoder(shape: Shape) -> "_ShapeDecoder":
    return _ShapeDecoder(shape)


MAX_ODD_PLACES = 64
"""Places of one shape that are remembered, at most; each new one costs about a millisecond to build decoders again."""


class _ShapeDecoder:
    """The decoders of one shape, built at first use and kept, and the places at which the API was odd."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.kind = shape.item.__name__
        self.raw_items = msgspec.json.Decoder(envelope_of(shape, msgspec.Raw)) if shape.many else None
        self.item = decoder_of(builder_of(shape.item))
        self.odd_places: frozenset[str] = frozenset()
        # In one, as other threads may decode: who decodes at odd places must also repair.
        self.whole: tuple[msgspec.json.Decoder[Any], Repair | None] | None = None
        if self.item is not None:
            self.whole = msgspec.json.Decoder(envelope_of(shape, builder_of(shape.item))), None

    def decode(self, body: bytes, version: str, *, apart: bool = False) -> Decoded:
        is_plain = self.whole is not None and _is_plain(self.shape, body, version)
        decoded = self._decode_whole(body) if is_plain else None
        if decoded is not None:
            return decoded
        diagnostics = Diagnostics()
        refused: dict[int, tuple[str, ...]] | None = {} if apart else None
        data = meta = None
        tells_end = True
        try:
            found = self._items(body, version, diagnostics, refused)
            if found is None:
                found, tells_end = self._document(body, version, diagnostics, refused)
            data, meta = found
        except StopReading:
            pass
        except RecursionError:
            diagnostics.problems.append("(body): nested too deeply")
        if diagnostics.problems:
            return Decoded(problems=tuple(diagnostics.problems), drift=tuple(diagnostics.drift))
        if is_plain and not refused:
            self._remember(diagnostics.drift)
        return Decoded(
            data, meta, drift=tuple(diagnostics.drift), tells_end=tells_end, refused=refused or _NONE_REFUSED
        )

    def _decode_whole(self, body: bytes) -> Decoded | None:
        """Decode an answer that is as documented, or odd only where one was before; None if it is not."""
        if self.whole is None:
            return None
        decoder, repair = self.whole
        try:
            envelope = decoder.decode(body)
        except REFUSALS:
            return None
        decoded = Decoded(envelope.data, envelope.meta if self.shape.meta else None)
        if repair is None:
            return decoded
        diagnostics = Diagnostics()
        token = current.set(diagnostics)
        try:
            repair(decoded.data if self.shape.many else (decoded.data,), diagnostics)
        except (ValueError, StopReading):
            return None
        finally:
            current.reset(token)
        decoded.drift = tuple(diagnostics.drift)
        return decoded

    def _remember(self, drift: Collection[str]) -> None:
        """Let the fast path take the odd places of an answer from now on."""
        places = self.odd_places | {note.rpartition(": ")[0] for note in drift}
        if places == self.odd_places or len(places) > MAX_ODD_PLACES:
            return
        place = "data[]" if self.shape.many else "data"
        kind = envelope_of(self.shape, builder_of(self.shape.item, places, place))
        self.whole = msgspec.json.Decoder(kind), repair_of(self.shape.item, places, place)
        self.odd_places = places

    def _items(
        self, body: bytes, version: str, diagnostics: Diagnostics, refused: dict[int, tuple[str, ...]] | None
    ) -> tuple[Any, Any] | None:
        """Decode a page item by item; None if it is no page whose parts can be told apart."""
        if self.raw_items is None or version < lifted_before(self.kind):
            return None
        page: Any = None
        for attempt in (body, repaired(body)):
            try:
                page = self.raw_items.decode(attempt)
                break
            except REFUSALS:
                continue
        if page is None:
            return None
        diagnostics.count(len(page.data))
        diagnostics.path.append("data")
        data = _read_items(
            page.data, lambda raw, index: self._item(bytes(raw), version, diagnostics, index), diagnostics, refused
        )
        diagnostics.path.pop()
        return data, getattr(page, "meta", None)

    def _item(self, raw: bytes, version: str, diagnostics: Diagnostics, index: int) -> Any:
        if self.item is not None and not needs_care(raw):
            try:
                return self.item.decode(raw)
            except REFUSALS:
                pass
        item, problem = parse_exactly(raw)
        if problem is None:
            return structure(lift(self.kind, item, version), self.shape.item, diagnostics, index)
        diagnostics.path.append(index)
        diagnostics.refuse(problem.removeprefix("(body): "))
        diagnostics.path.pop()
        return None

    def _document(
        self, body: bytes, version: str, diagnostics: Diagnostics, refused: dict[int, tuple[str, ...]] | None
    ) -> tuple[tuple[Any, Any], bool]:
        """Decode the whole answer by the slow path, with or without an envelope around it.

        Returns:
            Data and meta, and whether a page says if there is another one.
        """
        document, problem = parse_exactly(body)
        if problem is not None:
            diagnostics.problems.append(problem)
            return (None, None), True
        data, meta = lift_envelope(document)
        read_meta, tells_end = self._meta(document, meta, version, diagnostics)
        if not self.shape.many:
            return (structure(lift(self.kind, data, version), self.shape.item, diagnostics, "data"), read_meta), True
        diagnostics.path.append("data")
        items: tuple[Any, ...] = ()
        if is_list(data):
            diagnostics.count(len(data))
            items = _read_items(
                data,
                lambda item, index: structure(lift(self.kind, item, version), self.shape.item, diagnostics, index),
                diagnostics,
                refused,
            )
        else:
            diagnostics.refuse("not a list")
        diagnostics.path.pop()
        return (items, read_meta), tells_end

    def _meta(self, document: Any, meta: Any, version: str, diagnostics: Diagnostics) -> tuple[Any, bool]:
        """Read what the answer says about itself; that it says nothing is drift, where the version has something.

        Returns:
            The meta, and whether a page says if there is another one.
        """
        kind = self.shape.meta
        if kind is None:
            return None, True
        is_paginated = issubclass(kind, PaginationMeta)
        if meta is None:
            is_lost = version >= FIRST_ENVELOPE
            if is_lost:
                diagnostics.note_drift("no envelope" if is_list(document) else "no meta")
            return None, not (is_paginated and is_lost)
        if is_paginated and is_object(meta) and "next_cursor" not in meta:
            if not self.shape.ends_silently:
                diagnostics.path.append("meta")
                diagnostics.path.append("next_cursor")
                diagnostics.note_drift("missing")
                del diagnostics.path[-2:]
            return structure({**meta, "next_cursor": None}, kind, diagnostics, "meta"), self.shape.ends_silently
        return structure(meta, kind, diagnostics, "meta"), True


def _read_items(
    given: Sequence[Any],
    read: Callable[[Any, int], Any],
    diagnostics: Diagnostics,
    refused: dict[int, tuple[str, ...]] | None,
) -> tuple[Any, ...]:
    """Read the items of a list; what is wrong with one of them goes to *refused*, if there is one.

    Raises:
        StopReading: There are too many problems, refused items, or values, to go on.
        RecursionError: An item is nested too deeply, and *refused* is None.
    """
    if refused is None:
        return tuple([read(item, index) for index, item in enumerate(given)])
    items: list[Any] = []
    for index, item in enumerate(given):
        depth = len(diagnostics.path)
        try:
            found = read(item, index)
        except RecursionError:
            diagnostics.problems.append(f"data[{index}]: nested too deeply")
        except StopReading:
            if len(diagnostics.problems) < MAX_PROBLEMS:  # the document is too large, not this item too odd
                raise
        else:
            if not diagnostics.problems:
                items.append(found)
                continue
        del diagnostics.path[depth:]
        if len(refused) >= MAX_PROBLEMS:
            raise StopReading
        refused[index] = tuple(diagnostics.problems)
        diagnostics.problems.clear()
    return tuple(items)
