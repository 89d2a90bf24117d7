"""Mirror: what is fetched for which events, when, and what is not."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import attrs
import pytest
from aiohttp import web

from pinwheel_async import (
    PRODUCTS,
    ClosedError,
    ConfigurationError,
    DecodeError,
    ForbiddenError,
    NotFoundError,
    Pinwheel,
    ServerError,
    SinkError,
    UnauthorizedError,
)
from pinwheel_async.events import (
    AccountAdded,
    AccountMonitoringStatusUpdated,
    Changed,
    DirectDepositSwitchAdded,
    EmploymentAdded,
    Event,
    IdentityAdded,
    IncomeAdded,
    JobEvent,
    PaystubsAdded,
    PaystubsDocumentsAdded,
    PaystubsFullySynced,
    PaystubsNinetyDaysSynced,
    ShiftsAdded,
    TaxFormsAdded,
)
from pinwheel_async.events.paystubs import PaystubsParams
from pinwheel_async.models.webhook import WebhookEventName
from pinwheel_async.products import Product
from pinwheel_async.sync import Batch, Checkpoint, MemoryStore, Mirror, Scope, sync
from pinwheel_async.testing import FakePinwheel, Fault, make_event
from tests.sync.handling import handle_event

Handle = Callable[..., Awaitable[None]]
ACCOUNT = """{"created_at": "2026-01-01T00:00:00Z", "platform_id": "platform-1", "connected": true,
"monitoring_status": "active", "data_updated_at": {}, "data_refreshed_at": {}}"""


@pytest.fixture
def store() -> MemoryStore:
    """Where the copy is."""
    return MemoryStore()


@pytest.fixture
async def mirror(pinwheel: Pinwheel, store: MemoryStore, time) -> AsyncIterator[Mirror]:
    """An open mirror in fake time."""
    async with Mirror(pinwheel, store, clock=time.clock) as opened:
        yield opened


@pytest.fixture
def handle(time) -> Handle:
    """Let a mirror handle events as a receiver would, those of one account one after another."""

    async def run(mirror: Mirror, *events: Event, received_at: datetime | None = None, attempt: int = 1) -> None:
        at = received_at or time.clock.now()
        for event in events:
            await handle_event(mirror, event, attempt=attempt, received_at=at)

    return run


def said(kind: type[JobEvent], fake: FakePinwheel, number: int = 0, **fields: Any) -> Any:
    """Make an event about an account of the world."""
    return make_event(kind, account_id=fake.world.account_id(number), **fields)


def stored(store: MemoryStore, product: Product, account_id: str) -> set[Any]:
    """Return the ids that are stored."""
    return {getattr(item, "id", None) for item in store.items(product, account_id)}


def there(fake: FakePinwheel, product: Product, account_id: str) -> set[Any]:
    """Return the ids that the world has."""
    return {record["id"] for record in fake.world.records(account_id, product)}


@pytest.mark.parametrize(
    ("kind", "product"),
    [
        (IdentityAdded, "identity"),
        (IncomeAdded, "income"),
        (EmploymentAdded, "employment"),
        (PaystubsAdded, "paystubs"),
        (PaystubsNinetyDaysSynced, "paystubs"),
        (PaystubsDocumentsAdded, "paystubs"),
        (ShiftsAdded, "shifts"),
        (TaxFormsAdded, "tax_forms"),
    ],
)
async def test_product(fake, mirror, store, handle, kind, product):
    """An event of a product lets the store have that product of that account, and the account."""
    account_id = fake.world.account_id(0)
    await handle(mirror, said(kind, fake, added=()) if hasattr(kind, "added") else said(kind, fake))

    assert there(fake, product, account_id) == stored(store, product, account_id)
    assert [account_id] == [account.id for account in store.items("accounts")]
    assert {(account_id, product)} == {*await store.checkpoints([account_id])}


async def test_every_product_is_heard(mirror):
    """There is a handler for each product."""
    heard = {product for handler in mirror.router.handlers() for event in handler.events for product in event.PRODUCTS}

    assert {*PRODUCTS} == heard


async def test_no_retired_event(mirror):
    """A subscription can be made of all that is heard."""
    assert {event.NAME for handler in mirror.router.handlers() for event in handler.events} <= {
        *get_args(WebhookEventName)
    }


@pytest.mark.parametrize("outcome", ["error", "pending"])
async def test_no_success(fake, mirror, handle, outcome):
    """What failed or is pending is not fetched."""
    await handle(mirror, said(PaystubsAdded, fake, outcome=outcome))

    assert not fake.counts


@pytest.mark.parametrize("kind", [AccountAdded, AccountMonitoringStatusUpdated])
async def test_account(fake, mirror, store, handle, kind):
    """An event of the account itself lets the store have the account, and fetches nothing else."""
    await handle(mirror, said(kind, fake, 2))

    assert [fake.world.account_id(2)] == [account.id for account in store.items("accounts")]
    assert {"get_account": 1} == fake.counts


async def test_gone_account(fake, mirror, store, handle, caplog):
    """An account that is not there any more is no failure: nothing is stored, and a line is logged."""
    caplog.set_level(logging.INFO)
    nobody = "00000000-0000-4000-8000-000000000001"
    await handle(mirror, make_event(IncomeAdded, account_id=nobody), make_event(AccountAdded, account_id=nobody))

    assert not store.items("accounts")
    logged = [getattr(record, "event", None) for record in caplog.records if record.name == "pinwheel_async.sync"]
    assert ["mirror_account_gone"] * 2 == logged


async def test_missing_product(fake, mirror, store, handle):
    """A 404 for what an event says is there is stored as missing, and the event is not handled: it comes again."""
    fake.script(Fault(status=404), operation="get_income")
    with pytest.raises(NotFoundError):
        await handle(mirror, said(IncomeAdded, fake))

    (checkpoint,) = (await store.checkpoints([fake.world.account_id(0)])).values()
    assert ("missing", 1) == (checkpoint.reached, checkpoint.misses)


async def test_a_missing_product_that_comes_back(fake, mirror, store, handle, time):
    """An event whose data was not there at first finds it when it comes again."""
    event, at = said(IncomeAdded, fake), time.clock.now()
    fake.script(Fault(status=404), operation="get_income")
    with pytest.raises(NotFoundError):
        await handle(mirror, event, received_at=at)

    await handle(mirror, event, received_at=at)

    assert there(fake, "income", fake.world.account_id(0)) == stored(store, "income", fake.world.account_id(0))


async def test_burst(fake, mirror, handle):
    """Twenty-seven batches of one account that come at once cost one reading."""
    await handle(mirror, *[said(PaystubsAdded, fake, added=(), event_id=f"event-{n}") for n in range(27)])

    assert {"get_account": 1, "list_paystubs": 1} == fake.counts


async def test_burst_without_an_inbox(fake, mirror, handle, time):
    """A burst costs one reading, too, if nothing keeps its events apart."""
    events = [said(PaystubsAdded, fake, added=(), event_id=f"event-{n}") for n in range(27)]
    at = time.clock.now()
    await asyncio.gather(*[handle(mirror, event, received_at=at) for event in events])

    assert {"get_account": 1, "list_paystubs": 1} == fake.counts


async def test_fresh_event_waits(fake, mirror, handle, time):
    """A fresh event waits for others of its burst."""
    await handle(mirror, said(IncomeAdded, fake), received_at=time.clock.now() - timedelta(seconds=0.25))

    assert [0.75] == time.slept


async def test_backlog_does_not_wait(fake, mirror, handle, time):
    """What has waited in the inbox already is fetched at once, and once for all that waited."""
    events = [said(PaystubsAdded, fake, added=(), event_id=f"event-{n}") for n in range(27)]
    await handle(mirror, *events, received_at=time.clock.now() - timedelta(minutes=5))

    assert [] == time.slept
    assert 1 == fake.counts["list_paystubs"]


async def test_clock_ahead(fake, mirror, handle, time):
    """An event that another machine received in the future waits no longer than a fresh one."""
    await handle(mirror, said(IncomeAdded, fake), received_at=time.clock.now() + timedelta(hours=1))

    assert [1.0] == time.slept


async def test_event_after_the_reading(fake, mirror, handle, time):
    """An event that comes after the last reading began is news."""
    await handle(mirror, said(IncomeAdded, fake))
    time.advance(10)
    await handle(mirror, said(IncomeAdded, fake))

    assert 2 == fake.counts["get_income"]


async def test_late_event(fake, mirror, handle, time):
    """An event that was received before the last reading began costs nothing, in whatever order it is handled."""
    before = time.clock.now()
    time.advance(10)
    await handle(mirror, said(IncomeAdded, fake))
    await handle(mirror, said(IncomeAdded, fake), received_at=before)

    assert 1 == fake.counts["get_income"]


async def test_missing_is_an_answer(fake, mirror, handle, time):
    """What was missing after a switch, which does not say that it is there, is not looked for again."""
    at = time.clock.now()
    fake.script(Fault(status=404), operation="get_direct_deposit_allocations")
    events = [said(DirectDepositSwitchAdded, fake) for _ in range(2)]
    await handle(mirror, *events, received_at=at)

    assert 1 == fake.counts["get_direct_deposit_allocations"]


async def test_same_instant(fake, pinwheel, handle, store, time):
    """An event of the very instant in which a reading began may have come after it, so it is news."""
    async with Mirror(pinwheel, store, debounce_s=0, clock=time.clock) as mirror:
        await handle(mirror, said(IncomeAdded, fake), said(IncomeAdded, fake))

    assert 2 == fake.counts["get_income"]


@pytest.mark.parametrize("day", [None, date(2020, 1, 1)])
async def test_a_narrower_reading_covers_nothing(fake, handle, pinwheel, store, day):
    """A reading of newer days than those of the copy is no answer to an event: everything is read."""
    account_id, at = fake.world.account_id(0), datetime.now(UTC)
    await sync(pinwheel, store, accounts=[], products=["paystubs"], from_pay_date=day)
    await sync(pinwheel, store, accounts=[account_id], from_pay_date=date(2999, 1, 1))
    async with Mirror(pinwheel, store, debounce_s=0) as mirror:
        await handle(mirror, said(PaystubsAdded, fake, added=()), received_at=at)

    assert there(fake, "paystubs", account_id) == stored(store, "paystubs", account_id)


async def test_a_reading_of_all_days_of_the_copy(fake, handle, pinwheel, store):
    """A reading of a copy that begins on some day answers the events that came before it."""
    at = datetime.now(UTC)
    await sync(pinwheel, store, products=["paystubs"], from_pay_date=date(2026, 2, 1))
    fake.counts.clear()
    async with Mirror(pinwheel, store, debounce_s=0) as mirror:
        await handle(mirror, said(PaystubsAdded, fake, added=()), received_at=at)

    assert not fake.counts


async def test_days_before_those_of_the_copy(fake, handle, pinwheel, store):
    """A copy from some day on stays one: neither an event nor a reconciliation reads older paystubs."""
    account_id, day = fake.world.account_id(0), date(2026, 2, 1)
    await sync(pinwheel, store, products=["paystubs"], from_pay_date=day)
    before = stored(store, "paystubs", account_id)
    fake.world.touch(account_id, "paystubs")
    async with Mirror(pinwheel, store, debounce_s=0) as mirror:
        await handle(mirror, said(PaystubsAdded, fake, added=()))
        await mirror.reconcile()

    recent = {record["id"] for record in fake.world.records(account_id, "paystubs") if record["pay_date"] > str(day)}
    assert before < stored(store, "paystubs", account_id) == recent


async def test_products_that_are_not_in_the_copy(fake, handle, pinwheel, store):
    """An event of a product that the copy does not hold costs nothing, and is not kept as announced."""
    await sync(pinwheel, store, products=["income"])
    fake.counts.clear()
    async with Mirror(pinwheel, store, debounce_s=0) as mirror:
        await handle(mirror, said(ShiftsAdded, fake, added=[Changed(id="s")]), said(IdentityAdded, fake))

        assert not fake.counts
        assert not await mirror.completeness(fake.world.account_id(0))


async def test_a_mirror_of_another_environment(pinwheel, store):
    """A store with data of another environment is not opened by a mirror, and is closed."""
    await store.claim(Scope(environment="production"))

    with pytest.raises(ConfigurationError, match=r"environment: production in the copy, 127\.0\.0\.1 here"):
        async with Mirror(pinwheel, store):
            pass


async def test_checkpoint_says_what_the_account_said(fake, mirror, handle, store):
    """The checkpoint has the moment of the last change, so that a later sync of what changed finds that nothing did."""
    await handle(mirror, said(IncomeAdded, fake), said(TaxFormsAdded, fake, added=()))

    account: Any = store.items("accounts")[0]
    checkpoints = {
        product: checkpoint.data_updated_at
        for (_, product), checkpoint in (await store.checkpoints([account.id])).items()
    }
    assert {"income": account.data_updated_at.income, "tax_forms": None} == checkpoints


async def test_deleted_at_the_source(fake, mirror, handle, store, time):
    """What a reading does not find any more disappears, whether it was announced or not."""
    account_id = fake.world.account_id(0)
    await handle(mirror, said(PaystubsAdded, fake, added=()))
    gone = fake.world.records(account_id, "paystubs")[0]["id"]
    await fake.delete(account_id, "paystubs", gone)
    time.advance(10)
    await handle(mirror, said(PaystubsFullySynced, fake))

    assert gone not in stored(store, "paystubs", account_id)
    assert there(fake, "paystubs", account_id) == stored(store, "paystubs", account_id)


@pytest.fixture
async def long(fake, mirror, handle, time) -> str:
    """An account with 250 paystubs, all of which are stored."""
    account_id = fake.world.account_id(0)
    fake.world.recast(account_id, paystubs=250)
    await handle(mirror, said(PaystubsAdded, fake, added=()))
    time.advance(10)
    fake.clear_records()
    return account_id


def batch(fake: FakePinwheel, records: Sequence[Any]) -> PaystubsAdded:
    """Make the event of a batch of paystubs."""
    days = [date.fromisoformat(record["pay_date"]) for record in records]
    params = PaystubsParams(from_pay_date=min(days), to_pay_date=max(days), sync_status="complete")
    added = tuple([Changed(id=record["id"]) for record in records])
    found: PaystubsAdded = said(PaystubsAdded, fake, added=added, params=params)
    return found


async def test_a_batch_of_older_days(fake, handle, pinwheel, store):
    """A batch from before the first day of the copy is not read, and not missed; that it is the last counts."""
    account_id = fake.world.account_id(0)
    records = fake.world.records(account_id, "paystubs")
    await sync(pinwheel, store, products=["paystubs"], from_pay_date=date(2027, 1, 1))
    fake.counts.clear()
    async with Mirror(pinwheel, store, debounce_s=0) as mirror:
        await handle(mirror, batch(fake, records))

        (found,) = (await mirror.completeness(account_id)).values()
    assert (found.complete, found.announced, {*fake.counts}) == (True, 0, set())


async def test_window(fake, mirror, handle, store, long):
    """Of a long list that is there already, the days of the batch are enough: one request, and all is there."""
    fake.world.touch(long, "paystubs")
    await handle(mirror, batch(fake, fake.world.records(long, "paystubs")[:2]))

    assert {"get_account": 1, "list_paystubs": 1} == fake.counts
    assert there(fake, "paystubs", long) == stored(store, "paystubs", long)


async def test_days_of_the_window(serve, handle, store, time):
    """The day before the batch is asked for, as nothing says whether the first day counts, up to the batch's last."""
    params = PaystubsParams(from_pay_date=date(2026, 1, 2), to_pay_date=date(2026, 1, 9))
    event = make_event(PaystubsAdded, params=params, added=())
    checkpoint = Checkpoint(begun_at=time.clock.now() - timedelta(days=1), reached="complete", items=101)
    await store.write(Batch(kind="paystubs", account_id=event.account_id, items=(), checkpoint=checkpoint))
    account = {"data": {"id": event.account_id, **json.loads(ACCOUNT)}}
    site = await serve(web.json_response(account), web.json_response({"data": [], "meta": {"count": 0}}))
    async with Pinwheel("secret", base_url=site.base_url) as pinwheel, Mirror(pinwheel, store, debounce_s=0) as mirror:
        await handle(mirror, event)

    assert "from_pay_date=2026-01-01&to_pay_date=2026-01-09" in site.arrivals[1].target


