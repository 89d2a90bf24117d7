"""The mirror: keeps a copy of all accounts current from webhooks, and knows whether it is complete."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from pinwheel_async._clock import Clock
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import ClosedError, ConfigurationError, RequestError
from pinwheel_async.events import (
    EVENTS,
    AccountAdded,
    AccountEvent,
    AccountMonitoringStatusUpdated,
    JobEvent,
    PaystubsAdded,
)
from pinwheel_async.products import Product
from pinwheel_async.sync._completeness import LISTS, LedgerEntry, announcement_of
from pinwheel_async.sync._ledger import LedgerStore
from pinwheel_async.sync._mirror_fetch import Fetcher, Window
from pinwheel_async.sync._mirror_ledger import Ledger
from pinwheel_async.sync._mirror_reconcile import LastEvent, Reconciliation, reconcile
from pinwheel_async.sync._reading import Unit
from pinwheel_async.webhooks import Context, Router

_HANDLER_S = 300.0
"""A long list, and the patience of the client with a server in trouble. What was read until then is not lost."""

logger = logging.getLogger("pinwheel_async.sync")


class Mirror:
    """Keeps a store current from webhooks.

    ```python
    mirror = Mirror(pinwheel, SqlSink("sqlite:///payroll.db"))
    router.include(mirror.router)
    app.cleanup_ctx.append(mirror.cleanup_ctx)
    ```

    A handler returns when what its event announced is stored, so with an inbox nothing is lost when the process ends,
    however it does: the delivery is handled again. Events may come late, twice, or in any order. What was deleted at
    the source disappears from the store. What never came is found by `reconcile`; so is what a power failure took from
    a store that does not flush every transaction, such as `SqlSink` on SQLite: reconcile after one.

    The events of a burst cost few requests: one that was received before the newest reading of its product began is
    covered by that reading, and a fresh one waits a moment for others. Several mirrors may work on one store, if the
    clocks of their machines agree.

    A 404 is no failure: the account does not have the data, or is not there any more. Everything else that goes wrong,
    a refused secret and a `DecodeError` included, leaves the handler as an exception: the event comes again, as the
    receiver's policy says, and is dead in the end, with its reason, to be revived. Meanwhile other events of the same
    account wait.

    Use it with an inbox. Without one the sender waits for the handlers, and gives up after 15 seconds.

    Args:
        pinwheel: A client; it has to be open while the mirror is.
        store: Where the copy is. It is opened and closed here.
        settle_s: Seconds that a fresh event waits for others of its burst; 0 for none.
        on_incomplete: Called in the event loop with a list that is said to be whole, and of which objects that were
            announced are not there after two readings; again when others are missing. Must not block.
        clock: Where time comes from.

    Raises:
        ConfigurationError: `settle_s` is less than 0.

    Attributes:
        router: The handlers, to be included in yours.
    """

    def __init__(
        self,
        pinwheel: Pinwheel,
        store: LedgerStore,
        *,
        settle_s: float = 1.0,
        on_incomplete: Callable[[LedgerEntry], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if settle_s < 0:
            raise ConfigurationError("settle_s must not be less than 0")
        clock = clock or Clock()
        self.router: Router = Router()
        self._pinwheel = pinwheel
        self._store = store
        self._on_incomplete = on_incomplete
        self._clock = clock
        self._fetcher = Fetcher(pinwheel, store, settle_s=settle_s, clock=clock)
        self._ledger = Ledger(store)
        self._last = LastEvent(store, clock)
        self._complained: dict[Unit, frozenset[str]] = {}
        self._is_open = False
        for kind in EVENTS.values():
            if issubclass(kind, JobEvent) and kind.PRODUCTS:
                self.router.on(kind, outcome="success", timeout_s=_HANDLER_S)(self._on_product)
        for one in (AccountAdded, AccountMonitoringStatusUpdated):
            self.router.on(one, timeout_s=_HANDLER_S)(self._on_account)

    def __repr__(self) -> str:
        """Return whether it is open."""
        return f"<Mirror {'open' if self._is_open else 'closed'}>"

    async def __aenter__(self) -> Self:
        """Open the store.

        Raises:
            SinkError: It cannot be opened.
        """
        await self._store.open()
        await self._last.begin()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store; handlers must have ended by now."""
        self._is_open = False
        try:
            await self._last.save()
        finally:
            await self._store.close(complete=error is None)

    async def cleanup_ctx(self, app: object) -> AsyncIterator[None]:  # noqa: ARG002  # aiohttp passes it
        """Be open while an aiohttp application runs: `app.cleanup_ctx.append(mirror.cleanup_ctx)`."""
        async with self:
            yield

    async def reconcile(
        self, *, since: datetime | None = None, recheck_after: timedelta = timedelta(0)
    ) -> Reconciliation:
        """Find and fetch what was missed, as after an outage, and say what was found.

        First the accounts with jobs since the last event, an hour of grace included: somebody may be waiting for them.
        What these jobs say about the end of a list makes up for lost deliveries. Then all accounts: what changed since
        it was read last is read again, by what the account says; so is what was announced and is not there. Background
        refreshes are in no list of jobs, so the second step finds more than the first, which only comes sooner.

        The last event is, until the first reconciliation, the last one before the mirror was opened.

        It may run while events are handled, and as often as you like. Where nothing was missed it costs a request for
        each hundred accounts, and one for the tax forms of each account, unless *recheck_after* spares them.

        Args:
            since: When the outage began, if you know better; aware. An hour of grace goes off it, too.
            recheck_after: How long a reading lasts of what may change without a word of the API, such as tax forms:
                everything that was read longer ago is read again.

        Raises:
            RequestError: `recheck_after` is negative.
            PinwheelError: Jobs or accounts could not be listed, the secret is refused, or the store failed. What fails
                for one product of one account stands in the report.
        """
        self._check_open()
        if recheck_after < timedelta(0):
            raise RequestError(["recheck_after must not be negative"])
        return await reconcile(
            self._pinwheel,
            self._store,
            self._fetcher,
            self._ledger,
            self._last,
            self._clock,
            since=since,
            recheck_after=recheck_after,
        )

    async def ledger(self, account_id: str) -> Mapping[Product, LedgerEntry]:
        """Return what was announced of an account, beside what is stored: one entry per list with announcements.

        Raises:
            SinkError: The store cannot be read.
        """
        self._check_open()
        return await self._ledger.entries(account_id)

    async def incomplete(self) -> AsyncGenerator[LedgerEntry, None]:
        """Iterate over the lists of all accounts that are not complete: objects are missing, or there are more to come.

        Raises:
            SinkError: The store cannot be read.
        """
        self._check_open()
        async for one in self._ledger.incomplete():
            yield one

    async def _on_account(self, event: AccountEvent, context: Context) -> None:
        self._check_open()
        await self._fetcher.account(event.account_id)
        await self._last.note(context.received_at)

    async def _on_product(self, event: JobEvent, context: Context) -> None:
        self._check_open()
        announcement = announcement_of(event, event_id=context.event_id, received_at=context.received_at)
        if announcement is not None:
            await self._store.announce(announcement)
        for product in event.PRODUCTS:
            unit = Unit(event.account_id, product)
            # Another attempt reads everything: whatever was wrong, the window was not needed.
            window = _window(event) if context.attempt == 1 else None
            await self._fetcher.bring(unit, since=context.received_at, window=window)
            if product in LISTS:
                await self._prove(unit)
        await self._last.note(context.received_at)

    async def _prove(self, unit: Unit) -> None:
        """Compare what is said to be whole; read it once more before complaining."""
        entry = await self._ledger.entry(unit)
        if not entry.missing:
            self._complained.pop(unit, None)
        if not entry.final or self._complained.get(unit, frozenset()).issuperset(entry.missing):
            return
        await self._fetcher.read(unit)
        entry = await self._ledger.entry(unit)
        if entry.missing:
            self._complained[unit] = frozenset(entry.missing)
            self._complain(entry)

    def _complain(self, entry: LedgerEntry) -> None:
        logger.warning(
            "account %s: %d of %d announced %s are not there",
            entry.account_id,
            len(entry.missing),
            entry.announced,
            entry.product,
            extra={"event": "mirror_incomplete"},
        )
        if self._on_incomplete is None:
            return
        try:
            self._on_incomplete(entry)
        except Exception as error:  # noqa: BLE001  # whatever it raises, the event was handled
            logger.error("on_incomplete failed: %s", type(error).__name__, extra={"event": "mirror_callback_failed"})  # noqa: TRY400  # no values

    def _check_open(self) -> None:
        if not self._is_open:
            raise ClosedError("the mirror is not open: use `async with`, or append its cleanup_ctx")


def _window(event: JobEvent) -> Window | None:
    """Return the days that a batch of paystubs belongs to; None where more may have changed, or they are not known."""
    if not isinstance(event, PaystubsAdded) or event.deleted or event.params is None:
        return None
    first, last = event.params.from_pay_date, event.params.to_pay_date
    return None if first is None or last is None else Window(first, last)
