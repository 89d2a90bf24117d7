"""Private folder in the temporary folder of this machine, which a later one removes if its process was killed."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

PREFIX = "pinwheel-export-"
_LOCK = "lock"
"""File that the process has a lock on for as long as it lives, whatever ends it."""


class PrivateFolder:
    """Folder that only its owner can read, removed when it is closed, or by the next one if it never is.

    What was exported must not lie about for ever because the system ran out of memory.
    """

    def __init__(self) -> None:
        """Make it, and remove those of processes that were killed.

        Raises:
            OSError: It cannot be made.
        """
        self._temporary = TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        folder = Path(self._temporary.name)
        self.path = folder / "files"
        """Where the files are."""
        making = folder / "locking"
        self._lock: BinaryIO = making.open("wb")
        with suppress(OSError):  # a file system without locks; then nobody removes it after this process
            _lock(self._lock.fileno())
            making.rename(folder / _LOCK)  # not before it is locked, or it would look abandoned
        for abandoned in _abandoned(folder):
            rmtree(abandoned, ignore_errors=True)

    def close(self) -> None:
        """Remove it with all that is in it."""
        self._temporary.cleanup()
        self._lock.close()


def _lock(descriptor: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _abandoned(mine: Path) -> Iterator[Path]:
    """Yield the folders whose process is gone; where there are no such locks, none, as nobody could tell."""
    if sys.platform == "win32":
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is just being made or removed, or its process lives
            found = folder.lstat()
            if folder == mine or found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
                continue
            descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_NOFOLLOW)
            try:
                _lock(descriptor)
                yield folder
            finally:
                os.close(descriptor)
