"""PostgreSQL inbox: what it promises beyond the contract that all inboxes fulfil."""

import asyncio
import logging
import secrets
import time as real_time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks import DeliveryFilter, PostgresInbox, Router
from pinwheel_async.webhooks._inbox.base import only_handlers
from pinwheel_async.webhooks._postgres import admin, inbox as inbox_module, line, listener, schema, store

from .claims import claim, claim_one, ids
from .proxy import proxied
from .refusals import BODY, refusal

CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'pinwheel-async inbox' AND datname = current_database()
"""
"""Ends every connection of an inbox."""

KEY, NEW_KEY = secrets.token_bytes(32), secrets.token_bytes(32)


@pytest.fixture
def opened(postgres_inbox):
    """Open an inbox for a block, by the clock of the database."""

    @asynccontextmanager
    async def opened(**settings):
        url = settings.pop("url", None)
        inbox = PostgresInbox(url, schema=postgres_inbox.schema, **settings) if url else postgres_inbox(**settings)
        await inbox.open()
        try:
            yield inbox
        finally:
            await inbox.close()

    return opened


@pytest.fixture
async def sql(postgres_inbox):
    """Execute a statement in the schema of this test."""
    connection = await asyncpg.connect(postgres_inbox.url, server_settings={"search_path": postgres_inbox.schema})
    yield connection
    await connection.close()


async def until(predicate):
    async with asyncio.timeout(60):
        while not predicate():
            await asyncio.sleep(0.01)


async def test_time_is_the_databases(opened, deliver):
    """When a delivery arrived is told by the clock of the database, whatever the receiver's says."""
    async with opened() as inbox:
        await inbox.put(deliver("1", received_at=datetime(2001, 1, 1, tzinfo=UTC)))
        held = await claim_one(inbox)

    assert abs(datetime.now(UTC) - held.delivery.received_at) < timedelta(minutes=5)


async def test_opposite_orders(opened, deliver):
    """Two receivers that get the same events in opposite order store each once, and neither waits for the other."""
    async with opened() as one, opened() as other:
        for number in range(20):
            events = [deliver(f"{number}-{event}", f"account-{event % 7}") for event in range(32)]
            forth, back = await asyncio.gather(
                asyncio.gather(*map(one.put, events)), asyncio.gather(*map(other.put, events[::-1]))
            )
            assert [True] * 32 == [a != b for a, b in zip(forth, back[::-1], strict=True)]


async def test_marks_beside_puts(opened, deliver, monkeypatch):
    """Marks of an account are made although another receiver stores for it without a pause."""
    monkeypatch.setattr(store, "STALE_TRIES", 0)
    async with opened() as worker, opened() as receiver:
        await receiver.put(deliver("first"))

        async def put():
            for number in range(200):
                await receiver.put(deliver(f"{number}"))

        putting = asyncio.create_task(put())
        order = []
        while not putting.done() or order[-1:] != ["199"]:
            for held in await claim(worker, 1):
                order.append(held.delivery.event_id)
                assert await worker.done(held)

    assert ["first", *map(str, range(200))] == order


async def test_cancelled_claim(opened, deliver):
    """What was claimed for a task that was cancelled meanwhile is given back."""
    async with opened() as inbox, opened() as other:
        await inbox.put(deliver("1"))
        claiming = asyncio.create_task(inbox.claim(1, lease_s=600))
        await asyncio.sleep(0)
        claiming.cancel()
        await asyncio.wait({claiming})
        async with asyncio.timeout(60):
            while not (claims := await claim(other)):
                await asyncio.sleep(0.01)

    assert [("1", 1)] == [(held.delivery.event_id, held.attempt) for held in claims]


async def test_another_consumer(opened):
    """A receiver with another name has other handlers, and cannot open it; nor can a second router use one inbox."""
    async with opened(consumer="lending") as inbox:
        inbox.attach(Router())
        with pytest.raises(ConfigurationError):
            inbox.attach(Router())
        with pytest.raises(InboxError, match="'lending' and not to 'benefits'") as caught:
            async with opened(consumer="benefits"):
                pass

    assert ("OtherConsumer", False) == (caught.value.reason, caught.value.is_transient)


