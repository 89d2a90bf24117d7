"""The tables that `SqlSink` keeps for itself, beside the data: how far every reading is, and what webhooks announced.

They are tables of their own, so that two databases with the same data have the same rows in all tables of data.
"""

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, LargeBinary, MetaData, Table, Text

from pinwheel_async.sync._sql_types import KEY, Moment, Plain

METADATA = MetaData()

VERSION = Table("pinwheel_schema", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))
"""One row: the version of the tables."""

MARKS = Table(
    "pinwheel_marks",
    METADATA,
    Column("account_id", KEY, primary_key=True),
    Column("product", KEY, primary_key=True),
    Column("begun_at", Moment, info={"attribute": "begun_at"}),
    Column("reached", Text, info={"attribute": "reached"}),
    Column("data_updated_at", Moment, info={"attribute": "data_updated_at"}),
    Column("from_day", Date, info={"attribute": "from_day"}),
    Column("cursor", Text, info={"attribute": "cursor"}),
    Column("items", BigInteger, info={"attribute": "items"}),
    Column("patched_at", Moment),
    sqlite_with_rowid=False,
)
"""One row for each product of an account: its mark, null where there was only a patch, and when that began."""

LEFTOVERS = Table(
    "pinwheel_leftovers",
    METADATA,
    Column("account_id", KEY, primary_key=True),
    Column("id", KEY, primary_key=True),
    Column("product", KEY, primary_key=True),
    sqlite_with_rowid=False,
)
"""Objects that were there when the reading that is under way began, and that it has not met so far."""

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
Index("pinwheel_announcements_by_unit", *[ANNOUNCEMENTS.c[one] for one in ("account_id", "product", "announced_at")])

VALUES = Table(
    "pinwheel_values",
    METADATA,
    Column("key", KEY, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Small values of those who use the store; they belong to no account."""
