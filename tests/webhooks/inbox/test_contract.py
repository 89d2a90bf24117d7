"""Order, leases and repetitions, as every inbox promises them."""

import asyncio

import pytest

from pinwheel_async.webhooks import DeliveryFilter

from .claims import LEASE_S, claim, claim_one, ids


async def test_whole_delivery_comes_back(inbox, deliver):
    """A claim holds everything that was put."""
    put = deliver(
        "1", body=b"\x00\xff", version="2025-07-08", webhook_id="hook", traceparent="00-1-1-00", event="\N{SNOWMAN}"
    )
    await inbox.put(put)

    assert put == (await claim_one(inbox)).delivery


async def test_repetition_in_every_state(inbox, deliver):
    """An id is known while it waits, is claimed, waits again, is dead, is revived and is done."""
    known = [await inbox.put(deliver("1"))]
    known.append(await inbox.put(deliver("1", ordering_key="other")))
    first = await claim_one(inbox)
    known.append(await inbox.put(deliver("1")))
    await inbox.fail(first, reason="r", retry_in_s=0)
    known.append(await inbox.put(deliver("1")))
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=None)
    known.append(await inbox.put(deliver("1")))
    await inbox.revive()
    known.append(await inbox.put(deliver("1")))
    await inbox.done(await claim_one(inbox))
    known.append(await inbox.put(deliver("1")))

    assert [True, False, False, False, False, False, False] == known
    assert [] == await claim(inbox)


async def test_ordering_key_is_in_order(inbox, deliver):
    """Deliveries of one ordering key come one at a time, in order of arrival."""
    for name in "321":
        await inbox.put(deliver(name))
    order = []
    while claims := await claim(inbox):
        order.append(ids(claims))
        assert [] == await claim(inbox)
        await inbox.done(claims[0])

    assert [["3"], ["2"], ["1"]] == order


async def test_lanes_side_by_side(inbox, deliver):
    """One claim takes the first of each ordering key, oldest first, up to its limit."""
    for name, key in (("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")):
        await inbox.put(deliver(name, key))

    assert [] == await claim(inbox, 0)
    assert [] == await claim(inbox, -1)
    assert ["1", "3"] == ids(await claim(inbox, 2))
    assert ["4"] == ids(await claim(inbox, 2))


async def test_retry_holds_its_lane_only(inbox, deliver, time):
    """What waits for its next attempt keeps its place: its ordering key waits with it, others do not."""
    for name, key in (("1", "a"), ("2", "a"), ("3", "b")):
        await inbox.put(deliver(name, key))
    await inbox.fail(await claim_one(inbox), reason="busy", retry_in_s=10)
    meanwhile = await claim(inbox)
    time.advance(10)
    again = await claim(inbox)

    assert ["3"] == ids(meanwhile)
    assert [("1", 2)] == [(claim.delivery.event_id, claim.attempt) for claim in again]


async def test_marks_at_the_same_time(inbox, deliver, time):
    """Of marks that are asked for together, each is judged by itself: old ones are refused, and so is the second."""
    await inbox.put(deliver("1"))
    old = await claim_one(inbox)
    time.advance(LEASE_S)
    new = await claim_one(inbox)

    assert [False, True, False] == await asyncio.gather(inbox.done(old), inbox.done(new), inbox.done(new))


async def test_due_ones_come_in_order_of_arrival(inbox, deliver, time):
    """Retries, new ones and lapsed leases are taken oldest first."""
    for name in "123":
        await inbox.put(deliver(name, ordering_key=name))
    first, second, _ = await claim(inbox)
    await inbox.put(deliver("4", ordering_key="4"))
    await inbox.fail(second, reason="r", retry_in_s=20)
    await inbox.release(first)
    time.advance(LEASE_S)

    assert ["1", "2", "3"] == ids(await claim(inbox, 3))


async def test_dead_makes_way(inbox, deliver):
    """A dead delivery lets the next of its ordering key come."""
    await inbox.put(deliver("1"))
    await inbox.put(deliver("2"))
    await inbox.fail(await claim_one(inbox), reason="no", retry_in_s=None)

    assert ["2"] == ids(await claim(inbox))


