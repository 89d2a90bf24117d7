"""Reading of a history: the changes since somebody last looked, and what was there at a moment."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from attrs import frozen
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Date,
    Double,
    Table,
    Text as SqlText,
    cast as sql_cast,
    exists,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async._core.converter import Serializable
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, RequestError
from pinwheel_async.sync._history.log import UNLOGGED
from pinwheel_async.sync._maintenance.open_copy import Copy
from pinwheel_async.sync._sink import Kind
from pinwheel_async.sync._sql.database import lock
from pinwheel_async.sync._sql.queries import erasure_hash, erasure_key, load
from pinwheel_async.sync._sql.tables import CHANGES, HISTORY_SINCE, STORED, tables_of
from pinwheel_async.sync._sql.types import Exact, Moment, Plain, same

_CHANGES_AT_ONCE = 5_000
"""Changes that are read together: any number of them takes the memory of these."""

PastRows: TypeAlias = Mapping[str, list[dict[str, Any]]]
"""Rows by the name of their table, in the order of their keys."""


@frozen(kw_only=True)
class Change(Serializable):
    """What became of one object: ids only."""

    kind: Kind
    account_id: str
    id: str
    change: Literal["new", "changed", "removed"]
    """`removed` also where the object is kept and marked as deleted."""
    changed_at: datetime
    """When it was stored."""
    token: str
    """Where to go on after this change; opaque. It is valid as long as the copy keeps its history."""


@without_locals
async def changes(
    database: str | URL | AsyncEngine, *, since: str | None = None, schema: str | None = None, prefix: str = ""
) -> AsyncIterator[Change]:
    """Iterate over what was new, changed or removed in a copy that keeps a history; it ends with what is there now.

    Changes of one object come in order, and none is left out, also if several processes write. An object that changed
    several times comes as often. What was purged does not come, nor that it was.

    Args:
        database: As for `SqlSink`.
        since: The token of the last change that was seen; from the beginning of the history if None.
        schema: As for `SqlSink`.
        prefix: As for `SqlSink`.

    Raises:
        RequestError: The token is not one of this copy.
        ConfigurationError: There is no copy, or it keeps no history.
        SinkError: The database cannot be read.
    """
    copy = Copy(database, schema, prefix)

    async def begin(connection: AsyncConnection) -> tuple[str, int]:
        return await connection.run_sync(_begin)

    mark, last = await copy.read(begin)
    after = _number(since, mark)
    while after < last:

        async def some(connection: AsyncConnection, after: int = after) -> list[Change]:
            return await connection.run_sync(lambda found: _some(found, mark, after, last))

        page = await copy.read(some)
        for change in page:
            yield change
        after = _number(page[-1].token, mark) if page else last


@without_locals
async def as_of(
    database: str | URL | AsyncEngine,
    moment: datetime,
    *,
    account_id: str | None = None,
    schema: str | None = None,
    prefix: str = "",
) -> PastRows:
    """Return what a copy that keeps a history held at a moment: the rows of all tables of data, as they were.

    Args:
        database: As for `SqlSink`.
        moment: Aware; not before the history was begun.
        account_id: Only rows of this account; if None, everything is returned, and has to fit into the memory.
        schema: As for `SqlSink`.
        prefix: As for `SqlSink`.

    Returns:
        For each table its rows, with values by column, in the order of the keys.

    Raises:
        RequestError: The moment is not aware, or before the history.
        ConfigurationError: There is no copy, or it keeps no history.
        SinkError: The database cannot be read.
    """
    if moment.tzinfo is None:
        raise RequestError(["moment must be aware, such as datetime.now(UTC)"])

    async def look(connection: AsyncConnection) -> PastRows:
        return await connection.run_sync(lambda found: _as_of(found, moment, account_id))

    return await Copy(database, schema, prefix).read(look)


def _since(connection: Connection) -> datetime:
    """Return when the history was begun.

    Raises:
        ConfigurationError: There is none.
    """
    since = load(connection, HISTORY_SINCE)
    if since is None:
        raise ConfigurationError("the copy keeps no history: open its sink with history=True, change_scope=True")
    return datetime.fromisoformat(since.decode())


def _begin(connection: Connection) -> tuple[str, int]:
    """Return what tokens of the copy begin with, and the number of the last change that can be read by now."""
    _since(connection)
    if connection.dialect.name == "postgresql":
        # Numbers are given before transactions end. Who is writing has the shared lock: after this one, there is no
        # smaller number still to come.
        lock(connection)
    last = connection.scalar(select(func.max(tables_of(connection)[CHANGES].c.number))) or 0
    return erasure_hash(erasure_key(connection), "token of a change")[:8], last


def _some(connection: Connection, mark: str, after: int, last: int) -> list[Change]:
    table = tables_of(connection)[CHANGES].c
    what = (table.number, table.kind, table.account_id, table.id, table.change, table.changed_at)
    query = select(*what).where(table.number > after, table.number <= last).order_by(table.number)
    found: list[Change] = []
    for row in connection.execute(query.limit(_CHANGES_AT_ONCE)).mappings():
        values: dict[str, Any] = {**row}
        found.append(Change(token=f"{mark}-{values.pop('number')}", **values))
    return found


def _number(token: str | None, mark: str) -> int:
    if token is None:
        return 0
    begin, _, number = token.partition("-")
    if begin != mark or not (number.isascii() and number.isdecimal()):
        raise RequestError(["since must be the token of a change of this copy"])
    return int(number)


def _as_of(connection: Connection, moment: datetime, account_id: str | None) -> PastRows:
    if moment < _since(connection):
        raise RequestError([f"moment must not be before the history, which was begun at {_since(connection)}"])
    tables = tables_of(connection)
    past: dict[str, list[dict[str, Any]]] = {}
    for kind, original in STORED.items():
        stored = tables.stored[kind]
        is_later = [tables[CHANGES].c.kind == kind, tables[CHANGES].c.changed_at > moment]
        images = _images(connection, is_later, account_id)
        of_lines = [
            (part, [line for image in images for line in image["lines"][part.attribute]]) for part in stored.parts
        ]
        of_tables = [(original.table.name, stored.table, [image["row"] for image in images])]
        of_tables += [
            (part.table.name, found.table, lines) for part, (found, lines) in zip(original.parts, of_lines, strict=True)
        ]
        for name, table, older in of_tables:
            rows = _current(connection, table, kind, is_later, account_id)
            rows += map(_reader(table, connection), older)
            keys = [column.name for column in table.primary_key]
            past[name] = sorted(rows, key=itemgetter(*keys))
    return past


def _current(
    connection: Connection, table: Table, kind: Kind, is_later: list[Any], account_id: str | None
) -> list[dict[str, Any]]:
    """Return the rows of objects that did not change after the moment."""
    log = tables_of(connection)[CHANGES].c
    account, owner = (table.c.id, table.c.id) if kind == "accounts" else list(table.primary_key)[:2]
    later = exists().where(*is_later, log.account_id == account, log.id == owner)
    columns = [column for column in table.columns if column.name != UNLOGGED]
    query = select(*columns).where(~later)
    if account_id is not None:
        query = query.where(account == account_id)
    return [dict(row) for row in connection.execute(query).mappings()]


def _images(connection: Connection, is_later: list[Any], account_id: str | None) -> list[Any]:
    """Return what was stored, before the first change after the moment, of objects that changed after it."""
    table = tables_of(connection)[CHANGES]
    first = select(func.min(table.c.number)).where(*is_later).group_by(table.c.account_id, table.c.id)
    if account_id is not None:
        first = first.where(table.c.account_id == account_id)
    images = select(sql_cast(table.c.image, SqlText)).where(table.c.number.in_(first), table.c.image.is_not(None))
    # Decimal numbers of PostgreSQL are numbers in JSON: exact ones.
    found = [json.loads(image, parse_float=Decimal) for image in connection.scalars(images) if image]
    return [image for image in found if image is not None]


def _reader(table: Table, connection: Connection) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what turns the row of an image into one as the table gives it."""
    columns = [column for column in table.columns if column.name != UNLOGGED]
    readers = {column.name: _value_reader(column, connection) for column in columns}

    def read(row: Mapping[str, Any]) -> dict[str, Any]:
        # A column that was added since then was null.
        return {name: None if row.get(name) is None else make(row[name]) for name, make in readers.items()}

    return read


def _value_reader(column: Column[Any], connection: Connection) -> Callable[[Any], Any]:
    kind = column.type
    if isinstance(kind, Double):
        return float
    if isinstance(kind, Exact):
        return lambda value: Decimal(str(value))
    if isinstance(kind, Moment):
        return lambda value: kind.process_result_value(value, connection.dialect)
    if isinstance(kind, Date):
        return date.fromisoformat
    if connection.dialect.name == "sqlite":
        return kind.dialect_impl(connection.dialect).result_processor(connection.dialect, None) or same
    return _with_floats if isinstance(kind, Plain) else same


def _with_floats(value: Any) -> Any:
    """Return JSON with the numbers that a table gives, which are exact only in columns of their own."""
    return json.loads(json.dumps(value, default=float))
