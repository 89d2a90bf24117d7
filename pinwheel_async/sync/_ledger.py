"""What webhooks announced, kept beside what was stored, so that the two can be compared."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from attrs import frozen

from pinwheel_async.products import Product
from pinwheel_async.sync._sink import Store


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


@runtime_checkable
class LedgerStore(Store, Protocol):
    """A store that keeps announcements, too."""

    async def announce(self, announcement: Announcement) -> None:
        """Keep an announcement; one whose event id is there already changes nothing."""
        ...

    async def announced(self, account_id: str, product: Product) -> Sequence[Announcement]:
        """Return what was announced of a product of an account, in order of `announced_at`."""
        ...

    async def announced_units(
        self, after: tuple[str, Product] | None = None, limit: int = 1_000
    ) -> Sequence[tuple[str, Product]]:
        """Return accounts and products with announcements, in order, the first ones behind *after*."""
        ...

    async def held(self, account_id: str, product: Product) -> frozenset[str]:
        """Return the ids of the objects that are stored of a product of an account, deleted ones left out."""
        ...
