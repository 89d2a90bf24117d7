"""What a sync fetches: which products of which accounts."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from datetime import date, timedelta
from itertools import islice
from typing import TypeAlias

from attrs import frozen

from pinwheel_async.errors import RequestError
from pinwheel_async.products import PRODUCTS, Product

Accounts: TypeAlias = Iterable[str] | AsyncIterable[str]
"""Account ids, at hand or still to come."""

MAX_WORKERS = 64
"""More requests in flight gain nothing on one core."""

_FORGETS = "this sink does not remember what it holds, as SqlSink does"

RECHECK_AFTER = timedelta(days=7)
"""How long a reading lasts of what may change unseen, unless told otherwise."""


@frozen(kw_only=True)
class Plan:
    """What to fetch, for whom, and how hard to push."""

    products: tuple[Product, ...]
    accounts: Accounts | None
    """Account ids; null means every account that the API lists."""
    workers: int
    """Most units fetched at once."""
    from_pay_date: date | None
    from_start_date: date | None
    changed_only: bool = True
    """Whether a sink that remembers is trusted, and only what moved is fetched."""
    recheck_after: timedelta = RECHECK_AFTER
    """How long a reading lasts of what may change unseen."""
    retry_failed: bool = False
    """Whether to fetch nothing but what failed before."""
    dry_run: bool = False
    """Whether to count requests instead of fetching."""

    @property
    def accounts_total(self) -> int | None:
        """How many accounts there are, where that is known from the start."""
        accounts: object = self.accounts
        return len(accounts) if isinstance(accounts, Sized) else None


def make_plan(
    *,
    products: Iterable[Product],
    accounts: Accounts | None,
    ceiling: int,
    concurrency: int | None = None,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
    changed_only: bool | None = None,
    recheck_after: timedelta = RECHECK_AFTER,
    retry_failed: bool = False,
    dry_run: bool = False,
    remembers: bool = True,
) -> Plan:
    """Check the arguments of a sync before anything is sent.

    Args:
        products: In the order in which they are fetched for each account; repetitions are dropped.
        accounts: Account ids, or None for all; repetitions are dropped, where it is no async iterable.
        ceiling: Most requests that the client has in flight.
        concurrency: Most units fetched at once; None for as many as help.
        from_pay_date: Only paystubs after this day.
        from_start_date: Only shifts that start on this day or later.
        changed_only: Whether to fetch only what moved; None where the sink remembers.
        recheck_after: How long a reading lasts of what may change unseen.
        retry_failed: Whether to fetch nothing but what failed before.
        dry_run: Whether to count requests instead of fetching.
        remembers: Whether the sink is a `Store`.

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
            (bool(changed_only) and not remembers, f"changed_only must be left out: {_FORGETS}"),
            (retry_failed and not remembers, f"retry_failed must be left out: {_FORGETS}"),
            (retry_failed and accounts is not None, "accounts must be left out with retry_failed, which knows them"),
            (recheck_after < timedelta(0), "recheck_after must not be negative"),
        )
        if wrong
    ]
    if problems:
        raise RequestError(problems)
    return Plan(
        products=wanted,
        accounts=_once(accounts),
        workers=concurrency or min(MAX_WORKERS, ceiling),
        from_pay_date=from_pay_date,
        from_start_date=from_start_date,
        changed_only=changed_only is not False,
        recheck_after=recheck_after,
        retry_failed=retry_failed,
        dry_run=dry_run,
    )


def from_day(plan: Plan, product: Product) -> date | None:
    """Return the day after which objects are wanted; None where all are."""
    return {"paystubs": plan.from_pay_date, "shifts": plan.from_start_date}.get(product)


def _once(accounts: Accounts | None) -> Accounts | None:
    """Leave out repetitions, where that does not take memory that nobody expects."""
    if accounts is None or isinstance(accounts, AsyncIterable):
        return accounts
    return dict.fromkeys(accounts) if isinstance(accounts, Sized) else _unseen(accounts)


def _unseen(account_ids: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for one in account_ids:
        if one not in seen:
            seen.add(one)
            yield one


async def chunks(accounts: Accounts, size: int) -> AsyncIterator[tuple[str, ...]]:
    """Yield ids in groups of a size; those that still come, one by one, because nobody knows when."""
    if isinstance(accounts, AsyncIterable):
        async for one in accounts:
            yield (one,)
        return
    ids = iter(accounts)
    while chunk := tuple(islice(ids, size)):
        yield chunk
