"""Cache of the jobs that platforms support: the API is asked once per platform and process."""

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import attrs

from pinwheel_async.errors import PinwheelError
from pinwheel_async.webhooks._readiness.history import AccountHistory, Notes, platform_of
from pinwheel_async.webhooks._readiness.store import ReadinessStore

if TYPE_CHECKING:
    from pinwheel_async.endpoints import AccountEndpoints, JobEndpoints, PlatformEndpoints

_log = logging.getLogger("pinwheel_async.webhooks")


class AccountClient(Protocol):
    """Client that reads accounts, their jobs and platforms, such as `Pinwheel`."""

    @property
    def accounts(self) -> "AccountEndpoints":
        """Endpoints of accounts."""
        ...

    @property
    def jobs(self) -> "JobEndpoints":
        """Endpoints of jobs."""
        ...

    @property
    def platforms(self) -> "PlatformEndpoints":
        """Endpoints of platforms."""
        ...


class Platforms:
    """Jobs that the platform of an account supports, as far as a client could say."""

    def __init__(self, pinwheel: AccountClient | None, store: ReadinessStore) -> None:
        self._pinwheel = pinwheel
        self._store = store
        self._supported: dict[str, frozenset[str]] = {}
        # A lock per account and platform, so that the API is asked once however many tasks wait; it goes with the last.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def known(self, history: AccountHistory | None, notes: Notes | None) -> frozenset[str] | None:
        """Return what the account's platform supports; None where that was not asked yet."""
        return self._supported.get(platform_of(history, notes) or "")

    async def ask(self, account_id: str) -> frozenset[str] | None:
        """Return what the account's platform supports; None if there is no client or it cannot say."""
        if self._pinwheel is None:
            return None
        try:
            return await self._jobs_of(self._pinwheel, await self._platform_of(self._pinwheel, account_id))
        except PinwheelError as error:
            _log.warning("what account %s supports is not known yet: %s", account_id, type(error).__name__)
            return None

    async def _platform_of(self, pinwheel: AccountClient, account_id: str) -> str:
        async with self._lock(f"find {account_id}"):
            known = platform_of(*await self._store.read(account_id))
            if known is not None:
                return known
            platform_id = (await pinwheel.accounts.get(account_id)).platform_id
            await self._store.change_notes(account_id, lambda notes: attrs.evolve(notes, platform_id=platform_id))
            return platform_id

    async def _jobs_of(self, pinwheel: AccountClient, platform_id: str) -> frozenset[str]:
        async with self._lock(f"platform {platform_id}"):
            if platform_id not in self._supported:
                platform = await pinwheel.platforms.get(platform_id)
                self._supported[platform_id] = frozenset(platform.supported_jobs)
            return self._supported[platform_id]

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