async def test_no_window_for_a_page(fake, mirror, handle, store, time):
    """Of a list that fits a page everything is read: it costs the same, and shows what vanished."""
    account_id = fake.world.account_id(0)
    await handle(mirror, said(PaystubsAdded, fake, added=()))
    fake.world.delete(account_id, "paystubs", fake.world.records(account_id, "paystubs")[-1]["id"])
    time.advance(10)
    await handle(mirror, batch(fake, fake.world.records(account_id, "paystubs")[:1]))

    assert there(fake, "paystubs", account_id) == stored(store, "paystubs", account_id)


async def test_window_leaves_the_checkpoint(fake, mirror, handle, store, long):
    """A part that was read is no copy of the whole, so the checkpoint stays."""
    before = await store.checkpoints([long])
    await handle(mirror, batch(fake, fake.world.records(long, "paystubs")[:2]))

    assert before == await store.checkpoints([long])


@pytest.mark.parametrize(
    "why", ["deleted", "no dates", "no end", "no begin", "no params", "second attempt", "another event", "cut"]
)
async def test_no_window(fake, mirror, handle, store, long, why):
    """Where more may have changed, the days are not known, or it failed or was cut before, everything is read."""
    event: Any = batch(fake, fake.world.records(long, "paystubs")[:2])
    if why == "deleted":
        event = attrs.evolve(event, deleted=event.added[:1], added=())
    elif why == "no dates":
        event = attrs.evolve(event, params=PaystubsParams(count=2))
    elif why in {"no end", "no begin"}:
        left_out = "to_pay_date" if why == "no end" else "from_pay_date"
        event = attrs.evolve(event, params=attrs.evolve(event.params, **{left_out: None}))
    elif why == "no params":
        event = attrs.evolve(event, params=None)
    elif why == "another event":
        event = said(PaystubsFullySynced, fake)
    elif why == "cut":
        checkpoint = attrs.evolve((await store.checkpoints([long]))[long, "paystubs"], reached="reading")
        page = Batch(kind="paystubs", account_id=long, items=(), first=False, checkpoint=checkpoint)
        await store.write(page)
    await handle(mirror, event, attempt=2 if why == "second attempt" else 1)

    assert 3 == fake.counts["list_paystubs"]


