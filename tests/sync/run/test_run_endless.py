"""Lists without an end, as a sync reads them."""

import pytest

from pinwheel_async import CursorError, Pinwheel
from pinwheel_async.sync import MemorySink, sync
from pinwheel_async.testing import FakePinwheel, Fault, make_shift


class ModelSink(MemorySink):
    """Takes models."""

    decode_to = "models"
    batch_size = 0


class StructSink(ModelSink):
    """Takes structs."""

    decode_to = "structs"


class ByteSink(ModelSink):
    """Takes answers as they came."""

    decode_to = "bytes"


@pytest.mark.parametrize("sink", [ModelSink, StructSink, ByteSink])
@pytest.mark.parametrize("ids", [(), ("a", "b")], ids=["empty", "repeated"])
async def test_a_list_that_brings_nothing_new_fails(
    fake: FakePinwheel, pinwheel: Pinwheel, sink: type[ModelSink], ids: tuple[str, ...]
):
    """A list whose pages bring nothing new, each with a new cursor, is a failure, however far the pages are decoded."""
    data = [make_shift(id=shift_id).to_dict() for shift_id in ids]
    pages = [{"data": data, "meta": {"next_cursor": f"made-up {number}", "refreshed_at": None}} for number in range(60)]
    fake.script(*[Fault(status=200, json=page) for page in pages], operation="list_shifts")

    report = await sync(pinwheel, sink(), accounts=[fake.world.account_id(0)], products=["shifts"])

    (failure,) = report.failures
    assert isinstance(failure.error, CursorError)
    assert failure.error.pages <= 11


@pytest.mark.parametrize("sink", [ModelSink, StructSink, ByteSink])
@pytest.mark.parametrize("meta", [{}, {"meta": None}, {"meta": {"count": 100}}], ids=["none", "null", "no cursor"])
async def test_a_full_page_without_a_cursor_fails(
    fake: FakePinwheel, pinwheel: Pinwheel, sink: type[ModelSink], meta: dict[str, object]
):
    """A full page that does not say whether there is another one is no last page: nothing is taken for deleted."""
    data = [make_shift(seed).to_dict() for seed in range(100)]
    fake.script(Fault(status=200, json={"data": data, **meta}), operation="list_shifts")
    kept = sink()

    report = await sync(pinwheel, kept, accounts=[fake.world.account_id(0)], products=["shifts"])

    assert (report.products["shifts"].failed, kept.batches) == (1, [])
