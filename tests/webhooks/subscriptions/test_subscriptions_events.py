"""Which events are subscribed, and which settings are refused."""

import json
from pathlib import Path

import pytest

from pinwheel_async.errors import ConfigurationError
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
from pinwheel_async.webhooks._readiness.readiness import Readiness
from pinwheel_async.webhooks._subscriptions.subscriptions import SUBSCRIBABLE, Subscriptions

from .helpers import URL, router_of

REFERENCE = json.loads((Path(__file__).parents[2] / "data" / "reference.json").read_text(encoding="utf-8"))


def test_current_events():
    """The events that can be subscribed are those of the API's own list, and all of them have a class."""
    names = set(REFERENCE["enums"]["WebhookEventName"])

    assert names == set(SUBSCRIBABLE)
    assert names <= set(EVENTS)


@pytest.mark.parametrize(
    ("kinds", "events"),
    [
        ([IncomeAdded], {"income.added"}),
        ([IncomeAdded, IncomeAdded], {"income.added"}),
        ([PaystubsEvent], {name for name in SUBSCRIBABLE if name.startswith("paystubs.")}),
        ([DirectDepositEvent], {"direct_deposit_switch.added", "direct_deposit_allocations.added"}),
        ([Event], set(SUBSCRIBABLE)),
        ([Event, ShiftsAdded], set(SUBSCRIBABLE)),
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
    """Extra events come on top of those that have a handler."""
    extra = ["bill.added", "income.added"]

    assert ("income.added", "bill.added") == subscriptions(extra_events=extra).events


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
        {"extra_events": ["income.aded"]},
        {"extra_events": ["*"]},
    ],
)
def test_wrong_settings(subscriptions, wrong):
    """Arguments that could not work are refused before anything is asked, without showing them."""
    with pytest.raises(ConfigurationError) as caught:
        subscriptions(**wrong)

    assert "example" not in str(caught.value)
