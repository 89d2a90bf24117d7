"""Inboxes for the tests of readiness."""

import pytest

from pinwheel_async.webhooks import MemoryInbox, SqliteInbox


@pytest.fixture(params=["memory", "sqlite", "none"])
async def inbox(request, tmp_path):
    """Each of the inboxes, and none."""
    if request.param == "none":
        yield None
        return
    inbox = MemoryInbox() if request.param == "memory" else SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    yield inbox
    await inbox.close()
