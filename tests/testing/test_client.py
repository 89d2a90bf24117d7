"""The library's own client against the fake."""

import asyncio
from datetime import date

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import DecodeError, InvalidRequestError, NotFoundError, RateLimitError, UnauthorizedError
from pinwheel_async.testing import Fault

AT_ONCE = RetryPolicy(attempts=3, base_s=0, cap_s=0)


@pytest.fixture
async def pinwheel(fake):
    """A client that retries without waiting."""
    async with Pinwheel(fake.api_secret, base_url=fake.base_url, retry=AT_ONCE) as opened:
        yield opened


async def test_walk(fake, pinwheel, busy):
    """The client reads every paystub once, in order, and typed."""
    stubs = await pinwheel.paystubs.list(busy).all()

    assert [stub["id"] for stub in fake.world.records(busy, "paystubs")] == [stub.id for stub in stubs]
    assert isinstance(stubs[0].pay_date, date)


async def test_nothing_to_forgive(fake, pinwheel, busy):
    """What the fake answers is as documented, so the client notes no drift."""
    await pinwheel.income.get(busy)
    await pinwheel.identity.get(busy)
    await pinwheel.shifts.list(busy).all()

    assert {} == dict(pinwheel.drift)


async def test_retries(fake, pinwheel):
    """The client lives through random faults that leave it one attempt of three."""
    fake.script(Fault(status=503), Fault(cut="before"))

    assert (await pinwheel.accounts.list()).data
    assert 3 == fake.counts["list_accounts"]


async def test_mid_body(fake, pinwheel):
    """An answer that breaks off is asked for again."""
    fake.script(Fault(cut="mid_body"))

    assert (await pinwheel.accounts.list()).data


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=400), InvalidRequestError),
        (Fault(status=404), NotFoundError),
        (Fault(body=b"<html>"), DecodeError),
    ],
)
async def test_errors(fake, pinwheel, fault, error):
    """Faults become the client's errors."""
    fake.script(fault)
    with pytest.raises(error):
        await pinwheel.accounts.list()


async def test_rate_limit(fake):
    """A client that gives up at once gets the 429 with its time to wait."""
    fake.script(Fault(status=429, retry_after_s=7))
    policy = RetryPolicy(attempts=1)
    async with Pinwheel(fake.api_secret, base_url=fake.base_url, retry=policy) as pinwheel:
        with pytest.raises(RateLimitError) as caught:
            await pinwheel.accounts.list()

    assert 7 == caught.value.retry_after_s


async def test_wrong_secret(fake):
    """Another secret is refused."""
    async with Pinwheel("another", base_url=fake.base_url) as pinwheel:
        with pytest.raises(UnauthorizedError):
            await pinwheel.accounts.list()


async def test_many_at_once(fake, pinwheel):
    """Many calls at once are all answered."""
    ids = list(fake.world.account_ids())
    incomes = await asyncio.gather(*(pinwheel.income.get(account_id) for account_id in ids))

    assert ids == [income.account_id for income in incomes]
