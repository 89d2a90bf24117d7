"""What readiness remembers, where it is kept: small values beside the deliveries, one key per account and purpose.

Three kinds of values, so that nobody overwrites what another one writes at the same time. The history of an account is
written by handlers only, and the lanes of the inbox let one run at a time, in whatever process. Notes, and the list of
unfinished accounts, may be written by several processes at the same moment, and then one of the changes is lost: at
worst an account is reported as stalled twice, or not before its next event.
"""

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from attrs import frozen

from pinwheel_async._clock import Clock
from pinwheel_async._core.convert import encode, read_as
from pinwheel_async._core.fields import Model
from pinwheel_async.events import AccountEvent
from pinwheel_async.webhooks._readiness_history import History, Notes, remember

SHARDS = 64
"""Parts of the list of unfinished accounts: short ones, so that an event need not rewrite a long one."""

MOST = 200_000
"""Values that are kept where there is no inbox; the oldest is forgotten for the next."""

M = TypeVar("M", bound=Model)


class Values(Protocol):
    """Keeps small values under keys: an `Inbox`, for instance."""

    async def load(self, key: str) -> bytes | None:
        """Return a value; None if there is none."""
        ...

    async def save(self, key: str, value: bytes | None) -> None:
        """Keep a value; None removes it."""
        ...


class OwnValues:
    """Keeps values in this process."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def load(self, key: str) -> bytes | None:
        """Return a value; None if there is none."""
        return self._values.get(key)

    async def save(self, key: str, value: bytes | None) -> None:
        """Keep a value; None removes it."""
        self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        if len(self._values) > MOST:
            del self._values[next(iter(self._values))]


@frozen(kw_only=True, repr=False)
class _Shard(Model):
    """Part of the list of unfinished accounts."""

    accounts: tuple[str, ...]


class ReadinessStore:
    """Reads and writes what is remembered.

    Attributes:
        lists_unfinished: Whether unfinished accounts are put on the list.
    """

    def __init__(self, values: Values, clock: Clock) -> None:
        self._values = values
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.lists_unfinished = False

    async def read(self, account_id: str) -> tuple[History | None, Notes | None]:
        """Return what is remembered of an account."""
        history = await self._load(_history_key(account_id), History)
        return history, await self._load(_notes_key(account_id), Notes)

    async def hear(self, event: AccountEvent) -> bool:
        """Remember an event; return whether it brought anything new."""
        key = _history_key(event.account_id)
        async with self._lock(key):
            before = await self._load(key, History)
            after = remember(before, event, self._clock.now())
            if after is not before:
                await self._values.save(key, encode(after))
            # A repetition, too: the process may have ended between these two.
            await self._enlist(event.account_id)
        return after is not before

    async def note(self, account_id: str, change: Callable[[Notes], Notes]) -> None:
        """Change the notes on an account."""
        key = _notes_key(account_id)
        async with self._lock(key):
            before = await self._load(key, Notes)
            after = change(before or Notes(since=self._clock.now()))
            await self._values.save(key, encode(after))
            await self._enlist(account_id)

    async def forget(self, account_id: str) -> None:
        """Erase what is remembered of an account."""
        for key in (_history_key(account_id), _notes_key(account_id)):
            async with self._lock(key):
                await self._values.save(key, None)
        await self.delist(account_id)

    async def unfinished(self) -> list[str]:
        """Return the accounts on the list."""
        return [one for number in range(SHARDS) for one in await self._shard(_shard_key(number))]

    async def delist(self, account_id: str) -> None:
        """Take an account off the list."""
        key = _shard_key_of(account_id)
        async with self._lock(key):
            shard = await self._shard(key)
            if account_id in shard:
                left = tuple([one for one in shard if one != account_id])
                await self._values.save(key, encode(_Shard(accounts=left)) if left else None)

    async def _enlist(self, account_id: str) -> None:
        if not self.lists_unfinished:
            return
        key = _shard_key_of(account_id)
        async with self._lock(key):
            shard = await self._shard(key)
            if account_id not in shard:
                await self._values.save(key, encode(_Shard(accounts=(*shard, account_id))))

    async def _shard(self, key: str) -> tuple[str, ...]:
        shard = await self._load(key, _Shard)
        return shard.accounts if shard else ()

    async def _load(self, key: str, kind: type[M]) -> M | None:
        value = await self._values.load(key)
        return None if value is None else read_as(kind, value)

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())


def _history_key(account_id: str) -> str:
    return f"readiness:{account_id}"


def _notes_key(account_id: str) -> str:
    return f"readiness-notes:{account_id}"


def _shard_key_of(account_id: str) -> str:
    return _shard_key(blake2b(account_id.encode(), digest_size=1).digest()[0] % SHARDS)


def _shard_key(number: int) -> str:
    return f"readiness-unfinished:{number}"
