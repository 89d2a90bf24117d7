"""Stopping the worker: what runs may finish, the rest waits in the inbox."""

import asyncio

from pinwheel_async.events import Event
from pinwheel_async.webhooks import MemoryInbox, _dispatch
from pinwheel_async.webhooks._worker import IDLE_S


async def test_stop_lets_running_handlers_finish(work):
    """A stop waits for handlers that run, claims nothing more, and leaves the rest waiting."""
    started, release, handled = asyncio.Event(), asyncio.Event(), []

    async def handle(event: Event) -> None:
        started.set()
        await release.wait()
        handled.append(event.event_id)

    await work(handle)
    await work.put("1", "2")
    await started.wait()
    stopping = asyncio.create_task(work.worker.stop(5))
    await asyncio.sleep(0)
    release.set()
    await stopping
    counts = await work.inbox.counts()

    assert ["1"] == handled
    assert (1, 1, 0) == (counts.done, counts.waiting, counts.claimed)


async def test_stop_gives_back_what_does_not_finish(work):
    """What does not finish in time waits again, and the attempt does not count."""
    started = asyncio.Event()

    async def handle(event: Event) -> None:
        started.set()
        await asyncio.Event().wait()

    await work(handle)
    await work.put("1")
    await started.wait()
    await work.worker.stop(0.01)
    (entry,) = await work.inbox.entries()

    assert ("waiting", 0) == (entry.state, entry.attempts)


async def test_stop_does_not_wait_for_who_ignores_it(work, grace, caplog):
    """What takes no notice of a stop is given back all the same, and its other handlers do not run."""
    started, release, calls = asyncio.Event(), asyncio.Event(), []

    async def stuck(event: Event) -> None:
        started.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                calls.append("told")

    async def after(event: Event) -> None:
        calls.append("after")

    await work(stuck, after)
    await work.put("1")
    await started.wait()
    async with asyncio.timeout(5):
        await work.worker.stop(0.01)
    (entry,) = await work.inbox.entries()
    release.set()
    await work.until(lambda: not work.worker._jobs.stuck)

    assert (["told"], "waiting", 0) == (calls, entry.state, entry.attempts)
    assert "a handler of event 1 ignores its cancellation" in caplog.text


async def test_stop_while_one_ignores_that_its_time_is_over(work, grace, monkeypatch, caplog):
    """A stop that finds a handler past its time gives the delivery back once, and runs nothing more of it."""
    monkeypatch.setattr(_dispatch, "GRACE_S", 0.2)
    told, release, calls = asyncio.Event(), asyncio.Event(), []

    async def stuck(event: Event) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                told.set()

    async def after(event: Event) -> None:
        calls.append("after")

    await work((stuck, {"timeout_s": 0.01}), after)
    await work.put("1")
    await told.wait()
    async with asyncio.timeout(5):
        await work.worker.stop(0)
    (entry,) = await work.inbox.entries()
    await work.until(lambda: not work.worker._dispatcher._deadlines._ends)  # its grace is over
    release.set()
    await work.until(lambda: not work.worker._jobs.stuck)

    assert ([], "waiting", 0) == (calls, entry.state, entry.attempts)
    assert 1 == caplog.text.count("ignores its cancellation")


async def test_stop_does_not_wait_for_an_idle_worker(work, time):
    """A stop cuts the worker's rest short, and it can be started again."""
    handled = []

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.until(lambda: work.worker._resting is not None)
    await work.worker.stop(5)
    await work.worker.stop(5)
    work.worker.start()
    await work.put("1")
    await work.settled()

    assert ["1"] == handled
    assert IDLE_S > time.now - 1000


async def test_stop_while_standing_back(work, inbox, monkeypatch):
    """A worker that stands back for a crowd when it is stopped claims nothing any more."""
    claims = []

    async def claim(limit, *, lease_s):
        claims.append(limit)
        return []

    async def handle(event: Event) -> None: ...

    monkeypatch.setattr(inbox, "claim", claim)
    await work(handle, is_crowded=lambda: True)
    await work.until(lambda: work.worker._resting is not None)
    await work.worker.stop(5)

    assert [] == claims


async def test_stop_in_the_middle_of_a_claim(work, inbox):
    """What is claimed while a stop has begun is given back unhandled."""
    claiming, release, handled = asyncio.Event(), asyncio.Event(), []

    class Slow(MemoryInbox):
        async def claim(self, limit, *, lease_s):
            claiming.set()
            await release.wait()
            return await super().claim(limit, lease_s=lease_s)

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    inbox.__class__ = Slow
    await work(handle)
    await work.put("1")
    await claiming.wait()
    stopping = asyncio.create_task(work.worker.stop(5))
    await asyncio.sleep(0)
    release.set()
    await stopping

    assert [] == handled
    assert 1 == (await inbox.counts()).waiting
