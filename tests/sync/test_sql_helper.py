"""A process of its own that writes pages for a sink."""

import asyncio
import json
import logging
import os
import select
import signal
import sqlite3
import sys
import traceback
from asyncio.subprocess import PIPE
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import select as select_from
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import ConfigurationError, DecodeError, Pinwheel, capture
from pinwheel_async._core.convert import decode, encode
from pinwheel_async._core.shape import Packed, Shape
from pinwheel_async.errors import SinkError, SupersededError
from pinwheel_async.models import Income
from pinwheel_async.sync import METADATA, Batch, Mark, SqlSink, sync
from pinwheel_async.sync._lean import Sealed, fitting
from pinwheel_async.sync._sql_helper import Helper
from pinwheel_async.testing import FakePinwheel, Fault, make_income

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def fake():
    """A fake with 40 accounts."""
    async with FakePinwheel(accounts=40) as running:
        yield running


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a helper be started at the first page."""
    monkeypatch.setattr("pinwheel_async.sync._sql_helper.FEW", 0)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the helper wrote, for each page that it could have written."""
    found: list[bool] = []
    write = Helper.write

    async def noting(self: Helper, batch: Batch) -> bool:
        there = self.pid is not None
        done = await write(self, batch)
        found.extend([done] * there)
        return done

    monkeypatch.setattr(Helper, "write", noting)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of either kind."""
    return request.getfixturevalue("url" if request.param == "sqlite" else "postgres")


def income(**values: object) -> Income:
    """Return the twin of an income."""
    body = b'{"data":%s}' % encode(attrs.evolve(make_income(), **values))
    return decode(Shape(Income, many=False, meta=None, lean=True), body, "2025-07-08").data


def page(*items: Income, begun_at: datetime = NOW) -> Batch:
    """Return a whole reading."""
    mark = Mark(begun_at=begun_at, reached="complete", items=len(items))
    return Batch(kind="income", account_id="a", items=items, mark=mark)


async def started(sink: SqlSink) -> int:
    """Open a sink and wait for its helper."""
    await sink.open()
    helper = sink._helper
    assert helper is not None
    await helper.write(page())
    async with asyncio.timeout(30):
        while helper.pid is None:
            await asyncio.sleep(0.01)
    return helper.pid


async def contents(database: str) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table with data of the API."""
    engine = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        found = {
            one.name: sorted(map(tuple, await connection.execute(select_from(one))), key=repr)
            for one in METADATA.sorted_tables
            if not one.name.startswith("pinwheel_")
        }
    await engine.dispose()
    return found


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_helper_writes_what_the_process_would(
    pinwheel: Pinwheel, database: str, tmp_path: Path, written: list[bool]
):
    """A database that a helper wrote holds what one holds that was written without."""
    plain = f"sqlite+aiosqlite:///{tmp_path / 'plain.db'}"
    await sync(pinwheel, SqlSink(plain))

    await sync(pinwheel, SqlSink(database, helper=True), concurrency=2)

    assert any(written)
    assert all(written)
    assert await contents(database) == await contents(plain)


