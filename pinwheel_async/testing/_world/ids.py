"""Ids and randomness of a made-up world: both follow from its seed, and an account's id leads back to its number."""

from hashlib import blake2b
from random import Random

_INDEX_MASK_NAME = "index mask"


class Ids:
    """Makes ids that look like random UUIDs and are the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._key = blake2b(b"pinwheel_async testing %d" % seed, digest_size=32).digest()
        self._mask = int(self._digest(_INDEX_MASK_NAME, ())[:8], 16)

    def make(self, kind: str, *numbers: int) -> str:
        """Return the id of the thing of that kind with those numbers."""
        return _uuid(self._digest(kind, numbers))

    def account(self, index: int) -> str:
        """Return the id of an account; its first eight digits hold the number of the account, masked."""
        return _uuid(f"{index ^ self._mask:08x}{self._digest('account', (index,))[8:]}")

    def index(self, account_id: str) -> int | None:
        """Return the number of an account; None if no account of this seed can have the id."""
        try:
            index = int(account_id[:8], 16) ^ self._mask
        except ValueError:
            return None
        return index if self.account(index) == account_id else None

    def random(self, kind: str, *numbers: int) -> Random:
        """Return the source of every made-up choice about the thing of that kind with those numbers."""
        return Random(int(self._digest(kind, numbers)[:16], 16))  # noqa: S311  # made-up data, not a secret

    def _digest(self, kind: str, numbers: tuple[int, ...]) -> str:
        return blake2b(f"{kind}{numbers}".encode(), key=self._key, digest_size=16).hexdigest()


def _uuid(digits: str) -> str:
    """Write 32 hex digits in the form of a UUID of version 4."""
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
