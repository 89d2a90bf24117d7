"""Engine of a sync: a bounded pool of workers on one queue of units, every page into the sink as it arrives.

It has over 500 lines because that is one class: listing, due units and failures all meet in its counters and its queue.
Processes of a fleet use it, too, one of them for the list, each for what it reads (`_fleet/`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from copy import copy
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeAlias

from attrs import evolve

from pinwheel_async._clock import Clock, time_limit
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import (
    ClosedError,
    DecodeError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PinwheelError,
    SinkError,
    SupersededError,
    UnauthorizedError,
    UnconfirmedRemovalError,
)
from pinwheel_async.models.account import Account
from pinwheel_async.products import Product
from pinwheel_async.settings import Settings
from pinwheel_async.sync._page_formats import client_for, extra_workers
from pinwheel_async.sync._report import Progress
from pinwheel_async.sync._run.counters import Counters
from pinwheel_async.sync._run.due import RefreshRule
from pinwheel_async.sync._run.listing import Listing, listed_id
from pinwheel_async.sync._run.plan import Ids, Plan, chunks, from_day
from pinwheel_async.sync._run.reading import PAGE_LIMIT, RESTARTS, Ended, Reading, Unit, pages, pause, read
from pinwheel_async.sync._run.refusals import Refusals
from pinwheel_async.sync._run.state import FailureLog, load_refetch, save_refetch
from pinwheel_async.sync._run.work_queue import STOP_S, Slot, WorkQueue
from pinwheel_async.sync._scope import Scope, claim
from pinwheel_async.sync._sink import Batch, Checkpoint, Sink, Store
from pinwheel_async.sync._store_clock import StoreClock

# These end the run: no other account would fare better. Whatever else fails ends one product of one account; so does a
# 403, unless there is nothing else (`refusals.py`).
_FATAL = (UnauthorizedError, ClosedError, SinkError)

_PROGRESS_EVERY_S = 1.0
"""Seconds between two reports of progress while nothing is done."""

_Checkpoints: TypeAlias = Mapping[tuple[str, Product], Checkpoint]


class ListedPage(NamedTuple):
    """A page of the list of accounts, when it is stored."""

    accounts: Mapping[str, Account | None]
    """By id; null for one that cannot be read."""
    checkpoints: _Checkpoints
    cursor: str | None
    """Where the list goes on; null at its end."""


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
        clock: Clock | StoreClock | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            pinwheel: An open client.
            sink: An open sink.
            plan: What to fetch.
            on_progress: Called as things are done, and about once a second while nothing is.
            stop: Ends the run when it is set.
            clock: What time it is.
        """
        self.counters = Counters(plan.products, plan.accounts_total, on_progress, paused_s=lambda: pinwheel.paused_s)
        self._given = pinwheel
        self._pinwheel = client_for(pinwheel, sink)
        self._sink = sink
        self._store = sink if isinstance(sink, Store) else None
        self._plan = plan
        self._stop = stop
        self._on_progress = on_progress is not None
        self._store_clock = clock if isinstance(clock, StoreClock) else StoreClock(sink, clock)
        self._is_store_clock_new = clock is None
        self._clock = clock = self._store_clock.clock
        self._now, self._sleep = clock.now, clock.sleep
        self._refetches = self._store is not None and not plan.changed_only and not plan.retry_failed
        self._failures = FailureLog(self._store, self._now)
        self._refusals = Refusals(len(plan.products))
        self._begin()
        self._wanted: frozenset[Unit] | None = None
        """The only units to read; null for all."""
        self._failed: set[Unit] = set()
        """What failed in this run: after the list of accounts began again it is not tried again."""
        self._lists_again = False
        """Whether the list of accounts began again."""
        self._queue = WorkQueue(plan.workers, extra_workers(sink))
        if plan.dry_run:
            self.counters.planned = Counter()

    async def run(self) -> None:
        """Fetch everything, or what can be fetched until the run is stopped.

        Raises:
            Exception: The first thing that ended the run, as it was raised.
        """
        if self._is_store_clock_new:
            await self._store_clock.refresh()
            self._begin()
        await self._claim()
        accounts = await self._load_state()
        error: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._queue.work(), name=f"pinwheel-sync-{number}")
                    for number in range(self._queue.workers)
                ]
                workers = [*tasks]
                if self._on_progress:
                    tasks.append(group.create_task(self._report_progress(), name="pinwheel-sync-progress"))
                if self._stop is not None:
                    tasks.append(group.create_task(self._stop_when_set(self._stop, workers), name="pinwheel-sync-stop"))
                group.create_task(self._enqueue_accounts(accounts, tasks), name="pinwheel-sync-accounts")
        except BaseExceptionGroup as failed:
            # The first failure is the cause: because of it the group cancelled the other tasks. To stop is no failure.
            error = next((cause for cause in failed.exceptions if not isinstance(cause, _StopError)), None)
            self.counters.stopped = error is None
        error = error or self._refusals.verdict()
        await self._save_state(error)
        if error is not None:
            raise error

    def _begin(self) -> None:
        """Note when the run begins, and what follows from that."""
        self._began = self._now()
        self._rule = RefreshRule(
            recheck_before=self._began - self._plan.recheck_after, spread=self._plan.recheck_after / 7
        )
        self._listing = Listing(self._began)
        """The list of accounts, since it was begun or begun again."""

    async def _stop_when_set(self, stop: asyncio.Event, workers: Sequence[asyncio.Task[None]]) -> None:
        """End the run when it is told to stop."""
        await stop.wait()
        await self._queue.stop(workers)
        raise _StopError

    async def _report_progress(self) -> None:
        """Report progress, also while nothing is done because the server asked to wait."""
        while True:
            await self._sleep(_PROGRESS_EVERY_S)
            self.counters.report_progress()

    async def _claim(self) -> None:
        """Find out what the store holds, and plan for that.

        Raises:
            ConfigurationError: It holds something else than what is asked for.
        """
        if self._store is None:
            return
        plan = self._plan
        scope = await claim_plan(self._store, self._pinwheel.settings, plan, keep=not plan.dry_run)
        self._plan = evolve(
            plan,
            products=plan.products if plan.products_given else scope.products or plan.products,
            from_pay_date=scope.first_day("paystubs", plan.from_pay_date),
            from_start_date=scope.first_day("shifts", plan.from_start_date),
        )
        self.counters.set_products(self._plan.products)
        # How far pages have to be decoded may depend on the copy.
        self._pinwheel = client_for(self._given, self._sink)

    async def _load_state(self) -> Ids | None:
        """Load what earlier runs left; return the accounts to visit."""
        if self._store is None:
            return self._plan.accounts
        await self._failures.load()
        if self._refetches:
            # Saved before anything is read: a run that is killed is gone on with by the next one, which reads nothing
            # twice that this one has read.
            began = await load_refetch(self._store, self._now()) or self._now()
            self._rule = evolve(self._rule, forget_before=began)
            if not self._plan.dry_run:
                await save_refetch(self._store, began)
        if not self._plan.retry_failed:
            return self._plan.accounts
        failed = sorted(self._failures.units)
        self._wanted = frozenset(
            Unit(account_id, kind) for account_id, kind in failed if kind != "accounts" and kind in self._plan.products
        )
        # An account that could not be read or stored is looked up again; not one of which not even the id is known.
        accounts = dict.fromkeys(
            account_id
            for account_id, kind in failed
            if account_id and (kind == "accounts" or kind in self._plan.products)
        )
        self.counters.accounts_total, self.counters.units_total = len(accounts), len(self._wanted)
        return accounts

    async def _save_state(self, error: BaseException | None) -> None:
        """Save what the next run has to know; what ended this run goes before trouble with that."""
        if self._store is None or self._plan.dry_run:
            return
        if error is not None:
            with suppress(SinkError):
                await self._failures.save(everything=True)
            return
        try:
            # A run that was asked to stop ends, also if the store does not answer.
            async with time_limit(STOP_S if self.counters.stopped else None):
                await self._failures.save(everything=True)
        except TimeoutError:
            raise SinkError("failures were not saved", reason="the sink does not answer") from None
        if self._refetches and not self.counters.stopped:
            await save_refetch(self._store, None)

    async def _enqueue_accounts(self, accounts: Ids | None, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Enqueue the units of every account, never many more than the workers are about to take."""
        if accounts is None:
            await self._list()
        else:
            async for ids in chunks(accounts, PAGE_LIMIT):
                await self._enqueue_ids(ids)
        self.counters.accounts_total = self.counters.accounts_seen
        await self._queue.join()
        for task in tasks:  # none of them ends by itself, and the group waits for all
            task.cancel()

    async def _list(self) -> None:
        """List the accounts, and begin again if the cursor is refused or the list is in doubt.

        What was read by then is not due any more, if there is a store. Without one it would be read twice: a list in
        doubt is a failure then.
        """
        store = None if self._plan.dry_run else self._store
        doubted: Listing | None = None
        for restarts in range(RESTARTS + 1):
            self._listing = listing = Listing(self._now())
            try:
                await self._list_once(listing)
            except InvalidRequestError:
                if self._store is None or not listing.pages or restarts == RESTARTS:
                    raise
                doubted = None
                logger.warning("the list of accounts begins again", extra={"event": "sync_accounts_restarted"})
                await self._queue.join()  # or units that wait or are being read would be due a second time
            else:
                doubt = await listing.doubt(store, self._plan.max_removed)
                if doubt is None or listing.agrees(doubted):
                    await self._believe(listing)
                    return
                self.counters.lists_held_back += 1
                if store is None or restarts == RESTARTS:
                    await self._fail_account(None, doubt)
                    return
                doubted = listing
                logger.warning(
                    "the list of accounts is held back until another one says the same",
                    extra={"event": "sync_held_back"},
                )
                await self._queue.join()
                await pause(self._clock)
            self._lists_again = True
            self.counters.list_restarted()

    async def _list_once(self, listing: Listing) -> None:
        """List the accounts, store them, and enqueue their units, page by page."""
        async with aclosing(self._listed(listing, None)) as listed:
            async for page in listed:
                for account_id, account in page.accounts.items():
                    self.counters.accounts_seen += 1
                    for reading in self._due(account_id, account, page.checkpoints):
                        await self._queue.put(partial(self._fetch, reading))

    async def _listed(self, listing: Listing, cursor: str | None) -> AsyncGenerator[ListedPage]:
        """List the accounts from a cursor on, store them, and yield them page by page."""
        odd: list[DecodeError] = []
        asked_at = listing.began if cursor is None else self._now()
        source = self._pinwheel.accounts.list(limit=PAGE_LIMIT, cursor=cursor)
        async with aclosing(pages(source, on_error=odd.append)) as found:
            async for page in found:
                self.counters.request_planned("accounts")
                listing.add(page, left_out=len(odd))
                known = tuple([account for account in page.data if account.id])
                if len(known) < len(page.data):
                    logger.warning("accounts without an id are left out", extra={"event": "sync_account_without_id"})
                erased = await self._erased([account.id for account in known])
                known = tuple([account for account in known if account.id not in erased])
                accounts: dict[str, Account | None] = {account.id: account for account in known}
                listing.name(accounts)
                for account_id in await self._fail_odd(odd):
                    # Its products are read all the same: they may have nothing to do with what is odd.
                    if account_id:
                        accounts.setdefault(account_id, None)
                    listing.nameless += account_id is None
                odd.clear()
                await self._write(known, asked_at, first=not listing.pages, last=not page.next_cursor)
                listing.pages += 1
                yield ListedPage(accounts, await self._checkpoints([*accounts]), page.next_cursor or None)
                asked_at = self._now()

    async def _believe(self, listing: Listing) -> None:
        """After a list that is believed, mark accounts that neither it nor the one before named, if it is whole."""
        if not listing.nameless:
            self._failures.remove("", "accounts")
        if self._store is None or self._plan.dry_run or not listing.is_whole:
            return
        self.counters.gone = await self._store.miss_accounts(listing.missed, listing.began)
        if self.counters.gone:
            logger.warning(
                "%d accounts are not listed any more", self.counters.gone, extra={"event": "sync_accounts_gone"}
            )

    async def _fail_odd(self, odd: Sequence[DecodeError]) -> list[str | None]:
        """Note accounts that were listed and cannot be read; return their ids, null where not even that can be."""
        ids = [listed_id(error) for error in odd]
        erased = await self._erased([account_id for account_id in ids if account_id])
        for account_id, error in zip(ids, odd, strict=True):
            if account_id not in erased:
                await self._fail_account(account_id, error)
        return [account_id for account_id in ids if account_id not in erased]

    async def _enqueue_ids(self, ids: Sequence[str]) -> None:
        """Enqueue accounts that are given by id, those left out that were erased."""
        erased = await self._erased(ids)
        ids = [account_id for account_id in ids if account_id not in erased]
        checkpoints = await self._checkpoints(ids)
        for account_id in ids:
            self.counters.accounts_seen += 1
            if self._store is not None:
                await self._queue.put(partial(self._look_up, account_id, checkpoints))
                continue
            for reading in self._due(account_id, None, checkpoints):
                await self._queue.put(partial(self._fetch, reading))

    async def _look_up(self, account_id: str, checkpoints: _Checkpoints, _: Slot) -> None:
        """Get an account, store it, and enqueue its units: when its data last changed, only the account says."""
        self.counters.request_planned("accounts")
        account: Account | None = None
        asked_at = self._now()
        try:
            account = await self._pinwheel.accounts.get(account_id)
        except NotFoundError:
            self._failures.remove(account_id, "accounts")
            for unit in self._units(account_id):
                self._failures.remove(*unit)
                self._ended(unit, "missing")
            return
        except _FATAL:
            raise
        except DecodeError as error:
            await self._fail_account(account_id, error)
        except PinwheelError as error:
            for unit in self._units(account_id):
                await self._fail(unit, copy(error))  # each failure is given a note of its own
            return
        else:
            await self._write((account,), asked_at, first=False, last=False)
        for reading in self._due(account_id, account, checkpoints):
            self._queue.push(partial(self._fetch, reading))

    async def _erased(self, ids: Sequence[str]) -> frozenset[str]:
        """Return which of some accounts were erased, and count them."""
        erased = frozenset[str]() if self._store is None or not ids else await self._store.erased(ids)
        self.counters.accounts_erased += len(erased)
        return erased

    async def _checkpoints(self, ids: Sequence[str]) -> _Checkpoints:
        if self._store is None:
            return {}
        await self._store_clock.refresh()
        return await self._store.checkpoints(ids)

    async def _write(self, accounts: tuple[Account, ...], asked_at: datetime, *, first: bool, last: bool) -> None:
        """Store accounts; those that can never be stored are found by halves, and fail."""
        if self._plan.dry_run:
            return
        asked = Checkpoint(begun_at=asked_at, reached="patch")
        batch = Batch(kind="accounts", account_id=None, items=accounts, first=first, last=last, checkpoint=asked)
        try:
            await self._sink.write(batch)
        except DecodeError as error:
            if len(accounts) < 2:
                await self._fail_account(accounts[0].id if accounts else None, error)
                return
            middle = len(accounts) // 2
            await self._write(accounts[:middle], asked_at, first=first, last=False)
            await self._write(accounts[middle:], asked_at, first=False, last=last)
        else:
            self.counters.page_stored(batch)
            for account in accounts:
                self._failures.remove(account.id, "accounts")

    def _units(self, account_id: str) -> Iterator[Unit]:
        """Yield the units of an account that the run is about."""
        for product in self._plan.products:
            unit = Unit(account_id, product)
            if self._wanted is None or unit in self._wanted:
                yield unit

    def _due(self, account_id: str, account: Account | None, checkpoints: _Checkpoints) -> Iterator[Reading]:
        """Yield what is to be read of an account, and count what is not."""
        now, moments = self._now(), None if account is None else account.data_updated_at
        for unit in self._units(account_id):
            data_updated_at, first_day = getattr(moments, unit.product, None), from_day(self._plan, unit.product)
            checkpoint = self._rule.valid(checkpoints.get(unit), now)
            contradicted = checkpoint is not None and checkpoint.misses > 0
            # After the list of accounts began again, what this run has read, or tried, comes a second time.
            was_read = checkpoint is not None and checkpoint.begun_at >= self._began
            if self._lists_again and (unit in self._failed or (was_read and contradicted)):
                continue
            if self._wanted is None and not self._rule.is_due(
                unit, checkpoint, data_updated_at=data_updated_at, from_day=first_day, now=now
            ):
                self._failures.remove(*unit)
                self._refusals.other_answer()
                if not was_read:
                    self.counters.unit_unchanged(unit, contradicted=contradicted)
            elif self._plan.dry_run:
                self.counters.unit_planned(unit)
            else:
                yield Reading(
                    unit=unit,
                    data_updated_at=data_updated_at,
                    from_day=first_day,
                    max_removed=self._plan.max_removed,
                    repeats=self._store is not None,
                    checkpoint=checkpoint,
                )

    async def _fetch(self, reading: Reading, slot: Slot) -> None:
        unit, store = reading.unit, partial(self._store_page, slot)
        self.counters.in_flight += 1
        self.counters.resumed += reading.checkpoint is not None and reading.goes_on(self._now())
        try:
            on_doubt = partial(self.counters.held_back, unit)
            ended = await read(self._pinwheel, store, reading, clock=self._clock, on_doubt=on_doubt)
        except UnconfirmedRemovalError as error:
            await self._fail(unit, error)
        except SupersededError:  # before `_FATAL`, as it is a SinkError; but the sink is well, and has what is newer
            self.counters.unit_overtaken(unit)
        except _FATAL:
            raise
        except PinwheelError as error:
            await self._fail(unit, error)
        else:
            self._ended(unit, ended)
        finally:
            self.counters.in_flight -= 1

    async def _store_page(self, slot: Slot, batch: Batch) -> None:
        """Store a page; meanwhile another worker may fetch."""
        self.counters.in_flight -= 1
        try:
            async with slot.yielded(last=batch.last):
                await self._sink.write(batch)
                self.counters.page_stored(batch)
        finally:
            self.counters.in_flight += 1

    def _ended(self, unit: Unit, how: Ended) -> None:
        self._refusals.other_answer()
        self.counters.unit_ended(unit, how)

    async def _fail(self, unit: Unit, error: PinwheelError) -> None:
        self._failures.add(*unit, error)
        self._failed.add(unit)
        self.counters.unit_failed(unit, error)
        if isinstance(error, ForbiddenError):
            self._refusals.add(unit, error)
            if (verdict := self._refusals.verdict(least=self._plan.workers)) is not None:
                raise verdict
        else:
            self._refusals.other_answer()
        await self._save_failures()

    async def _fail_account(self, account_id: str | None, error: PinwheelError) -> None:
        self._listing.is_whole = False
        logger.warning("an account cannot be read or stored", extra={"event": "sync_account_failed"})
        self._failures.add(account_id or "", "accounts", error)
        self.counters.account_failed(account_id, error)
        await self._save_failures()

    async def _save_failures(self) -> None:
        if not self._plan.dry_run:
            await self._failures.save()


async def claim_plan(store: Store, settings: Settings, plan: Plan, *, keep: bool) -> Scope:
    """Find out what a store holds, and note what a plan wants of it as far as nothing is noted.

    Raises:
        ConfigurationError: It holds something else than what is asked for.
    """
    wanted = Scope(
        products=plan.products if plan.products_given else None,
        from_pay_date=plan.from_pay_date,
        from_start_date=plan.from_start_date,
    )
    scope = await claim(store, settings, wanted, keep=keep)
    if scope.products is None:  # a new copy
        scope = await claim(store, settings, evolve(wanted, products=plan.products), keep=keep)
    return scope


class _StopError(Exception):
    """The run was asked to stop."""
