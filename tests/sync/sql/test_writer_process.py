"""The writer process: pages are stored by it, and nothing is lost when it dies."""

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
import msgspec
import pytest
from sqlalchemy import Column, Table, select as select_from
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import ConfigurationError, DecodeError, Pinwheel, capture
from pinwheel_async._core.convert import Shape, Undecoded, decode
from pinwheel_async._core.converter import encode
from pinwheel_async.errors import SinkError, SupersededError, UnconfirmedRemovalError
from pinwheel_async.models import Income
from pinwheel_async.sync import METADATA, Batch, Checkpoint, SqlSink, sync
from pinwheel_async.sync._page_formats import UndecodedPage, client_for
from pinwheel_async.sync._sql import writer_process
from pinwheel_async.sync._sql.writer_process import WriterProcess
from pinwheel_async.testing import FakePinwheel, Fault, make_income

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def fake():
    """A fake with 40 accounts."""
    async with FakePinwheel(accounts=40) as running:
        yield running


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the writer process at the first page."""
    monkeypatch.setattr("pinwheel_async.sync._sql.writer_process.PAGES_BEFORE_START", 0)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the writer process wrote, for each page that it could have written."""
    found: list[bool] = []
    write = WriterProcess.write

    async def noting(self: WriterProcess, batch: Batch) -> bool:
        there = self.pid is not None
        done = await write(self, batch)
        found.extend([done] * there)
        return done

    monkeypatch.setattr(WriterProcess, "write", noting)
    return found


def income(**values: object) -> Income:
    """Return the struct of an income."""
    body = b'{"data":%s}' % encode(attrs.evolve(make_income(), **values))
    return decode(Shape(Income, many=False, meta=None), body, "2025-07-08", "structs").data


def page(*items: Income, begun_at: datetime = NOW) -> Batch:
    """Return a whole reading."""
    checkpoint = Checkpoint(begun_at=begun_at, reached="complete", items=len(items))
    return Batch(kind="income", account_id="a", items=items, checkpoint=checkpoint)


async def started(sink: SqlSink) -> int:
    """Open a sink and wait for its writer process."""
    await sink.open()
    process = sink._process
    assert process is not None
    await process.write(page())
    async with asyncio.timeout(30):
        while process.pid is None:
            await asyncio.sleep(0.01)
    return process.pid


