"""Administration of a PostgreSQL inbox: what a filter selects, and purging, reviving or replaying it in portions.

What is meant is looked for on a connection of its own. It is changed in portions, each in a short transaction that
holds the queues of its deliveries and looks again whether the filter still fits: so a purge of a million rows delays a
delivery by no more than one portion, and can be ended and gone on with at any time.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from pinwheel_async._postgres.driver import Connection
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._inbox.base import BodyReading, DeliveryFilter, Entry, Preview, State
from pinwheel_async.webhooks._postgres.keys import DatabaseKeys
from pinwheel_async.webhooks._postgres.schema import qualified

FOUND_ROWS = 50_000
"""Rows that are looked for at once: each search reads all rows, and begins where the one before it ended."""

PORTION_ROWS = 500
"""Rows that one transaction changes, at most; purging so many with their bodies takes some 10 ms."""

_ROWS = """
    pinwheel_inbox_deliveries d LEFT JOIN pinwheel_inbox_queues q
        ON d.state = 'w' AND q.queue = d.queue AND q.head = d.seq AND q.state = 'c'
"""
"""Deliveries, each beside its queue while it is claimed."""

_STATE = """
    CASE d.state WHEN 'd' THEN 'done' WHEN 'x' THEN 'dead'
    ELSE CASE WHEN q.queue IS NULL THEN 'waiting' ELSE 'claimed' END END
"""

Change: TypeAlias = Literal["purge", "revive", "replay"]


class Portion(NamedTuple):
    """Some deliveries that are to be changed, if a filter still fits them."""

    change: Change
    chosen: DeliveryFilter
    event_ids: Sequence[str]
    progress: bytes | None = None
    """What the deliveries that are replayed know of their handlers from now on; what they know, if None."""


def conditions(chosen: DeliveryFilter, *, after: int = 0) -> tuple[str, list[Any]]:
    """Return what a row must fulfil, as a condition and its values; *after* is how many values come before them."""
    wanted: list[tuple[str, Any]] = [
        (f"{_STATE} = ANY({{}}::text[])", list(chosen.states) or None),
        ("d.ordering_key = {}", chosen.ordering_key),
        ("strpos(d.reason, {}) > 0", chosen.reason),
        ("d.received_at >= {}", chosen.received_after),
        ("d.received_at < {}", chosen.received_before),
        ("d.event_id = ANY({}::text[])", None if chosen.event_ids is None else list(chosen.event_ids)),
        (
            # Not LIKE, to which some characters of a name would be patterns.
            """
            EXISTS (
                SELECT 1 FROM unnest({}::text[]) AS e(name)
                WHERE d.event = e.name OR (right(e.name, 2) = '.*' AND starts_with(d.event, left(e.name, -1)))
            )
            """,
            list(chosen.events) or None,
        ),
    ]
    given = [(condition, value) for condition, value in wanted if value is not None]
    parts = [condition.format(f"${after + number}") for number, (condition, _) in enumerate(given, 1)]
    if chosen.with_body:
        parts.append("d.body IS NOT NULL")
    return " AND ".join(parts) or "true", [value for _, value in given]


async def entries(connection: Connection, schema: str | None, chosen: DeliveryFilter, limit: int) -> tuple[Entry, ...]:
    """Return what a filter selects, newest first."""
    where, values = conditions(chosen)
    query = f"""
        SELECT d.event_id, d.event, d.ordering_key, {_STATE} AS state,
            d.attempts + CASE WHEN q.queue IS NULL THEN 0 ELSE 1 END AS attempts,
            extract(epoch FROM d.received_at)::float8 AS received_at, d.reason,
            d.interrupted + greatest(q.lapses, 0) AS interrupted, d.version
        FROM {_ROWS} WHERE {where} ORDER BY d.seq DESC LIMIT {max(limit, 0)}
    """
    return tuple([Entry(**row) for row in await connection.fetch(qualified(query, schema), *values)])


async def preview(connection: Connection, schema: str | None, chosen: DeliveryFilter) -> Preview:
    """Return what a filter selects, in numbers, all as of one moment."""
    where, values = conditions(chosen)
    query = f"""
        WITH found AS (
            SELECT {_STATE} AS state, d.event, d.ordering_key, d.body IS NOT NULL AS has_body FROM {_ROWS} WHERE {where}
        )
        SELECT state, event, count(*) AS deliveries, count(*) FILTER (WHERE has_body) AS bodies, NULL AS keys
        FROM found GROUP BY state, event
        UNION ALL SELECT NULL, NULL, 0, 0, count(DISTINCT ordering_key) FROM found
    """
    states: Counter[State] = Counter()
    events: Counter[str] = Counter()
    bodies = keys = 0
    for row in await connection.fetch(qualified(query, schema), *values):
        if row["state"] is None:
            keys = row["keys"]
            continue
        states[row["state"]] += row["deliveries"]
        events[row["event"]] += row["deliveries"]
        bodies += row["bodies"]
    return Preview(
        deliveries=states.total(),
        states=dict(sorted(states.items())),
        events=dict(sorted(events.items())),
        ordering_keys=keys,
        bodies=bodies,
    )


async def find(
    connection: Connection, schema: str | None, chosen: DeliveryFilter, after: int, last: int | None
) -> tuple[Sequence[str], int, int]:
    """Return the ids of the oldest that are meant, the number of the newest of these, and that of the last of all.

    Args:
        connection: In a transaction.
        schema: Where the tables are.
        chosen: Which are meant.
        after: Number behind which to begin.
        last: Number at which to end, so that what comes meanwhile is left alone; that of the last of all, if None.
    """
    newest: int = 0 if last is None else last
    if last is None:
        query = "SELECT coalesce(max(seq), 0) FROM pinwheel_inbox_deliveries"
        newest = await connection.fetchval(qualified(query, schema))
    where, values = conditions(chosen, after=2)
    query = f"""
        SELECT d.seq, d.event_id FROM {_ROWS} WHERE d.seq > $1 AND d.seq <= $2 AND {where}
        ORDER BY d.seq LIMIT {FOUND_ROWS}
    """
    rows = await connection.fetch(qualified(query, schema), after, newest, *values)
    return [row["event_id"] for row in rows], rows[-1]["seq"] if rows else after, newest


_LOCK = """
INSERT INTO pinwheel_inbox_queues AS q (queue, state, head)
SELECT DISTINCT queue, 'r', 0 FROM pinwheel_inbox_deliveries
WHERE event_id = ANY($1::text[]) AND (state <> 'd' OR $2) ORDER BY queue
ON CONFLICT (queue) DO UPDATE SET version = q.version + 1
RETURNING queue, state = 'c' AS is_claimed
"""
"""Locks the queues of what is not done, and of what is done if it is to wait again; where there is none it is made.

