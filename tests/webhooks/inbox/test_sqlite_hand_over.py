"""Hand-over from the SQLite inbox to a worker of the same process: what is handed over, and what becomes of it."""

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest

from pinwheel_async.webhooks import DeliveryFilter, SqliteInbox, check_inbox
from pinwheel_async.webhooks._inbox import sqlite_schema
from pinwheel_async.webhooks._inbox.hand_over import Chain, HandOver
from pinwheel_async.webhooks._inbox.sqlite_store import DeliveryStore

from .claims import claim, claim_one, ids
from .refusals import BODY, refusal
from .test_sqlite_errors import pragma


class Taker:
    """Worker that takes what is handed over, and begins nothing."""

    lease_s = 30.0

    def __init__(self, clock):
        self.clock = clock
        self.limits = (1_000, 1_000_000)
        self.waiting = 0
        self.handed = []
        self.dropped = []

    def lease_end(self):
        return self.clock.monotonic() + self.lease_s

    def room(self):
        return self.limits

    def queued(self):
        return self.waiting

    def take(self, handed):
        self.handed += handed

    def drop(self, seqs):
        self.dropped += [item.claim.delivery.event_id for item in self.handed if item.seq in seqs]

    @property
    def taken(self):
        """What was handed over, and whether it is claimed."""
        return [(item.claim.delivery.event_id, item.is_first) for item in self.handed]

    def seqs(self, *event_ids):
        return [item.seq for item in self.handed if item.claim.delivery.event_id in event_ids]

    def claim(self, event_id):
        return next(item.claim for item in self.handed if item.claim.delivery.event_id == event_id)


def test_a_transaction_that_failed():
    """What a transaction has appended to chains is taken back if it fails, and they grow no longer."""
    book = HandOver()
    book.append("old", 1, 10)
    book.commit()
    for key, seq in (("old", 2), ("old", 3), ("new", 4)):
        book.append(key, seq, seq + 9)
    book.rollback()

    assert [("old", Chain(((1, 10),), is_open=False))] == book.chains()
    assert 1 == book.unfinished


@pytest.fixture
def taker(time):
    return Taker(time.clock)


@pytest.fixture
async def inbox(opened, taker):
    async with opened() as inbox:
        inbox.hand_over_to(taker)
        yield inbox


async def states(inbox):
    return {entry.event_id: (entry.state, entry.attempts) for entry in await inbox.entries()}


async def test_the_next_of_an_account_is_claimed(inbox, taker, deliver):
    """What is put for an account of which nothing waits is claimed as it is stored, and handed over."""
    await inbox.put(deliver("1", "a"))
    await inbox.put(deliver("2", "b"))

    assert [("1", True), ("2", True)] == taker.taken
    assert {"1": ("claimed", 1), "2": ("claimed", 1)} == await states(inbox)
    assert [] == await claim(inbox)


async def test_what_follows_waits_behind_it(inbox, taker, deliver):
    """What is put for an account of which all is handed over is handed over, too, and waits in the file."""
    await asyncio.gather(*[inbox.put(deliver(event_id, "a")) for event_id in "123"])

    assert [("1", True), ("2", False), ("3", False)] == taker.taken
    assert {"1": ("claimed", 1), "2": ("waiting", 0), "3": ("waiting", 0)} == await states(inbox)
    assert sorted(item.claim.token for item in taker.handed) == [item.claim.token for item in taker.handed]
    assert [] == await claim(inbox)


async def test_a_mark_claims_the_next(inbox, taker, deliver):
    """Marks of the beginning of a chain are one step with the claim of what follows, which has its lease from then."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    outcome = await inbox.finish([("a", taker.seqs("1", "2"))], lease_s=30)

    assert ([True], {"1": ("done", 0 + 1), "2": ("done", 0), "3": ("claimed", 1)}) == (outcome, await states(inbox))
    assert await inbox.extend(taker.claim("3"), lease_s=30)


async def test_bodies_of_what_is_marked_are_gone(inbox, taker, deliver, path):
    """A mark removes the bodies of what was handed over, in the same transaction."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a", body=b"PAYROLL-DATA"))
    await inbox.finish([("a", taker.seqs("1", "2"))], lease_s=30)
    with closing(sqlite3.connect(path)) as connection:
        assert (0,) == connection.execute("SELECT count(*) FROM body").fetchone()


