"""URLs of PostgreSQL as hosters hand them out: what their parameters mean, and poolers behind them."""

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import ConfigurationError, Pinwheel, SinkError
from pinwheel_async._postgres.parameters import WITHOUT_NAMES
from pinwheel_async.sync import Batch, Mirror, SqlSink, export, purge, status, sync
from pinwheel_async.sync._sql import database
from pinwheel_async.sync._sql.postgres_url import connect_arguments
from pinwheel_async.testing import make_income


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ("", {}),
        ("sslmode=require", {"dsn": "postgresql://?sslmode=require"}),
        (
            "sslmode=verify-full&sslrootcert=/etc/my+ca.pem&channel_binding=prefer",
            {"dsn": "postgresql://?sslmode=verify-full&sslrootcert=%2Fetc%2Fmy+ca.pem"},
        ),
        ("target_session_attrs=read-write", {"dsn": "postgresql://?target_session_attrs=read-write"}),
        (
            "application_name=loans&options=-csearch_path%3Dpayroll",
            {"server_settings": {"application_name": "loans", "options": "-csearch_path=payroll"}},
        ),
        ("connect_timeout=5", {"timeout": 5.0}),
        ("connect_timeout=0", {"timeout": None}),
        ("statement_cache_size=20", {"statement_cache_size": 20}),
        ("statement_cache_size=0", {**WITHOUT_NAMES}),
        ("pgbouncer=true", {**WITHOUT_NAMES}),
        ("pgbouncer=false&gssencmode=disable&client_encoding=UTF8", {}),
        ("ssl=require", {"ssl": "require"}),
    ],
)
def test_parameters(query: str, arguments: dict[str, Any]):
    """Parameters of libpq, and those for poolers, become what asyncpg understands, and leave the URL."""
    url, found = connect_arguments(make_url(f"postgresql+asyncpg://user:secret@host:5433/name?{query}"))

    assert found == arguments
    assert url.render_as_string(hide_password=False) == "postgresql+asyncpg://user:secret@host:5433/name"


def test_hosts_in_parameters():
    """Hosts may be parameters: a folder of sockets, or several servers."""
    url, arguments = connect_arguments(make_url("postgresql+asyncpg:///name?host=/run/postgresql"))

    assert (url.query, arguments) == ({"host": "/run/postgresql"}, {})


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("channel_binding=require", "channel_binding .*: asyncpg cannot do it: leave it out, and use sslmode=verify"),
        ("gssencmode=require", "gssencmode .*: asyncpg cannot do it"),
        ("sslmode=planted", "sslmode .*: it must be one of disable, allow"),
        ("target_session_attrs=planted", "target_session_attrs .*: it must be one of any"),
        ("connect_timeout=planted", "connect_timeout .*: it must be a whole number of seconds"),
        ("statement_cache_size=planted", "statement_cache_size .*: it must be a whole number"),
        ("pgbouncer=planted", "pgbouncer .*: it must be true or false"),
        ("keepalives=1", "keepalives .*: there is no such parameter, or asyncpg does not have it"),
        ("schema=planted", "schema .*: give the schema to the sink"),
        ("client_encoding=LATIN1", "client_encoding .*: asyncpg speaks UTF-8"),
        ("planted=1", r"\(another one\) .*: there is no such parameter"),
    ],
)
async def test_parameters_that_cannot_be(query: str, problem: str):
    """A parameter that asyncpg does not have, or cannot do, is refused by its name with the cure, never its value."""
    for use in (SqlSink, status):
        with pytest.raises(ConfigurationError, match=f"the parameter {problem}") as caught:
            await use(f"postgresql://host/name?{query}")  # type: ignore[misc]  # the first one raises at once

        assert "planted" not in str(caught.value)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_other_drivers(driver: str):
    """A URL for another driver is refused with the reason."""
    with pytest.raises(ConfigurationError, match=f"through asyncpg, not {driver}: write postgresql://"):
        SqlSink(f"postgresql+{driver}://user:planted@host/name")


