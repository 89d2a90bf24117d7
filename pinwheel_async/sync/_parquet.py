"""A sink that writes one Parquet file for each kind of object."""

import os
from collections.abc import Mapping
from contextlib import ExitStack

from pinwheel_async.errors import DecodeError
from pinwheel_async.models.account import Account
from pinwheel_async.models.allocation import DirectDepositAllocations
from pinwheel_async.models.employment import Employment
from pinwheel_async.models.identity import Identity
from pinwheel_async.models.income import Income
from pinwheel_async.models.paystub import Paystub
from pinwheel_async.models.shift import Shift
from pinwheel_async.models.tax_form import TaxFormSummary
from pinwheel_async.sync._export_files import WholeFiles
from pinwheel_async.sync._parquet_columns import Columns
from pinwheel_async.sync._parquet_file import ParquetFile
from pinwheel_async.sync._sink import Batch, Kind
from pinwheel_async.sync._unstorable import unstorable

COLUMNS: Mapping[Kind, Columns] = {
    "accounts": Columns.of(Account),
    "identity": Columns.of(Identity),
    "income": Columns.of(Income),
    "employment": Columns.of(Employment),
    "direct_deposit_allocations": Columns.of(DirectDepositAllocations),
    "paystubs": Columns.of(Paystub),
    "shifts": Columns.of(Shift),
    "tax_forms": Columns.of(TaxFormSummary),
}
"""Every kind of object and its columns."""


class ParquetSink:
    """Writes `paystubs.parquet` and its like into a folder: a row for each object, a column for each of its fields.

    A file per kind, not a folder of parts: pyarrow, DuckDB, Polars, pandas and Spark read it by its name, and one
    rename replaces it as a whole. Amounts are whole minor units (int64), days are dates, moments are UTC. Lines such as
    the earnings of a paystub are a list of structs; what has no fixed form is JSON as text. Of a file only the id is
    kept: the link to it grants access to whoever has it. Every column may be null.

    While a run goes on it writes `paystubs.parquet.partial`. When the run has come to its end, the new files are made
    safe on the disk and take the place of those of an earlier run, one after the other; a run that fails or is
    cancelled leaves the earlier files as they are, and its own part beside them. Kinds of which nothing was fetched are
    not touched.

    Rows stand in order of arrival and are kept in memory for one row group of each kind at most, so an object that the
    API listed twice is there twice: take the last row of each `id`. New files can be read by their owner only.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Describe the sink; the folder is made when it is opened."""
        self._files = WholeFiles(folder)
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
            self._written[batch.kind].write([columns.row(one) for one in batch.items])
        except (ValueError, TypeError, OverflowError):
            return False
        return True

    def _finish(self) -> None:
        written, self._written = self._written, {}
        with ExitStack() as each:  # also those after one that fails
            for one in written.values():
                each.callback(one.finish)
