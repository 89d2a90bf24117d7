"""Chains of the PostgreSQL inbox: what is claimed with a delivery, how it is marked, and what ends it."""

import asyncio
from types import SimpleNamespace

import pytest

from pinwheel_async.webhooks import DeliveryFilter
from pinwheel_async.webhooks._inbox.hand_over import BEGIN_WITHIN_S, Handed
from pinwheel_async.webhooks._postgres import inbox as inbox_module
from pinwheel_async.webhooks._postgres.statements import MAX_CHAIN

from .claims import LEASE_S, claim, claim_one, ids
from .refusals import BODY

ROOM = {"length": 64, "room": 1_000, "room_bytes": 1_000_000}


@pytest.fixture
async def inbox(postgres_inbox, time):
    inbox = postgres_inbox(clock=time.clock)
    await inbox.open()
    yield inbox
    await inbox.close()


@pytest.fixture
async def other(postgres_inbox, inbox, time):
    """Another machine."""
    other = postgres_inbox(clock=time.clock)
    await other.open()
    yield other
    await other.close()


async def chains(inbox, limit=10, **room):
    """Claim chains, as a worker has them in memory."""
    found = await inbox.claim_chains(limit, lease_s=LEASE_S, **(ROOM | room))
    return [[Handed(claim, seq, 0, not number) for number, (claim, seq) in enumerate(chain)] for chain in found]


async def one_chain(inbox, **room):
    (chain,) = await chains(inbox, **room)
    return chain


async def finish(inbox, done, following=None):
    (outcome,) = await inbox.finish_chains([(done, following)], lease_s=LEASE_S)
    return outcome


def names(chain):
    return [handed.claim.delivery.event_id for handed in chain]


async def states(inbox):
    return {entry.event_id: (entry.state, entry.attempts) for entry in await inbox.entries()}


async def test_what_follows_comes_with_it(inbox, other, deliver):
    """A chain holds what waits of an account, in order, under rising tokens; the first of it alone is claimed."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    await inbox.put(deliver("4", "b"))
    first, second = await chains(inbox)
    tokens = [handed.claim.token for handed in first]

    assert (["1", "2", "3"], ["4"]) == (names(first), names(second))
    assert sorted(set(tokens)) == tokens
    assert {1} == {handed.claim.attempt for handed in first}
    assert {"1": ("claimed", 1), "2": ("waiting", 0), "3": ("waiting", 0), "4": ("claimed", 1)} == await states(inbox)
    assert [] == await claim(other)


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        ({"length": 2}, ["12", "45"]),
        ({"room": 4}, ["12", "45"]),
        ({"room": 0}, ["1", "4"]),
        ({"room_bytes": 4 * len(BODY)}, ["12", "45"]),
        ({"room_bytes": 0}, ["1", "4"]),
    ],
)
async def test_room(inbox, deliver, room, expected):
    """There is no more in chains than finds room, but for the first of each, without which nothing would come."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a", body=BODY))
    for event_id in "456":
        await inbox.put(deliver(event_id, "b", body=BODY))

    assert expected == ["".join(names(chain)) for chain in await chains(inbox, **room)]


async def test_a_past_is_claimed_by_itself(inbox, deliver, time):
    """What has failed or was interrupted neither follows in a chain nor is followed, if its process may have ended."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=None)
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=7)
    await inbox.revive()
    before_it_is_due = await one_chain(inbox)
    await inbox.release(before_it_is_due[0].claim)
    time.advance(7)
    before_what_failed = await one_chain(inbox)
    time.advance(LEASE_S)
    after_a_lapse = await one_chain(inbox)

    assert [["1"]] * 3 == [names(chain) for chain in (before_it_is_due, before_what_failed, after_a_lapse)]
    assert 1 == after_a_lapse[0].claim.interrupted


async def test_one_by_one_after_a_process_ended(inbox, deliver, time):
    """After a lapse deliveries come one by one, so that each is counted for itself, until a chain is through."""
    for number in range(MAX_CHAIN + 6):
        await inbox.put(deliver(f"{number}", "a"))
    await one_chain(inbox)
    time.advance(LEASE_S)
    chain = await one_chain(inbox)
    lengths = [len(chain)]
    await inbox.release(chain[0].claim)
    for _ in range(MAX_CHAIN):
        chain = await one_chain(inbox)
        lengths.append(len(chain))
        await finish(inbox, chain)

    assert [1] * MAX_CHAIN + [7] == lengths


async def test_what_ends_its_process_behind_others(inbox, deliver, time):
    """Of a chain the delivery that ends its process is found, however many are before it, and dies of it alone."""
    for number in range(9):
        await inbox.put(deliver(f"{number}", "a"))
    interrupted = []
    for _ in range(20):
        for chain in await chains(inbox):
            if "5" in names(chain):
                interrupted += [handed.claim.interrupted for handed in chain if names([handed]) == ["5"]]
                time.advance(LEASE_S)
            else:
                await finish(inbox, chain)

    assert [0, 0, 1, 2, 3] == interrupted[:5]
    assert {"5"} == {entry.event_id for entry in await inbox.entries() if entry.interrupted > 1}


async def test_a_mark_claims_the_next(inbox, other, deliver):
    """What is done of a chain is marked in one step with the claim of what follows, which can be marked like any."""
    for event_id in "1234":
        await inbox.put(deliver(event_id, "a"))
    chain = await one_chain(inbox)
    outcome = await finish(inbox, chain[:2], chain[2])
    between = await states(inbox)

    assert (True, ("done", 1), ("done", 1), ("claimed", 1), ("waiting", 0)) == (outcome, *map(between.get, "1234"))
    assert [] == await claim(other)
    assert await inbox.extend(chain[2].claim, lease_s=LEASE_S)
    assert not await inbox.done(chain[1].claim)
    assert await inbox.fail(chain[2].claim, reason="r", retry_in_s=None)
    assert ["4"] == ids(await claim(other))


async def test_a_mark_without_more_lets_others_claim(inbox, other, deliver, postgres_inbox):
    """Where nothing follows in memory the next is due for whoever claims, and an account that is done leaves no row."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a", body=BODY))
    chain = await one_chain(inbox)
    outcome = await finish(inbox, chain[:1])
    following = await claim_one(other)
    await other.done(following)
    checked = await inbox.check()

    assert (True, "2", 0) == (outcome, following.delivery.event_id, checked.bodies)
    assert (2, ()) == (checked.deliveries, checked.problems)


