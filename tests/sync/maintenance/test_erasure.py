"""Erasure: what was removed does not come back, whatever runs, until it is lifted."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import Pinwheel, SinkError
from pinwheel_async.events import AccountAdded, Event, PaystubsAdded
from pinwheel_async.sync import (
    Announcement,
    Batch,
    FailedProduct,
    MemorySink,
    MemoryStore,
    Mirror,
    SqlSink,
    lift_erasure,
    purge,
    status,
    sync,
)
from pinwheel_async.testing import FakePinwheel, make_event
from pinwheel_async.webhooks import Readiness, SqliteInbox
from tests.sync.handling import handle_event

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GONE = 3
"""Which account is erased."""


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Return a store; what one of them holds, the next one holds, too."""
    if request.param == "memory":
        kept = MemoryStore()
        return lambda: kept
    url = request.getfixturevalue("url" if request.param == "sqlite" else "postgres")
    return lambda: SqlSink(url)


@pytest.fixture
def gone(fake: FakePinwheel) -> str:
    """The account that is erased."""
    return fake.world.account_id(GONE)


async def using(store: Any, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Do something with a store that is open meanwhile."""
    await store.open()
    try:
        return await work(store)
    finally:
        await store.close(complete=True)


def asked_for(fake: FakePinwheel, account_id: str) -> list[str]:
    """Return the operations that were called for an account."""
    return [request.operation for request in fake.requests if account_id in request.path]


@pytest.mark.parametrize("by_id", [False, True])
async def test_no_sync_brings_it_back(
    pinwheel: Pinwheel, fake: FakePinwheel, store: Callable[[], Any], gone: str, *, by_id: bool
):
    """A sync asks for nothing of an erased account, listed or named, stores nothing of it, and counts it."""
    await sync(pinwheel, store())
    await using(store(), lambda opened: opened.purge(gone))
    fake.requests.clear()

    report = await sync(pinwheel, store(), accounts=[gone] if by_id else None, changed_only=False)

    assert (1, 0 if by_id else 11, True) == (report.erased, report.accounts, report.ok)
    assert not asked_for(fake, gone)
    assert not await using(store(), lambda opened: opened.held(gone, "paystubs"))
    assert not await using(store(), lambda opened: opened.checkpoints([gone]))


async def test_a_sync_that_is_under_way(pinwheel: Pinwheel, store: Callable[[], Any], gone: str):
    """Pages of an erased account that were fetched before are not stored, and its neighbours are."""
    memory = MemorySink()
    await sync(pinwheel, memory)

    async def write(opened: Any) -> None:
        await opened.purge(gone)
        await asyncio.gather(*[opened.write(batch) for batch in memory.batches])

    await using(store(), write)
    checkpoints = await using(
        store(), lambda opened: opened.checkpoints([batch.account_id for batch in memory.batches if batch.account_id])
    )

    assert gone not in {account_id for account_id, _ in checkpoints}
    assert len({account_id for account_id, _ in checkpoints}) == 11
    listed = await using(store(), lambda opened: opened.account_ids())
    assert gone not in listed
    assert len(listed) == 11


async def test_the_writer_process(pinwheel: Pinwheel, url: str, gone: str, monkeypatch: pytest.MonkeyPatch):
    """A process of its own that writes leaves erased accounts out, too."""
    monkeypatch.setattr("pinwheel_async.sync._sql.writer_process.PAGES_BEFORE_START", 0)
    await sync(pinwheel, SqlSink(url))
    await purge(url, account_id=gone)
    await sync(pinwheel, SqlSink(url, writer_process=True), changed_only=False)

    assert not any((await using(SqlSink(url), lambda opened: opened.remains(gone))).values())


async def test_failures_announcements_and_values(store: Callable[[], Any], gone: str):
    """Nor are failures, announcements and values of an erased account kept; those of others are."""

    def announcement(account_id: str) -> Announcement:
        return Announcement(
            event_id=account_id, event="e", account_id=account_id, product="shifts", announced_at=NOW, received_at=NOW
        )

    def failure(account_id: str) -> FailedProduct:
        return FailedProduct(account_id=account_id, product="shifts", error="E", first_at=NOW, last_at=NOW)

    keys = [f"mirror:verified:{account_id}:shifts" for account_id in (gone, "other")]

    async def keep(opened: Any) -> tuple[Any, Any, Any]:
        await opened.save(keys[0], b"before")
        await opened.purge(gone)
        values = [await opened.load_all(keys)]
        await opened.save(keys[0], b"x")
        await opened.save_all(dict.fromkeys(keys, b"x"))
        values.append(await opened.load_all(keys))
        for account_id in (gone, "other"):
            await opened.announce(announcement(account_id))
        await opened.add_failures([failure(gone)])
        await opened.add_failures([failure(gone), failure("other")])
        lists = [(some.account_id, some.product) for some in await opened.announced_lists()]
        return lists, [kept.account_id for kept in await opened.failures()], values

    assert ([("other", "shifts")], ["other"], [{}, {keys[1]: b"x"}]) == await using(store(), keep)


async def test_values_of_an_odd_id(store: Callable[[], Any]):
    """Nor is a value of an erased account whose id has colons in it; values of ids that are a part of that are kept."""
    ids = ["a:b", "a", "b", "a:b:c"]
    keys = [f"mirror:verified:{account_id}:shifts" for account_id in ids]

    async def keep(opened: Any) -> set[str]:
        await opened.purge("a:b")
        await opened.save(keys[0], b"x")
        await opened.save_all(dict.fromkeys(keys, b"x"))
        return {*await opened.load_all(keys)}

    assert {*keys[1:3]} == await using(store(), keep)


@pytest.mark.parametrize("kind", [AccountAdded, PaystubsAdded])
async def test_no_event_brings_it_back(
    pinwheel: Pinwheel, fake: FakePinwheel, store: Callable[[], Any], gone: str, kind: type[Event]
):
    """A mirror asks for nothing of an erased account, whatever event names it."""
    await using(store(), lambda opened: opened.purge(gone))
    event = make_event(kind, account_id=gone)

    async with Mirror(pinwheel, store(), debounce_s=0) as mirror:
        await handle_event(mirror, event, event_id="event", received_at=datetime.now(UTC) - timedelta(hours=1))
        handlers = mirror.router.matching(event)
        announced = await mirror.completeness(gone)

    assert handlers
    assert not announced
    assert not asked_for(fake, gone)


async def test_reconcile_leaves_it_out(pinwheel: Pinwheel, fake: FakePinwheel, store: Callable[[], Any], gone: str):
    """Reconciling asks for nothing of an erased account, though it is listed and has jobs."""
    await sync(pinwheel, store())
    await using(store(), lambda opened: opened.purge(gone))
    fake.requests.clear()

    async with Mirror(pinwheel, store()) as mirror:
        found = await mirror.reconcile(since=NOW - timedelta(days=3_000))

    assert (True, 11) == (found.ok, found.accounts)
    assert not asked_for(fake, gone)


async def test_everywhere_at_once(pinwheel: Pinwheel, fake: FakePinwheel, database: str, tmp_path: Path, gone: str):
    """What `purge` removed stays away from copy and readiness until it is lifted; then it is fetched as before."""
    inbox = SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    readiness = Readiness(inbox)
    await sync(pinwheel, SqlSink(database))
    before = await using(SqlSink(database), lambda sink: sink.remains(gone))
    await purge(database, account_id=gone, inbox=inbox)
    await sync(pinwheel, SqlSink(database))
    await readiness._store.record(make_event(AccountAdded, account_id=gone))
    after = await using(SqlSink(database), lambda sink: sink.remains(gone))
    known = await readiness._store.read(gone)
    erased = (await status(database)).erased

    threads = {*threading.enumerate()}
    lifted = [await lift_erasure(database, account_id=gone, inbox=inbox) for _ in range(2)]
    assert {*threading.enumerate()} <= threads  # nothing that it opened is left open
    await sync(pinwheel, SqlSink(database))
    await readiness._store.record(make_event(AccountAdded, account_id=gone))
    again = await using(SqlSink(database), lambda sink: sink.remains(gone))
    known_again = await readiness._store.read(gone)
    await inbox.close()

    assert any(before.values())
    assert not any(after.values())
    assert ((None, None), 1, [True, False]) == (known, erased, lifted)
    assert before == again
    assert known_again != (None, None)
    assert 0 == (await status(database)).erased


async def test_no_id_stands_for_it(pinwheel: Pinwheel, database: str, gone: str):
    """What is kept of an erased account is not its id, and not the same in two copies."""
    hashes: list[str] = []
    for prefix in ("", "pw_"):
        await using(SqlSink(database, prefix=prefix), lambda sink: sink.purge(gone))
        engine = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"), hide_parameters=True)
        async with engine.connect() as connection:
            hashes += await connection.scalars(text(f"SELECT hash FROM {prefix}pinwheel_erasures"))  # noqa: S608
        await engine.dispose()

    assert len({*hashes, gone}) == 3


async def test_an_end_user_of_before(pinwheel: Pinwheel, database: str, gone: str):
    """An account goes by an end user id that it had before, too."""
    account = await pinwheel.accounts.get(gone)
    for end_user_id in ("old", "new"):
        page = Batch(kind="accounts", account_id=None, items=(attrs.evolve(account, end_user_id=end_user_id),))
        await using(SqlSink(database), lambda sink, page=page: sink.write(page))

    assert (gone,) == (await purge(database, end_user_id="old")).accounts
    assert () == (await purge(database, end_user_id="new")).accounts


async def test_what_ended_half_way(pinwheel: Pinwheel, url: str, gone: str, monkeypatch: pytest.MonkeyPatch):
    """A removal that ends half-way can be done again by the same end user, and nothing comes back meanwhile."""
    await sync(pinwheel, SqlSink(url))
    account = await pinwheel.accounts.get(gone)

    async def broken(*_: object) -> dict[str, int]:
        raise SinkError("no", reason="disk")

    with monkeypatch.context() as patch:
        patch.setattr(SqlSink, "purge", broken)
        with pytest.raises(SinkError, match="disk"):
            await purge(url, end_user_id=account.end_user_id)
    await sync(pinwheel, SqlSink(url), changed_only=False)

    assert gone in (await purge(url, end_user_id=account.end_user_id)).accounts


async def test_what_postgresql_still_holds(pinwheel: Pinwheel, postgres: str, url: str, gone: str):
    """Of a PostgreSQL server it is said what holds removed rows longer; of a SQLite file nothing does."""
    for database in (postgres, url):
        await sync(pinwheel, SqlSink(database))
    places = [(await purge(database, account_id=gone)).out_of_reach for database in (postgres, url)]

    assert ["dead rows", "the write-ahead log"] == [
        place.partition(",")[0].removesuffix(" on the disk") for place in places[0][:2]
    ]
    assert () == places[1]
