"""Removing a person, or what is old, everywhere."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import ConfigurationError, Pinwheel, RequestError, SinkError
from pinwheel_async._core.converter import encode
from pinwheel_async.events import AccountAdded, PaystubsAdded
from pinwheel_async.sync import Announcement, MemorySink, SqlSink, purge, status, sync
from pinwheel_async.sync._maintenance import open_copy as _export_reading
from pinwheel_async.testing import FakePinwheel, Fault, make_event
from pinwheel_async.webhooks import Delivery, MemoryInbox, Readiness, SqliteInbox

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GONE, KEPT = 3, 4
"""Which accounts are removed and kept."""

Ids = Callable[[int], str]


@pytest.fixture
def id_of(fake: FakePinwheel) -> Ids:
    """Return the id of an account by its number."""
    return fake.world.account_id


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[SqliteInbox]:
    """An open inbox."""
    opened = SqliteInbox(tmp_path / "inbox.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def memory(pinwheel: Pinwheel) -> MemorySink:
    """What a sync fetches."""
    sink = MemorySink()
    await sync(pinwheel, sink)
    return sink


async def with_sink(url: str, work: Callable[[SqlSink], Any]) -> Any:
    """Do something with an open sink."""
    sink = SqlSink(url)
    await sink.open()
    try:
        return await work(sink)
    finally:
        await sink.close(complete=True)


async def put(inbox: SqliteInbox, ordering_key: str, event_id: str, received_at: datetime = NOW) -> None:
    """Put a delivery."""
    event = make_event(PaystubsAdded, event_id=event_id, account_id=ordering_key)
    delivery = Delivery(
        event_id=event_id,
        event=event.NAME,
        ordering_key=ordering_key,
        received_at=received_at,
        key="0",
        body=encode(event),
    )
    await inbox.put(delivery)


async def hear(readiness: Readiness, account_id: str) -> None:
    """Let readiness hear of an account."""
    await readiness._store.record(make_event(AccountAdded, account_id=account_id))


def traces(folder: Path, *texts: str) -> list[str]:
    """Return which texts stand anywhere in the files of a folder."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return [f"{text} in {name}" for name, content in files.items() for text in texts if text.encode() in content]


async def test_everything_of_an_account_goes(
    pinwheel: Pinwheel, fake: FakePinwheel, database: str, inbox: SqliteInbox, id_of: Ids
):
    """Rows, announcements, values, failures, deliveries and readiness of an account go; those of others stay."""
    gone, kept = id_of(GONE), id_of(KEPT)
    for account_id in (gone, kept):
        fake.script(Fault(status=400), operation="get_income", account_id=account_id)
    await sync(pinwheel, SqlSink(database))
    readiness = Readiness(inbox)
    for account_id in (gone, kept):
        await put(inbox, account_id, f"event of {account_id}")
        await hear(readiness, account_id)
        announcement = Announcement(
            event_id=account_id, event="e", account_id=account_id, product="shifts", announced_at=NOW, received_at=NOW
        )
        key = f"mirror:verified:{account_id}:shifts"
        await with_sink(database, lambda sink, announcement=announcement: sink.announce(announcement))
        await with_sink(database, lambda sink, key=key: sink.save(key, b"x"))
    before = await with_sink(database, lambda sink: sink.remains(kept))
    held = await with_sink(database, lambda sink: sink.remains(gone))

    erasure = await purge(database, account_id=gone, inbox=inbox)

    expected = held | {"inbox": 1, "readiness": 1}
    assert ((gone,), expected) == (erasure.accounts, erasure.removed)
    assert erasure.removed.keys() == erasure.remaining.keys()
    assert not any(erasure.remaining.values())
    assert before == await with_sink(database, lambda sink: sink.remains(kept))
    assert [kept] == [entry.ordering_key for entry in await inbox.entries()]
    assert await inbox.load(f"readiness:{kept}")
    assert await with_sink(database, lambda sink: sink.load(f"mirror:verified:{kept}:shifts"))
    assert [kept] == [failure.account_id for failure in await with_sink(database, lambda sink: sink.failures())]


