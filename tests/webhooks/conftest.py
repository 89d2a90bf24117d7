"""Deliveries to receive: made up, and signed as the API signs them; and a real server to receive them."""

import asyncio
import inspect
import itertools
import json
import logging
import re
import signal
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

import pytest
from aiohttp import ClientSession, web
from attrs import frozen

from pinwheel_async import Pinwheel
from pinwheel_async.events import Event
from pinwheel_async.events._base import _BY_NAME
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.webhooks import DeliveryFilter, MemoryInbox, Router, SqliteInbox, sign, webhook_app
from pinwheel_async.webhooks._delivery import make_delivery
from pinwheel_async.webhooks._worker import dispatch as _dispatch
from pinwheel_async.webhooks._worker.dispatch import Dispatcher
from pinwheel_async.webhooks._worker.worker import Worker

SECRET = "a-secret-of-tests"
STAMP = "1773760000"
GOOD = b'{"event_id": "good", "event": "moon.risen", "payload": {"account_id": "a"}}'
_ids = itertools.count(1)


def make_body(event="income.added", *, account_id="account-1", event_id=None, outcome="success", **payload):
    fields = {
        "id": "job-1",
        "name": "income",
        "timestamp": "2026-03-17T15:05:03.000001+00:00",
        "outcome": outcome,
        "error_code": None,
        "error_type": None,
        "link_token_id": "token-1",
        "params": {},
        "account_id": account_id,
        "end_user_id": "user-1",
    }
    envelope = {"event_id": event_id or f"event-{next(_ids)}", "event": event, "payload": fields | payload}
    return json.dumps(envelope).encode()


def make_headers(body, *, secret=SECRET, timestamp="1773760000"):
    return {
        "x-pinwheel-signature": sign(secret, timestamp, body),
        "x-timestamp": timestamp,
        "pinwheel-version": "2025-07-08",
        "x-pinwheel-webhook-id": "8a1f9f0e-3a55-4f6e-9c1e-1f1d5a0c7b10",
    }


class Sender:
    """Sends deliveries to a mounted receiver."""

    def __init__(self, session, url):
        self.session = session
        self.url = url
        self.port = int(url.split(":")[2].split("/")[0])

    async def send(self, body, headers=None, *, path="", method="POST"):
        sent = make_headers(body) if headers is None else headers
        async with self.session.request(method, self.url + path, data=body, headers=sent) as response:
            await response.read()
            return response


@asynccontextmanager
async def mounted(router, *, middlewares=(), server=None, **options):
    """Mount a receiver in an application with *middlewares*, on a server with the options *server*."""
    app = web.Application(middlewares=middlewares)
    app.add_subapp("/hooks", webhook_app(router, secrets=options.pop("secrets", [SECRET]), **options))
    runner = web.AppRunner(app, access_log=None, **(server or {}))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession() as session:
            yield Sender(session, f"http://127.0.0.1:{runner.addresses[0][1]}/hooks")
    finally:
        await runner.cleanup()


@pytest.fixture
def body():
    return make_body


@pytest.fixture
def headers():
    return make_headers


@pytest.fixture
def mount():
    return mounted


_schemas = itertools.count(1)


@pytest.fixture
def postgres_inbox(shared_postgres):
    """Make inboxes in PostgreSQL; in one test, all have the same tables."""
    from pinwheel_async.webhooks import PostgresInbox

    schema = f"test_{next(_schemas)}"

    def make(**settings):
        return PostgresInbox(shared_postgres, **({"schema": schema} | settings))

    make.url, make.schema = shared_postgres, schema
    return make


@pytest.fixture
def any_inbox(request, tmp_path, time):
    """Make an inbox of the kind that the test is parametrised with, in fake time."""

    def make(kind, **settings):
        match kind:
            case "memory":
                return MemoryInbox(**settings, clock=time.clock)
            case "sqlite":
                return SqliteInbox(tmp_path / "inbox.db", **settings, clock=time.clock)
            case "postgres":
                return request.getfixturevalue("postgres_inbox")(**settings, clock=time.clock)

    return make


