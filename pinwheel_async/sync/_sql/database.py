"""Connections to SQLite and PostgreSQL: transactions, and locks, so that what was read holds until it is written.

It has over 500 lines because what tells both databases apart when one connects to them, waits and gives up is in one
place: everything else of the copy is written once.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only

from pinwheel_async._clock import time_limit
from pinwheel_async._sqlite import create_private, use_wal
from pinwheel_async.errors import ConfigurationError, SinkError
from pinwheel_async.sync._sql.postgres_url import connect_arguments
from pinwheel_async.sync._sql.statements import PLACEHOLDERS, Cursor
from pinwheel_async.sync._sql.tables import Tables, options_for, tables_named, tables_of
from pinwheel_async.webhooks._worker.error_chain import error_chain

T = TypeVar("T")

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
"""The driver that is used instead of the driver that a URL names."""

_OTHER_DRIVERS = {
    f"postgresql+{name}" for name in ("psycopg", "psycopg_async", "psycopg2", "psycopg2cffi", "aiopg", "pg8000")
}
"""Drivers of PostgreSQL that URLs of other programs name."""

_SQLITE = {"timeout": 30, "cached_statements": 1_000}
"""Seconds to wait while another process writes to the same file; and room for every statement there is: of each table
nine sizes of its insert, and some more, where the usual 128 would make SQLite parse some again for every group."""

_PARALLEL = 3
"""Transactions at once on PostgreSQL: most of the time of each is waiting for the server, and meanwhile others work."""

_IDLE_S = 1.0
"""Seconds after which a connection to PostgreSQL is tried before it is used again."""

_USED_AT = "pinwheel_used_at"
"""Under which a connection says when it was used last."""

_GOODBYE_S = 2.0
"""Seconds for PostgreSQL to end a connection that is closed, which takes milliseconds where the network still works."""

_LOCK_S = 2
"""Seconds to wait at once on PostgreSQL before tables are changed: behind what waits for a table, everybody else waits,
too."""

_EVERYTHING = "pinwheel_async"
"""Begins the name of every lock; schema and prefix of the copy follow, and that is the lock of everything in it."""


_CURES: Mapping[str, str] = {
    "DuplicatePreparedStatementError": "behind PgBouncer in transaction mode, add pgbouncer=true to the URL",
    "InvalidSQLStatementNameError": "behind PgBouncer in transaction mode, add pgbouncer=true to the URL",
    "DependentObjectsStillExistError": "a view of yours is on top of one that has to be made anew; drop it",
    "LockNotAvailableError": "a transaction of somebody else keeps the tables locked; end it, or try later",
}
"""What can be done about an error of a driver, by its name."""


class Database(Protocol):
    """Runs work in transactions."""

    @property
    def dialect(self) -> Dialect:
        """How the database wants to be talked to."""
        ...

    @property
    def parallel(self) -> int:
        """How many transactions at once are faster than one after the other."""
        ...

    async def run(self, work: Callable[[Connection], T], limit_s: float | None, *, autocommit: bool = False) -> T:
        """Do something in a transaction of its own, or with *autocommit* each statement in one.

        Raises:
            SinkError: A server did not answer within some seconds; the transaction is given up then.
        """
        ...

    def hurry(self, limit_s: float) -> None:
        """Give up transactions that are under way if a server does not answer within some seconds."""
        ...

    async def set_up(self) -> None:
        """Let others read while something is written; called when it is proved that the database may be changed."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


def place(database: str | URL | AsyncEngine) -> URL | AsyncEngine:
    """Check what was named.

    Raises:
        ConfigurationError: No such URL, no SQLite or PostgreSQL, or a parameter of PostgreSQL that there is not.
    """
    if isinstance(database, AsyncEngine):
        return database
    url = None
    with suppress(ArgumentError):
        url = make_url(database)
    if url is not None and url.drivername in _OTHER_DRIVERS:
        raise ConfigurationError(
            f"the database is used through asyncpg, not {url.drivername.partition('+')[2]}: write postgresql://…"
        )
    if url is None or url.drivername not in _DRIVERS:
        raise ConfigurationError(
            "the database must be a URL such as sqlite:///payroll.db or postgresql://user@host/name"
        )
    url = url.set(drivername=_DRIVERS[url.drivername])
    if url.get_backend_name() == "postgresql":
        connect_arguments(url)
    return url


