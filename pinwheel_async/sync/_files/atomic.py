"""Atomic replacement of files: they have another name until all of them are complete and safe on the disk."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar

from pinwheel_async.errors import SinkError

T = TypeVar("T")

_State: TypeAlias = tuple[int, int, int]

_PROBLEM = "the files cannot be written"

_BUFFER_BYTES = 1 << 20
"""Bytes that are written to the system at once: many rows of CSV or JSON lines, so that few calls are made."""


class AtomicFiles:
    """New files of a folder, named `….partial` until they take their places together.

    A name may have folders in it, which are made then: before, `a/b` is called `a.b.partial`, so that who reads the
    folder `a` does not meet it.

    All work is done in one thread, in the order in which it was asked for: a disk gains nothing from more, and what
    was cancelled half-way is over before the files are closed. New files can be read by their owner only.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Describe the folder; it is made when it is opened."""
        self._folder = Path(folder).absolute()
        self._files: dict[str, BinaryIO] = {}
        self._complete: dict[str, _State] = {}
        """Files that are safe on the disk already, as they were left."""
        self._replaced: list[str] = []
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Make the folder, if it is not there.

        Raises:
            SinkError: It cannot be made.
        """
        await named(self._folder, asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pinwheel-sync-files")

    async def run(self, work: Callable[[], T]) -> T:
        """Do something in the thread.

        Raises:
            SinkError: The system refused; or the folder is not open.
        """
        if self._thread is None:
            raise SinkError("the files are not open", reason="closed")
        return await named(self._folder, asyncio.get_running_loop().run_in_executor(self._thread, work))

    def file(self, name: str) -> BinaryIO:
        """Return the new file of a name, made when it is first asked for; for use in the thread."""
        if name not in self._files:
            partial = self._partial(name)
            if partial.is_file():
                partial.unlink()  # somebody may still be writing to it
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._files[name] = os.fdopen(descriptor, "wb", buffering=_BUFFER_BYTES)
        return self._files[name]

    def finish(self, name: str) -> None:
        """Make a file safe on the disk, and close it, so that any number of files needs one at a time; in the thread.

        Raises:
            OSError: It cannot be written.
        """
        with self._files.pop(name) as file:
            self._complete[name] = _make_safe(file)

    def replace_all(self, pattern: str) -> None:
        """Let the new files take the place of all files whose names are of a pattern, not only of their namesakes.

        With them goes what an earlier run that came to no end left under such names.
        """
        self._replaced.append(pattern)

    async def close(self, *, complete: bool) -> None:
        """Make the files safe on the disk, and put them in the place of earlier ones if they are complete.

        Raises:
            SinkError: They cannot be written, or others write files of the same names: none of them has taken its
                place, unless the disk fails in that moment.
        """
        try:
            await self.run(lambda: self._finish(complete=complete))
        finally:
            thread, self._thread = self._thread, None
            if thread is not None:
                thread.shutdown()

    def _finish(self, *, complete: bool) -> None:
        files, self._files = self._files, {}
        with ExitStack() as all_closed:
            for file in files.values():
                all_closed.enter_context(file)
            left = {**self._complete, **{name: _make_safe(file) for name, file in files.items()}}
        self._complete = {}
        # After every file is safe: a power failure must not leave a new name with half of its contents.
        if complete and left:
            places = {name: self._folder / name for name in left}
            for path in places.values():
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.is_dir():  # before any of them is replaced
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not all(self._is_left(name, state) for name, state in left.items()):
                reason = "others write files of the same names meanwhile: one at a time, or into a folder each"
                raise SinkError(_PROBLEM, reason=reason, place=str(self._folder))
            for name, path in places.items():
                self._partial(name).replace(path)
            patterns = [*self._replaced, *[self._partial(pattern).name for pattern in self._replaced]]
            earlier = {path for pattern in patterns for path in self._folder.glob(pattern)}
            for path in earlier - {*places.values()}:
                path.unlink()
                with suppress(OSError):  # something else is in it
                    path.parent.rmdir()
            for folder in {self._folder, *[above for path in places.values() for above in path.parents]}:
                if folder.is_relative_to(self._folder):
                    _sync_folder(folder)

    def _is_left(self, name: str, state: _State) -> bool:
        """Whether a file that is safe is the one that it was."""
        try:
            return _state(self._partial(name).stat()) == state
        except FileNotFoundError:
            return False

    def _partial(self, name: str) -> Path:
        return self._folder / f"{name.replace('/', '.')}.partial"


def _make_safe(file: BinaryIO) -> _State:
    file.flush()
    os.fsync(file.fileno())
    return _state(os.fstat(file.fileno()))


def _state(found: os.stat_result) -> _State:
    """Return what tells a file from another one of its name; numbers of files that are gone are given again."""
    return found.st_ino, found.st_size, found.st_mtime_ns


async def named(place: object, work: Awaitable[T]) -> T:
    """Wait for work; an error of the system becomes a `SinkError` with its name and the place."""
    try:
        return await work
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
    raise SinkError(_PROBLEM, reason=reason, place=str(place))


def _sync_folder(folder: Path) -> None:
    """Make the new names safe, too: they are contents of the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
