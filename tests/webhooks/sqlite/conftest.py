"""The file of an inbox, open in fake time, and deliveries to put into it."""

from contextlib import asynccontextmanager

import pytest

from pinwheel_async.webhooks import Delivery, SqliteInbox

from .refusals import BODY


@pytest.fixture
def path(tmp_path):
    return tmp_path / "inbox.db"


@pytest.fixture
def deliver(time):
    """Make a delivery that arrives now, in a lane of its own."""

    def make_one(event_id, lane=None, body=BODY):
        return Delivery(
            event_id=event_id, event="e", lane=lane or event_id, received_at=time.clock.now(), key="k", body=body
        )

    return make_one


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
