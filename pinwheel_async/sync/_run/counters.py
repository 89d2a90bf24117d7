"""Counters of a run, and its progress callback, which is called at most ten times a second."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from time import monotonic

import attrs

from pinwheel_async.errors import ApiError, DecodeError, PinwheelError
from pinwheel_async.products import Product
from pinwheel_async.sync._report import ProductCounts, Progress, SyncFailure, SyncReport
from pinwheel_async.sync._run.reading import Ended, Unit
from pinwheel_async.sync._sink import Batch, Checkpoint, Kind

PROGRESS_INTERVAL_S = 0.1
"""Seconds between two calls of the progress callback, at least."""

_COUNTED = [field.name for field in attrs.fields(ProductCounts)]

logger = logging.getLogger("pinwheel_async.sync")


class ProgressCallback:
    """A callback of the caller's, whose failures are logged once."""

    def __init__(self, callback: Callable[[Progress], object]) -> None:
        self._callback = callback
        self._has_failed = False

    def __call__(self, progress: Progress) -> None:
        """Call it."""
        try:
            self._callback(progress)
        except Exception:  # the callback is not ours, and a run of hours must not die of a progress bar
            if not self._has_failed:
                self._has_failed = True
                logger.warning(
                    "the progress callback failed; further failures are not logged",
                    exc_info=True,
                    extra={"event": "sync_progress_failed"},
                )


