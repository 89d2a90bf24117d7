"""How pages become rows: what is read out of the models."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

from attrs import field, frozen

from pinwheel_async._core.convert import encode
from pinwheel_async._core.fields import Model
from pinwheel_async.sync._sink import Batch, without_link
from pinwheel_async.sync._upsert import TableSql

Values: TypeAlias = Sequence[Any]


@frozen(eq=False)
class Page:
    """A page as values for its tables: rows one after another, flat."""

    batch: Batch
    account_id: str
    """Empty for accounts, which belong to none."""
    ids: list[Any]
    objects: list[Any] = field(repr=False)
    lines: tuple[list[Any], ...] = field(repr=False)
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
            attributes: Where its values come from, at least two; the columns before them are the caller's.
            convert: For each attribute, what turns a value into what the driver takes, if it needs that.
        """
        self.sql = sql
        self._read: Callable[[Any], Values] = attrgetter(*attributes)
        self._convert = [(at, one) for at, one in enumerate(convert) if one is not None]
        self.values = self._converted if self._convert else self._read
        """Returns the values of those columns that come from the model itself."""

    def _converted(self, item: Any) -> Values:
        values = list(self._read(item))
        for at, convert in self._convert:
            if values[at] is not None:
                values[at] = convert(values[at])
        return values


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
        account = () if batch.account_id is None else (batch.account_id,)
        items: dict[Any, Model] = {getattr(one, "id", None): one for one in batch.items}
        objects: list[Any] = []
        for item in items.values():
            objects += account
            objects += self.objects.values(item)
            if self._raw:
                objects.append(encode(without_link(item), nulls=True).decode())
        lines: list[list[Any]] = []
        for attribute, part in self.parts:
            rows: list[Any] = []
            values = part.values
            for key, item in items.items():
                for at, line in enumerate(getattr(item, attribute) or ()):
                    rows += (batch.account_id, key, at)
                    rows += values(line)
            lines.append(rows)
        return Page(batch, batch.account_id or "", [*items], objects, tuple(lines))
