"""State of handlers between attempts, as it is stored with the delivery."""

import functools
import statistics
from random import Random

import pytest
from hypothesis import given, strategies as st

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.events import Event
from pinwheel_async.webhooks import Router
from pinwheel_async.webhooks._inbox.base import only_handlers
from pinwheel_async.webhooks._worker.dispatch import HandlerFailure, HandlerRun
from pinwheel_async.webhooks._worker.retries import HandlerRetries, handler_keys
from pinwheel_async.webhooks._worker.worker import DEFAULT_RETRY

POLICY = RetryPolicy(attempts=3, base_s=8.0)
HASTY = RetryPolicy(attempts=4, base_s=1.0)


async def first(event: Event) -> None: ...


async def second(event: Event) -> None: ...


async def third(event: Event) -> None: ...


def keys(*functions, retry=None):
    router = Router()
    for number, function in enumerate(functions):
        router.on(Event, retry=HASTY if number == 0 else retry)(function)
    return handler_keys(router.handlers())


HANDLERS = keys(first, second, third)
OUTCOMES = st.lists(st.lists(st.sampled_from(["return", "fail"]), min_size=3, max_size=3), max_size=6)


def attempt(retries, outcomes, random):
    """Let the handlers that are due return or fail."""
    run = HandlerRun()
    for handler, outcome in zip(HANDLERS.values(), outcomes, strict=True):
        if handler in retries.skip:
            continue
        if outcome == "return":
            run.returned += (handler,)
        else:
            run.failures += (HandlerFailure(handler=handler, reason="ValueError"),)
    return retries.record(run, default=POLICY, random=random)


@given(OUTCOMES, st.floats(0, 0.999))
def test_it_makes_no_difference_where_the_next_attempt_is_made(all_outcomes, random):
    """State that was stored and read between attempts leads to the same handlers and waits as state in memory."""
    kept, stored = HandlerRetries(HANDLERS), HandlerRetries(HANDLERS)
    for outcomes in all_outcomes:
        waits = [attempt(kept, outcomes, random), attempt(stored, outcomes, random)]
        stored = HandlerRetries(HANDLERS, stored.dump())

        assert waits[0] == pytest.approx(waits[1], abs=0.01)
        assert (kept.skip, kept.given_up, kept.returned) == (stored.skip, stored.given_up, stored.returned)


@pytest.mark.parametrize(
    "stored",
    [b"", b"{", b"\xff", b"[]", b"7", b'{"%s": 7}', b'{"%s": {"attempts": "x"}}', b'{"%s": {"returned": 0}}'],
)
def test_what_is_not_understood(stored):
    """What cannot be read counts as not stored."""
    retries = HandlerRetries(HANDLERS, stored.replace(b"%s", next(iter(HANDLERS)).encode()))

    assert (frozenset(), {}) == (retries.skip, retries.given_up)


def test_handlers_of_another_process():
    """During a deploy, what handlers that are not here have done is kept for the process that has them."""
    theirs = HandlerRetries(HANDLERS)
    attempt(theirs, ["return", "fail", "fail"], 0)
    ours = HandlerRetries(keys(third), theirs.dump())
    later = HandlerRetries(HANDLERS, ours.dump())

    assert (set(), theirs.returned) == (ours.returned, later.returned)


def test_keys_of_handlers():
    """A key names module and function, and of several registrations with the same name, which one."""
    partial = functools.partial(first)

    assert [f"{__name__}.first", f"{__name__}.first#2", "functools.partial"] == list(keys(first, first, partial))


def test_only_what_has_returned_outlives_a_death():
    """After a reset the handlers that failed have all their attempts again, and those that returned have returned."""
    retries = HandlerRetries(HANDLERS)
    for _ in range(4):
        attempt(retries, ["return", "fail", "fail"], 0.5)
    retries.reset()
    again = HandlerRetries(HANDLERS, retries.dump())

    assert {HANDLERS[f"{__name__}.first"]} == again.skip == again.returned
    assert b"attempts" not in retries.dump()


def duration_h(random):
    """Return the hours from the first attempt of a handler to its last one."""
    retries, waits_s = HandlerRetries(HANDLERS), []
    (handler,) = [handler for handler in HANDLERS.values() if handler.retry is None][:1]
    failed = HandlerRun(failures=(HandlerFailure(handler=handler, reason="ValueError"),))
    while (wait_s := retries.record(failed, default=DEFAULT_RETRY, random=random())) is not None:
        waits_s.append(wait_s)
    assert DEFAULT_RETRY.attempts - 1 == len(waits_s)
    return sum(waits_s) / 3600


def test_attempts_last_an_evening():
    """How long the attempts take is as the manual says: minimum, first hundredth and tenth, median, maximum."""
    rng = Random(4711)
    hundredths = statistics.quantiles([duration_h(rng.random) for _ in range(4000)], n=100)
    shortest, longest = duration_h(lambda: 0.0), duration_h(lambda: 1.0)

    assert [3.7, 4.1, 4.7] == [round(hundredths[percent - 1], 1) for percent in (1, 10, 50)]
    assert (3.1, 6.3) == (round(shortest, 1), round(longest, 1))


@given(OUTCOMES, st.floats(0, 0.999), st.booleans())
def test_a_replay_by_some_handlers(all_outcomes, random, is_revived):
    """Of what is replayed by named handlers the others take no part, in any attempt, nor after a revival."""
    retries = HandlerRetries(HANDLERS, only_handlers(["second", "unknown"]))
    for outcomes in all_outcomes:
        attempt(retries, outcomes, random)
        if is_revived:
            retries.reset()
        retries = HandlerRetries(HANDLERS, retries.dump())
    by_name = {handler.name: handler for handler in HANDLERS.values()}

    assert {by_name["first"], by_name["third"]} <= retries.skip
    assert (by_name["second"] in retries.skip) <= bool(all_outcomes)
    assert ["unknown"] == retries.missing
