"""Subscriptions, and webhooks that are there already."""

import pytest

from pinwheel_async.webhooks._subscriptions.subscriptions import Subscriptions

from .helpers import MINE, URL, VERSION, router_of


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
