"""Protocols of sinks and stores, and what is handed to them: pages, checkpoints and announcements of webhooks."""

from collections.abc import Mapping, Sequence, Sized
from datetime import date, datetime, timedelta
from itertools import combinations
from typing import Any, Generic, Literal, Protocol, TypeAlias, cast, runtime_checkable

import attrs
from attrs import field, frozen
from typing_extensions import TypeVar

from pinwheel_async._core.converter import Serializable
from pinwheel_async._core.model import Model
from pinwheel_async._privacy import Discreet, compared_discreetly
from pinwheel_async.models.document import Document
from pinwheel_async.products import Product

Kind: TypeAlias = Product | Literal["accounts"]
"""What the objects of a batch are: one product, or the accounts themselves."""

Items_co = TypeVar("Items_co", bound=Sized, default=tuple[Model, ...], covariant=True)
"""What a page holds: models, unless its sink says that it needs less (`_page_formats.py`)."""

Reached: TypeAlias = Literal["reading", "complete", "missing", "patch"]
"""How far a reading is.

`reading`: pages are still to come. `complete`: read to its end. `missing`: the server answered 404. `patch`: a part of
a list was read again, such as the paystubs of some days; what was there before stays, and so does its checkpoint.
"""


@compared_discreetly
@frozen(kw_only=True, slots=False)  # attrs fills frozen slots half as fast, and a nightly run makes one for each unit
class Checkpoint(Discreet):
    """How far the copy of one product of one account is: kept in the same transaction as the page it comes with."""

    begun_at: datetime
    """When this reading began, in UTC, by the clock of the store's server, if it has one (`server_now` of `SqlSink`),
    or else of the machine that reads. Of two readings the newer one counts; one that began more than ten minutes in the
    future does not."""
    reached: Reached
    data_updated_at: datetime | None = field(default=None, repr=False)
    """When the data had last changed as the account said before the reading began; null if it did not say."""
    from_day: date | None = None
    """Only objects after this day were asked for; null if all."""
    cursor: str | None = field(default=None, repr=False)
    """Where the reading goes on; null when it is at its end. Opaque, and may expire."""
    items: int = 0
    """Objects of this reading so far."""
    max_removed: float | None = None
    """Largest share of what is stored that the end of this reading may remove; null for any. Not remembered."""
    misses: int = 0
    """How many readings, one after another, were answered 404 although the account, or an event, says that there is
    data."""


@compared_discreetly
@frozen(kw_only=True, slots=False)  # as above
class Batch(Discreet, Generic[Items_co]):
    """One page as it arrived, never split and never joined with another."""

    kind: Kind
    """What the items are."""
    account_id: str | None
    """The account that they belong to; null where they are accounts."""
    items: Items_co = field(repr=False)
    """The objects, in the server's order; empty when a list holds nothing. A product of which an account has exactly
    one arrives as one item."""
    first: bool = True
    """Whether it is the first page of its list."""
    last: bool = True
    """Whether it is the last page: with it, the list has been read to its end."""
    checkpoint: Checkpoint | None = None
    """What a `Store` remembers with this page; of accounts, when they were asked for. Other sinks need not look."""


@frozen(kw_only=True)
class Announcement:
    """What one event said about a list of an account: ids and counts, nothing else of the payload."""

    event_id: str
    """Id of the event; an announcement that comes again is the same one."""
    event: str
    """Name of the event."""
    account_id: str
    product: Product
    announced_at: datetime
    """When the job ended, as the event says."""
    received_at: datetime
    """When it arrived here."""
    count: int | None = None
    """Objects in the batch, as the event says."""
    added: tuple[str, ...] = ()
    """Ids of objects that were new."""
    deleted: tuple[str, ...] = ()
    """Ids of objects that were gone."""
    final: bool = False
    """Whether the event says that everything has been fetched from the source."""


@frozen(kw_only=True)
class FailedProduct(Serializable):
    """A product of an account that failed, and was not read since."""

    account_id: str
    """Empty where an account was listed in a way that not even its id could be read."""
    product: Kind
    """`accounts` where the account itself could not be read, or not be stored."""
    error: str
    """Name of the latest error."""
    place: str | None = None
    """Where the trouble is: the endpoint, or the first place in the answer. Never a value."""
    attempts: int = 1
    """How many times it failed."""
    first_at: datetime
    """When it failed for the first time."""
    last_at: datetime
    """When it failed for the last time."""


@frozen(kw_only=True)
class AnnouncedList(Discreet):
    """What was announced of a list of an account, and what is stored of it, of one moment."""

    account_id: str
    product: Product
    announcements: Sequence[Announcement]
    """In order of `announced_at`."""
    held: frozenset[str] = field(repr=False)
    """Ids of the objects that are stored, deleted ones left out."""


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


def sink_problem(name: str, sink: object, *, announcements: bool = False) -> str | None:
    """Return what is wrong with an argument that is to be a sink; None if it is one.

    Args:
        name: Name of the argument.
        sink: What was given.
        announcements: Whether it has to keep announcements of webhooks, too.
    """
    methods = ("open", "write", "close", *(("announce", "announced_lists") if announcements else ()))
    if not isinstance(sink, type) and all(callable(getattr(sink, method, None)) for method in methods):
        return None
    wanted = "a store that keeps announcements" if announcements else "a sink"
    kind = f"the class {sink.__name__}" if isinstance(sink, type) else type(sink).__name__
    return f'{name} must be {wanted}, such as SqlSink("sqlite:///payroll.db"), not {kind}'


