"""Column types of `SqlSink`, and the conversion of values into what a driver takes."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Date, DateTime, Dialect, Double, Numeric, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from pinwheel_async._core.converter import default_converter, rfc3339
from pinwheel_async._core.fields import MinorUnits, Timestamp, Year
from pinwheel_async.models.document import Document
from pinwheel_async.sync._columns import single_type

KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids, in the order of their bytes wherever they are: comparing them costs least, and is the same everywhere."""


class Moment(TypeDecorator[datetime]):
    """A moment, aware when it is read: of the database's own type where it has one, else text that sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return text for SQLite, which has no type for moments."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Convert to UTC."""
        if value is None:
            return None
        return _moment_text(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware moment in UTC."""
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment and moment.astimezone(UTC)


class Exact(TypeDecorator[Decimal]):
    """A decimal number, never rounded: text on SQLite, which would make it a floating-point number."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return text for SQLite."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Write it as text for SQLite."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Read it back."""
        return Decimal(value) if isinstance(value, str) else value


class Plain(TypeDecorator[Any]):
    """Models, lists and mappings, as JSON."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the kind that can be indexed, where there is one."""
        kind = JSONB if dialect.name == "postgresql" else JSON
        return dialect.type_descriptor(kind(none_as_null=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Turn models into plain values."""
        return default_converter().unstructure(value)


class FileId(TypeDecorator[str]):
    """The id of a file."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Leave everything else of the file out."""
        return value.id if isinstance(value, Document) else value


_TYPES: Mapping[Any, type[TypeEngine[Any]]] = {
    str: Text,
    bool: Boolean,
    int: BigInteger,
    MinorUnits: BigInteger,
    Year: BigInteger,
    float: Double,
    Decimal: Exact,
    date: Date,
    Timestamp: Moment,
    Document: FileId,
}


def column_type(kind: Any) -> type[TypeEngine[Any]]:
    """Return the type of column that holds a type of field: JSON for what is no single value."""
    return _TYPES.get(single_type(kind), Plain)


def same(value: Any) -> Any:
    """Return the value as it is."""
    return value


def converter(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what turns a value into what the driver takes; None where it takes it as it is. Not for null.

    SQLAlchemy's own take twice as long, which would be a good part of all the work of a sync.
    """
    if member := column.info.get("member"):
        return _member_moment(member, dialect)
    if isinstance(column.type, FileId):
        return _file_id
    if dialect.name == "sqlite":
        for kind, convert in ((Moment, _moment_text), (Date, date.isoformat)):
            if isinstance(column.type, kind):
                return convert
    elif isinstance(column.type, Moment):
        return None  # the driver takes any aware moment
    if isinstance(column.type, Double):
        return None  # SQLAlchemy would make floats of decimals, which there are none of
    return column.type.dialect_impl(dialect).bind_processor(dialect)


def _member_moment(name: str, dialect: Dialect) -> Callable[[Any], Any]:
    """Return what takes a moment out of an object, as the driver takes it."""
    convert = _moment_text if dialect.name == "sqlite" else same

    def convert_member(value: Any) -> Any:
        moment = getattr(value, name)
        return moment and convert(moment)

    return convert_member


def reader(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what turns a value that the driver gives into that of a model; None where it is that. Not for null.

    For moments and days, numbers and text.
    """
    if isinstance(column.type, Moment):
        return datetime.fromisoformat if dialect.name == "sqlite" else _in_utc  # as text it was written in UTC
    return date.fromisoformat if isinstance(column.type, Date) and dialect.name == "sqlite" else None


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _moment_text(moment: datetime) -> str:
    """Write a moment in UTC, always as long, so that texts sort like moments; four times as fast as `isoformat`."""
    text = rfc3339(moment if moment.tzinfo is UTC else moment.astimezone(UTC))
    return (text[:-1] + b"+00:00" if b"." in text else text[:-1] + b".000000+00:00").decode()


def _file_id(value: Any) -> Any:
    return value.id
