"""Schema of the SQLite inbox: tables, migrations, statements, and the opening of the file.

State of a row, and what its column `at` means there, in the time of the file (0 where it means nothing):

    new       has just been put, has no place in the order of its key yet
    ready     first of its ordering key, can be claimed
    later     first of its ordering key, waits for its next attempt    when that is due
    claimed   first of its ordering key, a worker has it               when its lease ends
    behind    waits behind the first of its ordering key               when it is due, if that was known before
    dead      failed for good, keeps its body
    kept      done, keeps its body for a while                         when it was done
    done      done, only the id is remembered                          when it was done

Putting only appends, so that a burst of deliveries is stored as fast as possible; the next claim assigns new deliveries
their places. New ids are few and cached in memory, so the unique index of ids leaves them out (`assigned = 0`): ids are
random, and each would touch another page of it.

The time of the file is a count of seconds that never goes back. While a receiver has the file open it goes with the
monotonic clock, which is the same for all processes of a machine: what it says is the clock plus an offset that stands
in the file. The first receiver that opens the file sets the offset so that time is that of the wall clock, or goes on
where it was if the wall clock says less. So no lease and no wait for an attempt ever takes longer than it was meant to,
and receivers agree, whatever becomes of the wall clock meanwhile. It stands still while the machine is suspended:
with a clock that goes on, every lease would have ended at the awakening, and other processes would claim what others
are about to go on with.

The first of every ordering key is known at all times, so claiming reads one short range of one index, however many wait
behind it. It is marked in a column of its own, not by its states, so that claiming leaves the index of the firsts
alone; as that is unique, there is never more than one. The rowid stands at the end of every index, so rows of one state
come in order of arrival.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

from pinwheel_async._sqlite import create_private, use_wal
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._inbox.base import State

T = TypeVar("T")

Synchronous = Literal["FULL", "NORMAL"]

BUSY_S = 5.0
"""Seconds to wait for another process; the sender of a delivery waits for 15."""

APPLICATION_ID = 0x50574942
"""Marks the file as an inbox of ours ("PWIB")."""

_CACHE_KIB = 16_384
"""Pages kept in memory. Places are assigned anywhere in the index of ids, whose entries take some 50 bytes: SQLite's
default of 2 MB holds 40,000 of them, this 300,000."""

LOG_BYTES = 4 * 1024 * 1024
"""Most bytes that the log keeps after it was copied into the file. It has as many when SQLite copies it by itself,
after 1,000 pages; more only where somebody reads for long meanwhile."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE delivery (
            seq INTEGER PRIMARY KEY,
            event_id TEXT NOT NULL,
            event TEXT NOT NULL,
            ordering_key TEXT NOT NULL,
            received_at REAL NOT NULL,
            signed_with TEXT NOT NULL,
            version TEXT,
            webhook_id TEXT,
            traceparent TEXT,
            assigned INTEGER NOT NULL,
            first INTEGER NOT NULL,
            state TEXT NOT NULL,
            at REAL NOT NULL,
            attempts INTEGER NOT NULL,
            token INTEGER NOT NULL,
            reason TEXT,
            interrupted INTEGER NOT NULL DEFAULT 0,
            progress BLOB
        )
        """,
        "CREATE UNIQUE INDEX delivery_known ON delivery (event_id) WHERE assigned = 1",
        "CREATE INDEX delivery_by_state ON delivery (state, at)",
        "CREATE UNIQUE INDEX delivery_first ON delivery (ordering_key) WHERE first = 1",
        "CREATE INDEX delivery_behind ON delivery (ordering_key) WHERE state = 'behind'",
        # In order of arrival, for those who look; only retries write to it.
        "CREATE INDEX delivery_later ON delivery (state) WHERE state = 'later'",
        # Apart, because claiming and marking rewrite rows, and would write the whole body each time.
        "CREATE TABLE body (seq INTEGER PRIMARY KEY, key_number INTEGER NOT NULL, content BLOB NOT NULL)",
        # Counting rows would take longer the more ids are remembered. Beside the counts: when they changed last, the
        # number of the last row that there ever was, so that none is given away twice, and how many new deliveries were
        # purged, which tells others that the new ids that they have cached are wrong. And the last fencing token,
        # because each claim rewrites this row anyway.
        """
        CREATE TABLE state_count (
            waiting INTEGER, claimed INTEGER, done INTEGER, dead INTEGER,
            at REAL NOT NULL, last_seq INTEGER NOT NULL, new_purged INTEGER NOT NULL, last_token INTEGER NOT NULL
        )
        """,
        "INSERT INTO state_count VALUES (0, 0, 0, 0, 0, 0, 0, 0)",
        """
        CREATE TRIGGER delivery_new_purged AFTER DELETE ON delivery WHEN old.state = 'new'
        BEGIN UPDATE state_count SET new_purged = new_purged + 1; END
        """,
        """
        CREATE TABLE saved (name TEXT PRIMARY KEY, key_number INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID
        """,
        # One row. What a receiver says about itself and about retention holds for the file, whoever opens it next.
        """
        CREATE TABLE terms (
            consumer TEXT, keep_bodies_s REAL NOT NULL, remember_s REAL NOT NULL, clock_offset REAL
        )
        """,
        "INSERT INTO terms VALUES (NULL, 0, 30 * 86400, NULL)",
        # Written to when nothing else is, so that there is something to flush.
        "CREATE TABLE flush (count INTEGER NOT NULL)",
        "INSERT INTO flush VALUES (0)",
        "CREATE TABLE body_reading (at REAL NOT NULL, user TEXT NOT NULL, event_id TEXT NOT NULL)",
        # Keys that are in use: an empty text, encrypted with each. No number is used again, so that what was encrypted
        # with a key that is gone is not tried with the next.
        "CREATE TABLE key_proof (number INTEGER PRIMARY KEY AUTOINCREMENT, proof BLOB NOT NULL)",
        # The key of the hashes that stand for ids, encrypted; one row, or none if ids are in the clear.
        "CREATE TABLE id_key (key_number INTEGER NOT NULL, content BLOB NOT NULL)",
    ),
)
"""What makes a file of one version a file of the next, in order; version n is what the first n steps make."""

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

# INDEXED BY in the statements below is a guard. SQLite 3.40 chooses these indexes by itself; but after an ANALYZE, such
# as another tool may run on the file, it was seen to read the whole table for the leases that ended in CLAIMABLE. And a
# statement that no longer fits its index fails in every test, instead of being slow in large files only.

INSERT_DELIVERIES = """INSERT INTO delivery (seq, received_at, event_id, event, ordering_key, signed_with, version,
    webhook_id, traceparent, assigned, first, state, at, attempts, token) VALUES """
DELIVERY_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 'new', 0, 0, 0)"

# What is not new has its place, and is claimed already if it is handed over.
INSERT_PLACED = """INSERT INTO delivery (seq, received_at, event_id, event, ordering_key, signed_with, version,
    webhook_id, traceparent, assigned, first, state, at, attempts, token) VALUES """
PLACED_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)"

INSERT_BODIES = "INSERT INTO body VALUES "
BODY_VALUES = "(?, ?, ?)"

# `assigned = 1` is the condition of the index, without which it cannot be used.
KNOWN = "SELECT event_id FROM delivery INDEXED BY delivery_known WHERE event_id IN ({}) AND assigned = 1"

BY_ID = """
    SELECT event_id, seq, ordering_key, state, token FROM delivery INDEXED BY delivery_known
    WHERE event_id IN ({}) AND assigned = 1
"""

# Here and below, `at = 0` is true of every row with the state; it pins the second column of the index, so that its rows
# come in order of the third, the rowid, and LIMIT ends the reading instead of a sort of all of them.
NEW = """
    SELECT event_id, ordering_key, seq FROM delivery INDEXED BY delivery_by_state
    WHERE state = 'new' AND at = 0 ORDER BY seq LIMIT ?
"""

NEW_IDS = """
    SELECT event_id, seq FROM delivery INDEXED BY delivery_by_state
    WHERE state = 'new' AND at = 0 AND seq > ? ORDER BY seq
"""

FIRST_NEW = "SELECT min(seq) FROM delivery INDEXED BY delivery_by_state WHERE state = 'new' AND at = 0"

KEYS_WITH_FIRST = """
    SELECT ordering_key FROM delivery INDEXED BY delivery_first WHERE ordering_key IN ({}) AND first = 1
"""

ASSIGN = "UPDATE delivery SET assigned = 1, first = ?, state = ? WHERE seq IN ({})"

MAKE_READY = "UPDATE delivery SET state = 'ready', at = 0 WHERE state = 'later' AND at <= ?"

# Two halves, because only the first comes in order of the rowid: it ends at the limit, the second sorts the leases that
# ended, which are few. CROSS JOIN keeps SQLite from turning the loops round: first the rows that are due, then what is
# joined to them by rowid. (SQLite 3.40 does so anyway, but no planner can know that the value of :limit is small.)
CLAIMABLE = """
    SELECT due.seq, state, attempts, interrupted, progress, key_number, content,
        event_id, event, ordering_key, received_at, signed_with, version, webhook_id, traceparent
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
    UPDATE delivery
    SET state = 'claimed', at = ?, token = ?, attempts = attempts + (state <> 'claimed'),
        interrupted = interrupted + (state = 'claimed')
    WHERE seq IN ({})
"""

# One for the whole file, so that tokens of an ordering key rise from delivery to delivery, and an id that is purged and
# comes again does not fit a lease on what it was before.
ADVANCE_FENCE = "UPDATE state_count SET last_token = last_token + ?"
LAST_FENCE = "SELECT last_token FROM state_count"

FENCE_GAP = 2**20
"""What the token rises by when the file is opened alone. Claims are not flushed, so a crash of the machine may undo
some; their tokens must not come again, as handlers may have shown them to another database. More than there are claims
between two flushes."""

# Always 'later', even if it is due at once: MAKE_READY of the next claim makes it ready.
RETRY = """
    UPDATE delivery
    SET state = 'later', at = ?, reason = ?, interrupted = 0, progress = coalesce(?, progress) WHERE seq = ?
"""

RELEASE = """
    UPDATE delivery
    SET state = 'later', at = ?, attempts = attempts - 1, progress = coalesce(?, progress) WHERE seq = ?
"""

MARK_DEAD = """
    UPDATE delivery SET first = 0, state = 'dead', at = 0, reason = ?, progress = coalesce(?, progress) WHERE seq = ?
"""

STATES_OF_ROWS = "SELECT seq, token, state FROM delivery WHERE seq IN ({})"

# What was handed over has its token from the beginning.
CLAIM_NEXT = "UPDATE delivery SET first = 1, state = 'claimed', at = ?, attempts = attempts + 1 WHERE seq IN ({})"

RELEASE_ORPHANS = """
    UPDATE delivery SET state = 'later', at = 0, attempts = attempts - 1
    WHERE state = 'claimed' AND token BETWEEN ? AND ?
"""

DONE = "UPDATE delivery SET first = 0, state = ?, at = ?, progress = NULL WHERE seq IN ({})"

DROP_BODIES = "DELETE FROM body WHERE seq IN ({})"

FIRST = "SELECT seq, state FROM delivery INDEXED BY delivery_first WHERE ordering_key = ? AND first = 1"

NEXT = """
    SELECT seq FROM delivery INDEXED BY delivery_behind WHERE ordering_key = ? AND state = 'behind' ORDER BY seq LIMIT 1
"""

PROMOTE = """
    UPDATE delivery
    SET first = 1,
        state = CASE WHEN at > :now THEN 'later' ELSE 'ready' END,
        at = CASE WHEN at > :now THEN at ELSE 0 END
    WHERE seq = :seq
"""

PROMOTE_NEXT = PROMOTE.replace(":seq", f"({NEXT})".replace("?", ":ordering_key"))

DUE = """
    SELECT CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE state IN ('new', 'ready') AND at = 0) THEN :now ELSE (
        SELECT min(at) FROM delivery WHERE state IN ('later', 'claimed')
    ) END
