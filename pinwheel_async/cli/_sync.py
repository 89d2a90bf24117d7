"""`pinwheel-async sync`."""

from datetime import date
from typing import Annotated

from cyclopts import Parameter

from pinwheel_async.cli._options import Connection, Json, database_url
from pinwheel_async.cli._show import print_report, progress_bar
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync import SqlSink, sync as run_sync


async def sync(
    *,
    database: str,
    products: Annotated[tuple[Product, ...], Parameter(consume_multiple=True, show_default=False)] = PRODUCTS,
    accounts: Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)] = (),
    concurrency: int | None = None,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Copy accounts and their data into a database; running again updates it.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name. Keep its password out of it: PostgreSQL's
        PGPASSWORD and ~/.pgpass work.
    products:
        What to fetch; everything when left out.
    accounts:
        Ids of accounts; all of the workspace when left out.
    concurrency:
        Most products of accounts under way at once.
    from_pay_date:
        Only paystubs after this day.
    from_start_date:
        Only shifts that start on this day or later.
    """
    async with (connection or Connection()).open() as pinwheel:
        with progress_bar(len(products)) as show:
            report = await run_sync(
                pinwheel,
                SqlSink(database_url(database)),
                products=products,
                accounts=accounts or None,
                concurrency=concurrency,
                from_pay_date=from_pay_date,
                from_start_date=from_start_date,
                on_progress=show,
            )
    if json:
        print(report.to_json())
    else:
        print_report(report)
    return 0 if report.ok else 1
