"""Retry policy: when a call is tried again, and its back-off."""

from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from hypothesis import given, strategies as st

from pinwheel_async._core.retry import (
    MAX_PAUSE_S,
    SPREAD,
    Failure,
    RetryPolicy,
    asks_all_to_wait,
    retry_after_s,
    worth_repeating,
)
from pinwheel_async._core.wire import Response
from pinwheel_async.errors import ConfigurationError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RETRYABLE = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530)


def answer(status: int) -> Response:
    return Response(status=status, headers={}, body=b"")


@pytest.mark.parametrize("status", RETRYABLE)
def test_repeatable_call_retries(status: int) -> None:
    """A repeatable call is tried again after the statuses that may pass."""
    assert worth_repeating(answer(status), repeatable=True)


@pytest.mark.parametrize("status", [status for status in RETRYABLE if status != 429])
def test_creating_call_is_not_repeated(status: int) -> None:
    """A call that makes something is not tried again after a status by which it may have been carried out."""
    assert not worth_repeating(answer(status), repeatable=False)


@pytest.mark.parametrize("repeatable", [True, False])
def test_refused_call_is_repeated(repeatable: bool) -> None:
    """A call that was refused because there were too many was not carried out, and is tried again whatever it does."""
    assert worth_repeating(answer(429), repeatable=repeatable)


@pytest.mark.parametrize(
    ("outcome", "asked_s", "expected"),
    [
        (answer(429), None, True),
        (answer(429), 0.0, True),
        (answer(503), 0.2, True),
        (answer(503), 0.0, False),
        (answer(503), None, False),
        *[(answer(status), 30.0, False) for status in RETRYABLE if status not in {429, 503}],
        (Failure(reason="ClientOSError", sent=True), None, False),
    ],
)
def test_pushback(outcome: Response | Failure, asked_s: float | None, expected: bool) -> None:
    """Only too many requests, and a service that names a wait, concern every caller."""
    assert expected is asks_all_to_wait(outcome, asked_s)


@pytest.mark.parametrize(
    "status", [301, 307, 400, 401, 403, 404, 405, 409, 418, 422, 501, 505, 519, 525, 526, 527, 528, 531]
)
def test_lasting_status_is_final(status: int) -> None:
    """A status that will not pass ends the call."""
    assert not worth_repeating(answer(status), repeatable=True)


@pytest.mark.parametrize(
    ("repeatable", "sent", "expected"),
    [(True, True, True), (True, False, True), (False, False, True), (False, True, False)],
)
def test_failures(repeatable: bool, sent: bool, expected: bool) -> None:
    """Without a reply, only what may have arrived and makes something is not tried again."""
    failure = Failure(reason="ClientOSError", sent=sent)

    assert expected is worth_repeating(failure, repeatable=repeatable)


def test_lasting_failure_is_final() -> None:
    """A failure that would come again ends the call."""
    assert not worth_repeating(Failure(reason="reply too large", sent=True, lasting=True), repeatable=True)


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 20.0), (5000, 20.0)])
def test_backoff_doubles_up_to_cap(attempt: int, longest: float) -> None:
    """The longest wait doubles with every attempt, up to the cap."""
    assert longest == RetryPolicy().backoff_s(attempt, 1.0)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_is_bounded(attempt: int, random: float) -> None:
    """No wait is negative or longer than the cap."""
    assert 0 <= RetryPolicy().backoff_s(attempt, random) <= RetryPolicy().cap_s


