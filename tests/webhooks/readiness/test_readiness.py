"""Waiting and watching until an account is ready."""

import asyncio

import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async.errors import RequestError
from pinwheel_async.products import PRODUCTS
from pinwheel_async.webhooks import MemoryInbox, Receiver, Router, SqliteInbox, sign
from pinwheel_async.webhooks._readiness.readiness import POLL_S, Readiness
from pinwheel_async.webhooks._readiness.state import NotReadyError

from .bodies import ACCOUNT, connection, job
from .helpers import hear, settled

SECRET = "a-secret-of-tests"


@given(st.permutations(connection()))
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

    assert ("paystubs", "income") == caught.value.states[0].unfinished


@pytest.mark.parametrize("products", [(), ("paystub",), "income"])
async def test_wrong_products(products):
    """Names that are no products are refused."""
    with pytest.raises(RequestError, match=r"products(\[0\])? must be"):
        await Readiness().wait(ACCOUNT, products=products)


async def test_two_processes(tmp_path, time):
    """A process that waits while another handles the events reads the inbox that they share."""
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
