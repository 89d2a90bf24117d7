"""Plans carried out, without losing an event."""

import pytest

from pinwheel_async.errors import NotFoundError, ServerError
from pinwheel_async.events import IncomeAdded, PaystubsEvent, ShiftsAdded
from pinwheel_async.testing import Fault

from .helpers import MINE, URL, VERSION, kinds_of, operations


async def test_apply_creates(pinwheel, subscriptions):
    """The missing webhook is created, active, with its name in the URL."""
    report = await subscriptions(IncomeAdded, ShiftsAdded).apply()

    made = await pinwheel.webhooks.get(report.webhook_id)
    assert report.created
    assert (MINE, "active", ("income.added", "shifts.added"), VERSION) == (
        made.url,
        made.status,
        made.enabled_events,
        made.version,
    )


async def test_apply_updates(pinwheel, subscriptions, there):
    """Events and status are set right."""
    changed = await there(events=["bill.added"], status="paused")

    report = await subscriptions().apply()

    made = await pinwheel.webhooks.get(changed)
    assert (changed, True) == (report.webhook_id, report.updated)
    assert ("active", ("income.added",)) == (made.status, made.enabled_events)


async def test_apply_activates(fake, pinwheel, subscriptions, there):
    """A webhook that is only paused gets its status back, and nothing else is sent."""
    changed = await there(status="paused")

    await subscriptions().apply()

    assert b'{"status":"active"}' == fake.requests[-1].body
    assert "active" == (await pinwheel.webhooks.get(changed)).status


async def test_apply_keeps(fake, subscriptions, there):
    """A webhook that fits is left alone."""
    kept = await there()
    fake.clear_records()

    report = await subscriptions().apply()

    assert (kept, False, False, ()) == (report.webhook_id, report.created, report.updated, report.deleted)
    assert ["list_webhooks"] == operations(fake)


async def test_apply_leaves_others_alone(fake, subscriptions, there):
    """Webhooks without our name are as they were, even those of our URL."""
    others = [await there(URL), await there(f"{URL}#other"), await there("https://example.com/elsewhere")]
    before = [dict(fake.world.resources.webhooks[webhook_id]) for webhook_id in others]
    await there("https://old.example.com#mine")

    await subscriptions().apply()

    assert before == [fake.world.resources.webhooks[webhook_id] for webhook_id in others]


async def test_create_before_delete(fake, subscriptions, there):
    """No event is lost while one webhook replaces another."""
    old = await there(version="2023-11-22")
    fake.clear_records()

    report = await subscriptions().apply()

    assert ["list_webhooks", "create_webhook", "delete_webhook"] == operations(fake)
    assert (old,) == report.deleted


async def test_customer_is_taken_over(fake, subscriptions, there):
    """A webhook that replaces another one is for the same customer."""
    old = await there(version="2023-11-22")
    fake.world.resources.webhooks[old]["customer_id"] = "customer-1"

    report = await subscriptions().apply()

    assert "customer-1" == fake.world.resources.webhooks[report.webhook_id]["customer_id"]


@pytest.mark.parametrize("version", [VERSION, "2023-11-22"])
@pytest.mark.parametrize("status", ["active", "paused"])
@pytest.mark.parametrize("urls", [[], [MINE], [MINE, MINE], [MINE, "https://old.example.com#mine"], [URL]])
async def test_apply_twice(subscriptions, there, version, status, urls):
    """After applying, whatever there was, nothing is left to do, and nothing of ours is wrong."""
    for url in urls:
        await there(url, ["bill.added"], version, status)
    made = subscriptions(IncomeAdded, PaystubsEvent)
    await made.apply()

    assert not (await made.plan()).changes
    assert {"same_url"} >= set(await kinds_of(made))


async def test_given_plan(fake, subscriptions):
    """A plan that was shown is what is carried out."""
    made = subscriptions()
    plan = await made.plan()
    fake.clear_records()

    await made.apply(plan)

    assert ["create_webhook"] == operations(fake)


async def test_somebody_was_faster(pinwheel, subscriptions, there):
    """A webhook that is gone already counts as deleted."""
    await there()
    stray = await there("https://old.example.com#mine")
    made = subscriptions()
    plan = await made.plan()
    await pinwheel.webhooks.delete(stray)

    assert (stray,) == (await made.apply(plan)).deleted


async def test_half_way(fake, pinwheel, subscriptions, there):
    """When deleting fails, the new webhook is there, and applying again finishes."""
    old = await there(version="2023-11-22")
    fake.script(Fault(status=500), times=10, operation="delete_webhook")
    made = subscriptions()
    with pytest.raises(ServerError):
        await made.apply()
    fake.clear_faults()

    report = await made.apply()

    assert (False, (old,)) == (report.created, report.deleted)


async def test_outdated_plan(pinwheel, subscriptions, there):
    """A plan to change what is gone by now fails, and says so."""
    changed = await there(events=["bill.added"])
    made = subscriptions()
    plan = await made.plan()
    await pinwheel.webhooks.delete(changed)

    with pytest.raises(NotFoundError):
        await made.apply(plan)
