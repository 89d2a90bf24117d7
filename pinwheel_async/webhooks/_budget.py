"""Budget of memory that bodies share while they are read and stored."""


class ByteBudget:
    """Bytes that may be in memory at once."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, count: int) -> bool:
        """Take so many, and return True; return False if there are not so many left."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def give(self, count: int) -> None:
        """Give so many back."""
        self._left += count
