"""Migration: proves that tables and views are this library's own, makes them, or brings them up to date."""

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from attrs import evolve, frozen
from sqlalchemy import (
    Column,
    Connection,
    Index,
    Table,
    Text,
    bindparam,
    cast as cast_to,
    delete,
    insert,
    inspect,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.schema import (
    CreateColumn,
    CreateIndex,
    CreateSchema,
    CreateTable,
    DropIndex,
    SetColumnComment,
    SetTableComment,
)

from pinwheel_async._core.convert import Shape, decode, read_json
from pinwheel_async._core.fields import attributes, wire_name
from pinwheel_async.errors import ConfigurationError, SinkError
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.sync._columns import MODELS
from pinwheel_async.sync._sink import Kind
from pinwheel_async.sync._sql.database import limit_wait, lock
from pinwheel_async.sync._sql.queries import read_again
from pinwheel_async.sync._sql.tables import ERASURE_KEY, SCOPE, VALUES, VERSION, Tables, tables_of
from pinwheel_async.sync._views.definitions import View, named_views
from pinwheel_async.sync._views.make import drop_views, make_views
from pinwheel_async.webhooks._inbox.sqlite_schema import APPLICATION_ID

logger = logging.getLogger("pinwheel_async.sync")

Step: TypeAlias = Callable[[Connection], object]

SCHEMA_VERSION = 1
"""Goes up when a table changes in a way that adding columns and indexes does not cover."""

OLDEST = 1
"""Oldest version of this code that may still use the tables that it leaves. A step only adds what older code can
overlook, so that processes of both run side by side while a deploy rolls; what takes something away comes a release
later, and raises this."""

STEPS: Mapping[int, Step] = MappingProxyType({})
"""For each version but the first one, what turns the tables of the version before into its own.

A step runs before missing tables, columns and indexes are added, in the transaction that notes the new version.
"""

_AT_ONCE = 1_000
"""Rows that are filled at a time, so that any number of them takes the memory of these."""

_NAMES = {
    # SQLite takes no notice of case in names.
    "sqlite": "SELECT lower(name) FROM sqlite_master WHERE type <> 'trigger' AND lower(name) IN :names",
    # Whatever a name without a schema would mean, in any of the schemas where PostgreSQL looks for it.
    "postgresql": """SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relname IN :names
        AND CASE WHEN :schema <> '' THEN nspname = :schema ELSE pg_table_is_visible(pg_class.oid) END""",
}
"""Finds tables, views and indexes that have one of some names."""

_COLUMNS = {
    "sqlite": """SELECT lower(t.name), c.name FROM sqlite_master t, pragma_table_xinfo(t.name) c
        WHERE t.type = 'table' AND lower(t.name) IN :names""",
    "postgresql": """SELECT relname, attname FROM pg_attribute
        JOIN pg_class t ON t.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relname IN :names AND attnum > 0 AND NOT attisdropped
        AND CASE WHEN :schema <> '' THEN nspname = :schema ELSE pg_table_is_visible(t.oid) END""",
}
"""Finds the columns of tables of some names. SQLAlchemy's own look at all tables takes five times as long on SQLite."""

_INDEXES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND lower(tbl_name) IN :names",
    # One that was left half built, or is being built, is not there.
    "postgresql": """SELECT i.relname FROM pg_index
        JOIN pg_class i ON i.oid = indexrelid JOIN pg_class t ON t.oid = indrelid
        JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE t.relname IN :names AND indisvalid
        AND CASE WHEN :schema <> '' THEN nspname = :schema ELSE pg_table_is_visible(t.oid) END""",
}
"""Finds the indexes of tables of some names."""


