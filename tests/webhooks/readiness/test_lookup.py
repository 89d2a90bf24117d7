"""Lookup of accounts: what the API knows counts as well as what was heard."""

import asyncio
from datetime import timedelta

import pytest

from pinwheel_async.errors import ConfigurationError, NotFoundError, RequestError
from pinwheel_async.models import Account, Job
from pinwheel_async.products import PRODUCTS
from pinwheel_async.testing import Fault, make_account
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._readiness.history import Notes
from pinwheel_async.webhooks._readiness.lookup import SETTLED_AFTER, products_seen
from pinwheel_async.webhooks._readiness.readiness import RETRY_LOOKUP_S, Readiness
from pinwheel_async.webhooks._readiness.state import NotReadyError, readiness_of

from .bodies import ACCOUNT, T0, added, at, job
from .helpers import Reports, hear, settled

SINGLE = ("identity", "income", "employment", "direct_deposit_allocations")


async def until(condition):
    """Let tasks and sockets go on until something is true."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def account(*, age=SETTLED_AFTER * 2, updated=()):
    document = make_account().to_dict() | {
        "created_at": (T0 - age).isoformat(),
        "data_updated_at": dict.fromkeys(updated, at(0)),
    }
    return Account.from_dict(document)


def finished(name, outcome="success", seconds=1, **params):
    return Job.from_dict(
        {
            "id": "job-1",
            "name": name,
            "timestamp": at(seconds),
            "outcome": outcome,
            "link_token_id": "token-1",
            "error_code": "systemError" if outcome == "error" else None,
            "params": params,
        }
    )


def seen(account, *jobs):
    """Statuses of the products of which anything was seen."""
    notes = Notes(since=T0, seen=products_seen(account, jobs, T0))
    state = readiness_of(ACCOUNT, None, notes, wanted=PRODUCTS, supported=None)
    return {name: product.status for name, product in state.products.items() if product.status != "waiting"}


@pytest.mark.parametrize("age", [timedelta(0), SETTLED_AFTER * 2])
def test_single_objects_are_there(age):
    """An object that has changed once is there, however young the account is."""
    assert dict.fromkeys(SINGLE, "succeeded") == seen(account(age=age, updated=SINGLE))


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (SETTLED_AFTER + timedelta(seconds=1), "succeeded"),
        (SETTLED_AFTER, "in_progress"),
        (timedelta(0), "in_progress"),
    ],
)
@pytest.mark.parametrize("product", ["paystubs", "shifts"])
def test_lists_of_young_accounts_may_grow(product, age, status):
    """A list that has changed is complete once the account is too old to be read for the first time."""
    assert {product: status} == seen(account(age=age, updated=[product]))


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(
    ("job", "status"),
    [
        (("success", {}), "succeeded"),
        (("success", {"sync_status": "complete"}), "succeeded"),
        (("success", {"sync_status": "in_progress"}), "in_progress"),
        (("error", {}), "failed"),
        (("pending", {}), "pending"),
    ],
)
def test_finished_jobs_count_like_events(product, job, status):
    """A finished job says of its product what its event would have said."""
    outcome, params = job

    assert {product: status} == seen(account(), finished(product, outcome, **params))


def test_the_newest_job_counts():
    """Jobs may come in any order; what happened last counts."""
    jobs = [finished("income", "error", 1), finished("income", "pending", 2)]

    assert {"income": "pending"} == seen(account(), *jobs) == seen(account(), *reversed(jobs))


def test_the_error_of_a_job_is_told():
    """The code of a failed job is the code of its product."""
    notes = Notes(since=T0, seen=products_seen(account(), [finished("income", "error")], T0))
    state = readiness_of(ACCOUNT, None, notes, wanted=PRODUCTS, supported=None)

    assert "systemError" == state.products["income"].error_code


def test_other_jobs_say_nothing():
    """Jobs that fetch no product, and fields that the API left empty, say nothing of any product."""
    nameless = Job.from_dict(finished("income").to_dict() | {"timestamp": None, "params": None})
    nobody = Account.from_dict(account().to_dict() | {"created_at": None, "data_updated_at": None})

    assert {} == seen(nobody, finished("direct_deposit_switch"), nameless)


async def test_an_account_that_connected_before(fake, pinwheel, inbox):
    """An account that connected before anybody listened is ready in one look."""
    readiness = Readiness(inbox, pinwheel=pinwheel)

    state = await readiness.wait(fake.world.account_id(0), timeout_s=0)

    assert ("paystubs", "income") == state.succeeded


async def test_a_lost_webhook(fake, pinwheel, time):
    """A webhook that is lost delays the waiting by the interval of the looks at most."""
    account_id = fake.world.add_account(data_updated_at={})
    readiness = Readiness(pinwheel=pinwheel, look_every_s=20, clock=time.clock)
    waiting = asyncio.create_task(readiness.wait(account_id, products=["identity"], timeout_s=1_000))
    await until(lambda: fake.counts.get("get_platform"))
    fake.world.edit_account(account_id, data_updated_at={"identity": at(0)})
    before = time.clock.monotonic()
    while not waiting.done():
        time.advance(1)
        await asyncio.sleep(0.01)

    assert ("identity",) == (await waiting).succeeded
    assert 20 <= time.clock.monotonic() - before < 30


@pytest.mark.parametrize("method", ["wait", "get"])
async def test_an_unknown_account(method, fake, pinwheel):
    """An account that the API does not know, and of which nothing was heard, is an error at once."""
    with pytest.raises(NotFoundError):
        await getattr(Readiness(pinwheel=pinwheel), method)(ACCOUNT)

    assert 1 == fake.counts["get_account"]


async def test_an_account_that_was_heard_of(pinwheel):
    """An account whose events came may be unknown to the API for a while: the events count."""
    readiness = Readiness(pinwheel=pinwheel)
    await hear(readiness, added())
    waiting = asyncio.create_task(readiness.wait(ACCOUNT, products=["income"], timeout_s=10))
    await asyncio.sleep(0)
    await hear(readiness, job("income.added"))

    assert ("income",) == (await waiting).succeeded


async def test_one_look_for_all(fake, pinwheel, tmp_path, time):
    """However many tasks and processes ask, an account is looked up once in an interval."""
    account_id = fake.world.add_account(data_updated_at={})
    inboxes = [SqliteInbox(tmp_path / "inbox.db") for _ in range(2)]
    for inbox in inboxes:
        await inbox.open()
    both = [Readiness(inbox, pinwheel=pinwheel, look_every_s=20, clock=time.clock) for inbox in inboxes]

    for readiness in both:
        await asyncio.gather(*[readiness.get(account_id) for _ in range(5)])
    first = dict(fake.counts)
    time.advance(19.9)
    await both[1].get(account_id)
    still = dict(fake.counts)
    time.advance(0.1)
    await both[0].get(account_id)

    assert (1, 1, 2) == tuple(counts["list_jobs"] for counts in (first, still, fake.counts))
    for inbox in inboxes:
        await inbox.close()


async def test_a_look_from_the_future(fake, pinwheel, inbox, time):
    """A look that another machine made, by a clock that is ahead, keeps nobody from looking."""
    account_id = fake.world.add_account(data_updated_at={})
    readiness = Readiness(inbox, pinwheel=pinwheel, clock=time.clock)
    await readiness._store.change_notes(
        account_id, lambda notes: Notes(since=notes.since, looked_at=time.clock.now() + timedelta(days=1))
    )

    await readiness.get(account_id)

    assert 1 == fake.counts["get_account"]


async def test_an_api_that_fails(fake, pinwheel, time, caplog):
    """A look that fails is said, and made again soon."""
    fake.script(Fault(status=400), operation="get_account")
    readiness = Readiness(pinwheel=pinwheel, look_every_s=1_000, clock=time.clock)
    waiting = asyncio.create_task(readiness.wait(fake.world.account_id(0), timeout_s=500))
    await until(lambda: caplog.records)
    assert not waiting.done()
    while not waiting.done():
        time.advance(RETRY_LOOKUP_S / 4)
        await asyncio.sleep(0.01)

    assert (await waiting).ready()
    assert [f"account {fake.world.account_id(0)} cannot be looked up now: InvalidRequestError"] == caplog.messages


async def test_what_looks_stalled_is_looked_up(fake, pinwheel, time):
    """An account of which no webhook comes any more is not reported as stalled if the API has all its data."""
    readiness = Readiness(pinwheel=pinwheel, clock=time.clock)
    reports = Reports(readiness)
    known, unknown = fake.world.account_id(0), ACCOUNT
    await hear(readiness, added(account_id=known), added(account_id=unknown))
    time.advance(2_000)

    await readiness._stall_detector.check()

    assert [unknown] == [state.account_id for state in reports.states]


async def test_an_end_user(fake, pinwheel):
    """For an end user, the state of each connected account comes, once all are ready."""
    accounts = [fake.world.add_account(end_user_id="user-1", connected=connected) for connected in (True, False, True)]

    states = await Readiness(pinwheel=pinwheel).wait(end_user_id="user-1", timeout_s=5)

    assert [accounts[0], accounts[2]] == [state.account_id for state in states]
    assert all(state.ready() for state in states)


async def test_an_end_user_who_connects_later(fake, pinwheel):
    """The event of a new account wakes those who wait for its owner."""
    readiness = Readiness(pinwheel=pinwheel, look_every_s=60)
    waiting = asyncio.create_task(readiness.wait(end_user_id="user-1", timeout_s=20))
    await until(lambda: fake.counts.get("list_end_user_accounts"))
    await settled()
    account_id = fake.world.add_account(end_user_id="user-1")

    await hear(readiness, added(account_id=account_id, end_user_id="user-1"))

    assert [account_id] == [state.account_id for state in await waiting]


async def test_an_end_user_without_an_account(pinwheel):
    """An end user who never connected is not ready in time, and the error says so."""
    with pytest.raises(NotReadyError, match=r"^not ready after 0 s: the end user has no account$") as caught:
        await Readiness(pinwheel=pinwheel).wait(end_user_id="user-1", timeout_s=0)

    assert () == caught.value.states


async def test_an_end_user_who_is_not_ready(fake, pinwheel):
    """The error tells the state of every connected account of the end user."""
    ready = fake.world.add_account(end_user_id="user-1")
    unready = fake.world.add_account(end_user_id="user-1", data_updated_at={})

    with pytest.raises(NotReadyError) as caught:
        await Readiness(pinwheel=pinwheel).wait(end_user_id="user-1", products=["identity"], timeout_s=0)

    assert [(ready, True), (unready, False)] == [(state.account_id, state.ready()) for state in caught.value.states]


async def test_an_account_that_comes_while_another_is_waited_for(fake, pinwheel):
    """An account that the end user connects meanwhile is waited for, too."""
    first = fake.world.add_account(end_user_id="user-1", data_updated_at={})
    readiness = Readiness(pinwheel=pinwheel)
    waiting = asyncio.create_task(readiness.wait(end_user_id="user-1", products=["identity"], timeout_s=20))
    await until(lambda: fake.counts.get("get_platform"))
    second = fake.world.add_account(end_user_id="user-1")

    await hear(readiness, job("identity.added", account_id=first))

    assert [first, second] == [state.account_id for state in await waiting]


async def test_an_end_user_needs_a_client():
    """Without a client nobody knows the accounts of an end user."""
    with pytest.raises(ConfigurationError, match="needs a client"):
        await Readiness().wait(end_user_id="user-1")


@pytest.mark.parametrize("ids", [{}, {"account_id": ACCOUNT, "end_user_id": "user-1"}])
async def test_one_of_two_ids(ids):
    """An account or an end user can be waited for, not both, not neither."""
    with pytest.raises(RequestError, match="account_id or an end_user_id"):
        await Readiness().wait(**ids)


@pytest.mark.parametrize("seconds", [0, -1])
def test_interval(seconds):
    """The interval of the looks is more than nothing."""
    with pytest.raises(ConfigurationError, match="look_every_s"):
        Readiness(look_every_s=seconds)
