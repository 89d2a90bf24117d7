"""Runs a sync: a bounded set of workers on one line of units, every page into the sink as it arrives."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from functools import partial

from attrs import evolve

from pinwheel_async._clock import Clock
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import (
    ClosedError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PinwheelError,
    SinkError,
    SupersededError,
    UnauthorizedError,
)
from pinwheel_async.models.account import Account
from pinwheel_async.products import Product
from pinwheel_async.sync._changes import Rule
from pinwheel_async.sync._kept import load_failures, load_refetch, save_failures, save_refetch
from pinwheel_async.sync._lean import fitting, resting_of
from pinwheel_async.sync._line import Line
from pinwheel_async.sync._plan import Accounts, Plan, chunks, from_day
from pinwheel_async.sync._reading import PAGE_LIMIT, RESTARTS, Ended, Reading, Unit, pages, read
from pinwheel_async.sync._report import Progress
from pinwheel_async.sync._sink import Batch, Mark, Sink, Store
from pinwheel_async.sync._tally import Tally

# No account would fare better after one of these.
_FATAL = (UnauthorizedError, ForbiddenError, ClosedError, SinkError)

_TELL_EVERY_S = 1.0

_Marks = Mapping[tuple[str, Product], Mark]

logger = logging.getLogger("pinwheel_async.sync")


class Run:
    """One run, from the first account to the last page."""

    def __init__(
        self,
        pinwheel: Pinwheel,
        sink: Sink,
        plan: Plan,
        on_progress: Callable[[Progress], object] | None,
        *,
        stop: asyncio.Event | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            pinwheel: An open client.
            sink: An open sink.
            plan: What to fetch.
            on_progress: Called now and then.
            stop: Ends the run when it is set.
            clock: What time it is.
        """
        self.tally = Tally(plan.products, plan.accounts_total, on_progress, paused_s=lambda: pinwheel.paused_s)
        self._pinwheel = fitting(pinwheel, sink)
        self._sink = sink
        self._store = sink if isinstance(sink, Store) else None
        self._plan = plan
        self._stop = stop
        self._on_progress = on_progress is not None
        clock = clock or Clock()
        self._now, self._sleep = clock.now, clock.sleep
        self._rule = Rule(recheck_before=self._now() - plan.recheck_after)
        self._refetches = self._store is not None and not plan.changed_only and not plan.retry_failed
        self._failed: dict[Unit, str] = {}
        """What failed and was not read since, in earlier runs and in this one."""
        self._wanted: frozenset[Unit] | None = None
        """The only units to read; null for all."""
        self._pages_listed = 0
        self._line = Line(plan.workers, resting_of(sink))
        if plan.dry_run:
            self.tally.planned = Counter()

    async def run(self) -> None:
        """Fetch everything, or what can be fetched until the run is stopped.

        Raises:
            Exception: The first thing that ended the run, as it was raised.
        """
        accounts = await self._recall()
        before = dict(self._failed)
        error: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._line.work(), name=f"pinwheel-sync-{number}")
                    for number in range(self._line.workers)
                ]
                workers = [*tasks]
                if self._on_progress:
                    tasks.append(group.create_task(self._tell(), name="pinwheel-sync-progress"))
                if self._stop is not None:
                    tasks.append(group.create_task(self._heed(self._stop, workers), name="pinwheel-sync-stop"))
                group.create_task(self._line_up(accounts, tasks), name="pinwheel-sync-accounts")
        except BaseExceptionGroup as failed:
            error = next((one for one in failed.exceptions if not isinstance(one, _StopError)), None)
            self.tally.stopped = True
        if error is not None:
            raise error
        await self._keep(before)

    async def _heed(self, stop: asyncio.Event, workers: Sequence[asyncio.Task[None]]) -> None:
        """End the run when it is told to stop."""
        await stop.wait()
        await self._line.stop(workers)
        raise _StopError

    async def _tell(self) -> None:
        """Tell how far the run is, also while nothing is done because the server asked to wait."""
        while True:
            await self._sleep(_TELL_EVERY_S)
            self.tally.tell_if_due()

    async def _recall(self) -> Accounts | None:
        """Look up what earlier runs left; return the accounts to visit."""
        if self._store is None:
            return self._plan.accounts
        self._failed = await load_failures(self._store)
        if self._refetches:
            began = await load_refetch(self._store, self._now()) or self._now()
            self._rule = evolve(self._rule, forget_before=began)
            if not self._plan.dry_run:
                await save_refetch(self._store, began)
        if not self._plan.retry_failed:
            return self._plan.accounts
        self._wanted = frozenset(unit for unit in self._failed if unit.product in self._plan.products)
        accounts = dict.fromkeys(unit.account_id for unit in self._failed if unit in self._wanted)
        self.tally.accounts_total, self.tally.units_total = len(accounts), len(self._wanted)
        return accounts

    async def _keep(self, failed_before: Mapping[Unit, str]) -> None:
        """Leave behind what the next run has to know."""
        if self._store is None or self._plan.dry_run:
            return
        if self._failed != failed_before:
            await save_failures(self._store, self._failed)
        if self._refetches and not self.tally.stopped:
            await save_refetch(self._store, None)

    async def _line_up(self, accounts: Accounts | None, workers: Sequence[asyncio.Task[None]]) -> None:
        """Hand out the units of every account, never many more than the workers are about to take."""
        if accounts is None:
            await self._list()
        else:
            async for ids in chunks(accounts, PAGE_LIMIT):
                await self._take(ids)
        self.tally.accounts_total = self.tally.accounts_seen
        await self._line.finish()
        for one in workers:
            one.cancel()

    async def _list(self) -> None:
        """List the accounts, and begin anew if the cursor is refused: what was read by then is not due any more."""
        for restarts in range(RESTARTS + 1):
            self._pages_listed = 0
            try:
                await self._list_once()
            except InvalidRequestError:
                if self._store is None or not self._pages_listed or restarts == RESTARTS:
                    raise
                logger.warning("the list of accounts begins anew", extra={"event": "sync_accounts_restarted"})
                await self._line.finish()
            else:
                return

    async def _list_once(self) -> None:
        """List the accounts, store them, and hand out their units, page by page."""
        async with aclosing(pages(self._pinwheel.accounts.list(limit=PAGE_LIMIT))) as found:
            async for page in found:
                self.tally.would_ask("accounts")
                known = tuple([one for one in page.data if one.id])
                if len(known) < len(page.data):
                    logger.warning("accounts without an id are left out", extra={"event": "sync_account_without_id"})
                await self._write(known, first=not self._pages_listed, last=not page.next_cursor)
                self._pages_listed += 1
                marks = await self._marks([one.id for one in known])
                for account in known:
                    self.tally.accounts_seen += 1
                    for reading in self._due(account.id, account, marks):
                        await self._line.append(partial(self._fetch, reading))

    async def _take(self, ids: Sequence[str]) -> None:
        """Hand out the units of accounts that are given by id."""
        marks = await self._marks(ids)
        for account_id in ids:
            self.tally.accounts_seen += 1
            if self._store is not None:
                await self._line.append(partial(self._look_up, account_id, marks))
                continue
            for reading in self._due(account_id, None, marks):
                await self._line.append(partial(self._fetch, reading))

    async def _look_up(self, account_id: str, marks: _Marks) -> None:
        """Get an account, store it, and hand out its units: when its data last changed, only the account says."""
        self.tally.would_ask("accounts")
        try:
            account = await self._pinwheel.accounts.get(account_id)
            await self._write((account,), first=False, last=False)
        except NotFoundError:
            for unit in self._units(account_id):
                self._ended(unit, "missing")
        except _FATAL:
            raise
        except PinwheelError as error:
            for unit in self._units(account_id):
                self._fail(unit, copy(error))
        else:
            for reading in self._due(account_id, account, marks):
                self._line.insert(partial(self._fetch, reading))

    async def _marks(self, ids: Sequence[str]) -> _Marks:
        return {} if self._store is None else await self._store.marks(ids)

    async def _write(self, accounts: tuple[Account, ...], *, first: bool, last: bool) -> None:
        """Store accounts."""
        if not self._plan.dry_run:
            batch = Batch(kind="accounts", account_id=None, items=accounts, first=first, last=last)
            await self._sink.write(batch)
            self.tally.stored(batch)

    def _units(self, account_id: str) -> Iterator[Unit]:
        """Yield the units of an account that the run is about."""
        for product in self._plan.products:
            unit = Unit(account_id, product)
            if self._wanted is None or unit in self._wanted:
                yield unit

    def _due(self, account_id: str, account: Account | None, marks: _Marks) -> Iterator[Reading]:
        """Yield what is to be read of an account, and count what is not."""
        for unit in self._units(account_id):
            reading = Reading(
                unit=unit,
                data_updated_at=getattr(account.data_updated_at, unit.product, None) if account else None,
                from_day=from_day(self._plan, unit.product),
                mark=self._rule.counting(marks.get((account_id, unit.product))),
            )
            if self._wanted is None and not self._rule.is_due(reading):
                self._failed.pop(unit, None)
                self.tally.unchanged(unit)
            elif self._plan.dry_run:
                self.tally.would_read(unit)
            else:
                yield reading

    async def _fetch(self, reading: Reading) -> None:
        unit = reading.unit
        self.tally.in_flight += 1
        self.tally.resumed += reading.cursor is not None
        try:
            ended = await read(self._pinwheel, self._store_page, reading, now=self._now)
        except SupersededError as error:  # again and again: no harm is done, and the sink is well
            self._fail(unit, error)
        except _FATAL:
            raise
        except PinwheelError as error:
            self._fail(unit, error)
        else:
            self._ended(unit, ended)
        finally:
            self.tally.in_flight -= 1

    async def _store_page(self, batch: Batch) -> None:
        """Store a page; meanwhile somebody else may fetch."""
        self.tally.in_flight -= 1
        try:
            async with self._line.rest(last=batch.last):
                await self._sink.write(batch)
                self.tally.stored(batch)
        finally:
            self.tally.in_flight += 1

    def _ended(self, unit: Unit, how: Ended) -> None:
        self._failed.pop(unit, None)
        self.tally.ended(unit, how)

    def _fail(self, unit: Unit, error: PinwheelError) -> None:
        self._failed[unit] = type(error).__name__
        self.tally.failed(unit, error)


class _StopError(Exception):
    """The run was asked to stop."""
