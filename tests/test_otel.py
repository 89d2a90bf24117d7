"""OpenTelemetry spans and metrics, by the semantic conventions, without values."""

import asyncio
import subprocess
import sys

import pytest
from aiohttp import web
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from pinwheel_async import NotFoundError, Pinwheel, RetryPolicy, TransportError, UnauthorizedError
from pinwheel_async.events import Event, PaystubsAdded
from pinwheel_async.otel import SpanRecorder, SyncRecorder, WebhookRecorder
from pinwheel_async.sync import MemorySink, sync
from pinwheel_async.testing import FakePinwheel, make_event, signed_delivery
from pinwheel_async.webhooks import MemoryInbox, Receiver, Router

ACCOUNT = "7c2d5a3e-5ac5-4f0c-9d4a-5f1f1d3c0a11"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def client(provider):
    def make(base_url, **settings):
        return Pinwheel("x", base_url=base_url, on_attempt=SpanRecorder(provider), **settings)

    return make


async def test_span(serve, client, exporter):
    """A span of an attempt has the names of the conventions, and neither id nor query."""
    site = await serve(
        web.Response(status=204, headers={"X-Pinwheel-Request-Id": "00000000-0000-4000-8000-000000000001"})
    )
    async with client(site.base_url) as pinwheel:
        await pinwheel.accounts.disable_monitoring(ACCOUNT)

    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("POST /v1/accounts/{account_id}/disable_monitoring", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    attributes = dict(span.attributes)
    assert attributes.pop("pinwheel.waited_s") < 1
    assert attributes == {
        "http.request.method": "POST",
        "url.template": "/v1/accounts/{account_id}/disable_monitoring",
        "server.address": "127.0.0.1",
        "server.port": int(site.base_url.rpartition(":")[2]),
        "http.response.status_code": 204,
        "pinwheel.request_id": "00000000-0000-4000-8000-000000000001",
    }
    assert 0 < span.end_time - span.start_time < 5_000_000_000
    assert span.instrumentation_scope.name == "pinwheel_async"


async def test_spans_of_retries(serve, client, exporter):
    """Each attempt has a span, from the second on with its number; a status from 400 on is an error."""
    site = await serve(web.Response(status=503), web.Response(status=404))
    async with client(site.base_url, retry=RetryPolicy(base_s=0)) as pinwheel:
        with pytest.raises(NotFoundError):
            await pinwheel.income.get(ACCOUNT)

    first, second = exporter.get_finished_spans()
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert [span.attributes["error.type"] for span in (first, second)] == ["503", "404"]
    assert {span.status.status_code for span in (first, second)} == {StatusCode.ERROR}


async def test_span_of_a_failure(client, exporter, unused_tcp_port):
    """Where no answer came, the error has the class of the failure."""
    async with client(f"http://127.0.0.1:{unused_tcp_port}", retry=RetryPolicy(attempts=1)) as pinwheel:
        with pytest.raises(TransportError):
            await pinwheel.income.get(ACCOUNT)

    (span,) = exporter.get_finished_spans()
    assert span.attributes["error.type"] == "ClientConnectorError"
    assert "http.response.status_code" not in span.attributes
    assert span.status.status_code is StatusCode.ERROR


async def test_parent(serve, client, provider, exporter):
    """The span that the caller is in is the parent, in every task."""
    site = await serve(web.Response(status=204))
    async with client(site.base_url) as pinwheel:
        with provider.get_tracer("mine").start_as_current_span("outer") as outer:
            await pinwheel.accounts.disable_monitoring(ACCOUNT)

    assert exporter.get_finished_spans()[0].parent.span_id == outer.get_span_context().span_id


def test_default_port(client, exporter):
    """Without a port in the base URL it is the one of its scheme."""
    recorder = client("https://a.example")._caller._on_attempt
    from pinwheel_async import Attempt

    recorder(Attempt(endpoint="GET /v1/x", base_url="https://a.example", number=1, waited_s=0, took_s=0.5, status=200))

    (span,) = exporter.get_finished_spans()
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("a.example", 443)
    assert span.end_time - span.start_time == 500_000_000


def test_without_the_extra():
    """Without OpenTelemetry the module says what to install, and the package does without it."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None; import pinwheel_async\n"
        "try:\n    import pinwheel_async.otel\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "pip install 'pinwheel-async[otel]'" in done.stdout


TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def deliver(event, **headers):
    sample = signed_delivery(event, secret="x")
    return {**sample.headers, **headers}, sample.body


async def receive(recorder, handler, event, **headers):
    router = Router()
    router.on(Event)(handler)
    async with Receiver(router, ["x"], telemetry=recorder) as receiver:
        await receiver.receive(*deliver(event, **headers))


async def test_span_of_what_is_stored(provider, exporter):
    """Storing a delivery is a span of the server's trace, linked to the sender's, and says whether it was known."""
    recorder, event = WebhookRecorder(provider), make_event(PaystubsAdded)
    async with Receiver(Router(), ["x"], inbox=MemoryInbox(), telemetry=recorder, work=False) as receiver:
        with provider.get_tracer("own").start_as_current_span("of the server"):
            for _ in range(2):
                await receiver.receive(*deliver(event, traceparent=TRACEPARENT))

    first, again, server = exporter.get_finished_spans()
    assert (first.name, first.kind) == ("receive paystubs.added", SpanKind.CONSUMER)
    assert first.parent.span_id == again.parent.span_id == server.context.span_id
    assert [f"{link.context.trace_id:032x}" for link in (*first.links, *again.links)] == [TRACE, TRACE]
    assert dict(first.attributes) == {
        "messaging.system": "pinwheel",
        "messaging.operation.type": "receive",
        "messaging.operation.name": "receive",
        "messaging.destination.name": "paystubs.added",
        "messaging.message.id": event.event_id,
        "pinwheel.repeated": False,
    }
    assert again.attributes["pinwheel.repeated"]
    assert 0 <= first.end_time - first.start_time <= 60_000_000_000


async def test_span_of_a_delivery(provider, exporter):
    """A run of a delivery is a new trace, linked to the sender's; what the handler records is within it."""

    async def handle(event: Event) -> None:
        with provider.get_tracer("own").start_as_current_span("own"):
            await asyncio.sleep(0)

    event = make_event(PaystubsAdded)
    with provider.get_tracer("own").start_as_current_span("of the server"):
        await receive(WebhookRecorder(provider), handle, event, traceparent=TRACEPARENT)

    own, span, server = exporter.get_finished_spans()
    assert (span.name, span.kind, span.parent) == ("process paystubs.added", SpanKind.CONSUMER, None)
    assert own.parent.span_id == span.context.span_id
    assert server.context.trace_id != span.context.trace_id
    (link,) = span.links
    assert f"{link.context.trace_id:032x}" == TRACE
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {
        "messaging.system": "pinwheel",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "paystubs.added",
        "messaging.message.id": event.event_id,
        "pinwheel.attempt": 1,
    }


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-0-0-00"])
async def test_odd_traceparents(provider, exporter, traceparent):
    """A trace context that is none makes no link."""

    async def handle(event: Event) -> None: ...

    await receive(WebhookRecorder(provider), handle, make_event(PaystubsAdded), traceparent=traceparent)

    (span,) = exporter.get_finished_spans()
    assert not span.links


async def test_span_of_a_failure_of_a_handler(provider, exporter):
    """A failed run is an error by the class of the exception, without its text."""

    async def handle(event: Event) -> None:
        raise ValueError("planted")

    await receive(WebhookRecorder(provider), handle, make_event(PaystubsAdded))

    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "ValueError")
    assert "planted" not in span.to_json()


