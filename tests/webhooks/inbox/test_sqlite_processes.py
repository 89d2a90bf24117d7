"""SQLite inbox and processes: one that is killed, and several that share a file."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections import Counter
from contextlib import closing

import pytest

from pinwheel_async.errors import InboxError

PRELUDE = """
    import asyncio, os, sys
    from datetime import UTC, datetime
    from pinwheel_async.webhooks import Delivery, SqliteInbox

    inbox = SqliteInbox(sys.argv[1])

    def deliver(event_id, ordering_key):
        now = datetime.now(UTC)
        return Delivery(event_id=event_id, event="e", ordering_key=ordering_key, received_at=now, key="k", body=b"{}")

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
        async def put(key):
            for number in range(100_000):
                await inbox.put(deliver(f"{key}-{number}", str(key)))
                say(f"{key}-{number}")

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
        stored = [entry.event_id for entry in await inbox.entries(limit=10**6)]
        counts = await inbox.counts()

    assert -signal.SIGKILL == process.returncode
    assert not set(returned) - set(stored)
    assert len(stored) == counts.waiting
    # At most one more of each putter was under way.
    assert len(stored) - len(returned) <= 16
    for key in range(16):
        numbers = [int(event_id.split("-")[1]) for event_id in stored if event_id.startswith(f"{key}-")]
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
    assert [1] * 300 == [seen["put", event_id, "True"] for event_id in everything]
    assert [2] * 300 == [seen["put", event_id, "False"] for event_id in everything]
    assert [1] * 300 == [seen["claim", event_id, "1"] for event_id in everything]
    assert [1] * 300 == [seen["done", event_id, "True"] for event_id in everything]


CLAIM = """
    async def main():
        await inbox.open()
        await inbox.put(deliver("1", "account"))
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
    """What a killed process had claimed is due when the file is opened again; the attempt was interrupted."""
    claim_and_die(path)

    async with opened() as inbox:
        (claim,) = await inbox.claim(1, lease_s=60)

    assert ("1", 1, 1) == (claim.delivery.event_id, claim.attempt, claim.interrupted)


async def test_claims_wait_while_another_inbox_is_open(opened, path):
    """An inbox that does not open the file alone cannot tell the claims of the dead from those of the living."""
    async with opened():
        claim_and_die(path)
        async with opened() as inbox:
            assert () == await inbox.claim(1, lease_s=60)


async def test_claims_of_the_living_stay(opened, deliver_apart):
    """Opening the file takes nothing away from those that have it open."""
    async with opened() as first:
        await first.put(deliver_apart("1"))
        (claim,) = await first.claim(1, lease_s=60)
        async with opened() as second:
            stolen = await second.claim(1, lease_s=60)
        async with opened():
            done = await first.done(claim)

    assert ((), True) == (stolen, done)


async def test_own_claims_outlive_trouble(opened, deliver_apart):
    """A file that has to be opened again after trouble is opened by the same process, whose claims stay."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox.claim(1, lease_s=60)
        with pytest.raises(InboxError):
            await inbox._group.submit(lambda store: store.connection.close())

        assert () == await inbox.claim(1, lease_s=60)


async def test_no_lock_to_be_had(opened, path, deliver_apart):
    """Where the lock cannot be had, the inbox works, and claims wait for their lease."""
    path.with_name("inbox.db-open").mkdir()
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox.claim(1, lease_s=60)
    async with opened() as inbox:
        assert () == await inbox.claim(1, lease_s=60)


async def test_trouble_at_the_first_look(opened, path, deliver_apart):
    """An inbox that cannot end the leases of the dead cannot open the file, and may try again."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
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


async def test_no_token_comes_again_after_a_crash_of_the_machine(opened, path, deliver_apart):
    """A token that was given before a crash of the machine, which undid the claim, is less than every later one."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        before = path.with_name("copy.db")
        with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(before)) as copy:
            connection.backup(copy)
        tokens = []
        for _ in range(100):
            (claim,) = await inbox.claim(1, lease_s=60)
            await inbox.release(claim)
            tokens.append(claim.token)
    async with opened(before) as inbox:
        (claim,) = await inbox.claim(1, lease_s=60)

    assert claim.token > max(tokens)
