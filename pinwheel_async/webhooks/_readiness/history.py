"""State of an account that readiness keeps: a history of its events, and notes beside it; pure functions.

Of a product only the newest event of each kind counts, so that events may come in any order and any number of times:
the same events always give the same history.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import cast

import attrs
from attrs import field, frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.events import (
    EVENTS,
    AccountAdded,
    AccountEvent,
    JobEvent,
    PaystubsAdded,
    PaystubsDocumentsAdded,
    PaystubsNinetyDaysSynced,
    PaystubsSevenDaysSynced,
    PaystubsThirtyDaysSynced,
    ShiftsAdded,
    ShiftsNinetyDaysSynced,
    ShiftsSevenDaysSynced,
    ShiftsThirtyDaysSynced,
)
from pinwheel_async.models import Job
from pinwheel_async.products import PRODUCTS

_MILESTONES: Mapping[type[AccountEvent], int] = {
    PaystubsSevenDaysSynced: 7,
    PaystubsThirtyDaysSynced: 30,
    PaystubsNinetyDaysSynced: 90,
    ShiftsSevenDaysSynced: 7,
    ShiftsThirtyDaysSynced: 30,
    ShiftsNinetyDaysSynced: 90,
}

# Documents of paystubs are made by a job of their own, after that of the paystubs, and change nothing about those.
READINESS_EVENTS: tuple[type[AccountEvent], ...] = (
    AccountAdded,
    *(
        kind
        for kind in EVENTS.values()
        if issubclass(kind, JobEvent) and kind.JOB in PRODUCTS and kind is not PaystubsDocumentsAdded
    ),
)
"""Events from which readiness follows."""

_MAX_TEXT = 100


@frozen(kw_only=True, repr=False)
class ProductHistory(Model):
    """History of one product: when the newest event of each kind says that it happened."""

    succeeded_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    pending_at: Timestamp | None = None
    partial_at: Timestamp | None = None
    """A batch that is not the last, or a milestone."""
    error_type: str | None = None
    """Of the newest failure, as is the code."""
    error_code: str | None = None
    days_synced: int | None = None


@frozen(kw_only=True, repr=False)
class AccountHistory(Model):
    """History of one account."""

    heard_at: Timestamp
    """When the last event was handled that brought anything new, by the clock of this machine: the inbox may have kept
    it for a while."""
    platform_id: str | None = None
    added_at: Timestamp | None = None
    products: Mapping[str, ProductHistory] = field(factory=dict[str, ProductHistory])


@frozen(kw_only=True, repr=False)
class Notes(Model):
    """Notes on one account, beside its events; kept apart from its history, because not only handlers write them."""

    since: Timestamp
    """When the first note was taken."""
    platform_id: str | None = None
    """Platform, as the API says."""
    waited: tuple[str, ...] = ()
    """Products that were ever waited for."""
    stalled: bool = False
    """Whether it was reported as stalled."""
    looked_at: Timestamp | None = None
    """When the API was last asked what it knows of the account."""
    seen: Mapping[str, ProductHistory] = field(factory=dict[str, ProductHistory])
    """What it knew of each product, as if it had been events."""

    def waiting_for(self, products: Iterable[str]) -> "Notes":
        """Return the notes with these products among those that were waited for."""
        return attrs.evolve(self, waited=tuple(sorted({*self.waited, *products})))


def remember(history: AccountHistory | None, event: AccountEvent, now: datetime) -> AccountHistory:
    """Return the history with an event in it; the same history, if the event brings nothing new."""
    before = history or AccountHistory(heard_at=now)
    after = before
    if isinstance(event, AccountAdded):
        added_at = max(before.added_at or event.created_at, event.created_at)
        platform_id = event.platform_id if added_at == event.created_at else before.platform_id
        after = attrs.evolve(before, added_at=added_at, platform_id=platform_id)
    elif isinstance(event, JobEvent) and event.JOB is not None:
        product = before.products.get(event.JOB, ProductHistory())
        after = attrs.evolve(before, products={**before.products, event.JOB: _remember(product, event)})
        if event.platform_id is not None and before.platform_id is None:
            after = attrs.evolve(after, platform_id=event.platform_id)
    return before if history is not None and after == before else attrs.evolve(after, heard_at=now)


def platform_of(history: AccountHistory | None, notes: Notes | None) -> str | None:
    """Return the platform of an account; None if neither an event nor the API has named it."""
    named = history.platform_id if history else None
    return named or (notes.platform_id if notes else None)


def remember_job(product: ProductHistory, job: Job) -> ProductHistory:
    """Return the history of a product with a finished job in it, as if its event had come."""
    return _remember_outcome(product, job, partial=job.params is not None and job.params.sync_status == "in_progress")


def merged(product: ProductHistory, other: ProductHistory) -> ProductHistory:
    """Return one history of two: of each kind what is newest."""
    failed = max((product, other), key=lambda history: history.failed_at or _NEVER)
    return ProductHistory(
        succeeded_at=_latest(product.succeeded_at, other.succeeded_at),
        failed_at=failed.failed_at,
        pending_at=_latest(product.pending_at, other.pending_at),
        partial_at=_latest(product.partial_at, other.partial_at),
        error_type=failed.error_type,
        error_code=failed.error_code,
        days_synced=max(product.days_synced or 0, other.days_synced or 0) or None,
    )


def _remember(product: ProductHistory, event: JobEvent) -> ProductHistory:
    days = _MILESTONES.get(type(event)) if event.outcome == "success" else None
    if days is not None:
        product = attrs.evolve(product, days_synced=max(product.days_synced or 0, days))
    # A batch that does not say whether it is the last leaves the end to the event that says so.
    is_batch = isinstance(event, PaystubsAdded | ShiftsAdded) and _sync_status(event) != "complete"
    return _remember_outcome(product, event, partial=days is not None or is_batch)


def _remember_outcome(product: ProductHistory, ended: JobEvent | Job, *, partial: bool) -> ProductHistory:
    at = cast("datetime | None", ended.timestamp)
    if at is None:  # which the API may say where its documentation says never
        return product
    match ended.outcome:
        case "pending":
            return attrs.evolve(product, pending_at=_latest(product.pending_at, at))
        case "error":
            new = (at, (ended.error_type or "")[:_MAX_TEXT], (ended.error_code or "")[:_MAX_TEXT])
            old = (product.failed_at, product.error_type or "", product.error_code or "") if product.failed_at else new
            # Between failures of the same moment the texts decide, so that the order of arrival does not.
            when, kind, code = max(old, new)
            return attrs.evolve(product, failed_at=when, error_type=kind or None, error_code=code or None)
        case "success" if partial:
            return attrs.evolve(product, partial_at=_latest(product.partial_at, at))
        case "success":
            return attrs.evolve(product, succeeded_at=_latest(product.succeeded_at, at))
        case _:
            return product


def _sync_status(event: PaystubsAdded | ShiftsAdded) -> str | None:
    return event.params.sync_status if event.params else None


_NEVER = datetime.min.replace(tzinfo=UTC)


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
