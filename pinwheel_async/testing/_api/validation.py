"""Validation of request bodies: the documented limits, as rules in rows."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, get_args

import msgspec
from attrs import frozen

from pinwheel_async.models.bill_navigator import BillNavigatorAction
from pinwheel_async.models.company_connect import CompanyConnectJob
from pinwheel_async.models.enums import JobType, Language, PlatformType
from pinwheel_async.models.link_token import RequiredJob, Solution, UploadRoute, UseCase
from pinwheel_async.models.webhook import WebhookEventName, WebhookStatus, WebhookVersion
from pinwheel_async.testing._api.request import Call
from pinwheel_async.testing._world.records import bad_request
from pinwheel_async.testing._world.resources import WEBHOOK_URL

Json = dict[str, Any]


@frozen
class Rule:
    """Rule for one field of a body; null counts as absent."""

    name: str
    holds: Callable[[Any], bool]
    wanted: str
    required: bool = False


def one_of(name: str, literal: Any, *, required: bool = False) -> Rule:
    """Demand a value of an enum."""
    values = get_args(literal)
    return Rule(name, lambda value: value in values, f"must be one of {', '.join(values)}", required)


def some_of(name: str, literal: Any, *, required: bool = False) -> Rule:
    """Demand a list of values of an enum, not empty."""
    values = get_args(literal)
    return Rule(
        name,
        lambda value: _all_in(value, values),
        "must be a list of documented values, not empty",
        required,
    )


def text(name: str, least: int = 1, most: int = 65_536, *, required: bool = False) -> Rule:
    """Demand text of a length."""
    return Rule(
        name,
        lambda value: isinstance(value, str) and least <= len(value.strip()) <= most,
        f"must be text of {least} to {most} characters",
        required,
    )


def pattern(name: str, form: str, wanted: str, *, required: bool = False) -> Rule:
    """Demand text of a form."""
    return Rule(name, lambda value: isinstance(value, str) and bool(re.fullmatch(form, value)), wanted, required)


def uuid(name: str) -> Rule:
    """Demand a UUID."""
    return pattern(name, "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "must be a UUID")


def flag(name: str) -> Rule:
    """Demand true or false."""
    return Rule(name, lambda value: isinstance(value, bool), "must be true or false")


def kind(name: str, type: type[Any], wanted: str) -> Rule:
    """Demand a JSON type."""
    return Rule(name, lambda value: isinstance(value, type), wanted)


def _is_moment(value: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _all_in(value: Any, values: tuple[Any, ...]) -> bool:
    try:
        names = msgspec.convert(value, list[str])
    except msgspec.ValidationError:
        return False
    return bool(names) and all(name in values for name in names)


_LINK_TOKEN = (
    text("org_name", 3, 30, required=True),
    text("end_user_id", 1, 255),
    *(uuid(name) for name in ("account_id", "employer_id", "platform_id")),
    *(flag(name) for name in ("skip_intro_screen", "disable_direct_deposit_splitting")),
    one_of("platform_type", PlatformType),
    one_of("language", Language),
    one_of("document_uploads", UploadRoute),
    one_of("deposit_forms", UploadRoute),
    *(kind(name, dict, "must be an object") for name in ("tags", "end_user", "allocation")),
)
_LINK_TOKEN_NOW = (
    *_LINK_TOKEN,
    one_of("solution", Solution, required=True),
    some_of("features", JobType),
    one_of("use_case", UseCase),
    kind("cards", list, "must be a list"),
    Rule("reseller_customer_id", lambda _: False, "is for resellers only"),
)
_URL = pattern("url", WEBHOOK_URL, "must be an https URL", required=True)
_EVENTS = some_of("enabled_events", WebhookEventName, required=True)
_STATUS = one_of("status", WebhookStatus, required=True)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "create_link_token": _LINK_TOKEN_NOW,
    "create_company_connect_link_token": (
        text("org_name", 3, 30, required=True),
        some_of("required_jobs", CompanyConnectJob),
        uuid("platform_id"),
        one_of("language", Language),
    ),
    "create_company_connection": (text("company_name", required=True),),
    "create_webhook": (_URL, _STATUS, _EVENTS, one_of("version", WebhookVersion, required=True)),
    "update_webhook": (
        pattern("url", WEBHOOK_URL, "must be an https URL"),
        one_of("status", WebhookStatus),
        some_of("enabled_events", WebhookEventName),
    ),
    "update_bill_navigator_status": (one_of("action", BillNavigatorAction, required=True), text("reason")),
    "override_sandbox_monitoring_status": (
        Rule("monitoring_status", lambda value: value == "user_action_required", "must be user_action_required"),
    ),
    "create_admin_token": (text("username", required=True), text("password", required=True)),
    "create_api_key": (Rule("expires_at", _is_moment, "must be an ISO 8601 timestamp"),),
}
OLDER_RULES: Mapping[str, tuple[str, tuple[Rule, ...]]] = {
    "create_link_token": ("2025-07-08", (*_LINK_TOKEN, some_of("required_jobs", RequiredJob))),
    "create_webhook": ("2023-04-18", (_URL, _STATUS, _EVENTS, one_of("version", WebhookVersion))),
}
"""Rules of versions before the one that is named."""


def read_body(call: Call) -> Json:
    """Return the body of a request, checked.

    Raises:
        RefusedError: It is not a JSON object, lacks a field, or breaks a documented limit.
    """
    body = _object(call.body)
    before, older = OLDER_RULES.get(call.row.operation, ("", ()))
    rules = older if call.version < before else RULES.get(call.row.operation, ())
    missing = [rule.name for rule in rules if rule.required and body.get(rule.name) is None]
    if call.row.operation == "create_link_token":
        missing += _missing_for_link(body, "features" if call.version >= before else "required_jobs")
    if missing:
        fields = [(name, "is required") for name in missing]
        raise bad_request("MISSING_FIELDS", "Required fields are absent.", *fields)
    wrong = [(rule.name, rule.wanted) for rule in rules if _breaks(rule, body.get(rule.name))]
    if wrong:
        raise bad_request("INVALID_FIELDS", "Some fields are not valid.", *wrong)
    return body


def _missing_for_link(body: Json, jobs: str) -> list[str]:
    """Return the names of the fields that a link token lacks; one for a known account needs none of them."""
    if body.get("account_id") is not None:
        return []
    return [name for name in ("end_user_id", jobs) if body.get(name) is None]


def _breaks(rule: Rule, value: Any) -> bool:
    return value is not None and not rule.holds(value)


def _object(body: bytes) -> Json:
    if not body:
        return {}
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise bad_request("INVALID_BODY", "The body is not a JSON object.") from None
    return found
