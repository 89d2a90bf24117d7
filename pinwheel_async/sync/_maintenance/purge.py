"""Purge: removes a person, or what is old, from the copy, the inbox and the readiness, and proves it."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from functools import partial

from attrs import frozen
from sqlalchemy import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pinwheel_async._clock import Clock
from pinwheel_async._core.converter import Serializable
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import RequestError, SinkError
from pinwheel_async.sync._maintenance.open_copy import Copy
from pinwheel_async.sync._sql.sink import SqlSink
from pinwheel_async.webhooks import DeliveryFilter, Inbox, Readiness
from pinwheel_async.webhooks._readiness.store import ReadinessStore


@frozen(kw_only=True)
class Erasure(Serializable):
    """What was removed, that nothing remains, and what is out of reach: numbers by place.

    Places are the tables of the copy, `inbox` (deliveries) and `readiness` (values in the inbox).
    """

    accounts: tuple[str, ...]
    """The accounts that were removed; empty if it was what is old."""
    removed: Mapping[str, int]
    """How much was removed."""
    remaining: Mapping[str, int]
    """How much was found when everything was looked through again: 0 everywhere, or it had been an error."""
    out_of_reach: tuple[str, ...] = ()
    """What the database still holds of it, where nothing here reaches: on PostgreSQL dead rows, log and replicas."""


@without_locals
async def purge(
    database: str | URL | AsyncEngine,
    *,
    account_id: str | None = None,
    end_user_id: str | None = None,
    before: date | None = None,
    inbox: Inbox | None = None,
    readiness: Readiness | None = None,
    vacuum: bool = False,
    schema: str | None = None,
    prefix: str = "",
) -> Erasure:
    """Remove an account, all accounts of an end user, or what is from before a day; look again, and say what was found.

    Give one of *account_id*, *end_user_id* and *before*. What ended half-way can be done again.

    The copy remembers the accounts, by a hash of their ids under a key of its own: no sync, mirror or readiness fetches
    or stores anything of them again, though Pinwheel goes on listing them, before `lift_erasure`. Disconnect them, too
    (`pinwheel.accounts.disconnect`), or Pinwheel goes on fetching their data itself.

    With *before*, paystubs paid, shifts begun and tax forms of years ended before that day are removed, and deliveries
    that arrived before it, in UTC: those that are done, with bodies that were kept, and those that are dead. What still
    waits for its handlers is not lost: it stays until they have run or given up. Accounts and everything else stay,
    too. The copy remembers the day: what is older is neither asked for nor stored again, by any sync or mirror, unless
    the scope is changed.

    In a SQLite file what is removed is overwritten, and the log beside it is emptied; the room is used again. On
    PostgreSQL removed rows are out of sight, and stand on the disk until `VACUUM` has run and their place is used
    again; the log, its archive and replicas hold them longer: `Erasure.out_of_reach` says which there are. Out of reach
    are backups, replicas and snapshots, exported files, those of other sinks, and bodies of the inbox in its log: these
    are gone when it is closed.

    Args:
        database: As for `SqlSink`.
        account_id: The account.
        end_user_id: Your own id of the user. Accounts are known by it if a sync stored them, also by one that they had
            before. Deliveries that name no account are kept under it, and removed, too.
        before: The day.
        inbox: The inbox, open; also for what a `Readiness` keeps in it.
        readiness: The readiness that runs in this process, if there is one.
        vacuum: Whether to rewrite a SQLite file as a whole (`VACUUM`), so that it becomes smaller, and what a program
            other than this library left in it goes, too: others who write wait, and the disk needs room for a second
            copy.
        schema: As for `SqlSink`.
        prefix: As for `SqlSink`.

    Raises:
        RequestError: Not exactly one of the three was given.
        ConfigurationError: There is no copy.
        InboxError: The inbox cannot be used.
        SinkError: The database cannot be used, or something remains, because it was written meanwhile.
    """
    if sum(argument is not None for argument in (account_id, end_user_id, before)) != 1:
        raise RequestError(["give one of account_id, end_user_id and before"])
    copy = Copy(database, schema, prefix)
    sink = await copy.sink()
    places = _Places(sink, inbox, readiness)
    accounts: tuple[str, ...] = ()
    await sink.open()
    try:
        if before is not None:
            await places.purge_before(before)
        else:
            accounts = (account_id,) if account_id is not None else tuple(await sink.accounts_of(end_user_id or ""))
            for account in accounts:
                await places.purge_account(account)
            if end_user_id is not None:
                await places.purge_deliveries(end_user_id)
    finally:
        await sink.close(complete=True)
    out_of_reach = await copy.connected("the log of the database was not emptied", partial(_clean_up, vacuum=vacuum))
    found = [f"{place} ({count:,})" for place, count in places.remaining.items() if count]
    if found:
        raise SinkError("not everything was removed", reason=", ".join(found))
    return Erasure(
        accounts=accounts, removed=dict(places.removed), remaining=dict(places.remaining), out_of_reach=out_of_reach
    )


@without_locals
async def lift_erasure(
    database: str | URL | AsyncEngine,
    *,
    account_id: str,
    inbox: Inbox | None = None,
    readiness: Readiness | None = None,
    schema: str | None = None,
    prefix: str = "",
) -> bool:
    """Let an account be fetched and stored again that was erased; return whether it was.

    The next sync fetches it. Only its id leads to it: of an erased account nothing else is known.

    Args:
        database: As for `SqlSink`.
        account_id: The account.
        inbox: As for `purge`.
        readiness: As for `purge`.
        schema: As for `SqlSink`.
        prefix: As for `SqlSink`.

    Raises:
        ConfigurationError: There is no copy.
        InboxError: The inbox cannot be used.
        SinkError: The database cannot be used.
    """
    sink = await Copy(database, schema, prefix).sink()
    await sink.open()
    try:
        was_erased = await sink.lift_erasure(account_id)
    finally:
        await sink.close(complete=True)
    if inbox is not None:
        await ReadinessStore(inbox, Clock()).lift_erasure(account_id)
    if readiness is not None:
        await readiness.lift_erasure(account_id)
    return was_erased


class _Places:
    """Everything that may hold something of an account."""

    def __init__(self, sink: SqlSink, inbox: Inbox | None, readiness: Readiness | None) -> None:
        self._sink = sink
        self._inbox = inbox
        self._readiness = readiness
        self.removed: Counter[str] = Counter()
        self.remaining: Counter[str] = Counter()

    async def purge_account(self, account_id: str) -> None:
        """Remove everything of an account; its row last, so that its end user leads to it until then.

        First it is noted: a sync that is under way adds nothing to what is removed.
        """
        await self._sink.remember_erasure(account_id)
        await self.purge_deliveries(account_id)
        await self._forget(account_id)
        self.removed.update(await self._sink.purge(account_id))
        self.remaining.update(await self._sink.remains(account_id))

    async def purge_deliveries(self, ordering_key: str) -> None:
        """Remove deliveries; doing so again finds those that remained."""
        if self._inbox is not None:
            chosen = DeliveryFilter(ordering_key=ordering_key)
            self.removed["inbox"] += await self._inbox.purge(filter=chosen)
            self.remaining["inbox"] += await self._inbox.purge(filter=chosen)

    async def purge_before(self, day: date) -> None:
        """Remove what is old; doing so again finds what remained."""
        self.removed.update(await self._sink.purge_before(day))
        self.remaining.update(await self._sink.purge_before(day))
        if self._inbox is not None:
            received_before = datetime.combine(day, time(), UTC)
            chosen = DeliveryFilter(states=("done", "dead"), received_before=received_before)
            self.removed["inbox"] += await self._inbox.purge(filter=chosen)
            self.remaining["inbox"] += await self._inbox.purge(filter=chosen)

    async def _forget(self, account_id: str) -> None:
        if self._inbox is not None:
            store = ReadinessStore(self._inbox, Clock())
            self.removed["readiness"] += _known(await store.read(account_id))
            await store.forget(account_id, for_good=True)
        if self._readiness is not None:
            await self._readiness.forget(account_id, for_good=True)
        if self._inbox is not None:
            self.remaining["readiness"] += _known(await ReadinessStore(self._inbox, Clock()).read(account_id))


def _known(remembered: tuple[object, ...]) -> int:
    return sum(value is not None for value in remembered)


async def _clean_up(connection: AsyncConnection, *, vacuum: bool) -> tuple[str, ...]:
    """Empty the log beside a SQLite file, after rewriting the file if asked to; return what PostgreSQL still holds."""
    if connection.dialect.name != "sqlite":
        return await connection.run_sync(_out_of_reach)
    await connection.execution_options(isolation_level="AUTOCOMMIT")
    if vacuum:
        await connection.exec_driver_sql("VACUUM")
    is_busy: int = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).scalar_one()
    if is_busy:
        raise SinkError("what was removed is still in the log of the database: purge again", reason="it is being read")
    return ()


def _out_of_reach(connection: Connection) -> tuple[str, ...]:
    """Name the places of a PostgreSQL server that hold removed rows longer than its tables."""
    is_archived = connection.exec_driver_sql("SHOW archive_mode").scalar_one() != "off"
    replicas: int = connection.exec_driver_sql("SELECT count(*) FROM pg_stat_replication").scalar_one()
    slots: int = connection.exec_driver_sql("SELECT count(*) FROM pg_replication_slots").scalar_one()
    places = (
        "dead rows on the disk, until VACUUM has run and their place is used again",
        "the write-ahead log, until it is recycled",
        is_archived and "the archive of the log, and base backups",
        replicas and f"replicas, which follow: {replicas:,} connected",
        slots and f"replication slots, which keep the log for who is away: {slots:,}",
    )
    return tuple([place for place in places if place])