@frozen
class Found:
    """What is there of a copy."""

    version: int | None
    """The version of its tables; null if there is no copy."""
    tables: tuple[Table, ...]
    """Tables that are missing."""
    columns: tuple[tuple[Table, str], ...]
    """Columns that are missing in tables that are there."""
    indexes: tuple[Index, ...]
    """Indexes that are missing on tables that are there."""
    views: tuple[View, ...]
    """Views that are missing, or of an earlier definition."""
    present_views: tuple[View, ...]
    """Views that are there, of whichever definition."""
    made: Mapping[str, int]
    """Names of what this library made, each with its version, which only that of a view tells."""
    oldest: int | None
    """The oldest version of this code that may use the tables; null if they do not say."""

    def is_readable(self, version: int = SCHEMA_VERSION) -> bool:
        """Whether all tables are there as they have to be, or as newer code has left them; an index may be missing."""
        return self.version is not None and self.version >= version and not (self.tables or self.columns)

    def is_prepared(self, version: int = SCHEMA_VERSION) -> bool:
        """Whether there is nothing to be done but to build indexes."""
        return self.is_readable(version) and not self.views

    def is_current(self, version: int = SCHEMA_VERSION) -> bool:
        """Whether there is nothing to be done."""
        return self.is_prepared(version) and not self.indexes


def find(connection: Connection, *, version: int = SCHEMA_VERSION) -> Found:
    """Look what is there of a copy, and prove that it is one; nothing is changed, and no lock is taken.

    Args:
        connection: In a transaction.
        version: The newest version that is known.

    Raises:
        ConfigurationError: There are tables, indexes or views of our names that this library did not make, or it is an
            inbox.
        SinkError: The tables are for newer versions than this library only.
    """
    tables = tables_of(connection)
    ours = _names(tables)
    # Names first: what another process has made since then is in its version table, which is read after them.
    there = {name for (name,) in _named(connection, _NAMES, ours)}
    version_table = tables[VERSION]
    if version_table.name not in there and _is_inbox(connection):
        raise ConfigurationError("the database is the inbox of a receiver: give the copy a file of its own")
    number, made, oldest = _version(connection, version_table if version_table.name in there else None)
    if foreign := sorted(there - {*made}):
        cure = "prefix" if connection.dialect.name == "sqlite" else "schema or a prefix"
        rename = "" if number is None else "rename it, or "  # a name that the copy did not need before
        raise ConfigurationError(
            f"the database has {', '.join(foreign)}, which this library did not make: nothing was changed;"
            f" {rename}give the copy a database of its own, or a {cure}"
        )
    if number is not None and number > version and (oldest is None or oldest > version):
        raise SinkError("", reason=f"its tables are of version {number}, and this library knows {version}")
    known = tables.metadata.sorted_tables
    present = [table for table in known if table.name in there]
    columns, indexes = _columns(connection, present), _indexes(connection, present)
    views = named_views(tables)
    present_views = tuple([view for view, named in views.items() if named.name in there])
    return Found(
        number,
        tuple([table for table in known if table.name not in there]),
        tuple(
            [
                (table, column.name)
                for table in present
                for column in table.columns
                if column.name not in columns[table.name]
            ]
        ),
        tuple([index for table in present for index in table.indexes if index.name not in indexes]),
        tuple(
            [
                view
                for view, named in views.items()
                if view not in present_views or made.get(named.name, 0) < view.version
            ]
        ),
        present_views,
        made,
        oldest,
    )


