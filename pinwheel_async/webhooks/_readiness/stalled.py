"""Stall detector: reports accounts whose data stopped coming half-way."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeAlias

import attrs

from pinwheel_async._clock import Clock, time_limit
from pinwheel_async.errors import NotFoundError
from pinwheel_async.webhooks._ctrl_c import is_ctrl_c
from pinwheel_async.webhooks._readiness.platforms import Platforms
from pinwheel_async.webhooks._readiness.state import AccountReadiness, expected, readiness_of
from pinwheel_async.webhooks._readiness.store import ReadinessStore

_log = logging.getLogger("pinwheel_async.webhooks")

CALLBACK_S = 30.0
"""Seconds that a callback may take."""

Look: TypeAlias = Callable[[str], Coroutine[Any, Any, bool]]

Callback: TypeAlias = Callable[[AccountReadiness], Coroutine[Any, Any, None]]


class StallDetector:
    """Reports each account that makes no progress, once, when `check` is called."""

    def __init__(
        self, store: ReadinessStore, platforms: Platforms, look: Look, clock: Clock, *, after_s: float
    ) -> None:
        self._store = store
        self._platforms = platforms
        self._look = look
        self._clock = clock
        self._after = timedelta(seconds=after_s)
        self._callbacks: list[Callback] = []
        self._due: dict[str, float] = {}
        """Unix seconds at which an unfinished account will have stalled: a cache, so that most are not read again."""

    def add_callback(self, callback: Callback) -> None:
        """Call this for accounts that have stalled; from now on, unfinished accounts are put on the list."""
        self._callbacks.append(callback)
        self._store.lists_unfinished = True

    async def check(self) -> None:
        """Report the unfinished accounts that have stalled."""
        self._due = {account_id: self._due.get(account_id, 0.0) for account_id in await self._store.unfinished()}
        now = self._clock.now().timestamp()
        for account_id in [account_id for account_id, due in self._due.items() if due <= now]:
            await self._check_account(account_id)

    async def _check_account(self, account_id: str) -> None:
        history, notes = await self._store.read(account_id)
        since = history.heard_at if history else notes.since if notes else None
        if since is not None and since + self._after > self._clock.now():
            self._due[account_id] = (since + self._after).timestamp()
            return
        if since is not None and not (notes and notes.stalled):
            await self._look_up(account_id)
            history, notes = await self._store.read(account_id)
            supported = await self._platforms.ask(account_id)
            state = readiness_of(account_id, history, notes, wanted=expected(notes, supported), supported=supported)
            if not state.ready():
                await self._report(state)
                await self._store.change_notes(account_id, lambda notes: attrs.evolve(notes, stalled=True))
        await self._store.delist(account_id)

    async def _look_up(self, account_id: str) -> None:
        """Ask the API first: what looks stalled may be a webhook that was lost."""
        with suppress(NotFoundError):
            await self._look(account_id)

    async def _report(self, state: AccountReadiness) -> None:
        for callback in self._callbacks:
            try:
                async with time_limit(CALLBACK_S):
                    await callback(state)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # whatever it raises, the next account has to be reported
                if is_ctrl_c(error):
                    raise
                _log.error("a callback failed on %r: %s", state, type(error).__name__)  # no values
