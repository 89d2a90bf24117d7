"""Export of the tables and views of a copy into files: CSV as in RFC 4180, or Parquet."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from itertools import groupby
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias, get_args

from attrs import frozen
from sqlalchemy import URL, Select, Table, Text, cast, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, RequestError
from pinwheel_async.sync._files.atomic import AtomicFiles
from pinwheel_async.sync._files.remote import RemoteFiles, files_of
from pinwheel_async.sync._maintenance.open_copy import Copy
from pinwheel_async.sync._sink import DAYS
from pinwheel_async.sync._sql.tables import STORED, Tables
from pinwheel_async.sync._sql.types import Plain
from pinwheel_async.sync._views.definitions import ALL_VIEWS, named_views

ExportFormat: TypeAlias = Literal["parquet", "csv"]
"""What the files are."""

PartitionBy: TypeAlias = Literal["month"]
"""By what tables are divided into several files."""

_CHUNK_ROWS = 1_000
"""Rows that are in memory at a time; enough that the way into the thread, once for each chunk, is no cost."""

_QUOTED = re.compile(r'[",\r\n]')
"""What makes a field of CSV stand in quotation marks (RFC 4180)."""


_OWNERS: Mapping[str, Table] = {part.table.name: stored.table for stored in STORED.values() for part in stored.parts}
"""For each table of lines, that of their objects."""

MONTHS: Mapping[str, str] = {
    **{table.name: DAYS[kind] for kind, stored in STORED.items() if kind in DAYS for table in stored.tables},
    **{name: view.day for name, view in ALL_VIEWS.items() if view.day},
}
"""Tables and views that can be divided by month, and the day that counts: of lines, that of their object."""

_NO_MONTH = "__HIVE_DEFAULT_PARTITION__"
"""What stands for no month, as every reader of such folders knows it."""


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
    partition_by: PartitionBy | None = None,
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
        folder: It is made when it is not there. Or a URL of a store that fsspec knows, such as `s3://bucket/folder`
            (extra `fsspec`, and what fsspec needs for that store): the files are written into the temporary folder of
            this machine, which needs room for them, and put there as a whole when all are complete. Keys and other
            options are taken from where the store looks for them, such as the environment.
        format: What the files are.
        tables: Names of tables, as in `METADATA`, or of views; all tables that hold data, and no views, when left out.
        changed_since: Aware: only objects that are new or changed since then, with all their lines. Take a moment some
            minutes before the last export began: what was being written then comes twice, and nothing is left out.
            What was removed is in no file; see `changes`. Not for `monthly_income`, whose rows are sums.
        partition_by: `month` writes a file for each month of paystubs and shifts, their lines, and of views of them,
            such as `paystubs/month=2026-01/paystubs.parquet`, in the order of the day, then of the keys. What has no
            day is in the month `__HIVE_DEFAULT_PARTITION__`; so is an empty file where there are no rows. Earlier files
            of months that are not written any more are removed. Other tables are as without it.
        schema: As for `SqlSink`.
        prefix: As for `SqlSink`.

    Raises:
        ConfigurationError: No such format, table, database or store; or a package is not installed.
        RequestError: *changed_since* is not aware, or given for a view of sums.
        SinkError: The database cannot be read, or the files cannot be written.
    """
    if changed_since is not None and changed_since.tzinfo is None:
        raise RequestError(["changed_since must be aware, such as datetime.now(UTC)"])
    if partition_by not in {None, *get_args(PartitionBy)}:
        raise ConfigurationError("partition_by must be month, or left out")
    chosen = _chosen(tables)
    unknown = [table.name for table in chosen if "changed_at" not in table.c and table.name not in _OWNERS]
    if changed_since is not None and unknown:
        raise RequestError([f"changed_since must be left out for {', '.join(unknown)}: its rows are sums"])
    make, files = _maker(format), files_of(folder)
    copy = Copy(database, schema, prefix)

    async def write(connection: AsyncConnection) -> dict[str, int]:
        await files.open()
        complete = False
        try:
            counts: dict[str, int] = {}
            for original in chosen:
                selected = _Selected.of(copy.tables, original, changed_since, by_month=partition_by is not None)
                counts[selected.name] = await _write(connection, selected, _Output(selected, files, make, format))
            complete = True
        finally:
            await files.close(complete=complete)
        return counts

    return await copy.read(write, views=any(table.name in ALL_VIEWS for table in chosen))


