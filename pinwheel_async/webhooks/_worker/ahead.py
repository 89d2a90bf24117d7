"""How much a worker claims at once: what it can handle in a moment, going by how long deliveries took lately.

So handlers that end at once cost few statements for many deliveries; and of those that take long, no more is claimed
than can begin.
"""

from pinwheel_async.webhooks._inbox.hand_over import BEGIN_WITHIN_S

AHEAD_S = BEGIN_WITHIN_S / 2
"""Seconds for which a worker claims ahead."""

MAX_AHEAD = 128
"""Accounts that are claimed at once and have no place yet, at most."""

MAX_PER_PLACE = 64
"""Deliveries of one account that one place is thought to handle in that time, at most."""


class Ahead:
    """Follows how long deliveries take, and says how many to claim."""

    def __init__(self) -> None:
        self.per_place = 1
        """Deliveries that one place can handle within `AHEAD_S`."""
        self._seconds = 0.0
        self._count = 0

    def add(self, seconds: float) -> None:
        """Note how long a delivery took."""
        self._seconds += seconds
        self._count += 1

    def limit(self, places: int, queued: int) -> int:
        """Return how many accounts to claim: 0 as long as more than half of what suffices is there.

        Args:
            places: How many deliveries can begin.
            queued: How many are there to begin.
        """
        if self._count:
            mean_s = self._seconds / self._count
            self.per_place = int(max(1.0, min(MAX_PER_PLACE, AHEAD_S / max(mean_s, 1e-6))))
            self._seconds, self._count = 0.0, 0
        enough = max(places, min(places * self.per_place, MAX_AHEAD))
        return 0 if queued > enough // 2 else enough - queued
