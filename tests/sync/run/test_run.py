"""A whole sync against a real server on loopback."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any

import pytest

from pinwheel_async import (
    PRODUCTS,
    ClosedError,
    DecodeError,
    Pinwheel,
    RetryPolicy,
    ServerError,
    SinkError,
    SyncError,
    UnauthorizedError,
)
from pinwheel_async.sync import Batch, MemorySink, sync
from pinwheel_async.sync._run.reading import Unit
from pinwheel_async.sync._sink import Kind
from pinwheel_async.testing import FakePinwheel, Fault

Settle = Callable[[Callable[[], object]], Any]


async def test_everything_arrives(fake: FakePinwheel, pinwheel: Pinwheel):
    """Every object of every product of every account reaches the sink, in the API's order."""
    sink = MemorySink()

    await sync(pinwheel, sink)

    for account_id in fake.world.account_ids():
        for product in PRODUCTS:
            expected = [record["id"] for record in fake.world.records(account_id, product)]
            assert expected == [getattr(item, "id", None) for item in sink.items(product, account_id)]


async def test_objects_are_as_the_client_reads_them(fake: FakePinwheel, pinwheel: Pinwheel, shown: Callable[..., Any]):
    """What reaches the sink equals what a call of the client returns."""
    account_id = fake.world.account_id(3)
    sink = MemorySink()

    await sync(pinwheel, sink, accounts=[account_id])

    assert [shown(await pinwheel.income.get(account_id))] == [*map(shown, sink.items("income"))]
    paystubs = await pinwheel.paystubs.list(account_id).all()
    assert [*map(shown, paystubs)] == [*map(shown, sink.items("paystubs"))]


async def test_listed_accounts_are_stored(fake: FakePinwheel, pinwheel: Pinwheel):
    """Accounts that a sync lists itself reach the sink, too."""
    sink = MemorySink()

    report = await sync(pinwheel, sink, products=["income"])

    assert [*fake.world.account_ids()] == [getattr(account, "id", None) for account in sink.items("accounts")]
    assert report.accounts == 12


