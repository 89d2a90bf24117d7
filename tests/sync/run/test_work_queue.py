"""Work queue: order, bounds, slots, and its end."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest

from pinwheel_async.sync._run import work_queue
from pinwheel_async.sync._run.work_queue import Slot, WorkQueue


async def test_what_follows_comes_first():
    """What a step pushes is done before the steps that were put earlier."""
    queue, done = WorkQueue(1), list[str]()

    async def do(name: str, _: Slot) -> None:
        done.append(name)

    async def begin(_: Slot) -> None:
        done.append("first")
        queue.push(partial(do, "follows"))

    await queue.put(begin)
    await queue.put(partial(do, "second"))
    worker = asyncio.create_task(queue.work())
    await queue.join()
    worker.cancel()

    assert done == ["first", "follows", "second"]


async def test_room():
    """No more steps are put than the workers are about to take."""
    queue, taken = WorkQueue(2), 0
    gate = asyncio.Event()

    async def wait(_: Slot) -> None:
        await gate.wait()

    async def put() -> None:
        nonlocal taken
        for _ in range(100):
            await queue.put(wait)
            taken += 1

    tasks = [asyncio.create_task(coroutine) for coroutine in (queue.work(), queue.work(), put())]
    for _ in range(200):
        await asyncio.sleep(0)

    assert taken == 2 + 8
    gate.set()
    await tasks[2]
    await queue.join()
    assert taken == 100
    for task in tasks:
        task.cancel()


async def test_the_end_waits_for_what_follows():
    """The queue is joined when nothing waits, nothing is being done, and nothing can follow."""
    queue, depth = WorkQueue(3), 0

    async def dig(_: Slot) -> None:
        nonlocal depth
        await asyncio.sleep(0)
        depth += 1
        if depth < 10:
            queue.push(dig)

    workers = [asyncio.create_task(queue.work()) for _ in range(3)]
    await queue.put(dig)
    await queue.join()

    assert depth == 10
    for worker in workers:
        worker.cancel()


async def test_others_work_while_a_slot_is_yielded():
    """While a worker has yielded its slot, another one takes it; there are never more slots than were given."""
    queue, busy, peak = WorkQueue(1, extra_workers=2), 0, 0
    gate = asyncio.Event()

    async def do(slot: Slot, *, last: bool) -> None:
        nonlocal busy, peak
        busy += 1
        peak = max(peak, busy)
        await asyncio.sleep(0)
        busy -= 1
        async with slot.yielded(last=last):
            await gate.wait()
        if not last:
            busy += 1
            peak = max(peak, busy)
            await asyncio.sleep(0)
            busy -= 1

    for last in (False, True, False):
        await queue.put(partial(do, last=last))
    workers = [asyncio.create_task(queue.work()) for _ in range(queue.workers)]
    async with asyncio.timeout(10):
        while queue._waiting.qsize():
            await asyncio.sleep(0)
        gate.set()
        await queue.join()
    for worker in workers:
        worker.cancel()

    assert peak == 1
    assert queue.slots._value == 1


async def test_failure_takes_the_slot_again():
    """A worker that fails while its slot is yielded goes on with a slot, and releases it once."""
    queue = WorkQueue(1, extra_workers=1)

    async def fail(slot: Slot) -> None:
        with suppress(ValueError):
            async with slot.yielded(last=True):
                raise ValueError

    await queue.put(fail)
    worker = asyncio.create_task(queue.work())
    async with asyncio.timeout(10):
        await queue.join()
    worker.cancel()

    assert queue.slots._value == 1


async def test_stop_does_not_wait_for_a_sink_that_hangs(monkeypatch: pytest.MonkeyPatch):
    """A worker whose sink does not answer any more is cancelled when the run stops, after a while."""
    monkeypatch.setattr(work_queue, "STOP_S", 0.05)
    queue, waits = WorkQueue(1, extra_workers=1), asyncio.Event()

    async def hang(slot: Slot) -> None:
        async with slot.yielded(last=True):
            waits.set()
            await asyncio.Event().wait()

    await queue.put(hang)
    worker = asyncio.create_task(queue.work())
    async with asyncio.timeout(10):
        await waits.wait()
        await queue.stop([worker])
        await asyncio.wait([worker])

    assert worker.cancelled()


async def test_pushed_steps_make_no_room():
    """What workers push takes no room, and so makes none: the queue stays as short as before."""
    queue = WorkQueue(1)

    async def nothing(_: Slot) -> None:
        """Do nothing."""

    async def follow_up(_: Slot) -> None:
        for _ in range(3):
            queue.push(nothing)

    worker = asyncio.create_task(queue.work())
    await queue.put(follow_up)
    await queue.join()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    puts = [asyncio.create_task(queue.put(nothing)) for _ in range(10)]
    for _ in range(20):
        await asyncio.sleep(0)
    done = sum(put.done() for put in puts)
    for put in puts:
        put.cancel()

    assert done == 4
