"""Registry of the handlers by operation, and what they share: short ways to find and to answer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from pinwheel_async.testing._api.request import Call, Item, Listing, Nothing
from pinwheel_async.testing._world.records import Entry, Record, not_found
from pinwheel_async.testing._world.world import World

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
    return Listing([Entry(rank, msgspec.json.encode(record), {}) for rank, record in enumerate(records)], meta or {})


def by_id(records: Iterable[Record], wanted: str, what: str) -> Record:
    """Return the record with an id.

    Raises:
        RefusedError: There is none; *what* names it.
    """
    for record in records:
        if record["id"] == wanted:
            return record
    raise not_found(what)
