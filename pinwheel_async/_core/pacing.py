"""How fast a client may send: arithmetic of slots, pauses and rates. Time is an argument; nothing here waits.

The number of requests in flight follows the server: one more per round of successes, half as many when it pushes back
(additive increase, multiplicative decrease). A pushback also pauses everything for a while.
"""

from attrs import define, field

MAX_PAUSE_S = 3600.0
"""Longest pause that one answer can cause: a wrong `Retry-After` date must not silence a client for years."""

SLACK_S = 0.05
"""How far a late timer may be made good under a rate cap, so that the cap is also reached."""


@define(kw_only=True)
class Pace:
    """What may be sent now. One object per client, changed only by its gate."""

    ceiling: int
    """Most requests in flight at once."""
    interval_s: float = 0.0
    """Seconds between two requests; 0 means no cap on the rate."""
    limit: float = field(init=False)
    """Requests that may be in flight now; only whole ones count."""
    in_flight: int = field(default=0, init=False)
    paused_until: float = field(default=float("-inf"), init=False)
    """Clock reading before which nothing is sent."""
    _due: float = field(default=float("-inf"), init=False)
    _decreased_at: float = field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self.limit = float(self.ceiling)

    def begin(self, now: float) -> bool:
        """Take a slot if one is free and nothing has to wait."""
        if self.in_flight > self.limit - 1 or now < self.paused_until or now < self._due:
            return False
        if self.interval_s:
            self._due = max(self._due, now - SLACK_S) + self.interval_s
        self.in_flight += 1
        return True

    def end(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1

    def wait_s(self, now: float) -> float:
        """Return the seconds until pause and rate allow the next request; 0 when only slots can be missing."""
        return max(0.0, self.paused_until - now, self._due - now)

    def paused_s(self, now: float) -> float:
        """Return the seconds until the pause ends; 0 when there is none."""
        return max(0.0, self.paused_until - now)

    def succeeded(self) -> None:
        """Note an answer: as many answers as there are slots make one slot more."""
        if self.limit < self.ceiling:
            self.limit = min(float(self.ceiling), self.limit + 1 / self.limit)

    def pushed_back(self, now: float, *, began: float, pause_s: float) -> bool:
        """Note that the server asked to slow down: pause, and halve the slots once per round trip.

        Args:
            now: When the answer came.
            began: When its request was sent. If that was before the last halving, it says nothing new.
            pause_s: Seconds to send nothing.

        Returns:
            Whether this began a pause, rather than falling into one.
        """
        if began > self._decreased_at:
            self.limit = max(1.0, self.limit / 2)
            self._decreased_at = now
        fresh = pause_s > 0 and now >= self.paused_until
        self.paused_until = max(self.paused_until, now + min(pause_s, MAX_PAUSE_S))
        return fresh
