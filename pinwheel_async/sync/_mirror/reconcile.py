"""Reconciliation after an outage: finds what was missed by jobs, by accounts, and by what was announced."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from attrs import define, field, frozen

from pinwheel_async._clock import Clock
from pinwheel_async._core.converter import Serializable
from pinwheel_async._http.limiter import background
from pinwheel_async._privacy import Discreet
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import (
    ApiError,
    CursorError,
    DecodeError,
    TransportError,
    UnauthorizedError,
    UnconfirmedRemovalError,
)
from pinwheel_async.sync._mirror.completeness import Completeness, CompletenessChecker, announcement_of_job
from pinwheel_async.sync._mirror.fetcher import Fetcher
from pinwheel_async.sync._report import SyncFailure, SyncReport
from pinwheel_async.sync._run.plan import EVER, make_plan
from pinwheel_async.sync._run.reading import PAGE_LIMIT, RESTARTS, Objects, Unit, contradiction, pages, pause
from pinwheel_async.sync._run.run import Run
from pinwheel_async.sync._sink import AnnouncementStore
from pinwheel_async.sync._store_clock import StoreClock

logger = logging.getLogger("pinwheel_async.sync")

_KEY = "mirror:last_event"
"""Key of the moment at which the last event was received."""

_SAVE_EVERY_S = 5.0
"""Seconds between two saves of that moment: each is a transaction of its own, and five seconds are nothing beside the
hour of grace."""

_GRACE = timedelta(hours=1)
"""A job ends before its event arrives: the sender tries for 15 minutes, and what waits in an inbox was not handled."""


@frozen(kw_only=True)
class Reconciliation(Serializable):
    """What was found after an outage, and what was done about it."""

    since: datetime | None
    """From when on jobs were looked at; null if no event was ever handled, and then none were."""
    jobs: int
    """Jobs since then."""
    unreadable_jobs: int = 0
    """Jobs among them that could not be read. What they were about is found by what the accounts say."""
    accounts: int
    """Accounts that were compared."""
    fetched: int
    """Products of accounts that were read: they had changed, were never read, or lacked what was announced."""
    unchanged: int
    """Products of accounts that had not changed since they were read last."""
    contradicted: int = 0
    """Products of accounts of which the account says that there is data, and the copy has none: the server answered
    404. They are asked for again, less and less often."""
    held_back: int = 0
    """Readings that would have removed much, or contradicted themselves, and were repeated."""
    settled: int = 0
    """Lists that lacked what was announced in this reconciliation and in an earlier one, after a whole reading each:
    what is missing of them counts as deleted at the source from now on."""
    failures: tuple[SyncFailure, ...] = field(repr=False)
    """Products of accounts that could not be read."""
    incomplete: tuple[Completeness, ...] = field(repr=False)
    """Lists that still lack something that was announced, or whose end was never announced."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and nothing is missing that was announced or that an account says it has."""
        return not (self.failures or self.unreadable_jobs or self.contradicted) and not any(
            completeness.missing for completeness in self.incomplete
        )

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"ok": self.ok, **fields}


