"""Parquet file of a table, for `export`; apart from it, because it needs an extra."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, BinaryIO

from sqlalchemy import Boolean, Column, Date, Double, Integer, Table
from sqlalchemy.types import TypeEngine

from pinwheel_async.sync._files.arrow import arrow
from pinwheel_async.sync._files.parquet_file import ParquetFile
from pinwheel_async.sync._sql.types import Moment

_TYPES: tuple[tuple[type[TypeEngine[Any]], Any], ...] = (
    (Boolean, arrow.bool_()),
    (Integer, arrow.int64()),
    (Double, arrow.float64()),
    (Date, arrow.date32()),
    (Moment, arrow.timestamp("us", tz="UTC")),
)
"""The columns that are not text: JSON is, and so are decimal numbers, which may have any number of digits."""


class ParquetTable:
    """Writes rows of a table."""

    def __init__(self, file: BinaryIO, table: Table) -> None:
        """Begin the file; closing it is left to the caller."""
        self._names = [column.name for column in table.columns]
        schema = arrow.schema([(column.name, _type_of(column)) for column in table.columns])
        self._file = ParquetFile(file, schema)

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows.

        Raises:
            OSError: The file cannot be written.
        """
        self._file.write([dict(zip(self._names, map(_value, row), strict=True)) for row in rows])

    def finish(self) -> None:
        """Write what is left.

        Raises:
            OSError: The file cannot be written.
        """
        self._file.finish()


def _type_of(column: Column[Any]) -> Any:
    return next((found for kind, found in _TYPES if isinstance(column.type, kind)), arrow.string())


def _value(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
