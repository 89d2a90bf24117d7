"""Check of a PostgreSQL inbox: whether its tables agree with one another, and every body can be decrypted."""

from collections.abc import Iterator
from typing import Final

from pinwheel_async._postgres.driver import Connection
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._inbox.administration import InboxCheck
from pinwheel_async.webhooks._inbox.encryption import saved_context
from pinwheel_async.webhooks._postgres.keys import DatabaseKeys
from pinwheel_async.webhooks._postgres.schema import qualified

BOOKS: Final = (
    (
        "{:,} queues have nothing unfinished in them",
        """
        SELECT count(*) FROM pinwheel_inbox_queues q WHERE NOT EXISTS (
            SELECT 1 FROM pinwheel_inbox_deliveries d WHERE d.queue = q.queue AND d.state = 'w'
        )
        """,
    ),
    (
        "{:,} unfinished deliveries have no queue",
        """
        SELECT count(*) FROM pinwheel_inbox_deliveries d WHERE d.state = 'w' AND NOT EXISTS (
            SELECT 1 FROM pinwheel_inbox_queues q WHERE q.queue = d.queue
        )
        """,
    ),
    (
        "{:,} queues have a head that is not there",
        """
        SELECT count(*) FROM pinwheel_inbox_queues q WHERE NOT EXISTS (
            SELECT 1 FROM pinwheel_inbox_deliveries d WHERE d.queue = q.queue AND d.seq = q.head AND d.state = 'w'
        )
        """,
    ),
    (
        "{:,} queues say when they are due and are ready, or the other way round",
        "SELECT count(*) FROM pinwheel_inbox_queues WHERE (at IS NULL) <> (state = 'r')",
    ),
    (
        "{:,} deliveries that are not done have no body",
        "SELECT count(*) FROM pinwheel_inbox_deliveries WHERE state <> 'd' AND body IS NULL",
    ),
    (
        "{:,} deliveries have a number that another one has",
        "SELECT count(*) - count(DISTINCT seq) FROM pinwheel_inbox_deliveries",
    ),
    (
        "{:,} deliveries have a state that there is not",
        "SELECT count(*) FROM pinwheel_inbox_deliveries WHERE state NOT IN ('w', 'd', 'x')",
    ),
)
"""What is wrong if a query counts anything, and the query."""

ROWS: Final = 200
"""Bodies that are read at once."""


async def check(connection: Connection, schema: str | None, keys: DatabaseKeys) -> InboxCheck:
    """Check the tables in one transaction that sees them as of one moment, and change nothing."""
    await keys.find(connection, schema)
    problems = [
        problem.format(count)
        for problem, query in BOOKS
        if (count := await connection.fetchval(qualified(query, schema)))
    ]
    numbers = await connection.fetchrow(
        qualified("SELECT count(*) AS deliveries, count(body) AS bodies FROM pinwheel_inbox_deliveries", schema)
    )
    bodies = values = 0
    query = """
        SELECT event_id, key_number, body FROM pinwheel_inbox_deliveries
        WHERE event_id > $1 AND body IS NOT NULL ORDER BY event_id LIMIT $2
    """
    after = ""
    while rows := await connection.fetch(qualified(query, schema), after, ROWS):
        after = rows[-1]["event_id"]
        bodies += sum(not _decrypts(keys, number, body, event_id) for event_id, number, body in rows)
    for name, number, value in await connection.fetch(
        qualified("SELECT name, key_number, value FROM pinwheel_inbox_values", schema)
    ):
        values += not _decrypts(keys, number, value, saved_context(name))
    problems += list(_undecipherable(bodies, values))
    return InboxCheck(deliveries=numbers["deliveries"], bodies=numbers["bodies"], problems=tuple(problems))


def _undecipherable(bodies: int, values: int) -> Iterator[str]:
    if bodies:
        yield f"{bodies:,} bodies cannot be decrypted"
    if values:
        yield f"{values:,} saved values cannot be decrypted"


def _decrypts(keys: DatabaseKeys, number: int, content: bytes, context: str) -> bool:
    try:
        return keys.decrypt(number, content, context) is not None
    except InboxError:  # the database does not know the key any more
        return False
