"""Tables of a copy, written into files."""

import csv
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import ConfigurationError, Pinwheel, RequestError, SinkError
from pinwheel_async.models import Account, AccountDataRefreshedAt, AccountDataUpdatedAt, Paystub, Tax
from pinwheel_async.sync import Batch, SqlSink, export, sync
from pinwheel_async.sync._files.atomic import AtomicFiles
from pinwheel_async.sync._sql.tables import STORED

MOMENT = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC)
TABLES = {table.name for stored in STORED.values() for table in (stored.table, *[part.table for part in stored.parts])}


def account(**values: Any) -> Account:
    """Make an account."""
    fields: dict[str, Any] = {
        "id": "a",
        "created_at": MOMENT,
        "platform_id": "p",
        "connected": True,
        "monitoring_status": "active",
        "data_updated_at": AccountDataUpdatedAt(),
        "data_refreshed_at": AccountDataRefreshedAt(),
    }
    return Account(**fields | values)


def paystub(number: int) -> Paystub:
    """Make a paystub."""
    amounts = ("gross_pay", "net_pay", "check")
    fields: dict[str, Any] = {"currency": "USD", "pay_date": date(2026, 1, 2), "created_at": MOMENT, "account_id": "a"}
    fields |= {f"{name}_amount": number for name in amounts}
    fields |= {f"total_{name}": number for name in ("taxes", "deductions", "reimbursements")}
    fields |= dict.fromkeys(("taxes", "deductions", "earnings", "time_off"), ())
    return Paystub(id=f"{number:06}", **fields)


async def store(url: str, *batches: Batch) -> None:
    sink = SqlSink(url)
    await sink.open()
    for batch in batches:
        await sink.write(batch)
    await sink.close(complete=True)


def accounts(*items: Account) -> Batch:
    return Batch(kind="accounts", account_id=None, items=items)


def paystubs(*numbers: int) -> Batch:
    return Batch(kind="paystubs", account_id="a", items=tuple(map(paystub, numbers)))


@pytest.fixture
async def copy(pinwheel: Pinwheel, url: str) -> AsyncIterator[sqlite3.Connection]:
    """A copy of a workspace, opened."""
    await sync(pinwheel, SqlSink(url))
    with closing(sqlite3.connect(url.partition("///")[2])) as connection:
        yield connection


async def test_parquet_holds_every_table(copy: sqlite3.Connection, url: str, tmp_path: Path):
    """Each table of data is a Parquet file with all of its columns and rows, values unchanged, in order of the keys."""
    counts = await export(url, tmp_path / "out")

    assert TABLES == counts.keys() == {path.stem for path in (tmp_path / "out").iterdir()}
    for name, count in counts.items():
        table = pq.read_table(tmp_path / "out" / f"{name}.parquet")
        cursor = copy.execute(f"SELECT * FROM {name}")  # noqa: S608  # names of our tables
        columns = [column[0] for column in cursor.description]
        keys = [column[1] for column in copy.execute(f"PRAGMA table_info({name})") if column[5]]
        found = [dict(zip(columns, row, strict=True)) for row in cursor]
        found.sort(key=lambda row: [row[key] for key in keys])
        assert columns == table.column_names
        assert (len(found), found) == (count, [*map(as_stored, table.to_pylist())])


