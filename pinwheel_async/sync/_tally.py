"""Counts a run while it goes on, and tells whoever wants to know."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from time import monotonic

from pinwheel_async.errors import PinwheelError
from pinwheel_async.products import Product
from pinwheel_async.sync._reading import Ended, Unit
from pinwheel_async.sync._report import Failure, ProductCounts, Progress, SyncReport
from pinwheel_async.sync._sink import Batch, Kind

PROGRESS_INTERVAL_S = 0.1
"""Seconds between two calls of the progress callback, at least."""

logger = logging.getLogger("pinwheel_async.sync")


def _never() -> float:
    return 0.0


class Tally:
    """The counts of one run."""

    def __init__(
        self,
        products: Iterable[Product],
        accounts_total: int | None,
        on_progress: Callable[[Progress], object] | None,
        *,
        paused_s: Callable[[], float] = _never,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.accounts_seen = 0
        self.accounts_total = accounts_total
        self.units_total: int | None = None
        """Products of accounts there are, where that does not follow from the accounts."""
        self.in_flight = 0
        self.resumed = 0
        self.stopped = False
        self.planned: Counter[Kind] | None = None
        """Requests by kind, in a dry run."""
        self._pages = 0
        self._items = 0
        self._units_done = 0
        self._counts: dict[Product, Counter[str]] = {name: Counter() for name in products}
        self._failures: list[Failure] = []
        self._errors: Counter[str] = Counter()
        self._on_progress = on_progress
        self._paused_s = paused_s
        self._clock = clock
        self._started_at = clock()
        self._tell_at = self._started_at
        self._callback_failed = False

    def stored(self, batch: Batch) -> None:
        """Count a page that reached the sink."""
        self._pages += 1
        if batch.kind != "accounts":
            self._items += len(batch.items)
            counts = self._counts[batch.kind]
            counts["items"] += len(batch.items)
            counts["pages"] += 1

    def ended(self, unit: Unit, how: Ended) -> None:
        """Count a unit that was read to its end, or that the account does not have."""
        self._done(unit, how)

    def unchanged(self, unit: Unit) -> None:
        """Count a unit that need not be read."""
        self._done(unit, "unchanged")

    def failed(self, unit: Unit, error: PinwheelError) -> None:
        """Count a unit that failed, and keep the error without what its frames hold."""
        error.__traceback__ = error.__cause__ = error.__context__ = None
        error.add_note(f"{unit.product} of account {unit.account_id}")
        self._failures.append(Failure(account_id=unit.account_id, product=unit.product, error=error))
        self._errors[type(error).__name__] += 1
        self._done(unit, "failed")

    def would_read(self, unit: Unit) -> None:
        """Count a unit that a dry run does not read."""
        self.would_ask(unit.product)
        self._done(unit, "due")

    def would_ask(self, kind: Kind) -> None:
        """Count a request, if this is a dry run."""
        if self.planned is not None:
            self.planned[kind] += 1

    def tell_if_due(self) -> None:
        """Tell the progress, unless it was told just now."""
        if self._on_progress is not None and self._clock() >= self._tell_at:
            self._tell()

    def report(self) -> SyncReport:
        """Tell the last progress and sum up."""
        self._tell()
        return SyncReport(
            accounts=self.accounts_seen,
            pages=self._pages,
            seconds=self._clock() - self._started_at,
            products={
                name: ProductCounts(
                    items=counts["items"],
                    pages=counts["pages"],
                    complete=counts["complete"],
                    unchanged=counts["unchanged"],
                    missing=counts["missing"],
                    failed=counts["failed"],
                )
                for name, counts in self._counts.items()
            },
            failures=tuple(self._failures),
            resumed=self.resumed,
            stopped=self.stopped,
            planned=None if self.planned is None else dict(self.planned),
        )

    def _done(self, unit: Unit, how: str) -> None:
        self._counts[unit.product][how] += 1
        self._units_done += 1
        self.tell_if_due()

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        now = self._clock()
        self._tell_at = now + PROGRESS_INTERVAL_S
        try:
            self._on_progress(self._progress(now - self._started_at))
        except Exception:  # the callback is not ours, and a run of hours must not die of a progress bar
            if not self._callback_failed:
                self._callback_failed = True
                logger.warning(
                    "the progress callback failed; further failures are not logged",
                    exc_info=True,
                    extra={"event": "sync_progress_failed"},
                )

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
            errors=dict(self._errors),
            in_flight=self.in_flight,
            paused_s=self._paused_s(),
            elapsed_s=elapsed_s,
            eta_s=elapsed_s * (total - self._units_done) / self._units_done if known and total is not None else None,
        )
