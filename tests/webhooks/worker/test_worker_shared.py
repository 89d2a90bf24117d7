"""Workers that share the file of an inbox, as those of several processes do."""

import asyncio

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.events import Event
from pinwheel_async.webhooks import Context, Router, SqliteInbox
from pinwheel_async.webhooks._delivery import make_delivery
from pinwheel_async.webhooks._worker.dispatch import Dispatcher
from pinwheel_async.webhooks._worker.worker import Worker


async def test_policies_hold_for_all_workers_together(tmp_path, body):
    """However many workers share a delivery, its handlers fail as often as their policies say, and return once."""
    calls, workers = [], []

    async def fine(event: Event, context: Context) -> None:
        calls.append(("fine", context.app))

    async def broken(event: Event, context: Context) -> None:
        calls.append(("broken", context.app))
        raise ValueError

    inboxes = [SqliteInbox(tmp_path / "inbox.db", synchronous="NORMAL") for _ in range(4)]
    for number, inbox in enumerate(inboxes):
        await inbox.open()
        router = Router()
        router.on(Event)(fine)
        router.on(Event)(broken)
        router.freeze()
        workers.append(
            Worker(inbox, Dispatcher(router, timeout_s=5, app=number), retry=RetryPolicy(attempts=10, base_s=0))
        )
    await inboxes[0].put(make_delivery({}, body(), key="k"))
    async with asyncio.timeout(30):
        while not (await inboxes[0].counts()).dead:
            for worker in workers:
                before = len(calls)
                worker.start()
                while len(calls) == before and not (await inboxes[0].counts()).dead:
                    await asyncio.sleep(0)
                await worker.stop(5)
    for inbox in inboxes:
        await inbox.close()

    names = [name for name, _ in calls]
    assert (1, 10) == (names.count("fine"), names.count("broken"))
    assert len({number for _, number in calls}) > 1
