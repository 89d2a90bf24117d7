"""Writes the tables of a copy into files: Parquet or CSV."""

import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias, get_args

from sqlalchemy import URL, Select, Table, Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.sync._export_csv import CsvFile
from pinwheel_async.sync._export_files import WholeFiles
from pinwheel_async.sync._export_reading import read
from pinwheel_async.sync._sql_types import Plain
from pinwheel_async.sync._tables import STORED

ExportFormat: TypeAlias = Literal["parquet", "csv"]
"""What the files are."""

_CHUNK_ROWS = 1_000


class _TableFile(Protocol):
    """A file that takes the rows of a table."""

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows."""
        ...

    def finish(self) -> None:
        """Write what is left."""
        ...


async def export(
    database: str | URL | AsyncEngine,
    folder: str | os.PathLike[str],
    *,
    format: ExportFormat = "parquet",
    tables: Collection[str] | None = None,
) -> dict[str, int]:
    """Write the tables of a copy into files of a folder, such as `paystubs.parquet`, and return their numbers of rows.

    All files show the same moment, whatever is written to the database meanwhile, in the order of the keys. Any number
    of rows takes the same memory. The files take the place of earlier ones when all of them are complete; before that,
    and if that never comes, they are called `….partial`. They can be read by their owner only.

    Amounts are whole minor units, days are dates, moments are UTC. Parquet needs the extra `parquet`; it keeps decimal
    numbers and JSON as text. CSV is as in RFC 4180, in UTF-8 with a line of names: nothing between two commas is null,
    a pair of quotation marks is an empty text. No value is changed: a text that begins with `=`, `+`, `-` or `@` is a
    formula to a spreadsheet that opens the file by a double click, so import such columns as text.

    Args:
        database: As for `SqlSink`.
        folder: It is made when it is not there.
        format: What the files are.
        tables: Names of tables, as in `METADATA`; all that hold data when left out.

    Raises:
        ConfigurationError: No such format, table or database; or pyarrow is not installed.
        SinkError: The database cannot be read, or the files cannot be written.
    """
    chosen = _chosen(tables)
    make = _maker(format)

    async def write(connection: AsyncConnection) -> dict[str, int]:
        files = WholeFiles(folder)
        await files.open()
        complete = False
        try:
            counts = {
                table.name: await _write(connection, table, files, make, f"{table.name}.{format}") for table in chosen
            }
            complete = True
        finally:
            await files.close(complete=complete)
        return counts

    return await read(database, write)


async def _write(
    connection: AsyncConnection,
    table: Table,
    files: WholeFiles,
    make: Callable[[BinaryIO, Table], _TableFile],
    name: str,
) -> int:
    count = 0
    file = await files.run(lambda: make(files.file(name), table))
    try:
        async with connection.stream(_query(table)) as result:
            async for rows in result.partitions(_CHUNK_ROWS):
                await files.run(partial(file.write, rows))
                count += len(rows)
    finally:
        await files.run(file.finish)
    return count


def _query(table: Table) -> Select[Any]:
    """Select everything, JSON as the text that it is."""
    columns = [cast(one, Text) if isinstance(one.type, Plain) else one for one in table.columns]
    return select(*columns).order_by(*table.primary_key)


def _chosen(names: Collection[str] | None) -> list[Table]:
    known = {table.name: table for one in STORED.values() for table in (one.table, *[part.table for part in one.parts])}
    unknown = sorted(set(names or ()) - known.keys())
    if unknown:
        raise ConfigurationError(f"there is no table {', '.join(unknown)}; tables are {', '.join(known)}")
    return [table for name, table in known.items() if names is None or name in names]


def _maker(format: ExportFormat) -> Callable[[BinaryIO, Table], _TableFile]:
    if format == "csv":
        return CsvFile
    if format not in get_args(ExportFormat):
        raise ConfigurationError(f"format must be one of {', '.join(get_args(ExportFormat))}")
    try:
        from pinwheel_async.sync._export_parquet import ParquetTable  # noqa: PLC0415  # needs an extra
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
    else:
        return ParquetTable
    raise ConfigurationError("Parquet needs pyarrow: pip install 'pinwheel-async[parquet]'")
