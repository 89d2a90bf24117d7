"""Limiter arithmetic: slots, pauses and rates."""

import pytest
from hypothesis import given, strategies as st

from pinwheel_async._core.retry import MAX_PAUSE_S
from pinwheel_async._http.throttle import RECENT_CALLS, Pace

GET, OTHER = "GET /v1/a", "GET /v1/b"


def test_slots_up_to_ceiling() -> None:
    """As many requests as the ceiling says may be in flight, and no more."""
    pace = Pace(ceiling=3)

    assert [True, True, True, False] == [pace.begin(0) for _ in range(4)]


def test_slot_comes_back() -> None:
    """A slot that was given back can be taken again."""
    pace = Pace(ceiling=1)
    pace.begin(0)
    pace.end()

    assert pace.begin(0)


def test_pushback_halves() -> None:
    """A pushback halves the slots."""
    pace = Pace(ceiling=64)
    pace.pushed_back(1, GET, began=0, pause_s=0)

    assert pace.limit == 32


def test_pushback_of_one_round_counts_once() -> None:
    """Requests that began before the last halving do not halve again."""
    pace = Pace(ceiling=64)
    for _ in range(64):
        pace.pushed_back(1, GET, began=0, pause_s=0)

    assert pace.limit == 32


def test_pushback_of_next_round_counts() -> None:
    """A request that began after the last halving halves again."""
    pace = Pace(ceiling=64)
    pace.pushed_back(1, GET, began=0, pause_s=0)
    pace.pushed_back(3, GET, began=2, pause_s=0)

    assert pace.limit == 16


def test_never_below_one() -> None:
    """However often the server pushes back, one request may be in flight."""
    pace = Pace(ceiling=64)
    for at in range(100):
        pace.pushed_back(at + 0.5, GET, began=at, pause_s=0)

    assert pace.limit == 1
    assert pace.begin(200)


def test_half_a_slot_is_none() -> None:
    """Only whole slots count."""
    pace = Pace(ceiling=3)
    pace.pushed_back(1, GET, began=0, pause_s=0)

    assert pace.limit == 1.5
    assert [True, False] == [pace.begin(2), pace.begin(2)]


def test_one_slot_more_per_round() -> None:
    """About as many successes as there are slots make one slot more."""
    pace = Pace(ceiling=64)
    pace.pushed_back(1, GET, began=0, pause_s=0)
    for _ in range(33):
        pace.succeeded(GET, first=True)

    assert 33 <= pace.limit < 33.1


def test_ramps_up_to_ceiling_only() -> None:
    """Successes bring the slots back to the ceiling and not above."""
    pace = Pace(ceiling=4)
    pace.pushed_back(1, GET, began=0, pause_s=0)
    for _ in range(100):
        pace.succeeded(GET, first=True)

    assert pace.limit == 4


def test_pause_stops_everything() -> None:
    """Nothing begins before the pause ends, and then it does."""
    pace = Pace(ceiling=4)
    pace.pushed_back(10, GET, began=9, pause_s=5)

    assert not pace.begin(14.9)
    assert pace.paused_s(14) == 1
    assert pace.begin(15)


def test_pause_never_shrinks() -> None:
    """A shorter pause does not end a longer one."""
    pace = Pace(ceiling=4)
    pace.pushed_back(10, GET, began=9, pause_s=5)
    pace.pushed_back(10, GET, began=9, pause_s=1)

    assert pace.paused_until == 15


def test_pause_is_new_once() -> None:
    """Only the pushback that begins a pause says so."""
    pace = Pace(ceiling=4)

    said = [pace.pushed_back(at, GET, began=0, pause_s=5) for at in (10, 11, 15, 21)]

    assert said == [True, False, False, True]


def test_short_pause_is_not_told() -> None:
    """A pause of less than a second is not worth a word."""
    pace = Pace(ceiling=4)

    assert [False, True] == [
        pace.pushed_back(at, GET, began=0, pause_s=pause_s) for at, pause_s in ((10, 0.9), (20, 1))
    ]


def test_short_pause_that_becomes_long() -> None:
    """A pause that was too short to be told is told, once, when it becomes long."""
    pace = Pace(ceiling=4)

    said = [pace.pushed_back(10, GET, began=0, pause_s=pause_s) for pause_s in (0.5, 30, 40)]

    assert said == [False, True, False]


def test_pause_is_bounded() -> None:
    """One wrong answer cannot silence a client for more than two minutes."""
    pace = Pace(ceiling=4)
    pace.pushed_back(0, GET, began=0, pause_s=1e9)

    assert pace.paused_s(0) == MAX_PAUSE_S == 120


def test_far_wish_pauses_all_once() -> None:
    """An endpoint that asks for more than the longest pause again and again stops the others once, and then itself."""
    pace = Pace(ceiling=4)
    pace.pushed_back(0, GET, began=0, pause_s=120, beyond=True)
    pace.pushed_back(121, GET, began=120, pause_s=120, beyond=True)

    assert pace.paused_s(121) == 0
    assert (pace.endpoint_paused_s(GET, 122), pace.endpoint_paused_s(OTHER, 122)) == (119, 0)


