"""Administration of a SQLite inbox: what a filter selects, and purging or reviving it in portions.

What is meant is looked for on a connection of its own, which reads beside those that write. It is changed in portions,
each in a short transaction that looks again whether the filter still fits: a purge of a million rows delays a delivery
by no more than one portion, in whichever process it is put, and can be ended and gone on with at any time.
"""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from pinwheel_async.webhooks._inbox import sqlite_schema as sql
from pinwheel_async.webhooks._inbox.base import BodyReading, DeliveryFilter, DeliveryProgress, Entry, Preview, State
from pinwheel_async.webhooks._inbox.group_commit import GroupCommit, inbox_error
from pinwheel_async.webhooks._inbox.sqlite_store import DeliveryStore, StoredRow

T = TypeVar("T")

FOUND_ROWS = 10_000
"""Rows that are looked for at once: each search begins where the one before it ended."""

PORTION_ROWS = 500
"""Rows that one transaction changes, at most; purging so many with their bodies takes some 10 ms."""

PORTION_S = 0.02
"""Seconds after which a transaction takes no more rows, however few it has changed."""

Change = Callable[[DeliveryStore, DeliveryFilter, Sequence[int]], int]
"""Changes those of some rows that the filter still fits; returns how many."""


def read(path: str, function: Callable[[sqlite3.Connection], T]) -> T:
    """Read in the file on a connection of its own, which never waits for those that write, nor they for it.

    Raises:
        InboxError: It cannot be read.
    """
    try:
        with closing(sql.connect_read_only(path)) as connection:
            return function(connection)
    except sqlite3.Error as error:
        raise inbox_error(error) from None


def conditions(chosen: DeliveryFilter) -> tuple[str, list[Any]]:
    """Return what a row must fulfil but for its event id, as a condition and its values."""
    parts: list[str] = ["1"]
    values: list[Any] = []
    if chosen.states:
        states = [stored for stored, state in sql.STATES.items() if state in chosen.states]
        parts.append(f"state IN ({_places(states)})")
        values += states
    if chosen.events:
        # Not LIKE or GLOB, to which some characters of a name would be patterns.
        families = [f"substr(event, 1, {len(family)}) = ?" for family in chosen.families]
        parts.append(f"(event IN ({_places(chosen.names)}){''.join(f' OR {family}' for family in families)})")
        values += [*chosen.names, *chosen.families]
    if chosen.ordering_key is not None:
        parts.append("ordering_key = ?")
        values.append(chosen.ordering_key)
    if chosen.reason is not None:
        parts.append("instr(reason, ?) > 0")
        values.append(chosen.reason)
    if chosen.received_after is not None:
        parts.append("received_at >= ?")
        values.append(chosen.received_after.timestamp())
    if chosen.received_before is not None:
        parts.append("received_at < ?")
        values.append(chosen.received_before.timestamp())
    if chosen.with_body:
        parts.append("state <> 'done'")  # of all that is stored there, only what is done has no body
    return " AND ".join(parts), values


def entries(connection: sqlite3.Connection, chosen: DeliveryFilter, limit: int) -> tuple[Entry, ...]:
    """Return what a filter selects, newest first."""
    columns = "event_id, event, ordering_key, state, attempts, received_at, reason, interrupted, version"
    if chosen.event_ids is None:
        where, values = conditions(chosen)
        # Where most rows may have the state, going down the table finds the newest hundred of 100,000 in 0.2 ms; the
        # index takes 135 ms, because all of them have to be sorted first. But where few have it, going down the table
        # would read all that is done.
        most = not chosen.states or "done" in chosen.states
        table = "delivery NOT INDEXED" if most else "delivery INDEXED BY delivery_by_state"
        query = f"SELECT {columns} FROM {table} WHERE {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608  # our own text
        rows = connection.execute(query, (*values, max(limit, 0))).fetchall()
    else:
        rows = [row[1:] for row in sorted(_by_ids(connection, chosen, f"seq, {columns}"), reverse=True)]
    return tuple([_entry(*row) for row in rows[: max(limit, 0)]])


