"""Lookup of accounts: what the API knows of an account, for events that nobody heard.

An account may have connected before the receiver first ran, and a webhook may be lost. What the API says then counts
like events: the moments at which data last changed, and the finished jobs.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import attrs

from pinwheel_async._clock import Clock
from pinwheel_async.errors import NotFoundError
from pinwheel_async.models import Account, Job
from pinwheel_async.products import PRODUCTS
from pinwheel_async.webhooks._readiness.history import ProductHistory, remember_job
from pinwheel_async.webhooks._readiness.platforms import AccountClient
from pinwheel_async.webhooks._readiness.store import ReadinessStore

MAX_JOBS = 200
"""Jobs of an account that are read, at most; a connection makes about ten."""

SETTLED_AFTER = timedelta(hours=24)
"""Age of an account after which data that is there counts as all of it: Pinwheel tries what is pending for 24 hours.
Before that a list may still be growing, and its jobs or events have to say that it is complete."""

_LISTS = frozenset({"paystubs", "shifts"})


class AccountLookup:
    """Looks accounts up, each at most once in an interval, in all processes that share the store."""

    def __init__(self, pinwheel: AccountClient, store: ReadinessStore, clock: Clock, *, every_s: float) -> None:
        self._pinwheel = pinwheel
        self._store = store
        self._clock = clock
        self._every = timedelta(seconds=every_s)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def look(self, account_id: str) -> None:
        """Note what the API knows of an account, unless that was done within the interval.

        Raises:
            NotFoundError: There is no such account, and no event of it has come.
            PinwheelError: The API could not say, or the store failed.
        """
        async with self._locks.setdefault(account_id, asyncio.Lock()):
            history, notes = await self._store.read(account_id)
            now = self._clock.now()
            looked_at = notes.looked_at if notes else None
            # One from the future, by the clock of another machine, counts for nothing.
            if looked_at is not None and timedelta(0) <= now - looked_at < self._every:
                return
            try:
                account = await self._pinwheel.accounts.get(account_id)
                jobs = await self._pinwheel.jobs.list(account_id=account_id, limit=100).first(MAX_JOBS)
            except NotFoundError:
                if history is None:
                    raise
                return
            seen = products_seen(account, jobs, now)
            await self._store.change_notes(
                account_id,
                lambda notes: attrs.evolve(notes, platform_id=account.platform_id, looked_at=now, seen=seen),
            )


def products_seen(account: Account, jobs: Sequence[Job], now: datetime) -> dict[str, ProductHistory]:
    """Return what an account and its finished jobs say of each product.

    Args:
        account: The account.
        jobs: Its jobs, in any order.
        now: The moment of the look.
    """
    products: dict[str, ProductHistory] = {}
    for job in jobs:
        if job.name in PRODUCTS:
            products[job.name] = remember_job(products.get(job.name, ProductHistory()), job)
    settled = _is_older(account.created_at, now - SETTLED_AFTER)
    for name in PRODUCTS:
        at: datetime | None = getattr(account.data_updated_at, name, None)  # there is none for tax forms
        if at is None:
            continue
        product = products.get(name, ProductHistory())
        if name not in _LISTS or settled:
            products[name] = attrs.evolve(product, succeeded_at=max(product.succeeded_at or at, at))
        else:
            products[name] = attrs.evolve(product, partial_at=max(product.partial_at or at, at))
    return products


def _is_older(moment: datetime | None, than: datetime) -> bool:
    return moment is not None and moment < than  # the API may say null where its documentation says never
