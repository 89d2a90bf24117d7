"""Ids that a run has seen, in as much memory for a million of them as for a hundred."""

from collections.abc import Iterable
from mmap import mmap

_BITS = 2**27
"""Bits, each of which stands for every id with its hash: 16 MB, of which only the pages that are used are taken. Of a
million accounts 7 in 1,000 share theirs with another one, and are not missed then: by the next run, whose hashes are
others, they are."""


class SeenIds:
    """A set of ids that may hold some more than were added, and never fewer."""

    def __init__(self) -> None:
        self._bits = mmap(-1, _BITS // 8)

    def update(self, ids: Iterable[str]) -> None:
        """Add ids."""
        for account_id in ids:
            at, bit = divmod(hash(account_id) % _BITS, 8)
            self._bits[at] |= 1 << bit

    def __contains__(self, account_id: str) -> bool:
        """Whether an id was added, or one that shares its bit."""
        at, bit = divmod(hash(account_id) % _BITS, 8)
        return bool(self._bits[at] & 1 << bit)
