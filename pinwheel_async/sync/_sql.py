"""A sink that keeps everything in real tables of SQLite or PostgreSQL."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateColumn

from pinwheel_async.errors import ConfigurationError, DecodeError, PinwheelError, SinkError
from pinwheel_async.sync._group import GroupWriter
from pinwheel_async.sync._rows import Layout, Page, Rows
from pinwheel_async.sync._sink import Batch, Kind
from pinwheel_async.sync._tables import METADATA, SCHEMA_VERSION, STORED, VERSION, Stored, converter
from pinwheel_async.sync._unstorable import unstorable
from pinwheel_async.sync._upsert import TableSql

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


class SqlSink:
    """Keeps accounts and products in tables: one for each kind of object, and one for each kind of line in it.

    Objects are stored under the API's ids: fetching them again updates them, and their lines are replaced. The tables
    are made when they are not there, and a column that a newer version of this library knows is added. All pages that
    wait are stored in one transaction; a page's `write` returns when it is committed.

    On SQLite, a power failure may cost the last transactions, never the database: everything can be fetched again. A
    new file can be read by its owner only.
    """

    def __init__(self, database: str | URL | AsyncEngine) -> None:
        """Describe the sink; nothing is opened yet.

        Args:
            database: URL such as `sqlite+aiosqlite:///payroll.db` or `postgresql+asyncpg://user@host/name`, or an
                engine of your own, which stays open. SQLite is opened by Python's own driver, in a thread, whichever
                driver its URL names; make engines with `hide_parameters=True`, or their errors show what they hold.

        Raises:
            ConfigurationError: No such URL, or no SQLite or PostgreSQL.
        """
        self._place = database if isinstance(database, AsyncEngine) else _url(database)
        self._database: _Database | None = None
        self._writer: GroupWriter[Page] | None = None
        self._layouts: dict[Kind, Layout] = {}

    async def open(self) -> None:
        """Connect, and make or extend the tables.

        Raises:
            SinkError: The database cannot be used.
            ConfigurationError: The driver is not installed.
        """
        database = self._database = _open(self._place)
        try:
            problem = await self._try(_prepare)
        except asyncio.CancelledError:
            await self._disconnect()
            raise
        if problem:
            await self._disconnect()
            raise SinkError("the database cannot be used", reason=problem)
        self._layouts = {kind: _layout(one, database.dialect) for kind, one in STORED.items()}
        self._writer = GroupWriter(self._store)

    async def write(self, batch: Batch) -> None:
        """Store a page; return when it is committed.

        Raises:
            SinkError: The database did not take it.
            DecodeError: No database can take it: an object without id, or a number beyond 64 bits.
        """
        if self._writer is None:
            raise SinkError("the sink is not open", reason="closed")
        await self._writer.write(self._page(batch))

    async def close(self, *, complete: bool) -> None:  # noqa: ARG002  # every page stands for itself
        """Store what still waits, and disconnect."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    def _page(self, batch: Batch) -> Page:
        """Turn a page into rows.

        Raises:
            DecodeError: It holds a moment beyond the calendar.
        """
        with suppress(OverflowError):
            return self._layouts[batch.kind].page(batch)
        raise DecodeError(where=batch.kind, paths=unstorable(batch))

    async def _store(self, pages: Sequence[Page]) -> list[Exception | None]:
        """Store a group of pages in one transaction; what no database takes must not take the others with it."""
        problem = await self._try(lambda connection: self._write(connection, pages))
        if not problem:
            return [None] * len(pages)
        refused = {one: paths for one in pages if (paths := unstorable(one.batch))}
        others = [one for one in pages if one not in refused]
        if refused and others:
            problem = await self._try(lambda connection: self._write(connection, others))
        return [_outcome(one, refused.get(one), problem) for one in pages]

    def _write(self, connection: Connection, pages: Sequence[Page]) -> None:
        cursor = connection.connection.cursor()
        for kind, layout in self._layouts.items():
            for some in _without_repetition([one for one in pages if one.batch.kind == kind]):
                layout.write(cursor, some)

    async def _try(self, work: Callable[[Connection], None]) -> str | None:
        """Do something in a transaction; return what went wrong, without the values that the driver's errors hold."""
        if self._database is None:
            return "closed"
        try:
            await self._database.run(work)
        except Exception as error:  # noqa: BLE001  # whatever a driver raises, nothing of it may get out
            return _reason(error)
        return None


