"""Clock of a store: over PostgreSQL all processes go by the server's, whatever the time is on their machines."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, tzinfo

import asyncpg
import pytest

from pinwheel_async import Pinwheel
from pinwheel_async._clock import Clock
from pinwheel_async.events import IncomeAdded
from pinwheel_async.sync import Mirror, SqlSink, _store_clock, sync
from pinwheel_async.sync._sql import queries
from pinwheel_async.sync._store_clock import StoreClock
from pinwheel_async.testing import FakePinwheel, Fault, make_event
from tests.sync.handling import handle_event

Machine = Callable[[], datetime]


@pytest.fixture
async def sql(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres)
    yield connection
    await connection.close()


@pytest.fixture(params=[-5, 5], ids=["behind", "ahead"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The wall clock of a machine that is wrong by some seconds."""

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=request.param)

    monkeypatch.setattr(_store_clock, "Clock", lambda: Clock(now=now))
    return now


async def handle(mirror: Mirror, fake: FakePinwheel, received_at: datetime) -> None:
    event = make_event(IncomeAdded, account_id=fake.world.account_id(0))
    await handle_event(mirror, event, received_at=received_at)


@pytest.mark.parametrize("by", ["database", "machine"])
async def test_news_after_a_reading(
    fake: FakePinwheel, pinwheel: Pinwheel, postgres: str, sql: asyncpg.Connection, machine: Machine, by: str
):
    """What is announced after a reading began is read, however wrong the machine is, and whoever said when it came."""

    async def now() -> datetime:
        return await sql.fetchval("SELECT clock_timestamp()") if by == "database" else machine()

    async with Mirror(pinwheel, SqlSink(postgres), debounce_s=0) as mirror:
        for _ in range(3):
            await handle(mirror, fake, await now())

    assert fake.counts["get_income"] == 3


async def test_a_burst(
    fake: FakePinwheel, pinwheel: Pinwheel, postgres: str, sql: asyncpg.Connection, machine: Machine
):
    """What was announced long before a reading began is covered by it."""
    received_at = await sql.fetchval("SELECT clock_timestamp()") - timedelta(seconds=30)
    async with Mirror(pinwheel, SqlSink(postgres), debounce_s=0) as mirror:
        for _ in range(3):
            await handle(mirror, fake, received_at)

    assert fake.counts["get_income"] == 1


async def test_sync(pinwheel: Pinwheel, postgres: str, sql: asyncpg.Connection, machine: Machine):
    """A sync notes when its readings began as the server of the copy sees it."""
    before = await sql.fetchval("SELECT clock_timestamp()")
    await sync(pinwheel, SqlSink(postgres), products=["income"])
    after = await sql.fetchval("SELECT clock_timestamp()")
    first, last = await sql.fetchrow("SELECT min(begun_at), max(begun_at) FROM pinwheel_checkpoints")

    assert before <= first <= last <= after


async def test_changes(
    fake: FakePinwheel,
    pinwheel: Pinwheel,
    postgres: str,
    sql: asyncpg.Connection,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
):
    """Objects and the log of changes say when they were stored and removed as the server of the copy sees it."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return machine().astimezone(tz)

    monkeypatch.setattr(queries, "datetime", Wrong)
    before = await sql.fetchval("SELECT clock_timestamp()")
    listed = [json.loads(entry.body) for entry in fake.world.accounts(None)]
    for accounts in (listed, listed[1:], listed[1:]):  # who is missing in two lists is believed to be gone
        meta = {"count": len(accounts), "next_cursor": None}
        fake.script(Fault(json={"data": accounts, "meta": meta}), operation="list_accounts")
        await sync(pinwheel, SqlSink(postgres, history=True), products=["income"])
    after = await sql.fetchval("SELECT clock_timestamp()")
    first, last = await sql.fetchrow(
        "SELECT min(least(first_seen_at, changed_at)), max(greatest(first_seen_at, changed_at)) FROM accounts"
    )
    first_logged, last_logged = await sql.fetchrow("SELECT min(changed_at), max(changed_at) FROM pinwheel_changes")

    assert before <= first <= last <= after
    assert before <= first_logged <= last_logged <= after


async def test_a_file(pinwheel: Pinwheel, url: str, machine: Machine):
    """A copy in a file goes by the machine that it is on."""
    before = machine()
    sink = SqlSink(url)
    await sync(pinwheel, sink, products=["income"])
    await sink.open()
    account_ids = await sink.account_ids()
    begun = [checkpoint.begun_at for checkpoint in (await sink.checkpoints(account_ids)).values()]
    await sink.close(complete=True)

    assert before <= min(begun) <= max(begun) <= machine()


class Server:
    """A store whose server answers late, some of the time before it looked at its clock and the rest after."""

    def __init__(self) -> None:
        self.now_s, self.before_s, self.after_s = 100.0, 0.0, 0.0

    def at(self, seconds: float) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)

    async def server_now(self) -> datetime:
        self.now_s += self.before_s
        found = self.at(self.now_s)
        self.now_s += self.after_s
        return found


@pytest.mark.parametrize(("before_s", "after_s"), [(0.0, 2.0), (2.0, 0.0), (1.0, 1.0)])
async def test_slow_answers(monkeypatch: pytest.MonkeyPatch, before_s: float, after_s: float):
    """However slow an answer is, the time is never ahead of the server's, and does not go back."""
    server = Server()
    monkeypatch.setattr(_store_clock, "Clock", lambda: Clock(monotonic=lambda: server.now_s))
    clock = StoreClock(server, None)
    await clock.refresh()
    server.before_s, server.after_s = before_s, after_s
    server.now_s += 60
    before = clock.clock.now()
    await clock.refresh()

    assert before <= clock.clock.now() == server.at(server.now_s)


async def test_a_clock_that_was_far_ahead(monkeypatch: pytest.MonkeyPatch):
    """A server whose clock was set back is followed."""
    server = Server()
    monkeypatch.setattr(_store_clock, "Clock", lambda: Clock(monotonic=lambda: server.now_s))
    clock = StoreClock(server, None)
    await clock.refresh()
    server.at = lambda seconds: datetime(2025, 12, 31, tzinfo=UTC) + timedelta(seconds=seconds)  # type: ignore[method-assign]
    server.now_s += 60
    await clock.refresh()

    assert clock.clock.now() == server.at(server.now_s)


async def test_asked_once_a_minute(monkeypatch: pytest.MonkeyPatch):
    """The server is not asked again within a minute."""
    server = Server()
    monkeypatch.setattr(_store_clock, "Clock", lambda: Clock(monotonic=lambda: server.now_s))
    clock = StoreClock(server, None)
    asked = []
    clock._ask = lambda: asked.append(server.now_s) or server.server_now()
    for _ in range(4):
        await clock.refresh()
        server.now_s += 30

    assert asked == [100, 160]
