"""What a database is given: twins of the models, as long as nobody looks at them."""

from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from pinwheel_async import PRODUCTS, DecodeError, Pinwheel, capture
from pinwheel_async._core.convert import decode, encode
from pinwheel_async._core.fields import Model
from pinwheel_async._core.lean import Lean
from pinwheel_async._core.shape import Shape
from pinwheel_async.sync import Batch, MemorySink, SqlSink, sync
from pinwheel_async.sync._rows import Page
from pinwheel_async.sync._sink import Kind, without_link
from pinwheel_async.sync._sql_write import layout_of
from pinwheel_async.sync._tables import STORED

KINDS: tuple[Kind, ...] = ("accounts", *PRODUCTS)


class NotingSink(SqlSink):
    """Remembers which kinds of objects it was given."""

    def __init__(self, database: str, *, raw: bool = False) -> None:
        super().__init__(database, raw=raw)
        self.seen: set[type[Any]] = set()

    async def write(self, batch: Batch) -> None:
        self.seen |= {Lean if isinstance(one, Lean) else Model for one in batch.items}
        await super().write(batch)


def twins(items: Iterable[Model]) -> tuple[Any, ...]:
    """Turn models into their twins."""
    models = [without_link(one) for one in items]
    body = b'{"data":[%s]}' % b",".join(encode(one) for one in models)
    return decode(Shape(type(models[0]), many=True, meta=None, lean=True), body, "2025-07-08").data


async def test_a_database_is_given_twins(pinwheel: Pinwheel, url: str):
    """A sink that only reads values is given twins, and nothing but twins."""
    sink = NotingSink(url)

    await sync(pinwheel, sink)

    assert sink.seen == {Lean}


async def test_raw_objects_are_models(pinwheel: Pinwheel, url: str):
    """A sink that keeps objects whole is given models."""
    sink = NotingSink(url, raw=True)

    await sync(pinwheel, sink)

    assert sink.seen == {Model}


async def test_every_other_sink_is_given_models(pinwheel: Pinwheel):
    """A sink that says nothing about it is given models."""
    sink = MemorySink()

    await sync(pinwheel, sink)

    assert {True} == {isinstance(one, Model) for kind in KINDS for one in sink.items(kind)}


async def test_who_captures_sees_models(pinwheel: Pinwheel, url: str):
    """Replies that somebody captures during a sync hold models."""
    with capture() as replies:
        await sync(pinwheel, SqlSink(url))

    values = [one for reply in replies for one in getattr(reply.value, "data", (reply.value,))]
    assert {True} == {isinstance(one, Model) for one in values}


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.asyncpg.dialect()], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("kind", KINDS)
async def test_twins_give_the_rows_of_their_models(pinwheel: Pinwheel, kind: Kind, dialect: Any):
    """Rows that are read out of twins are those of the models, in objects and in lines."""
    memory = MemorySink()
    await sync(pinwheel, memory)
    layout = layout_of(STORED[kind], dialect, raw=False)
    models = memory.items(kind)
    assert models
    account_id = None if kind == "accounts" else "a"

    ours, expected = (
        [Page.of(Batch(kind=kind, account_id=account_id, items=items))] for items in (twins(models), models)
    )

    assert [*layout.object_rows(ours)] == [*layout.object_rows(expected)]
    for number in range(len(layout.parts)):
        assert [*layout.part_rows(number, ours)] == [*layout.part_rows(number, expected)]


async def test_places_in_twins_that_no_database_takes(pinwheel: Pinwheel, url: str):
    """What no database takes is named with its place, and the other pages are stored."""
    memory = MemorySink()
    await sync(pinwheel, memory)
    body = b'{"data":[%s]}' % encode(without_link(memory.items("paystubs")[0])).replace(
        b'"check_amount":', b'"check_amount":9999999999999999999999,"x":'
    )
    (paystub,) = decode(
        Shape(type(memory.items("paystubs")[0]), many=True, meta=None, lean=True), body, "2025-07-08"
    ).data
    sink = SqlSink(url)
    await sink.open()

    with pytest.raises(DecodeError) as caught:
        await sink.write(Batch(kind="paystubs", account_id="a", items=(paystub,)))
    await sink.close(complete=True)

    assert caught.value.paths == ("data[0].check_amount: beyond 64 bits",)
