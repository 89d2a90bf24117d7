"""Helpers around readiness: event source, store and stall callback."""

import asyncio

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._readiness.store import BoundedValues
from pinwheel_async.webhooks._worker.dispatch import Dispatcher


async def hear(readiness, *bodies, failures=()):
    """Tell readiness of events, one after another, each of which fails as it should, or not at all."""
    dispatcher = Dispatcher(readiness.router, timeout_s=5)
    for body in bodies:
        run = await dispatcher.run(({}, body, "0"), body, "2025-07-08")
        kinds = [failure.reason.partition(" ")[0].rpartition(".")[2] for failure in run.failures]
        assert list(failures) == kinds
        assert not run.problems


async def settled():
    """Let every task go on until all wait for something."""
    for _ in range(50):
        await asyncio.sleep(0)


class Broken:
    """A store that fails on demand."""

    def __init__(self):
        self.values = BoundedValues()
        self.broken = False

    async def load(self, key):
        if self.broken:
            raise InboxError("no", reason="OSError")
        return await self.values.load(key)

    async def load_or_save(self, key, value):
        return await self.values.load_or_save(key, value)

    async def save(self, key, value):
        await self.values.save(key, value)


class Reports:
    """A callback that remembers what it was called with."""

    def __init__(self, readiness):
        self.states = []
        readiness.on_stalled(self.called)

    async def called(self, state):
        self.states.append(state)


async def lacking(pinwheel, product):
    """Return a platform that does not have a product."""
    return next(
        platform.id
        for platform in await pinwheel.platforms.list(limit=100).all()
        if product not in platform.supported_jobs
    )
