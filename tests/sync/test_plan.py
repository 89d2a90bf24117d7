"""What a sync is going to fetch."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from pinwheel_async import RequestError
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync._plan import make_plan


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
        ({"products": ["paystub"]}, "products"),
        ({"products": "paystubs"}, "products"),
        ({"accounts": "7f7f7f7f-0000-4000-8000-000000000000"}, "accounts"),
        ({"concurrency": 0}, "concurrency"),
        ({"changed_only": True, "remembers": False}, "changed_only"),
        ({"retry_failed": True, "remembers": False}, "retry_failed"),
        ({"retry_failed": True, "accounts": ["a"]}, "accounts"),
        ({"recheck_after": timedelta(seconds=-1)}, "recheck_after"),
    ],
)
def test_what_cannot_be_meant(changes: dict[str, Any], problem: str):
    """An argument that cannot be meant is refused by name, and its value is not repeated."""
    with pytest.raises(RequestError, match=f"^{problem} must (not )?be") as caught:
        plan(**changes)

    assert "7f7f7f7f" not in str(caught.value)
