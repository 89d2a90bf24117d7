"""Fleet: a sync that any number of processes, on any number of machines, do together."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime, timedelta
from typing import Any

from attrs import frozen

from pinwheel_async._clock import time_limit
from pinwheel_async._core.arguments import is_more_than, wrong
from pinwheel_async._core.converter import Serializable
from pinwheel_async._http.limiter import background
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import ConfigurationError, PinwheelError, RequestError
from pinwheel_async.products import Product
from pinwheel_async.sync._fleet import queries
from pinwheel_async.sync._fleet.counts import products_of, progress_of, report_of
from pinwheel_async.sync._fleet.member import POLL_S, FleetStore, Member
from pinwheel_async.sync._fleet.queries import RunRow
from pinwheel_async.sync._report import Progress, SyncReport
from pinwheel_async.sync._run.counters import ProgressCallback
from pinwheel_async.sync._run.opening import open_sink
from pinwheel_async.sync._run.plan import RECHECK_AFTER, Plan, make_plan
from pinwheel_async.sync._run.reading import MAX_REMOVED
from pinwheel_async.sync._run.run import claim_plan
from pinwheel_async.sync._sql.sink import SqlSink

_REPORT_S = 5.0
"""Seconds that the database has for the report after an error."""

LEASE_S = 60.0
"""Seconds after which others take over what a process was doing, unless told otherwise: longer than a machine that is
short of memory stands still, and short in a run of hours."""


@frozen(kw_only=True)
class FleetRun(Serializable):
    """A run of a fleet as it is now."""

    number: int
    """Counts the runs of a copy."""
    state: str
    """`listing` while accounts are listed and read, `listed` when they only have to be read, and `stopping` until those
    who work on it have stopped. When it is over, `done`, `stopped`, or `abandoned`, if nobody worked on it for a day.
    """
    began_at: datetime
    ended_at: datetime | None
    """Null while it is not over."""
    leases: int
    """What processes hold just now: the list of accounts, and a partition each."""
    waiting: int
    """Partitions that are not read to their end."""
    report: SyncReport
    """What all processes did together. Pages that a process had fetched when it was killed are not counted; objects
    are."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.ended_at is not None


