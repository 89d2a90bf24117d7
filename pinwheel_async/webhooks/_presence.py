"""Who has an inbox open: known by a lock that ends with its process, however that ends."""

import os
import sys
from contextlib import suppress

if sys.platform != "win32":  # pragma: no branch  # tests run where there are such locks
    import fcntl


class Presence:
    """One opener of an inbox. All share a lock on a file beside it; who gets that lock alone is the only one alive.

    Where there are no such locks nobody is ever known to be alone.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def enter(self) -> bool:
        """Be there; return whether nobody else is, in which case nobody else enters before `stay`.

        May wait for another one that has entered and not stayed yet. Who is there already is not alone.
        """
        if sys.platform == "win32" or self._descriptor is not None:
            return False
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.stay()
            return False
        except OSError:
            return False
        return True

    def stay(self) -> None:
        """Let others enter."""
        if sys.platform != "win32" and self._descriptor is not None:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Be there no more."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
