"""Who speaks with readiness: those who tell it, keep for it, and are told by it."""

import asyncio

from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._dispatch import Dispatcher
from pinwheel_async.webhooks._readiness_store import OwnValues


async def hear(readiness, *bodies, failures=()):
    """Tell readiness of events, one after another, each of which fails as it should, or not at all."""
    dispatcher = Dispatcher(readiness.router, timeout_s=5)
    for body in bodies:
        course = dispatcher.begin(({}, body, "0"), body, "2025-07-08")
        await dispatcher.follow(course)
        assert list(failures) == [one.reason for one in course.failures]
        assert not course.problems


async def settled():
    """Let every task go on until all wait for something."""
    for _ in range(50):
        await asyncio.sleep(0)


class Broken:
    """A store that fails on demand."""

    def __init__(self):
        self.values = OwnValues()
        self.broken = False

    async def load(self, key):
        if self.broken:
            raise InboxError("no", reason="OSError")
        return await self.values.load(key)

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
    return next(one.id for one in await pinwheel.platforms.list(limit=100).all() if product not in one.supported_jobs)
