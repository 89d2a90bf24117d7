"""Tables of `SqlSink`: one for each kind of object and line, with columns that follow from the models, and its own.

Every key begins with the account. So the rows of an account lie side by side, in SQLite also in the file (WITHOUT
ROWID): a page is written into few places of it, whatever its size, and all of an account is found, or deleted, with one
condition for each table. Join lines by `account_id` and the id of their object; `position` is their place in its list,
from 0. Join an object to `accounts` by `account_id` and `id` there; it may be stored before its account is. In SQLite,
lines have a foreign key to their object. On PostgreSQL they have none, since each row would be checked; all the same, a
line is written in the same transaction as its object, and removed with it.

Money is a whole number of minor units, days are dates, and moments are kept exactly, in UTC. What is no row of its own
(addresses, telephone numbers, tags) is a JSON column; each moment in `data_updated_at` of an account is a column, too,
such as `paystubs_updated_at`. Of a file only the id is kept: the link to it is signed, grants access without a secret,
and is dead within minutes. Every column but the keys may be null, because the API sends nulls where its documentation
says it never does.

Some columns of objects are the sink's own. `first_seen_at` and `changed_at` say when the object was stored first, and
when it, or one of its lines, last became another one; `digest` is a hash of the object, lines included. Null unless
asked for are `raw`, the object as JSON as it came, and in paystubs, shifts and tax forms `deleted_at`, when the reading
began that did not find the object any more. Accounts always have it: it is set when two whole lists of the accounts,
one after the other, did not name the account, whose data stays. When an object was last looked at is a matter of its
whole reading, and stands in `pinwheel_checkpoints`: a row that did not change is not written.

What the sink keeps for itself, how far every reading is and what webhooks announced, stands in tables of its own: two
databases with the same data have the same rows in all tables of data, but for the two moments.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain
from types import MappingProxyType
from typing import Any, cast

import attrs
from attrs import field, frozen
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.sql.schema import RETAIN_SCHEMA

from pinwheel_async._core.fields import MinorUnits, attributes
from pinwheel_async._core.model import Model
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.models.allocation import DirectDepositAllocation
from pinwheel_async.models.paystub import Deduction, Earning, Tax, TimeOff
from pinwheel_async.models.shift import ShiftEarning, ShiftTimestamp
from pinwheel_async.sync._columns import MODELS, NAMES, single_type
from pinwheel_async.sync._sink import Kind
from pinwheel_async.sync._sql.types import KEY, Moment, Plain, column_type

METADATA = MetaData()
"""Every table of `SqlSink`, under the name that it has without a schema and a prefix."""

_PLAIN_NAME = re.compile("[a-z_][a-z0-9_]*", re.ASCII)
"""Names that mean the same with quotation marks and without."""

_MAX_PREFIX = 30
"""Characters of a prefix: PostgreSQL cuts names off at 63, and the longest one of ours has 30."""

_OPTION = "pinwheel_async_tables"
"""Execution option of a connection: its tables."""


_COMMENTS: Mapping[str, str] = {
    "deleted_at": "When the reading began that did not find it any more; null while the API lists it",
    "raw": "The object as JSON as it came, links to files left out; null unless asked for",
    "first_seen_at": "When it was stored first",
    "changed_at": "When it, or one of its lines, last became another one",
    "digest": "Hash of the object, lines included",
}
"""What the columns of objects say that are the sink's own."""

_SPREAD: Mapping[str, str] = {"data_updated_at": "updated_at"}
"""Fields of which each moment has a column of its own, beside the JSON, and how the names of these columns end."""


@frozen
class Part:
    """A list inside a model whose entries are rows of a table of their own."""

    attribute: str
    table: Table


