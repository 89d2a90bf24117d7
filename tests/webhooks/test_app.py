"""The sub-application on a real socket: every input gets its status."""

import asyncio
import json
import logging
import time
import traceback

import pytest
from aiohttp import web

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import Context, MemoryInbox, Router, webhook_app
from pinwheel_async.webhooks._delivery import Delivery


@pytest.fixture
def handled():
    return []


@pytest.fixture
def router(handled):
    router = Router()

    @router.on(Event)
    async def on_event(event: Event, context: Context) -> None:
        handled.append((event, context))

    return router


async def until(predicate, timeout_s=5.0):
    """Wait until something is true; a bound, not a nap."""
    async with asyncio.timeout(timeout_s):
        while not predicate():
            await asyncio.sleep(0)


@pytest.mark.parametrize("path", ["", "/"])
async def test_authentic(mount, router, handled, body, path):
    """A signed delivery is answered 200, with and without a trailing slash, and handled."""
    async with mount(router, inbox=MemoryInbox()) as sender:
        answer = await sender.send(body(), path=path)
        await until(lambda: handled)

    event, context = handled[0]
    assert 200 == answer.status
    assert IncomeAdded is type(event)
    assert (event.event_id, 1, "2025-07-08") == (context.event_id, context.attempt, context.version)


async def test_what_passes_through(mount, router, body):
    """What is no error and passes through the receiver holds nothing of the delivery in the frames of the library."""

    class Ended(BaseException):
        """As a cancellation is, or the end of the program."""

    class Ending(MemoryInbox):
        async def put(self, delivery):
            raise Ended

    frames = []

    @web.middleware
    async def watch(request, handler):
        try:
            return await handler(request)
        except Ended as ended:
            frames.extend(traceback.walk_tb(ended.__traceback__))
            return web.Response(status=418)

    async with mount(router, inbox=Ending(), middlewares=[watch]) as sender:
        answer = await sender.send(body(event_id="event-4711"))

    ours = [frame for frame, _ in frames if "/pinwheel_async/webhooks/" in frame.f_code.co_filename]
    assert 418 == answer.status
    assert {"receive", "take", "_put"} <= {frame.f_code.co_name for frame in ours}
    assert [] == [name for frame in ours for name, value in frame.f_locals.items() if "4711" in str(value)]
    assert [] == [name for frame in ours for name, value in frame.f_locals.items() if isinstance(value, Delivery)]


async def test_named_secrets(mount, router, handled, body, headers):
    """Handlers learn which of several secrets signed."""
    secrets = {"old": "the-old-secret", "sandbox": "the-sandbox-secret"}
    async with mount(router, secrets=secrets, inbox=MemoryInbox()) as sender:
        content = body()
        answer = await sender.send(content, headers(content, secret="the-sandbox-secret"))
        await until(lambda: handled)

    assert 200 == answer.status
    assert "sandbox" == handled[0][1].key


@pytest.mark.parametrize(("away_s", "status"), [(0, 200), (-3600, 401), (3600, 401)])
async def test_age_limit(mount, router, body, headers, away_s, status):
    """With an age limit, what was signed too long ago or too far ahead is answered 401."""
    async with mount(router, inbox=MemoryInbox(), max_age_s=600) as sender:
        content = body()
        answer = await sender.send(content, headers(content, timestamp=str(int(time.time()) + away_s)))

    assert status == answer.status


async def test_not_authentic(mount, router, handled, body, headers):
    """A body that is not the one that was signed is answered 401 and not stored."""
    inbox = MemoryInbox()
    async with mount(router, inbox=inbox) as sender:
        answer = await sender.send(body(), headers(body()))
        counts = await inbox.counts()

    assert 401 == answer.status
    assert 0 == counts.waiting + counts.done


async def test_unknown_event(mount, router, handled, body):
    """An unknown event is answered 200 and handled as such."""
    async with mount(router) as sender:
        answer = await sender.send(body("moon.risen"))

    assert 200 == answer.status
    assert ("moon.risen", "account-1") == (handled[0][0].event, handled[0][0].payload["account_id"])


async def test_repetition(mount, router, handled, body):
    """A delivery whose event id is known is answered 200 and not handled again."""
    inbox = MemoryInbox()
    async with mount(router, inbox=inbox) as sender:
        content = body()
        statuses = [(await sender.send(content)).status for _ in range(3)]
        await sender.send(body())
        await until(lambda: len(handled) == 2)

    assert [200, 200, 200] == statuses
    assert 2 == len({event.event_id for event, _ in handled})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods(mount, router, method):
    """Other methods are answered 405."""
    async with mount(router, inbox=MemoryInbox()) as sender:
        assert 405 == (await sender.send(b"", {}, method=method)).status


