"""Readiness: from events in any order to the question whether an account's data is there."""

import asyncio
import itertools
import json
import logging
import pickle
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async import Pinwheel
from pinwheel_async.errors import ConfigurationError, InboxError, PinwheelError, RequestError
from pinwheel_async.events import decode_event
from pinwheel_async.products import PRODUCTS
from pinwheel_async.testing import FakePinwheel, Fault
from pinwheel_async.webhooks import MemoryInbox, Receiver, Router, SqliteInbox, sign
from pinwheel_async.webhooks._delivery import make_delivery
from pinwheel_async.webhooks._dispatch import Dispatcher
from pinwheel_async.webhooks._readiness import ASK_AGAIN_S, LOOK_S, POLL_S, Readiness
from pinwheel_async.webhooks._readiness_state import NotReadyError, expected, readiness_of, remember
from pinwheel_async.webhooks._readiness_store import MOST, OwnValues

SECRET = "a-secret-of-tests"
ACCOUNT = "2dff2dd6-5825-4d47-ae92-406feb689c4f"
PLATFORM = "3f5a7c9e-8b6d-4a42-9e1f-7a8b9c0d1e04"
T0 = datetime(2026, 3, 17, 15, 5, 2, tzinfo=UTC)
_ids = itertools.count(1)


def at(seconds):
    return (T0 + timedelta(seconds=seconds)).isoformat()


def made(event, payload):
    return json.dumps({"event_id": f"event-{next(_ids)}", "event": event, "payload": payload}).encode()


def added(seconds=0, *, account_id=ACCOUNT, platform_id=PLATFORM):
    facts = {"created_at": at(seconds), "connected": True, "monitoring_status": "active"}
    return made("account.added", {**facts, "account_id": account_id, "platform_id": platform_id})


def job(event="income.added", seconds=1, outcome="success", *, account_id=ACCOUNT, sync_status=None, **more):
    facts = {"name": event.partition(".")[0], "timestamp": at(seconds), "outcome": outcome, "account_id": account_id}
    params = {} if sync_status is None else {"count": 3, "sync_status": sync_status}
    return made(event, {"id": "job-1", "link_token_id": "token-1", "params": params, **facts, **more})


def connection():
    """Make the deliveries of one connection, in the order in which such were recorded."""
    return [
        added(),
        job("identity.added", 1),
        job("income.added", 1.5),
        job("paystubs.added", 2, sync_status="in_progress"),
        job("paystubs.seven_days_synced", 2),
        job("shifts.added", 3, sync_status="in_progress"),
        job("paystubs.added", 4, sync_status="in_progress"),
        job("paystubs.thirty_days_synced", 4),
        job("shifts.added", 5, sync_status="in_progress"),
        job("paystubs.ninety_days_synced", 6),
        job("paystubs.fully_synced", 7),
        job("paystubs.added", 7, sync_status="complete"),
        job("employment.added", 9),
        job("shifts.added", 14, sync_status="complete"),
        job("direct_deposit_allocations.added", 15, "error", error_type="platformError", error_code="systemError"),
        job("tax_forms.added", 16),
    ]


async def hear(readiness, *bodies):
    dispatcher = Dispatcher(readiness.router, timeout_s=5)
    for body in bodies:
        delivery = make_delivery({"pinwheel-version": "2025-07-08"}, body, key="0")
        assert (await dispatcher.dispatch(delivery, attempt=1)).ok


def remembered(bodies):
    history = None
    for body in bodies:
        event = decode_event(body).event
        assert event is not None
        history = remember(history, event, T0)
    return history


def read(bodies, wanted=PRODUCTS, supported=None):
    return readiness_of(ACCOUNT, remembered(bodies), None, wanted=tuple(wanted), supported=supported)


def status(*bodies, product="paystubs"):
    return read(bodies).products[product].status


async def settled():
    """Let every task go on until all wait for something."""
    for _ in range(50):
        await asyncio.sleep(0)


class Broken:
    """A store that fails on demand."""

    def __init__(self):
        self.values = OwnValues()
        self.broken = False

    async def load(self, key):
        if self.broken:
            raise InboxError("no", reason="OSError")
        return await self.values.load(key)

    async def save(self, key, value):
        await self.values.save(key, value)


