"""Each of the inboxes in fake time, and deliveries to put into it."""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pinwheel_async.webhooks import Delivery, Inbox, SqliteInbox

from .refusals import BODY


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def make(request, any_inbox) -> Callable[..., Inbox]:
    """Make an inbox; in one test, all have the same file, or the same tables."""
    return functools.partial(any_inbox, request.param)


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

    def build(event_id: str, ordering_key: str = "account", **fields: Any) -> Delivery:
        values = {"event": "paystubs.added", "received_at": time.clock.now(), "key": "secret-1", "body": b"{}"}
        return Delivery(event_id=event_id, ordering_key=ordering_key, **(values | fields))

    return build


@pytest.fixture
def path(tmp_path):
    """The file of an inbox that does not exist yet."""
    return tmp_path / "inbox.db"


@pytest.fixture
def deliver_apart(time):
    """Make a delivery that arrives now, with an ordering key of its own."""

    def build(event_id, ordering_key=None, body=BODY):
        return Delivery(
            event_id=event_id,
            event="e",
            ordering_key=ordering_key or event_id,
            received_at=time.clock.now(),
            key="k",
            body=body,
        )

    return build


@pytest.fixture
def opened(path, time):
    """Open the inbox for a block."""

    @asynccontextmanager
    async def opened(file=path, **settings):
        inbox = SqliteInbox(file, **settings, clock=time.clock)
        await inbox.open()
        try:
            yield inbox
        finally:
            await inbox.close()

    return opened
