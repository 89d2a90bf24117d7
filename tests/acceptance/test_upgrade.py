"""A sync of several processes over one copy, of which some are of the next version of the library."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import asyncpg

from pinwheel_async import Pinwheel
from pinwheel_async.sync import SqlSink, SyncReport, sync
from pinwheel_async.testing import FakePinwheel, Fault

from .copies import contents
from .test_fleet_killed import hold

ACCOUNTS = 30
PRODUCTS = ("income", "paystubs", "shifts")

NEXT = """
from sqlalchemy import Column, Index, Text
from pinwheel_async.sync._sql import tables

for table in (tables.CHECKPOINTS, tables.RUNS, tables.PARTITIONS, tables.FAILURES):
    table.append_column(Column("of_tomorrow", Text))
Index("paystubs_by_digest", tables.STORED["paystubs"].table.c.digest)
"""
"""Makes the library of a process the next version: this code, with columns and an index more. See `next_version.py` of
the webhooks for why it is the next one that is made up, and not the one before."""

COMMAND = """
import sys
from pinwheel_async.cli import main

sys.exit(main())
"""

PROCESS = f"""
import asyncio, sys
from pinwheel_async import Pinwheel
from pinwheel_async.sync import Fleet, SqlSink
from pinwheel_async.sync._fleet import lister
from pinwheel_async.sync._run import run

lister.UNITS_AT_ONCE, run.PAGE_LIMIT = 1, 3

async def main():
    secret, base_url, database = sys.argv[1:]
    async with Pinwheel(secret, base_url=base_url) as pinwheel:
        fleet = Fleet(pinwheel, SqlSink(database, migrate=False), lease_s=3, concurrency=4)
        said = []

        def say(progress):
            if not said:
                said.append(print("working", flush=True))

        print((await fleet.sync(products={PRODUCTS!r}, on_progress=say)).to_json(), flush=True)

asyncio.run(main())
"""

Process = asyncio.subprocess.Process


async def until(fake: FakePinwheel, operation: str, count: int) -> None:
    """Wait until a request has come so many times."""
    async with asyncio.timeout(90):
        while fake.counts[operation] < count:
            await asyncio.sleep(0.002)


async def test_a_fleet_of_two_versions(tmp_path: Path, postgres: str):
    """While one version syncs, tables get what the next one needs: both finish the run, with the rows of a single."""
    alone = f"sqlite:///{tmp_path / 'alone.db'}"
    begun: list[Process] = []

    async def start(program: str, *arguments: str) -> Process:
        begun.append(await asyncio.create_subprocess_exec(sys.executable, "-c", program, *arguments, stdout=PIPE))
        return begun[-1]

    async with (
        FakePinwheel(accounts=ACCOUNTS) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        single = await sync(pinwheel, SqlSink(alone), products=PRODUCTS)
        fake.clear_records()
        fake.script(Fault(delay_s=0.1), times=ACCOUNTS, operation="list_paystubs")
        place = (fake.api_secret, fake.base_url, postgres)
        try:
            await SqlSink(postgres).migrate()
            older = await start(PROCESS, *place)
            await until(fake, "list_paystubs", 3)
            await hold(postgres, "1 hour")  # or all might be done before the newer one is there
            migrating = await start(NEXT + COMMAND, "migrate", "--database", postgres)
            said, _ = await migrating.communicate()
            newer = await start(NEXT + PROCESS, *place)
            assert newer.stdout is not None
            assert await newer.stdout.readline() == b"working\n"
            await until(fake, "list_paystubs", ACCOUNTS - 3)
            os.kill(older.pid, signal.SIGSTOP)  # so that the newer one reads what is left
            await hold(postgres, "0 s")
            await until(fake, "list_paystubs", ACCOUNTS)
            os.kill(older.pid, signal.SIGCONT)
            async with asyncio.timeout(90):
                out = await asyncio.gather(*[process.communicate() for process in (older, newer)])
            reports = [SyncReport.from_json(text.removeprefix(b"working\n")) for text, _ in out]
        finally:
            for process in begun:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    connection = await asyncpg.connect(postgres)
    index = await connection.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'paystubs_by_digest'::regclass"
    )
    await connection.close()

    assert (said, [0, 0, 0]) == (b"copy: made or brought up to date\n", [process.returncode for process in begun])
    assert reports[0] == reports[1]
    assert (True, single.accounts, single.items) == (reports[0].ok, reports[0].accounts, reports[0].items)
    assert index is True
    assert await contents(alone) == await contents(postgres)
