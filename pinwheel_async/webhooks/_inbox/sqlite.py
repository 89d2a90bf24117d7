"""Write-ahead inbox in one SQLite file: a delivery is on disk before it is acknowledged.

The file has over 500 lines because it is one class, whose methods do little more than ask for what is in `_inbox`.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve

from pinwheel_async._clock import Clock, time_limit
from pinwheel_async._core.arguments import wrong
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._arguments import check_at_least
from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._inbox import sqlite_admin as admin
from pinwheel_async.webhooks._inbox.administration import Attachment, KeyRotation, replayed, system_user
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
from pinwheel_async.webhooks._inbox.group_commit import GroupCommit
from pinwheel_async.webhooks._inbox.hand_over import Committed, HandOver, Taker
from pinwheel_async.webhooks._inbox.open_file import OpenLock
from pinwheel_async.webhooks._inbox.sqlite_rotation import rotate_key
from pinwheel_async.webhooks._inbox.sqlite_schema import Synchronous
from pinwheel_async.webhooks._inbox.sqlite_store import DeliveryStore, InboxOptions
from pinwheel_async.webhooks._notifier import Notifier

T = TypeVar("T")

_AUDIT = logging.getLogger("pinwheel_async.audit")
_log = logging.getLogger("pinwheel_async.webhooks")


class SqliteInbox:
    """Keeps deliveries in a SQLite file; what `put` has returned for survives a crash of process and machine.

    ```python
    app.add_subapp("/webhooks/pinwheel", webhook_app(router, secrets=[api_secret], inbox=SqliteInbox("inbox.db")))
    ```

    A receiver opens and closes it; open it yourself only to look and to clear up. What a process had claimed when it
    was killed is due again when the file is opened next, if no other process has it open then, and else when the lease
    ends.

    What many tasks ask for at the same time shares one flush to disk. Several processes of one machine may share the
    file: each delivery is claimed by one of them. The file is readable by its owner only. A body is overwritten in it
    when it is dropped, and may stand in the log beside it (`-wal`) until the inbox has nothing to do for a second: then
    a receiver empties the log, and gives back to the disk what the file does not need any more.

    After trouble with the disk the inbox goes on by itself as soon as the disk does. A file that is deleted, replaced
    or cut short while it is open is logged as an error, and nothing is stored until the very same file is back in its
    place, or the inbox is closed and opened to begin with what is there then.

    Only a receiver claims, ends leases, and drops what is old. What else opens the file says so, and does none of it:
    *read_only* to look, `consumer=None` to purge or revive.
    """

    @without_locals
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        consumer: str | None = "receiver",
        read_only: bool = False,
        keep_bodies_s: float | None = None,
        remember_s: float | None = None,
        max_waiting: int | None = 100_000,
        synchronous: Synchronous = "FULL",
        key: bytes | None = None,
        old_keys: Sequence[bytes] = (),
        hash_ids: bool = False,
        timeout_s: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        """Describe the inbox; `open` opens it.

        Args:
            path: The file, on a local disk. A receiver makes it if there is none; its directory must exist.
            consumer: Name of what handles the deliveries, which the file keeps: a receiver with another name has other
                handlers and cannot open it. None for a tool, which cannot claim.
            read_only: Only look: the file, and what is beside it, stays as it is, and nobody waits for it. No key is
                needed.
            keep_bodies_s: Seconds for which the body of a delivery that is done is kept; 0 drops it at once. The file
                keeps this, too, and goes by it until a receiver says something else; 0 in a new one.
            remember_s: Seconds for which the id of a delivery that is done is known, so that a repetition is dropped.
                The file keeps this, too; 30 days in a new one.
            max_waiting: Deliveries that may wait; `put` refuses more. None for no limit.
            synchronous: "FULL" flushes what is put to the disk before `put` returns. What is claimed or done is flushed
                with the next of it: after a crash of the machine the last ones may be handled again. With "NORMAL" such
                a crash, though not one of the process, may lose the last deliveries, which will not be sent again.
            key: 32 bytes that encrypt bodies and saved values; needs the extra `crypto`. A file belongs to its first
                key until `rotate_key` is called with another.
            old_keys: Keys with which something in the file may be encrypted still; nothing new is encrypted with them.
            hash_ids: Whether a keyed hash takes the place of ordering keys, which are ids of accounts and end users,
                and of the names of saved values. That has to be said when the file is new, and holds for it from then
                on, whoever opens it. Claims and entries show the hash, and a filter takes either.
            timeout_s: Seconds after which everything but `open` and what goes in portions gives up on a disk that
                hangs: less than the 15 that the sender of a delivery waits.
            clock: Where time comes from.

        Raises:
            ConfigurationError: *path* is no path, a limit is negative, the name is empty, a key has not 32 bytes, or
                old keys or hashes go without one; or what only looks, or is no receiver, says how long to keep
                something.
            ModuleNotFoundError: There is a key, and the extra is not installed.
        """
        terms = [seconds for seconds in (keep_bodies_s, remember_s) if seconds is not None]
        check_at_least(
            0, keep_bodies_s=keep_bodies_s, remember_s=remember_s, max_waiting=max_waiting, timeout_s=timeout_s
        )
        file: Any = path
        if not isinstance(file, str | os.PathLike) or "://" in str(path):
            raise ConfigurationError(wrong("path", 'that of a file on a local disk, such as "inbox.db"', path, str))
        if consumer == "":
            raise ConfigurationError("the consumer of an inbox needs a name; None means that nothing is received")
        if terms and (read_only or consumer is None):
            raise ConfigurationError(
                "only a receiver says keep_bodies_s and remember_s; others go by what the file says"
            )
        if synchronous not in {"FULL", "NORMAL"}:
            raise ConfigurationError('synchronous must be "FULL" or "NORMAL"')
        if key is None and hash_ids:
            raise ConfigurationError("old_keys and hash_ids go with a key")
        clock = clock or Clock()
        options = InboxOptions(
            path=str(Path(path).absolute()),
            consumer=None if read_only else consumer,
            read_only=read_only,
            keep_bodies_s=keep_bodies_s,
            remember_s=remember_s,
            max_waiting=max_waiting,
            synchronous=synchronous,
            ciphers=read_keys(key, old_keys),
            hash_ids=hash_ids,
            clock=clock,
        )
        self._options = options
        self._timeout_s = timeout_s
        self._attachment = Attachment()
        self._handed_over = HandOver()
        self._group = self._new_group()
        self._turns = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._notifier = Notifier(clock)
        self._returning: set[asyncio.Task[None]] = set()

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

    async def open(self) -> None:
        """Open the file, a receiver making it or bringing it up to date if needed; do nothing if it is open.

        Raises:
            InboxError: It cannot be opened, is damaged, belongs to another consumer, another program or a newer
                version, is encrypted with another key, or holds ids in the clear that are to be hashed; or there is
                none to look at.
        """
        async with self._turn():
            if self._group.is_open:
                await self._group.submit(_nothing, may_take_long=True)
                return
            if self._group.is_alive:  # it was left open by a loop that is closed, or its disk hung
                self._group.abandon()
                await asyncio.to_thread(self._group.join, self._timeout_s)
            group = self._group = self._new_group()
            group.start()
            try:
                await group.submit(_nothing, may_take_long=True)
            except asyncio.CancelledError:
                group.abandon()
                raise
            except BaseException as error:
                await group.stop()
                if isinstance(error, InboxError):
                    error.set_path(self._options.path)
                raise

    async def close(self) -> None:
        """Carry out what was asked for, and close the file.

        If a disk that hangs lets that take longer than *timeout_s*, this is logged as an error, what waits is given up,
        and the file is closed once the disk goes on. What was acknowledged is on it.
        """
        try:
            async with time_limit(self._timeout_s), self._turn():
                while self._returning:  # before the thread is stopped, which carries them out
                    await asyncio.wait(self._returning)
                await self._group.stop()
        except TimeoutError:
            _log.error("the inbox was not closed within %g s, because its disk hangs", self._timeout_s)
            self._group.abandon()
        self._notifier.notify()

    async def put(self, delivery: Delivery) -> bool:
        """Store a delivery durably; return False if its event id is known already, in whatever state.

        A put that is cancelled may be stored all the same, and so may one that raises with the reason "Timeout": it is
        carried out once the disk goes on.

        Raises:
            InboxError: It could not be stored, or not within *timeout_s*, or too many wait.
        """
        return await self._writing.submit_to(DeliveryStore.put, delivery)

    async def claim(self, limit: int, *, lease_s: float) -> Sequence[Claim]:
        """Claim up to *limit* deliveries that are due, of different ordering keys, oldest first.

        Those whose lease has ended are due again; that attempt counts as interrupted. If the caller is cancelled
        meanwhile, what was claimed is given back.
        """
        claiming = self._consuming.submit(
            lambda store: store.claim(limit, lease_s), flush=False, unclaimed=self._give_back_late
        )
        # Shielded, because the thread claims whether or not this task is cancelled: if it is, what was claimed is given
        # back in a task of its own, or it would wait for the end of its lease.
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self._give_back(claiming)
            raise

    def hand_over_to(self, taker: Taker) -> None:
        """Let a worker of this process have what is put from now on, as far as it takes it, without claiming it."""
        self._handed_over.taker = taker

    def end_hand_over(self, taker: Taker) -> None:
        """Hand nothing more over to a worker. What it was handed stays claimed, until it is marked or given back."""
        if self._handed_over.taker is taker:
            self._handed_over.taker = None

    async def finish(self, finished: Sequence[tuple[str, Sequence[int]]], *, lease_s: float) -> Sequence[bool]:
        """Mark what was handed over as done, and claim the next of each ordering key that was.

        It has to be awaited before more is marked of the same keys.

        Args:
            finished: Ordering keys, and of each the oldest rows that were handed over and are not marked yet.
            lease_s: Seconds of the leases on what follows.

        Returns:
            For each key whether all went well; if not, the lease was lost, or what follows is not ours any more.
        """
        return await self._consuming.submit(lambda store: store.finish(finished, lease_s), flush=False)

    async def extend(self, claim: Claim, *, lease_s: float) -> bool:
        """Let the lease begin again now; return False if it was lost."""
        return await self._consuming.submit(lambda store: store.extend(claim, lease_s), flush=False)

    async def done(self, claim: Claim) -> bool:
        """Mark as handled, drop the body, remember the id; return False if the lease was lost.

        A lease that has ended is lost only when the delivery has been claimed again.
        """
        return self._notify_if(await self._consuming.submit_to(DeliveryStore.done, claim, flush=False))

    async def fail(self, claim: Claim, *, reason: str, retry_in_s: float | None, progress: bytes | None = None) -> bool:
        """Mark as failed: due again in *retry_in_s* seconds, dead if None. Return False if the lease was lost.

        Later claims of the delivery find *progress*, also after it was revived; with None, what was saved before.
        """
        failing = self._consuming.submit(lambda store: store.fail(claim, reason, retry_in_s, progress))
        return self._notify_if(await failing)

    async def release(self, claim: Claim, *, progress: bytes | None = None) -> bool:
        """Give back unhandled, as if it had not been claimed: the attempt does not count. For *progress* see `fail`."""
        releasing = self._consuming.submit(lambda store: store.release(claim, progress), flush=False)
        return self._notify_if(await releasing)

    async def preview(self, filter: DeliveryFilter) -> Preview:
        """Say what a filter selects, in numbers."""
        chosen = await self._stored(filter)
        return await self._read(lambda connection: admin.preview(connection, chosen))

    async def revive(self, filter: DeliveryFilter | None = None) -> int:
        """Let those that are meant and dead (all, if None) wait again, attempts counted from 0; return how many.

        They take their old place in the order of their key: before everything that came later and is not claimed. It
        goes in portions, as `purge` does.
        """
        return await self._change(admin.revive, filter or DeliveryFilter())

    async def purge(self, filter: DeliveryFilter) -> int:
        """Forget what a filter selects, in whatever state, with bodies and ids; return how many.

        It goes in portions, each in a transaction of its own that takes some 20 ms, so that deliveries are stored
        meanwhile. If it is cancelled or fails, what was forgotten until then stays forgotten; doing it again goes on.
        A handler that runs is not stopped: what it says of a delivery that was purged changes nothing.
        """
        return await self._change(admin.purge, filter)

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
        progress = only_handlers(handlers) if handlers else None
        return await self._change(partial(admin.replay, progress=progress), ended)

    @without_locals
    async def read_body(self, event_id: str) -> bytes | None:
        """Return the stored body of a delivery; None if it is not known or has none any more.

        A body is payroll data, so it is recorded in the file who read it, and logged by `pinwheel_async.audit` (INFO):
        the user of the process, and the event id. The record is durable before the body is returned.

        Raises:
            InboxError: It cannot be decrypted, or the reading cannot be recorded.
        """
        user = system_user()
        body = await self._writing.submit(lambda store: admin.read_body(store, event_id, user))
        if body is not None:
            _AUDIT.info("the body of event %s was read by %s", event_id, user)
        return body

    async def progress(self, event_id: str) -> DeliveryProgress | None:
        """Return how far the handlers of a delivery have come; None if it is not known."""
        return await self._group.submit(lambda store: admin.progress(store, event_id), flush=False)

    async def readings(self, *, limit: int = 100) -> Sequence[BodyReading]:
        """List who has read bodies, the latest first."""
        return await self._read(lambda connection: admin.readings(connection, limit))

    async def rotate_key(self) -> KeyRotation:
        """Encrypt with the key whatever is encrypted with an old one, or not at all; then the old ones are not needed.

        It goes in portions, as `purge` does, and can be gone on with. Receivers that know both keys go on meanwhile;
        one that knows only an old key can store nothing more once all is done, and answers 503 until it is started with
        the new one. Hashes of ids stay as they are: their own key is encrypted anew.

        Raises:
            ConfigurationError: There is no key.
        """
        if not self._options.ciphers:
            raise ConfigurationError("there is no key to encrypt with: open the inbox with key, and with old_keys")
        return await rotate_key(self._writing, self._options.path)

    async def counts(self) -> Counts:
        """Count by state."""
        return await self._group.submit(DeliveryStore.counts, flush=False)

    async def entries(self, filter: DeliveryFilter | None = None, *, limit: int = 100) -> Sequence[Entry]:
        """List what a filter selects (all, if None), newest first."""
        chosen = await self._stored(filter or DeliveryFilter())
        return await self._read(lambda connection: admin.entries(connection, chosen, limit))

    async def wait(self, timeout_s: float) -> None:
        """Return when a delivery may be due; what another process puts is noticed when the time is over."""
        await self._notifier.wait(lambda: self._group.submit(DeliveryStore.due_in_s, flush=False), timeout_s)

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the deliveries."""
        return await self._group.submit(lambda store: store.load(key), flush=False)

    async def load_or_save(self, key: str, value: bytes) -> bytes:
        """Return a small value that was saved before; if there is none, save this one, in one step, and return it."""
        return await self._writing.submit(lambda store: store.load_or_save(key, value))

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the deliveries, encrypted if there is a key; None removes it."""
        await self._writing.submit(lambda store: store.save(key, value))

    def _new_group(self) -> GroupCommit:
        options, open_lock = self._options, OpenLock(f"{self._options.path}-open")
        hand_over = HandOver()
        hand_over.taker, self._handed_over = self._handed_over.taker, hand_over
        return GroupCommit(
            lambda: _open(options, open_lock, hand_over),
            open_lock.release,
            timeout_s=self._timeout_s,
            hand_over=hand_over,
            on_commit=partial(self._on_commit, hand_over),
        )

    def _turn(self) -> asyncio.Lock:
        """Return the lock that keeps opening and closing apart, in the order in which they were asked for."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a lock belongs to one loop
            self._turns, self._loop = asyncio.Lock(), loop
        return self._turns

    @property
    def _writing(self) -> GroupCommit:
        if self._options.read_only:
            raise InboxError("the inbox is open to look only: open it without read_only", reason="ReadOnly")
        return self._group

    @property
    def _consuming(self) -> GroupCommit:
        if self._options.consumer is None:
            raise InboxError("the inbox is not open to receive: open it with a consumer", reason="NoConsumer")
        return self._group

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Read beside those that write; it takes as long as it takes, and nothing waits for it."""
        if not self._group.is_open:
            raise InboxError("the inbox is not open", reason="Closed")
        return await asyncio.to_thread(admin.read, self._options.path, function)

    async def _stored(self, chosen: DeliveryFilter) -> DeliveryFilter:
        """Return a filter with what stands for its ordering key in the file."""
        key = chosen.ordering_key
        if key is None or not self._options.ciphers:
            return chosen
        stored = await self._group.submit(lambda store: store.keys.hashes.stored(key), flush=False)
        return evolve(chosen, ordering_key=stored)

    async def _change(self, change: admin.Change, chosen: DeliveryFilter) -> int:
        group = self._writing
        if not group.is_open:
            raise InboxError("the inbox is not open", reason="Closed")
        stored = await self._stored(chosen)
        # A purge notifies, too: where the first of a key is gone, the next has moved up.
        return await admin.change_in_portions(group, self._options.path, stored, change, self._notifier.notify)

    def _notify_if(self, marked: bool) -> bool:
        if marked:
            self._notifier.notify()
        return marked

    def _on_commit(self, hand_over: HandOver, committed: Committed) -> None:
        """Hand over what a group has stored, and wake who waits for the rest."""
        taker = hand_over.taker if hand_over is self._handed_over else None  # else its disk hung, and it was given up
        if taker is not None and committed.dropped:
            taker.drop(committed.dropped)
        if committed.handed:
            if taker is not None and taker is committed.taker:
                taker.take(committed.handed)
            else:  # it has stopped meanwhile; what is not claimed yet, as something is before it, is left alone by this
                self._give_back_late(tuple([handed.claim for handed in committed.handed]))
        if committed.has_due:
            self._notifier.notify()

    def _give_back(self, claiming: "asyncio.Future[tuple[Claim, ...]]") -> None:
        async def give_back() -> None:
            with suppress(InboxError):
                for claim in await claiming:
                    await self.release(claim)

        task = asyncio.create_task(give_back(), name="pinwheel inbox return")
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    def _give_back_late(self, claims: tuple[Claim, ...]) -> None:
        """Give back what the thread claimed after nobody waited for it any more, as when the disk hung."""
        claimed: asyncio.Future[tuple[Claim, ...]] = asyncio.get_running_loop().create_future()
        claimed.set_result(claims)
        self._give_back(claimed)


def _open(options: InboxOptions, open_lock: OpenLock, hand_over: HandOver) -> DeliveryStore:
    """Open the file; where no other receiver has it open, those that had claimed something are gone."""
    store = DeliveryStore(options, hand_over)
    if options.consumer is None:  # a tool leaves the leases of others alone, and makes no lock that they cannot open
        return store
    is_alone = open_lock.try_exclusive()
    try:
        store.begin()
        store.introduce(is_alone=is_alone)
        if is_alone:
            # While the lock is held alone: others wait for it before they claim, so no lease of a living process ends.
            store.end_leases()
        store.commit()
    except BaseException:
        store.close()
        raise
    if is_alone:
        open_lock.share()
    return store


def _nothing(store: DeliveryStore) -> None:
    """Do nothing: to carry this out, the file has to be opened."""
