"""A file that outlives its process, and one that several share."""

import signal
import subprocess
import sys
import textwrap
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from pinwheel_async.webhooks import SqliteInbox

PRELUDE = """
    import asyncio, os, sys
    from datetime import UTC, datetime
    from pinwheel_async.webhooks import Delivery, SqliteInbox

    inbox = SqliteInbox(sys.argv[1])

    def deliver(event_id, lane):
        return Delivery(event_id=event_id, event="e", lane=lane, received_at=datetime.now(UTC), key="k", body=b"{}")

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "inbox.db"


@pytest.fixture
def opened(path, time):
    @asynccontextmanager
    async def opened(**settings):
        inbox = SqliteInbox(path, **settings, clock=time.clock)
        await inbox.open()
        try:
            yield inbox
        finally:
            await inbox.close()

    return opened


def run_script(path, script):
    """Start a process that works on the inbox."""
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(script)
    return subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("at", [1, 200, 999])
async def test_survives_a_kill(opened, path, at):
    """Every put that returned before the process was killed is there afterwards."""
    process = run_script(
        path,
        """
        async def put(lane):
            for number in range(100_000):
                await inbox.put(deliver(f"{lane}-{number}", str(lane)))
                say(f"{lane}-{number}")

        async def main():
            await inbox.open()
            await asyncio.gather(*map(put, range(16)))

        asyncio.run(main())
        """,
    )
    returned = [process.stdout.readline().strip() for _ in range(at)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    returned += rest.split("\n")[:-1]

    async with opened(max_waiting=None) as inbox:
        stored = [one.event_id for one in await inbox.entries(limit=10**6)]
        counts = await inbox.counts()

    assert -signal.SIGKILL == process.returncode
    assert not set(returned) - set(stored)
    assert len(stored) == counts.waiting
    # At most one more of each putter was under way.
    assert len(stored) - len(returned) <= 16
    for lane in range(16):
        numbers = [int(one.split("-")[1]) for one in stored if one.startswith(f"{lane}-")]
        assert numbers == sorted(numbers, reverse=True)


def test_processes_share_the_file(path):
    """Three processes that make, fill and empty one file: nothing is lost, and nothing is stored or claimed twice."""
    script = """
        async def put(number):
            say("put", number, await inbox.put(deliver(str(number), str(number % 40))))

        async def work():
            while True:
                claims = await inbox.claim(8, lease_s=600)
                for claim in claims:
                    say("claim", claim.delivery.event_id, claim.attempt)
                    say("done", claim.delivery.event_id, await inbox.done(claim))
                counts = await inbox.counts()
                if not claims and not counts.waiting and not counts.claimed:
                    return

        async def main():
            await inbox.open()
            await asyncio.gather(*map(put, range(300)))
            await work()
            await inbox.close()

        asyncio.run(main())
    """
    processes = [run_script(path, script) for _ in range(3)]
    lines = [line.split() for process in processes for line in process.communicate(timeout=120)[0].splitlines()]
    seen = Counter(map(tuple, lines))
    everything = [str(number) for number in range(300)]

    assert [0, 0, 0] == [process.returncode for process in processes]
    assert [1] * 300 == [seen["put", one, "True"] for one in everything]
    assert [2] * 300 == [seen["put", one, "False"] for one in everything]
    assert [1] * 300 == [seen["claim", one, "1"] for one in everything]
    assert [1] * 300 == [seen["done", one, "True"] for one in everything]
