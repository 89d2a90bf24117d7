"""Hashed ids: the file names no account and no end user, and everything works as before."""

import re

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.events import AccountAdded
from pinwheel_async.testing import make_event
from pinwheel_async.webhooks import DeliveryFilter, Readiness, SqliteInbox
from pinwheel_async.webhooks._readiness.store import ReadinessStore

KEY, NEW = b"k" * 32, b"n" * 32
ACCOUNT = "7c2d5a3e-1f50-4a7e-9b1c-0d2e4f6a8b0c"


async def test_no_id_stands_in_the_files(opened, path, deliver_apart):
    """No ordering key and no name of a saved value stands in any file, open or closed."""
    async with opened(key=KEY, hash_ids=True) as inbox:
        await inbox.put(deliver_apart("1", ordering_key=ACCOUNT))
        await inbox.save(f"readiness:{ACCOUNT}", ACCOUNT.encode())
        files = b"".join(file.read_bytes() for file in path.parent.iterdir())
    files += path.read_bytes()

    assert ACCOUNT.encode() not in files


async def test_values_are_found_again(opened):
    """A saved value is found by its name, after closing too, and can be removed."""
    async with opened(key=KEY, hash_ids=True) as inbox:
        await inbox.save("name", b"value")
    async with opened(key=KEY) as inbox:
        found = await inbox.load("name")
        await inbox.save("name", None)

        assert (b"value", None) == (found, await inbox.load("name"))


async def test_hashes_keep_the_order(opened, deliver_apart):
    """Deliveries of one account have the same hash and are claimed one after another; others are not held up."""
    async with opened(key=KEY, hash_ids=True) as inbox:
        for name, key in (("1", "a"), ("2", "a"), ("3", "b")):
            await inbox.put(deliver_apart(name, ordering_key=key))
        claims = await inbox.claim(3, lease_s=60)
        await inbox.done(claims[0])

        assert ["1", "3"] == [claim.delivery.event_id for claim in claims]
        assert all(re.fullmatch(r"hmac:[0-9a-f]{32}", claim.delivery.ordering_key) for claim in claims)
        assert ["2"] == [claim.delivery.event_id for claim in await inbox.claim(3, lease_s=60)]


async def test_once_hashed_always_hashed(opened, path, deliver_apart):
    """Whoever opens the file later hashes, too."""
    async with opened(key=KEY, hash_ids=True):
        pass
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("1", ordering_key=ACCOUNT))

    assert ACCOUNT.encode() not in path.read_bytes()


async def test_ids_that_stand_there_already(opened, path, deliver_apart):
    """A file that holds ids in the clear is refused, with what to do, and stays usable."""
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("1"))
    with pytest.raises(InboxError, match="begin a new file") as caught:
        await SqliteInbox(path, key=KEY, hash_ids=True).open()
    async with opened(key=KEY) as inbox:
        counts = await inbox.counts()

    assert ("IdsInClear", 1) == (caught.value.reason, counts.waiting)


@pytest.mark.parametrize("settings", [{"hash_ids": True}, {"old_keys": [KEY]}])
def test_without_a_key(path, settings):
    """Hashes and old keys without a key are refused."""
    with pytest.raises(ConfigurationError, match="go with a key"):
        SqliteInbox(path, **settings)


async def test_hashes_outlive_a_rotation(opened, deliver_apart):
    """After a rotation the same account has the same hash."""
    async with opened(key=KEY, hash_ids=True) as inbox:
        await inbox.put(deliver_apart("1", ordering_key=ACCOUNT))
    async with opened(key=NEW, old_keys=[KEY]) as inbox:
        await inbox.rotate_key()
    async with opened(key=NEW) as inbox:
        await inbox.put(deliver_apart("2", ordering_key=ACCOUNT))

        assert 2 == (await inbox.preview(DeliveryFilter(ordering_key=ACCOUNT))).deliveries
        assert 1 == len({entry.ordering_key for entry in await inbox.entries()})


async def test_values_and_deliveries_cannot_be_linked(opened, deliver_apart):
    """A value that is named by an account has another hash than its deliveries."""
    async with opened(key=KEY, hash_ids=True) as inbox:
        await inbox.put(deliver_apart("1", ordering_key=ACCOUNT))
        await inbox.save(ACCOUNT, b"value")
        names = await inbox._group.submit(
            lambda store: store.connection.execute(
                "SELECT name FROM saved UNION SELECT ordering_key FROM delivery"
            ).fetchall()
        )

    assert 2 == len(names)


async def test_hashes_differ_from_file_to_file(opened, tmp_path, deliver_apart):
    """The same account has another hash in another file with the same key, so that nobody can link them."""
    hashes = set()
    for name in ("a.db", "b.db"):
        async with opened(tmp_path / name, key=KEY, hash_ids=True) as inbox:
            await inbox.put(deliver_apart("1", ordering_key=ACCOUNT))
            hashes |= {entry.ordering_key for entry in await inbox.entries()}

    assert 2 == len(hashes)


async def test_readiness_in_a_file_with_hashes(opened, time):
    """Readiness finds what it knows of an account, and forgets it."""
    async with opened(key=KEY, hash_ids=True) as inbox:
        store = ReadinessStore(inbox, time.clock)
        await store.record(make_event(AccountAdded, account_id=ACCOUNT))
        known = await store.read(ACCOUNT)
        await Readiness(inbox).forget(ACCOUNT)

        assert known[0] is not None
        assert (None, None) == await store.read(ACCOUNT)
