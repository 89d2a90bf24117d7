"""A file that outlives its process, and one that several share."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections import Counter

import pytest

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._presence import Presence

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


CLAIM = """
    async def main():
        await inbox.open()
        await inbox.put(deliver("1", "lane"))
        await inbox.claim(1, lease_s=600)
        say("claimed")
        await asyncio.sleep(600)

    asyncio.run(main())
"""


def claim_and_die(path):
    """Let a process claim a delivery for a long time and be killed."""
    process = run_script(path, CLAIM)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()


async def test_claims_of_the_dead_are_due_at_once(opened, path):
    """What a killed process had claimed is due when the file is opened again; the attempt counts."""
    claim_and_die(path)

    async with opened() as inbox:
        (claim,) = await inbox.claim(1, lease_s=60)

    assert ("1", 2) == (claim.delivery.event_id, claim.attempt)


async def test_claims_wait_while_somebody_else_is_there(opened, path):
    """Who does not open the file alone cannot tell the claims of the dead from those of the living."""
    async with opened():
        claim_and_die(path)
        async with opened() as inbox:
            assert () == await inbox.claim(1, lease_s=60)


async def test_claims_of_the_living_stay(opened, deliver):
    """Whoever opens the file takes nothing away from those who have it open."""
    async with opened() as first:
        await first.put(deliver("1"))
        (claim,) = await first.claim(1, lease_s=60)
        async with opened() as second:
            stolen = await second.claim(1, lease_s=60)
        async with opened():
            done = await first.done(claim)

    assert ((), True) == (stolen, done)


async def test_own_claims_outlive_trouble(opened, deliver):
    """A file that has to be opened again after trouble is opened by the same process, whose claims stay."""
    async with opened() as inbox:
        await inbox.put(deliver("1"))
        await inbox.claim(1, lease_s=60)
        with pytest.raises(InboxError):
            await inbox._group.submit(lambda ledger: ledger.connection.close())

        assert () == await inbox.claim(1, lease_s=60)


async def test_no_lock_to_be_had(opened, path, deliver):
    """Where the lock cannot be had, the inbox works, and claims wait for their lease."""
    path.with_name("inbox.db-open").mkdir()
    async with opened() as inbox:
        await inbox.put(deliver("1"))
        await inbox.claim(1, lease_s=60)
    async with opened() as inbox:
        assert () == await inbox.claim(1, lease_s=60)


async def test_trouble_at_the_first_look(opened, path, deliver):
    """Who cannot end the leases of the dead cannot open the file, and may try again."""
    async with opened() as inbox:
        await inbox.put(deliver("1"))
        await inbox.claim(1, lease_s=60)
    broken = sqlite3.connect(path)
    broken.execute("CREATE TRIGGER no BEFORE UPDATE ON delivery BEGIN SELECT RAISE(FAIL, 'no'); END")
    with pytest.raises(InboxError):
        async with opened():
            pass
    broken.execute("DROP TRIGGER no")
    broken.close()

    async with opened() as inbox:
        assert 1 == len(await inbox.claim(1, lease_s=60))


def test_others_wait_for_the_first_look(path):
    """Nobody enters between the entry of one who is alone and the end of its look around."""
    first, second, order = Presence(str(path)), Presence(str(path)), []
    alone = first.enter()
    thread = threading.Thread(target=lambda: order.append(second.enter()))
    thread.start()
    order.append("stays")
    first.stay()
    thread.join(30)
    second.leave()
    first.leave()

    assert (True, ["stays", False]) == (alone, order)
