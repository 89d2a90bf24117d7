"""Plan of a sync: arguments are checked, and ids deduplicated."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pinwheel_async import RequestError
from pinwheel_async.models import Account
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync._run.plan import chunks, make_plan
from pinwheel_async.testing import make


def plan(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "products": PRODUCTS,
        "accounts": None,
        "concurrency": None,
        "ceiling": 32,
        "from_pay_date": None,
        "from_start_date": None,
    }
    return make_plan(**(arguments | changes))


def test_workers_follow_the_client():
    """There are as many workers as the client has requests in flight."""
    assert plan(ceiling=32).workers == 32


def test_workers_are_bounded():
    """There are at most 64 workers, unless more are asked for."""
    assert plan(ceiling=500).workers == 64
    assert plan(ceiling=500, concurrency=200).workers == 200


@pytest.mark.parametrize("share", [0, 0.0, 0.2, 1, None])
def test_shares_that_can_be_meant(share: float | None):
    """All may be kept, or removed, at once."""
    assert plan(max_removed=share).max_removed == share


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_that_cannot_be_meant(share: float):
    """A share is from 0 to 1."""
    with pytest.raises(RequestError, match="max_removed"):
        plan(max_removed=share)


def test_repeated_products():
    """A product that is named twice is fetched once, in the order of the first naming."""
    assert plan(products=["shifts", "income", "shifts"]).products == ("shifts", "income")


def test_accounts_total_is_known_for_lists():
    """The number of accounts is known from the start where they are at hand."""
    assert plan(accounts=["a", "b"]).accounts_total == 2
    assert plan(accounts=iter(["a", "b"])).accounts_total is None
    assert plan().accounts_total is None


@pytest.mark.parametrize("accounts", [["a", "b", "a"], iter(["a", "b", "a"])])
def test_repeated_accounts(accounts: Any):
    """An id that comes twice is visited once, at its first place."""
    assert [*plan(accounts=accounts).accounts] == ["a", "b"]


def test_repeated_accounts_are_not_in_the_total():
    """An id that comes twice counts once."""
    assert plan(accounts=["a", "b", "a"]).accounts_total == 2


def test_accounts_that_still_come():
    """An async iterable is taken as it is: what it has yielded is not kept."""

    async def come() -> AsyncIterator[str]:
        yield "a"

    accounts = come()

    assert plan(accounts=accounts).accounts is accounts


@pytest.mark.parametrize(("given", "meant"), [(None, True), (True, True), (False, False)])
def test_changed_only(given: bool | None, meant: bool):
    """What a sink remembers is trusted, unless told otherwise."""
    assert plan(changed_only=given).changed_only is meant


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"products": ()}, "products"),
        ({"products": ["paystub"]}, r"products\[0\]"),
        ({"products": "paystubs"}, "products"),
        ({"accounts": "7f7f7f7f-0000-4000-8000-000000000000"}, "accounts"),
        ({"accounts": b"7f7f7f7f"}, r"accounts\[0\]"),
        ({"accounts": 7}, "accounts"),
        ({"accounts": ["a", None]}, r"accounts\[1\]"),
        ({"accounts": ["a", make(Account)]}, r"accounts\[1\]"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": "8"}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"from_pay_date": "2026-01-01"}, "from_pay_date"),
        ({"from_pay_date": datetime(2026, 1, 1, tzinfo=UTC)}, "from_pay_date"),
        ({"from_start_date": datetime(2026, 1, 1, tzinfo=UTC)}, "from_start_date"),
        ({"changed_only": True, "remembers": False}, "changed_only"),
        ({"retry_failed": True, "remembers": False}, "retry_failed"),
        ({"retry_failed": True, "accounts": ["a"]}, "accounts"),
        ({"recheck_after": timedelta(seconds=-1)}, "recheck_after"),
        ({"recheck_after": 7}, "recheck_after"),
        ({"max_removed": 2}, "max_removed"),
        ({"max_removed": "0.2"}, "max_removed"),
    ],
)
def test_what_cannot_be_meant(changes: dict[str, Any], problem: str):
    """An argument that cannot be meant is refused by name, and its value is not repeated."""
    with pytest.raises(RequestError, match=f"^{problem} must (not )?be") as caught:
        plan(**changes)

    assert "7f7f7f7f" not in str(caught.value)


def test_an_account_in_the_place_of_its_id():
    """A model where an id belongs is told to give its id."""
    with pytest.raises(RequestError, match=r"accounts\[0\] must be an id.*not Account: give its \.id"):
        plan(accounts=(make(Account),))


ID = "7f7f7f7f-0000-4000-8000-000000000000"


@pytest.mark.parametrize("accounts", [[UUID(ID), ID], iter([UUID(ID), ID])])
def test_uuids(accounts: Any):
    """An id may be a `UUID`, and is the same as its text."""
    assert [*plan(accounts=accounts).accounts] == [ID]


async def test_ids_that_come_later():
    """An id that comes while the sync runs may be a `UUID`; what is no id ends the sync by name."""

    async def come() -> AsyncIterator[Any]:
        yield UUID(ID)
        yield None

    found = chunks(come(), 100)

    assert await anext(found) == (ID,)
    with pytest.raises(RequestError, match="each of accounts must be an id"):
        await anext(found)
