"""Store of deliveries in PostgreSQL: every operation of the inbox, done with many items at once over one connection."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Literal, NamedTuple, TypeAlias

from attrs import define, frozen

from pinwheel_async._clock import Clock
from pinwheel_async._postgres.driver import Connection, connect
from pinwheel_async._privacy import Discreet
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._inbox.base import Claim, Counts, DeliveryProgress
from pinwheel_async.webhooks._inbox.encryption import BodyCipher, replaced_key, saved_context, wrong_key
from pinwheel_async.webhooks._inbox.hand_over import ChainLink
from pinwheel_async.webhooks._postgres import admin, statements as sql
from pinwheel_async.webhooks._postgres.keys import IN_CLEAR, DatabaseKeys
from pinwheel_async.webhooks._postgres.schema import check_version, qualified, queue_of

Mark: TypeAlias = Literal["d", "x", "w"]
"""What becomes of a delivery: done, dead, or unfinished still."""

SETTINGS = {
    "jit": "off",
    # What is known here of each statement, and not to a planner whose statistics are of an empty table: it goes by the
    # indexes, a few rows at a time.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Settings of the connections that store and claim."""

TIDY_ROWS = 500
"""Old rows that one transaction removes, at most, so that no delivery waits long for it: some 2 ms."""

WAITING_S = 1.0
"""Seconds for which it is known how many wait. What other receivers store meanwhile may exceed the limit."""

STALE_TRIES = 3
"""How often marks are tried without a lock, whose queues others change just then."""


@frozen(kw_only=True, repr=False)
class InboxOptions(Discreet):
    """Options of a PostgreSQL inbox; see `PostgresInbox`."""

    url: str
    arguments: dict[str, Any]
    """Arguments to connect with, beside the URL."""
    schema: str | None
    pooled: bool
    migrate: bool
    consumer: str | None
    read_only: bool
    keep_bodies_s: float | None
    remember_s: float | None
    max_waiting: int | None
    ciphers: tuple[BodyCipher, ...]
    hash_ids: bool
    clock: Clock | None
    """Where time comes from in tests; the database's clock, if None."""


@frozen(repr=False)
class MarkItem(Discreet):
    """A mark to make on what is claimed."""

    queue: int
    token: int
    mark: Mark
    retry_in_s: float | None = None
    counted: int = 1
    reason: str | None = None
    progress: bytes | None = None
    seqs: tuple[int, ...] | None = None
    """Numbers of what is done of a chain, from its first, which is claimed; only that, if None."""
    following: tuple[int, int] | None = None
    """Number and token of what is to be claimed after it, because it is in memory."""
    lease_s: float | None = None
    """Seconds of the lease on that."""


class MarkOutcome(NamedTuple):
    """What came of a mark."""

    held: bool
    goes_on: bool
    """Whether what was to be claimed after it is."""


class ClaimItem(NamedTuple):
    """A claim to make."""

    limit: int
    lease_s: float
    length: int = 1
    """Deliveries of one queue, at most."""
    room: int = 1
    """Deliveries, at most, unless there are more queues."""
    room_bytes: int = 0
    """Bytes of their bodies, at most, besides that of the first of each queue."""


@define(repr=False)
class _Room(Discreet):
    """How many deliveries may still be stored."""

    left: int = 0
    until: float = 0.0
    """Time of the event loop until which this is believed."""


class Claimed(NamedTuple):
    """What a claim gives."""

    chains: tuple[tuple[ChainLink, ...], ...]
    buried: int
    """Deliveries that were claimed and are dead, because their bodies are damaged."""


