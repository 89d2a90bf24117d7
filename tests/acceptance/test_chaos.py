"""Chaos: kills, 429s, cut connections, refused cursors, a slow sink. The copy is that of an undisturbed run."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pinwheel_async.testing import FakePinwheel, Fault

from .copies import contents

ACCOUNTS = int(os.environ.get("PINWHEEL_ASYNC_CHAOS_ACCOUNTS", "100"))
"""With 5,000 it takes half an hour."""

KILLS = 6

SYNC = """
import asyncio, sys
from random import random
from pinwheel_async import Pinwheel, RetryPolicy
from pinwheel_async.sync import SqlSink, sync

class Slow(SqlSink):
    async def write(self, batch):
        await asyncio.sleep(random() * float(sys.argv[4]))
        await super().write(batch)

async def main():
    base_url, api_secret, database = sys.argv[1:4]
    print("started", flush=True)
    async with Pinwheel(api_secret, base_url=base_url, retry=RetryPolicy(attempts=8, base_s=0.05, cap_s=1)) as pinwheel:
        report = await sync(pinwheel, Slow(database, writer_process=sys.argv[4] != "0.0"))
    print(len(report.failures), flush=True)

asyncio.run(main())
"""


def start(fake: FakePinwheel, database: str, slow_s: float = 0.0) -> subprocess.Popen[str]:
    """Start a sync in a process of its own."""
    command = [sys.executable, "-c", SYNC, fake.base_url, fake.api_secret, database, str(slow_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def run(fake: FakePinwheel, database: str, slow_s: float = 0.0) -> int:
    """Let a sync run to its end and return the number of its failures."""
    output, _ = (process := start(fake, database, slow_s)).communicate(timeout=1_200)
    assert process.returncode == 0
    return int(output)


@pytest.fixture
def fake() -> Iterator[FakePinwheel]:
    """A fake in a thread of its own."""
    with FakePinwheel(accounts=ACCOUNTS) as running:
        yield running


def trouble(fake: FakePinwheel, seed: int) -> None:
    """Let one request in ten fail, in every way there is."""
    fake.rate_limit(in_flight=24)
    fake.fail_randomly(0.03, Fault(status=429, retry_after_s=0), seed=seed)
    fake.fail_randomly(0.03, Fault(status=503), seed=seed + 1)
    fake.fail_randomly(0.02, Fault(cut="before"), seed=seed + 2)
    fake.fail_randomly(0.02, Fault(cut="mid_body"), seed=seed + 3)
    fake.fail_randomly(0.02, Fault(delay_s=0.05), seed=seed + 4)


@pytest.fixture(params=["sqlite", "postgres"])
def troubled(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of either kind."""
    return f"sqlite:///{tmp_path / 'troubled.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres")


async def test_chaos(fake: FakePinwheel, troubled: str, tmp_path: Path):
    """A sync that is killed again and again, against a server in trouble, ends with the rows of an undisturbed one."""
    quiet = f"sqlite:///{tmp_path / 'quiet.db'}"
    assert run(fake, quiet) == 0
    requests, rng = fake.counts.total(), Random(4)

    for number in range(KILLS):
        trouble(fake, number * 10)
        enough = fake.counts.total() + rng.randrange(requests // KILLS)
        process = start(fake, troubled, slow_s=0.02)
        reached(fake, enough, process)
        process.kill()
        process.communicate()
        if number % 2:
            fake.expire_cursors()
    while run(fake, troubled, slow_s=0.002):
        fake.clear_faults()

    assert await contents(troubled) == await contents(quiet)


def reached(fake: FakePinwheel, requests: int, process: subprocess.Popen[str]) -> None:
    """Wait until the fake has had so many requests, or the process has ended."""
    tick = threading.Event()
    while fake.counts.total() < requests and process.poll() is None:
        tick.wait(0.005)
