"""What the platforms of accounts support: asked once per platform, and remembered in this process."""

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import attrs

from pinwheel_async.errors import PinwheelError
from pinwheel_async.webhooks._readiness_history import History, Notes, platform_of
from pinwheel_async.webhooks._readiness_store import ReadinessStore

if TYPE_CHECKING:
    from pinwheel_async.endpoints import AccountEndpoints, PlatformEndpoints

_log = logging.getLogger("pinwheel_async.webhooks")


class Directory(Protocol):
    """What knows accounts and platforms: a `Pinwheel` client."""

    @property
    def accounts(self) -> "AccountEndpoints":
        """Where accounts are read."""
        ...

    @property
    def platforms(self) -> "PlatformEndpoints":
        """Where platforms are read."""
        ...


class Platforms:
    """Knows which jobs the platform of an account can do, as far as a client could say."""

    def __init__(self, pinwheel: Directory | None, store: ReadinessStore) -> None:
        self._pinwheel = pinwheel
        self._store = store
        self._supported: dict[str, frozenset[str]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def can_ask(self) -> bool:
        """Whether there is a client."""
        return self._pinwheel is not None

    def known(self, history: History | None, notes: Notes | None) -> frozenset[str] | None:
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

    async def _platform_of(self, pinwheel: Directory, account_id: str) -> str:
        async with self._lock(f"find {account_id}"):
            known = platform_of(*await self._store.read(account_id))
            if known is not None:
                return known
            platform_id = (await pinwheel.accounts.get(account_id)).platform_id
            await self._store.note(account_id, lambda old: attrs.evolve(old, platform_id=platform_id))
            return platform_id

    async def _jobs_of(self, pinwheel: Directory, platform_id: str) -> frozenset[str]:
        async with self._lock(f"platform {platform_id}"):
            if platform_id not in self._supported:
                platform = await pinwheel.platforms.get(platform_id)
                self._supported[platform_id] = frozenset(platform.supported_jobs)
            return self._supported[platform_id]

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
