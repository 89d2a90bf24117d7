"""SQL sink: a store that keeps accounts and products in tables of SQLite or PostgreSQL.

It has over 500 lines because that is one class: whatever a sync, a mirror or a status asks of a copy is asked of it,
and each question takes one method that opens a transaction and leaves the rest to the other files of this folder.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from copy import copy
from datetime import date, datetime
from functools import partial
from time import monotonic
from typing import TypeAlias, TypeVar

from attrs import evolve
from sqlalchemy import URL, Connection, MetaData
from sqlalchemy.ext.asyncio import AsyncEngine

from pinwheel_async._core.convert import DecodeTo
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import (
    ConfigurationError,
    DecodeError,
    PinwheelError,
    SinkError,
    SupersededError,
    UnconfirmedRemovalError,
)
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.sync._columns import unstorable
from pinwheel_async.sync._page_formats import PageItems, decoded
from pinwheel_async.sync._scope import Scope
from pinwheel_async.sync._sink import AnnouncedList, Announcement, Batch, Checkpoint, FailedProduct, Kind
from pinwheel_async.sync._sql import queries
from pinwheel_async.sync._sql.database import (
    Database,
    address,
    backend,
    connect,
    cursor_of,
    failure_of,
    is_missing,
    lock,
    place,
    place_name,
    tables_at,
)
from pinwheel_async.sync._sql.group_writer import GroupWriter
from pinwheel_async.sync._sql.migrate import Found, build_index, drop_half_built, find, prepare
from pinwheel_async.sync._sql.refusals import Meaning, explain, meaning_of
from pinwheel_async.sync._sql.rows import PageRows
from pinwheel_async.sync._sql.writer import Writer
from pinwheel_async.sync._sql.writer_process import WriterProcess, wants_writer_process

T = TypeVar("T")
V = TypeVar("V")

_UNUSABLE = "the database cannot be used"

_OPEN_S = 8.0
"""Seconds for which `open` tries again to change tables that others have locked; it takes two more to give up."""

_LEAST_LIMIT_S = 60.0
"""Seconds that a server has for a transaction of a few pages, however short the patience is: a busy one takes one or
two."""

_CLOSE_S = 10.0
"""Seconds to wait for the database when the sink closes: whoever waits for a page has it stored by then, or has given
up, such as a run that is asked to stop."""

_Outcomes: TypeAlias = Mapping[PageRows, type[SupersededError | UnconfirmedRemovalError]]
"""What kept pages from being stored as a whole."""

logger = logging.getLogger("pinwheel_async.sync")

_WAITS: Collection[Meaning] = ("locked", "away")
"""What is waited for."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
"""Seconds between two attempts at a transaction: short at first, since most locks are, and twice as long each time."""

PATIENCE_S = 300.0
"""Seconds to wait for a database that is locked or away, unless told otherwise: a restart of a server or a VACUUM of
some GB takes one or two minutes."""

_IS_THERE = "UniqueViolationError"
"""What PostgreSQL says when rows are there that this library did not write."""

_BATCH_SIZE = 192
"""Pages that may wait: three groups of 64 on PostgreSQL, and larger groups cost less on SQLite, too. No more, because a
page of a hundred paystubs takes half a megabyte."""