async def test_a_repetition_is_not_handed_over(inbox, taker, deliver):
    """An id that is known, claimed, behind or done, is dropped."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a"))
    again = [await inbox.put(deliver(event_id, "a")) for event_id in "12"]
    await inbox.finish([("a", taker.seqs("1"))], lease_s=30)
    again.append(await inbox.put(deliver("1", "a")))

    assert ([False] * 3, 2) == (again, len(taker.handed))


async def test_an_account_with_something_in_the_file_is_not_handed_over(inbox, taker, deliver):
    """While something of an account waits that was not handed over, what comes waits behind it, in order."""
    inbox.end_hand_over(taker)
    await inbox.put(deliver("1", "a"))
    inbox.hand_over_to(taker)
    await inbox.put(deliver("2", "a"))
    first = await claim_one(inbox)
    await inbox.put(deliver("3", "a"))
    await inbox.done(first)
    second = await claim_one(inbox)

    assert ([], "1", "2") == (taker.taken, first.delivery.event_id, second.delivery.event_id)


@pytest.mark.parametrize("limits", [(0, 1_000_000), (1_000, 1)])
async def test_what_finds_no_room_waits_in_the_file(inbox, taker, deliver, limits):
    """Beyond the room for deliveries or bytes, what is put is due like any other, and is not overtaken."""
    await inbox.put(deliver("1", "a"))
    taker.limits = limits
    for event_id, key in (("2", "a"), ("3", "b")):
        await inbox.put(deliver(event_id, key, body=BODY))
    taker.limits = (1_000, 1_000_000)
    for event_id, key in (("4", "a"), ("5", "b")):
        await inbox.put(deliver(event_id, key, body=BODY))
    claimed = ids(await claim(inbox))
    await inbox.finish([("a", taker.seqs("1"))], lease_s=30)
    later = ids(await claim(inbox))

    assert ([("1", True)], ["3"], ["2"]) == (taker.taken, claimed, later)


async def test_a_limit_counts_what_waits_in_memory(opened, taker, deliver):
    """What was handed over and has not begun counts as waiting, where only so many may."""
    async with opened(max_waiting=3) as inbox:
        inbox.hand_over_to(taker)
        await inbox.put(deliver("1", "a"))
        taker.waiting = 1
        await inbox.put(deliver("2", "a"))
        await inbox.put(deliver("3", "a"))
        error = await refusal(inbox.put(deliver("4", "b")))
        taker.waiting = 0
        accepted = await inbox.put(deliver("4", "b"))

    assert ("MaxWaiting", True) == (error.reason, accepted)


@pytest.mark.parametrize("mark", ["later", "dead", "release"])
async def test_another_mark_leaves_what_follows_to_claims(inbox, taker, deliver, mark):
    """After a failure or a release what follows is not handed over any more, and comes when it is its turn."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a"))
    first = taker.claim("1")
    match mark:
        case "later":
            marked = await inbox.fail(first, reason="r", retry_in_s=0)
        case "dead":
            marked = await inbox.fail(first, reason="r", retry_in_s=None)
        case _:
            marked = await inbox.release(first)
    await inbox.put(deliver("3", "a"))
    order = []
    while claims := await claim(inbox):
        order += ids(claims)
        await inbox.done(claims[0])

    assert (True, ["2", "3"] if mark == "dead" else ["1", "2", "3"]) == (marked, order)
    assert 2 == len(taker.handed)
    assert [False] == await inbox.finish([("a", taker.seqs("2"))], lease_s=30)


