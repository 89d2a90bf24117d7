"""Workers of several versions of the library on one inbox: what one of them cannot decode."""

import pytest

from pinwheel_async.events import Event
from pinwheel_async.webhooks import DeliveryFilter


@pytest.fixture
def inbox(any_inbox):
    """An inbox that workers of other versions may be at work on."""
    return any_inbox("postgres")


async def test_unreadable_until_another_version_comes(work, upgraded):
    """What one version cannot decode is tried again, and handled by one that can; so is what waits behind it."""
    seen = []

    async def handle(event: Event) -> None:
        seen.append(type(event).__name__)

    with upgraded(moons="a number"):
        await work(handle)
        await work.put("1", "2", event="moon.risen", moons="two")
        for _ in range(3):
            await work.retry(60)
    assert [] == seen
    with upgraded(moons="text"):
        await work.retry(60)
        counts = await work.settled()

    assert (2, 0, ["MoonRisen"] * 2) == (counts.done, counts.dead, seen)


async def test_unreadable_for_all(work):
    """What nobody can decode is dead after ten attempts, a minute apart, and after a revival has as many again."""

    async def handle(event: Event) -> None:
        raise AssertionError

    await work(handle)
    await work.put("1", timestamp="planted-4711")
    attempts = []
    for _ in range(2):
        for _ in range(9):
            await work.retry(60)
        await work.settled()
        (entry,) = await work.inbox.entries(DeliveryFilter(states="dead"))
        attempts.append(entry.attempts)
        await work.inbox.revive()

    assert [10, 10] == attempts
    assert "payload.timestamp: not a moment in time" == entry.reason
