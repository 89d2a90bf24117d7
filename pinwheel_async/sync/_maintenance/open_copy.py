"""Read transaction on a copy: it sees the same moment of all tables, changes nothing, and needs no right to."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pinwheel_async.errors import ConfigurationError, PinwheelError, SinkError
from pinwheel_async.sync._sql.database import failure_of, place, postgres_engine, tables_at
from pinwheel_async.sync._sql.migrate import Found, find
from pinwheel_async.sync._sql.sink import SqlSink
from pinwheel_async.sync._sql.tables import Tables, options_for

T = TypeVar("T")

_BEGIN = {"sqlite": "BEGIN", "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"}
"""Lets all queries of a transaction see the same moment: SQLite's always do, but its driver begins none to read."""

_BUSY_S = 30
"""Seconds to wait for another process, as `SqlSink` does."""

_PROBLEM = "the database cannot be read"

_NO_LOG = ("SQLITE_CANTOPEN", "SQLITE_READONLY")
"""What SQLite says of a file with a write-ahead log in a folder where it cannot make the files that belong to it."""


class Copy:
    """A copy that is there."""

    def __init__(self, database: str | URL | AsyncEngine, schema: str | None, prefix: str) -> None:
        """Say where it is; nothing is opened.

        Raises:
            ConfigurationError: It cannot be there.
        """
        self._database = database
        self._place = place(database)
        self.tables: Tables = tables_at(self._place, schema, prefix)

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]], *, views: bool = False) -> T:
        """Do something with a connection that sees the same moment of all tables.

        Nothing is changed: it needs no more than the right to read, and a SQLite file may lie where nothing can be
        written.

        Args:
            work: What to do.
            views: Whether it needs the views, too.

        Raises:
            ConfigurationError: There is no copy, or its driver is not installed.
            SinkError: It cannot be read, or its tables are of another version than this library's.
        """

        async def begin_and_work(connection: AsyncConnection) -> T:
            await connection.exec_driver_sql(_BEGIN[connection.dialect.name])
            found = await _find(connection)
            if not (found.is_current() if views else found.is_readable()):
                raise SinkError(_PROBLEM, reason="its tables are of an earlier version: a sync brings them up to date")
            return await work(connection)

        there = self._place
        path = _sqlite_path(there)
        if path is None or isinstance(there, AsyncEngine) or "uri" in there.query:
            return await self._connected(there, _PROBLEM, begin_and_work)
        try:
            # To be written, where that is allowed: a reader that cannot remove the files of the log leaves them behind.
            return await self._connected(_uri(there, path, mode="rw"), _PROBLEM, begin_and_work)
        except SinkError as error:
            if not error.reason.startswith(_NO_LOG) or _state(path) is None:
                raise
        return await self._read_unlocked(_uri(there, path, mode="ro", immutable="1"), path, begin_and_work)

    async def connected(self, problem: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do something with a connection of its own.

        Raises:
            SinkError: It did not work; without the values that the driver's errors hold.
        """
        return await self._connected(self._place, problem, work)

    async def sink(self) -> SqlSink:
        """Return what writes to it; it is not opened.

        Raises:
            ConfigurationError: There is no copy.
            SinkError: The database cannot be read.
        """
        _sqlite_path(self._place)
        await self.connected(_PROBLEM, _find)
        return SqlSink(self._database, schema=self.tables.schema, prefix=self.tables.prefix)

    async def _read_unlocked(self, url: URL, path: Path, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Read a file that nobody has open, without the locks that keep writers out.

        Raises:
            SinkError: It cannot be read, or was written meanwhile.
        """
        before = _state(path)
        done = await self._connected(url, _PROBLEM, work)
        if before is None or _state(path) != before:
            raise SinkError(_PROBLEM, reason="it was written meanwhile, and nothing can be locked here: try again")
        return done

    async def _connected(
        self, there: URL | AsyncEngine, problem: str, work: Callable[[AsyncConnection], Awaitable[T]]
    ) -> T:
        engine = there if isinstance(there, AsyncEngine) else _engine(there)
        try:
            async with engine.execution_options(**options_for(self.tables)).connect() as connection:
                return await work(connection)
        except PinwheelError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a driver raises, nothing of it may get out
            failure = failure_of(problem, error, self._place)
        finally:
            if engine is not there:
                await engine.dispose()
        raise failure


async def _find(connection: AsyncConnection) -> Found:
    """Look what is there.

    Raises:
        ConfigurationError: There is no copy.
        SinkError: Its tables are of a newer version than this library.
    """
    found = await connection.run_sync(find)
    if found.version is None:
        raise ConfigurationError("there is no copy here: no sync has written to this database")
    return found


def _state(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; null if it has a log beside it, so that somebody has it open."""
    if path.with_name(f"{path.name}-wal").exists():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _sqlite_path(there: URL | AsyncEngine) -> Path | None:
    """Return the path of a SQLite file; null for another database.

    Raises:
        ConfigurationError: There is no such file, and to connect would make it.
    """
    url = there.url if isinstance(there, AsyncEngine) else there
    if url.get_backend_name() != "sqlite":
        return None
    name = url.database or ""
    if name.startswith("file:"):
        name = unquote(name.removeprefix("file:").partition("?")[0])
        name = f"/{name.lstrip('/')}" if name.startswith("//") else name
    path = Path(name)
    if not path.is_file():
        raise ConfigurationError("there is no copy here: there is no such database")
    return path


def _uri(url: URL, path: Path, **options: str) -> URL:
    """Return the URL of a SQLite file with options of SQLite's own."""
    name = f"file:{quote(os.fspath(path.absolute()))}"
    return url.set(database=name, query={**url.query, **options, "uri": "true"})


def _engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return postgres_engine(url)
    place = url.set(drivername="sqlite+aiosqlite")
    return create_async_engine(place, hide_parameters=True, connect_args={"timeout": _BUSY_S})
