"""Handlers of accounts and end users."""

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

import msgspec

from pinwheel_async._core.converter import encode
from pinwheel_async._core.model import Model
from pinwheel_async.models.uploaded import UploadedBankStatement, UploadedPaystub, UploadedW2
from pinwheel_async.products import Product
from pinwheel_async.testing._api.handlers import Answer, by_id, handles, item, listing
from pinwheel_async.testing._api.request import Call, Item, Listing, Nothing
from pinwheel_async.testing._api.validation import read_body
from pinwheel_async.testing._generic import make_generic
from pinwheel_async.testing._world import pay as _pay, reports as _reports
from pinwheel_async.testing._world.people import refreshed_at
from pinwheel_async.testing._world.records import Entry, Record, RefusedError, not_found, stamp
from pinwheel_async.testing._world.world import World

_Limit: TypeAlias = tuple[str, Any, Any]
"""A fact, the least it may be, and the most; None for no limit."""

_JOB_RANKS = 1_000
"""Ranks that each account has for its jobs: more than it ever has jobs, so that a rank leads back to the account."""

_UPLOADED: dict[str, type[Model]] = {
    "paystub": UploadedPaystub,
    "w2": UploadedW2,
    "bank_statement": UploadedBankStatement,
}


@handles("list_accounts")
def _list_accounts(world: World, call: Call) -> Answer:
    wanted = {
        "connected": call.flag("connected"),
        "monitoring_status": call.choice(
            *("monitoring_status", "active", "degraded", "user_action_required", "customer_disabled", "unavailable")
        ),
    }
    filters = {name: value for name, value in wanted.items() if value is not None}
    accounts = world.accounts(call.after)
    return Listing(entry for entry in accounts if all(entry.facts[name] == value for name, value in filters.items()))


@handles("list_end_user_accounts")
def _list_end_user_accounts(world: World, call: Call) -> Answer:
    return Listing(world.entries(index, "account")[0] for index in world.accounts_of(call.path["end_user_id"]))


@handles("get_account")
def _get_account(world: World, call: Call) -> Answer:
    return _account(world, call)


@handles("disable_monitoring")
def _disable_monitoring(world: World, call: Call) -> Answer:
    world.edit_account(call.path["account_id"], monitoring_status="customer_disabled")
    return Nothing()


@handles("disconnect_account")
def _disconnect_account(world: World, call: Call) -> Answer:
    world.edit_account(call.path["account_id"], connected=False, monitoring_status="unavailable")
    return Nothing()


@handles("override_sandbox_monitoring_status")
def _override_monitoring_status(world: World, call: Call) -> Answer:
    body = read_body(call)
    if body.get("monitoring_status") is not None:
        world.edit_account(call.path["account_id"], monitoring_status=body["monitoring_status"])
    return _account(world, call)


@handles("get_identity", "get_employment", "get_income", "get_direct_deposit_allocations")
def _get_product(world: World, call: Call) -> Answer:
    product = call.row.operation.removeprefix("get_")
    index = world.index(call.path["account_id"])
    found = world.entries(index, product)
    if not found:
        raise not_found(product.replace("_", " "))
    return Item(found[0].body, {"refreshed_at": _refreshed_at(world, index, product)})


@handles("list_paystubs")
def _list_paystubs(world: World, call: Call) -> Answer:
    limits = (("pay_date", call.day("from_pay_date"), call.day("to_pay_date")),)
    return _list_product(world, call, "paystubs", limits)


@handles("list_shifts")
def _list_shifts(world: World, call: Call) -> Answer:
    limits = tuple(
        (f"{end}_date", call.day(f"from_{end}_date"), call.day(f"to_{end}_date")) for end in ("start", "end")
    )
    return _list_product(world, call, "shifts", limits)


@handles("list_tax_forms")
def _list_tax_forms(world: World, call: Call) -> Answer:
    limits = (("year", call.number("from_year"), call.number("to_year")),)
    forms = _list_product(world, call, "tax_forms", limits)
    return Listing((Entry(form.rank, _summary(form.body), form.facts) for form in forms.entries), forms.meta)


@handles("get_paystub")
def _get_paystub(world: World, call: Call) -> Answer:
    return Item(_find(world, call, "paystubs", call.path["paystub_id"]).body)


@handles("get_tax_form")
def _get_tax_form(world: World, call: Call) -> Answer:
    form = _find(world, call, "tax_forms", call.path["tax_form_id"])
    if call.flag("with_parsed_data"):
        return Item(form.body)
    return item(msgspec.json.decode(form.body) | {"parsed_data": None})


@handles("list_jobs", "legacy_list_link_token_jobs")
def _list_jobs(world: World, call: Call) -> Answer:
    outcome = call.choice("outcome", "success", "pending", "error")
    begin, end = call.moment("from_timestamp"), call.moment("to_timestamp")
    token, names = call.path.get("token_id") or call.text("link_token_id"), call.texts("job_types")

    def fits(job: Record) -> bool:
        finished = job["timestamp"]
        return (
            (outcome is None or job["outcome"] == outcome)
            and (token is None or job["link_token_id"] == token)
            and (not names or job["name"] in names)
            and (begin is None or finished >= stamp(begin))
            and (end is None or finished <= stamp(end))
        )

    return Listing(Entry(rank, msgspec.json.encode(job), {}) for rank, job in _jobs(world, call) if fits(job))


