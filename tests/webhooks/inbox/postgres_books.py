"""Whether the tables of a PostgreSQL inbox agree with one another."""

BOOKS = {
    "queues without anything unfinished": """
        SELECT count(*) FROM pinwheel_inbox_queues q WHERE NOT EXISTS (
            SELECT 1 FROM pinwheel_inbox_deliveries d WHERE d.queue = q.queue AND d.state = 'w'
        )
    """,
    "unfinished deliveries without a queue": """
        SELECT count(*) FROM pinwheel_inbox_deliveries d WHERE d.state = 'w' AND NOT EXISTS (
            SELECT 1 FROM pinwheel_inbox_queues q WHERE q.queue = d.queue
        )
    """,
    "heads that are not there": """
        SELECT count(*) FROM pinwheel_inbox_queues q WHERE NOT EXISTS (
            SELECT 1 FROM pinwheel_inbox_deliveries d WHERE d.queue = q.queue AND d.seq = q.head AND d.state = 'w'
        )
    """,
    "bodies of what is done, or none of what is not": """
        SELECT count(*) FROM pinwheel_inbox_deliveries
        WHERE (state <> 'd' AND body IS NULL)
            OR (state = 'd' AND body IS NOT NULL AND (SELECT keep_bodies_s FROM pinwheel_inbox_terms) = 0)
    """,
    "numbers that are not unique": "SELECT count(*) - count(DISTINCT seq) FROM pinwheel_inbox_deliveries",
    "queues that say when, or do not, and should not, or should": """
        SELECT count(*) FROM pinwheel_inbox_queues WHERE (at IS NULL) <> (state = 'r')
    """,
}


async def books(connection):
    """Return what is wrong, and how often."""
    return {what: count for what, query in BOOKS.items() if (count := await connection.fetchval(query))}
