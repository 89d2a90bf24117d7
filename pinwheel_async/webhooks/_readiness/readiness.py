"""Account readiness: answers, from the events that came, whether the data of an account is there."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, overload
from weakref import WeakValueDictionary

from pinwheel_async._clock import Clock
from pinwheel_async._core.arguments import Id, id_text, is_more_than, is_number, wrong
from pinwheel_async.errors import ConfigurationError, NotFoundError, PinwheelError, RequestError
from pinwheel_async.events import AccountAdded, AccountEvent
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.webhooks._inbox.base import Inbox, check_inbox_argument
from pinwheel_async.webhooks._notifier import Notifier
from pinwheel_async.webhooks._readiness.history import READINESS_EVENTS
from pinwheel_async.webhooks._readiness.lookup import AccountLookup
from pinwheel_async.webhooks._readiness.platforms import AccountClient, Platforms
from pinwheel_async.webhooks._readiness.stalled import Callback, StallDetector
from pinwheel_async.webhooks._readiness.state import (
    DEFAULT_PRODUCTS,
    AccountReadiness,
    NotReadyError,
    ProductReadiness,
    checked,
    readiness_of,
)
from pinwheel_async.webhooks._readiness.store import BoundedValues, ReadinessStore
from pinwheel_async.webhooks._router import Router

_log = logging.getLogger("pinwheel_async.webhooks")

POLL_S = 2.0
"""Seconds after which a waiting task reads again even if no event came here: another process may handle the events."""

STALL_CHECK_S = 60.0
"""Seconds between two checks for stalled accounts, at most."""

RETRY_LOOKUP_S = 15.0
"""Seconds until the API is asked again what it knows of an account, after a failure."""

C = TypeVar("C", bound=Callback)


class Readiness:
    """Readiness of each account, from the events that come.

    ```python
    readiness = Readiness(inbox, pinwheel=pinwheel)
    router.include(readiness.router)

    state = await readiness.wait(account_id, products=("paystubs", "income"))
    ```

    A product is final when its last event was a success or an error, or when the platform does not have it. Events may
    come in any order and more than once. What an account has it keeps: a later refresh that fails, or a new login of
    the user, takes nothing away; a success after a failure counts.

    With a client, what the API knows of an account counts like events: an account that connected before the receiver
    first ran is ready in one look, and a webhook that was lost delays the answer by `look_every_s` at most. A look is
    two requests, one for the account and one for its jobs.

    The state is kept in the inbox, some hundred bytes per account, without payroll values, until `forget`. Several
    processes may share the inbox. A process that waits while another handles the events reads it every two seconds.

    Args:
        inbox: Where to keep the state: the inbox of the receiver, which opens and closes it. None to keep it in this
            process only.
        pinwheel: A client, to be asked what it knows of an account that is not ready, and once per platform which jobs
            that supports. Without it, only events count, and every product counts as supported.
        look_every_s: Seconds between two looks at an account that is waited for, in all processes together.
        stalled_after_s: Seconds after which an account that makes no progress is reported to `on_stalled`.
        clock: Source of time.

    Raises:
        ConfigurationError: *inbox* is no inbox, or `stalled_after_s` or `look_every_s` is not more than 0.

    Attributes:
        router: The handlers, to be included in yours.
    """

    def __init__(
        self,
        inbox: Inbox | None = None,
        *,
        pinwheel: AccountClient | None = None,
        look_every_s: float = 30.0,
        stalled_after_s: float = 900.0,
        clock: Clock | None = None,
    ) -> None:
        check_inbox_argument(inbox, ("load", "load_or_save", "save"))
        for name, seconds in (("stalled_after_s", stalled_after_s), ("look_every_s", look_every_s)):
            if not is_more_than(seconds, 0):
                raise ConfigurationError(wrong(name, "more than 0, in seconds", seconds, float))
        self.router: Router = Router()
        for kind in READINESS_EVENTS:
            self.router.on(kind)(self._record)
        self._clock = clock or Clock()
        self._store = ReadinessStore(BoundedValues() if inbox is None else inbox, self._clock)
        self._pinwheel = pinwheel
        self._platforms = Platforms(pinwheel, self._store)
        self._lookup = None
        if pinwheel is not None:
            self._lookup = AccountLookup(pinwheel, self._store, self._clock, every_s=look_every_s)
        self._look_every_s = look_every_s
        self._stall_detector = StallDetector(
            self._store, self._platforms, self._look, self._clock, after_s=stalled_after_s
        )
        self._check_every_s = min(STALL_CHECK_S, stalled_after_s / 4)
        self._task: asyncio.Task[None] | None = None
        self._notifiers: WeakValueDictionary[str, Notifier] = WeakValueDictionary()
        self._user_notifiers: WeakValueDictionary[str, Notifier] = WeakValueDictionary()

    def __repr__(self) -> str:
        """Return whether it checks for stalled accounts."""
        return f"<Readiness {'started' if self._task else 'not started'}>"

    async def __aenter__(self) -> Self:
        """Begin to check for stalled accounts."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop checking."""
        await self.stop()

    async def start(self) -> None:
        """Begin to check for stalled accounts, also those that were unfinished when another process ended.

        The first check comes after a minute, or a quarter of `stalled_after_s` if that is less, so that what waits in
        the inbox is handled first. Nothing happens if it has begun. `wait`, `watch` and `get` do not need it.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="pinwheel readiness")

    async def stop(self) -> None:
        """Stop checking; a callback that runs is cancelled, and called again after the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def cleanup_ctx(self, app: object) -> AsyncIterator[None]:  # noqa: ARG002  # aiohttp passes it
        """Check while an aiohttp application runs: `app.cleanup_ctx.append(readiness.cleanup_ctx)`."""
        async with self:
            yield

    def on_stalled(self, callback: C) -> C:
        """Register the decorated coroutine function for accounts that stopped half-way.

        It is called once per account (again only if the process ended meanwhile) with the state of an account that was
        added, or had its last event, more than `stalled_after_s` ago, and is not ready: for the products that were ever
        waited for, else for all that its platform supports, else, without a client, for paystubs and income. A product
        that is pending, as it may be for 24 hours, counts as not ready: see `state.pending`. An exception of the
        callback is logged by its kind.

        Register it before the first event comes, in every process that handles events; start only one of them, since
        two would both call.

        Raises:
            ConfigurationError: The callback is no coroutine function.
        """
        if not inspect.iscoroutinefunction(callback):
            raise ConfigurationError("the callback for stalled accounts must be an async function")
        self._stall_detector.add_callback(callback)
        return callback

    async def get(
        self, account_id: Id, *, products: Collection[Product] = PRODUCTS, look: bool = True
    ) -> AccountReadiness:
        """Return the readiness of an account now: what was heard, and with a client what the API knows.

        Args:
            account_id: The account.
            products: What is asked about.
            look: Whether the API is asked about an account that is not ready; else only what is known here counts.

        Raises:
            NotFoundError: There is no such account.
            RequestError: A product that does not exist, or no id.
            InboxError: The inbox cannot be read.
        """
        wanted, account_id = checked(products), _id("account_id", account_id)
        state = await self._read(account_id, wanted)
        if look and not state.ready() and self._lookup is not None:
            await self._look(account_id)
            state = await self._read(account_id, wanted)
        return state

    @overload
    async def wait(
        self, account_id: Id, *, products: Collection[Product] = DEFAULT_PRODUCTS, timeout_s: float = 120.0
    ) -> AccountReadiness: ...
    @overload
    async def wait(
        self, *, end_user_id: Id, products: Collection[Product] = DEFAULT_PRODUCTS, timeout_s: float = 120.0
    ) -> tuple[AccountReadiness, ...]: ...
    async def wait(
        self,
        account_id: Id | None = None,
        *,
        end_user_id: Id | None = None,
        products: Collection[Product] = DEFAULT_PRODUCTS,
        timeout_s: float = 120.0,
    ) -> AccountReadiness | tuple[AccountReadiness, ...]:
        """Return when these products of an account are all final, be it as failed or unsupported: look at the state.

        For an end user, wait until there is a connected account, and those of all connected accounts are final, and
        return a state for each.

        Args:
            account_id: The account; there need not be an event of it yet.
            end_user_id: Your own id of the user, instead; it needs a client.
            products: What to wait for.
            timeout_s: Seconds to wait at most; 0 to look once.

        Raises:
            NotReadyError: It took too long; `states` is the readiness at the end.
            NotFoundError: There is no such account.
            RequestError: A product that does not exist, no id, no number of seconds, or not one of the two ids.
            InboxError: The inbox cannot be read.
            ConfigurationError: There is an end user, and no client.
        """
        if (account_id is None) == (end_user_id is None):
            raise RequestError(["wait for an account_id or an end_user_id: give one of them"])
        if end_user_id is not None:
            return await self._wait_for_user(_id("end_user_id", end_user_id), checked(products), _seconds(timeout_s))
        async with aclosing(
            self.watch("" if account_id is None else account_id, products=products, timeout_s=timeout_s)
        ) as states:
            return [state async for state in states][-1]

    async def watch(
        self, account_id: Id, *, products: Collection[Product] = DEFAULT_PRODUCTS, timeout_s: float = 120.0
    ) -> AsyncGenerator[AccountReadiness, None]:
        """Iterate over the states of an account: the present state, and each that these products change to.

        The last state is ready. Changes that come faster than they are read are seen as a single change.

        Args:
            account_id: The account; there need not be an event of it yet.
            products: What to wait for.
            timeout_s: Seconds to wait at most.

        Raises:
            NotReadyError: It took too long.
            NotFoundError: There is no such account.
            RequestError: A product that does not exist, or no id.
            InboxError: The inbox cannot be read.
        """
        wanted, account_id = checked(products), _id("account_id", account_id)
        deadline = self._clock.monotonic() + _seconds(timeout_s)
        notifier = self._notifiers.setdefault(account_id, Notifier(self._clock))
        shown: list[ProductReadiness] = []
        looking: asyncio.Task[None] | None = None
        try:
            while True:
                late = self._clock.monotonic() >= deadline
                state = await self._read_and_note(account_id, wanted)
                now = [state.products[name] for name in wanted]
                if now != shown:
                    shown = now
                    yield state
                if state.ready():
                    return
                if looking is not None and looking.done():
                    looking.result()  # it ends only if there is no such account
                if looking is None and self._lookup is not None:
                    looking = asyncio.create_task(self._keep_looking(account_id), name="pinwheel readiness lookup")
                    if late:
                        await self._look(account_id)
                        continue
                if late:
                    raise NotReadyError([state], timeout_s=timeout_s)
                left_s = max(0.0, deadline - self._clock.monotonic())
                await notifier.wait(partial(self._changed, state, looking), min(POLL_S, left_s))
        finally:
            if looking is not None:
                looking.cancel()
                await asyncio.wait({looking})

    async def forget(self, account_id: str, *, for_good: bool = False) -> None:
        """Erase the state of an account; events that come later are recorded again, unless it is for good.

        Args:
            account_id: The account.
            for_good: Whether nothing is recorded of it again, in any process with this inbox, before `lift_erasure`.

        Raises:
            InboxError: The inbox cannot store.
        """
        await self._store.forget(account_id, for_good=for_good)
        self._notify(account_id)

    async def lift_erasure(self, account_id: str) -> None:
        """Let an account be recorded again that was erased for good.

        Raises:
            InboxError: The inbox cannot store.
        """
        await self._store.lift_erasure(account_id)

    async def _record(self, event: AccountEvent) -> None:
        if await self._store.record(event):
            self._notify(event.account_id)
        notifier = self._user_notifiers.get(event.end_user_id or "") if isinstance(event, AccountAdded) else None
        if notifier is not None:
            notifier.notify()

    async def _read(self, account_id: str, wanted: tuple[Product, ...]) -> AccountReadiness:
        history, notes = await self._store.read(account_id)
        supported = self._platforms.known(history, notes)
        return readiness_of(account_id, history, notes, wanted=wanted, supported=supported)

    async def _read_and_note(self, account_id: str, wanted: tuple[Product, ...]) -> AccountReadiness:
        """Read, and note what is waited for; only of accounts that exist, since a caller may ask about any id."""
        history, notes = await self._store.read(account_id)
        if (history or notes) and (notes is None or notes != notes.waiting_for(wanted)):
            await self._store.change_notes(account_id, lambda notes: notes.waiting_for(wanted))
        return await self._read(account_id, wanted)

    async def _changed(self, state: AccountReadiness, looking: "asyncio.Task[None] | None") -> float | None:
        if looking is not None and looking.done():
            return 0.0
        return 0.0 if await self._read(state.account_id, state.wanted) != state else None

    async def _wait_for_user(
        self, end_user_id: str, wanted: tuple[Product, ...], timeout_s: float
    ) -> tuple[AccountReadiness, ...]:
        if self._pinwheel is None:
            raise ConfigurationError("waiting for an end user needs a client: Readiness(..., pinwheel=pinwheel)")
        deadline = self._clock.monotonic() + timeout_s
        notifier = self._user_notifiers.setdefault(end_user_id, Notifier(self._clock))
        ready: dict[str, AccountReadiness] = {}
        while True:
            connected = await _connected(self._pinwheel, end_user_id)
            if connected and ready.keys() >= set(connected):
                return tuple([ready[account_id] for account_id in connected])
            left_s = max(0.0, deadline - self._clock.monotonic())
            try:
                # One after another, which takes no longer, as all of them have to be ready.
                for account_id in connected:
                    left_s = max(0.0, deadline - self._clock.monotonic())
                    ready[account_id] = await self.wait(account_id, products=wanted, timeout_s=left_s)
            except NotReadyError:
                states = [await self._read(account_id, wanted) for account_id in connected]
                raise NotReadyError(states, timeout_s=timeout_s) from None
            if not connected:
                if left_s <= 0:
                    raise NotReadyError([], timeout_s=timeout_s)
                await notifier.wait(_nothing_due, min(self._look_every_s, left_s))

    async def _keep_looking(self, account_id: str) -> None:
        """Look at the account again and again, and wake the tasks that wait.

        Raises:
            NotFoundError: There is no such account.
        """
        try:
            while True:
                known = await self._look(account_id)
                self._notify(account_id)
                await self._pause(self._look_every_s if known else min(RETRY_LOOKUP_S, self._look_every_s))
        finally:
            self._notify(account_id)

    async def _look(self, account_id: str) -> bool:
        """Ask what the API knows of an account; return whether it could say.

        Raises:
            NotFoundError: There is no such account.
        """
        if self._lookup is None:
            return False
        try:
            await self._lookup.look(account_id)
        except NotFoundError:
            raise
        except PinwheelError as error:
            _log.warning("account %s cannot be looked up now: %s", account_id, type(error).__name__)
            return False
        return await self._platforms.ask(account_id) is not None

    async def _run(self) -> None:
        while True:
            await self._pause(self._check_every_s)
            try:
                await self._stall_detector.check()
            except Exception as error:  # noqa: BLE001  # a store of any kind may fail in any way; the next check may work
                _log.error("could not check for stalled accounts: %s", type(error).__name__)  # no values

    async def _pause(self, seconds: float) -> None:
        await Notifier(self._clock).wait(_nothing_due, seconds)

    def _notify(self, account_id: str) -> None:
        notifier = self._notifiers.get(account_id)
        if notifier is not None:
            notifier.notify()


async def _connected(pinwheel: AccountClient, end_user_id: str) -> list[str]:
    """Return the ids of the connected accounts of an end user, whom the API does not know before the first one."""
    try:
        accounts = await pinwheel.accounts.list_for_end_user(end_user_id, limit=100).all()
    except NotFoundError:
        return []
    return [account.id for account in accounts if account.connected]


def _id(name: str, given: Id) -> str:
    text, problem = id_text(name, given)
    if problem is not None:
        raise RequestError([problem])
    return text


def _seconds(timeout_s: float) -> float:
    if not is_number(timeout_s):
        raise RequestError([wrong("timeout_s", "a number of seconds", timeout_s)])
    return timeout_s


async def _nothing_due() -> None:
    """Nothing is due before the time is over."""
