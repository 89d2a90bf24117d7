"""OpenTelemetry spans and metrics: of a client's attempts, of a receiver, and of syncs. Needs the extra `otel`.

```python
pinwheel = Pinwheel(api_secret, on_attempt=SpanRecorder())
hooks = webhook_app(router, secrets=[api_secret], inbox=inbox, telemetry=WebhookRecorder())
report = await sync(pinwheel, sink, on_report=SyncRecorder())
```

Names and attributes follow the semantic conventions for HTTP client spans and for messaging. `url.full` is left out,
because ids and search texts stand in it; `url.template` says what was called. An instrumentation of aiohttp beside it
would record the same requests again, with their URLs. Nothing of a payload is recorded, and no id of an account.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError
from time import time_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pinwheel_async._http.observing import Attempt
from pinwheel_async._version import __version__
from pinwheel_async.webhooks._metrics import INSTRUMENTS

try:
    from opentelemetry.context import Context, attach
    from opentelemetry.metrics import CallbackOptions, Observation, get_meter
    from opentelemetry.trace import (
        Link,
        Span,
        SpanKind,
        Status,
        StatusCode,
        get_current_span,
        get_tracer,
        set_span_in_context,
    )
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ModuleNotFoundError as _error:  # private, or it would be a public name of the module
    if (_error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise ModuleNotFoundError(
        "SpanRecorder needs OpenTelemetry: pip install 'pinwheel-async[otel]'", name="opentelemetry"
    ) from None

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from pinwheel_async.sync._report import SyncReport
    from pinwheel_async.webhooks._health import Health
    from pinwheel_async.webhooks._metrics import Metric

__all__ = ["SpanRecorder", "SyncRecorder", "WebhookRecorder"]

_SCOPE = "pinwheel_async"

_LOOK_S = 4.0
"""Seconds to wait for a look at the inbox, which takes three at most."""

_PORTS = {"http": 80, "https": 443}


class SpanRecorder:
    """Records a span for each attempt, as a child of the span that the caller is in. Give it as `on_attempt`.

    | attribute | value |
    |---|---|
    | `http.request.method`, `url.template` | method and path template, which are the name of the span, too |
    | `server.address`, `server.port` | where the client calls |
    | `http.response.status_code` | status, if there was an answer |
    | `http.request.resend_count` | from the second attempt on: 1, 2, … |
    | `error.type` | status from 400 on, or the class of the failure; then the span has the status ERROR |
    | `pinwheel.waited_s` | seconds before the attempt, for a slot, a pause or between attempts |
    | `pinwheel.request_id` | the server's id of the exchange |
    """

    def __init__(self, tracer_provider: "TracerProvider | None" = None) -> None:
        """Take the tracer from a provider, or from the global one."""
        self._tracer = get_tracer(_SCOPE, __version__, tracer_provider)

    def __call__(self, attempt: Attempt) -> None:
        """Record an attempt that has ended."""
        if attempt.took_s is None:
            return
        ended_at = time_ns()
        method, _, template = attempt.endpoint.partition(" ")
        parts = urlsplit(attempt.base_url)
        attributes: dict[str, str | int | float] = {
            "http.request.method": method,
            "url.template": template,
            "server.address": parts.hostname or "",
            "server.port": parts.port or _PORTS[parts.scheme],
            "pinwheel.waited_s": attempt.waited_s,
        }
        if attempt.number > 1:
            attributes["http.request.resend_count"] = attempt.number - 1
        if attempt.request_id is not None:
            attributes["pinwheel.request_id"] = attempt.request_id
        if attempt.status is not None:
            attributes["http.response.status_code"] = attempt.status
        error_type = _error_type(attempt)
        if error_type is not None:
            attributes["error.type"] = error_type
        span = self._tracer.start_span(
            attempt.endpoint,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=ended_at - int(attempt.took_s * 1_000_000_000),
        )
        if error_type is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended_at)


def _error_type(attempt: Attempt) -> str | None:
    if attempt.failure is not None:
        return attempt.failure.partition(" (")[0]
    return str(attempt.status) if attempt.status is not None and attempt.status >= 400 else None


class WebhookRecorder:
    """Records the runs of handlers as spans, and the metrics of a receiver. Give it as `telemetry`, to one receiver.

    A span "receive paystubs.added" covers the storing of a delivery; it is a child of the server's span, if there is
    one. A span "process paystubs.added" covers a run of a delivery through its handlers, which find it as the current
    span; it is a new trace. Both have a link to the trace of the sender.

    | attribute | value |
    |---|---|
    | `messaging.system`, `messaging.operation.type` | `pinwheel`, `receive` or `process` |
    | `messaging.destination.name` | name of the event, `other` if the API does not document it |
    | `messaging.message.id` | id of the event |
    | `pinwheel.attempt` | number of the attempt, of a run |
    | `pinwheel.repeated` | whether the event id was known, of what was received |
    | `error.type` | class of the first failure; then the span has the status ERROR |

    The metrics are those of `Receiver.metrics()`, named `pinwheel.deliveries_handled` for
    `pinwheel_deliveries_handled_total`. Those of the inbox are read where the reader has a thread of its own, as a
    `PeriodicExportingMetricReader` has.
    """

    def __init__(
        self, tracer_provider: "TracerProvider | None" = None, meter_provider: "MeterProvider | None" = None
    ) -> None:
        """Take tracer and meter from providers, or from the global ones."""
        self._tracer = get_tracer(_SCOPE, __version__, tracer_provider)
        self._meter = get_meter(_SCOPE, __version__, meter_provider)
        self._read: Callable[[Health | None], tuple[Metric, ...]] | None = None
        self._look: Callable[[], Coroutine[Any, Any, Health]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_instruments = False

    def attach(
        self,
        read: "Callable[[Health | None], tuple[Metric, ...]]",
        look: "Callable[[], Coroutine[Any, Any, Health]]",
    ) -> None:
        """Begin to observe the metrics of a receiver; it calls this when it starts."""
        self._read, self._look, self._loop = read, look, asyncio.get_running_loop()
        if self._has_instruments:  # the receiver was started again
            return
        self._has_instruments = True
        for name, (kind, text) in INSTRUMENTS.items():
            create: Any = self._meter.create_observable_counter
            if kind == "gauge":
                create = self._meter.create_observable_gauge
            otel_name = name.removesuffix("_total").replace("pinwheel_", "pinwheel.", 1)
            create(otel_name, callbacks=[self._callback(name, looks=kind == "gauge")], description=text)

    def detach(self) -> None:
        """Observe no more; the receiver calls this when it stops."""
        self._read = self._look = self._loop = None

    def stored(self, event: str, event_id: str, seconds: float, traceparent: str | None, *, new: bool) -> None:
        """Record the span of a delivery that was stored, or was known."""
        ended_at = time_ns()
        span = self._tracer.start_span(
            f"receive {event}",
            kind=SpanKind.CONSUMER,
            links=_links(traceparent),
            attributes={**_attributes("receive", event, event_id), "pinwheel.repeated": not new},
            start_time=ended_at - int(seconds * 1_000_000_000),
        )
        span.end(ended_at)

    def begin(self, event: str, event_id: str, attempt: int, traceparent: str | None) -> "_DeliverySpan":
        """Begin the span of a run, and make it the current one."""
        span = self._tracer.start_span(
            f"process {event}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            links=_links(traceparent),
            attributes={**_attributes("process", event, event_id), "pinwheel.attempt": attempt},
        )
        attach(set_span_in_context(span))  # to a context that ends with the run: nothing is to be detached
        return _DeliverySpan(span)

    def _callback(self, name: str, *, looks: bool) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for metric in self._metrics(looks=looks):
                if metric.name == name:
                    for label, value in metric.values.items():
                        yield Observation(value, {} if metric.label is None else {metric.label: label})

        return observe

    def _metrics(self, *, looks: bool) -> "tuple[Metric, ...]":
        """Return the metrics, those of the inbox too if *looks*: a counter waits for nobody."""
        read, look, loop = self._read, self._look, self._loop
        if read is None or look is None or loop is None:
            return ()
        health: Health | None = None
        if looks and loop.is_running() and not _is_current(loop):
            waiting = asyncio.run_coroutine_threadsafe(look(), loop)
            try:
                health = waiting.result(_LOOK_S)
            except (TimeoutError, CancelledError):
                waiting.cancel()
        return read(health)


def _links(traceparent: str | None) -> list[Link]:
    """Return a link to the trace of the sender, if it has told one."""
    if traceparent is None:
        return []
    sender = get_current_span(_PROPAGATOR.extract({"traceparent": traceparent}, Context())).get_span_context()
    return [Link(sender)] if sender.is_valid else []


def _attributes(operation: str, event: str, event_id: str) -> dict[str, str]:
    return {
        "messaging.system": "pinwheel",
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": event,
        "messaging.message.id": event_id,
    }


class _DeliverySpan:
    """Span of a delivery that is being handled."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, error_type: str | None) -> None:
        """End it."""
        if error_type is not None:
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class SyncRecorder:
    """Records each sync as a span, and counts what it did. Give it as `on_report`.

    | metric | counts |
    |---|---|
    | `pinwheel.sync.runs` | runs, by `outcome`: `ok`, `failed` (some accounts), `stopped`, or the error that ended it |
    | `pinwheel.sync.accounts`, `pinwheel.sync.pages` | accounts visited, pages fetched |
    | `pinwheel.sync.items`, `.failed`, `.missing` | by `product`: objects stored, accounts that failed, or lack data |

    The span "sync" has the same counts as attributes, and the status ERROR if an error ended the run.
    """

    def __init__(
        self, tracer_provider: "TracerProvider | None" = None, meter_provider: "MeterProvider | None" = None
    ) -> None:
        """Take tracer and meter from providers, or from the global ones."""
        self._tracer = get_tracer(_SCOPE, __version__, tracer_provider)
        meter = get_meter(_SCOPE, __version__, meter_provider)
        names = ("runs", "accounts", "pages", "items", "failed", "missing")
        self._counters = {name: meter.create_counter(f"pinwheel.sync.{name}") for name in names}

    def __call__(self, report: "SyncReport") -> None:
        """Record a run that has ended."""
        ended_at = time_ns()
        failed = sum(counts.failed for counts in report.products.values())
        outcome = report.ended_by or ("stopped" if report.stopped else "failed" if failed else "ok")
        self._counters["runs"].add(1, {"outcome": outcome})
        self._counters["accounts"].add(report.accounts)
        self._counters["pages"].add(report.pages)
        for product, counts in report.products.items():
            for name in ("items", "failed", "missing"):
                self._counters[name].add(getattr(counts, name), {"product": product})
        span = self._tracer.start_span(
            "sync",
            attributes={
                "pinwheel.sync.outcome": outcome,
                "pinwheel.sync.accounts": report.accounts,
                "pinwheel.sync.pages": report.pages,
                "pinwheel.sync.items": report.items,
                "pinwheel.sync.missing": report.missing,
                "pinwheel.sync.failed": failed,
            },
            start_time=ended_at - int(report.seconds * 1_000_000_000),
        )
        if report.ended_by is not None:
            span.set_attribute("error.type", report.ended_by)
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended_at)


_PROPAGATOR = TraceContextTextMapPropagator()


def _is_current(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
