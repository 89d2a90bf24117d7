"""Statements of the PostgreSQL inbox: one round trip each, and right beside any other of them.

Four rules that they follow:

- **Locks in order.** Deliveries in order of event id, then queues in order of their number. A claim takes neither in
  order, and never waits: it skips what is locked.
- **No decision on an old snapshot.** In READ COMMITTED a statement that waited for a row lock sees the new row, but
  everything else as it was before: "is anything left in this queue?" would overlook what was committed meanwhile. So
  each change of a queue counts its `version` up, and whoever holds the row compares it with the version in the
  snapshot: where they differ nothing is changed, and the statement is to be repeated (`fresh` is false).
- **The row of a queue is locked also where there is none**: it is made first.
- **Time is the database's**; a time that is given takes its place, for tests.
"""

from typing import Final

NOW: Final = "coalesce({}::timestamptz, statement_timestamp())"
"""The time of the statement, unless one is given. Not `clock_timestamp()`, with which no index can be searched."""

FEW: Final = 64
"""Queues whose pause or lease is over that one claim looks at; those of them that it does not take are ready after it.
After an outage a hundred thousand may become due at once, and sorting them for each claim would take longer than all
the rest of it."""

PUT: Final = f"""
WITH new AS (
    INSERT INTO pinwheel_inbox_deliveries (
        event_id, seq, event, ordering_key, queue, received_at, signed_with, version, webhook_id, traceparent,
        key_number, body
    )
    SELECT g.event_id, (SELECT nextval('pinwheel_inbox_seq')) + g.n, g.event, g.ordering_key, g.queue,
        {NOW.format("$12")}, g.signed_with, g.version, g.webhook_id, g.traceparent, $11, g.body
    FROM unnest(
        $1::text[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::bytea[]
    ) AS g(event_id, n, event, ordering_key, queue, signed_with, version, webhook_id, traceparent, body)
    WHERE $11 = 0 OR EXISTS (SELECT 1 FROM pinwheel_inbox_keys WHERE number = $11)
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id, seq, queue
), queued AS (
    INSERT INTO pinwheel_inbox_queues AS q (queue, state, head)
    SELECT queue, 'r', min(seq) FROM new GROUP BY queue ORDER BY queue
    ON CONFLICT (queue) DO UPDATE SET version = q.version + 1,
        head = CASE q.state WHEN 'r' THEN least(q.head, excluded.head) ELSE q.head END
)
SELECT event_id FROM new
UNION ALL
SELECT NULL WHERE $11 <> 0 AND NOT EXISTS (SELECT 1 FROM pinwheel_inbox_keys WHERE number = $11)
"""
"""Stores what is new, in the order in which it is given: that of event ids. Returns the ids; null if the key that
encrypted the bodies has been replaced, in which case nothing is stored.

Another transaction that is just storing one of the ids is waited for. Two groups that hold the same ids in opposite
order would wait for each other: of 300 tries, 63 ended in a deadlock.
"""

KNOWN: Final = "SELECT event_id FROM pinwheel_inbox_deliveries WHERE event_id = ANY($1::text[])"

WAITING: Final = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM pinwheel_inbox_deliveries WHERE state = 'w' LIMIT $1) AS unfinished)
    - (SELECT count(*) FROM pinwheel_inbox_queues WHERE state = 'c')
"""
"""Counts what waits, up to a number."""

CLAIM: Final = f"""
WITH later AS (
    SELECT queue, head, (SELECT s.version FROM pinwheel_inbox_queues s WHERE s.queue = q.queue) AS seen, 0 AS lapsed
    FROM pinwheel_inbox_queues q WHERE state = 'l' AND at <= {NOW.format("$3")}
    ORDER BY at LIMIT {FEW} FOR UPDATE SKIP LOCKED
), ready AS (
    SELECT queue, head, (SELECT s.version FROM pinwheel_inbox_queues s WHERE s.queue = q.queue) AS seen, 0 AS lapsed
    FROM pinwheel_inbox_queues q WHERE state = 'r'
    ORDER BY head LIMIT $1 FOR UPDATE SKIP LOCKED
), lapsed AS (
    SELECT queue, head, (SELECT s.version FROM pinwheel_inbox_queues s WHERE s.queue = q.queue) AS seen, 1 AS lapsed
    FROM pinwheel_inbox_queues q WHERE state = 'c' AND at <= {NOW.format("$3")}
    ORDER BY at LIMIT {FEW} FOR UPDATE SKIP LOCKED
), due AS (
    SELECT * FROM ready UNION ALL SELECT * FROM later UNION ALL SELECT * FROM lapsed ORDER BY head LIMIT $1
), claimed AS (
    UPDATE pinwheel_inbox_queues q
    SET state = 'c', at = {NOW.format("$3")} + $2::interval,
        lapses = CASE due.lapsed WHEN 1 THEN q.lapses + 1 ELSE 0 END,
        token = nextval('pinwheel_inbox_token') * 1048576 + floor(random() * 1048576)::bigint
    FROM due WHERE q.queue = due.queue
    RETURNING q.queue, q.head, q.token, q.lapses, q.version = due.seen AS fresh
), rest AS (
    UPDATE pinwheel_inbox_queues q SET state = 'r', at = NULL, version = q.version + 1
    FROM later WHERE q.queue = later.queue AND NOT EXISTS (SELECT 1 FROM due WHERE due.queue = later.queue)
)
SELECT c.queue, c.token, c.lapses, c.fresh, d.seq, d.event_id, d.event, d.ordering_key, d.received_at, d.signed_with,
    d.version, d.webhook_id, d.traceparent, d.attempts, d.interrupted, d.progress, d.key_number, d.body
