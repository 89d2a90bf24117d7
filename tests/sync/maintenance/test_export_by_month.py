"""Export in folders by month, and of views."""

import csv
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pinwheel_async import ConfigurationError, Pinwheel, RequestError, SinkError
from pinwheel_async.models import Earning, Paystub
from pinwheel_async.sync import METADATA, Batch, SqlSink, export, sync
from pinwheel_async.sync._files.atomic import AtomicFiles
from pinwheel_async.sync._maintenance.export import MONTHS
from pinwheel_async.sync._views.definitions import VIEWS

DIVIDED = {
    "paystubs",
    *(f"paystub_{lines}" for lines in ("taxes", "deductions", "earnings", "time_off")),
    *("shifts", "shift_timestamps", "shift_earnings"),
}
NO_MONTH = "__HIVE_DEFAULT_PARTITION__"


def paystub(number: int, day: date | None) -> Paystub:
    """Make a paystub with a line."""
    fields: dict[str, Any] = {"currency": "USD", "pay_date": day, "account_id": "a", "earnings": (line(number),)}
    fields |= {"created_at": datetime(2026, 1, 1, tzinfo=UTC)}
    fields |= dict.fromkeys((f"{name}_amount" for name in ("gross_pay", "net_pay", "check")), number)
    fields |= dict.fromkeys((f"total_{name}" for name in ("taxes", "deductions", "reimbursements")), number)
    fields |= dict.fromkeys(("taxes", "deductions", "time_off"), ())
    return Paystub(id=f"{number:06}", **fields)


def line(number: int) -> Earning:
    return Earning(name="n", category="hourly", amount=number)


async def store(database: str, *days: date | None) -> None:
    """Make a copy with a paystub for each day."""
    sink = SqlSink(database)
    await sink.open()
    items = tuple(paystub(number, day) for number, day in enumerate(days))
    await sink.write(Batch(kind="paystubs", account_id="a", items=items))
    await sink.close(complete=True)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def rows_in(path: Path) -> list[tuple[Any, ...]]:
    """Read files with the reader that has never seen them; their columns and the month, if there is one."""
    found = duckdb.sql(f"FROM read_parquet('{path}/*/*.parquet', hive_partitioning=true)")
    return found.fetchall()


async def test_files_by_month(pinwheel: Pinwheel, database: str, tmp_path: Path):
    """Paystubs, shifts and their lines are a file for each month; together they hold what one file held."""
    await sync(pinwheel, SqlSink(database))
    whole = await export(database, tmp_path / "whole")

    counts = await export(database, tmp_path / "months", partition_by="month")

    assert whole == counts
    single = {f"{name}.parquet" for name in counts if name not in DIVIDED}
    assert single == {path.name for path in (tmp_path / "months").iterdir() if path.is_file()}
    days = {}
    for name in sorted(DIVIDED, reverse=True):  # objects before their lines
        table = pq.read_table(tmp_path / "months" / name)
        expected = pq.read_table(tmp_path / "whole" / f"{name}.parquet")
        assert table.column_names == [*expected.column_names, "month"]
        assert table.drop_columns("month").schema == expected.schema
        found = [*map(tuple, map(dict.values, table.to_pylist()))]
        assert sorted(repr(row[:-1]) for row in found) == sorted(repr((*row.values(),)) for row in expected.to_pylist())
        assert len(found) == len(rows_in(tmp_path / "months" / name)) == counts[name]
        if name in {"paystubs", "shifts"}:
            day = table.column_names.index(MONTHS[name])
            days |= {row[:2]: row[day] for row in found}
    for name in DIVIDED:
        for row in pq.read_table(tmp_path / "months" / name).to_pylist():
            values = [*row.values()]
            assert values[-1] == days[tuple(values[:2])].isoformat()[:7]


async def test_lines_that_belong_to_no_month(database: str, tmp_path: Path):
    """An object without a day, and its lines, are in the month that readers take for null."""
    await store(database, date(2026, 1, 31), None, date(2026, 2, 1))

    await export(database, tmp_path, tables=["paystubs", "paystub_earnings"], partition_by="month")

    for name in ("paystubs", "paystub_earnings"):
        months = {f"{name}/month={month}/{name}.parquet" for month in ("2026-01", "2026-02", NO_MONTH)}
        assert months == {file for file in files_in(tmp_path) if file.startswith(f"{name}/")}
        assert {row[-1] for row in rows_in(tmp_path / name)} == {"2026-01", "2026-02", None}


async def test_csv_by_month(database: str, tmp_path: Path):
    """CSV is divided in the same way, each file with its line of names, and without a column for the order."""
    await store(database, date(2026, 1, 31), date(2026, 2, 1))

    await export(database, tmp_path, format="csv", tables=["paystubs"], partition_by="month")

    for month, number in (("2026-01", 0), ("2026-02", 1)):
        with (tmp_path / "paystubs" / f"month={month}" / "paystubs.csv").open(newline="", encoding="utf-8") as file:
            names, row = csv.reader(file)
        assert names == [*METADATA.tables["paystubs"].columns.keys()]
        assert row[names.index("id")] == f"{number:06}"


async def test_no_rows(database: str, tmp_path: Path):
    """A table without rows is a file without rows, so that readers find its columns."""
    out = tmp_path / "out"
    await store(database)

    await export(database, out, tables=["paystubs"], partition_by="month")

    assert files_in(out) == {f"paystubs/month={NO_MONTH}/paystubs.parquet"}
    assert rows_in(out / "paystubs") == []


