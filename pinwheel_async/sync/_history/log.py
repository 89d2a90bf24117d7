# ruff: noqa: S608  # the names are this library's own, and values travel beside the text
"""Log of changes: for each object that is new, changed or removed a row, with what was stored of it before.

It is written in the transaction of the change, before the object is, by one statement for any number of objects: the
database itself makes the image of the object with its lines, as JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Dialect, Double, Table

from pinwheel_async.sync._sink import Kind
from pinwheel_async.sync._sql.rows import PageRows, digest_of
from pinwheel_async.sync._sql.statements import Cursor, Pairs, PostgresTableSql, TableSql
from pinwheel_async.sync._sql.tables import Stored

UNLOGGED = "digest"
"""The column that is in no image: it follows from the others."""


class ChangeLog:
    """Writes what becomes of objects of one kind, if the copy keeps that."""

    def __init__(self, kind: Kind, stored: Stored, changes: Table, objects: TableSql, dialect: Dialect) -> None:
        """Prepare the statements.

        Args:
            kind: The kind of objects.
            stored: Their tables.
            changes: The table of the log.
            objects: Statements of the table of the objects.
            dialect: How the database wants to be talked to.
        """
        self._kind = kind
        self._objects = objects
        self._has_deleted = "deleted_at" in stored.table.c
        names = dialect.identifier_preparer
        log, table = names.format_table(changes), names.format_table(stored.table)
        account = "id" if kind == "accounts" else "account_id"
        make = _postgres_image if isinstance(objects, PostgresTableSql) else _sqlite_image
        lines = {
            part.attribute: make(
                "line",
                part.table.columns,
                many=f"FROM {names.format_table(part.table)} AS line WHERE line.account_id = object.account_id"
                f" AND line.{part.table.c[1].name} = object.id",
            )
            for part in stored.parts
        }
        image = _together(make("object", stored.table.columns), lines, is_postgres=make is _postgres_image)
        moment = objects.parameter(1, "timestamptz")
        into = f"INSERT INTO {log} (kind, account_id, id, change, changed_at, image)"
        self._of_images = {
            change: f"{into} SELECT '{kind}', object.{account}, object.id, '{change}', {moment}, {image}"
            f" FROM {table} AS object WHERE {objects.in_objects(2)}"
            for change in ("changed", "removed")
        }
        self._of_new = f"{into} SELECT '{kind}', account, object, 'new', {moment}, NULL {objects.given(2)}"

    def note(self, cursor: Cursor, pages: Sequence[PageRows], now: Any) -> None:
        """Note which objects of some pages are new, and which ones are going to change.

        Args:
            cursor: Of the transaction.
            pages: They are not written yet.
            now: The moment, as the driver takes it.
        """
        digests = dict(self._digests(pages))
        what = f"{'id, id' if self._kind == 'accounts' else 'account_id, id'}, digest"
        what += ", deleted_at" if self._has_deleted else ", NULL"
        there = self._objects.of_objects(cursor, what, [*digests]) if digests else ()
        changed = [
            (account, object_id)
            for account, object_id, digest, deleted_at in there
            if deleted_at is not None or digest != digests[account, object_id]
        ]
        known = {(account, object_id) for account, object_id, *_ in there}
        new = [pair for pair in digests if pair not in known]
        if new:
            cursor.execute(self._of_new, (now, *self._objects.many_pairs(new)))
        self._keep_images(cursor, "changed", changed, now)

    def note_removed(self, cursor: Cursor, pairs: Pairs, now: Any) -> None:
        """Note that some objects are going to be removed, or marked as deleted."""
        self._keep_images(cursor, "removed", pairs, now)

    def _keep_images(self, cursor: Cursor, change: str, pairs: Pairs, now: Any) -> None:
        if pairs:
            cursor.execute(self._of_images[change], (now, *self._objects.many_pairs(pairs)))

    def _digests(self, pages: Iterable[PageRows]) -> Iterable[tuple[tuple[str, Any], str]]:
        for page in pages:
            for object_id, item in page.items.items():
                yield (object_id if self._kind == "accounts" else page.account_id, object_id), digest_of(item)


def _sqlite_image(row: str, columns: Iterable[Column[Any]], *, many: str = "") -> str:
    values: list[str] = []
    for column in columns:
        name = f"{row}.{column.name}"
        # As text with 17 digits: SQLite writes no more than 15 into JSON.
        value = f"CASE WHEN {name} IS NOT NULL THEN printf('%!.17g', {name}) END" if _is_double(column) else name
        if column.name != UNLOGGED:
            values.append(f"'{column.name}', {value}")
    image = f"json_object({', '.join(values)})"
    return (
        f"(SELECT json_group_array(json(one_line)) FROM (SELECT {image} AS one_line {many} ORDER BY position))"
        if many
        else image
    )


def _postgres_image(row: str, columns: Iterable[Column[Any]], *, many: str = "") -> str:  # noqa: ARG001  # all of them
    image = f"to_jsonb({row}) - '{UNLOGGED}'"
    return f"(SELECT coalesce(jsonb_agg({image} ORDER BY position), '[]') {many})" if many else image


def _together(row: str, lines: Mapping[str, str], *, is_postgres: bool) -> str:
    make = "jsonb_build_object" if is_postgres else "json_object"
    parts = ", ".join(f"'{name}', {image}" for name, image in lines.items())
    return f"{make}('row', {row}, 'lines', {make}({parts}))"


def _is_double(column: Column[Any]) -> bool:
    return isinstance(column.type, Double)
