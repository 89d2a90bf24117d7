"""Throttle of logins: an address that sends many wrong tokens has to wait."""

import time
from collections.abc import Callable
from math import ceil

MAX_WRONG = 10
"""Wrong tokens in one period; people who mistype need fewer. With random tokens of 16 characters nobody guesses one
anyway: the throttle keeps weak ones from being tried out, and the audit log from being flooded."""

PERIOD_S = 60.0

MAX_ADDRESSES = 1_000
"""Addresses that are remembered; of more, the one that came first is forgotten. Some 100 bytes each."""


class LoginThrottle:
    """Counts wrong tokens by address, in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, tuple[float, int]] = {}
        """When the period of an address began, and how many wrong tokens it has sent since."""

    def wait_s(self, address: str | None) -> int:
        """Return how many seconds an address has to wait; 0 if it may try."""
        began, count = self._wrong.get(_key(address), (0.0, 0))
        left_s = began + PERIOD_S - self._clock()
        return ceil(left_s) if count >= MAX_WRONG and left_s > 0 else 0

    def note_wrong(self, address: str | None) -> None:
        """Count a wrong token."""
        key, now = _key(address), self._clock()
        began, count = self._wrong.pop(key, (now, 0))
        self._wrong[key] = (began, count + 1) if now - began < PERIOD_S else (now, 1)
        if len(self._wrong) > MAX_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]


def _key(address: str | None) -> str:
    """Return what stands for one sender: of IPv6 the network, as each has all the addresses in it."""
    given = address or ""
    return ":".join(given.split(":")[:4]) if given.count(":") > 1 and not given.startswith("::") else given
