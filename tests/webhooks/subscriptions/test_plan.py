"""Plans: what there is, compared with what is wanted."""

import pytest

from pinwheel_async.events import IncomeAdded, ShiftsAdded
from pinwheel_async.webhooks._subscriptions.plan import CreateWebhook, DeleteWebhook, KeepWebhook, SubscriptionPlan

from .helpers import MINE, URL, VERSION, operations


async def test_plan_to_create(subscriptions):
    """Where there is no webhook of this name, one is to be made."""
    plan = await subscriptions(ShiftsAdded).plan()

    made = CreateWebhook(url=MINE, enabled_events=("shifts.added",), version=VERSION)
    assert SubscriptionPlan(actions=(made,), count=0) == plan


async def test_plan_changes_nothing(fake, subscriptions):
    """Planning only reads."""
    await subscriptions().plan()

    assert ["list_webhooks"] == operations(fake)


async def test_plan_to_keep(subscriptions, there):
    """A webhook that fits is kept, whatever the order of its events."""
    kept = await there(events=["shifts.added", "income.added"])

    plan = await subscriptions(IncomeAdded, ShiftsAdded).plan()

    assert ((KeepWebhook(webhook_id=kept),), False) == (plan.actions, plan.changes)
    assert f"keep {kept}" == str(plan)


async def test_plan_to_update(subscriptions, there):
    """A webhook with other events is to be changed."""
    changed = await there(events=["bill.added", "income.added"], status="paused")

    plan = await subscriptions(IncomeAdded, ShiftsAdded).plan()

    assert f"update {changed}: activate, +shifts.added, -bill.added" == str(plan)


async def test_plan_to_replace(subscriptions, there):
    """A webhook of another version is replaced, since that cannot be changed: first the new one, then the old."""
    old = await there(version="2023-11-22")

    plan = await subscriptions().plan()

    assert f"create https://example.com/…#mine: 1 event, version 2025-07-08\ndelete {old}: version" == str(plan)


async def test_plan_with_strays_and_duplicates(subscriptions, there):
    """Of our name one webhook is kept, the one that needs the least; others of that name go, whatever their URL."""
    old, stray = await there(version="2023-11-22"), await there("https://old.example.com#mine")
    paused, other, best = await there(status="paused"), await there(events=["bill.added"]), await there()

    plan = await subscriptions().plan()

    reasons = [(stray, "stray"), (other, "duplicate"), (paused, "duplicate"), (old, "version")]
    deletes = [DeleteWebhook(webhook_id=webhook_id, reason=reason) for webhook_id, reason in reasons]
    assert (KeepWebhook(webhook_id=best), *deletes) == plan.actions


@pytest.mark.parametrize("status", ["ACTIVE", "Active"])
async def test_status_in_capitals(fake, subscriptions, there, status):
    """The status is read without regard to its case."""
    kept = await there()
    fake.world.resources.webhooks[kept]["status"] = status

    assert not (await subscriptions().plan()).changes


async def test_every_page_is_read(fake, subscriptions, there):
    """Webhooks on later pages are found."""
    template = fake.world.resources.webhooks[await there(f"{URL}#other")]
    for number in range(150):
        fake.world.resources.webhooks[f"id-{number}"] = template | {"id": f"id-{number}"}
    fake.world.resources.webhooks["last"] = template | {"id": "last", "url": MINE}

    plan = await subscriptions().plan()

    assert ((KeepWebhook(webhook_id="last"),), 152) == (plan.actions, plan.count)


async def test_plan_shows_no_secret(subscriptions):
    """Neither a plan nor its lines show a path, a query, or a password of the URL."""
    url = "https://user:planted@example.com:8443/planted?planted=planted"
    made = subscriptions(url=url)
    plan = await made.plan()

    assert "planted" not in f"{plan} {plan!r} {made!r}"
    assert "create https://example.com:8443/…#mine: 1 event, version 2025-07-08" == str(plan)
