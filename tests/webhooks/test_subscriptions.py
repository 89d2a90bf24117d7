"""Subscriptions: planned from the handlers, applied without losing an event, checked."""

import json
from pathlib import Path

import pytest

from pinwheel_async import Pinwheel
from pinwheel_async.errors import ConfigurationError, NotFoundError, RequestError, ServerError
from pinwheel_async.events import (
    EVENTS,
    DirectDepositEvent,
    DirectDepositPaymentAdded,
    Event,
    IncomeAdded,
    PaystubsEvent,
    ShiftsAdded,
    UnknownEvent,
)
from pinwheel_async.testing import FakePinwheel, Fault
from pinwheel_async.webhooks import Router
from pinwheel_async.webhooks._readiness import Readiness
from pinwheel_async.webhooks._subscription_plan import (
    CreateWebhook,
    DeleteWebhook,
    KeepWebhook,
    SubscriptionPlan,
)
from pinwheel_async.webhooks._subscriptions import CURRENT, Subscriptions

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "reference.json").read_text(encoding="utf-8"))
URL = "https://example.com/hooks/secret-path"
MINE = f"{URL}#mine"
VERSION = "2025-07-08"


async def ignore(event: Event) -> None: ...


def router_of(*kinds):
    router = Router()
    for kind in kinds or (IncomeAdded,):
        router.on(kind)(ignore)
    return router


@pytest.fixture
async def fake():
    async with FakePinwheel(accounts=1) as fake:
        yield fake


@pytest.fixture
async def pinwheel(fake):
    async with Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        yield pinwheel


@pytest.fixture
def subscriptions(pinwheel):
    """Make subscriptions for a router with handlers of these events."""

    def make(*kinds, url=URL, name="mine", **options):
        return Subscriptions(pinwheel, router_of(*kinds), url=url, name=name, **options)

    return make


@pytest.fixture
def there(pinwheel):
    """Let there be a webhook."""

    async def make(url=MINE, events=("income.added",), version=VERSION, status="active"):
        webhook = await pinwheel.webhooks.create(url=url, enabled_events=events, version=version, status=status)
        return webhook.id

    return make


async def fill(there, count):
    """Use up a part of the quota with what is not ours."""
    return [await there(f"https://example.com/other/{number}#other") for number in range(count)]


async def kinds_of(subscriptions):
    return [problem.kind for problem in await subscriptions.check()]


def operations(fake):
    return [request.operation for request in fake.requests]


# Which events


def test_current_events():
    """The events that can be subscribed are those of the API's own list, and all of them have a class."""
    names = set(REFERENCE["enums"]["WebhookEventName"])

    assert names == set(CURRENT)
    assert names <= set(EVENTS)


@pytest.mark.parametrize(
    ("kinds", "events"),
    [
        ([IncomeAdded], {"income.added"}),
        ([IncomeAdded, IncomeAdded], {"income.added"}),
        ([PaystubsEvent], {name for name in CURRENT if name.startswith("paystubs.")}),
        ([DirectDepositEvent], {"direct_deposit_switch.added", "direct_deposit_allocations.added"}),
        ([Event], set(CURRENT)),
        ([Event, ShiftsAdded], set(CURRENT)),
        ([IncomeAdded, DirectDepositPaymentAdded], {"income.added"}),
    ],
)
def test_events_of_handlers(subscriptions, kinds, events):
    """A handler wants every current event of its class or below it, once."""
    assert sorted(events) == sorted(subscriptions(*kinds).events)


def test_events_of_included_routers(pinwheel):
    """Handlers of included routers count, such as those of readiness."""
    router = router_of(IncomeAdded)
    router.include(Readiness().router)
    events = Subscriptions(pinwheel, router, url=URL, name="mine").events

    assert {"account.added", "shifts.fully_synced", "tax_forms.added"} < set(events)
    assert {"direct_deposit_switch.added", "paystubs.documents.added"}.isdisjoint(events)


def test_extra_events(subscriptions):
    """Extra events come on top, new ones that the library does not know included."""
    extra = ["bill.added", "income.added", "brand.new"]

    assert ("income.added", "bill.added", "brand.new") == subscriptions(extra_events=extra).events


@pytest.mark.parametrize("kind", [DirectDepositPaymentAdded, UnknownEvent])
async def test_note(subscriptions, kind):
    """A handler whose event cannot be subscribed is noted in the plan."""
    plan = await subscriptions(IncomeAdded, kind).plan()

    assert f"note: {kind.__name__} of handler ignore cannot be subscribed: left out" in str(plan)