class Counters:
    """The counts of one run."""

    def __init__(
        self,
        products: Iterable[Product],
        accounts_total: int | None,
        on_progress: Callable[[Progress], object] | None,
        *,
        paused_s: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.accounts_seen = 0
        self.accounts_total = accounts_total
        self.units_total: int | None = None
        """Products of accounts there are, where that does not follow from the accounts."""
        self.accounts_erased = 0
        self.in_flight = 0
        self.resumed = 0
        self.gone = 0
        self.lists_held_back = 0
        self.stopped = False
        self.ended_by: str | None = None
        self.planned: Counter[Kind] | None = None
        """Requests by kind, in a dry run."""
        self._pages = 0
        self._items = 0
        self._units_done = 0
        self._counts: dict[Product, Counter[str]] = {product: Counter() for product in products}
        self._failures: list[SyncFailure] = []
        self._errors: Counter[str] = Counter()
        self._on_progress = None if on_progress is None else ProgressCallback(on_progress)
        self._paused_s = paused_s
        self._clock = clock
        self._started_at = clock()
        self._next_call_at = self._started_at

    def set_products(self, products: Iterable[Product]) -> None:
        """Count for these products; before anything is counted."""
        self._counts = {product: Counter() for product in products}

    def page_stored(self, batch: Batch) -> None:
        """Count a page that reached the sink."""
        self._pages += 1
        if batch.kind != "accounts":
            count, counts = len(batch.items), self._counts[batch.kind]
            self._items += count
            counts["items"] += count
            counts["pages"] += 1

    def unit_ended(self, unit: Unit, how: Ended) -> None:
        """Count a unit that was read to its end, or that the account does not have."""
        if how == "contradicted":
            self._counts[unit.product]["contradicted"] += 1
            how = "missing"
        self._done(unit, how)

    def unit_unchanged(self, unit: Unit, *, contradicted: bool) -> None:
        """Count a unit that need not be read, or, if it was contradicted, need not be read yet."""
        if contradicted:
            self._counts[unit.product].update(("contradicted", "not due yet"))
        self._done(unit, "unchanged")

    def unit_found(self, unit: Unit, checkpoint: Checkpoint) -> None:
        """Count a unit that another process read in this run, before it lost its place."""
        if checkpoint.reached == "missing":
            self.unit_ended(unit, "contradicted" if checkpoint.misses else "missing")
            return
        self.items_found(unit, checkpoint)
        self.unit_ended(unit, "complete")

    def items_found(self, unit: Unit, checkpoint: Checkpoint) -> None:
        """Count what another process stored of a unit in this run."""
        self._items += checkpoint.items
        self._counts[unit.product]["items"] += checkpoint.items

    def unit_failed(self, unit: Unit, error: PinwheelError) -> None:
        """Count a unit that failed, and keep the error without what its frames hold."""
        self._keep_failure(unit.account_id, unit.product, error)
        self._done(unit, "failed")

    def account_failed(self, account_id: str | None, error: PinwheelError) -> None:
        """Count an account that could not be read, or not be stored."""
        self._keep_failure(account_id, "accounts", error)
        self.report_progress()

    def unit_overtaken(self, unit: Unit) -> None:
        """Count a unit of which another process has a newer reading."""
        self._done(unit, "overtaken")

    def list_restarted(self) -> None:
        """Take back what is counted again when the list of accounts begins again."""
        self.accounts_seen = self.accounts_erased = 0
        for counts in self._counts.values():
            self._units_done -= counts.pop("unchanged", 0)
            counts["contradicted"] -= counts.pop("not due yet", 0)
        again = [failure for failure in self._failures if failure.product == "accounts"]
        self._errors.subtract(type(failure.error).__name__ for failure in again)
        self._failures = [failure for failure in self._failures if failure.product != "accounts"]

    def held_back(self, unit: Unit) -> None:
        """Count a reading that was held back, whatever came of it."""
        self._counts[unit.product]["held_back"] += 1

    def unit_planned(self, unit: Unit) -> None:
        """Count a unit that a dry run does not read."""
        self.request_planned(unit.product)
        self._done(unit, "due")

    def request_planned(self, kind: Kind) -> None:
        """Count a request, if this is a dry run."""
        if self.planned is not None:
            self.planned[kind] += 1

    def report_progress(self) -> None:
        """Call the progress callback, unless it was called just now."""
        if self._on_progress is not None and self._clock() >= self._next_call_at:
            self._call_back()

    def report(self) -> SyncReport:
        """Call the progress callback a last time, and sum up."""
        self._call_back()
        return SyncReport(
            accounts=self.accounts_seen,
            pages=self._pages,
            seconds=self._clock() - self._started_at,
            products={
                product: ProductCounts(**{name: counts[name] for name in _COUNTED})
                for product, counts in self._counts.items()
            },
            failures=tuple(self._failures),
            erased=self.accounts_erased,
            resumed=self.resumed,
            gone=self.gone,
            lists_held_back=self.lists_held_back,
            stopped=self.stopped,
            ended_by=self.ended_by,
            planned=None if self.planned is None else dict(self.planned),
        )

    def _keep_failure(self, account_id: str | None, kind: Kind, error: PinwheelError) -> None:
        # The frames of a traceback hold the page that was being read: a run with many failures would keep them all. So
        # would the answer that an error knows.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        if isinstance(error, ApiError | DecodeError):
            error.response = None
        of_account = "the list of accounts" if account_id is None else f"account {account_id}"
        error.add_note(f"{kind} of {of_account}" if kind != "accounts" else of_account)
        self._failures.append(SyncFailure(account_id=account_id, product=kind, error=error))
        self._errors[type(error).__name__] += 1

    def _done(self, unit: Unit, how: str) -> None:
        self._counts[unit.product][how] += 1
        self._units_done += 1
        if self._on_progress is not None:
            self.report_progress()

    def _call_back(self) -> None:
        if self._on_progress is None:
            return
        now = self._clock()
        self._next_call_at = now + PROGRESS_INTERVAL_S
        self._on_progress(self._progress(now - self._started_at))

    def _progress(self, elapsed_s: float) -> Progress:
        total = self.units_total
        if total is None and self.accounts_total is not None:
            total = self.accounts_total * len(self._counts)
        known = total is not None and self._units_done > 0
        return Progress(
            accounts_seen=self.accounts_seen,
            accounts_total=self.accounts_total,
            units_done=self._units_done,
            units_total=total,
            items=self._items,
            pages=self._pages,
            failures=len(self._failures),
            errors=dict(+self._errors),
            in_flight=self.in_flight,
            paused_s=self._paused_s(),
            elapsed_s=elapsed_s,
            eta_s=elapsed_s * (total - self._units_done) / self._units_done if known and total is not None else None,
        )
