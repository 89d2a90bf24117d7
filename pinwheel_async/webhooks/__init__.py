"""The webhook receiver: verify, store, acknowledge, and only then handle.

`webhook_app` is the receiver as an aiohttp sub-application, `Receiver` the same without a web framework.
"""

from typing import TYPE_CHECKING

from pinwheel_async import _lazy
from pinwheel_async._core.signature import KeyRing, Verdict, sign
from pinwheel_async.webhooks._delivery import Delivery, parse_delivery
from pinwheel_async.webhooks._health import Health
from pinwheel_async.webhooks._hooks import StoredDelivery
from pinwheel_async.webhooks._inbox.administration import InboxCheck, KeyRotation
from pinwheel_async.webhooks._inbox.base import (
    BodyReading,
    Claim,
    Counts,
    DeliveryFilter,
    DeliveryProgress,
    Entry,
    Inbox,
    Preview,
)
from pinwheel_async.webhooks._inbox.memory import MemoryInbox
from pinwheel_async.webhooks._inbox.sqlite import SqliteInbox
from pinwheel_async.webhooks._inbox.sqlite_backup import backup_inbox, move_inbox
from pinwheel_async.webhooks._inbox.sqlite_check import check_inbox
from pinwheel_async.webhooks._metrics import Metric, Run, Telemetry
from pinwheel_async.webhooks._readiness.readiness import Readiness
from pinwheel_async.webhooks._readiness.state import AccountReadiness, NotReadyError, ProductReadiness
from pinwheel_async.webhooks._receiver import Answer, Receiver
from pinwheel_async.webhooks._refusals import RefusalReason
from pinwheel_async.webhooks._router import Context, Router
from pinwheel_async.webhooks._subscriptions.plan import SubscriptionPlan, SubscriptionProblem, SubscriptionReport
from pinwheel_async.webhooks._subscriptions.subscriptions import Subscriptions
from pinwheel_async.webhooks._worker.run import work

if TYPE_CHECKING:
    from pinwheel_async.webhooks._app import webhook_app
    from pinwheel_async.webhooks._inspector.inspector import Inspector
    from pinwheel_async.webhooks._postgres.inbox import PostgresInbox

__all__ = [
    "AccountReadiness",
    "Answer",
    "BodyReading",
    "Claim",
    "Context",
    "Counts",
    "Delivery",
    "DeliveryFilter",
    "DeliveryProgress",
    "Entry",
    "Health",
    "Inbox",
    "InboxCheck",
    "Inspector",
    "KeyRing",
    "KeyRotation",
    "MemoryInbox",
    "Metric",
    "NotReadyError",
    "PostgresInbox",
    "Preview",
    "ProductReadiness",
    "Readiness",
    "Receiver",
    "RefusalReason",
    "Router",
    "Run",
    "SqliteInbox",
    "StoredDelivery",
    "SubscriptionPlan",
    "SubscriptionProblem",
    "SubscriptionReport",
    "Subscriptions",
    "Telemetry",
    "Verdict",
    "backup_inbox",
    "check_inbox",
    "move_inbox",
    "parse_delivery",
    "sign",
    "webhook_app",
    "work",
]

if not TYPE_CHECKING:  # a checker that saw this would let misspelt names pass
    # Only those who mount the receiver need the aiohttp server, which takes 65 ms, and not everybody has asyncpg.
    __getattr__, __dir__ = _lazy.attach(
        __name__,
        {
            "Inspector": "pinwheel_async.webhooks._inspector.inspector",
            "PostgresInbox": "pinwheel_async.webhooks._postgres.inbox",
            "webhook_app": "pinwheel_async.webhooks._app",
        },
        extras={"asyncpg": ("asyncpg", "postgres")},
    )
