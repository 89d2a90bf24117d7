"""Store of deliveries in one SQLite file: its transactions, and every operation of the inbox as it is done inside one.

Everything is decided inside a transaction, beside which no other process can write, so any number of processes may
share the file. `sqlite_schema` explains how states and ordering keys are stored, and holds the statements.

The file has over 500 lines because that is one class: every operation needs the counts and ids that are cached between
transactions, and has to leave them as right as it found them.
"""

import math
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from attrs import evolve, frozen

from pinwheel_async._clock import Clock
from pinwheel_async._privacy import Discreet
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._inbox import sqlite_schema as sql
from pinwheel_async.webhooks._inbox.base import Claim, Counts, State
from pinwheel_async.webhooks._inbox.encryption import BodyCipher, saved_context
from pinwheel_async.webhooks._inbox.hand_over import Chain, Handed, HandOver, Taker
from pinwheel_async.webhooks._inbox.open_file import FileWatch
from pinwheel_async.webhooks._inbox.sqlite_keys import IN_CLEAR, FileKeys

ASSIGNED_AT_ONCE = 64
"""New deliveries that are assigned their places at once. Few, because storing comes first while there is much to store;
with 16, claims take half as long again, and with 256 they are no faster."""

ASSIGNMENTS_PER_CLAIM = 8
"""How often that is done for one claim, at most: where much of what is new shares few ordering keys, a claim would have
to go through all of it before it finds enough."""

MAX_NEW = 65_536
"""Most deliveries that are new: puts assign some their places before there are more, even if none are claimed. So many
ids take 10 MB of memory, and hold a burst of a minute; with 64, a burst is stored at a third of the speed."""

CLEANUP_ROWS = 64
"""Old rows that one transaction removes, at most, so that no delivery waits long for it."""

CLEANUP_EVERY_S = 1.0
"""Seconds from one search for old rows to the next, while there are few."""

CLOCK_TOLERANCE_S = 1.0
"""Seconds that the time of a file may seem to be before its last change; with more, its offset was for the monotonic
clock of an earlier start of the machine. Rounding makes it a few microseconds."""

FREE_PAGES = 256
"""Free pages that the file keeps, 1 MB, so that it does not shrink and grow all day."""

PAGES_PER_VACUUM = 256
"""Pages that are given back in one transaction, which takes some 10 ms: a put that comes meanwhile has to wait."""

_COLUMNS = attrgetter("event_id", "event", "ordering_key", "key", "version", "webhook_id", "traceparent")


class _Row(NamedTuple):
    """What marks need to know of a delivery."""

    event_id: str
    seq: int
    ordering_key: str
    state: str
    token: int


class StoredRow(NamedTuple):
    """What has to be known of a delivery to purge or revive it."""

    seq: int
    event_id: str
    ordering_key: str
    state: str
    first: int


@frozen(kw_only=True, repr=False)
class InboxOptions(Discreet):
    """Options of a SQLite inbox; see `SqliteInbox`."""

    path: str
    consumer: str | None
    read_only: bool
    keep_bodies_s: float | None
    remember_s: float | None
    max_waiting: int | None
    synchronous: sql.Synchronous
    ciphers: tuple[BodyCipher, ...]
    """That of the key, and those of the old keys."""
    hash_ids: bool
    clock: Clock


