"""Parquet file: written row group by row group, so that its size takes no memory."""

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from pinwheel_async.sync._files.arrow import arrow, parquet

_GROUP_ROWS = 4_096
"""Rows of a row group. Readers take a group at a time, and compression works within it: few rows make both costly."""

_GROUP_BYTES = 8 << 20
"""Bytes that end a row group before, because this much is in memory, for each kind of object."""


class ParquetFile:
    """Gathers rows until they are worth a row group; that is all it keeps in memory."""

    def __init__(self, file: BinaryIO, schema: Any) -> None:
        """Begin the file; closing it is left to the caller."""
        self._schema = schema
        # Where the default is snappy, files of payroll data would be two thirds larger.
        self._writer: Any = parquet.ParquetWriter(file, schema, compression="zstd")
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; none of them, if any cannot be kept.

        Raises:
            ValueError, TypeError, OverflowError: A value is not of the type of its column.
            OSError: The file cannot be written.
        """
        batch = arrow.RecordBatch.from_pylist(rows, schema=self._schema)
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Write what is left, and the end of the file.

        Raises:
            OSError: The file cannot be written.
        """
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        batches, self._batches = self._batches, []
        self._rows = self._bytes = 0
        if batches:
            self._writer.write_table(arrow.Table.from_batches(batches).combine_chunks())
