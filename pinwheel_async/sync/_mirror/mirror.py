"""Mirror: keeps a copy of all accounts current from webhooks, and checks whether it is complete."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from attrs import evolve

from pinwheel_async._clock import Clock
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import ClosedError, ConfigurationError, RequestError
from pinwheel_async.events import (
    EVENTS,
    AccountAdded,
    AccountEvent,
    AccountMonitoringStatusUpdated,
    DirectDepositSwitchAdded,
    JobEvent,
    PaystubsAdded,
)
from pinwheel_async.products import Product
from pinwheel_async.sync._mirror.completeness import LISTS, Completeness, CompletenessChecker, announcement_of
from pinwheel_async.sync._mirror.fetcher import Fetcher, Window
from pinwheel_async.sync._mirror.reconcile import LastEvent, Reconciliation, reconcile
from pinwheel_async.sync._run.plan import is_share
from pinwheel_async.sync._run.reading import MAX_REMOVED, Unit
from pinwheel_async.sync._scope import Scope, claim
from pinwheel_async.sync._sink import AnnouncementStore, sink_problem
from pinwheel_async.sync._store_clock import StoreClock
from pinwheel_async.webhooks import Context, Router

_HANDLER_S = 300.0
"""Timeout of a handler: time for a long list, and for the client's retries when the server is in trouble. What was read
until then is kept, and the next attempt goes on with it."""

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
    covered by that reading, and a fresh one waits a moment for others. Several mirrors may work on one store. Over
    PostgreSQL its clock is that of all of them; where it is a file, they are on one machine.

    What does not belong to the copy, because a sync was told to fetch some products only, or from some day on, is left
    out.

    An account that is not there any more is no failure. Everything else that goes wrong, a refused secret, a
    `DecodeError`, and a 404 for what the event says is there included, leaves the handler as an exception: the event
    comes again, as the receiver's policy says, and is dead in the end, with its reason, to be revived. Meanwhile other
    events of the same account wait.

    Use it with an inbox. Without one the sender waits for the handlers, and gives up after 15 seconds.

    Args:
        pinwheel: A client; it has to be open while the mirror is.
        store: Where the copy is. It is opened and closed here.
        debounce_s: Seconds that a fresh event waits for others of its burst; 0 for none.
        max_removed: Largest share of what is stored of a list that one reading may remove, as for `sync`.
        on_incomplete: Called in the event loop with a list that is said to be whole, and of which objects that were
            announced are not there after two readings; again when others are missing. Must not block.
        clock: Where time comes from in tests; from the server of the store if None, or from this machine if there is
            none.

    Raises:
        ConfigurationError: *store* is none that keeps announcements, `debounce_s` is less than 0, or `max_removed` is
            no share.

    Attributes:
        router: The handlers, to be included in yours.
    """

    def __init__(
        self,
        pinwheel: Pinwheel,
        store: AnnouncementStore,
        *,
        debounce_s: float = 1.0,
        max_removed: float | None = MAX_REMOVED,
        on_incomplete: Callable[[Completeness], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        problem = sink_problem("store", store, announcements=True)
        if problem is not None:
            raise ConfigurationError(problem)
        if debounce_s < 0:
            raise ConfigurationError("debounce_s must not be less than 0")
        if not is_share(max_removed):
            raise ConfigurationError("max_removed must be from 0 to 1, or None")
        self._max_removed = max_removed
        self._store_clock = StoreClock(store, clock)
        clock = self._store_clock.clock
        self.router: Router = Router()
        self._pinwheel = pinwheel
        self._store = store
        self._on_incomplete = on_incomplete
        self._fetcher = Fetcher(pinwheel, store, debounce_s=debounce_s, max_removed=max_removed, clock=clock)
        self._checker = CompletenessChecker(store)
        self._last = LastEvent(store, clock)
        self._warned: dict[Unit, frozenset[str]] = {}
        """Missing ids of which a warning was given: the next one is about others."""
        self._is_open = False
        self._scope = Scope()
        for kind in EVENTS.values():
            if issubclass(kind, JobEvent) and kind.PRODUCTS:
                self.router.on(kind, outcome="success", timeout_s=_HANDLER_S)(self._on_product)
        for kind in (AccountAdded, AccountMonitoringStatusUpdated):
            self.router.on(kind, timeout_s=_HANDLER_S)(self._on_account)

    def __repr__(self) -> str:
        """Return whether it is open."""
        return f"<Mirror {'open' if self._is_open else 'closed'}>"

    async def __aenter__(self) -> Self:
        """Open the store.

        Raises:
            SinkError: It cannot be opened.
            ConfigurationError: It holds data of another environment.
        """
        await self._store.open()
        try:
            await self._store_clock.refresh()
            self._scope = await claim(self._store, self._pinwheel.settings, Scope())
            self._fetcher.start(self._scope)
            await self._last.load()
        except BaseException:
            await self._store.close(complete=False)
            raise
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
        What these jobs say about the end of a list makes up for lost deliveries; their own list is read again if it
        contradicts itself, until two in a row say the same. Then all accounts: what changed since it was read last is
        read again, by what the account says; so is what was announced and is not there. Background
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
        await self._store_clock.refresh()
        self._scope = await claim(self._store, self._pinwheel.settings, Scope())  # a sync may have changed it
        self._fetcher.start(self._scope)
        if recheck_after < timedelta(0):
            raise RequestError(["recheck_after must not be negative"])
        return await reconcile(
            self._pinwheel,
            self._store,
            self._fetcher,
            self._checker,
            self._last,
            self._store_clock,
            since=since,
            recheck_after=recheck_after,
            max_removed=self._max_removed,
        )

    async def completeness(self, account_id: str) -> Mapping[Product, Completeness]:
        """Return what was announced of an account, compared with what is stored: one entry per list with announcements.

        Raises:
            SinkError: The store cannot be read.
        """
        self._check_open()
        return await self._checker.of_account(account_id)

    async def incomplete(self) -> AsyncGenerator[Completeness, None]:
        """Iterate over the lists of all accounts that are not complete: objects are missing, or there are more to come.

        Raises:
            SinkError: The store cannot be read.
        """
        self._check_open()
        async for completeness in self._checker.incomplete():
            yield completeness

    async def _on_account(self, event: AccountEvent, context: Context) -> None:
        self._check_open()
        if not _names_account(event):
            return
        await self._store_clock.refresh()
        await self._fetcher.fetch_account(event.account_id)
        await self._last.record(context.received_at)

    async def _on_product(self, event: JobEvent, context: Context) -> None:
        self._check_open()
        if not _names_account(event):
            return
        await self._store_clock.refresh()
        received_at = self._store_clock.arrived(context.received_at)
        announcement = announcement_of(event, event_id=context.event_id, received_at=received_at)
        is_older = self._is_older(event)
        if announcement is not None and self._scope.holds(announcement.product):
            # Of the last batch, which is the oldest, counts that the list is at its end.
            await self._store.announce(evolve(announcement, added=(), deleted=()) if is_older else announcement)
        for product in event.PRODUCTS:
            if is_older or not self._scope.holds(product):
                continue
            unit = Unit(event.account_id, product)
            # Another attempt reads everything: whatever was wrong, it does not depend on the window.
            window = _window(event) if context.attempt == 1 else None
            # That a switch succeeded does not say that the account has allocations to read.
            expected = not isinstance(event, DirectDepositSwitchAdded)
            await self._fetcher.refresh(unit, since=received_at, window=window, expected=expected)
            if product in LISTS:
                await self._check_completeness(unit)
        await self._last.record(context.received_at)

    def _is_older(self, event: JobEvent) -> bool:
        """Whether an event is about paystubs from before the first day of the copy only."""
        window, first_day = _window(event), self._scope.first_day("paystubs")
        return window is not None and first_day is not None and window.last < first_day

    async def _check_completeness(self, unit: Unit) -> None:
        """Check a list that is said to be whole; read it once more before warning that objects are missing."""
        completeness = await self._checker.check(unit)
        if not completeness.missing:
            self._warned.pop(unit, None)
        # An empty set is a superset of nothing missing: so this is also the end where all is well.
        if not completeness.final or self._warned.get(unit, frozenset()).issuperset(completeness.missing):
            return
        await self._fetcher.read(unit)
        completeness = await self._checker.check(unit)
        if completeness.missing:
            self._warned[unit] = frozenset(completeness.missing)
            self._warn(completeness)

    def _warn(self, completeness: Completeness) -> None:
        logger.warning(
            "account %s: %d of %d announced %s are not there",
            completeness.account_id,
            len(completeness.missing),
            completeness.announced,
            completeness.product,
            extra={"event": "mirror_incomplete"},
        )
        if self._on_incomplete is None:
            return
        try:
            self._on_incomplete(completeness)
        except Exception as error:  # noqa: BLE001  # whatever it raises, the event was handled
            logger.error("on_incomplete failed: %s", type(error).__name__, extra={"event": "mirror_callback_failed"})  # noqa: TRY400  # no values

    def _check_open(self) -> None:
        if not self._is_open:
            raise ClosedError("the mirror is not open: use `async with`, or append its cleanup_ctx")


def _names_account(event: AccountEvent | JobEvent) -> bool:
    """Whether an event says which account it is about; what it announced is found by `reconcile` otherwise."""
    account_id: str | None = event.account_id
    if not account_id:
        logger.warning("event %s names no account", event.event_id, extra={"event": "mirror_no_account"})
    return bool(account_id)


def _window(event: JobEvent) -> Window | None:
    """Return the days that a batch of paystubs belongs to; None where more may have changed, or they are not known."""
    if not isinstance(event, PaystubsAdded) or event.deleted or event.params is None:
        return None
    first, last = event.params.from_pay_date, event.params.to_pay_date
    return None if first is None or last is None else Window(first, last)
