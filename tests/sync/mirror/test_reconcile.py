"""Reconciliation after an outage."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from pinwheel_async import PRODUCTS, DecodeError, Pinwheel, RequestError, ServerError, UnauthorizedError
from pinwheel_async.events import AccountAdded, IncomeAdded, PaystubsAdded
from pinwheel_async.models import Job
from pinwheel_async.sync import Announcement, MemoryStore, Mirror
from pinwheel_async.sync._mirror.completeness import CompletenessChecker, verified_key
from pinwheel_async.sync._run.reading import Unit
from pinwheel_async.testing import FakePinwheel, Fault, make, make_event
from tests.sync.handling import handle_event

DAY = timedelta(days=1)
EVERYTHING = 12 * len(PRODUCTS)


def jobs_page(fake: FakePinwheel, *numbers: int, **answer: Any) -> Fault:
    """Answer a list of jobs about some accounts."""
    jobs = [make(Job, number, account_id=fake.world.account_id(number)).to_dict() for number in numbers]
    return Fault(json={"data": jobs, **answer})


class Counting(MemoryStore):
    """A store that counts what is saved, and is opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[str] = []
        self.calls: list[Any] = []

    async def open(self) -> None:
        self.calls.append("open")

    async def close(self, *, complete: bool) -> None:
        self.calls.append(complete)

    async def save(self, key: str, value: bytes | None) -> None:
        self.saved.append(key)
        await super().save(key, value)


@pytest.fixture
def store() -> Counting:
    """Where the copy is."""
    return Counting()


@pytest.fixture
async def mirror(pinwheel: Pinwheel, store: Counting) -> AsyncIterator[Mirror]:
    """An open mirror that does not wait."""
    async with Mirror(pinwheel, store, debounce_s=0) as opened:
        yield opened


async def handle(mirror: Mirror, fake: FakePinwheel, at: datetime, kind: Any = IncomeAdded, **fields: Any) -> None:
    """Let a mirror handle an event about the first account."""
    event = make_event(kind, account_id=fake.world.account_id(0), **fields)
    await handle_event(mirror, event, received_at=at)


def same(fake: FakePinwheel, store: MemoryStore) -> bool:
    """Whether the store has what the world has, by id."""
    return all(
        {record["id"] for record in fake.world.records(account_id, product)}
        == {getattr(item, "id", None) for item in store.items(product, account_id)}
        for account_id in fake.world.account_ids()
        for product in PRODUCTS
    )


async def test_first(fake, mirror, store):
    """The first time everything is fetched; no event came before it, so no jobs are asked for."""
    found = await mirror.reconcile()

    assert (None, 0, 12, EVERYTHING, 0, True) == (
        found.since,
        found.jobs,
        found.accounts,
        found.fetched,
        found.unchanged,
        found.ok,
    )
    assert same(fake, store)
    assert not fake.counts["list_jobs"]


async def test_nothing_missed(fake, mirror, store):
    """Where nothing was missed, it costs two lists, and tax forms, of which the API says no moment."""
    await mirror.reconcile()
    fake.clear_records()
    found = await mirror.reconcile()

    assert (12, EVERYTHING - 12) == (found.fetched, found.unchanged)
    assert {"list_jobs": 1, "list_accounts": 1, "list_tax_forms": 12} == fake.counts


async def test_recheck_after(fake, mirror, store):
    """Tax forms that were read not long ago can be spared; a time of less than nothing is refused."""
    await mirror.reconcile()
    fake.clear_records()
    found = await mirror.reconcile(recheck_after=DAY)

    assert (0, EVERYTHING) == (found.fetched, found.unchanged)
    assert {"list_jobs": 1, "list_accounts": 1} == fake.counts
    with pytest.raises(RequestError):
        await mirror.reconcile(recheck_after=-DAY)


async def test_changed(fake, mirror, store):
    """What changed without an event is fetched, and nothing else."""
    await mirror.reconcile()
    account_id = fake.world.account_id(5)
    fake.world.touch(account_id, "paystubs")
    fake.world.delete(account_id, "shifts", fake.world.records(account_id, "shifts")[0]["id"])
    fake.clear_records()
    found = await mirror.reconcile(recheck_after=DAY)

    assert 2 == found.fetched
    assert same(fake, store)