class SqlSink:
    """Keeps accounts and products in tables: one for each kind of object, and one for each kind of line in it.

    ```python
    await sync(pinwheel, SqlSink("postgresql://user@host/payroll", schema="pinwheel"))
    ```

    Objects are stored under the API's ids: fetching them again updates them, and their lines are replaced; what the API
    does not list any more is removed when a list has been read to its end. The tables are made when they are not there,
    and those of an earlier version of this library are brought up to date. Pages that wait are stored together,
    each in one transaction with its checkpoint; a page's `write` returns when it is committed.

    Several processes may write into one database. On SQLite, a power failure may cost the last transactions, never the
    database: everything can be fetched again. A new file can be read by its owner only.

    Everything but making one raises `SinkError` if the database cannot do it, or if the sink is not open.
    """

    @without_locals
    def __init__(
        self,
        database: str | URL | AsyncEngine,
        *,
        schema: str | None = None,
        prefix: str = "",
        keep_deleted: bool | None = None,
        raw: bool | None = None,
        history: bool | None = None,
        change_scope: bool = False,
        migrate: bool = True,
        writer_process: bool | None = False,
        patience_s: float = PATIENCE_S,
        on_commit: Callable[[], object] | None = None,
    ) -> None:
        """Describe the sink; nothing is opened yet.

        Args:
            database: URL such as `sqlite+aiosqlite:///payroll.db` or `postgresql+asyncpg://user@host/name`, or an
                engine of your own, which stays open. SQLite is opened by Python's own driver, in a thread, whichever
                driver its URL names; make engines with `hide_parameters=True`, or their errors show what they hold.
            schema: Schema of PostgreSQL for the tables; made if it is not there. Where PostgreSQL looks for tables by
                itself if None.
            prefix: What the names of all tables and indexes begin with, such as `pw_`.
            keep_deleted: Whether paystubs, shifts and tax forms that the API does not list any more stay, with lines.
                Their `deleted_at` says when the reading began that did not find them; it is null again if they come
                back. As the copy is if None; a new one does not keep them.
            raw: Whether the column `raw` keeps each object as JSON, as it came, with fields that this version does not
                know, but for the links to files. As the copy is if None; a new one does not.
            history: Whether it is kept what was stored before of objects that change or are removed, for `as_of` and
                `changes`. As the copy is if None; a new one does not. To end it removes what was kept.
            change_scope: Whether the copy becomes what this sink, and the sync that uses it, say of environment,
                products, days, `keep_deleted` and `raw`, where it is something else, which is an error otherwise. With
                another `raw` the next sync reads everything again.
            migrate: Whether `open` makes the tables, and brings those of an earlier version up to date. If not, it only
                checks them: for a role without the right to, for which `migrate` is called before.
            writer_process: Whether a process of its own decodes and writes the pages after the first 200: where a core
                is free, a bulk sync takes less time, and costs this process no more than fetching. It ends with the
                sink, or with this process. If None, there is one where there are several cores, and it can be.
            patience_s: Seconds to wait for a database that others lock, or that is away; 0 not to wait. When it is
                opened, a database that cannot be reached is not waited for.
            on_commit: Called in the event loop each time that pages are committed, such as to read `changes` then; must
                not block. What it raises is logged, by its name, and goes no further.

        Raises:
            ConfigurationError: No such URL, or no SQLite or PostgreSQL; a schema or prefix that cannot be; `patience_s`
                is negative; or no other process can do this: it needs a URL, a file, and a POSIX system.
        """
        if not patience_s >= 0:
            raise ConfigurationError("patience_s must not be less than 0")
        self._place = place(database)
        self._tables = tables_at(self._place, schema, prefix)
        self._patience_s = patience_s
        self._on_commit = on_commit
        self._closes_by = float("inf")
        self._wants_process = wants_writer_process(self._place, writer_process)
        self._process: WriterProcess | None = None
        self._wanted = Scope(keep_deleted=keep_deleted, raw=raw, history=history)
        self._raw = bool(raw)
        self._change_scope = change_scope
        self._migrates = migrate
        self._scope = self._wanted
        self._database: Database | None = None
        self._writer: Writer  # made when it is known what the database is
        self._group: GroupWriter[PageRows] | None = None

    @property
    def metadata(self) -> MetaData:
        """The tables under the names that they have in this database, for queries, or for Alembic."""
        return self._tables.metadata

    @property
    def decode_to(self) -> DecodeTo:
        """How far pages are to be decoded: not where another process does it."""
        return "bytes" if self._wants_process else "structs"

    @property
    def keep_json(self) -> bool:
        """Whether objects are to hold the JSON that they came as, for `raw`; known when the sink is open."""
        return self._raw

    @property
    def batch_size(self) -> int:
        """How many pages may wait to be stored in one transaction, beside those that are being fetched."""
        return _BATCH_SIZE

    async def exists(self) -> bool:
        """Whether there is a copy, of whichever version; called while the sink is closed, and makes nothing.

        Raises:
            SinkError: The database cannot be used.
            ConfigurationError: As for `open`.
        """
        if isinstance(self._place, URL) and is_missing(self._place):
            return False
        self._connect()
        try:
            return (await self._run(_UNUSABLE, find)).version is not None
        finally:
            await self._disconnect()

    async def migrate(self) -> bool:
        """Make the tables, or bring those of an earlier version up to date; return whether there was anything to do.

        Behind what others have locked it waits for two seconds at once, and tries again for as long as *patience_s*.

        Raises:
            SinkError: The database cannot be used, or its tables are for newer versions than this library only.
            ConfigurationError: As for `open`.
        """
        database = self._connect()
        try:
            found = await self._run(_UNUSABLE, find)
            await database.set_up()
            if found.is_current():
                return False
            await self._migrate(self._patience_s, builds=True)
        finally:
            await self._disconnect()
        return True

    async def open(self) -> None:
        """Connect, and make the tables or bring them up to date.

        Raises:
            SinkError: The database cannot be used, or its tables are for newer versions than this library only; or they
                have to be made, or brought up to date, and this sink is not to.
            ConfigurationError: The driver is not installed; the sink is open already; or the database has tables or
                indexes of the same names that this library did not make: nothing is changed then.
        """
        database = self._connect()
        try:
            found = await self._run(_UNUSABLE, find, waits=["locked"])
            await database.set_up()
            if self._migrates and not found.is_current():  # only then is there a lock to wait for
                await self._migrate(_OPEN_S, builds=False)
            elif not self._migrates:
                self._require(found)
            scope = await self._claim(self._wanted)
            if None in {scope.keep_deleted, scope.raw, scope.history}:  # a new copy
                scope = await self._claim(
                    Scope(keep_deleted=bool(scope.keep_deleted), raw=bool(scope.raw), history=bool(scope.history))
                )
            history = bool(scope.history)
            await self._run(_UNUSABLE, lambda connection: queries.set_history(connection, kept=history), limited=False)
            erasure_key = await self._run(_UNUSABLE, queries.erasure_key)
        except BaseException:
            await self._disconnect()
            raise
        keep_deleted, self._raw = bool(scope.keep_deleted), bool(scope.raw)
        self._writer = Writer(
            database.dialect,
            self._tables,
            keep_deleted=keep_deleted,
            raw=self._raw,
            history=history,
            erasure_key=erasure_key,
        )
        self._group = GroupWriter(self._store, parallel=database.parallel)
        if self._wants_process and isinstance(self._place, URL):
            self._process = WriterProcess(
                address(self._place),
                self._tables.schema,
                self._tables.prefix,
                keep_deleted=keep_deleted,
                patience_s=self._patience_s,
            )

    async def close(self, *, complete: bool) -> None:  # noqa: ARG002  # every page stands for itself
        """Store what still waits, and disconnect; a database that is locked is not waited for as long as before."""
        self._closes_by = monotonic() + _CLOSE_S
        if self._database is not None:
            self._database.hurry(_CLOSE_S)
        process, self._process = self._process, None
        if process is not None:
            await process.close()  # before the group: what it leaves undone is written by the group
        group, self._group = self._group, None
        if group is not None:
            await group.close()
        await self._disconnect()

    async def write(self, batch: Batch[PageItems]) -> None:
        """Store a page with its checkpoint; return when both are committed.

        Raises:
            SinkError: The database did not take it.
            SupersededError: A newer reading is stored already.
            UnconfirmedRemovalError: The reading would remove much of what is stored: only its objects were stored.
            DecodeError: The database can never take it: an object without id, a number beyond 64 bits, or what it
                refuses for a reason of its own. It names the first place that was found, never a value.
        """
        if self._group is None:
            raise SinkError("the sink is not open", reason="closed")
        if self._process is None or not await self._process.write(batch):
            await self._group.write(PageRows.of(decoded(batch, keep_json=self._raw)))
        else:
            self._committed()

    async def claim(self, wanted: Scope, *, keep: bool = True) -> Scope:
        """Note what is wanted of the copy as far as nothing is noted, and return what it holds.

        Args:
            wanted: Null for what may be as it is.
            keep: Whether to note it.

        Raises:
            ConfigurationError: It differs from what is noted, and the sink was not made to change that.
            SinkError: The database cannot be used.
        """
        return await self._claim(wanted, keep=keep)

    async def checkpoints(self, account_ids: Sequence[str]) -> Mapping[tuple[str, Product], Checkpoint]:
        """Return the checkpoints of some accounts, by account and product; what was never read is not there."""
        parts = await self._by_halves("the database cannot be read", queries.checkpoints, account_ids)
        return {unit: checkpoint for part in parts for unit, checkpoint in part.items()}

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the data."""
        return await self._read(lambda connection: queries.load(connection, key))

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the data; None removes it."""
        await self._run("the database did not keep a value", lambda connection: queries.save(connection, key, value))

    async def account_ids(self, after: str = "", limit: int = 1_000) -> Sequence[str]:
        """Return ids of accounts that are stored and not marked as deleted, in order, the first ones behind *after*."""
        return await self._read(lambda connection: queries.account_ids(connection, after, limit))

    async def miss_accounts(self, account_ids: Sequence[str], at: datetime) -> int:
        """Note that a whole list did not name some accounts; mark those that the one before did not name either."""
        problem = "the database did not mark accounts"
        return await self._run(problem, lambda connection: self._miss_accounts(connection, account_ids, at))

    async def failures(self) -> Sequence[FailedProduct]:
        """Return what failed and was not read since, by account and product."""
        return await self._read(queries.failures)

    async def add_failures(self, failures: Sequence[FailedProduct]) -> None:
        """Keep failures; attempts at the same account and product add up. An id that cannot be stored is left out."""
        await self._by_halves("the database did not keep failures", queries.add_failures, failures)

    async def remove_failures(self, units: Sequence[tuple[str, Kind]]) -> None:
        """Forget the failures of some accounts and products."""
        problem = "the database did not remove failures"
        await self._run(problem, lambda connection: queries.remove_failures(connection, units))

    async def announce(self, announcement: Announcement) -> None:
        """Keep an announcement; one whose event id is there already changes nothing."""
        problem = "the database did not keep an announcement"
        await self._run(problem, lambda connection: queries.announce(connection, announcement))

    async def announced(self, account_id: str, product: Product) -> Sequence[Announcement]:
        """Return what was announced of a product of an account, in order of `announced_at`."""
        return await self._read(lambda connection: queries.announced(connection, account_id, product))

    async def announced_lists(
        self, after: tuple[str, Product] | None = None, limit: int = 300
    ) -> Sequence[AnnouncedList]:
        """Return lists with announcements in order of account and product, the first ones behind *after*."""
        return await self._read(lambda connection: queries.announced_lists(connection, after, limit))

    async def remove_announcements(self, event_ids: Sequence[str]) -> None:
        """Forget some announcements."""
        problem = "the database did not remove announcements"
        await self._run(problem, lambda connection: queries.remove_announcements(connection, event_ids))

    async def load_all(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the small values that were saved under some keys."""
        return await self._read(lambda connection: queries.load_all(connection, keys))

    async def save_all(self, values: Mapping[str, bytes]) -> None:
        """Save small values at once."""
        await self._run("the database did not keep values", lambda connection: queries.save_all(connection, values))

    async def held(self, account_id: str, product: Product) -> frozenset[str]:
        """Return the ids of the objects that are stored of a product of an account, deleted ones left out."""
        return await self._read(lambda connection: queries.held(connection, account_id, product))

    async def server_now(self) -> datetime | None:
        """Return the time of PostgreSQL, the same for all processes; None for a file, which has no clock of its own."""
        if not self._is_on_postgres:
            return None
        return await self._read(queries.time_of)

    async def accounts_of(self, end_user_id: str) -> Sequence[str]:
        """Return the ids of the accounts that are, or ever were, of an end user, as far as accounts are stored."""
        return await self._read(lambda connection: queries.accounts_of(connection, end_user_id))

    async def erased(self, account_ids: Sequence[str]) -> frozenset[str]:
        """Return which of some accounts were erased: nothing of them is fetched or stored."""
        return await self._read(lambda connection: queries.erased_among(connection, account_ids))

    async def remember_erasure(self, account_id: str) -> None:
        """Note that an account is erased: from now on nothing of it is stored, by any process."""
        problem = "the database did not note an erasure"
        await self._run(problem, lambda connection: queries.remember_erasure(connection, account_id))

    async def lift_erasure(self, account_id: str) -> bool:
        """Forget that an account was erased: the next sync fetches it again. Return whether it was."""
        problem = "the database did not lift an erasure"
        return await self._run(problem, lambda connection: queries.lift_erasure(connection, account_id))

    async def purge(self, account_id: str) -> Mapping[str, int]:
        """Remove everything of an account in one transaction: data, lines, checkpoints, announcements and values.

        That it is erased is remembered: nothing of it is stored again before `lift_erasure`.

        Returns:
            Rows that were removed, for every table that holds something of accounts.
        """
        problem = "the database did not remove an account"
        return await self._run(problem, lambda connection: queries.purge(connection, account_id), limited=False)

    async def remains(self, account_id: str) -> Mapping[str, int]:
        """Count the rows of an account, for every table that holds something of accounts."""
        return await self._read(lambda connection: queries.remains(connection, account_id))

    async def purge_before(self, day: date) -> Mapping[str, int]:
        """Remove paystubs paid, shifts begun and tax forms of years ended before a day, with their lines.

        The copy remembers the day: what is older is neither asked for nor stored again.

        Returns:
            Rows that were removed, by table.
        """
        problem = "the database did not remove what is old"
        return await self._run(problem, lambda connection: queries.purge_before(connection, day), limited=False)

    @property
    def _is_on_postgres(self) -> bool:
        return backend(self._place) == "postgresql"

    def _miss_accounts(self, connection: Connection, account_ids: Sequence[str], at: datetime) -> int:
        def note_gone(connection: Connection, gone: Sequence[str], now: datetime) -> None:
            self._writer.note_gone(cursor_of(connection), gone, now)

        return queries.miss_accounts(connection, account_ids, at, note_gone)

    def _require(self, found: Found) -> None:
        if not found.is_readable():
            lack = "there are no tables" if found.version is None else "its tables are of an earlier version"
            raise SinkError(_UNUSABLE, reason=f"{lack}: run pinwheel-async migrate", place=place_name(self._place))

    async def _migrate(self, patience_s: float, *, builds: bool) -> None:
        """Make the tables, or bring them up to date.

        Args:
            patience_s: Seconds to try again behind what others have locked.
            builds: Whether to wait for an index that another process builds.
        """
        until = monotonic() + patience_s
        is_left = True
        while is_left:
            is_left = await self._change_tables(partial(self._run, _UNUSABLE, prepare, waits=(), limited=False), until)
        for index in (await self._run(_UNUSABLE, find)).indexes:
            drop = partial(drop_half_built, index=index)
            try:
                await self._change_tables(partial(self._run, _UNUSABLE, drop, waits=(), limited=False), until)
            except SinkError as error:
                if builds or not _is_contended(error):
                    raise
                continue
            build = partial(build_index, index=index)
            await self._run(_UNUSABLE, build, waits=(), limited=False, autocommit=True)

    async def _change_tables(self, change: Callable[[], Awaitable[T]], until: float) -> T:
        """Change tables, and try again while others have them locked."""
        while True:
            try:
                return await change()
            except SinkError as error:
                if monotonic() >= until or not _is_contended(error):
                    raise
            await asyncio.sleep(_FIRST_PAUSE_S)  # others that wait for the tables come first

    def _connect(self) -> Database:
        if self._database is not None:
            raise ConfigurationError("the sink is open already: a mirror and a sync need a sink each")
        self._closes_by = float("inf")
        self._database = connect(self._place, self._tables)
        return self._database

    async def _claim(self, wanted: Scope, *, keep: bool = True) -> Scope:
        noted = await self._run(_UNUSABLE, queries.load_scope)
        merged = noted.merge(wanted, change=self._change_scope)
        if not keep:
            return merged
        if merged == noted:  # as nearly always: then there is no lock to wait for
            self._scope = merged
            return merged

        def save(connection: Connection) -> Scope:
            lock(connection)
            before = queries.load_scope(connection)
            current = before.merge(wanted, change=self._change_scope)
            queries.save_scope(connection, current)
            if bool(current.raw) is not bool(before.raw):
                # What did not change would keep the column as it is, for ever. Accounts come again with every list.
                for kind in PRODUCTS:
                    queries.read_again(connection, kind)
            return current

        self._scope = await self._run(_UNUSABLE, save)
        return self._scope

    async def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    async def _store(self, pages: Sequence[PageRows]) -> list[Exception | None]:
        """Store a group of pages in one transaction; what the database refuses must not take the others with it."""
        outcomes = await self._try(pages, trusting=True)
        if len(outcomes) < len(pages):
            self._committed()
        return [outcomes.get(page) for page in pages]

    def _committed(self) -> None:
        if self._on_commit is None:
            return
        try:
            self._on_commit()
        except Exception as error:  # noqa: BLE001  # whatever it raises, the pages are stored
            logger.error("on_commit failed: %s", type(error).__name__, extra={"event": "sync_callback_failed"})  # noqa: TRY400  # no values

    async def _try(self, pages: Sequence[PageRows], *, trusting: bool) -> dict[PageRows, PinwheelError]:
        """Store pages; return what kept which of them from being stored. Those that are refused are found by halves."""
        if not pages:
            return {}
        try:
            write = partial(self._write, pages, trusting)
            outcomes = await self._run("the database did not store a page", write, refusal=_RefusedError)
        except _RefusedError as error:
            reason = error.reason
        except SinkError as error:
            # An error for each page, made out here: its writer raises it, and the driver's must not hang on it.
            return {page: copy(error) for page in pages}
        else:
            return {page: kind() for page, kind in outcomes.items()}
        if reason == _IS_THERE and trusting:
            return await self._try(pages, trusting=False)
        found = {page: paths for page in pages if (paths := unstorable(page.batch))}
        if not found and len(pages) == 1:
            found = {pages[0]: await self._places(pages[0], reason)}
        refused: dict[PageRows, PinwheelError] = {
            page: DecodeError(where=page.batch.kind, paths=paths) for page, paths in found.items()
        }
        others = [page for page in pages if page not in found]
        if found:
            return refused | await self._try(others, trusting=trusting)
        middle = len(others) // 2
        first = await self._try(others[:middle], trusting=trusting)
        return first | await self._try(others[middle:], trusting=trusting)

    def _write(self, pages: Sequence[PageRows], trusting: bool, connection: Connection) -> _Outcomes:
        lock(connection, {(page.batch.kind, page.account_id) for page in pages})
        # Under the lock, so that a purge or a change by another process comes before this or after it.
        scope = queries.load_scope(connection)
        if self._scope.is_other(scope):
            raise SinkError("", reason="what the copy is was changed meanwhile: open the sink again")
        cursor = cursor_of(connection)
        pages = self._writer.without_erased(cursor, pages)
        kept = [*pages] if scope.purged_before is None else [_kept(page, scope) for page in pages]
        outcomes = self._writer.write(cursor, kept, queries.time_of(connection), trusting=trusting)
        return {page: outcomes[part] for page, part in zip(pages, kept, strict=True) if part in outcomes}

    async def _places(self, page: PageRows, reason: str) -> tuple[str, ...]:
        """Find the first object of a page that the database refuses, by halves, and where in it the value is."""
        start, end = 0, len(page.batch.items)
        while end - start > 1:
            middle = (start + end) // 2
            if await self._is_refused(page, start, middle):
                end = middle
            else:
                start = middle
        return explain(page.batch, start, reason) if end else (f"(page): the database refuses it: {reason}",)

    async def _is_refused(self, page: PageRows, start: int, end: int) -> bool:
        """Whether the database refuses some objects of a page; nothing of them is kept."""
        part = PageRows.of(evolve(page.batch, items=page.batch.items[start:end], checkpoint=None))

        def write(connection: Connection) -> None:
            self._write([part], False, connection)  # noqa: FBT003
            raise _RollBackError

        try:
            await self._run("the database did not try a page", write, refusal=_RefusedError)
        except _RefusedError:
            return True
        except SinkError:
            return False
        raise AssertionError  # what is tried is rolled back

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._run("the database cannot be read", work)

    async def _by_halves(
        self, problem: str, work: Callable[[Connection, Sequence[V]], T], values: Sequence[V]
    ) -> list[T]:
        """Do something with some values, as in `_run`; one that the database refuses is left out alone."""
        try:
            return [await self._run(problem, lambda connection: work(connection, values), refusal=_RefusedError)]
        except _RefusedError:
            middle = len(values) // 2
        if not middle:
            return []
        halves = [await self._by_halves(problem, work, part) for part in (values[:middle], values[middle:])]
        return [*halves[0], *halves[1]]

    async def _run(
        self,
        problem: str,
        work: Callable[[Connection], T],
        *,
        waits: Collection[Meaning] = _WAITS,
        refusal: type[SinkError] = SinkError,
        limited: bool = True,
        autocommit: bool = False,
    ) -> T:
        """Do something in a transaction; while somebody holds a lock, or the database is away, try it again.

        Args:
            problem: What did not work, if it does not.
            work: What to do.
            waits: For what to wait.
            refusal: What to raise if the database refuses a value.
            limited: Whether a server that takes longer than the patience is given up; not for work that may take long.
            autocommit: Whether there is no transaction, as some statements of PostgreSQL want it.

        Raises:
            SinkError: It did not work; without the values that the driver's errors hold.
        """
        if self._database is None:
            raise SinkError("the sink is not open", reason="closed")
        until, pause_s = monotonic() + self._patience_s, _FIRST_PAUSE_S
        while True:
            try:
                limit_s = self._limit_s(until) if limited else None
                return await self._database.run(work, limit_s, autocommit=autocommit)
            except ConfigurationError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever a driver raises, nothing of it may get out
                meaning = meaning_of(error)
                failure = failure_of(problem, error, self._place, refusal if meaning == "value" else SinkError)
            left = min(until, self._closes_by) - monotonic()
            if meaning not in waits or left <= 0:
                break
            if pause_s == _FIRST_PAUSE_S:
                logger.warning(
                    "waiting for the database (%s): %s",
                    failure.place,
                    failure.reason,
                    extra={"event": "sync_database_waits"},
                )
            await asyncio.sleep(min(pause_s, left))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        raise failure

    def _limit_s(self, until: float) -> float:
        """Return how long a transaction may take that begins now."""
        return max(1.0, min(max(until - monotonic(), _LEAST_LIMIT_S), self._closes_by - monotonic()))


class _RefusedError(SinkError):
    """The database refuses a value."""


class _RollBackError(Exception):
    """What was tried is not to be kept."""


def _is_contended(error: SinkError) -> bool:
    """Whether others have locked what was to be changed."""
    return error.reason.startswith(("LockNotAvailableError", "DeadlockDetectedError"))


def _kept(page: PageRows, scope: Scope) -> PageRows:
    """Return a page without objects that are as old as what was purged."""
    items = {key: item for key, item in page.items.items() if not scope.is_purged(page.batch.kind, item)}
    return page if len(items) == len(page.items) else PageRows(evolve(page.batch, items=tuple(items.values())), items)