"""

# The first of what waits, by a range of an index for each kind of it: each comes in order of the rowid, so LIMIT ends
# the reading. Only the last is sorted, and has few: those that had a time of their own when an older one of their key
# was revived.
_FIRST_WAITING = " UNION ALL ".join(
    f"SELECT seq FROM (SELECT seq FROM delivery INDEXED BY {index} WHERE {condition} ORDER BY seq LIMIT 1)"  # noqa: S608
    for index, condition in (
        ("delivery_by_state", "state = 'new' AND at = 0"),
        ("delivery_by_state", "state = 'ready' AND at = 0"),
        ("delivery_later", "state = 'later'"),
        ("delivery_by_state", "state = 'behind' AND at = 0"),
        ("delivery_by_state", "state = 'behind' AND at > 0"),
    )
)

OLDEST = f"SELECT received_at FROM delivery WHERE seq = (SELECT min(seq) FROM ({_FIRST_WAITING}))"  # noqa: S608

# What handlers have returned stays known of what is dead; it was forgotten of what is done.
REVIVE = """
    UPDATE delivery
    SET state = 'behind', at = 0, attempts = 0, interrupted = 0, progress = coalesce(?, progress) WHERE seq IN ({})
"""

FORGET = "DELETE FROM delivery WHERE seq IN ({})"

SET_TERMS = """
    UPDATE terms
    SET consumer = ?, keep_bodies_s = coalesce(?, keep_bodies_s), remember_s = coalesce(?, remember_s), clock_offset = ?