async def test_an_account_is_handed_over_again_once_nothing_waits(inbox, taker, deliver):
    """After trouble an account comes from memory again as soon as all that waited is done."""
    await inbox.put(deliver("1", "a"))
    await inbox.release(taker.claim("1"))
    await inbox.done(await claim_one(inbox))
    await inbox.put(deliver("2", "a"))

    assert [("1", True), ("2", True)] == taker.taken


async def test_a_lapsed_lease_is_lost(inbox, opened, taker, deliver, time):
    """When the lease of a chain has ended others claim it, counted as interrupted, and the worker's mark is refused."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a"))
    time.advance(31)
    async with opened() as other:
        taken = await claim_one(other)
        outcome = await inbox.finish([("a", taker.seqs("1"))], lease_s=30)
        await inbox.put(deliver("3", "a"))
        done = await other.done(taken)
        following = await claim_one(other)

    assert (("1", 1), [False], True) == ((taken.delivery.event_id, taken.interrupted), outcome, done)
    assert ("2", ["1", "2"]) == (following.delivery.event_id, taker.dropped)
    assert taken.token > taker.claim("2").token


async def test_an_own_claim_of_a_lapsed_lease_ends_the_chain(inbox, taker, deliver, time):
    """Where the same process claims what it had been handed over, after its lease, the rest is claimed, too."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a"))
    time.advance(31)
    again = await claim_one(inbox)
    outcome = await inbox.finish([("a", taker.seqs("1"))], lease_s=30)

    assert (["1", "2"], [False]) == (taker.dropped, outcome)
    assert await inbox.done(again)
    assert ["2"] == ids(await claim(inbox))


async def test_a_lease_that_cannot_be_extended_ends_the_chain(inbox, opened, taker, deliver, time):
    """A worker that asks for more time after others have claimed hears that all of the chain is lost."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a"))
    time.advance(31)
    async with opened() as other:
        await claim(other)
        extended = await inbox.extend(taker.claim("1"), lease_s=30)

    assert (False, ["1", "2"]) == (extended, taker.dropped)


async def test_what_another_process_has_stored_is_not_overtaken(inbox, opened, taker, deliver):
    """Once another process has stored something of an account, what is put here comes after it."""
    await inbox.put(deliver("1", "a"))
    async with opened() as other:
        await other.put(deliver("2", "a"))
        await inbox.put(deliver("3", "a"))
        outcome = await inbox.finish([("a", taker.seqs("1"))], lease_s=30)
        order = []
        while claims := await claim(inbox):
            order += ids(claims)
            await inbox.done(claims[0])

    assert ([("1", True)], [True], ["2", "3"]) == (taker.taken, outcome, order)


async def test_two_processes_hand_over_what_is_their_own(inbox, opened, taker, deliver, time):
    """Two that share a file are each handed over what they store, of different accounts, and never the same account."""
    second = Taker(time.clock)
    async with opened() as other:
        other.hand_over_to(second)
        await inbox.put(deliver("1", "a"))
        await other.put(deliver("2", "b"))
        await other.put(deliver("3", "a"))
        await inbox.put(deliver("4", "b"))
        outcomes = [
            *await inbox.finish([("a", taker.seqs("1"))], lease_s=30),
            *await other.finish([("b", second.seqs("2"))], lease_s=30),
        ]
        left = ids(await claim(inbox))

    assert ([("1", True)], [("2", True)]) == (taker.taken, second.taken)
    assert ([True, True], ["3", "4"]) == (outcomes, left)


@pytest.mark.parametrize("purged", ["1", "2"])
async def test_what_is_purged_is_dropped(inbox, opened, taker, deliver, purged):
    """A purge by another process takes what waits in memory with it, and leaves the account to go on."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    async with opened(consumer=None) as tool:
        await tool.purge(DeliveryFilter(event_ids=(purged,)))
    await inbox.counts()
    if purged == "1":
        assert (["1", "2", "3"], ["2"]) == (taker.dropped, ids(await claim(inbox)))
    else:
        outcome = await inbox.finish([("a", taker.seqs("1"))], lease_s=30)
        assert (["2"], [True], ("claimed", 1)) == (taker.dropped, outcome, (await states(inbox))["3"])