async def test_every_page_of_the_account_list():
    """A workspace with more accounts than fit a page is synced whole."""
    async with (
        FakePinwheel(accounts=230) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        report = await sync(pinwheel, MemorySink(), products=["income"])

        assert report.products["income"].complete == 230
        assert fake.counts["list_accounts"] == 3


async def test_accounts_without_id(fake: FakePinwheel, pinwheel: Pinwheel, caplog: pytest.LogCaptureFixture):
    """An account that comes without an id is left out, with a word in the log."""
    accounts = [{"id": None, "platform_id": "x"}, {"id": fake.world.account_id(0), "platform_id": "x"}]
    fake.script(Fault(json={"data": accounts, "meta": {"count": 2, "next_cursor": None}}), operation="list_accounts")

    report = await sync(pinwheel, MemorySink(), products=["income"])

    assert (report.accounts, report.ok) == (1, True)
    assert "accounts without an id are left out" in caplog.messages


async def test_given_accounts(fake: FakePinwheel, pinwheel: Pinwheel):
    """Only the accounts that are given are fetched, and none are listed."""
    sink = MemorySink()
    wanted = [fake.world.account_id(5), fake.world.account_id(2)]

    report = await sync(pinwheel, sink, accounts=wanted, products=["income"])

    assert set(wanted) == {batch.account_id for batch in sink.batches}
    assert report.accounts == 2
    assert fake.counts["list_accounts"] == 0


async def test_accounts_that_still_come(fake: FakePinwheel, pinwheel: Pinwheel):
    """Accounts may come from an async iterable."""

    async def come() -> AsyncIterator[str]:
        for index in range(3):
            await asyncio.sleep(0)
            yield fake.world.account_id(index)

    report = await sync(pinwheel, MemorySink(), accounts=come(), products=["income"])

    assert report.accounts == 3


async def test_no_accounts(pinwheel: Pinwheel):
    """A run without accounts ends, and well."""
    report = await sync(pinwheel, MemorySink(), accounts=[])

    assert (report.ok, report.accounts, report.items) == (True, 0, 0)


async def test_dates_bound_what_is_fetched(fake: FakePinwheel, pinwheel: Pinwheel):
    """Paystubs and shifts before the given days are not fetched."""
    sink = MemorySink()

    await sync(pinwheel, sink, from_pay_date=date(2026, 2, 1), from_start_date=date(2026, 3, 1))

    paystubs: Any = sink.items("paystubs")
    shifts: Any = sink.items("shifts")
    assert min(paystub.pay_date for paystub in paystubs) >= date(2026, 2, 1)
    assert min(shift.start_date for shift in shifts) >= date(2026, 3, 1)


async def test_pages_know_their_place():
    """The pages of a list come in order, the first and the last one marked."""
    async with FakePinwheel(accounts=230) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        sink = MemorySink()
        await sync(pinwheel, sink, products=["income"])

    pages = [batch for batch in sink.batches if batch.kind == "accounts"]
    assert [(True, False), (False, False), (False, True)] == [(page.first, page.last) for page in pages]


async def test_pages_of_a_product_know_their_place(fake: FakePinwheel, pinwheel: Pinwheel):
    """The pages of a product come in order, the first and the last one marked."""
    cursors = ("made-up 1", "made-up 2", None)
    pages = [Fault(status=200, json={"data": [], "meta": {"count": 0, "next_cursor": cursor}}) for cursor in cursors]
    fake.script(*pages, operation="list_shifts")
    sink = MemorySink()

    await sync(pinwheel, sink, accounts=[fake.world.account_id(0)], products=["shifts"])

    assert [(True, False), (False, False), (False, True)] == [(batch.first, batch.last) for batch in sink.batches]


async def test_one_failure_ends_only_itself(fake: FakePinwheel, pinwheel: Pinwheel):
    """A product of an account that fails leaves the others of the account, and all other accounts, alone."""
    broken = fake.world.account_id(4)
    fake.script(Fault(status=500), operation="list_paystubs", account_id=broken)
    sink = MemorySink()

    report = await sync(pinwheel, sink)

    assert [(broken, "paystubs", ServerError)] == [
        (failure.account_id, failure.product, type(failure.error)) for failure in report.failures
    ]
    assert report.products["paystubs"].complete == 11
    assert report.products["shifts"].complete == 12
    assert not report.ok


async def test_undecodable_answers_fail_with_their_places(fake: FakePinwheel, pinwheel: Pinwheel):
    """An answer of another shape is a failure that names places and no values."""
    answer = {"data": {"id": "x", "compensation_amount": "planted value"}, "meta": {}}
    fake.script(Fault(json=answer), operation="get_income", account_id=fake.world.account_id(0))

    report = await sync(pinwheel, MemorySink(), products=["income"])

    (failure,) = report.failures
    assert isinstance(failure.error, DecodeError)
    assert "data.compensation_amount: not a whole number" in failure.error.paths
    assert "planted value" not in report.to_json()


async def test_absent_data_is_missing(fake: FakePinwheel, pinwheel: Pinwheel):
    """A 404 for a product is no failure: the data is not there, or not yet."""
    fake.script(Fault(status=404), operation="get_identity", account_id=fake.world.account_id(0))

    report = await sync(pinwheel, MemorySink())

    assert report.ok
    assert (report.products["identity"].missing, report.products["identity"].complete) == (1, 11)
    assert report.missing == 1


async def test_a_list_that_vanishes_is_a_failure(fake: FakePinwheel, pinwheel: Pinwheel):
    """A 404 after the first page of a list is a failure, since something was there."""
    account_id = fake.world.account_id(0)
    page = {"data": [], "meta": {"count": 0, "next_cursor": "made-up"}}
    fake.script(Fault(json=page), Fault(status=404), operation="list_shifts", account_id=account_id)

    report = await sync(pinwheel, MemorySink(), accounts=[account_id], products=["shifts"])

    assert (report.products["shifts"].failed, report.products["shifts"].missing) == (1, 0)


async def test_a_refused_secret_ends_the_run(fake: FakePinwheel, pinwheel: Pinwheel):
    """After a 401 no account would fare better: the run ends, with that error itself."""
    fake.script(Fault(status=401), operation="get_income", account_id=fake.world.account_id(3))

    with pytest.raises(UnauthorizedError):
        await sync(pinwheel, MemorySink(), concurrency=1)

    assert fake.counts["get_income"] <= 4


async def test_a_wrong_secret(fake: FakePinwheel):
    """A sync with a wrong secret ends at its first request."""
    async with Pinwheel("wrong", base_url=fake.base_url) as pinwheel:
        with pytest.raises(UnauthorizedError):
            await sync(pinwheel, MemorySink())

    assert fake.counts.total() == 1


async def test_unlistable_accounts_end_the_run(fake: FakePinwheel, pinwheel: Pinwheel):
    """A list of accounts that breaks off ends the run: what comes after it is unknown."""
    fake.script(Fault(status=500), operation="list_accounts")

    with pytest.raises(ServerError):
        await sync(pinwheel, MemorySink())


async def test_a_closed_client_ends_the_run(fake: FakePinwheel):
    """A sync of a client that is not open ends with its error."""
    with pytest.raises(ClosedError):
        await sync(Pinwheel(fake.api_secret, base_url=fake.base_url), MemorySink())


class Failing(MemorySink):
    """A sink that raises something at its third page."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.closed: list[bool] = []

    async def write(self, batch: Batch) -> None:
        await super().write(batch)
        if len(self.batches) == 3:
            raise self.error

    async def close(self, *, complete: bool) -> None:
        self.closed.append(complete)


@pytest.mark.parametrize("error", [SinkError("it is full", reason="ENOSPC"), KeyError("mistake of its author")])
async def test_a_sink_that_fails_ends_the_run(pinwheel: Pinwheel, error: Exception):
    """What a sink raises ends the run and arrives as it is; the sink is closed as incomplete."""
    sink = Failing(error)

    with pytest.raises(type(error)) as caught:
        await sync(pinwheel, sink)

    assert caught.value is error
    assert sink.closed == [False]


async def test_a_page_that_can_never_be_stored(pinwheel: Pinwheel):
    """A page that a sink refuses for what it holds ends only its product of its account."""
    sink = Failing(DecodeError(where="income", paths=["data[0].id: missing"]))

    report = await sync(pinwheel, sink, products=["income"])

    assert len(report.failures) == 1
    assert sink.closed == [True]


class Stuck(Failing):
    """A sink that cannot even be closed."""

    async def close(self, *, complete: bool) -> None:
        await super().close(complete=complete)
        raise SinkError("it does not close", reason="EIO")


async def test_the_first_error_counts(pinwheel: Pinwheel, caplog: pytest.LogCaptureFixture):
    """A sink that does not close after a failure does not hide the failure; the log names it."""
    with pytest.raises(SinkError, match="it is full"):
        await sync(pinwheel, Stuck(SinkError("it is full", reason="ENOSPC")))

    assert ["the sink of a failed sync did not close: SinkError"] == [record.message for record in caplog.records]


async def test_a_sink_that_does_not_close(pinwheel: Pinwheel):
    """A sink that does not close at the end of a run makes the run fail."""
    with pytest.raises(SinkError, match="it does not close"):
        await sync(pinwheel, Stuck(KeyError()), products=["income"], accounts=[])


async def test_a_slow_sink_slows_the_fetching(fake: FakePinwheel, pinwheel: Pinwheel, gated: Any, settle: Settle):
    """While the sink does not take pages, each worker holds one, and nothing more is fetched."""
    ids = [*fake.world.account_ids()]
    run = asyncio.create_task(sync(pinwheel, gated, accounts=ids, concurrency=5))
    await settle(fake.counts.total)

    assert (gated.peak, fake.counts.total()) == (5, 5)
    gated.gate.set()
    report = await run
    assert report.ok
    assert gated.peak <= 5


async def test_accounts_are_listed_as_they_are_needed(gated: Any, settle: Settle):
    """While the sink does not take pages, no more of the account list is read than the workers are about to need."""
    async with FakePinwheel(accounts=1_000) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        gated.gate.set()
        real = gated.write

        async def write(batch: Batch) -> None:
            if batch.kind != "accounts":
                gated.gate.clear()
            await real(batch)

        gated.write = write
        run = asyncio.create_task(sync(pinwheel, gated, products=["income"], concurrency=2))
        await settle(fake.counts.total)

        assert fake.counts["list_accounts"] == 1
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


async def test_requests_never_exceed_concurrency(fake: FakePinwheel, pinwheel: Pinwheel):
    """There are never more requests in flight than workers, and one that lists accounts."""
    await sync(pinwheel, MemorySink(), concurrency=3)

    assert fake.peak_in_flight <= 4


async def test_no_task_per_account(gated: Any, settle: Settle):
    """The number of tasks follows the workers, not the accounts."""
    async with FakePinwheel(accounts=500) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        before = len(asyncio.all_tasks())
        ids = [*fake.world.account_ids()]
        run = asyncio.create_task(sync(pinwheel, gated, accounts=ids, products=["income"], concurrency=4))
        await settle(fake.counts.total)

        # The run, what lines up the accounts, four workers; the rest belongs to the fake's connections.
        names = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("pinwheel-sync")]
        assert len(names) == 5
        assert len(asyncio.all_tasks()) - before < 15
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


async def test_live_units_do_not_grow_with_accounts(gated: Any, settle: Settle):
    """However many accounts there are, only what the workers are about to take is in memory."""
    async with FakePinwheel(accounts=2_000) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        ids = fake.world.account_ids()
        before = _live_units()
        run = asyncio.create_task(sync(pinwheel, gated, accounts=ids, concurrency=4))
        await settle(fake.counts.total)

        assert _live_units() - before < 40
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


def _live_units() -> int:
    gc.collect()
    return sum(isinstance(item, Unit) for item in gc.get_objects())


async def test_cancellation_passes(fake: FakePinwheel, pinwheel: Pinwheel, gated: Any, settle: Settle):
    """A cancelled sync closes its sink as incomplete, leaves no task behind, and is cancelled."""
    run = asyncio.create_task(sync(pinwheel, gated))
    await settle(lambda: gated.waiting)

    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert gated.closed == [False]
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("pinwheel-sync")]


async def test_other_calls_go_first(fake: FakePinwheel, gated: Any):
    """A user's call overtakes the requests of a sync that wait at the client's gate."""
    retry = RetryPolicy(attempts=1)
    async with Pinwheel(fake.api_secret, base_url=fake.base_url, retry=retry, concurrency=1) as pinwheel:
        gated.gate.set()
        fake.script(Fault(delay_s=0.2), operation="get_identity")
        ids = [*fake.world.account_ids()]
        run = asyncio.create_task(sync(pinwheel, gated, accounts=ids, products=["identity"], concurrency=12))
        while not fake.counts["get_identity"]:
            await asyncio.sleep(0)
        await pinwheel.income.get(ids[0])

        assert fake.counts["get_identity"] == 1
        await run


async def test_counts(fake: FakePinwheel, pinwheel: Pinwheel):
    """The report counts items by product, and every page."""
    sink = MemorySink()

    report = await sync(pinwheel, sink)

    kinds: Counter[Kind] = Counter()
    for batch in sink.batches:
        kinds[batch.kind] += len(batch.items)
    assert {name: kinds[name] for name in PRODUCTS} == {name: counts.items for name, counts in report.products.items()}
    assert report.pages == len(sink.batches) == fake.counts.total()


async def test_failures_keep_no_frames(fake: FakePinwheel, pinwheel: Pinwheel):
    """A failure keeps neither traceback nor cause, which would keep pages in memory."""
    fake.script(Fault(status=500), operation="get_income")

    report = await sync(pinwheel, MemorySink(), products=["income"])

    (failure,) = report.failures
    assert failure.error.__traceback__ is failure.error.__cause__ is failure.error.__context__ is None


async def test_raise_for_errors(fake: FakePinwheel, pinwheel: Pinwheel):
    """All failures together are an exception group whose leaves name account and product."""
    fake.script(Fault(status=500), times=2, operation="get_income")

    report = await sync(pinwheel, MemorySink(), products=["income"])

    with pytest.raises(SyncError, match="2 failures") as caught:
        report.raise_for_errors()
    notes = [note for leaf in caught.value.exceptions for note in leaf.__notes__]
    assert sorted(notes) == sorted(f"income of account {failure.account_id}" for failure in report.failures)