"""

SET_COUNTS = """
    UPDATE state_count SET waiting = ?, claimed = ?, done = ?, dead = ?, at = max(at, ?), last_seq = ?
"""

LEAST_SIZE = "SELECT max(rootpage) * (SELECT page_size FROM pragma_page_size()) FROM sqlite_master"

FLUSH = "UPDATE flush SET count = count + 1"

OLD_BODIES = "SELECT seq FROM delivery WHERE state = 'kept' AND at <= ? LIMIT ?"

OLD_IDS = """
    DELETE FROM delivery WHERE seq IN (SELECT seq FROM delivery WHERE state = 'done' AND at <= ? LIMIT ?)
"""

ROWS_PER_STATEMENT = 64
"""At most; deliveries stored by such statements are twice as many in a second as with a statement for each. More brings
little, and with nine values a row stays below the 999 that older builds of SQLite take."""

_CACHED_STATEMENTS = 512
"""Every number of rows is a text of its own. Python keeps 128 prepared by default; preparing a statement takes longer
than running it with few rows (22 us instead of 6 for one row)."""


def connect(
    path: str, *, synchronous: Synchronous, create: bool = True, steps: tuple[tuple[str, ...], ...] = STEPS
) -> sqlite3.Connection:
    """Open the file, making it if needed and allowed, and bringing it up to date; several processes may do so at once.

    Raises:
        InboxError: There is none, or it belongs to a newer version or to another program.
        sqlite3.Error: It cannot be opened.
    """
    if create:
        with suppress(OSError):  # SQLite meets the same trouble, and its error has a name that is explained to users
            create_private(path)
    else:
        _require_file(path)
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, cached_statements=_CACHED_STATEMENTS)
    try:
        connection.execute("BEGIN")  # so that all is read as of one moment: another process may be making the file
        _refuse_foreign(connection, steps)
        connection.execute("COMMIT")
        # Pages that become free can be given back, which is decided before the first page is written.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _require_wal(connection)  # after looking, because it writes to the file
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA secure_delete = ON")  # dropped bodies are overwritten, not left in free pages
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        _migrate(connection, steps)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: str) -> sqlite3.Connection:
    """Open a file to look at it: nothing is created, changed or brought up to date.

    Where there is no log (`-wal`), the connection does not see what is written to the file from now on; there is one as
    soon as somebody opens the file to write.

    Raises:
        InboxError: There is none, or it belongs to another version or another program.
        sqlite3.Error: It cannot be opened.
    """
    _require_file(path)
    # A file without a log is closed. SQLite would make a log to read it, and leave that behind; a file that it takes
    # for immutable it reads as it is, also on a disk that cannot be written to.
    is_live = Path(f"{path}-wal").exists()
    uri = f"{Path(path).as_uri()}?mode=ro" + ("" if is_live else "&immutable=1")
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        require_current(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        if not is_live or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
            raise
        raise InboxError(
            "the inbox was not closed, and its log cannot be read without making an index of it (-shm): let a receiver "
            "open it, or copy the file and its log to where you can write",
            reason=error.sqlite_errorname,
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


def insertions(head: str, row: str, values: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield statements that insert many rows at once, and their values."""
    for part in _parts(values):
        yield head + ",".join([row] * len(part)), list(chain.from_iterable(part))