def test_backoff_has_full_jitter() -> None:
    """A wait may be anything from nothing to the longest."""
    assert [0.0, 0.25, 0.5] == [RetryPolicy().backoff_s(1, luck) for luck in (0.0, 0.5, 1.0)]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thursday, 01-Jan-26 00:01:00 GMT", 60.0),
        ("Thu Jan  1 00:00:05 2026", 5.0),
        ("Thu, 01 Jan 2026 01:00:30 +0100", 30.0),
        ("Wed, 31 Dec 2025 23:59:59 GMT", None),
        (None, None),
        ("", None),
        ("soon", None),
        ("0.2", 0.2),
        ("1.5", 1.5),
        ("007", 7.0),
        (".5", 0.5),
        ("0.0", 0.0),
        ("1234", 1234.0),
        ("1" + "0" * 400, 1e9),
        ("1" * 8000 + "." + "1" * 8000, 1e9),
        ("0." + "3" * 8000, pytest.approx(1 / 3)),
        ("-5", None),
        ("-0.5", None),
        ("+5", None),
        ("1.", None),
        ("1.5.5", None),
        ("1,5", None),
        ("1e3", None),
        ("0x10", None),
        ("1_000", None),
        ("5 s", None),
        ("5, 10", None),
        ("NaN", None),
        ("inf", None),
        ("Infinity", None),
        ("٣", None),
        ("Thu, 99 Jan 2026 00:00:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """`Retry-After` is read as seconds or as a date; anything else counts as absent."""
    assert seconds == retry_after_s(value, NOW)


@given(st.text())
def test_retry_after_survives_anything(value: str) -> None:
    """No text makes reading `Retry-After` fail or go negative."""
    seconds = retry_after_s(value, NOW)

    assert seconds is None or 0 <= seconds < inf


@given(st.from_regex(r"[0-9]{0,30}(\.[0-9]{1,30})?", fullmatch=True))
def test_seconds_that_are_read(value: str) -> None:
    """Every decimal number is read as such, up to a bound."""
    assert retry_after_s(value, NOW) == (min(float(value), 1e9) if value else None)


@given(st.floats(0, 1e9), st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_wish_is_honoured(asked_s: float, attempt: int, random: float) -> None:
    """No wait is shorter than the server asks for, and a wish of some length is exceeded by a tenth at most."""
    policy = RetryPolicy()
    wait_s = policy.wait_s(attempt, random, asked_s=asked_s)

    assert wait_s >= asked_s
    assert wait_s <= asked_s * (1 + SPREAD) or asked_s < policy.base_s


def test_spread_ends_with_the_longest_pause() -> None:
    """A wish that all calls wait for is spread up to the longest pause and no further."""
    assert [120.0, 118.8] == pytest.approx([RetryPolicy().wait_s(1, 1.0, asked_s=asked_s) for asked_s in (119, 108)])


@pytest.mark.parametrize(
    ("later", "seconds"), [(timedelta(0), None), (timedelta(seconds=-0.5), 0.5), (timedelta(seconds=-1), 1.0)]
)
def test_a_date_that_is_close(later: timedelta, seconds: float | None) -> None:
    """A date counts for what is left until it, to the part of a second; one that is over counts for nothing."""
    assert seconds == retry_after_s("Thu, 01 Jan 2026 00:00:00 GMT", NOW + later)


def test_longest_pause_is_not_spread() -> None:
    """A wish for exactly the longest pause is one that all calls wait for."""
    assert [MAX_PAUSE_S] * 2 == [RetryPolicy().wait_s(1, luck, asked_s=MAX_PAUSE_S) for luck in (0.0, 1.0)]


@pytest.mark.parametrize("asked_s", [0.0, 0.001, 0.1])
def test_tiny_wish_backs_off(asked_s: float) -> None:
    """A wish for next to no wait is not taken at its word: that would repeat the call at once."""
    policy = RetryPolicy()

    assert policy.wait_s(3, 0.5, asked_s=asked_s) == policy.backoff_s(3, 0.5) == 1.0


def test_waits_are_spread() -> None:
    """Callers that were told the same wait at one moment come back at several."""
    waits = {RetryPolicy().wait_s(1, luck / 100, asked_s=30) for luck in range(100)}

    assert len(waits) == 100


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"base_s": -1.0}, {"cap_s": -0.1}])
def test_policy_refuses(wrong: dict[str, float]) -> None:
    """A policy that makes no sense cannot be built."""
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # a table


@pytest.mark.parametrize(
    "wrong",
    [
        *[{"attempts": value} for value in (0, -1, 2.5, "5", None, True)],
        *[{name: value} for name in ("base_s", "cap_s") for value in (-1, float("nan"), "5", None, True)],
    ],
)
def test_policy_refused(wrong):
    """A policy that cannot work is refused as a setting, by name."""
    (value,) = wrong.values()
    usual = int if "attempts" in wrong else float
    given = "" if type(value) is usual else f", not {type(value).__name__}"

    with pytest.raises(ConfigurationError, match=f"^{next(iter(wrong))} must be a .* from [01] on{given}$"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize("name", ["base_s", "cap_s"])
def test_policy_without_waits(name):
    """A policy may have no waits at all."""
    assert 0 == RetryPolicy(**{name: 0}).backoff_s(3, 0.9)
