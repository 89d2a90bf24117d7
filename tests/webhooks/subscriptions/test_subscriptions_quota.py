"""An API key that has no room for another webhook."""

import pytest

from pinwheel_async.errors import RequestError

from .helpers import fill, operations


async def test_no_room(fake, subscriptions, there):
    """Where other people's webhooks use up the quota, nothing is changed, even if a gap is allowed."""
    await fill(there, 10)
    fake.clear_records()

    with pytest.raises(RequestError, match="none of them is ours"):
        await subscriptions().apply(allow_gap=True)
    assert ["list_webhooks"] == operations(fake)


async def test_no_room_to_replace(fake, subscriptions, there):
    """Where there is no room to make before deleting, nothing is changed."""
    await fill(there, 9)
    await there(version="2023-11-22")
    fake.clear_records()

    with pytest.raises(RequestError, match="allow_gap"):
        await subscriptions().apply()
    assert ["list_webhooks"] == operations(fake)


async def test_gap(fake, subscriptions, there):
    """Where a gap is allowed, the old webhook makes room for the new one."""
    await fill(there, 9)
    old = await there(version="2023-11-22")
    fake.clear_records()

    report = await subscriptions().apply(allow_gap=True)

    assert ["list_webhooks", "delete_webhook", "create_webhook"] == operations(fake)
    assert (True, (old,)) == (report.created, report.deleted)


async def test_stray_makes_room(fake, pinwheel, subscriptions, there):
    """Of what may make room, a webhook of an old URL goes first, and the one of this URL stays until the end."""
    await fill(there, 8)
    old, stray = await there(version="2023-11-22"), await there("https://old.example.com#mine")
    fake.clear_records()

    report = await subscriptions().apply(allow_gap=True)

    assert ["list_webhooks", "delete_webhook", "create_webhook", "delete_webhook"] == operations(fake)
    assert (stray, old) == report.deleted


async def test_gap_only_where_needed(fake, subscriptions, there):
    """Where there is room, nothing is deleted before the new webhook is made, though a gap is allowed."""
    await there(version="2023-11-22")
    fake.clear_records()

    await subscriptions().apply(allow_gap=True)

    assert ["list_webhooks", "create_webhook", "delete_webhook"] == operations(fake)


async def test_full_and_nothing_to_make(subscriptions, there):
    """A used-up quota does not matter where nothing is to be made."""
    await fill(there, 9)
    await there(status="paused")

    assert (await subscriptions().apply()).updated
