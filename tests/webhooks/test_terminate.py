"""SIGTERM while handlers run that do not end: the server does, in its time."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from datetime import UTC, datetime

import pytest

from pinwheel_async.webhooks import Delivery, SqliteInbox

SERVER = """
import asyncio, sys, time
from aiohttp import web
from pinwheel_async.events import UnknownEvent
from pinwheel_async.webhooks import Router, SqliteInbox, webhook_app

router = Router()

@router.on(UnknownEvent)
async def handle(event: UnknownEvent) -> None:
    print("started", flush=True)
    if event.event_id == "thread":
        await asyncio.to_thread(time.sleep, 4)
        return
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue

async def report(app):
    yield
    print("stopped", flush=True)

hooks = webhook_app(router, secrets=["a-secret-of-tests"], inbox=SqliteInbox(sys.argv[1]), shutdown_timeout_s=0.2)
app = web.Application()
app.cleanup_ctx.append(report)
app.add_subapp("/hooks", hooks)
web.run_app(app, port=0, print=None, access_log=None)
"""


@pytest.mark.parametrize(("event_id", "thread_s"), [("stuck", 0), ("thread", 4)])
async def test_handlers_that_do_not_end(tmp_path, event_id, thread_s):
    """The receiver stops in its time, and gives the delivery back; the process ends then, or when its threads do."""
    inbox = SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    body = f'{{"event_id": "{event_id}", "event": "moon.risen", "payload": {{}}}}'.encode()
    now = datetime.now(UTC)
    await inbox.put(
        Delivery(event_id=event_id, event="moon.risen", ordering_key="a", received_at=now, key="k", body=body)
    )
    await inbox.close()
    command = [sys.executable, "-c", SERVER, str(tmp_path / "inbox.db")]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        async with asyncio.timeout(60):
            started = await process.stdout.readline()
            os.kill(process.pid, signal.SIGTERM)
            asked_at = time.monotonic()
            stopped = await process.stdout.readline()
            stopped_after_s = time.monotonic() - asked_at
            await process.wait()
            ended_after_s = time.monotonic() - asked_at
    finally:
        if process.returncode is None:
            process.kill()
    await inbox.open()
    (entry,) = await inbox.entries()
    await inbox.close()

    assert (b"started\n", b"stopped\n") == (started, stopped)
    assert ("waiting", 0) == (entry.state, entry.attempts)
    assert stopped_after_s < 3.5  # 0.2 s for the handler, 1 s of grace, and a busy machine
    assert ended_after_s < stopped_after_s + thread_s + 5