@pytest.mark.parametrize(("status", "error"), [(500, ServerError), (401, UnauthorizedError), (403, ForbiddenError)])
async def test_failure(fake, mirror, handle, store, status, error):
    """What fails leaves the handler, so that the event comes again; then it is fetched."""
    fake.script(Fault(status=status), operation="list_shifts")
    event = said(ShiftsAdded, fake, added=())
    with pytest.raises(error):
        await handle(mirror, event)
    await handle(mirror, event, attempt=2)

    account_id = fake.world.account_id(0)
    assert there(fake, "shifts", account_id) == stored(store, "shifts", account_id)


async def test_store_that_fails(fake, pinwheel, handle):
    """What could not be stored leaves the handler, so that the event is not lost."""

    class Full(MemoryStore):
        async def write(self, batch: Batch) -> None:
            raise SinkError("full", reason="full")

    async with Mirror(pinwheel, Full(), debounce_s=0) as mirror:
        with pytest.raises(SinkError):
            await handle(mirror, said(IncomeAdded, fake))


async def test_undecodable(fake, mirror, handle):
    """A product that cannot be read leaves the handler as `DecodeError`."""
    fake.script(Fault(json={"data": 4711}), operation="get_income")
    with pytest.raises(DecodeError):
        await handle(mirror, said(IncomeAdded, fake))


