"""How pages become rows: what is read out of the models, and in which order the tables are written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen

from pinwheel_async._core.fields import Model
from pinwheel_async.sync._sink import Batch
from pinwheel_async.sync._upsert import Statement, TableSql, Values

Converter: TypeAlias = Callable[[Any], Any]


class Cursor(Protocol):
    """What is needed of a database's cursor."""

    def execute(self, operation: Any, parameters: Any = ..., /) -> Any:
        """Run a statement."""
        ...

    def fetchall(self) -> Sequence[Any]:
        """Return every row that it found."""
        ...


@frozen(eq=False)
class Page:
    """A page as values for its tables."""

    batch: Batch
    ids: list[Any]
    objects: list[Any] = field(repr=False)
    lines: tuple[list[Any], ...] = field(repr=False)
    """Those of each part."""


class Rows:
    """Reads rows of one table out of models, as a driver wants them."""

    def __init__(
        self, sql: TableSql, attributes: Sequence[str], convert: Sequence[Callable[[Any], Any] | None]
    ) -> None:
        """Take what belongs to the table.

        Args:
            sql: Its statements.
            attributes: Where its values come from, at least two; the columns before them are the caller's.
            convert: For each attribute, what turns a value into what the driver takes, if it needs that.
        """
        self.sql = sql
        self._read: Callable[[Model], Values] = attrgetter(*attributes)
        self._convert = [(at, one) for at, one in enumerate(convert) if one is not None]
        self.values = self._converted if self._convert else self._read
        """Returns the values of those columns that come from the model itself."""

    def _converted(self, item: Model) -> Values:
        values = list(self._read(item))
        for at, convert in self._convert:
            if values[at] is not None:
                values[at] = convert(values[at])
        return values


class Layout:
    """One kind of object with its parts, ready to be written."""

    def __init__(self, objects: Rows, parts: Sequence[tuple[str, Rows]]) -> None:
        """Take the table of the objects, and for each list in them its attribute and table."""
        self._objects = objects
        self._parts = parts

    def page(self, batch: Batch) -> Page:
        """Turn a page into rows; of an object that is there twice, the last one counts."""
        account = () if batch.account_id is None else (batch.account_id,)
        items: dict[Any, Any] = {getattr(one, "id", None): one for one in batch.items}
        objects: list[Any] = []
        for item in items.values():
            objects += account
            objects += self._objects.values(item)
        lines: list[list[Any]] = []
        for attribute, part in self._parts:
            rows: list[Any] = []
            for key, item in items.items():
                for at, line in enumerate(getattr(item, attribute) or ()):
                    rows += (*account, key, at)
                    rows += part.values(line)
            lines.append(rows)
        return Page(batch, list(items), objects, tuple(lines))

    def write(self, cursor: Cursor, pages: Sequence[Page]) -> None:
        """Write the objects of some pages, and their lines in place of those that are there."""
        if self._parts:
            self._delete_lines(cursor, {one.batch.account_id or "": one for one in pages})
        _execute(cursor, self._objects.sql.upserts(_chain(one.objects for one in pages)))
        for number, (_, part) in enumerate(self._parts):
            _execute(cursor, part.sql.upserts(_chain(one.lines[number] for one in pages)))

    def _delete_lines(self, cursor: Cursor, pages: Mapping[str, Page]) -> None:
        """Delete the lines of objects that may be there: in a first sync hardly any account has some."""
        for text, values in self._objects.sql.selects([*pages]):
            cursor.execute(text, values)
            for (account_id,) in cursor.fetchall():
                for _, part in self._parts:
                    _execute(cursor, part.sql.deletes(account_id, pages[account_id].ids))


def _execute(cursor: Cursor, statements: Iterable[Statement]) -> None:
    for text, values in statements:
        cursor.execute(text, values)


def _chain(lists: Iterable[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))
