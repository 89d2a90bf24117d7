"""Payloads of events, by name: with the keys, and in the order, in which the API was seen to send them.

They are of the newest version and about things that the world serves.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from attrs import frozen

from pinwheel_async.testing._world import companies as _companies, directory as _directory, reports as _reports
from pinwheel_async.testing._world.records import Record, stamp
from pinwheel_async.testing._world.world import World

JobResult = Literal["success", "error", "pending"]
Facts = Mapping[str, Any]
"""Id and dates of one item of a list."""

_ERROR = {"error_code": "accountLocked", "error_type": "userActionRequired"}
_NO_ERROR = {"error_code": None, "error_type": None}


@frozen(kw_only=True)
class Subject:
    """Account and job that an event is about."""

    world: World
    account_id: str
    at: datetime
    """When the job ended."""
    job_id: str
    outcome: JobResult = "success"
    items: tuple[Facts, ...] | None = None
    """Items of the batch, newest first; all that are there, if None."""
    gone: tuple[str, ...] = ()
    """Ids of items that were deleted."""
    sync_status: Literal["in_progress", "complete"] = "complete"

    @property
    def index(self) -> int:
        """Number of the account."""
        return self.world.index(self.account_id)

    @property
    def account(self) -> Record:
        """The account as its endpoint shows it."""
        account: Record = msgspec.json.decode(self.world.entries(self.index, "account")[0].body)
        return account

    def batch(self, product: str) -> tuple[Facts, ...]:
        """Return the items that the event tells of."""
        if self.outcome != "success":
            return ()
        if self.items is not None:
            return self.items
        return tuple([entry.facts for entry in self.world.entries(self.index, product)])


def payload_of(name: str, subject: Subject) -> Record:
    """Return the payload of an event; of an unknown one, just the account and its owner."""
    return _PAYLOADS.get(name, _of_account)(subject)


def _of_account(subject: Subject) -> Record:
    account = subject.account
    banking = {} if account["customer_id"] is None else {"customer_id": account["customer_id"]}
    return {"account_id": subject.account_id, "end_user_id": account["end_user_id"], **banking}


def _of_end_user(subject: Subject) -> Record:
    return {name: value for name, value in _of_account(subject).items() if name != "account_id"}


def _account_added(subject: Subject) -> Record:
    account = subject.account
    platform = _directory.platform(subject.world.ids, subject.world.profile(subject.index).platform)
    return {
        "created_at": account["created_at"],
        "link_token_id": account["link_token_id"],
        "platform_id": account["platform_id"],
        "connected": account["connected"],
        "monitoring_status": account["monitoring_status"],
        "end_user_id": account["end_user_id"],
        "account_id": subject.account_id,
        "platform_name": platform["name"],
        "platform_type": platform["type"],
        **{name: value for name, value in _of_account(subject).items() if name == "customer_id"},
    }


def _monitoring_status(subject: Subject) -> Record:
    return _of_account(subject) | {"monitoring_status": subject.account["monitoring_status"]}


def _connections_recommended(subject: Subject) -> Record:
    return _of_account(subject) | {"additional_connections": [{"action": "search"}]}


def _job(subject: Subject, name: str, params: Record) -> Record:
    failed = subject.outcome == "error"
    return {
        "id": subject.job_id,
        "name": name,
        "timestamp": stamp(subject.at),
        "outcome": subject.outcome,
        **(_ERROR if failed else _NO_ERROR),
        "link_token_id": subject.account["link_token_id"],
        "params": params if subject.outcome == "success" else {},
        **_of_account(subject),
    }


def _plain_job(name: str) -> Callable[[Subject], Record]:
    return lambda subject: _job(subject, name, {})


def _paystubs_added(subject: Subject) -> Record:
    found = subject.batch("paystubs")
    documents = {"has_potential_paystubs_documents": False} if found else {}
    params = _pay_window(found) | {"sync_status": subject.sync_status} | documents
    return _changed(subject, found) | _job(subject, "paystubs", params)


def _paystubs_mark(subject: Subject) -> Record:
    return _job(subject, "paystubs", _pay_window(subject.batch("paystubs")))


def _paystubs_documents(subject: Subject) -> Record:
    found = subject.batch("paystubs")[:1]
    items = [_item(stub["id"], document_type="paystub", pay_date=stub["pay_date"]) for stub in found]
    return {"added": items, "deleted": []} | _job(subject, "paystubs", {"count": len(items)})


def _shifts_added(subject: Subject) -> Record:
    found = subject.batch("shifts")
    params = {"count": len(found), "sync_status": subject.sync_status}
    return _changed(subject, found) | _job(subject, "shifts", params)


def _shifts_mark(subject: Subject) -> Record:
    return _job(subject, "shifts", {"count": len(subject.batch("shifts"))})


def _tax_forms(subject: Subject) -> Record:
    found = subject.batch("tax_forms")
    items = [_item(form["id"], document_type=form["form_type"], year=form["year"]) for form in found]
    return {"added": items, "deleted": _gone(subject)} | _job(subject, "tax_forms", {})


def _switch(subject: Subject) -> Record:
    target = {"account_name": "Example Checking", "account_type": "checking", "last_four_account_number": "0000"}
    allocation = {"type": "amount", "value": 125, "target": target}
    return _job(subject, "direct_deposit_switch", {"action": "partial_switch", "allocation": allocation})


def _document(subject: Subject) -> Record:
    world, index = subject.world, subject.index
    made = _reports.documents(world.profile(index), world.ids, {})
    first = made[0] if made else {"id": world.ids.make("end_user_document", index, 0), "document_type": "paystub"}
    job = _job(subject, "document_uploads", {"document_type": first["document_type"]})
    names = ("id", "name", "timestamp", "outcome", "link_token_id", "error_code", "error_type", "params")
    return {"document_id": first["id"]} | {name: job[name] for name in names} | _of_end_user(subject)


def _reports_refreshed(subject: Subject) -> Record:
    ready = {"status": "available", "updated_at": stamp(subject.at), "refreshed_at": stamp(subject.at)}
    return _of_end_user(subject) | {"availability": {"voe": ready, "voie": ready}}


def _company_data(subject: Subject) -> Record:
    people = _companies.employees(subject.world.ids, 0, subject.world.end) if subject.outcome == "success" else []
    return {
        **_company(subject),
        "outcome": subject.outcome,
        **(_ERROR if subject.outcome == "error" else _NO_ERROR),
        "added": [_companies.external_id(person) for person in people],
        "updated": [],
        "deleted": [],
    }


def _company(subject: Subject) -> Record:
    made = _companies.connection(subject.world.ids, 0, subject.world.end)
    return {"company_connection_id": made["id"], "company_name": made["company_name"]}


def _company_status(subject: Subject) -> Record:
    return _company(subject) | {"status": "data_available", "status_updated_at": stamp(subject.at)}


def _bill(subject: Subject) -> Record:
    merchant = _directory.platform(subject.world.ids, _directory.MERCHANT)
    return {
        "id": subject.world.ids.make("bill", subject.index),
        **_of_end_user(subject),
        "platform_id": merchant["id"],
        "platform_name": merchant["name"],
        "detection_method": "external_plaid",
        "frequency": "monthly",
        "next_payment_amount_cents": 1_599,
        "next_payment_date": stamp(subject.at + timedelta(days=16)),
        "last_payment_date": stamp(subject.at - timedelta(days=15)),
        "first_seen_at": stamp(subject.at),
        "payment": {"card_name": "Example Card", "last_four_card_number": "0000"},
    }


def _bill_switch(subject: Subject) -> Record:
    bill = _bill(subject)
    same = ("frequency", "next_payment_date", "next_payment_amount_cents")
    params = {
        "bill_id": bill["id"],
        "is_integrated_switch": True,
        "detection_method": "external_plaid",
        "type": "card",
        "payment": bill["payment"],
        **{name: bill[name] for name in same},
    }
    return _with_platform(_job(subject, "bill_switch", params), bill)


def _bill_cancelled(subject: Subject) -> Record:
    bill = _bill(subject)
    params = {"bill_id": bill["id"], "is_integrated_cancellation": False, "frequency": bill["frequency"]}
    return _with_platform(_job(subject, "bill_cancellation", params), bill)


def _with_platform(job: Record, bill: Record) -> Record:
    return job | {name: bill[name] for name in ("platform_id", "platform_name")}


def _changed(subject: Subject, found: Sequence[Facts]) -> Record:
    return {"added": [_item(item["id"]) for item in found], "deleted": _gone(subject)}


def _gone(subject: Subject) -> list[Any]:
    return [_item(item_id) for item_id in subject.gone]


def _item(
    item_id: str, *, document_type: str | None = None, year: int | None = None, pay_date: str | None = None
) -> Any:
    return {"id": item_id, "document_type": document_type, "year": year, "pay_date": pay_date}


def _pay_window(found: Sequence[Facts]) -> Record:
    if not found:
        return {"count": 0}
    days = sorted([stub["pay_date"] for stub in found])
    return {"count": len(found), "from_pay_date": days[0], "to_pay_date": days[-1]}


_PAYLOADS: Mapping[str, Callable[[Subject], Record]] = {
    "account.added": _account_added,
    "account.monitoring_status.updated": _monitoring_status,
    "account.additional_connections_recommended": _connections_recommended,
    **{f"{name}.added": _plain_job(name) for name in ("employment", "identity", "income", "paycheck_viewer")},
    **{f"{name}.added": _plain_job(name) for name in ("direct_deposit_allocations", "payout_cards")},
    "paystubs.added": _paystubs_added,
    "shifts.added": _shifts_added,
    **{f"paystubs.{mark}_synced": _paystubs_mark for mark in ("seven_days", "thirty_days", "ninety_days", "fully")},
    **{f"shifts.{mark}_synced": _shifts_mark for mark in ("seven_days", "thirty_days", "ninety_days", "fully")},
    "paystubs.documents.added": _paystubs_documents,
    "tax_forms.added": _tax_forms,
    "direct_deposit_switch.added": _switch,
    "direct_deposit_payment.added": lambda subject: _job(subject, "direct_deposit_payment", {"amount": 7_500}),
    "card_switch.added": lambda subject: _job(subject, "card_switch", {"card_name": "Example Card"}),
    "documents.added": _document,
    "earnings_stream.payouts.refreshed": _of_end_user,
    "verification_reports.refreshed": _reports_refreshed,
    **{f"company_connect.{kind}.added": _company_data for kind in ("census", "employments", "incomes")},
    "company_connect.status.updated": _company_status,
    **{f"bill.{what}": _bill for what in ("added", "updated", "reminder", "removed")},
    "bill_switch.added": _bill_switch,
    "bill_switch.cancelled": _bill_cancelled,
}
