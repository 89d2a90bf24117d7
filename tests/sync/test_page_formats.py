"""Page formats: a database is given structs, and models where they are looked at."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from pinwheel_async import PRODUCTS, DecodeError, Pinwheel, capture
from pinwheel_async._core.convert import Shape, decode
from pinwheel_async._core.converter import encode
from pinwheel_async._core.derived import StructModel, kept_json
from pinwheel_async._core.model import Model
from pinwheel_async.sync import Batch, MemorySink, SqlSink, sync
from pinwheel_async.sync._sink import Kind, without_link
from pinwheel_async.sync._sql.rows import PageRows
from pinwheel_async.sync._sql.tables import STORED
from pinwheel_async.sync._sql.writer import layout_of

KINDS: tuple[Kind, ...] = ("accounts", *PRODUCTS)


class NotingSink(SqlSink):
    """Remembers which kinds of objects it was given."""

    def __init__(self, database: str, **options: Any) -> None:
        super().__init__(database, **options)
        self.with_json: set[bool] = set()
        self.seen: set[type[Any]] = set()

    async def write(self, batch: Batch) -> None:
        self.seen |= {StructModel if isinstance(item, StructModel) else Model for item in batch.items}
        self.with_json |= {kept_json(item) is not None for item in batch.items}
        await super().write(batch)


def structs(items: Iterable[Model]) -> tuple[Any, ...]:
    """Turn models into their structs."""
    models = [without_link(item) for item in items]
    body = b'{"data":[%s]}' % b",".join(encode(model) for model in models)
    return decode(Shape(type(models[0]), many=True, meta=None), body, "2025-07-08", "structs").data


async def test_a_database_is_given_structs(pinwheel: Pinwheel, url: str):
    """A sink that only reads values is given structs, and nothing but structs."""
    sink = NotingSink(url)

    await sync(pinwheel, sink)

    assert sink.seen == {StructModel}


async def test_raw_objects_hold_their_json(pinwheel: Pinwheel, url: str):
    """A sink that keeps objects as they came is given structs that hold their JSON, and others hold none."""
    for raw in (False, True):
        sink = NotingSink(url, raw=raw, change_scope=True)

        await sync(pinwheel, sink)

        assert (sink.seen, sink.with_json) == ({StructModel}, {raw})


async def test_every_other_sink_is_given_models(pinwheel: Pinwheel):
    """A sink that says nothing about it is given models."""
    sink = MemorySink()

    await sync(pinwheel, sink)

    assert {True} == {isinstance(item, Model) for kind in KINDS for item in sink.items(kind)}


async def test_who_captures_sees_models(pinwheel: Pinwheel, url: str):
    """Replies that somebody captures during a sync hold models."""
    with capture() as replies:
        await sync(pinwheel, SqlSink(url))

    values = [item for reply in replies for item in getattr(reply.value, "data", (reply.value,))]
    assert {True} == {isinstance(value, Model) for value in values}


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.asyncpg.dialect()], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("kind", KINDS)
async def test_structs_give_the_rows_of_their_models(pinwheel: Pinwheel, kind: Kind, dialect: Any):
    """Rows that are read out of structs are those of the models, in objects and in lines."""
    memory = MemorySink()
    await sync(pinwheel, memory)
    layout = layout_of(STORED[kind], dialect, raw=False)
    models = memory.items(kind)
    assert models
    account_id = None if kind == "accounts" else "a"

    ours, expected = (
        [PageRows.of(Batch(kind=kind, account_id=account_id, items=items))] for items in (structs(models), models)
    )

    now = datetime.now(UTC)
    assert [*layout.object_rows(ours, now)] == [*layout.object_rows(expected, now)]
    for number in range(len(layout.parts)):
        assert [*layout.part_rows(number, ours)] == [*layout.part_rows(number, expected)]


async def test_places_in_structs_that_no_database_takes(pinwheel: Pinwheel, url: str):
    """What no database takes is named with its place, and the other pages are stored."""
    memory = MemorySink()
    await sync(pinwheel, memory)
    body = b'{"data":[%s]}' % encode(without_link(memory.items("paystubs")[0])).replace(
        b'"check_amount":', b'"check_amount":9999999999999999999999,"x":'
    )
    (paystub,) = decode(
        Shape(type(memory.items("paystubs")[0]), many=True, meta=None), body, "2025-07-08", "structs"
    ).data
    sink = SqlSink(url)
    await sink.open()

    with pytest.raises(DecodeError) as caught:
        await sink.write(Batch(kind="paystubs", account_id="a", items=(paystub,)))
    await sink.close(complete=True)

    assert caught.value.paths == ("data[0].check_amount: beyond 64 bits",)