class Store:
    """Operations of the inbox; each takes a connection and many items, and returns what came of each."""

    def __init__(self, options: InboxOptions) -> None:
        self.options = options
        self.keys = DatabaseKeys(options.ciphers)
        self._room = _Room()

    async def connect(self, *, flushes: bool = True, url: str | None = None, plain: bool = False) -> Connection:
        """Connect to the database, and check that what is acknowledged there will last.

        Args:
            flushes: Whether a commit is durable when it returns.
            url: Another URL than that of the options.
            plain: Whether the planner decides, as for what looks at many rows.
        """
        options = self.options
        arguments: dict[str, Any] = dict(options.arguments)
        settings: dict[str, str] = dict(arguments.pop("server_settings", {}))
        if options.pooled:
            # asyncpg names no statement then; those without a name last as long as their transaction.
            arguments["statement_cache_size"] = 0
        if not options.pooled:
            settings.setdefault("application_name", "pinwheel-async inbox")
            settings |= {} if plain else SETTINGS
            settings |= {} if flushes else {"synchronous_commit": "off"}
        arguments["server_settings"] = settings
        connection = await connect(options.url if url is None else url, arguments)
        try:
            if flushes and not options.read_only:
                await _check_durability(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def prepare(self, connection: Connection) -> None:
        """Check the tables, and introduce the consumer, its terms and its keys.

        Raises:
            InboxError: They are of a newer version, belong to another consumer, or are encrypted with another key.
        """
        async with connection.transaction():
            await self._prepare(connection)

    async def _prepare(self, connection: Connection) -> None:
        schema, consumer = self.options.schema, self.options.consumer
        await check_version(connection, schema)
        if consumer is None:
            if self.options.ciphers or not self.options.read_only:
                await self.keys.find(connection, schema)
            return
        statement = """
            UPDATE pinwheel_inbox_terms SET consumer = $1, keep_bodies_s = coalesce($2, keep_bodies_s),
                remember_s = coalesce($3, remember_s) WHERE consumer IS NULL OR consumer = $1
        """
        options = self.options
        # Not where nothing changes: a role may be allowed to read the terms and not to change them.
        row = await connection.fetchrow(
            self._sql("SELECT consumer, keep_bodies_s, remember_s FROM pinwheel_inbox_terms")
        )
        wanted = (consumer, options.keep_bodies_s, options.remember_s)
        if row is None or any(new not in {None, old} for new, old in zip(wanted, row.values(), strict=True)):
            await connection.execute(self._sql(statement), *wanted)
        owner = await connection.fetchval(self._sql("SELECT consumer FROM pinwheel_inbox_terms"))
        if owner != consumer:
            raise InboxError(
                f"the inbox belongs to the consumer {owner!r} and not to {consumer!r}, whose handlers would take its "
                "deliveries: choose another schema, or say consumer=... if they are the same",
                reason="OtherConsumer",
            )
        await self.keys.introduce(connection, schema, hash_ids=options.hash_ids)

    async def put(self, connection: Connection, deliveries: Sequence[Delivery]) -> Sequence[bool | InboxError]:
        """See `Inbox.put`."""
        refused: set[int] = set()
        if self.options.max_waiting is not None:
            refused = await self._refused(connection, deliveries, self.options.max_waiting)
        numbered = [(delivery, number) for number, delivery in enumerate(deliveries) if number not in refused]
        new = await self._insert(connection, numbered)
        if self.options.max_waiting is not None:
            self._room.left -= len(new)
        outcomes: list[bool | InboxError] = []
        for number, delivery in enumerate(deliveries):
            if number in refused:
                outcomes.append(InboxError("the inbox is full", reason="MaxWaiting"))
            else:
                outcomes.append(delivery.event_id in new)
                new.discard(delivery.event_id)  # of several with the same id, the first one is stored
        return outcomes

    async def _insert(self, connection: Connection, numbered: Sequence[tuple[Delivery, int]]) -> set[str]:
        """Store what is new; return its ids."""
        if not numbered:
            return set()
        key_number = self.keys.number
        rows = sorted(
            [
                (
                    delivery.event_id,
                    number,
                    delivery.event,
                    ordering_key := self.keys.hashes.stored(delivery.ordering_key),
                    queue_of(ordering_key),
                    delivery.key,
                    delivery.version,
                    delivery.webhook_id,
                    delivery.traceparent,
                    self.keys.encrypt(delivery.body, delivery.event_id),
                )
                for delivery, number in numbered
            ],
            key=lambda row: row[:2],
        )
        columns = zip(*rows, strict=True)
        async with self._transaction(connection):
            found = await connection.fetch(self._sql(sql.PUT), *columns, key_number, self._now())
        new = {event_id for (event_id,) in found}
        if None not in new:
            return new
        # Another process has replaced the key, perhaps with another one of ours.
        await self.keys.load(connection, self.options.schema)
        if self.keys.number == IN_CLEAR:
            raise replaced_key()
        return await self._insert(connection, numbered)

    async def _refused(self, connection: Connection, deliveries: Sequence[Delivery], limit: int) -> set[int]:
        """Return which of the deliveries are too many: of those that are not known, the last ones."""
        loop_time = asyncio.get_running_loop().time()
        if loop_time >= self._room.until or len(deliveries) > self._room.left:
            async with self._transaction(connection):
                waiting: int = await connection.fetchval(self._sql(sql.WAITING), 2 * limit + len(deliveries))
            self._room = _Room(limit - waiting, loop_time + WAITING_S)
        if len(deliveries) <= self._room.left:
            return set()
        event_ids = [delivery.event_id for delivery in deliveries]
        async with self._transaction(connection):
            seen = {event_id for (event_id,) in await connection.fetch(self._sql(sql.KNOWN), event_ids)}
        refused: set[int] = set()
        room = self._room.left
        for number, event_id in enumerate(event_ids):
            if event_id in seen:
                continue
            if room <= 0:
                refused.add(number)
            else:
                seen.add(event_id)
                room -= 1
        return refused

    async def claim(self, connection: Connection, items: Sequence[ClaimItem]) -> Sequence[Claimed]:
        """See `Inbox.claim` and `PostgresInbox.claim_chains`."""
        return [await self._claim(connection, item) for item in items]

    async def _claim(self, connection: Connection, item: ClaimItem) -> Claimed:
        limit, lease_s, *room = item
        async with self._transaction(connection, flush=False):
            rows = await connection.fetch(self._sql(sql.CLAIM), limit, timedelta(seconds=lease_s), self._now(), *room)
            found = [list(chain) for _, chain in groupby(rows, key=itemgetter("queue"))]
            stale = [chain[0] for chain in found if not chain[0]["fresh"] or chain[0]["seq"] != chain[0]["head"]]
            if stale:
                # Others have changed these queues while the statement ran, so that it has seen what was before.
                heads = await connection.fetch(
                    self._sql(sql.HEADS), [row["queue"] for row in stale], [row["token"] for row in stale]
                )
                found = [*[chain for chain in found if chain[0] not in stale], *[[row] for row in heads]]
        if not all(self.keys.knows(chain[0]["key_number"] or IN_CLEAR) for chain in found):
            await self.keys.load(connection, self.options.schema)  # another process may have introduced one of ours
            firsts = [chain[0] for chain in found]
            unknown = [row["key_number"] for row in firsts if not self.keys.knows(row["key_number"] or IN_CLEAR)]
            if unknown:
                await self.mark(connection, [MarkItem(row["queue"], row["token"], "w", counted=0) for row in firsts])
                self.keys.require(unknown[0])
        chains: list[tuple[ChainLink, ...]] = []
        damaged: list[MarkItem] = []
        for rows in found:
            if chain := self._read_chain(rows):
                chains.append(chain)
            else:  # or it would hold up its queue for ever
                damaged.append(
                    MarkItem(rows[0]["queue"], rows[0]["token"], "x", counted=0, reason="the stored body is damaged")
                )
        if damaged:
            await self.mark(connection, damaged)
        return Claimed(tuple(sorted(chains, key=lambda chain: chain[0].seq)), len(damaged))

    def _read_chain(self, rows: Sequence[Any]) -> tuple[ChainLink, ...]:
        """Return the claims of a chain, up to the first that is better claimed by itself; none if its head is damaged.

        Whatever has a past of its own is claimed by itself: what failed before, or was running when a process ended.
        """
        chain: list[ChainLink] = []
        for number, row in enumerate(rows):
            is_plain = not row["attempts"] and not row["interrupted"] and row["progress"] is None and row["is_due"]
            if chain and not (is_plain and self.keys.knows(row["key_number"] or IN_CLEAR)):
                break
            body = None if row["body"] is None else self.keys.decrypt(row["key_number"], row["body"], row["event_id"])
            if body is None:
                break
            chain.append(ChainLink(_read_claim(row, body, number), row["seq"]))
            if row["lapses"] or row["interrupted"]:
                break
        return tuple(chain)

    async def mark_durably(self, connection: Connection, items: Sequence[MarkItem]) -> Sequence[MarkOutcome]:
        """Do the same so that a crash of the server does not undo it, over a connection that flushes."""
        return await self.mark(connection, items, flush=True)

    async def mark(
        self, connection: Connection, items: Sequence[MarkItem], *, flush: bool = False
    ) -> Sequence[MarkOutcome]:
        """See `Inbox.done`, `Inbox.fail`, `Inbox.release` and `PostgresInbox.finish_chains`."""
        held: dict[int, MarkOutcome] = {}
        left: dict[int, MarkItem] = {}
        for item in sorted(items, key=attrgetter("queue")):
            left.setdefault(item.token, item)  # of several marks of a claim the first one counts
        tries = 0
        while left:
            tries += 1
            async with self._transaction(connection, flush=flush, explicit=tries > STALE_TRIES):
                if tries > STALE_TRIES:
                    places = zip(*[(item.queue, item.token) for item in left.values()], strict=True)
                    await connection.fetch(self._sql(sql.LOCK_HELD), *places)
                columns = _mark_columns(left.values())
                found = await connection.fetch(self._sql(sql.MARK), *columns[:7], self._now(), *columns[7:])
            held |= {token: MarkOutcome(held=True, goes_on=goes_on) for token, fresh, goes_on in found if fresh}
            left = {token: left[token] for token, fresh, _ in found if not fresh}
        return [held.pop(item.token, _NOT_HELD) for item in items]

    async def mark_all(
        self, connection: Connection, items: Sequence[Sequence[MarkItem]]
    ) -> Sequence[Sequence[MarkOutcome]]:
        """Do the same with several marks in each item."""
        marked = iter(await self.mark(connection, [mark for marks in items for mark in marks]))
        return [[next(marked) for _ in marks] for marks in items]

    async def extend(self, connection: Connection, items: Sequence[tuple[Claim, float]]) -> Sequence[bool]:
        """See `Inbox.extend`."""
        asked = sorted([(queue_of(claim.delivery.ordering_key), claim.token, lease_s) for claim, lease_s in items])
        async with self._transaction(connection, flush=False):
            rows = await connection.fetch(self._sql(sql.EXTEND), *zip(*asked, strict=True), self._now())
        held = {token for (token,) in rows}
        return [claim.token in held for claim, _ in items]

    async def due_in_s(self, connection: Connection, items: Sequence[None]) -> Sequence[float | None]:
        """Return in how many seconds a delivery will be due by itself, 0 or less if one is; None if none will be."""
        async with self._transaction(connection, flush=False):
            due: float | None = await connection.fetchval(self._sql(sql.DUE), self._now())
        return [due] * len(items)

    async def progress(self, connection: Connection, items: Sequence[str]) -> Sequence[DeliveryProgress | None]:
        """Return how far the handlers of some deliveries have come; None for what is not known."""
        async with self._transaction(connection, flush=False):
            rows = await connection.fetch(self._sql(sql.PROGRESS), list(items), self._now())
        found = {row["event_id"]: DeliveryProgress.of(row["progress"], due_in_s=row["due_in_s"]) for row in rows}
        return [found.get(event_id) for event_id in items]

    async def counts(self, connection: Connection, items: Sequence[None]) -> Sequence[Counts]:
        """See `Inbox.counts`."""
        async with self._transaction(connection, flush=False):
            row = await connection.fetchrow(self._sql(sql.COUNTS), self._now())
        age_s: float | None = row["oldest_waiting_s"]
        counts = Counts(
            waiting=row["waiting"],
            claimed=row["claimed"],
            done=row["done"],
            dead=row["dead"],
            oldest_waiting_s=None if age_s is None else max(0.0, age_s),
        )
        return [counts] * len(items)

    async def load(self, connection: Connection, names: Sequence[str]) -> Sequence[bytes | None]:
        """See `Inbox.load`."""
        query = "SELECT name, key_number, value FROM pinwheel_inbox_values WHERE name = ANY($1::text[])"
        names = [self.keys.hashes.stored_name(name) for name in names]
        async with self._transaction(connection, flush=False):
            rows = await connection.fetch(self._sql(query), names)
        found = {name: self.keys.decrypt(number, value, saved_context(name)) for name, number, value in rows}
        return [found.get(name) for name in names]

    async def save(self, connection: Connection, items: Sequence[tuple[str, bytes | None]]) -> Sequence[None]:
        """See `Inbox.save`."""
        last = {self.keys.hashes.stored_name(name): value for name, value in items}
        key_number = self.keys.number
        gone = [name for name, value in last.items() if value is None]
        kept = sorted(
            [(name, self.keys.encrypt(value, saved_context(name))) for name, value in last.items() if value is not None]
        )
        async with self._transaction(connection, explicit=True):
            if gone:
                statement = """
                    DELETE FROM pinwheel_inbox_values WHERE name IN (
                        SELECT name FROM pinwheel_inbox_values WHERE name = ANY($1::text[]) ORDER BY name FOR UPDATE
                    )
                """
                await connection.execute(self._sql(statement), gone)
            if kept:
                statement = """
                    INSERT INTO pinwheel_inbox_values (name, key_number, value)
                    SELECT name, $1, value FROM unnest($2::text[], $3::bytea[]) AS g(name, value)
                    WHERE $1 = 0 OR EXISTS (SELECT 1 FROM pinwheel_inbox_keys WHERE number = $1)
                    ON CONFLICT (name) DO UPDATE SET key_number = excluded.key_number, value = excluded.value
                    RETURNING 1
                """
                names, values = [name for name, _ in kept], [value for _, value in kept]
                saved = await connection.fetch(self._sql(statement), key_number, names, values)
                if len(saved) < len(kept):
                    raise replaced_key()
        return [None] * len(items)

    async def load_or_save(self, connection: Connection, items: Sequence[tuple[str, bytes]]) -> Sequence[bytes]:
        """See `Inbox.load_or_save`."""
        key_number = self.keys.number
        items = [(self.keys.hashes.stored_name(name), value) for name, value in items]
        # Of values for one name the first counts, as if they had come one after another.
        first = dict(reversed(items))
        names = sorted(first)
        values = [self.keys.encrypt(first[name], saved_context(name)) for name in names]
        # What is there is locked and given back as it is.
        statement = """
            INSERT INTO pinwheel_inbox_values AS v (name, key_number, value)
            SELECT name, $1, value FROM unnest($2::text[], $3::bytea[]) AS g(name, value)
            WHERE $1 = 0 OR EXISTS (SELECT 1 FROM pinwheel_inbox_keys WHERE number = $1)
            ON CONFLICT (name) DO UPDATE SET value = v.value
            RETURNING name, key_number, value
        """
        async with self._transaction(connection, explicit=True):
            rows = await connection.fetch(self._sql(statement), key_number, names, values)
            if len(rows) < len(names):
                raise replaced_key()
        found: dict[str, bytes] = {}
        for name, number, value in rows:
            plain = self.keys.decrypt(number, value, saved_context(name))
            if plain is None:
                raise wrong_key()
            found[name] = plain
        return [found[name] for name, _ in items]

    async def notify(self, connection: Connection, items: Sequence[tuple[str, str]]) -> Sequence[None]:
        """Notify everybody who listens on a channel."""
        async with self._transaction(connection, flush=False):
            for channel, payload in dict.fromkeys(items):
                await connection.execute("SELECT pg_notify($1, $2)", channel, payload)
        return [None] * len(items)

    async def change(self, connection: Connection, items: Sequence[admin.Portion]) -> Sequence[admin.Changed]:
        """Change some deliveries that the filter still fits; return how many were changed."""
        changed: list[admin.Changed] = []
        for portion in items:
            async with self._transaction(connection, explicit=True):
                changed.append(await admin.change_portion(connection, self.options.schema, portion, self._now()))
        self._room = _Room()
        return changed

    async def read_body(
        self, connection: Connection, items: Sequence[tuple[str, str]]
    ) -> Sequence[bytes | InboxError | None]:
        """Return stored bodies, and record who has read them; an item is the event id and the user."""
        found: list[bytes | InboxError | None] = []
        for event_id, user in items:
            async with self._transaction(connection, explicit=True):
                try:
                    body = await admin.read_body(connection, self.options.schema, self.keys, event_id, user)
                except InboxError as error:
                    found.append(error)
                else:
                    found.append(body)
        return found

    async def tidy(self, connection: Connection, items: Sequence[None]) -> Sequence[bool]:
        """Drop bodies and forget ids whose time is over, some at a time; return whether there may be more."""
        more = False
        for statement in sql.TIDY:
            async with self._transaction(connection):
                status = await connection.execute(self._sql(statement), self._now(), TIDY_ROWS)
            more |= int(status.rpartition(" ")[2]) == TIDY_ROWS
        return [more] * len(items)

    @asynccontextmanager
    async def _transaction(
        self, connection: Connection, *, flush: bool = True, explicit: bool = False
    ) -> AsyncGenerator[None]:
        """Carry out a block in a transaction; a single statement is one by itself.

        Args:
            connection: Where.
            flush: Whether a crash of the server must not undo it. Without, the last of what was claimed and marked may
                be handled again after one, and nothing waits for the disk.
            explicit: Whether there are several statements.
        """
        begin = ""
        if self.options.pooled:
            # Nothing outlasts a transaction behind a pooler: neither settings nor, outside of one, a statement.
            settings = SETTINGS if flush else {**SETTINGS, "synchronous_commit": "off"}
            begin = "; ".join(["BEGIN", *[f"SET LOCAL {name} = {value}" for name, value in settings.items()]])
        elif explicit:
            begin = "BEGIN"
        if not begin:
            yield
            return
        await connection.execute(begin)
        try:
            yield
        except BaseException:
            if not connection.is_closed():
                await connection.execute("ROLLBACK")
            raise
        await connection.execute("COMMIT")

    def _sql(self, statement: str) -> str:
        return qualified(statement, self.options.schema)

    def _now(self) -> datetime | None:
        return None if self.options.clock is None else self.options.clock.now()


async def _check_durability(connection: Connection) -> None:
    async with connection.transaction():
        setting: str = await connection.fetchval("SHOW synchronous_commit")
    if setting == "off":
        raise InboxError(
            "the database acknowledges what a crash may undo: set synchronous_commit = on for the role",
            reason="SynchronousCommitOff",
        )


def _read_claim(row: Any, body: bytes, number: int) -> Claim:
    """Return the claim of a delivery, with its number in its chain."""
    delivery = Delivery(
        event_id=row["event_id"],
        event=row["event"],
        ordering_key=row["ordering_key"],
        received_at=row["received_at"],
        key=row["signed_with"],
        version=row["version"],
        webhook_id=row["webhook_id"],
        traceparent=row["traceparent"],
        body=body,
    )
    return Claim(
        delivery=delivery,
        attempt=row["attempts"] + 1,
        token=row["token"] + number,
        interrupted=row["interrupted"] + (0 if number else max(row["lapses"], 0)),
        progress=row["progress"],
    )


_NOT_HELD = MarkOutcome(held=False, goes_on=False)


def _mark_columns(items: Iterable[MarkItem]) -> list[tuple[Any, ...]]:
    """Return what `MARK` is given of some marks, as one list for each column."""
    return list(
        zip(
            *[
                (
                    item.queue,
                    item.token,
                    item.mark,
                    item.retry_in_s,
                    item.counted,
                    item.reason,
                    item.progress,
                    # An array in an array would have to be as long as all others.
                    None if item.seqs is None else f"{{{','.join(map(str, item.seqs))}}}",
                    *(item.following or (None, None)),
                    item.lease_s,
                )
                for item in items
            ],
            strict=True,
        )
    )
