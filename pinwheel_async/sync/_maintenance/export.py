"""Export of the tables of a copy into files: CSV as in RFC 4180, or Parquet."""

import os
import re
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias, get_args

from sqlalchemy import URL, Select, Table, Text, cast, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, RequestError
from pinwheel_async.sync._files.atomic import AtomicFiles
from pinwheel_async.sync._maintenance.open_copy import Copy
from pinwheel_async.sync._sql.tables import STORED, Tables
from pinwheel_async.sync._sql.types import Plain

ExportFormat: TypeAlias = Literal["parquet", "csv"]
"""What the files are."""

_CHUNK_ROWS = 1_000
"""Rows that are in memory at a time; enough that the way into the thread, once for each chunk, is no cost."""

_QUOTED = re.compile(r'[",\r\n]')
"""What makes a field of CSV stand in quotation marks (RFC 4180)."""


class _TableFile(Protocol):
    """A file that takes the rows of a table."""

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows."""
        ...

    def finish(self) -> None:
        """Write what is left."""
        ...


class CsvFile:
    """Writes a line of names, then a line for each row, in UTF-8.

    Nothing is written for null; an empty text is a pair of quotation marks. Days and moments are as in ISO 8601.
    """

    def __init__(self, file: BinaryIO, table: Table) -> None:
        """Begin the file; closing it is left to the caller."""
        self._file = file
        self.write([[column.name for column in table.columns]])

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows.

        Raises:
            OSError: The file cannot be written.
        """
        self._file.write("".join([f"{','.join(map(_text, row))}\r\n" for row in rows]).encode())

    def finish(self) -> None:
        """Nothing to do."""


@without_locals
async def export(
    database: str | URL | AsyncEngine,
    folder: str | os.PathLike[str],
    *,
    format: ExportFormat = "parquet",
    tables: Collection[str] | None = None,
    changed_since: datetime | None = None,
    schema: str | None = None,
    prefix: str = "",
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
        changed_since: Aware: only objects that are new or changed since then, with all their lines. Take a moment some
            minutes before the last export began: what was being written then comes twice, and nothing is left out.
            What was removed is in no file; see `changes`.
        schema: As for `SqlSink`.
        prefix: As for `SqlSink`.

    Raises:
        ConfigurationError: No such format, table or database; or pyarrow is not installed.
        RequestError: *changed_since* is not aware.
        SinkError: The database cannot be read, or the files cannot be written.
    """
    if changed_since is not None and changed_since.tzinfo is None:
        raise RequestError(["changed_since must be aware, such as datetime.now(UTC)"])
    chosen = _chosen(tables)
    make = _maker(format)
    copy = Copy(database, schema, prefix)

    async def write(connection: AsyncConnection) -> dict[str, int]:
        files = AtomicFiles(folder)
        await files.open()
        complete = False
        try:
            counts = {
                table.name: await _write(
                    connection,
                    copy.tables[table],
                    _query(copy.tables, table, changed_since),
                    files,
                    make,
                    f"{table.name}.{format}",
                )
                for table in chosen
            }
            complete = True
        finally:
            await files.close(complete=complete)
        return counts

    return await copy.read(write)


async def _write(
    connection: AsyncConnection,
    table: Table,
    query: Select[Any],
    files: AtomicFiles,
    make: Callable[[BinaryIO, Table], _TableFile],
    name: str,
) -> int:
    count = 0
    file = await files.run(lambda: make(files.file(name), table))
    try:
        async with connection.stream(query) as result:
            async for rows in result.partitions(_CHUNK_ROWS):
                await files.run(partial(file.write, rows))
                count += len(rows)
    finally:
        await files.run(file.finish)
    return count


def _query(tables: Tables, original: Table, changed_since: datetime | None) -> Select[Any]:
    """Select everything, or what changed, JSON as the text that it is."""
    table = tables[original]
    columns = [cast(column, Text) if isinstance(column.type, Plain) else column for column in table.columns]
    query = select(*columns).order_by(*table.primary_key)
    if changed_since is None:
        return query
    if "changed_at" in table.c:
        return query.where(table.c.changed_at > changed_since)
    objects = next(
        tables[stored.table] for stored in STORED.values() if original in [part.table for part in stored.parts]
    )
    account, owner, _ = table.primary_key
    changed = objects.c.account_id == account, objects.c.id == owner, objects.c.changed_at > changed_since
    return query.where(exists().where(*changed))


def _chosen(names: Collection[str] | None) -> list[Table]:
    tables = [table for stored in STORED.values() for table in (stored.table, *[part.table for part in stored.parts])]
    known = {table.name: table for table in tables}
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
        from pinwheel_async.sync._maintenance.export_parquet import ParquetTable  # noqa: PLC0415  # needs an extra
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
    else:
        return ParquetTable
    raise ConfigurationError("Parquet needs pyarrow: pip install 'pinwheel-async[parquet]'")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):  # or a moment
        return value.isoformat()
    if not isinstance(value, str):
        return str(value)
    quoted = not value or _QUOTED.search(value)
    return '"{}"'.format(value.replace('"', '""')) if quoted else value
