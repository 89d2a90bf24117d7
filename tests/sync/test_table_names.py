"""A copy whose tables have a schema or a prefix, beside tables of an application that have the names without."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pinwheel_async import ConfigurationError, Pinwheel
from pinwheel_async.sync import METADATA, Announcement, Mirror, SqlSink, export, purge, status, sync
from pinwheel_async.sync._sql.writer_process import WriterProcess
from pinwheel_async.sync._views.definitions import VIEWS
from pinwheel_async.testing import FakePinwheel

NAMES = [
    pytest.param("sqlite", {"prefix": "pw_"}, id="sqlite-prefix"),
    pytest.param("postgresql", {"prefix": "pw_"}, id="postgresql-prefix"),
    pytest.param("postgresql", {"schema": "pinwheel"}, id="postgresql-schema"),
    pytest.param("postgresql", {"schema": "user", "prefix": "table_"}, id="postgresql-both"),
]
"""Databases, and what tables are called there; the last has a word of SQL's own."""

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(request: pytest.FixtureRequest, kind: str) -> str:
    """The URL of a database of a kind."""
    return request.getfixturevalue("url" if kind == "sqlite" else "postgres")


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """A connection to the database, where an application has tables with all names of ours."""
    opened = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    async with opened.begin() as connection:
        for name in (*METADATA.tables, *VIEWS.tables):
            await connection.execute(text(f"CREATE TABLE {name} (email text)"))
            await connection.execute(text(f"INSERT INTO {name} VALUES ('made@up.example')"))  # noqa: S608  # our own names
    yield opened
    async with opened.connect() as connection:
        for name in (*METADATA.tables, *VIEWS.tables):
            rows = [tuple(row) for row in await connection.execute(text(f"SELECT * FROM {name}"))]  # noqa: S608
            assert rows == [("made@up.example",)]
    await opened.dispose()


async def counts(engine: AsyncEngine, sink: SqlSink) -> dict[str, int]:
    """Count the rows of every table of a copy."""
    async with engine.connect() as connection:
        return {
            table.name: await connection.scalar(select(func.count()).select_from(table)) or 0
            for table in sink.metadata.sorted_tables
        }


@pytest.mark.parametrize(("kind", "names"), NAMES)
async def test_a_copy_with_names_of_its_own(
    fake: FakePinwheel, pinwheel: Pinwheel, database: str, engine: AsyncEngine, names: Any, tmp_path: Path
):
    """Everything that makes, reads and clears a copy finds its tables by their names, and no other tables."""
    sink = SqlSink(database, **names)
    report = await sync(pinwheel, sink)
    again = await sync(pinwheel, SqlSink(engine, **names))

    assert (again.ok, again.items) == (True, 0)
    found = await status(database, **names)
    assert (found.ok, found.accounts) == (True, 12)
    assert sum(product.objects for product in found.products.values()) == report.items
    exported = await export(engine, tmp_path / "out", format="csv", **names)
    stored = await counts(engine, sink)
    prefix = names.get("prefix", "")
    assert exported == {name: stored[prefix + name] for name in exported}
    async with engine.connect() as connection:
        view = f'"{names["schema"]}".{prefix}paystub_details' if "schema" in names else f"{prefix}paystub_details"
        rows = await connection.scalar(text(f"SELECT count(*) FROM {view}"))  # noqa: S608  # our own names
        assert rows == stored[f"{prefix}paystubs"]
    assert await purge(database, before=date(2100, 1, 1), **names)
    account_id = fake.world.account_id(0)
    erasure = await purge(database, account_id=account_id, **names)
    assert (erasure.removed["accounts"], erasure.removed["incomes"]) == (1, 1)
    left = await counts(engine, sink)
    assert (left[f"{prefix}accounts"], left[f"{prefix}paystubs"], left[f"{prefix}paystub_taxes"]) == (11, 0, 0)


@pytest.mark.parametrize(("kind", "names"), NAMES)
async def test_a_mirror_with_names_of_its_own(pinwheel: Pinwheel, database: str, engine: AsyncEngine, names: Any):
    """A mirror keeps and reads announcements in the tables of its names."""
    sink = SqlSink(database, **names)
    async with Mirror(pinwheel, sink) as mirror:
        announced = Announcement(
            event_id="e",
            event="shifts.added",
            account_id="a",
            product="shifts",
            announced_at=NOW,
            received_at=NOW,
            added=("s",),
        )
        await sink.announce(announced)
        assert (await mirror.completeness("a"))["shifts"].missing == ("s",)
        found = await mirror.reconcile()

    assert found.accounts == 12
    assert [completeness.account_id for completeness in found.incomplete] == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="needs a socket to another process")
@pytest.mark.parametrize(("kind", "names"), NAMES)
async def test_a_writer_process_with_names_of_its_own(
    pinwheel: Pinwheel, database: str, engine: AsyncEngine, names: Any, monkeypatch: pytest.MonkeyPatch
):
    """The writer process writes into the tables of the same names."""
    monkeypatch.setattr("pinwheel_async.sync._sql.writer_process.PAGES_BEFORE_START", 0)
    write, written = WriterProcess.write, list[bool]()

    async def note(self: WriterProcess, batch: Any) -> bool:
        written.append(await write(self, batch))
        return written[-1]

    monkeypatch.setattr(WriterProcess, "write", note)
    async with asyncio.timeout(60):
        while True not in written:  # the process takes a moment to start
            await sync(pinwheel, SqlSink(database, writer_process=True, **names), changed_only=False)

    assert (await status(database, **names)).ok


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("names", [{"prefix": "Pw_"}, {"prefix": 'p"'}, {"prefix": "p" * 31}, {"schema": "a.b"}])
def test_names_that_cannot_be(database: str, names: Any):
    """A schema or prefix that would mean something else in quotation marks is refused, and not repeated."""
    with pytest.raises(ConfigurationError, match="must be at most") as caught:
        SqlSink("postgresql://host/name", **names)

    assert not any(repr(name) in str(caught.value) for name in names.values())


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_sqlite_has_no_schemas(database: str):
    """A schema is refused on SQLite, with the reason."""
    with pytest.raises(ConfigurationError, match="SQLite has none"):
        SqlSink(database, schema="pinwheel")
    with pytest.raises(ConfigurationError, match="SQLite has none"):
        await status(database, schema="pinwheel")


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_an_engine_that_translates_schemas(database: str):
    """An engine that puts other schemas in the place of ours is refused: what is not SQLAlchemy's would miss it."""
    engine = create_async_engine(
        database.replace("postgresql:", "postgresql+asyncpg:"), execution_options={"schema_translate_map": {None: "x"}}
    )

    with pytest.raises(ConfigurationError, match="schema_translate_map"):
        SqlSink(engine)
    with pytest.raises(ConfigurationError, match="schema_translate_map"):
        await status(engine)
    await engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_two_copies_in_a_database(pinwheel: Pinwheel, fake: FakePinwheel, database: str):
    """Copies under two names know nothing of each other."""
    await sync(pinwheel, SqlSink(database, prefix="a_"))
    await sync(pinwheel, SqlSink(database, schema="b"), accounts=[fake.world.account_id(0)])
    await sync(pinwheel, SqlSink(database, prefix="c_"), accounts=[])

    names: tuple[Any, ...] = ({"prefix": "a_"}, {"schema": "b"}, {"prefix": "c_"})
    assert [(await status(database, **name)).accounts for name in names] == [12, 1, 0]
    with pytest.raises(ConfigurationError, match="there is no copy here"):
        await status(database)
