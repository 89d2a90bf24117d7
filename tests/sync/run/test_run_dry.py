"""Dry runs: they only count requests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async import Pinwheel
from pinwheel_async.sync import Batch, JsonLinesSink, MemoryStore, Store, sync
from pinwheel_async.testing import FakePinwheel, Fault

Stores = Callable[[], Store]

OPERATIONS = {
    "accounts": ("list_accounts", "get_account"),
    "identity": ("get_identity",),
    "income": ("get_income",),
    "employment": ("get_employment",),
    "direct_deposit_allocations": ("get_direct_deposit_allocations",),
    "paystubs": ("list_paystubs",),
    "shifts": ("list_shifts",),
    "tax_forms": ("list_tax_forms",),
}


def requests(fake: FakePinwheel) -> dict[str, int]:
    """Return the requests that came, by kind."""
    counted = {kind: sum(fake.counts[name] for name in names) for kind, names in OPERATIONS.items()}
    assert sum(counted.values()) == fake.counts.total()
    return {kind: count for kind, count in counted.items() if count}


def nothing(_: FakePinwheel) -> dict[str, Any]:
    return {}


def some(fake: FakePinwheel) -> dict[str, Any]:
    fake.world.touch(fake.world.account_id(1), "shifts")
    return {}


def given(fake: FakePinwheel) -> dict[str, Any]:
    fake.world.touch(fake.world.account_id(1), "shifts")
    return {"accounts": [fake.world.account_id(1), fake.world.account_id(9)]}


def everything(_: FakePinwheel) -> dict[str, Any]:
    return {"changed_only": False}


@pytest.mark.parametrize("case", [nothing, some, given, everything])
@pytest.mark.parametrize("before", [True, False])
async def test_a_dry_run_is_right(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, case: Any, before: bool):
    """A dry run says how many requests of each kind the real run then makes."""
    if before:
        await sync(pinwheel, store())
    arguments = case(fake)
    dry = await sync(pinwheel, store(), dry_run=True, **arguments)
    fake.clear_records()

    real = await sync(pinwheel, store(), **arguments)

    assert dry.planned == requests(fake)
    assert (dry.unchanged, real.planned) == (real.unchanged, None)


async def test_a_dry_run_of_what_failed(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A dry run of a retry counts what failed, and keeps it."""
    fake.script(Fault(status=500), operation="get_income")
    await sync(pinwheel, store())

    first = await sync(pinwheel, store(), dry_run=True, retry_failed=True)
    second = await sync(pinwheel, store(), dry_run=True, retry_failed=True)

    assert first.planned == second.planned == {"accounts": 1, "income": 1}


async def test_a_dry_run_fetches_no_product(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A dry run only lists the accounts."""
    report = await sync(pinwheel, store(), dry_run=True)

    assert fake.counts == {"list_accounts": 1}
    assert (report.ok, report.pages, report.items) == (True, 0, 0)


async def test_a_dry_run_stores_nothing(pinwheel: Pinwheel):
    """A dry run writes neither accounts nor anything that another run would look at."""

    class Closed(MemoryStore):
        async def write(self, batch: Batch) -> None:
            raise AssertionError(batch.kind)

        async def save(self, key: str, value: bytes | None) -> None:
            raise AssertionError(key)

        async def close(self, *, complete: bool) -> None:
            assert not complete

    await sync(pinwheel, Closed(), dry_run=True, changed_only=False)


async def test_a_dry_run_opens_no_file(fake: FakePinwheel, pinwheel: Pinwheel, tmp_path: Path):
    """A dry run with a sink that does not remember leaves the sink alone; where accounts are given, it asks nothing."""
    folder = tmp_path / "out"

    report = await sync(pinwheel, JsonLinesSink(folder), accounts=["a", "b"], products=["income"], dry_run=True)

    assert report.planned == {"income": 2}
    assert not fake.requests
    assert not folder.exists()
