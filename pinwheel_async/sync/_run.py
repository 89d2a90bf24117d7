"""Runs a sync: a bounded set of workers on one queue of units, every page into the sink as it arrives."""

import asyncio
import logging
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import aclosing
from datetime import date

from pinwheel_async._clock import Clock
from pinwheel_async._gate import background
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import (
    ClosedError,
    ForbiddenError,
    PinwheelError,
    SinkError,
    SupersededError,
    UnauthorizedError,
)
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync._plan import Accounts, Plan, from_day, make_plan
from pinwheel_async.sync._reading import PAGE_LIMIT, Reading, Unit, pages, read
from pinwheel_async.sync._report import Progress, SyncReport
from pinwheel_async.sync._sink import Batch, Sink
from pinwheel_async.sync._tally import Tally

# No account would fare better after one of these.
_FATAL = (UnauthorizedError, ForbiddenError, ClosedError, SinkError)

# While one page of accounts is fetched, every worker finishes about one unit.
_LOOK_AHEAD = 4

logger = logging.getLogger("pinwheel_async.sync")


async def sync(
    pinwheel: Pinwheel,
    sink: Sink,
    *,
    products: Iterable[Product] = PRODUCTS,
    accounts: Accounts | None = None,
    concurrency: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
) -> SyncReport:
    """Fetch products of many accounts and store them.

    Any number of accounts takes the same memory: ids are taken from the list as they are needed, and a page is stored
    before the next one of its list is fetched. Other calls of the same client go before those of a sync. Running it
    again changes nothing that did not change at the source.

    What fails ends one product of one account and stands in the report. A 404 is no failure: the account does not have
    the data, or not yet.

    Args:
        pinwheel: An open client.
        sink: Where to put the pages; it is opened and closed here.
        products: What to fetch of each account. Tax forms come as in their list, without documents.
        accounts: Ids, also from an async iterable; all accounts of the workspace if None, and then the accounts
            themselves are stored, too.
        concurrency: Most products of accounts under way at once; as many as the client has requests in flight, at
            most 64, if None.
        on_progress: Called in the event loop at most ten times a second, and at the end; must not block.
        from_pay_date: Only paystubs with a pay date after this day; whether the day itself counts is not documented.
        from_start_date: Only shifts that start on this day or later.

    Returns:
        What was stored, what was missing and what failed.

    Raises:
        RequestError: An argument that cannot be meant; nothing was sent.
        UnauthorizedError: The secret does not fit the environment.
        ForbiddenError: The key may not read this.
        ClosedError: The client was closed.
        SinkError: The sink could not store. Other exceptions of a sink pass as they are.
        PinwheelError: The accounts could not be listed.
    """
    plan = make_plan(
        products=products,
        accounts=accounts,
        concurrency=concurrency,
        ceiling=pinwheel.settings.concurrency,
        from_pay_date=from_pay_date,
        from_start_date=from_start_date,
    )
    run = Run(pinwheel, sink, plan, on_progress)
    await sink.open()
    try:
        with background():
            await run.run()
    except BaseException:
        await _give_up(sink)
        raise
    await sink.close(complete=True)
    return run.tally.report()


async def _give_up(sink: Sink) -> None:
    try:
        await sink.close(complete=False)
    except Exception as error:  # noqa: BLE001  # what ended the run is what the caller has to see
        logger.warning(
            "the sink of a failed sync did not close: %s", type(error).__name__, extra={"event": "sync_sink_not_closed"}
        )


class Run:
    """One run, from the first account to the last page."""

    def __init__(
        self, pinwheel: Pinwheel, sink: Sink, plan: Plan, on_progress: Callable[[Progress], object] | None
    ) -> None:
        self.tally = Tally(plan.products, plan.accounts_total, on_progress)
        self._pinwheel = pinwheel
        self._sink = sink
        self._plan = plan
        self._now = Clock().now
        self._units: asyncio.Queue[Unit | None] = asyncio.Queue(_LOOK_AHEAD * plan.workers)

    async def run(self) -> None:
        """Fetch everything.

        Raises:
            Exception: The first thing that ended the run, as it was raised.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._line_up(), name="pinwheel-sync-accounts")
                for number in range(self._plan.workers):
                    group.create_task(self._work(), name=f"pinwheel-sync-{number}")
        except BaseExceptionGroup as failed:
            error = failed.exceptions[0]
        else:
            return
        raise error

    async def _line_up(self) -> None:
        """Hand out the units of every account, never many more than the workers are about to take."""
        accounts = self._plan.accounts
        if accounts is None:
            await self._list()
        elif isinstance(accounts, AsyncIterable):
            async for account_id in accounts:
                await self._add(account_id)
        else:
            for account_id in accounts:
                await self._add(account_id)
        self.tally.accounts_total = self.tally.accounts_seen
        await self._units.put(None)

    async def _list(self) -> None:
        """List the accounts, store them, and hand out their units, page by page."""
        first = True
        async with aclosing(pages(self._pinwheel.accounts.list(limit=PAGE_LIMIT))) as found:
            async for page in found:
                known = tuple([one for one in page.data if one.id])
                if len(known) < len(page.data):
                    logger.warning("accounts without an id are left out", extra={"event": "sync_account_without_id"})
                last = not page.next_cursor
                await self._store(Batch(kind="accounts", account_id=None, items=known, first=first, last=last))
                first = False
                for account in known:
                    await self._add(account.id)

    async def _add(self, account_id: str) -> None:
        self.tally.accounts_seen += 1
        for product in self._plan.products:
            await self._units.put(Unit(account_id, product))

    async def _work(self) -> None:
        while (unit := await self._units.get()) is not None:
            await self._fetch(unit)
        await self._units.put(None)  # for the next worker

    async def _fetch(self, unit: Unit) -> None:
        reading = Reading(unit=unit, from_day=from_day(self._plan, unit.product))
        try:
            ended = await read(self._pinwheel, self._sink, reading, now=self._now, stored=self.tally.stored)
        except SupersededError as error:  # again and again: no harm is done, and the sink is well
            self.tally.failed(unit, error)
        except _FATAL:
            raise
        except PinwheelError as error:
            self.tally.failed(unit, error)
        else:
            self.tally.ended(unit, ended)

    async def _store(self, batch: Batch) -> None:
        await self._sink.write(batch)
        self.tally.stored(batch)