async def test_months_that_are_gone(database: str, tmp_path: Path):
    """Files of months that are not there any more are removed with the replacement; other files stay."""
    out = tmp_path / "out"
    await store(database, date(2026, 1, 31), date(2026, 2, 1))
    await export(database, out, tables=["paystubs"], partition_by="month")
    (out / "paystubs" / "month=2026-01" / "notes.txt").write_text("mine")
    (out / "paystubs.month=2026-01.paystubs.parquet.partial").write_text("of a run that was killed")
    changed = datetime.now(UTC)
    sink = SqlSink(database)
    await sink.open()
    await sink.write(Batch(kind="paystubs", account_id="a", items=(paystub(2, date(2026, 3, 1)),)))
    await sink.close(complete=True)

    counts = await export(database, out, tables=["paystubs"], partition_by="month", changed_since=changed)

    assert counts == {"paystubs": 1}
    assert files_in(out) == {"paystubs/month=2026-01/notes.txt", "paystubs/month=2026-03/paystubs.parquet"}
    assert not (out / "paystubs" / "month=2026-02").exists()


async def test_lines_of_what_changed_by_month(database: str, tmp_path: Path):
    """Of what changed since a moment, lines go with their objects, in months, too."""
    await store(database, date(2026, 1, 31))
    changed = datetime.now(UTC) + timedelta(days=1)

    tables = ["paystubs", "paystub_earnings"]
    old = await export(database, tmp_path, tables=tables, partition_by="month", changed_since=changed)
    new = await export(
        database, tmp_path, tables=tables, partition_by="month", changed_since=changed - timedelta(days=2)
    )

    assert (old, new) == (dict.fromkeys(tables, 0), dict.fromkeys(tables, 1))


async def test_one_file_at_a_time(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """However many months there are, one file is open: descriptors are few."""
    first = date(1990, 1, 1)
    await store(database, *[first + timedelta(days=31 * number) for number in range(100)])
    file, opened = AtomicFiles.file, list[int]()

    def note(self: AtomicFiles, name: str) -> Any:
        found = file(self, name)
        opened.append(len(self._files))
        return found

    monkeypatch.setattr(AtomicFiles, "file", note)
    await export(database, tmp_path, tables=["paystubs", "paystub_earnings"], partition_by="month")

    assert [1] * 200 == opened


async def test_a_failure_replaces_no_month(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """If a later table cannot be written, no month of an earlier one is replaced, and readers meet no half file."""
    await store(database, date(2026, 1, 31))
    await export(database, tmp_path, tables=["paystubs"], partition_by="month")
    before = files_in(tmp_path / "paystubs")
    await store(database, date(2026, 2, 1))
    file = AtomicFiles.file

    def fail(self: AtomicFiles, name: str) -> Any:
        if name.startswith("shifts"):
            raise OSError(28, "made up")
        return file(self, name)

    monkeypatch.setattr(AtomicFiles, "file", fail)
    with pytest.raises(SinkError, match="ENOSPC"):
        await export(database, tmp_path, tables=["paystubs", "shifts"], partition_by="month")

    assert before == files_in(tmp_path / "paystubs")
    assert rows_in(tmp_path / "paystubs")[0][-1] == "2026-01"


async def test_another_division(database: str, tmp_path: Path):
    """What tables can be divided by is checked before anything is read."""
    wrong: Callable[..., Any] = export

    with pytest.raises(ConfigurationError, match="partition_by must be month"):
        await wrong(database, tmp_path, partition_by="week")


async def test_views(pinwheel: Pinwheel, database: str, engine: AsyncEngine, tmp_path: Path):
    """Views are exported if they are named, with their types, and by month if they have a day."""
    await sync(pinwheel, SqlSink(database))

    counts = await export(database, tmp_path, tables=[*VIEWS.tables], partition_by="month")

    async with engine.connect() as connection:
        for name, count in counts.items():
            found = await connection.scalar(text(f"SELECT count(*) FROM {name}"))  # noqa: S608  # our own names
            assert (found, count) == (count, found)
    assert set(counts) == {*VIEWS.tables}
    assert "paystub_details.parquet" not in files_in(tmp_path)
    assert not {*MONTHS} - {*DIVIDED, "paystub_details"}
    schema = pq.read_schema(tmp_path / "monthly_income.parquet")
    assert [str(schema.field(name).type) for name in ("month", "net_pay_amount")] == ["date32[day]", "int64"]
    assert not set(await export(database, tmp_path / "default", format="csv")) & {*VIEWS.tables}


async def test_views_of_what_changed(pinwheel: Pinwheel, database: str, tmp_path: Path):
    """A view that says when its rows changed gives what changed; one of sums is refused, before anything is read."""
    await sync(pinwheel, SqlSink(database))
    later = datetime.now(UTC) + timedelta(days=1)

    counts = await export(database, tmp_path, tables=["paystub_details", "latest_employments"], changed_since=later)
    with pytest.raises(RequestError, match="changed_since must be left out for monthly_income"):
        await export(database, tmp_path, tables=["monthly_income"], changed_since=later)

    assert counts == {"paystub_details": 0, "latest_employments": 0}


async def test_views_that_are_not_there(database: str, engine: AsyncEngine, tmp_path: Path):
    """In a copy of an earlier version, which has no views, tables are exported, and a view is refused with the cure."""
    await store(database, date(2026, 1, 31))
    async with engine.begin() as connection:
        await connection.execute(text("DROP VIEW paystub_details"))

    assert await export(database, tmp_path, tables=["paystubs"]) == {"paystubs": 1}
    with pytest.raises(SinkError, match="a sync brings them up to date"):
        await export(database, tmp_path, tables=["paystub_details"])
