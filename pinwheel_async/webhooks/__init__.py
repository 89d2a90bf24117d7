"""The webhook receiver: verify, store, acknowledge, and only then handle.

`webhook_app` is the receiver as an aiohttp sub-application, `Receiver` the same without a web framework.
"""

from typing import TYPE_CHECKING, Any

from pinwheel_async._core.signature import KeyRing, Verdict, sign
from pinwheel_async.webhooks._delivery import Delivery
from pinwheel_async.webhooks._inbox import Claim, Counts, Entry, Inbox
from pinwheel_async.webhooks._memory import MemoryInbox
from pinwheel_async.webhooks._parse import parse_delivery
from pinwheel_async.webhooks._readiness import Readiness
from pinwheel_async.webhooks._readiness_state import AccountReadiness, NotReadyError, ProductReadiness
from pinwheel_async.webhooks._receiver import Answer, Receiver
from pinwheel_async.webhooks._router import Context, Router
from pinwheel_async.webhooks._sqlite import SqliteInbox
from pinwheel_async.webhooks._subscription_plan import SubscriptionPlan, SubscriptionProblem, SubscriptionReport
from pinwheel_async.webhooks._subscriptions import Subscriptions

if TYPE_CHECKING:
    from pinwheel_async.webhooks._app import webhook_app

__all__ = [
    "AccountReadiness",
    "Answer",
    "Claim",
    "Context",
    "Counts",
    "Delivery",
    "Entry",
    "Inbox",
    "KeyRing",
    "MemoryInbox",
    "NotReadyError",
    "ProductReadiness",
    "Readiness",
    "Receiver",
    "Router",
    "SqliteInbox",
    "SubscriptionPlan",
    "SubscriptionProblem",
    "SubscriptionReport",
    "Subscriptions",
    "Verdict",
    "parse_delivery",
    "sign",
    "webhook_app",
]


def __getattr__(name: str) -> Any:
    """Import the aiohttp server only for those who mount it."""
    if name == "webhook_app":
        from pinwheel_async.webhooks._app import webhook_app  # noqa: PLC0415  # aiohttp.web takes 65 ms

        return webhook_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
