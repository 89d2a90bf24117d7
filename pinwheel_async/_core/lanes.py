"""Faster ways for those who only read values out of an answer, or who read nothing of it; they forgive nothing."""

from functools import cache
from typing import Any, cast

import msgspec

from pinwheel_async._core.lean import lean
from pinwheel_async._core.shape import REFUSALS, Decoded, Packed, Shape, decoder_of, envelope_of
from pinwheel_async._core.versions import needs_lift


def decode_lean(shape: Shape, body: bytes, version: str) -> Decoded | None:
    """Return the twins that an answer holds; None if it is not quite as documented."""
    decoder = None if needs_lift(shape.item.__name__, version) else _lean_decoder(shape)
    if decoder is None:
        return None
    try:
        envelope = decoder.decode(body)
    except REFUSALS:
        return None
    return Decoded(envelope.data, getattr(envelope, "meta", None))


def decode_packed(shape: Shape, body: bytes, version: str) -> Decoded | None:
    """Read nothing but what an answer says about itself; None if that is odd, or the answer of an older version."""
    if needs_lift(shape.item.__name__, version):
        return None
    try:
        envelope: Any = _packed_decoder(shape).decode(body)
    except REFUSALS:
        return None
    return Decoded(Packed(body, len(envelope.data) if shape.many else 1), getattr(envelope, "meta", None))


@cache
def _lean_decoder(shape: Shape) -> "msgspec.json.Decoder[Any] | None":
    return decoder_of(envelope_of(shape, lean(cast("Any", shape.item))))


@cache
def _packed_decoder(shape: Shape) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(envelope_of(shape, msgspec.Raw))
