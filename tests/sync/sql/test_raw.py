"""Raw objects in a database: each as the API sent it, whoever fetched and whoever wrote it."""

import csv
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncEngine

from pinwheel_async import Pinwheel, capture
from pinwheel_async._core.fields import attributes, wire_name
from pinwheel_async.events import PaystubsAdded
from pinwheel_async.models import Paystub
from pinwheel_async.sync import METADATA, Fleet, Mirror, SqlSink, as_of, changes, export, purge, sync
from pinwheel_async.sync._sql.tables import STORED
from pinwheel_async.sync._sql.writer_process import WriterProcess
from pinwheel_async.testing import FakePinwheel, Fault, _fake, make_event
from tests.sync.handling import handle_event

NUMBERS = "[1e400, 0.1, 0.10, -0.25e-3, 123456789012345678901234567890, 18446744073709551616, 12345678901234.56]"
UNKNOWN = f'"unknown": {{"numbers": {NUMBERS}, "text": "Grüße 😀", "null": null, "list": [{{}}, [], [true]]}}'

exactly = partial(json.loads, parse_float=Decimal)


class Served:
    """What a fake sends: its objects with fields that nobody knows, at the top, in an object, and in a list."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        """JSON of each object by id, as it was sent last."""
        self.unknown = UNKNOWN
        self.edit: Callable[[str], str] = lambda item: item

    def body(self, body: bytes) -> bytes:
        """Change an answer."""
        answer = json.loads(body) if body else None
        if not isinstance(answer, dict) or "data" not in answer:
            return body
        data = answer["data"]
        items = [self._item(item) for item in (data if isinstance(data, list) else [data])]
        text = json.dumps({**answer, "data": "@data"}).replace(
            '"@data"', f"[{', '.join(items)}]" if isinstance(data, list) else items[0]
        )
        return text.encode()

    def _item(self, item: Any) -> str:
        for name, value in item.items():
            if isinstance(value, dict) and name != "tags":  # whose own values are a column
                value["unknown_there"] = "@"
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                value[0]["unknown_there"] = "@"
        text = json.dumps({**item, "@": 0}).replace('"@": 0', self.unknown).replace('"@"', NUMBERS)
        text = self.items[item["id"]] = self.edit(text)
        return text


@pytest.fixture
async def fake() -> AsyncIterator[FakePinwheel]:
    """A fake with eight accounts."""
    async with FakePinwheel(accounts=8) as running:
        yield running


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """Let the fake send more than is documented."""
    found = Served()

    def respond(reply: Any) -> web.Response:
        return web.Response(status=reply.status, body=found.body(reply.body) or None, headers=reply.headers)

    monkeypatch.setattr(_fake, "_response", respond)
    return found


@pytest.fixture(params=[False, True], ids=["alone", "process"])
def writer_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether another process writes, which it must do then."""
    written: list[bool] = []
    write, start = WriterProcess.write, "pinwheel_async.sync._sql.writer_process.PAGES_BEFORE_START"

    async def noting(self: WriterProcess, batch: Any) -> bool:
        written.append(await write(self, batch))
        return written[-1]

    monkeypatch.setattr(WriterProcess, "write", noting)
    monkeypatch.setattr(start, 0)
    yield request.param
    assert any(written) is request.param


async def stored(engine: AsyncEngine, table: str) -> dict[str, Any]:
    """Return the raw objects of a table by id, numbers exactly."""
    columns = METADATA.tables[table].c
    async with engine.connect() as connection:
        rows = await connection.execute(select(columns.id, cast(columns.raw, Text)))
        return {row[0]: row[1] and exactly(row[1]) for row in rows}


def expected(text: str) -> Any:
    """Return an object as it is stored."""
    item = exactly(text)
    if item.get("document"):
        item["document"] |= {"download_url": None, "download_url_expiration": None}
    return item


def all_of(served: Served, found: dict[str, Any]) -> None:
    """Require that raw objects are those that were sent."""
    assert found
    assert found == {key: expected(served.items[key]) for key in found}


async def test_every_kind_of_object(
    pinwheel: Pinwheel, fake: FakePinwheel, served: Served, database: str, engine: AsyncEngine, writer_process: bool
):
    """Of every kind of object each field is kept that came, known or not, wherever it stands, digit for digit."""
    report = await sync(pinwheel, SqlSink(database, raw=True, writer_process=writer_process))

    assert report.ok
    for kind, tables in STORED.items():
        found = await stored(engine, tables.table.name)
        all_of(served, found)
        assert kind != "accounts" or len(found) == 8