async def test_parameters_reach_the_server(pinwheel: Pinwheel, postgres: str):
    """A sync works with the parameters of a URL, and the server is told of them."""
    url = f"{postgres}?sslmode=prefer&application_name=loans&connect_timeout=10&options=-cwork_mem%3D5MB"
    sink = SqlSink(url)
    await sink.open()
    assert sink._database is not None
    query = text("SELECT current_setting('application_name'), current_setting('work_mem')")
    assert await sink._database.run(lambda connection: tuple(connection.execute(query).one()), limit_s=60) == (
        "loans",
        "5MB",
    )
    await sink.close(complete=True)

    assert (await sync(pinwheel, SqlSink(url), products=["income"])).ok
    assert (await status(url)).ok


async def test_no_encryption_where_it_is_wanted(postgres: str):
    """A server that cannot encrypt is not talked to in clear text if the URL says so."""
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        encrypts = await connection.scalar(text("SHOW ssl")) == "on"
    await engine.dispose()

    certificates = f"&sslrootcert={__file__}"  # none of the server's
    with pytest.raises(SinkError):
        await SqlSink(f"{postgres}?sslmode={'verify-full' + certificates if encrypts else 'require'}").open()


@pytest.mark.parametrize("idle_s", [0, 60])
async def test_a_restart_of_the_server(
    postgres: str, idle_s: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The first call after the server ended all connections works: at once, or by patience just after another one."""
    monkeypatch.setattr(database, "_IDLE_S", idle_s)
    sink = SqlSink(postgres)
    await sink.open()
    await sink.write(Batch(kind="income", account_id="a", items=(make_income(id="i", account_id="a"),)))
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
        await connection.execute(text(f"{end} pg_backend_pid()"))
    await engine.dispose()

    assert await sink.held("a", "income") == {"i"}
    await sink.close(complete=True)
    assert bool(idle_s) == any(message.startswith("waiting for the database") for message in caplog.messages)


async def test_a_connection_that_is_used_often(postgres: str):
    """A connection is not tried before each use: what it sends is what is asked for."""
    sink = SqlSink(postgres)
    await sink.open()
    await sink.held("a", "income")
    with patch.object(asyncpg.Connection, "_get_statement", autospec=True, side_effect=AssertionError):
        await sink.held("a", "income")
    await sink.close(complete=True)


@pytest.mark.parametrize("option", ["engine", "execution_options"])
async def test_an_engine_without_transactions(postgres: str, option: str):
    """An engine in AUTOCOMMIT is refused with the reason, however it was put there, and no table is made."""
    place = postgres.replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(place, isolation_level="AUTOCOMMIT" if option == "engine" else None)
    if option != "engine":
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    with pytest.raises(ConfigurationError, match="must not be in AUTOCOMMIT: a page and its checkpoint"):
        await SqlSink(engine).open()

    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")) == 0
    await engine.dispose()


@pytest.mark.parametrize("parameter", ["pgbouncer=true", "statement_cache_size=0"])
async def test_pgbouncer_in_transaction_mode(
    pinwheel: Pinwheel, postgres: str, pgbouncer: Any, tmp_path: Path, parameter: str
):
    """Behind PgBouncer in transaction mode several syncs at once, a mirror, status, export and purge work."""
    async with pgbouncer(postgres) as pooled:
        url = f"{pooled}?{parameter}"
        reports = await asyncio.gather(
            *[sync(pinwheel, SqlSink(url), changed_only=False) for _ in range(3)],
        )
        assert all(report.ok for report in reports)
        async with Mirror(pinwheel, SqlSink(url)) as mirror:
            assert (await mirror.reconcile()).ok
        found = await asyncio.gather(*[status(url) for _ in range(4)])
        assert {(copy.ok, copy.accounts) for copy in found} == {(True, 12)}
        assert (await export(url, tmp_path / "out", format="csv"))["accounts"] == 12
        account_id = next(iter((await pinwheel.accounts.list(limit=1)).data)).id
        assert (await purge(url, account_id=account_id)).removed["accounts"] == 1


async def test_pgbouncer_without_the_parameter(pinwheel: Pinwheel, postgres: str, pgbouncer: Any):
    """Behind PgBouncer in transaction mode, an error of a URL that does not say so names the cure."""

    async def sync_often(url: str) -> None:
        for _ in range(20):
            await asyncio.gather(*[sync(pinwheel, SqlSink(url), changed_only=False) for _ in range(3)])

    async with pgbouncer(postgres) as pooled:
        with pytest.raises(SinkError, match="add pgbouncer=true to the URL"):
            await sync_often(pooled)