async def test_handled_is_unchanged(fake, mirror, store):
    """What events have brought need not be read again."""
    await mirror.reconcile()
    fake.world.touch(fake.world.account_id(0), "income")
    await handle(mirror, fake, fake.world.now() + timedelta(days=10_000))
    fake.clear_records()
    found = await mirror.reconcile(recheck_after=DAY)

    assert 0 == found.fetched


async def test_jobs(fake, mirror, store):
    """Accounts with jobs since the last event come first; jobs of long before it do not count."""
    await handle(mirror, fake, fake.world.now() - timedelta(minutes=1))
    session = await fake.connect()
    await fake.advance(60)
    fake.clear_records()
    found = await mirror.reconcile()

    assert fake.world.now() - timedelta(hours=3) < found.since < fake.world.now() - timedelta(hours=1)
    assert found.jobs > 5
    paths = [request.path for request in fake.requests if "/accounts/" in request.path]
    assert f"/v1/accounts/{session.account_id}" == paths[0]
    assert same(fake, store)


async def test_lost_end(fake, mirror, store):
    """The end of a list, of which every delivery was lost, is known from the jobs."""
    await handle(mirror, fake, fake.world.now())
    session = await fake.connect()
    await fake.advance(60)
    found = await mirror.reconcile()

    entries = await mirror.completeness(session.account_id)
    assert {"paystubs": True, "shifts": True, "tax_forms": True} == {
        product: completeness.complete for product, completeness in entries.items()
    }
    assert (31, 0) == (entries["paystubs"].unannounced, entries["paystubs"].announced)
    assert () == found.incomplete


async def test_announced_and_missing(fake, mirror, store):
    """What was announced and is not there is read again, though nothing says that it changed; else it is reported."""
    await mirror.reconcile()
    account_id, at = fake.world.account_id(0), fake.world.now()
    await store.announce(
        Announcement(
            event_id="event-1",
            event="paystubs.added",
            account_id=account_id,
            product="paystubs",
            announced_at=at,
            received_at=at,
            added=("nowhere",),
            final=True,
        )
    )
    fake.clear_records()
    found = await mirror.reconcile(recheck_after=DAY)

    assert 1 == found.fetched == fake.counts["list_paystubs"]
    assert [("nowhere",)] == [completeness.missing for completeness in found.incomplete]
    assert not found.ok


async def test_failure(fake, mirror, store):
    """What fails stands in the report, and is fetched the next time."""
    fake.script(Fault(status=500), operation="list_shifts", account_id=fake.world.account_id(3))
    found = await mirror.reconcile(recheck_after=DAY)
    again = await mirror.reconcile(recheck_after=DAY)

    assert [(fake.world.account_id(3), "shifts", ServerError)] == [
        (failure.account_id, failure.product, type(failure.error)) for failure in found.failures
    ]
    assert (False, True, 1) == (found.ok, again.ok, again.fetched)
    assert same(fake, store)


async def test_failure_of_the_second_reading(fake, mirror, store):
    """What fails when it is read for what is missing stands in the report, too; what failed just now is not tried."""
    await mirror.reconcile()
    for number, product in ((0, "paystubs"), (1, "shifts")):
        at = fake.world.now()
        await store.announce(
            Announcement(
                event_id=f"event-{number}",
                event="added",
                account_id=fake.world.account_id(number),
                product=product,  # type: ignore[arg-type]  # one of them
                announced_at=at,
                received_at=at,
                added=("nowhere",),
                final=True,
            )
        )
    fake.world.touch(fake.world.account_id(1), "shifts")
    fake.script(Fault(status=500), operation="list_shifts")
    fake.script(Fault(status=500), operation="list_paystubs")
    fake.clear_records()
    found = await mirror.reconcile(recheck_after=DAY)

    assert {"paystubs", "shifts"} == {failure.product for failure in found.failures}
    assert (1, 1, 0) == (fake.counts["list_paystubs"], fake.counts["list_shifts"], found.fetched)