@pytest.mark.parametrize("which", [None, DeliveryFilter(event_ids=["1", "1", "unknown"])])
async def test_revived_delivery_takes_its_old_place(inbox, deliver, which):
    """A revived delivery comes before what arrived later, with its attempts counted from 0."""
    await inbox.put(deliver("1"))
    await inbox.put(deliver("2"))
    await inbox.fail(await claim_one(inbox), reason="no", retry_in_s=None)
    revived = await inbox.revive(which)
    first = await claim_one(inbox)
    await inbox.done(first)

    assert 1 == revived
    assert ("1", 1, b"{}") == (first.delivery.event_id, first.attempt, first.delivery.body)
    assert ["2"] == ids(await claim(inbox))


async def test_revived_delivery_does_not_overtake_a_claimed_one(inbox, deliver):
    """While a later delivery of the ordering key is claimed, the revived one waits; after a failure it comes first."""
    await inbox.put(deliver("1"))
    await inbox.put(deliver("2"))
    await inbox.fail(await claim_one(inbox), reason="no", retry_in_s=None)
    second = await claim_one(inbox)
    await inbox.revive(DeliveryFilter(event_ids=["1"]))
    meanwhile = await claim(inbox)
    await inbox.fail(second, reason="no", retry_in_s=0)

    assert [] == meanwhile
    assert ["1"] == ids(await claim(inbox))


async def test_place_given_up_keeps_its_time(inbox, deliver, time):
    """A delivery that steps back behind a revived one still waits for its own next attempt."""
    await inbox.put(deliver("1"))
    await inbox.put(deliver("2"))
    await inbox.fail(await claim_one(inbox), reason="no", retry_in_s=None)
    await inbox.fail(await claim_one(inbox), reason="busy", retry_in_s=100)
    await inbox.revive()
    await inbox.done(await claim_one(inbox))
    early = await claim(inbox)
    time.advance(100)

    assert [] == early
    assert ["2"] == ids(await claim(inbox))


async def test_revive_finds_nothing(inbox, deliver):
    """Only dead deliveries can be revived."""
    await inbox.put(deliver("1"))

    assert 0 == await inbox.revive()
    assert 0 == await inbox.revive(DeliveryFilter(event_ids=["1", "2"]))


async def test_lapsed_lease_is_fenced(inbox, deliver, time):
    """After another worker has claimed it, every mark of the first worker is refused and changes nothing."""
    await inbox.put(deliver("1"))
    old = await claim_one(inbox)
    time.advance(LEASE_S)
    new = await claim_one(inbox)
    marks = [
        await inbox.done(old),
        await inbox.fail(old, reason="r", retry_in_s=None),
        await inbox.fail(old, reason="r", retry_in_s=1),
        await inbox.release(old),
        await inbox.extend(old, lease_s=1000),
    ]

    assert [False] * 5 == marks
    assert new.token > old.token
    assert await inbox.done(new)


async def test_lapsed_lease_still_counts_until_the_next_claim(inbox, deliver, time):
    """Work that took longer than its lease is not done again, if no other worker has begun to."""
    await inbox.put(deliver("1"))
    late = await claim_one(inbox)
    time.advance(LEASE_S + 1)

    assert await inbox.done(late)
    assert [] == await claim(inbox)


async def test_extended_lease(inbox, deliver, time):
    """A lease that is extended lasts from then."""
    await inbox.put(deliver("1"))
    held = await claim_one(inbox)
    time.advance(LEASE_S - 1)
    kept = await inbox.extend(held, lease_s=LEASE_S)
    time.advance(LEASE_S - 1)

    assert kept
    assert [] == await claim(inbox)


async def test_marks_of_what_is_over(inbox, deliver):
    """Nothing that is done, dead, released or purged can be marked with its old claim."""
    outcomes = []
    for end in ("done", "dead", "release", "purge"):
        await inbox.put(deliver(end, ordering_key=end))
        held = await claim_one(inbox)
        if end == "done":
            await inbox.done(held)
        if end == "dead":
            await inbox.fail(held, reason="r", retry_in_s=None)
        if end == "release":
            await inbox.release(held)
        if end == "purge":
            await inbox.purge(DeliveryFilter(ordering_key="purge"))
            await inbox.put(deliver("purge", ordering_key="purge"))
        outcomes.append(await inbox.done(held))
        await inbox.purge(DeliveryFilter(ordering_key="release"))

    assert [False] * 4 == outcomes


