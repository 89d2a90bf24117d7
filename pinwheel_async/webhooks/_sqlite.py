"""The durable inbox: one SQLite file."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pinwheel_async._clock import Clock
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._bell import Bell
from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._group_commit import GroupCommit
from pinwheel_async.webhooks._inbox import Claim, Counts, Entry, State
from pinwheel_async.webhooks._presence import Presence
from pinwheel_async.webhooks._sealing import Sealer
from pinwheel_async.webhooks._sqlite_file import Terms
from pinwheel_async.webhooks._sqlite_ledger import Ledger
from pinwheel_async.webhooks._sqlite_schema import Synchronous


class SqliteInbox:
    """Keeps deliveries in a SQLite file; what `put` has returned for survives a crash of process and machine.

    What a process had claimed when it was killed is due again when the file is opened next, if nobody else has it open
    then, and else when the lease ends.

    What many tasks ask for at the same time shares one flush to disk. Several processes of one machine may share the
    file: each delivery is claimed by one of them. The file is readable by its owner only. A body is overwritten in it
    when it is dropped, and may stand in the log beside it (`-wal`) until that is written over,
    at the latest until `close`.

    After trouble with the disk the inbox goes on by itself as soon as the disk does.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keep_bodies_s: float = 0,
        remember_s: float = 30 * 86_400,
        max_waiting: int | None = 100_000,
        synchronous: Synchronous = "FULL",
        key: bytes | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Describe the inbox; `open` opens it.

        Args:
            path: The file, on a local disk. It is made if there is none; its directory must exist.
            keep_bodies_s: Seconds for which the body of a delivery that is done is kept; 0 drops it at once.
            remember_s: Seconds for which the id of a delivery that is done is known, so that a repetition is dropped.
            max_waiting: Deliveries that may wait; `put` refuses more. None for no limit.
            synchronous: "FULL" flushes what is put to the disk before `put` returns. What is claimed or done is flushed
                with the next of it: after a crash of the machine the last ones may be handled again. With "NORMAL" such
                a crash, though not one of the process, may lose the last deliveries, and nobody will send them again.
            key: 32 bytes that encrypt the bodies; needs the extra `crypto`. The first key of a file stays its key.
            clock: Where time comes from.

        Raises:
            ConfigurationError: A limit is negative, or the key has not 32 bytes.
            ModuleNotFoundError: There is a key, and the extra is not installed.
        """
        if keep_bodies_s < 0 or remember_s < 0 or (max_waiting is not None and max_waiting < 0):
            raise ConfigurationError("the limits of an inbox must not be negative")
        if synchronous not in {"FULL", "NORMAL"}:
            raise ConfigurationError('synchronous must be "FULL" or "NORMAL"')
        clock = clock or Clock()
        terms = Terms(
            path=str(Path(path).absolute()),
            keep_bodies_s=keep_bodies_s,
            remember_s=remember_s,
            max_waiting=max_waiting,
            synchronous=synchronous,
            sealer=None if key is None else Sealer(key),
            clock=clock,
        )
        presence = self._presence = Presence(f"{terms.path}-open")
        self._group = GroupCommit(lambda: _open(terms, presence))
        self._bell = Bell(clock)
        self._returning: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the file, making it or bringing it up to date if needed; do nothing if it is open.

        Raises:
            InboxError: It cannot be opened, is damaged, belongs to another program or a newer version, or is encrypted
                with another key.
        """
        started = self._group.start()
        try:
            await self._group.submit(_nothing)
        except BaseException:
            if started:
                await self._group.stop()
                self._presence.leave()
            raise

    async def close(self) -> None:
        """Carry out what was asked for, and close the file."""
        while self._returning:
            await asyncio.wait(self._returning)
        await self._group.stop()
        self._presence.leave()
        self._bell.ring()

    async def put(self, delivery: Delivery) -> bool:
        """Store a delivery durably; return False if its event id is known already, in whatever state.

        Raises:
            InboxError: It could not be stored, or too many wait.
        """
        new = await self._group.submit_to(Ledger.put, delivery)
        if new:
            self._bell.ring()
        return new

    async def claim(self, limit: int, *, lease_s: float) -> Sequence[Claim]:
        """Claim up to *limit* deliveries that are due, of different lanes, oldest first.

        Those whose lease has ended are due again. If the caller is cancelled meanwhile, what was claimed is given back.
        """
        claiming = self._group.submit(lambda ledger: ledger.claim(limit, lease_s), flush=False)
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            task = asyncio.create_task(self._give_back(claiming), name="pinwheel inbox return")
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)
            raise

    async def extend(self, claim: Claim, *, lease_s: float) -> bool:
        """Begin the lease anew; return False if it was lost."""
        return await self._group.submit(lambda ledger: ledger.extend(claim, lease_s), flush=False)

    async def done(self, claim: Claim) -> bool:
        """Mark as handled, drop the body, remember the id; return False if the lease was lost.

        A lease that has ended is lost only when somebody else has claimed the delivery.
        """
        return self._ring_if(await self._group.submit_to(Ledger.done, claim, flush=False))

    async def fail(self, claim: Claim, *, reason: str, retry_in_s: float | None) -> bool:
        """Mark as failed: due again in *retry_in_s* seconds, dead if None. Return False if the lease was lost."""
        return self._ring_if(await self._group.submit(lambda ledger: ledger.fail(claim, reason, retry_in_s)))

    async def release(self, claim: Claim) -> bool:
        """Give back unhandled, as if it had not been claimed: the attempt does not count."""
        return self._ring_if(await self._group.submit(lambda ledger: ledger.release(claim), flush=False))

    async def revive(self, event_ids: Sequence[str] | None = None) -> int:
        """Let dead deliveries (all, if None) wait again, attempts counted from 0; return how many.

        They take their old place in the lane: before everything that came later and is not claimed.
        """
        revived = await self._group.submit(lambda ledger: ledger.revive(event_ids))
        self._ring_if(revived > 0)
        return revived

    async def purge(self, *, done_before_s: float | None = None, lane: str | None = None) -> int:
        """Forget done deliveries older than so many seconds, or everything of one lane; return how many.

        With both, forget what is done and older in that lane; with neither, nothing. A lane is looked for in the whole
        file.
        """
        return await self._group.submit(lambda ledger: ledger.purge(done_before_s, lane))

    async def counts(self) -> Counts:
        """Count by state."""
        return await self._group.submit(Ledger.counts, flush=False)

    async def entries(self, *, state: State | None = None, limit: int = 100) -> Sequence[Entry]:
        """List stored deliveries, newest first."""
        return await self._group.submit(lambda ledger: ledger.entries(state, limit), flush=False)

    async def wait(self, timeout_s: float) -> None:
        """Return when a delivery may be due; what another process puts is noticed when the time is over."""
        await self._bell.wait(lambda: self._group.submit(Ledger.due_in_s, flush=False), timeout_s)

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the deliveries."""
        return await self._group.submit(lambda ledger: ledger.load(key), flush=False)

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the deliveries, unencrypted; None removes it."""
        await self._group.submit(lambda ledger: ledger.save(key, value))

    def _ring_if(self, marked: bool) -> bool:
        if marked:
            self._bell.ring()
        return marked

    async def _give_back(self, claiming: "asyncio.Future[tuple[Claim, ...]]") -> None:
        with suppress(InboxError):
            for claim in await claiming:
                await self.release(claim)


def _open(terms: Terms, presence: Presence) -> Ledger:
    """Open the file; where nobody else has it open, whoever had claimed something is dead."""
    ledger = Ledger(terms)
    if presence.enter():
        try:
            ledger.begin()
            ledger.lapse()
            ledger.commit()
        except BaseException:
            ledger.close()
            presence.leave()
            raise
        presence.stay()
    return ledger


def _nothing(ledger: Ledger) -> None:
    """Only the file has to be opened for this."""
