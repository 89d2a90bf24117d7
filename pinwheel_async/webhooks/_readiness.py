"""Account readiness: from a stream of events to one question, "is the data of this account there?"."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from weakref import WeakValueDictionary

from pinwheel_async._clock import Clock
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.events import AccountEvent
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.webhooks._bell import Bell
from pinwheel_async.webhooks._inbox import Inbox
from pinwheel_async.webhooks._readiness_history import HEARD
from pinwheel_async.webhooks._readiness_platforms import Directory, Platforms
from pinwheel_async.webhooks._readiness_stalls import Callback, Stalls
from pinwheel_async.webhooks._readiness_state import (
    USUAL,
    AccountReadiness,
    NotReadyError,
    ProductReadiness,
    checked,
    readiness_of,
)
from pinwheel_async.webhooks._readiness_store import OwnValues, ReadinessStore
from pinwheel_async.webhooks._router import Router

_log = logging.getLogger("pinwheel_async.webhooks")

POLL_S = 2.0
"""Seconds after which one who waits looks even if nothing was heard here: another process may handle the events."""

LOOK_S = 60.0
"""Most seconds between two looks for accounts that have stalled."""

ASK_AGAIN_S = 15.0
"""Seconds until the API is asked again what the platform of an account supports, after it could not say."""

C = TypeVar("C", bound=Callback)


class Readiness:
    """Knows how far the data of each account is, from the events that come.

    ```python
    readiness = Readiness(inbox, pinwheel=pinwheel)
    router.include(readiness.router)

    state = await readiness.wait(account_id, products=("paystubs", "income"))
    ```

    A product is final when its last event was a success or an error, or when the platform does not have it. Events may
    come in any order and more than once. What an account has it keeps: a later refresh that fails, or a new login of
    the user, takes nothing away; a success after a failure counts.

    What was heard is kept in the inbox, some hundred bytes per account, without payroll values and unencrypted, until
    `forget`. Several processes may share the inbox. One that waits while another one handles the events looks into it
    every two seconds.

    Args:
        inbox: Where to keep what was heard; the one that the receiver works on, which opens and closes it. None to keep
            it in this process only.
        pinwheel: A client, to be asked once per platform what that supports. Without one, every product that is waited
            for counts as supported.
        stalled_after_s: Seconds after which an account that makes no progress is reported to `on_stalled`.
        clock: Where time comes from.

    Raises:
        ConfigurationError: `stalled_after_s` is not more than 0.

    Attributes:
        router: The handlers, to be included in yours.
    """

    def __init__(
        self,
        inbox: Inbox | None = None,
        *,
        pinwheel: Directory | None = None,
        stalled_after_s: float = 900.0,
        clock: Clock | None = None,
    ) -> None:
        if stalled_after_s <= 0:
            raise ConfigurationError("stalled_after_s must be more than 0")
        self.router: Router = Router()
        for kind in HEARD:
            self.router.on(kind)(self._hear)
        self._clock = clock or Clock()
        self._store = ReadinessStore(OwnValues() if inbox is None else inbox, self._clock)
        self._platforms = Platforms(pinwheel, self._store)
        self._stalls = Stalls(self._store, self._platforms, self._clock, after_s=stalled_after_s)
        self._look_s = min(LOOK_S, stalled_after_s / 4)
        self._task: asyncio.Task[None] | None = None
        self._bells: WeakValueDictionary[str, Bell] = WeakValueDictionary()

    def __repr__(self) -> str:
        """Return whether it looks for stalled accounts."""
        return f"<Readiness {'started' if self._task else 'not started'}>"

    async def __aenter__(self) -> Self:
        """Begin to look for stalled accounts."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop looking."""
        await self.stop()

    async def start(self) -> None:
        """Begin to look for stalled accounts, also for those that were unfinished when another process ended.

        The first look comes after a minute, or a quarter of `stalled_after_s` if that is less, so that what waits in
        the inbox is heard first. Nothing happens if it has begun. `wait`, `watch` and `get` do not need it.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="pinwheel readiness")

    async def stop(self) -> None:
        """Stop looking; a callback that runs is cancelled, and called again after the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def cleanup_ctx(self, app: object) -> AsyncIterator[None]:  # noqa: ARG002  # aiohttp passes it
        """Look while an aiohttp application runs: `app.cleanup_ctx.append(readiness.cleanup_ctx)`."""
        async with self:
            yield

    def on_stalled(self, callback: C) -> C:
        """Register the decorated coroutine function for accounts that stopped half-way.

        It is called once per account (again only if the process ended meanwhile) with the state of an account that was
        added, or heard of last, more than `stalled_after_s` ago, and is not ready: for the products that were ever
        waited for, else for all that its platform supports, else, without a client, for paystubs and income. What is
        pending, and may be for 24 hours, counts as not ready: see `state.pending`. An exception of the callback is
        logged by its kind.

        Register it before the first event comes, in every process that handles events; start one of them only, since
        two would both call.

        Raises:
            ConfigurationError: The callback is no coroutine function.
        """
        if not inspect.iscoroutinefunction(callback):
            raise ConfigurationError("what is called on stalled accounts must be an async function")
        self._stalls.report_to(callback)
        return callback

    async def get(self, account_id: str, *, products: Collection[Product] = PRODUCTS) -> AccountReadiness:
        """Return how far an account is now; where nothing was heard of it, everything is waiting.

        Raises:
            RequestError: A product that does not exist.
            InboxError: The inbox cannot be read.
        """
        wanted = checked(products)
        state = await self._read(account_id, wanted)
        silent = any(state.products[name].status == "waiting" for name in wanted)
        if silent and await self._platforms.ask(account_id) is not None:
            state = await self._read(account_id, wanted)
        return state

    async def wait(
        self, account_id: str, *, products: Collection[Product] = USUAL, timeout_s: float = 120.0
    ) -> AccountReadiness:
        """Return when these products of an account are all final, be it as failed or unsupported: look at the state.

        Args:
            account_id: The account; it need not have been heard of yet.
            products: What to wait for.
            timeout_s: Seconds to wait at most; 0 looks once.

        Raises:
            NotReadyError: It took too long; `state` says how far it came.
            RequestError: A product that does not exist.
            InboxError: The inbox cannot be read.
        """
        async with aclosing(self.watch(account_id, products=products, timeout_s=timeout_s)) as states:
            return [state async for state in states][-1]

    async def watch(
        self, account_id: str, *, products: Collection[Product] = USUAL, timeout_s: float = 120.0
    ) -> AsyncGenerator[AccountReadiness, None]:
        """Iterate over the states of an account: the one it is in, and each that these products change to.

        The last one is ready. Changes that come faster than they are read are seen as one.

        Args:
            account_id: The account; it need not have been heard of yet.
            products: What to wait for.
            timeout_s: Seconds to wait at most.

        Raises:
            NotReadyError: It took too long.
            RequestError: A product that does not exist.
            InboxError: The inbox cannot be read.
        """
        wanted = checked(products)
        deadline = self._clock.monotonic() + timeout_s
        bell = self._bells.setdefault(account_id, Bell(self._clock))
        shown: list[ProductReadiness] = []
        learning: asyncio.Task[None] | None = None
        try:
            while True:
                late = self._clock.monotonic() >= deadline
                state = await self._expect(account_id, wanted)
                now = [state.products[name] for name in wanted]
                if now != shown:
                    shown = now
                    yield state
                if state.ready():
                    return
                if late:
                    raise NotReadyError(state, timeout_s=timeout_s)
                if learning is None and self._platforms.can_ask:
                    learning = asyncio.create_task(self._learn(account_id), name="pinwheel readiness platform")
                left_s = max(0.0, deadline - self._clock.monotonic())
                await bell.wait(partial(self._moved, state), min(POLL_S, left_s))
        finally:
            if learning is not None:
                learning.cancel()
                await asyncio.wait({learning})

    async def forget(self, account_id: str) -> None:
        """Erase what is remembered of an account; events that come later are remembered again.

        Raises:
            InboxError: The inbox cannot store.
        """
        await self._store.forget(account_id)
        self._ring(account_id)

    async def _hear(self, event: AccountEvent) -> None:
        if await self._store.hear(event):
            self._ring(event.account_id)

    async def _read(self, account_id: str, wanted: tuple[Product, ...]) -> AccountReadiness:
        history, notes = await self._store.read(account_id)
        supported = self._platforms.known(history, notes)
        return readiness_of(account_id, history, notes, wanted=wanted, supported=supported)

    async def _expect(self, account_id: str, wanted: tuple[Product, ...]) -> AccountReadiness:
        """Read, and note what is waited for: of accounts that exist, since anybody may ask about any id."""
        history, notes = await self._store.read(account_id)
        if (history or notes) and (notes is None or notes != notes.waiting_for(wanted)):
            await self._store.note(account_id, lambda old: old.waiting_for(wanted))
        return await self._read(account_id, wanted)

    async def _moved(self, state: AccountReadiness) -> float | None:
        return 0.0 if await self._read(state.account_id, state.wanted) != state else None

    async def _learn(self, account_id: str) -> None:
        """Ask what the account's platform supports until that is known, and wake those who wait."""
        while await self._platforms.ask(account_id) is None:
            await self._pause(ASK_AGAIN_S)
        self._ring(account_id)

    async def _run(self) -> None:
        while True:
            await self._pause(self._look_s)
            try:
                await self._stalls.look()
            except Exception as error:  # noqa: BLE001  # a store of any kind may fail in any way; the next look may not
                _log.error("could not look for stalled accounts: %s", type(error).__name__)  # no values

    async def _pause(self, seconds: float) -> None:
        await Bell(self._clock).wait(_nothing_due, seconds)

    def _ring(self, account_id: str) -> None:
        bell = self._bells.get(account_id)
        if bell is not None:
            bell.ring()


async def _nothing_due() -> None:
    """Nothing is due before the time is over."""
