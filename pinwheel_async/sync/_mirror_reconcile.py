"""After an outage: what was missed, by jobs, by accounts, and by what was announced."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta

from attrs import field, frozen

from pinwheel_async._clock import Clock
from pinwheel_async._gate import background
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import ApiError, CursorError, DecodeError, TransportError
from pinwheel_async.models.job import Job
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync._completeness import LedgerEntry, announcement_of_job
from pinwheel_async.sync._ledger import LedgerStore
from pinwheel_async.sync._mirror_fetch import Fetcher
from pinwheel_async.sync._mirror_ledger import Ledger
from pinwheel_async.sync._plan import make_plan
from pinwheel_async.sync._reading import PAGE_LIMIT, Unit
from pinwheel_async.sync._report import Failure, SyncReport
from pinwheel_async.sync._run import Run

_KEY = "mirror:last_event"

_SAVE_EVERY_S = 5.0

_GRACE = timedelta(hours=1)
"""A job ends before its event arrives: the sender tries for 15 minutes, and what waits in an inbox was not handled."""


@frozen(kw_only=True)
class Reconciliation:
    """What was found after an outage, and what was done about it."""

    since: datetime | None
    """From when on jobs were looked at; null if no event was ever handled, and then none were."""
    jobs: int
    """Jobs since then."""
    accounts: int
    """Accounts that were compared."""
    fetched: int
    """Products of accounts that were read: they had changed, were never read, or lacked what was announced."""
    unchanged: int
    """Products of accounts that had not changed since they were read last."""
    failures: tuple[Failure, ...] = field(repr=False)
    """Products of accounts that could not be read."""
    incomplete: tuple[LedgerEntry, ...] = field(repr=False)
    """Lists that still lack something that was announced, or whose end was never announced."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and nothing that was announced is missing."""
        return not self.failures and not any(one.missing for one in self.incomplete)


class LastEvent:
    """Remembers in the store when the last event came, so that the next process knows how long it was away."""

    def __init__(self, store: LedgerStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._earlier: datetime | None = None
        """The last one before this process, until that was reconciled."""
        self._at: datetime | None = None
        self._is_saved = True
        self._saved_s: float | None = None

    async def begin(self) -> None:
        """Look up when the last event came before this process.

        Raises:
            SinkError: The store cannot be read.
        """
        kept = await self._store.load(_KEY)
        self._earlier = None if kept is None else datetime.fromisoformat(kept.decode())

    async def note(self, received_at: datetime) -> None:
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
    store: LedgerStore,
    fetcher: Fetcher,
    ledger: Ledger,
    last: LastEvent,
    clock: Clock,
    *,
    since: datetime | None,
    recheck_after: timedelta,
) -> Reconciliation:
    """Find and fetch what was missed; see `Mirror.reconcile`."""
    began, at = clock.now(), since or last.unreconciled()
    since, before = None if at is None else at - _GRACE, began - recheck_after
    with background():
        jobs, touched = 0, dict[str, None]()
        async for job in _jobs(pinwheel, since):
            jobs += 1
            announcement = announcement_of_job(job, received_at=clock.now())
            if announcement is not None:
                await store.announce(announcement)
            if job.account_id is not None:
                touched[job.account_id] = None
        reports = [await _visit(pinwheel, store, touched, before, clock)] if touched else []
        everything = await _visit(pinwheel, store, None, before, clock)
        reports.append(everything)
        again, failed = await _lacking(fetcher, ledger, everything.failures, began)
    last.reconciled(began)
    return Reconciliation(
        since=since,
        jobs=jobs,
        accounts=everything.accounts,
        fetched=again + sum(one.complete + one.missing for report in reports for one in report.products.values()),
        unchanged=everything.unchanged,
        failures=(*everything.failures, *failed),
        incomplete=tuple([one async for one in ledger.incomplete()]),
    )


async def _jobs(pinwheel: Pinwheel, since: datetime | None) -> AsyncGenerator[Job, None]:
    if since is not None:
        async for job in pinwheel.jobs.list(from_timestamp=since, limit=PAGE_LIMIT):
            yield job


async def _visit(
    pinwheel: Pinwheel, store: LedgerStore, accounts: Mapping[str, None] | None, before: datetime, clock: Clock
) -> SyncReport:
    """Read what changed of some accounts, or of all; what may have changed unseen if it was read before a moment."""
    plan = make_plan(
        products=PRODUCTS,
        accounts=accounts,
        ceiling=pinwheel.settings.concurrency,
        recheck_after=clock.now() - before,
    )
    run = Run(pinwheel, store, plan, None, clock=clock)
    await run.run()
    return run.tally.report()


async def _lacking(
    fetcher: Fetcher, ledger: Ledger, failures: tuple[Failure, ...], began: datetime
) -> tuple[int, list[Failure]]:
    """Read what lacks something that was announced, unless it was just read; return how many, and what failed."""
    failed = {Unit(one.account_id, one.product) for one in failures}
    lacking = [Unit(one.account_id, one.product) async for one in ledger.incomplete() if one.missing]
    fetched, found = 0, list[Failure]()
    for unit in [one for one in lacking if one not in failed]:
        try:
            fetched += await fetcher.bring(unit, since=began)
        except (ApiError, TransportError, DecodeError, CursorError) as error:
            error.__traceback__ = error.__cause__ = error.__context__ = None
            found.append(Failure(account_id=unit.account_id, product=unit.product, error=error))
    return fetched, found
