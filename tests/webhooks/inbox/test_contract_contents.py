"""What every inbox keeps, counts, lists and forgets."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks import Claim, DeliveryFilter

from .claims import claim, claim_one, ids


async def test_counts_and_entries(inbox, deliver, time):
    """States are counted and listed, newest first, and no entry holds a body."""
    for name in ("done", "dead", "claimed", "later", "behind", "new"):
        await inbox.put(deliver(name, ordering_key="later" if name == "behind" else name, body=b"SECRET"))
        time.advance(1)
    for held in await claim(inbox, 4):
        match held.delivery.event_id:
            case "done":
                await inbox.done(held)
            case "dead":
                await inbox.fail(held, reason="a.b: no number", retry_in_s=None)
            case "later":
                await inbox.fail(held, reason="busy", retry_in_s=5)
    counts = await inbox.counts()
    entries = await inbox.entries()
    listed = {
        state: [entry.event_id for entry in await inbox.entries(DeliveryFilter(states=state))]
        for state in ("waiting", "claimed", "done", "dead")
    }

    assert (3, 1, 1, 1, 3.0) == (counts.waiting, counts.claimed, counts.done, counts.dead, counts.oldest_waiting_s)
    assert ["new", "behind", "later", "claimed", "dead", "done"] == [entry.event_id for entry in entries]
    assert {"waiting": ["new", "behind", "later"], "claimed": ["claimed"], "done": ["done"], "dead": ["dead"]} == listed
    assert "SECRET" not in repr(entries)
    dead = entries[4]
    assert ("dead", "paystubs.added", "dead", 1, "a.b: no number") == (
        dead.ordering_key,
        dead.event,
        dead.state,
        dead.attempts,
        dead.reason,
    )
    assert deliver("x").received_at - timedelta(seconds=5) == deliver("x").received_at.fromtimestamp(
        dead.received_at, tz=deliver("x").received_at.tzinfo
    )
    assert 2 == len(await inbox.entries(limit=2))
    assert 0 == len(await inbox.entries(limit=-1))


async def test_purged_before_it_is_forgotten(make, deliver, time):
    """An id that was purged and is done once more is remembered from then."""
    inbox = make(remember_s=100)
    await inbox.open()
    for key in ("account", "other"):
        await inbox.put(deliver("1"))
        await inbox.done(await claim_one(inbox))
        await inbox.purge(DeliveryFilter(states="done", ordering_key=key))
        time.advance(60)
    await inbox.save("any", b"group")
    known = not await inbox.put(deliver("1"))
    await inbox.close()

    assert known


async def test_empty_counts(inbox):
    """An empty inbox has no oldest delivery."""
    counts = await inbox.counts()

    assert (0, 0, 0, 0, None) == (counts.waiting, counts.claimed, counts.done, counts.dead, counts.oldest_waiting_s)


async def test_clock_of_another_machine(inbox, deliver, time):
    """What arrived in the future waits for no negative time."""
    await inbox.put(deliver("1", received_at=time.clock.now() + timedelta(hours=1)))

    assert 0.0 == (await inbox.counts()).oldest_waiting_s


async def test_full(make, deliver):
    """Too many waiting is refused with an error; repetitions are still known, and there is room once one is claimed."""
    inbox = make(max_waiting=2)
    await inbox.open()
    await inbox.put(deliver("1"))
    await inbox.put(deliver("2"))
    with pytest.raises(InboxError, match="full") as caught:
        await inbox.put(deliver("3"))
    known = await inbox.put(deliver("1"))
    await claim(inbox)
    room = await inbox.put(deliver("3"))
    await inbox.close()

    assert ("MaxWaiting", False, True) == (caught.value.reason, known, room)


async def test_purge_of_an_ordering_key(inbox, deliver):
    """Everything of the ordering key is forgotten, in whatever state; nothing of others."""
    for name in ("done", "dead", "claimed", "waiting"):
        await inbox.put(deliver(name))
    await inbox.put(deliver("other", ordering_key="other"))
    await inbox.done(await claim_one(inbox))
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=None)
    await claim_one(inbox)

    assert 4 == await inbox.purge(DeliveryFilter(ordering_key="account"))
    assert ["other"] == [entry.event_id for entry in await inbox.entries()]
    assert 1 == (await inbox.counts()).waiting
    assert await inbox.put(deliver("waiting"))
    assert ["other", "waiting"] == ids(await claim(inbox))


async def test_purge_of_what_has_just_come(inbox, deliver):
    """An id that is purged before anything was claimed can come again."""
    await inbox.put(deliver("1"))
    await inbox.purge(DeliveryFilter(event_ids="1"))

    assert await inbox.put(deliver("1"))
    assert ["1"] == ids(await claim(inbox))


async def test_deliveries_with_a_body(make, deliver):
    """What is done has no body, everything else has one."""
    inbox = make()
    await inbox.open()
    for name in "1234":
        await inbox.put(deliver(name, ordering_key=name))
    first, second, _ = await claim(inbox, 3)
    await inbox.done(first)
    await inbox.fail(second, reason="r", retry_in_s=None)
    with_body = await inbox.preview(DeliveryFilter(with_body=True))
    everything = await inbox.preview(DeliveryFilter())
    await inbox.close()

    assert (3, 3) == (with_body.deliveries, with_body.bodies)
    assert (4, 3) == (everything.deliveries, everything.bodies)


async def test_small_values(inbox):
    """Values are saved under keys, replaced, and removed."""
    seen = [await inbox.load("key")]
    for value in (b"1", b"2", None, None):
        await inbox.save("key", value)
        seen.append(await inbox.load("key"))

    assert [None, b"1", b"2", None, None] == seen


async def test_first_value(inbox):
    """A value is saved only where there is none, and what is there is returned."""
    seen = [await inbox.load_or_save("key", value) for value in (b"", b"2")]
    await inbox.save("key", b"3")
    seen += [await inbox.load_or_save("key", b"4"), await inbox.load("key")]

    assert [b"", b"", b"3", b"3"] == seen


async def test_first_values_at_the_same_moment(inbox):
    """Of values that are saved first at the same moment, one is saved, and returned to all."""
    values = [f"{number}".encode() for number in range(20)]
    seen = await asyncio.gather(*[inbox.load_or_save("key", value) for value in values])

    assert 1 == len({*seen, await inbox.load("key")})


async def test_contents_outlive_close(make, deliver):
    """What was put is there after closing and opening again; closing twice and opening twice do no harm."""
    inbox = make()
    await inbox.open()
    await inbox.open()
    await inbox.put(deliver("1"))
    await inbox.close()
    await inbox.close()
    await inbox.open()
    there = ids(await claim(inbox))
    await inbox.close()

    assert ["1"] == there


async def test_closed(make, deliver):
    """Before opening and after closing, everything is refused."""
    inbox = make()
    held = Claim(delivery=deliver("1"), attempt=1, token=1)

    def asked() -> list[Any]:
        return [
            inbox.put(deliver("1")),
            inbox.claim(1, lease_s=1),
            inbox.extend(held, lease_s=1),
            inbox.done(held),
            inbox.fail(held, reason="r", retry_in_s=1),
            inbox.release(held),
            inbox.revive(),
            inbox.purge(DeliveryFilter(ordering_key="account")),
            inbox.counts(),
            inbox.preview(DeliveryFilter()),
            inbox.entries(),
            inbox.wait(1),
            inbox.load("key"),
            inbox.save("key", b""),
        ]

    before = await asyncio.gather(*asked(), return_exceptions=True)
    await inbox.open()
    await inbox.close()
    after = await asyncio.gather(*asked(), return_exceptions=True)

    assert ["Closed"] * 28 == [getattr(error, "reason", error) for error in before + after]


@pytest.mark.parametrize("settings", [{"max_waiting": -1}, {"remember_s": -1}])
def test_senseless_settings(make, settings):
    """Negative limits are refused."""
    with pytest.raises(ConfigurationError):
        make(**settings)


async def test_ids_are_forgotten_at_last(make, deliver, time):
    """What is done is forgotten after the time for which it is remembered."""
    inbox = make(remember_s=100)
    await inbox.open()
    await inbox.put(deliver("1"))
    await inbox.done(await claim_one(inbox))
    time.advance(99)
    soon = await inbox.put(deliver("1"))
    time.advance(2)
    await inbox.save("any", b"group")
    late = await inbox.put(deliver("1"))
    await inbox.close()

    assert (False, True) == (soon, late)
