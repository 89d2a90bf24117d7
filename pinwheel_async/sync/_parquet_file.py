"""A Parquet file that is written row group by row group."""

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from pinwheel_async.sync._parquet_arrow import arrow, parquet

_GROUP_ROWS = 4_096
_GROUP_BYTES = 8 << 20


class ParquetFile:
    """Gathers rows until they are worth a row group; that is all it keeps in memory."""

    def __init__(self, file: BinaryIO, schema: Any) -> None:
        """Begin the file; whoever opened it closes it."""
        self._schema = schema
        self._writer: Any = parquet.ParquetWriter(file, schema)
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; none of them, if one cannot be kept.

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
