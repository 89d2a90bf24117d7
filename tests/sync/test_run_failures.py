"""What failed is kept in the store, and can be tried again alone."""

from collections.abc import Callable
from typing import Any

import pytest

from pinwheel_async import Pinwheel, SinkError
from pinwheel_async.sync import MemoryStore, Store, sync
from pinwheel_async.sync._kept import load_failures, save_failures
from pinwheel_async.sync._reading import Unit
from pinwheel_async.testing import FakePinwheel, Fault

Stores = Callable[[], Store]
PRODUCTS: Any = ["income", "shifts", "tax_forms"]


async def kept(store: Store) -> dict[Unit, str]:
    """Return the failures that a store holds."""
    await store.open()
    found = await load_failures(store)
    await store.close(complete=False)
    return found


@pytest.fixture
async def failed(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores) -> list[Unit]:
    """What failed in a run: the shifts of one account, the income of another."""
    units = [Unit(fake.world.account_id(2), "shifts"), Unit(fake.world.account_id(5), "income")]
    fake.script(Fault(status=500), operation="list_shifts", account_id=units[0].account_id)
    fake.script(Fault(status=409), operation="get_income", account_id=units[1].account_id)
    await sync(pinwheel, store(), products=PRODUCTS)
    fake.forget()
    return units


async def test_failures_are_kept(store: Stores, failed: list[Unit]):
    """A store holds what failed, and by which error."""
    assert await kept(store()) == {failed[0]: "ServerError", failed[1]: "ConflictError"}


async def test_retry(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, failed: list[Unit]):
    """What failed is tried again alone: one request for each account, and one for each product that failed."""
    report = await sync(pinwheel, store(), products=PRODUCTS, retry_failed=True)

    assert fake.counts == {"get_account": 2, "get_income": 1, "list_shifts": 1}
    assert (report.ok, report.accounts) == (True, 2)
    assert await kept(store()) == {}


async def test_retry_of_nothing(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Where nothing failed, nothing is asked for."""
    report = await sync(pinwheel, store(), retry_failed=True)

    assert (report.ok, report.accounts, fake.counts.total()) == (True, 0, 0)


async def test_retry_that_fails(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, failed: list[Unit]):
    """What fails again stays, by its latest error."""
    fake.script(Fault(status=409), operation="list_shifts")

    report = await sync(pinwheel, store(), products=PRODUCTS, retry_failed=True)

    assert [failed[0].account_id] == [one.account_id for one in report.failures]
    assert await kept(store()) == {failed[0]: "ConflictError"}


async def test_retry_of_some_products(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, failed: list[Unit]):
    """Failures of products that a run is not about stay as they are."""
    await sync(pinwheel, store(), products=["income"], retry_failed=True)

    assert fake.counts == {"get_account": 1, "get_income": 1}
    assert await kept(store()) == {failed[0]: "ServerError"}


async def test_an_ordinary_run(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, failed: list[Unit]):
    """An ordinary run tries again what failed, too, and forgets it when it was read."""
    await sync(pinwheel, store(), products=PRODUCTS)

    assert fake.counts == {"list_accounts": 1, "get_income": 1, "list_shifts": 1}
    assert await kept(store()) == {}


async def test_new_failures_are_added(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, failed: list[Unit]):
    """What fails in a later run is added to what is still not read."""
    fake.script(Fault(status=500), operation="get_employment", account_id=fake.world.account_id(0))

    await sync(pinwheel, store(), products=["employment"])

    assert (await kept(store())).keys() == {*failed, Unit(fake.world.account_id(0), "employment")}


async def test_read_by_somebody_else(pinwheel: Pinwheel):
    """A failure is forgotten when the copy turns out to be up to date."""
    store = MemoryStore()
    await sync(pinwheel, store, products=["income"])
    (unit, *_) = [Unit(*one) for one in store._marks]
    await save_failures(store, {unit: "ServerError"})

    report = await sync(pinwheel, store, products=["income"])

    assert report.unchanged == 12
    assert await kept(store) == {}


async def test_retry_of_what_did_not_move(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """What failed while everything was fetched again is tried again, though an older copy is there."""
    await sync(pinwheel, store(), products=["income"])
    fake.script(Fault(status=500), operation="get_income")
    await sync(pinwheel, store(), products=["income"], changed_only=False)
    fake.forget()

    report = await sync(pinwheel, store(), products=["income"], retry_failed=True)

    assert (report.unchanged, fake.counts["get_income"]) == (0, 1)


async def test_an_account_that_is_gone(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, failed: list[Unit]):
    """What failed of an account that is not there any more is missing, and not tried for ever."""
    fake.script(Fault(status=404), operation="get_account", account_id=failed[0].account_id)

    report = await sync(pinwheel, store(), products=PRODUCTS, retry_failed=True)

    assert report.missing == 1
    assert await kept(store()) == {}


async def test_the_sum_of_a_retry(pinwheel: Pinwheel, store: Stores, failed: list[Unit]):
    """A retry knows from the start how much there is to do."""
    told: list[Any] = []

    await sync(pinwheel, store(), products=PRODUCTS, retry_failed=True, on_progress=told.append)

    assert (told[0].accounts_total, told[0].units_total, told[-1].units_done) == (2, 2, 2)


async def test_failures_name_no_values(fake: FakePinwheel, pinwheel: Pinwheel):
    """What is kept of a failure holds nothing that the server wrote."""
    answer = {"data": {"id": "x", "compensation_amount": "planted value"}, "meta": {}}
    fake.script(Fault(json=answer), operation="get_income")
    store = MemoryStore()

    await sync(pinwheel, store, products=["income"])

    text = await store.load("sync:failures")
    assert text is not None
    assert b"DecodeError" in text
    assert b"planted" not in text
    assert b"compensation" not in text


async def test_a_store_that_cannot_save(fake: FakePinwheel, pinwheel: Pinwheel):
    """A store that cannot keep failures makes the run fail: the next one would not know of them."""

    class Broken(MemoryStore):
        async def save(self, key: str, value: bytes | None) -> None:
            raise SinkError("it is full", reason="ENOSPC")

    fake.script(Fault(status=500), operation="get_income")

    with pytest.raises(SinkError, match="it is full"):
        await sync(pinwheel, Broken(), products=["income"])
