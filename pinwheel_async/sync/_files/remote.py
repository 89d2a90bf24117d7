"""Files of an object store: written into a temporary folder here, and put there as a whole when all are complete."""

import asyncio
import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from pinwheel_async.errors import ConfigurationError, SinkError
from pinwheel_async.sync._files.atomic import AtomicFiles, named
from pinwheel_async.sync._files.private_folder import PrivateFolder

T = TypeVar("T")


def files_of(folder: str | os.PathLike[str]) -> "AtomicFiles | RemoteFiles":
    """Return the new files of a folder of this machine, or of a store that a URL names.

    Raises:
        ConfigurationError: There is no such store.
    """
    if not isinstance(folder, str) or "://" not in folder:
        return AtomicFiles(folder)
    url = urlsplit(folder)
    return AtomicFiles(unquote(url.path)) if url.scheme == "file" else RemoteFiles(folder)


class RemoteFiles:
    """New files of a folder that a URL names, whatever store it is of that fsspec knows.

    No store can be trusted to forget a file of which only the beginning came, and few can replace several at once: so
    nothing is sent before everything is written, and then each file is put by one call of the store. Meanwhile they are
    in the temporary folder of this machine, in one of their own that nobody else can read.
    """

    def __init__(self, url: str) -> None:
        """Describe the folder; nothing is sent.

        Raises:
            ConfigurationError: fsspec, or what it needs for such URLs, is not installed; or there are none such.
        """
        self._place = _place(url)
        self._store, root = _store_of(url)
        self._root: str = root.rstrip("/")
        self._replaced: list[str] = []
        self._temporary: PrivateFolder | None = None
        self._files: AtomicFiles | None = None

    async def open(self) -> None:
        """Make the temporary folder.

        Raises:
            SinkError: It cannot be made.
        """
        self._temporary = await named("the temporary folder", asyncio.to_thread(PrivateFolder))
        self._files = AtomicFiles(self._temporary.path)
        await self._files.open()

    async def run(self, work: Callable[[], T]) -> T:
        """Do something in the thread that writes the files.

        Raises:
            SinkError: The system refused; or the folder is not open.
        """
        return await self._opened().run(work)

    def file(self, name: str) -> BinaryIO:
        """Return the new file of a name, made when it is first asked for; for use in the thread."""
        return self._opened().file(name)

    def finish(self, name: str) -> None:
        """Close a file, so that any number of files needs one at a time; in the thread.

        Raises:
            OSError: It cannot be written.
        """
        self._opened().finish(name)

    def replace_all(self, pattern: str) -> None:
        """Let the new files take the place of all files whose names are of a pattern, not only of their namesakes."""
        self._replaced.append(pattern)

    async def close(self, *, complete: bool) -> None:
        """Put the files where they belong if they are complete, and remove the temporary folder.

        Raises:
            SinkError: They could not be written here, and nothing was sent; or the store did not take one, and those
                before it are there.
        """
        files, self._files = self._opened(), None
        temporary, self._temporary = self._temporary, None
        try:
            await files.close(complete=complete)
            if complete and temporary is not None:
                await self._put_all(temporary.path)
        finally:
            if temporary is not None:
                await asyncio.to_thread(temporary.close)

    async def _put_all(self, folder: Path) -> None:
        try:
            await asyncio.to_thread(self._put, folder)
        except Exception as error:  # noqa: BLE001  # each store has errors of its own, which may show what is secret
            reason = type(error).__name__
        else:
            return
        raise SinkError("the files cannot be written", reason=reason, place=self._place)

    def _put(self, folder: Path) -> None:
        new = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        # Looked up before: what fails then has changed nothing.
        earlier = {name for pattern in self._replaced for name in self._matching(pattern)}
        for name, path in new.items():
            self._store.put_file(str(path), f"{self._root}/{name}")
        for name in sorted(earlier - {*new}):
            self._store.rm_file(f"{self._root}/{name}")

    def _matching(self, pattern: str) -> Iterator[str]:
        """Yield the names that are there and of a pattern; not by the store's patterns, which the root may be."""
        self._store.invalidate_cache()
        depth = len(self._root.strip("/"))
        for found in self._store.find(f"{self._root}/{pattern.partition('/')[0]}"):
            name = found.lstrip("/")[depth:].lstrip("/")
            if fnmatchcase(name, pattern):
                yield name

    def _opened(self) -> AtomicFiles:
        if self._files is None:
            raise SinkError("the files are not open", reason="closed")
        return self._files


def _store_of(url: str) -> tuple[Any, str]:
    """Return the store of a URL, and the path in it.

    Raises:
        ConfigurationError: There is none.
    """
    scheme = urlsplit(url).scheme
    try:
        import fsspec  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        if error.name != "fsspec":
            raise
        problem = f"{scheme}:// needs fsspec, and what fsspec needs for it: pip install 'pinwheel-async[fsspec]'"
        raise ConfigurationError(problem) from None
    library: Any = fsspec
    try:
        store, path = library.url_to_fs(url)
    except ImportError as error:
        problem = f"{scheme}:// needs another package: {error}"
    except Exception as error:  # noqa: BLE001  # each store has errors of its own, which may show what is secret
        problem = f"{scheme}:// cannot be used: {type(error).__name__}"
    else:
        return store, path
    raise ConfigurationError(problem)


def _place(url: str) -> str:
    """Return a URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
