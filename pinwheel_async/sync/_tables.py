"""The tables of `SqlSink`: which there are is written here, their columns follow from the models.

Every key begins with the account. So the rows of an account lie side by side: a page is written into few places of the
file, whatever its size, and all of an account is found, or deleted, with one condition for each table. Join lines by
`account_id` and the id of their object; `position` is their place in its list, from 0.

Money is a whole number of minor units, days are dates, and moments are kept exactly, in UTC. What is no row of its own
(addresses, telephone numbers, tags) is a JSON column. Of a file only the id is kept: the link to it is signed, grants
access to whoever has it, and is dead within minutes. Every column but the keys may be null, because the API sends nulls
where its documentation says it never does.

Two columns are the sink's own, and null unless asked for: `raw`, the whole object as JSON, and in paystubs, shifts and
tax forms `deleted_at`, when the reading began that did not find the object any more.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
from attrs import frozen
from sqlalchemy import Column, Index, Integer, MetaData, Table

from pinwheel_async._core.fields import Model, attributes
from pinwheel_async.models.account import Account
from pinwheel_async.models.allocation import DirectDepositAllocation, DirectDepositAllocations
from pinwheel_async.models.employment import Employment
from pinwheel_async.models.identity import Identity
from pinwheel_async.models.income import Income
from pinwheel_async.models.paystub import Deduction, Earning, Paystub, Tax, TimeOff
from pinwheel_async.models.shift import Shift, ShiftEarning, ShiftTimestamp
from pinwheel_async.models.tax_form import TaxFormSummary
from pinwheel_async.sync._columns import NAMES
from pinwheel_async.sync._sink import Kind
from pinwheel_async.sync._sql_books import METADATA
from pinwheel_async.sync._sql_types import KEY, Moment, Plain, column_type

__all__ = ["METADATA", "STORED", "Part", "Stored", "stored"]


@frozen
class Part:
    """A list inside a model whose entries are rows of a table of their own."""

    attribute: str
    table: Table


@frozen
class Stored:
    """How one kind of object is stored."""

    model: type[Model]
    table: Table
    parts: tuple[Part, ...] = ()


def stored(
    name: str,
    model: type[Model],
    *,
    index: Iterable[str] = (),
    listed: bool = False,
    owner: str = "",
    parts: Mapping[str, tuple[str, type[Model]]] = MappingProxyType({}),
    metadata: MetaData = METADATA,
) -> Stored:
    """Make the tables of a model.

    Args:
        name: Name of the table.
        model: Its key is `account_id`, where it has one, and `id`.
        index: Columns to look things up by, within an account where there is one.
        listed: Whether an account has a list of them; then they can be kept when they are not in it any more.
        owner: What the tables of its parts call its id.
        parts: For each list with a table of its own: name of the table, and class of the entries.
        metadata: Where the tables are gathered.
    """
    fields = {one.name: one for one in attributes(model) if one.name not in parts}
    account = [_account_column()] if fields.pop("account_id", None) else []
    key = Column("id", KEY, primary_key=True, info={"attribute": fields.pop("id").name})
    own = [*([Column("deleted_at", Moment)] if listed else []), Column("raw", Plain)]
    table = Table(name, metadata, *account, key, *map(_column, fields.values()), *own, sqlite_with_rowid=False)
    for column in index:
        Index(f"{name}_by_{column}", *[table.c[one.name] for one in account], table.c[column])
    return Stored(model, table, tuple([Part(one, _part(metadata, owner, *part)) for one, part in parts.items()]))


def _part(metadata: MetaData, owner: str, name: str, model: type[Model]) -> Table:
    return Table(
        name,
        metadata,
        _account_column(),
        Column(owner, KEY, primary_key=True),
        Column("position", Integer, primary_key=True, autoincrement=False),
        *map(_column, attributes(model)),
        sqlite_with_rowid=False,
    )


def _account_column() -> Column[Any]:
    return Column("account_id", KEY, primary_key=True)


def _column(attribute: "attrs.Attribute[Any]") -> Column[Any]:
    """Make the column of a field; it remembers the field it is made from."""
    name = attribute.name
    return Column(NAMES.get(name, name), column_type(attribute.type), info={"attribute": name})


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
        listed=True,
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
        listed=True,
        owner="shift_id",
        parts={
            "timestamps": ("shift_timestamps", ShiftTimestamp),
            "earnings": ("shift_earnings", ShiftEarning),
        },
    ),
    "tax_forms": stored("tax_forms", TaxFormSummary, index=["year"], listed=True),
}
"""Every kind of object and its tables."""