async def test_nothing_to_subscribe(subscriptions):
    """Without any event that can be subscribed there is nothing to plan."""
    with pytest.raises(ConfigurationError, match="no handler"):
        await subscriptions(UnknownEvent).plan()


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://example.com"},
        {"url": "https://example.com#a"},
        {"url": "https://"},
        {"url": "https://exa mple.com"},
        {"url": "https://example.com:port"},
        {"url": "https://[example.com"},
        {"name": ""},
        {"name": "a#b"},
        {"name": "x" * 65},
        {"extra_events": "bill.added"},
        {"extra_events": ["direct_deposit_payment.added"]},
        {"extra_events": ["accounts.added"]},
        {"extra_events": ["*"]},
    ],
)
def test_wrong_settings(subscriptions, wrong):
    """What could not work is refused before anything is asked, without showing it."""
    with pytest.raises(ConfigurationError) as caught:
        subscriptions(**wrong)

    assert "example" not in str(caught.value)


# Plans


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
    deletes = [DeleteWebhook(webhook_id=one, reason=reason) for one, reason in reasons]
    assert (KeepWebhook(webhook_id=best), *deletes) == plan.actions


@pytest.mark.parametrize("status", ["ACTIVE", "Active"])
async def test_status_in_capitals(fake, subscriptions, there, status):
    """The status is read without regard to its case."""
    kept = await there()
    fake.world.desk.webhooks[kept]["status"] = status

    assert not (await subscriptions().plan()).changes


async def test_every_page_is_read(fake, subscriptions, there):
    """Webhooks on later pages are found."""
    template = fake.world.desk.webhooks[await there(f"{URL}#other")]
    for number in range(150):
        fake.world.desk.webhooks[f"id-{number}"] = template | {"id": f"id-{number}"}
    fake.world.desk.webhooks["last"] = template | {"id": "last", "url": MINE}

    plan = await subscriptions().plan()

    assert ((KeepWebhook(webhook_id="last"),), 152) == (plan.actions, plan.count)


async def test_plan_shows_no_secret(subscriptions):
    """Neither a plan nor its lines show a path, a query, or a password of the URL."""
    url = "https://user:planted@example.com:8443/planted?planted=planted"
    made = subscriptions(url=url)
    plan = await made.plan()

    assert "planted" not in f"{plan} {plan!r} {made!r}"
    assert "create https://example.com:8443/…#mine: 1 event, version 2025-07-08" == str(plan)


# Applying


async def test_apply_creates(pinwheel, subscriptions):
    """What was missing is there, active, with its name in the URL."""
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
    """What fits is left alone."""
    kept = await there()
    fake.forget()

    report = await subscriptions().apply()

    assert (kept, False, False, ()) == (report.webhook_id, report.created, report.updated, report.deleted)
    assert ["list_webhooks"] == operations(fake)


async def test_apply_leaves_others_alone(fake, subscriptions, there):
    """Webhooks without our name are as they were, even those of our URL."""
    others = [await there(URL), await there(f"{URL}#other"), await there("https://example.com/elsewhere")]
    before = [dict(fake.world.desk.webhooks[one]) for one in others]
    await there("https://old.example.com#mine")

    await subscriptions().apply()

    assert before == [fake.world.desk.webhooks[one] for one in others]


async def test_create_before_delete(fake, subscriptions, there):
    """No event is lost while one webhook replaces another."""
    old = await there(version="2023-11-22")
    fake.forget()

    report = await subscriptions().apply()

    assert ["list_webhooks", "create_webhook", "delete_webhook"] == operations(fake)
    assert (old,) == report.deleted


async def test_customer_is_taken_over(fake, subscriptions, there):
    """A webhook that replaces another one is for the same customer."""
    old = await there(version="2023-11-22")
    fake.world.desk.webhooks[old]["customer_id"] = "customer-1"

    report = await subscriptions().apply()

    assert "customer-1" == fake.world.desk.webhooks[report.webhook_id]["customer_id"]


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
    fake.forget()

    await made.apply(plan)

    assert ["create_webhook"] == operations(fake)


async def test_somebody_was_faster(pinwheel, subscriptions, there):
    """What is to be deleted and is gone already is as good as deleted."""
    await there()
    stray = await there("https://old.example.com#mine")
    made = subscriptions()
    plan = await made.plan()
    await pinwheel.webhooks.delete(stray)

    assert (stray,) == (await made.apply(plan)).deleted


async def test_half_way(fake, pinwheel, subscriptions, there):
    """When deleting fails, the new webhook is there, and applying anew finishes."""
    old = await there(version="2023-11-22")
    fake.script(Fault(status=500), times=10, operation="delete_webhook")
    made = subscriptions()
    with pytest.raises(ServerError):
        await made.apply()
    fake.calm()

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