@pytest.fixture(params=["memory", "sqlite", "none"])
async def inbox(request, tmp_path):
    """A place to keep what was heard: each of the inboxes, and none."""
    if request.param == "none":
        yield None
        return
    inbox = MemoryInbox() if request.param == "memory" else SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    yield inbox
    await inbox.close()


@pytest.fixture
async def fake():
    async with FakePinwheel(accounts=3) as fake:
        yield fake


@pytest.fixture
async def pinwheel(fake):
    async with Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        yield pinwheel


class Reports:
    """A callback that remembers what it was called with."""

    def __init__(self, readiness):
        self.states = []
        readiness.on_stalled(self.called)

    async def called(self, state):
        self.states.append(state)


# What follows from events


@pytest.mark.parametrize(
    ("expected_status", "bodies"),
    [
        ("waiting", []),
        ("waiting", [added()]),
        ("in_progress", [job("paystubs.added", sync_status="in_progress")]),
        ("in_progress", [job("paystubs.added")]),
        ("in_progress", [job("paystubs.ninety_days_synced")]),
        ("succeeded", [job("paystubs.added", sync_status="complete")]),
        ("succeeded", [job("paystubs.fully_synced")]),
        ("failed", [job("paystubs.added", 1, "error")]),
        ("failed", [job("paystubs.added", 1, sync_status="in_progress"), job("paystubs.added", 2, "error")]),
        ("pending", [job("paystubs.added", 1, "pending")]),
        ("in_progress", [job("paystubs.added", 1, "pending"), job("paystubs.added", 2, sync_status="in_progress")]),
        ("failed", [job("paystubs.added", 1, "pending"), job("paystubs.added", 2, "error")]),
        ("failed", [job("paystubs.added", 2, "error"), job("paystubs.added", 1, "pending")]),
        ("failed", [job("paystubs.added", 1, "error"), job("paystubs.added", 1, "pending")]),
        ("pending", [job("paystubs.added", 1, "error"), job("paystubs.added", 2, "pending")]),
        ("succeeded", [job("paystubs.added", 1, "pending"), job("paystubs.fully_synced", 2)]),
        ("succeeded", [job("paystubs.fully_synced", 2), job("paystubs.added", 1, "pending")]),
        ("succeeded", [job("paystubs.fully_synced", 1), job("paystubs.added", 2, "error")]),
        ("succeeded", [job("paystubs.fully_synced", 1), job("paystubs.added", 2, "pending")]),
        ("succeeded", [job("paystubs.added", 1, "error"), job("paystubs.fully_synced", 2)]),
        ("succeeded", [job("paystubs.fully_synced", 1), job("paystubs.added", 1, sync_status="in_progress")]),
        ("succeeded", [job("paystubs.fully_synced", 1), added(5)]),
        ("waiting", [job("paystubs.added", 1, "postponed")]),
    ],
)
def test_status(expected_status, bodies):
    """The status is that of the newest event by its own time, save that data which was there stays there."""
    assert expected_status == status(*bodies)


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_product_is_heard(product):
    """Each product has an event that makes it final."""
    assert "failed" == status(job(f"{product}.added", 1, "error"), product=product)


async def test_documents_of_paystubs_are_another_matter():
    """A failure with the documents of paystubs says nothing about the paystubs, and is not listened to."""
    readiness = Readiness()

    assert () == readiness.router.matching(decode_event(job("paystubs.documents.added", 1, "error")).event)


def test_a_switch_is_no_product():
    """A deposit switch that succeeded does not mean that the allocations were fetched."""
    readiness = Readiness()

    assert () == readiness.router.matching(decode_event(job("direct_deposit_switch.added")).event)


def test_error_of_the_newest_failure():
    """A product that failed has the error of its newest failure."""
    newer = job("income.added", 2, "error", error_type="userActionRequired", error_code="accountLocked")
    older = job("income.added", 1, "error", error_type="systemError", error_code="systemError")

    product = read([newer, older]).products["income"]

    assert ("userActionRequired", "accountLocked") == (product.error_type, product.error_code)


