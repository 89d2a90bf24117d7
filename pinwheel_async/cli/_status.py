"""`pinwheel-async status`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from pinwheel_async.cli._inbox import age_of
from pinwheel_async.cli._options import Json, database_url
from pinwheel_async.sync import ProductStatus, Status, status as look

_COLUMNS: Mapping[str, Callable[[ProductStatus], int]] = {
    "complete": lambda one: one.complete,
    "reading": lambda one: one.reading,
    "missing": lambda one: one.missing,
    "never": lambda one: one.never,
    "failed": lambda one: one.failed,
    "objects": lambda one: one.objects,
    "announced": lambda one: one.announced.objects if one.announced else 0,
    "absent": lambda one: one.announced.absent if one.announced else 0,
}
_ALWAYS = {"complete", "objects"}
_STEPS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


async def status(
    *,
    database: str,
    check: Annotated[bool, Parameter(show_default=False)] = False,
    json: Json = False,
) -> int:
    """Say what a copy holds: how complete and how fresh it is, and what failed.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name.
    check:
        End with 1 if something failed, was interrupted, was never read, or was announced and is not there.
    """
    found = await look(database_url(database))
    if json:
        print(found.to_json())
    else:
        _print(found)
    return 1 if check and not found.ok else 0


def _print(found: Status) -> None:
    console = Console(highlight=False, markup=False)
    table = Table(title=f"{found.accounts:,} accounts", title_justify="left")
    table.add_column("product", no_wrap=True)
    columns = {name: [value(one) for one in found.products.values()] for name, value in _COLUMNS.items()}
    # What is nought for every product is left out: a copy that is well is a short table.
    shown = {name: values for name, values in columns.items() if name in _ALWAYS or any(values)}
    for heading in (*shown, "oldest", "newest"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, (product, one) in enumerate(found.products.items()):
        numbers = [f"{values[number]:,}" if values[number] else "·" for values in shown.values()]
        table.add_row(product, *numbers, _age(one.oldest), _age(one.newest))
    console.print(table)
    console.print(f"oldest, newest: age of readings; {_size(found.size)}, tables of version {found.schema_version}")
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for failure in found.failures:
        errors.print(f"failed: {failure.product} of {failure.account_id}: {failure.error}")


def _age(moment: datetime | None) -> str:
    return age_of((datetime.now(UTC) - moment).total_seconds()) if moment else "·"


def _size(size: int) -> str:
    return next((f"{size / unit:,.1f} {name}" for unit, name in _STEPS if size >= unit), f"{size} bytes")
