"""Entry point of a sync: opens the sink, runs, closes it, and returns the report."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import date, timedelta

from pinwheel_async._core.arguments import wrong
from pinwheel_async._http.limiter import background
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import RequestError
from pinwheel_async.products import Product
from pinwheel_async.sync._memory import MemorySink, MemoryStore
from pinwheel_async.sync._report import Progress, SyncReport
from pinwheel_async.sync._run.opening import close_after_failure, open_sink
from pinwheel_async.sync._run.plan import RECHECK_AFTER, Accounts, make_plan
from pinwheel_async.sync._run.reading import MAX_REMOVED
from pinwheel_async.sync._run.run import Run
from pinwheel_async.sync._scope import ScopedStore
from pinwheel_async.sync._sink import Sink, Store, sink_problem


async def sync(
    pinwheel: Pinwheel,
    sink: Sink,
    *,
    products: Iterable[Product] | None = None,
    accounts: Accounts | None = None,
    concurrency: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
    changed_only: bool | None = None,
    recheck_after: timedelta = RECHECK_AFTER,
    max_removed: float | None = MAX_REMOVED,
    retry_failed: bool = False,
    dry_run: bool = False,
    stop: asyncio.Event | None = None,
    on_report: Callable[[SyncReport], object] | None = None,
) -> SyncReport:
    """Fetch products of many accounts and store them.

    ```python
    report = await sync(pinwheel, SqlSink("sqlite:///payroll.db"), products=("income", "paystubs"))
    print(report.accounts, report.items, report.missing, report.failures)
    ```

    Any number of accounts takes the same memory: ids are taken from the list as they are needed, and a page is stored
    before the next one of its list is fetched. Other calls of the same client go before those of a sync. Running it
    again changes nothing that did not change at the source.

    With a sink that is a `Store`, such as `SqlSink`, a run goes on where an earlier one ended, however that ended, and
    fetches only what changed: accounts are listed, or looked up where they are given by id, and a product is read if
    the account says that it moved since it was last read, if it was never read to its end, or if earlier days are
    wanted than before. Tax forms, and what the API names no moment for, are read again after *recheck_after*.

    What fails ends one product of one account and stands in the report; so does an account that cannot be read or
    stored, whose products are read all the same. A 404 is no failure: the account does not have the data, or not yet.
    The run ends only if nothing can work: the secret is refused, accounts cannot be listed, or the sink is away.

    Args:
        pinwheel: An open client.
        sink: Where to put the pages; it is opened and closed here.
        products: What to fetch of each account; what the copy holds if None, and everything where that is not said yet.
            Tax forms come as in their list, without documents.
        accounts: Ids, also from an async iterable; all accounts of the workspace if None. Listed accounts are stored,
            too, and with a `Store` also those that are given. An id that comes twice is visited once, unless it comes
            from an async iterable.
        concurrency: Most products of accounts fetched at once; as many as the client has requests in flight, at
            most 64, if None.
        on_progress: Called in the event loop at most ten times a second, about once a second while nothing is done,
            and at the end; must not block.
        from_pay_date: Only paystubs with a pay date after this day; whether the day itself counts is not documented.
            From the first day of the copy on if None.
        from_start_date: Only shifts that start on this day or later; from the first day of the copy on if None.
        changed_only: Whether to fetch only what changed since the sink holds it; if None, whenever the sink remembers.
            False fetches everything; if such a run is interrupted, the next one within 24 hours goes on with it.
        recheck_after: How long a reading lasts of what may change without a word of the API, give or take a seventh:
            for each another time, so that not all that was read in one night is read again in one night.
        max_removed: Largest share of what a `Store` holds of a list that one reading may remove: more than that, and
            more than five objects, or all of them, is removed only if a second reading finds the same. None believes
            every reading.
        retry_failed: Fetch nothing but what failed in earlier runs and was not read since.
        dry_run: Fetch no product and store nothing, but count in `SyncReport.planned` the requests that a run makes at
            least. Accounts are listed, or looked up, nevertheless.
        stop: Ends the run early when it is set: requests are given up, what was fetched is stored, and the report says
            `stopped`.
        on_report: Called once with the report, whatever ends the run: also before an error is raised, which the report
            names in `ended_by`. Only arguments that cannot be meant make no report.

    Returns:
        What was stored, what was missing and what failed.

    Raises:
        RequestError: An argument that cannot be meant; nothing was sent.
        ConfigurationError: The sink holds data of another environment, or other products or earlier days are asked for
            than it holds; see *change_scope* of `SqlSink`.
        UnauthorizedError: The secret does not fit the environment.
        ForbiddenError: The key may not read anything: several products of several accounts were refused, and nothing
            was read. A product that it may not read is a failure for each account.
        ClosedError: The client was closed.
        SinkError: The sink could not store. Other exceptions of a sink pass as they are.
        PinwheelError: The accounts could not be listed.
    """
    _check(pinwheel, sink, on_progress, on_report, stop)
    plan = make_plan(
        products=products,
        accounts=accounts,
        concurrency=concurrency,
        ceiling=pinwheel.settings.concurrency,
        from_pay_date=from_pay_date,
        from_start_date=from_start_date,
        changed_only=changed_only,
        recheck_after=recheck_after,
        max_removed=max_removed,
        retry_failed=retry_failed,
        dry_run=dry_run,
        remembers=isinstance(sink, Store),
    )
    if dry_run and not isinstance(sink, Store):
        sink = MemorySink()  # to open the real one may already change something
    if dry_run and isinstance(sink, ScopedStore) and not await sink.exists():
        sink = MemoryStore()  # to open the real one would make a copy
    run = Run(pinwheel, sink, plan, on_progress, stop=stop)
    try:
        await _run(run, sink, stop, dry_run=dry_run)
    except BaseException as error:
        run.counters.ended_by = type(error).__name__
        if on_report is not None:
            on_report(run.counters.report())
        raise
    report = run.counters.report()
    if on_report is not None:
        on_report(report)
    return report


def _check(pinwheel: object, sink: object, on_progress: object, on_report: object, stop: object) -> None:
    """Check what is no plan.

    Raises:
        RequestError: An argument of another kind.
    """
    callbacks = (("on_progress", on_progress), ("on_report", on_report))
    found = [
        None if hasattr(pinwheel, "settings") else wrong("pinwheel", "an open client, such as Pinwheel()", pinwheel),
        sink_problem("sink", sink),
        None if stop is None or isinstance(stop, asyncio.Event) else wrong("stop", "an asyncio.Event", stop),
        *[wrong(name, "a function", given) for name, given in callbacks if given is not None and not callable(given)],
    ]
    problems = [problem for problem in found if problem is not None]
    if problems:
        raise RequestError(problems)


async def _run(run: Run, sink: Sink, stop: asyncio.Event | None, *, dry_run: bool) -> None:
    """Open the sink, run, and close it, whatever ends the run."""
    await open_sink(sink, stop)
    try:
        with background():
            await run.run()
    except BaseException:
        await close_after_failure(sink)
        raise
    await sink.close(complete=not (dry_run or run.counters.stopped))
