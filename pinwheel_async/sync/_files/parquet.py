"""Parquet sink: writes a file for each kind of object."""

import os
from collections.abc import Mapping
from contextlib import ExitStack

from pinwheel_async.errors import DecodeError
from pinwheel_async.sync._columns import MODELS, unstorable
from pinwheel_async.sync._files.atomic import AtomicFiles
from pinwheel_async.sync._files.parquet_columns import Columns
from pinwheel_async.sync._files.parquet_file import ParquetFile
from pinwheel_async.sync._sink import Batch, Kind

COLUMNS: Mapping[Kind, Columns] = {kind: Columns.of(model) for kind, model in MODELS.items()}
"""Every kind of object and its columns."""


class ParquetSink:
    """Writes `paystubs.parquet` and its like into a folder: a row for each object, a column for each of its fields.

    A file per kind, not a folder of parts: pyarrow, DuckDB, Polars, pandas and Spark read it by its name, and one
    rename replaces it as a whole. Amounts are whole minor units (int64), days are dates, moments are UTC. Lines such as
    the earnings of a paystub are a list of structs; what has no fixed form is JSON as text. Of a file only the id is
    kept: the link to it grants access without a secret. Every column may be null.

    While a run goes on it writes `paystubs.parquet.partial`; the new files take the place of those of an earlier run as
    with `JsonLinesSink`, when the run has come to its end.

    Rows stand in order of arrival and are kept in memory for one row group of each kind at most, so an object that the
    API listed twice is there twice: take the last row of each `id`. New files can be read by their owner only.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Describe the sink.

        Args:
            folder: Where to write the files; it is made when the sink is opened.
        """
        self._files = AtomicFiles(folder)
        self._written: dict[Kind, ParquetFile] = {}

    async def open(self) -> None:
        """Make the folder, if it is not there.

        Raises:
            SinkError: It cannot be made.
        """
        await self._files.open()

    async def write(self, batch: Batch) -> None:
        """Write a page; it is safe when the sink is closed.

        Raises:
            SinkError: It cannot be written.
            DecodeError: It holds what no Parquet file can: a number beyond 64 bits, or half a character.
        """
        if not await self._files.run(lambda: self._write(batch)):
            paths = unstorable(batch) or ("data: not of the types of its fields",)
            raise DecodeError(where=batch.kind, paths=paths)

    async def close(self, *, complete: bool) -> None:
        """Make the files safe on the disk, and put them in the place of earlier ones if the run is complete.

        Raises:
            SinkError: They cannot be written.
        """
        finished = False
        try:
            await self._files.run(self._finish)
            finished = True
        finally:
            await self._files.close(complete=complete and finished)

    def _write(self, batch: Batch) -> bool:
        """Write a page; return whether it can be kept. What Arrow says about it may hold values."""
        columns = COLUMNS[batch.kind]
        if batch.kind not in self._written:
            file = self._files.file(f"{batch.kind}.parquet")
            self._written[batch.kind] = ParquetFile(file, columns.schema())
        try:
            self._written[batch.kind].write([columns.row(item) for item in batch.items])
        except (ValueError, TypeError, OverflowError):
            return False
        return True

    def _finish(self) -> None:
        written, self._written = self._written, {}
        with ExitStack() as all_finished:  # a file that fails does not keep the others from it
            for file in written.values():
                all_finished.callback(file.finish)