def tables_at(place: URL | AsyncEngine, schema: str | None, prefix: str) -> Tables:
    """Return the tables of a copy at a place.

    Raises:
        ConfigurationError: The schema or the prefix is not a plain name, or SQLite is to have a schema, which it lacks;
            or the engine would put other names in the place of those of schemas.
    """
    if isinstance(place, AsyncEngine) and place.get_execution_options().get("schema_translate_map"):
        raise ConfigurationError(
            "the engine must come without its schema_translate_map, which not all statements would follow:"
            " give the schema by its name, as schema"
        )
    if schema is not None and backend(place) == "sqlite":
        raise ConfigurationError(
            "schema must be left out: SQLite has none; give the copy a file of its own, or a prefix"
        )
    return tables_named(schema, prefix)


def backend(place: URL | AsyncEngine) -> str:
    """Return which kind of database is at a place."""
    return place.dialect.name if isinstance(place, AsyncEngine) else place.get_backend_name()


def address(url: URL) -> str:
    """Return the URL of a database with its password, for another process."""
    name = url.database
    if url.drivername == "sqlite" and name and not name.startswith("file:"):
        url = url.set(database=str(Path(name).absolute()))
    return url.render_as_string(hide_password=False)


def place_name(place: URL | AsyncEngine) -> str:
    """Return where a database is, for messages: a path, or host, port and name; neither user nor password."""
    url = place.url if isinstance(place, AsyncEngine) else place
    name = url.database or ""
    if url.get_backend_name() == "sqlite":
        in_memory = is_in_memory(url.set(drivername="sqlite"))
        return "in memory" if in_memory else name if name.startswith("file:") else str(Path(name).absolute())
    given = url.query.get("host") or url.host or "localhost"
    hosts = given if isinstance(given, str) else ",".join(given)
    return f"{hosts}{f':{url.port}' if url.port else ''}/{name}"


_NAME = r"[\w.]{1,130}"
_NAMES_IN_TEXTS = re.compile(
    rf"no such (?:table|column): {_NAME}"
    rf"|table {_NAME} has no column named {_NAME}"
    rf"|(?:UNIQUE|NOT NULL|CHECK) constraint failed: {_NAME}(?:, {_NAME})*"
    rf'|(?:relation|schema|database|column|type|function) "{_NAME}" (?:of relation "{_NAME}" )?does not exist'
    rf"|(?:permission denied for|must be owner of) (?:table|schema|database|relation|sequence|view) {_NAME}",
    re.ASCII,
)
"""Texts of SQLite and PostgreSQL that hold names of what is in a database, and can hold no value. Others may."""


def spot_of(error: Exception) -> str | None:
    """Return which table and column an error is about, if the database says so."""
    cause: Any = error.orig if isinstance(error, DBAPIError) and error.orig else error
    cause = cause.__cause__ or cause
    names = [(kind, getattr(cause, f"{kind}_name", None)) for kind in ("table", "column", "constraint")]
    found = [f"{kind} {name}" for kind, name in names if isinstance(name, str) and re.fullmatch(_NAME, name)]
    text = str(cause)
    return ", ".join(found) or (text if _NAMES_IN_TEXTS.fullmatch(text) else None)


def is_in_memory(url: URL) -> bool:
    """Whether a database is in the memory of the process that opens it."""
    return url.drivername == "sqlite" and (
        not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"
    )


def is_missing(url: URL) -> bool:
    """Whether a database is a file that is not there, which to connect would make."""
    name = url.database or ""
    if url.drivername != "sqlite" or is_in_memory(url):
        return url.drivername == "sqlite"
    return not name.startswith("file:") and not Path(name).exists()


def connect(place: URL | AsyncEngine, tables: Tables) -> Database:
    """Return the database at a place, in which a copy has some tables.

    Raises:
        ConfigurationError: The driver is not installed.
    """
    if isinstance(place, AsyncEngine):
        return _InLoop(place.execution_options(**options_for(tables)), owned=False)
    if place.drivername == "sqlite":
        return _InThread(place, tables)
    engine = postgres_engine(place)
    _try_after_idleness(engine)
    return _InLoop(engine.execution_options(**options_for(tables)), owned=True)


def postgres_engine(url: URL) -> AsyncEngine:
    """Make an engine for PostgreSQL.

    Raises:
        ConfigurationError: The driver is not installed.
    """
    url, arguments = connect_arguments(url)
    with suppress(ModuleNotFoundError):
        return create_async_engine(url, hide_parameters=True, connect_args=arguments)
    raise ConfigurationError("PostgreSQL needs its driver: pip install 'pinwheel-async[postgres]'")


