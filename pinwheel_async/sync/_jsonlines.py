"""A sink that writes one file of JSON lines for each kind of object."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from pinwheel_async._core.convert import encode
from pinwheel_async.errors import SinkError
from pinwheel_async.sync._sink import Batch, Kind, without_link

T = TypeVar("T")

_BUFFER_BYTES = 1 << 20


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
        self._folder = Path(folder)
        self._files: dict[Kind, BinaryIO] = {}
        # One write at a time, also into different files: a disk gains nothing from more.
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Make the folder, if it is not there.

        Raises:
            SinkError: It cannot be made.
        """
        await self._in_thread(lambda: self._folder.mkdir(parents=True, exist_ok=True))

    async def write(self, batch: Batch) -> None:
        """Write a page; it is safe when the sink is closed.

        Raises:
            SinkError: It cannot be written.
        """
        lines = b"".join([encode(without_link(one), nulls=True) + b"\n" for one in batch.items])
        async with self._turn:
            await self._in_thread(lambda: self._append(batch.kind, lines))

    async def close(self, *, complete: bool) -> None:
        """Make the files safe on the disk, and put them in the place of earlier ones if the run is complete.

        Raises:
            SinkError: They cannot be written.
        """
        files, self._files = self._files, {}
        async with self._turn:
            await self._in_thread(lambda: self._finish(files, complete=complete))

    def _append(self, kind: Kind, lines: bytes) -> None:
        file = self._files.get(kind)
        if file is None:
            file = self._files[kind] = _create(self._partial(kind))
        file.write(lines)

    def _finish(self, files: dict[Kind, BinaryIO], *, complete: bool) -> None:
        for file in files.values():
            with file:
                file.flush()
                os.fsync(file.fileno())
        if complete and files:
            for kind in files:
                self._partial(kind).replace(self._folder / f"{kind}.jsonl")
            _sync_folder(self._folder)

    def _partial(self, kind: Kind) -> Path:
        return self._folder / f"{kind}.jsonl.partial"

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise SinkError("the files cannot be written", reason=reason)


def _create(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb", buffering=_BUFFER_BYTES)


def _sync_folder(folder: Path) -> None:
    """Make the new names safe, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
