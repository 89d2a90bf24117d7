"""Deliveries about one account, made up."""

import itertools
import json
from datetime import UTC, datetime, timedelta

ACCOUNT = "2dff2dd6-5825-4d47-ae92-406feb689c4f"
PLATFORM = "3f5a7c9e-8b6d-4a42-9e1f-7a8b9c0d1e04"
T0 = datetime(2026, 3, 17, 15, 5, 2, tzinfo=UTC)
_ids = itertools.count(1)


def at(seconds):
    return (T0 + timedelta(seconds=seconds)).isoformat()


def made(event, payload):
    return json.dumps({"event_id": f"event-{next(_ids)}", "event": event, "payload": payload}).encode()


def added(seconds=0, *, account_id=ACCOUNT, platform_id=PLATFORM, end_user_id=None):
    facts = {
        "created_at": at(seconds),
        "connected": True,
        "monitoring_status": "active",
        "end_user_id": end_user_id,
    }
    return made("account.added", {**facts, "account_id": account_id, "platform_id": platform_id})


def job(event="income.added", seconds=1, outcome="success", *, account_id=ACCOUNT, sync_status=None, **more):
    facts = {"name": event.partition(".")[0], "timestamp": at(seconds), "outcome": outcome, "account_id": account_id}
    params = {} if sync_status is None else {"count": 3, "sync_status": sync_status}
    return made(event, {"id": "job-1", "link_token_id": "token-1", "params": params, **facts, **more})


def connection():
    """Make the deliveries of one connection, in the order in which such were recorded."""
    return [
        added(),
        job("identity.added", 1),
        job("income.added", 1.5),
        job("paystubs.added", 2, sync_status="in_progress"),
        job("paystubs.seven_days_synced", 2),
        job("shifts.added", 3, sync_status="in_progress"),
        job("paystubs.added", 4, sync_status="in_progress"),
        job("paystubs.thirty_days_synced", 4),
        job("shifts.added", 5, sync_status="in_progress"),
        job("paystubs.ninety_days_synced", 6),
        job("paystubs.fully_synced", 7),
        job("paystubs.added", 7, sync_status="complete"),
        job("employment.added", 9),
        job("shifts.added", 14, sync_status="complete"),
        job("direct_deposit_allocations.added", 15, "error", error_type="platformError", error_code="systemError"),
        job("tax_forms.added", 16),
    ]