async def test_another_attempt_goes_on(fake, mirror, handle, store, time):
    """What failed half-way goes on where it was, if it began after the event came."""
    account_id = fake.world.account_id(0)
    fake.world.recast(account_id, shifts=250)
    fake.script(Fault(headers=(("x", "x"),)), Fault(status=500), operation="list_shifts")
    event, at = said(ShiftsAdded, fake, added=()), time.clock.now()
    with pytest.raises(ServerError):
        await handle(mirror, event, received_at=at)
    await handle(mirror, event, received_at=at, attempt=2)

    assert 4 == fake.counts["list_shifts"]
    assert there(fake, "shifts", account_id) == stored(store, "shifts", account_id)


async def test_another_event_begins_again(fake, mirror, handle, time):
    """What failed half-way before an event came is read from the beginning."""
    fake.world.recast(fake.world.account_id(0), shifts=250)
    fake.script(Fault(headers=(("x", "x"),)), Fault(status=500), operation="list_shifts")
    with pytest.raises(ServerError):
        await handle(mirror, said(ShiftsAdded, fake, added=()))
    time.advance(10)
    await handle(mirror, said(ShiftsAdded, fake, added=()))

    assert 5 == fake.counts["list_shifts"]


async def test_two_mirrors(fake, pinwheel, handle, store, time):
    """Two mirrors on one store do each other no harm, and what one has read the other need not."""
    async with Mirror(pinwheel, store, clock=time.clock) as first, Mirror(pinwheel, store, clock=time.clock) as second:
        at = time.clock.now()
        await handle(first, said(PaystubsAdded, fake, added=()), received_at=at)
        await handle(second, said(PaystubsAdded, fake, added=()), received_at=at)

    assert 1 == fake.counts["list_paystubs"]