@pytest.mark.parametrize("vacuum", [False, True])
async def test_nothing_is_left_in_the_files(
    memory: MemorySink, url: str, tmp_path: Path, inbox: SqliteInbox, id_of: Ids, *, vacuum: bool
):
    """No byte is left in the files of what the library stored in several versions; nor, with *vacuum*, of others'."""
    gone, kept = id_of(GONE), id_of(KEPT)
    marked = {gone: "planted", kept: "remains"}
    for version in range(4):
        begun_at = NOW + timedelta(days=version)

        async def store(sink: SqlSink, version: int = version, begun_at: datetime = begun_at) -> None:
            for batch in memory.batches:
                checkpoint = batch.checkpoint and attrs.evolve(batch.checkpoint, begun_at=begun_at)
                word = marked.get(batch.account_id or "", "other")
                items = tuple([_named(item, f"{word} {version} " * (version * 7 % 5 + 1)) for item in batch.items])
                await sink.write(attrs.evolve(batch, items=items, checkpoint=checkpoint))

        await with_sink(url, store)
    if vacuum:
        leave_a_trace(url)
    await put(inbox, gone, "event")
    await hear(Readiness(inbox), gone)

    await purge(url, account_id=gone, inbox=inbox, vacuum=vacuum)
    await inbox.close()
    await inbox.open()

    assert not traces(tmp_path, gone, "planted")
    assert traces(tmp_path, kept)
    assert traces(tmp_path, "remains")


def leave_a_trace(url: str) -> None:
    """Write a long text into the database and delete it, as a database does that does not overwrite."""
    with closing(sqlite3.connect(url.partition("///")[2])) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        with connection:
            connection.execute("INSERT INTO pinwheel_values VALUES ('trace', ?)", (b"planted " * 1_000,))
        with connection:
            connection.execute("DELETE FROM pinwheel_values WHERE key = 'trace'")


def _named(item: Any, name: str) -> Any:
    """Plant a text in an object, where it has room for it."""
    field = next((name for name in ("full_name", "employer_name", "timezone") if hasattr(item, name)), None)
    return attrs.evolve(item, **{field: name}) if field else item


async def test_all_accounts_of_an_end_user_go(pinwheel: Pinwheel, url: str, inbox: SqliteInbox, id_of: Ids):
    """All accounts of an end user go, with the deliveries that are kept under the end user."""
    await sync(pinwheel, SqlSink(url))
    with closing(sqlite3.connect(url.partition("///")[2])) as connection, connection:
        for number in (GONE, KEPT):
            connection.execute("UPDATE accounts SET end_user_id = 'user' WHERE id = ?", (id_of(number),))
    await put(inbox, "user", "of the user")
    await put(inbox, id_of(GONE), "of an account")
    await put(inbox, id_of(1), "of another")

    erasure = await purge(url, end_user_id="user", inbox=inbox)

    assert {id_of(GONE), id_of(KEPT)} == {*erasure.accounts}
    assert erasure.removed["inbox"] == 2
    assert [id_of(1)] == [entry.ordering_key for entry in await inbox.entries()]
    assert () == (await purge(url, end_user_id="user", inbox=inbox)).accounts


