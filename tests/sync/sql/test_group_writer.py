"""Group commit: many writers, a single transaction."""

import asyncio
from collections.abc import Sequence

import pytest

from pinwheel_async.sync._sql.group_writer import GroupWriter


class Store:
    """Stores groups when it is let, and refuses negative numbers."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[int]) -> list[Exception | None]:
        self.groups.append([*items])
        await self.gate.wait()
        return [ValueError(item) if item < 0 else None for item in items]


async def test_what_waits_is_stored_together():
    """While one group is being stored the next one gathers."""
    store = Store()
    store.gate.clear()
    writer = GroupWriter(store)
    writes = [asyncio.create_task(writer.write(number)) for number in (1, 2, 3)]
    while not store.groups:
        await asyncio.sleep(0)
    writes += [asyncio.create_task(writer.write(number)) for number in (4, 5)]
    store.gate.set()
    await asyncio.gather(*writes)
    await writer.close()

    assert store.groups == [[1, 2, 3], [4, 5]]


async def test_a_group_is_bounded():
    """However many wait, a group has at most 512 items; they are stored in the order in which they came."""
    store = Store()
    writer = GroupWriter(store)

    await asyncio.gather(*map(writer.write, range(1_100)))
    await writer.close()

    assert [len(group) for group in store.groups] == [512, 512, 76]
    assert [item for group in store.groups for item in group] == [*range(1_100)]


async def test_groups_in_parallel():
    """Three groups may be stored at once, of at most 64 items each, in the order in which they came."""
    store = Store()
    store.gate.clear()
    writer = GroupWriter(store, parallel=3)
    writes = [asyncio.create_task(writer.write(number)) for number in range(300)]
    for _ in range(10):
        await asyncio.sleep(0)

    assert [len(group) for group in store.groups] == [64, 64, 64]
    store.gate.set()
    await asyncio.gather(*writes)
    await writer.close()
    assert [item for group in store.groups for item in group] == [*range(300)]


async def test_one_writer_does_not_wait_for_company():
    """A lone item is stored at once."""
    store = Store()
    writer = GroupWriter(store)

    await writer.write(1)
    await writer.close()

    assert store.groups == [[1]]


async def test_everybody_hears_their_own_outcome():
    """What keeps one item from being stored is raised to who wrote it."""
    writer = GroupWriter(Store())

    outcomes = await asyncio.gather(*(writer.write(item) for item in (1, -2, 3)), return_exceptions=True)
    await writer.close()

    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]


async def test_a_cancelled_writer_takes_nobody_along():
    """An item is stored although its writer was cancelled, and others do not notice."""
    store = Store()
    store.gate.clear()
    writer = GroupWriter(store)
    writes = [asyncio.create_task(writer.write(number)) for number in (1, -2, 3)]
    while not store.groups:
        await asyncio.sleep(0)
    writes[1].cancel()
    store.gate.set()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    await writer.close()

    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]
    assert store.groups == [[1, -2, 3]]


async def test_closing_stores_what_waits():
    """Closing returns when everything that was handed over is stored."""
    store = Store()
    writer = GroupWriter(store)
    write = asyncio.create_task(writer.write(1))
    await asyncio.sleep(0)

    await writer.close()

    assert store.groups == [[1]]
    await write


async def test_closing_stores_more_than_a_group(monkeypatch: pytest.MonkeyPatch):
    """So it is with more than one group takes."""
    monkeypatch.setattr("pinwheel_async.sync._sql.group_writer._MAX_GROUP", 2)
    store = Store()
    writer = GroupWriter(store)
    writes = [asyncio.create_task(writer.write(number)) for number in range(5)]
    await asyncio.sleep(0)

    await writer.close()

    assert store.groups == [[0, 1], [2, 3], [4]]
    await asyncio.gather(*writes)


async def test_a_cancelled_group_leaves_nobody_waiting():
    """If the loop is torn down under the writer, whoever waits is cancelled, too."""
    store = Store()
    store.gate.clear()
    writer = GroupWriter(store)
    write = asyncio.create_task(writer.write(1))
    while not store.groups:
        await asyncio.sleep(0)

    writer._tasks[0].cancel()

    with pytest.raises(asyncio.CancelledError):
        await write
