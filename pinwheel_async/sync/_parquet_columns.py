"""The columns of Parquet files: they follow from the models, every field of them.

Money is a whole number of minor units (int64), days are dates, moments are kept to the microsecond in UTC. A model
inside another one is a struct, a list of them a list of structs. A decimal number is text, because it may have any
number of digits. What has no fixed form, such as tags, is JSON as text.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias, cast, get_args, get_origin

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits, Model, Timestamp, Year, attributes, wire_name
from pinwheel_async.models.document import Document
from pinwheel_async.sync._columns import NAMES, single_type
from pinwheel_async.sync._parquet_arrow import arrow

Convert: TypeAlias = Callable[[Any], Any]


@frozen
class Form:
    """How values of one type are kept."""

    type: Any
    """Arrow's type."""
    convert: Convert | None = None
    """Turns a value into what Arrow takes, if it does not take it as it is. Not for null."""


@frozen
class Columns:
    """The columns of a model."""

    names: tuple[str, ...]
    forms: tuple[Form, ...]
    attributes: tuple[str, ...]

    @classmethod
    def of(cls, model: type[Model]) -> "Columns":
        """Return the columns of a model, the account that it belongs to first."""
        fields = sorted(attributes(model), key=lambda one: one.name != "account_id")
        names = [NAMES.get(one.name, one.name) for one in fields]
        return cls(tuple(names), tuple([form_of(one.type) for one in fields]), tuple([one.name for one in fields]))

    def schema(self) -> Any:
        """Return them as Arrow's schema."""
        return arrow.schema([(name, form.type) for name, form in zip(self.names, self.forms, strict=True)])

    def row(self, item: Model) -> dict[str, Any]:
        """Return the values of an object."""
        return {
            name: value if value is None or form.convert is None else form.convert(value)
            for name, form, value in zip(self.names, self.forms, self._values(item), strict=True)
        }

    def _values(self, item: Model) -> list[Any]:
        return [getattr(item, one) for one in self.attributes]


def form_of(kind: Any) -> Form:
    """Return how values of the type of a field are kept."""
    return _form_of_one(single_type(kind))


def _form_of_one(kind: Any) -> Form:
    if kind in _FORMS:
        return _FORMS[kind]
    if get_origin(kind) is tuple:
        return _list_of(form_of(get_args(kind)[0]))
    if isinstance(kind, type) and issubclass(kind, Model):
        columns = Columns.of(kind)
        return Form(arrow.struct(columns.schema()), columns.row)
    return _JSON


def _list_of(item: Form) -> Form:
    convert = item.convert
    if convert is None:
        return Form(arrow.list_(item.type))
    return Form(arrow.list_(item.type), lambda values: [convert(one) for one in values])


def _file_id(document: Document) -> str:
    """Return the id of a file: the link to it grants access to whoever has it."""
    return document.id


def _in_utc(moment: datetime) -> datetime:
    """Convert a moment; Arrow would do so, and beyond the calendar write what nobody can read."""
    return moment.astimezone(UTC)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return {wire_name(one): getattr(value, one.name) for one in attributes(type(value))}
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    return value.isoformat() if isinstance(value, date) else str(value)


_JSON = Form(arrow.string(), _json)

_FORMS: Mapping[Any, Form] = {
    str: Form(arrow.string()),
    bool: Form(arrow.bool_()),
    int: Form(arrow.int64()),
    MinorUnits: Form(arrow.int64()),
    Year: Form(arrow.int64()),
    float: Form(arrow.float64()),
    Decimal: Form(arrow.string(), str),
    date: Form(arrow.date32()),
    Timestamp: Form(arrow.timestamp("us", tz="UTC"), _in_utc),
    Document: Form(arrow.string(), _file_id),
}
