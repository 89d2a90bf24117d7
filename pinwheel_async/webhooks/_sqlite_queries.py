"""The longer statements of a SQLite inbox; `_sqlite_schema.py` tells what the states and columns mean."""

from pinwheel_async.webhooks._inbox import State

STATES: dict[str, State] = {
    "ready": "waiting",
    "later": "waiting",
    "behind": "waiting",
    "claimed": "claimed",
    "kept": "done",
    "done": "done",
    "dead": "dead",
}
"""What the states of rows are called outside."""

# The token begins anywhere: an id that is purged and comes again must not fit a lease on what it was before.
INSERT = """
    INSERT INTO delivery (event_id, event, lane, received_at, signed_with, version, webhook_id, traceparent,
        first, state, at, attempts, token)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
        NOT EXISTS (SELECT 1 FROM delivery INDEXED BY lane_head WHERE lane = ?3 AND first = 1),
        CASE WHEN EXISTS (SELECT 1 FROM delivery INDEXED BY lane_head WHERE lane = ?3 AND first = 1)
            THEN 'behind' ELSE 'ready' END,
        0, 0, random() & 0xFFFFFFFFFF)
    ON CONFLICT (event_id) DO NOTHING
"""

RIPEN = "UPDATE delivery SET state = 'ready', at = 0 WHERE state = 'later' AND at <= ?"

CLAIMABLE = """
    SELECT due.seq, state, attempts, token, sealed, content,
        event_id, event, lane, received_at, signed_with, version, webhook_id, traceparent
    FROM (
        SELECT seq FROM (
            SELECT seq FROM delivery INDEXED BY delivery_by_state
            WHERE state = 'ready' AND at = 0 ORDER BY seq LIMIT :limit
        )
        UNION ALL
        SELECT seq FROM (
            SELECT seq FROM delivery INDEXED BY delivery_by_state
            WHERE state = 'claimed' AND at <= :now ORDER BY seq LIMIT :limit
        )
        ORDER BY seq LIMIT :limit
    ) AS due
    CROSS JOIN delivery USING (seq)
    LEFT JOIN body USING (seq)
    ORDER BY due.seq
"""

CLAIM = "UPDATE delivery SET state = 'claimed', at = ?, attempts = ?, token = ? WHERE seq = ?"

HELD = "SELECT seq, lane FROM delivery WHERE event_id = ? AND token = ? AND state = 'claimed'"

BACK = """
    UPDATE delivery SET state = 'later', at = ?, attempts = attempts - ?, reason = coalesce(?, reason) WHERE seq = ?
"""

FINISH = "UPDATE delivery SET first = 0, state = ?, at = ?, reason = coalesce(?, reason) WHERE seq = ?"

FIRST = "SELECT seq, state FROM delivery INDEXED BY lane_head WHERE lane = ? AND first = 1"

NEXT = "SELECT seq FROM delivery INDEXED BY lane_behind WHERE lane = ? AND state = 'behind' ORDER BY seq LIMIT 1"

PROMOTE = """
    UPDATE delivery
    SET first = 1,
        state = CASE WHEN at > :now THEN 'later' ELSE 'ready' END,
        at = CASE WHEN at > :now THEN at ELSE 0 END
    WHERE seq = :seq
"""

PROMOTE_NEXT = PROMOTE.replace(":seq", f"({NEXT})".replace("?", ":lane"))

DUE = """
    SELECT CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE state = 'ready' AND at = 0) THEN :now ELSE (
        SELECT min(at) FROM (
            SELECT min(at) AS at FROM delivery WHERE state = 'later'
            UNION ALL SELECT min(at) FROM delivery WHERE state = 'claimed'
        )
    ) END
"""

OLDEST = """
    SELECT received_at FROM delivery
    WHERE seq = (SELECT min(seq) FROM delivery WHERE state IN ('ready', 'later', 'behind'))
"""

_ENTRIES = "SELECT event_id, event, lane, state, attempts, received_at, reason FROM delivery "

# A plus keeps the index out of it: where many rows have the state, going down the table finds the newest sooner.
ENTRIES: dict[State | None, str] = {
    None: _ENTRIES + "ORDER BY seq DESC LIMIT ?",
    "waiting": _ENTRIES + "WHERE +state IN ('ready', 'later', 'behind') ORDER BY seq DESC LIMIT ?",
    "claimed": _ENTRIES + "WHERE state = 'claimed' ORDER BY seq DESC LIMIT ?",
    "done": _ENTRIES + "WHERE +state IN ('kept', 'done') ORDER BY seq DESC LIMIT ?",
    "dead": _ENTRIES + "WHERE state = 'dead' ORDER BY seq DESC LIMIT ?",
}

OLD_BODIES = "SELECT seq FROM delivery WHERE state = 'kept' AND at <= ? LIMIT ?"

OLD_IDS = """
    DELETE FROM delivery WHERE seq IN (SELECT seq FROM delivery WHERE state = 'done' AND at <= ? LIMIT ?)
"""
