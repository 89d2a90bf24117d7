"""Metrics of a receiver: what they count, to whom they are shown, and that they hold nothing of a payload."""

import asyncio
import re

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.events import Event
from pinwheel_async.webhooks import MemoryInbox, Receiver, Router
from pinwheel_async.webhooks._metrics import INSTRUMENTS, Metric, prometheus_text

SECRET = "a-secret-of-tests"
TOKEN = "a-token-of-some-length"


async def until(predicate):
    async with asyncio.timeout(30):
        while not predicate():
            await asyncio.sleep(0.001)


async def fail(event: Event) -> None:
    if event.event == "income.added":
        raise ValueError("planted")


def values(receiver, health=None):
    return {metric.name: dict(metric.values) for metric in receiver.metrics(health)}


async def test_counts(body, headers):
    """Deliveries are counted as stored, repeated, refused, signed, handled, failed and dead, by their events."""
    router = Router()
    router.on(Event, retry=RetryPolicy(attempts=1))(fail)
    async with Receiver(router, [SECRET], inbox=MemoryInbox()) as receiver:
        for content in (first := body("income.added"), first, body("paystubs.added"), body("planted.words")):
            await receiver.receive(headers(content), content)
        await receiver.receive({}, b"")
        await until(lambda: sum(values(receiver)["pinwheel_deliveries_handled_total"].values()) == 2)
        await until(lambda: values(receiver)["pinwheel_deliveries_dead_total"])
        found = values(receiver, await receiver.health())

    assert found["pinwheel_deliveries_stored_total"] == {"income.added": 1, "paystubs.added": 1, "other": 1}
    assert found["pinwheel_deliveries_repeated_total"] == {"income.added": 1}
    assert found["pinwheel_deliveries_handled_total"] == {"paystubs.added": 1, "other": 1}
    assert found["pinwheel_deliveries_failed_total"] == {"income.added": 1}
    assert found["pinwheel_deliveries_dead_total"] == {"income.added": 1}
    assert found["pinwheel_deliveries_refused_total"] == {"signature_missing": 1}
    assert found["pinwheel_deliveries_signed_total"] == {"secret-1": 4}
    assert found["pinwheel_handlers_seconds_total"].keys() == {"income.added", "paystubs.added", "other"}
    assert (found["pinwheel_receiver_up"], found["pinwheel_inbox_dead"]) == ({"": 1}, {"": 1})
    assert found.keys() == INSTRUMENTS.keys()


async def test_without_an_inbox(body, headers):
    """Runs are counted where there is no inbox, too."""
    router = Router()
    router.on(Event)(fail)
    async with Receiver(router, [SECRET]) as receiver:
        for content in (body("income.added"), body("shifts.added")):
            await receiver.receive(headers(content), content)
        found = values(receiver)

    assert found["pinwheel_deliveries_failed_total"] == {"income.added": 1}
    assert found["pinwheel_deliveries_handled_total"] == {"shifts.added": 1}


LINE = re.compile(r'(# (HELP|TYPE) pinwheel_\w+ .+|pinwheel_\w+({\w+="[^"\n]*"})? [0-9.e+-]+)')


async def test_over_http(mount, body):
    """Those whom `health_auth` lets get text that Prometheus reads; others get 403, and learn nothing."""
    router = Router()
    router.on(Event)(fail)
    async with mount(router, inbox=MemoryInbox(), health_auth=TOKEN) as sender:
        await sender.send(body("paystubs.added"))
        url, allowed = sender.url + "/health/metrics", {"Authorization": f"Bearer {TOKEN}"}
        async with sender.session.get(url) as response:
            assert (response.status, await response.text()) == (403, "")
        async with sender.session.get(url, headers=allowed) as response:
            text = await response.text()

    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert all(LINE.fullmatch(line) for line in text.splitlines())
    assert 'pinwheel_deliveries_stored_total{event="paystubs.added"} 1\n' in text
    assert "\npinwheel_receiver_up 1\n" in text
    assert "account-1" not in text


async def test_nobody_asked(mount):
    """Without `health_auth` nobody gets the metrics."""
    async with mount(Router()) as sender, sender.session.get(sender.url + "/health/metrics") as response:
        assert response.status == 403


@pytest.mark.parametrize("label", ['a"b', "a\\b", "a\nb"])
def test_labels(label):
    """A name of a secret with odd characters breaks no line."""
    metric = Metric(name="pinwheel_x_total", kind="counter", help="X.", label="key", values={label: 1})
    (_, _, line) = prometheus_text((metric,)).splitlines()

    assert line.endswith('"} 1')


@pytest.mark.parametrize("value", [0, 1.0, 1_234_567, 10**12 + 1, 0.1 + 0.2, 1e-9, 1e300])
def test_digits(value):
    """A number has all of its digits, or a counter would stand still for a while after a million."""
    metric = Metric(name="pinwheel_x_total", kind="counter", help="X.", label=None, values={"": value})
    (_, _, line) = prometheus_text((metric,)).splitlines()

    assert LINE.fullmatch(line)
    assert value == float(line.rpartition(" ")[2])


class Broken:
    """Fails whenever a run begins, or ends."""

    def __init__(self, *, at_begin):
        self.at_begin = at_begin

    def attach(self, read, look): ...
    def detach(self): ...

    def stored(self, event, event_id, seconds, traceparent, *, new):
        raise OSError("planted")

    def begin(self, event, event_id, attempt, traceparent):
        if self.at_begin:
            raise OSError("planted")
        return self

    def end(self, error_type):
        raise OSError("planted")


@pytest.mark.parametrize("at_begin", [True, False])
async def test_telemetry_that_fails(body, headers, caplog, at_begin):
    """What telemetry raises keeps no handler from running, and is logged without its text."""
    ran, router = [], Router()

    @router.on(Event)
    async def handle(event: Event) -> None:
        ran.append(event)

    async with Receiver(router, [SECRET], telemetry=Broken(at_begin=at_begin)) as receiver:
        content = body()
        assert (await receiver.receive(headers(content), content)).status == 200

    assert len(ran) == 1
    assert "telemetry failed: OSError" in caplog.text
    assert "planted" not in caplog.text


async def test_telemetry_that_fails_for_what_is_stored(body, headers, caplog):
    """Nor does it refuse what is stored."""
    async with Receiver(Router(), [SECRET], inbox=MemoryInbox(), telemetry=Broken(at_begin=True)) as receiver:
        content = body()
        assert (await receiver.receive(headers(content), content)).status == 200

    assert "telemetry failed: OSError" in caplog.text
    assert "planted" not in caplog.text
