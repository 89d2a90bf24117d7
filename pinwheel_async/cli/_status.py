"""Command `pinwheel-async status`: shows how complete and how fresh a copy is."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from pinwheel_async.cli._options import Json, TableNames, database_url
from pinwheel_async.cli._render import age_of
from pinwheel_async.cli._report_file import report_file
from pinwheel_async.sync import ProductStatus, Scope, Status, status as look

_COLUMNS: Mapping[str, Callable[[ProductStatus], int]] = {
    "complete": lambda product: product.complete,
    "reading": lambda product: product.reading,
    "missing": lambda product: product.missing,
    "contradicted": lambda product: product.contradicted,
    "left over": lambda product: product.left_over,
    "ahead": lambda product: product.ahead,
    "never": lambda product: product.never,
    "failed": lambda product: product.failed,
    "objects": lambda product: product.objects,
    "announced": lambda product: product.announced.objects if product.announced else 0,
    "absent": lambda product: product.announced.absent if product.announced else 0,
}
_ALWAYS = {"complete", "objects"}
_SIZE_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


async def status(
    *,
    database: str,
    check: Annotated[bool, Parameter(show_default=False)] = False,
    html: Path | None = None,
    json: Json = False,
    names: TableNames | None = None,
) -> int:
    """Say what a copy holds: how complete and how fresh it is, and what failed.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name.
    check:
        End with 1 if something failed, was interrupted, was never read, or was announced and is not there.
    html:
        Write a page for browsers, too: accounts and products as a heat map, freshness, failures; one file, which holds
        shortened ids and no payroll data. Only its owner can read it.
    """
    named = names or TableNames()
    url = database_url(database)
    if html is None:
        found = await look(url, schema=named.schema, prefix=named.prefix)
    else:
        found = await _write_page(html, url, named)
    if json:
        print(found.to_json())
    else:
        _print(found)
    return 1 if check and not found.ok else 0


async def _write_page(path: Path, url: str, names: TableNames) -> Status:
    from pinwheel_async.cli._status_page import MAX_ACCOUNTS, status_page  # noqa: PLC0415  # only then
    from pinwheel_async.sync._maintenance.readings import status_with_readings  # noqa: PLC0415  # as above

    with report_file(path) as write:
        now = datetime.now(UTC)
        found, readings = await status_with_readings(
            url, schema=names.schema, prefix=names.prefix, now=now, limit=MAX_ACCOUNTS
        )
        write(status_page(found, readings, _of(found.scope), now))
    return found


def _print(found: Status) -> None:
    console = Console(highlight=False, markup=False)
    erased = f", {found.erased:,} erased" if found.erased else ""
    table = Table(title=f"{found.accounts:,} accounts{erased}", title_justify="left")
    table.add_column("product", no_wrap=True)
    columns = {name: [value(product) for product in found.products.values()] for name, value in _COLUMNS.items()}
    # A column that is 0 for every product is left out, so that a copy without problems is a short table.
    shown = {name: values for name, values in columns.items() if name in _ALWAYS or any(values)}
    for heading in (*shown, "oldest", "newest"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, (name, product) in enumerate(found.products.items()):
        numbers = [f"{values[row]:,}" if values[row] else "·" for values in shown.values()]
        table.add_row(name, *numbers, _age(product.oldest), _age(product.newest))
    console.print(table)
    console.print(_of(found.scope))
    console.print(f"oldest, newest: age of readings; {_size(found.size)}, tables of version {found.schema_version}")
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for failure in found.failures:
        errors.print(f"failed: {failure.product} of {failure.account_id}: {failure.error}")


def _of(scope: Scope) -> str:
    """Say whose data the copy holds, and what of it; its products stand in the table."""
    facts = (
        scope.environment,
        scope.from_pay_date and f"paystubs from {scope.from_pay_date}",
        scope.from_start_date and f"shifts from {scope.from_start_date}",
        scope.purged_before and f"nothing from before {scope.purged_before}",
        "with what was deleted" if scope.keep_deleted else None,
        "with raw objects" if scope.raw else None,
        "with a history" if scope.history else None,
    )
    return "; ".join([fact for fact in facts if fact])


def _age(moment: datetime | None) -> str:
    return age_of((datetime.now(UTC) - moment).total_seconds()) if moment else "·"


def _size(size: int) -> str:
    return next((f"{size / unit:,.1f} {name}" for unit, name in _SIZE_UNITS if size >= unit), f"{size} bytes")
