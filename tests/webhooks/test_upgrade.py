"""Two versions of the library on one PostgreSQL inbox: this one, and the next, whose tables have something more."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import asyncpg
import pytest
from sqlalchemy import make_url

from pinwheel_async import InboxError
from pinwheel_async.webhooks import Delivery, PostgresInbox

from .fleet_processes import Process, any_port, check, read
from .load import Load
from .next_version import COMMAND, next_version

ACCOUNTS = 30
EACH = 15

VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('pinwheel_inbox_by_event')"
VERSION = "SELECT version, oldest FROM pinwheel_inbox_terms"


@pytest.fixture
async def connections(postgres_inbox):
    """Two connections to the tables."""
    settings = {"search_path": postgres_inbox.schema}
    both = [await asyncpg.connect(postgres_inbox.url, server_settings=settings) for _ in range(2)]
    yield both
    for connection in both:
        await connection.close()


@pytest.fixture
def sql(connections):
    """A connection that looks at what is going on, which one in a transaction does once."""
    return connections[0]


@pytest.fixture
def other(connections):
    """A connection whose transactions others wait for."""
    return connections[1]


@pytest.fixture
async def migrate(postgres_inbox):
    """Begin `pinwheel-async migrate` of the next version as a process of its own."""
    begun = []

    async def migrate(*, inbox=postgres_inbox.url, **version):
        place = ["migrate", "--inbox", inbox, "--inbox-schema", postgres_inbox.schema]
        command = [sys.executable, "-c", next_version(**version) + COMMAND, *place]
        begun.append(await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE))
        return begun[-1]

    yield migrate
    for migrating in begun:
        if migrating.returncode is None:
            migrating.kill()
            await migrating.communicate()


async def ended(migrating):
    """Wait for a migration; return its exit code and what it said."""
    out, error = await migrating.communicate()
    return migrating.returncode, out.decode(), error.decode()


async def test_side_by_side(postgres_inbox, sql, migrate, tmp_path):
    """An upgrade under load: nothing acknowledged is lost, each account is handled in order, by both versions."""
    rng, log = Random(4711), tmp_path / "handled.log"
    place = (postgres_inbox.url, postgres_inbox.schema, log)
    old = {role: Process(role, *place) for role in ("receive", "work")}
    new = {role: Process(role, *place, prologue=next_version()) for role in ("receive", "work")}
    receivers, allowed = [old["receive"]], 0

    async def port():
        while load.answered.total() >= allowed:  # or the load might be over before both versions have had their part
            await asyncio.sleep(0.01)
        return await any_port(receivers, rng)

    load = Load(port, rng, accounts=ACCOUNTS, each=EACH)
    total = ACCOUNTS * EACH
    for process in old.values():
        await process.start()
    sending = asyncio.create_task(load.run())
    try:
        allowed = total // 2
        await load.reached(total // 10)
        assert await ended(await migrate()) == (0, "inbox: made or brought up to date\n", "")
        await asyncio.gather(*[process.start() for process in new.values()])
        receivers.append(new["receive"])
        allowed = 3 * total // 4
        for process in old.values():  # an old one that dies may come back
            await process.kill()
            await process.start()
        await load.reached(allowed)
        receivers.remove(old["receive"])
        for process in old.values():
            await process.kill()
        allowed = 2 * total
        async with asyncio.timeout(120):
            await sending
            while await sql.fetchval("SELECT count(*) FROM pinwheel_inbox_deliveries WHERE state <> 'd'"):
                await asyncio.sleep(0.05)
        stored = await sql.fetch("SELECT event_id, attempts, stored_by FROM pinwheel_inbox_deliveries")
        queues = await sql.fetchval("SELECT count(*) FROM pinwheel_inbox_queues")
    finally:
        sending.cancel()
        for process in (*old.values(), *new.values()):
            with suppress(ProcessLookupError, AttributeError):
                await process.kill()

    check(load, stored, read(log), accounts=ACCOUNTS, each=EACH)
    assert {None, "next"} == {row["stored_by"] for row in stored}
    assert (2, 1, True, 0) == (*await sql.fetchrow(VERSION), await sql.fetchval(VALID), queues)


@pytest.fixture
def deliver():
    """Make a delivery of an account of its own."""

    def deliver(name):
        received_at = datetime.now(UTC)
        return Delivery(
            event_id=name, event="e", ordering_key=name, received_at=received_at, key="secret-1", body=b"{}"
        )

    return deliver


@pytest.fixture
async def older(postgres_inbox, deliver):
    """An inbox of this version, open, which has stored something."""
    inbox = postgres_inbox()
    await inbox.open()
    await inbox.put(deliver("before"))
    yield inbox
    await inbox.close()


async def until(sql, query, found):
    """Wait until a query finds something."""
    async with asyncio.timeout(30):
        while await sql.fetchval(query) != found:
            await asyncio.sleep(0.01)


WAITS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%changed_by%'
"""
BUILDS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX%'
"""


async def test_no_lock_while_waiting_for_another(postgres_inbox, older, sql, other, migrate, deliver):
    """A migration that waits for one table holds no other: whoever needs that one goes on."""
    async with other.transaction():
        await other.execute("LOCK TABLE pinwheel_inbox_queues IN ACCESS SHARE MODE")
        migrating = await migrate()
        await until(sql, WAITS, 1)
        held = await sql.fetch("""
            SELECT l.mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE a.query LIKE '%changed_by%' AND l.granted AND l.relation = 'pinwheel_inbox_deliveries'::regclass
        """)
        columns = await sql.fetchval("""
            SELECT count(*) FROM pg_attribute
            WHERE attrelid = 'pinwheel_inbox_deliveries'::regclass AND attname = 'stored_by'
        """)

    assert ([], 1) == (held, columns)
    assert (0, "inbox: made or brought up to date\n", "") == await ended(migrating)


async def test_killed_between_two_statements(postgres_inbox, older, sql, other, migrate, deliver):
    """A migration that was killed has changed nothing that this version minds, and is gone on with by the next one."""
    async with other.transaction():
        await other.execute("LOCK TABLE pinwheel_inbox_queues IN ACCESS SHARE MODE")
        migrating = await migrate()
        await until(sql, WAITS, 1)
        migrating.kill()
        await migrating.wait()
    half = tuple(await sql.fetchrow(VERSION))
    await older.put(deliver("during"))
    async with asyncio.timeout(30):
        claims = await older.claim(2, lease_s=60)

    assert ((1, 1), 2) == (half, len(claims))
    assert (0, "inbox: made or brought up to date\n", "") == await ended(await migrate())
    assert (0, "inbox: up to date\n", "") == await ended(await migrate())
    assert (2, 1, True) == (*await sql.fetchrow(VERSION), await sql.fetchval(VALID))


@pytest.mark.parametrize("is_cut", [True, False], ids=["and its connection", "and not its connection"])
async def test_killed_while_an_index_is_built(postgres_inbox, older, sql, other, migrate, deliver, is_cut):
    """An index that was left half built is built anew, and one that the database builds on is waited for."""
    async with other.transaction(isolation="repeatable_read"):
        await other.fetchval("SELECT count(*) FROM pinwheel_inbox_keys")  # an index waits for whoever looked before
        migrating = await migrate()
        await until(sql, BUILDS, 1)
        await older.put(deliver("during"))  # whoever stores does not wait for the index
        migrating.kill()
        await migrating.wait()
        if is_cut:
            await sql.execute(BUILDS.replace("count(*)", "pg_terminate_backend(pid)"))
            await until(sql, BUILDS, 0)
    before = await sql.fetchval("SELECT 'pinwheel_inbox_by_event'::regclass::oid")
    again = await ended(await migrate())
    after = await sql.fetchval("SELECT 'pinwheel_inbox_by_event'::regclass::oid")

    assert (0, "inbox: made or brought up to date\n", "") == again
    assert (2, 1, True) == (*await sql.fetchrow(VERSION), await sql.fetchval(VALID))
    assert is_cut == (before != after)


async def test_two_migrations_at_once(postgres_inbox, older, sql, other, migrate):
    """Of two migrations at the same time both end well, and the tables are changed once."""
    async with other.transaction(isolation="repeatable_read"):
        await other.fetchval("SELECT count(*) FROM pinwheel_inbox_keys")
        both = [await migrate(), await migrate()]
        await until(sql, BUILDS, 1)  # one builds the index, which the other one must not take for a leftover
    said = await asyncio.gather(*map(ended, both))

    assert [(0, "")] * 2 == [(code, error) for code, _, error in said]
    assert (2, 1, True) == (*await sql.fetchrow(VERSION), await sql.fetchval(VALID))


async def test_code_that_is_too_old(postgres_inbox, older, sql, other, migrate, deliver):
    """From before the first change on, code that is too old is refused by name; what it has open goes on until then."""
    async with other.transaction():
        await other.execute("LOCK TABLE pinwheel_inbox_queues IN ACCESS SHARE MODE")
        migrating = await migrate(oldest=2)
        await until(sql, WAITS, 1)
        refused = postgres_inbox()
        with pytest.raises(InboxError, match="are of version 1, for 2 and newer, and this library knows 1") as early:
            await refused.open()
        assert await older.put(deliver("during"))
    assert (0, "inbox: made or brought up to date\n", "") == await ended(migrating)
    with pytest.raises(InboxError, match="are of version 2, for 2 and newer, and this library knows 1") as late:
        await refused.migrate()

    assert ["NewerVersion"] * 2 == [early.value.reason, late.value.reason]


async def test_a_role_that_may_not_change_tables(postgres_inbox, older, sql, migrate, deliver):
    """A role without the right to change tables uses them, and is refused where they would have to be changed."""
    role, schema = f"pinwheel_clerk_of_inbox_{os.getpid()}", postgres_inbox.schema
    rights = {
        f"SCHEMA {schema}": "USAGE",
        f"ALL TABLES IN SCHEMA {schema}": "SELECT, INSERT, UPDATE, DELETE",
        f"ALL SEQUENCES IN SCHEMA {schema}": "USAGE",
    }
    await sql.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'clerk'")
    for what, right in rights.items():
        await sql.execute(f"GRANT {right} ON {what} TO {role}")
    url = make_url(postgres_inbox.url).set(username=role, password="clerk").render_as_string(hide_password=False)
    try:
        clerk = PostgresInbox(url, schema=postgres_inbox.schema)
        await clerk.open()
        assert await clerk.put(deliver("of the clerk"))
        await clerk.close()
        code, _, error = await ended(await migrate(inbox=url))
    finally:
        for what in rights:
            await sql.execute(f"REVOKE ALL ON {what} FROM {role}")
        await sql.execute(f"DROP ROLE {role}")

    assert (4, True) == (code, "the role may not do that in the database of the inbox" in error)
    assert (1, 1) == tuple(await sql.fetchrow(VERSION))
