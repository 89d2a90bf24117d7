"""Tasks that begin at once, on every version of Python."""

import asyncio
import contextvars
import gc
import logging
import weakref
from contextlib import suppress

import pytest

from pinwheel_async._clock import time_limit
from pinwheel_async.webhooks._worker.start_task import start_task

number = contextvars.ContextVar("number", default=0)


async def test_what_never_waits_is_done_at_once():
    """A coroutine that never waits has its result when it was started."""

    async def work() -> int:
        return 42

    assert start_task(work(), name="work").result() == 42


async def test_an_error_is_kept():
    """What a coroutine raises is the error of its future, before and after it has waited."""

    async def work(wait: bool) -> None:
        if wait:
            await asyncio.sleep(0)
        raise ValueError("no")

    for wait in (False, True):
        task = start_task(work(wait), name="work")
        with pytest.raises(ValueError, match="no"):
            await task


async def test_it_is_the_current_task_throughout():
    """A coroutine is in one task from its first step to its last, and its caller in its own."""
    seen: list[object] = []

    async def work() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    mine = asyncio.current_task()
    task = start_task(work(), name="work")
    assert asyncio.current_task() is mine
    assert task in asyncio.all_tasks()
    await task
    assert seen == [task, task]


async def test_a_time_limit_that_begins_at_once_holds():
    """A time limit that a coroutine sets before it first waits ends its waiting, and nothing else."""

    async def work() -> str:
        try:
            async with time_limit(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.sleep(0)
            return "late"
        return "in time"

    assert await start_task(work(), name="work") == "late"


async def test_steps_share_one_context():
    """What a coroutine sets in a context it was given, it finds after it has waited; its caller does not."""

    async def work() -> int:
        number.set(1)
        await asyncio.sleep(0)
        return number.get()

    context = contextvars.copy_context()
    assert await start_task(work(), name="work", context=context) == 1
    assert (number.get(), context[number]) == (0, 1)


async def test_without_a_context_it_has_its_own():
    """What a coroutine sets in its context is not seen by the next one, whether or not it waits."""

    async def work() -> int:
        before = number.get()
        number.set(before + 1)
        return before

    assert [await start_task(work(), name="work") for _ in range(2)] == [0, 0]


async def test_a_cancellation_right_after_the_start_reaches_the_coroutine():
    """A task that is cancelled in the same turn as it was started ends what its coroutine has begun."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    task = start_task(work(), name="work")
    task.cancel()
    await asyncio.wait({task})
    assert (ended, task.cancelled()) == (["ended"], True)


async def test_a_cancellation_right_after_the_start_is_not_lost():
    """A task that is cancelled in the turn in which what it waits for has come is cancelled all the same."""
    come: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await come

    task = start_task(work(), name="work")
    come.set_result(None)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_what_has_waited_is_freed_without_the_garbage_collector():
    """A task that has gone on with a coroutine is no part of a cycle once it is done."""

    async def work() -> None:
        await asyncio.sleep(0)

    gc.disable()
    try:
        task = start_task(work(), name="work")
        await task
        freed = weakref.ref(task)
        del task
        await asyncio.sleep(0)
        assert freed() is None
    finally:
        gc.enable()


async def test_what_cancels_itself_is_cancelled_and_nobody_else():
    """A coroutine that cancels its task meets that where it waits next; the next coroutine does not."""

    async def cancels() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()

    async def waits() -> str:
        await cancels()
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    async def other() -> str:
        await asyncio.sleep(0)
        return "fine"

    first = start_task(cancels(), name="work")
    second = start_task(other(), name="work")
    await asyncio.wait({first, second})
    assert (first.cancelled(), second.result()) == (True, "fine")
    assert await start_task(waits(), name="work") == "cancelled"


async def test_two_may_wait_for_the_same_future():
    """A future that one coroutine waits for at once can be waited for by others in the same turn."""
    shared: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return await shared

    tasks = [start_task(work(), name="work") for _ in range(2)]
    ordinary = asyncio.create_task(work())
    await asyncio.sleep(0)
    shared.set_result(7)
    assert await asyncio.gather(*tasks, ordinary) == [7, 7, 7]


async def test_one_may_start_another():
    """A coroutine may start another one before it waits, and both go on in tasks of their own."""

    async def inner() -> object:
        await asyncio.sleep(0)
        return asyncio.current_task()

    async def outer() -> tuple[object, object]:
        task = start_task(inner(), name="inner")
        await asyncio.sleep(0)
        return await task, asyncio.current_task()

    task = start_task(outer(), name="outer")
    one, two = await task
    assert two is task
    assert one is not two


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_nothing_is_left_behind_when_the_loop_is_closed(caplog, error):
    """A loop that is closed after a coroutine was over at once in it leaves no task that somebody is told of."""
    loop = asyncio.new_event_loop()

    async def work() -> int:
        if error is not None:
            raise error
        return 1

    async def start() -> int:
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with suppress(KeyboardInterrupt):
            task = start_task(work(), name="work")
            assert (task.exception() is None) == (error is None)
        return len(asyncio.all_tasks())

    with caplog.at_level(logging.DEBUG):
        assert loop.run_until_complete(start()) == 1
        loop.close()
        gc.collect()
    assert "was destroyed" not in caplog.text
