"""Paystubs: batches as they come in, and how far their history is synced."""

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar

from attrs import field, frozen

from pinwheel_async._core.model import Model
from pinwheel_async.events._base import Changed, JobEvent, JobName, event
from pinwheel_async.models.enums import DocumentType
from pinwheel_async.models.job import SyncStatus
from pinwheel_async.products import Product


@frozen(kw_only=True, repr=False)
class PaystubsParams(Model):
    """What a batch of paystubs holds: numbers of this batch only, never totals."""

    count: int | None = None
    """Number of paystubs in this batch."""
    from_pay_date: date | None = None
    """Earliest pay date of this batch."""
    to_pay_date: date | None = None
    """Latest pay date of this batch."""
    sync_status: SyncStatus | str | None = None
    """`complete` for the last batch of a sync. In `paystubs.added` only."""
    has_potential_paystubs_documents: bool | None = None
    """Whether a job for the documents of the paystubs will be tried. In `paystubs.added` only."""


@frozen(kw_only=True, repr=False)
class PaystubsDocumentsParams(PaystubsParams):
    """What a batch of paystub documents holds; all of it is (unverified)."""

    document_type: DocumentType | str | None = None
    """Kind of document."""
    pay_date: date | None = None
    """Day the pay arrived."""


@frozen(kw_only=True, repr=False)
class PaystubsEvent(JobEvent):
    """Something about the paystubs of an account."""

    PRODUCTS: ClassVar[tuple[Product, ...]] = ("paystubs",)
    JOB: ClassVar[JobName | None] = "paystubs"

    params: PaystubsParams | None = None
    """What the batch holds; null or empty where there is nothing to say, as on errors."""


@event("paystubs.added")
@frozen(kw_only=True, repr=False)
class PaystubsAdded(PaystubsEvent):
    """One batch of paystubs was fetched: several such events per connection, newest pay dates first.

    The last batch of a sync has the `sync_status` `complete`, which says the same as `paystubs.fully_synced`; they come
    in either order, and a batch may come after either.
    """

    added: tuple[Changed, ...] = ()
    """Paystubs that are new."""
    deleted: tuple[Changed, ...] = ()
    """Paystubs that are gone; apply them before `added`."""


@event("paystubs.seven_days_synced")
@frozen(kw_only=True, repr=False)
class PaystubsSevenDaysSynced(PaystubsEvent):
    """The paystubs of seven days are there, counted from the newest one: it comes with the first paystub."""


@event("paystubs.thirty_days_synced")
@frozen(kw_only=True, repr=False)
class PaystubsThirtyDaysSynced(PaystubsEvent):
    """The paystubs of thirty days are there, counted from the newest one."""


@event("paystubs.ninety_days_synced")
@frozen(kw_only=True, repr=False)
class PaystubsNinetyDaysSynced(PaystubsEvent):
    """The paystubs of ninety days are there, counted from the newest one."""


@event("paystubs.fully_synced")
@frozen(kw_only=True, repr=False)
class PaystubsFullySynced(PaystubsEvent):
    """Every paystub that the platform holds was fetched.

    It may overtake the last `paystubs.added`, whose `id`, `timestamp` and `params` it repeats: its `count` is that of
    the last batch, not the total.
    """


@event("paystubs.documents.added")
@frozen(kw_only=True, repr=False)
class PaystubsDocumentsAdded(PaystubsEvent):
    """Documents of paystubs were fetched. The event's name is documented; all of its payload is (unverified)."""

    params: PaystubsDocumentsParams | None = None
    """What the batch holds."""
    added: tuple[Changed, ...] = ()
    """Documents that are new."""
    deleted: tuple[Changed, ...] = ()
    """Documents that are gone; apply them before `added`."""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: nothing of it is documented."""
