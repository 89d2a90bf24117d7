"""When to try again, and how long to wait before: pure functions of outcome, attempt, clock and randomness."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from attrs import field, frozen
from attrs.validators import ge

from pinwheel_async._core.wire import Response

RETRYABLE_STATUS = frozenset({429, 500, 502, 503, 504})
"""Statuses after which a repeatable call is tried again."""

PUSHBACK_STATUS = frozenset({429, 503})
"""Statuses by which the server asks every caller to slow down."""


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how patiently a call is tried again.

    Waits have full jitter: before attempt *n + 1* a random time between 0 and `base_s * 2 ** (n - 1)`, at most
    `cap_s`. A `Retry-After` of the server is honoured whole instead.
    """

    attempts: int = field(default=4, validator=ge(1))
    """Tries in all, the first one included; 1 means no retry."""
    base_s: float = field(default=0.5, validator=ge(0))
    """Seconds; the longest wait before the second attempt."""
    cap_s: float = field(default=20.0, validator=ge(0))
    """Seconds; the longest wait between two attempts."""

    def backoff_s(self, attempt: int, random: float) -> float:
        """Return the seconds to wait after attempt number *attempt* (from 1); *random* is in [0, 1)."""
        # The exponent is bounded because 2.0 ** 1024 overflows.
        return random * min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 64))


@frozen(kw_only=True)
class Failure:
    """An attempt that brought no reply."""

    reason: str
    """Name of the exception of the network layer, or a few words."""
    sent: bool
    """Whether the server may have received the request."""
    timed_out: bool = False
    lasting: bool = False
    """Whether another attempt would end in the same way."""


def worth_repeating(outcome: Response | Failure, *, repeatable: bool) -> bool:
    """Say whether another attempt may help and cannot do harm.

    A call that makes something (not *repeatable*) is tried again only if the server cannot have received it.
    """
    if isinstance(outcome, Failure):
        return not outcome.lasting and (repeatable or not outcome.sent)
    return repeatable and outcome.status in RETRYABLE_STATUS


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header, in seconds or as an HTTP date.

    Returns:
        Seconds from *now*, never negative; None when the header is absent, unreadable or a date that has passed.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return seconds.total_seconds() if seconds.total_seconds() > 0 else None
