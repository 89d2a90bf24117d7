"""A sink that writes one file of JSON lines for each kind of object."""

import os

from pinwheel_async._core.convert import encode
from pinwheel_async.sync._export_files import WholeFiles
from pinwheel_async.sync._sink import Batch, without_link


class JsonLinesSink:
    """Writes `paystubs.jsonl` and its like into a folder, one object per line, every field of it, in order of arrival.

    While a run goes on it writes `paystubs.jsonl.partial`. When the run has come to its end, the new files are made
    safe on the disk and take the place of those of an earlier run, one after the other; a run that fails or is
    cancelled leaves the earlier files as they are, and its own part beside them. Kinds of which nothing was fetched are
    not touched.

    An object that the API listed twice is there twice: take the last line of each `id`. Signed links to files are left
    out, because they grant access to whoever has them and are dead within minutes. New files can be read by their owner
    only.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Describe the sink; the folder is made when it is opened."""
        self._files = WholeFiles(folder)

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
        """
        lines = b"".join([encode(without_link(one), nulls=True) + b"\n" for one in batch.items])
        await self._files.run(lambda: self._files.file(f"{batch.kind}.jsonl").write(lines))

    async def close(self, *, complete: bool) -> None:
        """Make the files safe on the disk, and put them in the place of earlier ones if the run is complete.

        Raises:
            SinkError: They cannot be written.
        """
        await self._files.close(complete=complete)
