"""How pages become rows: what is read out of the models, column by column, because Python is slow at single values."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

from attrs import field, frozen

from pinwheel_async._core.convert import encode
from pinwheel_async._core.fields import Model
from pinwheel_async.sync._sink import Batch, without_link
from pinwheel_async.sync._upsert import Row, TableSql


@frozen(eq=False)
class Page:
    """A page that is to be stored. Its rows are made when they are written, so that few are in memory at a time."""

    batch: Batch
    items: Mapping[Any, Any] = field(repr=False)
    """The objects by id; of one that came twice, the last."""

    @classmethod
    def of(cls, batch: Batch) -> "Page":
        """Look at a batch."""
        return cls(batch, {getattr(one, "id", None): one for one in batch.items})

    @property
    def account_id(self) -> str:
        """The account; empty for accounts, which belong to none."""
        return self.batch.account_id or ""

    @property
    def reached(self) -> str | None:
        """How far its reading is; null if it has no mark."""
        return self.batch.mark.reached if self.batch.mark else None

    @property
    def pairs(self) -> list[tuple[str, Any]]:
        """The objects, each with its account."""
        return [(self.account_id, one) for one in self.items]


class Rows:
    """Reads rows of one table out of models, as a driver wants them."""

    def __init__(
        self, sql: TableSql, attributes: Sequence[str], convert: Sequence[Callable[[Any], Any] | None]
    ) -> None:
        """Take what belongs to the table.

        Args:
            sql: Its statements.
            attributes: Where its values come from.
            convert: For each attribute, what turns a value into what the driver takes, if it needs that.
        """
        self.sql = sql
        self._columns = [*zip(map(attrgetter, attributes), convert, strict=True)]

    def rows(
        self, items: Sequence[Any], before: Sequence[Iterable[Any]], after: Sequence[Iterable[Any]] = ()
    ) -> Iterator[Row]:
        """Return the rows of some items.

        Args:
            items: Models, or twins of them.
            before: The columns before those that come from the items; each may go on without end.
            after: The columns after them.
        """
        columns = [_column(map(read, items), convert) for read, convert in self._columns]
        return zip(*before, *columns, *after, strict=False)


def _column(values: Iterable[Any], convert: Callable[[Any], Any] | None) -> Iterable[Any]:
    return values if convert is None else [None if one is None else convert(one) for one in values]


class Layout:
    """One kind of object with its parts."""

    def __init__(self, objects: Rows, parts: Sequence[tuple[str, Rows]], *, raw: bool) -> None:
        """Take the table of the objects, and for each list in them its attribute and table.

        Args:
            objects: The table of the objects.
            parts: For each list in them its attribute and its table.
            raw: Whether the last column of the objects is the whole object as JSON.
        """
        self.objects = objects
        self.parts = parts
        self._raw = raw

    def object_rows(self, pages: Iterable[Page]) -> Iterator[Row]:
        """Return the rows of the objects."""
        return chain.from_iterable(map(self._object_rows, pages))

    def part_rows(self, number: int, pages: Iterable[Page]) -> Iterator[Row]:
        """Return the rows of a part."""
        return chain.from_iterable(_part_rows(*self.parts[number], one) for one in pages)

    def _object_rows(self, page: Page) -> Iterator[Row]:
        items = [*page.items.values()]
        return self.objects.rows(items, _account(page), [map(_raw, items)] if self._raw else [])


def _part_rows(attribute: str, part: Rows, page: Page) -> Iterator[Row]:
    lists = [getattr(one, attribute) or () for one in page.items.values()]
    keys = chain.from_iterable(map(repeat, page.items, map(len, lists)))
    positions = chain.from_iterable(map(range, map(len, lists)))
    return part.rows([*chain.from_iterable(lists)], [*_account(page), keys, positions])


def _account(page: Page) -> list[Iterable[Any]]:
    return [] if page.batch.account_id is None else [repeat(page.batch.account_id)]


def _raw(item: Model) -> str:
    return encode(without_link(item), nulls=True).decode()
