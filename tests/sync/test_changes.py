"""When a product that was read before is read again."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pinwheel_async.products import Product
from pinwheel_async.sync import Mark
from pinwheel_async.sync._changes import Rule
from pinwheel_async.sync._reading import Reading, Unit
from pinwheel_async.sync._sink import Reached

MOVED = datetime(2026, 1, 1, tzinfo=UTC)
BEGUN = datetime(2026, 1, 2, tzinfo=UTC)
FRESH = Rule(recheck_before=BEGUN)
STALE = Rule(recheck_before=BEGUN + timedelta(microseconds=1))


def reading(
    product: Product = "paystubs",
    *,
    reached: Reached = "complete",
    moved: datetime | None = MOVED,
    moved_then: datetime | None = MOVED,
    items: int = 1,
    from_day: date | None = None,
    from_day_then: date | None = None,
) -> Reading:
    mark = Mark(begun_at=BEGUN, reached=reached, data_updated_at=moved_then, from_day=from_day_then, items=items)
    return Reading(unit=Unit("account", product), data_updated_at=moved, from_day=from_day, mark=mark)


@pytest.mark.parametrize("rule", [FRESH, STALE])
@pytest.mark.parametrize("reached", ["complete", "missing"])
def test_what_did_not_move(rule: Rule, reached: Reached):
    """What did not move is not read again, however old its reading is."""
    assert not rule.is_due(reading(reached=reached))


@pytest.mark.parametrize("reached", ["complete", "missing"])
@pytest.mark.parametrize("moved_then", [None, MOVED - timedelta(1), MOVED + timedelta(1)])
def test_what_moved(reached: Reached, moved_then: datetime | None):
    """What has another moment than when it was read is read again, be it a later or an earlier one."""
    assert FRESH.is_due(reading(reached=reached, moved_then=moved_then))


def test_what_was_never_read():
    """What was never read is read."""
    assert FRESH.is_due(Reading(unit=Unit("account", "income"), data_updated_at=MOVED))


def test_what_was_not_read_to_its_end():
    """A reading that did not come to its end goes on, though nothing moved."""
    assert FRESH.is_due(reading(reached="reading"))


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
    assert FRESH.is_due(reading(from_day=now, from_day_then=then)) is due


@pytest.mark.parametrize(("rule", "due"), [(FRESH, False), (STALE, True)])
def test_tax_forms(rule: Rule, *, due: bool):
    """Tax forms, which have no moment, are read again after a while, also if there were none."""
    forms = [
        reading("tax_forms", moved=None, moved_then=None, items=1),
        reading("tax_forms", moved=None, moved_then=None, items=0),
        reading("tax_forms", moved=None, moved_then=None, reached="missing"),
    ]

    assert [due] * 3 == [rule.is_due(one) for one in forms]


@pytest.mark.parametrize(("rule", "due"), [(FRESH, False), (STALE, True)])
def test_data_without_a_moment(rule: Rule, *, due: bool):
    """Data of which the API does not say when it changed is read again after a while."""
    assert rule.is_due(reading(moved=None, moved_then=None)) is due
    assert rule.is_due(reading(moved=None)) is due


@pytest.mark.parametrize("rule", [FRESH, STALE])
def test_no_data_and_no_moment(rule: Rule):
    """Where there was no data, none is looked for until there is a moment."""
    assert not rule.is_due(reading(moved=None, moved_then=None, reached="missing", items=0))
    assert not rule.is_due(reading(moved=None, moved_then=None, items=0))
    assert rule.is_due(reading(moved_then=None, reached="missing", items=0))
    assert rule.is_due(reading(moved_then=None, items=0))


def test_readings_that_do_not_count():
    """Where everything is read again, only readings count that began since then."""
    mark = reading().mark

    assert Rule(recheck_before=BEGUN).counting(mark) is mark
    assert Rule(recheck_before=BEGUN, forget_before=BEGUN).counting(mark) is mark
    assert Rule(recheck_before=BEGUN, forget_before=BEGUN + timedelta(microseconds=1)).counting(mark) is None
    assert Rule(recheck_before=BEGUN, forget_before=BEGUN).counting(None) is None
