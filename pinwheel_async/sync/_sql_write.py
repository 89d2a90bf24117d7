"""Writes pages and their marks into a database, within one transaction that the caller has begun."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Dialect, Table

from pinwheel_async.sync._rows import Layout, Page, Rows
from pinwheel_async.sync._sink import Kind
from pinwheel_async.sync._sql_books import LEFTOVERS, MARKS
from pinwheel_async.sync._sql_kind import KindWriter
from pinwheel_async.sync._sql_types import converter, same
from pinwheel_async.sync._tables import STORED, Stored
from pinwheel_async.sync._upsert import Cursor, PostgresTableSql, Row, TableSql


@frozen
class _Known:
    """What is stored of a reading, as the driver has it."""

    begun_at: Any
    reached: str | None
    patched_at: Any


class Writer:
    """Writes groups of pages into one kind of database."""

    def __init__(self, dialect: Dialect, *, keep_deleted: bool, raw: bool) -> None:
        """Prepare the statements."""
        self._kinds: Mapping[Kind, KindWriter] = {
            kind: KindWriter(
                kind, layout_of(one, dialect, raw=raw), _leftovers(kind, dialect), dialect, keep_deleted=keep_deleted
            )
            for kind, one in STORED.items()
        }
        self._marks = _rows(MARKS, dialect)
        self._patches = _table_sql(MARKS, dialect, ["account_id", "product", "patched_at"])
        self._moment = converter(MARKS.c.begun_at, dialect) or same

    def write(self, cursor: Cursor, pages: Sequence[Page], *, trusting: bool) -> Collection[Page]:
        """Write pages and their marks.

        Args:
            cursor: Of the transaction.
            pages: In the order in which they came.
            trusting: Whether to expect no rows but those that are written here; it may be refused if there are others.

        Returns:
            Pages that were not written, because a newer reading is there.
        """
        superseded: list[Page] = []
        for part in _without_repetition(pages):
            known = self._known(cursor, part)
            old = [one for one in part if self._is_superseded(one, known)]
            fresh = [one for one in part if one not in old]
            for kind, writer in self._kinds.items():
                if some := [one for one in fresh if one.batch.kind == kind]:
                    units = [(one.account_id, known.get((one.account_id, kind))) for one in some]
                    under_way = {account for account, one in units if one and one.reached == "reading"}
                    writer.write(cursor, some, under_way, trusting=trusting)
            self._keep_marks(cursor, fresh)
            superseded += old
        return superseded

    def _known(self, cursor: Cursor, pages: Sequence[Page]) -> Mapping[tuple[str, str], _Known]:
        accounts = {one.account_id for one in pages if one.reached}
        if not accounts:
            return {}
        what = "account_id, product, begun_at, reached, patched_at"
        found = self._marks.sql.of_accounts(cursor, what, [*accounts])
        return {(account, product): _Known(*other) for account, product, *other in found}

    def _is_superseded(self, page: Page, known: Mapping[tuple[str, str], _Known]) -> bool:
        mark, there = page.batch.mark, known.get((page.account_id, page.batch.kind))
        if mark is None or there is None:
            return False
        begun_at = self._moment(mark.begun_at)
        return any(one is not None and one > begun_at for one in (there.begun_at, there.patched_at))

    def _keep_marks(self, cursor: Cursor, pages: Sequence[Page]) -> None:
        marks: list[Row] = []
        patches: list[Row] = []
        for page in pages:
            mark = page.batch.mark
            if mark is not None and page.reached == "patch":
                patches.append((page.account_id, page.batch.kind, self._moment(mark.begun_at)))
            elif mark is not None:
                marks += self._marks.rows([mark], [[page.account_id], [page.batch.kind]])
        self._marks.sql.upsert(cursor, marks)
        self._patches.upsert(cursor, patches)


def _without_repetition(pages: Sequence[Page]) -> list[list[Page]]:
    """Divide pages so that no unit is twice in one part: a statement must not meet the same object twice."""
    parts: list[dict[tuple[str, str], Page]] = []
    for page in sorted(pages, key=lambda one: one.account_id):
        unit = (page.account_id, page.batch.kind)
        part = next((one for one in parts if unit not in one), None)
        if part is None:
            parts.append(part := {})
        part[unit] = page
    return [list(one.values()) for one in parts]


def layout_of(stored: Stored, dialect: Dialect, *, raw: bool) -> Layout:
    """Prepare the tables of one kind; what is not written into the columns of our own becomes null."""
    own = [one.name for one in stored.table.columns if one.name in {"deleted_at", "raw"}]
    written = ["raw"] if raw else []
    objects = _rows(stored.table, dialect, written, reset=[one for one in own if one not in written])
    return Layout(objects, [(one.attribute, _rows(one.table, dialect)) for one in stored.parts], raw=raw)


def _rows(table: Table, dialect: Dialect, more: Sequence[str] = (), reset: Sequence[str] = ()) -> Rows:
    """Prepare a table whose columns are its key, those that come from a field, and *more*."""
    sources = [one for one in table.columns if "attribute" in one.info]
    names = [one.name for one in table.columns if one.primary_key or "attribute" in one.info]
    sql = _table_sql(table, dialect, [*names, *more], reset)
    return Rows(sql, [one.info["attribute"] for one in sources], [converter(one, dialect) for one in sources])


def _leftovers(kind: Kind, dialect: Dialect) -> TableSql:
    return _table_sql(LEFTOVERS, dialect, [*LEFTOVERS.c.keys()], only=f"product = '{kind}'")


def _table_sql(
    table: Table, dialect: Dialect, names: Sequence[str], reset: Sequence[str] = (), only: str = ""
) -> TableSql:
    quoted = dialect.identifier_preparer
    columns = [table.c[one] for one in names]
    make = PostgresTableSql if dialect.name == "postgresql" else TableSql
    return make(
        quoted.format_table(table),
        [quoted.format_column(one) for one in columns],
        len(table.primary_key),
        reset=[quoted.format_column(table.c[one]) for one in reset],
        only=only,
        types=[one.type.compile(dialect).partition(" COLLATE ")[0] for one in columns],
        paramstyle=dialect.paramstyle,
    )
