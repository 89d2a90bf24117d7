"""Writer of pages and their checkpoints: inserts and updates objects with their lines, and removes what vanished.

All of it within one transaction that the caller has begun. What vanished is found without looking at everything again
for every page. When a reading begins, the ids that are stored are looked up once: those that its first page does not
hold are noted as unseen. Every later page takes its own from among them, and when the reading is complete, what is
still unseen has vanished.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Dialect, Table

from pinwheel_async.errors import SupersededError, UnconfirmedRemovalError
from pinwheel_async.sync._history.log import ChangeLog
from pinwheel_async.sync._sink import CLOCK_TOLERANCE, DAYS, FEW, Checkpoint, Kind, removes_too_much
from pinwheel_async.sync._sql.queries import erasure_hash
from pinwheel_async.sync._sql.rows import Layout, PageRows, Rows, digest_of
from pinwheel_async.sync._sql.statements import Cursor, Pairs, PostgresTableSql, Row, TableSql
from pinwheel_async.sync._sql.tables import (
    CHANGES,
    CHECKPOINTS,
    END_USERS,
    ERASURES,
    FAILURES,
    NO_ACCOUNT,
    STORED,
    UNSEEN,
    Stored,
    Tables,
)
from pinwheel_async.sync._sql.types import converter, same

_STAMPS = ("first_seen_at", "changed_at")
"""Columns of moments: that of the first time, and that of the last change."""


@frozen
class _Known:
    """What is stored of a reading, as the driver has it."""

    begun_at: Any
    reached: str | None
    patched_at: Any


class Writer:
    """Writes groups of pages into one kind of database."""

    def __init__(
        self,
        dialect: Dialect,
        tables: Tables,
        *,
        keep_deleted: bool,
        raw: bool,
        history: bool,
        erasure_key: bytes,
    ) -> None:
        """Prepare the statements."""
        checkpoints, unseen = tables[CHECKPOINTS], tables[UNSEEN]
        self._kinds: Mapping[Kind, KindWriter] = {
            kind: KindWriter(
                kind,
                layout_of(stored, dialect, raw=raw),
                _table_sql(unseen, dialect, [*unseen.c.keys()], only=f"product = '{kind}'"),
                dialect,
                keep_deleted=keep_deleted,
            )
            for kind, stored in tables.stored.items()
        }
        if history:
            for kind, writer in self._kinds.items():
                writer.keep_history(tables.stored[kind], tables[CHANGES])
        self._checkpoints = _rows(checkpoints, dialect)
        self._patches = _table_sql(checkpoints, dialect, ["account_id", "product", "patched_at"])
        asked = ["account_id", "product", "begun_at", "missed_at"]
        self._asked = _table_sql(checkpoints, dialect, asked, only="product = 'accounts'")
        self._failures = _table_sql(tables[FAILURES], dialect, ["account_id", "product"])
        self._end_users = _table_sql(tables[END_USERS], dialect, ["account_id", "end_user_id"])
        self._erasures = _table_sql(tables[ERASURES], dialect, ["hash"])
        self._erasure_key = erasure_key
        self._moment = converter(CHECKPOINTS.c.begun_at, dialect) or same

    def without_erased(self, cursor: Cursor, pages: Sequence[PageRows]) -> list[PageRows]:
        """Return pages without those of accounts that were erased, and without such accounts."""
        if self._erasures.is_empty(cursor):  # as in most copies
            return [*pages]
        ids = dict.fromkeys(chain.from_iterable(page.account_ids for page in pages))
        hashes = {erasure_hash(self._erasure_key, account_id): account_id for account_id in ids}
        found = self._erasures.of_accounts(cursor, "hash", [*hashes]) if hashes else ()
        erased = frozenset([hashes[row[0]] for row in found])
        if not erased:
            return [*pages]
        others = [page for page in pages if page.account_id not in erased]
        return [page.without(erased) if page.batch.kind == "accounts" else page for page in others]

    def write(
        self, cursor: Cursor, pages: Sequence[PageRows], at: datetime, *, trusting: bool
    ) -> Mapping[PageRows, type[SupersededError | UnconfirmedRemovalError]]:
        """Write pages and their checkpoints.

        Args:
            cursor: Of the transaction.
            pages: In the order in which they came.
            at: The time of the database: machines may write whose clocks differ.
            trusting: Whether to expect that only this library writes rows: those of new objects are then inserted
                without looking, and the database refuses the group if some are there.

        Returns:
            Pages that were not written because a newer reading is there, and those that were written without what
            follows from them, because they would remove too much.
        """
        outcomes: dict[PageRows, type[SupersededError | UnconfirmedRemovalError]] = {}
        now = self._moment(at)
        for part in _without_repetition(pages):
            known = self._known(cursor, part)
            old = [page for page in part if self._is_superseded(page, known, at)]
            current = [self._without_older(cursor, page, at) for page in part if page not in old]
            for kind, writer in self._kinds.items():
                if of_kind := [page for page in current if page.batch.kind == kind]:
                    readings = [(page.account_id, known.get((page.account_id, kind))) for page in of_kind]
                    under_way = {account for account, stored in readings if stored and stored.reached == "reading"}
                    held_back = writer.write(cursor, of_kind, under_way, now=now, trusting=trusting)
                    outcomes |= {page: UnconfirmedRemovalError for page in of_kind if page.account_id in held_back}
            self._keep_end_users(cursor, current)
            self._keep_checkpoints(cursor, [page for page in current if page not in outcomes])
            outcomes |= dict.fromkeys(old, SupersededError)
        return outcomes

    def note_gone(self, cursor: Cursor, account_ids: Sequence[str], at: datetime) -> None:
        """Note that accounts are going to be marked as deleted."""
        self._kinds["accounts"].note_gone(cursor, account_ids, self._moment(at))

    def _known(self, cursor: Cursor, pages: Sequence[PageRows]) -> Mapping[tuple[str, str], _Known]:
        accounts = {page.account_id for page in pages if page.reached}
        if not accounts:
            return {}
        what = "account_id, product, begun_at, reached, patched_at"
        found = self._checkpoints.sql.of_accounts(cursor, what, [*accounts])
        return {(account, product): _Known(*values) for account, product, *values in found}

    def _without_older(self, cursor: Cursor, page: PageRows, now: datetime) -> PageRows:
        """Leave out accounts that are stored as they are, and those of which something newer is known.

        When an account was asked for is noted, unless a list names it as it is stored: that is one moment for all of
        them, and noted when the list is at its end (`queries.miss_accounts`).
        """
        checkpoint = page.batch.checkpoint
        if page.batch.kind != "accounts" or checkpoint is None:
            return page
        asked_at, ahead = self._moment(checkpoint.begun_at), self._ahead(checkpoint, now)
        stored = self._kinds["accounts"].stored_accounts(cursor, page)
        rows = self._asked.of_accounts(cursor, "account_id, begun_at, missed_at", [NO_ACCOUNT, *page.items])
        marks = {account: (begun_at, missed_at) for account, begun_at, missed_at in rows}
        listed_at, _ = marks.get(NO_ACCOUNT, (None, None))
        items: dict[Any, Any] = {}
        asked: list[Row] = []
        for account, item in page.items.items():
            mark, missed_at = marks.get(account, (None, None))
            is_equal, deleted_at = stored.get(account, (False, None))
            named_at = listed_at if account in stored and missed_at is None else None
            if any(known is not None and asked_at < known <= ahead for known in (mark, named_at, deleted_at)):
                continue
            if not is_equal:
                items[account] = item
            if not is_equal or missed_at is not None or len(page.items) == 1:
                is_missed = missed_at is not None and asked_at < missed_at
                asked.append((account, "accounts", asked_at, missed_at if is_missed else None))
        self._asked.upsert(cursor, asked)
        return evolve(page, items=items)

    def _ahead(self, checkpoint: Checkpoint, now: datetime) -> Any:
        """Return from when on moments are from a future that no clock should know."""
        return self._moment(max(now, checkpoint.begun_at) + CLOCK_TOLERANCE)

    def _is_superseded(self, page: PageRows, known: Mapping[tuple[str, str], _Known], now: datetime) -> bool:
        checkpoint, there = page.batch.checkpoint, known.get((page.account_id, page.batch.kind))
        if page.reached is None or checkpoint is None or there is None:
            return False
        begun_at = self._moment(checkpoint.begun_at)
        # What was noted under a clock that was ahead must not keep out everything until that clock is right.
        ahead = self._ahead(checkpoint, now)
        moments = (there.begun_at, there.patched_at)
        return any(moment is not None and begun_at < moment <= ahead for moment in moments)

    def _keep_end_users(self, cursor: Cursor, pages: Sequence[PageRows]) -> None:
        accounts = chain.from_iterable(page.items.items() for page in pages if page.batch.kind == "accounts")
        said = ((account_id, getattr(account, "end_user_id", None)) for account_id, account in accounts)
        self._end_users.upsert(cursor, [(account_id, end_user_id) for account_id, end_user_id in said if end_user_id])

    def _keep_checkpoints(self, cursor: Cursor, pages: Sequence[PageRows]) -> None:
        checkpoints: list[Row] = []
        patches: list[Row] = []
        for page in pages:
            checkpoint = page.batch.checkpoint
            if checkpoint is not None and page.reached == "patch":
                patches.append((page.account_id, page.batch.kind, self._moment(checkpoint.begun_at)))
            elif page.reached is not None and checkpoint is not None:
                checkpoints += self._checkpoints.rows([checkpoint], [[page.account_id], [page.batch.kind]])
        self._checkpoints.sql.upsert(cursor, checkpoints)
        self._patches.upsert(cursor, patches)
        over = [(page.account_id, page.batch.kind) for page in pages if page.reached in {"complete", "missing"}]
        self._failures.delete_objects(cursor, over)


class KindWriter:
    """Writes pages of one kind."""

    def __init__(self, kind: Kind, layout: Layout, unseen: TableSql, dialect: Dialect, *, keep_deleted: bool) -> None:
        """Prepare what is asked for.

        Args:
            kind: The kind of objects.
            layout: Their tables.
            unseen: The table of what readings have not met yet, confined to this kind.
            dialect: How the database wants to be talked to.
            keep_deleted: Whether what vanished stays and says so, where it can.
        """
        columns = STORED[kind].table.c
        self._kind: Kind = kind
        self._dialect = dialect
        self._log: ChangeLog | None = None
        self._layout = layout
        self._objects = layout.objects.sql
        self._parts = [part.sql for _, part in layout.parts]
        self._unseen = unseen
        self._keeps = keep_deleted and "deleted_at" in columns
        self._has_days = kind in DAYS
        self._there = f"account_id, id, {DAYS.get(kind, 'NULL')}, {'deleted_at' if 'deleted_at' in columns else 'NULL'}"
        self._moment = converter(CHECKPOINTS.c.begun_at, dialect) or same
        self._day = converter(CHECKPOINTS.c.from_day, dialect) or same

    def keep_history(self, stored: Stored, changes: Table) -> None:
        """Keep what was stored before of objects that change."""
        self._log = ChangeLog(self._kind, stored, changes, self._objects, self._dialect)

    def write(
        self, cursor: Cursor, pages: Sequence[PageRows], under_way: Collection[str], *, now: Any, trusting: bool
    ) -> Collection[str]:
        """Write some pages.

        Args:
            cursor: Of the transaction.
            pages: At most one of each account.
            under_way: Accounts with a reading that is not at its end: only these have unseen objects.
            now: The moment, as the driver takes it.
            trusting: Whether to expect no lines of objects that are not there.

        Returns:
            Accounts whose page would remove too much: of these nothing was removed.
        """
        begun = {
            page.account_id: page for page in pages if page.batch.first and page.reached in {"reading", "complete"}
        }
        others = [page for page in pages if page.account_id not in begun]
        there: dict[str, list[Any]] = {}
        if begun:
            for account, *row in self._objects.of_accounts(cursor, self._there, [*begun]):
                there.setdefault(account, []).append(row)
        again = self._stored_again(cursor, begun, there, others)
        if self._log is not None:
            self._log.note(cursor, pages, now)
        new = trusting and again == []
        self._objects.upsert(cursor, self._layout.object_rows(pages, now), new=new)
        for number, part in enumerate(self._parts):
            part.upsert(cursor, self._layout.part_rows(number, pages), new=new)
            # An object that comes again may have fewer lines than before.
            part.delete_beyond(cursor, self._layout.part_lengths(number, pages, again or ()))
        going_on = [page for page in pages if page.account_id in under_way and page.reached not in {None, "patch"}]
        if not there and not going_on:
            return ()
        left = {account: self._not_met(begun[account], rows) for account, rows in there.items()}
        return self._remove_vanished(cursor, begun, left, going_on, now)

    def stored_accounts(self, cursor: Cursor, page: PageRows) -> Mapping[Any, tuple[bool, Any]]:
        """Return which accounts of a page are stored: whether as they are, which digests tell, and when deleted."""
        raw = "raw IS NULL" if self._layout.raw else "raw IS NOT NULL"
        return {
            account: (not (deleted_at or is_other) and digest == digest_of(page.items[account]), deleted_at)
            for account, digest, deleted_at, is_other in self._objects.of_accounts(
                cursor, f"id, digest, deleted_at, {raw}", [*page.items]
            )
        }

    def note_gone(self, cursor: Cursor, account_ids: Sequence[str], now: Any) -> None:
        """Note that accounts are going to be marked as deleted."""
        if self._log is not None:
            self._log.note_removed(cursor, [(account_id, account_id) for account_id in account_ids], now)

    def _stored_again(
        self, cursor: Cursor, begun: Mapping[str, PageRows], there: Mapping[str, list[Any]], others: Sequence[PageRows]
    ) -> Pairs | None:
        """Find the objects that are there and come again; an empty list means that all are new, as in a first sync.

        None if not looked up: a kind without lines has none to delete, and its objects are inserted or updated anyway.
        """
        again: list[tuple[str, Any]] = []
        for account, rows in there.items():
            ids = begun[account].items
            again += [(account, object_id) for object_id, *_ in rows if object_id in ids]
        if pairs := _joined(page.pairs for page in others):
            if not self._parts:
                return None
            stored = self._objects.of_objects(cursor, "account_id, id", pairs)
            again += [(account, object_id) for account, object_id in stored]
        return again

    def _not_met(self, page: PageRows, there: Sequence[Any]) -> list[Any]:
        """Return the ids that the reading can find and that are not on its first page."""
        ids, checkpoint = page.items, page.batch.checkpoint
        from_day: Any = checkpoint and checkpoint.from_day
        if from_day is not None:
            # Objects without a day, or of earlier ones, are not asked for: that they do not come says nothing.
            from_day = self._day(from_day)
            there = [row for row in there if self._has_days and row[1] is not None and row[1] > from_day]
        return [
            object_id for object_id, _, deleted_at in there if object_id not in ids and not (self._keeps and deleted_at)
        ]

    def _remove_vanished(
        self,
        cursor: Cursor,
        begun: Mapping[str, PageRows],
        left: Mapping[str, list[Any]],
        going_on: Sequence[PageRows],
        now: Any,
    ) -> Collection[str]:
        """Bring the table of unseen objects up to date, and remove those of readings that are complete.

        Returns:
            Accounts whose reading would remove too much: of these nothing is removed, nor taken for seen.
        """
        later = [page for page in going_on if not page.batch.first]
        # In this order: what a last page holds is not unseen any more when its reading is found to be complete.
        self._unseen.delete_objects(cursor, _joined(page.pairs for page in later))
        complete = [page.account_id for page in later if page.reached == "complete"]
        vanished = [*self._unseen.of_accounts(cursor, "account_id, id", complete)] if complete else []
        for account, ids in left.items():
            if begun[account].reached == "complete":
                vanished += [(account, object_id) for object_id in ids]
        pages = {page.account_id: page for page in (*begun.values(), *later)}
        held_back = self._held_back(cursor, vanished, pages)
        # Of an older reading that is under way and goes on.
        self._unseen.delete_objects(cursor, _joined(pages[account].pairs for account in held_back))
        # A reading that begins takes the place of one that was not ended, with what that had not met.
        over = [page.account_id for page in going_on if page.batch.first or page.reached != "reading"]
        self._unseen.delete_accounts(cursor, [account for account in over if account not in held_back])
        rows: list[Row] = []
        for account, ids in left.items():
            if begun[account].reached != "complete":
                rows += [(account, object_id, self._kind) for object_id in ids]
        self._unseen.upsert(cursor, rows)
        self._remove(cursor, [pair for pair in vanished if pair[0] not in held_back], pages, now)
        return held_back

    def _held_back(self, cursor: Cursor, vanished: Pairs, pages: Mapping[str, PageRows]) -> Collection[str]:
        """Return the accounts of which too much would be removed."""
        removed = Counter(account for account, _ in vanished)
        checkpoints = {
            account: checkpoint
            for account in removed
            if (checkpoint := pages[account].batch.checkpoint) and checkpoint.max_removed is not None
        }
        doubtful = [
            account for account, checkpoint in checkpoints.items() if removed[account] > FEW or not checkpoint.items
        ]
        if not doubtful:
            return ()
        stored = dict(self._objects.count_in_accounts(cursor, doubtful, "deleted_at IS NULL" if self._keeps else ""))
        return {
            account
            for account in doubtful
            if removes_too_much(checkpoints[account], removed=removed[account], stored=stored[account])
        }

    def _remove(self, cursor: Cursor, vanished: Pairs, pages: Mapping[str, PageRows], now: Any) -> None:
        if self._log is not None:
            self._log.note_removed(cursor, vanished, now)
        if not self._keeps:
            for table in (self._objects, *self._parts):
                table.delete_objects(cursor, vanished)
            return
        self._objects.change_objects(cursor, "changed_at", now, vanished)
        for account in dict.fromkeys(account for account, _ in vanished):
            checkpoint = pages[account].batch.checkpoint
            if checkpoint is not None:
                of_account = [pair for pair in vanished if pair[0] == account]
                self._objects.change_objects(cursor, "deleted_at", self._moment(checkpoint.begun_at), of_account)


def _without_repetition(pages: Sequence[PageRows]) -> list[list[PageRows]]:
    """Divide pages so that no unit is twice in one part: a statement must not meet the same object twice.

    By account, as the keys begin with it: neighbours are written together. The pages of a unit stay in order.
    """
    parts: list[dict[tuple[str, str], PageRows]] = []
    for page in sorted(pages, key=lambda page: page.account_id):
        unit = (page.account_id, page.batch.kind)
        part = next((part for part in parts if unit not in part), None)
        if part is None:
            parts.append(part := {})
        part[unit] = page
    return [list(part.values()) for part in parts]


def layout_of(stored: Stored, dialect: Dialect, *, raw: bool) -> Layout:
    """Prepare the tables of one kind; what is not written into the columns of our own becomes null."""
    own = [column.name for column in stored.table.columns if column.name in {"deleted_at", "raw"}]
    written = ["raw"] if raw else []
    more = [*written, "first_seen_at", "changed_at", "digest"]
    objects = _rows(stored.table, dialect, more, reset=[name for name in own if name not in written], stamps=_STAMPS)
    return Layout(objects, [(part.attribute, _rows(part.table, dialect)) for part in stored.parts], raw=raw)


def _rows(
    table: Table,
    dialect: Dialect,
    more: Sequence[str] = (),
    reset: Sequence[str] = (),
    stamps: tuple[str, str] | None = None,
) -> Rows:
    """Prepare a table whose columns are its key, those that come from a field, and *more*."""
    sources = [column for column in table.columns if "attribute" in column.info]
    names = [column.name for column in table.columns if column.primary_key or "attribute" in column.info]
    sql = _table_sql(table, dialect, [*names, *more], reset, stamps=stamps)
    attributes = [column.info["attribute"] for column in sources]
    return Rows(sql, attributes, [converter(column, dialect) for column in sources])


def _table_sql(
    table: Table,
    dialect: Dialect,
    names: Sequence[str],
    reset: Sequence[str] = (),
    only: str = "",
    stamps: tuple[str, str] | None = None,
) -> TableSql:
    quoted = dialect.identifier_preparer
    columns = [table.c[name] for name in names]
    make = PostgresTableSql if dialect.name == "postgresql" else TableSql
    return make(
        quoted.format_table(table),
        [quoted.format_column(column) for column in columns],
        len(table.primary_key),
        reset=[quoted.format_column(table.c[name]) for name in reset],
        first=stamps[:1] if stamps else (),
        last=stamps[1:] if stamps else (),
        only=only,
        types=[column.type.compile(dialect).partition(" COLLATE ")[0] for column in columns],
        paramstyle=dialect.paramstyle,
    )


def _joined(lists: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))