async def test_a_purge_of_the_account_drops_all_of_it(inbox, taker, deliver, path):
    """A purge leaves neither a row, nor a body, nor anything in memory."""
    for event_id in "123":
        await inbox.put(deliver(event_id, "a"))
    count = await inbox.purge(DeliveryFilter(ordering_key="a"))
    with closing(sqlite3.connect(path)) as connection:
        bodies = connection.execute("SELECT count(*) FROM body").fetchone()
    await inbox.put(deliver("4", "a"))

    assert (3, (0,), ["1", "2", "3"]) == (count, bodies, taker.dropped)
    assert ("4", True) == taker.taken[-1]


async def test_revived_comes_before_what_comes_later(inbox, taker, deliver):
    """What is revived waits for what was handed over, and comes before whatever is put after that."""
    await inbox.put(deliver("1", "a"))
    await inbox.fail(taker.claim("1"), reason="r", retry_in_s=None)
    await inbox.put(deliver("2", "a"))
    await inbox.revive()
    await inbox.put(deliver("3", "a"))
    await inbox.finish([("a", taker.seqs("2"))], lease_s=30)

    assert [("1", True), ("2", True)] == taker.taken
    assert ["1"] == ids(await claim(inbox))


async def test_a_failed_commit_hands_nothing_over(inbox, taker, deliver):
    """A transaction that fails hands nothing over, and leaves what was handed over before as it was."""
    await inbox.put(deliver("1", "a"))
    await pragma(inbox, "max_page_count = 20")
    await refusal(inbox.put(deliver("2", "a", body=BODY * 10_000)))
    await pragma(inbox, "max_page_count = 100000")
    await inbox.put(deliver("2", "a"))
    outcome = await inbox.finish([("a", taker.seqs("1"))], lease_s=30)

    assert ([("1", True)], [True], ["2"]) == (taker.taken, outcome, ids(await claim(inbox)))


@pytest.fixture
def failing_commit(monkeypatch):
    """Let the next commit report an error, though it is carried out or not."""
    commit = DeliveryStore.commit

    def arm(*, is_carried_out):
        def fail(store):
            monkeypatch.setattr(DeliveryStore, "commit", commit)
            if is_carried_out:
                store.connection.execute(
                    sqlite_schema.SET_COUNTS, (*store.state_counts.values(), store.now, store.last_seq)
                )
                store.connection.execute("COMMIT")
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(DeliveryStore, "commit", fail)

    return arm


async def test_a_commit_that_reports_an_error_strands_nothing(inbox, taker, deliver, failing_commit):
    """What was stored although the commit reported an error is due at once, as if it had never been claimed."""
    failing_commit(is_carried_out=True)
    error = await refusal(inbox.put(deliver("1", "a")))
    again = await inbox.put(deliver("1", "a"))
    claims = await claim(inbox)

    assert (False, [], "1") == (again, taker.taken, claims[0].delivery.event_id)
    assert (1, 0) == (claims[0].attempt, claims[0].interrupted)
    assert error.reason


@pytest.mark.parametrize("is_carried_out", [True, False])
async def test_a_mark_that_reports_an_error_is_made_again(inbox, taker, deliver, failing_commit, is_carried_out):
    """A mark whose commit reported an error succeeds when it is made again, whether or not it was carried out."""
    for event_id in "12":
        await inbox.put(deliver(event_id, "a"))
    failing_commit(is_carried_out=is_carried_out)
    await refusal(inbox.finish([("a", taker.seqs("1"))], lease_s=30))
    outcome = await inbox.finish([("a", taker.seqs("1"))], lease_s=30)
    between = await states(inbox)
    last = await inbox.finish([("a", taker.seqs("2"))], lease_s=30)

    assert ([True], {"1": ("done", 1), "2": ("claimed", 1)}, [True]) == (outcome, between, last)
    assert [] == taker.dropped


