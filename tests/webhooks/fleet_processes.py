"""Receivers and workers of one PostgreSQL inbox as processes of their own, which write down what they handle."""

import asyncio
import itertools
import sys
from asyncio.subprocess import PIPE
from collections import defaultdict

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
    """One of the fleet, started again whenever it is killed; *prologue* is what it runs before anything else."""

    def __init__(self, role, url, schema, log, *, prologue=""):
        self.command = [sys.executable, "-c", prologue + PROCESS, role, url, schema, str(log)]
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


def in_order(handled, count):
    """Whether deliveries were handled as 0, 1, 2, ..., in the order of their tokens, which rise with every claim.

    Where a process died or was stopped some are handled again, from one that was not marked on. What a stopped one does
    late it does with its old token.
    """
    order = [-1, *[number for _, number in sorted(handled)], count]
    return all(following <= number + 1 for number, following in itertools.pairwise(order))


def check(load, stored, handled, *, accounts, each):
    """Compare what was answered, what is stored, and what was handled."""
    ended = {event_id for what, event_id, *_ in handled if what == "end"}
    assert accounts * each == len(load.answered) == len(stored)
    assert set(load.answered) == {row["event_id"] for row in stored} == ended
    tokens = defaultdict(set)
    for _, _, account, number, token in handled:
        tokens[account].add((token, number))
    assert {str(account) for account in range(accounts)} == {*tokens}
    assert [] == [account for account, found in tokens.items() if not in_order(found, each)]
    assert {1} == {row["attempts"] for row in stored}
