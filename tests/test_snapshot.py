"""Snapshot of one account: what is read, and what becomes of what cannot be."""

import asyncio
from datetime import date

import pytest
from aiohttp import web

from pinwheel_async import (
    PRODUCTS,
    ClosedError,
    NotFoundError,
    Page,
    Pinwheel,
    RequestError,
    RetryPolicy,
    ServerError,
    Snapshot,
)
from pinwheel_async._core.page import PaginationMeta

ACCOUNT = "7c2d5a3e-5ac5-4f0c-9d4a-5f1f1d3c0a11"

SINGLE = ("identity", "income", "employment", "direct_deposit_allocations")
LISTS = ("paystubs", "shifts", "tax_forms")


class FakeCaller:
    """Answers each endpoint with what the test set for it, or with a word that names it."""

    def __init__(self):
        self.answers = {}
        self.targets = []
        self.gather = None
        self.cancelled = 0

    async def call(self, row, request, *, on_error=None):
        self.targets.append(request.target)
        if self.gather:
            try:
                await self.gather.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        answer = self.answers.get(row.operation, row.operation)
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return page(answer) if row.shape == "page" and isinstance(answer, str) else answer


def page(*items, cursor=None):
    return Page(data=items, meta=PaginationMeta(next_cursor=cursor))


@pytest.fixture
def caller():
    return FakeCaller()


@pytest.fixture
def pinwheel(caller):
    client = Pinwheel("x")
    for name in Pinwheel.__annotations__:
        setattr(client, name, type(getattr(client, name))(caller))
    return client


def failure(status=500):
    return ServerError(endpoint="GET /v1/x", status=status)


async def test_everything(pinwheel):
    """A snapshot holds the account and every product; lists are tuples."""
    snapshot = await pinwheel.snapshot(ACCOUNT)

    assert snapshot.account == "get_account"
    assert [getattr(snapshot, name) for name in SINGLE] == [f"get_{name}" for name in SINGLE]
    assert [getattr(snapshot, name) for name in LISTS] == [(f"list_{name}",) for name in LISTS]
    assert snapshot.errors == {}


async def test_all_at_once(pinwheel, caller):
    """All eight reads are under way at the same time."""
    caller.gather = asyncio.Barrier(8)

    async with asyncio.timeout(30):
        await pinwheel.snapshot(ACCOUNT)


async def test_all_pages(pinwheel, caller):
    """Lists are read to their last page, in order, by the largest pages."""
    caller.answers["list_paystubs"] = [page("a", "b", cursor="next"), page("c")]

    snapshot = await pinwheel.snapshot(ACCOUNT, products=["paystubs"])

    assert snapshot.paystubs == ("a", "b", "c")
    assert f"/v1/accounts/{ACCOUNT}/paystubs?limit=100&cursor=next" in caller.targets


async def test_only_what_is_asked_for(pinwheel, caller):
    """Products that were not asked for are None and not fetched."""
    snapshot = await pinwheel.snapshot(ACCOUNT, products=("income", "income"))

    assert snapshot.income == "get_income"
    assert snapshot.paystubs is snapshot.identity is None
    assert len(caller.targets) == 2


async def test_from_dates(pinwheel, caller):
    """Paystubs and shifts can be limited to what is new."""
    await pinwheel.snapshot(
        ACCOUNT, products=("paystubs", "shifts"), from_pay_date=date(2026, 1, 2), from_start_date=date(2026, 3, 4)
    )

    queries = " ".join(caller.targets)
    assert "from_pay_date=2026-01-02" in queries
    assert "from_start_date=2026-03-04" in queries


@pytest.mark.parametrize("name", PRODUCTS)
async def test_one_failing_product(pinwheel, caller, name):
    """A product that cannot be read is an error in its own field; all others are there."""
    error = failure()
    caller.answers[f"{'list' if name in LISTS else 'get'}_{name}"] = error

    snapshot = await pinwheel.snapshot(ACCOUNT)

    assert getattr(snapshot, name) is error
    assert snapshot.errors == {name: error}
    assert snapshot.account == "get_account"


async def test_failing_second_page(pinwheel, caller):
    """A list that breaks off is an error, not a part of the list."""
    error = failure()
    caller.answers["list_shifts"] = [page("a", cursor="next"), error]

    snapshot = await pinwheel.snapshot(ACCOUNT)

    assert snapshot.shifts is error


async def test_raise_for_errors(pinwheel, caller):
    """All errors are raised in one group, for those who want exceptions."""
    caller.answers |= {"get_income": failure(), "list_shifts": failure(503)}
    snapshot = await pinwheel.snapshot(ACCOUNT)

    with pytest.raises(ExceptionGroup, match="could not read income, shifts") as raised:
        snapshot.raise_for_errors()
    assert raised.value.exceptions == (snapshot.income, snapshot.shifts)


async def test_nothing_to_raise(pinwheel):
    """Where all is well nothing is raised."""
    snapshot = await pinwheel.snapshot(ACCOUNT)

    assert snapshot.raise_for_errors() is None


async def test_cancelling(pinwheel, caller):
    """A snapshot that is cancelled cancels all its reads."""
    caller.gather = asyncio.Event()
    task = asyncio.create_task(pinwheel.snapshot(ACCOUNT))
    while len(caller.targets) < 8:
        await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert caller.cancelled == 8


async def test_unknown_product(pinwheel, caller):
    """A product that does not exist is refused before anything is sent, with those that do."""
    with pytest.raises(RequestError, match="identity, income"):
        await pinwheel.snapshot(ACCOUNT, products=["salary"])
    assert not caller.targets


async def test_bad_account_id(pinwheel):
    """An account id that cannot be sent is an exception, not eight errors."""
    with pytest.raises(RequestError, match="account_id"):
        await pinwheel.snapshot("")


async def test_closed_client():
    """A snapshot of a closed client is an exception, not eight errors."""
    with pytest.raises(ClosedError):
        await Pinwheel("x").snapshot(ACCOUNT)


async def test_repr(pinwheel):
    """The repr shows the id and nothing that was read."""
    snapshot = await pinwheel.snapshot(ACCOUNT)

    assert isinstance(snapshot, Snapshot)
    assert repr(snapshot) == f"<Snapshot account_id={ACCOUNT}>"


async def test_against_a_server(mock_site):
    """Over the wire, an account that does not exist is eight errors of the right class."""
    site = mock_site(web.Response(status=404))
    async with Pinwheel("x", base_url=site.base_url, retry=RetryPolicy(attempts=1)) as pinwheel:
        snapshot = await pinwheel.snapshot(ACCOUNT)

    assert set(snapshot.errors) == {"account", *PRODUCTS}
    assert {NotFoundError} == {type(error) for error in snapshot.errors.values()}
    assert len(site.arrivals) == 8
