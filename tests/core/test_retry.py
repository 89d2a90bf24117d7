"""When to try again, and how long to wait before."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from pinwheel_async._core.retry import Failure, RetryPolicy, retry_after_s, worth_repeating
from pinwheel_async._core.wire import Response

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RETRYABLE = (429, 500, 502, 503, 504)


def answer(status: int) -> Response:
    return Response(status=status, headers={}, body=b"")


@pytest.mark.parametrize("status", RETRYABLE)
def test_repeatable_call_retries(status: int) -> None:
    """A repeatable call is tried again after the statuses that may pass."""
    assert worth_repeating(answer(status), repeatable=True)


@pytest.mark.parametrize("status", RETRYABLE)
def test_creating_call_never_retries_a_status(status: int) -> None:
    """A call that makes something is not tried again after any status: it may have been carried out."""
    assert not worth_repeating(answer(status), repeatable=False)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 405, 409, 418, 422, 501, 505])
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
        ("-5", None),
        ("1.5", None),
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

    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"base_s": -1.0}, {"cap_s": -0.1}])
def test_policy_refuses(wrong: dict[str, float]) -> None:
    """A policy that makes no sense cannot be built."""
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # a table