def test_no_error_after_success():
    """A product that is there shows no error, whatever a refresh ran into."""
    product = read([job("income.added", 1), job("income.added", 2, "error", error_type="systemError")]).products[
        "income"
    ]

    assert (None, None) == (product.error_type, product.error_code)


def test_long_errors_are_cut():
    """What is remembered of an account is bounded, however long its error codes are."""
    product = read([job("income.added", 1, "error", error_code="x" * 10_000)]).products["income"]

    assert "x" * 100 == product.error_code


def test_updated_at():
    """A product was updated when the newest event about it says so."""
    product = read([job("income.added", 5, "error"), job("income.added", 2)]).products["income"]

    assert T0 + timedelta(seconds=5) == product.updated_at


@pytest.mark.parametrize(
    ("days", "progress", "events"),
    [
        (None, 0.0, []),
        (None, 0.1, ["paystubs.added"]),
        (7, 0.25, ["paystubs.seven_days_synced"]),
        (90, 0.75, ["paystubs.ninety_days_synced", "paystubs.thirty_days_synced"]),
        (90, 1.0, ["paystubs.fully_synced", "paystubs.ninety_days_synced"]),
    ],
)
def test_marks(days, progress, events):
    """The highest mark counts, and gives the progress while the product is not final."""
    state = read([job(one) for one in events], ["paystubs"])

    assert (days, progress) == (state.products["paystubs"].days_synced, state.progress)


def test_unsupported():
    """What the platform does not have is final from the start."""
    state = read([added()], ["shifts", "income"], supported={"income"})

    assert (("shifts",), ("income",), 0.5) == (state.unsupported, state.unfinished, state.progress)


def test_supported_after_all():
    """What came counts, even where the platform is said not to have it."""
    assert "succeeded" == read([job("income.added")], supported=set()).products["income"].status


def test_groups():
    """The state names the products of each outcome, and whether it is ready for those and for others."""
    state = read([job("income.added"), job("identity.added", 1, "error"), job("shifts.added", 1, "pending")])

    assert (("income",), ("identity",), ("shifts",)) == (state.succeeded, state.failed, state.pending)
    assert (False, True) == (state.ready(), state.ready(["income", "identity"]))


def test_nothing_to_have():
    """An account of a platform without any product is ready at once."""
    state = read([added()], expected(None, frozenset({"bill_switch"})), supported={"bill_switch"})

    assert (True, 0.0) == (state.ready(), state.progress)


def test_platform_of_the_newest_connection():
    """The platform is that of the newest `account.added`, whatever came first."""
    bodies = [added(9, platform_id="platform-2"), job("income.added", platform_id="platform-3"), added(0)]

    assert ("platform-2", T0 + timedelta(seconds=9)) == (read(bodies).platform_id, read(bodies).added_at)


def test_platform_of_a_job():
    """A job's event names the platform where `account.added` did not come."""
    assert "platform-3" == read([job("income.added", platform_id="platform-3")]).platform_id


def test_other_events_change_nothing():
    """An event that says nothing about a product is not remembered."""
    history = remembered([added()])
    other = made("account.monitoring_status.updated", {"account_id": ACCOUNT, "monitoring_status": "degraded"})

    assert history is remember(history, decode_event(other).event, T0)


CONNECTION = connection()


@given(st.permutations([*CONNECTION, *CONNECTION[:6]]))
@settings(deadline=None)
def test_any_order(bodies):
    """The events of a connection, in any order and some of them twice, end in the same state."""
    assert read(CONNECTION) == read(bodies)


EVENTS = st.builds(
    job,
    st.sampled_from(["paystubs.added", "paystubs.fully_synced", "paystubs.seven_days_synced", "income.added"]),
    st.integers(0, 3),
    st.sampled_from(["success", "error", "pending", "other"]),
    sync_status=st.sampled_from([None, "in_progress", "complete"]),
    error_code=st.sampled_from([None, "a", "b"]),
    error_type=st.sampled_from([None, "c", "d"]),
)


@given(st.lists(EVENTS, max_size=8).flatmap(lambda bodies: st.tuples(st.just(bodies), st.permutations(bodies))))
@settings(deadline=None)
def test_any_events_in_any_order(orders):
    """Whatever the events, their order changes nothing."""
    first, second = orders

    assert read(first) == read(second)


