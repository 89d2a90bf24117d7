"""Cursors of lists: random tokens, as opaque, long and different on each call as those of the API."""

import os
from base64 import urlsafe_b64encode
from collections import OrderedDict

_KEPT = 20_000
"""Cursors that are known at a time, which take some 12 MB at most. A client uses a cursor soon after it got it, so the
oldest one can expire when there are more."""

_HEAD, _RANDOM_BYTES = b"\x80\0\0\0\0", 132
"""The real ones seem to be Fernet tokens: 184 characters, `gAAAAA` first, and `=` last, which a query must encode."""


class Cursors:
    """Makes cursors, and remembers which place in which list each stands for."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def expire(self) -> None:
        """Refuse every cursor that was handed out so far."""
        self._places = OrderedDict()

    def make(self, listing: str, rank: int) -> str:
        """Return a cursor for what follows *rank* in the list that *listing* names; no two are equal."""
        cursor = urlsafe_b64encode(_HEAD + os.urandom(_RANDOM_BYTES)).decode()
        self._places[cursor] = (listing, rank)
        if len(self._places) > _KEPT:
            self._places.popitem(last=False)
        return cursor

    def find(self, listing: str, cursor: str) -> int | None:
        """Return the rank that a cursor stands for; None if it is no cursor of this list, or has expired."""
        known_listing, rank = self._places.get(cursor, (None, None))
        return rank if known_listing == listing else None
