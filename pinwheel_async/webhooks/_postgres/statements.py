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

MAX_CHAIN: Final = 64
"""Deliveries of one queue that a claim returns at most: as many share one lease, and one mark."""

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
        lapses = CASE due.lapsed WHEN 1 THEN greatest(q.lapses, 0) + 1 ELSE least(q.lapses + 1, 0) END,
        token = nextval('pinwheel_inbox_token') * 1048576
            + floor(random() * {1048576 // MAX_CHAIN})::bigint * {MAX_CHAIN}
    FROM due WHERE q.queue = due.queue
    RETURNING q.queue, q.head, q.token, q.lapses, q.version = due.seen AS fresh
), rest AS (
    UPDATE pinwheel_inbox_queues q SET state = 'r', at = NULL, version = q.version + 1
    FROM later WHERE q.queue = later.queue AND NOT EXISTS (SELECT 1 FROM due WHERE due.queue = later.queue)
), room AS (
    SELECT greatest(1, least($4::int, $5::int / greatest(1, count(*)))) AS length,
        $6::bigint / greatest(1, count(*)) AS bytes FROM claimed
)
SELECT c.queue, c.token, c.lapses, c.fresh, c.head, d.*
FROM claimed c LEFT JOIN LATERAL (
    SELECT f.seq, f.event_id, f.event, f.ordering_key, f.received_at, f.signed_with, f.version, f.webhook_id,
        f.traceparent, f.attempts, f.interrupted, f.at <= {NOW.format("$3")} AS is_due, f.progress, f.key_number,
        f.body, sum(octet_length(f.body)) OVER (ORDER BY f.seq ROWS UNBOUNDED PRECEDING) AS bytes
    FROM (
        SELECT * FROM pinwheel_inbox_deliveries d WHERE d.queue = c.queue AND d.seq >= c.head AND d.state = 'w'
        ORDER BY d.seq LIMIT CASE c.lapses WHEN 0 THEN (SELECT length FROM room) ELSE 1 END
    ) AS f
) AS d ON d.seq = c.head OR d.bytes <= (SELECT bytes FROM room)
ORDER BY c.head, d.seq
"""
"""Claims queues that are due, oldest first, and returns of each its chain: its head, and some of those that follow.

Where `fresh` is false, `HEADS` has to be asked. What follows is not claimed: it is returned as it stands, so that it
can be handled next without being asked for. There is as much of it as finds room, in rows and bytes.

A lease that has ended stays with its worker until somebody claims: what is late, but not too late, counts. The random
part of the token is for a failover to a standby that lagged: there the sequence hands out the same numbers again. The
tokens after it belong to what follows in the chain.
"""

HEADS: Final = """
SELECT q.queue, q.token, q.lapses, true AS fresh, q.head, d.seq, d.event_id, d.event, d.ordering_key, d.received_at,
    d.signed_with, d.version, d.webhook_id, d.traceparent, d.attempts, d.interrupted, true AS is_due, d.progress,
    d.key_number, d.body
FROM unnest($1::bigint[], $2::bigint[]) AS g(queue, token)
JOIN pinwheel_inbox_queues q ON q.queue = g.queue AND q.token = g.token AND q.state = 'c'
LEFT JOIN pinwheel_inbox_deliveries d ON d.queue = q.queue AND d.seq = q.head AND d.state = 'w'
ORDER BY q.head
"""
"""Returns the heads of claimed queues."""

LOCK_HELD: Final = """
SELECT 1 FROM unnest($1::bigint[], $2::bigint[]) AS g(queue, token) CROSS JOIN LATERAL (
    SELECT 1 FROM pinwheel_inbox_queues q WHERE q.queue = g.queue AND q.token = g.token FOR UPDATE
) AS q
"""
"""Locks what is held, in the order that is given: that of the queues."""

MARK: Final = f"""
WITH held AS MATERIALIZED (
    SELECT q.*, g.*, coalesce(g.seqs_text::bigint[], ARRAY[q.head]) AS seqs,
        CASE g.mark WHEN 'd' THEN {NOW.format("$8")}
            ELSE coalesce({NOW.format("$8")} + make_interval(secs => g.retry_in_s), '-infinity') END AS at
    FROM unnest(
        $2::bigint[], $3::text[], $4::float8[], $5::int[], $6::text[], $7::bytea[],
        $1::bigint[], $9::text[], $10::bigint[], $11::bigint[], $12::float8[]
    ) AS g(token, mark, retry_in_s, counted, reason, progress, asked, seqs_text, next_seq, next_token, lease_s)
    CROSS JOIN LATERAL (
        SELECT q.queue, q.head, q.lapses,
            q.version = (SELECT s.version FROM pinwheel_inbox_queues s WHERE s.queue = q.queue) AS fresh
        FROM pinwheel_inbox_queues q WHERE q.queue = g.asked AND q.token = g.token FOR UPDATE
    ) AS q
), marked AS (
    UPDATE pinwheel_inbox_deliveries d SET state = h.mark::"char", at = h.at, attempts = d.attempts + h.counted,
        interrupted = CASE WHEN h.mark = 'w' AND h.counted = 1 THEN 0
            WHEN d.seq = h.head THEN d.interrupted + greatest(h.lapses, 0) ELSE d.interrupted END,
        reason = coalesce(h.reason, d.reason),
        progress = CASE h.mark WHEN 'd' THEN NULL ELSE coalesce(h.progress, d.progress) END,
        body = CASE WHEN h.mark = 'd' AND (SELECT keep_bodies_s = 0 FROM pinwheel_inbox_terms) THEN NULL ELSE d.body END
    FROM held h WHERE h.fresh AND d.queue = h.queue AND d.state = 'w'
        AND d.seq >= h.head AND d.seq <= h.seqs[cardinality(h.seqs)] AND d.seq = ANY(h.seqs)
), following AS (
    SELECT h.queue, h.token, h.fresh, h.lapses, h.next_token, h.lease_s, coalesce(c.seq, n.seq) AS seq,
        n.at, n.at > {NOW.format("$8")} AS is_later, c.seq IS NOT NULL AS goes_on
    FROM held h LEFT JOIN pinwheel_inbox_deliveries c ON c.queue = h.queue AND c.seq = h.next_seq AND c.state = 'w'
    LEFT JOIN LATERAL (
        SELECT d.seq, CASE WHEN d.seq = h.head THEN h.at ELSE d.at END AS at FROM pinwheel_inbox_deliveries d
        WHERE c.seq IS NULL AND d.queue = h.queue AND d.state = 'w' AND (h.mark = 'w' OR d.seq <> ALL(h.seqs))
        ORDER BY d.seq LIMIT 1
    ) AS n ON true
), ended AS (
    DELETE FROM pinwheel_inbox_queues q USING following f WHERE f.fresh AND q.queue = f.queue AND f.seq IS NULL
), advanced AS (
    UPDATE pinwheel_inbox_queues q SET head = f.seq, version = q.version + 1,
        lapses = CASE WHEN f.lapses > 0 THEN -{MAX_CHAIN} ELSE f.lapses END,
        token = CASE WHEN f.goes_on THEN f.next_token END,
        state = CASE WHEN f.goes_on THEN 'c' WHEN f.is_later THEN 'l' ELSE 'r' END,
        at = CASE WHEN f.goes_on THEN {NOW.format("$8")} + make_interval(secs => f.lease_s)
            WHEN f.is_later THEN f.at END
    FROM following f WHERE f.fresh AND q.queue = f.queue AND f.seq IS NOT NULL
)
SELECT token, fresh, goes_on FROM following
"""
"""Marks what is held (d done, x dead, w to be tried again or given back), and lets the next of each queue come.

They are given in the order of their queues. Each queue is looked up by itself, which no planner is to think better of:
one that took the table to be small went through all that was claimed for each mark. What has a token is claimed.

After a lease that has ended as many deliveries of the queue as a chain may have are claimed one by one: which of them
has ended the process is not known, and it was counted for the first.

With `seqs_text`, it marks so many of a chain, of which the first is held; and with `next_seq`, it claims that one under
its token, if it is still to be handled. Returns the tokens that hold; nothing has changed where `fresh` is false.
"""

EXTEND: Final = f"""
WITH held AS MATERIALIZED (
    SELECT q.queue, g.lease_s FROM unnest($1::bigint[], $2::bigint[], $3::float8[]) AS g(queue, token, lease_s)
    CROSS JOIN LATERAL (
        SELECT q.queue FROM pinwheel_inbox_queues q WHERE q.queue = g.queue AND q.token = g.token FOR UPDATE
    ) AS q
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
