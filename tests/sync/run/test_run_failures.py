"""Failures are kept in the store, and can be retried alone."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from pinwheel_async import DecodeError, ForbiddenError, Pinwheel, SinkError, SupersededError
from pinwheel_async.sync import Batch, FailedProduct, MemoryStore, Store, SyncReport, sync
from pinwheel_async.sync._run.reading import Unit
from pinwheel_async.testing import FakePinwheel, Fault

Stores = Callable[[], Store]
PRODUCTS: Any = ["income", "shifts", "tax_forms"]


async def rows(store: Store) -> list[FailedProduct]:
    """Return the failures that a store holds."""
    await store.open()
    found = await store.failures()
    await store.close(complete=False)
    return [*found]


async def kept(store: Store) -> dict[tuple[str, str], str]:
    """Return the names of the errors that a store holds, by account and product."""
    return {(failure.account_id, failure.product): failure.error for failure in await rows(store)}


@pytest.fixture
async def failed(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores) -> list[Unit]:
    """What failed in a run: the shifts of one account, the income of another."""
    units = [Unit(fake.world.account_id(2), "shifts"), Unit(fake.world.account_id(5), "income")]
    fake.script(Fault(status=500), operation="list_shifts", account_id=units[0].account_id)
    fake.script(Fault(status=409), operation="get_income", account_id=units[1].account_id)
    await sync(pinwheel, store(), products=PRODUCTS)
    fake.clear_records()
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

    assert [failed[0].account_id] == [failure.account_id for failure in report.failures]
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

    await sync(pinwheel, store(change_scope=True), products=["employment"])

    assert (await kept(store())).keys() == {*failed, Unit(fake.world.account_id(0), "employment")}


async def test_read_by_another_process(pinwheel: Pinwheel):
    """A failure is forgotten when the copy turns out to be up to date."""
    store = MemoryStore()
    await sync(pinwheel, store, products=["income"])
    (unit, *_) = store._checkpoints
    now = datetime.now(UTC)
    failure = FailedProduct(account_id=unit[0], product=unit[1], error="ServerError", first_at=now, last_at=now)
    await store.add_failures([failure])

    report = await sync(pinwheel, store, products=["income"])

    assert report.unchanged == 12
    assert await kept(store) == {}


async def test_retry_of_what_did_not_move(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """What failed while everything was fetched again is tried again, though an older copy is there."""
    await sync(pinwheel, store(), products=["income"])
    fake.script(Fault(status=500), operation="get_income")
    await sync(pinwheel, store(), products=["income"], changed_only=False)
    fake.clear_records()

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


async def test_failures_name_no_values(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """What is kept of a failure is its place, and nothing that the server wrote."""
    answer = {"data": {"id": "x", "compensation_amount": "planted value"}, "meta": {}}
    fake.script(Fault(json=answer), operation="get_income")

    await sync(pinwheel, store(), products=["income"])

    (failure,) = await rows(store())
    assert (failure.error, failure.place) == ("DecodeError", "data.compensation_amount: not a whole number")
    assert "planted" not in failure.to_json()


async def test_attempts_add_up(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, failed: list[Unit]):
    """What fails again has one more attempt; its first moment stays, and its last one moves."""
    (before,) = [failure for failure in await rows(store()) if failure.product == "shifts"]
    fake.script(Fault(status=409), operation="list_shifts")

    await sync(pinwheel, store(), products=PRODUCTS)

    (after,) = await rows(store())
    assert (before.attempts, after.attempts, after.first_at) == (1, 2, before.first_at)
    assert after.last_at > before.last_at


async def test_runs_at_the_same_time(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """Of two runs that overlap, each keeps what failed in it."""
    fake.script(Fault(status=500), operation="get_employment", account_id=fake.world.account_id(0))

    class Between(MemoryStore):
        """A store in which another run ends while this one is under way."""

        async def add_failures(self, failures: Sequence[FailedProduct]) -> None:
            now = datetime.now(UTC)
            await super().add_failures(
                [FailedProduct(account_id="other", product="income", error="ServerError", first_at=now, last_at=now)]
            )
            await super().add_failures(failures)

    between = Between()
    await sync(pinwheel, between, products=["employment"])

    assert (await kept(between)).keys() == {("other", "income"), (fake.world.account_id(0), "employment")}


async def test_a_store_that_cannot_save(fake: FakePinwheel, pinwheel: Pinwheel):
    """A store that cannot keep failures makes the run fail: the next one would not know of them."""

    class Broken(MemoryStore):
        async def add_failures(self, failures: Sequence[FailedProduct]) -> None:
            raise SinkError("it is full", reason="ENOSPC")

    fake.script(Fault(status=500), operation="get_income")

    with pytest.raises(SinkError, match="it is full"):
        await sync(pinwheel, Broken(), products=["income"])


async def test_failures_of_a_run_that_ended_early(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A run that an error ends keeps what had failed until then."""
    fake.script(Fault(status=500), operation="get_income", account_id=fake.world.account_id(0))
    fake.script(Fault(status=401, delay_s=0.5), operation="get_income", account_id=fake.world.account_id(5))

    with pytest.raises(Exception, match="401"):
        await sync(pinwheel, store(), products=["income"])

    assert await kept(store()) == {(fake.world.account_id(0), "income"): "ServerError"}


