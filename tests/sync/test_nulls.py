"""A null anywhere in what the API sends does no harm to what reads it: the mirror, and every sink."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async import Pinwheel
from pinwheel_async.events import decode_event
from pinwheel_async.sync import JsonLinesSink, MemoryStore, Mirror, ParquetSink, Sink, SqlSink, sync
from pinwheel_async.testing import FakePinwheel, Fault
from tests.sync.handling import handle_event

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "samples").glob("*.json"))
OPERATIONS: dict[Any, str] = {
    "identity": "get_identity",
    "income": "get_income",
    "employment": "get_employment",
    "direct_deposit_allocations": "get_direct_deposit_allocations",
    "paystubs": "list_paystubs",
    "shifts": "list_shifts",
    "tax_forms": "list_tax_forms",
}
LISTS = {"paystubs", "shifts", "tax_forms"}


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value in a value."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, some in inner:
        yield (*place, key)
        yield from places(some, (*place, key))


def with_null(value: Any, place: tuple[Any, ...]) -> Any:
    """Return a value with null at a place."""
    changed = copy.deepcopy(value)
    around = changed
    for key in place[:-1]:
        around = around[key]
    around[place[-1]] = None
    return changed


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
async def test_events(fake: FakePinwheel, pinwheel: Pinwheel, url: str, sample: Path):
    """Whatever is null in an event, the mirror handles it."""
    body = json.loads(sample.read_text(encoding="utf-8"))
    if "account_id" in body["payload"]:
        body["payload"]["account_id"] = fake.world.account_id(0)
    async with Mirror(pinwheel, SqlSink(url), debounce_s=0) as mirror:
        for number, place in enumerate(places(body)):
            event = decode_event(json.dumps(with_null(body, place)).encode()).event
            if event is None:
                continue  # refused with its place, by the receiver
            await handle_event(mirror, event, event_id=f"event {number}")


def sinks(folder: Path) -> list[Sink]:
    database = f"sqlite+aiosqlite:///{folder / 'raw.db'}"
    plain = f"sqlite+aiosqlite:///{folder / 'plain.db'}"
    files = [JsonLinesSink(folder / "lines"), ParquetSink(folder / "parquet")]
    return [MemoryStore(), SqlSink(plain), SqlSink(database, raw=True), *files]


@pytest.mark.parametrize("product", OPERATIONS)
@pytest.mark.parametrize("number", range(5))
async def test_models(pinwheel: Pinwheel, fake: FakePinwheel, tmp_path: Path, product: Any, number: int):
    """Whatever is null in an object but its id, every sink stores it."""
    index, entries = next((index, entries) for index in range(12) if (entries := fake.world.entries(index, product)))
    item = json.loads(entries[0].body)
    item |= {"document": None} if "document" in item else {}
    sink = sinks(tmp_path)[number]
    remembers = {"changed_only": False} if hasattr(sink, "checkpoints") else {}
    odd = {place: with_null(item, place) for place in places(item) if place != ("id",)}
    shares = [*odd.items()]
    # As many in an answer as there can be: a sync for each takes ten times as long.
    at_once = 100 if product in LISTS else 1
    for some in (shares[start : start + at_once] for start in range(0, len(shares), at_once)):
        data = [changed | {"id": f"object {number}"} for number, (_, changed) in enumerate(some)]
        listed = {"data": data, "meta": {"count": len(data), "next_cursor": None}}
        answer = listed if product in LISTS else {"data": some[0][1], "meta": {}}
        fake.script(Fault(json=answer), operation=OPERATIONS[product])
        arguments: Any = {"accounts": [fake.world.account_id(index)], "products": [product], "max_removed": None}

        report = await sync(pinwheel, sink, **arguments, **remembers)

        assert (some[0][0], (), len(data)) == (some[0][0], report.failures, report.items)


async def test_accounts(pinwheel: Pinwheel, fake: FakePinwheel, url: str):
    """Whatever is null in a listed account but its id, it is stored."""
    item = json.loads(next(iter(fake.world.accounts(None))).body)
    for place in places(item):
        if place != ("id",):
            listed = {"data": [with_null(item, place)], "meta": {"count": 1, "next_cursor": None}}
            fake.script(Fault(json=listed), operation="list_accounts")

            report = await sync(pinwheel, SqlSink(url), products=["income"])

            assert (place, (), 1) == (place, report.failures, report.accounts)


async def test_a_line_that_is_null(pinwheel: Pinwheel, fake: FakePinwheel, url: str):
    """A line that is null keeps its place: its row is null, and the lines after it are where they were."""
    (entry, *_) = fake.world.entries(0, "paystubs")
    paystub = json.loads(entry.body) | {"document": None}
    paystub["taxes"][0] = None
    listed = {"data": [paystub], "meta": {"count": 1, "next_cursor": None}}
    fake.script(Fault(json=listed), operation="list_paystubs")
    sink = SqlSink(url)

    await sync(pinwheel, sink, accounts=[fake.world.account_id(0)], products=["paystubs"])

    await sink.open()
    query = "SELECT amount FROM paystub_taxes ORDER BY position"
    amounts = await sink._read(lambda connection: [row[0] for row in connection.exec_driver_sql(query)])
    await sink.close(complete=True)
    assert amounts == [None, *[tax["amount"] for tax in paystub["taxes"][1:]]]