async def test_a_later_reading(pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine):
    """A field that nobody knows and that changes is a change: stored, with a moment, and in the history."""
    await sync(pinwheel, SqlSink(database, raw=True, history=True))
    old = await stored(engine, "paystubs")
    async with engine.connect() as connection:
        columns = METADATA.tables["paystubs"].c
        before = {row[0]: row[1] for row in await connection.execute(select(columns.id, columns.changed_at))}
    between = datetime.now(UTC)
    first = [change async for change in changes(database)]
    served.unknown = '"unknown": {"other": 1}'

    await sync(pinwheel, SqlSink(database), changed_only=False)

    all_of(served, await stored(engine, "paystubs"))
    async with engine.connect() as connection:
        after = {row[0]: row[1] for row in await connection.execute(select(columns.id, columns.changed_at))}
    assert all(after[key] > before[key] for key in before)
    later = [change async for change in changes(database, since=first[-1].token)]
    assert {change.id for change in later if change.kind == "paystubs"} == {*before}
    assert {change.change for change in later} == {"changed"}
    past = {row["id"]: row["raw"] for row in (await as_of(database, between))["paystubs"]}
    assert past == {key: json.loads(json.dumps(value, default=float)) for key, value in old.items()}


async def test_an_equal_reading(pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine):
    """Objects that come again are no change, in whichever order their keys stand."""
    await sync(pinwheel, SqlSink(database, raw=True, history=True))
    first = [change async for change in changes(database)]
    served.edit = lambda item: "{" + UNKNOWN + ", " + item[1:].replace(", " + UNKNOWN, "")

    await sync(pinwheel, SqlSink(database), changed_only=False)

    assert [change async for change in changes(database, since=first[-1].token)] == []


async def test_odd_objects(
    pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine, writer_process: bool
):
    """Objects that are not as documented, and read by the slow path, are kept as they came."""
    served.edit = lambda item: re.sub(r'"(created_at|account_id)": "[^"]*"', r'"\1": null', item)

    report = await sync(
        pinwheel, SqlSink(database, raw=True, writer_process=writer_process), products=["income", "shifts"]
    )

    assert report.ok
    for table in ("incomes", "shifts"):
        all_of(served, await stored(engine, table))


async def test_an_account_that_cannot_be_read(
    pinwheel: Pinwheel, fake: FakePinwheel, served: Served, database: str, engine: AsyncEngine
):
    """Of a page with an account that cannot be read, each of the others keeps its own JSON."""
    broken = fake.world.account_id(2)
    served.edit = lambda item: item.replace('"connected": true', '"connected": [7]') if broken in item else item

    await sync(pinwheel, SqlSink(database, raw=True), products=["income"])

    found = await stored(engine, "accounts")
    assert broken not in found
    assert len(found) == 7
    all_of(served, found)


async def test_while_somebody_captures(pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine):
    """Who captures replies sees models, and raw objects are stored as ever."""
    with capture() as replies:
        await sync(pinwheel, SqlSink(database, raw=True), products=["paystubs"])

    all_of(served, await stored(engine, "paystubs"))
    all_of(served, await stored(engine, "accounts"))
    assert {type(item).__mro__[1].__name__ for reply in replies for item in reply.value} == {"Model"}


async def test_an_older_version(
    pinwheel: Pinwheel, fake: FakePinwheel, served: Served, database: str, engine: AsyncEngine
):
    """Of an answer of an older version the shape that came is kept, not what it was lifted to."""
    served.edit = lambda item: item.replace('"currency": "USD"', '"currency": "usd"')
    older = Fault(headers=(("Pinwheel-Version", "2021-07-28"),))
    fake.script(*[older] * 100, operation="list_paystubs")

    await sync(pinwheel, SqlSink(database, raw=True), products=["paystubs"])

    found = await stored(engine, "paystubs")
    all_of(served, found)
    assert {raw["currency"] for raw in found.values()} == {"usd"}
    columns = METADATA.tables["paystubs"].c
    async with engine.connect() as connection:
        assert {*await connection.scalars(select(columns.currency))} == {"USD"}


async def test_the_mirror(pinwheel: Pinwheel, fake: FakePinwheel, served: Served, database: str, engine: AsyncEngine):
    """What a mirror fetches for an event is kept as it came, account and product."""
    event = make_event(PaystubsAdded, account_id=fake.world.account_id(0))
    async with Mirror(pinwheel, SqlSink(database, raw=True), debounce_s=0) as mirror:
        await handle_event(mirror, event)

    for table in ("paystubs", "accounts"):
        all_of(served, await stored(engine, table))


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_fleet(pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine):
    """What processes fetch together is kept as it came."""
    await Fleet(pinwheel, SqlSink(database, raw=True)).sync()

    for tables in STORED.values():
        all_of(served, await stored(engine, tables.table.name))


