"""The statements that store rows, as text: many rows each, because each statement costs a round trip and a lock."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Values: TypeAlias = Sequence[Any]
"""Rows one after another, flat."""

Statement: TypeAlias = tuple[str, Values]
"""Text and its parameters."""

# Few sizes, so that a database can keep every statement prepared.
_SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)

PLACEHOLDERS: Mapping[str, Callable[[int], str]] = {
    "qmark": lambda _: "?",
    "numeric_dollar": "${}".format,
    "format": lambda _: "%s",
    "pyformat": lambda _: "%s",
}
"""How a driver wants the nth parameter (from 1) written."""


class TableSql:
    """Writes the statements of one table."""

    def __init__(self, table: str, columns: Sequence[str], key: int, paramstyle: str) -> None:
        """Take names as they stand in SQL, quoted where they need it.

        Args:
            table: Name of the table.
            columns: Names of all columns, in the order of the rows. Where rows belong to an account, the first one is
                the account, and the second one the object that a row is, or is a part of.
            key: How many of them, from the first on, are the primary key.
            paramstyle: How the driver wants parameters written.
        """
        self._placeholder = PLACEHOLDERS[paramstyle]
        self._width = len(columns)
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns[key:])
        # The names are this library's own, and values travel beside the text.
        self._upsert = (
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ",  # noqa: S608
            f" ON CONFLICT ({', '.join(columns[:key])}) DO UPDATE SET {changes}",
        )
        self._select = f"SELECT DISTINCT {columns[0]} FROM {table} WHERE {columns[0]} IN "  # noqa: S608
        self._delete = f"DELETE FROM {table} WHERE {columns[0]} = {self._placeholder(1)} AND {columns[1]} IN "  # noqa: S608
        self._texts: dict[tuple[str, int], str] = {}

    def upserts(self, rows: Values) -> Iterator[Statement]:
        """Insert rows, in place of those that have the same key."""
        start = 0
        for size in _SIZES:
            length = size * self._width
            while len(rows) - start >= length:
                yield self._upsert_text(size), rows[start : start + length]
                start += length

    def selects(self, accounts: Sequence[str]) -> Iterator[Statement]:
        """Find which of some accounts have rows."""
        for some in _filled(accounts):
            yield self._with_ids(self._select, 0, len(some)), some

    def deletes(self, account_id: str, ids: Sequence[Any]) -> Iterator[Statement]:
        """Delete the rows of some objects of an account."""
        for some in _filled(ids):
            yield self._with_ids(self._delete, 1, len(some)), (account_id, *some)

    def _upsert_text(self, rows: int) -> str:
        known = self._texts.get(("upsert", rows))
        if known is None:
            groups = ", ".join(self._group(row * self._width, self._width) for row in range(rows))
            known = self._texts["upsert", rows] = groups.join(self._upsert)
        return known

    def _with_ids(self, text: str, before: int, ids: int) -> str:
        return self._texts.get((text, ids)) or self._texts.setdefault((text, ids), text + self._group(before, ids))

    def _group(self, before: int, count: int) -> str:
        return f"({', '.join(self._placeholder(before + number) for number in range(1, count + 1))})"


def _filled(ids: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Divide ids into parts of the few sizes; the last one is filled up by repetition."""
    for start in range(0, len(ids), _SIZES[0]):
        some = tuple(ids[start : start + _SIZES[0]])
        size = next(one for one in reversed(_SIZES) if one >= len(some))
        yield some + some[-1:] * (size - len(some))
