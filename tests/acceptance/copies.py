"""What stands in a copy, to be compared with another one."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async.sync import METADATA

_DRIVERS = {"sqlite:": "sqlite+aiosqlite:", "postgresql:": "postgresql+asyncpg:"}


async def contents(database: str) -> dict[str, list[Any]]:
    """Return every row of every table that holds data of the API, none of the sink's own."""
    scheme, _, rest = database.partition(":")
    engine = create_async_engine(_DRIVERS[f"{scheme}:"] + rest)
    try:
        async with engine.connect() as connection:
            return {
                one.name: sorted(
                    map(tuple, await connection.execute(select(one))), key=lambda row: row[: len(one.primary_key)]
                )
                for one in METADATA.sorted_tables
                if not one.name.startswith("pinwheel_")
            }
    finally:
        await engine.dispose()
