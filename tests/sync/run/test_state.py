"""State saved between runs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pinwheel_async.sync import FailedProduct, MemoryStore
from pinwheel_async.sync._run.state import FailureLog, load_refetch, save_refetch

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


async def test_what_never_failed_is_not_removed():
    """What is well, and was before, costs no call: a quiet night has nothing to remove."""
    removed: list[Any] = []

    class Counted(MemoryStore):
        async def remove_failures(self, units: Any) -> None:
            removed.extend(units)

    store = Counted()
    await store.add_failures(
        [FailedProduct(account_id="a", product="income", error="ServerError", first_at=NOW, last_at=NOW)]
    )
    log = FailureLog(store, lambda: NOW)
    await log.load()
    for account_id in "ab":
        log.remove(account_id, "income")
    await log.save(everything=True)

    assert removed == [("a", "income")]
