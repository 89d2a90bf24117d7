"""A mirror against deliveries that go wrong: after `reconcile()` the copy is the fake's world, row by row."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from pinwheel_async import PRODUCTS, Pinwheel, RetryPolicy
from pinwheel_async._clock import Clock
from pinwheel_async._core.converter import encode
from pinwheel_async.products import Product
from pinwheel_async.sync import AnnouncementStore, MemoryStore, Mirror, SqlSink, sync
from pinwheel_async.sync._sink import without_link
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.webhooks import Router, SqliteInbox, webhook_app

from .copies import contents

SEEDS = int(os.environ.get("PINWHEEL_ASYNC_MIRROR_SEEDS", "4"))
"""With 100 it takes some minutes."""

LISTS: tuple[Product, ...] = ("paystubs", "shifts", "tax_forms")


class Place:
    """A store, and what to read of it afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: AnnouncementStore

    async def contents(self, pinwheel: Pinwheel) -> tuple[Any, Any]:
        """Return every row of the copy, and every row that it should have."""
        raise NotImplementedError


class InMemory(Place):
    """A `MemoryStore`, compared with a sync into another one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.store = self.memory = MemoryStore()

    async def contents(self, pinwheel: Pinwheel) -> tuple[Any, Any]:
        other = MemoryStore()
        await sync(pinwheel, other)
        return self._rows(self.memory), self._rows(other)

    @staticmethod
    def _rows(store: MemoryStore) -> dict[str, list[Any]]:
        return {
            kind: sorted(
                [json.loads(encode(without_link(item), nulls=True)) for item in store.items(kind)],
                key=lambda record: record["id"],
            )
            for kind in ("accounts", *PRODUCTS)
        }


class InDatabase(Place):
    """A `SqlSink`, compared with a sync into another database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.store = SqlSink(f"sqlite:///{folder}/mirror.db")

    async def contents(self, pinwheel: Pinwheel) -> tuple[Any, Any]:
        await sync(pinwheel, SqlSink(f"sqlite:///{self.folder}/quiet.db"))
        ours, theirs = [await contents(f"sqlite:///{self.folder}/{name}.db") for name in ("mirror", "quiet")]
        return ours, theirs


