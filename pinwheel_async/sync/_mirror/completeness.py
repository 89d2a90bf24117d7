"""Completeness check: what webhooks announced of a list, compared with what is stored of it."""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence, Set as AbstractSet
from datetime import datetime, timedelta

from attrs import field, frozen

from pinwheel_async._core.converter import Serializable
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
from pinwheel_async.sync._run.reading import Unit
from pinwheel_async.sync._sink import AnnouncedList, Announcement, AnnouncementStore

LISTS: tuple[Product, ...] = ("paystubs", "shifts", "tax_forms")
"""The products whose events name what they added."""

logger = logging.getLogger("pinwheel_async.sync")

_BY_NAME: Mapping[str, Product] = {product: product for product in LISTS}


_KEPT = timedelta(days=90)
"""How long announcements are kept of which everything was found: an event that comes again is known by its id until
then, and no inbox keeps a delivery for so long."""


@frozen(kw_only=True)
class Completeness(Serializable):
    """What was announced of a list of an account, compared with what is stored of it."""

    account_id: str
    product: Product
    announced: int
    """Objects that events named as new, those left out that later events named as gone. Of more than 90 days ago only
    what was never found counts, and the newest event."""
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

    Documents of paystubs have ids of which nothing is known, and the events of seven, thirty and ninety days say
    nothing about the whole.
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
        announced_at=_known(event.timestamp) or received_at,
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
    if product is None or not job.id or job.account_id is None or job.outcome != "success":
        return None
    if product != "tax_forms" and (job.params is None or job.params.sync_status != "complete"):
        return None
    return Announcement(
        event_id=f"job {job.id}",
        event="job",
        account_id=job.account_id,
        product=product,
        announced_at=_known(job.timestamp) or received_at,
        received_at=received_at,
        count=None if job.params is None else job.params.count,
        final=True,
    )


def compare(
    account_id: str,
    product: Product,
    announcements: Sequence[Announcement],
    held: AbstractSet[str],
    verified_until: datetime | None,
) -> Completeness:
    """Compare what was announced with what is stored.

    Args:
        account_id: The account.
        product: The list.
        announcements: All there are, in order of `announced_at`.
        held: Ids that are stored.
        verified_until: Everything that was received until then was found once; null if nothing was.
    """
    expected = _expected_ids(announcements)
    unverified = _expected_ids(
        [
            announcement
            for announcement in announcements
            if verified_until is None or announcement.received_at > verified_until
        ]
    )
    newest = max([announcement.announced_at for announcement in announcements], default=None)
    return Completeness(
        account_id=account_id,
        product=product,
        announced=len(expected),
        held=len(held),
        # What was received late may have been announced before it was deleted by an event that is verified already: it
        # is among the unverified, and still not expected.
        missing=tuple([object_id for object_id in unverified if object_id in expected and object_id not in held]),
        unannounced=len(held - expected.keys()),
        final=any(announcement.final for announcement in announcements if announcement.announced_at == newest),
    )


def verified_key(account_id: str, product: Product) -> str:
    """Return the key under which a store keeps until when everything that was announced was found once."""
    return f"mirror:verified:{account_id}:{product}"


def absent_key(account_id: str, product: Product) -> str:
    """Return the key under which a store keeps when the first whole reading began that lacked what was announced."""
    return f"mirror:absent:{account_id}:{product}"


def compare_list(announced: AnnouncedList, verified: Mapping[str, bytes]) -> Completeness:
    """Compare what was announced of a list with what is stored of it.

    Args:
        announced: Both.
        verified: The small values that say until when everything was found once, by key.
    """
    account_id, product = announced.account_id, announced.product
    until = _moment(verified.get(verified_key(account_id, product)))
    return compare(account_id, product, announced.announcements, announced.held, until)


