"""`kill -9` in the middle of a mirror's work: with an inbox nothing is lost, and no reconciliation is needed."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from random import Random, SystemRandom

from pinwheel_async import Pinwheel
from pinwheel_async.sync import SqlSink, status, sync
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.webhooks import SqliteInbox

from .copies import contents

KILLS = 5

SERVER = """
import asyncio, sys
from aiohttp import web
from pinwheel_async import Pinwheel
from pinwheel_async.sync import Mirror, SqlSink
from pinwheel_async.webhooks import Router, SqliteInbox, webhook_app

folder, base_url, api_secret, port = sys.argv[1:]

async def main():
    pinwheel = Pinwheel(api_secret, base_url=base_url)
    mirror = Mirror(pinwheel, SqlSink(f"sqlite:///{folder}/mirror.db"), debounce_s=0.05)
    router = Router()
    router.include(mirror.router)
    app = web.Application()
    app.cleanup_ctx.append(pinwheel.cleanup_ctx)
    app.cleanup_ctx.append(mirror.cleanup_ctx)
    app.add_subapp("/hooks", webhook_app(router, secrets=[api_secret], inbox=SqliteInbox(f"{folder}/inbox.db")))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(port)).start()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def start(folder: Path, fake: FakePinwheel, port: int) -> Process:
    """Start the server, and wait until it listens."""
    command = [sys.executable, "-c", SERVER, str(folder), fake.base_url, fake.api_secret, str(port)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def drained(inbox: SqliteInbox) -> None:
    """Wait until everything that was received is handled."""
    async with asyncio.timeout(60):
        while (counts := await inbox.counts()).waiting or counts.claimed:
            await asyncio.sleep(0.02)
    assert 0 == counts.dead


def free_port() -> int:
    """Return a port on which nobody listens, below those that the system gives away itself."""
    for port in SystemRandom().sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError


async def test_mirror_killed_again_and_again(tmp_path: Path):
    """A mirror that is killed at any moment has everything in the end that its deliveries announced."""
    dice, port = Random(5), free_port()
    async with FakePinwheel(accounts=0) as fake:
        fake.subscribe(f"http://127.0.0.1:{port}/hooks")
        process = await start(tmp_path, fake, port)
        for _ in range(KILLS):
            for _ in range(3):
                await fake.connect()
            before = fake.counts.total()
            turning = asyncio.create_task(fake.advance(45))
            until = before + dice.randrange(5, 60)
            while fake.counts.total() < until and not turning.done():
                await asyncio.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            process = await start(tmp_path, fake, port)
            await turning
        await fake.advance(1_200)  # the last of the sender's own repetitions
        inbox = SqliteInbox(tmp_path / "inbox.db")
        await inbox.open()
        await drained(inbox)
        await inbox.close()
        process.kill()
        await process.wait()
        async with Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
            await sync(pinwheel, SqlSink(f"sqlite:///{tmp_path}/quiet.db"))

    quiet, mirrored = [await contents(f"sqlite:///{tmp_path}/{name}.db") for name in ("quiet", "mirror")]
    assert quiet == mirrored
    found = await status(f"sqlite:///{tmp_path}/mirror.db")
    assert {0} == {
        product_status.announced.absent for product_status in found.products.values() if product_status.announced
    }