async def test_a_helper_that_is_killed(
    fake: FakePinwheel, pinwheel: Pinwheel, database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """When the helper dies, the sync goes on without it, and nothing is missing."""
    plain = f"sqlite+aiosqlite:///{tmp_path / 'plain.db'}"
    await sync(pinwheel, SqlSink(plain))
    sink = SqlSink(database, helper=True)
    killed: list[int] = []

    async def kill() -> None:
        before = fake.counts.total()
        async with asyncio.timeout(30):
            while fake.counts.total() < before + 60 or sink._helper is None or sink._helper.pid is None:
                await asyncio.sleep(0)
        killed.append(sink._helper.pid)
        os.kill(killed[0], signal.SIGKILL)

    with caplog.at_level(logging.WARNING, "pinwheel_async.sync"):
        report, _ = await asyncio.gather(sync(pinwheel, sink, concurrency=1), kill())

    assert report.ok
    assert killed
    assert "helper_lost" in {getattr(one, "event", None) for one in caplog.records}
    assert await contents(database) == await contents(plain)


async def test_a_helper_ends_with_its_sink(url: str):
    """Closing the sink stores what the helper was given, and waits for its end."""
    sink = SqlSink(url, helper=True)
    pid = await started(sink)

    writing = asyncio.create_task(sink.write(page(income(id="1"))))
    await asyncio.sleep(0)
    await sink.close(complete=True)

    assert not is_alive(pid)
    await writing
    assert [("1",)] == [row[1:2] for row in (await contents(url))["incomes"]]


async def test_a_helper_does_not_hear_ctrl_c(url: str):
    """The helper is not in the group of processes that a terminal interrupts."""
    sink = SqlSink(url, helper=True)
    pid = await started(sink)

    assert os.getpgid(pid) != os.getpgid(0)
    await sink.close(complete=True)


async def test_the_current_folder_is_not_imported_from(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module that lies in the current folder is none of the helper's, as it is none of the process's own."""
    (tmp_path / "sqlalchemy.py").write_text("raise SystemExit", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    sink = SqlSink(url, helper=True)
    await started(sink)

    assert sink._helper is not None
    assert await sink._helper.write(page(income(id="1")))
    await sink.close(complete=True)


async def test_the_password_is_not_on_the_command_line(postgres: str):
    """Nothing of the database stands in the helper's arguments or environment."""
    sink = SqlSink(postgres, helper=True)
    pid = await started(sink)

    shown = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    await sink.close(complete=True)

    assert postgres.rpartition("/")[2].encode() not in shown


async def test_what_is_older_is_refused(database: str):
    """A page that is older than what is stored is refused, as without a helper."""
    sink = SqlSink(database, helper=True)
    await started(sink)
    await sink.write(page(income(id="1")))

    with pytest.raises(SupersededError):
        await sink.write(page(income(id="1"), begun_at=NOW - timedelta(days=1)))
    await sink.close(complete=True)


async def test_numbers_that_no_database_takes(database: str):
    """A number beyond 64 bits is refused with its place."""
    sink = SqlSink(database, helper=True)
    await started(sink)

    with pytest.raises(DecodeError) as caught:
        await sink.write(page(income(compensation_amount=2**70)))
    await sink.close(complete=True)

    assert caught.value.paths == ("data[0].compensation_amount: beyond 64 bits",)


async def test_a_null_character(postgres: str):
    """What only PostgreSQL refuses is refused with its place, by the helper."""
    sink = SqlSink(postgres, helper=True)
    await started(sink)

    with pytest.raises(DecodeError) as caught:
        await sink.write(page(income(currency="planted\0value")))
    await sink.close(complete=True)

    assert caught.value.paths == ("data[0].currency: holds a null character",)
    assert "planted" not in told(caught.value)


async def test_models_are_written_here(url: str, written: list[bool]):
    """A page of models is written by the process itself."""
    sink = SqlSink(url, helper=True)
    await started(sink)
    written.clear()

    await sink.write(page(make_income(id="1")))
    found = await sink.held("a", "income")
    await sink.close(complete=True)

    assert written == [False]
    assert found == {"1"}


async def test_a_table_that_is_gone(url: str):
    """An error of the database is a `SinkError`, wherever it happened."""
    sink = SqlSink(url, helper=True)
    await started(sink)
    await sink.write(page(income(id="1")))
    connection = sqlite3.connect(url.partition("///")[2])
    connection.execute("DROP TABLE incomes")
    connection.close()

    with pytest.raises(SinkError) as caught:
        await sink.write(page(income(id="1")))
    await sink.close(complete=True)

    assert caught.value.reason == "SQLITE_ERROR"


def told(error: BaseException) -> str:
    """Return everything that a logging framework might write about an error, except this file's own frames."""
    entry = error.__traceback__
    while entry and entry.tb_frame.f_code.co_filename == __file__:
        entry = entry.tb_next
    return "\n".join(traceback.TracebackException(type(error), error, entry, capture_locals=True).format())


async def sealed(pinwheel: Pinwheel, fake: FakePinwheel, sink: SqlSink, **changes: object) -> Batch:
    """Return a page of an income that nobody has read, changed on its way."""
    account_id, *_ = fake.world.account_ids()
    record = json.loads(encode(make_income(id="1"), nulls=True)) | changes
    fake.script(Fault(json={"data": record, "meta": {"refreshed_at": None}}), operation="get_income")
    items: Any = await fitting(pinwheel, sink).income.get(account_id)
    assert isinstance(items, Sealed)
    return attrs.evolve(page(), items=items)


async def test_pages_that_nobody_has_read(pinwheel: Pinwheel, fake: FakePinwheel, database: str, written: list[bool]):
    """The helper reads what the process that fetched it has not."""
    sink = SqlSink(database, helper=True)
    await started(sink)
    batch = await sealed(pinwheel, fake, sink)
    written.clear()

    await sink.write(batch)
    found = await sink.held("a", "income")
    await sink.close(complete=True)

    assert (written, found) == ([True], {"1"})


async def test_odd_pages_are_read_here(pinwheel: Pinwheel, fake: FakePinwheel, url: str, written: list[bool]):
    """What has to be forgiven is read, noted and written by the process that fetched it."""
    sink = SqlSink(url, helper=True)
    await started(sink)
    batch = await sealed(pinwheel, fake, sink, currency=None)
    written.clear()

    await sink.write(batch)
    found = await sink.held("a", "income")
    await sink.close(complete=True)

    assert (written, found) == ([False], {"1"})
    assert dict(pinwheel.drift) == {"GET /v1/accounts/{account_id}/income data.currency: null": 1}


async def test_pages_that_cannot_be_read(pinwheel: Pinwheel, fake: FakePinwheel, url: str):
    """What is not of the documented shape is refused as if it had been read at once."""
    sink = SqlSink(url, helper=True)
    await started(sink)
    batch = await sealed(pinwheel, fake, sink, created_at="planted-4711")

    with pytest.raises(DecodeError) as caught:
        await sink.write(batch)
    await sink.close(complete=True)

    assert caught.value.where == "GET /v1/accounts/{account_id}/income"
    assert caught.value.paths == ("data.created_at: not a moment in time",)
    assert "planted" not in told(caught.value)


async def test_who_captures_gets_models(pinwheel: Pinwheel, url: str):
    """Replies that somebody captures hold models, with a helper, too."""
    with capture() as replies:
        await sync(pinwheel, SqlSink(url, helper=True), products=["income"])

    assert replies
    assert not [one for one in replies if isinstance(one.value, Packed)]


async def test_few_pages_start_no_helper(pinwheel: Pinwheel, url: str, monkeypatch: pytest.MonkeyPatch):
    """A small sync starts no process."""
    monkeypatch.setattr("pinwheel_async.sync._sql_helper.FEW", 10_000)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", None)

    assert (await sync(pinwheel, SqlSink(url, helper=True))).ok


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: SqlSink("sqlite://", helper=True), "needs a file"),
        (lambda: SqlSink("sqlite:///:memory:", helper=True), "needs a file"),
        (lambda: SqlSink("sqlite:///file:payroll?mode=memory&cache=shared&uri=true", helper=True), "needs a file"),
        (lambda: SqlSink(create_async_engine("sqlite+aiosqlite://"), helper=True), "needs a URL"),
        (lambda: SqlSink("sqlite:///payroll.db", helper=True, raw=True), "raw"),
    ],
)
def test_what_a_helper_cannot_do(make: Callable[[], SqlSink], problem: str):
    """Where a helper could not write, asking for one is an error that says why."""
    with pytest.raises(ConfigurationError, match=problem):
        make()