class Fleet:
    """A sync that several processes do together, on as many machines as you like, over one copy in PostgreSQL.

    ```python
    fleet = Fleet(pinwheel, SqlSink("postgresql://app@db/pinwheel"))
    report = await fleet.sync(products=("employment", "paystubs"))
    ```

    One of them lists the accounts, and all of them read what is due, in partitions of about a thousand products of
    accounts. What a process does it does under a lease: when it is killed, or its machine dies, another one goes on at
    its place, and one that was only paused for as long changes nothing any more. Rows, report and progress are those of
    a single `sync`. A fleet is for outliving machines and deploys, not for speed: the API's rate is the limit, and one
    `SharedPace` for all keeps it.
    """

    def __init__(
        self,
        pinwheel: Pinwheel | None,
        sink: SqlSink,
        *,
        concurrency: int | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        """Describe the fleet; nothing is opened yet.

        Args:
            pinwheel: An open client, whose scope is that of the copy; None for one that only looks or stops.
            sink: The copy; it is opened and closed here, and must not be open elsewhere.
            concurrency: Most products of accounts that this process fetches at once; as many as the client has requests
                in flight, at most 64, if None.
            lease_s: Seconds after which others take over what a process was doing when it stopped to answer; the same
                in all of them.

        Raises:
            ConfigurationError: The copy is not in PostgreSQL, or an argument cannot work.
        """
        given: Any = sink
        if not isinstance(given, SqlSink) or not given._is_on_postgres:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # made for this
            raise ConfigurationError('a fleet needs a copy in PostgreSQL: SqlSink("postgresql://user@host/database")')
        if not is_more_than(lease_s, 0):
            raise ConfigurationError(wrong("lease_s", "a number of seconds above 0", lease_s, float))
        self._pinwheel = pinwheel
        self._sink = sink
        self._store = FleetStore(sink)
        self._concurrency = concurrency
        self._lease_s = float(lease_s)
        self._users = 0
        self._opening = asyncio.Lock()

    async def sync(
        self,
        *,
        products: Iterable[Product] | None = None,
        from_pay_date: date | None = None,
        from_start_date: date | None = None,
        changed_only: bool | None = None,
        recheck_after: timedelta = RECHECK_AFTER,
        max_removed: float | None = MAX_REMOVED,
        on_progress: Callable[[Progress], object] | None = None,
        stop: asyncio.Event | None = None,
        on_report: Callable[[SyncReport], object] | None = None,
    ) -> SyncReport:
        """Begin a run over all accounts, or join the one that is not over; work on it until it is, and report it whole.

        A run that no process works on any more is not over for a day: whoever comes next goes on with it.

        Args:
            products: As for `sync`.
            from_pay_date: As for `sync`.
            from_start_date: As for `sync`.
            changed_only: As for `sync`.
            recheck_after: As for `sync`.
            max_removed: As for `sync`.
            on_progress: Called about once a second with the progress of the whole; must not block.
            stop: Ends the work of this process when it is set; the others go on. The report says `stopped`, then, and
                what has been done so far.
            on_report: Called once with the report of the whole, whatever ends the work of this process, as long as the
                database answers.

        Returns:
            What all processes did together.

        Raises:
            RequestError: An argument that cannot be meant.
            ConfigurationError: The run that is not over has another plan; or as for `sync`.
            UnauthorizedError: The secret of this process does not fit the environment. The run goes on without it, as
                it does after the errors below.
            ForbiddenError: The key of this process may not read anything.
            ClosedError: The client was closed.
            SinkError: The database did not answer for as long as the sink waits.
            PinwheelError: The accounts could not be listed.
        """
        pinwheel = self._client()
        plan = self._plan(
            pinwheel,
            products=products,
            from_pay_date=from_pay_date,
            from_start_date=from_start_date,
            changed_only=changed_only,
            recheck_after=recheck_after,
            max_removed=max_removed,
        )
        stop = stop or asyncio.Event()
        async with self._opened(stop):
            document = await self._document(pinwheel, plan)
            run = await self._store.ask(queries.begin, document)
            while run.state == "stopping" and not stop.is_set():  # somebody still works on the run before
                await asyncio.sleep(POLL_S)
                run = await self._store.ask(queries.begin, document)
            number = run.number
            try:
                await self._work_on(pinwheel, run, stop, on_progress)
            except BaseException as error:
                if on_report is not None:
                    with suppress(PinwheelError, TimeoutError):
                        async with time_limit(_REPORT_S):
                            on_report(await self._report(number, ended_by=type(error).__name__))
                raise
            report = await self._report(number)
        if on_report is not None:
            on_report(report)
        return report

    async def work(self, *, stop: asyncio.Event | None = None) -> None:
        """Work on every run that is begun, with its plan, until told to stop.

        Args:
            stop: Ends it when it is set. What is being read is given back, and others go on with it.

        Raises:
            PinwheelError: As for `sync`.
        """
        pinwheel = self._client()
        stop = stop or asyncio.Event()
        async with self._opened():
            while not stop.is_set():
                run = await self._store.ask(queries.latest)
                if run is not None and not run.is_over:
                    await self._work_on(pinwheel, run, stop, None)
                else:
                    waiting = asyncio.create_task(stop.wait())
                    await asyncio.wait([waiting], timeout=POLL_S)
                    waiting.cancel()

    async def watch(self) -> AsyncGenerator[Progress]:
        """Yield the progress of the run that is not over, about once a second, and a last time when it is."""
        async with self._opened():
            run = await self._store.ask(queries.latest)
            while run is not None:
                number = run.number
                if run.can_end:
                    await self._store.ask(queries.end, number)
                yield progress_of(run, 0.0)
                if run.is_over:
                    return
                await asyncio.sleep(POLL_S)
                run = await self._store.ask(queries.look, number)

    async def stop(self) -> bool:
        """Let the run that is not over end early in all processes, with what was fetched; return if there was one.

        It takes some seconds until they notice, and if one of them was killed, the rest of its lease.
        """
        async with self._opened():
            run = await self._store.ask(queries.latest)
            if run is None or run.is_over:
                return False
            number = run.number
            await self._store.ask(queries.stop, number)
            await self._store.ask(queries.end, number)
            return True

    async def latest(self) -> FleetRun | None:
        """Return the run that is not over, or else the last one; None if there was none."""
        async with self._opened():
            run = await self._store.ask(queries.latest)
            if run is None:
                return None
            return FleetRun(
                number=run.number,
                state=run.state,
                began_at=run.began_at,
                ended_at=run.ended_at,
                leases=run.leases,
                waiting=run.waiting,
                report=await self._report(run.number),
            )

    def _client(self) -> Pinwheel:
        if self._pinwheel is None:
            raise ConfigurationError("a fleet without a client only looks and stops: give it an open Pinwheel()")
        return self._pinwheel

    def _plan(self, pinwheel: Pinwheel, **arguments: Any) -> Plan:
        """Return a plan for this process.

        Raises:
            RequestError: An argument that cannot be meant.
        """
        settings: Any = getattr(pinwheel, "settings", None)
        if settings is None:
            raise RequestError([wrong("pinwheel", "an open client, such as Pinwheel()", pinwheel)])
        return make_plan(accounts=None, concurrency=self._concurrency, ceiling=settings.concurrency, **arguments)

    async def _document(self, pinwheel: Pinwheel, plan: Plan) -> Mapping[str, Any]:
        """Return what all processes of a run have to agree on."""
        scope = await claim_plan(self._sink, pinwheel.settings, plan, keep=False)
        products = plan.products if plan.products_given else scope.products or plan.products
        return {
            "products": [*products],
            "from_pay_date": plan.from_pay_date and plan.from_pay_date.isoformat(),
            "from_start_date": plan.from_start_date and plan.from_start_date.isoformat(),
            "changed_only": plan.changed_only,
            "recheck_after_s": plan.recheck_after.total_seconds(),
            "max_removed": plan.max_removed,
        }

    async def _work_on(
        self, pinwheel: Pinwheel, run: RunRow, stop: asyncio.Event, on_progress: Callable[[Progress], object] | None
    ) -> None:
        document, number = run.plan, run.number
        days = {
            name: None if document[name] is None else date.fromisoformat(document[name])
            for name in ("from_pay_date", "from_start_date")
        }
        plan = self._plan(
            pinwheel,
            products=products_of(run),
            changed_only=document["changed_only"],
            recheck_after=timedelta(seconds=document["recheck_after_s"]),
            max_removed=document["max_removed"],
            **days,
        )
        member = Member(
            self._store, pinwheel, plan, number, lease_s=self._lease_s, stop=stop, clock=await self._store.clock()
        )
        if on_progress is None:
            with background():
                await member.work()
            return
        show = ProgressCallback(on_progress)
        showing = asyncio.create_task(self._show(pinwheel, number, show), name="pinwheel-fleet-progress")
        try:
            with background():
                await member.work()
        finally:
            showing.cancel()
            await asyncio.wait([showing])
            if not showing.cancelled():
                showing.exception()  # the database is away, which ends the work, too
        last = await self._store.ask(queries.look, number)
        if last is not None:
            show(progress_of(last, pinwheel.paused_s))

    async def _show(self, pinwheel: Pinwheel, number: int, show: Callable[[Progress], object]) -> None:
        while run := await self._store.ask(queries.look, number):
            show(progress_of(run, pinwheel.paused_s))
            await asyncio.sleep(POLL_S)

    async def _report(self, number: int, *, ended_by: str | None = None) -> SyncReport:
        def work(connection: Any) -> SyncReport | None:
            run = queries.look(connection, number)
            return None if run is None else report_of(run, queries.failures(connection, number), ended_by=ended_by)

        report = await self._store.ask(work)
        if report is None:
            raise ConfigurationError("the run is forgotten: others have been begun since")
        return report

    @asynccontextmanager
    async def _opened(self, stop: asyncio.Event | None = None) -> AsyncGenerator[None]:
        """Open the sink for a block, unless the run is asked to stop first, or use it along with other calls."""
        async with self._opening:
            if not self._users:
                await open_sink(self._sink, stop)
            self._users += 1
        try:
            yield
        finally:
            async with self._opening:
                self._users -= 1
                if not self._users:
                    await self._sink.close(complete=True)
