"""Member of a fleet: one process that lists and reads for a run under leases, beside others that do the same."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from pinwheel_async._clock import Clock, time_limit
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import SinkError
from pinwheel_async.sync._fleet import queries
from pinwheel_async.sync._fleet.counts import counts_of, failures_of
from pinwheel_async.sync._fleet.lister import Lister
from pinwheel_async.sync._fleet.queries import Claimed, Part, RunRow, State
from pinwheel_async.sync._fleet.reader import LostLeaseError, Reader
from pinwheel_async.sync._run.plan import Plan
from pinwheel_async.sync._sql.sink import SqlSink
from pinwheel_async.sync._store_clock import StoreClock

P = ParamSpec("P")
T = TypeVar("T")

POLL_S = 1.0
"""Seconds between two looks for something to do."""

BEAT_S = 2.0
"""Seconds between two renewals of a lease, at most: as old is the progress that others see of a partition, and as late
is it known that the run is to stop."""

_RELEASE_S = 5.0
"""Seconds to give something back in. What is not given back is free when its lease ends."""

logger = logging.getLogger("pinwheel_async.sync")


class FleetStore:
    """Runs of a fleet in the database of a sink that is open."""

    def __init__(self, sink: SqlSink) -> None:
        self.sink = sink

    async def ask(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something in a transaction.

        Raises:
            SinkError: The database cannot be used.
        """
        problem = "the database did not keep the state of a fleet"
        run = self.sink._run  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # made for this
        return await run(problem, lambda connection: work(connection, *args, **kwargs))

    async def clock(self) -> StoreClock:
        """Return a clock that goes as the database's does, whatever the time is on this machine."""
        clock = StoreClock(self.sink, None)
        await clock.refresh()
        return clock

    async def end_list(self, run: int, token: int, missed: Sequence[str] | None, began: datetime) -> int | None:
        """Note that a list is at its end, and mark who is gone; return how many, None if it is another one's."""
        sink = self.sink

        def work(connection: Connection) -> int | None:
            miss = sink._miss_accounts  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # made for this
            if not queries.end_list(connection, run, token):
                return None
            gone = 0 if missed is None else miss(connection, missed, began)
            queries.add_counts(connection, run, {"gone": gone} if gone else {})
            return gone

        return await self.ask(work)


class _Lease:
    """What was claimed, and whether it is held still."""

    def __init__(self, asked_at: float, lease_s: float) -> None:
        self.until = asked_at + lease_s
        """When others may claim it, in the time of this machine: earlier than in that of the database, by a round
        trip."""
        self.is_lost = False
        self.is_stopping = False
        """Whether the run is to stop."""

    def is_held(self) -> bool:
        """Whether nobody else can have it."""
        return not self.is_lost and monotonic() < self.until


