"""Pauses and rates: a run waits them out, and nothing fails because of them."""

from collections.abc import AsyncIterator

import pytest

from pinwheel_async import Pinwheel, RateLimitError
from pinwheel_async.sync import MemorySink, MemoryStore, Mirror, sync
from pinwheel_async.testing import FakePinwheel, Fault

TIMEOUT_S = 3
"""Of a call: less than a pause, and more than a machine that does other things, too, makes a call wait."""

REFUSAL = Fault(status=429, headers=(("Retry-After", str(TIMEOUT_S + 0.2)),))


@pytest.fixture
async def hasty(fake: FakePinwheel) -> AsyncIterator[Pinwheel]:
    """A client whose calls may take less time than a pause."""
    async with Pinwheel(fake.api_secret, base_url=fake.base_url, timeout_s=TIMEOUT_S) as opened:
        yield opened


@pytest.mark.parametrize("operation", ["get_account", "get_income", "get_employment"])
async def test_pause_with_given_accounts(fake: FakePinwheel, hasty: Pinwheel, operation: str):
    """A pause that is longer than a call may take costs a run over given accounts time, and no unit."""
    fake.script(REFUSAL, operation=operation)
    accounts = list(fake.world.account_ids())

    report = await sync(hasty, MemoryStore(), accounts=accounts, products=["income", "employment"])

    assert (report.ok, report.accounts) == (True, 12)


async def test_pause_with_listed_accounts(fake: FakePinwheel, hasty: Pinwheel):
    """A pause that meets the list of accounts does not end the run."""
    fake.script(REFUSAL, operation="list_accounts")

    report = await sync(hasty, MemorySink(), products=["income"])

    assert (report.ok, report.accounts) == (True, 12)


async def test_pause_while_reconciling(fake: FakePinwheel, hasty: Pinwheel):
    """A pause costs a reconciliation time, and nothing else."""
    fake.script(REFUSAL, operation="get_income")
    async with Mirror(hasty, MemoryStore(), debounce_s=0) as mirror:
        found = await mirror.reconcile()

    assert (found.ok, found.accounts) == (True, 12)


async def test_foreground_meanwhile(fake: FakePinwheel, hasty: Pinwheel):
    """A call that a person waits for is told of the pause at once, and that it was not sent."""
    fake.script(Fault(status=429, retry_after_s=30), operation="get_income")
    with pytest.raises(RateLimitError):
        await hasty.income.get(fake.world.account_id(0))

    with pytest.raises(RateLimitError) as raised:
        await hasty.employment.get(fake.world.account_id(1))
    assert raised.value.unsent == "GET /v1/accounts/{account_id}/employment"
    assert fake.counts["get_employment"] == 0


async def test_own_rate(fake: FakePinwheel):
    """Under a rate that lets the last unit go long after a call may take, no unit fails."""
    async with Pinwheel(fake.api_secret, base_url=fake.base_url, timeout_s=2, requests_per_s=10) as pinwheel:
        report = await sync(
            pinwheel, MemorySink(), accounts=list(fake.world.account_ids()), products=["income", "shifts"]
        )

    assert (report.ok, report.accounts) == (True, 12)
