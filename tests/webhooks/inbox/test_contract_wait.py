"""When `wait` returns, in every inbox."""

import asyncio
from typing import Any

import pytest

from pinwheel_async.webhooks import DeliveryFilter

from .claims import LEASE_S, claim, claim_one, ids


async def waiting(inbox: Any, time: Any, timeout_s: float) -> "asyncio.Task[None]":
    """Start to wait, and return once it does."""
    listener = getattr(inbox, "_listener", None)
    if listener is not None:
        async with asyncio.timeout(10):
            await listener.hears.wait()  # it wakes all that wait, once, as something may have been missed until then
    known = len(time._alarms)
    task = asyncio.create_task(inbox.wait(timeout_s))
    async with asyncio.timeout(10):
        while len(time._alarms) == known and not task.done():
            await asyncio.sleep(0)
    return task


async def test_time_is_over(inbox, time):
    """Nothing happens, and the time is over."""
    task = await waiting(inbox, time, 60)
    time.advance(59)
    async with asyncio.timeout(10):
        while not any(alarm.callback for alarm in time._alarms):  # a database is asked in between
            await asyncio.sleep(0)
    early = task.done()
    time.advance(1)
    await task

    assert not early


async def test_no_time(inbox):
    """No time to wait is no wait."""
    await inbox.wait(0)


async def test_due_already(inbox, deliver):
    """Something is due: there is nothing to wait for."""
    await inbox.put(deliver("1"))

    await inbox.wait(60)


async def test_put(inbox, deliver, time):
    """A new delivery wakes all that wait; a repetition wakes none."""
    await inbox.put(deliver("1"))
    await claim(inbox)
    tasks = [await waiting(inbox, time, 20) for _ in range(3)]
    await inbox.put(deliver("1"))
    await asyncio.sleep(0)
    woken = [task.done() for task in tasks]
    await inbox.put(deliver("2"))
    await asyncio.gather(*tasks)

    assert [False] * 3 == woken


@pytest.mark.parametrize("mark", ["done", "retry", "dead", "release"])
async def test_marks(inbox, deliver, time, mark):
    """Every mark wakes, because the next of the ordering key may be due."""
    await inbox.put(deliver("1"))
    held = await claim_one(inbox)
    task = await waiting(inbox, time, 20)
    match mark:
        case "done":
            await inbox.done(held)
        case "release":
            await inbox.release(held)
        case _:
            await inbox.fail(held, reason="r", retry_in_s=None if mark == "dead" else 5)
    await task


async def test_revive(inbox, deliver, time):
    """Revived deliveries wake."""
    await inbox.put(deliver("1"))
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=None)
    task = await waiting(inbox, time, 60)
    await inbox.revive(DeliveryFilter(event_ids=["unknown"]))
    await asyncio.sleep(0)
    early = task.done()
    await inbox.revive()
    await task

    assert not early


async def test_next_attempt(inbox, deliver, time):
    """It returns when the next attempt is due."""
    await inbox.put(deliver("1"))
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=5)
    task = await waiting(inbox, time, 60)
    time.advance(5)
    await task

    assert ["1"] == ids(await claim(inbox))


async def test_lease_end(inbox, deliver, time):
    """It returns when a lease lapses."""
    await inbox.put(deliver("1"))
    await claim(inbox)
    task = await waiting(inbox, time, 60)
    time.advance(LEASE_S)
    await task

    assert ["1"] == ids(await claim(inbox))


async def test_close(inbox, time):
    """Closing wakes."""
    task = await waiting(inbox, time, 60)
    await inbox.close()

    await task


async def test_cancelled(inbox, time):
    """A wait can be given up at any point, and leaves nothing behind."""
    started = asyncio.create_task(inbox.wait(60))
    waits = await waiting(inbox, time, 60)
    for task in (started, waits):
        task.cancel()
    await asyncio.gather(started, waits, return_exceptions=True)

    assert not inbox._notifier._waiting
    assert all(alarm.callback is None for alarm in time._alarms)


async def test_notified_twice(inbox, deliver, time):
    """Two deliveries at once wake a waiter once."""
    task = await waiting(inbox, time, 60)
    await asyncio.gather(inbox.put(deliver("1")), inbox.put(deliver("2")))

    await task