async def test_tools(opened, deliver):
    """A tool makes no tables, claims nothing and, if it only looks, changes nothing."""
    with pytest.raises(InboxError, match="no tables"):
        async with opened(consumer=None):
            pass
    with pytest.raises(InboxError, match="no tables"):
        async with opened(migrate=False):
            pass
    async with opened() as inbox, opened(consumer=None) as tool, opened(read_only=True) as looking:
        await inbox.put(deliver("1"))
        assert "NoConsumer" == (await refusal(tool.claim(1, lease_s=1))).reason
        assert "ReadOnly" == (await refusal(looking.put(deliver("2")))).reason
        assert "ReadOnly" == (await refusal(looking.purge(DeliveryFilter()))).reason
        with pytest.raises(ConfigurationError):
            tool.attach(Router())
        assert 1 == (await looking.counts()).waiting
        assert 1 == await tool.purge(DeliveryFilter())


@pytest.mark.parametrize(("oldest", "reason"), [(1, None), (2, "NewerVersion")])
async def test_newer_tables(opened, sql, oldest, reason):
    """Tables of a newer version are used while they say that this one may, so that a deploy can roll; else refused."""
    async with opened():
        await sql.execute("UPDATE pinwheel_inbox_terms SET version = 9, oldest = $1", oldest)
    found = None
    try:
        async with opened():
            pass
    except InboxError as error:
        found = error.reason

    assert reason == found


@pytest.fixture
def version_2(monkeypatch):
    """Let this code be of version 2, whose tables have a column more."""
    add = "ALTER TABLE pinwheel_inbox_deliveries ADD COLUMN IF NOT EXISTS of_tomorrow text"

    def begin():
        monkeypatch.setattr(schema, "VERSION", 2)
        monkeypatch.setattr(schema, "STEPS", {2: [add]})

    return begin


async def test_migrate(postgres_inbox, opened):
    """Tables are made once, by whoever may, and are used by receivers that make none."""
    inbox = PostgresInbox(postgres_inbox.url, schema=postgres_inbox.schema)

    assert [await inbox.migrate() for _ in range(2)] == [True, False]
    async with opened(migrate=False):
        pass


async def test_steps_between_versions(postgres_inbox, opened, sql, version_2, monkeypatch, deliver):
    """Tables of the version before are brought up to date once, beside code of that version, which goes on."""
    async with opened() as older:
        version_2()
        with pytest.raises(InboxError, match="needs 2: pinwheel-async migrate") as caught:
            async with opened(migrate=False):
                pass
        inbox = PostgresInbox(postgres_inbox.url, schema=postgres_inbox.schema)
        assert await asyncio.gather(*[inbox.migrate() for _ in range(4)]) != [False] * 4
        assert await inbox.migrate() is False
        assert await older.put(deliver("1"))
        async with opened() as newer:
            assert 1 == (await newer.counts()).waiting
    monkeypatch.undo()
    async with opened() as older:
        assert await older.put(deliver("2"))

    assert "OlderVersion" == caught.value.reason
    assert (2, 1) == tuple(await sql.fetchrow("SELECT version, oldest FROM pinwheel_inbox_terms"))


async def test_migrate_behind_a_transaction(postgres_inbox, opened, sql, version_2):
    """A migration tries again while others have locked what it changes."""
    async with opened():
        pass
    version_2()
    inbox = PostgresInbox(postgres_inbox.url, schema=postgres_inbox.schema)
    async with sql.transaction():
        await sql.execute("LOCK TABLE pinwheel_inbox_deliveries IN ACCESS SHARE MODE")
        migrating = asyncio.create_task(inbox.migrate())
        await asyncio.wait([migrating], timeout=2.5)  # longer than it waits at once
        assert not migrating.done()

    assert await migrating is True


async def test_migrate_what_is_newer(postgres_inbox, opened, sql):
    """Tables that are for newer code only are not touched."""
    async with opened():
        await sql.execute("UPDATE pinwheel_inbox_terms SET version = 9, oldest = 9")

    with pytest.raises(InboxError, match="of version 9"):
        await PostgresInbox(postgres_inbox.url, schema=postgres_inbox.schema).migrate()


