"""Time limit of many tasks: it ends what takes too long, and nothing else."""

import asyncio

import pytest

from pinwheel_async.webhooks import _time_limit
from pinwheel_async.webhooks._time_limit import TimeLimit


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Look often, so that the tests need not wait."""
    monkeypatch.setattr(_time_limit, "SWEEP_S", 0.01)


async def answer():
    await asyncio.sleep(0)
    return 7


async def test_in_time():
    """What ends in time is returned."""
    assert 7 == await TimeLimit().wait(answer(), 10)


async def test_error():
    """What it raises is raised."""
    with pytest.raises(ZeroDivisionError):
        await TimeLimit().wait(asyncio.to_thread(lambda: 1 / 0), 10)


async def test_too_late():
    """What takes too long is cancelled, and the task goes on."""
    ended, limit = [], TimeLimit()

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            await limit.wait(hang(), 0.01)

    assert [1] == ended
    assert 0 == asyncio.current_task().cancelling()


async def test_late_and_done():
    """What ends well although it was cancelled is returned, and the task is as good as before."""
    limit = TimeLimit()

    async def cling():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 7

    async with asyncio.timeout(10):
        assert 7 == await limit.wait(cling(), 0.01)
    assert 0 == asyncio.current_task().cancelling()


async def test_only_the_late():
    """Of several that wait, those with a longer limit go on waiting."""
    limit, go_on = TimeLimit(), asyncio.Event()
    tasks = [asyncio.create_task(limit.wait(go_on.wait(), limit_s)) for limit_s in (10, 0.01, 10)]
    await asyncio.wait(tasks[1:2], timeout=10)
    pending = [task.done() for task in tasks]
    go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [False, True, False] == pending
    assert [True, TimeoutError, True] == [outcome if outcome is True else type(outcome) for outcome in outcomes]


async def test_cancelled_by_others():
    """A task that is cancelled by somebody else is cancelled."""
    task = asyncio.create_task(TimeLimit().wait(asyncio.Event().wait(), 10))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()


async def test_cancelled_by_both():
    """A task that is cancelled by somebody else while it is late is cancelled."""
    limit = TimeLimit()

    async def hang():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task.cancel()
            raise

    task = asyncio.create_task(limit.wait(hang(), 0.01))
    await asyncio.wait({task}, timeout=10)

    assert task.cancelled()


def test_another_loop():
    """In another event loop the limit holds, too: the timer of the first one never fires."""
    limit = TimeLimit()

    async def hang():
        with pytest.raises(TimeoutError):
            await limit.wait(asyncio.Event().wait(), 0.01)

    asyncio.run(limit.wait(answer(), 10))
    asyncio.run(asyncio.wait_for(hang(), 10))
