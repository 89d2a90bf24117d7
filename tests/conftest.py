"""Fixtures of all tests: a scripted loopback server, a clock driven by hand, mocked answers, a PostgreSQL database."""

import asyncio
import functools
import gc
import inspect
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from aioresponses import CallbackResult, aioresponses
from attrs import Factory, define, frozen
from sqlalchemy import make_url
from yarl import URL

from pinwheel_async._clock import Clock
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._http.caller import HttpCaller
from pinwheel_async._http.prepare import Secret
from pinwheel_async.settings import Settings
from pinwheel_async.sync import SqlSink

from . import brokers
from .pgbouncer import PROGRAM, pgbouncer as start_pgbouncer
from .servers import free_port

# A shell without job control lets what it starts in the background ignore SIGINT. So would every process that a test
# starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SECRET = "planted-secret-4711"

POSTGRES = make_url(os.environ.get("PINWHEEL_ASYNC_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres"))
"""A database from which others can be made."""


@frozen
class Arrival:
    """A request as the server saw it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = web.Response | Callable[[web.Request], Awaitable[web.StreamResponse]]


@define
class Site:
    """A server on loopback that gives its answers in order, and the last one for ever."""

    base_url: str
    answers: list[Answer]
    arrivals: list[Arrival] = Factory(list)

    def take(self, arrival: Arrival) -> Answer:
        """Keep a request and return the answer to it."""
        self.arrivals.append(arrival)
        return self.answers[min(len(self.arrivals), len(self.answers)) - 1]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = self.take(Arrival(request.method, request.path_qs, headers, await request.read()))
        if isinstance(answer, web.Response):
            # A response object can be sent once.
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        return await answer(request)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """Start servers; every one is stopped at the end."""
    runners: list[web.AppRunner] = []

    async def start(*answers: Answer, ssl_context: ssl.SSLContext | None = None) -> Site:
        app = web.Application()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        runners.append(runner)
        site = Site("", list(answers))
        app.router.add_route("*", "/{tail:.*}", site.handle)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start()
        site.base_url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        return site

    yield start
    for runner in runners:
        await runner.cleanup()


class _Alarm:
    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeTime:
    """Clock that moves only by `advance`, or by a sleep in it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.start = datetime(2026, 1, 1, tzinfo=UTC)
        self.slept: list[float] = []
        self.luck = 0.5
        self._alarms: list[_Alarm] = []

    @property
    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.now,
            now=lambda: self.start + timedelta(seconds=self.now - 1000),
            sleep=self.sleep,
            call_later=self.call_later,
            random=lambda: self.luck,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> _Alarm:
        alarm = _Alarm(self.now + delay_s, callback)
        self._alarms.append(alarm)
        return alarm

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [alarm for alarm in self._alarms if alarm.callback and alarm.due <= end]:
            first = min(due, key=lambda alarm: alarm.due)
            self._alarms.remove(first)
            self.now = max(self.now, first.due)
            if first.callback:
                first.callback()
        self.now = end


@pytest.fixture
def time() -> FakeTime:
    """A clock at 1000 s, whose wall clock says 2026-01-01 00:00 UTC."""
    return FakeTime()


@pytest.fixture
async def connect(time: FakeTime) -> AsyncIterator[Callable[..., Awaitable[HttpCaller]]]:
    """Open callers in fake time; every one is closed at the end."""
    callers: list[HttpCaller] = []

    async def start(
        base_url: str, *, session: aiohttp.ClientSession | None = None, clock: Clock | None = None, **settings: Any
    ) -> HttpCaller:
        settings.setdefault("retry", RetryPolicy(attempts=3, base_s=2.0))
        caller = HttpCaller(
            Secret(SECRET), Settings(base_url=base_url, **settings), session=session, clock=clock or time.clock
        )
        callers.append(caller)
        await caller.open()
        return caller

    yield start
    for caller in callers:
        await caller.close()


# aioresponses 0.7 does not know that aiohttp 3.14 asks for a `stream_writer`.
_WANTED = inspect.signature(aiohttp.ClientResponse.__init__).parameters
_MISSING = {"stream_writer": Mock(output_size=0)} if "stream_writer" in _WANTED else {}


class MockedResponse(aiohttp.ClientResponse):
    """What aioresponses makes, with the arguments that it leaves out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**_MISSING, **kwargs})


@pytest.fixture
def mocked() -> Iterator[aioresponses]:
    """Answers without a network: aioresponses takes the place of aiohttp's requests."""
    with aioresponses() as mock:
        mock.add = functools.partial(mock.add, response_class=MockedResponse)  # type: ignore[method-assign]  # a shim
        yield mock


