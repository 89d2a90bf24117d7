"""Looking at an inbox, and tools that change it: nothing else of it changes, and nobody has to wait."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import asynccontextmanager

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import DeliveryFilter, SqliteInbox
from pinwheel_async.webhooks._inbox import sqlite_schema

from .refusals import refusal

DAY_S = 86_400


@pytest.fixture
def looking(path, time):
    """Open the inbox to look at it, for a block."""

    @asynccontextmanager
    async def looking(**settings):
        inbox = SqliteInbox(path, read_only=True, **settings, clock=time.clock)
        await inbox.open()
        try:
            yield inbox
        finally:
            await inbox.close()

    return looking


def contents(path):
    """Return every file of the folder with its bytes and the time of its last change."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()}


async def look(inbox):
    """Call every method that looks."""
    await inbox.load("name")
    await inbox.wait(0)
    for state in (None, "waiting", "claimed", "done", "dead"):
        await inbox.entries(DeliveryFilter(states=state or ()))
    return await inbox.counts()


async def fill(inbox, deliver_apart):
    """Leave 200 done, one claimed and one that waits."""
    await asyncio.gather(*(inbox.put(deliver_apart(f"{number}")) for number in range(202)))
    claims = [claim for _ in range(4) for claim in await inbox.claim(50, lease_s=60)]
    await asyncio.gather(*(inbox.done(claim) for claim in claims))
    await inbox.claim(1, lease_s=3_600)


@pytest.mark.parametrize("waited_s", [0, 400 * DAY_S])
async def test_looking_changes_nothing(opened, looking, path, deliver_apart, time, waited_s):
    """However old everything is, looking at a closed file leaves every byte, and makes no file beside it."""
    async with opened(keep_bodies_s=365 * DAY_S, remember_s=10 * 365 * DAY_S) as inbox:
        await fill(inbox, deliver_apart)
    time.advance(waited_s)
    before = contents(path)
    async with looking() as inbox:
        found = [await look(inbox) for _ in range(3)]

    assert {(1, 1, 200)} == {(counts.waiting, counts.claimed, counts.done) for counts in found}
    assert before == contents(path)


async def test_looking_beside_a_receiver(opened, looking, path, deliver_apart):
    """What a receiver puts is seen at once, and its leases stay; nothing is written, and no lock is taken."""
    async with opened() as receiver:
        await fill(receiver, deliver_apart)
        before = contents(path)
        del before["inbox.db-shm"]  # where SQLite notes who reads
        async with looking() as inbox:
            first = await look(inbox)
            after = contents(path)
            await receiver.put(deliver_apart("new"))
            second = await look(inbox)
        claimed = await receiver.counts()

    del after["inbox.db-shm"]
    assert before == after
    assert (1, 2, 1) == (first.waiting, second.waiting, claimed.claimed)