class DeliveryStore:
    """An open file and what can be done in it, between `begin` and `commit`.

    An operation raises `InboxError` before it has changed anything that is visible outside, or not at all.
    """

    def __init__(self, options: InboxOptions, hand_over: HandOver | None = None) -> None:
        """Open the file.

        Args:
            options: The file, and what it is opened for.
            hand_over: What was handed over by this process; nothing yet, if None.

        Raises:
            InboxError: It is encrypted with another key, or is not for us, or there is none to look at.
            sqlite3.Error: It cannot be opened.
        """
        self.options = options
        self.hand_over = hand_over or HandOver()
        self.now = 0.0
        """Time of the file; see `sqlite_schema`."""
        self.state_counts: dict[State, int] = {}
        self.new_ids: dict[str, int] = {}
        """Ids and row numbers of all that is new, in order: the index of ids leaves them out."""
        self.last_seq = 0
        """Number of the last row that there ever was."""
        self.keep_bodies_s = 0.0
        self.remember_s = 0.0
        self._clock_offset: float | None = None
        self._last_change = 0.0
        self._new_purged = 0
        self._data_version = -1
        self._stored: tuple[dict[State, int], int] = ({}, 0)
        """Counts and last row number as they stand in the file."""
        self._cleanup_at = 0.0
        self._synchronous = options.synchronous
        self._is_flushed = False
        """Whether all that the file is believed to hold is on the disk."""
        self.keys = FileKeys(options.ciphers)
        if options.read_only:
            self.watch = FileWatch(options.path, ["-wal"])  # before it is opened: see `connect_read_only`
            self.connection = sql.connect_read_only(options.path)
        else:
            create = options.consumer is not None
            self.connection = sql.connect(options.path, synchronous=options.synchronous, create=create)
        try:
            if not options.read_only:
                # The log of a killed process, or of a disk that failed, may be in the memory of the system only. Once a
                # flush has failed, the next may find nothing to do; what is copied into the file is flushed anew.
                _, in_log, copied = self._first_row("PRAGMA wal_checkpoint(PASSIVE)")
                (least_size,) = self._first_row(sql.LEAST_SIZE)
                self.watch = FileWatch(options.path, ["-wal", "-shm"], least_size=least_size if in_log == copied else 0)
            self.begin()
            if options.consumer is not None:
                self.keys.introduce(self.connection, hash_ids=options.hash_ids)
            elif options.ciphers or not options.read_only:  # numbers and names can be looked at without a key
                self.keys.find(self.connection)
            self.commit()
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Move everything from the log into the file, as far as possible, and close it."""
        if not self.options.read_only:
            with suppress(sqlite3.Error):  # the log may still hold bodies that were dropped
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(sqlite3.Error):
            self.connection.close()
        self.watch.end()

    def unfinished(self) -> int:
        """Return how many deliveries are acknowledged and not handled, wherever the file is now."""
        try:
            self.begin(flush=False)
            self.rollback()
        except sqlite3.Error:  # then what was read last must do
            pass
        return self.state_counts["waiting"] + self.state_counts["claimed"]

    def begin(self, *, flush: bool = True) -> None:
        """Begin a transaction, once no other process writes; without *flush* a crash of the machine may undo it.

        One that only reads waits for no other, and none waits for it.
        """
        if self.options.read_only:
            self.connection.execute("BEGIN")
            self._load_counts()
            self.now = self._time()
            return
        synchronous = self.options.synchronous if flush else "NORMAL"
        if synchronous != self._synchronous:
            # Before BEGIN: SQLite refuses to change it inside a transaction.
            self.connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        # IMMEDIATE takes the write lock at once: what is read below holds until the commit.
        self.connection.execute("BEGIN IMMEDIATE")
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:  # another connection has written since
            if self.keys.are_introduced:
                self.keys.load(self.connection)
            self._reload_cache()
            self._check_chains()
            self._data_version = version
        self.now = self._time()
        self._stored = (dict(self.state_counts), self.last_seq)
        for tokens in self.hand_over.orphans:
            released = self.connection.execute(sql.RELEASE_ORPHANS, tokens).rowcount
            self._count("claimed", "waiting", released)
            self.hand_over.pending.has_due = True

    def commit(self) -> None:
        """Remove some old rows, if the file is open to receive, and make everything durable."""
        if self.options.consumer is not None:
            self._clean_up()
        elif self.options.read_only:
            self.connection.execute("COMMIT")
            return
        if (self.state_counts, self.last_seq) != self._stored:  # else a transaction that only reads would write
            # A tool goes by the wall clock, which may be wrong, so it leaves the time to receivers.
            at = self.now if self.options.consumer is not None else 0
            self.connection.execute(sql.SET_COUNTS, (*self.state_counts.values(), at, self.last_seq))
        flushes = self._synchronous == self.options.synchronous
        if flushes and not self._is_flushed:
            # What is known is acknowledged without being written: a commit that writes nothing flushes nothing.
            self.connection.execute(sql.FLUSH)
        self.connection.execute("COMMIT")
        self._is_flushed = self._is_flushed or flushes
        self.hand_over.commit()

    def rollback(self) -> None:
        """Undo everything since `begin`."""
        self._is_flushed = False
        self._data_version = -1  # the cache may hold what is undone here, so the next `begin` reads it again
        self.hand_over.rollback()
        self.connection.rollback()

    def shrink(self) -> bool:
        """Give back what the file does not need, or empty the log, while nothing is asked for; return whether to go on.

        The log holds bodies that were dropped from the file, until something else is written over them.
        """
        if self.options.consumer is None:
            return False
        (free,) = self._first_row("PRAGMA freelist_count")
        if free > FREE_PAGES:
            pages = min(free - FREE_PAGES, PAGES_PER_VACUUM)
            # As a script, because `execute` ends this statement after one page.
            self.connection.executescript(f"BEGIN IMMEDIATE; PRAGMA incremental_vacuum({pages}); COMMIT")
            if self._first_row("PRAGMA freelist_count")[0] < free:
                return True
        log = Path(f"{self.options.path}-wal")
        if log.exists() and log.stat().st_size:
            (timeout_ms,) = self._first_row("PRAGMA busy_timeout")
            try:
                # Not while another process reads or writes: a put would have to wait for it.
                self.connection.execute("PRAGMA busy_timeout = 0")
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self.connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")
        return False

    def put(self, deliveries: Sequence[Delivery]) -> list[bool | InboxError]:
        """See `Inbox.put`."""
        while self.new_ids and len(self.new_ids) + len(deliveries) > MAX_NEW:
            self.assign_places()
        event_ids = [delivery.event_id for delivery in deliveries]
        known = {event_id for (event_id,) in self._with_list(sql.KNOWN, event_ids)}
        limit, taker = self.options.max_waiting, self.hand_over.taker
        queued = 0 if taker is None else taker.queued()
        room = math.inf if limit is None else limit - self.state_counts["waiting"] - queued
        outcomes: list[bool | InboxError] = []
        new: dict[str, Delivery] = {}
        for delivery in deliveries:
            if delivery.event_id in known or delivery.event_id in self.new_ids or delivery.event_id in new:
                outcomes.append(False)
            elif len(new) >= room:
                outcomes.append(InboxError("the inbox is full", reason="MaxWaiting"))
            else:
                outcomes.append(True)
                new[delivery.event_id] = delivery
        if new and (taker is None or not self._hand_over(list(new.values()), taker)):
            self._append(list(new.values()))
            self.state_counts["waiting"] += len(new)
            self.hand_over.pending.has_due = True
        return outcomes

    def assign_places(self) -> None:
        """Make the oldest of the new deliveries the firsts of their ordering keys, or put them behind these."""
        new = self.connection.execute(sql.NEW, (ASSIGNED_AT_ONCE,)).fetchall()
        for event_id, _, _ in new:
            self.new_ids.pop(event_id, None)
        keys = list({key for _, key, _ in new})
        taken = {key for (key,) in self._with_list(sql.KEYS_WITH_FIRST, keys)}
        # Backwards, so that of several new ones with the same key the oldest is left.
        firsts = {key: seq for _, key, seq in reversed(new) if key not in taken}
        behind = [seq for _, key, seq in new if firsts.get(key) != seq]
        self._change(sql.ASSIGN, (1, "ready"), list(firsts.values()))
        self._change(sql.ASSIGN, (0, "behind"), behind)

    def claim(self, limit: int, lease_s: float) -> tuple[Claim, ...]:
        """See `Inbox.claim`."""
        self.connection.execute(sql.MAKE_READY, (self.now,))
        values = {"now": self.now, "limit": max(limit, 0)}
        rows = self.connection.execute(sql.CLAIMABLE, values).fetchall()
        for _ in range(ASSIGNMENTS_PER_CLAIM):
            # Whatever is new arrived after all that has its place, so it is asked for only once that does not suffice.
            if len(rows) >= limit or not self.new_ids:
                break
            self.assign_places()
            rows = self.connection.execute(sql.CLAIMABLE, values).fetchall()
        for row in rows:
            self.keys.require(row[5] or IN_CLEAR)
        if not rows:
            return ()
        self.connection.execute(sql.ADVANCE_FENCE, (1,))
        (token,) = self._first_row(sql.LAST_FENCE)
        claims = [(row[0], claim) for row in rows if (claim := self._claim(row, token)) is not None]
        self._change(sql.CLAIM, (self.now + lease_s, token), [seq for seq, _ in claims])
        return tuple([claim for _, claim in claims])

    def finish(self, finished: Sequence[tuple[str, Sequence[int]]], lease_s: float) -> list[bool]:
        """Mark as done what was handed over, and claim the next of each chain.

        Args:
            finished: Ordering keys, and the rows at the beginning of the chain of each that are done.
            lease_s: Seconds of the leases on what follows.

        Returns:
            For each key whether all went well; if not, all that is left of its chain is not ours any more.
        """
        chains = [self.hand_over.get(key) or Chain() for key, _ in finished]
        seqs = [
            seq for chain, (_, some) in zip(chains, finished, strict=True) for seq, _ in chain.rows[: len(some) + 1]
        ]
        states = {row[:2]: row[2] for row in self._with_list(sql.STATES_OF_ROWS, seqs)}
        done: list[int] = []
        following: list[int] = []
        ended: list[str] = []
        outcomes: list[bool] = []
        for (key, some), chain in zip(finished, chains, strict=True):
            if not chain.rows or states.get(chain.rows[0]) != "claimed":
                self.hand_over.end(key)
                outcomes.append(False)
                continue
            marked = set(some)
            left: list[tuple[int, int]] = []
            for row in chain.rows:
                state = states.get(row)
                if row[0] not in marked:
                    left.append(row)
                elif state in {"claimed", "behind"}:
                    done.append(row[0])
                    self._count(sql.STATES[state], "done")
            state = states.get(left[0]) if left else None
            if state == "behind":
                following.append(left[0][0])
            goes_on = state in {"behind", "claimed"}
            if not goes_on and (left or not chain.is_open):
                ended.append(key)
            self.hand_over.set(key, Chain(tuple(left), is_open=chain.is_open) if goes_on else None)
            outcomes.append(goes_on or not left)
        self._change(sql.DONE, ("kept" if self.keep_bodies_s else "done", self.now), done)
        if not self.keep_bodies_s:
            self._drop_bodies(done)
        self._change(sql.CLAIM_NEXT, (self.now + lease_s,), following)
        self._count("waiting", "claimed", len(following))
        for key in ended:
            self._promote_first(key)
            self.hand_over.pending.has_due = True
        return outcomes

    def end_leases(self) -> None:
        """End every lease: the processes that held them are gone."""
        self.connection.execute("UPDATE delivery SET at = 0 WHERE state = 'claimed'")
        self.connection.execute(sql.ADVANCE_FENCE, (sql.FENCE_GAP,))

    def introduce(self, *, is_alone: bool) -> None:
        """Write the consumer, if the file has none yet, and the terms of retention that were given into the file.

        Args:
            is_alone: Whether no other receiver goes by the time of the file, so that it can be set.

        Raises:
            InboxError: It belongs to another consumer.
        """
        consumer = self.options.consumer
        (owner,) = self._first_row("SELECT consumer FROM terms")
        if owner not in {None, consumer}:
            raise InboxError(
                f"the inbox belongs to the consumer {owner!r} and not to {consumer!r}, whose handlers would take its "
                "deliveries: choose another file, or say consumer=... if they are the same",
                reason="OtherConsumer",
            )
        monotonic, offset = self.options.clock.monotonic(), self._clock_offset
        if is_alone or offset is None or monotonic + offset < self._last_change - CLOCK_TOLERANCE_S:
            offset = max(self.options.clock.now().timestamp(), self._last_change) - monotonic
        values = (consumer, self.options.keep_bodies_s, self.options.remember_s, offset)
        self.connection.execute(sql.SET_TERMS, values)
        self._load_terms()
        self.now = self._time()

    def extend(self, claim: Claim, lease_s: float) -> bool:
        """See `Inbox.extend`."""
        held = self._held(claim)
        if held is not None:
            self.connection.execute("UPDATE delivery SET at = ? WHERE seq = ?", (self.now + lease_s, held.seq))
        return held is not None

    def done(self, claims: Sequence[Claim]) -> list[bool]:
        """See `Inbox.done`."""
        rows = {row.event_id: row for row in self._by_id([claim.delivery.event_id for claim in claims])}
        marked: dict[int, str] = {}
        outcomes: list[bool] = []
        for claim in claims:
            row = rows.get(claim.delivery.event_id)
            # A second claim of the same delivery in this group would mark it twice.
            if row is not None and _is_held(row, claim) and row.seq not in marked:
                marked[row.seq] = row.ordering_key
                self.hand_over.end(row.ordering_key)
                outcomes.append(True)
            else:
                outcomes.append(False)
        seqs = list(marked)
        self._change(sql.DONE, ("kept" if self.keep_bodies_s else "done", self.now), seqs)
        if not self.keep_bodies_s:
            self._drop_bodies(seqs)
        self._count("claimed", "done", len(seqs))
        # Without looking for another first, as `_promote_first` does: what was claimed was the first of its key.
        values = [{"now": self.now, "ordering_key": key} for key in marked.values()]
        self.connection.executemany(sql.PROMOTE_NEXT, values)
        return outcomes

    def fail(self, claim: Claim, reason: str, retry_in_s: float | None, progress: bytes | None) -> bool:
        """See `Inbox.fail`."""
        held = self._held(claim)
        if held is None:
            return False
        if retry_in_s is None:
            self._mark_dead(held.seq, held.ordering_key, "claimed", reason, progress)
        else:
            self._requeue(held, sql.RETRY, self.now + retry_in_s, reason, progress)
        return True

    def release(self, claim: Claim, progress: bytes | None) -> bool:
        """See `Inbox.release`."""
        held = self._held(claim)
        if held is None:
            return False
        self._requeue(held, sql.RELEASE, self.now, progress)
        return True

    def revive(self, rows: Sequence[StoredRow], progress: bytes | None = None) -> None:
        """Let deliveries that have ended wait again in their old places, attempts counted from 0.

        Claims find *progress*; with None, what was saved before.
        """
        self._change(sql.REVIVE, (progress,), [row.seq for row in rows])
        for row in rows:
            self._count(sql.STATES[row.state], "waiting")
        for key in dict.fromkeys(row.ordering_key for row in rows):
            self.hand_over.close(key)
            self._promote_first(key)

    def forget(self, rows: Sequence[StoredRow]) -> None:
        """Remove deliveries for good; those that were first of their ordering keys make way for the next."""
        seqs = [row.seq for row in rows]
        self._drop_bodies(seqs)
        self._change(sql.FORGET, (), seqs)
        for row in rows:
            self.state_counts[sql.STATES[row.state]] -= 1
            self.new_ids.pop(row.event_id, None)
            self.hand_over.forget(row.ordering_key, [row.seq])
        for row in rows:
            if row.first:
                self._promote_first(row.ordering_key)

    def counts(self) -> Counts:
        """See `Inbox.counts`."""
        oldest = self._first_row(sql.OLDEST)
        # When something arrived is told by the wall clock.
        age_s = None if oldest is None else max(0.0, self.options.clock.now().timestamp() - oldest[0])
        return Counts(**self.state_counts, oldest_waiting_s=age_s, disk_free_bytes=self._disk_free_bytes())

    def due_in_s(self) -> float | None:
        """Return in how many seconds a delivery will be due by itself, 0 or less if one is; None if none will be."""
        at: float | None = self.connection.execute(sql.DUE, {"now": self.now}).fetchone()[0]
        return None if at is None else at - self.now

    def load(self, key: str) -> bytes | None:
        """See `Inbox.load`."""
        name = self.keys.hashes.stored_name(key)
        row = self._first_row("SELECT key_number, value FROM saved WHERE name = ?", name)
        # What is damaged is gone: whoever saved it has to do without, as if it had never been there.
        return None if row is None else self.keys.decrypt(row[0], row[1], saved_context(name))

    def load_or_save(self, key: str, value: bytes) -> bytes:
        """See `Inbox.load_or_save`."""
        saved = self.load(key)
        if saved is None:
            self.save(key, value)
        return value if saved is None else saved

    def save(self, key: str, value: bytes | None) -> None:
        """See `Inbox.save`."""
        name = self.keys.hashes.stored_name(key)
        if value is None:
            self.connection.execute("DELETE FROM saved WHERE name = ?", (name,))
        else:
            encrypted = self.keys.encrypt(value, saved_context(name))
            self.connection.execute("INSERT OR REPLACE INTO saved VALUES (?, ?, ?)", (name, *encrypted))

    def body(self, seq: int, event_id: str) -> bytes | None:
        """Return the body of a row, decrypted; None if there is none.

        Raises:
            InboxError: It is encrypted and cannot be decrypted.
        """
        row = self._first_row("SELECT key_number, content FROM body WHERE seq = ?", seq)
        if row is None:
            return None
        body = self.keys.decrypt(row[0], row[1], event_id)
        if body is None:
            raise InboxError("the stored body cannot be decrypted", reason="Damaged")
        return body

    def _append(self, deliveries: Sequence[Delivery]) -> None:
        first = self.last_seq + 1
        self.last_seq += len(deliveries)
        rows: list[tuple[Any, ...]] = []
        bodies: list[tuple[Any, ...]] = []
        for seq, delivery in enumerate(deliveries, first):
            stored = delivery
            if self.keys.hashes.are_used:
                stored = evolve(delivery, ordering_key=self.keys.hashes.stored(delivery.ordering_key))
            self.new_ids[delivery.event_id] = seq
            rows.append((seq, delivery.received_at.timestamp(), *_COLUMNS(stored)))
            bodies.append((seq, *self.keys.encrypt(delivery.body, delivery.event_id)))
        self._insert(rows, bodies, sql.INSERT_DELIVERIES, sql.DELIVERY_VALUES)

    def _hand_over(self, deliveries: Sequence[Delivery], taker: Taker) -> bool:
        """Store new deliveries, each in its place, and hand over those that are next of their keys or follow such.

        Returns:
            Whether that was possible: not if a crowd of others has no place yet, as after the start.
        """
        for _ in range(ASSIGNMENTS_PER_CLAIM):
            if not self.new_ids:
                break
            self.assign_places()
        if self.new_ids:
            return False
        hand_over = self.hand_over
        hand_over.give_to(taker)
        room, room_bytes = taker.room()
        ends_at = taker.lease_end()
        self.connection.execute(sql.ADVANCE_FENCE, (len(deliveries),))
        token: int = self._first_row(sql.LAST_FENCE)[0] - len(deliveries)
        if self.keys.hashes.are_used:
            deliveries = [evolve(item, ordering_key=self.keys.hashes.stored(item.ordering_key)) for item in deliveries]
        taken = self._taken({delivery.ordering_key for delivery in deliveries})
        rows: list[tuple[Any, ...]] = []
        bodies: list[tuple[Any, ...]] = []
        for delivery in deliveries:
            self.last_seq += 1
            token += 1
            key, size = delivery.ordering_key, len(delivery.body)
            chain = hand_over.get(key)
            is_first = chain is None and key not in taken
            is_handed = room > 0 and size <= room_bytes and (is_first or (chain is not None and chain.is_open))
            if is_handed:
                room -= 1
                room_bytes -= size
                hand_over.append(key, self.last_seq, token)
                claim = Claim(delivery=delivery, attempt=1, token=token)
                hand_over.pending.handed.append(Handed(claim, self.last_seq, ends_at, is_first))
            else:
                hand_over.close(key)
                hand_over.pending.has_due = hand_over.pending.has_due or is_first
            if is_first and is_handed:
                place: tuple[Any, ...] = (1, "claimed", self.now + taker.lease_s, 1, token)
            elif is_first:
                taken.add(key)
                place = (1, "ready", 0, 0, 0)
            else:
                place = (0, "behind", 0, 0, token if is_handed else 0)
            self.state_counts["claimed" if is_first and is_handed else "waiting"] += 1
            rows.append((self.last_seq, delivery.received_at.timestamp(), *_COLUMNS(delivery), *place))
            bodies.append((self.last_seq, *self.keys.encrypt(delivery.body, delivery.event_id)))
        self._insert(rows, bodies, sql.INSERT_PLACED, sql.PLACED_VALUES)
        return True

    def _taken(self, keys: set[str]) -> set[str]:
        """Return those of some ordering keys that have something unfinished that was not handed over."""
        if self.state_counts["waiting"] + self.state_counts["claimed"] == self.hand_over.unfinished:
            return set()
        some = [key for key in keys if self.hand_over.get(key) is None]
        return {key for (key,) in self._with_list(sql.KEYS_WITH_FIRST, some)}

    def _check_chains(self) -> None:
        """Look what another connection has left of the chains: it may have stored more, and purged or claimed some."""
        hand_over = self.hand_over
        chains = hand_over.chains()
        seqs = [seq for _, chain in chains for seq, _ in chain.rows]
        states = {row[:2]: row[2] for row in self._with_list(sql.STATES_OF_ROWS, seqs)}
        for key, chain in chains:
            # What is done was marked here, by a commit that reported an error.
            rows = [row for row in chain.rows if states.get(row) not in {"done", "kept"}]
            hand_over.set(key, Chain(tuple(rows)))
            is_lost = bool(rows) and states.get(rows[0]) != "claimed"
            hand_over.forget(key, [row[0] for row in rows if row not in states or (is_lost and row is rows[0])])

    def _insert(
        self, rows: Sequence[tuple[Any, ...]], bodies: Sequence[tuple[Any, ...]], insert: str, row_values: str
    ) -> None:
        for statement, values in sql.insertions(insert, row_values, rows):
            self.connection.execute(statement, values)
        for statement, values in sql.insertions(sql.INSERT_BODIES, sql.BODY_VALUES, bodies):
            self.connection.execute(statement, values)

    def _claim(self, row: tuple[Any, ...], token: int) -> Claim | None:
        """Make the claim of a row of `CLAIMABLE`; mark it dead if unreadable, or it would block its key for ever."""
        seq, state, attempts, interrupted, progress, key_number, body, *columns = row
        event_id, event, ordering_key, received_at, signed_with, version, webhook_id, traceparent = columns
        if body is not None:
            body = self.keys.decrypt(key_number, body, event_id)
        if body is None:
            self._mark_dead(seq, ordering_key, sql.STATES[state], "the stored body is damaged")
            return None
        self._count(sql.STATES[state], "claimed")
        self.hand_over.forget(ordering_key, [seq])  # its lease has ended
        delivery = Delivery(
            event_id=event_id,
            event=event,
            ordering_key=ordering_key,
            received_at=datetime.fromtimestamp(received_at, UTC),
            key=signed_with,
            version=version,
            webhook_id=webhook_id,
            traceparent=traceparent,
            body=body,
        )
        lapsed = state == "claimed"
        return Claim(  # with the numbers that the statement CLAIM stores
            delivery=delivery,
            attempt=attempts + (not lapsed),
            token=token,
            interrupted=interrupted + lapsed,
            progress=progress,
        )

    def _held(self, claim: Claim) -> _Row | None:
        """Return the row of a claim; None if the lease ended and it was claimed again, or it is over."""
        for row in self._by_id([claim.delivery.event_id]):
            if _is_held(row, claim):
                return row
        return None

    def _by_id(self, event_ids: Sequence[str]) -> list[_Row]:
        """Return those that are known and not new, in any order."""
        return list(map(_Row._make, self._with_list(sql.BY_ID, event_ids)))

    def _mark_dead(self, seq: int, ordering_key: str, state: State, reason: str, progress: bytes | None = None) -> None:
        self.connection.execute(sql.MARK_DEAD, (reason, progress, seq))
        self._count(state, "dead")
        self.hand_over.end(ordering_key)
        self._promote_first(ordering_key)

    def _requeue(self, row: _Row, statement: str, *values: Any) -> None:
        self.connection.execute(statement, (*values, row.seq))
        self._count("claimed", "waiting")
        self.hand_over.end(row.ordering_key)
        self._promote_first(row.ordering_key)

    def _promote_first(self, ordering_key: str) -> None:
        """Make the oldest unfinished delivery of a key its first, unless a worker has another one."""
        following = self._first_row(sql.NEXT, ordering_key)
        if following is None:
            return
        first = self._first_row(sql.FIRST, ordering_key)
        if first is not None:
            if first[1] == "claimed" or first[0] < following[0]:
                return
            # An older one was revived. The old first steps back before that moves up: the index allows one at a time.
            self.connection.execute("UPDATE delivery SET first = 0, state = 'behind' WHERE seq = ?", first[:1])
        self.connection.execute(sql.PROMOTE, {"now": self.now, "seq": following[0]})

    def _drop_bodies(self, seqs: Sequence[int]) -> None:
        """Remove bodies for good: what is deleted is overwritten."""
        self._change(sql.DROP_BODIES, (), seqs)

    def _clean_up(self) -> None:
        """Drop bodies that were kept long enough and forget ids that were remembered long enough, a few at a time."""
        if self.now < self._cleanup_at:
            return
        kept = self.connection.execute(sql.OLD_BODIES, (self.now - self.keep_bodies_s, CLEANUP_ROWS)).fetchall()
        self._drop_bodies([seq for (seq,) in kept])
        # The time stays as it is: an id is remembered from when its delivery was done.
        self.connection.executemany("UPDATE delivery SET state = 'done' WHERE seq = ?", kept)
        forgotten = self.connection.execute(sql.OLD_IDS, (self.now - self.remember_s, CLEANUP_ROWS)).rowcount
        self.state_counts["done"] -= forgotten
        more = CLEANUP_ROWS in {len(kept), forgotten}
        self._cleanup_at = self.now if more else self.now + CLEANUP_EVERY_S

    def _reload_cache(self) -> None:
        """Cache the terms, the counts by state, the ids of new deliveries and the last row number."""
        self._load_terms()
        was_purged, last_known = self._new_purged, self.last_seq
        self._load_counts()
        if self._data_version < 0 or was_purged != self._new_purged:
            self.new_ids = self._load_new_ids()
        else:
            # Places are assigned in order of arrival, so what others have assigned is the beginning of what is known,
            # and what they have put comes after it. Reading it all again takes 70 ms for 100,000 ids.
            (first_new,) = self._first_row(sql.FIRST_NEW)
            assigned = takewhile(lambda item: first_new is None or item[1] < first_new, self.new_ids.items())
            for event_id, _ in list(assigned):
                del self.new_ids[event_id]
            self.new_ids |= self._load_new_ids(after=last_known)
        (last,) = self._first_row("SELECT max(seq) FROM delivery")
        self.last_seq = max(self.last_seq, last or 0)

    def _disk_free_bytes(self) -> int | None:
        try:
            return shutil.disk_usage(Path(self.options.path).parent).free
        except OSError:
            return None

    def _time(self) -> float:
        clock = self.options.clock
        if self.options.consumer is None or self._clock_offset is None:
            # No receiver may have the file open, and so the offset may be that of an earlier start of the machine.
            return max(clock.now().timestamp(), self._last_change)
        return max(clock.monotonic() + self._clock_offset, self._last_change)

    def _load_terms(self) -> None:
        row = self._first_row("SELECT keep_bodies_s, remember_s, clock_offset FROM terms")
        self.keep_bodies_s, self.remember_s, self._clock_offset = row

    def _load_counts(self) -> None:
        row = self._first_row("SELECT waiting, claimed, done, dead, at, last_seq, new_purged FROM state_count")
        self._last_change, self.last_seq, self._new_purged = row[4:]
        self.state_counts = {"waiting": row[0], "claimed": row[1], "done": row[2], "dead": row[3]}

    def _load_new_ids(self, *, after: int = 0) -> dict[str, int]:
        return dict(self.connection.execute(sql.NEW_IDS, (after,)).fetchall())

    def _count(self, before: State, after: State, count: int = 1) -> None:
        """Count that deliveries went from one state to another."""
        self.state_counts[before] -= count
        self.state_counts[after] += count

    def _with_list(self, query: str, values: Sequence[Any]) -> Iterator[Any]:
        for statement, part in sql.with_list(query, values):
            yield from self.connection.execute(statement, part).fetchall()

    def _change(self, statement: str, first: Sequence[Any], values: Sequence[Any]) -> None:
        for text, part in sql.with_list(statement, values):
            self.connection.execute(text, (*first, *part))

    def _first_row(self, query: str, *values: Any) -> Any:
        return self.connection.execute(query, values).fetchone()


def _is_held(row: _Row, claim: Claim) -> bool:
    return row.state == "claimed" and row.token == claim.token