def preview(connection: sqlite3.Connection, chosen: DeliveryFilter) -> Preview:
    """Return what a filter selects, in numbers, all as of one moment."""
    has_body = "state <> 'done'"
    if chosen.event_ids is None:
        where, values = conditions(chosen)
        source = f"FROM delivery NOT INDEXED WHERE {where}"
        connection.execute("BEGIN")  # both queries see the same rows
        groups = connection.execute(
            f"SELECT state, event, count(*), sum({has_body}) {source} GROUP BY state, event",
            values,
        ).fetchall()
        (keys,) = connection.execute(f"SELECT count(DISTINCT ordering_key) {source}", values).fetchone()
    else:
        rows = _by_ids(connection, chosen, f"state, event, 1, {has_body}, ordering_key")
        groups, keys = [row[:4] for row in rows], len({row[4] for row in rows})
    states: Counter[State] = Counter()
    events: Counter[str] = Counter()
    for state, event, count, _ in groups:
        states[sql.STATES[state]] += count
        events[event] += count
    return Preview(
        deliveries=states.total(),
        states=dict(sorted(states.items())),
        events=dict(sorted(events.items())),
        ordering_keys=keys,
        bodies=sum(bodies for *_, bodies in groups),
    )


async def change_in_portions(
    group: GroupCommit, path: str, chosen: DeliveryFilter, change: Change, on_change: Callable[[], None]
) -> int:
    """Find what a filter selects, and change it, the oldest first; return how many were changed.

    What comes meanwhile is left alone. If the caller is cancelled, what was changed until then stays changed.
    """
    last = await asyncio.to_thread(read, path, last_row)
    return await in_portions(
        group,
        path,
        partial(_find, chosen=chosen, last=last),
        lambda store, seqs: change(store, chosen, seqs),
        on_change,
    )


async def in_portions(
    group: GroupCommit,
    path: str,
    find: Callable[[sqlite3.Connection, T | None], Sequence[T]],
    change: Callable[[DeliveryStore, Sequence[T]], int],
    on_change: Callable[[], None] | None = None,
) -> int:
    """Find rows by what they are sorted by, and change them in short transactions; return how many were changed.

    Args:
        group: Where transactions are carried out.
        path: The file.
        find: Finds the next `FOUND_ROWS` behind the one given, or the first of all.
        change: Changes some of them, as they are by then.
        on_change: Called after each transaction that has changed something.
    """
    changed = 0
    after: T | None = None

    def search(connection: sqlite3.Connection) -> Sequence[T]:
        return find(connection, after)

    while found := await asyncio.to_thread(read, path, search):
        start = 0
        while start < len(found):
            began = time.perf_counter()
            carry_out = partial(_change, rows=found[start : start + PORTION_ROWS], change=change)
            taken, count = await group.submit(carry_out)
            start += taken
            changed += count
            if count and on_change is not None:
                on_change()
            # As long as it took: another process that waits for the file looks for it only every few milliseconds, and
            # would hardly ever find it free if one transaction followed on the other.
            await asyncio.sleep(time.perf_counter() - began)
        if len(found) < FOUND_ROWS:
            break
        after = found[-1]
    return changed


def purge(store: DeliveryStore, chosen: DeliveryFilter, seqs: Sequence[int]) -> int:
    """Forget those of some rows that the filter still fits, bodies and all."""
    rows = _rows(store, chosen, seqs)
    store.forget(rows)
    return len(rows)


def revive(store: DeliveryStore, chosen: DeliveryFilter, seqs: Sequence[int]) -> int:
    """Let those of some rows wait again that are dead, and that the filter still fits."""
    dead = [row for row in _rows(store, chosen, seqs) if row.state == "dead"]
    store.revive(dead)
    return len(dead)


def replay(store: DeliveryStore, chosen: DeliveryFilter, seqs: Sequence[int], *, progress: bytes | None = None) -> int:
    """Let those of some rows wait again, with *progress*, that a filter of ended deliveries with bodies still fits."""
    rows = _rows(store, chosen, seqs)
    store.revive(rows, progress)
    return len(rows)


def read_body(store: DeliveryStore, event_id: str, user: str) -> bytes | None:
    """Return a stored body, and record who has read it.

    Raises:
        InboxError: It cannot be decrypted.
    """
    rows = _by_ids(store.connection, DeliveryFilter(event_ids=(event_id,), with_body=True), "seq")
    body = store.body(rows[0][0], event_id) if rows else None
    if body is not None:
        store.connection.execute("INSERT INTO body_reading VALUES (?, ?, ?)", (store.now, user, event_id))
    return body


