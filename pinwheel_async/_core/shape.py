"""What an answer should hold, what it did hold, and how msgspec is asked for it."""

from decimal import InvalidOperation
from typing import Any, Generic, TypeVar, cast

import attrs
import msgspec

from pinwheel_async._core.fields import Model

D = TypeVar("D")
M = TypeVar("M")

# Besides its own errors msgspec lets these out: for bad UTF-8, for brackets nested without end, and, where floats are
# read as decimals, for exponents without end.
REFUSALS = (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation)


@attrs.frozen(repr=False)
class Envelope(Model, Generic[D, M]):
    """An answer as it stands on the wire."""

    data: D
    meta: M | None = None


@attrs.frozen(repr=False)
class BareEnvelope(Model, Generic[D]):
    """An answer whose `meta` nobody documents."""

    data: D


@attrs.frozen
class Shape:
    """What an answer should hold."""

    item: type[Model]
    many: bool
    meta: type[Model] | None
    lean: bool = False
    """Whether twins will do. An answer that is not quite as documented gives models all the same."""
    packed: bool = False
    """Whether the data may stay as they are on the wire, unread, unless the answer is of an older version."""


@attrs.frozen(repr=False)
class Packed(Model):
    """Data that nobody has read yet."""

    body: bytes
    """The whole answer."""
    count: int
    """How many objects there are in it."""


@attrs.frozen(repr=False)
class Decoded(Model):
    """What an answer did hold: data and meta, or the places that could not be read."""

    data: Any = None
    meta: Any = None
    problems: tuple[str, ...] = ()
    """Why there is no data: places and what was expected there."""
    forgiven: tuple[str, ...] = ()
    """Places where the answer was not as documented, and what was forgiven there."""


def envelope_of(shape: Shape, item: Any) -> Any:
    """Return the type of a whole answer."""
    data: Any = cast("Any", tuple)[item, ...] if shape.many else item
    meta: Any = shape.meta
    return cast("Any", Envelope)[data, meta] if meta else cast("Any", BareEnvelope)[data]


def decoder_of(kind: Any) -> "msgspec.json.Decoder[Any] | None":
    """Build the fast lane of a type; None where msgspec cannot, as for a union of classes."""
    try:
        return msgspec.json.Decoder(kind)
    except TypeError:
        return None
