"""A PostgreSQL server that says nothing any more, though its connections are open: frozen, or behind a dead network."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest
from sqlalchemy import make_url

from pinwheel_async import Pinwheel, SinkError
from pinwheel_async.sync import Batch, Fleet, SqlSink, status, sync
from pinwheel_async.testing import make_account

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

pytestmark = pytest.mark.timeout(120)


class Silence:
    """A way to a server that carries everything, until it swallows everything."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._writers: list[asyncio.StreamWriter] = []
        self.begun = asyncio.Event()
        self.swallowed = asyncio.Event()
        """Set when something was said after the silence had begun."""
        self.carried = 0
        """Bytes that went either way."""

    async def start(self) -> str:
        """Return the URL of the way."""
        self.server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return self._target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection(self._target.host, self._target.port or 5432)
        self._writers += [writer, to_there]
        with suppress(OSError):
            await asyncio.gather(self._carry(reader, to_there), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self.begun.is_set():
                self.swallowed.set()
            else:
                self.carried += len(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def stop(self) -> None:
        self.server.close()
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def silence(postgres: str) -> AsyncIterator[Silence]:
    """A way to a server."""
    way = Silence(postgres)
    yield way
    await way.stop()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every limit be short."""
    monkeypatch.setattr("pinwheel_async.sync._sql.sink._LEAST_LIMIT_S", 2.0)
    monkeypatch.setattr("pinwheel_async.sync._sql.sink._CLOSE_S", 2.0)
    monkeypatch.setattr("pinwheel_async.sync._sql.database._GOODBYE_S", 0.2)
    monkeypatch.setattr("pinwheel_async.sync._run.work_queue.STOP_S", 2.0)


def accounts() -> Batch:
    return Batch(kind="accounts", account_id=None, items=(make_account(0),))


async def test_a_limit(silence: Silence):
    """A page and a value end within a limit, with an error that names host and database."""
    url = await silence.start()
    sink = SqlSink(url, patience_s=0)
    await sink.open()
    silence.begun.set()

    named = rf"\(127.0.0.1:{make_url(url).port}/{make_url(url).database}\): the server does not answer"
    for work in (sink.write(accounts()), sink.load("key")):
        with pytest.raises(SinkError, match=named):
            await work
    await sink.close(complete=True)


async def test_what_may_take_long(silence: Silence):
    """A purge has no limit of its own, and ends with the sink."""
    sink = SqlSink(await silence.start(), patience_s=0)
    await sink.open()
    silence.begun.set()
    purging = asyncio.ensure_future(sink.purge("account"))
    done, _ = await asyncio.wait([purging], timeout=3)  # longer than the limit of others
    assert not done
    await sink.close(complete=True)

    with pytest.raises(SinkError, match="does not answer"):
        await purging


async def test_a_write_that_is_given_up(silence: Silence):
    """Who is cancelled while the server says nothing is not kept waiting, and the sink closes."""
    sink = SqlSink(await silence.start())
    await sink.open()
    silence.begun.set()
    waiting = asyncio.ensure_future(sink.load("key"))
    async with asyncio.timeout(20):
        await silence.swallowed.wait()
    waiting.cancel()

    async with asyncio.timeout(20):
        await asyncio.wait([waiting])
        await sink.close(complete=True)
    assert waiting.cancelled()


@pytest.mark.parametrize(
    ("carried", "process"),
    [(50_000, False), (200_000, False), (200_000, True)],
    ids=["makes-tables", "stores", "stores-by-process"],
)
async def test_a_sync_that_is_asked_to_stop(
    pinwheel: Pinwheel, silence: Silence, monkeypatch: pytest.MonkeyPatch, carried: int, *, process: bool
):
    """A sync ends when it is asked to, whatever the server says: while it opens, or where another process writes."""
    monkeypatch.setattr("pinwheel_async.sync._sql.writer_process.PAGES_BEFORE_START", 0)
    monkeypatch.setattr("pinwheel_async.sync._sql.writer_process._CLOSE_S", 2.0)
    url, stop = await silence.start(), asyncio.Event()
    running = asyncio.create_task(sync(pinwheel, SqlSink(url, writer_process=process), stop=stop))
    while silence.carried < carried and not running.done():
        await asyncio.sleep(0.01)
    silence.begun.set()
    assert not running.done()
    began = time.monotonic()
    stop.set()
    with suppress(SinkError):
        await running

    assert time.monotonic() - began < 60


async def test_a_fleet_that_is_asked_to_stop(pinwheel: Pinwheel, silence: Silence):
    """A process of a fleet that makes tables ends when it is asked to, whatever the server says."""
    url, stop = await silence.start(), asyncio.Event()
    running = asyncio.create_task(Fleet(pinwheel, SqlSink(url)).sync(stop=stop))
    while silence.carried < 50_000 and not running.done():
        await asyncio.sleep(0.01)
    silence.begun.set()
    stop.set()

    async with asyncio.timeout(60):
        with pytest.raises(SinkError, match="did not open"):
            await running


async def test_to_open_and_to_look(silence: Silence):
    """A sink that opens, and what reads a copy, can be cancelled while the server says nothing."""
    url = await silence.start()
    silence.begun.set()
    for work in (SqlSink(url, patience_s=0).open(), status(url)):
        silence.swallowed.clear()
        waiting = asyncio.ensure_future(work)
        async with asyncio.timeout(20):
            await silence.swallowed.wait()
        waiting.cancel()
        async with asyncio.timeout(20):
            await asyncio.wait([waiting])


async def test_cancelled_at_its_beginning(postgres):
    """Whatever a sink is doing when its opening is cancelled, it leaves no connection behind."""
    for number in range(20):
        sink = SqlSink(postgres)
        opening = asyncio.create_task(sink.open())
        await asyncio.sleep(number * 0.002)
        opening.cancel()
        await asyncio.wait([opening])
        await sink.close(complete=False)
        gc.collect()  # which warns of connections that nobody has closed

    connection = await asyncpg.connect(postgres)
    async with asyncio.timeout(30):
        while await connection.fetchval(OTHERS):
            await asyncio.sleep(0.01)
    await connection.close()
