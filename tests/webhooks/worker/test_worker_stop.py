"""Stopping the worker: running handlers may finish, the rest waits in the inbox."""

import asyncio

from pinwheel_async.errors import InboxError
from pinwheel_async.events import Event
from pinwheel_async.webhooks import MemoryInbox
from pinwheel_async.webhooks._worker import dispatch as _dispatch, worker as _worker
from pinwheel_async.webhooks._worker.worker import IDLE_S


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
    """A delivery that does not finish in time waits again, and the attempt does not count."""
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


async def test_stop_does_not_wait_for_handlers_that_ignore_it(work, grace, caplog):
    """A delivery whose handler ignores a stop is given back all the same, and its other handlers do not run."""
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
    await work.until(lambda: not work.worker._dispatcher.stuck)

    assert (["told"], "waiting", 0) == (calls, entry.state, entry.attempts)
    assert "ignores its cancellation and goes on: event 1" in caplog.text


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
    release.set()
    await work.until(lambda: not work.worker._dispatcher.stuck)

    assert ([], "waiting", 0) == (calls, entry.state, entry.attempts)
    assert 1 == caplog.text.count("ignores its cancellation")


async def test_stop_does_not_wait_for_an_idle_worker(work, time):
    """A stop cuts the worker's pause short, and it can be started again."""
    handled = []

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    await work(handle)
    await work.until(lambda: work.worker._pause is not None)
    await work.worker.stop(5)
    await work.worker.stop(5)
    work.worker.start()
    await work.put("1")
    await work.settled()

    assert ["1"] == handled
    assert IDLE_S > time.now - 1000


async def test_stop_in_the_middle_of_a_claim(work, inbox):
    """A delivery that is claimed while a stop has begun is given back unhandled."""
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


async def test_what_has_returned_before_a_stop_does_not_run_again(work):
    """When a stop cuts a delivery short, the handlers that have returned do not run again after a restart."""
    calls, started = [], asyncio.Event()

    async def first(event: Event) -> None:
        calls.append("first")

    async def second(event: Event) -> None:
        calls.append("second")
        started.set()
        if calls.count("second") == 1:
            await asyncio.Event().wait()

    await work(first, second)
    await work.put("1")
    await started.wait()
    await work.worker.stop(0.01)
    await work(first, second)
    counts = await work.settled()

    assert (["first", "second", "second"], 1) == (calls, counts.done)


async def test_a_handler_that_returns_although_it_is_cancelled(work):
    """When the last handler swallows the cancellation of a stop and returns, its delivery is done."""
    started = asyncio.Event()

    async def careful(event: Event) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    await work(careful)
    await work.put("1")
    await started.wait()
    await work.worker.stop(0.01)

    assert 1 == (await work.inbox.counts()).done


async def test_one_of_two_that_returns_although_it_is_cancelled(work):
    """One that swallows the cancellation of a stop and returns does not run again; those behind it run after that."""
    started, calls = asyncio.Event(), []

    async def careful(event: Event) -> None:
        calls.append("careful")
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def other(event: Event) -> None:
        calls.append("other")

    await work(careful, other)
    await work.put("1")
    await started.wait()
    await work.worker.stop(0.01)
    stopped = [*calls]
    await work(careful, other)
    counts = await work.settled()

    assert ["careful"] == stopped
    assert (["careful", "other"], 1) == (calls, counts.done)


async def test_stop_while_the_inbox_fails(work, inbox):
    """A stop does not wait for an inbox that takes nothing: what cannot be marked is left to its lease."""
    started = asyncio.Event()

    class Broken(MemoryInbox):
        async def done(self, claim):
            raise InboxError("the disk is full", reason="SQLITE_FULL")

    async def careful(event: Event) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    inbox.__class__ = Broken
    await work(careful)
    await work.put("1")
    await started.wait()
    async with asyncio.timeout(5):
        await work.worker.stop(0.01)

    assert 1 == (await inbox.counts()).claimed


async def test_stop_while_the_inbox_hangs(work, inbox, grace, monkeypatch):
    """A stop does not wait for an inbox that hangs either."""
    monkeypatch.setattr(_worker, "GIVE_BACK_S", 0.01)
    started = asyncio.Event()

    class Hanging(MemoryInbox):
        async def release(self, claim, *, progress=None):
            await asyncio.Event().wait()

    async def handle(event: Event) -> None:
        started.set()
        await asyncio.Event().wait()

    inbox.__class__ = Hanging
    await work(handle)
    await work.put("1")
    await started.wait()
    async with asyncio.timeout(5):
        await work.worker.stop(0.01)

    assert 1 == (await inbox.counts()).claimed
