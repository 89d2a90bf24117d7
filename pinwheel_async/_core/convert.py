"""JSON to models and back.

Two lanes give equal models. The fast lane is a cached msgspec decoder that fills the attrs classes straight from the
bytes. What it refuses goes through the lenient lane (`lenient.py`), which forgives what does not change the meaning,
notes it, and refuses the rest with its path. On a page, only the odd items take the lenient lane.

Who only reads values out of models may have lean twins of them, and who reads nothing the bytes (`lanes.py`).
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any, TypeGuard, TypeVar, cast, get_args

import attrs
import msgspec

from pinwheel_async._core.exact import Walk
from pinwheel_async._core.fields import Model, attributes, is_list, wire_name
from pinwheel_async._core.lanes import decode_lean, decode_packed
from pinwheel_async._core.lenient import structure
from pinwheel_async._core.shape import REFUSALS, Decoded, Shape, decoder_of, envelope_of
from pinwheel_async._core.versions import lift, lift_envelope, needs_lift

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_NOTHING = msgspec.Raw()


@attrs.frozen(repr=False)
class Parcel(Model):
    """A webhook body with its payload still packed."""

    event_id: Any = None
    event: Any = None
    payload: msgspec.Raw = _NOTHING


def encode(model: Model, *, nulls: bool = False) -> bytes:
    """Encode a model as JSON; fields that are None are left out, or written as null if *nulls*."""
    return _ENCODER.encode(_plain(model, nulls))


def rfc3339(moment: datetime) -> bytes:
    """Write an aware moment as on the wire: with its fraction only if it has one, and with Z for UTC."""
    return _ENCODER.encode(moment)[1:-1]


def decode(shape: Shape, body: bytes, version: str) -> Decoded:
    """Decode an answer of an API version. Never raises: hostile bytes come back as problems."""
    if shape.packed and (found := decode_packed(shape, body, version)) is not None:
        return found
    if shape.lean and (found := decode_lean(shape, body, version)) is not None:
        return found
    return _lanes(shape).decode(body, version)


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


def read_exact(body: bytes) -> Any:
    """Parse JSON to plain values, decimals without rounding; None when it is no JSON."""
    try:
        return _EXACT.decode(body)
    except REFUSALS:
        return None


def _plain(value: Any, nulls: bool) -> Any:
    if isinstance(value, Model):
        pairs = ((wire_name(one), getattr(value, one.name)) for one in attributes(type(value)))
        return {name: _plain(one, nulls) for name, one in pairs if nulls or one is not None}
    return [_plain(one, nulls) for one in value] if _is_sequence(value) else value


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, tuple | list)


@cache
def _lanes(shape: Shape) -> "_Lanes":
    return _Lanes(shape)


class _Lanes:
    """The lanes of one shape, built at first use and kept."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.kind = shape.item.__name__
        self.rename = _renamer(shape.item)
        self.item = decoder_of(shape.item)
        self.whole = decoder_of(envelope_of(shape, shape.item)) if self.item else None
        self.raw_items = msgspec.json.Decoder(envelope_of(shape, msgspec.Raw)) if shape.many else None

    def decode(self, body: bytes, version: str) -> Decoded:
        if self.whole is not None and not needs_lift(self.kind, version):
            try:
                envelope: Any = self.whole.decode(self.rename(body))
            except REFUSALS:
                pass
            else:
                return Decoded(envelope.data, getattr(envelope, "meta", None))
        walk = Walk()
        data = meta = None
        try:
            data, meta = self._items(body, version, walk) or self._document(body, walk)
        except REFUSALS:
            walk.refuse("nested too deeply, or a number beyond all bounds")
        if walk.problems:
            return Decoded(problems=tuple(walk.problems), forgiven=tuple(walk.forgiven))
        return Decoded(data, meta, forgiven=tuple(walk.forgiven))

    def _items(self, body: bytes, version: str, walk: Walk) -> tuple[Any, Any] | None:
        """Decode a page item by item; None if it is no page whose parts can be told apart."""
        if self.raw_items is None or needs_lift(self.kind, version):
            return None
        try:
            page: Any = self.raw_items.decode(body)
        except REFUSALS:
            return None
        walk.path.append("data")
        data = tuple([self._one(bytes(raw), walk, index) for index, raw in enumerate(page.data)])
        walk.path.pop()
        return data, getattr(page, "meta", None)

    def _one(self, raw: bytes, walk: Walk, index: int) -> Any:
        if self.item is not None:
            try:
                return self.item.decode(self.rename(raw))
            except REFUSALS:
                pass
        return structure(lift(self.kind, _EXACT.decode(raw)), self.shape.item, walk, index)

    def _document(self, body: bytes, walk: Walk) -> tuple[Any, Any]:
        """Decode the whole answer leniently, with or without an envelope around it."""
        try:
            data, meta = lift_envelope(_EXACT.decode(body))
        except REFUSALS:
            walk.refuse("not JSON")
            return None, None
        read_meta = None if self.shape.meta is None or meta is None else structure(meta, self.shape.meta, walk, "meta")
        if not self.shape.many:
            return structure(lift(self.kind, data), self.shape.item, walk, "data"), read_meta
        walk.path.append("data")
        if is_list(data):
            items = [structure(lift(self.kind, one), self.shape.item, walk, at) for at, one in enumerate(data)]
        else:
            items = []
            walk.refuse("not a list")
        walk.path.pop()
        return tuple(items), read_meta


def _renamer(kind: type[Model]) -> Callable[[bytes], bytes]:
    """Return what turns wire names into attribute names before the fast lane, which knows no aliases.

    The pattern finds keys only: inside text a quote has a backslash before it, and no value is followed by a colon.
    """
    names = {wire_name(one): one.name for model in _models_in(kind) for one in attributes(model)}
    renamed = {wire.encode(): name.encode() for wire, name in names.items() if wire != name}
    if not renamed:
        return lambda body: body
    pattern = re.compile(rb'(?<!\\)"(%s)"(?=\s*:)' % b"|".join(map(re.escape, renamed)))

    def rename(found: re.Match[bytes]) -> bytes:
        return b'"%s"' % renamed[found[1]]

    return partial(pattern.sub, rename)


def _models_in(kind: Any) -> frozenset[type[Model]]:
    """Return the model classes that a type can hold, itself included; no model holds itself."""
    found: set[type[Model]] = set()
    inner: list[Any] = list(get_args(kind))
    if isinstance(kind, type) and attrs.has(kind):
        found.add(cast("type[Model]", kind))
        inner = [one.type for one in attributes(cast("type[Model]", kind))]
    return frozenset(found.union(*map(_models_in, inner)))