def with_list(query: str, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield a query with places for a list of values, and the values."""
    for part in _parts(values):
        yield query.format(",".join("?" * len(part))), part


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), ROWS_PER_STATEMENT):
        yield values[start : start + ROWS_PER_STATEMENT]


def _refuse_foreign(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...]) -> None:
    """Raise if the file is not ours to write to, before anything is written to it."""
    owner = _pragma(connection, "application_id")
    if owner != APPLICATION_ID and (owner or connection.execute("SELECT 1 FROM sqlite_master").fetchone()):
        raise InboxError("the file of the inbox belongs to another program: choose another path", reason="Foreign")
    if _pragma(connection, "user_version") > len(steps):
        raise InboxError(
            "the inbox was written by a newer version of pinwheel_async: install that one", reason="NewerSchema"
        )


def require_current(connection: sqlite3.Connection) -> None:
    """Check that a file is an inbox of this version, and change nothing.

    Raises:
        InboxError: It is not.
    """
    _refuse_foreign(connection, STEPS)
    if _pragma(connection, "user_version") < len(STEPS):
        raise InboxError(
            "the inbox was written by an older version of pinwheel_async: let a receiver bring it up to date",
            reason="OlderSchema",
        )


def _require_file(path: str) -> None:
    if not Path(path).is_file():
        raise InboxError(f"there is no inbox at {path}: a receiver makes it", reason="Missing")


def _require_wal(connection: sqlite3.Connection) -> None:
    if not use_wal(connection, timeout_s=BUSY_S):
        raise InboxError("the inbox needs a local disk, where processes can share memory", reason="NoWal")


def _migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...]) -> None:
    if _pragma(connection, "user_version") == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Again, because another process may have been first.
        _refuse_foreign(connection, steps)
        for step in steps[_pragma(connection, "user_version") :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
