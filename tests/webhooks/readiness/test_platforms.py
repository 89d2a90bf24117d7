"""Platforms: the jobs that they support, as a client says."""

import asyncio

from pinwheel_async.products import PRODUCTS
from pinwheel_async.testing import Fault
from pinwheel_async.webhooks._readiness.readiness import RETRY_LOOKUP_S, Readiness

from .bodies import ACCOUNT, added, job
from .helpers import hear, lacking


async def test_unsupported_needs_no_event(inbox, pinwheel):
    """A product that the platform does not have is not waited for."""
    readiness = Readiness(inbox, pinwheel=pinwheel)
    await hear(readiness, added(platform_id=await lacking(pinwheel, "shifts")), job("income.added"))

    state = await readiness.wait(ACCOUNT, products=["shifts", "income"], timeout_s=30)

    assert (("shifts",), ("income",)) == (state.unsupported, state.succeeded)


async def test_platform_is_asked_once(fake, pinwheel):
    """The platform is asked for once, however many tasks wait."""
    readiness = Readiness(pinwheel=pinwheel)
    platform_id = await lacking(pinwheel, "shifts")
    accounts = [f"account-{number}" for number in range(20)]
    await hear(readiness, *[added(account_id=account_id, platform_id=platform_id) for account_id in accounts])
    fake.clear_records()

    await asyncio.gather(*[readiness.wait(account_id, products=["shifts"], timeout_s=30) for account_id in accounts])

    assert 1 == fake.counts["get_platform"]


async def test_platform_of_an_account_that_was_not_heard_of(fake, pinwheel):
    """Where `account.added` is missing, the account says its platform, and is asked for once."""
    readiness = Readiness(pinwheel=pinwheel)
    account_id = fake.world.add_account(platform_id=await lacking(pinwheel, "shifts"), data_updated_at={})
    fake.clear_records()

    await asyncio.gather(*[readiness.wait(account_id, products=["shifts"], timeout_s=30) for _ in range(5)])

    assert {"get_account": 1, "list_jobs": 1, "get_platform": 1} == fake.counts


async def test_get_asks_the_platform(fake, pinwheel):
    """A product without any event is looked up before it is called waiting."""
    account_id = fake.world.add_account(platform_id=await lacking(pinwheel, "shifts"), data_updated_at={})

    state = await Readiness(pinwheel=pinwheel).get(account_id)

    assert "shifts" in state.unsupported


async def test_get_without_a_look(fake, pinwheel):
    """`get(look=False)` says what is known here, and asks nobody."""
    state = await Readiness(pinwheel=pinwheel).get(ACCOUNT, look=False)

    assert PRODUCTS == state.unfinished
    assert not fake.counts


async def test_events_do_not_wait_for_the_platform(fake, pinwheel):
    """The events are enough: an API that does not answer delays nothing."""
    readiness = Readiness(pinwheel=pinwheel)
    fake.fail_randomly(1.0, Fault(delay_s=30))
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
        time.advance(RETRY_LOOKUP_S)
        await asyncio.sleep(0.001)

    assert ("shifts",) == (await waiting).unsupported
    assert [f"what account {ACCOUNT} supports is not known yet: NotFoundError"] == caplog.messages


async def test_get_without_an_answer(fake, pinwheel):
    """Where the API cannot say anything, `get` says what was heard."""
    fake.script(Fault(status=400), operation="get_account")

    state = await Readiness(pinwheel=pinwheel).get(ACCOUNT)

    assert PRODUCTS == state.unfinished
