"""Page of the tables and views that `SqlSink` makes: columns, their types on SQLite and PostgreSQL, keys, meaning."""

from typing import Any

from sqlalchemy import Column, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

from pinwheel_async.docs import _source
from pinwheel_async.docs._reference.markdown import code, codes, table, unit_of
from pinwheel_async.models.allocation import DirectDepositAllocation
from pinwheel_async.models.paystub import Deduction, Earning, Tax, TimeOff
from pinwheel_async.models.shift import ShiftEarning, ShiftTimestamp
from pinwheel_async.sync._columns import MODELS
from pinwheel_async.sync._sql import tables
from pinwheel_async.sync._views import definitions

_PARTS: dict[str, type] = {
    "direct_deposit_allocation_rows": DirectDepositAllocation,
    "paystub_taxes": Tax,
    "paystub_deductions": Deduction,
    "paystub_earnings": Earning,
    "paystub_time_off": TimeOff,
    "shift_timestamps": ShiftTimestamp,
    "shift_earnings": ShiftEarning,
}
"""Class of the entries of each table that holds lines."""

_MODELS = {stored.table.name: MODELS[kind] for kind, stored in tables.STORED.items()}
"""Class of the objects of each table that holds them."""

_DIALECTS: tuple[Dialect, ...] = (
    sqlite.dialect(),
    postgresql.dialect(),  # type: ignore[no-untyped-call]
)


def tables_page() -> str:
    """Return the page."""
    prose = (tables.__doc__ or "").partition("\n\n")[2]
    parts = [f"# Tables\n\nTables of `SqlSink`, as `pinwheel_async.sync.METADATA` has them.\n\n{prose}\n"]
    parts.append("## Data\n")
    for kind, stored in tables.STORED.items():
        parts.append(_describe(stored.table, MODELS[kind], f"One row for each object of `{MODELS[kind].__name__}`."))
        for part in stored.parts:
            model = _PARTS[part.table.name]
            parts.append(
                _describe(
                    part.table,
                    model,
                    f"One row for each `{model.__name__}` in `{part.attribute}` of a row of `{stored.table.name}`.",
                )
            )
    prose = definitions.__doc__ or ""
    parts.append(f"## Views\n\n{prose}")
    parts += [_describe(view.table, None, f"{view.table.comment}.") for view in definitions.ALL_VIEWS.values()]
    parts.append("## The library's own\n\nNot for queries of yours, but for `status`; names and columns may change.\n")
    docs = _own_tables()
    parts += [
        _describe(found, None, docs.get(found.name, ""))
        for found in tables.METADATA.sorted_tables
        if found.name.startswith("pinwheel_")
    ]
    return "\n".join(parts)


def _own_tables() -> dict[str, str]:
    """Return what the source says of the library's own tables."""
    constants = _source.constants_of(tables.__name__)
    found = {name: getattr(tables, name, None) for name in constants}
    return {value.name: constants[name].doc for name, value in found.items() if isinstance(value, Table)}


def _describe(found: Table, model: type | None, doc: str) -> str:
    fields = _source.all_fields_of(model) if model else {}
    rows = [_row(column, fields) for column in found.columns]
    indexes = [
        codes(column.name for column in index.columns)
        for index in sorted(found.indexes, key=lambda index: str(index.name))
    ]
    after = [f"Index on {text}." for text in indexes]
    head = ["column", "SQLite", "PostgreSQL", "meaning"]
    return "\n".join([f"### `{found.name}`\n", doc + "\n", table(head, rows), *after, ""])


def _row(column: Column[Any], fields: dict[str, _source.Field]) -> list[str]:
    if "table" in column.info:  # of a view
        fields = _source.all_fields_of(_MODELS[column.info["table"]])
    is_member = "member" in column.info  # of a field that has a column of its own
    field = None if is_member else fields.get(str(column.info.get("attribute", "")))
    meaning = [field.doc if field else f"{column.comment}." if column.comment else _key_of(column)]
    if field and (unit := unit_of(field)):
        meaning.append(f"Unit: {unit}.")
    if column.primary_key:
        meaning.insert(0, "**Key.**")
    types = [code(column.type.compile(dialect=dialect)) for dialect in _DIALECTS]
    return [code(column.name), *types, " ".join(filter(None, meaning))]


def _key_of(column: Column[Any]) -> str:
    return "Account that it belongs to." if column.name == "account_id" else ""
