"""Where a reading that was interrupted is gone on with."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pinwheel_async.sync import Checkpoint
from pinwheel_async.sync._run.reading import Reading, Unit

BEGUN = datetime(2026, 1, 2, tzinfo=UTC)
MOVED = datetime(2026, 1, 1, tzinfo=UTC)


def reading(*, moved: datetime | None = MOVED, **fields: Any) -> Reading:
    checkpoint = Checkpoint(
        **{"begun_at": BEGUN, "reached": "reading", "data_updated_at": moved, "cursor": "c"} | fields
    )
    return Reading(unit=Unit("account", "shifts"), data_updated_at=moved, checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("age", "goes_on"),
    [(timedelta(0), True), (timedelta(hours=24), True), (timedelta(hours=25), False), (timedelta(hours=-1), False)],
)
def test_age(age: timedelta, *, goes_on: bool):
    """A list goes on for a day after it was begun; a beginning in the future is none."""
    assert reading().goes_on(BEGUN + age) is goes_on


def test_unknown_moment():
    """A list of which the account says no moment begins again: what came since its first page would be missed."""
    assert not reading(moved=None).goes_on(BEGUN)


@pytest.mark.parametrize("fields", [{"reached": "complete"}, {"data_updated_at": BEGUN}, {"from_day": BEGUN.date()}])
def test_something_else(fields: Any):
    """What was read to its end, moved since, or is about other days begins again."""
    assert not reading(**fields).goes_on(BEGUN)
