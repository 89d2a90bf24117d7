"""Tables of the PostgreSQL inbox: their making, their version, and the row of terms that all processes share.

A delivery stands in `pinwheel_inbox_deliveries` for as long as its id is known. Beside it there is a row in
`pinwheel_inbox_queues` for each ordering key with something unfinished: its queue. **Whoever changes anything
unfinished of an ordering key holds the row of its queue**, so every decision is made on committed facts, and there is
no wake-up to lose. A claim writes this small row only, so a delivery is written twice in its life: when it comes and
when it is done.
"""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import TypeAlias

from attrs import frozen

from pinwheel_async._postgres.driver import Connection
from pinwheel_async._postgres.migration import MIGRATION_WAIT_S
from pinwheel_async.errors import InboxError

VERSION = 1
"""Version of the tables that this code makes."""

OLDEST = 1
"""Oldest version of this code that may still use them. A step from one version to the next only adds what older code
can overlook, so processes of both run side by side while a deploy rolls; what takes something away comes a release
later, and raises this."""


@frozen
class NewIndex:
    """An index that a step adds: built beside whoever writes, however long that takes, and none of them waits."""

    name: str
    table: str
    definition: str
    """What follows the name of the table, such as `(at) WHERE state = 'd'`."""


Step: TypeAlias = Sequence[str | NewIndex]

STEPS: Mapping[int, Step] = MappingProxyType({})
"""For each version but the first one, what turns the tables of the version before into its own. It only adds what code
of the version before can overlook; what takes something away comes a release later, and raises `OLDEST`.

Each statement is a transaction of its own, and so never holds the lock of one table while it waits for that of another:
then whoever stores would wait for both, or each for the other for ever. A migration that was killed is begun again, so
every statement does nothing the second time (`IF NOT EXISTS`), and is over in some milliseconds, whatever is stored.
"""

SEQS_PER_GROUP = 1024
"""Numbers that are taken from the sequence at once, more than deliveries are stored by one statement: taking one for
each costs the server as much as half an index."""

_TABLES = f"""
CREATE SEQUENCE pinwheel_inbox_seq INCREMENT BY {SEQS_PER_GROUP};
CREATE SEQUENCE pinwheel_inbox_token;
CREATE TABLE pinwheel_inbox_terms (
    version int NOT NULL,
    oldest int NOT NULL,
    consumer text,
    keep_bodies_s float8 NOT NULL DEFAULT 0,
    remember_s float8 NOT NULL DEFAULT {30 * 86_400}
);
CREATE TABLE pinwheel_inbox_deliveries (
    event_id text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL,
    event text COLLATE "C" NOT NULL,
    ordering_key text COLLATE "C" NOT NULL,
    queue bigint NOT NULL,
    received_at timestamptz NOT NULL,
    signed_with text NOT NULL,
    version text,
    webhook_id text,
    traceparent text,
    state "char" NOT NULL DEFAULT 'w',
    at timestamptz NOT NULL DEFAULT '-infinity',
    attempts int NOT NULL DEFAULT 0,
    interrupted int NOT NULL DEFAULT 0,
    reason text,
    progress bytea,
    key_number int NOT NULL,
    body bytea
);
COMMENT ON COLUMN pinwheel_inbox_deliveries.seq IS 'order of arrival';
COMMENT ON COLUMN pinwheel_inbox_deliveries.queue IS 'hash of the ordering key';
COMMENT ON COLUMN pinwheel_inbox_deliveries.state IS 'w unfinished, d done, x dead';
COMMENT ON COLUMN pinwheel_inbox_deliveries.at IS 'unfinished: not before; done: since';
COMMENT ON COLUMN pinwheel_inbox_deliveries.attempts IS 'ended attempts';
CREATE INDEX ON pinwheel_inbox_deliveries (queue, seq) WHERE state = 'w';
CREATE INDEX ON pinwheel_inbox_deliveries (seq) WHERE state = 'x';
CREATE INDEX ON pinwheel_inbox_deliveries (at) WHERE state = 'd';
CREATE INDEX ON pinwheel_inbox_deliveries (at) WHERE state = 'd' AND body IS NOT NULL;
CREATE TABLE pinwheel_inbox_queues (
    queue bigint PRIMARY KEY,
    state "char" NOT NULL,
    at timestamptz,
    head bigint NOT NULL,
    token bigint,
    lapses int NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON COLUMN pinwheel_inbox_queues.state IS 'r ready, l due later, c claimed';
COMMENT ON COLUMN pinwheel_inbox_queues.at IS 'later: when it is due; claimed: when the lease ends';
COMMENT ON COLUMN pinwheel_inbox_queues.head IS 'seq of the delivery that is claimed, or is to be next';
COMMENT ON COLUMN pinwheel_inbox_queues.lapses IS
    'leases of the claimed one that have ended since its last mark; negative: how many more are claimed one by one';
COMMENT ON COLUMN pinwheel_inbox_queues.version IS 'changes with everything but claims and leases';
CREATE INDEX ON pinwheel_inbox_queues (head) WHERE state = 'r';
CREATE INDEX ON pinwheel_inbox_queues (at) WHERE state = 'l';
CREATE INDEX ON pinwheel_inbox_queues (at) WHERE state = 'c';
CREATE TABLE pinwheel_inbox_values (
    name text COLLATE "C" PRIMARY KEY, key_number int NOT NULL, value bytea NOT NULL
);
CREATE TABLE pinwheel_inbox_keys (number int PRIMARY KEY, proof bytea NOT NULL);
CREATE TABLE pinwheel_inbox_readings (
    at timestamptz NOT NULL, username text NOT NULL, event_id text COLLATE "C" NOT NULL
);
INSERT INTO pinwheel_inbox_terms (version, oldest) VALUES ({VERSION}, {OLDEST});
"""

