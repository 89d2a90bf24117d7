"""Accounts that stopped half-way, and who is told about them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeAlias

import attrs

from pinwheel_async._clock import Clock
from pinwheel_async.webhooks._readiness_platforms import Platforms
from pinwheel_async.webhooks._readiness_state import AccountReadiness, expected, readiness_of
from pinwheel_async.webhooks._readiness_store import ReadinessStore

_log = logging.getLogger("pinwheel_async.webhooks")

CALLBACK_S = 30.0
"""Seconds that a callback may take."""

Callback: TypeAlias = Callable[[AccountReadiness], Coroutine[Any, Any, None]]


class Stalls:
    """Reports each account that makes no progress, once, when it is told to look."""

    def __init__(self, store: ReadinessStore, platforms: Platforms, clock: Clock, *, after_s: float) -> None:
        self._store = store
        self._platforms = platforms
        self._clock = clock
        self._after = timedelta(seconds=after_s)
        self._callbacks: list[Callback] = []
        self._due: dict[str, float] = {}

    def report_to(self, callback: Callback) -> None:
        """Call this for what has stalled; from now on, unfinished accounts are put on the list."""
        self._callbacks.append(callback)
        self._store.lists_unfinished = True

    async def look(self) -> None:
        """Report the unfinished accounts that have stalled."""
        self._due = {account_id: self._due.get(account_id, 0.0) for account_id in await self._store.unfinished()}
        for account_id in [one for one, due in self._due.items() if due <= self._clock.now().timestamp()]:
            await self._check(account_id)

    async def _check(self, account_id: str) -> None:
        history, notes = await self._store.read(account_id)
        since = history.heard_at if history else notes.since if notes else None
        if since is not None and since + self._after > self._clock.now():
            self._due[account_id] = (since + self._after).timestamp()
            return
        if since is not None and not (notes and notes.stalled):
            supported = await self._platforms.ask(account_id)
            state = readiness_of(account_id, history, notes, wanted=expected(notes, supported), supported=supported)
            if not state.ready():
                await self._report(state)
                await self._store.note(account_id, lambda old: attrs.evolve(old, stalled=True))
        await self._store.delist(account_id)

    async def _report(self, state: AccountReadiness) -> None:
        for callback in self._callbacks:
            try:
                async with asyncio.timeout(CALLBACK_S):
                    await callback(state)
            except Exception as error:  # noqa: BLE001  # whatever it raises, the next account has to be reported
                _log.error("a callback failed on %r: %s", state, type(error).__name__)  # no values
