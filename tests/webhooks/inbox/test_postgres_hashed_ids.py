"""Hashed ids in PostgreSQL: no table names an account or an end user, and everything works as before."""

import re

import asyncpg
import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.events import AccountAdded
from pinwheel_async.testing import make_event
from pinwheel_async.webhooks import DeliveryFilter, PostgresInbox, Readiness
from pinwheel_async.webhooks._readiness.store import ReadinessStore

KEY, NEW = b"k" * 32, b"n" * 32
ACCOUNT = "7c2d5a3e-1f50-4a7e-9b1c-0d2e4f6a8b0c"


@pytest.fixture
async def sql(postgres_inbox):
    settings = {"search_path": postgres_inbox.schema}
    connection = await asyncpg.connect(postgres_inbox.url, server_settings=settings)
    yield connection
    await connection.close()


@pytest.fixture
async def opened(postgres_inbox):
    """Open inboxes on the same tables; they are closed at the end."""
    inboxes = []

    async def opened(**settings):
        inboxes.append(postgres_inbox(**settings))
        await inboxes[-1].open()
        return inboxes[-1]

    yield opened
    for inbox in inboxes:
        await inbox.close()


async def everything(sql):
    """Return whatever stands in the tables, as text."""
    tables = await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    rows = [await sql.fetch(f"SELECT t::text FROM {name} t") for (name,) in tables]  # noqa: S608
    return str(rows)


async def test_no_id_stands_in_the_tables(opened, sql, deliver_apart):
    """No ordering key and no name of a saved value stands in any table."""
    inbox = await opened(key=KEY, hash_ids=True)
    await inbox.put(deliver_apart("1", ordering_key=ACCOUNT))
    await inbox.save(f"readiness:{ACCOUNT}", ACCOUNT.encode())
    await inbox.load_or_save(f"more:{ACCOUNT}", b"value")
    found = await everything(sql)

    assert "hmac:" in found
    assert ACCOUNT not in found
    assert ACCOUNT.encode().hex() not in found


async def test_once_hashed_always_hashed(opened, sql, deliver_apart):
    """Whoever opens it later hashes, too, and finds values by their names."""
    await (await opened(key=KEY, hash_ids=True)).save("name", b"value")
    later = await opened(key=KEY)
    await later.put(deliver_apart("1", ordering_key=ACCOUNT))
    found = await later.load("name")
    await later.save("name", None)

    assert ACCOUNT not in await everything(sql)
    assert (b"value", None) == (found, await later.load("name"))


async def test_hashes_keep_the_order(opened, deliver_apart):
    """Deliveries of one account have the same hash and are claimed one after another, whichever process stored them."""
    inbox, other = await opened(key=KEY, hash_ids=True), await opened(key=KEY)
    for storing, name, key in ((inbox, "1", "a"), (other, "2", "a"), (inbox, "3", "b")):
        await storing.put(deliver_apart(name, ordering_key=key))
    claims = await inbox.claim(3, lease_s=60)
    assert await inbox.extend(claims[0], lease_s=60)
    assert await inbox.done(claims[0])

    assert ["1", "3"] == [claim.delivery.event_id for claim in claims]
    assert all(re.fullmatch(r"hmac:[0-9a-f]{32}", claim.delivery.ordering_key) for claim in claims)
    assert ["2"] == [claim.delivery.event_id for claim in await other.claim(3, lease_s=60)]


async def test_ids_that_stand_there_already(opened, postgres_inbox, deliver_apart):
    """Tables that hold ids in the clear are refused, with what to do, and stay usable."""
    inbox = await opened(key=KEY)
    await inbox.put(deliver_apart("1"))
    with pytest.raises(InboxError, match="begin a new schema") as caught:
        await postgres_inbox(key=KEY, hash_ids=True).open()
    await inbox.put(deliver_apart("2"))

    assert ("IdsInClear", 2) == (caught.value.reason, (await inbox.counts()).waiting)


async def test_whoever_is_open_already(opened, sql, deliver_apart):
    """A process that opened the empty tables before another one began to hash stores no id in the clear."""
    before = await opened(key=KEY)
    await opened(key=KEY, hash_ids=True)
    assert await before.put(deliver_apart("1", ordering_key=ACCOUNT))

    assert ACCOUNT not in await everything(sql)


async def test_hashes_outlive_a_rotation(opened, deliver_apart):
    """After a rotation the same account has the same hash, and the old key is not needed."""
    await (await opened(key=KEY, hash_ids=True)).put(deliver_apart("1", ordering_key=ACCOUNT))
    rotated = await (await opened(key=NEW, old_keys=[KEY])).rotate_key()
    later = await opened(key=NEW)
    await later.put(deliver_apart("2", ordering_key=ACCOUNT))

    assert 0 == rotated.left
    assert 2 == (await later.preview(DeliveryFilter(ordering_key=ACCOUNT))).deliveries
    assert (await later.check()).problems == ()


def test_without_a_key(postgres_inbox):
    """Hashes without a key are refused."""
    with pytest.raises(ConfigurationError, match="go with a key"):
        PostgresInbox(postgres_inbox.url, hash_ids=True)


async def test_readiness(opened, time):
    """Readiness finds what it knows of an account, and forgets it."""
    inbox = await opened(key=KEY, hash_ids=True)
    store = ReadinessStore(inbox, time.clock)
    await store.record(make_event(AccountAdded, account_id=ACCOUNT))
    known = await store.read(ACCOUNT)
    await Readiness(inbox).forget(ACCOUNT)

    assert known[0] is not None
    assert (None, None) == await store.read(ACCOUNT)
