"""Plan of a sync: which products of which accounts it fetches; arguments are checked before anything is sent."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from datetime import date, timedelta
from itertools import islice
from typing import Any, TypeAlias, cast

from attrs import frozen

from pinwheel_async._core.arguments import Id, id_text, is_number, read, wrong
from pinwheel_async.errors import RequestError
from pinwheel_async.products import PRODUCTS, Product, read_products
from pinwheel_async.sync._run.reading import MAX_REMOVED

Accounts: TypeAlias = Iterable[Id] | AsyncIterable[Id]
"""Account ids, at hand or still to come."""

Ids: TypeAlias = Iterable[str] | AsyncIterable[Id]
"""The same without repetitions and as text, as far as they are at hand."""

MAX_WORKERS = 64
"""Most units fetched at once, unless told otherwise: more requests in flight gain nothing on one core."""

_NO_STORE = "this sink does not remember what it holds, as SqlSink does"

_A_DURATION = "a timedelta that is not negative, such as timedelta(days=7)"

RECHECK_AFTER = timedelta(days=7)
"""How long a reading lasts of what may change unseen, unless told otherwise."""

EVER = timedelta(days=36_500)
"""As long as any reading lasts: what is longer, such as `timedelta.max`, has no moment when it began."""


@frozen(kw_only=True)
class Plan:
    """What to fetch, for whom, and how hard to push."""

    products: tuple[Product, ...]
    products_given: bool = True
    """Whether these were asked for; if not, they are those of the copy."""
    accounts: Ids | None
    """Account ids; null means every account that the API lists."""
    workers: int
    """Most units fetched at once."""
    from_pay_date: date | None
    from_start_date: date | None
    changed_only: bool = True
    """Whether a sink that remembers is trusted, and only what moved is fetched."""
    recheck_after: timedelta = RECHECK_AFTER
    """How long a reading lasts of what may change unseen."""
    max_removed: float | None = MAX_REMOVED
    """Largest share of what is stored of a list that one reading may remove; null for any."""
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
    products: Iterable[Product] | None,
    accounts: Accounts | None,
    ceiling: int,
    concurrency: int | None = None,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
    changed_only: bool | None = None,
    recheck_after: timedelta = RECHECK_AFTER,
    max_removed: float | None = MAX_REMOVED,
    retry_failed: bool = False,
    dry_run: bool = False,
    remembers: bool = True,
) -> Plan:
    """Check the arguments of a sync before anything is sent.

    Args:
        products: In the order in which they are fetched for each account; repetitions are dropped. Those of the copy
            if None, and all where it does not say.
        accounts: Account ids, or None for all; repetitions are dropped, where it is no async iterable.
        ceiling: Most requests that the client has in flight.
        concurrency: Most units fetched at once; None for as many as help.
        from_pay_date: Only paystubs after this day.
        from_start_date: Only shifts that start on this day or later.
        changed_only: Whether to fetch only what moved; None where the sink remembers.
        recheck_after: How long a reading lasts of what may change unseen.
        max_removed: Largest share of what is stored of a list that one reading may remove; None for any.
        retry_failed: Whether to fetch nothing but what failed before.
        dry_run: Whether to count requests instead of fetching.
        remembers: Whether the sink is a `Store`.

    Raises:
        RequestError: An argument that cannot be meant.
    """
    problems: list[str] = []
    wanted = PRODUCTS if products is None else read_products(products, problems)
    ids = _ids(accounts, problems)
    read(date | None, "from_pay_date", from_pay_date, problems)
    read(date | None, "from_start_date", from_start_date, problems)
    problems += [
        problem
        for is_wrong, problem in (
            (not _is_count(concurrency), wrong("concurrency", "a whole number, at least 1", concurrency, int)),
            (bool(changed_only) and not remembers, f"changed_only must be left out: {_NO_STORE}"),
            (retry_failed and not remembers, f"retry_failed must be left out: {_NO_STORE}"),
            (retry_failed and accounts is not None, "accounts must be left out with retry_failed, which knows them"),
            (not _is_duration(recheck_after), wrong("recheck_after", _A_DURATION, recheck_after, timedelta)),
            (not is_share(max_removed), wrong("max_removed", "from 0 to 1, or None", max_removed, float)),
        )
        if is_wrong
    ]
    if problems:
        raise RequestError(problems)
    return Plan(
        products=wanted,
        products_given=products is not None,
        accounts=ids,
        workers=concurrency or min(MAX_WORKERS, ceiling),
        from_pay_date=from_pay_date,
        from_start_date=from_start_date,
        changed_only=changed_only is not False,
        recheck_after=min(recheck_after, EVER),
        max_removed=max_removed,
        retry_failed=retry_failed,
        dry_run=dry_run,
    )


def is_share(value: Any) -> bool:
    """Whether a value is a share, or None."""
    return value is None or (is_number(value) and 0 <= value <= 1)


def _is_count(value: Any) -> bool:
    return value is None or (is_number(value) and isinstance(value, int) and value >= 1)


def _is_duration(value: object) -> bool:
    return isinstance(value, timedelta) and value >= timedelta(0)


def from_day(plan: Plan, product: Product) -> date | None:
    """Return the day after which objects are wanted; None where all are."""
    if product == "paystubs":
        return plan.from_pay_date
    return plan.from_start_date if product == "shifts" else None


def _ids(accounts: object, problems: list[str]) -> Ids | None:
    """Return ids without repetitions, after noting in *problems* the first of those at hand that is none.

    Those of an async iterable are left as they are: it may be long, and all its ids would have to be kept.
    """
    if accounts is None or isinstance(accounts, AsyncIterable):
        return cast("AsyncIterable[Id] | None", accounts)
    if isinstance(accounts, str) or not isinstance(accounts, Iterable):
        problems.append(wrong("accounts", "several ids, such as [account_id], even for one", accounts))
        return None
    if not isinstance(accounts, Sized):
        return _deduplicated_lazily(cast("Iterable[Id]", accounts))
    texts: dict[str, None] = {}
    for index, account_id in enumerate(cast("Iterable[object]", accounts)):
        text, problem = id_text(f"accounts[{index}]", account_id)
        if problem is not None:
            problems.append(problem)
            break
        texts[text] = None
    return texts


def _deduplicated_lazily(accounts: Iterable[Id]) -> Iterator[str]:
    seen: set[str] = set()
    for given in accounts:
        account_id = _id(given)
        if account_id not in seen:
            seen.add(account_id)
            yield account_id


def _id(account_id: Id) -> str:
    """Return an id, which came while the sync runs, as text.

    Raises:
        RequestError: It is none.
    """
    text, problem = id_text("each of accounts", account_id)
    if problem is not None:
        raise RequestError([problem])
    return text


async def chunks(accounts: Ids, size: int) -> AsyncIterator[tuple[str, ...]]:
    """Yield ids in groups of a size; those of an async iterable each alone, because the next may be long in coming."""
    if isinstance(accounts, AsyncIterable):
        async for account_id in accounts:
            yield (_id(account_id),)
        return
    ids = iter(accounts)
    while chunk := tuple(islice(ids, size)):
        yield chunk
