"""Check of an inbox: each kind of damage is found and named, and a sound inbox has no problems."""

import asyncio
import sqlite3
from contextlib import closing, suppress

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks import InboxCheck, check_inbox
from pinwheel_async.webhooks._inbox import sqlite_schema

KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture
async def filled(opened, path, deliver_apart):
    """The file of an inbox that has deliveries in every state."""
    async with opened(key=KEY, keep_bodies_s=1_000) as inbox:
        for name in ("done", "dead", "claimed", "later", "ready"):
            await inbox.put(deliver_apart(name))
        for claim in await inbox.claim(4, lease_s=60):
            match claim.delivery.event_id:
                case "done":
                    await inbox.done(claim)
                case "dead":
                    await inbox.fail(claim, reason="r", retry_in_s=None)
                case "later":
                    await inbox.fail(claim, reason="r", retry_in_s=60)
        await inbox.put(deliver_apart("behind", ordering_key="later"))
        await inbox.claim(0, lease_s=60)
        await inbox._group.submit(lambda store: store.assign_places())
        await inbox.put(deliver_apart("new"))
        await inbox.save("name", b"value")
    return path


def change(path, statements):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)


async def test_sound_inbox(filled):
    """With deliveries in every state there is no problem, and everything is counted."""
    assert InboxCheck(deliveries=7, bodies=7, problems=()) == await check_inbox(filled, key=KEY)


async def test_check_beside_a_receiver(opened, path, deliver_apart):
    """An inbox that is open, with all in its log, can be checked, and still be written to."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        check = await check_inbox(path)

        assert InboxCheck(deliveries=1, bodies=1, problems=()) == check
        assert await inbox.put(deliver_apart("2"))


async def test_check_is_of_one_moment(opened, path, deliver_apart, monkeypatch):
    """What is put between two queries of a check is no disagreement."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        loop, connect = asyncio.get_running_loop(), sqlite_schema.connect_read_only

        def put_before_the_counts(statement):
            if "FROM state_count" in statement:
                asyncio.run_coroutine_threadsafe(inbox.put(deliver_apart("2")), loop).result()

        def connect_and_watch(file):
            connection = connect(file)
            connection.set_trace_callback(put_before_the_counts)
            return connection

        monkeypatch.setattr(sqlite_schema, "connect_read_only", connect_and_watch)
        check = await check_inbox(path)

        assert InboxCheck(deliveries=1, bodies=1, problems=()) == check
        assert 2 == (await inbox.counts()).waiting


async def test_check_changes_nothing(filled):
    """Not a byte of the file is changed."""
    before = filled.read_bytes()
    await check_inbox(filled, key=KEY)

    assert before == filled.read_bytes()


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        ("UPDATE state_count SET dead = 7", "7 deliveries are counted as dead, and there are 1"),
        ("DELETE FROM state_count", "the counts by state are missing"),
        ("UPDATE delivery SET state = 'odd' WHERE event_id = 'dead'", "1 deliveries have a state that there is not"),
        ("UPDATE delivery SET first = 0 WHERE event_id = 'ready'", "1 deliveries are marked as first of their key"),
        ("UPDATE delivery SET first = 1 WHERE event_id = 'dead'", "1 deliveries are marked as first of their key"),
        ("UPDATE delivery SET first = 0, state = 'dead' WHERE event_id = 'later'", "1 keys have deliveries that wait"),
        ("DELETE FROM body WHERE seq = (SELECT seq FROM delivery WHERE event_id = 'new')", "1 deliveries that are not"),
        ("UPDATE delivery SET state = 'done' WHERE event_id = 'done'", "1 bodies belong to no delivery"),
        ("INSERT INTO body VALUES (99, 0, x'00')", "1 bodies belong to no delivery"),
        ("UPDATE delivery SET event_id = 'ready' WHERE event_id = 'new'", "1 event ids are stored more than once"),
        ("UPDATE body SET content = x'00' WHERE seq = 1", "1 bodies cannot be decrypted"),
        ("UPDATE body SET key_number = 9 WHERE seq = 1", "1 bodies cannot be decrypted"),
        ("UPDATE saved SET value = x'00'", "1 saved values cannot be decrypted"),
        (
            "PRAGMA writable_schema = 1; CREATE TABLE p (x); UPDATE sqlite_master SET rootpage = 999 WHERE name = 'p'",
            "the file is damaged",
        ),
    ],
)
async def test_problem(filled, statements, problem):
    """A planted problem is named, without values."""
    change(filled, statements)
    check = await check_inbox(filled, key=KEY)

    assert any(found.startswith(problem) for found in check.problems), check.problems
    assert not check.ok
    assert "ready" not in "".join(check.problems)


async def test_overwritten_pages(opened, path, deliver_apart):
    """A file whose pages were overwritten is damaged, wherever that was."""
    async with opened() as inbox:
        for number in range(200):
            await inbox.put(deliver_apart(f"{number}"))
    content = path.read_bytes()
    pages = range(4_096, len(content), 4_096)
    sound = 0
    for start in pages:
        path.write_bytes(content[:start] + b"\xff" * 4_096 + content[start + 4_096 :])
        with suppress(InboxError):  # the first pages say that it is an inbox
            sound += (await check_inbox(path)).ok

    assert len(pages) > 10
    assert 0 == sound


@pytest.mark.parametrize(("key", "reason"), [(None, "NoKey"), (OTHER, "WrongKey")])
async def test_key_of_a_check(filled, key, reason):
    """Without its key an inbox cannot be checked."""
    with pytest.raises(InboxError) as caught:
        await check_inbox(filled, key=key)

    assert reason == caught.value.reason


async def test_key_that_is_not_needed(opened, path, deliver_apart):
    """A key for an inbox that is in the clear does no harm, and does not become its key."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))

    assert (await check_inbox(path, key=KEY)).ok
    assert (await check_inbox(path)).ok


async def test_both_keys_of_a_check(filled):
    """In the middle of a rotation both keys are given."""
    assert (await check_inbox(filled, key=OTHER, old_keys=[KEY])).ok


async def test_no_file(path):
    """A file that does not exist is an error, and is not made."""
    with pytest.raises(ConfigurationError, match="no inbox at"):
        await check_inbox(path)

    assert not path.exists()


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ("CREATE TABLE theirs (x)", "Foreign"),
        ("PRAGMA user_version = 0", "OlderSchema"),
        ("PRAGMA user_version = 99", "NewerSchema"),
    ],
)
async def test_no_inbox(tmp_path, statements, reason):
    """A file of another program or version is refused."""
    file = tmp_path / "other.db"
    if reason != "Foreign":
        change(file, f"PRAGMA application_id = {0x50574942}; CREATE TABLE delivery (x)")
    change(file, statements)
    with pytest.raises(InboxError) as caught:
        await check_inbox(file)

    assert reason == caught.value.reason
