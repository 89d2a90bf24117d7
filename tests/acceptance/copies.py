"""Rows of a copy, to be compared with those of another one."""

from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async.sync import METADATA

_DRIVERS = {"sqlite:": "sqlite+aiosqlite:", "postgresql:": "postgresql+asyncpg:"}


_OF_THE_COPY = {"first_seen_at", "changed_at"}
"""Columns that say when a copy wrote a row, in which two equal copies differ."""


async def contents(database: str) -> dict[str, list[Any]]:
    """Return what every row of every table holds of the API's data, and nothing of the sink's own."""
    scheme, _, rest = database.partition(":")
    engine = create_async_engine(_DRIVERS[f"{scheme}:"] + rest)
    try:
        async with engine.connect() as connection:
            return {
                table.name: sorted(
                    map(tuple, await connection.execute(select(*_columns(table)))),
                    key=lambda row: row[: len(table.primary_key)],
                )
                for table in METADATA.sorted_tables
                if not table.name.startswith("pinwheel_")
            }
    finally:
        await engine.dispose()


def _columns(table: Table) -> list[Any]:
    return [column for column in table.columns if column.name not in _OF_THE_COPY]