async def contents(database: str) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table with data of the API, without the moments at which it was written."""
    engine = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        found = {
            table.name: sorted(map(tuple, await connection.execute(select_from(*_data_of(table)))), key=repr)
            for table in METADATA.sorted_tables
            if not table.name.startswith("pinwheel_")
        }
    await engine.dispose()
    return found


def _data_of(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if column.name not in {"first_seen_at", "changed_at"}]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_it_writes_what_this_process_would(
    pinwheel: Pinwheel, database: str, tmp_path: Path, written: list[bool]
):
    """A database that the writer process wrote holds what a database holds that was written without."""
    plain = f"sqlite+aiosqlite:///{tmp_path / 'plain.db'}"
    await sync(pinwheel, SqlSink(plain))

    await sync(pinwheel, SqlSink(database, writer_process=True), concurrency=2)

    assert any(written)
    assert all(written)
    assert await contents(database) == await contents(plain)


async def test_a_writer_process_that_is_killed(
    fake: FakePinwheel, pinwheel: Pinwheel, database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """When the writer process dies, the sync goes on without it, and nothing is missing."""
    plain = f"sqlite+aiosqlite:///{tmp_path / 'plain.db'}"
    await sync(pinwheel, SqlSink(plain))
    sink = SqlSink(database, writer_process=True)
    killed: list[int] = []

    async def kill() -> None:
        before = fake.counts.total()
        async with asyncio.timeout(30):
            while fake.counts.total() < before + 60 or sink._process is None or sink._process.pid is None:
                await asyncio.sleep(0)
        killed.append(sink._process.pid)
        os.kill(killed[0], signal.SIGKILL)

    with caplog.at_level(logging.WARNING, "pinwheel_async.sync"):
        report, _ = await asyncio.gather(sync(pinwheel, sink, concurrency=1), kill())

    assert report.ok
    assert killed
    assert "writer_process_lost" in {getattr(record, "event", None) for record in caplog.records}
    assert await contents(database) == await contents(plain)


async def test_it_ends_with_its_sink(url: str):
    """Closing the sink stores what the writer process was given, and waits for its end."""
    sink = SqlSink(url, writer_process=True)
    pid = await started(sink)

    writing = asyncio.create_task(sink.write(page(income(id="1"))))
    await asyncio.sleep(0)
    await sink.close(complete=True)

    assert not is_alive(pid)
    await writing
    assert [("1",)] == [row[1:2] for row in (await contents(url))["incomes"]]


async def test_a_call_after_its_commits(url: str):
    """What is to be called after a commit is called when the writer process has stored a page, and only then."""
    calls: list[int] = []
    sink = SqlSink(url, writer_process=True, on_commit=lambda: calls.append(1))
    await started(sink)

    await sink.write(page(income(id="1")))
    with pytest.raises(SupersededError):
        await sink.write(page(begun_at=NOW - timedelta(days=1)))
    await sink.close(complete=True)

    assert calls == [1]


async def test_it_does_not_hear_ctrl_c(url: str):
    """The writer process is not in the group of processes that a terminal interrupts."""
    sink = SqlSink(url, writer_process=True)
    pid = await started(sink)

    assert os.getpgid(pid) != os.getpgid(0)
    await sink.close(complete=True)


async def test_the_current_folder_is_not_imported_from(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module that lies in the current folder is not imported by the writer process either."""
    (tmp_path / "sqlalchemy.py").write_text("raise SystemExit", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    sink = SqlSink(url, writer_process=True)
    await started(sink)

    assert sink._process is not None
    assert await sink._process.write(page(income(id="1")))
    await sink.close(complete=True)


async def test_the_password_is_not_on_the_command_line(postgres: str):
    """Nothing of the database stands in the arguments or the environment of the writer process."""
    sink = SqlSink(postgres, writer_process=True)
    pid = await started(sink)

    shown = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    await sink.close(complete=True)

    assert postgres.rpartition("/")[2].encode() not in shown


async def test_what_is_older_is_refused(database: str):
    """A page that is older than what is stored is refused, as without a writer process."""
    sink = SqlSink(database, writer_process=True)
    await started(sink)
    await sink.write(page(income(id="1")))

    with pytest.raises(SupersededError):
        await sink.write(page(income(id="1"), begun_at=NOW - timedelta(days=1)))
    await sink.close(complete=True)


async def test_numbers_that_no_database_takes(database: str):
    """A number beyond 64 bits is refused with its place."""
    sink = SqlSink(database, writer_process=True)
    await started(sink)

    with pytest.raises(DecodeError) as caught:
        await sink.write(page(income(compensation_amount=2**70)))
    await sink.close(complete=True)

    assert caught.value.paths == ("data[0].compensation_amount: beyond 64 bits",)


async def test_a_null_character(postgres: str):
    """What only PostgreSQL refuses is refused with its place, by the writer process. (Decoding lets no NUL through.)"""
    sink = SqlSink(postgres, writer_process=True)
    await started(sink)

    with pytest.raises(DecodeError) as caught:
        await sink.write(page(msgspec.structs.replace(income(), currency="planted\0value")))
    await sink.close(complete=True)

    assert caught.value.paths == ("data[0].currency: holds a null character",)
    assert "planted" not in told(caught.value)


async def test_models_are_written_here(url: str, written: list[bool]):
    """A page of models is written by the process itself."""
    sink = SqlSink(url, writer_process=True)
    await started(sink)
    written.clear()

    await sink.write(page(make_income(id="1")))
    found = await sink.held("a", "income")
    await sink.close(complete=True)

    assert written == [False]
    assert found == {"1"}


async def test_a_table_that_is_gone(url: str):
    """An error of the database is a `SinkError`, wherever it happened."""
    sink = SqlSink(url, writer_process=True)
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


async def undecoded(pinwheel: Pinwheel, fake: FakePinwheel, sink: SqlSink, **changes: object) -> Batch:
    """Return a page of an income that nobody has read, changed on its way."""
    account_id, *_ = fake.world.account_ids()
    record = json.loads(encode(make_income(id="1"), nulls=True)) | changes
    fake.script(Fault(json={"data": record, "meta": {"refreshed_at": None}}), operation="get_income")
    items: Any = await client_for(pinwheel, sink).income.get(account_id)
    assert isinstance(items, UndecodedPage)
    return attrs.evolve(page(), items=items)


async def test_pages_that_nobody_has_read(pinwheel: Pinwheel, fake: FakePinwheel, database: str, written: list[bool]):
    """The writer process reads what the process that fetched it has not."""
    sink = SqlSink(database, writer_process=True)
    await started(sink)
    batch = await undecoded(pinwheel, fake, sink)
    written.clear()

    await sink.write(batch)
    found = await sink.held("a", "income")
    await sink.close(complete=True)

    assert (written, found) == ([True], {"1"})


async def test_odd_pages_are_read_here(pinwheel: Pinwheel, fake: FakePinwheel, url: str, written: list[bool]):
    """A page with drift is decoded, noted and written by the process that fetched it."""
    sink = SqlSink(url, writer_process=True)
    await started(sink)
    batch = await undecoded(pinwheel, fake, sink, currency=None)
    written.clear()

    await sink.write(batch)
    found = await sink.held("a", "income")
    await sink.close(complete=True)

    assert (written, found) == ([False], {"1"})
    assert dict(pinwheel.drift) == {"GET /v1/accounts/{account_id}/income data.currency: null": 1}


async def test_pages_that_cannot_be_read(pinwheel: Pinwheel, fake: FakePinwheel, url: str):
    """What is not of the documented shape is refused as if it had been read at once."""
    sink = SqlSink(url, writer_process=True)
    await started(sink)
    batch = await undecoded(pinwheel, fake, sink, created_at="planted-4711")

    with pytest.raises(DecodeError) as caught:
        await sink.write(batch)
    await sink.close(complete=True)

    assert caught.value.where == "GET /v1/accounts/{account_id}/income"
    assert caught.value.paths == ("data.created_at: not a moment in time",)
    assert "planted" not in told(caught.value)


async def test_who_captures_gets_models(pinwheel: Pinwheel, url: str):
    """Replies that somebody captures hold models, with a writer process, too."""
    with capture() as replies:
        await sync(pinwheel, SqlSink(url, writer_process=True), products=["income"])

    assert replies
    assert not [reply for reply in replies if isinstance(reply.value, Undecoded)]


async def test_few_pages_start_no_process(pinwheel: Pinwheel, url: str, monkeypatch: pytest.MonkeyPatch):
    """A small sync starts no process."""
    monkeypatch.setattr("pinwheel_async.sync._sql.writer_process.PAGES_BEFORE_START", 10_000)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", None)

    assert (await sync(pinwheel, SqlSink(url, writer_process=True))).ok


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: SqlSink("sqlite://", writer_process=True), "needs a file"),
        (lambda: SqlSink("sqlite:///:memory:", writer_process=True), "needs a file"),
        (
            lambda: SqlSink("sqlite:///file:payroll?mode=memory&cache=shared&uri=true", writer_process=True),
            "needs a file",
        ),
        (lambda: SqlSink(create_async_engine("sqlite+aiosqlite://"), writer_process=True), "needs a URL"),
    ],
)
def test_what_it_cannot_do(make: Callable[[], SqlSink], problem: str):
    """Where it could not write, asking for it is an error that says why."""
    with pytest.raises(ConfigurationError, match=problem):
        make()