def prepare(connection: Connection, *, version: int = SCHEMA_VERSION, steps: Mapping[int, Step] = STEPS) -> bool:
    """Make the tables, bring them up to date, or leave them alone if they are: one process at a time.

    On PostgreSQL a transaction changes one of the tables that are there, and leaves the others to the next one: it
    would hold the lock of one while it waits for that of another, and so would everybody behind it. Indexes of tables
    that are there are left to `build_index`.

    Args:
        connection: At the beginning of a transaction.
        version: The version that the tables have to have.
        steps: How to get there from earlier ones.

    Returns:
        Whether something is left for the next transaction.

    Raises:
        ConfigurationError: There are tables of our names that this library did not make; nothing was changed.
        SinkError: The tables are for newer versions than this library only.
    """
    limit_wait(connection)
    lock(connection)
    found = find(connection, version=version)
    is_on_postgres = connection.dialect.name == "postgresql"
    if found.is_prepared(version) if is_on_postgres else found.is_current(version):
        return False  # another process was first
    is_left = False
    if found.version is not None and found.version < version:
        _take_steps(connection, found, range(found.version + 1, version + 1), steps)
        found = find(connection, version=version)
    elif is_on_postgres:
        found, is_left = _one_table(found)
    tables = tables_of(connection)
    if tables.schema is not None and not inspect(connection).has_schema(tables.schema):
        connection.execute(CreateSchema(tables.schema))
    for table in found.tables:
        connection.execute(CreateTable(table))
        if connection.dialect.supports_comments:  # SQLite has none
            _comment(connection, table)
    for table, name in found.columns:
        _add_column(connection, table, name)
    _fill(connection, [table.c[name] for table, name in found.columns if "member" in table.c[name].info])
    _read_again(connection, found, _fill_from_raw(connection, found))
    of_new_tables = [index for table in found.tables for index in table.indexes]
    for index in of_new_tables if is_on_postgres else (*found.indexes, *of_new_tables):
        connection.execute(CreateIndex(index))
    make_views(connection, found.views, found.present_views)
    values = tables[VALUES]
    if connection.scalar(select(values.c.key).where(values.c.key == ERASURE_KEY)) is None:
        connection.execute(insert(values).values(key=ERASURE_KEY, value=secrets.token_bytes(32)))
    connection.execute(delete(tables[VERSION]))
    # Of a newer version they stay, if some of what this code knows was missing.
    number, oldest = max(version, found.version or 0), max(OLDEST, found.oldest or 0)
    note = insert(tables[VERSION]).values(version=number, oldest=oldest, made=_made(tables, found.made))
    connection.execute(note)
    return is_left


def _take_steps(connection: Connection, found: Found, numbers: range, steps: Mapping[int, Step]) -> None:
    drop_views(connection, found.present_views)  # or tables under them could not be changed
    for number in numbers:
        steps[number](connection)


def _one_table(found: Found) -> tuple[Found, bool]:
    """Return what one transaction does of what is to be done, and whether there is more."""
    if found.columns:
        first = found.columns[0][0]
        columns = tuple([(table, name) for table, name in found.columns if table is first])
        return evolve(found, tables=(), columns=columns, views=()), True
    return found, False


def drop_half_built(connection: Connection, index: Index) -> None:
    """Drop an index that was left half built, if it is there; one that is being built is waited for."""
    limit_wait(connection)
    preparer = connection.dialect.identifier_preparer
    assert index.table is not None  # noqa: S101  # each of ours is of one
    # Whoever builds it has this lock, and no other sign tells an index that is being built from one that never will be.
    connection.exec_driver_sql(f"LOCK TABLE {preparer.format_table(index.table)} IN SHARE UPDATE EXCLUSIVE MODE")
    if index.name in _half_built(connection):
        connection.execute(DropIndex(index))


def build_index(connection: Connection, index: Index) -> None:
    """Build an index of a table of PostgreSQL beside whoever writes, outside a transaction."""
    definition = str(CreateIndex(index, if_not_exists=True).compile(dialect=connection.dialect))
    connection.exec_driver_sql(definition.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1))


def _half_built(connection: Connection) -> frozenset[str]:
    """Return the names of indexes that cannot be used, as whoever built them was killed, or builds still."""
    query = """
        SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_namespace n ON n.oid = relnamespace
        WHERE NOT indisvalid AND CASE WHEN :schema <> '' THEN nspname = :schema ELSE pg_table_is_visible(c.oid) END
    """
    return frozenset(connection.scalars(text(query), {"schema": tables_of(connection).schema or ""}))


