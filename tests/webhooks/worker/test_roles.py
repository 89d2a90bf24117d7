"""Roles: processes that only receive, that only work, and what they have in common, over one PostgreSQL inbox."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.events import Event
from pinwheel_async.webhooks import MemoryInbox, PostgresInbox, Router, webhook_app, work

HANDLERS = """
import asyncio, os, threading
from pinwheel_async.events import UnknownEvent
from pinwheel_async.webhooks import Router

router = Router()

@router.on(UnknownEvent)
async def handle(event: UnknownEvent) -> None:
    print("begun", event.event_id, flush=True)
    while event.event_id == "slow" and not os.path.exists("go-on"):
        await asyncio.sleep(0.01)
    if event.event_id == "blocked":
        await asyncio.to_thread(threading.Event().wait)
    print("handled", event.event_id, flush=True)
"""


@pytest.fixture
def start(tmp_path, postgres_inbox):
    """Start `pinwheel-async work` on the inbox of this test."""
    (tmp_path / "shop_hooks.py").write_text(HANDLERS)

    async def start(*options):
        command = [sys.executable, "-m", "pinwheel_async", "work", *options]
        place = ["--inbox", postgres_inbox.url, "--inbox-schema", postgres_inbox.schema]
        return await asyncio.create_subprocess_exec(*command, *place, cwd=tmp_path, stdout=PIPE, stderr=PIPE)

    return start


async def test_receive_here_and_work_there(postgres_inbox, start, body, mount):
    """What a receiver stores that does not work is handled by a process that does nothing else."""
    async with mount(Router(), inbox=postgres_inbox(), work=False) as sender:
        assert 200 == (await sender.send(body("moon.risen", event_id="1"))).status
        process = await start("--handlers", "shop_hooks:router")
        lines = [await process.stdout.readline() for _ in range(2)]
        assert 200 == (await sender.send(body("moon.risen", event_id="2"))).status
        lines += [await process.stdout.readline() for _ in range(2)]
        process.terminate()
        await process.communicate()

    assert [b"begun 1\n", b"handled 1\n", b"begun 2\n", b"handled 2\n"] == lines
    assert 0 == process.returncode


async def test_terminated_worker(postgres_inbox, start, body, mount, tmp_path):
    """On SIGTERM a running handler finishes, and what waits stays in the inbox."""
    inbox = postgres_inbox()
    async with mount(Router(), inbox=inbox, work=False) as sender:
        for event_id in ("slow", "behind"):
            await sender.send(body("moon.risen", event_id=event_id))
        process = await start("--handlers", "shop_hooks:router")
        await process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        (tmp_path / "go-on").touch()
        rest, _ = await process.communicate()
        counts = await inbox.counts()

    assert (b"handled slow\n", 0) == (rest, process.returncode)
    assert (1, 0, 1) == (counts.waiting, counts.claimed, counts.done)


async def test_thread_that_does_not_end(postgres_inbox, start, body, mount):
    """A handler's thread that never ends does not keep the process, and its delivery stays in the inbox."""
    inbox = postgres_inbox()
    async with mount(Router(), inbox=inbox, work=False) as sender:
        await sender.send(body("moon.risen", event_id="blocked"))
        process = await start("--handlers", "shop_hooks:router", "--shutdown-timeout-s", "0")
        await process.stdout.readline()
        process.terminate()
        _, errors = await process.communicate()
        counts = await inbox.counts()

    assert 0 == process.returncode
    assert "threads that handlers began and that did not end: 1" in errors.decode()
    assert (1, 0) == (counts.waiting, counts.done)


@pytest.mark.parametrize(
    ("handlers", "complaint"),
    [
        ("shop_hooks", "shop.hooks:router"),
        ("no_such_module:router", "there is no module no_such_module"),
        ("shop_hooks:handle", "shop_hooks:handle is no Router"),
    ],
)
async def test_no_such_handlers(start, handlers, complaint):
    """Handlers that are not there are one line, and end with 2."""
    process = await start("--handlers", handlers)
    _, errors = await process.communicate()

    assert 2 == process.returncode
    assert 1 == errors.count(b"\n")
    assert complaint in errors.decode()


async def test_health_of_a_receiver_that_does_not_work(postgres_inbox, mount):
    """A receiver that only stores is well although it handles nothing."""
    async with mount(Router(), inbox=postgres_inbox(), work=False) as sender:
        response = await sender.send(b"", {}, path="/health/ready", method="GET")

    assert 200 == response.status


async def test_work_ends_with_its_caller(postgres_inbox, body, mount):
    """When the task that works is cancelled, what runs is given back or finished, and the inbox is closed."""
    router, begun, inbox = Router(), asyncio.Event(), postgres_inbox()

    @router.on(Event)
    async def handle(event: Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with mount(Router(), inbox=postgres_inbox(), work=False) as sender:
        await sender.send(body(event_id="1"))
        task = asyncio.create_task(work(router, inbox=inbox, shutdown_timeout_s=0.01))
        await begun.wait()
        task.cancel()
        await asyncio.wait({task})

        looked = postgres_inbox(read_only=True)
        await looked.open()
        counts = await looked.counts()
        await looked.close()

    assert task.cancelled()
    assert (1, 0) == (counts.waiting, counts.claimed)
    with pytest.raises(InboxError, match="not open"):
        await inbox.counts()


def test_only_storing_needs_an_inbox():
    """A receiver that neither works nor has an inbox would do nothing, and cannot be made."""
    with pytest.raises(ConfigurationError):
        webhook_app(Router(), secrets=["a-secret-of-tests"], work=False)


async def test_senseless_numbers():
    """Numbers that make no sense are refused before anything is opened."""
    with pytest.raises(ConfigurationError):
        await work(Router(), inbox=MemoryInbox(), concurrency=0)


async def test_a_database_that_is_away(caplog):
    """While the database is away a worker tries again, and SIGTERM ends it all the same."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        inbox = PostgresInbox(f"postgresql://postgres@127.0.0.1:{free.getsockname()[1]}/none")
    task = asyncio.create_task(work(Router(), inbox=inbox))
    async with asyncio.timeout(30):
        while "cannot be opened yet" not in caplog.text:
            await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)

    await task