async def test_what_no_database_holds(pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine):
    """What no database holds, in a field that nobody knows, takes nothing away of what is known."""
    numbers = r'{"k\u0000": 1e99999, "d": -0.1e-99999, "z": 1e0000000000099999}'
    served.unknown = r'"unknown": ["a\u0000b", "\\u0000", "\ud800c", ' + f"{numbers}]"

    report = await sync(pinwheel, SqlSink(database, raw=True))

    assert report.ok
    found = {**await stored(engine, "incomes"), **await stored(engine, "paystubs"), **await stored(engine, "accounts")}
    kept = ["a\ufffdb", "\\u0000", "\ufffdc", {"k\ufffd": "1e99999", "d": "-0.1e-99999", "z": "1e0000000000099999"}]
    assert [raw["unknown"] for raw in found.values()] == [kept] * len(found)
    assert found.keys() == served.items.keys() & found.keys()


async def test_links(pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine):
    """Links that grant access are nowhere, under whatever name they come; others stay."""
    link = "https://files.example.com/f.pdf?X-Amz-Signature=planted"
    escaped = link.replace("/", r"\/")
    served.unknown = f'"unknown": {{"file": ["{link}", "{escaped}"], "download_url": "planted", "page": "https://example.com/a?b=c"}}'

    await sync(pinwheel, SqlSink(database, raw=True), products=["tax_forms", "paystubs"])

    for table in ("tax_forms", "paystubs"):
        for raw in (await stored(engine, table)).values():
            assert raw["unknown"] == {"file": [None, None], "download_url": None, "page": "https://example.com/a?b=c"}
            assert "planted" not in repr(raw)
            assert "signature" not in repr(raw)


async def test_links_beside_what_cannot_be_kept(
    pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine, writer_process: bool
):
    """Of an object whose JSON cannot be stored what is known is kept, and no link, in whatever form."""
    served.unknown = f'"unknown": {"9" * 5_000}, "download_url": "https://files.example.com/f.pdf?X-Amz-Signature=s"'

    report = await sync(pinwheel, SqlSink(database, raw=True, writer_process=writer_process), products=["paystubs"])

    assert report.ok
    found = await stored(engine, "paystubs")
    assert found
    for raw in found.values():
        assert raw.keys() == {wire_name(attribute) for attribute in attributes(Paystub)}
        assert "X-Amz-Signature" not in repr(raw)


async def test_keys_that_come_twice(pinwheel: Pinwheel, served: Served, database: str, engine: AsyncEngine):
    """Of two equal keys the last one counts, in both databases and in the columns."""
    served.edit = lambda item: item[:-1] + ', "currency": "EUR", "unknown": 2}'

    await sync(pinwheel, SqlSink(database, raw=True), products=["paystubs"])

    assert {(raw["currency"], raw["unknown"]) for raw in (await stored(engine, "paystubs")).values()} == {("EUR", 2)}
    columns = METADATA.tables["paystubs"].c
    async with engine.connect() as connection:
        assert {*await connection.scalars(select(columns.currency))} == {"EUR"}


async def test_an_export_and_a_purge(
    pinwheel: Pinwheel, fake: FakePinwheel, served: Served, database: str, engine: AsyncEngine, tmp_path: Path
):
    """An export holds raw objects as they are stored, and a purge takes them away, from the history, too."""
    await sync(pinwheel, SqlSink(database, raw=True, history=True), products=["income"])
    await export(database, tmp_path, format="csv", tables=["incomes"])
    with (tmp_path / "incomes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"]: exactly(row["raw"]) for row in rows} == await stored(engine, "incomes")
    served.unknown = '"unknown": 2'
    await sync(pinwheel, SqlSink(database), changed_only=False)

    for account_id in fake.world.account_ids():
        await purge(database, account_id=account_id)

    assert await stored(engine, "incomes") == {}
    async with engine.connect() as connection:
        assert not [*await connection.execute(select(METADATA.tables["pinwheel_changes"]))]


async def test_raw_of_what_was_read_before(fake: FakePinwheel, database: str, engine: AsyncEngine):
    """Where raw objects are begun, or ended, the next sync makes the column so for all, changed or not, and once."""
    async with Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        await sync(pinwheel, SqlSink(database))
        for raw in (True, False):
            await sync(pinwheel, SqlSink(database, raw=raw, change_scope=True))
            again = await sync(pinwheel, SqlSink(database))

            async with engine.connect() as connection:
                found = [
                    (kind, row.raw is not None)
                    for kind, stored in STORED.items()
                    for row in await connection.execute(select(stored.table.c.raw))
                ]
            assert {*found} == {(kind, raw) for kind in STORED}
            assert again.items == 0
