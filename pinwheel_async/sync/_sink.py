"""Where a sync puts what it fetches: the protocol, what it is handed, and a sink in memory."""

from typing import Any, Literal, Protocol, TypeAlias, cast

import attrs
from attrs import field, frozen

from pinwheel_async._core.fields import Model
from pinwheel_async.models.document import Document
from pinwheel_async.products import Product

Kind: TypeAlias = Product | Literal["accounts"]
"""What the objects of a batch are: one product, or the accounts themselves."""


@frozen(kw_only=True)
class Batch:
    """One page as it arrived, never split and never joined with another."""

    kind: Kind
    """What the items are."""
    account_id: str | None
    """The account that they belong to; null where they are accounts."""
    items: tuple[Model, ...] = field(repr=False)
    """The objects, in the server's order; empty when a list holds nothing. A product of which an account has exactly
    one arrives as one item."""
    first: bool = True
    """Whether it is the first page of its list."""
    last: bool = True
    """Whether it is the last page: with it, the list has been read to its end."""


class Sink(Protocol):
    """Stores what a sync fetches.

    `write` is called by many workers at once, one page each; the pages of one list come one after another. A worker
    goes on when its `write` returns, so a slow sink slows the sync instead of filling the memory. The same object may
    arrive again, in this run or a later one: storing it twice must change nothing.

    Whatever a method raises ends the run and reaches the caller of `sync`; `SinkError` says it without a payload.
    Only a `DecodeError` of `write`, for a page that can never be stored, ends no more than that product of that
    account.
    """

    async def open(self) -> None:
        """Get ready; called once, before the first page."""
        ...

    async def write(self, batch: Batch) -> None:
        """Store a page; return when it is as safe as the sink makes it."""
        ...

    async def close(self, *, complete: bool) -> None:
        """Finish; called once after `open` succeeded, also when the run failed or was cancelled.

        Args:
            complete: Whether the run came to its end. Accounts may have failed nevertheless: the report says which.
        """
        ...


class MemorySink:
    """Keeps every page in memory; for tests and small runs."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        """Every page, in order of arrival."""

    async def open(self) -> None:
        """Nothing to do."""

    async def write(self, batch: Batch) -> None:
        """Keep a page."""
        self.batches.append(batch)

    async def close(self, *, complete: bool) -> None:
        """Nothing to do."""

    def items(self, kind: Kind, account_id: str | None = None) -> tuple[Model, ...]:
        """Return the objects of a kind in order of arrival; of one account, if it is given."""
        wanted = (one for one in self.batches if one.kind == kind and account_id in {None, one.account_id})
        return tuple([item for batch in wanted for item in batch.items])


def without_link(item: Model) -> Model:
    """Return the object without the signed link to its file, which grants access and is dead within minutes."""
    document: object = getattr(item, "document", None)
    if not isinstance(document, Document):
        return item
    bare = attrs.evolve(document, download_url=None, download_url_expiration=None)
    return cast("Model", attrs.evolve(cast("Any", item), document=bare))