async def test_looking_waits_for_nobody(opened, looking, path, deliver_apart):
    """While another process writes for long, what it has not committed is not seen, and nobody waits for it."""
    async with opened() as receiver:
        await receiver.put(deliver_apart("1"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE state_count SET waiting = 9")
        async with asyncio.timeout(4), looking() as inbox:
            waiting = (await look(inbox)).waiting
        other.execute("ROLLBACK")
        other.close()

    assert 1 == waiting


async def test_nobody_waits_for_who_looks(looking, opened, deliver_apart):
    """A look that lasts holds up no put."""
    async with opened() as receiver, looking() as inbox:
        await inbox._group.submit(lambda store: store.begin() if not store.connection.in_transaction else None)
        async with asyncio.timeout(4):
            assert await receiver.put(deliver_apart("1"))


async def test_file_opened_while_it_is_looked_at(opened, looking, deliver_apart):
    """A file that was closed when it was opened to look at it shows what a receiver puts later."""
    async with opened() as receiver:
        await receiver.put(deliver_apart("1"))
    async with looking() as inbox:
        before = await inbox.counts()
        async with opened() as receiver:
            await receiver.put(deliver_apart("2"))
            meanwhile = await inbox.counts()
        after = await inbox.counts()

    assert [1, 2, 2] == [counts.waiting for counts in (before, meanwhile, after)]


async def test_looking_at_a_file_that_was_not_closed(opened, looking, path, tmp_path, deliver_apart):
    """What stands in the log of a killed process only is seen, too."""
    async with opened() as receiver:
        await receiver.put(deliver_apart("1"))
        copy = tmp_path / "copy"
        copy.mkdir()
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", copy / f"inbox.db{end}")
    for file in copy.iterdir():
        shutil.copy(file, path.parent)
    async with looking() as inbox:
        assert 1 == (await inbox.counts()).waiting


async def test_log_that_cannot_be_indexed(opened, path, time):
    """Where the log of a file cannot be read without writing, the error says what to do."""
    async with opened():
        pass
    path.with_name("inbox.db-wal").touch()
    path.with_name("inbox.db-shm").symlink_to(path / "nowhere")
    error = await refusal(SqliteInbox(path, read_only=True, clock=time.clock).open())

    assert ("SQLITE_CANTOPEN", True) == (error.reason, "let a receiver open it" in str(error))


@pytest.mark.parametrize("settings", [{"read_only": True}, {"consumer": None}])
async def test_missing_file(path, settings):
    """Who looks, and a tool, gets an error where there is no file, and makes none."""
    error = await refusal(SqliteInbox(path, **settings).open())

    assert ("Missing", True) == (error.reason, str(path) in str(error))
    assert [] == list(path.parent.iterdir())


async def test_file_of_an_older_version(path):
    """A file that would have to be brought up to date is refused with the cure, and not touched."""
    path.touch()
    error = await refusal(SqliteInbox(path, read_only=True).open())

    assert ("OlderSchema", b"") == (error.reason, path.read_bytes())


async def test_writing_is_refused(opened, looking, deliver_apart):
    """What would change something is refused with the cure."""
    async with opened() as receiver:
        await receiver.put(deliver_apart("1"))
        (claim,) = await receiver.claim(1, lease_s=60)
        async with looking() as inbox:
            writing = [
                await refusal(doing)
                for doing in (
                    inbox.put(deliver_apart("2")),
                    inbox.revive(),
                    inbox.purge(DeliveryFilter()),
                    inbox.save("name", b""),
                )
            ]
            consuming = [
                await refusal(doing)
                for doing in (
                    inbox.claim(1, lease_s=60),
                    inbox.extend(claim, lease_s=60),
                    inbox.done(claim),
                    inbox.fail(claim, reason="r", retry_in_s=None),
                    inbox.release(claim),
                )
            ]

    assert {"ReadOnly"} == {error.reason for error in writing}
    assert {"NoConsumer"} == {error.reason for error in consuming}


async def test_tool_ends_no_lease(opened, path, deliver_apart):
    """A tool that opens the file alone leaves leases as they are, cannot claim, and makes no lock."""
    async with opened() as receiver:
        await receiver.put(deliver_apart("1"))
        await receiver.claim(1, lease_s=60)
    path.with_name("inbox.db-open").unlink()
    async with opened(consumer=None) as tool:
        refused = await refusal(tool.claim(1, lease_s=60))
        lock_made = path.with_name("inbox.db-open").exists()
        at = await tool._group.submit(lambda store: store.connection.execute("SELECT at > 0 FROM delivery").fetchone())

    assert ("NoConsumer", False, (1,)) == (refused.reason, lock_made, at)


async def test_tool_cleans_nothing_up(opened, deliver_apart, time):
    """A tool forgets no id and drops no body, however old; the next receiver does."""
    async with opened(remember_s=100) as receiver:
        await receiver.put(deliver_apart("1"))
        (claim,) = await receiver.claim(1, lease_s=60)
        await receiver.done(claim)
    time.advance(200)
    async with opened(consumer=None) as tool:
        left = [(await tool.counts()).done for _ in range(2)]
    async with opened() as receiver:
        forgotten = (await receiver.counts()).done

    assert ([1, 1], 0) == (left, forgotten)


@pytest.mark.parametrize(("keep_bodies_s", "state"), [(100, "kept"), (0, "done")])
async def test_terms_stay_with_the_file(opened, deliver_apart, keep_bodies_s, state):
    """A receiver that says nothing about retention goes by what the last one said."""
    async with opened(keep_bodies_s=keep_bodies_s, remember_s=200):
        pass
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        (claim,) = await inbox.claim(1, lease_s=60)
        await inbox.done(claim)
        found = await inbox._group.submit(
            lambda store: (store.remember_s, store.connection.execute("SELECT state FROM delivery").fetchone()[0])
        )

    assert (200, state) == found


async def test_terms_that_another_receiver_changes(opened):
    """Receivers that share a file go by what the last of them said."""
    async with opened(remember_s=100) as first:
        async with opened(remember_s=200):
            pass
        remember_s = await first._group.submit(lambda store: store.remember_s)

    assert 200 == remember_s


@pytest.mark.parametrize("read_only", [False, True])
async def test_key_of_who_does_not_receive(opened, path, deliver_apart, read_only):
    """A key that a tool brings does not become the key of a file without one."""
    async with opened():
        pass
    async with opened(read_only=read_only, consumer=None, key=bytes(32)):
        pass
    async with opened() as inbox:
        assert await inbox.put(deliver_apart("1"))


async def test_looking_without_the_key(opened, looking, deliver_apart):
    """What may be shown of an encrypted inbox is not encrypted, so no key is needed to look; a wrong one is said."""
    async with opened(key=bytes(32)) as receiver:
        await receiver.put(deliver_apart("1"))
    async with looking() as inbox:
        assert ["1"] == [entry.event_id for entry in await inbox.entries()]
    error = await refusal(looking(key=bytes(31) + b"1").__aenter__())

    assert "WrongKey" == error.reason


@pytest.mark.parametrize(
    "settings",
    [
        {"read_only": True, "keep_bodies_s": 0},
        {"consumer": None, "remember_s": 5},
        {"consumer": ""},
        {"remember_s": float("nan")},
    ],
)
def test_terms_of_who_does_not_receive(path, settings):
    """Only a receiver, which has a name, says how long something is kept, and how long that is."""
    with pytest.raises(ConfigurationError):
        SqliteInbox(path, **settings)


async def test_what_waits_among_much_that_is_done(opened, deliver_apart, path, monkeypatch):
    """Listing what waits, and finding the oldest of it, takes no more steps behind 20,000 that are done."""
    taken = [0]

    def count():
        taken[0] += 1

    def connect_and_count(file, connect=sqlite_schema.connect_read_only):
        connection = connect(file)
        connection.set_progress_handler(count, 1)
        return connection

    async def steps(work):
        before = taken[0]
        await work
        return taken[0] - before

    monkeypatch.setattr(sqlite_schema, "connect_read_only", connect_and_count)
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox._group.submit(lambda store: store.connection.set_progress_handler(count, 1))
        waiting = DeliveryFilter(states="waiting")
        few = [await steps(inbox.counts()), await steps(inbox.entries(waiting))]
        other = sqlite3.connect(path)
        other.executescript("""
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
            INSERT INTO delivery (
                event_id, event, ordering_key, received_at, signed_with, assigned, first, state, at, attempts, token
            )
            SELECT 'done' || i, 'e', 'a', 0, 'k', 1, 0, 'done', 9e9, 0, 0 FROM n;
        """)
        other.close()
        await inbox.counts()  # reads what the other process has changed
        many = [await steps(inbox.counts()), await steps(inbox.entries(waiting))]

    assert 0 < min(few)
    assert max(many) < max(few) + 100


async def test_every_kind_of_waiting_is_listed(opened, deliver_apart, time):
    """New, ready, to be tried again, behind another and stepped back behind a revived one: all wait, newest first."""
    async with opened() as inbox:
        for name in ("dead", "late"):
            await inbox.put(deliver_apart(name, ordering_key="a"))
        (claim,) = await inbox.claim(1, lease_s=60)
        await inbox.fail(claim, reason="r", retry_in_s=None)
        (claim,) = await inbox.claim(1, lease_s=60)
        await inbox.fail(claim, reason="r", retry_in_s=100)
        for name, ordering_key in (("retried", "b"), ("behind", "b"), ("ready", "c")):
            time.advance(1)
            await inbox.put(deliver_apart(name, ordering_key=ordering_key))
        claims = await inbox.claim(2, lease_s=60)
        await inbox.fail(claims[0], reason="r", retry_in_s=100)
        await inbox.release(claims[1])
        await inbox.claim(0, lease_s=60)
        await inbox.revive()
        await inbox.put(deliver_apart("new"))
        states = await inbox._group.submit(
            lambda store: store.connection.execute("SELECT state, at > 0 FROM delivery ORDER BY seq DESC").fetchall()
        )
        listed = [entry.event_id for entry in await inbox.entries(DeliveryFilter(states="waiting"))]
        first_two = [entry.event_id for entry in await inbox.entries(DeliveryFilter(states="waiting"), limit=2)]
        oldest = (await inbox.counts()).oldest_waiting_s

    assert [("new", 0), ("ready", 0), ("behind", 0), ("later", 1), ("behind", 1), ("ready", 0)] == states
    assert ["new", "ready", "behind", "retried", "late", "dead"] == listed
    assert ["new", "ready"] == first_two
    assert 3 == oldest


async def test_root_looks_at_the_file_of_a_user(opened, looking, path, deliver_apart):
    """After root has looked at the file of a user, everything there still belongs to the user."""
    user = os.geteuid() or 12_345
    async with opened() as receiver:
        await receiver.put(deliver_apart("1"))
        for file in (path.parent, *path.parent.iterdir()):
            os.chown(file, user, -1)
        async with looking() as inbox:
            await look(inbox)
        owners = {file.stat().st_uid for file in path.parent.iterdir()}

    assert {user} == owners