@pytest.fixture
def mock_site(mocked: aioresponses) -> Callable[..., Site]:
    """Stand-in for `serve` where no socket is needed: everything down to aiohttp's requests is real.

    Not for what a target looks like on the wire: aioresponses sorts its query and decodes some of its characters.
    """

    def start(*answers: Answer) -> Site:
        site = Site("https://api.example", list(answers))

        async def handle(method: str, url: URL, **sent: Any) -> CallbackResult:
            await asyncio.sleep(0)  # as over a network, other tasks run before the answer is there
            headers = {name.lower(): value for name, value in sent["headers"].items()}
            answer = site.take(Arrival(method, url.raw_path_qs, headers, sent["data"] or b""))
            response = answer if isinstance(answer, web.Response) else await answer(Mock())
            assert isinstance(response, web.Response)
            return CallbackResult(
                status=response.status,
                body=bytes(response.body or b""),
                headers=dict(response.headers),
                response_class=MockedResponse,
            )

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            callback = functools.partial(handle, method)
            mocked.add(re.compile(re.escape(site.base_url)), method=method, callback=callback, repeat=True)
        return site

    return start


def pytest_collection_finish() -> None:
    """Take the tests themselves, 700 MB, out of every later search for garbage, a tenth of the time of all tests."""
    gc.collect()
    gc.freeze()


async def _drop(connection: asyncpg.Connection, database: str) -> None:
    """Drop a database; one that autovacuum has just begun to look at can be dropped by nobody else for a moment."""
    async with asyncio.timeout(60):
        while True:
            try:
                await connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            except asyncpg.InsufficientPrivilegeError:
                await asyncio.sleep(0.1)
            else:
                return


async def _create(connection: asyncpg.Connection, database: str, template: str = "template1") -> None:
    await _drop(connection, database)
    await connection.execute(f"CREATE DATABASE {database} TEMPLATE {template}")


async def _connect() -> asyncpg.Connection:
    try:
        return await asyncpg.connect(POSTGRES.render_as_string(hide_password=False))
    except (OSError, asyncpg.PostgresError):
        pytest.skip("no PostgreSQL at PINWHEEL_ASYNC_POSTGRES_URL")


async def _on_postgres(work: Callable[[asyncpg.Connection], Awaitable[object]]) -> None:
    connection = await _connect()
    try:
        await work(connection)
    finally:
        await connection.close()


def _in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine where an event loop may be running."""
    with ThreadPoolExecutor() as executor:
        executor.submit(lambda: asyncio.run(work)).result()


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[str]:
    """The URL of a PostgreSQL database for tests that make schemas of their own, dropped at the end of all tests."""
    name = f"pinwheel_async_shared_{os.getpid()}"
    _in_thread(_on_postgres(lambda connection: _create(connection, name)))
    yield POSTGRES.set(database=name).render_as_string(hide_password=False)
    _in_thread(_on_postgres(lambda connection: _drop(connection, name)))


@asynccontextmanager
async def _database(template: str = "template1") -> AsyncIterator[str]:
    name = f"pinwheel_async_{os.getpid()}"
    await _on_postgres(lambda connection: _create(connection, name, template))
    yield POSTGRES.set(database=name).render_as_string(hide_password=False)
    await _on_postgres(lambda connection: _drop(connection, name))


@pytest.fixture
async def postgres() -> AsyncIterator[str]:
    """The URL of an empty PostgreSQL database, dropped afterwards."""
    async with _database() as url:
        yield url


@pytest.fixture(scope="session")
def _copy_template() -> Iterator[str]:
    name = f"pinwheel_async_template_{os.getpid()}"
    url = POSTGRES.set(database=name).render_as_string(hide_password=False)

    _in_thread(_on_postgres(lambda connection: _create(connection, name)))
    _in_thread(SqlSink(url).migrate())
    yield name
    _in_thread(_on_postgres(lambda connection: _drop(connection, name)))


@pytest.fixture
async def postgres_copy(_copy_template: str) -> AsyncIterator[str]:
    """The URL of a PostgreSQL database with the tables of a copy, which take 0.3 s to make, and nothing in them."""
    async with _database(_copy_template) as url:
        yield url


@pytest.fixture
def pgbouncer() -> Callable[[str], AbstractAsyncContextManager[str]]:
    """Start PgBouncer in transaction mode in front of a database, for a block that is given its URL."""
    if PROGRAM is None:
        pytest.skip("no pgbouncer on PATH")
    return start_pgbouncer


@pytest.fixture
def nats_server() -> Callable[[Path], AbstractAsyncContextManager[str]]:
    """Run a NATS server for a block, which is given its URL; in one test, always the same URL."""
    if brokers.NATS is None:
        pytest.skip("no nats-server on PATH")
    return functools.partial(brokers.nats_server, port=free_port())


@pytest.fixture
def rabbitmq() -> Callable[[Path], AbstractAsyncContextManager[str]]:
    """Run a RabbitMQ node for a block, which is given its URL."""
    if brokers.RABBITMQ is None:
        pytest.skip("no RabbitMQ as Debian installs it")
    return functools.partial(brokers.rabbitmq, port=free_port())