class Member:
    """What one process does for one run.

    Args:
        store: The runs.
        pinwheel: An open client.
        plan: What to fetch.
        run: Number of the run.
        lease_s: Seconds after which others take over what this one has claimed and does not renew.
        stop: Ends the work of this process, not the run.
        clock: The time of the database.
    """

    def __init__(
        self,
        store: FleetStore,
        pinwheel: Pinwheel,
        plan: Plan,
        run: int,
        *,
        lease_s: float,
        stop: asyncio.Event,
        clock: Clock | StoreClock,
    ) -> None:
        self._store = store
        self._pinwheel = pinwheel
        self._plan = plan
        self._run = run
        self._lease_s = lease_s
        self._stop = stop
        self._clock = clock
        self._over = asyncio.Event()
        self._new = asyncio.Event()
        """Set when this process adds a partition, until its reader looks."""

    async def work(self) -> None:
        """List and read until the run is over, or this process is to stop.

        Raises:
            Exception: What made this process end, as it was raised.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._list_in_turn(), name="pinwheel-fleet-list")
                group.create_task(self._read_in_turn(), name="pinwheel-fleet-read")
        except BaseExceptionGroup as failed:
            # The first failure is the cause: because of it the group cancelled the other task.
            raise failed.exceptions[0] from None

    async def _list_in_turn(self) -> None:
        """List the accounts whenever nobody else does."""
        while not self._is_done():
            asked_at = monotonic()
            claimed = await self._store.ask(queries.claim_list, self._run, self._lease_s)
            if claimed is None:
                run = await self._store.ask(queries.look, self._run)
                if run is None or run.state != "listing":
                    return
                await self._pause(self._over)
            else:
                await self._list(*claimed, asked_at)

    async def _list(self, run: RunRow, token: int, asked_at: float) -> None:
        lease = _Lease(asked_at, self._lease_s)
        halt = asyncio.Event()
        lister = Lister(self._pinwheel, self._store.sink, self._plan, run, clock=self._clock)

        async def renew() -> State | None:
            return await self._store.ask(queries.renew_list, run.number, token, self._lease_s)

        async def list_on() -> None:
            if run.partitions:
                logger.info("the list of accounts goes on", extra={"event": "fleet_list_goes_on"})
            after = 0
            while run.partitions:
                found = await self._store.ask(queries.listed_ids, run.number, after)
                if found is None:
                    break
                after, ids = found
                lister.name(ids)
            keeper = _Keeper(self._store, run.number, token, self._new)
            await lister.list(keeper, partial(self._pause, self._over))

        listing = asyncio.create_task(list_on(), name="pinwheel-fleet-lister")
        halted = asyncio.create_task(halt.wait())
        try:
            async with self._renewing(lease, renew, halt):
                await asyncio.wait([listing, halted], return_when=asyncio.FIRST_COMPLETED)
                if listing.done():
                    await listing
        except LostLeaseError:
            lease.is_lost = True
        finally:
            halted.cancel()
            listing.cancel()
            await asyncio.wait([listing])
            if not listing.cancelled():
                listing.exception()
            await self._give_back(queries.release_list, run.number, token)
        if lease.is_lost:
            _warn_lost("list of accounts")

    async def _read_in_turn(self) -> None:
        """Read one partition after the other, until the run is over."""
        while not self._is_done():
            self._new.clear()
            asked_at = monotonic()
            claimed = await self._store.ask(queries.claim_partition, self._run, self._lease_s)
            if claimed is not None:
                await self._read(claimed, asked_at)
                continue
            run = await self._store.ask(queries.look, self._run)
            if run is None or run.is_over or (run.can_end and await self._end()):
                self._over.set()
            else:
                await self._pause(self._new)

    async def _end(self) -> bool:
        return await self._store.ask(queries.end, self._run)

    async def _read(self, claimed: Claimed, asked_at: float) -> None:
        run = await self._store.ask(queries.look, self._run)
        if run is None:
            return
        lease = _Lease(asked_at, self._lease_s)
        halt = asyncio.Event()
        reader = Reader(
            self._pinwheel,
            self._store.sink,
            self._plan,
            run,
            claimed.units,
            is_held=lease.is_held,
            stop=halt,
            clock=self._clock,
        )

        async def renew() -> State | None:
            counts, in_flight = counts_of(reader.counters.report()), reader.counters.in_flight
            return await self._store.ask(queries.renew, run.number, claimed, self._lease_s, counts, in_flight)

        is_ended = False
        try:
            async with self._renewing(lease, renew, halt):
                try:
                    await reader.run()
                except LostLeaseError:
                    lease.is_lost = True
            if not lease.is_lost and (not reader.counters.stopped or lease.is_stopping):
                is_ended = await self._finish(claimed, reader)
                lease.is_lost = not is_ended
        finally:
            if not is_ended:
                await self._give_back(queries.release, run.number, claimed)
        if lease.is_lost:
            _warn_lost("partition")

    async def _finish(self, claimed: Claimed, reader: Reader) -> bool:
        report = reader.counters.report()
        counts = counts_of(report)
        documents, failed = failures_of(report), reader.failures.added
        return await self._store.ask(
            queries.finish, self._run, claimed, counts=counts, documents=documents, failed=failed
        )

    @asynccontextmanager
    async def _renewing(
        self, lease: _Lease, renew: Callable[[], Awaitable[State | None]], halt: asyncio.Event
    ) -> AsyncGenerator[None]:
        """Renew a lease for the length of a block; tell it to halt when it is lost, or something is to stop."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(min(BEAT_S, self._lease_s / 4))
                asked_at = monotonic()
                state = await renew()
                if state is None:
                    lease.is_lost = True
                    halt.set()
                    return
                lease.until = asked_at + self._lease_s
                if state == "stopping":
                    lease.is_stopping = True
                    halt.set()

        async def watch_stop() -> None:
            await self._stop.wait()
            halt.set()

        tasks = [asyncio.create_task(beat(), name="pinwheel-fleet-lease"), asyncio.create_task(watch_stop())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                # A database that is away ends the work, too; and if it does not, the lease ends by itself.
                if not task.cancelled():
                    task.exception()

    async def _give_back(
        self, work: Callable[Concatenate[Connection, P], object], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Let others go on at once, if the database answers."""
        with suppress(TimeoutError, SinkError):
            async with time_limit(_RELEASE_S):
                await self._store.ask(work, *args, **kwargs)

    def _is_done(self) -> bool:
        return self._over.is_set() or self._stop.is_set()

    async def _pause(self, until: asyncio.Event) -> None:
        """Wait a little, or until something happens or this process is to stop."""
        waiting = [asyncio.create_task(event.wait()) for event in (until, self._stop)]
        try:
            await asyncio.wait(waiting, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()


class _Keeper:
    """Where a lister leaves what it has listed: the rows of its run."""

    def __init__(self, store: FleetStore, run: int, token: int, new: asyncio.Event) -> None:
        self._store = store
        self._run = run
        self._token = token
        self._new = new

    async def add(self, number: int, part: Part) -> None:
        """Keep a partition under a number.

        Raises:
            LostLeaseError: The list is another one's by now.
        """
        added = await self._store.ask(queries.add_partition, self._run, self._token, number, part)
        self._new.set()
        _require(added)

    async def restart(self) -> bool:
        """Let the list begin again; return whether it does, or has to wait for partitions that are being read.

        Raises:
            LostLeaseError: The list is another one's by now.
        """
        restarts = await self._store.ask(queries.restart_list, self._run, self._token)
        _require(restarts is not None)
        return bool(restarts)

    async def end(self, missed: Sequence[str] | None, began: datetime) -> None:
        """Note that the list, which began then, is at its end.

        Raises:
            LostLeaseError: The list is another one's by now.
        """
        gone = await self._store.end_list(self._run, self._token, missed, began)
        _require(gone is not None)
        if gone:
            logger.warning("%d accounts are not listed any more", gone, extra={"event": "sync_accounts_gone"})
        self._new.set()


def _require(held: bool) -> None:
    if not held:
        raise LostLeaseError("the list of accounts was taken over", reason="paused for too long")


def _warn_lost(what: str) -> None:
    logger.warning(
        "the lease of a %s was lost: another process goes on with it", what, extra={"event": "fleet_lease_lost"}
    )
