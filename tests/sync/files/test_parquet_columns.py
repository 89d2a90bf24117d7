"""How models become columns of a Parquet file."""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pyarrow as pa
import pytest
from attrs import frozen

from pinwheel_async import models
from pinwheel_async._core.fields import MinorUnits, Timestamp, attributes
from pinwheel_async._core.model import Model
from pinwheel_async.models import Account, Document, Paystub, Shift
from pinwheel_async.sync._files.parquet import COLUMNS
from pinwheel_async.sync._files.parquet_columns import NAMES, Columns, form_of
from pinwheel_async.sync._sql import tables as _tables


@frozen(kw_only=True, repr=False)
class Line(Model):
    amount: MinorUnits | None
    at: Timestamp


@frozen(kw_only=True, repr=False)
class Thing(Model):
    amount: MinorUnits
    lines: tuple[Line, ...]
    account_id: str


def _modules() -> list[Any]:
    return [
        importlib.import_module(module.name) for module in pkgutil.iter_modules(models.__path__, f"{models.__name__}.")
    ]


def _models() -> list[type[Model]]:
    found = [value for module in _modules() for value in vars(module).values()]
    return list(dict.fromkeys(value for value in found if inspect.isclass(value) and attrs.has(value)))


@pytest.mark.parametrize("model", _models(), ids=lambda model: model.__qualname__)
def test_every_field_has_a_column(model: type[Model]):
    """Every field of every model has a column."""
    names = {NAMES.get(field.name, field.name) for field in attributes(model)}

    assert names == set(Columns.of(model).schema().names)


@pytest.mark.parametrize("kind", COLUMNS)
def test_the_same_names_as_in_the_tables(kind):
    """Columns have the names that they have in the tables of `SqlSink`."""
    stored = _tables.STORED[kind]
    parts = {part.attribute for part in stored.parts}
    columns = [column for column in stored.table.columns if "member" not in column.info]
    from_model = {column.name for column in columns if "attribute" in column.info}

    assert from_model | parts == set(COLUMNS[kind].names) - {"account_id"}


def test_every_kind_is_covered():
    """There are columns for every kind of object that a sync fetches."""
    assert _tables.STORED.keys() == COLUMNS.keys()


@pytest.mark.parametrize("kind", [kind for kind in COLUMNS if kind != "accounts"])
def test_the_account_comes_first(kind):
    """What belongs to an account says to which in its first column."""
    assert COLUMNS[kind].names[0] == "account_id"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (MinorUnits | None, pa.int64()),
        (date, pa.date32()),
        (Timestamp | None, pa.timestamp("us", tz="UTC")),
        (Decimal, pa.string()),
        (float | None, pa.float64()),
        (bool, pa.bool_()),
        (Document | None, pa.string()),
        (Mapping[str, Any] | None, pa.string()),
        (int | str | None, pa.string()),
        (tuple[str, ...] | None, pa.list_(pa.string())),
        (
            tuple[Line, ...],
            pa.list_(pa.struct([("amount", pa.int64()), ("at", pa.timestamp("us", tz="UTC"))])),
        ),
    ],
)
def test_types(kind, expected):
    """A type of field has one type of column, models and lists of them included."""
    assert expected == form_of(kind).type


def test_no_column_has_a_type_of_its_own():
    """The columns of paystubs, accounts and shifts are of the types that are promised."""
    paystub, account, shift = (Columns.of(model).schema() for model in (Paystub, Account, Shift))

    assert paystub.field("net_pay_amount").type == pa.int64()
    assert paystub.field("document_id").type == pa.string()
    assert account.field("data_updated_at").type.field("paystubs").type == pa.timestamp("us", tz="UTC")
    assert [field.name for field in shift.field("timestamps").type.value_type] == ["starts_at", "ends_at"]


def test_free_form_objects_are_json():
    """What has no fixed form becomes JSON, whatever is in it."""
    convert = form_of(Mapping[str, Any]).convert
    line = Line(amount=MinorUnits(1), at=datetime(2026, 1, 1, tzinfo=UTC))
    value = {"day": date(2026, 1, 2), "exact": Decimal("1.10"), "line": line, "name": "é"}

    expected = '{"day":"2026-01-02","exact":1.10,"line":{"amount":1,"at":"2026-01-01T00:00:00Z"},"name":"é"}'
    assert convert
    assert expected == convert(value)
    assert json.loads(convert(value))


def test_a_row():
    """A row has the values of an object, those of the models inside it included."""
    at = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    thing = Thing(amount=MinorUnits(5), lines=(Line(amount=None, at=at),), account_id="a")

    row = Columns.of(Thing).row(thing)

    assert {"account_id": "a", "amount": 5, "lines": [{"amount": None, "at": at}]} == row
