"""Jobs, documents and verification reports of a whole account or end user, made up."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import groupby

from pinwheel_async.testing._world.ids import Ids
from pinwheel_async.testing._world.pay import document
from pinwheel_async.testing._world.people import Profile
from pinwheel_async.testing._world.records import Record, stamp

_JOB_NAMES = ("direct_deposit_switch", "employment", "income", "paystubs")
# The kinds of parameters of a job; the last four came with 2025-07-08 or only fit one kind of job.
_PARAMS = (
    *("document_type", "pay_date", "year", "count", "from_pay_date", "to_pay_date"),
    *("has_potential_paystubs_documents", "sync_status", "card_name", "action", "allocation", "bill_id", "type"),
    *("payment", "frequency", "next_payment_date", "next_payment_amount_cents", "is_integrated_switch"),
    *("is_integrated_cancellation", "detection_method", "reported_platform_name", "reserved_platform_id"),
)
_DOCUMENTS = ("direct_deposit_form", "paystub", "w2", "bank_statement", "verification_photo")
_NEW_ALLOCATION = "2023-11-22"


def job(profile: Profile, ids: Ids, number: int, version: str) -> Record:
    """Make one of the jobs that connected an account; before 2023-11-22 a switch has an `amount`."""
    name = _JOB_NAMES[number]
    rng = ids.random("job", profile.index, number)
    outcome = rng.choice(("success",) * 8 + ("error", "pending"))
    failed = outcome == "error"
    return {
        "id": ids.make("job", profile.index, number),
        "name": name,
        "timestamp": stamp(profile.created_at + timedelta(seconds=30 + number)),
        "outcome": outcome,
        "error_code": "accountLocked" if failed else None,
        "error_type": "userActionRequired" if failed else None,
        "link_token_id": ids.make("link_token", profile.index),
        "params": _params(profile, name, version),
        "account_id": profile.account_id,
    }


def jobs(profile: Profile, ids: Ids, version: str) -> list[Record]:
    """Make the jobs that connected an account."""
    return [job(profile, ids, number, version) for number in range(len(_JOB_NAMES))]


def announced_job(payload: Record, version: str) -> Record:
    """Return the job that an event announced, as the list of jobs shows it."""
    names = ("id", "name", "timestamp", "outcome", "error_code", "error_type", "link_token_id", "account_id")
    params: Record = dict.fromkeys(_PARAMS) | payload["params"]
    return {name: payload[name] for name in names} | {"params": _params_of(params, version)}


def _params_of(params: Record, version: str) -> Record:
    if version >= _NEW_ALLOCATION:
        return params
    new = {"action", "allocation", "card_name"}
    return {name: value for name, value in params.items() if name not in new} | {"amount": None}


def _params(profile: Profile, name: str, version: str) -> Record:
    params: Record = dict.fromkeys(_PARAMS)
    if name == "paystubs":
        params |= {"count": profile.paystubs, "sync_status": "complete", "has_potential_paystubs_documents": False}
    if version < _NEW_ALLOCATION:
        old = {key: value for key, value in params.items() if key not in {"action", "allocation", "card_name"}}
        return {**old, "amount": 25_000 if name == "direct_deposit_switch" else None}
    if name == "direct_deposit_switch":
        target = {"account_name": "Example Checking", "account_type": "checking", "last_four_account_number": "0000"}
        params |= {"action": "partial_switch", "allocation": {"type": "amount", "value": 250, "target": target}}
    return params


def documents(profile: Profile, ids: Ids, parsed: dict[str, Record]) -> list[Record]:
    """Make the documents of an end user; *parsed* holds the parsed data of one of each type."""
    rng = ids.random("documents", profile.index)
    made: list[Record] = []
    for number in range(rng.randint(0, 4)):
        document_type = _DOCUMENTS[(profile.index + number) % len(_DOCUMENTS)]
        document_id = ids.make("end_user_document", profile.index, number)
        at = profile.created_at + timedelta(minutes=number)
        made.append(
            uploaded_document(document_id, profile.end_user_id, document_type, at) | _parsed(document_type, parsed)
        )
    return made


def uploaded_document(document_id: str, end_user_id: str, document_type: str, at: datetime) -> Record:
    """Make a document that an end user uploaded, without what is parsed from it."""
    return {
        "id": document_id,
        "created_at": stamp(at),
        "end_user_id": end_user_id,
        "document": document(document_id, document_id),
        "document_type": document_type,
        **_parsed(document_type, {}),
    }


def _parsed(document_type: str, parsed: dict[str, Record]) -> Record:
    warning = {"field": "employer.name", "status": "unparsable", "message": "The field could not be read."}
    return {
        "parsed_data": parsed.get(document_type),
        "warnings": [warning] if document_type == "paystub" else None,
        "fraud": {"status": "not_suspected"} if document_type in parsed else None,
    }


def verification_report(
    kind: str, profile: Profile, ids: Ids, parts: Mapping[str, Record], stubs: list[Record]
) -> Record:
    """Make a report from identity and employment; `voie` has what `voe` has, and the income."""
    identity, employment = parts["identity"], parts["employment"]
    work = _employment(employment, stubs, profile.end.year)
    if kind == "voie":
        work["income"] = _income(parts["income"], stubs)
    report_id = ids.make(kind, profile.index)
    shared = ("date_of_birth", "last_four_ssn", "address", "phone_numbers")
    name = {"first_name": profile.first_name, "middle_name": None, "last_name": profile.last_name}
    return {
        "id": report_id,
        "updated_at": employment["updated_at"],
        "refreshed_at": stamp(profile.end),
        "employee": {"name": {**name, "full_name": profile.full_name}} | {field: identity[field] for field in shared},
        "employments": [work],
        "document": document(report_id, report_id),
        "report_type": kind,
    }


def _employment(employment: Record, stubs: list[Record], year: int) -> Record:
    return {
        "employer_name": employment["employer_name"],
        "employer_address": employment["employer_address"],
        "start_date": employment["start_date"],
        "employment_duration_months": (year - int(employment["start_date"][:4])) * 12,
        "employment_status": employment["status"],
        "employment_type": "Full time",
        "termination_date": employment["termination_date"],
        "title": employment["title"],
        "most_recent_pay_date": stubs[-1]["pay_date"] if stubs else None,
    }


def _income(income: Record, stubs: list[Record]) -> Record:
    dropped = {"taxes", "deductions", "time_off", "document"}
    newest = [{name: value for name, value in stub.items() if name not in dropped} for stub in stubs[:-3:-1]]
    years = [_annual(year, list(of_year)) for year, of_year in groupby(stubs, lambda stub: stub["pay_date"][:4])]
    names = ("pay_frequency", "compensation_unit", "compensation_amount", "currency")
    return {name: income[name] for name in names} | {"annual_incomes": years[:-4:-1], "paystubs": newest}


def _annual(year: str, stubs: list[Record]) -> Record:
    categories: dict[str, int] = {}
    for line in (line for stub in stubs for line in stub["earnings"]):
        categories[line["category"]] = categories.get(line["category"], 0) + line["amount"]
    return {
        "year": year,
        "gross_pay_ytd": stubs[-1]["gross_pay_ytd"],
        "net_pay_ytd": stubs[-1]["net_pay_ytd"],
        "total_deductions_ytd": sum(stub["total_deductions"] for stub in stubs),
        "total_reimbursements_ytd": sum(stub["total_reimbursements"] for stub in stubs),
        "total_taxes_ytd": sum(stub["total_taxes"] for stub in stubs),
        "earnings_ytds": [{"amount": amount, "category": name} for name, amount in categories.items()],
    }
