"""A fake on loopback, a client that does not repeat itself, and sinks that behave in a certain way."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pinwheel_async import Pinwheel, RetryPolicy
from pinwheel_async._core.converter import encode
from pinwheel_async._core.model import Model
from pinwheel_async.sync import Batch, MemorySink, MemoryStore, SqlSink, Store
from pinwheel_async.sync._sink import without_link
from pinwheel_async.testing import FakePinwheel

Shown = Callable[[Any], Any]


@pytest.fixture
async def fake() -> AsyncIterator[FakePinwheel]:
    """A fake with 12 accounts."""
    async with FakePinwheel(accounts=12) as running:
        yield running


@pytest.fixture
async def pinwheel(fake: FakePinwheel) -> AsyncIterator[Pinwheel]:
    """A client that tries everything once."""
    retry = RetryPolicy(attempts=1)
    async with Pinwheel(fake.api_secret, base_url=fake.base_url, retry=retry) as opened:
        yield opened


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that does not exist yet."""
    return f"sqlite+aiosqlite:///{tmp_path / 'payroll.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of a database of either kind. That of PostgreSQL has the tables of a copy, unless it is to be empty."""
    kinds = {"sqlite": "url", "postgresql": "postgres_copy", "empty-postgresql": "postgres"}
    return request.getfixturevalue(kinds[request.param])


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """A connection of a reader's own."""
    opened = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    yield opened
    await opened.dispose()


@pytest.fixture
def shown() -> Shown:
    """Turn a model into plain values, without its link to a file, which differs at every call."""

    def show(model: Model) -> Any:
        return json.loads(encode(without_link(model), nulls=True))

    return show


class Gated(MemorySink):
    """A sink that keeps every page waiting until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = 0
        self.peak = 0
        self.closed: list[bool] = []

    async def write(self, batch: Batch) -> None:
        self.waiting += 1
        self.peak = max(self.peak, self.waiting)
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        await super().write(batch)

    async def close(self, *, complete: bool) -> None:
        self.closed.append(complete)


@pytest.fixture
def gated() -> Gated:
    """A sink that keeps every page waiting until it is opened."""
    return Gated()


@pytest.fixture
def settle() -> Callable[[Callable[[], object]], Any]:
    """Let the loop turn until what a function returns has not changed for a while."""

    async def wait(look: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            seen, same = look(), 0
            while same < 20:
                await asyncio.sleep(0.01)
                now = look()
                seen, same = now, same + 1 if now == seen else 0

    return wait


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, url: str) -> Callable[..., Store]:
    """Return a store; what one of them holds, the next one holds, too."""
    if request.param == "memory":
        kept = MemoryStore()

        def give(*, change_scope: bool = False) -> Store:
            kept._change_scope = change_scope
            return kept

        return give
    return lambda **options: SqlSink(url, **options)
