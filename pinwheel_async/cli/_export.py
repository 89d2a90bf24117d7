"""`pinwheel-async export`."""

from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinwheel_async.cli._options import Json, database_url
from pinwheel_async.sync import export as write
from pinwheel_async.sync._export import ExportFormat


async def export(
    *,
    database: str,
    to: Path,
    format: ExportFormat = "parquet",
    tables: Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)] = (),
    json: Json = False,
) -> None:
    """Write the tables of a copy into files of a folder; they take the place of earlier ones when all are complete.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name.
    to:
        The folder; made when it is not there.
    format:
        What the files are. No value is changed: to a spreadsheet, a text that begins with = may be a formula.
    tables:
        Names of tables; all that hold data when left out.
    """
    counts = await write(database_url(database), to, format=format, tables=tables or None)
    if json:
        print(dumps(counts))
        return
    for name, count in counts.items():
        print(f"{count:>12,}  {to / name}.{format}")
