"""Deliveries that are signed as they should be, and ones that are not."""

import json

import pytest
from aiohttp import ClientSession

from pinwheel_async.events import DirectDepositSwitchAdded, PaystubsAdded
from pinwheel_async.testing import broken_deliveries, make_event, signed_delivery
from pinwheel_async.webhooks import KeyRing, MemoryInbox, Receiver, Router

SECRET = "a-secret-of-tests"
NOW = 1_773_760_000
BROKEN = broken_deliveries(secret=SECRET, timestamp=NOW, max_age_s=300)


def verdict(delivery, **limits):
    """What the library says to a delivery."""
    headers = delivery.headers
    return KeyRing([SECRET]).verify(
        signature=headers.get("x-pinwheel-signature"),
        timestamp=headers.get("x-timestamp"),
        body=delivery.body,
        now=NOW,
        **limits,
    )


def test_good():
    """A signed delivery is authentic, also with an age limit."""
    made = signed_delivery(make_event(PaystubsAdded), secret=SECRET, timestamp=NOW)

    assert verdict(made, max_age_s=1).ok


def test_signed_now():
    """It is signed at the present moment unless told otherwise."""
    made = signed_delivery(b"{}", secret=SECRET)

    assert (
        KeyRing([SECRET])
        .verify(signature=made.headers["x-pinwheel-signature"], timestamp=made.headers["x-timestamp"], body=b"{}")
        .ok
    )
    assert int(made.headers["x-timestamp"]) > NOW


def test_raw_body():
    """A raw body goes as it is."""
    assert b"\xff not JSON" == signed_delivery(b"\xff not JSON", secret=SECRET).body


def test_headers():
    """The headers name the webhook and its version."""
    made = signed_delivery(b"{}", secret=SECRET, webhook_id="mine", version="2023-11-22")

    assert ("mine", "2023-11-22") == (made.headers["x-pinwheel-webhook-id"], made.headers["pinwheel-version"])


def test_older_version():
    """An event is written in the shape of the version."""
    made = signed_delivery(make_event(DirectDepositSwitchAdded), secret=SECRET, version="2023-07-18")

    assert {"amount": 12_500} == json.loads(made.body)["payload"]["params"]


def test_repr():
    """The repr of a delivery shows neither its body nor its signature."""
    assert "SignedDelivery()" == repr(signed_delivery(make_event(PaystubsAdded), secret=SECRET))


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name):
    """Whatever is broken is refused by the key ring, and nothing is raised."""
    assert not verdict(BROKEN[name], max_age_s=300).ok


@pytest.mark.parametrize("name", ["stale", "early"])
def test_wrong_age(name):
    """A wrong age is all that is wrong with the stale and the early one, and the verdict says it."""
    assert verdict(BROKEN[name]).ok
    assert name == verdict(BROKEN[name], max_age_s=300).reason


def test_no_age():
    """Without an age limit none of them is wrong by its age."""
    assert set(BROKEN) - {"stale", "early"} == set(broken_deliveries(secret=SECRET))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a":1}', "\N{CROISSANT}".encode()])
def test_broken_odd_bodies(body):
    """Any body can be broken in every way."""
    made = broken_deliveries(body, secret=SECRET, timestamp=NOW)

    assert set(BROKEN) - {"stale", "early"} == set(made)
    assert not [name for name, delivery in made.items() if verdict(delivery).ok]


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in {"stale", "early"}])
async def test_broken_to_receiver(name):
    """A receiver answers 401 and stores nothing."""
    inbox = MemoryInbox()
    receiver = Receiver(Router(), [SECRET], inbox=inbox)
    await receiver.start()
    answer = await receiver.receive(BROKEN[name].headers, BROKEN[name].body)
    counts = await inbox.counts()
    await receiver.stop()

    assert (401, 0) == (answer.status, counts.waiting)


async def test_broken_over_a_socket(mounted):
    """They can be sent with a client, odd bytes and all."""
    async with mounted(Router(), secrets=[SECRET], inbox=MemoryInbox()) as url, ClientSession() as session:
        statuses = []
        for delivery in broken_deliveries(secret=SECRET).values():
            async with session.post(url, data=delivery.body, headers=delivery.headers) as response:
                statuses.append(response.status)

    assert {401} == set(statuses)