async def test_what_is_old_goes(pinwheel: Pinwheel, url: str, inbox: SqliteInbox):
    """What is older than a day goes: paystubs, shifts and tax forms with their lines, and handled deliveries."""
    await sync(pinwheel, SqlSink(url))
    await put(inbox, "a", "done")
    await put(inbox, "b", "waits")
    (claim,) = await inbox.claim(1, lease_s=60)
    await inbox.done(claim)
    with closing(sqlite3.connect(url.partition("///")[2])) as connection:
        (day,) = connection.execute("SELECT max(pay_date) FROM paystubs").fetchone()
        (old,) = connection.execute("SELECT count(*) FROM paystubs WHERE pay_date < ?", (day,)).fetchone()
        (accounts,) = connection.execute("SELECT count(*) FROM accounts").fetchone()

    erasure = await purge(url, before=date.fromisoformat(day))
    earlier = await purge(url, before=date(2020, 1, 1), inbox=inbox)
    later = await purge(url, before=date(9000, 1, 1), inbox=inbox)

    assert ((), old) == (erasure.accounts, erasure.removed["paystubs"])
    assert old
    assert not any(erasure.remaining.values())
    assert earlier.removed["inbox"] == 0
    assert (1, ["waits"]) == (later.removed["inbox"], [entry.event_id for entry in await inbox.entries()])
    with closing(sqlite3.connect(url.partition("///")[2])) as connection:
        assert (0,) == connection.execute("SELECT count(*) FROM paystubs").fetchone()
        assert (accounts,) == connection.execute("SELECT count(*) FROM accounts").fetchone()


async def test_payloads_of_what_has_ended_go(url: str, tmp_path: Path, pinwheel: Pinwheel):
    """Dead deliveries and kept bodies from before a day go; what came later or still waits stays."""
    await sync(pinwheel, SqlSink(url), products=("income",))
    inbox = SqliteInbox(tmp_path / "inbox.db", keep_bodies_s=86_400)
    await inbox.open()
    for event_id in ("done", "dead", "waits"):
        await put(inbox, event_id, event_id)
    await put(inbox, "later", "later", received_at=NOW + timedelta(days=1))
    done, dead, later = [claim for claim in await inbox.claim(4, lease_s=60) if claim.delivery.event_id != "waits"]
    await inbox.done(done)
    for claim in (dead, later):
        await inbox.fail(claim, reason="ValueError", retry_in_s=None)

    erasure = await purge(url, before=(NOW + timedelta(days=1)).date(), inbox=inbox)
    left = {entry.event_id for entry in await inbox.entries()}
    await inbox.close()

    assert (2, 0) == (erasure.removed["inbox"], erasure.remaining["inbox"])
    assert {"waits", "later"} == left


async def test_a_readiness_of_its_own(pinwheel: Pinwheel, url: str, id_of: Ids):
    """A readiness that keeps everything in this process forgets, too."""
    await sync(pinwheel, SqlSink(url))
    readiness = Readiness()
    await hear(readiness, id_of(GONE))

    await purge(url, account_id=id_of(GONE), readiness=readiness)

    assert (None, None) == await readiness._store.read(id_of(GONE))


async def test_again(pinwheel: Pinwheel, database: str, id_of: Ids):
    """Removing what is not there any more removes nothing, and is no error."""
    await sync(pinwheel, SqlSink(database))
    await purge(database, account_id=id_of(GONE))

    assert not any((await purge(database, account_id=id_of(GONE))).removed.values())


async def test_what_remains_is_an_error(pinwheel: Pinwheel, url: str, id_of: Ids, monkeypatch: pytest.MonkeyPatch):
    """If something is found when everything is looked through again, that is a SinkError that says where."""
    await sync(pinwheel, SqlSink(url))

    async def remains(sink: SqlSink, account_id: str) -> dict[str, int]:
        return {"paystubs": 3, "shifts": 0}

    monkeypatch.setattr(SqlSink, "remains", remains)
    with pytest.raises(SinkError, match=r"not everything was removed: paystubs \(3\)$"):
        await purge(url, account_id=id_of(GONE))


async def test_deliveries_that_come_meanwhile(pinwheel: Pinwheel, url: str, id_of: Ids):
    """A delivery that comes while its account is removed is an error: the account still sends."""
    await sync(pinwheel, SqlSink(url))

    class Busy(MemoryInbox):
        async def purge(self, **_: Any) -> int:
            return 1

    inbox = Busy()
    await inbox.open()
    with pytest.raises(SinkError, match=r"inbox \(1\)"):
        await purge(url, account_id=id_of(GONE), inbox=inbox)
    await inbox.close()