async def test_a_helper_that_cannot_be_started(
    pinwheel: Pinwheel, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Where no process can be started, the sync does without and says so."""
    monkeypatch.setattr("sys.executable", "/there/is/no/python")

    with caplog.at_level(logging.WARNING, "pinwheel_async.sync"):
        report = await sync(pinwheel, SqlSink(url, helper=True))

    assert report.ok
    assert "no process could be started to write: FileNotFoundError" in caplog.messages


async def test_a_helper_does_not_outlive_a_killed_process(tmp_path: Path):
    """When the process that fetches is killed, its helper ends at once."""
    program = """
import asyncio, sys
import tests.sync.test_sql_helper as here
from pinwheel_async.sync import SqlSink, _sql_helper

async def main():
    _sql_helper.FEW = 0
    sink = SqlSink(sys.argv[1], helper=True)
    pid = await here.started(sink)
    await sink.write(here.page(here.income(id="1")))
    print(pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    command = (sys.executable, "-c", program, f"sqlite:///{tmp_path / 'payroll.db'}")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    helper = int(await process.stdout.readline())
    ended = os.pidfd_open(helper)

    process.kill()
    await process.wait()

    assert await asyncio.to_thread(select.select, [ended], [], [], 10) == ([ended], [], [])
    os.close(ended)
