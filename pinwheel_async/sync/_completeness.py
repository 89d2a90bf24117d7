"""What was announced beside what is stored: pure functions, from events to announcements and on to a verdict."""

from collections.abc import Mapping, Sequence, Set as AbstractSet
from datetime import datetime

from attrs import field, frozen

from pinwheel_async.events import (
    Changed,
    JobEvent,
    PaystubsAdded,
    PaystubsFullySynced,
    ShiftsAdded,
    ShiftsFullySynced,
    TaxFormsAdded,
)
from pinwheel_async.models.job import Job
from pinwheel_async.products import Product
from pinwheel_async.sync._ledger import Announcement

LISTS: tuple[Product, ...] = ("paystubs", "shifts", "tax_forms")
"""The products whose events name what they added."""

_BY_NAME: Mapping[str, Product] = {one: one for one in LISTS}


@frozen(kw_only=True)
class LedgerEntry:
    """What was announced of a list of an account, beside what is stored of it."""

    account_id: str
    product: Product
    announced: int
    """Objects that events named as new, those left out that later events named as gone."""
    held: int
    """Objects that are stored."""
    missing: tuple[str, ...] = field(repr=False)
    """Ids that were announced and never found. What was found once and is gone now was deleted at the source."""
    unannounced: int
    """Objects that are stored and were never announced: their deliveries were lost, or came before the mirror. No
    reason to worry."""
    final: bool
    """Whether the newest announcement says that everything has been fetched from the source."""

    @property
    def complete(self) -> bool:
        """Whether everything was announced, and all of it was found."""
        return self.final and not self.missing


def announcement_of(event: JobEvent, *, event_id: str, received_at: datetime) -> Announcement | None:
    """Return what a success says about a list; None for an event that names no objects and no end.

    Documents of paystubs have ids of which nothing is known, and the marks of seven, thirty and ninety days say nothing
    about the whole.
    """
    match event:
        case PaystubsAdded(added=added, deleted=deleted) | ShiftsAdded(added=added, deleted=deleted):
            # Before 2022 batches said nothing about the end.
            final = event.params is None or event.params.sync_status != "in_progress"
        case TaxFormsAdded(added=added, deleted=deleted):
            final = True  # one event for all forms
        case PaystubsFullySynced() | ShiftsFullySynced():
            added, deleted, final = (), (), True
        case _:
            return None
    return Announcement(
        event_id=event_id,
        event=event.event or event.NAME,
        account_id=event.account_id,
        product=event.PRODUCTS[0],
        announced_at=event.timestamp,
        received_at=received_at,
        count=None if event.params is None else event.params.count,
        added=_ids(added),
        deleted=_ids(deleted),
        final=final,
    )


def announcement_of_job(job: Job, *, received_at: datetime) -> Announcement | None:
    """Return what a listed job says about the end of a list, whose event may have been lost; None if it says nothing.

    Jobs do not name objects.
    """
    product = _BY_NAME.get(job.name)
    if product is None or job.account_id is None or job.outcome != "success":
        return None
    if product != "tax_forms" and (job.params is None or job.params.sync_status != "complete"):
        return None
    return Announcement(
        event_id=f"job {job.id}",
        event="job",
        account_id=job.account_id,
        product=product,
        announced_at=job.timestamp,
        received_at=received_at,
        count=None if job.params is None else job.params.count,
        final=True,
    )


def compare(
    account_id: str,
    product: Product,
    announcements: Sequence[Announcement],
    held: AbstractSet[str],
    settled_at: datetime | None,
) -> LedgerEntry:
    """Compare what was announced with what is stored.

    Args:
        account_id: The account.
        product: The list.
        announcements: All there are, in order of `announced_at`.
        held: Ids that are stored.
        settled_at: Everything that was received until then was found once; null if nothing was.
    """
    everything = _standing(announcements)
    unsettled = _standing([one for one in announcements if settled_at is None or one.received_at > settled_at])
    newest = max([one.announced_at for one in announcements], default=None)
    return LedgerEntry(
        account_id=account_id,
        product=product,
        announced=len(everything),
        held=len(held),
        missing=tuple([one for one in unsettled if one in everything and one not in held]),
        unannounced=len(held - everything.keys()),
        final=any(one.final for one in announcements if one.announced_at == newest),
    )


def _standing(announcements: Sequence[Announcement]) -> dict[str, None]:
    """Return the ids that were added and not deleted later; of one event, what it deleted comes first."""
    standing: dict[str, None] = {}
    for one in announcements:
        for gone in one.deleted:
            standing.pop(gone, None)
        standing.update(dict.fromkeys(one.added))
    return standing


def _ids(changed: tuple[Changed, ...]) -> tuple[str, ...]:
    return tuple([one.id for one in changed])


def settled_key(account_id: str, product: Product) -> str:
    """Return the key under which a store keeps until when everything that was announced was found once."""
    return f"mirror:settled:{account_id}:{product}"