async def test_refused_secret(fake, mirror):
    """A secret that is refused ends it."""
    fake.script(Fault(status=401), operation="list_accounts")
    with pytest.raises(UnauthorizedError):
        await mirror.reconcile()


async def test_last_event_is_kept(fake, pinwheel, store):
    """The next process knows when the last event came, whatever the order in which events were handled."""
    at = fake.world.now()
    async with Mirror(pinwheel, store, debounce_s=0) as first:
        await handle(first, fake, at)
        await handle(first, fake, at - timedelta(days=1))
    async with Mirror(pinwheel, store, debounce_s=0) as second:
        found = await second.reconcile()

    assert at - timedelta(hours=1) == found.since


@pytest.mark.parametrize("kind", [IncomeAdded, AccountAdded])
async def test_the_last_of_several_events(fake, pinwheel, store, kind):
    """That is the last event before the mirror was closed, of whichever kind, however short after another one."""
    at = fake.world.now() - DAY
    async with Mirror(pinwheel, store, debounce_s=0) as first:
        await handle(first, fake, at - DAY)
        await handle(first, fake, at, kind)
    async with Mirror(pinwheel, store, debounce_s=0) as second:
        found = await second.reconcile()

    assert at - timedelta(hours=1) == found.since


async def test_events_since_the_outage(fake, pinwheel, store):
    """Events that come before the first reconciliation do not hide the outage before them; the next one is shorter."""
    at = fake.world.now() - timedelta(days=3)
    async with Mirror(pinwheel, store, debounce_s=0) as first:
        await handle(first, fake, at)
    async with Mirror(pinwheel, store, debounce_s=0) as second:
        await handle(second, fake, fake.world.now())
        found = await second.reconcile()
        again = await second.reconcile()

    assert at - timedelta(hours=1) == found.since
    assert at + timedelta(days=2) < again.since


async def test_since(fake, mirror):
    """Whoever knows when the outage began can say it."""
    at = fake.world.now() - timedelta(days=30)

    assert at - timedelta(hours=1) == (await mirror.reconcile(since=at)).since


async def test_last_event_is_saved_now_and_then(fake, pinwheel, store, time):
    """Many events save the moment of the last one every five seconds only, and at the end."""
    async with Mirror(pinwheel, store, debounce_s=0, clock=time.clock) as mirror:
        for second in range(12):
            await handle(mirror, fake, time.clock.now() + timedelta(days=second))
            time.advance(1)

    assert 4 == store.saved.count("mirror:last_event")


async def test_looking_saves_nothing_new(fake, mirror, store):
    """Checking completeness again writes nothing."""
    await handle(mirror, fake, fake.world.now(), PaystubsAdded, added=())
    account_id = fake.world.account_id(0)
    await store.announce(
        Announcement(
            event_id="event-1",
            event="paystubs.added",
            account_id=account_id,
            product="paystubs",
            announced_at=fake.world.now(),
            received_at=fake.world.now(),
            added=(fake.world.records(account_id, "paystubs")[0]["id"],),
        )
    )
    for _ in range(3):
        await mirror.completeness(account_id)

    assert 1 == store.saved.count(f"mirror:verified:{account_id}:paystubs")


async def test_opens_and_closes_the_store(pinwheel, store):
    """The store is opened and closed with the mirror, and told whether that was its end."""
    mirror = Mirror(pinwheel, store)
    before = repr(mirror)
    async with mirror:
        between = repr(mirror)
    async for _ in mirror.cleanup_ctx(None):
        assert ["open", True, "open"] == store.calls
    with pytest.raises(ZeroDivisionError):
        async with mirror:
            raise ZeroDivisionError

    assert ["open", True, "open", True, "open", False] == store.calls
    assert ("<Mirror closed>", "<Mirror open>") == (before, between)


