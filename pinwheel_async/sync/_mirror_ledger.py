"""The ledger of a mirror: reads both sides from the store, and remembers what was settled."""

from collections.abc import AsyncGenerator
from datetime import datetime

from pinwheel_async.products import Product
from pinwheel_async.sync._completeness import LISTS, LedgerEntry, compare, settled_key
from pinwheel_async.sync._ledger import LedgerStore
from pinwheel_async.sync._reading import Unit


class Ledger:
    """Compares announcements with what is stored."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store

    async def entry(self, unit: Unit) -> LedgerEntry:
        """Compare; what was found once is settled, and may be deleted at the source without an announcement.

        Raises:
            SinkError: The store cannot be read.
        """
        announcements = await self._store.announced(unit.account_id, unit.product)
        key = settled_key(unit.account_id, unit.product)
        kept = await self._store.load(key)
        settled_at = None if kept is None else datetime.fromisoformat(kept.decode())
        held = await self._store.held(unit.account_id, unit.product)
        found = compare(unit.account_id, unit.product, announcements, held, settled_at)
        newest = max([one.received_at for one in announcements if one.added], default=None)
        if newest is not None and not found.missing and newest != settled_at:
            await self._store.save(key, newest.isoformat().encode())
        return found

    async def entries(self, account_id: str) -> dict[Product, LedgerEntry]:
        """Return what there is of an account: an entry for each list of which something was announced.

        Raises:
            SinkError: The store cannot be read.
        """
        return {
            product: await self.entry(Unit(account_id, product))
            for product in LISTS
            if await self._store.announced(account_id, product)
        }

    async def incomplete(self) -> AsyncGenerator[LedgerEntry, None]:
        """Iterate over all lists that are not complete.

        Raises:
            SinkError: The store cannot be read.
        """
        after: tuple[str, Product] | None = None
        while units := await self._store.announced_units(after):
            for account_id, product in units:
                found = await self.entry(Unit(account_id, product))
                if not found.complete:
                    yield found
            after = units[-1]