async def test_opened_by_many(opened):
    """Many processes that start at once make the tables once."""

    async def start():
        async with opened():
            pass

    await asyncio.gather(*[start() for _ in range(8)])


async def test_role_without_rights_to_create(opened, sql, postgres_inbox, deliver):
    """A role that may not create anything can receive and work with tables that are there."""
    role = f"app_{secrets.token_hex(8)}"
    url = make_url(postgres_inbox.url).set(username=role, password=role).render_as_string(hide_password=False)
    async with opened():
        pass
    await sql.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    await sql.execute(f"GRANT {role} TO CURRENT_USER")  # who is no superuser may drop only what is a member's
    try:
        name = postgres_inbox.schema
        await sql.execute(f"GRANT USAGE ON SCHEMA {name} TO {role}")
        await sql.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {role}")
        await sql.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {name} TO {role}")
        async with opened(url=url) as inbox:
            await inbox.put(deliver("1"))
            assert await inbox.done(await claim_one(inbox))
    finally:
        await sql.execute(f"DROP OWNED BY {role}")
        await sql.execute(f"DROP ROLE {role}")


async def test_commits_that_do_not_last(opened, postgres_inbox):
    """A database that acknowledges what a crash may undo is refused."""
    url = f"{postgres_inbox.url}?options=-csynchronous_commit%3Doff"
    with pytest.raises(InboxError, match="synchronous_commit = on") as caught:
        async with opened(url=url):
            pass

    assert not caught.value.is_transient


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///planted", "like postgresql://"),
        ("inbox.db", "like postgresql://"),
        ("postgresql://u:planted@h/d?schema=planted", "give the schema to the inbox"),
        ("postgresql://u:planted@h/d?channel_binding=require", "channel_binding .* asyncpg cannot do it"),
        ("postgresql://u:planted@[h/d", "like postgresql://"),
    ],
)
def test_senseless_urls(url, message):
    """A URL that is none of PostgreSQL, or asks for what cannot be had, is refused without being shown."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        PostgresInbox(url)

    assert "planted" not in str(caught.value)


def test_no_password_in_sight():
    """What describes an inbox shows neither its URL nor its key."""
    inbox = PostgresInbox("postgresql://app:planted@db/pinwheel", key=KEY)

    assert "planted" not in repr(inbox) + repr(inbox._options) + repr(inbox._store)


async def test_encryption(opened, sql, deliver):
    """With a key neither bodies nor saved values stand in the tables; another key, or none, opens nothing."""
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver("1", body=BODY))
        await inbox.save("name", BODY)
        stored = [await sql.fetchval("SELECT body FROM pinwheel_inbox_deliveries")]
        stored.append(await sql.fetchval("SELECT value FROM pinwheel_inbox_values"))
        for other, reason in ((None, "NoKey"), (NEW_KEY, "WrongKey")):
            with pytest.raises(InboxError) as caught:
                async with opened(key=other):
                    pass
            assert reason == caught.value.reason
        assert BODY == (await claim_one(inbox)).delivery.body
        assert BODY == await inbox.load("name")

    assert all(b"PAYROLL" not in content for content in stored)


async def test_damaged_body(opened, sql, deliver):
    """A body that cannot be decrypted is dead, and the next of its account comes."""
    async with opened(key=KEY) as inbox:
        for event_id in "12":
            await inbox.put(deliver(event_id))
        await sql.execute("UPDATE pinwheel_inbox_deliveries SET body = '\\x00' WHERE event_id = '1'")
        checked = await inbox.check()
        claims = await claim(inbox) or await claim(inbox)
        (dead,) = await inbox.entries(DeliveryFilter(states="dead"))

    assert ("1 bodies cannot be decrypted",) == checked.problems
    assert (["2"], "1", "the stored body is damaged") == (ids(claims), dead.event_id, dead.reason)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("DELETE FROM pinwheel_inbox_queues", "2 unfinished deliveries have no queue"),
        ("UPDATE pinwheel_inbox_queues SET head = -1", "1 queues have a head that is not there"),
        (
            "UPDATE pinwheel_inbox_queues SET at = now()",
            "1 queues say when they are due and are ready, or the other way round",
        ),
        (
            "UPDATE pinwheel_inbox_deliveries SET body = NULL WHERE event_id = '2'",
            "1 deliveries that are not done have no body",
        ),
        ("UPDATE pinwheel_inbox_deliveries SET seq = 0", "1 deliveries have a number that another one has"),
        (
            "UPDATE pinwheel_inbox_deliveries SET state = 'q' WHERE event_id = '2'",
            "1 deliveries have a state that there is not",
        ),
        ("UPDATE pinwheel_inbox_deliveries SET state = 'd'", "1 queues have nothing unfinished in them"),
    ],
)
async def test_check(opened, sql, deliver, damage, problem):
    """A check names what does not agree with what, and how often; and nothing where all is well."""
    async with opened() as inbox:
        for event_id in "12":
            await inbox.put(deliver(event_id))
        before = await inbox.check()
        await sql.execute(damage)
        after = await inbox.check()

    assert (2, 2, ()) == (before.deliveries, before.bodies, before.problems)
    assert problem in after.problems


async def test_rotation(opened, sql, deliver, monkeypatch):
    """A key is replaced while receivers run: those with both go on, one with the old key alone is refused from then."""
    monkeypatch.setattr("pinwheel_async.webhooks._postgres.rotation.PORTION_ROWS", 2)
    async with (
        opened(key=KEY) as old,
        opened(key=KEY, old_keys=[NEW_KEY]) as both,
        opened(key=NEW_KEY, old_keys=[KEY]) as new,
    ):
        for number in range(5):
            await old.put(deliver(f"{number}", f"{number}", body=BODY))
        await old.save("name", BODY)
        await new.put(deliver("new", "new", body=BODY))
        rotation = await new.rotate_key()
        assert (6, 0) == (rotation.encrypted, rotation.left)
        assert "WrongKey" == (await refusal(old.put(deliver("late")))).reason
        assert "WrongKey" == (await refusal(both.put(deliver("late")))).reason
        assert await new.put(deliver("late"))
        assert [BODY] * 6 == [held.delivery.body for held in await claim(both, 6)]
        assert BODY == await new.load("name")
        assert 1 == await sql.fetchval("SELECT count(*) FROM pinwheel_inbox_keys")


async def test_unknown_key_of_a_claim(opened, deliver):
    """What was encrypted with a key that a worker does not know is left as it was, for one that does."""
    async with opened(key=KEY) as old, opened(key=NEW_KEY, old_keys=[KEY]) as new:
        await new.put(deliver("1"))
        assert "WrongKey" == (await refusal(old.claim(1, lease_s=600))).reason
        held = await claim_one(new)

    assert (1, 0) == (held.attempt, held.interrupted)


async def test_read_bodies(opened, deliver, caplog):
    """A kept body is returned to whoever asks, and the tables hold who did; replay lets it be handled again."""
    caplog.set_level(logging.INFO, "pinwheel_async.audit")
    async with opened(keep_bodies_s=600) as inbox:
        await inbox.put(deliver("1", body=BODY))
        await inbox.done(await claim_one(inbox))
        assert (BODY, None) == (await inbox.read_body("1"), await inbox.read_body("2"))
        (reading,) = await inbox.readings()
        assert 1 == await inbox.replay(DeliveryFilter())
        assert BODY == (await claim_one(inbox)).delivery.body

    assert "1" == reading.event_id
    assert "the body of event 1 was read" in caplog.text


async def test_replay_by_some_handlers(opened, deliver):
    """What is replayed by handlers that are named says so to whoever runs it."""
    async with opened(keep_bodies_s=600) as inbox:
        await inbox.put(deliver("1", body=BODY))
        await inbox.done(await claim_one(inbox))
        assert 1 == await inbox.replay(DeliveryFilter(), handlers=["store"])
        claim = await claim_one(inbox)

    assert only_handlers(["store"]) == claim.progress


async def test_purge_in_portions(opened, deliver, monkeypatch):
    """A purge of more than a portion goes on until everything is gone that was there, and counts it once."""
    monkeypatch.setattr(admin, "PORTION_ROWS", 3)
    monkeypatch.setattr(admin, "FOUND_ROWS", 7)
    async with opened() as inbox:
        await asyncio.gather(*[inbox.put(deliver(f"{number}", f"{number % 5}")) for number in range(20)])
        purged = await inbox.purge(DeliveryFilter())
        counts = await inbox.counts()

    assert (20, 0) == (purged, counts.waiting)


async def test_notified_by_another_process(opened, deliver, monkeypatch):
    """What another process puts wakes a worker at once, without its looking."""
    monkeypatch.setattr(inbox_module, "POLL_S", 600)
    async with opened() as worker, opened() as receiver:
        for inbox in (worker, receiver):  # each is tested by what the other hears, too
            await asyncio.wait_for(inbox._listener.hears.wait(), 60)
        waiting = asyncio.create_task(worker.wait(600))
        await until(lambda: worker._notifier._waiting or waiting.done())
        await receiver.put(deliver("1"))
        await asyncio.wait_for(waiting, 60)

        assert ["1"] == ids(await claim(worker))


async def test_deaf(opened, sql, deliver, monkeypatch, caplog):
    """Where nothing is heard this is said once, also over new connections, and what others put is found by looking."""
    monkeypatch.setattr(listener, "HEARD_WITHIN_S", 0.2)
    monkeypatch.setattr(listener, "ALIVE_EVERY_S", 0.01)
    monkeypatch.setattr(listener, "RECONNECT_S", 0.01)
    heard = []
    monkeypatch.setattr(listener.Listener, "_take", lambda *_: heard.append(1))
    async with opened() as worker, opened() as receiver:
        await until(lambda: caplog.text.count("hears no notifications") == 2)
        waiting = asyncio.create_task(worker.wait(600))
        await receiver.put(deliver("1"))
        await asyncio.wait_for(waiting, 60)
        await sql.execute(CUT)
        looked = len(heard)
        await until(lambda: len(heard) >= looked + 12)  # both are sent what either of them sends, and tested again

    assert 2 == caplog.text.count("hears no notifications")


async def test_cut_connections(opened, sql, deliver):
    """Connections that the server ends are made anew; at most what was under way is refused."""
    async with opened() as inbox:
        await inbox.put(deliver("0"))
        for number in range(1, 4):
            await sql.execute(CUT)
            stored = False
            async with asyncio.timeout(60):
                while not stored:
                    try:
                        await inbox.put(deliver(f"{number}", f"{number}"))
                        stored = True
                    except InboxError as error:
                        assert error.is_transient  # noqa: PT017  # now and then, not always
                        await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            while (await inbox.counts()).waiting != 4:
                await asyncio.sleep(0.01)


async def test_database_away(opened, postgres_inbox, deliver, caplog):
    """While the database is away puts are refused at once, and nothing piles up; seconds after it is back they work."""
    async with proxied(postgres_inbox.url) as proxy, opened(url=proxy.url) as inbox:
        await inbox.put(deliver("before"))
        await proxy.stop()
        await refusal(inbox.put(deliver("first")))
        began = real_time.monotonic()
        errors = [await refusal(inbox.put(deliver(f"{number}"))) for number in range(500)]
        took_s = real_time.monotonic() - began
        assert {("Unavailable", True)} == {(error.reason, error.is_transient) for error in errors}
        assert took_s < 5
        assert not inbox._putting._waiting
        tasks = [task for task in asyncio.all_tasks() if "pinwheel" in task.get_name()]
        assert len(tasks) <= 5
        before = proxy.connections
        await proxy.start()
        began = real_time.monotonic()
        while True:
            try:
                await inbox.put(deliver("after"))
                break
            except InboxError:
                assert real_time.monotonic() - began < 30
                await asyncio.sleep(0.02)
        assert proxy.connections - before <= 5
        assert "the database of the inbox is back" in caplog.text
        (held,) = await claim(inbox)

    assert "before" == held.delivery.event_id


async def test_hanging_database(opened, postgres_inbox, deliver):
    """Where the database hangs, a put gives up in time, and so does everything behind it."""
    async with proxied(postgres_inbox.url) as proxy, opened(url=proxy.url, timeout_s=1.5) as inbox:
        await inbox.put(deliver("before"))
        proxy.hanging = True
        began = real_time.monotonic()
        first = asyncio.create_task(refusal(inbox.put(deliver("1"))))
        await until(lambda: not inbox._putting._waiting)
        errors = await asyncio.gather(first, *[refusal(inbox.put(deliver(f"b{number}"))) for number in range(50)])
        took_s = real_time.monotonic() - began
        proxy.hanging = False

    assert {True} == {error.is_transient for error in errors}
    assert "Timeout" == errors[0].reason
    assert took_s < 30


async def test_limit_over_many(opened, deliver):
    """However many are put at once, no more wait than may, and what is refused is not stored."""
    async with opened(max_waiting=10) as inbox:
        outcomes = await asyncio.gather(
            *[inbox.put(deliver(f"{number}")) for number in range(50)], return_exceptions=True
        )
        stored = [outcome for outcome in outcomes if outcome is True]
        counts = await inbox.counts()

    assert (10, 10) == (len(stored), counts.waiting)


async def test_group_with_a_value_that_cannot_be_stored(opened, deliver):
    """One delivery that cannot be stored is refused alone, and not what was put beside it."""
    async with opened() as inbox:
        events = [deliver("good-1"), deliver("bad\0"), deliver("good-2")]
        outcomes = await asyncio.gather(*map(inbox.put, events), return_exceptions=True)

    assert [True, InboxError, True] == [type(o) if isinstance(o, InboxError) else o for o in outcomes]


async def test_lease_ends_by_the_databases_clock(opened, deliver):
    """A lease that is not renewed ends, and the delivery goes to whoever claims next; the old claim is refused."""
    async with opened() as one, opened() as other:
        await one.put(deliver("1"))
        (old,) = await one.claim(1, lease_s=0.05)
        async with asyncio.timeout(60):
            while not (claims := await claim(other)):
                await asyncio.sleep(0.01)

        assert (1, 1) == (claims[0].attempt, claims[0].interrupted)
        assert not await one.done(old)
        assert await other.done(claims[0])


def test_groups_are_smaller_than_blocks():
    """A group is smaller than the block of numbers that is taken for it, or two deliveries would have the same."""
    assert line.MAX_GROUP <= schema.SEQS_PER_GROUP


async def test_pgbouncer_in_transaction_mode(opened, postgres_inbox, pgbouncer, deliver):
    """Behind PgBouncer in transaction mode three machines share an inbox, and change its key."""
    async with (
        pgbouncer(postgres_inbox.url) as pooled,
        opened(url=f"{pooled}?pgbouncer=true", listen=postgres_inbox.url, key=KEY, old_keys=[NEW_KEY]) as one,
        opened(url=pooled, pooled=True, key=KEY, old_keys=[NEW_KEY]) as two,
        opened(url=pooled, pooled=True, key=NEW_KEY, old_keys=[KEY]) as three,
    ):
        inboxes = (one, two, three)
        await asyncio.wait_for(one._listener.hears.wait(), 60)
        assert two._listener is None
        events = [deliver(f"{number}", f"{number % 30}") for number in range(150)]
        await asyncio.gather(*[inboxes[number % 3].put(event) for number, event in enumerate(events)])

        async def drain(inbox):
            handled = []
            while claims := await claim(inbox, 8):
                assert all(await asyncio.gather(*map(inbox.done, claims)))
                handled += ids(claims)
            return handled

        handled = [event_id for drained in await asyncio.gather(*map(drain, inboxes)) for event_id in drained]
        while more := await drain(one):  # what another one had claimed while this one looked
            handled += more
        await one.put(deliver("last", body=BODY))
        checked = await two.check()
        assert 1 == (await three.rotate_key()).encrypted
        assert 1 == await three.purge(DeliveryFilter(event_ids="last"))

    assert sorted(handled, key=int) == [f"{number}" for number in range(150)]
    assert checked.ok


async def test_listening_through_a_pooler(opened, postgres_inbox, pgbouncer, caplog, monkeypatch):
    """A `listen` that leads to a pooler is told by a test of its own, as nothing there fails and nothing is heard."""
    monkeypatch.setattr(listener, "HEARD_WITHIN_S", 1.0)
    async with pgbouncer(postgres_inbox.url) as pooled, opened(url=pooled, pooled=True, listen=pooled):
        await until(lambda: "hears no notifications" in caplog.text)
