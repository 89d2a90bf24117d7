"""Throttle of a client: arithmetic of slots, pauses and rates. Time is an argument; nothing here waits.

The number of requests in flight follows the server: one more per round of successes, half as many when it pushes back
or when a share of the last calls failed (additive increase, multiplicative decrease). A pushback also pauses every call
for a while.
"""

from collections.abc import Callable
from typing import Protocol

from attrs import define, field

from pinwheel_async._clock import Clock
from pinwheel_async._core.retry import MAX_PAUSE_S

NOTABLE_PAUSE_S = 1.0
"""Shortest pause worth a warning: below it, a person who waits for a page does not see the difference."""

SLACK_S = 0.05
"""How far a late timer may be made good under a rate cap, so that the cap is also reached."""

RECENT_CALLS = 20
"""Calls whose first attempts are looked at together: few enough to see an outage within one round of requests."""

FAILED_SHARE = 0.5
"""Share of them that slows the client. Where one resource in twenty always fails, ten failures among twenty calls come
once in a hundred million; where the server fails as a whole, at once."""

_RECENT_BITS = (1 << RECENT_CALLS) - 1


class SharedRate(Protocol):
    """Rate that several clients share: it hands out the moments at which this one may send, such as `SharedPace`."""

    interval_s: float
    """Seconds between two requests of all clients."""

    async def open(self, clock: Clock, granted: Callable[[], None]) -> None:
        """Begin to hand out moments, and call *granted* when there are new ones."""
        ...

    async def close(self) -> None:
        """Hand out no more."""
        ...

    def take(self, now: float) -> bool:
        """Take the moment that has come, if there is one, and see to it that there are others."""
        ...

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next moment; 0 while none is known."""
        ...

    def push_back(self, pause_s: float, *, sent_s: float) -> None:
        """Let all clients wait, and be slower after that.

        Args:
            pause_s: Seconds to wait.
            sent_s: Seconds since the request was sent that was answered so. What was sent before the last time that all
                became slower says nothing new.
        """
        ...


@define(kw_only=True)
class Pace:
    """What may be sent now. One object per client, changed only by its caller and its limiter."""

    ceiling: int
    """Most requests in flight at once."""
    interval_s: float = 0.0
    """Seconds between two requests; 0 means no cap on the rate."""
    shared: SharedRate | None = None
    """Rate that is shared with other clients, instead of an interval of this one's own."""
    limit: float = field(init=False)
    """Requests that may be in flight now; only whole ones count."""
    in_flight: int = field(default=0, init=False)
    paused_until: float = field(default=float("-inf"), init=False)
    """Clock reading before which nothing is sent."""
    endpoints_paused: dict[str, float] = field(factory=dict[str, float], init=False)
    """Endpoints that asked for more than the longest pause and have not answered otherwise since, and the clock reading
    before which they are not called."""
    _due: float = field(default=float("-inf"), init=False)
    _decreased_at: float = field(default=float("-inf"), init=False)
    _announced: bool = field(default=False, init=False)
    """Whether the pause that lasts was called notable already."""
    _recent: int = field(default=0, init=False)
    """The last calls, a bit for each, set where the first attempt failed."""

    def __attrs_post_init__(self) -> None:
        self.limit = float(self.ceiling)

    def begin(self, now: float) -> bool:
        """Take a slot if one is free and nothing has to wait."""
        if self.in_flight > self.limit - 1 or now < self.paused_until or now < self._due:
            return False
        if self.shared is not None and not self.shared.take(now):
            return False
        if self.interval_s:
            self._due = max(self._due, now - SLACK_S) + self.interval_s
        self.in_flight += 1
        return True

    def end(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1

    @property
    def is_full(self) -> bool:
        """Whether no slot is free."""
        return self.in_flight > self.limit - 1

    def wait_s(self, now: float) -> float:
        """Return the seconds until pause and rate allow the next request; 0 when only slots can be missing."""
        shared_s = 0.0 if self.shared is None else self.shared.wait_s(now)
        return max(0.0, self.paused_until - now, self._due - now, shared_s)

    def turn_s(self, now: float, *, ahead: int) -> float:
        """Return the seconds until pause and rate allow a request that has *ahead* others before it."""
        interval_s = self.interval_s if self.shared is None else self.shared.interval_s
        return self.wait_s(now) + ahead * interval_s

    def paused_s(self, now: float) -> float:
        """Return the seconds until the pause of all calls ends; 0 when there is none."""
        return max(0.0, self.paused_until - now)

    def endpoint_paused_s(self, endpoint: str, now: float) -> float:
        """Return the seconds until an endpoint's own pause ends; 0 when it has none."""
        return max(0.0, self.endpoints_paused.get(endpoint, now) - now)

    def succeeded(self, endpoint: str, *, first: bool) -> None:
        """Note an answer: as many answers as there are slots make one slot more.

        Args:
            endpoint: Who answered.
            first: Whether it was the call's first attempt.
        """
        if first:
            self._recent = self._recent << 1 & _RECENT_BITS
        if self.endpoints_paused:
            self.endpoints_paused.pop(endpoint, None)
        if self.limit < self.ceiling:
            self.limit = min(float(self.ceiling), self.limit + 1 / self.limit)

    def failed(self, now: float, *, began: float, first: bool) -> bool:
        """Note a failure that says nothing of other calls: it slows the client only together with many others.

        Args:
            now: When it came.
            began: When its request was sent.
            first: Whether it was the call's first attempt; others would count one bad resource several times.

        Returns:
            Whether the client became slower.
        """
        if not first:
            return False
        self._recent = (self._recent << 1 | 1) & _RECENT_BITS
        if self._recent.bit_count() < RECENT_CALLS * FAILED_SHARE:
            return False
        self._recent = 0  # what was seen has its effect; only more failures have more
        return self._halve(now, began)

    def pushed_back(self, now: float, endpoint: str, *, began: float, pause_s: float, beyond: bool = False) -> bool:
        """Note that the server asked to slow down: pause, and halve the slots once per round trip.

        What asks for more than the longest pause is about its endpoint: it pauses every call once, and after that only
        the calls of the endpoint, until that answers otherwise.

        Args:
            now: When the answer came.
            endpoint: Who answered.
            began: When its request was sent. If that was before the last halving, it says nothing new.
            pause_s: Seconds to send nothing.
            beyond: Whether the server asked for more than the longest pause.

        Returns:
            Whether this is to be told: the pause is notable, and nothing was told of it yet.
        """
        self._halve(now, began)
        until = now + min(pause_s, MAX_PAUSE_S)
        known = self.endpoints_paused.pop(endpoint, None)
        if beyond:
            self.endpoints_paused[endpoint] = until if known is None else max(until, known)
            if known is not None:
                return False
        if now >= self.paused_until:
            self._announced = False
        self.paused_until = max(self.paused_until, until)
        notable = not self._announced and self.paused_until - now >= NOTABLE_PAUSE_S
        self._announced = self._announced or notable
        return notable

    def _halve(self, now: float, began: float) -> bool:
        if began <= self._decreased_at:
            return False
        self._decreased_at = now
        before, self.limit = self.limit, max(1.0, self.limit / 2)
        return self.limit < before