@runtime_checkable
class Store(Sink, Protocol):
    """A sink that remembers how far it is, so that a run can go on where another one stopped.

    `write` stores a page and its checkpoint in one transaction, so data and position cannot part:

    - If the checkpoint that is stored has a later `begun_at`, or a patch was stored that began later, nothing is
      stored, and `SupersededError` raised: what is older never overwrites what is newer. Moments more than ten minutes
      ahead of the clock do not count.
    - With a checkpoint that has reached `complete`, objects of this account and kind that were not in any page of this
      reading vanish: all of them, or those with a day after `from_day`, if there is one.
    - If that would be too much for the checkpoint, as `removes_too_much` says, the objects of the page are stored, the
      checkpoint that was there is kept, nothing vanishes, and `UnconfirmedRemovalError` is raised.
    - A checkpoint that has reached `missing` comes without objects, and nothing vanishes.
    - With `patch`, objects are stored, the checkpoint that was there is kept, and nothing vanishes.
    - Of accounts, each of which an answer to a later question is known is left out: an answer of its own, or a whole
      list that named it, or that it was marked by.
    - With `complete` and `missing`, the failure of this account and kind is over, if there is one.
    - Of an account that was erased nothing is stored, and nothing raised.
    """

    async def erased(self, account_ids: Sequence[str]) -> frozenset[str]:
        """Return which of some accounts were erased: nothing of them is fetched or stored."""
        ...

    async def checkpoints(self, account_ids: Sequence[str]) -> Mapping[tuple[str, Product], Checkpoint]:
        """Return the checkpoints of some accounts, by account and product; what was never read is not there."""
        ...

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the data."""
        ...

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the data; None removes it."""
        ...

    async def account_ids(self, after: str = "", limit: int = 1_000) -> Sequence[str]:
        """Return ids of accounts that are stored and not marked as deleted, in order, the first ones behind *after*."""
        ...

    async def miss_accounts(self, account_ids: Sequence[str], at: datetime) -> int:
        """Note that a whole list did not name some accounts, and named all others.

        Those that the whole list before did not name either are marked as deleted. A list that began before one that is
        noted already says nothing, nor does any about accounts that were asked for since it began.

        Args:
            account_ids: Accounts that are stored and were not named.
            at: When the list was begun.

        Returns:
            How many were marked.
        """
        ...

    async def failures(self) -> Sequence[FailedProduct]:
        """Return what failed and was not read since, by account and product."""
        ...

    async def add_failures(self, failures: Sequence[FailedProduct]) -> None:
        """Keep failures. If one of the same account and product is there, attempts add up, and the latest error counts.

        So several runs that work at the same time keep what failed in each of them.
        """
        ...

    async def remove_failures(self, units: Sequence[tuple[str, Kind]]) -> None:
        """Forget the failures of some accounts and products."""
        ...


@runtime_checkable
class AnnouncementStore(Store, Protocol):
    """A store that keeps announcements, too."""

    async def announce(self, announcement: Announcement) -> None:
        """Keep an announcement; one whose event id is there already changes nothing."""
        ...

    async def announced(self, account_id: str, product: Product) -> Sequence[Announcement]:
        """Return what was announced of a product of an account, in order of `announced_at`."""
        ...

    async def announced_lists(
        self, after: tuple[str, Product] | None = None, limit: int = 300
    ) -> Sequence[AnnouncedList]:
        """Return lists with announcements in order of account and product, the first ones behind *after*."""
        ...

    async def remove_announcements(self, event_ids: Sequence[str]) -> None:
        """Forget some announcements."""
        ...

    async def load_all(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the small values that were saved under some keys."""
        ...

    async def save_all(self, values: Mapping[str, bytes]) -> None:
        """Save small values at once."""
        ...

    async def held(self, account_id: str, product: Product) -> frozenset[str]:
        """Return the ids of the objects that are stored of a product of an account, deleted ones left out."""
        ...


def without_link(item: Model) -> Model:
    """Return the object without the signed link to its file, which grants access and is dead within minutes."""
    document: object = getattr(item, "document", None)
    if not isinstance(document, Document):
        return item
    bare = attrs.evolve(document, download_url=None, download_url_expiration=None)
    return cast("Model", attrs.evolve(cast("Any", item), document=bare))


CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far ahead a clock may be: that of a machine without time service drifts by a second or two a day, and what is far
ahead was set wrongly."""


def is_ahead(moment: datetime, now: datetime) -> bool:
    """Whether a moment was noted under a clock that was wrong, so that it says nothing about what is newer."""
    return moment > now + CLOCK_TOLERANCE


def ids_in(key: str) -> frozenset[str]:
    """Return what the key of a small value may name: whatever stands between two of its colons."""
    parts = key.split(":")
    return frozenset([":".join(parts[start:end]) for start, end in combinations(range(1, len(parts)), 2)])


FEW = 5
"""Objects that may vanish at once without a doubt, however few there are: what a payroll system corrects in a day."""


def removes_too_much(checkpoint: Checkpoint, *, removed: int, stored: int) -> bool:
    """Whether the end of a reading would remove so much that a second reading has to say the same.

    Args:
        checkpoint: That of the last page.
        removed: Objects that were in no page of the reading.
        stored: Objects that are stored, those of the reading included.
    """
    share = checkpoint.max_removed
    if share is None or not removed:
        return False
    return not checkpoint.items or (removed > FEW and removed > share * stored)


DAYS: Mapping[Kind, str] = {"paystubs": "pay_date", "shifts": "start_date"}
"""The day by which lists can be bounded, where they can."""
