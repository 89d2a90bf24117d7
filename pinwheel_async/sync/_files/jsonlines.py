"""JSON lines sink: writes a file for each kind of object."""

import os

from pinwheel_async._core.converter import encode
from pinwheel_async.sync._files.atomic import AtomicFiles
from pinwheel_async.sync._sink import Batch, without_link


class JsonLinesSink:
    """Writes `paystubs.jsonl` and its like into a folder, an object per line, every field of it, in order of arrival.

    While a run goes on it writes `paystubs.jsonl.partial`. When the run has come to its end, the new files are made
    safe on the disk and take the place of those of an earlier run, one after the other; a run that fails or is
    cancelled leaves the earlier files as they are, and its own part beside them. Accounts that failed are not in the
    new files: look at the report before you use them. Kinds of which nothing was fetched are not touched.

    An object that the API listed twice is there twice: take the last line of each `id`. Signed links to files are left
    out, because they grant access without a secret and are dead within minutes. New files can be read by their owner
    only.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Describe the sink.

        Args:
            folder: Where to write the files; it is made when the sink is opened.
        """
        self._files = AtomicFiles(folder)

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
        lines = b"".join([encode(without_link(item), nulls=True) + b"\n" for item in batch.items])
        await self._files.run(lambda: self._files.file(f"{batch.kind}.jsonl").write(lines))

    async def close(self, *, complete: bool) -> None:
        """Make the files safe on the disk, and put them in the place of earlier ones if the run is complete.

        Raises:
            SinkError: They cannot be written.
        """
        await self._files.close(complete=complete)
