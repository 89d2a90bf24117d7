"""Removes a person, or what is old, from the copy, the inbox and what readiness remembers, and proves it."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, time

from attrs import frozen
from sqlalchemy import URL, delete, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async._clock import Clock
from pinwheel_async.errors import RequestError, SinkError
from pinwheel_async.sync._export_reading import connected, copy_at
from pinwheel_async.sync._kept import load_failures, save_failures
from pinwheel_async.sync._sql import SqlSink
from pinwheel_async.sync._sql_books import VALUES
from pinwheel_async.webhooks import Inbox, Readiness
from pinwheel_async.webhooks._readiness_store import ReadinessStore

_PROBLEM = "the database did not remove an account"


@frozen(kw_only=True)
class Erasure:
    """What was removed, and that nothing remains: numbers by place.

    Places are the tables of the copy, `values` beside them, `inbox` (deliveries) and `readiness` (values in the inbox).
    """

    accounts: tuple[str, ...]
    """The accounts that were removed; empty if it was what is old."""
    removed: Mapping[str, int]
    """How much was removed."""
    remaining: Mapping[str, int]
    """How much was found when everything was looked through again: 0 everywhere, or it had been an error."""

    def to_json(self) -> str:
        """Return it as JSON, for programs, and for those who have to prove it."""
        return json.dumps({"accounts": self.accounts, "removed": self.removed, "remaining": self.remaining})


async def purge(
    database: str | URL | AsyncEngine,
    *,
    account_id: str | None = None,
    end_user_id: str | None = None,
    before: date | None = None,
    inbox: Inbox | None = None,
    readiness: Readiness | None = None,
    vacuum: bool = True,
) -> Erasure:
    """Remove an account, all accounts of an end user, or what is from before a day; look again, and say what was found.

    Give one of *account_id*, *end_user_id* and *before*. Disconnect the accounts first (`pinwheel.accounts.disconnect`)
    and let no sync run meanwhile, or the data comes again from Pinwheel. What ended half-way can be done again.

    With *before*, paystubs paid, shifts begun and tax forms of years ended before that day are removed, and deliveries
    that were handled before it. Accounts, marks and everything else stay. A sync that asks for all paystubs brings the
    old ones back: bound it by `from_pay_date` and `from_start_date`.

    A SQLite file is then rewritten, because removed rows leave traces in it (`VACUUM`): others who write wait, and the
    disk needs room for a second copy. On PostgreSQL the database overwrites removed rows when it vacuums. Out of reach
    are backups, replicas and snapshots, exported files, those of other sinks, and bodies of the inbox in its log: these
    are gone when it is closed.

    Args:
        database: As for `SqlSink`.
        account_id: The account.
        end_user_id: Your own id of the user. Accounts are known by it if a sync stored them. Deliveries that name no
            account are kept under it, and removed, too.
        before: The day.
        inbox: The inbox, open; also for what a `Readiness` keeps in it.
        readiness: The readiness that runs in this process, if there is one.
        vacuum: Whether to rewrite a SQLite file; False if more is to be removed before.

    Raises:
        RequestError: Not exactly one of the three was given.
        ConfigurationError: There is no such database.
        InboxError: The inbox cannot be used.
        SinkError: The database cannot be used, or something remains: somebody wrote it meanwhile.
    """
    if sum(one is not None for one in (account_id, end_user_id, before)) != 1:
        raise RequestError(["give one of account_id, end_user_id and before"])
    sink = copy_at(database)
    places = _Places(database, sink, inbox, readiness)
    accounts: tuple[str, ...] = ()
    await sink.open()
    try:
        if before is not None:
            await places.purge_before(before)
        else:
            accounts = (account_id,) if account_id is not None else tuple(await sink.accounts_of(end_user_id or ""))
            for one in accounts:
                await places.purge_account(one)
            if end_user_id is not None:
                await places.purge_lane(end_user_id)
    finally:
        await sink.close(complete=True)
    if vacuum:
        await connected(database, "the database was not rewritten", _rewrite)
    found = [f"{place} ({count:,})" for place, count in places.remaining.items() if count]
    if found:
        raise SinkError("not everything was removed", reason=", ".join(found))
    return Erasure(accounts=accounts, removed=dict(places.removed), remaining=dict(places.remaining))


class _Places:
    """Everything that may hold something of an account."""

    def __init__(
        self, database: str | URL | AsyncEngine, sink: SqlSink, inbox: Inbox | None, readiness: Readiness | None
    ) -> None:
        self._database = database
        self._sink = sink
        self._inbox = inbox
        self._readiness = readiness
        self.removed: Counter[str] = Counter()
        self.remaining: Counter[str] = Counter()

    async def purge_account(self, account_id: str) -> None:
        """Remove everything of an account; its row last, so that its end user leads to it until then."""
        await self.purge_lane(account_id)
        await self._forget(account_id)
        await self._purge_values(account_id)
        self.removed.update(await self._sink.purge(account_id))
        self.remaining.update(await self._sink.remains(account_id))

    async def purge_lane(self, lane: str) -> None:
        """Remove deliveries; doing so again finds those that remained."""
        if self._inbox is not None:
            self.removed["inbox"] += await self._inbox.purge(lane=lane)
            self.remaining["inbox"] += await self._inbox.purge(lane=lane)

    async def purge_before(self, day: date) -> None:
        """Remove what is old; doing so again finds what remained."""
        self.removed.update(await self._sink.purge_before(day))
        self.remaining.update(await self._sink.purge_before(day))
        if self._inbox is not None:
            age = datetime.now(UTC) - datetime.combine(day, time(), UTC)
            before_s = max(0.0, age.total_seconds())
            self.removed["inbox"] += await self._inbox.purge(done_before_s=before_s)
            self.remaining["inbox"] += await self._inbox.purge(done_before_s=before_s)

    async def _forget(self, account_id: str) -> None:
        if self._inbox is not None:
            store = ReadinessStore(self._inbox, Clock())
            self.removed["readiness"] += _known(await store.read(account_id))
            await store.forget(account_id)
        if self._readiness is not None:
            await self._readiness.forget(account_id)
        if self._inbox is not None:
            self.remaining["readiness"] += _known(await ReadinessStore(self._inbox, Clock()).read(account_id))

    async def _purge_values(self, account_id: str) -> None:
        """Remove the account from the list of failures, and values that are called after it."""
        failures = await load_failures(self._sink)
        others = {unit: error for unit, error in failures.items() if unit.account_id != account_id}
        if others != failures:
            await save_failures(self._sink, others)
        mine = (literal(":") + VALUES.c.key + literal(":")).contains(f":{account_id}:", autoescape=True)

        async def drop(connection: AsyncConnection) -> tuple[int, int]:
            dropped = await connection.execute(delete(VALUES).where(mine))
            left = await connection.scalar(select(func.count()).select_from(VALUES).where(mine))
            await connection.commit()
            return dropped.rowcount, left or 0

        dropped, left = await connected(self._database, _PROBLEM, drop)
        self.removed["values"] += dropped + len(failures) - len(others)
        self.remaining["values"] += left + sum(one.account_id == account_id for one in await load_failures(self._sink))


def _known(remembered: tuple[object, ...]) -> int:
    return sum(one is not None for one in remembered)


async def _rewrite(connection: AsyncConnection) -> None:
    """Write a SQLite file anew, from what is in it, and empty the log beside it."""
    if connection.dialect.name != "sqlite":
        return
    await connection.execution_options(isolation_level="AUTOCOMMIT")
    await connection.exec_driver_sql("VACUUM")
    is_busy: int = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).scalar_one()
    if is_busy:
        raise SinkError("what was removed is still in the log of the database: purge again", reason="somebody reads it")