def progress(store: DeliveryStore, event_id: str) -> DeliveryProgress | None:
    """Return how far the handlers of a delivery have come; None if it is not known."""
    rows = _by_ids(
        store.connection, DeliveryFilter(event_ids=(event_id,)), "seq, state, first, at, progress, ordering_key"
    )
    if not rows:
        return None
    seq, state, first, at, stored, ordering_key = rows[0]
    if state == "new":  # it gets its place with the next claim: it is next if nothing of its key is before it
        ahead = """
            SELECT 1 FROM delivery INDEXED BY delivery_first WHERE first = 1 AND ordering_key = :key UNION ALL
            SELECT 1 FROM delivery INDEXED BY delivery_by_state
            WHERE state = 'new' AND at = 0 AND seq < :seq AND ordering_key = :key
        """
        first = store.connection.execute(ahead, {"key": ordering_key, "seq": seq}).fetchone() is None
    due_in_s = {"new": 0.0, "ready": 0.0, "later": at - store.now}.get(state)
    return DeliveryProgress.of(stored, due_in_s=due_in_s if first else None)


def readings(connection: sqlite3.Connection, limit: int) -> tuple[BodyReading, ...]:
    """Return who has read bodies, the latest first."""
    query = "SELECT at, user, event_id FROM body_reading ORDER BY rowid DESC LIMIT ?"
    rows = connection.execute(query, (max(limit, 0),)).fetchall()
    return tuple([BodyReading(at=at, user=user, event_id=event_id) for at, user, event_id in rows])


def _change(
    store: DeliveryStore, *, rows: Sequence[T], change: Callable[[DeliveryStore, Sequence[T]], int]
) -> tuple[int, int]:
    """Change as many rows as there is time for; return how many were looked at, and how many were changed."""
    deadline = time.perf_counter() + PORTION_S
    taken = changed = 0
    while taken < len(rows) and (not taken or time.perf_counter() < deadline):
        part = rows[taken : taken + sql.ROWS_PER_STATEMENT]
        changed += change(store, part)
        taken += len(part)
    return taken, changed


def last_row(connection: sqlite3.Connection) -> int:
    """Return the number of the last row; 0 if there is none."""
    last: int | None = connection.execute("SELECT max(seq) FROM delivery").fetchone()[0]
    return last or 0


def _find(connection: sqlite3.Connection, after: int | None, *, chosen: DeliveryFilter, last: int) -> list[int]:
    """Return the numbers of the oldest rows that are meant, between two others."""
    after = -1 if after is None else after
    if chosen.event_ids is not None:
        return sorted(seq for (seq,) in _by_ids(connection, chosen, "seq") if after < seq <= last)[:FOUND_ROWS]
    where, values = conditions(chosen)
    # Without an index the rows come in order of their number, so the search ends at the limit and goes on from there.
    query = f"""
        SELECT seq FROM delivery NOT INDEXED WHERE seq > ? AND seq <= ? AND {where} ORDER BY seq LIMIT ?
    """  # noqa: S608
    return [seq for (seq,) in connection.execute(query, (after, last, *values, FOUND_ROWS))]


def _rows(store: DeliveryStore, chosen: DeliveryFilter, seqs: Sequence[int]) -> list[StoredRow]:
    """Return those of some rows that the filter still fits."""
    where, values = conditions(chosen)
    # Without an index, or the planner might go through all rows of a state to find these few.
    columns = ", ".join(StoredRow._fields)
    query = f"SELECT {columns} FROM delivery NOT INDEXED WHERE seq IN ({_places(seqs)}) AND {where}"  # noqa: S608
    rows = map(StoredRow._make, store.connection.execute(query, (*seqs, *values)))
    ids = None if chosen.event_ids is None else set(chosen.event_ids)
    return [row for row in rows if ids is None or row.event_id in ids]


def _by_ids(connection: sqlite3.Connection, chosen: DeliveryFilter, columns: str) -> list[Any]:
    """Return columns of the rows with the ids of a filter that fulfil the rest of it, in any order."""
    where, values = conditions(chosen)
    found: list[Any] = []
    # In two halves, because the index of ids leaves out what is new.
    for source, condition in (("delivery_known", "assigned = 1"), ("delivery_by_state", "state = 'new' AND at = 0")):
        query = f"""
            SELECT {columns} FROM delivery INDEXED BY {source}
            WHERE event_id IN ({{}}) AND {condition} AND {where}
        """  # noqa: S608
        for statement, part in sql.with_list(query, list(dict.fromkeys(chosen.event_ids or ()))):
            found += connection.execute(statement, (*part, *values)).fetchall()
    return found


def _places(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _entry(
    event_id: str,
    event: str,
    ordering_key: str,
    state: str,
    attempts: int,
    received_at: float,
    reason: str | None,
    interrupted: int,
    version: str | None,
) -> Entry:
    return Entry(
        event_id=event_id,
        event=event,
        ordering_key=ordering_key,
        state=sql.STATES[state],
        attempts=attempts,
        received_at=received_at,
        reason=reason,
        interrupted=interrupted,
        version=version,
    )
