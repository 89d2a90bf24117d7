"""`pinwheel-async sync`."""

import os
import sys
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinwheel_async.cli._options import Connection, Json, database_url
from pinwheel_async.cli._report_file import report_file
from pinwheel_async.cli._show import print_plan, print_report, progress_bar
from pinwheel_async.cli._stopping import stopping
from pinwheel_async.client import Pinwheel
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync import MemoryStore, Sink, SqlSink, sync as run_sync


async def sync(
    *,
    database: str,
    products: Annotated[tuple[Product, ...], Parameter(consume_multiple=True, show_default=False)] = PRODUCTS,
    accounts: Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)] = (),
    changed_only: Annotated[bool, Parameter(negative="--no-changed-only")] = True,
    retry_failed: bool = False,
    dry_run: bool = False,
    since: date | None = None,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
    concurrency: int | None = None,
    requests_per_s: float | None = None,
    report: Path | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Copy accounts and their data into a database; running again goes on, and fetches what changed.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name. Keep its password out of it: PostgreSQL's
        PGPASSWORD and ~/.pgpass work.
    products:
        What to fetch; everything when left out.
    accounts:
        Ids of accounts; all of the workspace when left out.
    changed_only:
        Fetch only what changed since it was stored, or everything again.
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
    concurrency:
        Most products of accounts fetched at once; others may wait to be stored.
    requests_per_s:
        Most requests begun per second, on average.
    report:
        File to write the report to, as JSON; replaced when the run is over.
    """
    where = connection or Connection()
    client = Pinwheel(environment=where.environment, base_url=where.base_url, requests_per_s=requests_per_s)
    with ExitStack() as stack:
        write = stack.enter_context(report_file(report)) if report else None
        stop = stack.enter_context(stopping())
        async with client as pinwheel:
            with progress_bar(len(products)) as show:
                made = await run_sync(
                    pinwheel,
                    _sink(database, dry_run=dry_run),
                    products=products,
                    accounts=accounts or None,
                    concurrency=concurrency,
                    from_pay_date=from_pay_date or since,
                    from_start_date=from_start_date or since,
                    changed_only=changed_only,
                    retry_failed=retry_failed,
                    dry_run=dry_run,
                    stop=stop.event,
                    on_progress=show,
                )
        if write:
            write(made.to_json())
    if json:
        print(made.to_json())
    elif dry_run:
        print_plan(made)
    else:
        print_report(made)
    if made.stopped:
        print(f"pinwheel-async: {stop}; what was fetched is stored", file=sys.stderr)
        return stop.code
    return 0 if made.ok else 1


def _sink(database: str, *, dry_run: bool) -> Sink:
    """Return where to put the data; a dry run makes no file."""
    if dry_run and "://" not in database and not Path(database).exists():
        return MemoryStore()
    return SqlSink(database_url(database), helper=os.name == "posix" and (os.cpu_count() or 1) > 1)
