"""What a sync fetches: which products of which accounts."""

from collections.abc import AsyncIterable, Iterable, Sized
from datetime import date
from typing import TypeAlias

from attrs import frozen

from pinwheel_async.errors import RequestError
from pinwheel_async.products import PRODUCTS, Product

Accounts: TypeAlias = Iterable[str] | AsyncIterable[str]
"""Account ids, at hand or still to come."""

MAX_WORKERS = 64
"""More requests in flight gain nothing on one core."""


@frozen(kw_only=True)
class Plan:
    """What to fetch, for whom, and how hard to push."""

    products: tuple[Product, ...]
    accounts: Accounts | None
    """Account ids; null means every account that the API lists."""
    workers: int
    """Most units under way at once."""
    from_pay_date: date | None
    from_start_date: date | None

    @property
    def accounts_total(self) -> int | None:
        """How many accounts there are, where that is known from the start."""
        accounts: object = self.accounts
        return len(accounts) if isinstance(accounts, Sized) else None


def make_plan(
    *,
    products: Iterable[Product],
    accounts: Accounts | None,
    concurrency: int | None,
    ceiling: int,
    from_pay_date: date | None,
    from_start_date: date | None,
) -> Plan:
    """Check the arguments of a sync before anything is sent.

    Args:
        products: In the order in which they are fetched for each account; repetitions are dropped.
        accounts: Account ids, or None for all.
        concurrency: Most units under way at once; None for as many as help.
        ceiling: Most requests that the client has in flight.
        from_pay_date: Only paystubs after this day.
        from_start_date: Only shifts that start on this day or later.

    Raises:
        RequestError: An argument that cannot be meant.
    """
    wanted = () if isinstance(products, str) else tuple(dict.fromkeys(products))
    problems = [
        problem
        for wrong, problem in (
            (not wanted or not set(wanted) <= set(PRODUCTS), f"products must be some of {', '.join(PRODUCTS)}"),
            (isinstance(accounts, str), "accounts must be several ids, such as [account_id], not one text"),
            (concurrency is not None and concurrency < 1, "concurrency must be at least 1"),
        )
        if wrong
    ]
    if problems:
        raise RequestError(problems)
    return Plan(
        products=wanted,
        accounts=accounts,
        workers=concurrency or min(MAX_WORKERS, ceiling),
        from_pay_date=from_pay_date,
        from_start_date=from_start_date,
    )


def from_day(plan: Plan, product: Product) -> date | None:
    """Return the day after which objects are wanted; None where all are."""
    return {"paystubs": plan.from_pay_date, "shifts": plan.from_start_date}.get(product)
