"""Three receivers and two workers on one PostgreSQL inbox, killed, stopped and cut off under load."""

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial
from random import Random

import asyncpg

from .fleet_processes import LEASE_S, Process, any_port, check, read
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