async def test_a_job_that_cannot_be_read(fake, mirror, store):
    """A job that cannot be read is counted, and everything else goes on."""
    await handle(mirror, fake, fake.world.now())
    odd = {"data": [{"id": "job", "timestamp": {"odd": 1}}], "meta": {"count": 1, "next_cursor": None}}
    fake.script(Fault(json=odd), operation="list_jobs")

    found = await mirror.reconcile()

    assert (found.jobs, found.unreadable_jobs, found.ok) == (1, 1, False)
    assert same(fake, store)


async def test_a_product_that_is_refused(fake, mirror, store):
    """A product that the key may not read fails for each account, and everything else is found."""
    fake.fail_randomly(1, Fault(status=403), operation="get_income")

    found = await mirror.reconcile()

    assert {"income"} == {failure.product for failure in found.failures}
    assert (len(found.failures), found.fetched) == (12, EVERYTHING - 12)


async def test_an_account_that_says_otherwise(fake, mirror, store):
    """What the account says is there and answers 404 is counted, is not well, and is found when it is there."""
    fake.script(Fault(status=404), operation="get_income")

    found, again = await mirror.reconcile(), await mirror.reconcile()

    assert [(1, False), (0, True)] == [(each.contradicted, each.ok) for each in (found, again)]
    assert same(fake, store)


def announced(fake: FakePinwheel, event_id: str, *ids: str) -> Announcement:
    """Make an announcement of paystubs of the first account."""
    at = datetime.now(UTC)
    return Announcement(
        event_id=event_id,
        event="paystubs.added",
        account_id=fake.world.account_id(0),
        product="paystubs",
        announced_at=at,
        received_at=at,
        added=ids,
        final=True,
    )


async def test_what_was_deleted_before_it_was_read(fake, mirror, store):
    """What was announced and is in neither of two whole readings counts as deleted, and stays settled."""
    await mirror.reconcile()
    await store.announce(announced(fake, "event-1", "nowhere"))

    found = [await mirror.reconcile(recheck_after=DAY) for _ in range(3)]

    assert [(0, False), (1, True), (0, True)] == [(each.settled, each.ok) for each in found]
    assert [1, 1, 0] == [each.fetched for each in found]


async def test_what_is_announced_between_two_readings(fake, mirror, store):
    """A reading from before an announcement does not settle it."""
    await mirror.reconcile()
    await store.announce(announced(fake, "event-1", "nowhere"))
    first = await mirror.reconcile(recheck_after=DAY)
    await store.announce(announced(fake, "event-2", "neither"))

    second, third = [await mirror.reconcile(recheck_after=DAY) for _ in range(2)]

    assert [False, False, True] == [each.ok for each in (first, second, third)]


async def test_what_is_counted(fake, mirror, store):
    """What was read because it changed, and what was read because it lacks something, count together."""
    await mirror.reconcile()
    fake.world.touch(fake.world.account_id(1), "income")
    await store.announce(announced(fake, "event-1", "nowhere"))

    found = await mirror.reconcile(recheck_after=DAY)

    assert (found.fetched, found.ok) == (2, False)
    assert "failures" not in repr(found)
    assert "incomplete" not in repr(found)


async def test_lists_are_compared_in_batches(pinwheel, fake):
    """However many lists are announced, they are looked up some hundred at a time."""

    class Counted(MemoryStore):
        lookups = 0

        async def announced_lists(self, *arguments: Any, **named: Any) -> Any:
            self.lookups += 1
            return await super().announced_lists(*arguments, **named)

    store = Counted()
    at = fake.world.now()
    for number in range(1_000):
        await store.announce(
            Announcement(
                event_id=str(number),
                event="shifts.added",
                account_id=f"account {number}",
                product="shifts",
                announced_at=at,
                received_at=at,
                final=True,
            )
        )
    async with Mirror(pinwheel, store, debounce_s=0) as mirror:
        assert [] == [each async for each in mirror.incomplete()]

    assert 5 == store.lookups