async def test_a_product_that_is_refused(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A product that the key may not read fails for each account, and everything else is read."""
    fake.fail_randomly(1, Fault(status=403), operation="get_income")

    report = await sync(pinwheel, store(), products=PRODUCTS)

    assert [ForbiddenError] * 12 == [type(failure.error) for failure in report.failures]
    assert (report.products["income"].failed, report.products["shifts"].complete) == (12, 12)


async def test_a_single_product_of_a_single_account_that_is_refused(
    fake: FakePinwheel, pinwheel: Pinwheel, store: Stores
):
    """One 403 is one failure, which an ordinary run tries again."""
    fake.script(Fault(status=403), operation="get_income", account_id=fake.world.account_id(3))

    report = await sync(pinwheel, store(), products=["income"])
    again = await sync(pinwheel, store(), products=["income"])

    assert [fake.world.account_id(3)] == [failure.account_id for failure in report.failures]
    assert (report.products["income"].complete, again.products["income"].complete) == (11, 1)


async def test_a_refused_product_when_nothing_else_is_due(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A run in which only refused products are due comes to its end: what is up to date shows that the key can read."""
    fake.fail_randomly(1, Fault(status=403), operation="get_income")
    fake.fail_randomly(1, Fault(status=403), operation="get_employment")
    products: Any = ["identity", "income", "employment"]
    await sync(pinwheel, store(), products=products)

    report = await sync(pinwheel, store(), products=products)

    assert (report.unchanged, len(report.failures)) == (12, 24)


@pytest.mark.parametrize("products", [["income"], ["income", "shifts"]])
async def test_a_key_that_may_read_nothing(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, products: Any):
    """If every product of several accounts is refused, the run ends with that."""
    for operation in ("get_income", "list_shifts"):
        fake.fail_randomly(1, Fault(status=403), operation=operation)

    with pytest.raises(ForbiddenError):
        await sync(pinwheel, store(), products=products)


async def test_a_key_that_may_read_nothing_of_many_accounts():
    """A run in which everything is refused ends early."""
    async with FakePinwheel(accounts=400) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        fake.fail_randomly(1, Fault(status=403), operation="get_income")

        with pytest.raises(ForbiddenError):
            await sync(pinwheel, MemoryStore(), products=["income"], concurrency=8)

        assert fake.counts["get_income"] < 100


def listed(fake: FakePinwheel, **odd: Any) -> Any:
    """Return a list of the accounts in which the second one has odd values."""
    accounts = [json.loads(entry.body) for entry in fake.world.accounts(None)]
    accounts[1] |= odd
    return {"data": accounts, "meta": {"count": len(accounts), "next_cursor": None}}


@pytest.mark.parametrize("odd", [{"connected": "perhaps"}, {"created_at": 1.5}, {"tags": 3}])
async def test_an_account_that_cannot_be_read(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, odd: Any):
    """An account of the list that cannot be read is one failure; the others, and its products, are read."""
    fake.script(Fault(json=listed(fake, **odd)), operation="list_accounts")

    report = await sync(pinwheel, store(), products=["income"])

    assert [(fake.world.account_id(1), "accounts")] == [
        (failure.account_id, failure.product) for failure in report.failures
    ]
    assert (report.accounts, report.products["income"].complete) == (12, 12)
    assert list(await kept(store())) == [(fake.world.account_id(1), "accounts")]


@pytest.mark.parametrize("odd", [{"id": {"odd": 1}}, {"id": "", "connected": "perhaps"}])
async def test_an_account_whose_id_cannot_be_read(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, odd: Any):
    """An account of the list of which not even the id can be read is one failure without a name."""
    fake.script(Fault(json=listed(fake, **odd)), operation="list_accounts")

    report = await sync(pinwheel, store(), products=["income"])

    assert [(None, "accounts")] == [(failure.account_id, failure.product) for failure in report.failures]
    assert report.products["income"].complete == 11


@pytest.mark.parametrize("odd", [{"connected": "perhaps"}, {"id": 17}])
async def test_an_account_that_can_be_read_again(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores, odd: Any):
    """The failure of an account is over when it can be read again."""
    fake.script(Fault(json=listed(fake, **odd)), operation="list_accounts")
    await sync(pinwheel, store(), products=["income"])

    await sync(pinwheel, store(), products=["income"])

    assert await kept(store()) == {}


async def test_a_nameless_account_that_stays_odd(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """The failure of an account without a name is kept as long as there is one."""
    fake.script(*[Fault(json=listed(fake, id=17))] * 2, operation="list_accounts")
    for _ in range(2):
        await sync(pinwheel, store(), products=["income"])

    assert list(await kept(store())) == [("", "accounts")]


async def test_an_account_that_is_closed_to_the_key(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """That all products of one account are refused says nothing about the others: it ends these, and not the run."""
    account_id = fake.world.account_id(0)
    for operation in ("get_income", "get_employment"):
        fake.script(Fault(status=403), operation=operation, account_id=account_id)

    report = await sync(pinwheel, store(), accounts=[account_id], products=["income", "employment"])

    assert (report.ended_by, len(report.failures)) == (None, 2)


async def test_retry_of_an_account(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that could not be read is looked up again by a retry."""
    fake.script(Fault(json=listed(fake, connected="perhaps")), operation="list_accounts")
    await sync(pinwheel, store(), products=["income"])
    fake.clear_records()

    report = await sync(pinwheel, store(), products=["income"], retry_failed=True)

    assert (report.ok, fake.counts["get_account"], fake.counts.total()) == (True, 1, 1)
    assert await kept(store()) == {}


async def test_accounts_that_cannot_be_stored(fake: FakePinwheel, pinwheel: Pinwheel):
    """Accounts that the store can never keep fail one by one; the others of their page are stored."""
    refused = {fake.world.account_id(1), fake.world.account_id(7)}

    class Picky(MemoryStore):
        async def write(self, batch: Batch) -> None:
            if refused & {getattr(item, "id", None) for item in batch.items}:
                raise DecodeError(where="accounts", paths=["data[1].tags: refused"])
            await super().write(batch)

    store = Picky()
    report = await sync(pinwheel, store, products=["income"])

    assert {(account_id, "accounts") for account_id in refused} == {
        (failure.account_id, failure.product) for failure in report.failures
    }
    assert (len(store.items("accounts")), report.products["income"].complete) == (10, 12)


async def test_being_overtaken(pinwheel: Pinwheel):
    """A reading that another process overtakes again and again is no failure."""

    class Overtaken(MemoryStore):
        async def write(self, batch: Batch) -> None:
            if batch.kind == "income":
                raise SupersededError
            await super().write(batch)

    store = Overtaken()
    report = await sync(pinwheel, store, products=["income"])

    assert (report.ok, report.products["income"].overtaken) == (True, 12)
    assert await kept(store) == {}


async def test_the_report_of_a_run_that_an_error_ends(fake: FakePinwheel, pinwheel: Pinwheel):
    """A run that an error ends hands over its report all the same, which names the error."""
    told: list[SyncReport] = []
    fake.script(Fault(status=500), operation="list_accounts")

    with pytest.raises(Exception, match="500"):
        await sync(pinwheel, MemoryStore(), products=["income"], on_report=told.append)

    assert [(report.ended_by, report.ok) for report in told] == [("ServerError", False)]


async def test_the_report_of_a_store_that_cannot_be_opened(pinwheel: Pinwheel):
    """A store that cannot be opened makes a report, too."""
    told: list[SyncReport] = []

    class Closed(MemoryStore):
        async def open(self) -> None:
            raise SinkError("it is away", reason="ECONNREFUSED")

    with pytest.raises(SinkError):
        await sync(pinwheel, Closed(), on_report=told.append)

    assert [report.ended_by for report in told] == ["SinkError"]


async def test_the_report_of_a_run_that_ends_well(pinwheel: Pinwheel):
    """A run that comes to its end hands over what it returns."""
    told: list[SyncReport] = []

    report = await sync(pinwheel, MemoryStore(), products=["income"], on_report=told.append)

    assert (told, report.ended_by) == ([report], None)
