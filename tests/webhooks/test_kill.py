"""`kill -9` in the middle of a load: nothing that was answered 200 is lost, nothing is out of order."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter, defaultdict
from random import Random

import pytest

from pinwheel_async.webhooks import SqliteInbox

from .load import Load

ACCOUNTS = 50
EACH = 40
KILLS = 6
CONCURRENCY = 16

SERVER = """
import asyncio, os, sys
from contextlib import suppress
from aiohttp import web
from pinwheel_async.events import UnknownEvent
from pinwheel_async.webhooks import Router, SqliteInbox, webhook_app

inbox, log, lease_s = sys.argv[1:]
out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
router = Router()

@router.on(UnknownEvent)
async def handle(event: UnknownEvent) -> None:
    await asyncio.sleep(0)
    os.write(out, f"{event.event_id} {event.payload['account_id']} {event.payload['number']}\\n".encode())
    os.fsync(out)

async def main():
    app = web.Application()
    hooks = webhook_app(router, secrets=["a-secret-of-tests"], inbox=SqliteInbox(inbox), lease_s=float(lease_s))
    app.add_subapp("/hooks", hooks)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()

asyncio.run(main())
"""


class Server:
    """The receiver in a process of its own, killed and started again on the same file."""

    def __init__(self, directory, lease_s=15.0):
        self.lease_s = lease_s
        self.inbox = directory / "inbox.db"
        self.log = directory / "handled.log"
        self.up = asyncio.Event()
        self.number = 0

    async def start(self):
        command = [sys.executable, "-c", SERVER, str(self.inbox), str(self.log), str(self.lease_s)]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        self.number = int(await self.process.stdout.readline())
        self.up.set()

    async def port(self):
        await self.up.wait()
        return self.number

    async def kill(self, how=signal.SIGKILL):
        self.up.clear()
        os.kill(self.process.pid, how)
        await self.process.wait()

    def handled(self):
        """Return event ids with their accounts and numbers, in the order in which they were handled."""
        lines = self.log.read_text().splitlines()
        return [(event_id, account, int(number)) for event_id, account, number in map(str.split, lines)]


async def test_kill_9(tmp_path):
    """Deliveries answered 200 are handled after restarts: all, in order per account, once but for kills in between."""
    rng = Random(4711)
    server = Server(tmp_path)
    await server.start()
    load = Load(server.port, rng, accounts=ACCOUNTS, each=EACH)
    sending = asyncio.create_task(load.run())
    for count in sorted(rng.sample(range(50, ACCOUNTS * EACH), KILLS)):
        await load.reached(count)
        await server.kill()
        await server.start()
    await sending
    async with asyncio.timeout(20):
        while len({event_id for event_id, _, _ in server.handled()}) < len(load.answered):
            await asyncio.sleep(0.01)
    await server.kill()
    handled = server.handled()
    inbox = SqliteInbox(server.inbox)
    await inbox.open()
    counts = await inbox.counts()
    await inbox.close()

    times = Counter(event_id for event_id, _, _ in handled)
    first = defaultdict(list)
    for _, account, number in handled:
        if number not in first[account]:
            first[account].append(number)
    assert set(load.answered) == set(times)
    assert {str(account): list(range(EACH)) for account in range(ACCOUNTS)} == first
    # What a kill may find handled and not marked: what runs, and what ended while the marks of others were flushed,
    # which is the more the slower the disk: 60 to 80 in all on a machine with nothing else to do, 250 on a busy one.
    assert sum(times.values()) - len(times) <= (KILLS + 1) * 8 * CONCURRENCY
    assert load.answered.total() > len(load.answered) == ACCOUNTS * EACH
    assert (0, ACCOUNTS * EACH) == (counts.dead, counts.done + counts.claimed)


@pytest.mark.parametrize("processes", [1, 2])
async def test_kill_9_in_bursts(tmp_path, processes):
    """One, or two that share a file, are killed in bursts of each account: all is handled, in the order of the file."""
    accounts, senders, each = 8, 8, 8
    rng = Random(4711)
    servers = [Server(tmp_path, lease_s=0.5) for _ in range(processes)]
    for server in servers:
        await server.start()

    async def port():
        return await rng.choice(servers).port()

    load = Load(port, rng, accounts=accounts, senders=senders, each=each)
    sending = asyncio.create_task(load.run())
    for count in sorted(rng.sample(range(50, accounts * senders * each), 4)):
        await load.reached(count)
        server = rng.choice(servers)
        await server.kill()
        await server.start()
    await sending
    async with asyncio.timeout(30):
        while len({event_id for event_id, _, _ in servers[0].handled()}) < len(load.answered):
            await asyncio.sleep(0.01)
    for server in servers:
        await server.kill()
    inbox = SqliteInbox(servers[0].inbox)
    await inbox.open()
    entries = await inbox.entries(limit=10_000)
    await inbox.close()

    stored, first = defaultdict(list), defaultdict(list)
    for entry in reversed(entries):
        stored[entry.ordering_key].append(entry.event_id)
    for event_id, account, _ in servers[0].handled():
        if event_id not in first[account]:
            first[account].append(event_id)
    assert accounts * senders * each == len(load.answered) == len(entries)
    assert stored == first


async def test_terminated(tmp_path):
    """A server that is asked to end, rather than killed, loses nothing and handles nothing twice."""
    server = Server(tmp_path)
    await server.start()
    load = Load(server.port, Random(1), accounts=ACCOUNTS, each=EACH)
    sending = asyncio.create_task(load.run())
    await load.reached(ACCOUNTS * 10)
    await server.kill(signal.SIGINT)
    await server.start()
    await sending
    async with asyncio.timeout(20):
        while len(server.handled()) < ACCOUNTS * EACH:
            await asyncio.sleep(0.01)
    await server.kill(signal.SIGINT)

    assert Counter(load.answered.keys()) == Counter(event_id for event_id, _, _ in server.handled())