@given(st.lists(EVENTS, max_size=8), st.lists(EVENTS, max_size=4))
@settings(deadline=None)
def test_there_stays_there(bodies, more):
    """A product that is there stays there, whatever comes."""
    before, after = read(bodies), read([*bodies, *more])

    assert set(before.succeeded) <= set(after.succeeded)


def test_reprs_hold_no_values():
    """A repr shows id and statuses, and nothing else that came with the events."""
    state = read([job("income.added", 1, "error", error_code="planted", error_type="planted")], ["income"])

    assert f"<AccountReadiness account_id={ACCOUNT} income=failed>" == repr(state)
    assert "<ProductReadiness failed>" == repr(state.products["income"])


# Waiting


@given(st.permutations(CONNECTION))
@settings(deadline=None, max_examples=25)
def test_any_order_is_ready_at_the_end(bodies):
    """Handled in any order, the events of a connection make the account ready for all products."""

    async def handle():
        readiness = Readiness()
        await hear(readiness, *bodies)
        return await readiness.wait(ACCOUNT, products=PRODUCTS, timeout_s=0)

    assert 1.0 == asyncio.run(handle()).progress


@pytest.mark.parametrize("store", [MemoryInbox, SqliteInbox])
async def test_through_the_receiver(store, tmp_path):
    """Signed deliveries, received and handled by the worker, end the waiting."""
    inbox = store(tmp_path / "inbox.db") if store is SqliteInbox else store()
    readiness, router = Readiness(inbox), Router()
    router.include(readiness.router)
    receiver = Receiver(router, [SECRET], inbox=inbox)
    await receiver.start()
    try:
        for body in reversed(connection()):
            headers = {"x-pinwheel-signature": sign(SECRET, "1773760000", body), "x-timestamp": "1773760000"}
            assert (await receiver.receive(headers, body)).status == 200

        state = await readiness.wait(ACCOUNT, products=PRODUCTS, timeout_s=30)
    finally:
        await receiver.stop()

    assert ("direct_deposit_allocations",) == state.failed


async def test_wait_returns_at_once(inbox):
    """An account whose products are final is not waited for."""
    readiness = Readiness(inbox)
    await hear(readiness, job("income.added"), job("paystubs.added", 1, "error"))

    state = await readiness.wait(ACCOUNT, timeout_s=0)

    assert (("income",), ("paystubs",)) == (state.succeeded, state.failed)


async def test_wait_is_woken(inbox, time):
    """An event that is handled here ends the waiting without a poll."""
    readiness = Readiness(inbox, clock=time.clock)
    waiting = asyncio.create_task(readiness.wait(ACCOUNT, products=["income"]))
    await settled()

    await hear(readiness, job("income.added"))

    assert (await waiting).ready()


async def test_wait_times_out(time):
    """After its time, waiting ends with an error that says how far the account came."""
    readiness = Readiness(clock=time.clock)
    await hear(readiness, job("paystubs.added", sync_status="in_progress"))
    waiting = asyncio.create_task(readiness.wait(ACCOUNT, timeout_s=1))
    await settled()
    time.advance(1)

    with pytest.raises(
        NotReadyError, match=r"^not ready after 1 s: paystubs \(in_progress\), income \(waiting\)$"
    ) as caught:
        await waiting

    assert ("paystubs", "income") == caught.value.state.unfinished


async def test_error_is_a_timeout():
    """Who catches `TimeoutError` or `PinwheelError` catches it."""
    error = NotReadyError(read([]), timeout_s=1)

    assert isinstance(error, TimeoutError)
    assert isinstance(error, PinwheelError)


async def test_error_can_be_pickled():
    """The error and its state cross process borders."""
    error = NotReadyError(read([job("income.added")]), timeout_s=1)

    assert error.state == pickle.loads(pickle.dumps(error)).state  # noqa: S301  # our own bytes


@pytest.mark.parametrize("products", [(), ("paystub",), "income"])
async def test_wrong_products(products):
    """What is no product is refused."""
    with pytest.raises(RequestError, match="products must be"):
        await Readiness().wait(ACCOUNT, products=products)