A put waits for the end of this transaction then, and sees what has become of its queue.
"""

_PURGE = """
DELETE FROM pinwheel_inbox_deliveries
WHERE event_id = ANY($1::text[]) AND (state = 'd' OR queue = ANY($2::bigint[]))
"""

_REVIVE = """
UPDATE pinwheel_inbox_deliveries SET state = 'w', at = '-infinity', attempts = 0, interrupted = 0,
    progress = coalesce($3, progress)
WHERE event_id = ANY($1::text[]) AND queue = ANY($2::bigint[])
"""

_SETTLE = """
WITH first AS (
    SELECT q.queue, q.head, q.state, n.seq, n.at, n.at > coalesce($2::timestamptz, statement_timestamp()) AS is_later,
        q.state = 'c' AND EXISTS (
            SELECT 1 FROM pinwheel_inbox_deliveries d WHERE d.queue = q.queue AND d.seq = q.head AND d.state = 'w'
        ) AS is_claimed
    FROM pinwheel_inbox_queues q LEFT JOIN LATERAL (
        SELECT d.seq, d.at FROM pinwheel_inbox_deliveries d
        WHERE d.queue = q.queue AND d.state = 'w' ORDER BY d.seq LIMIT 1
    ) AS n ON true WHERE q.queue = ANY($1::bigint[])
), ended AS (
    DELETE FROM pinwheel_inbox_queues q USING first f WHERE q.queue = f.queue AND f.seq IS NULL
)
UPDATE pinwheel_inbox_queues q SET head = f.seq, token = NULL, lapses = 0,
    state = CASE WHEN f.is_later THEN 'l' ELSE 'r' END, at = CASE WHEN f.is_later THEN f.at END
FROM first f WHERE q.queue = f.queue AND f.seq IS NOT NULL AND NOT f.is_claimed
"""
"""Lets the first unfinished delivery of each of some locked queues be its head, unless another one is claimed."""


class Changed(NamedTuple):
    """What came of a portion."""

    number: int
    is_claimed: bool
    """Whether a worker had claimed something of the same queues."""


async def change_portion(connection: Connection, schema: str | None, portion: Portion, now: Any) -> Changed:
    """Change those deliveries of a portion that the filter still fits, in a transaction; return how many."""
    locked = await connection.fetch(qualified(_LOCK, schema), list(portion.event_ids), portion.change == "replay")
    queues = [queue for queue, _ in locked]
    where, values = conditions(portion.chosen, after=1)
    query = f"""
        SELECT d.event_id, {_STATE} AS state FROM {_ROWS} WHERE d.event_id = ANY($1::text[]) AND {where}
        ORDER BY d.event_id FOR UPDATE OF d
    """
    rows = await connection.fetch(qualified(query, schema), list(portion.event_ids), *values)
    if portion.change == "revive":
        rows = [row for row in rows if row["state"] == "dead"]
    event_ids = [row["event_id"] for row in rows]
    if portion.change == "purge":
        status = await connection.execute(qualified(_PURGE, schema), event_ids, queues)
    else:
        status = await connection.execute(qualified(_REVIVE, schema), event_ids, queues, portion.progress)
    await connection.execute(qualified(_SETTLE, schema), queues, now)
    return Changed(int(status.rpartition(" ")[2]), any(is_claimed for _, is_claimed in locked))


async def read_body(
    connection: Connection, schema: str | None, keys: DatabaseKeys, event_id: str, user: str
) -> bytes | None:
    """Return a stored body, and record who has read it, in a transaction.

    Raises:
        InboxError: It cannot be decrypted.
    """
    query = "SELECT key_number, body FROM pinwheel_inbox_deliveries WHERE event_id = $1 AND body IS NOT NULL"
    row = await connection.fetchrow(qualified(query, schema), event_id)
    if row is None:
        return None
    body = keys.decrypt(row["key_number"], row["body"], event_id)
    if body is None:
        raise InboxError("the stored body cannot be decrypted", reason="Damaged")
    statement = "INSERT INTO pinwheel_inbox_readings (at, username, event_id) VALUES (statement_timestamp(), $1, $2)"
    await connection.execute(qualified(statement, schema), user, event_id)
    return body


async def readings(connection: Connection, schema: str | None, limit: int) -> tuple[BodyReading, ...]:
    """Return who has read bodies, the latest first."""
    query = f"""
        SELECT extract(epoch FROM at)::float8 AS at, username, event_id FROM pinwheel_inbox_readings
        ORDER BY at DESC LIMIT {max(limit, 0)}
    """
    rows = await connection.fetch(qualified(query, schema))
    return tuple([BodyReading(at=row["at"], user=row["username"], event_id=row["event_id"]) for row in rows])