async def test_the_limit_is_inclusive(mount, router, body):
    """A body of exactly the limit is taken, although aiohttp's own limit for the application is another."""
    content = body()
    async with mount(router, inbox=MemoryInbox(), max_body_bytes=len(content)) as sender:
        assert 200 == (await sender.send(content)).status


class BrokenInbox(MemoryInbox):
    async def put(self, delivery):
        raise InboxError("the disk is full", reason="SQLITE_FULL")


async def test_inbox_down(mount, router, handled, body, caplog):
    """A delivery that cannot be stored is answered 503 with Retry-After, logged by its id, and never handled."""
    async with mount(router, inbox=BrokenInbox()) as sender:
        answer = await sender.send(body(event_id="event-4711"))

    assert (503, "5") == (answer.status, answer.headers["Retry-After"])
    assert [] == handled
    assert "503 not_stored: event event-4711 is not stored: the disk is full: SQLITE_FULL" in caplog.text


async def test_inbox_full(mount, router, body):
    """An inbox over its limit answers 503: the sender comes back when there is room."""
    blocked = asyncio.Event()
    slow = Router()

    @slow.on(Event)
    async def wait(event: Event) -> None:
        await blocked.wait()

    async with mount(slow, inbox=MemoryInbox(max_waiting=2), concurrency=1, shutdown_timeout_s=0.01) as sender:
        statuses = [(await sender.send(body())).status for _ in range(6)]
        blocked.set()

    assert 503 == statuses[-1]
    assert 200 == statuses[0]


def router_of(*handlers):
    router = Router()
    for handler in handlers:
        router.on(Event)(handler)
    return router


async def test_without_inbox_handlers_run_first(mount, router, handled, body):
    """Without an inbox a delivery is handled before it is answered."""
    async with mount(router) as sender:
        answer = await sender.send(body())

        assert 1 == len(handled)
        assert 200 == answer.status


async def test_without_inbox_a_failure_is_500(mount, body, caplog):
    """Without an inbox a failing handler makes the answer 500, and its words stay out of the log."""

    async def fail(event: Event) -> None:
        raise ValueError("planted-4711")

    async with mount(router_of(fail)) as sender:
        answer = await sender.send(body(event_id="event-1"))

    assert 500 == answer.status
    assert "ValueError" in caplog.text
    assert "planted-4711" not in caplog.text


async def test_context_app(mount, body):
    """Handlers find the application that was named as root."""
    seen = []
    root = web.Application()

    async def look(event: Event, context: Context) -> None:
        seen.append(context.app)

    async with mount(router_of(look), root=root) as sender:
        await sender.send(body())

    assert [root] == seen


@pytest.mark.parametrize(
    "options",
    [{"secrets": []}, {"secrets": [""]}, {"max_body_bytes": 0}, {"read_timeout_s": 0}, {"max_buffered_bytes": 20_000}],
)
def test_settings_that_cannot_work(options):
    """A receiver that could not work is refused when it is made."""
    with pytest.raises(ConfigurationError):
        webhook_app(Router(), **({"secrets": ["s"]} | options))


async def test_nothing_personal_is_logged(mount, body, caplog):
    """No log line, even at DEBUG, holds anything of the payload or the secret."""
    caplog.set_level(logging.DEBUG)

    async def fail(event: Event) -> None:
        raise RuntimeError(str(vars))

    async with mount(router_of(fail), inbox=MemoryInbox()) as sender:
        content = body(name="planted-4711", error_code="planted-4711")
        for _ in range(2):
            await sender.send(content)
        await sender.send(
            json.dumps({"event_id": "planted-free", "event": "income.added", "payload": "planted-4711"}).encode()
        )
        await sender.send(content, {"x-pinwheel-signature": "planted-4711", "x-timestamp": "planted-4711"})
        await until(lambda: "is dead" in caplog.text)

    assert "planted-4711" not in caplog.text
    assert "a-secret-of-tests" not in caplog.text


async def test_stuck_without_inbox(mount, body):
    """Without an inbox a handler that hangs is answered 500 when its time is over."""

    async def hang(event: Event) -> None:
        await asyncio.Event().wait()

    async with mount(router_of(hang), timeout_s=0.01) as sender:
        assert 500 == (await sender.send(body())).status


async def test_registering_after_the_start(mount, router):
    """A handler that is registered after the start is refused, because it would be missed."""
    async with mount(router, inbox=MemoryInbox()):
        with pytest.raises(ConfigurationError, match="has started"):
            router.on(Event)
