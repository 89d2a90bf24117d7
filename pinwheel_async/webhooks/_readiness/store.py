"""Store of the state that readiness keeps: small values beside the deliveries, one key per account and purpose.

There are three kinds of values, so that no writer overwrites what another writes at the same time. The history of an
account is written by handlers only, and the inbox lets one delivery of an ordering key be handled at a time, in all
processes. Notes, and the list of unfinished accounts, may be written by several processes at the same moment, and then
one of the changes is lost: at worst an account is reported as stalled twice, or not before its next event.
"""

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from secrets import token_bytes
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from attrs import frozen

from pinwheel_async._clock import Clock
from pinwheel_async._core.convert import read_as
from pinwheel_async._core.converter import encode
from pinwheel_async._core.model import Model
from pinwheel_async._memory_values import MemoryValues
from pinwheel_async.events import AccountEvent
from pinwheel_async.webhooks._readiness.history import AccountHistory, Notes, remember

SHARDS = 64
"""Parts of the list of unfinished accounts: short ones, so that an event need not rewrite a long one."""

MAX_VALUES = 200_000
"""Values that are kept without an inbox, so that memory stays bounded; the oldest makes room for the next."""

_ERASURE_KEY = "readiness-erasure-key"
"""Key of the random value under which the ids of erased accounts are hashed."""

M = TypeVar("M", bound=Model)


class KeyValueStore(Protocol):
    """Key-value store of small values, such as an `Inbox`."""

    async def load(self, key: str) -> bytes | None:
        """Return a value; None if there is none."""
        ...

    async def load_or_save(self, key: str, value: bytes) -> bytes:
        """Return a value; if there is none, keep this one, in one step, and return it."""
        ...

    async def save(self, key: str, value: bytes | None) -> None:
        """Keep a value; None removes it."""
        ...


class BoundedValues(MemoryValues):
    """Key-value store in this process, of at most `MAX_VALUES` values."""

    async def load_or_save(self, key: str, value: bytes) -> bytes:
        """Return a value; if there is none, keep this one and return it."""
        return self._values.setdefault(key, value)

    async def save(self, key: str, value: bytes | None) -> None:
        """Keep a value, and forget the oldest if there are too many; None removes it."""
        await super().save(key, value)
        if len(self._values) > MAX_VALUES:
            del self._values[next(iter(self._values))]


@frozen(kw_only=True, repr=False)
class _Shard(Model):
    """Part of the list of unfinished accounts."""

    accounts: tuple[str, ...]


class ReadinessStore:
    """Reads and writes histories, notes and the list of unfinished accounts.

    Attributes:
        lists_unfinished: Whether unfinished accounts are put on the list.
    """

    def __init__(self, values: KeyValueStore, clock: Clock) -> None:
        self._values = values
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.lists_unfinished = False

    async def read(self, account_id: str) -> tuple[AccountHistory | None, Notes | None]:
        """Return history and notes of an account."""
        history = await self._load(_history_key(account_id), AccountHistory)
        return history, await self._load(_notes_key(account_id), Notes)

    async def record(self, event: AccountEvent) -> bool:
        """Record an event in the history of its account; return whether it brought anything new."""
        if await self._is_erased(event.account_id):
            return False
        key = _history_key(event.account_id)
        async with self._lock(key):
            before = await self._load(key, AccountHistory)
            after = remember(before, event, self._clock.now())
            if after is not before:
                await self._values.save(key, encode(after))
            # After a repetition, too: the process may have ended between this and the line above.
            await self._enlist(event.account_id)
        erased = await self._was_erased_meanwhile(event.account_id)
        return after is not before and not erased

    async def change_notes(self, account_id: str, change: Callable[[Notes], Notes]) -> None:
        """Change the notes on an account, unless it was erased."""
        if await self._is_erased(account_id):
            return
        key = _notes_key(account_id)
        async with self._lock(key):
            before = await self._load(key, Notes)
            after = change(before or Notes(since=self._clock.now()))
            await self._values.save(key, encode(after))
            await self._enlist(account_id)
        await self._was_erased_meanwhile(account_id)

    async def forget(self, account_id: str, *, for_good: bool = False) -> None:
        """Erase history and notes of an account; for good, nothing is recorded of it again, in any process."""
        if for_good:
            # In one step: of two erasures that are the first at the same moment, one would be hashed under a lost key.
            secret = await self._values.load_or_save(_ERASURE_KEY, token_bytes(32))
            await self._values.save(_erased_key(secret, account_id), b"")
        await self._remove(account_id)

    async def _was_erased_meanwhile(self, account_id: str) -> bool:
        """Remove what was written of an account that another process may have erased for good at the same moment.

        An erasure is written down before anything is removed. So what is written after the removal finds it here.
        """
        is_erased = await self._is_erased(account_id)
        if is_erased:
            await self._remove(account_id)
        return is_erased

    async def _remove(self, account_id: str) -> None:
        for key in (_history_key(account_id), _notes_key(account_id)):
            async with self._lock(key):
                await self._values.save(key, None)
        await self.delist(account_id)

    async def lift_erasure(self, account_id: str) -> None:
        """Let an account be recorded again that was erased for good."""
        secret = await self._values.load(_ERASURE_KEY)
        if secret is not None:
            await self._values.save(_erased_key(secret, account_id), None)

    async def _is_erased(self, account_id: str) -> bool:
        secret = await self._values.load(_ERASURE_KEY)
        return secret is not None and await self._values.load(_erased_key(secret, account_id)) is not None

    async def unfinished(self) -> list[str]:
        """Return the accounts on the list."""
        return [account_id for number in range(SHARDS) for account_id in await self._shard(_shard_key(number))]

    async def delist(self, account_id: str) -> None:
        """Take an account off the list."""
        key = _shard_key_of(account_id)
        async with self._lock(key):
            shard = await self._shard(key)
            if account_id in shard:
                others = tuple([listed for listed in shard if listed != account_id])
                await self._values.save(key, encode(_Shard(accounts=others)) if others else None)

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


def _erased_key(secret: bytes, account_id: str) -> str:
    """Return the key that says that an account was erased; no id can be read from it."""
    digest = blake2b(account_id.encode(errors="surrogatepass"), key=secret, digest_size=16).hexdigest()
    return f"readiness-erased:{digest}"


def _notes_key(account_id: str) -> str:
    return f"readiness-notes:{account_id}"


def _shard_key_of(account_id: str) -> str:
    return _shard_key(blake2b(account_id.encode(), digest_size=1).digest()[0] % SHARDS)


def _shard_key(number: int) -> str:
    return f"readiness-unfinished:{number}"