def as_stored(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as SQLite keeps it."""
    return {name: _as_stored(value) for name, value in row.items()}


def _as_stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else value


async def test_types(copy: sqlite3.Connection, url: str, tmp_path: Path):
    """Parquet has whole numbers for amounts, days, and moments in UTC."""
    await export(url, tmp_path, tables=["paystubs", "accounts"])

    schema = pq.read_schema(tmp_path / "paystubs.parquet")
    assert pa.int64() == schema.field("net_pay_amount").type
    assert pa.date32() == schema.field("pay_date").type
    assert pa.timestamp("us", tz="UTC") == schema.field("created_at").type
    assert pa.bool_() == pq.read_schema(tmp_path / "accounts.parquet").field("connected").type


async def test_csv(url: str, tmp_path: Path):
    """CSV is as in RFC 4180, with ISO dates, nothing for null, JSON as text, and values unchanged."""
    strange = 'a "b", c\r\nd'
    await store(url, accounts(account(platform_id=strange, end_user_id="", link_token_id="=1+1", tags={"é": [1]})))

    await export(url, tmp_path, format="csv", tables=["accounts"])

    text = (tmp_path / "accounts.csv").read_bytes().decode()
    with (tmp_path / "accounts.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert text.endswith("\r\n")
    assert ("a", strange, "=1+1", "true") == (row["id"], row["platform_id"], row["link_token_id"], row["connected"])
    assert MOMENT == datetime.fromisoformat(row["created_at"])
    assert {"é": [1]} == json.loads(row["tags"])
    assert dict(zip(text.partition("\r\n")[0].split(","), row, strict=True)).keys() == row.keys()


async def test_csv_tells_null_from_empty(url: str, tmp_path: Path):
    """In CSV null is nothing, and an empty text is a pair of quotation marks."""
    await store(url, accounts(account(end_user_id="", link_token_id=None)))

    await export(url, tmp_path, format="csv", tables=["accounts"])

    names, _, values = (tmp_path / "accounts.csv").read_text().partition("\n")
    at = names.split(",").index("end_user_id")
    assert ("end_user_id", "link_token_id") == (names.split(",")[at], names.split(",")[at - 1])
    assert ',,"",' in values


async def test_both_formats_say_the_same(copy: sqlite3.Connection, url: str, tmp_path: Path):
    """CSV and Parquet have the same columns and numbers of rows."""
    counts = await export(url, tmp_path, format="csv")

    assert counts == await export(url, tmp_path, format="parquet")
    for name in counts:
        with (tmp_path / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            lines = [*csv.reader(file)]
        table = pq.read_table(tmp_path / f"{name}.parquet")
        assert (table.column_names, table.num_rows) == (lines[0], len(lines) - 1)


async def test_one_moment_of_all_tables(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is written to the database while it is exported is in no file, whichever comes later."""
    await store(database, accounts(account()), paystubs(1))
    real = AtomicFiles.run
    begun: list[bool] = []

    async def interrupted(files: AtomicFiles, work: Any) -> Any:
        if begun:  # after the first table was begun
            await store(database, accounts(account(id="later")), paystubs(1, 2))
        begun.append(True)
        return await real(files, work)

    monkeypatch.setattr(AtomicFiles, "run", interrupted)
    counts = await export(database, tmp_path / "out", format="csv", tables=["accounts", "paystubs"])

    assert {"accounts": 1, "paystubs": 1} == counts
    monkeypatch.undo()
    assert {"accounts": 2, "paystubs": 2} == await export(database, tmp_path, tables=["accounts", "paystubs"])


async def test_both_databases_give_the_same_files(pinwheel: Pinwheel, url: str, postgres: str, tmp_path: Path):
    """PostgreSQL and SQLite give files with the same columns, types and values, but for when they were written."""
    for database, name in ((url, "a"), (postgres, "b")):
        await sync(pinwheel, SqlSink(database))
        await export(database, tmp_path / name)
        await export(database, tmp_path / name, format="csv")

    for name in TABLES:
        first, other = (pq.read_table(tmp_path / folder / f"{name}.parquet") for folder in "ab")
        assert first.schema == other.schema
        assert [*map(plain, first.to_pylist())] == [*map(plain, other.to_pylist())]
        lines, others = ([*lines_of(tmp_path / folder / f"{name}.csv")] for folder in "ab")
        assert lines == others


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without when it was written, and with its JSON as values, which PostgreSQL orders."""
    own = {"first_seen_at", "changed_at"}
    return {name: json.loads(value) if is_json(value) else value for name, value in row.items() if name not in own}


def lines_of(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [plain(row) for row in csv.DictReader(file)]


def is_json(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in {"{", "["}


async def test_rows_come_in_chunks(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A long table is written a thousand rows at a time, so it takes no more memory than a short one."""
    await store(url, *[paystubs(*range(first, first + 100)) for first in range(0, 2_500, 100)])
    seen: list[int] = []
    from pinwheel_async.sync._maintenance.export import CsvFile

    real = CsvFile.write

    def count(file: CsvFile, rows: Any) -> None:
        seen.append(len(rows))
        real(file, rows)

    monkeypatch.setattr(CsvFile, "write", count)
    await export(url, tmp_path, format="csv", tables=["paystubs"])

    assert [1, 1_000, 1_000, 500] == seen


async def test_a_failure_replaces_nothing(url: str, tmp_path: Path):
    """If a file cannot be written, all earlier files stay as they are."""
    await store(url, accounts(account()), paystubs(1))
    out = tmp_path / "out"
    await export(url, out, format="csv")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    await store(url, accounts(account(id="b")))
    (out / "paystubs.csv.partial").symlink_to("/dev/full")

    with pytest.raises(SinkError, match="ENOSPC"):
        await export(url, out, format="csv")

    assert before == {name: (out / name).read_bytes() for name in before}


async def test_new_files_belong_to_their_owner(url: str, tmp_path: Path):
    """New files can be read by their owner only, and no part is left."""
    await store(url, accounts(account()))

    await export(url, tmp_path / "out")

    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert not [*(tmp_path / "out").glob("*.partial")]


async def test_some_tables(url: str, tmp_path: Path):
    """Only the tables that are named are written."""
    await store(url, accounts(account()))

    counts = await export(url, tmp_path / "out", format="csv", tables=["accounts"])

    assert ({"accounts": 1}, ["accounts.csv"]) == (counts, [path.name for path in (tmp_path / "out").iterdir()])


async def test_an_engine_of_your_own(url: str, tmp_path: Path):
    """An engine is used, and stays open."""
    await store(url, accounts(account()))
    engine = create_async_engine(url, hide_parameters=True)

    counts = await export(engine, tmp_path / "out", tables=["accounts"])

    async with engine.connect() as connection:
        assert await connection.exec_driver_sql("SELECT 1")
    await engine.dispose()
    assert {"accounts": 1} == counts


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"format": "xml"}, "format must be one of parquet, csv"),
        ({"tables": ["payslips"]}, "there is no table payslips; tables are accounts, identities, "),
    ],
)
async def test_wrong_arguments(url: str, tmp_path: Path, arguments, problem):
    """A format or a table that does not exist is a ConfigurationError that names what there is."""
    await store(url, accounts(account()))

    with pytest.raises(ConfigurationError, match=problem):
        await export(url, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


async def test_no_database(url: str, tmp_path: Path):
    """A database that is not there is a ConfigurationError, and is not made."""
    with pytest.raises(ConfigurationError, match="there is no copy here"):
        await export(url, tmp_path / "out")

    assert not [*tmp_path.iterdir()]


async def test_no_database_of_ours(tmp_path: Path):
    """A file that is no database is a SinkError with the name of the trouble."""
    (tmp_path / "other.db").write_bytes(b"no database" * 100)

    with pytest.raises(SinkError, match="SQLITE_NOTADB"):
        await export(f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "out")


async def test_trouble_of_the_database_shows_no_values(url: str, tmp_path: Path):
    """A database that cannot be read is a SinkError without what the driver said, and replaces nothing."""
    await store(url, accounts(account()), paystubs(1))
    await export(url, tmp_path / "out", tables=["paystubs"])
    before = (tmp_path / "out" / "paystubs.parquet").read_bytes()
    with closing(sqlite3.connect(url.partition("///")[2])) as connection:
        connection.execute("UPDATE paystubs SET created_at = 'planted'")
        connection.commit()

    with pytest.raises(SinkError) as caught:
        await export(url, tmp_path / "out", tables=["paystubs"])

    assert re.fullmatch(r"the database cannot be read \(.+\): ValueError", str(caught.value))
    assert before == (tmp_path / "out" / "paystubs.parquet").read_bytes()
    assert caught.value.__context__ is caught.value.__cause__ is None


async def test_what_changed_since(database: str, tmp_path: Path):
    """With a moment, only objects that are new or changed since then are exported, with all their lines."""
    tax = Tax(name="tax", category="other", amount=1)
    same, changed, new = (attrs.evolve(paystub(number), taxes=(tax, tax)) for number in range(3))
    await store(database, accounts(account()), attrs.evolve(paystubs(), items=(same, changed)))
    moment = datetime.now(UTC)
    changed = attrs.evolve(changed, taxes=(tax, attrs.evolve(tax, amount=2)))
    await store(database, accounts(account()), attrs.evolve(paystubs(), items=(same, changed, new)))

    counts = await export(database, tmp_path, format="csv", changed_since=moment)

    assert [changed.id, new.id] == [row["id"] for row in lines_of(tmp_path / "paystubs.csv")]
    assert [changed.id, changed.id, new.id, new.id] == [
        row["paystub_id"] for row in lines_of(tmp_path / "paystub_taxes.csv")
    ]
    assert counts["accounts"] == 0


async def test_a_moment_without_a_zone(url: str, tmp_path: Path):
    """A moment has to be aware."""
    with pytest.raises(RequestError, match="aware"):
        await export(url, tmp_path, changed_since=datetime(2026, 1, 1))  # noqa: DTZ001