async def test_somebody_who_reads(pinwheel: Pinwheel, url: str, id_of: Ids, monkeypatch: pytest.MonkeyPatch):
    """If somebody reads the database for long, the log cannot be emptied, and that is an error; later it can be."""
    monkeypatch.setattr(_export_reading, "_BUSY_S", 0.05)
    await sync(pinwheel, SqlSink(url))
    with closing(sqlite3.connect(url.partition("///")[2])) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM accounts").fetchone()
        with pytest.raises(SinkError, match="still in the log of the database: purge again: it is being read"):
            await purge(url, account_id=id_of(GONE))

    assert (await purge(url, account_id=id_of(GONE))).accounts


async def test_rewriting(pinwheel: Pinwheel, url: str, id_of: Ids):
    """With *vacuum* the file is rewritten and becomes smaller; without, it keeps its size."""
    await sync(pinwheel, SqlSink(url))
    path = Path(url.partition("///")[2])
    before = path.stat().st_size

    for number in range(12):
        await purge(url, account_id=id_of(number))
    between = path.stat().st_size
    await purge(url, account_id=id_of(0), vacuum=True)

    assert before == between > path.stat().st_size


async def test_an_engine_of_your_own(pinwheel: Pinwheel, database: str, id_of: Ids):
    """An engine is used, and stays open."""
    await sync(pinwheel, SqlSink(database))
    engine = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"), hide_parameters=True)

    erasure = await purge(engine, account_id=id_of(GONE))

    async with engine.connect() as connection:
        assert await connection.exec_driver_sql("SELECT 1")
    await engine.dispose()
    assert erasure.removed["accounts"] == 1


async def test_an_engine_that_overwrites_nothing(pinwheel: Pinwheel, url: str, tmp_path: Path, id_of: Ids):
    """What is removed is overwritten also where SQLite, or an engine of your own, does not do that by itself."""
    await sync(pinwheel, SqlSink(url), products=["identity"])
    await with_sink(url, lambda sink: sink.save(f"mirror:verified:{id_of(GONE)}:shifts", b"x"))
    engine = create_async_engine(url, hide_parameters=True)

    @sqlalchemy_event.listens_for(engine.sync_engine, "connect")
    def turn_off(connection: Any, _: object) -> None:
        connection.execute("PRAGMA secure_delete = OFF")

    await purge(engine, account_id=id_of(GONE))
    await engine.dispose()

    assert not traces(tmp_path, id_of(GONE))
    assert traces(tmp_path, id_of(KEPT))


async def test_what_was_purged_stays_purged(pinwheel: Pinwheel, database: str):
    """To purge up to an earlier day brings nothing back that was purged up to a later one."""
    await sync(pinwheel, SqlSink(database), products=["paystubs"], accounts=[])
    for month in (3, 1):
        await purge(database, before=date(2026, month, 1))

    assert (await status(database)).scope.purged_before == date(2026, 3, 1)


@pytest.mark.parametrize("arguments", [{}, {"account_id": "a", "end_user_id": "b"}, {"account_id": "a", "before": NOW}])
async def test_one_thing_at_a_time(url: str, arguments):
    """Not exactly one of account, end user and day is a RequestError."""
    with pytest.raises(RequestError, match="give one of account_id, end_user_id and before"):
        await purge(url, **arguments)


async def test_no_database(url: str, tmp_path: Path):
    """A database that is not there is a ConfigurationError, and is not made."""
    with pytest.raises(ConfigurationError, match="there is no copy here"):
        await purge(url, account_id="a")

    assert not [*tmp_path.iterdir()]


async def test_json(pinwheel: Pinwheel, url: str, id_of: Ids):
    """The report is JSON for programs."""
    await sync(pinwheel, SqlSink(url))

    found = json.loads((await purge(url, account_id=id_of(GONE))).to_json())

    assert ([id_of(GONE)], 1, 0) == (found["accounts"], found["removed"]["accounts"], found["remaining"]["accounts"])
