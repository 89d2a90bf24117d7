"""Status of a copy: how complete and how fresh it is, what failed, and what webhooks announced that is not there."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import URL, Connection, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async._core.converter import Serializable
from pinwheel_async._privacy import without_locals
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync._maintenance.open_copy import Copy
from pinwheel_async.sync._mirror.completeness import Completeness, compare_list, verified_key
from pinwheel_async.sync._scope import Scope
from pinwheel_async.sync._sink import CLOCK_TOLERANCE, FailedProduct
from pinwheel_async.sync._sql import queries
from pinwheel_async.sync._sql.tables import CHECKPOINTS, ERASURES, VERSION, tables_of

_LISTS_AT_ONCE = 300
"""Lists whose ids are compared at a time: any number of accounts takes the memory of these only."""


@frozen(kw_only=True)
class Announced(Serializable):
    """What was announced of a product."""

    accounts: int = 0
    """Accounts of which something was announced."""
    objects: int = 0
    """Objects that events named as new, those left out that later events named as gone."""
    absent: int = 0
    """Objects that were announced and are not there, and never were."""
    unfinished: int = 0
    """Accounts of which the newest event does not say that everything was fetched from the source."""


@frozen(kw_only=True)
class ProductStatus(Serializable):
    """What the copy holds of a product."""

    complete: int = 0
    """Accounts whose data was read to its end."""
    reading: int = 0
    """Accounts of which a reading was begun and not ended: it is under way, or was interrupted. And those that were
    read to their end before the tables got columns of a later version of this library: they are read again."""
    missing: int = 0
    """Accounts for which the server answered 404: they do not have the data, or not yet."""
    contradicted: int = 0
    """Those among the missing that say that there is data: they are asked again, less and less often."""
    left_over: int = 0
    """Those among the missing of which objects are stored nevertheless: a 404 removes nothing that was read before."""
    never: int = 0
    """Accounts of which nothing was read as a whole."""
    failed: int = 0
    """Accounts that failed, and were not read since."""
    objects: int = 0
    """Objects that are stored, those left out that are kept though they were deleted at the source."""
    oldest: datetime | None = None
    """When the oldest of the complete readings began; null if there is none."""
    ahead: int = 0
    """Accounts whose reading began in the future: a clock was wrong. Such readings do not count, and are repeated."""
    newest: datetime | None = None
    """When the newest of the complete readings began; null if there is none."""
    announced: Announced | None = None
    """What webhooks announced; null if they announced nothing."""

    @property
    def ok(self) -> bool:
        """Whether everything was read, and nothing failed or lacks that was announced.

        A 404 is no failure, unless the account says that there is data.
        """
        absent = self.announced.absent if self.announced else 0
        return not (self.reading or self.never or self.failed or self.contradicted or self.ahead or absent)


@frozen(kw_only=True)
class Status(Serializable):
    """What the copy holds: numbers and ids, no payroll data."""

    schema_version: int
    """Version of the tables."""
    size: int
    """Bytes: of the file, or of the tables and their indexes where there is no file of their own."""
    accounts: int
    """Accounts that are stored, those left out that are gone."""
    gone: int
    """Accounts that two whole lists did not name any more, and whose data is stored."""
    erased: int
    """Accounts that were erased, and are not fetched or stored again."""
    scope: Scope
    """Whose data the copy holds, and what of it."""
    products: Mapping[Product, ProductStatus]
    """The products of the copy."""
    failures: tuple[FailedProduct, ...] = field(default=(), repr=False)
    """What failed, and was not read since."""

    @property
    def ok(self) -> bool:
        """Whether there is nothing to be done for any product."""
        return all(product.ok for product in self.products.values())

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"ok": self.ok, **fields}


@without_locals
async def status(database: str | URL | AsyncEngine, *, schema: str | None = None, prefix: str = "") -> Status:
    """Return what a copy holds: all numbers of the same moment. It counts rows, so it takes longer the more there are.

    Args:
        database: As for `SqlSink`.
        schema: As for `SqlSink`.
        prefix: As for `SqlSink`.

    Raises:
        ConfigurationError: There is no copy.
        SinkError: It cannot be read.
    """

    async def look(connection: AsyncConnection) -> Status:
        return await connection.run_sync(status_of)

    return await Copy(database, schema, prefix).read(look)


def status_of(connection: Connection) -> Status:
    """Return what the copy of a connection holds."""
    tables = tables_of(connection)
    scope = queries.load_scope(connection)
    found = queries.failures(connection)
    failures = tuple([failure for failure in found if failure.product == "accounts" or scope.holds(failure.product)])
    accounts = _count(connection, tables.stored["accounts"].table)
    readings = _readings(connection)
    announced = _announced(connection)
    products: dict[Product, ProductStatus] = {
        product: ProductStatus(
            **readings.get(product, {}),
            left_over=_left_over(connection, product),
            never=_never(connection, product),
            failed=sum(failure.product == product for failure in failures),
            objects=_count(connection, tables.stored[product].table),
            announced=announced.get(product),
        )
        for product in filter(scope.holds, PRODUCTS)
    }
    table = tables.stored["accounts"].table
    gone = select(func.count()).select_from(table).where(table.c.deleted_at.is_not(None))
    version: int = connection.execute(select(tables[VERSION].c.version)).scalar_one()
    return Status(
        schema_version=version,
        size=_size(connection),
        accounts=accounts,
        gone=connection.scalar(gone) or 0,
        erased=_count(connection, tables[ERASURES]),
        scope=scope,
        products=products,
        failures=failures,
    )


def _readings(connection: Connection) -> dict[str, dict[str, Any]]:
    """Count checkpoints, and find the first and the last of those that are complete."""
    table = tables_of(connection)[CHECKPOINTS].c
    begun_at, counts = table.begun_at, (table.product, table.reached)
    contradicted = func.count().filter(table.misses > 0)
    ahead = func.count().filter(begun_at > queries.time_of(connection) + CLOCK_TOLERANCE)
    query = select(*counts, func.count(), func.min(begun_at), func.max(begun_at), contradicted, ahead).where(
        table.reached.is_not(None)
    )
    found: dict[str, dict[str, Any]] = {}
    for product, reached, count, oldest, newest, contradictions, wrong in connection.execute(query.group_by(*counts)):
        found.setdefault(product, {"ahead": 0})[reached] = count
        found[product]["ahead"] += wrong
        if reached == "missing":
            found[product]["contradicted"] = contradictions
        if reached == "complete":
            found[product] |= {"oldest": oldest, "newest": newest}
    return found


def _left_over(connection: Connection, product: Product) -> int:
    tables = tables_of(connection)
    table, checkpoints = tables.stored[product].table, tables[CHECKPOINTS]
    objects = select(table).where(table.c.account_id == checkpoints.c.account_id)
    if "deleted_at" in table.c:
        objects = objects.where(table.c.deleted_at.is_(None))
    missing = (checkpoints.c.product == product, checkpoints.c.reached == "missing")
    return connection.scalar(select(func.count()).select_from(checkpoints).where(*missing, objects.exists())) or 0


def _never(connection: Connection, product: Product) -> int:
    tables = tables_of(connection)
    accounts, checkpoints = tables.stored["accounts"].table, tables[CHECKPOINTS]
    checkpoint = select(checkpoints).where(
        checkpoints.c.account_id == accounts.c.id, checkpoints.c.product == product, checkpoints.c.reached.is_not(None)
    )
    listed = accounts.c.deleted_at.is_(None)
    return connection.scalar(select(func.count()).select_from(accounts).where(listed, ~checkpoint.exists())) or 0


def _count(connection: Connection, table: Table) -> int:
    query = select(func.count()).select_from(table)
    if "deleted_at" in table.c:
        query = query.where(table.c.deleted_at.is_(None))
    return connection.scalar(query) or 0


def _size(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        page_bytes: int = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        return pages * page_bytes
    name_of = connection.dialect.identifier_preparer.format_table
    sizes = [func.pg_total_relation_size(name_of(table)) for table in tables_of(connection).metadata.sorted_tables]
    return int(sum(connection.execute(select(*sizes)).one()))


def _announced(connection: Connection) -> dict[Product, Announced]:
    """Return what was announced, by product; a product of which nothing was announced is not there."""
    found: dict[Product, Announced] = {}
    for entry in _entries(connection):
        before = found.get(entry.product, Announced())
        found[entry.product] = Announced(
            accounts=before.accounts + 1,
            objects=before.objects + entry.announced,
            absent=before.absent + len(entry.missing),
            unfinished=before.unfinished + (not entry.final),
        )
    return found


def _entries(connection: Connection) -> Iterator[Completeness]:
    """Compare what was announced with what is stored, list by list."""
    after: tuple[str, Product] | None = None
    while lists := queries.announced_lists(connection, after, _LISTS_AT_ONCE):
        verified = queries.load_all(connection, [verified_key(some.account_id, some.product) for some in lists])
        yield from (compare_list(some, verified) for some in lists)
        after = (lists[-1].account_id, lists[-1].product)