def _try_after_idleness(engine: AsyncEngine) -> None:
    """Try a connection that nobody used for a while first, or the first call after a restart of the server would fail.

    SQLAlchemy's `pool_pre_ping` tries before each transaction, which makes a short one twice as long. One that was used
    a moment ago fails as it would in the midst of a transaction.
    """
    pool, dialect = engine.sync_engine.pool, engine.sync_engine.dialect

    def note(_: object, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = monotonic()

    def try_(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if monotonic() - record.info.get(_USED_AT, inf) < _IDLE_S:
            return
        try:
            dialect.do_ping(connection)
        except Exception:  # noqa: BLE001  # whatever a driver says of a connection that was ended, it is of no use
            raise InvalidatePoolError from None

    event.listen(pool, "checkin", note)
    event.listen(pool, "checkout", try_)


def lock(connection: Connection, units: Iterable[Sequence[str]] | None = None) -> None:
    """Begin to write: no other transaction writes the same before this one ends.

    Args:
        connection: At the beginning of a transaction.
        units: What is going to be written; None for everything. PostgreSQL keeps others out of these only, and never
            lets two wait for each other, as all take their locks in the same order; SQLite lets one write at a time.
    """
    tables = tables_of(connection)
    copy = (_EVERYTHING, tables.schema or "", tables.prefix)
    whole = _number(*copy)
    if connection.dialect.name == "sqlite":
        # IMMEDIATE: a transaction that reads before it writes is refused if another one wrote in between.
        driver: Any = connection.connection.driver_connection
        if not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif units is None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({whole})")
    else:
        # Shared, the lock of everything: many write units at once, but none while a purge or a migration has it whole.
        # Sorted, so that of two that want the same units one gets all of them first: no deadlock.
        numbers = sorted({_number(*copy, *unit) for unit in units})
        # Rows are looked up by key: new tables, which have no statistics yet, must not be read from end to end.
        indexed, shared = "set_config('enable_seqscan', 'off', true)", f"pg_advisory_xact_lock_shared({whole})"
        given = PLACEHOLDERS[connection.dialect.paramstyle](1)
        text = f"SELECT {indexed}, {shared}, pg_advisory_xact_lock(unit) FROM unnest({given}::bigint[]) AS unit"  # noqa: S608
        connection.exec_driver_sql(text, (numbers,))


def limit_wait(connection: Connection) -> None:
    """Let a transaction that changes tables fail, rather than wait for ever behind another one.

    SQLite never waits longer than its timeout.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_S}s'")


def _number(*names: str) -> int:
    """Return the number of a lock: the locks of PostgreSQL have 64 bits and no names."""
    digest = blake2b("\0".join(names).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def cursor_of(connection: Connection) -> Cursor:
    """Return what runs statements with the least work around them."""
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
        schema, _, name = table.rpartition(".")
        into = self._connection.copy_records_to_table(
            name, schema_name=schema or None, columns=columns, records=records
        )
        await_only(into)


def reason_of(error: Exception) -> str:
    """Name what went wrong, by what the driver calls it, with the cure where there is one; its text may hold values."""
    if isinstance(error, SinkError):
        return error.reason
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    name: str = getattr(cause, "sqlite_errorname", None) or type(cause.__cause__ or cause).__name__
    return f"{name}: {_CURES[name]}" if name in _CURES else name


def failure_of(
    problem: str, error: Exception, place: URL | AsyncEngine, kind: type[SinkError] = SinkError
) -> SinkError:
    """Return what to raise for an error of a driver: with its name, place and chain, and nothing of its text."""
    where, spot = place_name(place), spot_of(error)
    failure = kind(problem, reason=reason_of(error), place=f"{where}, {spot}" if spot else where)
    failure.add_note(f"caused by {error_chain(error)}")
    return failure


class _InLoop:
    """A database whose driver is asynchronous."""

    def __init__(self, engine: AsyncEngine, *, owned: bool) -> None:
        self._engine = engine
        self._owned = owned
        self.dialect: Dialect = engine.dialect
        # How many connections an engine of the caller's may open is not known: one at a time.
        self.parallel = _PARALLEL if owned else 1
        self._limits: set[asyncio.Timeout] = set()
        """Of the transactions that are under way."""

    async def run(self, work: Callable[[Connection], T], limit_s: float | None, *, autocommit: bool = False) -> T:
        """Do something; in a task of its own, since what a driver does when it is cancelled may hang as well."""
        connections: list[Any] = []
        is_given_up = False

        def work_with(connection: Connection) -> T:
            connections.append(connection.connection.driver_connection)
            if is_given_up:
                raise SinkError("", reason="nobody waits for it")
            return work(connection)

        task = asyncio.create_task(self._transact(work_with, autocommit=autocommit), name="pinwheel-sync-transaction")
        try:
            async with time_limit(limit_s) as limit:
                self._limits.add(limit)
                try:
                    await asyncio.wait([task])
                finally:
                    self._limits.discard(limit)
        except TimeoutError:
            raise SinkError("", reason="the server does not answer") from None
        finally:
            is_given_up = True
            if not task.done():
                await _give_up(task, connections)
        return task.result()

    async def _transact(self, work: Callable[[Connection], T], *, autocommit: bool) -> T:
        if autocommit:
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                return await connection.run_sync(work)
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    def hurry(self, limit_s: float) -> None:
        until = asyncio.get_running_loop().time() + limit_s
        for limit in self._limits:
            limit.reschedule(min(until, limit.when() or until))

    async def set_up(self) -> None:
        """Refuse an engine without transactions; PostgreSQL lets others read by itself.

        Raises:
            ConfigurationError: Each statement of the engine is a transaction of its own.
        """
        if self._owned or self.dialect.name != "postgresql":
            return
        async with self._engine.begin() as connection:
            # What is set for a transaction is gone after a statement that was one. Not all engines say what they do.
            await connection.exec_driver_sql("SELECT set_config('pinwheel.transaction', 'on', true)")
            found = await connection.exec_driver_sql("SELECT current_setting('pinwheel.transaction', true)")
            if found.scalar() != "on":
                raise ConfigurationError(
                    "the engine must not be in AUTOCOMMIT: a page and its checkpoint are stored in one transaction"
                )

    async def close(self) -> None:
        """Close the connections; leave those at once whose server does not say goodbye, one after another."""
        closed = not self._owned
        while not closed:
            with suppress(TimeoutError):
                async with time_limit(_GOODBYE_S):
                    await self._engine.dispose()
                    closed = True


async def _give_up(task: "asyncio.Task[Any]", connections: Sequence[Any]) -> None:
    """End a transaction, gently if the server says anything: it then stops what it is doing, and lets go of its locks.

    Args:
        task: What waits for it; left behind if nothing ends it.
        connections: The driver's own, if there is one by now.
    """
    task.add_done_callback(_look_at)
    if not connections:  # SQLAlchemy 2.0 forgets to close one that is cancelled at its beginning
        await asyncio.wait([task], timeout=_GOODBYE_S)
    task.cancel()
    _, hangs = await asyncio.wait([task], timeout=_GOODBYE_S)
    if hangs:
        for connection in connections:
            if terminate := getattr(connection, "terminate", None):  # of asyncpg: closes the socket
                terminate()
        await asyncio.wait([task], timeout=_GOODBYE_S)


def _look_at(task: "asyncio.Task[Any]") -> None:
    """Take the outcome of a task that nobody waits for, or asyncio would print it."""
    if not task.cancelled():
        task.exception()


class _InThread:
    """SQLite in a thread: one switch for a transaction, where an asynchronous driver has one for each statement."""

    def __init__(self, url: URL, tables: Tables) -> None:
        options = options_for(tables)
        self._engine = create_engine(url, hide_parameters=True, connect_args=_SQLITE, execution_options=options)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pinwheel-sync-sqlite")
        self.dialect: Dialect = self._engine.dialect
        self.parallel = 1  # SQLite lets one transaction write at a time
        _tune(self._engine, url)

    async def run(
        self,
        work: Callable[[Connection], T],
        limit_s: float | None,  # noqa: ARG002  # it has no server
        *,
        autocommit: bool = False,  # noqa: ARG002  # nobody asks for it
    ) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    def hurry(self, limit_s: float) -> None:
        """SQLite waits for locks only, and for none of them without end."""

    async def set_up(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._use_wal)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    def _use_wal(self) -> None:
        with self._engine.connect() as connection:  # SQLAlchemy begins no transaction on SQLite before a change
            driver: Any = connection.connection.driver_connection
            use_wal(driver, timeout_s=_SQLITE["timeout"])

    def _run(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)


def _tune(engine: Engine, url: URL) -> None:
    """Set up each connection, and keep a new file to its owner."""

    @event.listens_for(engine, "do_connect")
    def create_file(*_: object) -> None:
        name = url.database
        if name and not is_in_memory(url) and not name.startswith("file:"):
            create_private(name)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:
        # With the write-ahead log, NORMAL: what a power failure takes can be fetched again.
        connection.execute("PRAGMA synchronous = NORMAL")
        # Pages of 4 kB: of 32 MB of changes, many hit the same pages, which are then moved into the file once.
        connection.execute("PRAGMA wal_autocheckpoint = 8000")
        # What is removed is overwritten, where a page is written anyway and where it is set free: a purge need not
        # rewrite the file to be sure of what earlier transactions left.
        connection.execute("PRAGMA secure_delete = ON")
        # In kB, instead of 2 MB: the pages of the file that a group writes to are still there for the next group.
        connection.execute("PRAGMA cache_size = -16000")
