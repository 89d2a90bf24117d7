"""Each of the inboxes in fake time, and deliveries to put into it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pinwheel_async.webhooks import Delivery, Inbox, MemoryInbox, SqliteInbox


@pytest.fixture(params=["memory", "sqlite"])
def make(request, tmp_path, time) -> Callable[..., Inbox]:
    """Make an inbox; in one test, all with the same name are the same file."""

    def build(**settings: Any) -> Inbox:
        if request.param == "memory":
            return MemoryInbox(**settings, clock=time.clock)
        return SqliteInbox(tmp_path / "inbox.db", **settings, clock=time.clock)

    return build


@pytest.fixture
async def inbox(make) -> AsyncIterator[Inbox]:
    """An open inbox in fake time."""
    inbox = make()
    await inbox.open()
    yield inbox
    await inbox.close()


@pytest.fixture
def deliver(time) -> Callable[..., Delivery]:
    """Make a delivery that arrives now."""

    def make_one(event_id: str, lane: str = "lane", **fields: Any) -> Delivery:
        values = {"event": "paystubs.added", "received_at": time.clock.now(), "key": "secret-1", "body": b"{}"}
        return Delivery(event_id=event_id, lane=lane, **(values | fields))

    return make_one
