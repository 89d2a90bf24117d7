"""How pages become rows: what is read out of the models, column by column, because Python is slow at single values."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

from attrs import field, frozen

from pinwheel_async._core.convert import encode
from pinwheel_async._core.fields import Model
from pinwheel_async.sync._sink import Batch, without_link
from pinwheel_async.sync._upsert import TableSql


@frozen(eq=False)
class Page:
    """A page as values for its tables: rows one after another, flat."""

    batch: Batch
    account_id: str
    """Empty for accounts, which belong to none."""
    ids: Sequence[Any]
    objects: Sequence[Any] = field(repr=False)
    lines: Sequence[Sequence[Any]] = field(repr=False)
    """Those of each part."""

    @property
    def reached(self) -> str | None:
        """How far its reading is; null if it has no mark."""
        return self.batch.mark.reached if self.batch.mark else None

    @property
    def pairs(self) -> list[tuple[str, Any]]:
        """The objects, each with its account."""
        return [(self.account_id, one) for one in self.ids]


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

    def flat(
        self, items: Sequence[Any], before: Sequence[Iterable[Any]], after: Sequence[Iterable[Any]] = ()
    ) -> Sequence[Any]:
        """Return the rows of some items, one after another.

        Args:
            items: Models, or twins of them.
            before: The columns before those that come from the items; each may go on without end.
            after: The columns after them.
        """
        if not items:
            return ()
        columns = [_column(map(read, items), convert) for read, convert in self._columns]
        # A tuple of plain values is nothing to the garbage collector, and there may be many that wait.
        return tuple(chain.from_iterable(zip(*before, *columns, *after, strict=False)))


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

    def page(self, batch: Batch) -> Page:
        """Turn a page into rows; of an object that is there twice, the last one counts."""
        items: dict[Any, Model] = {getattr(one, "id", None): one for one in batch.items}
        ids, models = [*items], [*items.values()]
        account = [] if batch.account_id is None else [repeat(batch.account_id)]
        raw = [map(_raw, models)] if self._raw else []
        lines: list[Sequence[Any]] = []
        for attribute, part in self.parts:
            lists = [getattr(one, attribute) or () for one in models]
            keys = chain.from_iterable(map(repeat, ids, map(len, lists)))
            positions = chain.from_iterable(map(range, map(len, lists)))
            lines.append(part.flat([*chain.from_iterable(lists)], [*account, keys, positions]))
        return Page(batch, batch.account_id or "", ids, self.objects.flat(models, account, raw), lines)


def _raw(item: Model) -> str:
    return encode(without_link(item), nulls=True).decode()