def points(reader):
    return {
        metric.name: {tuple(point.attributes.values()): point.value for point in metric.data.data_points}
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader):
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


async def test_metrics_of_a_receiver(provider, meters, reader):
    """A reader with a thread of its own sees counts by event, and the state of the inbox."""
    router = Router()

    @router.on(Event)
    async def handle(event: Event) -> None: ...

    recorder = WebhookRecorder(provider, meters)
    async with Receiver(router, ["x"], inbox=MemoryInbox(), telemetry=recorder) as receiver:
        await receiver.receive(*deliver(make_event(PaystubsAdded)))
        async with asyncio.timeout(30):
            while not any(metric.values for metric in receiver.metrics() if "handled" in metric.name):
                await asyncio.sleep(0.001)
        found = await asyncio.to_thread(points, reader)

    assert found["pinwheel.deliveries_stored"] == {("paystubs.added",): 1}
    assert found["pinwheel.deliveries_handled"] == {("paystubs.added",): 1}
    assert found["pinwheel.receiver_up"] == {(): 1}
    assert found["pinwheel.inbox_oldest_waiting_seconds"] == {(): 0}


async def test_metrics_within_the_loop(provider, meters, reader):
    """A reader in the event loop itself, which a look would have to wait for, gets what is known without one."""
    async with Receiver(Router(), ["x"], inbox=MemoryInbox(), telemetry=WebhookRecorder(provider, meters)):
        found = points(reader)

    assert found.keys() == {"pinwheel.deliveries_signed"}


async def test_sync(provider, meters, reader, exporter):
    """A sync is a span with counts, and counts by product."""
    async with FakePinwheel(accounts=3) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        await sync(pinwheel, MemorySink(), products=("income",), on_report=SyncRecorder(provider, meters))

    (span,) = exporter.get_finished_spans()
    assert (span.name, span.attributes["pinwheel.sync.accounts"]) == ("sync", 3)
    found = points(reader)
    assert found["pinwheel.sync.runs"] == {("ok",): 1}
    assert found["pinwheel.sync.items"] == {("income",): 3}


async def test_sync_that_ends(provider, meters, reader, exporter):
    """A sync that an error ends is an error by its class."""
    async with FakePinwheel(accounts=3) as fake, Pinwheel("wrong", base_url=fake.base_url) as pinwheel:
        with pytest.raises(UnauthorizedError):
            await sync(pinwheel, MemorySink(), on_report=SyncRecorder(provider, meters))

    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "UnauthorizedError")
    assert points(reader)["pinwheel.sync.runs"] == {("UnauthorizedError",): 1}