async def test_waiting_leaves_no_trace_of_unknown_accounts():
    """Anybody may ask about any id: nothing is stored for one that nobody has heard of."""
    store = Broken()
    with pytest.raises(NotReadyError):
        await Readiness(store).wait("guessed", timeout_s=0)

    assert {} == store.values._values


async def test_two_processes(tmp_path, time):
    """One process waits while another one handles the events: it looks into the inbox they share."""
    inboxes = [SqliteInbox(tmp_path / "inbox.db"), SqliteInbox(tmp_path / "inbox.db")]
    for inbox in inboxes:
        await inbox.open()
    waiting = asyncio.create_task(Readiness(inboxes[0], clock=time.clock).wait(ACCOUNT, products=["income"]))
    await hear(Readiness(inboxes[1]), job("income.added"))
    while not waiting.done():  # the file is read in a thread: a poll may begin after time was advanced
        time.advance(POLL_S)
        await asyncio.sleep(0.001)

    assert ("income",) == (await waiting).succeeded
    for inbox in inboxes:
        await inbox.close()


async def test_restart(tmp_path):
    """What was heard before a restart counts after it."""
    for body in (job("income.added"), job("paystubs.fully_synced")):
        inbox = SqliteInbox(tmp_path / "inbox.db")
        await inbox.open()
        readiness = Readiness(inbox)
        await hear(readiness, body)
        state = await readiness.get(ACCOUNT)
        await inbox.close()

    assert state.ready(["income", "paystubs"])


async def test_get_of_unknown_account(inbox):
    """Of an account that was not heard of, everything is waiting."""
    state = await Readiness(inbox).get(ACCOUNT)

    assert PRODUCTS == state.unfinished


async def test_forget(inbox):
    """A forgotten account is as one that was never heard of."""
    readiness = Readiness(inbox)
    Reports(readiness)
    await hear(readiness, *connection())
    await readiness.wait(ACCOUNT)
    await readiness.forget(ACCOUNT)

    assert await Readiness(inbox).get(ACCOUNT) == await readiness.get(ACCOUNT)


async def test_forget_leaves_nothing():
    """Nothing of a forgotten account stays in the store, save what other accounts left there."""
    store = Broken()
    readiness = Readiness(store)
    Reports(readiness)
    await hear(readiness, *connection())
    await readiness.forget(ACCOUNT)

    assert {} == store.values._values


async def test_forget_what_is_not_there(inbox):
    """Who forgets an account that was never heard of has forgotten it."""
    readiness = Readiness(inbox)

    await readiness.forget(ACCOUNT)

    assert PRODUCTS == (await readiness.get(ACCOUNT)).unfinished


async def test_size_of_an_account():
    """What is kept of an account is small, however many events came."""
    store = Broken()
    readiness = Readiness(store)
    for _ in range(10):
        await hear(readiness, *connection())

    assert sum(map(len, store.values._values.values())) < 2_000


async def test_own_values_are_bounded(monkeypatch):
    """Without an inbox, the oldest account makes way for the newest."""
    monkeypatch.setattr("pinwheel_async.webhooks._readiness_store.MOST", 2)
    values = OwnValues()
    for key in ("a", "b", "a", "c"):
        await values.save(key, b"")

    assert ["a", "c"] == list(values._values)
    assert MOST > 2


async def test_unreadable_value():
    """A stored value that cannot be read counts as none."""
    values = OwnValues()
    await values.save(f"readiness:{ACCOUNT}", b"[")

    assert PRODUCTS == (await Readiness(values).get(ACCOUNT)).unfinished


async def test_store_trouble_fails_the_handler():
    """An event that cannot be remembered is not taken as handled, so that it comes again."""
    store = Broken()
    store.broken = True

    result = await Dispatcher(Readiness(store).router, timeout_s=5).dispatch(
        make_delivery({}, job(), key="0"), attempt=1
    )

    assert ["InboxError"] == [failure.reason for failure in result.failures]


