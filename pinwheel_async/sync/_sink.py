"""Where a sync puts what it fetches: what a page is, how far a reading is, and the two protocols."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

import attrs
from attrs import field, frozen

from pinwheel_async._core.fields import Model
from pinwheel_async.models.document import Document
from pinwheel_async.products import Product

Kind: TypeAlias = Product | Literal["accounts"]
"""What the objects of a batch are: one product, or the accounts themselves."""

Reached: TypeAlias = Literal["reading", "complete", "missing", "patch"]
"""How far a reading is.

`reading`: pages are still to come. `complete`: read to its end. `missing`: the server answered 404. `patch`: a part of
a list was read again, such as the paystubs of some days; what was there before stays, and so does its mark.
"""


@frozen(kw_only=True)
class Mark:
    """How far the copy of one product of one account is: kept in the same transaction as the page it comes with."""

    begun_at: datetime
    """When this reading began, in UTC, by the clock of the machine that reads. Of two readings the newer one counts."""
    reached: Reached
    data_updated_at: datetime | None = field(default=None, repr=False)
    """When the data had last changed as the account said before the reading began; null if it did not say."""
    from_day: date | None = None
    """Only objects after this day were asked for; null if all."""
    cursor: str | None = field(default=None, repr=False)
    """Where the reading goes on; null when it is at its end. Opaque, and may expire."""
    items: int = 0
    """Objects of this reading so far."""


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
    mark: Mark | None = None
    """What a `Store` remembers with this page; null for accounts. Other sinks need not look at it."""


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


@runtime_checkable
class Store(Sink, Protocol):
    """A sink that remembers how far it is, so that a run can go on where another one stopped.

    `write` stores a page and its mark in one transaction, so data and position cannot part:

    - If the mark that is stored has a later `begun_at`, or a patch was stored that began later, nothing is stored, and
      `SupersededError` raised: what is older never overwrites what is newer.
    - With a mark that has reached `complete`, objects of this account and kind that were not in any page of this
      reading vanish: all of them, or those with a day after `from_day`, if there is one.
    - A mark that has reached `missing` comes without objects, and nothing vanishes.
    - With `patch`, objects are stored, the mark that was there is kept, and nothing vanishes.
    """

    async def marks(self, account_ids: Sequence[str]) -> Mapping[tuple[str, Product], Mark]:
        """Return the marks of some accounts, by account and product; what was never read is not there."""
        ...

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the data."""
        ...

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the data; None removes it."""
        ...


def without_link(item: Model) -> Model:
    """Return the object without the signed link to its file, which grants access and is dead within minutes."""
    document: object = getattr(item, "document", None)
    if not isinstance(document, Document):
        return item
    bare = attrs.evolve(document, download_url=None, download_url_expiration=None)
    return cast("Model", attrs.evolve(cast("Any", item), document=bare))


DAYS: Mapping[Kind, str] = {"paystubs": "pay_date", "shifts": "start_date"}
"""The day by which lists can be bounded, where they can."""