@frozen
class _Selected:
    """What is written of a table or view."""

    name: str
    """Without schema and prefix."""
    table: Table
    query: Select[Any]
    """Its columns; if it is divided, then the day, by which it is ordered."""
    is_divided: bool

    @classmethod
    def of(cls, tables: Tables, original: Table, changed_since: datetime | None, *, by_month: bool) -> "_Selected":
        """Select everything, or what changed, JSON as the text that it is."""
        name = original.name
        table = named_views(tables)[ALL_VIEWS[name]] if name in ALL_VIEWS else tables[original]
        columns = [cast(column, Text) if isinstance(column.type, Plain) else column for column in table.columns]
        query = select(*columns)
        objects = tables[_OWNERS[name]] if name in _OWNERS else table
        account, owner = [*table.primary_key][:2] if name in _OWNERS else (None, None)
        is_divided = by_month and name in MONTHS
        if is_divided:
            day = objects.c[MONTHS[name]]
            query = query.add_columns(day.label("day")).order_by(day)
            if objects is not table:
                query = query.outerjoin(objects, (objects.c.account_id == account) & (objects.c.id == owner))
        if changed_since is not None:
            is_new = objects.c.changed_at > changed_since
            if objects is not table and not is_divided:
                is_new = exists().where(objects.c.account_id == account, objects.c.id == owner, is_new)
            query = query.where(is_new)
        return cls(name, table, query.order_by(*table.primary_key), is_divided)

    def file_name(self, month: str | None, format: ExportFormat) -> str:
        """Return the name of the file of a month; null if it is not divided."""
        return f"{self.name}.{format}" if month is None else f"{self.name}/month={month}/{self.name}.{format}"

    def by_month(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str | None, Sequence[Sequence[Any]]]]:
        """Divide some rows; if they are not to be divided, all of them are of the month null."""
        if not self.is_divided:
            yield None, rows
            return
        for month, some in groupby(rows, lambda row: row[-1].isoformat()[:7] if row[-1] else _NO_MONTH):
            yield month, [row[:-1] for row in some]


class _Output:
    """Files of one table, of which one is open at a time: rows come in the order of the months."""

    def __init__(
        self,
        selected: _Selected,
        files: AtomicFiles | RemoteFiles,
        make: Callable[[BinaryIO, Table], _TableFile],
        format: ExportFormat,
    ) -> None:
        self._selected = selected
        self._files = files
        self._make = make
        self._format: ExportFormat = format
        self._name = ""
        self._file: _TableFile | None = None
        if selected.is_divided:
            files.replace_all(selected.file_name("*", format))

    async def write(self, month: str | None, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows of a month."""
        name = self._selected.file_name(month, self._format)
        if name != self._name:
            await self.finish()
            self._name = name
            self._file = await self._files.run(lambda: self._make(self._files.file(name), self._selected.table))
        if self._file is not None:
            await self._files.run(partial(self._file.write, rows))

    async def finish(self) -> None:
        """Write what is left, and close the file."""
        file, self._file = self._file, None
        if file is not None:
            await self._files.run(file.finish)
            await self._files.run(partial(self._files.finish, self._name))


async def _write(connection: AsyncConnection, selected: _Selected, output: _Output) -> int:
    count = 0
    try:
        async with connection.stream(selected.query) as result:
            async for rows in result.partitions(_CHUNK_ROWS):
                for month, some in selected.by_month(rows):
                    await output.write(month, some)
                count += len(rows)
        if not count:  # a file that has the columns
            await output.write(_NO_MONTH if selected.is_divided else None, [])
    finally:
        await output.finish()
    return count


def _chosen(names: Collection[str] | None) -> list[Table]:
    known = {table.name: table for stored in STORED.values() for table in stored.tables}
    named = {**known, **{name: view.table for name, view in ALL_VIEWS.items()}}
    unknown = sorted(set(names or ()) - named.keys())
    if unknown:
        raise ConfigurationError(f"there is no table {', '.join(unknown)}; tables are {', '.join(named)}")
    return [*known.values()] if names is None else [table for name, table in named.items() if name in names]


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
