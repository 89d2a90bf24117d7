"""What a run leaves beside the data for the next one."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from pinwheel_async.sync import MemoryStore
from pinwheel_async.sync._kept import load_failures, load_refetch, save_failures, save_refetch
from pinwheel_async.sync._reading import Unit

NOW = datetime(2026, 1, 2, tzinfo=UTC)


async def test_failures():
    """Failures are kept as ids, products and names of errors, and come back as they were."""
    store, failures = MemoryStore(), {Unit("account", "income"): "ServerError"}

    await save_failures(store, failures)

    assert await load_failures(store) == failures
    assert json.loads(await store.load("sync:failures") or b"") == [
        {"account_id": "account", "product": "income", "error": "ServerError"}
    ]


async def test_no_failures():
    """Where nothing failed, nothing is kept."""
    store = MemoryStore()
    await save_failures(store, {Unit("account", "income"): "ServerError"})

    await save_failures(store, {})

    assert await load_failures(store) == {}
    assert await store.load("sync:failures") is None


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
