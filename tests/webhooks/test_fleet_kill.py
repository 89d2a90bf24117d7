"""Three receivers and two workers on one PostgreSQL inbox, killed, stopped and cut off under load."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from functools import partial
from random import Random

import asyncpg

from pinwheel_async.webhooks._delivery import make_delivery

from .fleet_processes import LEASE_S, Process, any_port, check, in_order, read
from .load import Load

ACCOUNTS = 40
EACH = 25


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

    check(load, stored, read(log), accounts=ACCOUNTS, each=EACH)
    assert 0 == queues


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
