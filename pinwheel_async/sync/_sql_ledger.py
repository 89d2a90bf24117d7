"""What `SqlSink` tells about its books: marks, announcements and small values; within a transaction of the caller's."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
from sqlalchemy import Connection, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from pinwheel_async.products import Product
from pinwheel_async.sync._ledger import Announcement
from pinwheel_async.sync._sink import Mark
from pinwheel_async.sync._sql_books import ANNOUNCEMENTS, MARKS, VALUES
from pinwheel_async.sync._tables import STORED

# Fewer than any database takes parameters.
_AT_ONCE = 1_000

_MARK = [one.name for one in attrs.fields(Mark)]


def marks(connection: Connection, account_ids: Sequence[str]) -> dict[tuple[str, Product], Mark]:
    """Return the marks of some accounts."""
    found: dict[tuple[str, Product], Mark] = {}
    for start in range(0, len(account_ids), _AT_ONCE):
        wanted = MARKS.c.account_id.in_(account_ids[start : start + _AT_ONCE])
        for row in connection.execute(select(MARKS).where(wanted, MARKS.c.reached.is_not(None))).mappings():
            found[row["account_id"], row["product"]] = Mark(**{name: row[name] for name in _MARK})
    return found


def load(connection: Connection, key: str) -> bytes | None:
    """Return a small value."""
    value: bytes | None = connection.scalar(select(VALUES.c.value).where(VALUES.c.key == key))
    return value


def save(connection: Connection, key: str, value: bytes | None) -> None:
    """Keep a small value; None removes it."""
    if value is None:
        connection.execute(delete(VALUES).where(VALUES.c.key == key))
    else:
        into = _insert(connection, VALUES).values(key=key, value=value)
        connection.execute(into.on_conflict_do_update(index_elements=["key"], set_={"value": value}))


def announce(connection: Connection, announcement: Announcement) -> None:
    """Keep an announcement, unless it is there."""
    into = _insert(connection, ANNOUNCEMENTS).values(**attrs.asdict(announcement, recurse=False))
    connection.execute(into.on_conflict_do_nothing())


def announced(connection: Connection, account_id: str, product: Product) -> list[Announcement]:
    """Return what was announced of a product of an account, in order."""
    table = ANNOUNCEMENTS.c
    query = select(ANNOUNCEMENTS).where(table.account_id == account_id, table.product == product)
    found = connection.execute(query.order_by(table.announced_at, table.event_id))
    return [announcement_of(row) for row in found.mappings()]


def announced_units(connection: Connection, after: tuple[str, Product] | None, limit: int) -> list[tuple[str, Product]]:
    """Return accounts and products with announcements, in order."""
    unit = (ANNOUNCEMENTS.c.account_id, ANNOUNCEMENTS.c.product)
    query = select(*unit).distinct().order_by(*unit).limit(limit)
    if after is not None:
        query = query.where(tuple_(*unit) > after)
    return [(account_id, cast("Product", product)) for account_id, product in connection.execute(query)]


def held(connection: Connection, account_id: str, product: Product) -> frozenset[str]:
    """Return the ids of the objects that are stored, deleted ones left out."""
    table = STORED[product].table.c
    query = select(table.id).where(table.account_id == account_id)
    if "deleted_at" in table:
        query = query.where(table.deleted_at.is_(None))
    return frozenset(connection.scalars(query))


def announcement_of(row: Mapping[Any, Any]) -> Announcement:
    """Return the announcement of a row."""
    fields: dict[str, Any] = {**row, "added": tuple(row["added"]), "deleted": tuple(row["deleted"])}
    return Announcement(**fields)


def _insert(connection: Connection, table: Any) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
