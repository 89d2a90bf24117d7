"""The arithmetic of slots, pauses and rates."""

import pytest
from hypothesis import given, strategies as st

from pinwheel_async._core.pacing import MAX_PAUSE_S, Pace


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
    pace.pushed_back(1, began=0, pause_s=0)

    assert pace.limit == 32


def test_pushback_of_one_round_counts_once() -> None:
    """Requests that began before the last halving do not halve again."""
    pace = Pace(ceiling=64)
    for _ in range(64):
        pace.pushed_back(1, began=0, pause_s=0)

    assert pace.limit == 32


def test_pushback_of_next_round_counts() -> None:
    """A request that began after the last halving halves again."""
    pace = Pace(ceiling=64)
    pace.pushed_back(1, began=0, pause_s=0)
    pace.pushed_back(3, began=2, pause_s=0)

    assert pace.limit == 16


def test_never_below_one() -> None:
    """However often the server pushes back, one request may be in flight."""
    pace = Pace(ceiling=64)
    for at in range(100):
        pace.pushed_back(at + 0.5, began=at, pause_s=0)

    assert pace.limit == 1
    assert pace.begin(200)


def test_half_a_slot_is_none() -> None:
    """Only whole slots count."""
    pace = Pace(ceiling=3)
    pace.pushed_back(1, began=0, pause_s=0)

    assert pace.limit == 1.5
    assert [True, False] == [pace.begin(2), pace.begin(2)]


def test_one_slot_more_per_round() -> None:
    """About as many successes as there are slots make one slot more."""
    pace = Pace(ceiling=64)
    pace.pushed_back(1, began=0, pause_s=0)
    for _ in range(33):
        pace.succeeded()

    assert 33 <= pace.limit < 33.1


def test_ramps_up_to_ceiling_only() -> None:
    """Successes bring the slots back to the ceiling and not above."""
    pace = Pace(ceiling=4)
    pace.pushed_back(1, began=0, pause_s=0)
    for _ in range(100):
        pace.succeeded()

    assert pace.limit == 4


def test_pause_stops_everything() -> None:
    """Nothing begins before the pause ends, and then it does."""
    pace = Pace(ceiling=4)
    pace.pushed_back(10, began=9, pause_s=5)

    assert not pace.begin(14.9)
    assert pace.paused_s(14) == 1
    assert pace.begin(15)


def test_pause_never_shrinks() -> None:
    """A shorter pause does not end a longer one."""
    pace = Pace(ceiling=4)
    pace.pushed_back(10, began=9, pause_s=5)
    pace.pushed_back(10, began=9, pause_s=1)

    assert pace.paused_until == 15


def test_pause_is_new_once() -> None:
    """Only the pushback that begins a pause says so."""
    pace = Pace(ceiling=4)

    said = [pace.pushed_back(at, began=0, pause_s=5) for at in (10, 11, 15, 21)]

    assert said == [True, False, False, True]


def test_pause_is_bounded() -> None:
    """One wrong answer cannot silence the client for more than an hour."""
    pace = Pace(ceiling=4)
    pace.pushed_back(0, began=0, pause_s=1e9)

    assert pace.paused_s(0) == MAX_PAUSE_S


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

    assert all(sum(at <= one < at + 1 for one in begun) <= 11 for at in begun)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=200), st.integers(1, 100))
def test_limit_stays_in_bounds(steps: list[tuple[bool, float]], ceiling: int) -> None:
    """Whatever happens, the limit is between one and the ceiling."""
    pace = Pace(ceiling=ceiling)
    now = 0.0
    for success, gap in steps:
        now += gap
        if success:
            pace.succeeded()
        else:
            pace.pushed_back(now, began=now - gap / 2, pause_s=gap)

        assert 1 <= pace.limit <= ceiling
