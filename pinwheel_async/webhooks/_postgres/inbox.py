"""Write-ahead inbox in PostgreSQL: any number of receivers and workers share it, on any number of machines.

The file has over 500 lines because that is one class, a third of them what its public methods promise.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from attrs import evolve

from pinwheel_async._clock import Clock, time_limit
from pinwheel_async._postgres.driver import Connection, driver
from pinwheel_async._postgres.migration import while_locked
from pinwheel_async._postgres.url import connect_arguments
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._arguments import check_at_least
from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._inbox.administration import Attachment, InboxCheck, KeyRotation, replayed, system_user
from pinwheel_async.webhooks._inbox.base import (
    BodyReading,
    Claim,
    Counts,
    DeliveryFilter,
    DeliveryProgress,
    Entry,
    Preview,
    only_handlers,
)
from pinwheel_async.webhooks._inbox.encryption import read_keys
from pinwheel_async.webhooks._inbox.hand_over import BEGIN_WITHIN_S, ChainLink, Handed
from pinwheel_async.webhooks._notifier import Notifier
from pinwheel_async.webhooks._postgres import admin
from pinwheel_async.webhooks._postgres.check import check
from pinwheel_async.webhooks._postgres.errors import inbox_error
from pinwheel_async.webhooks._postgres.line import Line, end
from pinwheel_async.webhooks._postgres.listener import Listener
from pinwheel_async.webhooks._postgres.rotation import rotate_key
from pinwheel_async.webhooks._postgres.schema import check_version, is_current, migrate, queue_of
from pinwheel_async.webhooks._postgres.statements import MAX_CHAIN
from pinwheel_async.webhooks._postgres.store import Claimed, ClaimItem, InboxOptions, Mark, MarkItem, Store

T = TypeVar("T")

_AUDIT = logging.getLogger("pinwheel_async.audit")
_log = logging.getLogger("pinwheel_async.webhooks")

NOTIFY_EVERY_S = 0.02
"""Seconds between two notifications of a process. One in each transaction that stores something would take more than
half of the speed, as it takes a lock on the whole cluster until the commit is flushed."""

POLL_S = 1.0
"""Seconds after which a worker that waits looks what another process has left, if it was not notified."""

TIDY_EVERY_S = 1.0
"""Seconds from one search for old rows to the next, while there are few."""


class PostgresInbox:
    """Keeps deliveries in PostgreSQL; what `put` has returned for survives a crash of process, machine and server.

    Any number of processes on any number of machines may share it: each event is stored once, and those of an account
    are handled one after another, by whichever machine. What was acknowledged before another arrived is handled before
    it; of two that arrive at two receivers at the same time either may come first. What a machine had claimed when it
    died is due again when the lease ends.

    A failover to a standby that is not synchronous loses what was acknowledged last.
    """

    spans_versions: bool = True
    """Whether workers of several versions of the library may be at work, as while a deploy rolls: what one of them
    cannot decode is left to the others for a while."""

    @without_locals
    def __init__(
        self,
        url: str,
        *,
        consumer: str | None = "receiver",
        read_only: bool = False,
        schema: str | None = None,
        migrate: bool = True,
        pooled: bool = False,
        listen: str | None = None,
        keep_bodies_s: float | None = None,
        remember_s: float | None = None,
        max_waiting: int | None = 100_000,
        key: bytes | None = None,
        old_keys: Sequence[bytes] = (),
        hash_ids: bool = False,
        timeout_s: float = 9.0,
        clock: Clock | None = None,
    ) -> None:
        """Describe the inbox; `open` opens it.

        Args:
            url: URL of the database, such as `postgresql://app@db/pinwheel`.
            consumer: Name of what handles the deliveries, which the tables keep: a receiver with another name has other
                handlers and cannot open it. None for a tool, which cannot claim.
            read_only: Only look. No key is needed.
            schema: Schema of the tables; where the role's search path leads, if None.
            migrate: Whether a receiver makes the tables if there are none, and brings those of an earlier version up to
                date. If not, it only checks them: for a role without the right to, for which `migrate` is called first.
            pooled: Whether the URL leads to a pooler in transaction mode, such as PgBouncer.
            listen: URL of the same database past the pooler, to hear of what other processes store. Without one, a
                pooled inbox looks every second.
            keep_bodies_s: Seconds for which the body of a delivery that is done is kept; 0 drops it at once. The tables
                keep this, too, and all go by it until a receiver says something else; 0 in new ones.
            remember_s: Seconds for which the id of a delivery that is done is known, so that a repetition is dropped.
                The tables keep this, too; 30 days in new ones.
            max_waiting: Deliveries that may wait; `put` refuses more. What other receivers store within a second may
                exceed it. None for no limit.
            key: 32 bytes that encrypt bodies and saved values; needs the extra `crypto`. What was dropped stays in the
                files of the database until VACUUM, and in archives, replicas and backups as long as these are kept.
            old_keys: Keys with which something may be encrypted still; nothing new is encrypted with them.
            hash_ids: Whether a keyed hash takes the place of ordering keys, which are ids of accounts and end users,
                and of the names of saved values. That has to be said when the tables are new, and holds for them from
                then on, whoever opens them. Claims and entries show the hash, and a filter takes either.
            timeout_s: Seconds after which everything but what goes in portions gives up on a database that hangs: less
                than the 15 that the sender of a delivery waits.
            clock: Where time comes from in tests; from the database, if None.

        Raises:
            ConfigurationError: A limit is negative, the name is empty, the URL is none of PostgreSQL, a key has not 32
                bytes, or old keys or hashes go without one; or what only looks, or is no receiver, says how long to
                keep something.
            ModuleNotFoundError: There is a key, and the extra is not installed.
        """
        terms = [seconds for seconds in (keep_bodies_s, remember_s) if seconds is not None]
        check_at_least(
            0, keep_bodies_s=keep_bodies_s, remember_s=remember_s, max_waiting=max_waiting, timeout_s=timeout_s
        )
        if consumer == "":
            raise ConfigurationError("the consumer of an inbox needs a name; None means that nothing is received")
        if terms and (read_only or consumer is None):
            raise ConfigurationError(
                "only a receiver says keep_bodies_s and remember_s; others go by what the tables say"
            )
        if key is None and hash_ids:
            raise ConfigurationError("old_keys and hash_ids go with a key")
        address, arguments, is_pooled = connect_arguments(url)
        pooled = pooled or is_pooled
        if schema is not None and (not schema or "\0" in schema):
            raise ConfigurationError("the schema of an inbox needs a name; None means where the search path leads")
        self._options = InboxOptions(
            url=address,
            arguments=arguments,
            schema=schema,
            pooled=pooled,
            migrate=migrate,
            consumer=None if read_only else consumer,
            read_only=read_only,
            keep_bodies_s=keep_bodies_s,
            remember_s=remember_s,
            max_waiting=max_waiting,
            ciphers=read_keys(key, old_keys),
            hash_ids=hash_ids,
            clock=clock,
        )
        self._listen_url = None if listen is None else connect_arguments(listen)[0]
        self._clock = clock or Clock()
        # An operation may wait for the group before it, for a connection, and for its own group.
        self._step_s = timeout_s / 3
        self._attachment = Attachment()
        self._notifier = Notifier(self._clock)
        self._store = Store(self._options)
        self._putting: Line | None = None
        self._working: Line | None = None
        self._listener: Listener | None = None
        self._returning: set[asyncio.Task[None]] = set()
        # A hash, as the name of a channel has an end, and of a schema, too.
        self._channel = f"pinwheel_inbox_{queue_of(schema or ''):x}".replace("-", "_")
        self._notifying: asyncio.TimerHandle | None = None
        self._tidy_at = 0.0

    def attach(self, router: object) -> None:
        """Let the deliveries go to the handlers of this router, until `detach`.

        Raises:
            ConfigurationError: They go to another one, or the inbox is not one to receive into.
        """
        if self._options.consumer is None:
            raise ConfigurationError("a receiver needs an inbox with a consumer, which is not read_only")
        self._attachment.attach(router)

    def detach(self, router: object) -> None:
        """Let the deliveries go to another router, if they went to this one."""
        self._attachment.detach(router)

    async def migrate(self) -> bool:
        """Make the tables, or bring those of an earlier version up to date; return whether there was anything to do.

        It needs no consumer and no key. Behind what others have locked it waits for two seconds at once, and tries
        again for a minute.

        Raises:
            InboxError: The database cannot be reached, or refuses; or the tables are for newer versions only.
        """
        try:
            return await while_locked(self._migrate, self._clock)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told in words of the inbox
            raise inbox_error(error) from None

    async def _migrate(self) -> bool:
        """Bring the tables up to date once; return whether there was anything to do."""
        schema = self._options.schema
        async with time_limit(self._step_s):
            connection = await Store(self._options).connect(plain=True)
        try:
            async with time_limit(self._step_s):
                if await is_current(connection, schema):
                    await check_version(connection, schema)
                    return False
            await migrate(connection, schema)  # as long as it takes, as there may be an index to build
        finally:
            await end(connection)
        return True

    async def open(self) -> None:
        """Connect, a receiver making the tables if there are none; do nothing if it is open.

        Raises:
            InboxError: The database cannot be reached, or acknowledges what a crash may undo; the tables are not there,
                are of a newer version, belong to another consumer, or are encrypted with another key.
        """
        if self._putting is not None and self._putting.is_open:
            return
        if self._options.consumer is not None and self._options.migrate:
            try:
                await self._migrate()
            except Exception as error:  # noqa: BLE001  # as above
                raise inbox_error(error) from None
        store = self._store = Store(self._options)
        putting = Line("inbox", store.connect, timeout_s=self._step_s)
        working = Line("inbox work", partial(store.connect, flushes=False), timeout_s=self._step_s)
        try:
            await putting.open()
            await putting.submit(_prepare, store)
            await working.open()
        except BaseException:
            await putting.close()
            await working.close()
            raise
        self._putting, self._working = putting, working
        if self._options.consumer is not None and (self._listen_url is not None or not self._options.pooled):
            connect = partial(store.connect, flushes=False, url=self._listen_url, plain=True)
            self._listener = Listener(connect, self._send_notification, self._notifier.notify, self._channel)
            self._listener.start()

    async def close(self) -> None:
        """Carry out what was asked for, and disconnect."""
        if self._notifying is not None:
            self._notifying.cancel()
            self._notifying = None
            with suppress(InboxError):
                await self._send_notification(self._name)
        while self._returning:
            await asyncio.wait(self._returning)
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.stop()
        for line in (self._putting, self._working):
            if line is not None:
                await line.close()
        self._notifier.notify()

    async def put(self, delivery: Delivery) -> bool:
        """Store a delivery durably; return False if its event id is known already, in whatever state.

        A put that is cancelled may be stored all the same, and so may one that raises with the reason "Timeout". When
        it arrived is told by the clock of the database, so that all machines agree.

        Raises:
            InboxError: It could not be stored, or not within *timeout_s*, or too many wait.
        """
        self._tidy()
        storing = self._writing.submit(self._store.put, delivery, unclaimed=self._tell_if)
        return self._tell_if(await storing)

    async def claim(self, limit: int, *, lease_s: float) -> Sequence[Claim]:
        """Claim up to *limit* deliveries that are due, of different ordering keys, oldest first.

        Those whose lease has ended are due again; that attempt counts as interrupted. If the caller is cancelled
        meanwhile, what was claimed is given back.
        """
        chains = await self._claim(ClaimItem(limit, lease_s))
        return tuple([chain[0].claim for chain in chains])

    async def claim_chains(
        self, limit: int, *, lease_s: float, length: int, room: int, room_bytes: int
    ) -> Sequence[Sequence[ChainLink]]:
        """Claim deliveries as `claim` does, and return with each those of its ordering key that follow.

        Of a chain only the first is claimed; each of the others is when `finish_chains` marks the one before it.

        Args:
            limit: Chains, at most.
            lease_s: Seconds of a lease.
            length: Deliveries of one chain, at most.
            room: Deliveries, at most, unless there are more chains.
            room_bytes: Bytes of the bodies of those that follow, at most.
        """
        return await self._claim(ClaimItem(limit, lease_s, min(length, MAX_CHAIN), room, room_bytes))

    async def finish_chains(
        self, finished: Sequence[tuple[Sequence[Handed], Handed | None]], *, lease_s: float
    ) -> Sequence[bool]:
        """Mark the first deliveries of chains as done, and claim what follows.

        Args:
            finished: Of each ordering key what is done, oldest first; and what is in memory behind it, if anything.
            lease_s: Seconds of the leases on what follows.

        Returns:
            For each key whether what follows is ours; if nothing does, whether the lease was not lost.
        """
        marks = [_chain_marks(done, following, lease_s) for done, following in finished]
        marked = iter(await self._consuming.submit(self._store.mark_all, [mark for some in marks for mark in some]))
        outcomes: list[bool] = []
        for (_, following), some in zip(finished, marks, strict=True):
            last = [next(marked) for _ in some][-1]
            is_another = following is not None and following.is_first
            outcomes.append(is_another or (last.held if following is None else last.goes_on))
        self._notifier.notify()
        return outcomes

    async def extend(self, claim: Claim, *, lease_s: float) -> bool:
        """Let the lease begin again now; return False if it was lost."""
        return await self._consuming.submit(self._store.extend, (claim, lease_s))

    async def done(self, claim: Claim) -> bool:
        """Mark as handled, drop the body, remember the id; return False if the lease was lost.

        A lease that has ended is lost only when the delivery has been claimed again.
        """
        return await self._mark(self._consuming, _mark(claim, "d"))

    async def fail(self, claim: Claim, *, reason: str, retry_in_s: float | None, progress: bytes | None = None) -> bool:
        """Mark as failed: due again in *retry_in_s* seconds, dead if None. Return False if the lease was lost.

        Later claims of the delivery find *progress*, also after it was revived; with None, what was saved before.
        """
        line, text = self._consuming, reason.replace("\0", "\N{REPLACEMENT CHARACTER}")
        if retry_in_s is None:
            mark = _mark(claim, "x", reason=text, progress=progress)
            return self._notify_if((await self._writing.submit(self._store.mark_durably, mark)).held)
        mark = _mark(claim, "w", reason=text, progress=progress, retry_in_s=retry_in_s)
        return await self._mark(line, mark)

    async def release(self, claim: Claim, *, progress: bytes | None = None) -> bool:
        """Give back unhandled, as if it had not been claimed: the attempt does not count. For *progress* see `fail`."""
        mark = _mark(claim, "w", counted=0, progress=progress)
        return await self._mark(self._consuming, mark)

    async def preview(self, filter: DeliveryFilter) -> Preview:
        """Say what a filter selects, in numbers."""
        return await self._read(lambda connection: admin.preview(connection, self._options.schema, self._meant(filter)))

    async def revive(self, filter: DeliveryFilter | None = None) -> int:
        """Let those that are meant and dead (all, if None) wait again, attempts counted from 0; return how many.

        They take their old place in the order of their key: before everything that came later, but for what a worker
        has claimed, or has in memory to handle it within a tenth of a second. It goes in portions, as `purge` does.
        """
        chosen = filter or DeliveryFilter()
        if "dead" not in (chosen.states or ("dead",)):
            self._line(self._putting)
            return 0
        return await self._change("revive", evolve(chosen, states=("dead",)))

    async def purge(self, filter: DeliveryFilter) -> int:
        """Forget what a filter selects, in whatever state, with bodies and ids; return how many.

        It goes in portions, each in a transaction of its own that takes some 10 ms, so that deliveries are stored
        meanwhile. If it is cancelled or fails, what was forgotten until then stays forgotten; doing it again goes on.
        A handler that runs is not stopped: what it says of a delivery that was purged changes nothing. None begins
        after it has returned, for which it waits for a tenth of a second where somebody works on the same accounts. The
        files of the database hold what was forgotten until VACUUM, and archives, replicas and backups as long as these
        are kept.
        """
        return await self._change("purge", filter)

    async def replay(self, filter: DeliveryFilter, *, handlers: Collection[str] = ()) -> int:
        """Let deliveries be handled again that are dead, or done with a kept body; return how many.

        They take their old place in the order of their key, attempts counted from 0. It goes in portions, as `purge`
        does; nothing is changed if more would wait than may.

        Args:
            filter: Which deliveries are meant.
            handlers: Names of the handlers that run, as logs and reasons show them, such as `store_paystubs`; the
                others take no part. All, if none is named.

        Raises:
            ConfigurationError: The filter asks for deliveries that have not ended.
            InboxError: Too many would wait.
        """
        ended = await replayed(self, filter, max_waiting=self._options.max_waiting)
        return await self._change("replay", ended, only_handlers(handlers) if handlers else None)

    @without_locals
    async def read_body(self, event_id: str) -> bytes | None:
        """Return the stored body of a delivery; None if it is not known or has none any more.

        A body is payroll data, so it is recorded in the database who read it, and logged by `pinwheel_async.audit`
        (INFO): the user of the process, and the event id. The record is durable before the body is returned.

        Raises:
            InboxError: It cannot be decrypted, or the reading cannot be recorded.
        """
        user = system_user()
        body = await self._writing.submit(self._store.read_body, (event_id, user))
        if body is not None:
            _AUDIT.info("the body of event %s was read by %s", event_id, user)
        return body

    async def progress(self, event_id: str) -> DeliveryProgress | None:
        """Return how far the handlers of a delivery have come; None if it is not known."""
        return await self._line(self._working).submit(self._store.progress, event_id)

    async def readings(self, *, limit: int = 100) -> Sequence[BodyReading]:
        """List who has read bodies, the latest first."""
        return await self._read(lambda connection: admin.readings(connection, self._options.schema, limit))

    async def entries(self, filter: DeliveryFilter | None = None, *, limit: int = 100) -> Sequence[Entry]:
        """List what a filter selects (all, if None), newest first."""
        chosen = self._meant(filter or DeliveryFilter())
        return await self._read(lambda connection: admin.entries(connection, self._options.schema, chosen, limit))

    async def rotate_key(self) -> KeyRotation:
        """Encrypt with the key whatever is encrypted with an old one, or not at all; then the old ones are not needed.

        It goes in portions, as `purge` does, and can be gone on with. Receivers that know both keys go on meanwhile;
        one that knows only an old key can store nothing more once all is done, and answers 503 until it is started with
        the new one. Until VACUUM the files of the database hold what the old key encrypted.

        Raises:
            ConfigurationError: There is no key.
        """
        if not self._options.ciphers:
            raise ConfigurationError("there is no key to encrypt with: open the inbox with key, and with old_keys")
        self._line(self._writing)
        store = self._store
        return await self._apart(lambda connection: rotate_key(connection, self._options.schema, store.keys))

    async def check(self) -> InboxCheck:
        """Check that the tables agree with one another and every body can be decrypted, and change nothing."""
        return await self._read(lambda connection: check(connection, self._options.schema, self._store.keys))

    async def counts(self) -> Counts:
        """Count by state."""
        return await self._line(self._working).submit(self._store.counts, None)

    async def wait(self, timeout_s: float) -> None:
        """Return when a delivery may be due; what another process puts is noticed within a second at the latest."""
        line = self._line(self._working)
        ends_at = self._clock.monotonic() + timeout_s
        is_due = False

        async def next_due() -> float | None:
            nonlocal is_due
            due_in_s = await line.submit(self._store.due_in_s, None)
            is_due = due_in_s is not None and due_in_s <= 0
            return due_in_s

        while True:
            left_s = ends_at - self._clock.monotonic()
            if await self._notifier.wait(next_due, min(left_s, POLL_S)) or is_due or left_s <= POLL_S:
                return

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the deliveries."""
        return await self._line(self._putting).submit(self._store.load, key)

    async def load_or_save(self, key: str, value: bytes) -> bytes:
        """Return a small value that was saved before; if there is none, save this one, in one step, and return it."""
        return await self._writing.submit(self._store.load_or_save, (key, value))

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the deliveries, encrypted if there is a key; None removes it."""
        line = self._writing
        self._tidy()
        await line.submit(self._store.save, (key, value))

    @property
    def _name(self) -> str:
        return "" if self._listener is None else self._listener.name

    @property
    def _writing(self) -> Line:
        if self._options.read_only:
            raise InboxError("the inbox is open to look only: open it without read_only", reason="ReadOnly")
        return self._line(self._putting)

    @property
    def _consuming(self) -> Line:
        if self._options.consumer is None:
            raise InboxError("the inbox is not open to receive: open it with a consumer", reason="NoConsumer")
        return self._line(self._working)

    async def _read(self, function: Callable[[Connection], Awaitable[T]]) -> T:
        """Read over a connection of its own, all as of one moment."""

        async def read(connection: Connection) -> T:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await function(connection)

        return await self._apart(read)

    async def _apart(self, function: Callable[[Connection], Awaitable[T]]) -> T:
        """Do something over a connection of its own; it takes as long as it takes, and nothing waits for it."""
        self._line(self._putting)
        try:
            async with time_limit(self._step_s):
                connection = await self._store.connect(flushes=False, plain=True)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told in words of the inbox
            raise inbox_error(ConnectionError() if isinstance(error, TimeoutError) else error) from None
        try:
            return await function(connection)
        except (driver.PostgresError, driver.InterfaceError, OSError) as error:
            raise inbox_error(error) from None
        finally:
            await end(connection)

    async def _change(self, change: admin.Change, chosen: DeliveryFilter, progress: bytes | None = None) -> int:
        line = self._writing
        chosen = self._meant(chosen)
        changed, after, may_begin = 0, -1, False
        last: int | None = None

        async def find(connection: Connection) -> tuple[Sequence[str], int, int]:
            return await admin.find(connection, self._options.schema, chosen, after, last)

        while True:
            event_ids, after, last = await self._read(find)
            for start in range(0, len(event_ids), admin.PORTION_ROWS):
                part = event_ids[start : start + admin.PORTION_ROWS]
                count, is_claimed = await line.submit(self._store.change, admin.Portion(change, chosen, part, progress))
                changed += count
                may_begin |= change == "purge" and is_claimed
                if count:  # a purge notifies, too: where the first of a key is gone, the next has moved up
                    self._notifier.notify()
                    self._tell()
            if len(event_ids) < admin.FOUND_ROWS:
                break
        if may_begin:  # something that is in the memory of a worker, behind what it has claimed
            await asyncio.sleep(BEGIN_WITHIN_S)
        return changed

    def _meant(self, filter: DeliveryFilter) -> DeliveryFilter:
        """Return a filter for what stands in the tables in the place of ids."""
        if filter.ordering_key is None:
            return filter
        return evolve(filter, ordering_key=self._store.keys.hashes.stored(filter.ordering_key))

    def _line(self, line: Line | None) -> Line:
        if line is None or not line.is_open:
            raise InboxError("the inbox is not open", reason="Closed")
        return line

    def _tidy(self) -> None:
        """Let old rows be removed, if it is time."""
        now = self._clock.monotonic()
        if now < self._tidy_at or self._options.consumer is None or self._putting is None:
            return
        self._tidy_at = now + TIDY_EVERY_S

        def again(tidying: "asyncio.Future[bool]") -> None:
            # An error is one of the database, which whoever stores or claims is told.
            if not tidying.cancelled() and tidying.exception() is None and tidying.result():
                self._tidy_at = 0.0

        with suppress(InboxError):
            self._putting.submit(self._store.tidy, None).add_done_callback(again)

    async def _claim(self, item: ClaimItem) -> Sequence[Sequence[ChainLink]]:
        line = self._consuming
        if item.limit <= 0:
            return ()
        self._tidy()
        # If the caller is cancelled, so is the future, and what was claimed is given back when the line has it.
        claimed = await line.submit(self._store.claim, item, unclaimed=self._give_back)
        if claimed.buried:
            self._notifier.notify()
        return claimed.chains

    async def _mark(self, line: Line, mark: MarkItem) -> bool:
        return self._notify_if((await line.submit(self._store.mark, mark)).held)

    def _notify_if(self, marked: bool) -> bool:
        if marked:
            self._notifier.notify()
        return marked

    def _tell_if(self, new: bool) -> bool:
        """Notify workers here, and soon those of other processes."""
        if new:
            self._notifier.notify()
            self._tell()
        return new

    def _tell(self) -> None:
        if self._notifying is None:
            loop = asyncio.get_running_loop()
            self._notifying = loop.call_later(NOTIFY_EVERY_S, self._tell_now)

    def _tell_now(self) -> None:
        self._notifying = None
        with suppress(InboxError):
            sending = self._line(self._working).submit(self._store.notify, (self._channel, self._name))
            sending.add_done_callback(lambda future: future.cancelled() or future.exception())

    async def _send_notification(self, payload: str) -> None:
        await self._line(self._working).submit(self._store.notify, (self._channel, payload))

    def _give_back(self, claimed: Claimed) -> None:
        """Give back what was claimed for a caller that was cancelled meanwhile, before its lease ends."""

        async def give_back() -> None:
            with suppress(InboxError):
                for chain in claimed.chains:
                    await self.release(chain[0].claim)

        task = asyncio.create_task(give_back(), name="pinwheel inbox return")
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)


async def _prepare(connection: Connection, stores: Sequence[Store]) -> Sequence[None]:
    for store in stores:
        await store.prepare(connection)
    return [None] * len(stores)


def _mark(claim: Claim, mark: Mark, **details: Any) -> MarkItem:
    return MarkItem(queue_of(claim.delivery.ordering_key), claim.token, mark, **details)


def _chain_marks(done: Sequence[Handed], following: Handed | None, lease_s: float) -> list[MarkItem]:
    """Return the marks of what is done of one ordering key: one for each chain, as there are more after trouble."""
    queue = queue_of(done[0].claim.delivery.ordering_key)
    next_claim = None if following is None or following.is_first else (following.seq, following.claim.token)
    bounds = [0, *[number for number in range(1, len(done)) if done[number].is_first], len(done)]
    marks: list[MarkItem] = []
    for start, stop in pairwise(bounds):
        seqs = tuple([handed.seq for handed in done[start:stop]])
        last = next_claim if stop == len(done) else None
        marks.append(MarkItem(queue, done[start].claim.token, "d", seqs=seqs, following=last, lease_s=lease_s))
    return marks
