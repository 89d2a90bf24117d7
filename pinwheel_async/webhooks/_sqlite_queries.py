"""The longer statements of a SQLite inbox; `_sqlite_schema.py` tells what the states and columns mean."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from pinwheel_async.webhooks._inbox import State

T = TypeVar("T")

STATES: dict[str, State] = {
    "new": "waiting",
    "ready": "waiting",
    "later": "waiting",
    "behind": "waiting",
    "claimed": "claimed",
    "kept": "done",
    "done": "done",
    "dead": "dead",
}
"""What the states of rows are called outside."""

DELIVERIES = """INSERT INTO delivery (seq, received_at, event_id, event, lane, signed_with, version, webhook_id,
    traceparent, admitted, first, state, at, attempts, token) VALUES """
# The token begins anywhere: an id that is purged and comes again must not fit a lease on what it was before.
NEW_DELIVERY = "(?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 'new', 0, 0, random() & 0xFFFFFFFFFF)"

BODIES = "INSERT INTO body VALUES "
BODY = "(?, ?, ?)"

KNOWN = "SELECT event_id FROM delivery INDEXED BY delivery_known WHERE event_id IN ({}) AND admitted = 1"

FOUND = """
    SELECT event_id, seq, lane, state, token FROM delivery INDEXED BY delivery_known
    WHERE event_id IN ({}) AND admitted = 1
"""

NEW = """
    SELECT event_id, lane, seq FROM delivery INDEXED BY delivery_by_state
    WHERE state = 'new' AND at = 0 ORDER BY seq LIMIT ?
"""

NEW_IDS = "SELECT event_id FROM delivery INDEXED BY delivery_by_state WHERE state = 'new' AND at = 0"

TAKEN = "SELECT lane FROM delivery INDEXED BY lane_head WHERE lane IN ({}) AND first = 1"

ADMIT = "UPDATE delivery SET admitted = 1, first = ?, state = ? WHERE seq IN ({})"

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

CLAIM = """
    UPDATE delivery SET state = 'claimed', at = ?, attempts = attempts + 1, token = token + 1 WHERE seq IN ({})
"""

BACK = """
    UPDATE delivery SET state = 'later', at = ?, attempts = attempts - ?, reason = coalesce(?, reason) WHERE seq = ?
"""

FINISH = "UPDATE delivery SET first = 0, state = ?, at = ?, reason = coalesce(?, reason) WHERE seq = ?"

DONE = "UPDATE delivery SET first = 0, state = ?, at = ? WHERE seq IN ({})"

DROP = "DELETE FROM body WHERE seq IN ({})"

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
    SELECT CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE state IN ('new', 'ready') AND at = 0) THEN :now ELSE (
        SELECT min(at) FROM (
            SELECT min(at) AS at FROM delivery WHERE state = 'later'
            UNION ALL SELECT min(at) FROM delivery WHERE state = 'claimed'
        )
    ) END
"""

OLDEST = """
    SELECT received_at FROM delivery
    WHERE seq = (SELECT min(seq) FROM delivery WHERE state IN ('new', 'ready', 'later', 'behind'))
"""

_ENTRIES = "SELECT event_id, event, lane, state, attempts, received_at, reason FROM delivery "

# A plus keeps the index out of it: where many rows have the state, going down the table finds the newest sooner.
ENTRIES: dict[State | None, str] = {
    None: _ENTRIES + "ORDER BY seq DESC LIMIT ?",
    "waiting": _ENTRIES + "WHERE +state IN ('new', 'ready', 'later', 'behind') ORDER BY seq DESC LIMIT ?",
    "claimed": _ENTRIES + "WHERE state = 'claimed' ORDER BY seq DESC LIMIT ?",
    "done": _ENTRIES + "WHERE +state IN ('kept', 'done') ORDER BY seq DESC LIMIT ?",
    "dead": _ENTRIES + "WHERE state = 'dead' ORDER BY seq DESC LIMIT ?",
}

OLD_BODIES = "SELECT seq FROM delivery WHERE state = 'kept' AND at <= ? LIMIT ?"

OLD_IDS = """
    DELETE FROM delivery WHERE seq IN (SELECT seq FROM delivery WHERE state = 'done' AND at <= ? LIMIT ?)
"""

PORTION = 64
"""Rows of one statement, at most; every number of rows is a statement of its own, and prepared once."""

STATEMENTS = 512
"""Prepared statements that are kept."""


def rows(head: str, row: str, values: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield statements that insert many rows at once, and their values."""
    for some in _portions(values):
        yield head + ",".join([row] * len(some)), list(chain.from_iterable(some))


def listed(query: str, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield a query with places for a list of values, and the values."""
    for some in _portions(values):
        yield query.format(",".join("?" * len(some))), some


def _portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(values), PORTION):
        yield values[at : at + PORTION]
