"""Command `pinwheel-async sync`: copies accounts and their data into a database."""

import sys
from contextlib import ExitStack
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinwheel_async.cli._options import Connection, Json, TableNames, database_url, duration
from pinwheel_async.cli._render import print_plan, print_report, progress_bar
from pinwheel_async.cli._report_file import report_file
from pinwheel_async.cli._signals import stopping
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync import Fleet, SqlSink, SyncReport, sync as run_sync
from pinwheel_async.sync._run.plan import RECHECK_AFTER


async def sync(
    *,
    database: str,
    products: Annotated[tuple[Product, ...], Parameter(consume_multiple=True, show_default=False)] = (),
    accounts: Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)] = (),
    changed_only: Annotated[bool, Parameter(negative="--no-changed-only")] = True,
    recheck_after: str | None = None,
    retry_failed: bool = False,
    dry_run: bool = False,
    since: date | None = None,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
    keep_deleted: Annotated[bool | None, Parameter(negative="--no-keep-deleted")] = None,
    raw: Annotated[bool | None, Parameter(negative="--no-raw")] = None,
    history: Annotated[bool | None, Parameter(negative="--no-history")] = None,
    change_scope: bool = False,
    fleet: bool = False,
    writer_process: Annotated[bool | None, Parameter(negative="--no-writer-process")] = None,
    concurrency: int | None = None,
    requests_per_s: float | None = None,
    pace: str | None = None,
    report: Path | None = None,
    json: Json = False,
    names: TableNames | None = None,
    connection: Connection | None = None,
) -> int:
    """Copy accounts and their data into a database; running again goes on, and fetches what changed.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name. Keep its password out of it: PostgreSQL's
        PGPASSWORD and ~/.pgpass work.
    products:
        What to fetch; what the database holds when left out, and everything if it is new.
    accounts:
        Ids of accounts; all of the workspace when left out.
    changed_only:
        Fetch only what changed since it was stored, or everything again.
    recheck_after:
        How long a reading lasts of tax forms and of what the API names no moment for, such as 7d, 12h or 0d; 7d when
        left out.
    retry_failed:
        Fetch nothing but what failed before.
    dry_run:
        Count the requests that it takes at least; fetch and store nothing.
    since:
        Only paystubs after this day, and shifts that start on it or later.
    from_pay_date:
        Only paystubs after this day.
    from_start_date:
        Only shifts that start on this day or later.
    keep_deleted:
        Keep what was deleted at the source, with the moment; as the database does when left out.
    raw:
        Keep each object as JSON, too, with fields that this version does not know; as the database does when left out.
    history:
        Keep what was stored before of objects that change; as the database does when left out.
    change_scope:
        Make the database hold what is said here of environment, products, days, deleted and raw objects and history.
        Without it, what differs is an error.
    fleet:
        Work together with other processes that say the same, on as many machines as there are: one run, of which each
        prints the whole report. It needs PostgreSQL.
    writer_process:
        Let another process write; when left out, where this machine has more than one core, and another process can.
    concurrency:
        Most products of accounts fetched at once; others may wait to be stored.
    requests_per_s:
        Most requests begun per second, on average.
    pace:
        URL of a PostgreSQL database: all processes that name it keep --requests-per-s together, and those of other
        programs with a SharedPace there. Keep its password out of it, too.
    report:
        File to write the report to, as JSON; replaced when the run is over, whatever ended it.
    """
    if fleet and (accounts or retry_failed or dry_run):
        raise ConfigurationError("--fleet goes without --accounts, --retry-failed and --dry-run: one process is enough")
    recheck = RECHECK_AFTER if recheck_after is None else _duration(recheck_after)
    named = names or TableNames()
    sink = SqlSink(
        database_url(database),
        schema=named.schema,
        prefix=named.prefix,
        keep_deleted=keep_deleted,
        raw=raw,
        history=history,
        change_scope=change_scope,
        writer_process=writer_process,
    )
    client = (connection or Connection()).open(requests_per_s=requests_per_s, pace=pace)

    def keep(made: SyncReport) -> None:
        if write is not None:
            write(made.to_json())

    with ExitStack() as stack:
        write = stack.enter_context(report_file(report)) if report else None
        stop = stack.enter_context(stopping())
        async with client as pinwheel:
            with progress_bar(len(products) or len(PRODUCTS)) as show:
                run = partial(
                    Fleet(pinwheel, sink, concurrency=concurrency).sync
                    if fleet
                    else partial(
                        run_sync,
                        pinwheel,
                        sink,
                        accounts=accounts or None,
                        concurrency=concurrency,
                        retry_failed=retry_failed,
                        dry_run=dry_run,
                    ),
                    products=products or None,
                    from_pay_date=from_pay_date or since,
                    from_start_date=from_start_date or since,
                    changed_only=changed_only,
                    recheck_after=recheck,
                    stop=stop.event,
                    on_progress=show,
                    on_report=keep,
                )
                made = await run()
    if json:
        print(made.to_json())
    elif dry_run:
        print_plan(made)
    else:
        print_report(made)
    if made.stopped and stop.signal is not None:
        others = "; the other processes go on" if fleet else ""
        print(f"pinwheel-async: {stop}; what was fetched is stored{others}", file=sys.stderr)
        return stop.code
    if made.stopped:
        print("pinwheel-async: the run was stopped; what was fetched is stored", file=sys.stderr)
    return 0 if made.ok else 1


def _duration(text: str) -> timedelta:
    """Read how long a reading lasts.

    Raises:
        ConfigurationError: It is no duration.
    """
    try:
        found = duration(text)
    except OverflowError:
        found = None
    if found is None:
        raise ConfigurationError("--recheck-after is a time, such as 7d, 12h or 30min")
    return found
