"""Commands `pinwheel-async fleet ...`: show, watch and stop the sync that several processes do together."""

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from pinwheel_async.cli._options import Json, TableNames, database_url
from pinwheel_async.cli._render import print_report, progress_bar
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync import Fleet, FleetRun, SqlSink

Database = Annotated[str, Parameter(help="URL such as postgresql://user@host/name.")]


async def show(*, database: Database, json: Json = False, names: TableNames | None = None) -> int:
    """Show the run that is under way, or else the last one, and what all processes did in it."""
    run = await (await _fleet(database, names)).latest()
    return _print(run, json=json)


async def watch(*, database: Database, json: Json = False, names: TableNames | None = None) -> int:
    """Show the progress of the run that is under way until it is over, and its report; the exit code is that of it."""
    fleet = await _fleet(database, names)
    with progress_bar(len(PRODUCTS)) as show_progress:
        async for progress in fleet.watch():
            if show_progress is not None:
                show_progress(progress)
    run = await fleet.latest()
    _print(run, json=json)
    return 0 if run is None or run.report.ok else 1


async def stop(*, database: Database, names: TableNames | None = None) -> int:
    """Let the run that is under way end early in all processes; what was fetched is stored."""
    is_stopped = await (await _fleet(database, names)).stop()
    print("the run is being stopped" if is_stopped else "there is no run to stop")
    return 0


async def _fleet(database: str, names: TableNames | None) -> Fleet:
    """Return the fleet of a copy.

    Raises:
        ConfigurationError: There is no copy, or it is not in PostgreSQL.
    """
    named = names or TableNames()
    sink = SqlSink(database_url(database), schema=named.schema, prefix=named.prefix)
    fleet = Fleet(None, sink)
    if not await sink.exists():
        raise ConfigurationError("there is no copy in this database")
    return fleet


def _print(run: FleetRun | None, *, json: bool) -> int:
    if run is None:
        print("null" if json else "there was no run")
        return 0
    if json:
        print(run.to_json())
        return 0
    console = Console(highlight=False, markup=False, soft_wrap=True)
    began = run.began_at.isoformat(timespec="seconds")
    held = "" if run.is_over else f"; {run.waiting:,} partitions to read, {run.leases:,} leases held"
    console.print(f"run {run.number}, begun {began}: {run.state}{held}")
    print_report(run.report)
    return 0
