"""What a handler is, where handlers are kept, and the two short ways to answer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from pinwheel_async.testing._call import Call, Entry, Item, Listing, Nothing
from pinwheel_async.testing._people import Record
from pinwheel_async.testing._world import World

Answer: TypeAlias = Item | Listing | Nothing
Handler: TypeAlias = Callable[[World, Call], Answer]

HANDLERS: dict[str, Handler] = {}
"""By operation."""


def handles(*operations: str) -> Callable[[Handler], Handler]:
    """Make a function the handler of operations."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(operations, handler))
        return handler

    return register


def item(record: Record) -> Item:
    """Answer one object."""
    return Item(msgspec.json.encode(record))


def listing(records: Iterable[Record], meta: Mapping[str, Any] | None = None) -> Listing:
    """Answer a short list in the order given."""
    return Listing([Entry(rank, msgspec.json.encode(one), {}) for rank, one in enumerate(records)], meta or {})
