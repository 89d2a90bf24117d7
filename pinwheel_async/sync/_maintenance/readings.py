"""Readings of a copy: of each account and product how old they are, the accounts first that need somebody."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from attrs import frozen
from sqlalchemy import URL, Connection, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async._privacy import without_locals
from pinwheel_async.products import Product
from pinwheel_async.sync._maintenance.open_copy import Copy
from pinwheel_async.sync._maintenance.status import Status, status_of
from pinwheel_async.sync._sql.tables import CHECKPOINTS, tables_of

ReadingState: TypeAlias = Literal["complete", "reading", "missing", "failed", "never"]

AGES: tuple[timedelta, ...] = (timedelta(days=1), timedelta(days=7), timedelta(days=30))
"""Ages by which complete readings are told apart; the last ones are older."""

_AT_ONCE = 300
"""Accounts that are asked for in one query, far below the number of parameters that any database takes."""


@frozen(kw_only=True)
class Reading:
    """How far the reading of a product of an account is."""

    state: ReadingState
    begun_at: datetime | None = None


@frozen(kw_only=True)
class Readings:
    """Readings of a copy, all of one moment."""

    accounts: Mapping[str, Mapping[Product, Reading]]
    """By account, at most as many as were asked for: first those with failures, then those of which least was read,
    then those whose readings are oldest."""
    left_out: int
    """Accounts that are not among them."""
    ages: Mapping[Product, tuple[int, ...]]
    """Accounts whose reading is complete, by age: a number for each of `AGES`, and one for what is older."""


@without_locals
async def status_with_readings(
    database: str | URL | AsyncEngine, *, schema: str | None, prefix: str, now: datetime, limit: int
) -> tuple[Status, Readings]:
    """Return what a copy holds, and the readings of some of its accounts, of the same moment.

    Args:
        database: As for `SqlSink`.
        schema: As for `SqlSink`.
        prefix: As for `SqlSink`.
        now: From when on ages are counted.
        limit: Most accounts.

    Raises:
        ConfigurationError: There is no copy.
        SinkError: It cannot be read.
    """

    def look(connection: Connection) -> tuple[Status, Readings]:
        found = status_of(connection)
        return found, _readings(connection, found, now, limit)

    async def run(connection: AsyncConnection) -> tuple[Status, Readings]:
        return await connection.run_sync(look)

    return await Copy(database, schema, prefix).read(run)


def _readings(connection: Connection, status: Status, now: datetime, limit: int) -> Readings:
    products = tuple(status.products)
    failed = {(failure.account_id, failure.product) for failure in status.failures}
    failed_ids = dict.fromkeys([failure.account_id for failure in status.failures if failure.account_id])
    stored = [account for account in _worst(connection, products, limit) if account not in failed_ids]
    accounts = [*failed_ids, *stored][:limit]
    rows = {(account, product): rest for account, product, *rest in _rows(connection, accounts)}

    def reading_of(account: str, product: Product) -> Reading:
        reached, begun_at = rows.get((account, product), (None, None))
        state: Any = "failed" if (account, product) in failed else reached or "never"
        return Reading(state=state, begun_at=begun_at)

    return Readings(
        accounts={account: {product: reading_of(account, product) for product in products} for account in accounts},
        left_out=max(status.accounts - len(accounts), 0),
        ages=_ages(connection, products, now),
    )


def _worst(connection: Connection, products: Sequence[Product], limit: int) -> list[str]:
    """Return ids of accounts: those with the fewest complete readings first, then those with the oldest."""
    tables = tables_of(connection)
    accounts, checkpoints = tables.stored["accounts"].table, tables[CHECKPOINTS]
    ended = func.count().filter(checkpoints.c.reached.in_(("complete", "missing")))
    mine = and_(checkpoints.c.account_id == accounts.c.id, checkpoints.c.product.in_(products))
    query = (
        select(accounts.c.id)
        .select_from(accounts.outerjoin(checkpoints, mine))
        .where(accounts.c.deleted_at.is_(None))
        .group_by(accounts.c.id)
        .order_by(ended, func.min(checkpoints.c.begun_at), accounts.c.id)
        .limit(limit)
    )
    return list(connection.scalars(query))


def _rows(connection: Connection, accounts: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    table = tables_of(connection)[CHECKPOINTS].c
    query = select(table.account_id, table.product, table.reached, table.begun_at).where(table.reached.is_not(None))
    for start in range(0, len(accounts), _AT_ONCE):
        some = accounts[start : start + _AT_ONCE]
        yield from map(tuple, connection.execute(query.where(table.account_id.in_(some))))


def _ages(connection: Connection, products: Sequence[Product], now: datetime) -> dict[Product, tuple[int, ...]]:
    table = tables_of(connection)[CHECKPOINTS].c
    younger = [func.count().filter(table.begun_at > now - age) for age in AGES]
    query = select(table.product, *younger, func.count()).where(table.reached == "complete").group_by(table.product)
    found = {product: counts for product, *counts in connection.execute(query)}
    nothing = [0] * (len(AGES) + 1)
    return {
        product: tuple([count - before for before, count in zip([0, *counts], counts, strict=False)])
        for product in products
        for counts in [found.get(product, nothing)]
    }
