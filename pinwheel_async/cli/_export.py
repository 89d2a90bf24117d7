"""Command `pinwheel-async export`: writes the tables of a copy into Parquet or CSV files."""

from datetime import UTC, datetime
from json import dumps
from typing import Annotated

from cyclopts import Parameter

from pinwheel_async.cli._options import Json, TableNames, database_url
from pinwheel_async.sync import export as write
from pinwheel_async.sync._maintenance.export import MONTHS, ExportFormat, PartitionBy


async def export(
    *,
    database: str,
    to: str,
    format: ExportFormat = "parquet",
    tables: Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)] = (),
    changed_since: datetime | None = None,
    partition_by: PartitionBy | None = None,
    json: Json = False,
    names: TableNames | None = None,
) -> None:
    """Write the tables of a copy into files of a folder; they take the place of earlier ones when all are complete.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name.
    to:
        The folder, made when it is not there; or a URL such as s3://bucket/folder (extra fsspec).
    format:
        What the files are. No value is changed: to a spreadsheet, a text that begins with = may be a formula.
    tables:
        Names of tables or views; all tables that hold data when left out.
    changed_since:
        Only what is new or changed since this moment, in UTC if it names no zone.
    partition_by:
        A file for each month of paystubs and shifts, such as paystubs/month=2026-01/paystubs.parquet.
    """
    named = names or TableNames()
    counts = await write(
        database_url(database),
        to,
        format=format,
        tables=tables or None,
        changed_since=changed_since and (changed_since if changed_since.tzinfo else changed_since.replace(tzinfo=UTC)),
        partition_by=partition_by,
        schema=named.schema,
        prefix=named.prefix,
    )
    if json:
        print(dumps(counts))
        return
    for name, count in counts.items():
        folder = f"{name}/month=*/" if partition_by and name in MONTHS else ""
        print(f"{count:>12,}  {to.rstrip('/')}/{folder}{name}.{format}")