async def test_watch(time):
    """Watching gives the present state and each that follows, and ends when all is there."""
    readiness = Readiness(clock=time.clock)
    steps = [job("shifts.added", 1, sync_status="in_progress"), job("tax_forms.added"), job("shifts.fully_synced", 2)]
    seen = []
    async for state in readiness.watch(ACCOUNT, products=["shifts"]):
        seen.append(state.products["shifts"].status)
        if not state.ready():
            await hear(readiness, steps.pop(0))
        if len(seen) == 2:
            await hear(readiness, steps.pop(0))

    assert ["waiting", "in_progress", "succeeded"] == seen


async def test_watch_times_out():
    """Watching ends with an error after its time, when it has shown what there is."""
    states = Readiness().watch(ACCOUNT, timeout_s=0)
    first = await anext(states)

    with pytest.raises(NotReadyError):
        await anext(states)
    assert ("paystubs", "income") == first.unfinished


# With a client


async def lacking(pinwheel, product):
    """Return a platform that does not have a product."""
    return next(one.id for one in await pinwheel.platforms.list(limit=100).all() if product not in one.supported_jobs)


async def test_unsupported_needs_no_event(inbox, pinwheel):
    """A product that the platform does not have is not waited for."""
    readiness = Readiness(inbox, pinwheel=pinwheel)
    await hear(readiness, added(platform_id=await lacking(pinwheel, "shifts")), job("income.added"))

    state = await readiness.wait(ACCOUNT, products=["shifts", "income"], timeout_s=30)

    assert (("shifts",), ("income",)) == (state.unsupported, state.succeeded)


async def test_platform_is_asked_once(fake, pinwheel):
    """However many wait, a platform is asked for once."""
    readiness = Readiness(pinwheel=pinwheel)
    platform_id = await lacking(pinwheel, "shifts")
    accounts = [f"account-{number}" for number in range(20)]
    await hear(readiness, *[added(account_id=one, platform_id=platform_id) for one in accounts])
    fake.forget()

    await asyncio.gather(*[readiness.wait(one, products=["shifts"], timeout_s=30) for one in accounts])

    assert {"get_platform": 1} == fake.counts


async def test_platform_of_an_account_that_was_not_heard_of(fake, pinwheel):
    """Where `account.added` is missing, the account says its platform, and is asked for once."""
    readiness = Readiness(pinwheel=pinwheel)
    account_id = fake.world.account_id(0)
    fake.world.edit_account(account_id, platform_id=await lacking(pinwheel, "shifts"))
    fake.forget()

    await asyncio.gather(*[readiness.wait(account_id, products=["shifts"], timeout_s=30) for _ in range(5)])

    assert {"get_account": 1, "get_platform": 1} == fake.counts


async def test_get_asks_the_platform(fake, pinwheel):
    """A product nobody heard of is looked up before it is called waiting."""
    account_id = fake.world.account_id(0)
    fake.world.edit_account(account_id, platform_id=await lacking(pinwheel, "shifts"))

    state = await Readiness(pinwheel=pinwheel).get(account_id)

    assert "shifts" in state.unsupported


async def test_events_do_not_wait_for_the_platform(fake, pinwheel):
    """What has come is enough: an API that does not answer delays nobody."""
    readiness = Readiness(pinwheel=pinwheel)
    fake.storm(1.0, Fault(delay_s=30))
    waiting = asyncio.create_task(readiness.wait(ACCOUNT, products=["income"]))
    await asyncio.sleep(0)
    await hear(readiness, added(), job("income.added"))

    assert (await asyncio.wait_for(waiting, 5)).ready()


async def test_platform_is_asked_again(fake, pinwheel, time, caplog):
    """While the API cannot say what is supported, everything counts as supported, and it is asked again."""
    readiness = Readiness(pinwheel=pinwheel, clock=time.clock)
    await hear(readiness, added(platform_id=await lacking(pinwheel, "shifts")))
    fake.script(Fault(status=404), operation="get_platform")
    waiting = asyncio.create_task(readiness.wait(ACCOUNT, products=["shifts"], timeout_s=10_000))
    while not caplog.records:
        await asyncio.sleep(0.001)
    while not waiting.done():
        time.advance(ASK_AGAIN_S)
        await asyncio.sleep(0.001)

    assert ("shifts",) == (await waiting).unsupported
    assert [f"what account {ACCOUNT} supports is not known yet: NotFoundError"] == caplog.messages