class LastEvent:
    """Moment of the last event, saved in the store: the next process knows how long the mirror was away."""

    def __init__(self, store: AnnouncementStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._earlier: datetime | None = None
        """The last one before this process, until that was reconciled."""
        self._at: datetime | None = None
        self._is_saved = True
        self._saved_s: float | None = None

    async def load(self) -> None:
        """Look up when the last event came before this process.

        Raises:
            SinkError: The store cannot be read.
        """
        kept = await self._store.load(_KEY)
        self._earlier = None if kept is None else datetime.fromisoformat(kept.decode())

    async def record(self, received_at: datetime) -> None:
        """Note that an event was handled; it is saved at most every five seconds.

        Raises:
            SinkError: The store cannot save.
        """
        if self._at is None or received_at > self._at:
            self._at, self._is_saved = received_at, False
        if self._saved_s is None or self._clock.monotonic() - self._saved_s >= _SAVE_EVERY_S:
            await self.save()

    async def save(self) -> None:
        """Save what is not saved yet.

        Raises:
            SinkError: The store cannot save.
        """
        if self._at is not None and not self._is_saved:
            self._is_saved, self._saved_s = True, self._clock.monotonic()
            await self._store.save(_KEY, self._at.isoformat().encode())

    def unreconciled(self) -> datetime | None:
        """Return from when on something may have been missed; null if no event ever came."""
        return self._earlier or self._at

    def reconciled(self, began: datetime) -> None:
        """Forget what came before a reconciliation."""
        self._earlier = None
        self._at = max(self._at or began, began)


async def reconcile(
    pinwheel: Pinwheel,
    store: AnnouncementStore,
    fetcher: Fetcher,
    checker: CompletenessChecker,
    last: LastEvent,
    store_clock: StoreClock,
    *,
    since: datetime | None,
    recheck_after: timedelta,
    max_removed: float | None,
) -> Reconciliation:
    """Find and fetch what was missed; see `Mirror.reconcile`."""
    clock = store_clock.clock
    began, at = clock.now(), since or last.unreconciled()
    since, before = None if at is None else at - _GRACE, began - min(recheck_after, EVER)
    with background():
        jobs = await _take_jobs(pinwheel, store, since, clock) if since is not None else _Jobs()
        changed = partial(_sync_changed, pinwheel, store, before=before, max_removed=max_removed, clock=store_clock)
        reports = [await changed(jobs.touched)] if jobs.touched else []
        everything = await changed(None)
        reports.append(everything)
        incomplete = await checker.sweep(began)
        again, settled, failed, incomplete = await _fetch_missing(
            fetcher, checker, incomplete, everything.failures, began
        )
    last.reconciled(began)  # only now: after a reconciliation that failed the next one begins where it began
    return Reconciliation(
        since=since,
        jobs=jobs.count,
        unreadable_jobs=jobs.unreadable,
        accounts=everything.accounts,
        fetched=again
        + sum(counts.complete + counts.missing for report in reports for counts in report.products.values()),
        unchanged=everything.unchanged,
        contradicted=everything.contradicted,
        held_back=jobs.held_back + sum(report.held_back for report in reports),
        failures=(*everything.failures, *failed),
        settled=settled,
        incomplete=tuple(incomplete),
    )


@define(repr=False)
class _Jobs(Discreet):
    """What one reading of the list of jobs held."""

    objects: Objects = field(factory=Objects)
    """By which two of them are compared."""
    count: int = 0
    unreadable: int = 0
    touched: dict[str, None] = field(factory=dict[str, None])
    """Accounts that had jobs."""
    doubt: DecodeError | None = None
    """Why it is not to be believed by itself."""
    held_back: int = 0
    """Readings before it that were not believed."""


async def _take_jobs(pinwheel: Pinwheel, store: AnnouncementStore, since: datetime, clock: Clock) -> _Jobs:
    """Keep what the jobs since a moment announce; a list that contradicts itself is read again, as any other is.

    Raises:
        DecodeError: Each reading contradicted itself, and no two of them said the same.
        PinwheelError: It could not be read, or not be stored.
    """
    doubted: _Jobs | None = None
    for held_back in range(RESTARTS + 1):
        jobs = await _take_jobs_once(pinwheel, store, since, clock)
        jobs.held_back = held_back
        if jobs.doubt is None or (doubted is not None and jobs.objects.agrees(doubted.objects)):
            return jobs
        logger.warning(
            "the list of jobs is held back until another one says the same", extra={"event": "mirror_jobs_held_back"}
        )
        if held_back == RESTARTS:
            raise jobs.doubt
        doubted = jobs
        await pause(clock)
    raise AssertionError  # the last round returns or raises


async def _take_jobs_once(pinwheel: Pinwheel, store: AnnouncementStore, since: datetime, clock: Clock) -> _Jobs:
    """Keep what the jobs of one reading announce; what was kept before is not kept twice."""
    jobs, odd = _Jobs(), list[str]()
    source = pinwheel.jobs.list(from_timestamp=since, limit=PAGE_LIMIT)
    async with aclosing(pages(source, on_error=lambda error: odd.append(error.where))) as found:
        async for page in found:
            jobs.objects.add(page.data)
            jobs.doubt = jobs.doubt or contradiction("jobs", page, left_out=len(odd))
            jobs.count += len(page.data) + len(odd)
            jobs.unreadable += len(odd)
            odd.clear()
            for job in page.data:
                announcement = announcement_of_job(job, received_at=clock.now())
                if announcement is not None:
                    await store.announce(announcement)
                if job.account_id is not None:
                    jobs.touched[job.account_id] = None
            del page  # before the next one is fetched, see `Paged`
    return jobs


async def _sync_changed(
    pinwheel: Pinwheel,
    store: AnnouncementStore,
    accounts: Mapping[str, None] | None,
    *,
    before: datetime,
    max_removed: float | None,
    clock: StoreClock,
) -> SyncReport:
    """Read what changed of some accounts, or of all; what may have changed unseen if it was read before a moment."""
    plan = make_plan(
        products=None,  # those of the copy
        accounts=accounts,
        ceiling=pinwheel.settings.concurrency,
        recheck_after=clock.clock.now() - before,
        max_removed=max_removed,
    )
    run = Run(pinwheel, store, plan, None, clock=clock)
    await run.run()
    return run.counters.report()


async def _fetch_missing(
    fetcher: Fetcher,
    checker: CompletenessChecker,
    incomplete: Sequence[Completeness],
    failures: tuple[SyncFailure, ...],
    began: datetime,
) -> tuple[int, int, list[SyncFailure], list[Completeness]]:
    """Read what lacks something that was announced, unless it was just read.

    Returns:
        How many were read, how many of them are settled since a reading before lacked the same, what failed, and which
        lists are incomplete still.
    """
    failed = {(failure.account_id, failure.product) for failure in failures}
    fetched, settled, found, left = 0, 0, list[SyncFailure](), list[Completeness]()
    for completeness in incomplete:
        unit = Unit(completeness.account_id, completeness.product)
        if not completeness.missing or unit in failed:
            left.append(completeness)
            continue
        try:
            fetched += await fetcher.refresh(unit, since=began)
            settled += await checker.settle(unit)
        except UnauthorizedError:
            raise
        except (ApiError, TransportError, DecodeError, CursorError, UnconfirmedRemovalError) as error:
            error.__traceback__ = error.__cause__ = error.__context__ = None
            found.append(SyncFailure(account_id=unit.account_id, product=unit.product, error=error))
        now = await checker.check(unit)
        if not now.complete:
            left.append(now)
    return fetched, settled, found, left
