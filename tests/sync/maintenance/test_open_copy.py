"""Reading a copy: no table is made, nothing is locked, and no right to write is needed."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import ConfigurationError, SinkError
from pinwheel_async.sync import SqlSink, export, purge, status
from pinwheel_async.sync._maintenance.open_copy import Copy

_TABLES = {
    "sqlite": "SELECT count(*) FROM sqlite_master",
    "postgresql": "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
}


async def make_copy(place: Any, **options: Any) -> None:
    sink = SqlSink(place, **options)
    await sink.open()
    await sink.close(complete=True)


async def execute(url: str, *statements: str) -> Any:
    """Run statements; return the first value of the last one."""
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    try:
        async with engine.begin() as connection:
            for statement in statements:
                found = await connection.execute(text(statement))
            return found.scalar() if found.returns_rows else None
    finally:
        await engine.dispose()


@pytest.mark.parametrize("database", ["sqlite", "empty-postgresql"], indirect=True)
async def test_an_empty_database(database: str, tmp_path: Path):
    """What reads a database without a copy says so, and makes no table."""
    count = _TABLES[database.partition(":")[0].partition("+")[0]]
    assert await execute(database, count) == 0

    for asked in (status(database), export(database, tmp_path / "out"), purge(database, account_id="a")):
        with pytest.raises(ConfigurationError, match="there is no copy here"):
            await asked

    assert await execute(database, count) == 0


async def test_an_earlier_version(database: str):
    """What reads a copy that lacks a column says that a sync adds it, and does not add it itself."""
    await make_copy(database)
    await execute(database, "ALTER TABLE incomes DROP COLUMN pay_frequency")

    with pytest.raises(SinkError, match="a sync brings them up to date"):
        await status(database)

    await make_copy(database)
    assert (await status(database)).accounts == 0


async def test_a_role_that_may_only_read(postgres: str, tmp_path: Path):
    """On PostgreSQL the right to read is enough."""
    await make_copy(postgres)
    role = f"pinwheel_async_reader_{os.getpid()}"
    name = postgres.rpartition("/")[2]
    await execute(
        postgres,
        f"CREATE ROLE {role} LOGIN PASSWORD 'made-up'",
        f"GRANT CONNECT ON DATABASE {name} TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
    )
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    reader = str(engine.url.set(username=role, password="made-up").render_as_string(hide_password=False))
    await engine.dispose()

    try:
        assert (await status(reader)).accounts == 0
        assert "accounts" in await export(reader, tmp_path / "out", format="csv")
    finally:
        await execute(
            postgres,
            f"REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {role}",  # noqa: S608  # a name of our own
            f"REVOKE CONNECT ON DATABASE {name} FROM {role}",
            f"DROP ROLE {role}",
        )


async def test_a_uri_that_allows_reading_only(url: str):
    """A SQLite file can be read by a URI that allows nothing else."""
    await make_copy(url)
    path = url.partition("///")[2]

    assert (await status(f"sqlite:///file:{path}?mode=ro&uri=true")).accounts == 0
    with pytest.raises(ConfigurationError, match="there is no copy here"):
        await status(f"sqlite:///file:{path}-nowhere?mode=ro&uri=true")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user without rights, where the tests are run by one who has all of them."""
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that everybody may look into: those above pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o755, 0o555], ids=["file", "folder"])
async def test_what_cannot_be_written(shelf: Path, mode: int):
    """A SQLite file that may only be read can be read, also in a folder where nothing can be made."""
    path = shelf / "pay 100%.db"
    await make_copy(f"sqlite:///{path}")
    assert (await status(f"sqlite:///{path}")).accounts == 0  # and all modules are imported
    path.chmod(0o444)
    shelf.chmod(mode)

    with as_nobody():
        assert (await status(f"sqlite:///{path}")).accounts == 0

    assert [path.name] == [found.name for found in shelf.iterdir()]


async def test_a_write_meanwhile(shelf: Path):
    """A file that cannot be locked and is written while it is read is no answer."""
    path = shelf / "payroll.db"
    await make_copy(f"sqlite:///{path}")

    async def write(connection: Any) -> None:
        if os.getuid() == 0:
            os.seteuid(0)
        shelf.chmod(0o755)
        path.chmod(0o644)
        connection = sqlite3.connect(path)
        connection.execute("UPDATE pinwheel_schema SET version = version")
        connection.commit()
        connection.close()

    await status(f"sqlite:///{path}")
    path.chmod(0o444)
    shelf.chmod(0o555)
    with as_nobody(), pytest.raises(SinkError, match="it was written meanwhile"):
        await Copy(f"sqlite:///{path}", None, "").read(write)