class Work:
    """A worker in fake time: call it with handlers to start it."""

    def __init__(self, inbox, time):
        self.inbox = inbox
        self.time = time
        self.worker = None

    async def __call__(self, *handlers, **options):
        await self.inbox.open()
        router = Router()
        options.pop("prepare", lambda _: None)(router)
        for given in handlers:
            handler, settings = given if isinstance(given, tuple) else (given, {})
            router.on(_event_of(handler), **settings)(handler)
        router.freeze()
        dispatcher = Dispatcher(router, timeout_s=30, **{key: options.pop(key) for key in {"hold_stuck"} & {*options}})
        self.worker = Worker(self.inbox, dispatcher, clock=self.time.clock, **options)
        self.worker.start()

    async def put(self, *event_ids, **fields):
        for event_id in event_ids:
            body = make_body(event_id=event_id, **fields)
            await self.inbox.put(make_delivery({}, body, key="secret-1", received_at=self.time.clock.now()))

    async def until(self, predicate):
        """Wait until something is true; a bound, not a nap."""
        async with asyncio.timeout(10):
            while not (await found if inspect.isawaitable(found := predicate()) else found):
                await asyncio.sleep(0)

    async def settled(self):
        """Wait until nothing is left to do; return the counts."""

        async def over():
            counts = await self.inbox.counts()
            return not counts.waiting + counts.claimed and not self.worker._in_flight

        await self.until(over)
        return await self.inbox.counts()

    async def retry(self, seconds):
        """Wait until nothing runs and something waits, then let so much time pass, and wait until that has run."""
        failed = []

        async def tried():
            if not self.worker._in_flight:
                entries = await self.inbox.entries(DeliveryFilter(states="waiting"))
                failed.extend(entry for entry in entries if entry.attempts)
            return failed

        await self.until(tried)
        (entry,) = failed
        self.time.advance(seconds)

        async def run():
            self.inbox._notifier.notify()  # the worker may have been about to look when the time passed
            entries = await self.inbox.entries()
            # What is claimed may be on its way to the worker, which then does not know of it yet.
            return entry not in entries and all(found.state != "claimed" for found in entries)

        await self.until(run)


def _event_of(handler):
    return next(iter(inspect.signature(handler).parameters.values())).annotation


@pytest.fixture
def inbox(time):
    return MemoryInbox(clock=time.clock)


@pytest.fixture
async def work(inbox, time):
    """Start a worker; it is stopped at the end."""
    work = Work(inbox, time)
    yield work
    await work.worker.stop(0.01)
    await work.inbox.close()


@pytest.fixture
def grace(monkeypatch):
    """Handlers that ignore their cancellation are given up at once."""
    monkeypatch.setattr(_dispatch, "GRACE_S", 0.01)


@pytest.fixture
def variable():
    return ContextVar("variable", default=None)


@pytest.fixture
def upgraded():
    """Know one more event for a while, as a later version of the library may."""

    @contextmanager
    def know(**fields):
        kinds = {"a number": int, "text": str}
        namespace = {"__annotations__": {name: kinds[kind] for name, kind in fields.items()}}
        kind = frozen(kw_only=True, repr=False)(type("MoonRisen", (Event,), namespace))
        kind.NAME = "moon.risen"
        _BY_NAME["moon.risen"] = kind
        try:
            yield
        finally:
            del _BY_NAME["moon.risen"]

    return know


class Target:
    """A mounted receiver, and the log of the server around it."""

    def __init__(self, port, inbox, records):
        self.port = port
        self.inbox = inbox
        self.records = records

    @staticmethod
    def signature(body):
        return sign(SECRET, STAMP, body).encode()

    @staticmethod
    def request(body=GOOD, *, line="POST /hooks HTTP/1.1", headers=None, extra=(), drop=(), sent=None):
        """Write a request that is signed well, except for what is asked for."""
        given = {"Host": "x", "Connection": "close", "Content-Length": str(len(body))}
        given |= {"X-Pinwheel-Signature": sign(SECRET, STAMP, body), "X-Timestamp": STAMP} | (headers or {})
        lines = [line, *[f"{name}: {value}" for name, value in given.items() if name not in drop]]
        return b"\r\n".join([*[text.encode("latin-1") for text in lines], *extra, b"", body if sent is None else sent])

    async def send(self, *pieces, half_close=False, answers=1):
        """Send bytes; return the statuses of as many answers, or of those until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        statuses, answer = [], b""
        try:
            async with asyncio.timeout(10):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if half_close:
                    writer.write_eof()
                while len(statuses) < answers and (more := await reader.read(65536)):
                    answer += more
                    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-9]\d\d) ", answer)]
        except ConnectionError:
            pass  # it hung up before everything was sent
        finally:
            writer.close()
        return statuses

    async def unharmed(self):
        """Whether a good delivery is still taken, and nothing went wrong that would be logged with a traceback."""
        assert [200] == await self.send(self.request())
        return [record.getMessage() for record in self.records if record.exc_info and not _refused(record)]


def _refused(record):
    """Whether the server logged that it refused something which was not HTTP, before any application saw it."""
    return record.name == "aiohttp.server" and "aiohttp.http_exceptions" in type(record.exc_info[1]).__module__


@pytest.fixture
async def target(caplog):
    caplog.set_level(logging.DEBUG)
    router, inbox = Router(), MemoryInbox()

    @router.on(Event)
    async def handle(event: Event) -> None: ...

    async with mounted(router, inbox=inbox, max_body_bytes=1024 * 1024, read_timeout_s=0.2) as sender:
        yield Target(int(sender.url.split(":")[2].split("/")[0]), inbox, caplog.records)


@pytest.fixture
async def fake():
    async with FakePinwheel(accounts=3) as fake:
        yield fake


@pytest.fixture
async def pinwheel(fake):
    async with Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        yield pinwheel


@pytest.fixture
def sigint_handled():
    """Handle SIGINT, as servers do, so that a `KeyboardInterrupt` can only be somebody's own."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)