async def test_books_agree_in_the_middle_of_a_chain(opened, taker, deliver, path):
    """Counts, preview, progress and check agree while something is handed over, and a check finds nothing."""
    async with opened() as inbox:
        inbox.hand_over_to(taker)
        for event_id in "123":
            await inbox.put(deliver(event_id, "a"))
        await inbox.finish([("a", taker.seqs("1"))], lease_s=30)
        counts, preview = await inbox.counts(), await inbox.preview(DeliveryFilter())
        progress = await inbox.progress("3")
        check = await check_inbox(path)

    assert (1, 1, 1, ()) == (counts.waiting, counts.claimed, counts.done, check.problems)
    assert {"claimed": 1, "done": 1, "waiting": 1} == preview.states
    assert progress is not None
    assert progress.due_in_s is None


async def test_a_file_of_a_killed_process_is_due_at_once(opened, taker, deliver, path, tmp_path):
    """What was handed over is due when the file is opened alone, in order, the first of it counted as interrupted."""
    async with opened() as inbox:
        inbox.hand_over_to(taker)
        for event_id in "12":
            await inbox.put(deliver(event_id, "a"))
        for end in ("", "-wal"):
            (tmp_path / f"copy.db{end}").write_bytes(path.with_name(f"{path.name}{end}").read_bytes())
    async with opened(tmp_path / "copy.db") as copy:
        first = await claim_one(copy)
        await copy.done(first)
        second = await claim_one(copy)

    assert (("1", 1), ("2", 0)) == tuple((c.delivery.event_id, c.interrupted) for c in (first, second))


async def test_hashed_and_encrypted(path, taker, deliver, time):
    """What is handed over has the hash of its ordering key, and a body that is in the clear in memory only."""
    inbox = SqliteInbox(path, key=b"k" * 32, hash_ids=True, clock=time.clock)
    await inbox.open()
    inbox.hand_over_to(taker)
    await inbox.put(deliver("1", "account-4711", body=b"PAYROLL-DATA"))
    await inbox.put(deliver("2", "account-4711"))
    (first, second) = taker.handed
    key = first.claim.delivery.ordering_key
    outcome = await inbox.finish([(key, [first.seq])], lease_s=30)
    on_disk = path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()
    await inbox.close()

    assert (key, [True], b"PAYROLL-DATA") == (
        second.claim.delivery.ordering_key,
        outcome,
        first.claim.delivery.body,
    )
    assert key.startswith("hmac:")
    assert b"PAYROLL-DATA" not in on_disk
    assert b"account-4711" not in on_disk


async def test_another_worker_gets_no_follower_of_the_first(inbox, taker, deliver, time):
    """When another worker takes over what follows in a chain of the first is claimed by whoever asks, in its turn."""
    await inbox.put(deliver("1", "a"))
    second = Taker(time.clock)
    inbox.hand_over_to(second)
    inbox.end_hand_over(taker)
    await inbox.put(deliver("2", "a"))
    await inbox.put(deliver("3", "b"))
    outcome = await inbox.finish([("a", taker.seqs("1"))], lease_s=30)

    assert ([("3", True)], [True], ["2"]) == (second.taken, outcome, ids(await claim(inbox)))


async def test_what_nobody_takes_any_more_is_given_back(inbox, taker, deliver):
    """What was put while a worker took it, and is stored once it does not, is due at once."""
    asked = threading.Event()
    taker.lease_end = lambda: asked.set() or 0.0
    putting = asyncio.gather(inbox.put(deliver("1", "a")), inbox.put(deliver("2", "a")))
    while not inbox._group._handed_over:
        await asyncio.sleep(0)
    assert asked.wait(5)  # the thread has asked; the loop stands still, so it cannot hand over before the next line
    inbox.end_hand_over(taker)
    await putting
    async with asyncio.timeout(5):
        while not (claims := await claim(inbox)):
            await asyncio.sleep(0)

    assert ([], ["1"], 1) == (taker.taken, ids(claims), claims[0].attempt)
