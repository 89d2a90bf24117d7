"""What a copy holds, in numbers: how complete it is, how fresh, and what failed."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
from attrs import field, frozen
from sqlalchemy import URL, Connection, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync._export_reading import read
from pinwheel_async.sync._kept import FAILURES
from pinwheel_async.sync._sql_books import MARKS, VERSION
from pinwheel_async.sync._sql_ledger import load
from pinwheel_async.sync._status_ledger import Announced, announced
from pinwheel_async.sync._tables import METADATA, STORED


@frozen(kw_only=True)
class ProductStatus:
    """What the copy holds of one product."""

    complete: int = 0
    """Accounts whose data was read to its end."""
    reading: int = 0
    """Accounts of which a reading was begun and not ended: it is under way, or was interrupted."""
    missing: int = 0
    """Accounts for which the server answered 404: they do not have the data, or not yet."""
    never: int = 0
    """Accounts of which nothing was read as a whole."""
    failed: int = 0
    """Accounts that failed, and were not read since."""
    objects: int = 0
    """Objects that are stored, those left out that are kept though they were deleted at the source."""
    oldest: datetime | None = None
    """When the oldest of the complete readings began; null if there is none."""
    newest: datetime | None = None
    """When the newest of the complete readings began; null if there is none."""
    announced: Announced | None = None
    """What webhooks announced; null if they announced nothing."""

    @property
    def ok(self) -> bool:
        """Whether everything was read, and nothing failed or lacks that was announced. A 404 is no failure."""
        absent = self.announced.absent if self.announced else 0
        return not (self.reading or self.never or self.failed or absent)


@frozen(kw_only=True)
class FailedProduct:
    """One product of one account that failed, and was not read since."""

    account_id: str
    product: Product
    error: str
    """Name of the error."""


@frozen(kw_only=True)
class Status:
    """What the copy holds: numbers and ids, no payroll data."""

    schema_version: int
    """Version of the tables."""
    size: int
    """Bytes: of the file, or of the tables and their indexes where there is no file of their own."""
    accounts: int
    """Accounts that are stored."""
    products: Mapping[Product, ProductStatus]
    failures: tuple[FailedProduct, ...] = field(default=(), repr=False)
    """What failed, and was not read since."""

    @property
    def ok(self) -> bool:
        """Whether there is nothing to be done for any product."""
        return all(one.ok for one in self.products.values())

    def to_json(self) -> str:
        """Return it as JSON, for programs."""
        return json.dumps({"ok": self.ok, **attrs.asdict(self)}, default=str)


async def status(database: str | URL | AsyncEngine) -> Status:
    """Return what a copy holds: all numbers of the same moment. It counts rows, so it takes longer the more there are.

    Args:
        database: As for `SqlSink`.

    Raises:
        ConfigurationError: There is no such database.
        SinkError: It cannot be read.
    """

    async def look(connection: AsyncConnection) -> Status:
        return await connection.run_sync(_status)

    return await read(database, look)


def _status(connection: Connection) -> Status:
    failures = _failures(connection)
    accounts = _count(connection, STORED["accounts"].table)
    readings = _readings(connection)
    heard = announced(connection)
    products: dict[Product, ProductStatus] = {
        product: ProductStatus(
            **readings.get(product, {}),
            never=_never(connection, product),
            failed=sum(one.product == product for one in failures),
            objects=_count(connection, STORED[product].table),
            announced=heard.get(product),
        )
        for product in PRODUCTS
    }
    version: int = connection.execute(select(VERSION.c.version)).scalar_one()
    return Status(
        schema_version=version, size=_size(connection), accounts=accounts, products=products, failures=failures
    )


def _readings(connection: Connection) -> dict[str, dict[str, Any]]:
    """Count marks, and find the first and the last of those that are complete."""
    begun_at, counts = MARKS.c.begun_at, (MARKS.c.product, MARKS.c.reached)
    query = select(*counts, func.count(), func.min(begun_at), func.max(begun_at)).where(MARKS.c.reached.is_not(None))
    found: dict[str, dict[str, Any]] = {}
    for product, reached, count, oldest, newest in connection.execute(query.group_by(*counts)):
        found.setdefault(product, {})[reached] = count
        if reached == "complete":
            found[product] |= {"oldest": oldest, "newest": newest}
    return found


def _never(connection: Connection, product: Product) -> int:
    accounts = STORED["accounts"].table
    mark = select(MARKS).where(
        MARKS.c.account_id == accounts.c.id, MARKS.c.product == product, MARKS.c.reached.is_not(None)
    )
    return connection.scalar(select(func.count()).select_from(accounts).where(~mark.exists())) or 0


def _count(connection: Connection, table: Table) -> int:
    query = select(func.count()).select_from(table)
    if "deleted_at" in table.c:
        query = query.where(table.c.deleted_at.is_(None))
    return connection.scalar(query) or 0


def _failures(connection: Connection) -> tuple[FailedProduct, ...]:
    return tuple([FailedProduct(**one) for one in json.loads(load(connection, FAILURES) or b"[]")])


def _size(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages, size = (connection.exec_driver_sql(f"PRAGMA {one}").scalar_one() for one in ("page_count", "page_size"))
        return int(pages * size)
    tables = [func.pg_total_relation_size(table.name) for table in METADATA.sorted_tables]
    return int(sum(connection.execute(select(*tables)).one()))
