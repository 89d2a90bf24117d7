"""Page of the metrics: numbers that the library counts, and hooks that are called as things happen."""

import logging
from typing import get_args

from pinwheel_async import Attempt
from pinwheel_async.docs._reference.markdown import code, table, unit_of
from pinwheel_async.docs._source import all_fields_of
from pinwheel_async.sync import Completeness, ProductCounts, ProductStatus, Progress, Reconciliation, Status, SyncReport
from pinwheel_async.webhooks import Counts, Health, RefusalReason, StoredDelivery
from pinwheel_async.webhooks._health import HealthProblem
from pinwheel_async.webhooks._metrics import INSTRUMENTS
from pinwheel_async.webhooks._refusals import ADVICE, level_of

MEASURED: tuple[tuple[type, str], ...] = (
    (Attempt, "What `Pinwheel(on_attempt=...)` is called with, before and after each attempt."),
    (Health, "What `GET <prefix>/health` and `Receiver.health()` say."),
    (Counts, "What `Inbox.counts()` and `pinwheel-async inbox counts --json` say."),
    (StoredDelivery, "What `on_stored` is called with."),
    (Progress, "What `sync(on_progress=...)` is called with, at most ten times a second."),
    (SyncReport, "What `sync` returns, and `on_report` is called with; `to_json()` gives all of it."),
    (ProductCounts, "A part of the report: one product."),
    (Status, "What `status(database)` and `pinwheel-async status --json` say."),
    (ProductStatus, "A part of the status: one product."),
    (Reconciliation, "What `Mirror.reconcile()` returns."),
    (Completeness, "What `Mirror.completeness()` returns, and `on_incomplete` is called with."),
)
"""Classes whose fields are numbers to be watched, and where they come from."""

HOOKS: tuple[tuple[str, str], ...] = (
    ("Pinwheel(on_attempt=)", "before and after each attempt of a call"),
    ("webhook_app(on_stored=), Receiver(on_stored=)", "for each delivery that was stored"),
    (
        "webhook_app(on_refused=), Receiver(on_refused=)",
        "for each delivery that was not answered 200, with reason and status",
    ),
    ("Router.on_error", "whenever a handler fails, with event, context and exception"),
    ("Router.on_dead", "whenever a delivery is dead, with an `Entry`"),
    ("Readiness.on_stalled", "for an account that stopped half-way"),
    ("sync(on_progress=)", "at most ten times a second"),
    ("sync(on_report=)", "at the end of a run, whatever ended it"),
    ("SqlSink(on_commit=)", "each time that pages are committed"),
    ("Mirror(on_incomplete=)", "when something that was announced is not there"),
)
"""Functions of yours that are called, and when."""

_INTRODUCTION = """# Metrics

The library counts, and calls functions of yours; it sends nothing anywhere by itself. Labels are names, statuses, codes
and reasons from short lists, never a value, an id or a URL, so that they may go into any system of metrics.

## Hooks

"""

_INSTRUMENTS = """
## Metrics of a receiver

What `GET <prefix>/health/metrics` and `Receiver.metrics()` have for Prometheus, and `WebhookRecorder` for OpenTelemetry
(extra `otel`). When to alarm: see [metrics](../how-to/operate-the-inbox.md#metrics).

"""

_SPANS = """
## Spans

`Pinwheel(on_attempt=SpanRecorder())` makes an OpenTelemetry span of each attempt, by the conventions for HTTP clients
(extra `otel`), `WebhookRecorder` one around the handlers of each delivery, and `SyncRecorder` one of each sync: see
[pinwheel_async.otel](otel.md). `Context.traceparent` is the sender's trace context of a delivery.

## Drift

`Pinwheel.drift` counts what was not as documented, by endpoint and place: a mapping such as
`{"GET /v1/accounts/{account_id}/income data.pay_frequency: null": 3}`. `Pinwheel.paused_s` says for how many seconds
calls wait because the server asked for it.

## Reasons of refusals

What `on_refused` and `Health.refused` name.

"""


def metrics_page() -> str:
    """Return the page."""
    reasons = [
        [code(reason), logging.getLevelName(level_of(reason)), ADVICE.get(reason, "")]
        for reason in get_args(RefusalReason)
    ]
    parts = [_INTRODUCTION, table(["function of yours", "is called"], [[code(name), when] for name, when in HOOKS])]
    instruments = [[code(name), kind, meaning] for name, (kind, meaning) in INSTRUMENTS.items()]
    parts += [_INSTRUMENTS, table(["metric", "kind", "meaning"], instruments)]
    parts += [_SPANS, table(["reason", "level of the log", "what to do"], reasons)]
    parts += [f"\nProblems that `Health.problems` names: {', '.join(map(code, get_args(HealthProblem)))}.\n"]
    for kind, where in MEASURED:
        fields = [
            [code(field.name), field.doc, unit_of(field)]
            for field in all_fields_of(kind).values()
            if not field.name.startswith("_")
        ]
        parts += [f"## {kind.__name__}\n", f"{where}\n", table(["field", "meaning", "unit"], fields)]
    return "\n".join(parts)
