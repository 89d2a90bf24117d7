"""The end of the sub-application: handlers finish, what is left stays in the inbox."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pinwheel_async.events import Event
from pinwheel_async.webhooks import Context, MemoryInbox, Router, SqliteInbox, webhook_app


def router_of(handler):
    router = Router()
    router.on(Event)(handler)
    return router


async def test_shutdown_lets_handlers_finish(mount, body, tmp_path):
    """At shutdown a running handler finishes, and what waits stays in the inbox for the next start."""
    started, finish, done = asyncio.Event(), asyncio.Event(), []

    async def slow(event: Event) -> None:
        started.set()
        await finish.wait()
        done.append(event.event_id)

    async with mount(router_of(slow), inbox=SqliteInbox(tmp_path / "inbox.db")) as sender:
        for number in range(3):
            await sender.send(body(event_id=f"event-{number}"))
        await started.wait()
        asyncio.get_running_loop().call_later(0.05, finish.set)
    first = list(done)
    async with mount(router_of(slow), inbox=SqliteInbox(tmp_path / "inbox.db")), asyncio.timeout(5):
        while len(done) < 3:
            await asyncio.sleep(0)

    assert ["event-0"] == first
    assert ["event-0", "event-1", "event-2"] == done


async def test_shutdown_gives_back_what_does_not_finish(mount, body, tmp_path):
    """A handler that does not finish in time is cancelled, and its delivery waits with its attempt not counted."""
    started, attempts = asyncio.Event(), []

    async def endless(event: Event, context: Context) -> None:
        attempts.append(context.attempt)
        started.set()
        await asyncio.Event().wait()

    async with mount(router_of(endless), inbox=SqliteInbox(tmp_path / "inbox.db"), shutdown_timeout_s=0.01) as sender:
        await sender.send(body())
        await started.wait()
    started.clear()
    async with mount(router_of(endless), inbox=SqliteInbox(tmp_path / "inbox.db"), shutdown_timeout_s=0.01):
        await started.wait()

    assert [1, 1] == attempts


async def test_shutdown_comes_before_the_cleanup_around_it(body, headers):
    """Handlers finish before the application around closes what they need."""
    order, started = [], asyncio.Event()

    async def slow(event: Event) -> None:
        started.set()
        await asyncio.sleep(0.01)
        order.append("handled")

    async def database(app):
        yield
        order.append("closed")

    app = web.Application()
    app.cleanup_ctx.append(database)
    app.add_subapp("/hooks", webhook_app(router_of(slow), secrets=["a-secret-of-tests"], inbox=MemoryInbox()))
    async with TestClient(TestServer(app)) as client:
        content = body()
        await client.post("/hooks", data=content, headers=headers(content))
        await started.wait()

    assert ["handled", "closed"] == order
