"""Columns of Parquet files: they follow from the models, every field of them.

Money is a whole number of minor units (int64), days are dates, moments are kept to the microsecond in UTC. A model
inside another one is a struct, a list of them a list of structs. A decimal number is text, because it may have any
number of digits. What has no fixed form, such as tags, is JSON as text.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias, get_args, get_origin

from attrs import frozen

from pinwheel_async._core.converter import encode
from pinwheel_async._core.fields import MinorUnits, Timestamp, Year, attributes
from pinwheel_async._core.model import Model
from pinwheel_async.models.document import Document
from pinwheel_async.sync._columns import NAMES, single_type
from pinwheel_async.sync._files.arrow import arrow

Convert: TypeAlias = Callable[[Any], Any]


@frozen
class Form:
    """How values of a type are kept."""

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
        fields = sorted(attributes(model), key=lambda field: field.name != "account_id")
        names = [field.name for field in fields]
        columns = [NAMES.get(name, name) for name in names]
        return cls(tuple(columns), tuple([form_of(field.type) for field in fields]), tuple(names))

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
        return [getattr(item, name) for name in self.attributes]


def form_of(kind: Any) -> Form:
    """Return how values of the type of a field are kept."""
    single = single_type(kind)
    if single in _FORMS:
        return _FORMS[single]
    if get_origin(single) is tuple:
        return _list_of(form_of(get_args(single)[0]))
    if isinstance(single, type) and issubclass(single, Model):
        columns = Columns.of(single)
        return Form(arrow.struct(columns.schema()), columns.row)
    return _JSON


def _list_of(item: Form) -> Form:
    convert = item.convert
    if convert is None:
        return Form(arrow.list_(item.type))
    return Form(arrow.list_(item.type), lambda values: [value if value is None else convert(value) for value in values])


def _file_id(document: Document) -> str:
    """Return the id of a file: the link to it grants access without a secret."""
    return document.id


def _in_utc(moment: datetime) -> datetime:
    """Convert a moment to UTC; Arrow would do so, and write beyond the calendar what cannot be read again."""
    return moment.astimezone(UTC)


def _json(value: Any) -> str:
    return encode(value, nulls=True).decode()


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
