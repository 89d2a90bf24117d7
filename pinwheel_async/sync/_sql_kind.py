"""Writes the objects of one kind with their lines, and removes what vanished.

What vanished is found without looking at everything again for every page. When a reading begins, the objects that are
there are looked up once: those that its first page does not hold are its leftovers. Every later page takes its own from
among them, and when the reading is complete, what is left goes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Dialect

from pinwheel_async.sync._rows import Layout, Page
from pinwheel_async.sync._sink import DAYS, Kind
from pinwheel_async.sync._sql_books import MARKS
from pinwheel_async.sync._sql_types import converter, same
from pinwheel_async.sync._tables import STORED
from pinwheel_async.sync._upsert import Cursor, Pairs, Row, TableSql


class KindWriter:
    """Writes pages of one kind."""

    def __init__(
        self, kind: Kind, layout: Layout, leftovers: TableSql, dialect: Dialect, *, keep_deleted: bool
    ) -> None:
        """Prepare what is asked for.

        Args:
            kind: The kind of objects.
            layout: Their tables.
            leftovers: The table of leftovers, confined to this kind.
            dialect: How the database wants to be talked to.
            keep_deleted: Whether what vanished stays and says so, where it can.
        """
        columns = STORED[kind].table.c
        self._kind = kind
        self._layout = layout
        self._objects = layout.objects.sql
        self._parts = [part.sql for _, part in layout.parts]
        self._leftovers = leftovers
        self._keeps = keep_deleted and "deleted_at" in columns
        self._has_days = kind in DAYS
        self._there = f"account_id, id, {DAYS.get(kind, 'NULL')}, {'deleted_at' if 'deleted_at' in columns else 'NULL'}"
        self._moment = converter(MARKS.c.begun_at, dialect) or same
        self._day = converter(MARKS.c.from_day, dialect) or same

    def write(self, cursor: Cursor, pages: Sequence[Page], under_way: Collection[str], *, trusting: bool) -> None:
        """Write some pages.

        Args:
            cursor: Of the transaction.
            pages: At most one of each account.
            under_way: Accounts with a reading that is not at its end: only these have leftovers.
            trusting: Whether to expect no lines of objects that are not there.
        """
        begun = {one.account_id: one for one in pages if one.batch.first and one.reached in {"reading", "complete"}}
        others = [one for one in pages if one.account_id not in begun]
        there: dict[str, list[Any]] = {}
        if begun:
            for account, *row in self._objects.of_accounts(cursor, self._there, [*begun]):
                there.setdefault(account, []).append(row)
        again = self._again(cursor, begun, there, others)
        for part in self._parts:
            part.delete_objects(cursor, again or ())
        new = trusting and again == []
        self._objects.upsert(cursor, self._layout.object_rows(pages), new=new)
        for number, part in enumerate(self._parts):
            part.upsert(cursor, self._layout.part_rows(number, pages), new=new)
        going_on = [one for one in pages if one.account_id in under_way and one.reached not in {None, "patch"}]
        if there or going_on:
            left = {account: self._left(begun[account], rows) for account, rows in there.items()}
            self._sweep(cursor, begun, left, going_on)

    def _again(
        self, cursor: Cursor, begun: Mapping[str, Page], there: Mapping[str, list[Any]], others: Sequence[Page]
    ) -> Pairs | None:
        """Find objects that are there and come again: none in a first sync. None if it does not matter which."""
        again: list[tuple[str, Any]] = []
        for account, rows in there.items():
            ids = begun[account].items
            again += [(account, one) for one, *_ in rows if one in ids]
        if pairs := _joined(one.pairs for one in others):
            if not self._parts:
                return None
            again += [(account, one) for account, one in self._objects.of_objects(cursor, "account_id, id", pairs)]
        return again

    def _left(self, page: Page, there: Sequence[Any]) -> list[Any]:
        """Return the ids that the reading can find and that are not on its first page."""
        ids, mark = page.items, page.batch.mark
        from_day: Any = mark and mark.from_day
        if from_day is not None:
            from_day = self._day(from_day)
            there = [one for one in there if self._has_days and one[1] is not None and one[1] > from_day]
        return [one for one, _, deleted_at in there if one not in ids and not (self._keeps and deleted_at)]

    def _sweep(
        self, cursor: Cursor, begun: Mapping[str, Page], left: Mapping[str, list[Any]], going_on: Sequence[Page]
    ) -> None:
        """Bring the leftovers up to date, and remove those of readings that are complete."""
        later = [one for one in going_on if not one.batch.first]
        self._leftovers.delete_objects(cursor, _joined(one.pairs for one in later))
        complete = [one.account_id for one in later if one.reached == "complete"]
        vanished = [*self._leftovers.of_accounts(cursor, "account_id, id", complete)] if complete else []
        over = [one.account_id for one in going_on if one.batch.first or one.reached != "reading"]
        self._leftovers.delete_accounts(cursor, over)
        rows: list[Row] = []
        for account, ids in left.items():
            if begun[account].reached == "complete":
                vanished += [(account, one) for one in ids]
            else:
                rows += [(account, one, self._kind) for one in ids]
        self._leftovers.upsert(cursor, rows)
        self._remove(cursor, vanished, {one.account_id: one for one in (*begun.values(), *later)})

    def _remove(self, cursor: Cursor, vanished: Pairs, pages: Mapping[str, Page]) -> None:
        if not self._keeps:
            for table in (self._objects, *self._parts):
                table.delete_objects(cursor, vanished)
            return
        for account in dict.fromkeys(account for account, _ in vanished):
            mark = pages[account].batch.mark
            if mark is not None:
                some = [(other, one) for other, one in vanished if other == account]
                self._objects.change_objects(cursor, "deleted_at", self._moment(mark.begun_at), some)


def _joined(lists: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))
