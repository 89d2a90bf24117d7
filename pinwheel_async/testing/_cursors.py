"""Cursors as the API hands them out: opaque, long, different on each call, and worthless elsewhere.

A cursor has the outer form of a Fernet token, as the real ones seem to have. It holds the place in one list, hidden and
signed with a key of its own; whatever is not from here, or from another list, is refused.
"""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from hashlib import blake2b, shake_128

_HEAD, _NONCE, _HIDDEN, _SIGNATURE = 9, 16, 80, 32
_LENGTH = _HEAD + _NONCE + _HIDDEN + _SIGNATURE
_RANK = 8


class CursorRefusedError(ValueError):
    """The cursor is not from here, is from another list, or has expired."""


class Cursors:
    """Makes cursors and reads them back."""

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def expire(self) -> None:
        """Make every cursor that was handed out so far worthless."""
        self._key = os.urandom(32)

    def make(self, listing: str, rank: int, now: datetime) -> str:
        """Return a cursor for what follows *rank* in the list that *listing* names; no two are equal."""
        head = b"\x80" + int(now.timestamp()).to_bytes(8, "big")
        nonce = os.urandom(_NONCE)
        place = rank.to_bytes(_RANK, "big", signed=True) + _fingerprint(listing) + bytes(_HIDDEN - _RANK - 16)
        token = head + nonce + self._hide(nonce, place)
        return urlsafe_b64encode(token + self._sign(token)).decode()

    def read(self, listing: str, cursor: str) -> int:
        """Return the rank that a cursor of this list holds.

        Raises:
            CursorRefusedError: It is no valid cursor of this list.
        """
        try:
            raw = urlsafe_b64decode(cursor)
        except ValueError:
            raise CursorRefusedError from None
        token, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
        if len(raw) != _LENGTH or not hmac.compare_digest(signature, self._sign(token)):
            raise CursorRefusedError
        place = self._hide(token[_HEAD : _HEAD + _NONCE], token[_HEAD + _NONCE :])
        if place[_RANK : _RANK + 16] != _fingerprint(listing):
            raise CursorRefusedError
        return int.from_bytes(place[:_RANK], "big", signed=True)

    def _hide(self, nonce: bytes, text: bytes) -> bytes:
        """Mix *text* with a stream of bytes that only this key and nonce give; doing it twice undoes it."""
        stream = shake_128(self._key + nonce).digest(_HIDDEN)
        return (int.from_bytes(text, "big") ^ int.from_bytes(stream, "big")).to_bytes(_HIDDEN, "big")

    def _sign(self, token: bytes) -> bytes:
        return blake2b(token, key=self._key, digest_size=_SIGNATURE).digest()


def _fingerprint(listing: str) -> bytes:
    return blake2b(listing.encode("utf-8", "surrogatepass"), digest_size=16).digest()