FROM claimed c LEFT JOIN pinwheel_inbox_deliveries d ON d.queue = c.queue AND d.seq = c.head AND d.state = 'w'
ORDER BY c.head
"""
"""Claims queues that are due, oldest first, and returns their heads; where `fresh` is false, `HEADS` has to be asked.

A lease that has ended stays with its worker until somebody claims: what is late, but not too late, counts. The random
part of the token is for a failover to a standby that lagged: there the sequence hands out the same numbers again.
"""

HEADS: Final = """
SELECT q.queue, q.token, q.lapses, true AS fresh, d.seq, d.event_id, d.event, d.ordering_key, d.received_at,
    d.signed_with, d.version, d.webhook_id, d.traceparent, d.attempts, d.interrupted, d.progress, d.key_number, d.body
FROM unnest($1::bigint[], $2::bigint[]) AS g(queue, token)
JOIN pinwheel_inbox_queues q ON q.queue = g.queue AND q.token = g.token AND q.state = 'c'
LEFT JOIN pinwheel_inbox_deliveries d ON d.queue = q.queue AND d.seq = q.head AND d.state = 'w'
ORDER BY q.head
"""
"""Returns the heads of claimed queues."""

LOCK_HELD: Final = """
SELECT 1 FROM pinwheel_inbox_queues q JOIN unnest($1::bigint[], $2::bigint[]) AS g(queue, token)
    ON q.queue = g.queue AND q.token = g.token
ORDER BY q.queue FOR UPDATE OF q
"""

MARK: Final = f"""
WITH held AS MATERIALIZED (
    SELECT q.queue, q.head, q.token, q.lapses, g.mark, g.counted, g.reason, g.progress,
        CASE g.mark WHEN 'd' THEN {NOW.format("$8")}
            ELSE coalesce({NOW.format("$8")} + make_interval(secs => g.retry_in_s), '-infinity') END AS at,
        q.version = (SELECT s.version FROM pinwheel_inbox_queues s WHERE s.queue = q.queue) AS fresh
    FROM pinwheel_inbox_queues q JOIN unnest(
        $1::bigint[], $2::bigint[], $3::text[], $4::float8[], $5::int[], $6::text[], $7::bytea[]
    ) AS g(queue, token, mark, retry_in_s, counted, reason, progress) ON q.queue = g.queue AND q.token = g.token
    WHERE q.state = 'c' ORDER BY q.queue FOR UPDATE OF q
), marked AS (
    UPDATE pinwheel_inbox_deliveries d SET state = h.mark::"char", at = h.at, attempts = d.attempts + h.counted,
        interrupted = CASE WHEN h.mark = 'w' AND h.counted = 1 THEN 0 ELSE d.interrupted + h.lapses END,
        reason = coalesce(h.reason, d.reason),
        progress = CASE h.mark WHEN 'd' THEN NULL ELSE coalesce(h.progress, d.progress) END,
        body = CASE WHEN h.mark = 'd' AND (SELECT keep_bodies_s = 0 FROM pinwheel_inbox_terms) THEN NULL ELSE d.body END
    FROM held h WHERE h.fresh AND d.queue = h.queue AND d.seq = h.head AND d.state = 'w'
), following AS (
    SELECT h.queue, n.seq, n.at, n.at > {NOW.format("$8")} AS is_later FROM held h LEFT JOIN LATERAL (
        SELECT d.seq, CASE WHEN d.seq = h.head THEN h.at ELSE d.at END AS at FROM pinwheel_inbox_deliveries d
        WHERE d.queue = h.queue AND d.state = 'w' AND (d.seq <> h.head OR h.mark = 'w') ORDER BY d.seq LIMIT 1
    ) AS n ON true WHERE h.fresh
), ended AS (
    DELETE FROM pinwheel_inbox_queues q USING following f WHERE q.queue = f.queue AND f.seq IS NULL
), advanced AS (
    UPDATE pinwheel_inbox_queues q SET head = f.seq, version = q.version + 1, token = NULL, lapses = 0,
        state = CASE WHEN f.is_later THEN 'l' ELSE 'r' END, at = CASE WHEN f.is_later THEN f.at END
    FROM following f WHERE q.queue = f.queue AND f.seq IS NOT NULL
)
SELECT token, fresh FROM held
"""
"""Marks what is held (d done, x dead, w to be tried again or given back), and lets the next of each queue come.