class CompletenessChecker:
    """Compares announcements with what is stored."""

    def __init__(self, store: AnnouncementStore) -> None:
        self._store = store

    async def check(self, unit: Unit) -> Completeness:
        """Compare; what was found once is verified, and may be deleted at the source without an announcement.

        Raises:
            SinkError: The store cannot be read.
        """
        ((completeness, _),) = await self._check([await self._announced(unit)])
        return completeness

    async def settle(self, unit: Unit) -> bool:
        """Take for deleted what was announced and is in neither of two whole readings since; return whether it was so.

        To be called after a reading; the one before is that of an earlier call, so there is time between them. An
        object that was deleted before it was read, and whose deletion was never announced, would be missing for ever.

        Raises:
            SinkError: The store cannot be read, or not save.
        """
        announced = await self._announced(unit)
        ((completeness, _),) = await self._check([announced])
        missing = set(completeness.missing)
        checkpoint = (await self._store.checkpoints([unit.account_id])).get((unit.account_id, unit.product))
        if not missing or checkpoint is None or checkpoint.reached != "complete" or checkpoint.from_day is not None:
            return False
        received_at = max(
            announcement.received_at for announcement in announced.announcements if missing & {*announcement.added}
        )
        key = absent_key(*unit)
        first = _moment(await self._store.load(key))
        if checkpoint.begun_at <= received_at:
            return False
        if first is None or not received_at < first < checkpoint.begun_at:
            await self._store.save(key, checkpoint.begun_at.isoformat().encode())
            return False
        newest = _newest(announced.announcements)
        if newest is not None:
            await self._store.save(verified_key(*unit), newest.isoformat().encode())
        await self._store.save(key, None)
        logger.warning(
            "account %s: %d announced %s were in neither of two whole readings, and count as deleted",
            unit.account_id,
            len(missing),
            unit.product,
            extra={"event": "mirror_settled"},
        )
        return True

    async def of_account(self, account_id: str) -> dict[Product, Completeness]:
        """Check an account: one entry for each list of which something was announced.

        Raises:
            SinkError: The store cannot be read.
        """
        lists = [await self._announced(Unit(account_id, product)) for product in LISTS]
        found = await self._check([announced for announced in lists if announced.announcements])
        return {completeness.product: completeness for completeness, _ in found}

    async def incomplete(self) -> AsyncGenerator[Completeness, None]:
        """Iterate over all lists that are not complete.

        Raises:
            SinkError: The store cannot be read.
        """
        async for lists in self._lists():
            for completeness, _ in await self._check(lists):
                if not completeness.complete:
                    yield completeness

    async def sweep(self, now: datetime) -> list[Completeness]:
        """Return all lists that are not complete, and forget what nothing depends on any more.

        Forgotten are old announcements of which everything was found once; the newest of each list stays, with its end.

        Raises:
            SinkError: The store cannot be read, or not save.
        """
        incomplete: list[Completeness] = []
        async for lists in self._lists():
            old: list[str] = []
            for announced, (completeness, verified_until) in zip(lists, await self._check(lists), strict=True):
                if not completeness.complete:
                    incomplete.append(completeness)
                newest = announced.announcements[-1].announced_at
                old += [
                    announcement.event_id
                    for announcement in announced.announcements
                    if announcement.announced_at < newest and _is_settled(announcement, verified_until, now)
                ]
            if old:
                await self._store.remove_announcements(old)
        return incomplete

    async def _lists(self) -> AsyncGenerator[Sequence[AnnouncedList], None]:
        """Yield all lists with announcements, some hundred at a time."""
        after: tuple[str, Product] | None = None
        while lists := await self._store.announced_lists(after):
            yield lists
            after = (lists[-1].account_id, lists[-1].product)

    async def _announced(self, unit: Unit) -> AnnouncedList:
        announcements = await self._store.announced(*unit)
        # After the announcements, or what is announced and stored meanwhile would look missing.
        held = await self._store.held(*unit)
        return AnnouncedList(account_id=unit.account_id, product=unit.product, announcements=announcements, held=held)

    async def _check(self, lists: Sequence[AnnouncedList]) -> list[tuple[Completeness, datetime | None]]:
        """Compare, and note what was found for the first time; return until when everything was found, too."""
        keys = [verified_key(announced.account_id, announced.product) for announced in lists]
        verified = await self._store.load_all(keys)
        found: list[tuple[Completeness, datetime | None]] = []
        new: dict[str, bytes] = {}
        for key, announced in zip(keys, lists, strict=True):
            completeness = compare_list(announced, verified)
            until, newest = _moment(verified.get(key)), _newest(announced.announcements)
            if newest is not None and not completeness.missing and newest != until:
                until, new[key] = newest, newest.isoformat().encode()
            found.append((completeness, until))
        if new:
            await self._store.save_all(new)
        return found


def _is_settled(announcement: Announcement, verified_until: datetime | None, now: datetime) -> bool:
    """Whether nothing depends on an announcement any more: all of it was found once, and it will not come again."""
    found = not announcement.added or (verified_until is not None and announcement.received_at <= verified_until)
    return found and announcement.received_at < now - _KEPT


def _newest(announcements: Sequence[Announcement]) -> datetime | None:
    """Return when the newest announcement was received that names objects; null if none does.

    The end of a list may overtake a batch that was received before it and is not kept yet, so it does not count.
    """
    return max([announcement.received_at for announcement in announcements if announcement.added], default=None)


def _moment(saved: bytes | None) -> datetime | None:
    return None if saved is None else datetime.fromisoformat(saved.decode())


def _known(moment: datetime | None) -> datetime | None:
    """Return a moment that is documented, and may be null nevertheless."""
    return moment


def _expected_ids(announcements: Sequence[Announcement]) -> dict[str, None]:
    """Return the ids that were added and not deleted later; of one event, what it deleted comes first."""
    expected: dict[str, None] = {}  # a dict keeps them in order
    for announcement in announcements:
        for deleted in announcement.deleted:
            expected.pop(deleted, None)
        expected.update(dict.fromkeys(announcement.added))
    return expected


def _ids(changed: Sequence[Changed | None] | None) -> tuple[str, ...]:
    """Return the ids that an event names; lists, what is in them, and ids may be null."""
    ids: list[str | None] = [None if change is None else change.id for change in changed or ()]
    return tuple([name for name in ids if name is not None])
