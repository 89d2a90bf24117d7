"""Completeness of a mirror's lists: what is missing is read once more, and then warned about."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pinwheel_async import Pinwheel
from pinwheel_async.events import (
    Changed,
    Event,
    IncomeAdded,
    JobEvent,
    PaystubsAdded,
    PaystubsFullySynced,
    PaystubsSevenDaysSynced,
    ShiftsAdded,
    TaxFormsAdded,
)
from pinwheel_async.events.paystubs import PaystubsParams
from pinwheel_async.sync import Announcement, Completeness, MemoryStore, Mirror, sync
from pinwheel_async.testing import FakePinwheel, Fault, make_event
from tests.sync.handling import handle_event

Handle = Callable[..., Awaitable[None]]
MORE = PaystubsParams(sync_status="in_progress")


@pytest.fixture
def store() -> MemoryStore:
    """Where the copy is."""
    return MemoryStore()


@pytest.fixture
def complaints() -> list[Completeness]:
    """What `on_incomplete` was called with."""
    return []


@pytest.fixture
async def mirror(pinwheel: Pinwheel, store: MemoryStore, time, complaints) -> AsyncIterator[Mirror]:
    """An open mirror in fake time."""
    async with Mirror(pinwheel, store, clock=time.clock, on_incomplete=complaints.append) as opened:
        yield opened


@pytest.fixture
def handle(time) -> Handle:
    """Let a mirror handle events as a receiver would, each ten seconds after the one before."""

    async def run(mirror: Mirror, *events: Event) -> None:
        for number, event in enumerate(events):
            event_id = event.event_id or f"event-{number}"
            await handle_event(mirror, event, event_id=event_id, received_at=time.clock.now())
            time.advance(10)

    return run


def said(kind: type[JobEvent], fake: FakePinwheel, event_id: str, *added: str, **fields: Any) -> Any:
    """Make an event about the first account; its ids are those that are given, or all that the world has."""
    account_id = fake.world.account_id(0)
    if kind in {PaystubsAdded, ShiftsAdded, TaxFormsAdded}:
        ids = added or [record["id"] for record in fake.world.records(account_id, kind.PRODUCTS[0])]
        fields["added"] = tuple([Changed(id=object_id) for object_id in ids])
    return make_event(kind, account_id=account_id, event_id=event_id, **fields)


async def entry(mirror: Mirror, fake: FakePinwheel) -> Completeness:
    """Return how complete the copy of the paystubs of the first account is."""
    return (await mirror.completeness(fake.world.account_id(0)))["paystubs"]


async def test_entry_for_each_list(fake, mirror, handle):
    """After a sync there is an entry for each list that was announced, and all are complete."""
    events = [said(kind, fake, kind.NAME) for kind in (PaystubsAdded, ShiftsAdded, TaxFormsAdded, IncomeAdded)]
    await handle(mirror, *events)

    found = await mirror.completeness(fake.world.account_id(0))
    assert ["paystubs", "shifts", "tax_forms"] == [*found]
    assert [(True, 0)] * 3 == [(completeness.complete, completeness.unannounced) for completeness in found.values()]
    assert [completeness.held for completeness in found.values()] == [
        completeness.announced for completeness in found.values()
    ]


async def test_unannounced(fake, mirror, handle):
    """What is there and was never announced is counted, and is no reason to complain."""
    paystub_id = fake.world.records(fake.world.account_id(0), "paystubs")[0]["id"]
    await handle(mirror, said(PaystubsAdded, fake, "event-1", paystub_id))

    found = await entry(mirror, fake)
    assert (True, 1, found.held - 1) == (found.complete, found.announced, found.unannounced)
    assert found.held > 1


async def test_missing(fake, mirror, handle, complaints, caplog):
    """What was announced and is not there is read once more, and then complained about, with counts only."""
    await handle(mirror, said(PaystubsAdded, fake, "event-1", "planted-id"))

    assert 2 == fake.counts["list_paystubs"]
    assert [("planted-id",)] == [completeness.missing for completeness in complaints]
    (line,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "mirror_incomplete" == getattr(line, "event", None)
    assert "planted" not in line.getMessage()
    assert "1 of 1 announced paystubs" in line.getMessage()


async def test_late_data(fake, mirror, handle, complaints):
    """What the second reading finds is no reason to complain."""
    nothing = {"data": [], "meta": {"count": 0, "next_cursor": None}}
    fake.script(Fault(json=nothing), operation="list_paystubs")
    await handle(mirror, said(PaystubsAdded, fake, "event-1"))

    assert 2 == fake.counts["list_paystubs"]
    assert (await entry(mirror, fake)).complete
    assert not complaints


async def test_more_to_come(fake, mirror, handle, complaints):
    """Before the end of a list was announced, nothing is read twice, and nobody complains."""
    await handle(mirror, said(PaystubsAdded, fake, "event-1", "nowhere", params=MORE))

    assert 1 == fake.counts["list_paystubs"]
    assert not complaints
    assert not (await entry(mirror, fake)).final


@pytest.mark.parametrize("order", [0, 1])
async def test_end_and_last_batch(fake, mirror, handle, complaints, order):
    """The last batch may come after the end of the list: either order is compared."""
    batch = said(PaystubsAdded, fake, "event-1", "nowhere", params=MORE)
    end = said(PaystubsFullySynced, fake, "event-2", timestamp=batch.timestamp)
    await handle(mirror, *([batch, end], [end, batch])[order])

    assert [("nowhere",)] == [completeness.missing for completeness in complaints]


async def test_complains_once(fake, mirror, handle, complaints):
    """The same missing objects are complained about once; others again."""
    await handle(mirror, said(PaystubsAdded, fake, "event-1", "nowhere"))
    await handle(mirror, said(PaystubsSevenDaysSynced, fake, "event-2"), said(PaystubsFullySynced, fake, "event-3"))
    await handle(mirror, said(PaystubsAdded, fake, "event-4", "neither"))

    assert [("nowhere",), ("nowhere", "neither")] == [completeness.missing for completeness in complaints]


async def test_found_in_the_end(fake, mirror, handle, complaints):
    """What was missing and appears later is complete then, and nothing of it is remembered."""
    account_id = fake.world.account_id(0)
    new = said(PaystubsAdded, fake, "event-1")
    fake.world.connect(account_id, link_token_id="token")
    await handle(mirror, new)
    fake.world.reveal(account_id, "paystubs")
    await handle(mirror, said(PaystubsFullySynced, fake, "event-2"))

    assert 1 == len(complaints)
    assert (await entry(mirror, fake)).complete
    assert not mirror._warned


async def test_deleted_with_an_announcement(fake, mirror, handle, complaints):
    """What was announced as deleted is not missing."""
    account_id = fake.world.account_id(0)
    await handle(mirror, said(PaystubsAdded, fake, "event-1"))
    gone = fake.world.records(account_id, "paystubs")[0]["id"]
    await fake.delete(account_id, "paystubs", gone)
    deletion = said(PaystubsAdded, fake, "event-2", deleted=(Changed(id=gone),))
    await handle(mirror, deletion)

    assert not complaints
    assert (await entry(mirror, fake)).complete


async def test_deleted_without_an_announcement(fake, mirror, handle, complaints, pinwheel, store):
    """What was found once and then disappeared, be it in a sync, is not missing."""
    account_id = fake.world.account_id(0)
    await handle(mirror, said(PaystubsAdded, fake, "event-1"))
    fake.world.delete(account_id, "paystubs", fake.world.records(account_id, "paystubs")[0]["id"])
    await sync(pinwheel, store, accounts=[account_id])
    found = await entry(mirror, fake)

    assert found.complete
    assert found.announced == found.held + 1
    assert not complaints


async def test_callback_that_fails(fake, pinwheel, store, time, handle, caplog):
    """A callback that fails is logged by its kind, and the event is handled."""

    def fail(_: Completeness) -> None:
        raise RuntimeError("planted")

    async with Mirror(pinwheel, store, clock=time.clock, on_incomplete=fail) as mirror:
        await handle(mirror, said(PaystubsAdded, fake, "event-1", "nowhere"))

    assert "on_incomplete failed: RuntimeError" in caplog.text
    assert "planted" not in caplog.text


async def test_no_callback(fake, pinwheel, store, time, handle, caplog):
    """Without a callback there is the line in the log."""
    async with Mirror(pinwheel, store, clock=time.clock) as mirror:
        await handle(mirror, said(PaystubsAdded, fake, "event-1", "nowhere"))

    assert "1 of 1 announced paystubs are not there" in caplog.text


async def test_incomplete(fake, mirror, handle):
    """All lists that are not complete are found, and no others."""
    await handle(
        mirror,
        said(PaystubsAdded, fake, "event-1", "nowhere"),
        said(ShiftsAdded, fake, "event-2"),
        said(TaxFormsAdded, fake, "event-3", "neither"),
    )

    assert ["paystubs", "tax_forms"] == [completeness.product async for completeness in mirror.incomplete()]


def note(number: int, account_id: str, *added: str, received_s: float = 0) -> Announcement:
    """Make an announcement that is the end of the paystubs of an account."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Announcement(
        event_id=f"event-{number}",
        event="paystubs.added",
        account_id=account_id,
        product="paystubs",
        announced_at=at,
        received_at=at + timedelta(seconds=received_s),
        added=added,
        final=True,
    )


async def test_what_names_nothing_verifies_nothing(mirror, store):
    """An end without ids does not verify a batch that was received before it and is announced after it."""
    await store.announce(note(1, "a", received_s=9))
    assert (await mirror.completeness("a"))["paystubs"].complete
    await store.announce(note(2, "a", "nowhere", received_s=1))

    assert ("nowhere",) == (await mirror.completeness("a"))["paystubs"].missing


async def test_many_incomplete(mirror, store):
    """However many lists are not complete, all are found."""
    for number in range(1_001):
        await store.announce(note(number, f"account-{number}", "nowhere"))

    assert 1_001 == len({completeness.account_id async for completeness in mirror.incomplete()})


async def test_nothing_announced(fake, mirror):
    """Of an account without announcements there is nothing to say."""
    assert {} == await mirror.completeness(fake.world.account_id(0))