async def test_not_open(fake, pinwheel, store, handle):
    """A mirror that is not open handles and answers nothing."""
    mirror = Mirror(pinwheel, store)
    for event in (said(IncomeAdded, fake), said(AccountAdded, fake)):
        with pytest.raises(ClosedError):
            await handle(mirror, event)
    with pytest.raises(ClosedError):
        await mirror.completeness("account")
    with pytest.raises(ClosedError):
        await mirror.reconcile()
    with pytest.raises(ClosedError):
        await anext(mirror.incomplete())


def test_debounce_s(pinwheel):
    """A wait of less than nothing is refused."""
    with pytest.raises(ConfigurationError):
        Mirror(pinwheel, MemoryStore(), debounce_s=-1)


async def test_a_mark_from_the_future_covers_nothing(fake, mirror, handle, store, time):
    """A reading that was stored under a clock that was far ahead is no answer to an event."""
    account_id = fake.world.account_id(0)
    checkpoint = Checkpoint(begun_at=datetime.now(UTC) + timedelta(days=30), reached="complete")
    await store.write(Batch(kind="income", account_id=account_id, items=(), checkpoint=checkpoint))

    await handle(mirror, said(IncomeAdded, fake))

    assert 1 == fake.counts["get_income"]
    assert there(fake, "income", account_id) == stored(store, "income", account_id)
