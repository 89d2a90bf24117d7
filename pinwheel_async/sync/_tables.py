"""The tables of `SqlSink`: which there are is written here, their columns follow from the models.

Every key begins with the account. So the rows of an account lie side by side: a page is written into few places of the
file, whatever its size, and all of an account is found, or deleted, with one condition for each table. Join lines by
`account_id` and the id of their object; `position` is their place in its list, from 0.

Money is a whole number of minor units, days are dates, and moments are kept exactly, in UTC. What is no row of its own
(addresses, telephone numbers, tags) is a JSON column. Of a file only the id is kept: the link to it is signed, grants
access to whoever has it, and is dead within minutes. Every column but the keys may be null, because the API sends nulls
where its documentation says it never does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

import attrs
from attrs import frozen
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from pinwheel_async._core.fields import MinorUnits, Model, Timestamp, Year, attributes, wire_name
from pinwheel_async.models.account import Account
from pinwheel_async.models.allocation import DirectDepositAllocation, DirectDepositAllocations
from pinwheel_async.models.document import Document
from pinwheel_async.models.employment import Employment
from pinwheel_async.models.identity import Identity
from pinwheel_async.models.income import Income
from pinwheel_async.models.paystub import Deduction, Earning, Paystub, Tax, TimeOff
from pinwheel_async.models.shift import Shift, ShiftEarning, ShiftTimestamp
from pinwheel_async.models.tax_form import TaxFormSummary
from pinwheel_async.sync._sink import Kind

SCHEMA_VERSION = 1
"""Goes up when a table changes in a way that adding columns does not cover."""

METADATA = MetaData()

VERSION = Table("pinwheel_schema", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))
"""One row: the version of the tables."""


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
        return _plain(value)


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

_NAMES = {"from_": "starts_at", "to": "ends_at", "document": "document_id"}
"""Columns that are not called like their field: SQL has words of its own."""


@frozen
class Part:
    """A list inside a model whose entries are rows of a table of their own."""

    attribute: str
    table: Table


@frozen
class Stored:
    """How one kind of object is stored."""

    table: Table
    parts: tuple[Part, ...] = ()


def stored(
    name: str,
    model: type[Model],
    *,
    index: Iterable[str] = (),
    owner: str = "",
    parts: Mapping[str, tuple[str, type[Model]]] = MappingProxyType({}),
    metadata: MetaData = METADATA,
) -> Stored:
    """Make the tables of a model.

    Args:
        name: Name of the table.
        model: Its key is `account_id`, where it has one, and `id`.
        index: Columns to look things up by, within an account where there is one.
        owner: What the tables of its parts call its id.
        parts: For each list with a table of its own: name of the table, and class of the entries.
        metadata: Where the tables are gathered.
    """
    fields = {one.name: one for one in attributes(model) if one.name not in parts}
    account = [_account_column()] if fields.pop("account_id", None) else []
    key = Column("id", Text, primary_key=True, info={"attribute": fields.pop("id").name})
    table = Table(name, metadata, *account, key, *map(_column, fields.values()), sqlite_with_rowid=False)
    for column in index:
        Index(f"{name}_by_{column}", *[table.c[one.name] for one in account], table.c[column])
    return Stored(table, tuple([Part(one, _part(metadata, owner, *part)) for one, part in parts.items()]))


def _part(metadata: MetaData, owner: str, name: str, model: type[Model]) -> Table:
    return Table(
        name,
        metadata,
        _account_column(),
        Column(owner, Text, primary_key=True),
        Column("position", Integer, primary_key=True, autoincrement=False),
        *map(_column, attributes(model)),
        sqlite_with_rowid=False,
    )


def _account_column() -> Column[Any]:
    return Column("account_id", Text, primary_key=True)


def _column(attribute: "attrs.Attribute[Any]") -> Column[Any]:
    """Make the column of a field; it remembers the field it is made from."""
    name = attribute.name
    return Column(_NAMES.get(name, name), column_type(attribute.type), info={"attribute": name})


def column_type(kind: Any) -> type[TypeEngine[Any]]:
    """Return the type of column that holds a type of field: JSON for whatever is no single value."""
    inner = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    # An enum is an open list of texts.
    members = {str if get_origin(one) is Literal else one for one in inner} - {NoneType}
    return _TYPES.get(members.pop(), Plain) if len(members) == 1 else Plain


def converter(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what turns a value into what the driver takes; None where it takes it as it is. Not for null.

    For SQLite, these take half the time of SQLAlchemy's own, which would be a good part of all the work of a sync.
    """
    if dialect.name == "sqlite":
        for kind, convert in ((Moment, _moment_text), (Date, date.isoformat)):
            if isinstance(column.type, kind):
                return convert
    return column.type.dialect_impl(dialect).bind_processor(dialect)


def _moment_text(moment: datetime) -> str:
    """Write a moment in UTC, always as long, so that texts sort like moments."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    """Turn models and what they hold into what JSON knows."""
    if isinstance(value, Model):
        return {wire_name(one): _plain(getattr(value, one.name)) for one in attributes(type(value))}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in cast("Mapping[str, Any]", value).items()}
    return value.isoformat() if isinstance(value, date) else value


STORED: Mapping[Kind, Stored] = {
    "accounts": stored("accounts", Account, index=["end_user_id"]),
    "identity": stored("identities", Identity),
    "income": stored("incomes", Income),
    "employment": stored("employments", Employment),
    "direct_deposit_allocations": stored(
        "direct_deposit_allocations",
        DirectDepositAllocations,
        owner="direct_deposit_allocations_id",
        parts={"allocations": ("direct_deposit_allocation_rows", DirectDepositAllocation)},
    ),
    "paystubs": stored(
        "paystubs",
        Paystub,
        index=["pay_date"],
        owner="paystub_id",
        parts={
            "taxes": ("paystub_taxes", Tax),
            "deductions": ("paystub_deductions", Deduction),
            "earnings": ("paystub_earnings", Earning),
            "time_off": ("paystub_time_off", TimeOff),
        },
    ),
    "shifts": stored(
        "shifts",
        Shift,
        index=["start_date"],
        owner="shift_id",
        parts={
            "timestamps": ("shift_timestamps", ShiftTimestamp),
            "earnings": ("shift_earnings", ShiftEarning),
        },
    ),
    "tax_forms": stored("tax_forms", TaxFormSummary, index=["year"]),
}
"""Every kind of object and its tables."""
