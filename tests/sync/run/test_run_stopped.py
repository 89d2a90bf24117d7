"""Stopping a run before its end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pinwheel_async import Pinwheel, PinwheelError, SinkError
from pinwheel_async.sync import Batch, MemorySink, MemoryStore, Store, sync
from pinwheel_async.testing import FakePinwheel, Fault

Stores = Callable[[], Store]


async def until(fake: FakePinwheel, operation: str, count: int) -> None:
    async with asyncio.timeout(10):
        while fake.counts[operation] < count:
            await asyncio.sleep(0)


async def test_stop(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A run that is told to stop gives up what it waits for, and reports what it did."""
    stop = asyncio.Event()
    fake.script(*[Fault()] * 5, Fault(delay_s=30), operation="get_income")
    task = asyncio.create_task(sync(pinwheel, store(), products=["income"], stop=stop, concurrency=1))
    await until(fake, "get_income", 6)
    stop.set()

    async with asyncio.timeout(10):
        report = await task

    assert (report.stopped, report.ok, report.products["income"].complete) == (True, False, 5)


async def test_going_on_after_a_stop(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """The run after one that was stopped fetches the rest."""
    stop = asyncio.Event()
    fake.script(*[Fault()] * 5, Fault(delay_s=30), operation="get_income")
    task = asyncio.create_task(sync(pinwheel, store(), products=["income"], stop=stop, concurrency=1))
    await until(fake, "get_income", 6)
    stop.set()
    await task
    fake.clear_records()

    report = await sync(pinwheel, store(), products=["income"])

    assert (report.stopped, report.unchanged, fake.counts["get_income"]) == (False, 5, 7)


async def test_stopped_before_it_began(fake: FakePinwheel, pinwheel: Pinwheel):
    """A run that is told to stop before it begins does nothing."""
    stop = asyncio.Event()
    stop.set()

    report = await sync(pinwheel, MemorySink(), stop=stop)

    assert (report.stopped, report.pages) == (True, 0)


async def test_never_stopped(pinwheel: Pinwheel):
    """A run that might be stopped and is not ends as any other."""
    report = await sync(pinwheel, MemorySink(), products=["income"], stop=asyncio.Event())

    assert report.ok
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("pinwheel-sync")]


class Closing(MemoryStore):
    """A store that notes how it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[bool] = []

    async def close(self, *, complete: bool) -> None:
        self.closed.append(complete)


async def test_the_sink_learns_of_it(pinwheel: Pinwheel):
    """The sink of a run that was stopped is closed as incomplete."""
    stop, sink = asyncio.Event(), Closing()
    stop.set()

    await sync(pinwheel, sink, stop=stop)

    assert sink.closed == [False]


async def test_failures_of_a_stopped_run(fake: FakePinwheel, pinwheel: Pinwheel):
    """What failed before a run was stopped is kept."""
    stop, store = asyncio.Event(), MemoryStore()
    fake.script(Fault(status=500), Fault(delay_s=30), operation="get_income")
    task = asyncio.create_task(sync(pinwheel, store, products=["income"], stop=stop, concurrency=1))
    await until(fake, "get_income", 2)
    stop.set()
    await task

    assert ["ServerError"] == [failure.error for failure in await store.failures()]


async def test_everything_again_after_a_stop(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A run that fetches everything again and was stopped goes on in the next one."""
    await sync(pinwheel, store(), products=["income"])
    stop = asyncio.Event()
    fake.clear_records()
    fake.script(*[Fault()] * 5, Fault(delay_s=30), operation="get_income")
    again: Any = {"products": ["income"], "changed_only": False}
    task = asyncio.create_task(sync(pinwheel, store(), **again, stop=stop, concurrency=1))
    await until(fake, "get_income", 6)
    stop.set()
    await task
    fake.clear_records()

    await sync(pinwheel, store(), **again)

    assert fake.counts["get_income"] == 7


async def test_an_error_before_the_stop(pinwheel: Pinwheel):
    """A run that is stopped because its sink failed ends with the error of the sink."""
    stop = asyncio.Event()

    class Failing(MemorySink):
        async def write(self, batch: Batch) -> None:
            stop.set()
            raise SinkError("it is full", reason="ENOSPC")

    with pytest.raises(PinwheelError, match="it is full"):
        await sync(pinwheel, Failing(), stop=stop)


async def test_an_error_after_the_stop(pinwheel: Pinwheel):
    """A sink that fails while the run is being stopped is not hidden by that."""
    stop = asyncio.Event()

    class Failing(MemorySink):
        async def write(self, batch: Batch) -> None:
            stop.set()
            try:
                await asyncio.Event().wait()
            finally:
                raise SinkError("it is full", reason="ENOSPC")

    with pytest.raises(PinwheelError, match="it is full"):
        await sync(pinwheel, Failing(), stop=stop)