async def test_claim_of_a_purged_life_does_not_fit_the_next(inbox, deliver):
    """An id that was purged and came again is not marked by a claim on what it was before."""
    await inbox.put(deliver("1"))
    old = await claim_one(inbox)
    await inbox.purge(DeliveryFilter(ordering_key="account"))
    await inbox.put(deliver("1"))
    new = await claim_one(inbox)

    assert not await inbox.done(old)
    assert await inbox.done(new)


async def test_release_does_not_count(inbox, deliver):
    """What is given back is due at once, and the attempt was none."""
    await inbox.put(deliver("1"))
    await inbox.release(await claim_one(inbox))

    assert 1 == (await claim_one(inbox)).attempt


@pytest.mark.parametrize("end", ["retry", "dead", "release"])
async def test_progress_comes_back(inbox, deliver, end):
    """What is saved with a failure or a release is found by the next claim, until something else is saved."""
    await inbox.put(deliver("1"))
    found = []
    for progress in (b"first", None, b"last"):
        held = await claim_one(inbox)
        found.append(held.progress)
        if end == "release":
            await inbox.release(held, progress=progress)
        else:
            await inbox.fail(held, reason="r", retry_in_s=0 if end == "retry" else None, progress=progress)
            await inbox.revive()
    found.append((await claim_one(inbox)).progress)

    assert [None, b"first", b"first", b"last"] == found


async def test_no_progress_of_a_purged_life(inbox, deliver):
    """An id that was purged and comes again has no progress."""
    await inbox.put(deliver("1"))
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=None, progress=b"some")
    await inbox.purge(DeliveryFilter(ordering_key="account"))
    await inbox.put(deliver("1"))

    assert (await claim_one(inbox)).progress is None


async def test_interrupted_attempts_are_counted_apart(inbox, deliver, time):
    """An attempt whose lease ended is no failure: it is counted apart, until an attempt comes to an end."""
    await inbox.put(deliver("1"))
    counts = []
    for _ in range(3):
        held = await claim_one(inbox)
        counts.append((held.attempt, held.interrupted))
        time.advance(LEASE_S)
    held = await claim_one(inbox)
    await inbox.release(held)
    held = await claim_one(inbox)
    counts.append((held.attempt, held.interrupted))
    await inbox.fail(held, reason="r", retry_in_s=0)
    held = await claim_one(inbox)
    counts.append((held.attempt, held.interrupted))

    assert [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0)] == counts


async def test_interruptions_of_a_dead_delivery(inbox, deliver, time):
    """A dead delivery shows how often it was interrupted; revived, it has been so no time."""
    await inbox.put(deliver("1"))
    await claim_one(inbox)
    time.advance(LEASE_S)
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=None)
    (entry,) = await inbox.entries(DeliveryFilter(states="dead"))
    await inbox.revive()

    assert (1, 0) == (entry.interrupted, (await claim_one(inbox)).interrupted)


async def test_version_of_an_entry(inbox, deliver):
    """The summary of a delivery has the version that its header said, and none where there was no such header."""
    await inbox.put(deliver("1", version="2023-11-22"))
    await inbox.put(deliver("2"))
    found = await inbox.entries()
    (by_id,) = await inbox.entries(DeliveryFilter(event_ids=("1",)))

    assert [("2", None), ("1", "2023-11-22")] == [(entry.event_id, entry.version) for entry in found]
    assert "2023-11-22" == by_id.version


async def test_tokens_rise_from_delivery_to_delivery(inbox, deliver, time):
    """Each claim has a greater token than all before it: of the delivery, of its ordering key, and of a purged life."""
    tokens = []
    for event_id in ("1", "2", "1"):
        await inbox.put(deliver(event_id))
        tokens.append((await claim_one(inbox)).token)
        time.advance(LEASE_S)
        held = await claim_one(inbox)
        tokens.append(held.token)
        await inbox.done(held)
        await inbox.purge(DeliveryFilter(states="done"))

    assert sorted(set(tokens)) == tokens
