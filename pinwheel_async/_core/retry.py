"""Retry policy and back-off: pure functions of outcome, attempt, clock and randomness."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from attrs import frozen

from pinwheel_async._core.arguments import is_number, wrong
from pinwheel_async._core.wire import Response
from pinwheel_async.errors import ConfigurationError

TOO_MANY_REQUESTS = 429
"""The status of a request that was refused and not carried out, because there were too many."""

RETRYABLE_STATUS = frozenset(
    {408, 425, TOO_MANY_REQUESTS, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530}  # 520 and on: of proxies
)
"""Statuses after which a repeatable call is tried again."""

SPREAD = 0.1
"""Part of a wait that is added to it at random, where the server named one: processes that were told to wait at one
moment do not come back at one moment. For one second that is room for a hundred of them, a millisecond each."""

MAX_PAUSE_S = 120.0
"""Longest pause of all calls, in seconds. The usual window of a rate limit is a minute: two hold a whole one, wherever
in it the refusal fell and however far the clocks are apart. A server that asks for more (an hour, a date years ahead)
means a quota of one thing or is wrong; an application that answered nobody for that long would be down itself."""

_SECONDS = re.compile(r"\d+(\.\d+)?|\.\d+", re.ASCII)

_MOST_SECONDS = 1e9
"""More than thirty years; `float` makes infinity of 400 digits, and no clock can add that."""


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how patiently a call is tried again.

    Waits have full jitter: before attempt *n + 1* a random time between 0 and `base_s * 2 ** (n - 1)`, at most
    `cap_s`. A `Retry-After` of the server is honoured whole instead, and a little more, up to a tenth.
    """

    attempts: int = 4
    """Tries in all, the first one included; 1 means no retry."""
    base_s: float = 0.5
    """Seconds; the longest wait before the second attempt."""
    cap_s: float = 20.0
    """Seconds; the longest wait between two attempts."""

    def __attrs_post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise ConfigurationError(wrong("attempts", "a whole number from 1 on", self.attempts, int))
        for name in ("base_s", "cap_s"):
            value: object = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise ConfigurationError(wrong(name, "a number of seconds from 0 on", value, float))

    def backoff_s(self, attempt: int, random: float) -> float:
        """Return the seconds to wait after attempt number *attempt* (from 1); *random* is in [0, 1)."""
        # The exponent is bounded because 2.0 ** 1024 overflows.
        return random * min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 64))

    def wait_s(self, attempt: int, random: float, *, asked_s: float | None) -> float:
        """Return the seconds to wait after attempt number *attempt* (from 1); *random* is in [0, 1).

        Args:
            attempt: Number of the attempt that ended.
            random: A number in [0, 1).
            asked_s: What the server asks to wait.
        """
        if asked_s is None:
            return self.backoff_s(attempt, random)
        spread_s = asked_s * (1 + SPREAD * random)
        if asked_s <= MAX_PAUSE_S:
            spread_s = min(spread_s, MAX_PAUSE_S)  # the call waits no longer than all others
        # "Retry-After: 0" asks for no wait, but a retry at once would meet the same trouble: it backs off, too, as does
        # any wish that is shorter than the first back-off may be.
        return max(spread_s, self.backoff_s(attempt, random)) if asked_s < self.base_s else spread_s


@frozen(kw_only=True)
class Failure:
    """An attempt that brought no reply."""

    reason: str
    """Name of the exception of the network layer and its code, or a few words."""
    sent: bool
    """Whether the server may have received the request."""
    timed_out: bool = False
    lasting: bool = False
    """Whether another attempt would end in the same way."""


def worth_repeating(outcome: Response | Failure, *, repeatable: bool) -> bool:
    """Say whether another attempt may help and cannot do harm.

    A call that makes something (not *repeatable*) is tried again only if the server cannot have received it, or refused
    it because there were too many.
    """
    if isinstance(outcome, Failure):
        return not outcome.lasting and (repeatable or not outcome.sent)
    return outcome.status == TOO_MANY_REQUESTS or (repeatable and outcome.status in RETRYABLE_STATUS)


def asks_all_to_wait(outcome: Response | Failure, asked_s: float | None) -> bool:
    """Say whether an outcome is pushback: the server asks every caller to slow down.

    Any other failure may be the fault of one resource, even a 503 where the server names no wait.

    Args:
        outcome: What came of an attempt.
        asked_s: What the server asks to wait, in seconds.
    """
    if isinstance(outcome, Failure):
        return False
    return outcome.status == TOO_MANY_REQUESTS or (outcome.status == 503 and bool(asked_s))


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header, in seconds (also parts of them) or as an HTTP date.

    Returns:
        Seconds from *now*, never negative; None when the header is absent, unreadable or a date that has passed.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _MOST_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return seconds.total_seconds() if seconds.total_seconds() > 0 else None