# The quota


async def test_no_room(fake, subscriptions, there):
    """Where other people's webhooks use up the quota, nothing is changed, even if a gap is allowed."""
    await fill(there, 10)
    fake.forget()

    with pytest.raises(RequestError, match="none of them is ours"):
        await subscriptions().apply(allow_gap=True)
    assert ["list_webhooks"] == operations(fake)


async def test_no_room_to_replace(fake, subscriptions, there):
    """Where there is no room to make before deleting, nothing is changed."""
    await fill(there, 9)
    await there(version="2023-11-22")
    fake.forget()

    with pytest.raises(RequestError, match="allow_gap"):
        await subscriptions().apply()
    assert ["list_webhooks"] == operations(fake)


async def test_gap(fake, subscriptions, there):
    """Where a gap is allowed, the old webhook makes room for the new one."""
    await fill(there, 9)
    old = await there(version="2023-11-22")
    fake.forget()

    report = await subscriptions().apply(allow_gap=True)

    assert ["list_webhooks", "delete_webhook", "create_webhook"] == operations(fake)
    assert (True, (old,)) == (report.created, report.deleted)


async def test_stray_makes_room(fake, pinwheel, subscriptions, there):
    """Of what may make room, a webhook of an old URL goes first, and the one of this URL stays until the end."""
    await fill(there, 8)
    old, stray = await there(version="2023-11-22"), await there("https://old.example.com#mine")
    fake.forget()

    report = await subscriptions().apply(allow_gap=True)

    assert ["list_webhooks", "delete_webhook", "create_webhook", "delete_webhook"] == operations(fake)
    assert (stray, old) == report.deleted


async def test_gap_only_where_needed(fake, subscriptions, there):
    """Where there is room, nothing is deleted before the new webhook is made, though a gap is allowed."""
    await there(version="2023-11-22")
    fake.forget()

    await subscriptions().apply(allow_gap=True)

    assert ["list_webhooks", "create_webhook", "delete_webhook"] == operations(fake)


async def test_full_and_nothing_to_make(subscriptions, there):
    """A used-up quota does not matter where nothing is to be made."""
    await fill(there, 9)
    await there(status="paused")

    assert (await subscriptions().apply()).updated


# Checking


async def test_check_finds_nothing(subscriptions, there):
    """A webhook that fits has no problem."""
    await there()

    assert () == await subscriptions().check()


async def test_check_missing(subscriptions):
    """It is a problem if nothing is registered, as everything then looks healthy and stays quiet."""
    (problem,) = await subscriptions().check()

    assert ("missing", "no webhook delivers to https://example.com/…#mine") == (problem.kind, problem.text)


async def test_check_missing_event(subscriptions, there):
    """It is a problem if a handler waits for an event that was not asked for, and it is named."""
    webhook_id = await there()

    (problem,) = await subscriptions(IncomeAdded, ShiftsAdded).check()

    assert ("events_missing", f"webhook {webhook_id} lacks shifts.added") == (problem.kind, problem.text)


@pytest.mark.parametrize(
    ("kinds", "given"),
    [
        (["events_unused"], {"events": ["income.added", "bill.added"]}),
        (["paused"], {"status": "paused"}),
        (["version"], {"version": "2023-11-22"}),
        (["version", "paused", "events_missing", "events_unused"], {"events": ["bill.added"]}),
    ],
)
async def test_check_state(subscriptions, there, kinds, given):
    """What is wrong with the webhook itself is told one by one."""
    more = {"version": "2023-11-22", "status": "paused"} if len(kinds) > 1 else {}
    await there(**given, **more)

    assert kinds == await kinds_of(subscriptions())


async def test_check_others(subscriptions, there):
    """Duplicates, strays, and other people's webhooks of the same URL are told."""
    for url in (MINE, MINE, "https://old.example.com#mine", URL, f"{URL}#other", "https://example.com"):
        await there(url)

    assert ["duplicate", "stray", "same_url", "same_url"] == await kinds_of(subscriptions())


async def test_check_retired(subscriptions, there):
    """A handler of a retired event will never be called, and that is told."""
    await there()

    assert ["retired"] == await kinds_of(subscriptions(IncomeAdded, DirectDepositPaymentAdded))


async def test_check_shows_no_url(subscriptions, there):
    """No problem shows the path of a URL."""
    await there("https://old.example.com/planted#mine")
    problems = await subscriptions(url="https://example.com/planted").check()

    assert 2 == len(problems)
    assert "planted" not in repr(problems)
