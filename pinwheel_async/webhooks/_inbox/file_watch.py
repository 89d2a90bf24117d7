"""Watch over an open SQLite file and its log: what is taken away would swallow everything without a word."""

import os
from collections.abc import Sequence


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
