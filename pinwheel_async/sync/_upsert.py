# ruff: noqa: S608  # the names are this library's own, and values travel beside the text
"""The statements of one table, as text: each takes any number of rows or keys, because a statement costs a round trip.

How many values travel at once is where the databases differ: SQLite takes a JSON text of ids and rows one after
another; PostgreSQL takes arrays, one for each column.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Protocol, TypeAlias, runtime_checkable

Pairs: TypeAlias = Sequence[tuple[str, Any]]
"""Accounts with ids of an object."""


Row: TypeAlias = Sequence[Any]
"""The values of a row."""


class Cursor(Protocol):
    """What is needed of a database's cursor."""

    def execute(self, operation: Any, parameters: Any = ..., /) -> Any:
        """Run a statement."""
        ...

    def fetchall(self) -> Sequence[Any]:
        """Return every row that it found."""
        ...


@runtime_checkable
class CopyCursor(Cursor, Protocol):
    """A cursor that knows PostgreSQL's way to take in many new rows."""

    def copy(self, table: str, columns: Sequence[str], records: Iterable[Sequence[Any]], /) -> Any:
        """Insert rows; names as they are, not quoted."""
        ...


PLACEHOLDERS: Mapping[str, Callable[[int], str]] = {
    "qmark": lambda _: "?",
    "numeric_dollar": "${}".format,
    "format": lambda _: "%s",
    "pyformat": lambda _: "%s",
}
"""How a driver wants the nth parameter (from 1) written."""

# Few sizes, so that a database can keep every statement prepared.
_SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
_MOST_ROWS = _SIZES[0]


class TableSql:
    """Reads and writes one table of SQLite."""

    def __init__(
        self,
        table: str,
        columns: Sequence[str],
        key: int,
        *,
        reset: Iterable[str] = (),
        only: str = "",
        types: Sequence[str] = (),
        paramstyle: str = "qmark",
    ) -> None:
        """Take names as they stand in SQL, quoted where they need it.

        Args:
            table: Name of the table.
            columns: Names of the columns that are written, in the order of the rows. Where rows belong to an account,
                the first one is the account, and the second one the object that a row is, or is a part of.
            key: How many of them, from the first on, are the primary key.
            reset: Columns that become null when a row is written.
            only: Condition that holds for all rows that are meant.
            types: The types of the columns, for those who need them.
            paramstyle: How the driver wants parameters written.
        """
        self._width = len(columns)
        self._table = table
        self._columns = columns
        self._account, self._object = columns[0], columns[min(1, key - 1)]
        self._only = f" AND {only}" if only else ""
        self._types = types
        self._placeholder = PLACEHOLDERS[paramstyle]
        self._into = f"INSERT INTO {table} ({', '.join(columns)}) "
        changes = [f"{one} = excluded.{one}" for one in columns[key:]] + [f"{one} = NULL" for one in reset]
        change = f"UPDATE SET {', '.join(changes)}" if changes else "NOTHING"
        self._conflict = f" ON CONFLICT ({', '.join(columns[:key])}) DO {change}"
        self._texts: dict[int, str] = {}

    def upsert(self, cursor: Cursor, rows: Iterable[Row], *, new: bool = False) -> None:  # noqa: ARG002  # all the same here
        """Insert rows, in place of those that have the same key.

        Args:
            cursor: Of the transaction.
            rows: Taken in portions, as they are needed.
            new: Whether their keys are expected not to be there; the database may refuse them if they are.
        """
        left = iter(rows)
        while some := [*chain.from_iterable(islice(left, _MOST_ROWS))]:
            start = 0
            for size in _SIZES:
                length = size * self._width
                if len(some) - start >= length:
                    cursor.execute(self._upsert_text(size), some[start : start + length])
                    start += length

    def of_accounts(self, cursor: Cursor, what: str, accounts: Sequence[str]) -> Sequence[Any]:
        """Return some columns of the rows of some accounts."""
        cursor.execute(f"SELECT {what} FROM {self._table} WHERE {self._in_accounts()}", self._many(accounts))
        return cursor.fetchall()

    def of_objects(self, cursor: Cursor, what: str, pairs: Pairs) -> Sequence[Any]:
        """Return some columns of the rows of some objects."""
        cursor.execute(f"SELECT {what} FROM {self._table} WHERE {self._in_objects()}", self._many_pairs(pairs))
        return cursor.fetchall()

    def delete_accounts(self, cursor: Cursor, accounts: Sequence[str]) -> None:
        """Delete the rows of some accounts."""
        if accounts:
            cursor.execute(f"DELETE FROM {self._table} WHERE {self._in_accounts()}", self._many(accounts))

    def delete_objects(self, cursor: Cursor, pairs: Pairs) -> None:
        """Delete the rows of some objects."""
        if pairs:
            cursor.execute(f"DELETE FROM {self._table} WHERE {self._in_objects()}", self._many_pairs(pairs))

    def change_objects(self, cursor: Cursor, column: str, value: Any, pairs: Pairs) -> None:
        """Set a column in the rows of some objects."""
        if pairs:
            text = f"UPDATE {self._table} SET {column} = {self._placeholder(1)} WHERE {self._in_objects(2)}"
            cursor.execute(text, (value, *self._many_pairs(pairs)))

    def _upsert_text(self, rows: int) -> str:
        known = self._texts.get(rows)
        if known is None:
            group = f"({', '.join('?' * self._width)})"
            known = self._texts[rows] = f"{self._into}VALUES {', '.join([group] * rows)}{self._conflict}"
        return known

    def _in_accounts(self) -> str:
        return f"{self._account} IN (SELECT value FROM json_each(?)){self._only}"

    def _in_objects(self, first: int = 1) -> str:  # noqa: ARG002  # parameters are not numbered here
        pair = "json_extract(value, '$[0]'), json_extract(value, '$[1]')"
        return f"({self._account}, {self._object}) IN (SELECT {pair} FROM json_each(?)){self._only}"

    def _many(self, ids: Sequence[str]) -> Sequence[Any]:
        return (json.dumps([*ids]),)

    def _many_pairs(self, pairs: Pairs) -> Sequence[Any]:
        return (json.dumps([*pairs]),)


class PostgresTableSql(TableSql):
    """Reads and writes one table of PostgreSQL."""

    def upsert(self, cursor: Cursor, rows: Iterable[Row], *, new: bool = False) -> None:
        """Insert rows: with one statement, or with COPY, which takes a third less of everybody's time."""
        left = iter(rows)
        first = next(left, None)
        if first is None:
            return
        if new and isinstance(cursor, CopyCursor):
            names = [one.strip('"') for one in self._columns]
            cursor.copy(self._table.strip('"'), names, chain((first,), left))
        else:
            columns = [*map(list, zip(first, *left, strict=True))]
            arrays = [f"{self._placeholder(at)}::{kind}[]" for at, kind in enumerate(self._types, 1)]
            cursor.execute(f"{self._into}SELECT * FROM unnest({', '.join(arrays)}){self._conflict}", columns)

    def _in_accounts(self) -> str:
        return f"{self._account} = ANY({self._placeholder(1)}::text[]){self._only}"

    def _in_objects(self, first: int = 1) -> str:
        arrays = f"{self._placeholder(first)}::text[], {self._placeholder(first + 1)}::text[]"
        return f"({self._account}, {self._object}) IN (SELECT * FROM unnest({arrays})){self._only}"

    def _many(self, ids: Sequence[str]) -> Sequence[Any]:
        return ([*ids],)

    def _many_pairs(self, pairs: Pairs) -> Sequence[Any]:
        return ([one for one, _ in pairs], [one for _, one in pairs])
