"""State saved between runs."""

from datetime import UTC, datetime, timedelta

import pytest

from pinwheel_async.sync import MemoryStore
from pinwheel_async.sync._run.state import load_refetch, save_refetch

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        (timedelta(0), True),
        (timedelta(hours=24), True),
        (timedelta(hours=24, microseconds=1), False),
        (timedelta(microseconds=-1), False),
    ],
)
async def test_refetch(age: timedelta, *, counts: bool):
    """A run that reads everything again is gone on with for a day; one from the future is none."""
    store = MemoryStore()

    await save_refetch(store, NOW - age)

    assert await load_refetch(store, NOW) == (NOW - age if counts else None)


async def test_no_refetch():
    """Where no such run goes on, there is no moment."""
    store = MemoryStore()
    await save_refetch(store, NOW)

    await save_refetch(store, None)

    assert await load_refetch(store, NOW) is None
