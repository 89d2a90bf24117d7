"""Lister of the accounts of a shared run: cuts what is due into partitions, and is replaced at its place."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Protocol

from attrs import evolve

from pinwheel_async._clock import Clock
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import InvalidRequestError
from pinwheel_async.sync._fleet.counts import counts_of, failures_of
from pinwheel_async.sync._fleet.queries import Part, RunRow
from pinwheel_async.sync._run.counters import Counters
from pinwheel_async.sync._run.listing import Listing
from pinwheel_async.sync._run.plan import Plan
from pinwheel_async.sync._run.reading import RESTARTS, pause
from pinwheel_async.sync._run.run import Run
from pinwheel_async.sync._sink import Store
from pinwheel_async.sync._store_clock import StoreClock

UNITS_AT_ONCE = 1_000
"""Units of a partition, at least, if there are as many: what is read twice when a process dies is no more than these,
and a partition costs some milliseconds."""

PAGES_AT_ONCE = 50
"""Pages of the list that are added to the run at once, at most: a lister that is killed has listed these in vain."""


logger = logging.getLogger("pinwheel_async.sync")


class ListKeeper(Protocol):
    """Where a lister leaves what it has listed; each method raises if the list is another one's by now."""

    async def add(self, number: int, part: Part) -> None:
        """Keep a partition under a number."""
        ...

    async def restart(self) -> bool:
        """Let the list begin again; return whether it does, or has to wait for partitions that are being read."""
        ...

    async def end(self, missed: "Sequence[str] | None", began: datetime) -> None:
        """Note that the list, which began then, is at its end, and whom it did not name; None if it is not whole."""
        ...


class Lister(Run):
    """A run that lists, and leaves the reading to others."""

    def __init__(self, pinwheel: Pinwheel, store: Store, plan: Plan, run: RunRow, *, clock: Clock | StoreClock) -> None:
        """Prepare it.

        Args:
            pinwheel: An open client.
            store: The open copy.
            plan: What to fetch.
            run: The run, and how far its list is.
            clock: The time of the database.
        """
        super().__init__(pinwheel, store, plan, None, clock=clock)
        self._copy = store
        self._run = run
        self._began = run.began_at
        self._rule = evolve(self._rule, forget_before=run.forget_before)
        self._partitions = run.partitions
        """Partitions that there are."""
        self._listing = Listing(run.began_at, pages=run.pages, is_whole=run.is_whole)

    def name(self, account_ids: Collection[str]) -> None:
        """Note accounts that were listed before."""
        self._listing.name(account_ids)

    async def list(self, keeper: ListKeeper, wait: Callable[[], Awaitable[object]]) -> None:
        """List accounts to the end, and begin again if the cursor is refused or the list is in doubt.

        Args:
            keeper: Takes what was listed.
            wait: Waits a little.

        Raises:
            PinwheelError: The accounts cannot be listed.
        """
        await self._claim()
        await self._failures.load()
        listing, cursor = self._listing, self._run.cursor
        # Whether this process lists all of it: only then it can be compared with another one.
        is_one, doubted = cursor is None and not listing.pages, None
        missed: Sequence[str] | None = None
        for restarts in range(RESTARTS + 1):
            try:
                if cursor is not None or not listing.pages:  # or only its end is left to be noted
                    await self._list_on(keeper, listing, cursor)
            except InvalidRequestError:
                if not listing.pages or restarts == RESTARTS:
                    raise
                doubted = None
                logger.warning("the list of accounts begins again", extra={"event": "sync_accounts_restarted"})
            else:
                doubt = await listing.doubt(self._copy, self._plan.max_removed)
                if doubt is None or (is_one and listing.agrees(doubted)):
                    if not listing.nameless and is_one:
                        self._failures.remove("", "accounts")
                    missed = listing.missed if listing.is_whole else None
                    break
                self.counters.lists_held_back += 1
                if restarts == RESTARTS:
                    await self._fail_account(None, doubt)
                    await self._keep(keeper, listing, {}, None)
                    break
                doubted = listing if is_one else None
                logger.warning(
                    "the list of accounts is held back until another one says the same",
                    extra={"event": "sync_held_back"},
                )
                await self._keep(keeper, listing, {}, None)
                await pause(self._clock)
            while not await keeper.restart():  # or units that wait or are being read would be due a second time
                await wait()
            self._lists_again = True
            self._listing = listing = Listing(self._now())
            cursor, is_one = None, True
            self._start_counting()
        await self._failures.save(everything=True)
        await keeper.end(missed, listing.began)

    async def _list_on(self, keeper: ListKeeper, listing: Listing, cursor: str | None) -> None:
        """List from a cursor on, and keep what is due in partitions."""
        units: dict[str, dict[str, str | None]] = {}
        due = pages = 0
        async with aclosing(self._listed(listing, cursor)) as listed:
            async for page in listed:
                for account_id, account in page.accounts.items():
                    self.counters.accounts_seen += 1
                    readings = [*self._due(account_id, account, page.checkpoints)]
                    units[account_id] = {reading.unit.product: _text(reading.data_updated_at) for reading in readings}
                    due += len(readings)
                pages += 1
                if page.cursor is None or due >= UNITS_AT_ONCE or pages >= PAGES_AT_ONCE:
                    await self._keep(keeper, listing, units, page.cursor)
                    units, due, pages = {}, 0, 0

    async def _keep(
        self,
        keeper: ListKeeper,
        listing: Listing,
        units: Mapping[str, Mapping[str, str | None]],
        cursor: str | None,
    ) -> None:
        """Keep a partition, and what was counted since the last one."""
        await self._failures.save(everything=True)
        report = self.counters.report()
        part = Part(
            units=units,
            failures=failures_of(report),
            counts=counts_of(report),
            cursor=cursor,
            pages=listing.pages,
            is_whole=listing.is_whole and listing.is_consistent,
        )
        await keeper.add(self._partitions + 1, part)
        self._partitions += 1
        self._start_counting()

    def _start_counting(self) -> None:
        self.counters = Counters(self._plan.products, None, None)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