async def test_get_without_an_answer(fake, pinwheel):
    """Where the API cannot say what is supported, `get` says what was heard."""
    fake.script(Fault(status=404), operation="get_account")

    state = await Readiness(pinwheel=pinwheel).get(ACCOUNT)

    assert PRODUCTS == state.unfinished


# Stalls


@asynccontextmanager
async def stalling(time, inbox=None, **options):
    readiness = Readiness(inbox, clock=time.clock, **options)
    reports = Reports(readiness)
    yield readiness, reports


async def looked(readiness, time, seconds):
    """Let time pass, and look."""
    time.advance(seconds)
    await readiness._look()


async def test_stalled(inbox, time):
    """An account that was added and not heard of again is reported once its time is over, and not again."""
    async with stalling(time, inbox) as (readiness, reports):
        await hear(readiness, added())
        await looked(readiness, time, 899)
        early = list(reports.states)
        await looked(readiness, time, 1)
        await looked(readiness, time, 5_000)

    assert ([], [ACCOUNT]) == (early, [state.account_id for state in reports.states])


async def test_progress_puts_it_off(inbox, time):
    """What is new about an account begins its time anew; a repetition does not."""
    async with stalling(time, inbox) as (readiness, reports):
        event = job("paystubs.added", sync_status="in_progress")
        await hear(readiness, added())
        await looked(readiness, time, 600)
        await hear(readiness, event)
        await looked(readiness, time, 600)
        early = list(reports.states)
        await hear(readiness, event)
        await looked(readiness, time, 300)

    assert (0, 1) == (len(early), len(reports.states))


async def test_ready_is_not_stalled(inbox, time):
    """An account that has all it should is not reported."""
    async with stalling(time, inbox) as (readiness, reports):
        await hear(readiness, *connection())
        await looked(readiness, time, 5_000)

    assert [] == reports.states


async def test_what_was_waited_for_counts(inbox, time):
    """An account that has what was ever waited for is not reported for what it lacks beside that."""
    async with stalling(time, inbox) as (readiness, reports):
        await hear(readiness, added(), job("identity.added"), job("employment.added"))
        await asyncio.gather(
            readiness.wait(ACCOUNT, products=["identity"]), readiness.wait(ACCOUNT, products=["employment"])
        )
        await looked(readiness, time, 5_000)

    assert [] == reports.states


async def test_what_is_supported_counts(time, pinwheel):
    """Where nobody waited, an account is measured by what its platform has."""
    platform_id = await lacking(pinwheel, "shifts")
    async with stalling(time, pinwheel=pinwheel) as (readiness, reports):
        await hear(readiness, added(platform_id=platform_id), job("income.added"), job("paystubs.fully_synced"))
        await looked(readiness, time, 5_000)

    assert "identity" in reports.states[0].unfinished
    assert "shifts" not in reports.states[0].wanted


async def test_account_without_events(time, fake, pinwheel):
    """An account that was waited for and exists is reported, even if no event ever came."""
    account_id = fake.world.account_id(0)
    async with stalling(time, pinwheel=pinwheel) as (readiness, reports):
        await readiness.get(account_id)
        await looked(readiness, time, 5_000)

    assert [account_id] == [state.account_id for state in reports.states]


async def test_stall_survives_a_restart(tmp_path, time):
    """What was unfinished when one process ended is reported by the next."""
    inbox = SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    async with stalling(time, inbox) as (readiness, _):
        await hear(readiness, added())
    await inbox.close()
    await inbox.open()
    async with stalling(time, inbox) as (readiness, reports):
        await looked(readiness, time, 900)
    await inbox.close()

    assert [ACCOUNT] == [state.account_id for state in reports.states]


@pytest.mark.parametrize("inbox", ["memory", "sqlite"], indirect=True)
async def test_reported_once_across_a_restart(inbox, time):
    """What one process has reported, the next does not, even if more events come."""
    async with stalling(time, inbox) as (readiness, _):
        await hear(readiness, added())
        await looked(readiness, time, 900)
    async with stalling(time, inbox) as (readiness, reports):
        await hear(readiness, job("identity.added"))
        await looked(readiness, time, 900)

    assert [] == reports.states


