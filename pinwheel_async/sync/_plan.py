"""What a sync fetches: each product of each account, one unit after the other, and how a unit is read."""

from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable, Sized
from contextlib import aclosing
from datetime import date
from typing import Any, TypeAlias, assert_never, cast

from attrs import frozen

from pinwheel_async._core.fields import Model
from pinwheel_async._core.page import Page
from pinwheel_async.client import Pinwheel
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.errors import RequestError
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync._sink import Batch

Accounts: TypeAlias = Iterable[str] | AsyncIterable[str]
"""Account ids, at hand or still to come."""

PAGE_LIMIT = 100
"""The most that the API gives: the fewest requests."""

MAX_WORKERS = 64
"""More requests in flight gain nothing on one core."""


@frozen
class Unit:
    """One product of one account: what a worker does at a time, and what fails on its own."""

    account_id: str
    product: Product


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


async def batches(pinwheel: Pinwheel, unit: Unit, plan: Plan) -> AsyncGenerator[Batch, None]:
    """Read a unit, page by page, each page when the one before it has been taken."""
    source = _source(pinwheel, unit, plan)
    if isinstance(source, Coroutine):
        yield Batch(kind=unit.product, account_id=unit.account_id, items=(await source,))
        return
    first = True
    async with aclosing(pages(source)) as found:
        async for page in found:
            last = not page.next_cursor
            yield Batch(kind=unit.product, account_id=unit.account_id, items=page.data, first=first, last=last)
            first = False


def pages(source: Paged[Any]) -> AsyncGenerator[Page[Any], None]:
    """Return the pages of a list as the generator that they are, so that it can be closed when a run ends early."""
    return cast("AsyncGenerator[Page[Any], None]", source.pages())


def _source(pinwheel: Pinwheel, unit: Unit, plan: Plan) -> Paged[Any] | Coroutine[Any, Any, Model]:  # noqa: PLR0911  # a table
    account_id = unit.account_id
    match unit.product:
        case "identity":
            return pinwheel.identity.get(account_id)
        case "income":
            return pinwheel.income.get(account_id)
        case "employment":
            return pinwheel.employment.get(account_id)
        case "direct_deposit_allocations":
            return pinwheel.direct_deposit_allocations.get(account_id)
        case "paystubs":
            return pinwheel.paystubs.list(account_id, from_pay_date=plan.from_pay_date, limit=PAGE_LIMIT)
        case "shifts":
            return pinwheel.shifts.list(account_id, from_start_date=plan.from_start_date, limit=PAGE_LIMIT)
        case "tax_forms":
            # Summaries only: every call for a form with its document is billed.
            return pinwheel.tax_forms.list(account_id, limit=PAGE_LIMIT)
        case _:
            assert_never(unit.product)