@frozen
class Stored:
    """The tables of a kind of object."""

    table: Table
    parts: tuple[Part, ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """That of the objects, then those of their lines."""
        return (self.table, *[part.table for part in self.parts])


def make_tables(
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
        index: Columns to look things up by, over all accounts: of one, there are few enough to look at all.
        listed: Whether they are in a list; then they can be kept when they are not in it any more.
        owner: What the tables of its parts call its id.
        parts: For each list with a table of its own: name of the table, and class of the entries.
        metadata: Where the tables are gathered.
    """
    fields = {field.name: field for field in attributes(model) if field.name not in parts}
    account = [_account_column()] if fields.pop("account_id", None) else []
    key = Column("id", KEY, primary_key=True, info={"attribute": fields.pop("id").name})
    own = [*([Column("deleted_at", Moment)] if listed else []), Column("raw", Plain)]
    own += [Column("first_seen_at", Moment), Column("changed_at", Moment), Column("digest", Text)]
    for own_column in own:
        own_column.comment = _COMMENTS[own_column.name]
    columns = [*account, key, *chain.from_iterable(map(_columns, fields.values())), *own]
    table = Table(name, metadata, *columns, comment=_first_line(model), sqlite_with_rowid=False)
    for column in index:
        Index(f"{name}_by_{column}", table.c[column], *account)
    return Stored(table, tuple([Part(field, _part(table, owner, *part)) for field, part in parts.items()]))


def _part(objects: Table, owner: str, name: str, model: type[Model]) -> Table:
    return Table(
        name,
        objects.metadata,
        _account_column(),
        Column(owner, KEY, primary_key=True, comment=f"The `id` in `{objects.name}`, of the same account"),
        Column("position", Integer, primary_key=True, autoincrement=False, comment="Place in its list, from 0"),
        *map(_column, attributes(model)),
        comment=_first_line(model),
        sqlite_with_rowid=False,
    )


def _account_column() -> Column[Any]:
    return Column("account_id", KEY, primary_key=True)


def _column(attribute: "attrs.Attribute[Any]") -> Column[Any]:
    """Make the column of a field; it remembers the field it is made from."""
    name = attribute.name
    comment = "Minor units of the currency, such as cents" if single_type(attribute.type) is MinorUnits else None
    return Column(NAMES.get(name, name), column_type(attribute.type), info={"attribute": name}, comment=comment)


def _columns(attribute: "attrs.Attribute[Any]") -> list[Column[Any]]:
    """Make the column of a field of an object, and those of the moments in it, if it is one of `_SPREAD`."""
    if attribute.name not in _SPREAD:
        return [_column(attribute)]
    moments = [
        Column(
            f"{member.name}_{_SPREAD[attribute.name]}",
            Moment,
            info={"attribute": attribute.name, "member": member.name},
            comment=f"`{member.name}` in `{attribute.name}`, as a moment",
        )
        for member in attributes(cast("type[Model]", attribute.type))
    ]
    return [_column(attribute), *moments]


def _first_line(model: type[Model]) -> str:
    """Return what a model is, as the first line of its documentation says it."""
    return (model.__doc__ or "").partition("\n")[0]


STORED: Mapping[Kind, Stored] = {
    "accounts": make_tables("accounts", MODELS["accounts"], index=["end_user_id"], listed=True),
    "identity": make_tables("identities", MODELS["identity"]),
    "income": make_tables("incomes", MODELS["income"]),
    "employment": make_tables("employments", MODELS["employment"]),
    "direct_deposit_allocations": make_tables(
        "direct_deposit_allocations",
        MODELS["direct_deposit_allocations"],
        owner="direct_deposit_allocations_id",
        parts={"allocations": ("direct_deposit_allocation_rows", DirectDepositAllocation)},
    ),
    "paystubs": make_tables(
        "paystubs",
        MODELS["paystubs"],
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
    "shifts": make_tables(
        "shifts",
        MODELS["shifts"],
        index=["start_date"],
        listed=True,
        owner="shift_id",
        parts={
            "timestamps": ("shift_timestamps", ShiftTimestamp),
            "earnings": ("shift_earnings", ShiftEarning),
        },
    ),
    "tax_forms": make_tables("tax_forms", MODELS["tax_forms"], index=["year"], listed=True),
}
"""Every kind of object and its tables."""

VERSION = Table(
    "pinwheel_schema",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("made", Plain, nullable=False),
    Column("oldest", Integer, comment="Oldest version of the library's own that may use them; null for their own"),
)
"""One row: the version of the tables, and the names of all tables, indexes and views that this library made, each with
the version of its definition, 0 for all but views; others are not touched."""

SCOPE = Table(
    "pinwheel_scope",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("environment", Text),
    Column("products", Plain),
    Column("from_pay_date", Date),
    Column("from_start_date", Date),
    Column("purged_before", Date),
    Column("keep_deleted", Boolean),
    Column("raw", Boolean),
    Column("history", Boolean),
    Column("api_version", Text),
)
"""One row, of id 1: whose data the copy holds, and what of it."""

CHECKPOINTS = Table(
    "pinwheel_checkpoints",
    METADATA,
    Column("account_id", KEY, primary_key=True),
    Column("product", KEY, primary_key=True),
    Column("begun_at", Moment, info={"attribute": "begun_at"}),
    Column("reached", Text, info={"attribute": "reached"}),
    Column("data_updated_at", Moment, info={"attribute": "data_updated_at"}),
    Column("from_day", Date, info={"attribute": "from_day"}),
    Column("cursor", Text, info={"attribute": "cursor"}),
    Column("items", BigInteger, info={"attribute": "items"}),
    Column("misses", BigInteger, info={"attribute": "misses"}),
    Column("patched_at", Moment),
    Column("missed_at", Moment),
    sqlite_with_rowid=False,
)
"""A row for each product of an account: its checkpoint, null where there was only a patch, and when that began.

And a row for each account under `accounts`: in `begun_at` when it was asked for, of the newest answer but those of
lists that name it as it is stored; in `missed_at` when the newest whole list of accounts began, if that did not name
it. Under `NO_ACCOUNT` stands when that list began: all accounts that are stored and not missed are known as of then."""

NO_ACCOUNT = ""
"""Stands for no account where a key needs one."""

END_USERS = Table(
    "pinwheel_end_users",
    METADATA,
    Column("account_id", KEY, primary_key=True),
    Column("end_user_id", KEY, primary_key=True),
    sqlite_with_rowid=False,
)
Index("pinwheel_end_users_by_end_user_id", END_USERS.c.end_user_id)
"""A row for each end user that an account was ever said to be of: who asks to be erased names any of them."""

ERASURES = Table(
    "pinwheel_erasures",
    METADATA,
    Column("hash", KEY, primary_key=True),
    Column("erased_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)
"""A row for each account that was erased and is not to come back: no id, but its hash under a key of this copy."""

CHANGES = Table(
    "pinwheel_changes",
    METADATA,
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("kind", KEY, nullable=False),
    Column("account_id", KEY, nullable=False),
    Column("id", KEY, nullable=False),
    Column("change", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("image", Plain),
    sqlite_autoincrement=True,  # a number is never given twice, also not after a purge
)
Index("pinwheel_changes_by_object", CHANGES.c.account_id, CHANGES.c.kind, CHANGES.c.id)
"""A row for each time that an object was new, changed or removed, if the copy keeps a history; with what was stored of
it before."""

UNSEEN = Table(
    "pinwheel_leftovers",
    METADATA,
    Column("account_id", KEY, primary_key=True),
    Column("id", KEY, primary_key=True),
    Column("product", KEY, primary_key=True),
    sqlite_with_rowid=False,
)
"""Objects that were there when the reading that is under way began, and that it has not seen so far."""

ANNOUNCEMENTS = Table(
    "pinwheel_announcements",
    METADATA,
    Column("event_id", KEY, primary_key=True),
    Column("event", Text, nullable=False),
    Column("account_id", KEY, nullable=False),
    Column("product", KEY, nullable=False),
    Column("announced_at", Moment, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("count", BigInteger),
    Column("added", Plain, nullable=False),
    Column("deleted", Plain, nullable=False),
    Column("final", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "pinwheel_announcements_by_unit", ANNOUNCEMENTS.c.account_id, ANNOUNCEMENTS.c.product, ANNOUNCEMENTS.c.announced_at
)

FAILURES = Table(
    "pinwheel_failures",
    METADATA,
    Column("account_id", KEY, primary_key=True),
    Column("product", KEY, primary_key=True),
    Column("error", Text, nullable=False),
    Column("place", Text),
    Column("attempts", BigInteger, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)
"""A row for each product of an account that failed and was not read since."""

RUNS = Table(
    "pinwheel_runs",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False, comment="listing, listed, stopping; and over: done, stopped, abandoned"),
    Column("plan", Plain, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("forget_before", Moment, comment="Readings that began before this moment are repeated"),
    Column("cursor", Text, comment="Where the list of accounts goes on; null before its begin and behind its end"),
    Column("pages", BigInteger, nullable=False, comment="Of the list of accounts, since it was begun or begun again"),
    Column("is_whole", Boolean, nullable=False, comment="Whether every listed account could be read"),
    Column("partitions", BigInteger, nullable=False),
    Column("counts", Plain, nullable=False, comment="Of the list, and of partitions that are done"),
    Column("token", BigInteger, comment="Of whoever lists the accounts"),
    Column("lease_until", Moment, comment="When another one may take over the list"),
    sqlite_with_rowid=False,
)
"""A row for each run of a fleet, the last one and some before it. At most one is not over."""

PARTITIONS = Table(
    "pinwheel_partitions",
    METADATA,
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("units", Plain, nullable=False, comment="By account, what is due and when it changed; empty after the run"),
    Column("is_done", Boolean, nullable=False),
    Column("counts", Plain, nullable=False, comment="So far, while it is being read"),
    Column("in_flight", BigInteger, nullable=False),
    Column("failures", Plain, comment="By account"),
    Column("token", BigInteger, comment="Of whoever reads it"),
    Column("lease_until", Moment, comment="When another one may take it over"),
    sqlite_with_rowid=False,
)
Index(
    "pinwheel_partitions_to_read",
    PARTITIONS.c.run,
    PARTITIONS.c.number,
    postgresql_where=PARTITIONS.c.is_done.is_(False),
)
"""A row for each part of a run of a fleet: pages of the list of accounts, of which one process at a time reads."""

VALUES = Table(
    "pinwheel_values",
    METADATA,
    Column("key", KEY, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Small values of a run and of a mirror, by key; one that is of an account has its id in it, between colons."""

HISTORY_SINCE = "history:since"
"""Key of the value that says since when a copy keeps a history."""

ERASURE_KEY = "erasure:key"
"""Key of the value under which the ids of erased accounts are hashed: random, and made with the tables."""


@frozen(eq=False)
class Tables:
    """The tables of one copy, under the names that they have in its database."""

    schema: str | None
    prefix: str
    metadata: MetaData = field(factory=MetaData, init=False)
    _named: dict[Table, Table] = field(factory=dict[Table, Table], init=False)
    stored: Mapping[Kind, Stored] = field(init=False)
    """Every kind of object and its tables."""

    def __attrs_post_init__(self) -> None:
        for table in METADATA.sorted_tables:
            named = table.to_metadata(self.metadata, schema=self.schema or RETAIN_SCHEMA, name=self.prefix + table.name)
            for index in named.indexes:
                index.name = quoted_name(f"{self.prefix}{index.name}", quote=None)
            self._named[table] = named
        stored: dict[Kind, Stored] = {
            kind: Stored(self[found.table], tuple([Part(part.attribute, self[part.table]) for part in found.parts]))
            for kind, found in STORED.items()
        }
        object.__setattr__(self, "stored", stored)
        for kind in stored.values():
            for part in kind.parts:
                part.table.append_constraint(_foreign_key(part.table, kind.table))

    def __getitem__(self, table: Table) -> Table:
        """Return what a table of `METADATA` is here."""
        return self._named[table]


def _foreign_key(lines: Table, objects: Table) -> ForeignKeyConstraint:
    """Return the foreign key of lines: in SQLite a declaration, which costs nothing as long as nobody switches it on.

    PostgreSQL would check it for each row: a first sync of paystubs of a dozen lines wrote 41,000 rows/s with the keys
    instead of 98,000 (median of six runs each, taken by turns; `COPY` and a server on the same machine). It checks
    those that are `NOT VALID`, too. SQLAlchemy knows the key there as well, to join by.
    """
    account, owner, _ = lines.primary_key
    # Deferred: where a connection does check keys, an object may be removed before its lines in one transaction.
    key = ForeignKeyConstraint([account, owner], [*objects.primary_key], deferrable=True, initially="DEFERRED")
    return key.ddl_if(dialect="sqlite")


@cache
def tables_named(schema: str | None = None, prefix: str = "") -> Tables:
    """Return the tables in a schema, or with a prefix to their names.

    Raises:
        ConfigurationError: The schema or the prefix is not a plain name.
    """
    for what, name, longest in (("schema", schema, 63), ("prefix", prefix or None, _MAX_PREFIX)):
        if name is not None and not (len(name) <= longest and _PLAIN_NAME.fullmatch(name)):
            raise ConfigurationError(f"{what} must be at most {longest} small letters, digits and underscores")
    return Tables(schema, prefix)


def options_for(tables: Tables) -> Mapping[str, Tables]:
    """Return the execution options of an engine whose connections are to a copy with these tables."""
    return {_OPTION: tables}


def tables_of(connection: Connection) -> Tables:
    """Return the tables of the copy that a connection is to."""
    tables: Tables | None = connection.get_execution_options().get(_OPTION)
    return tables or tables_named()
