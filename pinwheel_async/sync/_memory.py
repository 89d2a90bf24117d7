"""Sinks in memory: one that keeps every page, and a store that says what the rules of a store come to."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pinwheel_async._core.fields import Model
from pinwheel_async.errors import SupersededError
from pinwheel_async.products import Product
from pinwheel_async.sync._ledger import Announcement
from pinwheel_async.sync._sink import DAYS, Batch, Kind, Mark


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
        wanted = (one for one in self.batches if one.kind == kind and account_id in {None, one.account_id})
        return tuple([item for batch in wanted for item in batch.items])


class MemoryStore:
    """Keeps objects, marks and announcements in memory; for tests, and as the shortest form of a store's rules."""

    def __init__(self) -> None:
        self._objects: dict[tuple[Kind, str | None], dict[Any, Model]] = {}
        self._marks: dict[tuple[str, Product], Mark] = {}
        self._patched: dict[tuple[str, Product], Mark] = {}
        self._leftovers: dict[tuple[str, Product], set[Any]] = {}
        self._values: dict[str, bytes] = {}
        self._announcements: dict[str, Announcement] = {}

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self, *, complete: bool) -> None:
        """Nothing to do."""

    async def write(self, batch: Batch) -> None:
        """Store a page and its mark.

        Raises:
            SupersededError: A newer reading is stored already.
        """
        mark = batch.mark
        objects = self._objects.setdefault((batch.kind, batch.account_id), {})
        fresh = {getattr(one, "id", None): one for one in batch.items}
        if mark is not None and batch.account_id is not None and batch.kind != "accounts":
            unit = (batch.account_id, batch.kind)
            before = [one.begun_at for one in (self._marks.get(unit), self._patched.get(unit)) if one]
            if any(one > mark.begun_at for one in before):
                raise SupersededError
            if mark.reached == "patch":
                self._patched[unit] = mark
            else:
                self._vanish(unit, objects, fresh, batch, mark)
                self._marks[unit] = mark
        objects.update(fresh)

    def _vanish(
        self, unit: tuple[str, Product], objects: dict[Any, Model], fresh: Mapping[Any, Model], batch: Batch, mark: Mark
    ) -> None:
        if batch.first:
            self._leftovers[unit] = {one for one, item in objects.items() if _within(batch.kind, item, mark.from_day)}
        leftovers = self._leftovers.get(unit, set())
        leftovers.difference_update(fresh)
        if mark.reached == "complete":
            for one in leftovers:
                objects.pop(one, None)
        if mark.reached != "reading":
            self._leftovers.pop(unit, None)

    async def marks(self, account_ids: Sequence[str]) -> Mapping[tuple[str, Product], Mark]:
        """Return the marks of some accounts."""
        wanted = set(account_ids)
        return {unit: mark for unit, mark in self._marks.items() if unit[0] in wanted}

    async def load(self, key: str) -> bytes | None:
        """Return a small value."""
        return self._values.get(key)

    async def save(self, key: str, value: bytes | None) -> None:
        """Keep a small value; None removes it."""
        self._values.pop(key, None)
        if value is not None:
            self._values[key] = value

    async def announce(self, announcement: Announcement) -> None:
        """Keep an announcement."""
        self._announcements.setdefault(announcement.event_id, announcement)

    async def announced(self, account_id: str, product: Product) -> Sequence[Announcement]:
        """Return what was announced of a product of an account."""
        found = [one for one in self._announcements.values() if (one.account_id, one.product) == (account_id, product)]
        return sorted(found, key=lambda one: (one.announced_at, one.event_id))

    async def announced_units(
        self, after: tuple[str, Product] | None = None, limit: int = 1_000
    ) -> Sequence[tuple[str, Product]]:
        """Return accounts and products with announcements."""
        units: set[tuple[str, Product]] = {(one.account_id, one.product) for one in self._announcements.values()}
        return [one for one in sorted(units) if after is None or one > after][:limit]

    async def held(self, account_id: str, product: Product) -> frozenset[str]:
        """Return the ids that are stored of a product of an account."""
        return frozenset(self._objects.get((product, account_id), {}))

    def items(self, kind: Kind, account_id: str | None = None) -> tuple[Model, ...]:
        """Return the objects of a kind, those of one account in order of their first arrival."""
        if account_id is not None or kind == "accounts":
            return tuple(self._objects.get((kind, account_id), {}).values())
        return tuple([item for (one, _), items in self._objects.items() if one == kind for item in items.values()])


def _within(kind: Kind, item: Model, from_day: date | None) -> bool:
    """Whether a reading from a day on would have found the object; the day itself is not certain."""
    day: object = getattr(item, DAYS.get(kind, ""), None) if kind in DAYS else None
    return from_day is None or (isinstance(day, date) and day > from_day)
