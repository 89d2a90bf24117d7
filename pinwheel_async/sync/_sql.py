"""A store that keeps everything in real tables of SQLite or PostgreSQL."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from pinwheel_async.errors import DecodeError, PinwheelError, SinkError, SupersededError
from pinwheel_async.products import Product
from pinwheel_async.sync import _sql_ledger as ledger, _sql_purge as purging
from pinwheel_async.sync._group import GroupWriter
from pinwheel_async.sync._lean import opened
from pinwheel_async.sync._ledger import Announcement
from pinwheel_async.sync._rows import Page
from pinwheel_async.sync._sink import Batch, Mark
from pinwheel_async.sync._sql_database import Database, address, connect, cursor_of, lock, place, reason_of
from pinwheel_async.sync._sql_helper import Helper, check_helper
from pinwheel_async.sync._sql_schema import prepare
from pinwheel_async.sync._sql_write import Writer
from pinwheel_async.sync._unstorable import unstorable

T = TypeVar("T")

_IS_THERE = "UniqueViolationError"
"""What PostgreSQL says when rows are there that this library did not write."""

_GATHERS = 192
"""Large groups cost less; a page of a hundred paystubs takes half a megabyte."""


class SqlSink:
    """Keeps accounts and products in tables: one for each kind of object, and one for each kind of line in it.

    Objects are stored under the API's ids: fetching them again updates them, and their lines are replaced; what the API
    does not list any more is removed when a list has been read to its end. The tables are made when they are not there,
    and those of an earlier version of this library are brought up to date. Pages that wait are stored together,
    each in one transaction with its mark; a page's `write` returns when it is committed.

    Several processes may write into one database. On SQLite, a power failure may cost the last transactions, never the
    database: everything can be fetched again. A new file can be read by its owner only.

    Everything but making one raises `SinkError` if the database cannot do it, or if the sink is not open.
    """

    def __init__(
        self, database: str | URL | AsyncEngine, *, keep_deleted: bool = False, raw: bool = False, helper: bool = False
    ) -> None:
        """Describe the sink; nothing is opened yet.

        Args:
            database: URL such as `sqlite+aiosqlite:///payroll.db` or `postgresql+asyncpg://user@host/name`, or an
                engine of your own, which stays open. SQLite is opened by Python's own driver, in a thread, whichever
                driver its URL names; make engines with `hide_parameters=True`, or their errors show what they hold.
            keep_deleted: Whether paystubs, shifts and tax forms that the API does not list any more stay, with lines.
                Their `deleted_at` says when the reading began that did not find them; it is null again if they come
                back.
            raw: Whether the column `raw` keeps each object as JSON, every field of it but the links to files.
            helper: Whether a process of its own reads and writes the pages after the first 200: where a core is free, a
                bulk sync takes less time, and costs this process no more than fetching. It ends with the sink, or with
                this process.

        Raises:
            ConfigurationError: No such URL, or no SQLite or PostgreSQL; or no helper can do this: it needs a URL, a
                file, no `raw`, and a POSIX system.
        """
        self._place = place(database)
        if helper:
            check_helper(self._place, raw=raw)
        self._wants_helper = helper
        self._helper: Helper | None = None
        self._keep_deleted = keep_deleted
        self._raw = raw
        self._database: Database | None = None
        self._writer: Writer  # made when it is known what the database is
        self._group: GroupWriter[Page] | None = None

    @property
    def reads_values(self) -> bool:
        """Whether pages may hold something leaner than models, with the same attributes; models always will do."""
        return not self._raw

    @property
    def takes_sealed(self) -> bool:
        """Whether items may be unread: it is the helper that reads them."""
        return self._wants_helper

    @property
    def gathers(self) -> int:
        """How many pages may wait to be stored in one transaction, beside those that are being fetched."""
        return _GATHERS

    async def open(self) -> None:
        """Connect, and make the tables or bring them up to date.

        Raises:
            SinkError: The database cannot be used, or its tables are of a newer version than this library.
            ConfigurationError: The driver is not installed.
        """
        database = self._database = connect(self._place)
        try:
            await self._run("the database cannot be used", prepare)
        except BaseException:
            await self._disconnect()
            raise
        self._writer = Writer(database.dialect, keep_deleted=self._keep_deleted, raw=self._raw)
        self._group = GroupWriter(self._store, lanes=database.lanes)
        if self._wants_helper and isinstance(self._place, URL):
            self._helper = Helper(address(self._place), keep_deleted=self._keep_deleted)

    async def close(self, *, complete: bool) -> None:  # noqa: ARG002  # every page stands for itself
        """Store what still waits, and disconnect."""
        helper, self._helper = self._helper, None
        if helper is not None:
            await helper.close()
        group, self._group = self._group, None
        if group is not None:
            await group.close()
        await self._disconnect()

    async def write(self, batch: Batch) -> None:
        """Store a page with its mark; return when both are committed.

        Raises:
            SinkError: The database did not take it.
            SupersededError: A newer reading is stored already.
            DecodeError: No database can take it: an object without id, or a number beyond 64 bits.
        """
        if self._group is None:
            raise SinkError("the sink is not open", reason="closed")
        if self._helper is None or not await self._helper.write(batch):
            await self._group.write(Page.of(opened(batch)))

    async def marks(self, account_ids: Sequence[str]) -> Mapping[tuple[str, Product], Mark]:
        """Return the marks of some accounts, by account and product; what was never read is not there."""
        return await self._read(lambda connection: ledger.marks(connection, account_ids))

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the data."""
        return await self._read(lambda connection: ledger.load(connection, key))

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the data; None removes it."""
        await self._run("the database did not keep a value", lambda connection: ledger.save(connection, key, value))

    async def announce(self, announcement: Announcement) -> None:
        """Keep an announcement; one whose event id is there already changes nothing."""
        problem = "the database did not keep an announcement"
        await self._run(problem, lambda connection: ledger.announce(connection, announcement))

    async def announced(self, account_id: str, product: Product) -> Sequence[Announcement]:
        """Return what was announced of a product of an account, in order of `announced_at`."""
        return await self._read(lambda connection: ledger.announced(connection, account_id, product))

    async def announced_units(
        self, after: tuple[str, Product] | None = None, limit: int = 1_000
    ) -> Sequence[tuple[str, Product]]:
        """Return accounts and products with announcements, in order, the first ones behind *after*."""
        return await self._read(lambda connection: ledger.announced_units(connection, after, limit))

    async def held(self, account_id: str, product: Product) -> frozenset[str]:
        """Return the ids of the objects that are stored of a product of an account, deleted ones left out."""
        return await self._read(lambda connection: ledger.held(connection, account_id, product))

    async def accounts_of(self, end_user_id: str) -> Sequence[str]:
        """Return the ids of the accounts of an end user, as far as accounts are stored."""
        return await self._read(lambda connection: purging.accounts_of(connection, end_user_id))

    async def purge(self, account_id: str) -> Mapping[str, int]:
        """Remove everything of an account in one transaction: data, lines, marks and announcements.

        The account is fetched again by a sync that visits it: delete it at the source first.

        Returns:
            Rows that were removed, for every table that holds something of accounts.
        """
        problem = "the database did not remove an account"
        return await self._run(problem, lambda connection: purging.purge(connection, account_id))

    async def remains(self, account_id: str) -> Mapping[str, int]:
        """Count the rows of an account, for every table that holds something of accounts."""
        return await self._read(lambda connection: purging.remains(connection, account_id))

    async def purge_before(self, day: date) -> Mapping[str, int]:
        """Remove paystubs paid, shifts begun and tax forms of years ended before a day, with their lines.

        A sync that asks for all of them brings them back: bound it by `from_pay_date` and `from_start_date`.

        Returns:
            Rows that were removed, by table.
        """
        problem = "the database did not remove what is old"
        return await self._run(problem, lambda connection: purging.purge_before(connection, day))

    async def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    async def _store(self, pages: Sequence[Page]) -> list[Exception | None]:
        """Store a group of pages in one transaction; what no database takes must not take the others with it."""
        outcomes = await self._try(pages)
        if any(type(one) is SinkError for one in outcomes.values()):
            refused = {one: paths for one in pages if (paths := unstorable(one.batch))}
            others = [one for one in pages if one not in refused]
            if others and (refused or any(getattr(one, "reason", "") == _IS_THERE for one in outcomes.values())):
                outcomes = await self._try(others, trusting=False)
            outcomes |= {one: DecodeError(where=one.batch.kind, paths=paths) for one, paths in refused.items()}
        return [outcomes.get(one) for one in pages]

    async def _try(self, pages: Sequence[Page], *, trusting: bool = True) -> dict[Page, PinwheelError]:
        """Store pages; return what kept which of them from being stored."""

        def write(connection: Connection) -> Collection[Page]:
            lock(connection, {(one.batch.kind, one.account_id) for one in pages})
            return self._writer.write(cursor_of(connection), pages, trusting=trusting)

        try:
            superseded = await self._run("the database did not store a page", write)
        except SinkError as error:
            reason = error.reason
        else:
            return {one: SupersededError() for one in superseded}
        return {one: SinkError("the database did not store a page", reason=reason) for one in pages}

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._run("the database cannot be read", work)

    async def _run(self, problem: str, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction.

        Raises:
            SinkError: It did not work; without the values that the driver's errors hold.
        """
        if self._database is None:
            raise SinkError("the sink is not open", reason="closed")
        try:
            return await self._database.run(work)
        except Exception as error:  # noqa: BLE001  # whatever a driver raises, nothing of it may get out
            reason = reason_of(error)
        raise SinkError(problem, reason=reason)
