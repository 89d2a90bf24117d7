"""Shifts: batches as they come in, and how far their history is synced."""

from typing import ClassVar

from attrs import frozen

from pinwheel_async._core.model import Model
from pinwheel_async.events._base import Changed, JobEvent, JobName, event
from pinwheel_async.models.job import SyncStatus
from pinwheel_async.products import Product


@frozen(kw_only=True, repr=False)
class ShiftsParams(Model):
    """What a batch of shifts holds: numbers of this batch only, never totals."""

    count: int | None = None
    """Number of shifts in this batch."""
    sync_status: SyncStatus | str | None = None
    """`complete` for the last batch of a sync. In `shifts.added` only."""


@frozen(kw_only=True, repr=False)
class ShiftsEvent(JobEvent):
    """Something about the shifts of an account."""

    PRODUCTS: ClassVar[tuple[Product, ...]] = ("shifts",)
    JOB: ClassVar[JobName | None] = "shifts"

    params: ShiftsParams | None = None
    """What the batch holds; null or empty where there is nothing to say, as on errors."""


@event("shifts.added")
@frozen(kw_only=True, repr=False)
class ShiftsAdded(ShiftsEvent):
    """One batch of shifts was fetched: several such events per connection, mixed with those of paystubs.

    The last batch of a sync has the `sync_status` `complete`, which says the same as `shifts.fully_synced`; they come
    in either order.
    """

    added: tuple[Changed, ...] = ()
    """Shifts that are new."""
    deleted: tuple[Changed, ...] = ()
    """Shifts that are gone; apply them before `added`."""


@event("shifts.seven_days_synced")
@frozen(kw_only=True, repr=False)
class ShiftsSevenDaysSynced(ShiftsEvent):
    """The shifts of seven days are there, counted from the newest one."""


@event("shifts.thirty_days_synced")
@frozen(kw_only=True, repr=False)
class ShiftsThirtyDaysSynced(ShiftsEvent):
    """The shifts of thirty days are there, counted from the newest one."""


@event("shifts.ninety_days_synced")
@frozen(kw_only=True, repr=False)
class ShiftsNinetyDaysSynced(ShiftsEvent):
    """The shifts of ninety days are there, counted from the newest one."""


@event("shifts.fully_synced")
@frozen(kw_only=True, repr=False)
class ShiftsFullySynced(ShiftsEvent):
    """Every shift that the platform holds was fetched. It may overtake the last `shifts.added`."""