def _without_repetition(pages: Sequence[Page]) -> list[list[Page]]:
    """Divide pages so that no account is twice in one part: a statement must not meet the same object twice.

    Pages are sorted by account, so that two syncs into one database wait for each other in the same order.
    """
    parts: list[dict[str | None, Page]] = []
    for page in sorted(pages, key=lambda one: one.batch.account_id or ""):
        account = page.batch.account_id
        part = next((one for one in parts if account not in one), None)
        if part is None:
            parts.append(part := {})
        part[account] = page
    return [list(one.values()) for one in parts]


def _outcome(page: Page, paths: tuple[str, ...] | None, problem: str | None) -> PinwheelError | None:
    if paths:
        return DecodeError(where=page.batch.kind, paths=paths)
    return SinkError("the database did not store a page", reason=problem) if problem else None


def _layout(stored: Stored, dialect: Dialect) -> Layout:
    return Layout(_rows(stored.table, dialect), [(one.attribute, _rows(one.table, dialect)) for one in stored.parts])


def _rows(table: Table, dialect: Dialect) -> Rows:
    quoted = dialect.identifier_preparer
    columns = [quoted.format_column(one) for one in table.columns]
    sources = [one for one in table.columns if "attribute" in one.info]
    sql = TableSql(quoted.format_table(table), columns, len(table.primary_key), dialect.paramstyle)
    return Rows(sql, [one.info["attribute"] for one in sources], [converter(one, dialect) for one in sources])


def _prepare(connection: Connection) -> None:
    """Make the tables, or add the columns that are new."""
    if inspect(connection).has_table(VERSION.name):
        version = connection.scalar(select(VERSION.c.version))
        if version not in {None, SCHEMA_VERSION}:
            raise SinkError("", reason=f"its tables are of version {version}, not {SCHEMA_VERSION}")
    METADATA.create_all(connection)
    if connection.scalar(select(VERSION.c.version)) is None:
        connection.execute(insert(VERSION).values(version=SCHEMA_VERSION))
    there = inspect(connection)
    for table in METADATA.sorted_tables:
        known = {one["name"] for one in there.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                name = connection.dialect.identifier_preparer.format_table(table)
                text = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {text}")


def _reason(error: Exception) -> str:
    """Name what went wrong, by what the driver calls it; its text may hold values."""
    if isinstance(error, SinkError):
        return error.reason
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    name: str | None = getattr(cause, "sqlite_errorname", None)
    return name or type(cause.__cause__ or cause).__name__


class _Database(Protocol):
    """Runs work in transactions."""

    @property
    def dialect(self) -> Dialect:
        """How the database wants to be talked to."""
        ...

    async def run(self, work: Callable[[Connection], None]) -> None:
        """Do something in a transaction of its own."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class _InLoop:
    """A database whose driver is asynchronous."""

    def __init__(self, engine: AsyncEngine, *, owned: bool) -> None:
        self._engine = engine
        self._owned = owned
        self.dialect: Dialect = engine.dialect

    async def run(self, work: Callable[[Connection], None]) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(work)

    async def close(self) -> None:
        if self._owned:
            await self._engine.dispose()


class _InThread:
    """SQLite in a thread of its own: one hop for a transaction; an asynchronous driver takes one per statement."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url, hide_parameters=True, connect_args=_SQLITE)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pinwheel-sync-sqlite")
        self.dialect: Dialect = self._engine.dialect
        _tune(self._engine, url)

    async def run(self, work: Callable[[Connection], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    def _run(self, work: Callable[[Connection], None]) -> None:
        with self._engine.begin() as connection:
            work(connection)


def _tune(engine: Engine, url: URL) -> None:
    """Set up each connection, and keep a new file to its owner."""

    @event.listens_for(engine, "do_connect")
    def create_file(*_: object) -> None:
        name = url.database
        if name and name != ":memory:" and not name.startswith("file:") and not Path(name).exists():
            Path(name).touch(mode=0o600)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:
        # With WAL others can read meanwhile. NORMAL: what a power failure takes can be fetched again.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")


def _url(text: str | URL) -> URL:
    url = None
    with suppress(ArgumentError):
        url = make_url(text)
    if url is None or url.drivername not in _DRIVERS:
        raise ConfigurationError(
            "the database must be a URL such as sqlite:///payroll.db or postgresql://user@host/name"
        )
    return url.set(drivername=_DRIVERS[url.drivername])


def _open(place: URL | AsyncEngine) -> _Database:
    if isinstance(place, AsyncEngine):
        return _InLoop(place, owned=False)
    if place.drivername == "sqlite":
        return _InThread(place)
    with suppress(ModuleNotFoundError):
        return _InLoop(create_async_engine(place, hide_parameters=True), owned=True)
    raise ConfigurationError("PostgreSQL needs its driver: pip install 'pinwheel-async[postgres]'")