async def test_a_mark_after_the_lease_was_lost(inbox, other, deliver, time):
    """Once others have claimed the account a mark changes nothing, and what follows is theirs."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    chain = await one_chain(inbox)
    time.advance(LEASE_S)
    taken = await claim_one(other)
    outcome = await finish(inbox, chain[:2], chain[2])

    assert (False, ("claimed", 1), ("waiting", 0)) == (outcome, *map((await states(inbox)).get, "12"))
    assert await other.done(taken)
    assert taken.token > chain[2].claim.token


@pytest.mark.parametrize("purged", ["2", "3"])
async def test_a_purge_of_what_follows(inbox, other, deliver, purged):
    """A purge of what follows is noticed by the mark before it; the account goes on with what is there."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    chain = await one_chain(inbox)
    await other.purge(DeliveryFilter(event_ids=purged))
    outcome = await finish(inbox, chain[:1], chain[1])

    assert (purged == "3", ("done", 1)) == (outcome, (await states(inbox))["1"])
    assert ([] if outcome else ["3"]) == ids(await claim(other))


async def test_a_purge_of_what_is_done_in_memory(inbox, other, deliver):
    """What was purged after its handler ran is not marked, and what is marked with it is."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    chain = await one_chain(inbox)
    await other.purge(DeliveryFilter(event_ids="2"))
    outcome = await finish(inbox, chain)

    assert (True, {"1": ("done", 1), "3": ("done", 1)}) == (outcome, await states(inbox))
    assert (await inbox.check()).ok


async def test_a_purge_waits_for_the_memory_of_others(inbox, other, deliver, monkeypatch):
    """A purge of an account that somebody works on returns when nothing of it can begin from memory any more."""
    slept = []

    async def sleep(seconds):
        entries = await inbox.entries()
        slept.append((seconds, [entry.event_id for entry in entries]))

    monkeypatch.setattr(inbox_module, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    for purged in "12":
        await other.purge(DeliveryFilter(event_ids=purged))
        await chains(inbox)

    assert [(BEGIN_WITHIN_S, ["3"])] == slept


async def test_revived_waits_for_the_chain(inbox, deliver):
    """What is revived comes before whatever is not in memory."""
    for event_id in "1234":
        await inbox.put(deliver(event_id, "a"))
    await inbox.fail(await claim_one(inbox), reason="r", retry_in_s=None)
    chain = await one_chain(inbox, length=2)
    await inbox.revive()
    outcomes = [await finish(inbox, chain[:1], chain[1]), await finish(inbox, chain[1:])]

    assert (["2", "3"], [True, True], ["1", "4"]) == (names(chain), outcomes, names(await one_chain(inbox)))


async def test_a_mark_whose_answer_was_lost(inbox, deliver):
    """Where a mark is made again that was made, what is marked with it of a later chain is marked."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    chain = await one_chain(inbox, length=2)
    await finish(inbox, chain)
    later = await one_chain(inbox)
    outcome = await finish(inbox, [*chain, *later])

    assert (True, dict.fromkeys("123", ("done", 1))) == (outcome, await states(inbox))


async def test_a_refused_mark_before_a_later_chain(inbox, deliver):
    """What follows is not lost where a mark is refused and it is of another chain."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a"))
    chain = await one_chain(inbox, length=1)
    await finish(inbox, chain)
    later = await one_chain(inbox)

    assert await finish(inbox, chain, later[0])
    assert await finish(inbox, later)