@pytest.mark.parametrize("how", ["success", "short wish"])
def test_far_wish_is_forgotten(how: str) -> None:
    """An endpoint that asked for too much is like any other as soon as it answers otherwise."""
    pace = Pace(ceiling=4)
    pace.pushed_back(0, GET, began=0, pause_s=120, beyond=True)
    if how == "success":
        pace.succeeded(GET, first=False)
    else:
        pace.pushed_back(121, GET, began=120, pause_s=1)

    assert pace.endpoint_paused_s(GET, 1) == 0


def test_success_of_another_endpoint() -> None:
    """What one endpoint answers ends no pause of another."""
    pace = Pace(ceiling=4)
    pace.pushed_back(0, GET, began=0, pause_s=120, beyond=True)
    pace.succeeded(OTHER, first=True)

    assert pace.endpoint_paused_s(GET, 1) == 119


@pytest.mark.parametrize("every", [3, 20, 100])
def test_few_failures_do_not_slow(every: int) -> None:
    """Where a part of the calls fails for ever, less than half, the others keep their slots."""
    pace = Pace(ceiling=64)
    for at in range(1000):
        if at % every:
            pace.succeeded(OTHER, first=True)
        else:
            pace.failed(at + 0.5, began=at, first=True)

    assert pace.limit == 64


def test_many_failures_slow() -> None:
    """Where half of the last calls failed, half as many may be in flight; nothing pauses."""
    pace = Pace(ceiling=64)
    for at in range(RECENT_CALLS):
        if at % 2:
            slowed = pace.failed(at + 0.5, began=at, first=True)
        else:
            pace.succeeded(OTHER, first=True)

    assert slowed
    assert (pace.limit, pace.paused_s(RECENT_CALLS)) == (32, 0)


def test_failures_of_long_ago() -> None:
    """Only the last calls count: failures before them are forgotten."""
    pace = Pace(ceiling=64)
    for at in range(RECENT_CALLS // 2 - 1):
        pace.failed(at + 0.5, began=at, first=True)
    for _ in range(RECENT_CALLS):
        pace.succeeded(OTHER, first=True)

    assert not pace.failed(101, began=100, first=True)


def test_repeated_attempts_do_not_count() -> None:
    """However often one call is tried, it is one failure."""
    pace = Pace(ceiling=64)
    slowed = [pace.failed(at + 0.5, began=at, first=at == 0) for at in range(100)]

    assert not any(slowed)


def test_success_of_a_repetition_hides_no_failure() -> None:
    """Calls that succeed only when they are repeated are failures all the same."""
    pace = Pace(ceiling=64)
    for at in range(RECENT_CALLS // 2):
        slowed = pace.failed(at + 0.5, began=at, first=True)
        pace.succeeded(GET, first=False)

    assert slowed


def test_failures_of_one_round_count_once() -> None:
    """Failures of requests that were in flight together halve once."""
    pace = Pace(ceiling=64)
    for _ in range(64):
        pace.failed(1, began=0, first=True)

    assert pace.limit == 32


def test_slowest_is_not_told() -> None:
    """A client that cannot become slower does not say that it did."""
    pace = Pace(ceiling=1)

    assert not any(pace.failed(at + 0.5, began=at, first=True) for at in range(100))


def test_turn_in_a_line() -> None:
    """The turn of a call comes after the pause and an interval for each call before it."""
    pace = Pace(ceiling=4, interval_s=0.5)
    pace.pushed_back(10, GET, began=9, pause_s=5)

    assert pace.turn_s(11, ahead=3) == 4 + 1.5


def test_rate_cap_spaces_requests() -> None:
    """Under a cap, a request has to wait for its interval."""
    pace = Pace(ceiling=64, interval_s=0.5)

    begun = [at for at in (0, 0.1, 0.4, 0.5, 0.6, 1.0) if pace.begin(at)]

    assert begun[0] == 0
    assert pace.wait_s(1.0) == pytest.approx(0.4, abs=0.06)
    assert len(begun) == 3


@given(st.lists(st.floats(0, 0.3), min_size=50, max_size=300))
def test_rate_cap_holds_in_every_second(gaps: list[float]) -> None:
    """In no second do more requests begin than the cap and its small slack allow."""
    pace = Pace(ceiling=10_000, interval_s=0.1)
    now, begun = 0.0, []
    for gap in gaps:
        now += gap
        while pace.begin(now):
            begun.append(now)

    assert all(sum(at <= other < at + 1 for other in begun) <= 11 for at in begun)


_STEPS = st.tuples(st.sampled_from(["success", "failure", "pushback", "far"]), st.floats(0, 1000))


@given(st.lists(_STEPS, max_size=200), st.integers(1, 100))
def test_limit_stays_in_bounds(steps: list[tuple[str, float]], ceiling: int) -> None:
    """Whatever happens, the limit is between one and the ceiling, and no pause is longer than the longest."""
    pace = Pace(ceiling=ceiling)
    now = 0.0
    for what, gap in steps:
        now += gap
        if what == "success":
            pace.succeeded(GET, first=True)
        elif what == "failure":
            pace.failed(now, began=now - gap / 2, first=True)
        else:
            pace.pushed_back(now, GET, began=now - gap / 2, pause_s=gap, beyond=what == "far")

        assert 1 <= pace.limit <= ceiling
        assert max(pace.paused_s(now), pace.endpoint_paused_s(GET, now)) <= MAX_PAUSE_S + 1e-9
