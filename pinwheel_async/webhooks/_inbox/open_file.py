"""Open file of an inbox: a lock that tells whether another process has it open, and a watch over what becomes of it.

The system drops the lock when a process ends. What is taken away while it is open would swallow everything without a
word.
"""

import errno
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

if sys.platform != "win32":  # pragma: no branch  # tests run where there are such locks
    import fcntl

_log = logging.getLogger("pinwheel_async.webhooks")


class OpenLock:
    """Lock of one open inbox on a file beside it: all share it, so holding it exclusively means to be alone.

    Where there are no such locks, or the file cannot be opened, nothing ever counts as alone: leases of processes that
    died then last to their end.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_exclusive(self) -> bool:
        """Take the lock; return whether it is held exclusively, in which case no other gets it before `share`.

        Where another one shares it, it is shared, after waiting for one that holds it exclusively. Does nothing, and
        returns False, if it is held already.
        """
        if sys.platform == "win32" or self._descriptor is not None:
            return False
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # flock, not POSIX locks: it belongs to the descriptor, so two inboxes in one process see each other, and
            # closing some other descriptor of the file does not drop it.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.share()
            return False
        except OSError as error:
            _log.warning(
                "the lock %s cannot be taken (%s): leases of a receiver that died last to their end",
                self._path,
                errno.errorcode.get(error.errno or 0, type(error).__name__),
            )
            return False
        return True

    def share(self) -> None:
        """Let others take the lock, too."""
        if sys.platform != "win32" and self._descriptor is not None:
            # The exclusive lock may be dropped before the shared one is had. An inbox that gets in between finds itself
            # alone, too, which does no harm: here nothing has been claimed yet.
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        """Give the lock up."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class FileWatch:
    """Files as they were when they were opened."""

    def __init__(self, path: str, companions: Sequence[str], *, least_size: int = 0) -> None:
        """Note which files they are.

        Args:
            path: The file, open.
            companions: What is behind its name in those of the files beside it that stay, or stay away, as long as it
                is open.
            least_size: Bytes that it has if nobody cuts it short.
        """
        self._path = path
        self._least_size = least_size
        self._identity = _identity(path)
        self._companions = {companion: _identity(path + companion) for companion in companions}

    def end(self) -> None:
        """Expect the file only, because it was closed."""
        self._companions = {}

    def loss(self) -> str | None:
        """Return what has become of the file; None if all is in its place.

        One of which a part was cut off is noticed here if little is left; else SQLite finds the damage when it reads
        there.
        """
        try:
            found = os.stat(self._path)  # noqa: PTH116  # before every transaction, and three times as fast
        except OSError:
            return "deleted or moved away"
        if (found.st_dev, found.st_ino) != self._identity:
            return "replaced"
        if found.st_size < self._least_size:
            return "cut short"
        for companion, identity in self._companions.items():
            if _identity(self._path + companion) != identity:
                return "parted from its log (-wal, -shm)"
        return None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # as above
    except OSError:
        return None
    return found.st_dev, found.st_ino
