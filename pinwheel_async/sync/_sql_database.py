"""The databases: how to reach them, and how to begin so that what a transaction reads holds until it has written."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from pinwheel_async.errors import ConfigurationError, SinkError
from pinwheel_async.sync._upsert import PLACEHOLDERS, Cursor

T = TypeVar("T")

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
"""The driver that is used for the one that a URL names."""

_SQLITE = {"timeout": 30, "cached_statements": 1_000}
"""Seconds to wait while another process writes to the same file; and room for every statement there is."""

_EVERYTHING = "pinwheel_async"


class Database(Protocol):
    """Runs work in transactions."""

    @property
    def dialect(self) -> Dialect:
        """How the database wants to be talked to."""
        ...

    @property
    def lanes(self) -> int:
        """How many transactions at once are faster than one after the other."""
        ...

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction of its own."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


def place(database: str | URL | AsyncEngine) -> URL | AsyncEngine:
    """Check what was named.

    Raises:
        ConfigurationError: No such URL, or no SQLite or PostgreSQL.
    """
    if isinstance(database, AsyncEngine):
        return database
    url = None
    with suppress(ArgumentError):
        url = make_url(database)
    if url is None or url.drivername not in _DRIVERS:
        raise ConfigurationError(
            "the database must be a URL such as sqlite:///payroll.db or postgresql://user@host/name"
        )
    return url.set(drivername=_DRIVERS[url.drivername])


def address(url: URL) -> str:
    """Return the URL of a database with its password, for another process."""
    name = url.database
    if url.drivername == "sqlite" and name and not name.startswith("file:"):
        url = url.set(database=str(Path(name).absolute()))
    return url.render_as_string(hide_password=False)


def is_in_memory(url: URL) -> bool:
    """Whether a database is in the memory of the process that opens it."""
    return url.drivername == "sqlite" and (
        not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"
    )


def connect(place: URL | AsyncEngine) -> Database:
    """Return the database at a place.

    Raises:
        ConfigurationError: The driver is not installed.
    """
    if isinstance(place, AsyncEngine):
        return _InLoop(place, owned=False)
    if place.drivername == "sqlite":
        return _InThread(place)
    with suppress(ModuleNotFoundError):
        return _InLoop(create_async_engine(place, hide_parameters=True), owned=True)
    raise ConfigurationError("PostgreSQL needs its driver: pip install 'pinwheel-async[postgres]'")


def lock(connection: Connection, units: Iterable[Sequence[str]] | None = None) -> None:
    """Begin to write: nobody else writes the same before the transaction ends.

    Args:
        connection: At the beginning of a transaction.
        units: What is going to be written; None for everything. PostgreSQL keeps others out of these only, and never
            lets two wait for each other, as all take their locks in the same order; SQLite lets one write at a time.
    """
    whole = _number(_EVERYTHING)
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        if not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif units is None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({whole})")
    else:
        numbers = sorted({_number(_EVERYTHING, *one) for one in units})
        # Rows are looked up by key: new tables, which have no statistics yet, must not be read from end to end.
        indexed, shared = "set_config('enable_seqscan', 'off', true)", f"pg_advisory_xact_lock_shared({whole})"
        given = PLACEHOLDERS[connection.dialect.paramstyle](1)
        text = f"SELECT {indexed}, {shared}, pg_advisory_xact_lock(one) FROM unnest({given}::bigint[]) AS one"  # noqa: S608
        connection.exec_driver_sql(text, (numbers,))


def _number(*names: str) -> int:
    digest = blake2b("\0".join(names).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def cursor_of(connection: Connection) -> Cursor:
    """Return what runs statements with the least ado."""
    adapted = connection.connection
    if connection.dialect.driver == "asyncpg":
        return _AsyncpgCursor(adapted.driver_connection)
    return adapted.cursor()


class _AsyncpgCursor:
    """Runs statements on the driver's own connection, which keeps them prepared."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._rows: Sequence[Any] = ()

    def execute(self, operation: Any, parameters: Any = (), /) -> None:
        self._rows = await_only(self._connection.fetch(operation, *parameters))

    def fetchall(self) -> Sequence[Any]:
        return self._rows

    def copy(self, table: str, columns: Sequence[str], records: Iterable[Sequence[Any]], /) -> None:
        await_only(self._connection.copy_records_to_table(table, columns=columns, records=records))


def reason_of(error: Exception) -> str:
    """Name what went wrong, by what the driver calls it; its text may hold values."""
    if isinstance(error, SinkError):
        return error.reason
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    name: str | None = getattr(cause, "sqlite_errorname", None)
    return name or type(cause.__cause__ or cause).__name__


class _InLoop:
    """A database whose driver is asynchronous."""

    def __init__(self, engine: AsyncEngine, *, owned: bool) -> None:
        self._engine = engine
        self._owned = owned
        self.dialect: Dialect = engine.dialect
        # While one waits for the server, others work. Nobody knows how many an engine of somebody else has.
        self.lanes = 3 if owned else 1

    async def run(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        if self._owned:
            await self._engine.dispose()


class _InThread:
    """SQLite in a thread of its own: one hop for a transaction; an asynchronous driver takes one per statement."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url, hide_parameters=True, connect_args=_SQLITE)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pinwheel-sync-sqlite")
        self.dialect: Dialect = self._engine.dialect
        self.lanes = 1
        _tune(self._engine, url)

    async def run(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    def _run(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)


def _use_wal(connection: Any) -> None:
    """Let a file have a log; where others are just doing the same, SQLite says at once that it is busy."""
    deadline = monotonic() + _SQLITE["timeout"]
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(0.01)
        else:
            return


def _tune(engine: Engine, url: URL) -> None:
    """Set up each connection, and keep a new file to its owner."""

    @event.listens_for(engine, "do_connect")
    def create_file(*_: object) -> None:
        name = url.database
        if name and not is_in_memory(url) and not name.startswith("file:") and not Path(name).exists():
            Path(name).touch(mode=0o600)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:
        # With WAL others can read meanwhile. NORMAL: what a power failure takes can be fetched again.
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        # Pages of 4 kB: of 32 MB of changes, many hit the same pages, which are then moved into the file once.
        connection.execute("PRAGMA wal_autocheckpoint = 8000")
        connection.execute("PRAGMA cache_size = -16000")  # in kB