@asynccontextmanager
async def receiving(folder: Path, *mirrors: Mirror) -> AsyncIterator[tuple[str, SqliteInbox]]:
    """Serve a receiver whose events mirrors handle; give its URL and its inbox."""
    router, app, inbox = Router(), web.Application(), SqliteInbox(folder / "inbox.db")
    for mirror in mirrors:
        router.include(mirror.router)
        app.cleanup_ctx.append(mirror.cleanup_ctx)
    retry = RetryPolicy(attempts=10, base_s=0.01, cap_s=0.05)
    secrets = [FakePinwheel().api_secret]
    app.add_subapp("/hooks", webhook_app(router, secrets=secrets, inbox=inbox, retry=retry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hooks", inbox
    finally:
        await runner.cleanup()


async def drained(inbox: SqliteInbox) -> None:
    """Wait until everything that was received is handled."""
    async with asyncio.timeout(60):
        while (counts := await inbox.counts()).waiting or counts.claimed:
            await asyncio.sleep(0.02)
    assert 0 == counts.dead


async def live(fake: FakePinwheel, random: Random) -> None:
    """Let things happen for some hours: people connect, data comes, changes and goes, with and without a word."""
    sessions = [await fake.connect() for _ in range(2)]
    accounts = [*fake.world.account_ids()]
    for _ in range(25):
        account_id, product = random.choice(accounts), random.choice(PRODUCTS)
        ids = [record["id"] for record in fake.world.records(account_id, product)] if product in LISTS else []
        match random.randrange(5):
            case 0 if ids:
                await fake.delete(account_id, product, random.choice(ids))
            case 1 if ids:
                fake.world.delete(account_id, product, random.choice(ids))
            case 2:
                fake.world.edit_account(account_id, monitoring_status="degraded")
            case 3:
                fake.world.touch(account_id, product)
            case _:
                await fake.refresh(account_id, product)
        await fake.advance(random.choice([0.5, 5, 60]))
    await fake.connect(sessions[0].account_id)  # the user logs in again
    await fake.advance(timedelta(hours=3).total_seconds())


@pytest.mark.parametrize("place", [InMemory, InDatabase])
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_world(tmp_path: Path, place: Callable[[Path], Place], seed: int):
    """Whatever goes wrong with deliveries and requests, a reconciled copy equals the world, row by row."""
    copy = place(tmp_path)
    async with (
        FakePinwheel(accounts=4, seed=seed) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url, retry=RetryPolicy(attempts=1)) as pinwheel,
    ):
        mirror = Mirror(pinwheel, copy.store, debounce_s=0.01)
        async with receiving(tmp_path, mirror) as (url, inbox):
            fake.subscribe(url)
            fake.webhook_faults(duplicate=0.3, reorder=0.3, delay=0.3, lose=0.3, corrupt=0.2, seed=seed)
            fake.fail_randomly(0.1, seed=seed)
            await live(fake, Random(seed))
            await drained(inbox)
            fake.clear_faults()
            found = await mirror.reconcile()
            checked = {account_id: await mirror.completeness(account_id) for account_id in fake.world.account_ids()}
        ours, theirs = await copy.contents(pinwheel)

        assert theirs == ours
        assert found.jobs
        assert not found.failures
        assert {200, 401} == {delivery.status for delivery in fake.deliveries}
        for account_id, entries in checked.items():
            for product, entry in entries.items():
                assert len(fake.world.records(account_id, product)) == entry.held


@pytest.mark.parametrize("place", [InMemory, InDatabase])
async def test_quiet(tmp_path: Path, place: Callable[[Path], Place]):
    """Where no delivery is lost the copy equals the world without any reconciliation, and is known to be complete."""
    copy = place(tmp_path)
    async with (
        FakePinwheel(accounts=0) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        mirror = Mirror(pinwheel, copy.store, debounce_s=0.01)
        async with receiving(tmp_path, mirror) as (url, inbox):
            fake.subscribe(url)
            fake.webhook_faults(duplicate=0.5, reorder=0.5, delay=0.5)
            session = await fake.connect()
            await fake.advance(60)
            await fake.refresh(session.account_id, "paystubs")
            shift = fake.world.records(session.account_id, "shifts")[0]["id"]
            await fake.delete(session.account_id, "shifts", shift)
            await fake.advance(3_600)
            await drained(inbox)
            entries = await mirror.completeness(session.account_id)
        ours, theirs = await copy.contents(pinwheel)

        assert theirs == ours
        assert [True] * len(entries) == [completeness.complete for completeness in entries.values()]
        assert [0] * len(entries) == [completeness.unannounced for completeness in entries.values()]


async def test_two_processes(tmp_path: Path):
    """Two mirrors on one database, each with every delivery, do each other no harm."""
    copy = InDatabase(tmp_path)
    async with (
        FakePinwheel(accounts=4) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        (tmp_path / "other").mkdir()
        stores = [InDatabase(tmp_path).store for _ in range(2)]
        first, second = (Mirror(pinwheel, store, debounce_s=0.01) for store in stores)
        async with (
            receiving(tmp_path, first) as (url, inbox),
            receiving(tmp_path / "other", second) as (other_url, other_inbox),
        ):
            for address in (url, other_url):
                fake.subscribe(address)
            fake.webhook_faults(duplicate=0.3, reorder=0.3, delay=0.3)
            await live(fake, Random(0))
            await drained(inbox)
            await drained(other_inbox)
            await asyncio.gather(first.reconcile(), second.reconcile())
        ours, theirs = await copy.contents(pinwheel)

        assert theirs == ours


async def test_burst(tmp_path: Path):
    """Twenty-seven batches of one account that come at once cost two requests, and all their announcements are kept."""
    settled = asyncio.Event()

    async def sleep(_: float) -> None:
        await settled.wait()

    async with (
        FakePinwheel(accounts=1) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        account_id = fake.world.account_id(0)
        fake.world.recast(account_id, paystubs=27)
        mirror = Mirror(pinwheel, SqlSink(f"sqlite:///{tmp_path}/mirror.db"), clock=Clock(sleep=sleep))
        async with receiving(tmp_path, mirror) as (url, inbox):
            fake.subscribe(url)
            for paystub in fake.world.records(account_id, "paystubs"):
                await fake.deliver("paystubs.added", account_id=account_id, added=[{"id": paystub["id"]}])
            fake.clear_records()
            settled.set()
            await drained(inbox)
            entries = await mirror.completeness(account_id)

        assert {"get_account": 1, "list_paystubs": 1} == fake.counts
        assert (27, 27, True) == (entries["paystubs"].announced, entries["paystubs"].held, entries["paystubs"].complete)


async def test_postgresql(tmp_path: Path, postgres: str):
    """In PostgreSQL a reconciled copy is such that fetching everything again changes no row."""
    async with (
        FakePinwheel(accounts=4) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        mirror = Mirror(pinwheel, SqlSink(postgres), debounce_s=0.01)
        async with receiving(tmp_path, mirror) as (url, inbox):
            fake.subscribe(url)
            fake.webhook_faults(duplicate=0.3, reorder=0.3, delay=0.3, lose=0.3, corrupt=0.2)
            await live(fake, Random(0))
            await drained(inbox)
            await mirror.reconcile()
        before = await contents(postgres)
        await sync(pinwheel, SqlSink(postgres), changed_only=False)

        assert before["paystubs"]
        assert before == await contents(postgres)
