"""In-memory sinks: one that keeps every page, and a store, the shortest form of what `Store` promises."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from attrs import evolve

from pinwheel_async._core.model import Model
from pinwheel_async._memory_values import MemoryValues
from pinwheel_async.errors import SupersededError, UnconfirmedRemovalError
from pinwheel_async.products import Product
from pinwheel_async.sync._scope import Scope
from pinwheel_async.sync._sink import (
    DAYS,
    AnnouncedList,
    Announcement,
    Batch,
    Checkpoint,
    FailedProduct,
    Kind,
    ids_in,
    is_ahead,
    removes_too_much,
)


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
        wanted = (batch for batch in self.batches if batch.kind == kind and account_id in {None, batch.account_id})
        return tuple([item for batch in wanted for item in batch.items])


class MemoryStore(MemoryValues):
    """Keeps objects, checkpoints and announcements in memory; for tests, and as the shortest form of the rules."""

    def __init__(self, *, change_scope: bool = False) -> None:
        """Make an empty store.

        Args:
            change_scope: Whether it becomes what a sync asks of environment, products and days, where it is something
                else, which is an error otherwise.
        """
        super().__init__()
        self._change_scope = change_scope
        self._objects: dict[tuple[Kind, str | None], dict[Any, Model]] = {}
        self._checkpoints: dict[tuple[str, Product], Checkpoint] = {}
        self._patched: dict[tuple[str, Product], Checkpoint] = {}
        self._unseen: dict[tuple[str, Product], set[Any]] = {}
        """Ids that were stored when a reading began, and were in none of its pages so far."""
        self._announcements: dict[str, Announcement] = {}
        self._failures: dict[tuple[str, Kind], FailedProduct] = {}
        self._scope = Scope()
        self._erased: set[str] = set()
        self._asked: dict[Any, datetime] = {}
        """When each account was asked for, of the newest answer."""
        self._listed_at: datetime | None = None
        """When the newest whole list of accounts began."""
        self._missed: dict[Any, datetime] = {}
        """When that began, for accounts that it did not name."""
        self._gone: dict[Any, datetime] = {}
        """When the list began by which accounts were removed."""

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self, *, complete: bool) -> None:
        """Nothing to do."""

    async def write(self, batch: Batch) -> None:
        """Store a page and its checkpoint.

        Raises:
            SupersededError: A newer reading is stored already.
            UnconfirmedRemovalError: The reading would remove much of what is stored.
        """
        if batch.account_id in self._erased:
            return
        checkpoint = batch.checkpoint
        objects = self._objects.setdefault((batch.kind, batch.account_id), {})
        fresh = {getattr(item, "id", None): item for item in batch.items}
        if checkpoint is not None and batch.account_id is not None and batch.kind != "accounts":
            unit = (batch.account_id, batch.kind)
            earlier = (self._checkpoints.get(unit), self._patched.get(unit))
            now = max(datetime.now(UTC), checkpoint.begun_at)
            moments = [stored.begun_at for stored in earlier if stored and not is_ahead(stored.begun_at, now)]
            if any(moment > checkpoint.begun_at for moment in moments):
                raise SupersededError
            if checkpoint.reached == "patch":
                self._patched[unit] = checkpoint
            else:
                self._delete_unseen(unit, objects, fresh, batch, checkpoint)
                self._checkpoints[unit] = evolve(checkpoint, max_removed=None)
                if checkpoint.reached != "reading":
                    self._failures.pop(unit, None)
        elif checkpoint is not None:
            fresh = self._newest(fresh, objects, checkpoint.begun_at)
        objects.update(fresh)
        if batch.kind == "accounts":
            for account_id in self._erased:
                objects.pop(account_id, None)

    def _newest(
        self, accounts: Mapping[Any, Model], stored: Mapping[Any, Model], asked_at: datetime
    ) -> dict[Any, Model]:
        """Return the accounts of which nothing newer is known, and note when they were asked for."""
        now = max(datetime.now(UTC), asked_at)
        found: dict[Any, Model] = {}
        for account_id, account in accounts.items():
            gone_at, missed_at = self._gone.get(account_id), self._missed.get(account_id)
            is_named = missed_at is None and (account_id in stored or gone_at is not None)
            known = (self._asked.get(account_id), gone_at, self._listed_at if is_named else None)
            if any(moment is not None and asked_at < moment and not is_ahead(moment, now) for moment in known):
                continue
            found[account_id] = account
            self._asked[account_id] = asked_at
            self._gone.pop(account_id, None)
            if missed_at is not None and missed_at <= asked_at:
                del self._missed[account_id]
        return found

    async def erased(self, account_ids: Sequence[str]) -> frozenset[str]:
        """Return which of some accounts were erased."""
        return frozenset(self._erased.intersection(account_ids))

    async def purge(self, account_id: str) -> None:
        """Remove everything of an account, and store nothing of it again."""
        self._erased.add(account_id)
        self._objects.get(("accounts", None), {}).pop(account_id, None)
        keyed: list[Any] = [self._objects, self._checkpoints, self._patched, self._unseen, self._failures]
        for values in keyed:
            for key in [key for key in values if account_id in key]:
                del values[key]
        for known in (self._asked, self._missed, self._gone):
            known.pop(account_id, None)
        for key in [key for key in self._values if f":{account_id}:" in key]:
            del self._values[key]
        self._announcements = {
            event_id: announcement
            for event_id, announcement in self._announcements.items()
            if announcement.account_id != account_id
        }

    def _delete_unseen(
        self,
        unit: tuple[str, Product],
        objects: dict[Any, Model],
        fresh: Mapping[Any, Model],
        batch: Batch,
        checkpoint: Checkpoint,
    ) -> None:
        before = self._unseen.get(unit, set())
        if batch.first:
            self._unseen[unit] = {
                item_id for item_id, item in objects.items() if _within(batch.kind, item, checkpoint.from_day)
            }
        unseen = self._unseen.get(unit, set())
        unseen.difference_update(fresh)
        if checkpoint.reached == "complete":
            stored = len(objects.keys() | fresh.keys())
            if removes_too_much(checkpoint, removed=len(unseen), stored=stored):
                objects.update(fresh)
                self._unseen[unit] = before.difference(fresh)
                raise UnconfirmedRemovalError
            for item_id in unseen:
                objects.pop(item_id, None)
        if checkpoint.reached != "reading":
            self._unseen.pop(unit, None)

    async def exists(self) -> bool:
        """Whether there is a copy: always."""
        return True

    async def claim(self, wanted: Scope, *, keep: bool = True) -> Scope:
        """Note what is wanted of the copy as far as nothing is noted, and return what it holds.

        Raises:
            ConfigurationError: It differs from what is noted.
        """
        merged = self._scope.merge(wanted, change=self._change_scope)
        if keep:
            self._scope = merged
        return merged

    async def checkpoints(self, account_ids: Sequence[str]) -> Mapping[tuple[str, Product], Checkpoint]:
        """Return the checkpoints of some accounts."""
        wanted = set(account_ids)
        return {unit: checkpoint for unit, checkpoint in self._checkpoints.items() if unit[0] in wanted}

    async def account_ids(self, after: str = "", limit: int = 1_000) -> Sequence[str]:
        """Return ids of accounts that are stored, in order."""
        return sorted([account_id for account_id in self._objects.get(("accounts", None), {}) if account_id > after])[
            :limit
        ]

    async def miss_accounts(self, account_ids: Sequence[str], at: datetime) -> int:
        """Note that a whole list did not name some accounts; remove those that the one before did not name either."""
        now = max(datetime.now(UTC), at)
        if self._listed_at is not None and at <= self._listed_at and not is_ahead(self._listed_at, now):
            return 0
        self._listed_at = at
        later = {account_id for account_id, mark in self._asked.items() if mark >= at and not is_ahead(mark, now)}
        unnamed = set(account_ids) - later
        gone = self._missed.keys() & unnamed
        self._missed = dict.fromkeys(unnamed - gone, at)
        for account_id in gone:
            del self._objects["accounts", None][account_id]
            self._gone[account_id] = at
        return len(gone)

    async def failures(self) -> Sequence[FailedProduct]:
        """Return what failed and was not read since."""
        return [self._failures[unit] for unit in sorted(self._failures)]

    async def add_failures(self, failures: Sequence[FailedProduct]) -> None:
        """Keep failures; attempts at the same add up."""
        for failure in failures:
            if failure.account_id in self._erased:
                continue
            unit = (failure.account_id, failure.product)
            if before := self._failures.get(unit):
                attempts = before.attempts + failure.attempts
                failure = evolve(failure, attempts=attempts, first_at=before.first_at)  # noqa: PLW2901
            self._failures[unit] = failure

    async def remove_failures(self, units: Sequence[tuple[str, Kind]]) -> None:
        """Forget the failures of some accounts and products."""
        for unit in units:
            self._failures.pop(unit, None)

    async def announce(self, announcement: Announcement) -> None:
        """Keep an announcement, unless its account was erased."""
        if announcement.account_id not in self._erased:
            self._announcements.setdefault(announcement.event_id, announcement)

    async def announced(self, account_id: str, product: Product) -> Sequence[Announcement]:
        """Return what was announced of a product of an account."""
        wanted = [
            announcement
            for announcement in self._announcements.values()
            if (announcement.account_id, announcement.product) == (account_id, product)
        ]
        return sorted(wanted, key=lambda announcement: (announcement.announced_at, announcement.event_id))

    async def announced_lists(
        self, after: tuple[str, Product] | None = None, limit: int = 300
    ) -> Sequence[AnnouncedList]:
        """Return lists with announcements."""
        units: set[tuple[str, Product]] = {
            (announcement.account_id, announcement.product) for announcement in self._announcements.values()
        }
        return [
            AnnouncedList(
                account_id=account_id,
                product=product,
                announcements=await self.announced(account_id, product),
                held=await self.held(account_id, product),
            )
            for account_id, product in [unit for unit in sorted(units) if after is None or unit > after][:limit]
        ]

    async def remove_announcements(self, event_ids: Sequence[str]) -> None:
        """Forget some announcements."""
        for event_id in event_ids:
            self._announcements.pop(event_id, None)

    async def load_all(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the small values that were saved under some keys."""
        return {key: value for key in keys if (value := await self.load(key)) is not None}

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value, but not one that is called after an account that was erased; None removes it."""
        if self._erased.isdisjoint(ids_in(key)):
            await super().save(key, value)

    async def save_all(self, values: Mapping[str, bytes]) -> None:
        """Save small values."""
        for key, value in values.items():
            await self.save(key, value)

    async def held(self, account_id: str, product: Product) -> frozenset[str]:
        """Return the ids that are stored of a product of an account."""
        return frozenset(self._objects.get((product, account_id), {}))

    def items(self, kind: Kind, account_id: str | None = None) -> tuple[Model, ...]:
        """Return the objects of a kind, those of one account in order of their first arrival."""
        if account_id is not None or kind == "accounts":
            return tuple(self._objects.get((kind, account_id), {}).values())
        return tuple(
            [
                item
                for (stored_kind, _), items in self._objects.items()
                if stored_kind == kind
                for item in items.values()
            ]
        )


def _within(kind: Kind, item: Model, from_day: date | None) -> bool:
    """Whether a reading from a day on would have found the object; the day itself is not certain."""
    day: object = getattr(item, DAYS.get(kind, ""), None) if kind in DAYS else None
    return from_day is None or (isinstance(day, date) and day > from_day)
