"""What a database refuses costs what holds it, and what makes it wait costs time only."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import ConfigurationError, DecodeError, Pinwheel, SinkError
from pinwheel_async.models import Account
from pinwheel_async.sync import METADATA, Batch, Checkpoint, SqlSink, sync
from pinwheel_async.sync._sql import database as database_module, sink as sink_module
from pinwheel_async.sync._sql.refusals import meaning_of
from pinwheel_async.testing import FakePinwheel, Fault, make_account, make_identity, make_paystub

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LONG = "".join(map(chr, range(1_000, 10_000)))
"""9,000 characters of which none comes twice, since PostgreSQL compresses what is in an index."""


@pytest.fixture
async def latin(postgres: str) -> AsyncIterator[str]:
    """The URL of an empty database that keeps the characters of Western Europe only."""
    name = f"latin_{uuid4().hex}"
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    yield f"{postgres.rpartition('/')[0]}/{name}"
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    await engine.dispose()


@asynccontextmanager
async def opened(place: str, **options: Any) -> AsyncIterator[SqlSink]:
    sink = SqlSink(place, **options)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close(complete=True)


async def count(url: str, table: str) -> int:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        found = len([*await connection.execute(METADATA.tables[table].select())])
    await engine.dispose()
    return found


def page(kind: Any, account_id: str | None, *items: Any) -> Batch[Any]:
    checkpoint = None if kind == "accounts" else Checkpoint(begun_at=BEGAN, reached="complete", items=len(items))
    return Batch(kind=kind, account_id=account_id, items=items, checkpoint=checkpoint)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def account(seed: int, **fields: Any) -> Account:
    return make_account(seed, **fields)


async def outcome(sink: SqlSink, batch: Batch[Any]) -> Any:
    """Return what kept a page from being stored."""
    try:
        await sink.write(batch)
    except (DecodeError, SinkError) as error:
        return error
    return None


@pytest.mark.parametrize(
    ("odd", "place"),
    [
        ({"tags": {"note": 1e400}}, "data[1].tags (a value): no number that JSON knows"),
        ({"tags": {"note": [float("nan")]}}, "data[1].tags (a value)[0]: no number that JSON knows"),
        ({"id": LONG}, "data[1].id: too long"),
        ({"end_user_id": LONG}, "data[1].end_user_id: too long"),
    ],
)
async def test_values_that_postgresql_refuses(postgres: str, odd: Any, place: str):
    """A value that PostgreSQL refuses costs its page, and is named by its place."""
    async with opened(postgres) as sink:
        error = await outcome(sink, page("accounts", None, account(0), account(1, **odd), account(2)))

    assert type(error) is DecodeError
    assert error.paths == (place,)
    assert error.__cause__ is error.__context__ is None


async def test_a_character_that_the_database_lacks(latin: str):
    """A name that the encoding of the database cannot write costs its page, and is named by its place."""
    async with opened(latin) as sink:
        error = await outcome(sink, page("identity", "account", make_identity(0, full_name="Łukasz")))

    assert type(error) is DecodeError
    assert error.paths == ("data[0].full_name: a character that the database lacks",)


async def test_objects_that_are_nested_too_deeply(database: str):
    """Lists in lists that cannot be written cost their page."""
    async with opened(database) as sink:
        error = await outcome(sink, page("accounts", None, account(0, tags={"note": nested(100_000)})))

    assert type(error) is DecodeError


async def test_the_others_of_a_group(postgres: str):
    """Pages that are stored together with one that is refused are stored, each of them."""
    long = {"id": LONG}
    batches = [
        page("paystubs", f"account {number}", make_paystub(number, **(long if number in {7, 30} else {})))
        for number in range(40)
    ]
    async with opened(postgres) as sink:
        outcomes = await asyncio.gather(*[outcome(sink, batch) for batch in batches])

    assert [7, 30] == [number for number, error in enumerate(outcomes) if error is not None]
    assert await count(postgres, "paystubs") == 38


async def test_a_page_that_is_tried_leaves_nothing(postgres: str):
    """To find the object that is refused stores nothing of its page."""
    async with opened(postgres) as sink:
        await outcome(sink, page("paystubs", "account", *[make_paystub(n) for n in range(5)], make_paystub(5, id=LONG)))

    assert await count(postgres, "paystubs") == 0


@pytest.fixture(params=["postgres", "latin"])
def narrow(request: pytest.FixtureRequest) -> tuple[str, str]:
    """An empty database, and an id that it cannot keep."""
    return request.getfixturevalue(request.param), LONG[:4_000] if request.param == "postgres" else "\u0141"


async def test_an_id_that_cannot_be_stored(fake: FakePinwheel, pinwheel: Pinwheel, narrow: tuple[str, str]):
    """An account whose id the database cannot keep costs itself, though its failures cannot be kept either."""
    url, odd = narrow
    found = [json.loads(entry.body) for entry in fake.world.accounts(None)]
    found[2]["id"] = odd
    fake.script(Fault(json={"data": found, "meta": {"count": 12, "next_cursor": None}}), operation="list_accounts")
    fake.script(Fault(status=400), operation="get_income", account_id=fake.world.account_id(0))

    report = await sync(pinwheel, SqlSink(url), products=["income"])
    async with opened(url) as sink:
        failures = await sink.failures()

    assert (report.ended_by, report.products["income"].complete, await count(url, "incomes")) == (None, 10, 10)
    assert odd in {failure.account_id for failure in report.failures}
    assert [fake.world.account_id(0)] == [failure.account_id for failure in failures]


async def test_an_account_that_postgresql_refuses(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """One account that cannot be stored is one failure of a sync; the others and all products are stored."""
    accounts = [json.loads(entry.body) for entry in fake.world.accounts(None)]
    accounts[3]["tags"] = {"note": "PLANTED"}
    body = json.dumps({"data": accounts, "meta": {"count": 12, "next_cursor": None}}).replace('"PLANTED"', "1e400")
    fake.script(Fault(body=body.encode()), operation="list_accounts")

    report = await sync(pinwheel, SqlSink(postgres), products=["income"])

    assert [(fake.world.account_id(3), "accounts")] == [
        (failure.account_id, failure.product) for failure in report.failures
    ]
    assert (await count(postgres, "accounts"), await count(postgres, "incomes")) == (11, 12)


async def test_a_lock_is_waited_out(url: str, monkeypatch: pytest.MonkeyPatch):
    """A page waits for a lock that outlasts the timeout of SQLite."""
    monkeypatch.setitem(database_module._SQLITE, "timeout", 0.01)
    async with opened(url) as sink:
        other = sqlite3.connect(url.partition("///")[2], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.create_task(sink.write(page("paystubs", "account", make_paystub(0))))
        done, _ = await asyncio.wait([write], timeout=0.5)
        other.execute("COMMIT")
        other.close()
        await write

    assert not done
    assert await count(url, "paystubs") == 1


@pytest.mark.parametrize("ask", ["exists", "migrate", "open"])
async def test_a_lock_is_waited_out_after_closing(url: str, monkeypatch: pytest.MonkeyPatch, ask: str):
    """A sink that was closed is as patient as before when it is used again."""
    monkeypatch.setitem(database_module._SQLITE, "timeout", 0.01)
    monkeypatch.setattr(sink_module, "_CLOSE_S", 0)
    sink = SqlSink(url)
    await sink.open()
    await sink.close(complete=True)
    other = sqlite3.connect(url.partition("///")[2], isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")  # keeps out readers, too
    other.execute("BEGIN EXCLUSIVE")
    work = asyncio.create_task(getattr(sink, ask)())
    done, _ = await asyncio.wait([work], timeout=0.25)
    other.execute("COMMIT")
    other.close()
    await work
    if ask == "open":
        await sink.close(complete=True)

    assert not done


async def test_patience_ends(url: str, monkeypatch: pytest.MonkeyPatch):
    """A lock that outlasts the patience is an error of the sink, not of the page."""
    monkeypatch.setitem(database_module._SQLITE, "timeout", 0.01)
    async with opened(url, patience_s=0.05) as sink:
        other = sqlite3.connect(url.partition("///")[2], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        error = await outcome(sink, page("paystubs", "account", make_paystub(0)))
        other.close()

    assert (type(error), error.reason) == (SinkError, "SQLITE_BUSY")


async def test_an_error_for_each_page(url: str, monkeypatch: pytest.MonkeyPatch):
    """Pages that could not be stored together have an error each, which hangs on no other."""
    monkeypatch.setitem(database_module._SQLITE, "timeout", 0.01)
    async with opened(url, patience_s=0.05) as sink:
        other = sqlite3.connect(url.partition("///")[2], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        pages = [page("paystubs", account, make_paystub(0)) for account in ("a", "b", "c")]
        first, *others = await asyncio.gather(*[outcome(sink, batch) for batch in pages])
        other.close()

    assert len({id(error) for error in (first, *others)}) == 3
    assert {(error.reason, error.place, error.__cause__, error.__context__) for error in (first, *others)} == {
        ("SQLITE_BUSY", first.place, None, None)
    }


async def test_a_database_that_comes_back(postgres: str):
    """A page waits for a server that ends its connections."""
    async with opened(postgres) as sink:
        engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as connection:
            await connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await engine.dispose()
        await sink.write(page("paystubs", "account", make_paystub(0)))

    assert await count(postgres, "paystubs") == 1


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[int]:
    """Hand on what is said to a server and by it, but not that it hangs up."""
    writers: list[asyncio.StreamWriter] = []
    tasks: list[asyncio.Task[None]] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65_536):
            writer.write(part)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_upstream = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, to_upstream))
        tasks.extend(map(asyncio.create_task, (pump(upstream, writer), pump(reader, to_upstream))))

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for writer in writers:
        writer.close()


async def test_a_database_that_has_said_its_last_word(postgres: str):
    """A connection that was told of its end and has not ended yet is replaced like one that has."""
    url = make_url(postgres)
    direct = await asyncpg.connect(postgres)
    async with (
        proxy(url.port or 5432) as port,
        opened(url.set(port=port).render_as_string(hide_password=False)) as sink,
    ):
        await sink.write(page("paystubs", "account", make_paystub(0)))
        await direct.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert await sink.held("account", "paystubs") == {make_paystub(0).id}
    await direct.close()


@pytest.mark.parametrize("call", ["fetch", "prepare", "copy_records_to_table"])
async def test_meaning_of_a_closed_connection(postgres: str, call: str):
    """What the driver raises for a connection that is closed means that the database is away."""
    connection = await asyncpg.connect(postgres)
    await connection.close()
    with pytest.raises(asyncpg.InterfaceError) as raised:
        await getattr(connection, call)("accounts", **({"records": []} if call.startswith("copy") else {}))

    assert meaning_of(raised.value) == "away"


def test_meaning_of_a_wrong_call():
    """What the driver raises for a call that cannot be made does not mean that the database is away."""
    assert meaning_of(asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed")) == "other"


async def test_a_database_that_is_not_there_is_not_waited_for():
    """A database that cannot be reached when it is opened is an error at once."""
    async with asyncio.timeout(20):
        with pytest.raises(SinkError):
            await SqlSink("postgresql://nobody@127.0.0.1:1/none").open()


@pytest.mark.parametrize("patience_s", [-1, float("nan")])
def test_patience_that_cannot_be_meant(url: str, patience_s: float):
    """Patience is not less than nothing."""
    with pytest.raises(ConfigurationError, match="patience_s"):
        SqlSink(url, patience_s=patience_s)


async def test_closing_while_somebody_holds_a_lock(url: str, monkeypatch: pytest.MonkeyPatch):
    """A sink that is closed does not go on waiting for a lock: what could not be stored is an error."""
    monkeypatch.setitem(database_module._SQLITE, "timeout", 0.01)
    monkeypatch.setattr(sink_module, "_CLOSE_S", 0.1)
    sink = SqlSink(url)
    await sink.open()
    other = sqlite3.connect(url.partition("///")[2], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    write = asyncio.create_task(outcome(sink, page("paystubs", "account", make_paystub(0))))
    await asyncio.sleep(0)

    async with asyncio.timeout(20):
        await sink.close(complete=False)
    other.close()

    assert getattr(await write, "reason", None) == "SQLITE_BUSY"