@handles("list_end_user_documents")
def _list_end_user_documents(world: World, call: Call) -> Answer:
    wanted = call.text("type")
    return listing(found for found in _documents(world, call) if wanted in {None, found["document_type"]})


@handles("get_end_user_document")
def _get_end_user_document(world: World, call: Call) -> Answer:
    return item(by_id(_documents(world, call), call.path["document_id"], "document"))


@handles("list_earnings_stream_payouts")
def _list_payouts(world: World, call: Call) -> Answer:
    index = world.accounts_of(call.path["end_user_id"])[0]
    stubs = world.records(world.account_id(index), "paystubs")[::-1]
    payouts = _pay.payouts(world.profile(index), stubs)
    moments = {name: _refreshed_at(world, index, "paystubs") for name in ("refreshed_at", "updated_at")}
    return listing(reversed(payouts), moments)


@handles("get_voe_report", "get_voie_report")
def _get_report(world: World, call: Call) -> Answer:
    index = world.accounts_of(call.path["end_user_id"])[0]
    account_id = world.account_id(index)
    kind = call.row.operation.removeprefix("get_").removesuffix("_report")
    products: tuple[Product, ...] = ("identity", "employment", *(("income",) if kind == "voie" else ()))
    parts: dict[str, Record] = {
        product: record for product in products for record in world.records(account_id, product)
    }
    if len(parts) < len(products):
        raise not_found("verification report")
    stubs = world.records(account_id, "paystubs")[::-1]
    return item(_reports.verification_report(kind, world.profile(index), world.ids, parts, stubs))


@handles("update_bill_navigator_status")
def _update_bill_navigator_status(world: World, call: Call) -> Answer:
    world.accounts_of(call.path["end_user_id"])
    read_body(call)
    return Nothing()


def _account(world: World, call: Call) -> Item:
    return Item(world.entries(world.index(call.path["account_id"]), "account")[0].body)


def _list_product(world: World, call: Call, product: str, limits: tuple[_Limit, ...]) -> Listing:
    index = world.index(call.path["account_id"])
    asked = [(name, least, most) for name, least, most in limits if least is not None or most is not None]
    meta = {"refreshed_at": _refreshed_at(world, index, product)}
    entries = world.entries(index, product)
    return Listing([entry for entry in entries if _within(entry, asked)] if asked else entries, meta)


def _within(entry: Entry, limits: list[_Limit]) -> bool:
    return all(
        (least is None or entry.facts[name] >= least) and (most is None or entry.facts[name] <= most)
        for name, least, most in limits
    )


def _find(world: World, call: Call, product: str, wanted: str) -> Entry:
    for entry in world.entries(world.index(call.path["account_id"]), product):
        if entry.facts["id"] == wanted:
            return entry
    raise not_found(product.removesuffix("s").replace("_", " "))


def _summary(form: bytes) -> bytes:
    """Leave out what a list does not show of a tax form."""
    hidden = {"document", "parsed_data", "warnings"}
    return msgspec.json.encode({name: value for name, value in msgspec.json.decode(form).items() if name not in hidden})


def _refreshed_at(world: World, index: int, product: str) -> str:
    return stamp(refreshed_at(world.profile(index), product, world.change(index, product)))


def _jobs(world: World, call: Call) -> Iterator[tuple[int, Record]]:
    """Make the jobs after the cursor, account by account, with their ranks."""
    account_id, after = call.text("account_id"), -1 if call.after is None else call.after
    first, end = 0, world.account_count
    if account_id is not None:
        first = world.index(account_id)
        end = first + 1
    for index in range(max(first, after // _JOB_RANKS), end):
        for rank, job in enumerate(_jobs_of(world, index, call.version), index * _JOB_RANKS):
            if rank > after:
                yield rank, job


def _jobs_of(world: World, index: int, version: str) -> list[Record]:
    announced = world.jobs(index)
    if announced is None:
        return _reports.jobs(world.profile(index), world.ids, version)
    return [_reports.announced_job(payload, version) for payload in announced]


def _documents(world: World, call: Call) -> list[Record]:
    uploaded = world.uploads.get(call.path["end_user_id"].strip(), [])
    try:
        index = world.accounts_of(call.path["end_user_id"])[0]
    except RefusedError:
        if not uploaded:
            raise
        return uploaded
    return [*uploaded, *_reports.documents(world.profile(index), world.ids, _parsed())]


@cache
def _parsed() -> dict[str, Record]:
    """Make the parsed data of one uploaded document of each type."""
    made = {name: make_generic(kind, document_type=name) for name, kind in _UPLOADED.items()}
    return {name: msgspec.json.decode(encode(document, nulls=True)) for name, document in made.items()}
