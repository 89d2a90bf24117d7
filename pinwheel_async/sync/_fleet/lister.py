"""Lister of the accounts of a shared run: cuts what is due into partitions, and is replaced at its place."""

import logging
from collections.abc import Awaitable, Callable
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
from pinwheel_async.sync._run.plan import Plan
from pinwheel_async.sync._run.reading import RESTARTS
from pinwheel_async.sync._run.run import Run
from pinwheel_async.sync._run.seen import SeenIds
from pinwheel_async.sync._sink import Store

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

    async def end(self, missed: list[str] | None) -> None:
        """Note that the list is at its end, and which accounts it did not name; None if it is not whole."""
        ...


class Lister(Run):
    """A run that lists, and leaves the reading to others."""

    def __init__(self, pinwheel: Pinwheel, store: Store, plan: Plan, run: RunRow, *, clock: Clock) -> None:
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

    async def list(self, keeper: ListKeeper, seen: SeenIds, wait: Callable[[], Awaitable[object]]) -> None:
        """List accounts to the end.

        Args:
            keeper: Takes what was listed.
            seen: The accounts that were listed before.
            wait: Waits a little.

        Raises:
            PinwheelError: The accounts cannot be listed.
        """
        await self._claim()
        await self._failures.load()
        run = self._run
        cursor, self._pages_listed, self._lists_whole = run.cursor, run.pages, run.is_whole
        restarts = 0
        while cursor is not None or not self._pages_listed:  # or only its end is left to be noted
            try:
                await self._list_on(keeper, cursor, seen)
            except InvalidRequestError:
                if not self._pages_listed or restarts == RESTARTS:
                    raise
                logger.warning("the list of accounts begins again", extra={"event": "sync_accounts_restarted"})
                while not await keeper.restart():  # or units that wait or are being read would be due a second time
                    await wait()
                seen, cursor, self._pages_listed, restarts = SeenIds(), None, 0, restarts + 1
                self._start_counting()
            else:
                cursor = None
        await self._failures.save(everything=True)
        missed = await self._missed(self._copy, seen) if self._lists_whole else None
        await keeper.end(missed)

    async def _list_on(self, keeper: ListKeeper, cursor: str | None, seen: SeenIds) -> None:
        """List from a cursor on, and keep what is due in partitions."""
        units: dict[str, dict[str, str | None]] = {}
        due = pages = 0
        async with aclosing(self._listed(cursor)) as listed:
            async for page in listed:
                seen.update(page.accounts)
                for account_id, account in page.accounts.items():
                    self.counters.accounts_seen += 1
                    readings = [*self._due(account_id, account, page.checkpoints)]
                    units[account_id] = {reading.unit.product: _text(reading.data_updated_at) for reading in readings}
                    due += len(readings)
                pages += 1
                if page.cursor is None or due >= UNITS_AT_ONCE or pages >= PAGES_AT_ONCE:
                    await self._failures.save(everything=True)
                    report = self.counters.report()
                    part = Part(
                        units=units,
                        due=due,
                        failures=failures_of(report),
                        counts=counts_of(report),
                        cursor=page.cursor,
                        pages=self._pages_listed,
                        is_whole=self._lists_whole,
                    )
                    await keeper.add(self._partitions + 1, part)
                    self._partitions += 1
                    self._start_counting()
                    units, due, pages = {}, 0, 0

    def _start_counting(self) -> None:
        self.counters = Counters(self._plan.products, None, None)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
