"""`sync`: open the sink, run, close the sink, report."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import date, timedelta

from pinwheel_async._gate import background
from pinwheel_async.client import Pinwheel
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync._memory import MemorySink
from pinwheel_async.sync._plan import RECHECK_AFTER, Accounts, make_plan
from pinwheel_async.sync._report import Progress, SyncReport
from pinwheel_async.sync._run import Run
from pinwheel_async.sync._sink import Sink, Store

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
    changed_only: bool | None = None,
    recheck_after: timedelta = RECHECK_AFTER,
    retry_failed: bool = False,
    dry_run: bool = False,
    stop: asyncio.Event | None = None,
) -> SyncReport:
    """Fetch products of many accounts and store them.

    Any number of accounts takes the same memory: ids are taken from the list as they are needed, and a page is stored
    before the next one of its list is fetched. Other calls of the same client go before those of a sync. Running it
    again changes nothing that did not change at the source.

    With a sink that is a `Store`, such as `SqlSink`, a run goes on where an earlier one ended, however that ended, and
    fetches only what changed: accounts are listed, or looked up where they are given by id, and a product is read if
    the account says that it moved since it was last read, if it was never read to its end, or if earlier days are
    wanted than before. Tax forms, and what the API names no moment for, are read again after *recheck_after*.

    What fails ends one product of one account and stands in the report. A 404 is no failure: the account does not have
    the data, or not yet.

    Args:
        pinwheel: An open client.
        sink: Where to put the pages; it is opened and closed here.
        products: What to fetch of each account. Tax forms come as in their list, without documents.
        accounts: Ids, also from an async iterable; all accounts of the workspace if None. Listed accounts are stored,
            too, and with a `Store` also those that are given. An id that comes twice is visited once, unless it comes
            from an async iterable.
        concurrency: Most products of accounts fetched at once; as many as the client has requests in flight, at
            most 64, if None.
        on_progress: Called in the event loop at most ten times a second, about once a second while nothing is done,
            and at the end; must not block.
        from_pay_date: Only paystubs with a pay date after this day; whether the day itself counts is not documented.
        from_start_date: Only shifts that start on this day or later.
        changed_only: Whether to fetch only what changed since the sink holds it; if None, whenever the sink remembers.
            False fetches everything; if such a run is interrupted, the next one within 24 hours goes on with it.
        recheck_after: How long a reading lasts of what may change without a word of the API.
        retry_failed: Fetch nothing but what failed in earlier runs and was not read since.
        dry_run: Fetch no product and store nothing, but count in `SyncReport.planned` the requests that a run makes at
            least. Accounts are listed, or looked up, nevertheless.
        stop: Ends the run early when it is set: requests are given up, what was fetched is stored, and the report says
            `stopped`.

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
        changed_only=changed_only,
        recheck_after=recheck_after,
        retry_failed=retry_failed,
        dry_run=dry_run,
        remembers=isinstance(sink, Store),
    )
    if dry_run and not isinstance(sink, Store):
        sink = MemorySink()  # to open the real one may already change something
    run = Run(pinwheel, sink, plan, on_progress, stop=stop)
    await sink.open()
    try:
        with background():
            await run.run()
    except BaseException:
        await _give_up(sink)
        raise
    await sink.close(complete=not (dry_run or run.tally.stopped))
    return run.tally.report()


async def _give_up(sink: Sink) -> None:
    try:
        await sink.close(complete=False)
    except Exception as error:  # noqa: BLE001  # what ended the run is what the caller has to see
        logger.warning(
            "the sink of a failed sync did not close: %s", type(error).__name__, extra={"event": "sync_sink_not_closed"}
        )
