# ruff: noqa: S608  # the names are this library's own, and values travel beside the text
"""SQL statements of a table, as text: each takes any number of rows or keys, because a statement costs a round trip.

How many values travel at once is where the databases differ: SQLite takes a JSON text of ids and rows one after
another; PostgreSQL takes arrays, one for each column.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
        """Insert rows; names as they are, not quoted, that of the table behind that of its schema and a dot, if any."""
        ...


PLACEHOLDERS: Mapping[str, Callable[[int], str]] = {
    "qmark": lambda _: "?",
    "numeric_dollar": "${}".format,
    "format": lambda _: "%s",
    "pyformat": lambda _: "%s",
}
"""How a driver wants the nth parameter (from 1) written."""

_SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Rows of an insert on SQLite: any number is a sum of these, and they are few, so every statement stays prepared."""

_MAX_ROWS = _SIZES[0]


class TableSql:
    """Reads and writes one table of SQLite."""

    _DIFFERS = "IS NOT"
    """Compares rows of values of which some may be null; SQLite before 3.39 does not know the words of the standard."""

    def __init__(
        self,
        table: str,
        columns: Sequence[str],
        key: int,
        *,
        reset: Iterable[str] = (),
        first: Collection[str] = (),
        last: Collection[str] = (),
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
            first: Columns that keep the value with which the row was inserted.
            last: Columns that get their value if another one changes; by themselves they are no change.
            only: Condition that holds for all rows that are meant.
            types: The types of the columns, as PostgreSQL needs them for its arrays.
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
        self._key = columns[:key]
        compared = [name for name in columns[key:] if name not in {*first, *last}]
        self._values = {name: f"excluded.{name}" for name in compared} | dict.fromkeys(reset, "NULL")
        self._last = {name: f"excluded.{name}" for name in last}
        self._conflict = f" ON CONFLICT ({', '.join(columns[:key])}) DO {self._change()}"
        self._texts: dict[int, str] = {}

    def _change(self) -> str:
        """Return what becomes of a row that is there: nothing if it is equal, as each version of a row costs disk."""
        if not self._values:
            return "NOTHING"
        changes = ", ".join(f"{name} = {value}" for name, value in (self._values | self._last).items())
        before = ", ".join(f"{self._table}.{name}" for name in self._values)
        return f"UPDATE SET {changes} WHERE ({before}) {self._DIFFERS} ({', '.join(self._values.values())})"

    def upsert(self, cursor: Cursor, rows: Iterable[Row], *, new: bool = False) -> None:  # noqa: ARG002  # all the same here
        """Insert rows, in place of those that have the same key and other values.

        Args:
            cursor: Of the transaction.
            rows: Taken in portions, as they are needed.
            new: Whether their keys are expected not to be there; the database may refuse them if they are.
        """
        left = iter(rows)
        while some := [*chain.from_iterable(islice(left, _MAX_ROWS))]:
            start = 0
            for size in _SIZES:
                length = size * self._width
                if len(some) - start >= length:
                    cursor.execute(self._upsert_text(size), some[start : start + length])
                    start += length

    def is_empty(self, cursor: Cursor) -> bool:
        """Return whether there are no rows."""
        cursor.execute(f"SELECT 1 FROM {self._table} LIMIT 1")
        return not cursor.fetchall()

    def of_accounts(self, cursor: Cursor, what: str, accounts: Sequence[str]) -> Sequence[Any]:
        """Return some columns of the rows of some accounts."""
        cursor.execute(f"SELECT {what} FROM {self._table} WHERE {self._in_accounts()}", self._many(accounts))
        return cursor.fetchall()

    def of_objects(self, cursor: Cursor, what: str, pairs: Pairs) -> Sequence[Any]:
        """Return some columns of the rows of some objects."""
        cursor.execute(f"SELECT {what} FROM {self._table} WHERE {self._in_objects()}", self._many_pairs(pairs))
        return cursor.fetchall()

    def count_in_accounts(self, cursor: Cursor, accounts: Sequence[str], condition: str = "") -> Sequence[Any]:
        """Return each of some accounts that has rows, with their number."""
        also = f" AND {condition}" if condition else ""
        text = f"SELECT {self._account}, count(*) FROM {self._table} WHERE {self._in_accounts()}{also} GROUP BY 1"
        cursor.execute(text, self._many(accounts))
        return [tuple(row) for row in cursor.fetchall()]

    def delete_accounts(self, cursor: Cursor, accounts: Sequence[str]) -> None:
        """Delete the rows of some accounts."""
        if accounts:
            cursor.execute(f"DELETE FROM {self._table} WHERE {self._in_accounts()}", self._many(accounts))

    def delete_objects(self, cursor: Cursor, pairs: Pairs) -> None:
        """Delete the rows of some objects."""
        if pairs:
            cursor.execute(f"DELETE FROM {self._table} WHERE {self._in_objects()}", self._many_pairs(pairs))

    def delete_beyond(self, cursor: Cursor, lengths: Sequence[tuple[str, Any, int]]) -> None:
        """Delete the lines of some objects from a position on.

        Args:
            cursor: Of the transaction.
            lengths: Account and object, and how many lines it has.
        """
        if lengths:
            cursor.execute(self._beyond_text(), self._many_lengths(lengths))

    def change_objects(self, cursor: Cursor, column: str, value: Any, pairs: Pairs) -> None:
        """Set a column in the rows of some objects."""
        if pairs:
            text = f"UPDATE {self._table} SET {column} = {self._placeholder(1)} WHERE {self._in_objects(2)}"
            cursor.execute(text, (value, *self._many_pairs(pairs)))

    def parameter(self, number: int, kind: str) -> str:  # noqa: ARG002  # SQLite has no types of parameters
        """Return how the nth parameter is written, which is of a type that PostgreSQL has to be told."""
        return self._placeholder(number)

    def in_objects(self, first: int) -> str:
        """Return the condition that a row is of some objects, whose parameters are numbered from *first* on."""
        return self._in_objects(first)

    def given(self, first: int) -> str:  # noqa: ARG002  # parameters are not numbered here
        """Return the clause that yields some objects as `account` and `object`."""
        pair = "json_extract(value, '$[0]') AS account, json_extract(value, '$[1]') AS object"
        return f"FROM (SELECT {pair} FROM json_each(?))"

    def many_pairs(self, pairs: Pairs) -> Sequence[Any]:
        """Return the parameters that stand for some objects."""
        return self._many_pairs(pairs)

    def _upsert_text(self, rows: int) -> str:
        known = self._texts.get(rows)
        if known is None:
            group = f"({', '.join('?' * self._width)})"
            known = self._texts[rows] = f"{self._into}VALUES {', '.join([group] * rows)}{self._conflict}"
        return known

    def _beyond_text(self) -> str:
        keys = (self._account, self._object, self._columns[2])
        given = zip(keys, ("=", "=", ">="), range(3), strict=True)
        on = " AND ".join(f"line.{name} {sign} json_extract(value, '$[{at}]')" for name, sign, at in given)
        # CROSS JOIN: SQLite looks up the lines of each object then, and never goes through the whole table.
        found = (
            f"SELECT {', '.join(f'line.{name}' for name in keys)} FROM json_each(?) CROSS JOIN {self._table} AS line"
        )
        return f"DELETE FROM {self._table} WHERE ({', '.join(keys)}) IN ({found} ON {on})"

    def _in_accounts(self) -> str:
        return f"{self._account} IN (SELECT value FROM json_each(?)){self._only}"

    def _in_objects(self, first: int = 1) -> str:  # noqa: ARG002  # parameters are not numbered here
        pair = "json_extract(value, '$[0]'), json_extract(value, '$[1]')"
        return f"({self._account}, {self._object}) IN (SELECT {pair} FROM json_each(?)){self._only}"

    def _many(self, ids: Sequence[str]) -> Sequence[Any]:
        return (json.dumps([*ids]),)

    def _many_pairs(self, pairs: Pairs) -> Sequence[Any]:
        return (json.dumps([*pairs]),)

    def _many_lengths(self, lengths: Sequence[tuple[str, Any, int]]) -> Sequence[Any]:
        return (json.dumps([*lengths]),)


class PostgresTableSql(TableSql):
    """Reads and writes one table of PostgreSQL."""

    _DIFFERS = "IS DISTINCT FROM"

    def upsert(self, cursor: Cursor, rows: Iterable[Row], *, new: bool = False) -> None:
        """Insert rows: with one statement, or with COPY, which takes a third less time, here and in the server."""
        left = iter(rows)
        first = next(left, None)
        if first is None:
            return
        if new and isinstance(cursor, CopyCursor):
            names = [name.strip('"') for name in self._columns]
            cursor.copy(self._table.replace('"', ""), names, chain((first,), left))
        else:
            columns = [*map(list, zip(first, *left, strict=True))]
            cursor.execute(f"{self._into}SELECT * FROM {self._given()} WHERE {self._is_new()}{self._conflict}", columns)

    def _given(self) -> str:
        """Return rows that travel as one array for each column."""
        arrays = [f"{self._placeholder(at)}::{kind}[]" for at, kind in enumerate(self._types, 1)]
        return f"unnest({', '.join(arrays)}) AS given ({', '.join(self._columns)})"

    def parameter(self, number: int, kind: str) -> str:
        return f"{self._placeholder(number)}::{kind}"

    def given(self, first: int) -> str:
        arrays = f"{self._placeholder(first)}::text[], {self._placeholder(first + 1)}::text[]"
        return f"FROM unnest({arrays}) AS given (account, object)"

    def _is_new(self) -> str:
        """Return the condition that no equal row is there: a conflict would lock it, and write that into the log."""
        same = [f"there.{name} = given.{name}" for name in self._key]
        if self._values:
            before = ", ".join(f"there.{name}" for name in self._values)
            after = ", ".join(value.replace("excluded.", "given.") for value in self._values.values())
            same.append(f"({before}) IS NOT DISTINCT FROM ({after})")
        return f"NOT EXISTS (SELECT FROM {self._table} AS there WHERE {' AND '.join(same)})"

    def _beyond_text(self) -> str:
        arrays = ", ".join(
            f"{self._placeholder(at)}::{kind}[]" for at, kind in enumerate(("text", "text", "integer"), 1)
        )
        account, owner, position = self._account, self._object, self._columns[2]
        on = f"line.{account} = given.a AND line.{owner} = given.o AND line.{position} >= given.n"
        return f"DELETE FROM {self._table} AS line USING unnest({arrays}) AS given (a, o, n) WHERE {on}"

    def _in_accounts(self) -> str:
        return f"{self._account} = ANY({self._placeholder(1)}::text[]){self._only}"

    def _in_objects(self, first: int = 1) -> str:
        arrays = f"{self._placeholder(first)}::text[], {self._placeholder(first + 1)}::text[]"
        return f"({self._account}, {self._object}) IN (SELECT * FROM unnest({arrays})){self._only}"

    def _many(self, ids: Sequence[str]) -> Sequence[Any]:
        return ([*ids],)

    def _many_pairs(self, pairs: Pairs) -> Sequence[Any]:
        return ([account for account, _ in pairs], [object_id for _, object_id in pairs])

    def _many_lengths(self, lengths: Sequence[tuple[str, Any, int]]) -> Sequence[Any]:
        return [*map(list, zip(*lengths, strict=True))]
