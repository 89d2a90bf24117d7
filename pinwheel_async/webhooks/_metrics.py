"""Metrics of a receiver: counters by event, what is in the inbox, and both in the text format of Prometheus."""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Literal, Protocol

from attrs import frozen

from pinwheel_async.events import EVENTS
from pinwheel_async.webhooks._health import Health

OTHER = "other"
"""Label of all events that the API does not document: a label that anything could be in would be one without bounds."""


@frozen(kw_only=True)
class Metric:
    """Values of one metric: counts since the receiver was made, or what is so now; labels hold nothing of payloads."""

    name: str
    """Name as Prometheus has it, such as `pinwheel_deliveries_handled_total`."""
    kind: Literal["counter", "gauge"]
    help: str
    label: str | None
    """Name of the label; null where there is one value only."""
    values: Mapping[str, float]
    """Values by label; under an empty text where there is no label."""


class DeliveryCounters:
    """Counters of deliveries by event: stored, repeated, handled, failed, dead; and seconds of handlers."""

    def __init__(self) -> None:
        self.stored: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.handled: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.dead: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}

    def add_put(self, event: str, *, new: bool) -> None:
        """Count a delivery that the inbox has stored, or knew."""
        (self.stored if new else self.repeated)[label_of(event)] += 1

    def add_run(self, event: str, seconds: float, *, ok: bool) -> None:
        """Count a run of a delivery through its handlers."""
        label = label_of(event)
        (self.handled if ok else self.failed)[label] += 1
        self.seconds[label] = self.seconds.get(label, 0.0) + seconds

    def add_dead(self, event: str) -> None:
        """Count a delivery that is given up."""
        self.dead[label_of(event)] += 1


class Run(Protocol):
    """Run of a delivery through its handlers that is being traced."""

    def end(self, error_type: str | None) -> None:
        """End it; the type of the first failure, if there is one."""
        ...


class Telemetry(Protocol):
    """Observer of a receiver, such as `pinwheel_async.otel.WebhookRecorder`; what runs raise is logged, no more."""

    def attach(
        self, read: Callable[[Health | None], tuple[Metric, ...]], look: Callable[[], Coroutine[Any, Any, Health]]
    ) -> None:
        """Begin to read metrics; called in the event loop when the receiver starts.

        Args:
            read: Returns the metrics, those of the inbox only with a health.
            look: Looks at the inbox.
        """
        ...

    def detach(self) -> None:
        """Read no more."""
        ...

    def stored(self, event: str, event_id: str, seconds: float, traceparent: str | None, *, new: bool) -> None:
        """Record that a delivery was stored, in so many seconds, or was known; called before it is answered."""
        ...

    def begin(self, event: str, event_id: str, attempt: int, traceparent: str | None) -> Run:
        """Begin a run; called in the context in which the handlers run."""
        ...


INSTRUMENTS: Mapping[str, tuple[Literal["counter", "gauge"], str]] = {
    "pinwheel_deliveries_stored_total": ("counter", "Deliveries stored in the inbox."),
    "pinwheel_deliveries_repeated_total": ("counter", "Deliveries whose event id was known."),
    "pinwheel_deliveries_handled_total": ("counter", "Runs of deliveries in which all handlers returned."),
    "pinwheel_deliveries_failed_total": ("counter", "Runs in which a handler failed, or nothing could be read."),
    "pinwheel_deliveries_dead_total": ("counter", "Deliveries given up."),
    "pinwheel_handlers_seconds_total": ("counter", "Seconds that runs of handlers took."),
    "pinwheel_deliveries_refused_total": ("counter", "Deliveries that were not answered 200."),
    "pinwheel_deliveries_signed_total": ("counter", "Authentic deliveries, by the name of the secret."),
    "pinwheel_receiver_up": ("gauge", "1 if deliveries are stored and handled."),
    "pinwheel_inbox_waiting": ("gauge", "Deliveries that wait to be handled."),
    "pinwheel_inbox_claimed": ("gauge", "Deliveries that are being handled."),
    "pinwheel_inbox_dead": ("gauge", "Deliveries that are given up and kept."),
    "pinwheel_inbox_oldest_waiting_seconds": ("gauge", "Age of the oldest delivery that waits; 0 if none does."),
    "pinwheel_handlers_stuck": ("gauge", "Handlers that ignored their cancellation."),
}
"""Every metric: its kind, and what it says."""


def metrics_of(counters: DeliveryCounters, health: Health, *, has_looked: bool) -> tuple[Metric, ...]:
    """Return all metrics; those of the inbox only if it was looked at."""
    counts: list[tuple[str, str, Mapping[str, float]]] = [
        ("deliveries_stored", "event", counters.stored),
        ("deliveries_repeated", "event", counters.repeated),
        ("deliveries_handled", "event", counters.handled),
        ("deliveries_failed", "event", counters.failed),
        ("deliveries_dead", "event", counters.dead),
        ("handlers_seconds", "event", counters.seconds),
        ("deliveries_refused", "reason", health.refused),
        ("deliveries_signed", "key", health.signed_by),
    ]
    gauges: list[tuple[str, float | None]] = [
        ("receiver_up", health.status != "unavailable"),
        ("inbox_waiting", health.waiting),
        ("inbox_claimed", health.claimed),
        ("inbox_dead", health.dead),
        ("inbox_oldest_waiting_seconds", _age_of(health)),
        ("handlers_stuck", health.stuck_handlers),
    ]
    found = [_metric(f"pinwheel_{name}_total", label, dict(values)) for name, label, values in counts]
    if has_looked:
        found += [_metric(f"pinwheel_{name}", None, {"": float(value)}) for name, value in gauges if value is not None]
    return tuple(found)


def _metric(name: str, label: str | None, values: Mapping[str, float]) -> Metric:
    kind, text = INSTRUMENTS[name]
    return Metric(name=name, kind=kind, help=text, label=label, values=values)


def prometheus_text(metrics: tuple[Metric, ...]) -> str:
    """Return metrics in the text format of Prometheus, version 0.0.4."""
    return "".join(line + "\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for label, value in metric.values.items():
        quoted = label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        labels = "" if metric.label is None else f'{{{metric.label}="{quoted}"}}'
        yield f"{metric.name}{labels} {int(value) if value == int(value) else value}"  # all digits: a rate needs them


def _age_of(health: Health) -> float | None:
    return None if health.waiting is None else health.oldest_waiting_s or 0.0


def label_of(event: str) -> str:
    return event if event in EVENTS else OTHER