_NAME = re.compile(r"\bpinwheel_inbox_[a-z]+\b")


@lru_cache(maxsize=256)
def qualified(statement: str, schema: str | None) -> str:
    """Return a statement with the schema before the names of our tables and sequences."""
    return _NAME.sub(lambda match: _in_schema(match[0], schema), statement)


def _in_schema(name: str, schema: str | None) -> str:
    return name if schema is None else '"{}".{}'.format(schema.replace('"', '""'), name)


def queue_of(ordering_key: str) -> int:
    """Return the number of the queue of an ordering key.

    A hash, because that makes the index of the queues a third as large as with ids as text. Two accounts that shared a
    queue would be handled one after another, and that is all; of a million, two do with a probability of one in 10^7.
    """
    digest = blake2b(ordering_key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


async def is_there(connection: Connection, schema: str | None) -> bool:
    """Whether the tables are there."""
    return await _state_of(connection, schema, "pinwheel_inbox_terms") is not None


async def is_current(connection: Connection, schema: str | None) -> bool:
    """Whether the tables are there, and are what this code makes, or newer."""
    if not await is_there(connection, schema):
        return False
    version = await _version(connection, schema)
    return version is None or version >= VERSION  # tables that have lost their terms are none to change


async def migrate(connection: Connection, schema: str | None) -> None:
    """Make the tables, or bring them up to date, unless another process has by now; outside a transaction.

    Raises:
        LockNotAvailableError: Others have locked what is to be changed. What was changed by then stays, and is not done
            again.
    """
    async with _changing(connection, schema):
        if not await is_there(connection, schema):
            if schema is not None:
                quoted = schema.replace('"', '""')
                await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{quoted}"')
            await connection.execute(qualified(_TABLES, schema))
            return
        version = await _version(connection, schema)
        if version is None or version >= VERSION:
            return
        # Before anything is changed, or code that is too old could begin in the middle.
        await connection.execute(
            qualified("UPDATE pinwheel_inbox_terms SET oldest = $1 WHERE oldest < $1", schema), OLDEST
        )
    for number in range(version + 1, VERSION + 1):
        for change in STEPS[number]:
            if isinstance(change, NewIndex):
                await _build(connection, schema, change)
                continue
            async with _changing(connection, schema):
                await connection.execute(qualified(change, schema))
        async with _changing(connection, schema):
            note = "UPDATE pinwheel_inbox_terms SET version = $1 WHERE version < $1"
            await connection.execute(qualified(note, schema), number)


@asynccontextmanager
async def _changing(connection: Connection, schema: str | None) -> AsyncGenerator[None]:
    """Change something in a transaction: no other migration does meanwhile, and no lock is waited for without end."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{MIGRATION_WAIT_S}s'")
        # Nothing but a migration of the very same tables takes this lock.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", queue_of(f"inbox in schema {schema or ''}"))
        yield


async def _build(connection: Connection, schema: str | None, index: NewIndex) -> None:
    """Build an index, unless it is there; one that was left behind half built, by whoever was killed, goes first."""
    # One that is being built looks the same as one that was left behind, but for the lock of whoever builds it.
    async with _changing(connection, schema):
        lock = f"LOCK TABLE {index.table} IN SHARE UPDATE EXCLUSIVE MODE"
        await connection.execute(qualified(lock, schema))
        if await _state_of(connection, schema, index.name) is False:
            await connection.execute(f"DROP INDEX {_in_schema(index.name, schema)}")
    # It goes into the schema of its table, and its name must not say which.
    into = qualified(f"ON {index.table} {index.definition}", schema)
    await connection.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index.name} {into}")


async def _version(connection: Connection, schema: str | None) -> int | None:
    version: int | None = await connection.fetchval(qualified("SELECT version FROM pinwheel_inbox_terms", schema))
    return version


async def _state_of(connection: Connection, schema: str | None, name: str) -> bool | None:
    """Return whether a table or an index is whole, which an index may not be; None if it is not there."""
    # Not to_regclass, which answers from a cache that does not know yet what was made while this one waited for a lock.
    query = """
        SELECT coalesce(i.indisvalid, true) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_index i ON i.indexrelid = c.oid
        WHERE c.relname = $2 AND CASE $1 WHEN '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = $1 END
    """
    found: bool | None = await connection.fetchval(query, schema or "", name)
    return found


async def check_version(connection: Connection, schema: str | None) -> None:
    """Check that this code may use the tables.

    Raises:
        InboxError: They are for newer code only, or of a version that is to be brought up to date first.
    """
    row = await connection.fetchrow(qualified("SELECT version, oldest FROM pinwheel_inbox_terms", schema))
    if row is None:
        raise InboxError("the tables of the inbox have lost their terms", reason="Damaged")
    if row["oldest"] > VERSION:
        raise InboxError(
            f"the tables of the inbox are of version {row['version']}, for {row['oldest']} and newer, and this library"
            f" knows {VERSION}",
            reason="NewerVersion",
        )
    if row["version"] < VERSION:
        raise InboxError(
            f"the tables of the inbox are of version {row['version']}, and this library needs {VERSION}:"
            " pinwheel-async migrate brings them up to date",
            reason="OlderVersion",
        )
