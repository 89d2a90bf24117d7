"""Makes the tables, or brings those of an earlier version up to date."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from sqlalchemy import Connection, insert, inspect, select, update
from sqlalchemy.schema import CreateColumn

from pinwheel_async.errors import SinkError
from pinwheel_async.sync._sql_books import VERSION
from pinwheel_async.sync._sql_database import lock
from pinwheel_async.sync._tables import METADATA

Step: TypeAlias = Callable[[Connection], object]

SCHEMA_VERSION = 1
"""Goes up when a table changes in a way that adding columns does not cover."""

STEPS: Mapping[int, Step] = MappingProxyType({})
"""For each version but the first one, what turns the tables of the version before into its own.

A step runs before missing tables and columns are added, in the transaction that notes the new version.
"""


def prepare(connection: Connection, *, version: int = SCHEMA_VERSION, steps: Mapping[int, Step] = STEPS) -> None:
    """Make the tables, bring them up to date, or leave them alone if they are: all or nothing, and one at a time.

    Args:
        connection: At the beginning of a transaction.
        version: The version that the tables have to have.
        steps: How to get there from earlier ones.

    Raises:
        SinkError: The tables are of a newer version than this library.
    """
    lock(connection)
    there = _version(connection)
    if there is not None and there > version:
        raise SinkError("", reason=f"its tables are of version {there}, and this library knows {version}")
    for number in range((there or version) + 1, version + 1):
        steps[number](connection)
    METADATA.create_all(connection)
    _add_columns(connection)
    if there is None:
        connection.execute(insert(VERSION).values(version=version))
    elif there < version:
        connection.execute(update(VERSION).values(version=version))


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(VERSION.name):
        return None
    version: int | None = connection.scalar(select(VERSION.c.version))
    return version


def _add_columns(connection: Connection) -> None:
    there = inspect(connection)
    for table in METADATA.sorted_tables:
        known = {one["name"] for one in there.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                name = connection.dialect.identifier_preparer.format_table(table)
                text = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {text}")
