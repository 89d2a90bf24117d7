"""Debounced fetching of a mirror: many events about the same product are answered by one reading."""

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
from pinwheel_async.sync._page_formats import client_for
from pinwheel_async.sync._run.reading import PAGE_LIMIT, Reading, Unit, read
from pinwheel_async.sync._scope import Scope
from pinwheel_async.sync._sink import Batch, Checkpoint, Store, is_ahead

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
        debounce_s: Seconds that a fresh event waits for others.
        max_removed: Largest share of what is stored of a list that one reading may remove; None for any.
        clock: Where time comes from.
    """

    def __init__(
        self, pinwheel: Pinwheel, store: Store, *, debounce_s: float, max_removed: float | None, clock: Clock
    ) -> None:
        self._max_removed = max_removed
        self._given = pinwheel
        self._store = store
        self.start(Scope())
        self._debounce_time = timedelta(seconds=debounce_s)
        self._clock = clock
        # Weak values: a lock that no task holds or waits for is forgotten, so they do not grow with the accounts.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def start(self, scope: Scope) -> None:
        """Begin to read what belongs to the copy; when the store is open, which then knows how far to decode."""
        self._scope = scope
        self._pinwheel = client_for(self._given, self._store)

    async def fetch_account(self, account_id: str) -> Account | None:
        """Fetch and store an account; None if there is no such account any more, or if it was erased.

        Raises:
            PinwheelError: It could not be fetched, or not be stored.
        """
        if await self._store.erased([account_id]):
            logger.info("account %s was erased", account_id, extra={"event": "mirror_account_erased"})
            return None
        asked = Checkpoint(begun_at=self._clock.now(), reached="patch")
        try:
            account = await self._pinwheel.accounts.get(account_id)
        except NotFoundError:
            logger.info("account %s is not there any more", account_id, extra={"event": "mirror_account_gone"})
            return None
        await self._store.write(Batch(kind="accounts", account_id=None, items=(account,), checkpoint=asked))
        return account

    async def refresh(
        self, unit: Unit, *, since: datetime, window: Window | None = None, expected: bool = False
    ) -> bool:
        """Read a product, unless the store has what was there at a moment, or something newer.

        A reading that began after that moment is good enough. So the events of a burst are answered by one reading, and
        so are those that waited in the inbox.

        Args:
            unit: What to read.
            since: When the event was received.
            window: The days to which the event's news belong; all is read if None.
            expected: Whether the event says that there is data: then a 404 is no answer.

        Returns:
            Whether it had to be read.

        Raises:
            NotFoundError: The account does not have what the event says that it has.
            PinwheelError: It could not be fetched, or not be stored.
        """
        async with self._lock(unit.account_id):
            # Looked up under the lock: the event before this one may have read meanwhile.
            checkpoint = await self._checkpoint(unit)
            from_day = self._scope.first_day(unit.product)
            if _covers(checkpoint, since, from_day, self._clock.now(), expected=expected):
                return False
            await self._debounce(since)
            window = window if _is_long(checkpoint, from_day) else None
            await self._read(unit, checkpoint, since=since, window=window, expected=expected)
            return True

    async def read(self, unit: Unit) -> None:
        """Read something in full, whatever is stored.

        Raises:
            PinwheelError: It could not be fetched, or not be stored.
        """
        async with self._lock(unit.account_id):
            await self._read(unit, None, since=self._clock.now(), window=None, expected=False)

    async def _read(
        self, unit: Unit, checkpoint: Checkpoint | None, *, since: datetime, window: Window | None, expected: bool
    ) -> None:
        account = await self.fetch_account(unit.account_id)
        if account is None:
            return
        reading = Reading(
            unit=unit,
            # Asked for before the reading, so it is never newer than what is read; tax forms have none.
            data_updated_at=getattr(account.data_updated_at, unit.product, None),
            # Whether the first day counts is not documented.
            from_day=self._scope.first_day(unit.product, None if window is None else window.first - timedelta(days=1)),
            to_day=None if window is None else window.last,
            # An earlier attempt is gone on with, unless its first pages are older than the event.
            checkpoint=checkpoint
            if window is None and checkpoint is not None and checkpoint.begun_at > since
            else None,
            expected=expected,
            max_removed=self._max_removed,
        )
        await read(self._pinwheel, self._store.write, reading, clock=self._clock)

    async def _checkpoint(self, unit: Unit) -> Checkpoint | None:
        return (await self._store.checkpoints([unit.account_id])).get((unit.account_id, unit.product))

    async def _debounce(self, since: datetime) -> None:
        """Wait for the rest of a burst; not if the event was received long ago.

        Another machine may have received it by a clock that is ahead: no wait is longer than that of a fresh event.
        """
        left = min(since + self._debounce_time - self._clock.now(), self._debounce_time)
        if left > timedelta(0):
            await self._clock.sleep(left.total_seconds())

    @asynccontextmanager
    async def _lock(self, account_id: str) -> AsyncGenerator[None, None]:
        """Let one task at a time work on an account: an inbox does that already, but there may be none."""
        async with self._locks.setdefault(account_id, asyncio.Lock()):
            yield


def _covers(
    checkpoint: Checkpoint | None, since: datetime, from_day: date | None, now: datetime, *, expected: bool
) -> bool:
    return (
        checkpoint is not None
        and checkpoint.reached in ({"complete"} if expected else {"complete", "missing"})
        and _is_whole(checkpoint, from_day)
        and checkpoint.begun_at > since
        and not is_ahead(checkpoint.begun_at, now)
    )


def _is_whole(checkpoint: Checkpoint, from_day: date | None) -> bool:
    """Whether a reading was of all days of the copy."""
    return checkpoint.from_day is None or (from_day is not None and checkpoint.from_day <= from_day)


def _is_long(checkpoint: Checkpoint | None, from_day: date | None) -> bool:
    """Whether some days cost fewer requests than everything, and everything is there already."""
    return (
        checkpoint is not None
        and checkpoint.reached == "complete"
        and _is_whole(checkpoint, from_day)
        and checkpoint.items > PAGE_LIMIT
    )
