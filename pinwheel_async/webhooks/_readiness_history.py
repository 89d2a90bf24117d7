"""What is remembered of an account: its events, and notes beside them. Nothing here awaits.

Of a product it is only the newest of each kind of event, so that events may come in any order and any number of times:
the same events always leave the same memory.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs
from attrs import field, frozen

from pinwheel_async._core.fields import Model, Timestamp
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
from pinwheel_async.products import PRODUCTS

_MARKS: Mapping[type[AccountEvent], int] = {
    PaystubsSevenDaysSynced: 7,
    PaystubsThirtyDaysSynced: 30,
    PaystubsNinetyDaysSynced: 90,
    ShiftsSevenDaysSynced: 7,
    ShiftsThirtyDaysSynced: 30,
    ShiftsNinetyDaysSynced: 90,
}

# Documents of paystubs are made by a job of their own, after that of the paystubs, and change nothing about those.
HEARD: tuple[type[AccountEvent], ...] = (
    AccountAdded,
    *(
        kind
        for kind in EVENTS.values()
        if issubclass(kind, JobEvent) and kind.JOB in PRODUCTS and kind is not PaystubsDocumentsAdded
    ),
)
"""The events that readiness follows from."""

_LONGEST_WORD = 100


@frozen(kw_only=True, repr=False)
class Heard(Model):
    """What is remembered of one product: when the newest event of each kind says that it happened."""

    succeeded_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    pending_at: Timestamp | None = None
    partial_at: Timestamp | None = None
    """A batch that is not the last, or a mark."""
    error_type: str | None = None
    """Of the newest failure, as is the code."""
    error_code: str | None = None
    days_synced: int | None = None


@frozen(kw_only=True, repr=False)
class History(Model):
    """What is remembered of one account."""

    heard_at: Timestamp
    """When something new was heard last, by the clock of this machine: the inbox may have kept it for a while."""
    platform_id: str | None = None
    added_at: Timestamp | None = None
    products: Mapping[str, Heard] = field(factory=dict[str, Heard])


@frozen(kw_only=True, repr=False)
class Notes(Model):
    """What is remembered of one account beside its events; kept apart, because it is not written in its lane."""

    since: Timestamp
    """When it was noticed first."""
    platform_id: str | None = None
    """Platform as the API said."""
    waited: tuple[str, ...] = ()
    """Products that somebody waited for."""
    stalled: bool = False
    """Whether it was reported as stalled."""

    def waiting_for(self, products: Iterable[str]) -> "Notes":
        """Return the notes with these products among those that somebody waited for."""
        return attrs.evolve(self, waited=tuple(sorted({*self.waited, *products})))


def remember(history: History | None, event: AccountEvent, now: datetime) -> History:
    """Return the history with an event in it; the same history, if the event brings nothing new."""
    before = history or History(heard_at=now)
    after = before
    if isinstance(event, AccountAdded):
        added_at = max(before.added_at or event.created_at, event.created_at)
        platform_id = event.platform_id if added_at == event.created_at else before.platform_id
        after = attrs.evolve(before, added_at=added_at, platform_id=platform_id)
    elif isinstance(event, JobEvent) and event.JOB is not None:
        heard = before.products.get(event.JOB, Heard())
        after = attrs.evolve(before, products={**before.products, event.JOB: _heard(heard, event)})
        if event.platform_id is not None and before.platform_id is None:
            after = attrs.evolve(after, platform_id=event.platform_id)
    return before if history is not None and after == before else attrs.evolve(after, heard_at=now)


def platform_of(history: History | None, notes: Notes | None) -> str | None:
    """Return the platform of an account, if anybody has named it."""
    told = history.platform_id if history else None
    return told or (notes.platform_id if notes else None)


def _heard(heard: Heard, event: JobEvent) -> Heard:
    at = event.timestamp
    match event.outcome:
        case "pending":
            return attrs.evolve(heard, pending_at=_later(heard.pending_at, at))
        case "error":
            new = (at, (event.error_type or "")[:_LONGEST_WORD], (event.error_code or "")[:_LONGEST_WORD])
            old = (heard.failed_at, heard.error_type or "", heard.error_code or "") if heard.failed_at else new
            # The texts decide between failures of one moment, so that the order of arrival does not.
            when, kind, code = max(old, new)
            return attrs.evolve(heard, failed_at=when, error_type=kind or None, error_code=code or None)
        case "success":
            return _heard_success(heard, event)
        case _:
            return heard


def _heard_success(heard: Heard, event: JobEvent) -> Heard:
    at = event.timestamp
    days = _MARKS.get(type(event))
    if days is not None:
        reached = max(heard.days_synced or 0, days)
        return attrs.evolve(heard, partial_at=_later(heard.partial_at, at), days_synced=reached)
    # A batch that does not say whether it is the last leaves the end to the event that says so.
    if isinstance(event, PaystubsAdded | ShiftsAdded) and _sync_status(event) != "complete":
        return attrs.evolve(heard, partial_at=_later(heard.partial_at, at))
    return attrs.evolve(heard, succeeded_at=_later(heard.succeeded_at, at))


def _sync_status(event: PaystubsAdded | ShiftsAdded) -> str | None:
    return event.params.sync_status if event.params else None


def _later(before: datetime | None, at: datetime) -> datetime:
    return at if before is None else max(before, at)
