"""Three receivers and two workers on one PostgreSQL inbox, killed, stopped and cut off under load."""

import asyncio
import itertools
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections import defaultdict
from contextlib import suppress
from functools import partial
from random import Random

import asyncpg

from pinwheel_async.webhooks._delivery import make_delivery

from .load import Load

ACCOUNTS = 40
EACH = 25
LEASE_S = 2.0

PROCESS = """
import asyncio, os, sys
from aiohttp import web
from pinwheel_async.events import UnknownEvent
from pinwheel_async.webhooks import Context, PostgresInbox, Router, webhook_app, work

role, url, schema, log = sys.argv[1:]
out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
router = Router()

@router.on(UnknownEvent)
async def handle(event: UnknownEvent, context: Context) -> None:
    line = f"{event.event_id} {event.payload['account_id']} {event.payload['number']} {context.token}"
    os.write(out, f"begin {line}\\n".encode())
    await asyncio.sleep(0.002)
    os.write(out, f"end {line}\\n".encode())

async def main():
    inbox = PostgresInbox(url, schema=schema)
    if role == "work":
        print("working", flush=True)
        await work(router, inbox=inbox, lease_s=LEASE_S, concurrency=8)
        return
    app = web.Application()
    app.add_subapp("/hooks", webhook_app(router, secrets=["a-secret-of-tests"], inbox=inbox, work=False))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
""".replace("LEASE_S", str(LEASE_S))


class Process:
    """One of the fleet, started again whenever it is killed."""

    def __init__(self, role, url, schema, log):
        self.command = [sys.executable, "-c", PROCESS, role, url, schema, str(log)]
        self.said = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(*self.command, stdout=PIPE)
        self.said = (await self.process.stdout.readline()).decode().strip()

    async def kill(self):
        self.said = None
        self.process.kill()
        await self.process.wait()


async def any_port(receivers, rng):
    """Return the port of one of the receivers that are up."""
    while (port := rng.choice(receivers).said) is None:
        await asyncio.sleep(0.01)
    return port


def read(log):
    """Return what the handlers wrote: what began or ended, event id, account, number and token."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(what, event_id, account, int(number), int(token)) for what, event_id, account, number, token in lines]


async def test_fleet(postgres_inbox, tmp_path):
    """Whatever dies, nothing acknowledged is lost, nothing is stored twice, and each account is handled in order."""
    rng, log = Random(4711), tmp_path / "handled.log"
    url, schema = postgres_inbox.url, postgres_inbox.schema
    receivers = [Process("receive", url, schema, log) for _ in range(3)]
    workers = [Process("work", url, schema, log) for _ in range(2)]
    sql = await asyncpg.connect(url, server_settings={"search_path": schema, "application_name": "test"})
    await receivers[0].start()
    await asyncio.gather(*[process.start() for process in (*receivers[1:], *workers)])
    load = Load(partial(any_port, receivers, rng), rng, accounts=ACCOUNTS, each=EACH)
    sending = asyncio.create_task(load.run())
    try:
        for step, how in enumerate(["kill receiver", "cut", "kill worker", "stop worker", "cut", "kill receiver"], 1):
            await load.reached(step * ACCOUNTS * EACH // 8)
            match how:
                case "kill receiver":
                    victim = rng.choice(receivers)
                    await victim.kill()
                    await victim.start()
                case "kill worker":
                    victim = rng.choice(workers)
                    await victim.kill()
                    await victim.start()
                case "stop worker":
                    paused = rng.choice(workers)
                    os.kill(paused.process.pid, signal.SIGSTOP)
                    await asyncio.sleep(1.5 * LEASE_S)  # past the lease, so that the other one takes over
                    os.kill(paused.process.pid, signal.SIGCONT)
                case _:
                    await sql.execute("""
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name <> 'test'
                    """)
        async with asyncio.timeout(150):
            await sending
            while await sql.fetchval("SELECT count(*) FROM pinwheel_inbox_deliveries WHERE state <> 'd'"):
                await asyncio.sleep(0.05)
        stored = await sql.fetch("SELECT event_id, attempts FROM pinwheel_inbox_deliveries")
        queues = await sql.fetchval("SELECT count(*) FROM pinwheel_inbox_queues")
    finally:
        sending.cancel()
        for process in (*receivers, *workers):
            with suppress(ProcessLookupError):
                await process.kill()
        await sql.close()

    check(load, stored, read(log))
    assert 0 == queues


def in_order(handled, count):
    """Whether deliveries were handled as 0, 1, 2, ..., in the order of their tokens, which rise with every claim.

    Where a process died or was stopped some are handled again, from one that was not marked on. What a stopped one does
    late it does with its old token.
    """
    order = [-1, *[number for _, number in sorted(handled)], count]
    return all(following <= number + 1 for number, following in itertools.pairwise(order))


def check(load, stored, handled):
    """Compare what was answered, what is stored, and what was handled."""
    ended = {event_id for what, event_id, *_ in handled if what == "end"}
    assert ACCOUNTS * EACH == len(load.answered) == len(stored)
    assert set(load.answered) == {row["event_id"] for row in stored} == ended
    tokens = defaultdict(set)
    for _, _, account, number, token in handled:
        tokens[account].add((token, number))
    assert {str(account) for account in range(ACCOUNTS)} == {*tokens}
    assert [] == [account for account, found in tokens.items() if not in_order(found, EACH)]
    assert {1} == {row["attempts"] for row in stored}


async def test_one_account_alone(postgres_inbox, tmp_path):
    """Workers that are killed and stopped in the middle of a chain lose none of it, and keep the order."""
    count, log = 240, tmp_path / "handled.log"
    url, schema = postgres_inbox.url, postgres_inbox.schema
    inbox = postgres_inbox()
    await inbox.open()
    workers = [Process("work", url, schema, log) for _ in range(2)]
    try:
        await asyncio.gather(*[inbox.put(_delivery(number)) for number in range(count)])
        for step, how in enumerate(["kill", "stop", "kill"]):
            await workers[step % 2].start()
            async with asyncio.timeout(60):
                while not log.exists() or len(read(log)) < (step + 1) * count // 3:
                    await asyncio.sleep(0.001)
            if how == "kill":
                await workers[step % 2].kill()
            else:
                os.kill(workers[1].process.pid, signal.SIGSTOP)
                await workers[0].start()
                await asyncio.sleep(1.5 * LEASE_S)  # past the lease, so that the other one takes over
                os.kill(workers[1].process.pid, signal.SIGCONT)
                await workers[0].kill()
        await workers[0].start()
        async with asyncio.timeout(60):
            while (await inbox.counts()).done < count:
                await asyncio.sleep(0.05)
        attempts = {entry.attempts for entry in await inbox.entries(limit=count)}
    finally:
        for process in workers:
            with suppress(ProcessLookupError, AttributeError):
                await process.kill()
        await inbox.close()

    handled = read(log)
    ended = [number for what, _, _, number, _ in handled if what == "end"]
    assert list(range(count)) == list(dict.fromkeys(ended))
    assert {1} == attempts
    assert in_order({(token, number) for _, _, _, number, token in handled}, count)


def _delivery(number):
    payload = {"account_id": "alone", "number": number}
    body = json.dumps({"event_id": f"event-{number}", "event": "moon.risen", "payload": payload}).encode()
    return make_delivery({}, body, key="k")