async def test_old_announcements(fake, mirror, store):
    """Old announcements of what was found are forgotten; the newest of a list, and what is missing, stay."""
    account_id = fake.world.account_id(0)
    ids = [record["id"] for record in fake.world.records(account_id, "paystubs")]
    for event_id, days, added in (("old", 99, ids[:1]), ("end", 98, ()), ("young", 80, ids[1:2]), ("newest", 79, ())):
        at = datetime.now(UTC) - days * DAY
        made = announced(fake, event_id, *added)
        await store.announce(attrs.evolve(made, announced_at=at, received_at=at))
    at = datetime.now(UTC) - 95 * DAY
    missing = attrs.evolve(announced(fake, "missing", "nowhere"), product="shifts", announced_at=at, received_at=at)
    await store.announce(missing)
    await store.announce(attrs.evolve(announced(fake, "later"), product="shifts"))

    await mirror.reconcile()

    left = {
        announcement.event_id
        for product in ("paystubs", "shifts")
        for announcement in await store.announced(account_id, product)
    }
    assert {"young", "newest", "missing", "later"} == left


async def test_a_list_of_which_only_the_end_is_kept(store):
    """After what was found was forgotten, the end of a list that is left does not undo that it was found."""
    old = Announcement(
        event_id="event",
        event="paystubs.fully_synced",
        account_id="account",
        product="paystubs",
        announced_at=datetime(2026, 1, 1, tzinfo=UTC),
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        final=True,
    )
    await store.announce(old)
    found = verified_key("account", "paystubs")
    await store.save(found, old.received_at.isoformat().encode())

    completeness = await CompletenessChecker(store).check(Unit("account", "paystubs"))

    assert completeness.complete
    assert await store.load(found) == old.received_at.isoformat().encode()


async def test_old_ends(store):
    """Old announcements that name no objects are forgotten, too, also where nothing was ever found."""
    for days in (99, 98, 1):
        at = datetime.now(UTC) - days * DAY
        end = Announcement(
            event_id=f"{days} days ago",
            event="job",
            account_id="account",
            product="tax_forms",
            announced_at=at,
            received_at=at,
            final=True,
        )
        await store.announce(end)

    await CompletenessChecker(store).sweep(datetime.now(UTC))

    assert ["1 days ago"] == [left.event_id for left in await store.announced("account", "tax_forms")]


WHOLE = {"meta": {"count": 2, "next_cursor": None}}


@pytest.mark.parametrize(
    "answer", [{}, {"meta": None}, {"meta": {"count": 1}}, {"meta": {"count": 5, "next_cursor": None}}]
)
async def test_a_list_of_jobs_without_its_end(fake, mirror, monkeypatch, answer):
    """A list of jobs that does not say that it is at its end, or holds other than it says, is read again."""
    monkeypatch.setattr("pinwheel_async.sync._run.reading._PAUSE_S", 0.01)
    fake.script(jobs_page(fake, 1, **answer), jobs_page(fake, 1, 2, **WHOLE), operation="list_jobs")

    found = await mirror.reconcile(since=datetime.now(UTC))

    assert (found.jobs, found.held_back) == (2, 1)
    assert fake.counts["list_jobs"] == 2


async def test_lists_of_jobs_that_agree(fake, mirror, monkeypatch):
    """A list of jobs without its end is believed when two in a row say the same."""
    monkeypatch.setattr("pinwheel_async.sync._run.reading._PAUSE_S", 0.01)
    fake.script(*[jobs_page(fake, *numbers) for numbers in ((1,), (1, 2), (2, 1))], operation="list_jobs")

    found = await mirror.reconcile(since=datetime.now(UTC))

    assert (found.jobs, found.held_back, found.unreadable_jobs) == (2, 2, 0)


async def test_lists_of_jobs_that_never_agree(fake, mirror, store, monkeypatch):
    """A list of jobs of which no two readings say the same is an error, and the next reconciliation begins there."""
    monkeypatch.setattr("pinwheel_async.sync._run.reading._PAUSE_S", 0.01)
    pages = [jobs_page(fake, *range(count)) for count in (1, 2, 3, 4)]
    fake.script(*pages, operation="list_jobs")
    began = datetime.now(UTC) - DAY
    await handle(mirror, fake, began)

    with pytest.raises(DecodeError, match=r"meta.next_cursor: missing"):
        await mirror.reconcile()

    assert (await mirror.reconcile()).since == began - timedelta(hours=1)