Returns the tokens that hold; nothing has changed where `fresh` is false.
"""

EXTEND: Final = f"""
WITH held AS MATERIALIZED (
    SELECT q.queue, g.lease_s
    FROM pinwheel_inbox_queues q JOIN unnest($1::bigint[], $2::bigint[], $3::float8[]) AS g(queue, token, lease_s)
        ON q.queue = g.queue AND q.token = g.token
    WHERE q.state = 'c' ORDER BY q.queue FOR UPDATE OF q
)
UPDATE pinwheel_inbox_queues q SET at = {NOW.format("$4")} + make_interval(secs => h.lease_s)
FROM held h WHERE q.queue = h.queue RETURNING q.token
"""

DUE: Final = f"""
SELECT CASE WHEN EXISTS (SELECT 1 FROM pinwheel_inbox_queues WHERE state = 'r') THEN 0 ELSE
    extract(epoch FROM least(
        (SELECT min(at) FROM pinwheel_inbox_queues WHERE state = 'l'),
        (SELECT min(at) FROM pinwheel_inbox_queues WHERE state = 'c')
    ) - {NOW.format("$1")})::float8 END
"""
"""Seconds until a queue is due by itself; null if none will be."""

PROGRESS: Final = f"""
SELECT d.event_id, d.progress,
    CASE q.state WHEN 'r' THEN 0 WHEN 'l' THEN extract(epoch FROM q.at - {NOW.format("$2")}) END::float8 AS due_in_s
FROM pinwheel_inbox_deliveries d LEFT JOIN pinwheel_inbox_queues q
    ON d.state = 'w' AND q.queue = d.queue AND q.head = d.seq
WHERE d.event_id = ANY($1::text[])
"""
"""How far handlers have come, and when the next attempt is due of what is the head of its queue."""

COUNTS: Final = f"""
SELECT count(*) FILTER (WHERE NOT claimed) AS waiting, count(*) FILTER (WHERE claimed) AS claimed,
    (SELECT count(*) FROM pinwheel_inbox_deliveries WHERE state = 'd') AS done,
    (SELECT count(*) FROM pinwheel_inbox_deliveries WHERE state = 'x') AS dead,
    extract(epoch FROM {NOW.format("$1")} - min(received_at) FILTER (WHERE NOT claimed))::float8 AS oldest_waiting_s
FROM (
    SELECT d.received_at, q.queue IS NOT NULL AS claimed FROM pinwheel_inbox_deliveries d
    LEFT JOIN pinwheel_inbox_queues q ON q.queue = d.queue AND q.head = d.seq AND q.state = 'c' WHERE d.state = 'w'
) AS unfinished
"""

TIDY: Final = (
    f"""
UPDATE pinwheel_inbox_deliveries SET body = NULL WHERE ctid = ANY(ARRAY(
    SELECT d.ctid FROM pinwheel_inbox_deliveries d, pinwheel_inbox_terms t
    WHERE state = 'd' AND body IS NOT NULL AND at <= {NOW.format("$1")} - make_interval(secs => t.keep_bodies_s)
    ORDER BY at LIMIT $2 FOR UPDATE OF d SKIP LOCKED
))
""",
    f"""
DELETE FROM pinwheel_inbox_deliveries WHERE ctid = ANY(ARRAY(
    SELECT d.ctid FROM pinwheel_inbox_deliveries d, pinwheel_inbox_terms t
    WHERE state = 'd' AND at <= {NOW.format("$1")} - make_interval(secs => t.remember_s)
    ORDER BY at LIMIT $2 FOR UPDATE OF d SKIP LOCKED
))
""",
)
"""Drop bodies that were kept long enough, and ids that were remembered long enough."""
