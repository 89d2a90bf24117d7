"""Deliveries that go wrong on order."""

import asyncio
from datetime import UTC, datetime

import pytest

from pinwheel_async.events import Event
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.testing._webhooks.delivery_faults import DeliveryFaults
from pinwheel_async.webhooks import KeyRing, MemoryInbox, Router

NAMES = ("income.added", "identity.added", "employment.added", "tax_forms.added")


async def deliver_all(fake) -> list[str]:
    """Deliver four events, a second apart, and return their ids."""
    ids = []
    for name in NAMES:
        ids.append(await fake.deliver(name))
        await fake.advance(1)
    return ids


async def test_none(fake, hook):
    """Without faults everything comes once, in order."""
    fake.subscribe(hook.url)

    assert await deliver_all(fake) == hook.ids


async def test_duplicate(fake, hook):
    """A duplicate has the same event id and body."""
    fake.subscribe(hook.url)
    fake.webhook_faults(duplicate=1)
    event_id = await fake.deliver("income.added")

    assert [event_id, event_id] == hook.ids
    assert 1 == len({arrival.body for arrival in hook.arrivals})


async def test_late_duplicate(fake, hook):
    """With a delay one of two copies may come late."""
    fake.subscribe(hook.url)
    fake.webhook_faults(duplicate=1, delay=1)
    await fake.deliver("income.added")
    await fake.advance(600)

    assert 2 == len(hook.arrivals)
    assert 1 < hook.stamps[1] - hook.stamps[0]


async def test_reorder(fake, hook):
    """A delivery is overtaken by the next one to the same webhook."""
    fake.subscribe(hook.url)
    fake.webhook_faults(reorder=1)
    await deliver_all(fake)

    assert [NAMES[1], NAMES[0], NAMES[3], NAMES[2]] == hook.events
    assert sorted(hook.stamps) == hook.stamps


async def test_reorder_by_webhook(fake, hooked):
    """Only the next delivery to the same webhook overtakes."""
    async with hooked() as hook, hooked() as other:
        fake.subscribe(hook.url, ["income.added", "tax_forms.added"])
        fake.subscribe(other.url, ["identity.added", "employment.added"])
        fake.webhook_faults(reorder=1)
        await deliver_all(fake)

    assert ["tax_forms.added", "income.added"] == hook.events
    assert ["employment.added", "identity.added"] == other.events


async def test_nothing_overtakes(fake, hook):
    """What nothing overtakes in 10 seconds comes after all."""
    fake.subscribe(hook.url)
    fake.webhook_faults(reorder=1)
    await fake.deliver("income.added")
    await fake.advance(9)
    assert [] == hook.events
    await fake.advance(1)

    assert ["income.added"] == hook.events


async def test_delay(fake, hook):
    """A late delivery comes half a minute to ten minutes later, and is signed then."""
    fake.subscribe(hook.url)
    fake.webhook_faults(delay=1)
    began = fake.clock.now().timestamp()
    await fake.deliver("income.added")
    await fake.advance(29)
    assert [] == hook.events
    await fake.advance(600)

    assert 30 <= hook.stamps[0] - began + 1 <= 601


async def test_corrupt(fake, hook):
    """A corrupt copy goes beside the good one, and only one of them is authentic."""
    fake.subscribe(hook.url)
    fake.webhook_faults(corrupt=1)
    event_id = await fake.deliver("income.added")
    ring = KeyRing([fake.api_secret])
    verdicts = [
        ring.verify(
            signature=arrival.header("x-pinwheel-signature"), timestamp=arrival.header("x-timestamp"), body=arrival.body
        ).reason
        for arrival in hook.arrivals
    ]

    assert ["ok", "wrong"] == sorted(verdicts)
    assert [event_id, event_id] == hook.ids


async def test_corrupt_is_refused(fake, mounted):
    """The library's receiver answers 401 to the copy, 200 to the good one, and handles the event once."""
    router, seen = Router(), []

    @router.on(Event)
    async def on_event(event: Event) -> None:
        seen.append(event.event_id)

    inbox = MemoryInbox()
    async with mounted(router, secrets=[fake.api_secret], inbox=inbox) as url:
        fake.subscribe(url)
        fake.webhook_faults(corrupt=1, duplicate=1)
        event_id = await fake.deliver("income.added")
        async with asyncio.timeout(30):
            while not (await inbox.counts()).done:
                await asyncio.sleep(0)

    assert [(False, 200), (False, 200), (True, 401)] == sorted(
        (attempt.corrupt, attempt.status) for attempt in fake.deliveries
    )
    assert [event_id] == seen


async def test_corrupt_is_not_repeated(fake, hooked):
    """A corrupt copy goes once, whatever is answered."""
    async with hooked(500, 500) as hook:
        fake.subscribe(hook.url)
        fake.webhook_faults(corrupt=1)
        await fake.deliver("income.added")
        await fake.advance(900)

    assert [(1, True), (1, False), (2, False)] == [(attempt.attempt, attempt.corrupt) for attempt in fake.deliveries]


async def test_lose(fake, hook):
    """A lost event never comes and is on no record."""
    fake.subscribe(hook.url)
    fake.webhook_faults(lose=1, duplicate=1, corrupt=1, reorder=1, delay=1)
    await deliver_all(fake)
    await fake.advance(86_400)

    assert ([], 0) == (hook.arrivals, len(fake.deliveries))


async def test_clear_faults(fake, hook):
    """When the faults are cleared, nothing goes wrong any more."""
    fake.subscribe(hook.url)
    fake.webhook_faults(lose=1)
    fake.clear_faults()

    assert await deliver_all(fake) == hook.ids


async def test_a_little_of_everything(hooked):
    """The same seed gives the same faults, another seed other ones; what is not lost arrives."""
    runs = {}
    for run, seed in (("a", 1), ("b", 1), ("c", 2)):
        async with FakePinwheel() as fake, hooked() as hook:
            fake.clock.set(datetime(2026, 4, 1, tzinfo=UTC))
            fake.subscribe(hook.url)
            fake.webhook_faults(duplicate=0.3, reorder=0.3, delay=0.3, corrupt=0.3, lose=0.3, seed=seed)
            for _ in range(10):
                await deliver_all(fake)
            await fake.advance(900)
            runs[run] = [(attempt.event_id, attempt.corrupt, attempt.at) for attempt in fake.deliveries]

    assert sorted(runs["a"]) == sorted(runs["b"]) != sorted(runs["c"])
    assert 20 < len({event_id for event_id, corrupt, _ in runs["a"] if not corrupt}) < 40


def test_one_chance_leaves_the_others():
    """Whether something is lost does not hang on how likely it is to be late."""
    some, more = DeliveryFaults(lose=0.5, seed=3), DeliveryFaults(lose=0.5, delay=1, seed=3)

    assert [not some.plan().copies for _ in range(99)] == [not more.plan().copies for _ in range(99)]


@pytest.mark.parametrize("chance", [-0.1, 1.1, float("nan")])
async def test_no_chance(fake, chance):
    """A chance is from 0 to 1."""
    with pytest.raises(ValueError, match="0 to 1"):
        fake.webhook_faults(lose=chance)
