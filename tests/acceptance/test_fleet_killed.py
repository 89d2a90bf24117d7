"""A sync of three processes of which some are killed or stopped: the copy and the report of a single one."""

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

ACCOUNTS = 40
PRODUCTS = ("income", "paystubs", "shifts", "tax_forms")
PER_PAGE = 5
LEASE_S = 1.5

PROCESS = f"""
import asyncio, sys
from pinwheel_async import Pinwheel
from pinwheel_async.sync import Fleet, SqlSink
from pinwheel_async.sync._fleet import lister
from pinwheel_async.sync._run import run

lister.UNITS_AT_ONCE, run.PAGE_LIMIT = 1, {PER_PAGE}

async def main():
    secret, base_url, database = sys.argv[1:]
    async with Pinwheel(secret, base_url=base_url) as pinwheel:
        fleet = Fleet(pinwheel, SqlSink(database), lease_s={LEASE_S}, concurrency=4)
        said = []

        def say(progress):
            if not said:
                said.append(print("working", flush=True))

        print((await fleet.sync(products={PRODUCTS!r}, on_progress=say)).to_json(), flush=True)

asyncio.run(main())
"""


async def until(fake: FakePinwheel, operation: str, count: int) -> None:
    """Wait until a request has come so many times."""
    async with asyncio.timeout(60):
        while fake.counts[operation] < count:
            await asyncio.sleep(0.002)


async def hold(database: str, duration: str) -> None:
    """Keep the last partition that is listed from being claimed for a while."""
    connection = await asyncpg.connect(database)
    last = "(SELECT max(number) FROM pinwheel_partitions WHERE NOT is_done)"
    if duration == "0 s":
        last = "(SELECT number FROM pinwheel_partitions WHERE token = 1)"
    changed = await connection.execute(
        f"UPDATE pinwheel_partitions SET token = 1, lease_until = now() + '{duration}' WHERE number = {last}"  # noqa: S608
    )
    assert changed == "UPDATE 1"
    await connection.close()


async def cut(database: str) -> None:
    """Cut all connections to a database but this one."""
    connection = await asyncpg.connect(database)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


def facts(report: SyncReport) -> tuple[object, ...]:
    """Return what a report says of the data, and not of how it was come by."""
    of_products = {
        name: (counts.complete, counts.missing, counts.unchanged, counts.failed, counts.items)
        for name, counts in report.products.items()
    }
    return report.ok, report.accounts, report.items, report.failures, of_products


async def test_killed_and_stopped(tmp_path: Path, postgres: str):
    """Whoever is killed, cut off, or paused past its lease: rows and counts are those of a single sync."""
    alone = f"sqlite:///{tmp_path / 'alone.db'}"
    processes: list[asyncio.subprocess.Process] = []

    async def start() -> asyncio.subprocess.Process:
        place = (fake.api_secret, fake.base_url, postgres)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, *place, stdout=PIPE)
        processes.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"working\n"  # it has joined the run
        return process

    async with (
        FakePinwheel(accounts=ACCOUNTS) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        for number in range(0, ACCOUNTS, 9):  # some lists of several pages, in the middle of which a process dies
            fake.world.recast(fake.world.account_id(number), paystubs=350)
        single = await sync(pinwheel, SqlSink(alone), products=PRODUCTS)
        fake.clear_records()
        try:
            # The list is under way, and hangs, when whoever lists is killed. Requests take a while, or all were over
            # before anybody could be killed.
            fake.script(*[Fault()] * 4, Fault(delay_s=60), operation="list_accounts")
            fake.script(Fault(delay_s=0.1), times=500, operation="list_paystubs")
            lists = await start()
            await until(fake, "list_accounts", 5)
            await until(fake, "list_paystubs", 10)
            await kill(lists)
            await hold(postgres, "1 hour")  # or the run might be over before everybody is there
            reads, paused, last = await asyncio.gather(*[start() for _ in range(3)])
            await until(fake, "list_paystubs", 16)
            await kill(reads)
            await start()
            await cut(postgres)
            os.kill(paused.pid, signal.SIGSTOP)
            await asyncio.sleep(1.5 * LEASE_S)  # past the lease, so that another one takes over
            os.kill(paused.pid, signal.SIGCONT)
            await hold(postgres, "0 s")
            async with asyncio.timeout(90):
                said = await asyncio.gather(*[process.communicate() for process in (paused, last, processes[-1])])
        finally:
            for process in processes:
                if process.returncode is None:
                    await kill(process)
        assert [process.returncode for process in processes] == [-9, -9, 0, 0, 0]
        reports = [SyncReport.from_json(out) for out, _ in said]
        assert reports[0] == reports[1] == reports[2]
        assert facts(reports[0]) == facts(single)
        # Whoever replaced the lister went on where it was: at most the page that was under way came again, each time.
        assert fake.counts["list_accounts"] <= ACCOUNTS // PER_PAGE + 4
        assert await contents(alone) == await contents(postgres)
