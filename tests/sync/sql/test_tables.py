"""Tables that follow from models."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given, strategies as st
from sqlalchemy import BigInteger, Boolean, Column, Date, Double, MetaData, Text, create_engine, insert, select

from pinwheel_async._core.fields import MinorUnits, Timestamp, Year
from pinwheel_async._core.model import Model
from pinwheel_async.models import Document
from pinwheel_async.models.enums import Currency
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync import METADATA
from pinwheel_async.sync._sql.tables import STORED, make_tables
from pinwheel_async.sync._sql.types import Exact, FileId, Moment, Plain, column_type, converter


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (str, Text),
        (str | None, Text),
        (Currency | str, Text),
        (Currency | str | None, Text),
        (MinorUnits, BigInteger),
        (MinorUnits | None, BigInteger),
        (Year, BigInteger),
        (bool, Boolean),
        (float | None, Double),
        (Decimal, Exact),
        (date | None, Date),
        (Timestamp, Moment),
        (Timestamp | None, Moment),
        (Document | None, FileId),
        (tuple[str, ...] | None, Plain),
        (Mapping[str, Any], Plain),
        (int | str, Plain),
    ],
)
def test_column_types(kind: Any, column: Any):
    """Every type of field has a type of column; what is no single value is JSON."""
    assert column_type(kind) is column


def test_every_product_has_a_table():
    """Accounts and every product have a table."""
    assert set(STORED) == {"accounts", *PRODUCTS}


def test_tables():
    """The tables are those that the documentation of the sink promises."""
    assert set(METADATA.tables) == {
        "accounts",
        "direct_deposit_allocation_rows",
        "direct_deposit_allocations",
        "employments",
        "identities",
        "incomes",
        "paystub_deductions",
        "paystub_earnings",
        "paystub_taxes",
        "paystub_time_off",
        "paystubs",
        "pinwheel_announcements",
        "pinwheel_changes",
        "pinwheel_end_users",
        "pinwheel_erasures",
        "pinwheel_failures",
        "pinwheel_leftovers",
        "pinwheel_partitions",
        "pinwheel_runs",
        "pinwheel_checkpoints",
        "pinwheel_schema",
        "pinwheel_scope",
        "pinwheel_values",
        "shift_earnings",
        "shift_timestamps",
        "shifts",
        "tax_forms",
    }


def test_keys_begin_with_the_account():
    """All rows of an account lie side by side, those of its lines too."""
    keys = {
        name: [column.name for column in METADATA.tables[name].primary_key] for name in ("paystubs", "paystub_taxes")
    }

    assert keys == {"paystubs": ["account_id", "id"], "paystub_taxes": ["account_id", "paystub_id", "position"]}


def test_indexes_over_all_accounts():
    """What is asked for over all accounts has an index that begins with it: days, years and end users."""
    first = {
        str(index.name): next(iter(index.columns)).name for table in METADATA.tables.values() for index in table.indexes
    }

    for name, column in (
        ("accounts_by_end_user_id", "end_user_id"),
        ("paystubs_by_pay_date", "pay_date"),
        ("shifts_by_start_date", "start_date"),
        ("tax_forms_by_year", "year"),
    ):
        assert first[name] == column


def test_links_have_no_column():
    """No column holds the signed link to a file."""
    assert "document_id" in METADATA.tables["paystubs"].columns
    assert not [column for column in METADATA.tables["paystubs"].columns if "url" in column.name]


@frozen(kw_only=True, repr=False)
class Pet(Model):
    """A model that the API does not have yet."""

    id: str
    account_id: str
    price: Decimal
    born_at: Timestamp
    toys: tuple[Document, ...]


def test_a_new_field_is_a_new_column():
    """A model's table needs no list of columns; key and account come first."""
    table = make_tables("pets", Pet, metadata=MetaData()).table

    own = ["raw", "first_seen_at", "changed_at", "digest"]
    assert [column.name for column in table.columns] == ["account_id", "id", "price", "born_at", "toys", *own]


def test_values_come_back_exactly():
    """What is stored through the tables is read back exactly: decimals unrounded, moments aware."""
    metadata = MetaData()
    table = make_tables("pets", Pet, metadata=metadata).table
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    moment = datetime(2026, 1, 31, 23, 30, 0, 7, tzinfo=timezone(timedelta(hours=-7)))
    toy = Document(id="ball", download_url_expiration=moment)
    row = {"account_id": "a", "id": "rex", "price": Decimal("0.1000000000000000055"), "born_at": moment, "toys": (toy,)}

    with engine.begin() as connection:
        connection.execute(insert(table).values(**row))
        found = connection.execute(select(table)).one()
    engine.dispose()

    assert (found.price, found.born_at) == (row["price"], moment)
    assert found.born_at.tzinfo is UTC
    assert found.toys == [
        {"id": "ball", "download_url": None, "download_url_expiration": "2026-01-31T23:30:00.000007-07:00"}
    ]


@given(
    st.datetimes(timezones=st.timezones() | st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)),
    st.integers(0, 1),
)
def test_moments_as_text(moment: datetime, fold: int):
    """SQLite gets moments as Python writes them in UTC, and none that are beyond the calendar."""
    moment = moment.replace(fold=fold)
    text = converter(Column("moment", Moment), create_engine("sqlite://").dialect)
    assert text is not None

    try:
        expected = moment.astimezone(UTC).isoformat(timespec="microseconds")
    except OverflowError:
        with pytest.raises(OverflowError):
            text(moment)
    else:
        assert text(moment) == expected


def test_nulls_stay_null():
    """A null is a null in every type of column, not a text."""
    metadata = MetaData()
    table = make_tables("pets", Pet, metadata=metadata).table
    engine = create_engine("sqlite://")
    metadata.create_all(engine)

    with engine.begin() as connection:
        connection.execute(insert(table).values(account_id="a", id="rex", price=None, born_at=None, toys=None))
        found = connection.execute(select(table).where(table.c.toys.is_(None))).one()
    engine.dispose()

    assert (found.price, found.born_at, found.toys) == (None, None, None)