async def test_lists_stay_short(time):
    """Accounts that are ready, reported or forgotten are not looked at again."""
    async with stalling(time) as (readiness, _):
        await hear(readiness, *connection(), added(account_id="stalls"), added(account_id="erased"))
        await readiness.forget("erased")
        await looked(readiness, time, 900)

    assert [] == await readiness._store.unfinished()


async def test_vanished_account_is_let_go(time):
    """An account on the list of which nothing is known, as after a crash while it was forgotten, leaves the list."""
    async with stalling(time) as (readiness, reports):
        await readiness._store._enlist(ACCOUNT)
        await readiness._look()

    assert ([], []) == (reports.states, await readiness._store.unfinished())


async def test_nobody_wants_to_know(time):
    """Without a callback no list of accounts is kept."""
    readiness = Readiness(clock=time.clock)
    await hear(readiness, added())

    assert [] == await readiness._store.unfinished()


async def test_failing_callback(time, caplog):
    """A callback that raises keeps neither the others nor the next account from being reported; no value is logged."""
    readiness = Readiness(clock=time.clock)

    @readiness.on_stalled
    async def planted(state) -> None:
        raise ValueError("planted")

    reports = Reports(readiness)
    await hear(readiness, added(), added(account_id="account-2"))
    await looked(readiness, time, 900)

    assert 2 == len(reports.states)
    assert "ValueError" in caplog.text
    assert "planted" not in caplog.text


async def test_timer(time):
    """Once started it looks by itself, every minute."""
    called = asyncio.Event()
    async with Readiness(clock=time.clock) as readiness:

        @readiness.on_stalled
        async def wake(state) -> None:
            called.set()

        await hear(readiness, added())
        await settled()
        time.advance(LOOK_S)
        await settled()
        time.advance(900)

        await asyncio.wait_for(called.wait(), 5)


async def test_timer_outlives_trouble(time, caplog):
    """A store that fails ends one look, and not the looking."""
    store, called = Broken(), asyncio.Event()
    async with Readiness(store, clock=time.clock) as readiness:

        @readiness.on_stalled
        async def wake(state) -> None:
            called.set()

        await hear(readiness, added())
        await settled()
        store.broken = True
        time.advance(900)
        await settled()
        store.broken = False
        time.advance(LOOK_S)

        await asyncio.wait_for(called.wait(), 5)
    assert [(logging.ERROR, "could not look for stalled accounts: InboxError")] == [
        (record.levelno, record.message) for record in caplog.records
    ]


async def test_stop_during_a_callback(time):
    """A callback that is cut off by the end is called again after the next start."""
    store, calls = Broken(), []
    for _ in range(2):
        readiness = Readiness(store, clock=time.clock)

        @readiness.on_stalled
        async def endless(state) -> None:
            calls.append(state)
            await asyncio.Event().wait()

        await hear(readiness, added())
        await readiness.start()
        await settled()
        time.advance(900)
        await settled()
        await readiness.stop()

    assert 2 == len(calls)


async def test_start_and_stop_twice():
    """Starting what is started and stopping what is stopped does nothing."""
    readiness = Readiness()
    await readiness.stop()
    await readiness.start()
    task = readiness._task
    await readiness.start()
    assert task is readiness._task
    assert "<Readiness started>" == repr(readiness)

    await readiness.stop()

    assert "<Readiness not started>" == repr(readiness)


async def test_cleanup_ctx():
    """An aiohttp application can own it."""
    readiness = Readiness()
    running = readiness.cleanup_ctx(None)
    await anext(running)
    assert "<Readiness started>" == repr(readiness)

    with pytest.raises(StopAsyncIteration):
        await anext(running)

    assert "<Readiness not started>" == repr(readiness)


def test_callback_must_be_async():
    """A plain function is refused where it is registered."""
    with pytest.raises(ConfigurationError, match="async function"):
        Readiness().on_stalled(lambda state: None)


def test_limit_must_be_positive():
    """A limit that would report every account at once is refused."""
    with pytest.raises(ConfigurationError, match="stalled_after_s"):
        Readiness(stalled_after_s=0)