def _comment(connection: Connection, table: Table) -> None:
    if table.comment:
        connection.execute(SetTableComment(table))
    for column in table.columns:
        if column.comment:
            connection.execute(SetColumnComment(column))


def _is_inbox(connection: Connection) -> bool:
    return (
        connection.dialect.name == "sqlite"
        and connection.exec_driver_sql("PRAGMA application_id").scalar() == APPLICATION_ID
    )


def _names(tables: Tables) -> list[str]:
    """Return the names of all tables, indexes and views."""
    names = [name for table in tables.metadata.sorted_tables for name in (table.name, *_index_names(table))]
    return names + [view.name for view in named_views(tables).values()]


def _made(tables: Tables, before: Mapping[str, int]) -> Mapping[str, int]:
    """Return the names of what was made, with the versions of views; what a newer library made stays noted."""
    versions = {named.name: view.version for view, named in named_views(tables).items()}
    return {**before, **{name: max(before.get(name, 0), versions.get(name, 0)) for name in _names(tables)}}


def _version(connection: Connection, table: Table | None) -> tuple[int | None, Mapping[str, int], int | None]:
    """Return the version of the tables, the names of what this library made, and the oldest version that may use them.

    The version is none if there is no such table.
    """
    columns = set[str]() if table is None else _columns(connection, [table])[table.name]
    if table is None or not columns >= {"version", "made"}:
        return None, dict[str, int](), None
    # Tables of 0.1.0 do not say the oldest version.
    known = [column for column in table.c if column.name in columns]
    row = connection.execute(select(*known)).mappings().one_or_none()
    if row is None:
        return None, dict[str, int](), None
    names: list[str] = [*row["made"]]
    # Before there were views, it was a list of names.
    made: Mapping[str, int] = dict.fromkeys(names, 0) if isinstance(row["made"], list) else row["made"]
    return row["version"], made, row.get("oldest")


def _index_names(table: Table) -> list[str]:
    return [str(index.name) for index in table.indexes]


def _columns(connection: Connection, tables: Sequence[Table]) -> Mapping[str, set[str]]:
    columns: dict[str, set[str]] = {table.name: set() for table in tables}
    for table, column in _named(connection, _COLUMNS, [*columns]):
        columns[table].add(column)
    return columns


def _indexes(connection: Connection, tables: Sequence[Table]) -> set[str | None]:
    return {name for (name,) in _named(connection, _INDEXES, [table.name for table in tables])}


def _named(connection: Connection, queries: Mapping[str, str], names: Sequence[str]) -> Iterable[Sequence[str]]:
    """Ask the database about what has some names in the schema of the copy."""
    query = text(queries[connection.dialect.name]).bindparams(bindparam("names", type_=Text, expanding=True))
    schema = {} if connection.dialect.name == "sqlite" else {"schema": tables_of(connection).schema or ""}
    rows: Any = connection.execute(query, {"names": names, **schema})
    return cast("Iterable[Sequence[str]]", rows)


def _add_column(connection: Connection, table: Table, name: str) -> None:
    """Add a column, null in all rows that are there, whatever it must be in a table that is made anew."""
    column = table.c[name]._copy()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # there is no public way
    column.nullable = True
    of_table = connection.dialect.identifier_preparer.format_table(table)
    definition = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {of_table} ADD COLUMN {definition}")
    if column.comment and connection.dialect.supports_comments:
        connection.execute(SetColumnComment(table.c[name]))


