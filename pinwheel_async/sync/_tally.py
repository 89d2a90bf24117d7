"""Counts a run while it goes on, and tells whoever wants to know."""

import logging
from collections.abc import Callable, Iterable
from time import monotonic

from attrs import evolve

from pinwheel_async.errors import PinwheelError
from pinwheel_async.products import Product
from pinwheel_async.sync._reading import Ended, Unit
from pinwheel_async.sync._report import Failure, ProductCounts, Progress, SyncReport
from pinwheel_async.sync._sink import Batch

PROGRESS_INTERVAL_S = 0.1
"""Seconds between two calls of the progress callback, at least."""

logger = logging.getLogger("pinwheel_async.sync")


class Tally:
    """The counts of one run."""

    def __init__(
        self,
        products: Iterable[Product],
        accounts_total: int | None,
        on_progress: Callable[[Progress], object] | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.accounts_seen = 0
        self.accounts_total = accounts_total
        self._pages = 0
        self._items = 0
        self._units_done = 0
        self._products: dict[Product, ProductCounts] = {name: ProductCounts() for name in products}
        self._failures: list[Failure] = []
        self._on_progress = on_progress
        self._clock = clock
        self._started_at = clock()
        self._tell_at = self._started_at
        self._callback_failed = False

    def stored(self, batch: Batch) -> None:
        """Count a page that reached the sink."""
        self._pages += 1
        if batch.kind != "accounts":
            counts = self._products[batch.kind]
            self._items += len(batch.items)
            self._set(batch.kind, items=counts.items + len(batch.items), pages=counts.pages + 1)

    def ended(self, unit: Unit, how: Ended) -> None:
        """Count a unit that was read to its end, or that the account does not have."""
        self._set(unit.product, **{how: getattr(self._products[unit.product], how) + 1})
        self._done()

    def failed(self, unit: Unit, error: PinwheelError) -> None:
        """Count a unit that failed, and keep the error without what its frames hold."""
        error.__traceback__ = error.__cause__ = error.__context__ = None
        error.add_note(f"{unit.product} of account {unit.account_id}")
        self._failures.append(Failure(account_id=unit.account_id, product=unit.product, error=error))
        self._set(unit.product, failed=self._products[unit.product].failed + 1)
        self._done()

    def report(self) -> SyncReport:
        """Tell the last progress and sum up."""
        self._tell()
        return SyncReport(
            accounts=self.accounts_seen,
            pages=self._pages,
            seconds=self._clock() - self._started_at,
            products=self._products,
            failures=tuple(self._failures),
        )

    def _set(self, product: Product, **counts: int) -> None:
        self._products[product] = evolve(self._products[product], **counts)

    def _done(self) -> None:
        self._units_done += 1
        if self._on_progress is not None and self._clock() >= self._tell_at:
            self._tell()

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        now = self._clock()
        self._tell_at = now + PROGRESS_INTERVAL_S
        try:
            self._on_progress(
                Progress(
                    accounts_seen=self.accounts_seen,
                    accounts_total=self.accounts_total,
                    units_done=self._units_done,
                    items=self._items,
                    failures=len(self._failures),
                    elapsed_s=now - self._started_at,
                )
            )
        except Exception:  # the callback is not ours, and a run of hours must not die of a progress bar
            if not self._callback_failed:
                self._callback_failed = True
                logger.warning(
                    "the progress callback failed; further failures are not logged",
                    exc_info=True,
                    extra={"event": "sync_progress_failed"},
                )
