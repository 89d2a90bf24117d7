"""A copy that is read: one transaction, which sees one moment of all tables, and changes nothing."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pinwheel_async.errors import ConfigurationError, PinwheelError, SinkError
from pinwheel_async.sync._sql import SqlSink
from pinwheel_async.sync._sql_database import place, reason_of

T = TypeVar("T")

_BEGIN = {"sqlite": "BEGIN", "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"}

_BUSY_S = 30


async def read(database: str | URL | AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Open a copy, and do something with a connection that sees one moment of it.

    Tables that an older version of this library made are brought up to date before.

    Raises:
        ConfigurationError: There is no such copy, or its driver is not installed.
        SinkError: It cannot be read.
    """
    sink = copy_at(database)
    await sink.open()
    await sink.close(complete=True)

    async def begin_and_work(connection: AsyncConnection) -> T:
        await connection.exec_driver_sql(_BEGIN[connection.dialect.name])
        return await work(connection)

    return await connected(database, "the database cannot be read", begin_and_work)


def copy_at(database: str | URL | AsyncEngine) -> SqlSink:
    """Return a copy that is there; it is not opened.

    Raises:
        ConfigurationError: There is none.
    """
    there = place(database)
    url = there.url if isinstance(there, AsyncEngine) else there
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():  # it would be made
        raise ConfigurationError("there is no such database")
    return SqlSink(database)


async def connected(
    database: str | URL | AsyncEngine, problem: str, work: Callable[[AsyncConnection], Awaitable[T]]
) -> T:
    """Do something with a connection of its own.

    Raises:
        SinkError: It did not work; without the values that the driver's errors hold.
    """
    there = place(database)
    engine = there if isinstance(there, AsyncEngine) else _engine(there)
    try:
        async with engine.connect() as connection:
            return await work(connection)
    except PinwheelError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a driver raises, nothing of it may get out
        reason = reason_of(error)
    finally:
        if engine is not there:
            await engine.dispose()
    raise SinkError(problem, reason=reason)


def _engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, hide_parameters=True)
    place = url.set(drivername="sqlite+aiosqlite")
    return create_async_engine(place, hide_parameters=True, connect_args={"timeout": _BUSY_S})
