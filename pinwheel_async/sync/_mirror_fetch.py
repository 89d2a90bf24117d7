"""What a mirror fetches, and when it need not: many events about the same thing are answered by one reading."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from weakref import WeakValueDictionary

from attrs import frozen

from pinwheel_async._clock import Clock
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import NotFoundError
from pinwheel_async.models.account import Account
from pinwheel_async.sync._lean import fitting
from pinwheel_async.sync._reading import PAGE_LIMIT, Reading, Unit, read
from pinwheel_async.sync._sink import Batch, Mark, Store

logger = logging.getLogger("pinwheel_async.sync")


@frozen
class Window:
    """The pay dates of one batch of paystubs: earliest, latest."""

    first: date
    last: date


class Fetcher:
    """Reads accounts and their products into a store, one thing of an account at a time.

    Args:
        pinwheel: An open client.
        store: An open store.
        settle_s: Seconds that a fresh event waits for others.
        clock: Where time comes from.
    """

    def __init__(self, pinwheel: Pinwheel, store: Store, *, settle_s: float, clock: Clock) -> None:
        self._pinwheel = fitting(pinwheel, store)
        self._store = store
        self._settle = timedelta(seconds=settle_s)
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def account(self, account_id: str) -> Account | None:
        """Fetch and store an account; None if there is no such account any more.

        Raises:
            PinwheelError: It could not be fetched, or not be stored.
        """
        try:
            account = await self._pinwheel.accounts.get(account_id)
        except NotFoundError:
            logger.info("account %s is not there any more", account_id, extra={"event": "mirror_account_gone"})
            return None
        await self._store.write(Batch(kind="accounts", account_id=None, items=(account,)))
        return account

    async def bring(self, unit: Unit, *, since: datetime, window: Window | None = None) -> bool:
        """Let the store have what was there at a moment, or something newer.

        A reading that began after that moment is good enough. So the events of a burst gather behind one reading, and
        so do those that waited in the inbox.

        Args:
            unit: What to read.
            since: When the event was received.
            window: The days to which the event's news belong; all is read if None.

        Returns:
            Whether it had to be read.

        Raises:
            PinwheelError: It could not be fetched, or not be stored.
        """
        async with self._lock(unit.account_id):
            mark = await self._mark(unit)
            if _covers(mark, since):
                return False
            await self._wait(since)
            await self._read(unit, mark, since=since, window=window if _is_long(mark) else None)
            return True

    async def read(self, unit: Unit) -> None:
        """Read something in full, whatever is stored.

        Raises:
            PinwheelError: It could not be fetched, or not be stored.
        """
        async with self._lock(unit.account_id):
            await self._read(unit, None, since=self._clock.now(), window=None)

    async def _read(self, unit: Unit, mark: Mark | None, *, since: datetime, window: Window | None) -> None:
        account = await self.account(unit.account_id)
        if account is None:
            return
        reading = Reading(
            unit=unit,
            # Asked for before the reading, so it is never newer than what is read; tax forms have none.
            data_updated_at=getattr(account.data_updated_at, unit.product, None),
            # Whether the first day counts is not documented.
            from_day=None if window is None else window.first - timedelta(days=1),
            to_day=None if window is None else window.last,
            # An earlier attempt is gone on with, unless its first pages are older than the event.
            mark=mark if window is None and mark is not None and mark.begun_at > since else None,
        )
        await read(self._pinwheel, self._store.write, reading, now=self._clock.now)

    async def _mark(self, unit: Unit) -> Mark | None:
        return (await self._store.marks([unit.account_id])).get((unit.account_id, unit.product))

    async def _wait(self, since: datetime) -> None:
        """Wait until an event has settled; what was received long ago has, and clocks may differ."""
        left = min(since + self._settle - self._clock.now(), self._settle)
        if left > timedelta(0):
            await self._clock.sleep(left.total_seconds())

    @asynccontextmanager
    async def _lock(self, account_id: str) -> AsyncGenerator[None, None]:
        """Wait for one's turn at an account: lanes do that already, but not where there is no inbox."""
        async with self._locks.setdefault(account_id, asyncio.Lock()):
            yield


def _covers(mark: Mark | None, since: datetime) -> bool:
    return (
        mark is not None and mark.reached in {"complete", "missing"} and mark.from_day is None and mark.begun_at > since
    )


def _is_long(mark: Mark | None) -> bool:
    """Whether some days cost fewer requests than everything, and everything is there already."""
    return mark is not None and mark.reached == "complete" and mark.from_day is None and mark.items > PAGE_LIMIT