@pytest.mark.parametrize(
    ("cores", "place", "is_asked_for"),
    [
        (2, lambda url: url, True),
        (1, lambda url: url, False),
        (None, lambda url: url, False),
        (2, lambda url: "sqlite://", False),
        (2, create_async_engine, False),
    ],
)
def test_where_it_pays(url: str, monkeypatch: pytest.MonkeyPatch, cores: int | None, place: Any, is_asked_for: bool):
    """With None there is a writer process where a second core is free for it and it could write, and no error."""
    monkeypatch.setattr("os.cpu_count", lambda: cores)

    assert SqlSink(place(url), writer_process=None)._wants_process is is_asked_for


async def test_a_writer_process_that_cannot_be_started(
    pinwheel: Pinwheel, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Where no process can be started, the sync does without and says so."""
    monkeypatch.setattr("sys.executable", "/there/is/no/python")

    with caplog.at_level(logging.WARNING, "pinwheel_async.sync"):
        report = await sync(pinwheel, SqlSink(url, writer_process=True))

    assert report.ok
    assert "no process could be started to write: FileNotFoundError" in caplog.messages


async def test_it_does_not_outlive_a_killed_process(tmp_path: Path):
    """When the process that fetches is killed, its writer process ends at once."""
    program = """
import asyncio, sys
import tests.sync.sql.test_writer_process as here
from pinwheel_async.sync._sql import writer_process
from pinwheel_async.sync import SqlSink

async def main():
    writer_process.PAGES_BEFORE_START = 0
    sink = SqlSink(sys.argv[1], writer_process=True)
    pid = await here.started(sink)
    await sink.write(here.page(here.income(id="1")))
    print(pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    command = (sys.executable, "-c", program, f"sqlite:///{tmp_path / 'payroll.db'}")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=Path(__file__).parents[3])
    assert process.stdout is not None
    ended = os.pidfd_open(int(await process.stdout.readline()))

    process.kill()
    await process.wait()

    assert await asyncio.to_thread(select.select, [ended], [], [], 10) == ([ended], [], [])
    os.close(ended)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_writer_process_that_hangs(
    url: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A page that a stopped process does not answer is written by this one, and the process is killed."""
    monkeypatch.setattr(writer_process, "SILENCE_S", 3.0)
    sink = SqlSink(url, writer_process=True)
    pid = await started(sink)
    os.kill(pid, number)

    async with asyncio.timeout(30):
        await sink.write(page(income(id="1")))
        await sink.close(complete=True)

    assert not is_alive(pid)
    assert [("1",)] == [row[1:2] for row in (await contents(url))["incomes"]]
    events = {getattr(record, "event", None) for record in caplog.records}
    assert ("writer_process_hangs" in events) is (number == signal.SIGSTOP)


async def test_closing_a_writer_process_that_hangs(url: str, monkeypatch: pytest.MonkeyPatch):
    """A sink closes although its writer process hangs."""
    monkeypatch.setattr(writer_process, "SILENCE_S", 3.0)
    sink = SqlSink(url, writer_process=True)
    pid = await started(sink)
    os.kill(pid, signal.SIGSTOP)

    async with asyncio.timeout(30):
        await sink.close(complete=True)

    assert not is_alive(pid)


async def test_a_writer_process_that_waits_is_not_killed(url: str, monkeypatch: pytest.MonkeyPatch):
    """A process that waits for a lock says that it is alive, and is left to wait."""
    monkeypatch.setattr(writer_process, "SILENCE_S", 3.0)
    sink = SqlSink(url, writer_process=True)
    pid = await started(sink)
    other = sqlite3.connect(url.partition("///")[2], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(sink.write(page(income(id="1"))))

    _, waits = await asyncio.wait([writing], timeout=6)
    other.execute("COMMIT")
    other.close()
    await writing

    assert waits
    assert sink._process is not None
    assert sink._process.pid == pid
    await sink.close(complete=True)


async def test_a_reading_that_would_remove_everything(url: str):
    """The writer process says that a reading would remove too much, as this process would."""
    sink = SqlSink(url, writer_process=True)
    await started(sink)
    await sink.write(page(income(id="1")))
    later = NOW + timedelta(minutes=1)
    checkpoint = Checkpoint(begun_at=later, reached="complete", items=0, max_removed=0.2)

    with pytest.raises(UnconfirmedRemovalError):
        await sink.write(Batch(kind="income", account_id="a", items=(), checkpoint=checkpoint))
    await sink.close(complete=True)

    assert [("1",)] == [row[1:2] for row in (await contents(url))["incomes"]]