def _fill(connection: Connection, columns: Sequence[Column[Any]]) -> None:
    """Fill added columns of accounts with the moments that the JSON beside them holds.

    Here, and not by the next sync: to that nothing has changed, or each account would be a change of the history.
    """
    if not columns:
        return
    table = tables_of(connection).stored["accounts"].table
    sources: dict[Column[Any], Column[Any]] = {column: table.c[column.info["attribute"]] for column in columns}
    change = update(table).where(table.c.id == bindparam("account"))
    change = change.values({column.name: bindparam(column.name) for column in columns})
    after = ""
    while True:
        query = select(table.c.id, *{*sources.values()}).where(table.c.id > after).order_by(table.c.id)
        rows = connection.execute(query.limit(_AT_ONCE)).mappings().all()
        if not rows:
            return
        connection.execute(
            change,
            [
                {
                    "account": row[table.c.id],
                    **{column.name: _moment(row[source], column.info["member"]) for column, source in sources.items()},
                }
                for row in rows
            ],
        )
        after = rows[-1][table.c.id]


def _fill_from_raw(connection: Connection, found: Found) -> Collection[Kind]:
    """Fill added columns of objects that are stored as they came.

    Of accounts nothing else would: one that comes again as it came before is not written again.

    Returns:
        The kinds of which every object was filled.
    """
    tables, whole = tables_of(connection), set[Kind]()
    if not connection.scalar(select(tables[SCOPE].c.raw)):
        return whole
    for kind, stored in tables.stored.items():
        table = stored.table
        added = [table.c[name] for of_table, name in found.columns if of_table is table]
        columns = [column for column in added if "attribute" in column.info and "member" not in column.info]
        if columns and _fill_kind(connection, kind, table, columns):
            whole.add(kind)
    return whole


def _fill_kind(connection: Connection, kind: Kind, table: Table, columns: Sequence[Column[Any]]) -> bool:
    """Fill columns of a kind of objects; return whether each object held them in its JSON."""
    names = {attribute.name: wire_name(attribute) for attribute in attributes(MODELS[kind])}
    wires = {names[column.info["attribute"]] for column in columns}
    keys = [*table.primary_key]
    change = update(table).where(*[key == bindparam(f"key_{key.name}") for key in keys])
    change = change.values({column.name: bindparam(column.name) for column in columns})
    shape, after, is_whole = Shape(MODELS[kind], many=False, meta=None), None, True
    while True:
        query = select(*keys, cast_to(table.c.raw, Text)).order_by(*keys).limit(_AT_ONCE)
        rows = connection.execute(query if after is None else query.where(tuple_(*keys) > after)).all()
        if not rows:
            return is_whole
        changes: list[dict[str, Any]] = []
        for *key, raw in rows:
            json: bytes = b"null" if raw is None else raw.encode()
            item = decode(shape, b'{"data":%s}' % json, LATEST_VERSION, "structs").data
            if item is None:
                is_whole = False
                continue
            is_whole = is_whole and wires <= {*read_json(json)}
            values = {column.name: getattr(item, column.info["attribute"]) for column in columns}
            changes.append(values | {f"key_{column.name}": value for column, value in zip(keys, key, strict=True)})
        if changes:
            connection.execute(change, changes)
        after = tuple_(*rows[-1][:-1])


def _read_again(connection: Connection, found: Found, filled: Collection[Kind]) -> None:
    """Let what was read of products be read again whose tables got columns or lines: they are null, or not there.

    Not of accounts: every list brings them again.

    Args:
        connection: In a transaction.
        found: What was added.
        filled: Kinds whose objects have what was added to their own table.
    """
    if found.version is None:
        return
    tables = tables_of(connection)
    added = {*found.tables, *[table for table, name in found.columns if "attribute" in table.c[name].info]}
    kinds = [
        kind
        for kind, stored in tables.stored.items()
        if kind != "accounts" and added & {*(stored.tables[1:] if kind in filled else stored.tables)}
    ]
    for kind in kinds:
        count = read_again(connection, kind)
        if count:
            logger.warning(
                "the tables of %s got columns: the next sync reads them again for %d accounts",
                kind,
                count,
                extra={"event": "sync_columns_added"},
            )


def _moment(value: Any, member: str) -> datetime | None:
    found = cast("Mapping[str, Any]", value).get(member) if isinstance(value, dict) else None
    return datetime.fromisoformat(found) if isinstance(found, str) else None
