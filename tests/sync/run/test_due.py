"""Refresh rule: when a product that was read before is due again."""

from datetime import UTC, date, datetime, timedelta

import attrs
import pytest

from pinwheel_async.products import Product
from pinwheel_async.sync import Checkpoint
from pinwheel_async.sync._run.due import RefreshRule
from pinwheel_async.sync._run.reading import Reading, Unit
from pinwheel_async.sync._sink import Reached

MOVED = datetime(2026, 1, 1, tzinfo=UTC)
BEGUN = datetime(2026, 1, 2, tzinfo=UTC)
FRESH = RefreshRule(recheck_before=BEGUN)
STALE = RefreshRule(recheck_before=BEGUN + timedelta(microseconds=1))


def is_due(rule: RefreshRule, reading: Reading, now: datetime = BEGUN) -> bool:
    return rule.is_due(
        reading.unit,
        reading.checkpoint,
        data_updated_at=reading.data_updated_at,
        from_day=reading.from_day,
        now=now,
    )


def reading(
    product: Product = "paystubs",
    *,
    reached: Reached = "complete",
    moved: datetime | None = MOVED,
    moved_then: datetime | None = MOVED,
    items: int = 1,
    from_day: date | None = None,
    from_day_then: date | None = None,
    misses: int = 0,
) -> Reading:
    checkpoint = Checkpoint(
        begun_at=BEGUN, reached=reached, data_updated_at=moved_then, from_day=from_day_then, items=items, misses=misses
    )
    return Reading(unit=Unit("account", product), data_updated_at=moved, from_day=from_day, checkpoint=checkpoint)


@pytest.mark.parametrize("rule", [FRESH, STALE])
@pytest.mark.parametrize("reached", ["complete", "missing"])
def test_what_did_not_move(rule: RefreshRule, reached: Reached):
    """What did not move is not read again, however old its reading is."""
    assert not is_due(rule, reading(reached=reached))


@pytest.mark.parametrize("reached", ["complete", "missing"])
@pytest.mark.parametrize("moved_then", [None, MOVED - timedelta(1), MOVED + timedelta(1)])
def test_what_moved(reached: Reached, moved_then: datetime | None):
    """What has another moment than when it was read is read again, be it a later or an earlier one."""
    assert is_due(FRESH, reading(reached=reached, moved_then=moved_then))


def test_what_was_never_read():
    """What was never read is read."""
    assert is_due(FRESH, Reading(unit=Unit("account", "income"), data_updated_at=MOVED))


def test_what_was_not_read_to_its_end():
    """A reading that did not come to its end goes on, though nothing moved."""
    assert is_due(FRESH, reading(reached="reading"))


@pytest.mark.parametrize(
    ("then", "now", "due"),
    [
        (None, None, False),
        (None, date(2026, 1, 1), False),
        (date(2026, 1, 1), date(2026, 1, 1), False),
        (date(2026, 1, 1), date(2026, 1, 2), False),
        (date(2026, 1, 2), date(2026, 1, 1), True),
        (date(2026, 1, 1), None, True),
    ],
)
def test_windows(then: date | None, now: date | None, *, due: bool):
    """Days that the copy does not hold are a reason to read; days that it holds beyond those wanted are none."""
    assert is_due(FRESH, reading(from_day=now, from_day_then=then)) is due


@pytest.mark.parametrize(("rule", "due"), [(FRESH, False), (STALE, True)])
def test_tax_forms(rule: RefreshRule, *, due: bool):
    """Tax forms, which have no moment, are read again after a while, also if there were none."""
    forms = [
        reading("tax_forms", moved=None, moved_then=None, items=1),
        reading("tax_forms", moved=None, moved_then=None, items=0),
        reading("tax_forms", moved=None, moved_then=None, reached="missing"),
    ]

    assert [due] * 3 == [is_due(rule, form) for form in forms]


@pytest.mark.parametrize(("rule", "due"), [(FRESH, False), (STALE, True)])
def test_data_without_a_moment(rule: RefreshRule, *, due: bool):
    """Data of which the API does not say when it changed is read again after a while."""
    assert is_due(rule, reading(moved=None, moved_then=None)) is due
    assert is_due(rule, reading(moved=None)) is due


@pytest.mark.parametrize("rule", [FRESH, STALE])
def test_no_data_and_no_moment(rule: RefreshRule):
    """Where there was no data, none is looked for until there is a moment."""
    assert not is_due(rule, reading(moved=None, moved_then=None, reached="missing", items=0))
    assert not is_due(rule, reading(moved=None, moved_then=None, items=0))
    assert is_due(rule, reading(moved_then=None, reached="missing", items=0))
    assert is_due(rule, reading(moved_then=None, items=0))


def test_readings_that_do_not_count():
    """Where everything is read again, only readings count that began since then."""
    checkpoint = reading().checkpoint

    assert RefreshRule(recheck_before=BEGUN).valid(checkpoint, BEGUN) is checkpoint
    assert RefreshRule(recheck_before=BEGUN, forget_before=BEGUN).valid(checkpoint, BEGUN) is checkpoint
    later = BEGUN + timedelta(microseconds=1)
    assert RefreshRule(recheck_before=BEGUN, forget_before=later).valid(checkpoint, BEGUN) is None
    assert RefreshRule(recheck_before=BEGUN, forget_before=BEGUN).valid(None, BEGUN) is None


@pytest.mark.parametrize(
    ("misses", "pause"),
    [
        (1, timedelta(0)),
        (2, timedelta(minutes=1)),
        (3, timedelta(minutes=4)),
        (7, timedelta(minutes=1024)),
        (8, timedelta(days=1)),
        (1_000, timedelta(days=1)),
    ],
)
@pytest.mark.parametrize("moved", [MOVED, None])
def test_contradictions(misses: int, pause: timedelta, moved: datetime | None):
    """A 404 that contradicts what is said is asked for again by the next run, and then less and less often."""
    contradicted = reading(reached="missing", moved=moved, misses=misses, items=0)

    assert is_due(FRESH, contradicted, BEGUN + pause)
    assert not is_due(FRESH, contradicted, BEGUN + pause - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("ahead", "counts"), [(timedelta(minutes=10), True), (timedelta(minutes=10, seconds=1), False)]
)
def test_readings_from_the_future(ahead: timedelta, *, counts: bool):
    """A reading that began in the future does not count, unless it is by so little that clocks may differ."""
    checkpoint = reading().checkpoint

    assert FRESH.valid(checkpoint, BEGUN - ahead) is (checkpoint if counts else None)


def test_tax_forms_of_many_accounts():
    """Tax forms that were read at the same time are read again in several nights."""
    forms = [
        attrs.evolve(reading("tax_forms", moved=None, moved_then=None), unit=Unit(f"account {number}", "tax_forms"))
        for number in range(1_000)
    ]
    week, due = timedelta(days=7), list[int]()
    for night in (6, 7, 8):
        now = BEGUN + timedelta(days=night, seconds=1)
        rule = RefreshRule(recheck_before=now - week, spread=week / 7)
        due.append(sum(is_due(rule, form) for form in forms))

    assert (due[0], due[2]) == (0, 1_000)
    assert 400 < due[1] < 600
