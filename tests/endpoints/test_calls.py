"""Requests of every method of every group: with the fewest arguments, and with all of them."""

import inspect
import json
import warnings
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from attrs import field, frozen

from pinwheel_async import endpoints as groups
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.endpoints._table import ENDPOINTS
from pinwheel_async.models.admin import AdminToken
from pinwheel_async.models.company_connect import CompanyConnectOptions
from pinwheel_async.models.link_token import (
    LinkTokenAllocation,
    LinkTokenBankAccount,
    LinkTokenCard,
    LinkTokenEndUser,
    PlatformMatching,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NOON_SENT = "2026-01-02T12%3A00%3A00%2B00%3A00"
DAY = date(2026, 1, 2)
ADMIN_TOKEN = AdminToken(token="bearer-1", expiration=NOON, workspace_name="w", mode="sandbox", user_role="owner")
LINK_TOKEN_DEFAULTS = {
    "skip_intro_screen": False,
    "disable_direct_deposit_splitting": False,
    "language": "en",
}
BANK = {"account_number": "12345", "routing_number": "123456789", "account_type": "checking"}


@frozen
class Case:
    """One call and the one request that it must send."""

    operation: str
    group: str
    call: Callable[[Any], Any]
    """Takes the group, calls the method."""
    sends: str
    """Method and target."""
    body: Mapping[str, Any] | None = None
    bearer: str | None = None
    version: str | None = None
    method: str = field(init=False)
    """Name of the method that `call` calls."""

    @method.default
    def _read_method(self) -> str:
        return self.call.__code__.co_names[0]

    def __str__(self) -> str:
        return f"{self.operation}-{self.sends.partition('?')[2] or 'least'}"[:60]


CASES = (
    Case("list_accounts", "AccountEndpoints", lambda g: g.list(), "GET /v1/accounts"),
    Case(
        "list_accounts",
        "AccountEndpoints",
        lambda g: g.list(connected=False, monitoring_status="active", limit=100, cursor="c=&"),
        "GET /v1/accounts?limit=100&connected=false&monitoring_status=active&cursor=c%3D%26",
    ),
    Case(
        "list_end_user_accounts",
        "AccountEndpoints",
        lambda g: g.list_for_end_user("u 1"),
        "GET /v1/end_users/u%201/accounts",
    ),
    Case(
        "list_end_user_accounts",
        "AccountEndpoints",
        lambda g: g.list_for_end_user("u", limit=1, cursor="c"),
        "GET /v1/end_users/u/accounts?limit=1&cursor=c",
    ),
    Case("get_account", "AccountEndpoints", lambda g: g.get("a1"), "GET /v1/accounts/a1"),
    Case(
        "disable_monitoring",
        "AccountEndpoints",
        lambda g: g.disable_monitoring("a1"),
        "POST /v1/accounts/a1/disable_monitoring",
    ),
    Case("disconnect_account", "AccountEndpoints", lambda g: g.disconnect("a1"), "POST /v1/accounts/a1/disconnect"),
    Case("get_identity", "IdentityEndpoints", lambda g: g.get("a1"), "GET /v1/accounts/a1/identity"),
    Case("get_income", "IncomeEndpoints", lambda g: g.get("a1"), "GET /v1/accounts/a1/income"),
    Case("get_employment", "EmploymentEndpoints", lambda g: g.get("a1"), "GET /v1/accounts/a1/employment"),
    Case(
        "get_direct_deposit_allocations",
        "DirectDepositAllocationsEndpoints",
        lambda g: g.get("a1"),
        "GET /v1/accounts/a1/direct_deposit_allocations",
    ),
    Case("list_paystubs", "PaystubEndpoints", lambda g: g.list("a1"), "GET /v1/accounts/a1/paystubs"),
    Case(
        "list_paystubs",
        "PaystubEndpoints",
        lambda g: g.list("a1", from_pay_date=DAY, to_pay_date=DAY, limit=2, cursor="c"),
        "GET /v1/accounts/a1/paystubs?from_pay_date=2026-01-02&to_pay_date=2026-01-02&limit=2&cursor=c",
    ),
    Case(
        "get_paystub",
        "PaystubEndpoints",
        lambda g: g.get(account_id="a1", paystub_id="p1"),
        "GET /v1/accounts/a1/paystubs/p1",
    ),
    Case("list_shifts", "ShiftEndpoints", lambda g: g.list("a1"), "GET /v1/accounts/a1/shifts"),
    Case(
        "list_shifts",
        "ShiftEndpoints",
        lambda g: g.list(
            "a1",
            from_start_date=DAY,
            to_start_date=date(2026, 1, 3),
            from_end_date=date(2026, 1, 4),
            to_end_date=date(2026, 1, 5),
            limit=3,
            cursor="c",
        ),
        "GET /v1/accounts/a1/shifts?from_start_date=2026-01-02&to_start_date=2026-01-03"
        "&from_end_date=2026-01-04&to_end_date=2026-01-05&limit=3&cursor=c",
    ),
    Case("list_tax_forms", "TaxFormEndpoints", lambda g: g.list("a1"), "GET /v1/accounts/a1/tax_forms"),
    Case(
        "list_tax_forms",
        "TaxFormEndpoints",
        lambda g: g.list("a1", from_year=2020, to_year=2024, limit=4, cursor="c"),
        "GET /v1/accounts/a1/tax_forms?from_year=2020&to_year=2024&limit=4&cursor=c",
    ),
    Case(
        "get_tax_form",
        "TaxFormEndpoints",
        lambda g: g.get(account_id="a1", tax_form_id="t1"),
        "GET /v1/accounts/a1/tax_forms/t1",
    ),
    Case(
        "get_tax_form",
        "TaxFormEndpoints",
        lambda g: g.get(account_id="a1", tax_form_id="t1", with_parsed_data=True),
        "GET /v1/accounts/a1/tax_forms/t1?with_parsed_data=true",
    ),
    Case("list_jobs", "JobEndpoints", lambda g: g.list(), "GET /v1/jobs"),
    Case(
        "list_jobs",
        "JobEndpoints",
        lambda g: g.list(
            link_token_id="l1",
            account_id="a1",
            job_types=["paystubs", "income"],
            outcome="success",
            from_timestamp=NOON,
            to_timestamp=NOON,
            limit=5,
            cursor="c",
        ),
        "GET /v1/jobs?link_token_id=l1&account_id=a1&job_types=paystubs&job_types=income&outcome=success&limit=5"
        f"&from_timestamp={NOON_SENT}&to_timestamp={NOON_SENT}&cursor=c",
    ),
    Case("list_employers", "EmployerEndpoints", lambda g: g.list(), "GET /v1/employers"),
    Case(
        "list_employers",
        "EmployerEndpoints",
        lambda g: g.list(last_updated=NOON, limit=6, cursor="c"),
        f"GET /v1/employers?limit=6&last_updated={NOON_SENT}&cursor=c",
    ),
    Case("get_employer", "EmployerEndpoints", lambda g: g.get("e1"), "GET /v1/employers/e1"),
    Case(
        "lookup_employer",
        "EmployerEndpoints",
        lambda g: g.lookup("012345678"),
        "GET /v1/employers/lookup?ein=012345678",
    ),
    Case("list_platforms", "PlatformEndpoints", lambda g: g.list(), "GET /v1/platforms"),
    Case(
        "list_platforms",
        "PlatformEndpoints",
        lambda g: g.list(include_esps=True, type="payroll", last_updated=NOON, limit=7, cursor="c"),
        f"GET /v1/platforms?include_esps=true&type=payroll&limit=7&last_updated={NOON_SENT}&cursor=c",
    ),
    Case("get_platform", "PlatformEndpoints", lambda g: g.get("p1"), "GET /v1/platforms/p1"),
    Case("search", "SearchEndpoints", lambda g: g.list("Acme & Co"), "GET /v1/search?q=Acme%20%26%20Co"),
    Case(
        "search",
        "SearchEndpoints",
        lambda g: g.list(
            "é",
            supported_jobs=("income",),
            response_types=["employer", "platform"],
            amount_supported=False,
            platform_type="tax",
            limit=8,
        ),
        "GET /v1/search?q=%C3%A9&supported_jobs=income&response_types=employer&response_types=platform"
        "&amount_supported=false&platform_type=tax&limit=8",
    ),
    Case("list_webhooks", "WebhookEndpoints", lambda g: g.list(), "GET /v1/webhooks"),
    Case(
        "list_webhooks",
        "WebhookEndpoints",
        lambda g: g.list(limit=9, cursor="c"),
        "GET /v1/webhooks?limit=9&cursor=c",
    ),
    Case(
        "create_webhook",
        "WebhookEndpoints",
        lambda g: g.create(url="https://a.example/", enabled_events=["income.added"], version="2025-07-08"),
        "POST /v1/webhooks",
        {
            "url": "https://a.example/",
            "status": "active",
            "enabled_events": ["income.added"],
            "version": "2025-07-08",
        },
    ),
    Case(
        "create_webhook",
        "WebhookEndpoints",
        lambda g: g.create(
            url="https://a.example/",
            enabled_events=["income.added", "shifts.added"],
            version="2023-11-22",
            status="paused",
            customer_id="c1",
        ),
        "POST /v1/webhooks",
        {
            "url": "https://a.example/",
            "status": "paused",
            "enabled_events": ["income.added", "shifts.added"],
            "version": "2023-11-22",
            "customer_id": "c1",
        },
    ),
    Case("get_webhook", "WebhookEndpoints", lambda g: g.get("w1"), "GET /v1/webhooks/w1"),
    Case("update_webhook", "WebhookEndpoints", lambda g: g.update("w1"), "PUT /v1/webhooks/w1", {}),
    Case(
        "update_webhook",
        "WebhookEndpoints",
        lambda g: g.update(
            "w1", url="https://b.example", status="active", enabled_events=("income.added",), customer_id="c"
        ),
        "PUT /v1/webhooks/w1",
        {"url": "https://b.example", "status": "active", "enabled_events": ["income.added"], "customer_id": "c"},
    ),
    Case("delete_webhook", "WebhookEndpoints", lambda g: g.delete("w1"), "DELETE /v1/webhooks/w1"),
    Case("list_end_user_documents", "DocumentEndpoints", lambda g: g.list("u"), "GET /v1/end_users/u/documents"),
    Case(
        "list_end_user_documents",
        "DocumentEndpoints",
        lambda g: g.list("u", type="direct_deposit_form"),
        "GET /v1/end_users/u/documents?type=direct_deposit_form",
    ),
    Case(
        "get_end_user_document",
        "DocumentEndpoints",
        lambda g: g.get(end_user_id="u", document_id="d"),
        "GET /v1/end_users/u/documents/d",
    ),
    Case(
        "update_bill_navigator_status",
        "BillNavigatorEndpoints",
        lambda g: g.update_status("u", action="deactivated"),
        "PUT /v1/end_users/u/bill_navigator/status",
        {"action": "deactivated"},
    ),
    Case(
        "update_bill_navigator_status",
        "BillNavigatorEndpoints",
        lambda g: g.update_status("u", action="terminated", reason="asked"),
        "PUT /v1/end_users/u/bill_navigator/status",
        {"action": "terminated", "reason": "asked"},
    ),
    Case(
        "list_earnings_stream_payouts",
        "EarningsStreamEndpoints",
        lambda g: g.list("u"),
        "GET /v1/end_users/u/earnings_stream/payouts",
    ),
    Case(
        "list_earnings_stream_payouts",
        "EarningsStreamEndpoints",
        lambda g: g.list("u", limit=10, cursor="c"),
        "GET /v1/end_users/u/earnings_stream/payouts?limit=10&cursor=c",
    ),
    Case(
        "get_voie_report",
        "VerificationReportEndpoints",
        lambda g: g.get_voie("u"),
        "GET /v1/end_users/u/verification_reports/voie",
    ),
    Case(
        "get_voe_report",
        "VerificationReportEndpoints",
        lambda g: g.get_voe("u"),
        "GET /v1/end_users/u/verification_reports/voe",
    ),
    Case(
        "list_company_connections",
        "CompanyConnectionEndpoints",
        lambda g: g.list(),
        "GET /v1/company_connections",
    ),
    Case(
        "list_company_connections",
        "CompanyConnectionEndpoints",
        lambda g: g.list(limit=11, cursor="c"),
        "GET /v1/company_connections?limit=11&cursor=c",
    ),
    Case(
        "create_company_connection",
        "CompanyConnectionEndpoints",
        lambda g: g.create("Acme"),
        "POST /v1/company_connections",
        {"company_name": "Acme"},
    ),
    Case(
        "get_company_connection",
        "CompanyConnectionEndpoints",
        lambda g: g.get("k"),
        "GET /v1/company_connections/k",
    ),
    Case(
        "list_company_census",
        "CompanyConnectionEndpoints",
        lambda g: g.list_census("k"),
        "GET /v1/company_connections/k/census",
    ),
    Case(
        "list_company_census",
        "CompanyConnectionEndpoints",
        lambda g: g.list_census("k", limit=12, cursor="c"),
        "GET /v1/company_connections/k/census?limit=12&cursor=c",
    ),
    Case(
        "list_company_employments",
        "CompanyConnectionEndpoints",
        lambda g: g.list_employments("k"),
        "GET /v1/company_connections/k/employments",
    ),
    Case(
        "list_company_employments",
        "CompanyConnectionEndpoints",
        lambda g: g.list_employments("k", limit=13, cursor="c"),
        "GET /v1/company_connections/k/employments?limit=13&cursor=c",
    ),
    Case(
        "list_company_incomes",
        "CompanyConnectionEndpoints",
        lambda g: g.list_incomes("k"),
        "GET /v1/company_connections/k/incomes",
    ),
    Case(
        "list_company_incomes",
        "CompanyConnectionEndpoints",
        lambda g: g.list_incomes("k", limit=14, cursor="c"),
        "GET /v1/company_connections/k/incomes?limit=14&cursor=c",
    ),
    Case(
        "list_company_paystubs",
        "CompanyConnectionEndpoints",
        lambda g: g.list_paystubs(company_connection_id="k", employee_external_id="7/8"),
        "GET /v1/company_connections/k/paystubs/7%2F8",
    ),
    Case(
        "list_company_paystubs",
        "CompanyConnectionEndpoints",
        lambda g: g.list_paystubs(
            company_connection_id="k",
            employee_external_id="7",
            from_pay_date=DAY,
            to_pay_date=DAY,
            limit=15,
            cursor="c",
        ),
        "GET /v1/company_connections/k/paystubs/7?from_pay_date=2026-01-02&to_pay_date=2026-01-02&limit=15&cursor=c",
    ),
    Case(
        "create_company_connect_link_token",
        "CompanyConnectionEndpoints",
        lambda g: g.create_link_token(org_name="Acme"),
        "POST /v1/company_connect/link_tokens",
        {"org_name": "Acme", "skip_intro_screen": False, "language": "en"},
    ),
    Case(
        "create_company_connect_link_token",
        "CompanyConnectionEndpoints",
        lambda g: g.create_link_token(
            org_name="Acme",
            required_jobs=["company_census"],
            company_connect=CompanyConnectOptions(company_connection_id="k"),
            platform_id="p",
            skip_intro_screen=True,
            language="es",
        ),
        "POST /v1/company_connect/link_tokens",
        {
            "org_name": "Acme",
            "required_jobs": ["company_census"],
            "company_connect": {"company_connection_id": "k"},
            "platform_id": "p",
            "skip_intro_screen": True,
            "language": "es",
        },
    ),
    Case(
        "override_sandbox_monitoring_status",
        "SandboxEndpoints",
        lambda g: g.override_monitoring_status("a1"),
        "PATCH /v1/sandbox/accounts/a1",
        {"monitoring_status": "user_action_required"},
    ),
    Case(
        "override_sandbox_monitoring_status",
        "SandboxEndpoints",
        lambda g: g.override_monitoring_status("a1", "user_action_required"),
        "PATCH /v1/sandbox/accounts/a1",
        {"monitoring_status": "user_action_required"},
    ),
    Case(
        "create_admin_token",
        "AdminEndpoints",
        lambda g: g.create_token(username="u@a.example", password="p"),
        "POST /v1/admin/token",
        {"username": "u@a.example", "password": "p"},
    ),
    Case(
        "list_api_keys",
        "AdminEndpoints",
        lambda g: g.list_api_keys("bearer-2"),
        "GET /v1/admin/api_keys",
        bearer="bearer-2",
    ),
    Case(
        "list_api_keys",
        "AdminEndpoints",
        lambda g: g.list_api_keys(ADMIN_TOKEN, limit=16, cursor="c"),
        "GET /v1/admin/api_keys?limit=16&cursor=c",
        bearer="bearer-1",
    ),
    Case(
        "create_api_key",
        "AdminEndpoints",
        lambda g: g.create_api_key("bearer-2"),
        "POST /v1/admin/api_keys",
        {},
        bearer="bearer-2",
    ),
    Case(
        "create_api_key",
        "AdminEndpoints",
        lambda g: g.create_api_key(ADMIN_TOKEN, expires_at=NOON),
        "POST /v1/admin/api_keys",
        {"expires_at": "2026-01-02T12:00:00Z"},
        bearer="bearer-1",
    ),
    Case(
        "revoke_api_key",
        "AdminEndpoints",
        lambda g: g.revoke_api_key(ADMIN_TOKEN, api_key="k/1"),
        "POST /v1/admin/api_keys/k%2F1/revoke",
        bearer="bearer-1",
    ),
    Case(
        "create_link_token",
        "LinkTokenEndpoints",
        lambda g: g.create(org_name="Acme", solution="Verify", features=["income"], end_user_id=" u "),
        "POST /v1/link_tokens",
        {
            "org_name": "Acme",
            "solution": "Verify",
            "features": ["income"],
            "end_user_id": "u",
            **LINK_TOKEN_DEFAULTS,
        },
        version="2025-07-08",
    ),
    Case(
        "create_link_token",
        "LinkTokenEndpoints",
        lambda g: g.create(
            org_name="Acme",
            solution="Switch Kit",
            features=["direct_deposit_switch", "bill_switch"],
            end_user_id="u",
            account_id="a1",
            employer_id="e1",
            platform_id="p1",
            platform_type="merchant",
            allocation=LinkTokenAllocation(
                type="amount",
                value=Decimal("123.45"),
                min_amount=Decimal(10),
                targets=(
                    LinkTokenBankAccount(
                        name="Main", type="checking", routing_number="123456789", account_number="12345"
                    ),
                ),
            ),
            disable_direct_deposit_splitting=True,
            skip_intro_screen=True,
            language="es",
            document_uploads="fallback",
            deposit_forms="disabled",
            tags={"team": "red"},
            end_user=LinkTokenEndUser(platform_matching=PlatformMatching(first_name="Ann")),
            use_case="underwriting",
            cards=[
                LinkTokenCard(
                    card_name="Card",
                    card_number="12345678",
                    expiration_date=DAY,
                    name_on_card="Ann",
                    card_zip_code="12345",
                    cvc="123",
                    billing_address="1 Road",
                    city="Town",
                    state="NY",
                )
            ],
            reseller_customer_id="r1",
        ),
        "POST /v1/link_tokens",
        {
            "org_name": "Acme",
            "solution": "Switch Kit",
            "features": ["direct_deposit_switch", "bill_switch"],
            "end_user_id": "u",
            "account_id": "a1",
            "employer_id": "e1",
            "platform_id": "p1",
            "platform_type": "merchant",
            "allocation": {
                "type": "amount",
                "value": 123.45,
                "min_amount": 10,
                "targets": [
                    {
                        "name": "Main",
                        "type": "checking",
                        "routing_number": "123456789",
                        "account_number": "12345",
                    }
                ],
            },
            "disable_direct_deposit_splitting": True,
            "skip_intro_screen": True,
            "language": "es",
            "document_uploads": "fallback",
            "deposit_forms": "disabled",
            "tags": {"team": "red"},
            "end_user": {"platform_matching": {"first_name": "Ann"}},
            "use_case": "underwriting",
            "cards": [
                {
                    "card_name": "Card",
                    "card_number": "12345678",
                    "expiration_date": "01/26",
                    "name_on_card": "Ann",
                    "card_zip_code": "12345",
                    "cvc": "123",
                    "billing_address": "1 Road",
                    "city": "Town",
                    "state": "NY",
                }
            ],
            "reseller_customer_id": "r1",
        },
        version="2025-07-08",
    ),
    Case(
        "create_link_token",
        "LinkTokenEndpoints",
        lambda g: g.create(org_name="Acme", required_jobs=("paystubs",), end_user_id="u"),
        "POST /v1/link_tokens",
        {"org_name": "Acme", "required_jobs": ["paystubs"], "end_user_id": "u", **LINK_TOKEN_DEFAULTS},
        version="2023-11-22",
    ),
    Case(
        "create_link_token",
        "LinkTokenEndpoints",
        lambda g: g.create(org_name="Acme", account_id="a1"),
        "POST /v1/link_tokens",
        {"org_name": "Acme", "account_id": "a1", **LINK_TOKEN_DEFAULTS},
        version="2023-11-22",
    ),
    Case(
        "legacy_create_link_token",
        "LinkTokenEndpoints",
        lambda g: g.create_legacy(job="direct_deposit_switch", org_name="Acme", **BANK),
        "POST /v1/link_tokens",
        {
            "job": "direct_deposit_switch",
            "org_name": "Acme",
            **BANK,
            "disable_direct_deposit_splitting": False,
            "skip_exit_survey": False,
        },
    ),
    Case(
        "legacy_create_link_token",
        "LinkTokenEndpoints",
        lambda g: g.create_legacy(
            job="direct_deposit_payment",
            org_name="Acme",
            **BANK,
            account_name="Main",
            amount=Decimal("10.00"),
            employer_id="e",
            platform_id="p",
            disable_direct_deposit_splitting=True,
            skip_exit_survey=True,
        ),
        "POST /v1/link_tokens",
        {
            "job": "direct_deposit_payment",
            "org_name": "Acme",
            **BANK,
            "account_name": "Main",
            "amount": 10.0,
            "employer_id": "e",
            "platform_id": "p",
            "disable_direct_deposit_splitting": True,
            "skip_exit_survey": True,
        },
    ),
    Case(
        "legacy_list_link_token_jobs",
        "LinkTokenEndpoints",
        lambda g: g.list_jobs("l1"),
        "GET /v1/link_tokens/l1/jobs",
    ),
    Case(
        "legacy_create_site",
        "SiteEndpoints",
        lambda g: g.create(job="direct_deposit_switch", org_name="Acme", **BANK, redirect_url="https://a.example"),
        "POST /v1/sites",
        {
            "job": "direct_deposit_switch",
            "org_name": "Acme",
            **BANK,
            "redirect_url": "https://a.example",
            "skip_exit_survey": False,
            "ttl": 900,
        },
    ),
    Case(
        "legacy_create_site",
        "SiteEndpoints",
        lambda g: g.create(
            job="direct_deposit_payment",
            org_name="Acme",
            **BANK,
            redirect_url="https://a.example",
            amount=Decimal("10.00"),
            employer_id="e",
            platform_id="p",
            skip_exit_survey=True,
            ttl=1209600,
        ),
        "POST /v1/sites",
        {
            "job": "direct_deposit_payment",
            "org_name": "Acme",
            **BANK,
            "redirect_url": "https://a.example",
            "amount": 10.0,
            "employer_id": "e",
            "platform_id": "p",
            "skip_exit_survey": True,
            "ttl": 1209600,
        },
    ),
)

GROUPS: dict[str, type[Endpoints]] = {
    name: value
    for name in groups.__all__
    if isinstance(value := getattr(groups, name), type) and issubclass(value, Endpoints)
}
ROWS = {row.operation: row for row in ENDPOINTS}


def call(case: Case, caller) -> Awaitable[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return case.call(GROUPS[case.group](caller))


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_call_sends_exactly_this_target(case, caller):
    """Method, path and query are exactly these."""
    await call(case, caller)

    assert case.sends == f"{caller.request.method} {caller.request.target}"


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_call_sends_exactly_this_body(case, caller):
    """The body is exactly this JSON, or there is none."""
    await call(case, caller)

    assert case.body == (None if caller.request.body is None else json.loads(caller.request.body))


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_call_uses_its_row_alone(case, caller):
    """A call asks once, by the row of its operation."""
    await call(case, caller)

    assert [ROWS[case.operation]] == [row for row, _ in caller.sent]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_call_carries_a_token_only_where_the_row_says(case, caller):
    """The bearer token is the one that was given, on the rows that want one and on no other."""
    await call(case, caller)

    assert (case.bearer, case.bearer is not None) == (
        caller.request.bearer,
        ROWS[case.operation].auth == "bearer",
    )


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_call_asks_for_another_version_only_with_a_link_token(case, caller):
    """Only the form of a link token request decides about the version of its call."""
    await call(case, caller)

    assert case.version == caller.request.version


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_call_returns_what_came(case, caller):
    """What the caller decoded comes back as it is; an action returns nothing."""
    answer = object() if ROWS[case.operation].result else None
    caller.will([answer])

    assert answer is await call(case, caller)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_call_passes_errors_on(case, caller):
    """What the caller raises arrives unchanged."""
    error = LookupError()
    caller.will([error])

    with pytest.raises(LookupError) as caught:
        await call(case, caller)
    assert error is caught.value


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_list_is_paged_and_all_else_is_a_coroutine(case, caller):
    """A list returns `Paged` from a plain function; every other method is a coroutine function."""
    method = getattr(GROUPS[case.group], case.method)
    result = call(case, caller)
    await result

    assert (
        (ROWS[case.operation].shape == "page")
        is isinstance(result, Paged)
        is not inspect.iscoroutinefunction(inspect.unwrap(method))
    )


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_only_what_is_gone_warns(case, caller):
    """A deprecated row has a method that warns, and no other has."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await case.call(GROUPS[case.group](caller))

    assert ROWS[case.operation].deprecated is bool(caught)


def test_every_row_has_a_method():
    """Every row of the table is called by some method."""
    assert set(ROWS) == {case.operation for case in CASES}


FOLLOWS_A_LINK = {("DocumentEndpoints", "download"), ("DocumentEndpoints", "save")}
"""Methods that call no row: they fetch a file by its link, and take an object and a path."""


def test_every_method_has_one_row():
    """No method calls two rows, and no method is missing here."""
    methods = {(case.group, case.method): case.operation for case in CASES}
    public = {
        (name, method)
        for name, group in GROUPS.items()
        for method in vars(group)
        if not method.startswith("_") and callable(getattr(group, method))
    } - FOLLOWS_A_LINK

    assert (public, len(ROWS)) == (set(methods), len(set(methods.values())))
    assert len({(case.group, case.method, case.operation) for case in CASES}) == len(methods)


@pytest.mark.parametrize("operation", ROWS)
def test_every_documented_parameter_can_be_given(operation):
    """The cases together send every query parameter of the row."""
    sent = {
        pair.partition("=")[0]
        for case in CASES
        if case.operation == operation
        for pair in case.sends.partition("?")[2].split("&")
        if pair
    }

    assert set(ROWS[operation].query) == sent


@pytest.mark.parametrize("group", GROUPS)
def test_two_ids_are_never_positional(group):
    """A method takes one argument by position at most, or a token or account and what it is put into."""
    for name, method in inspect.getmembers(GROUPS[group], inspect.isfunction):
        if not name.startswith("_") and (group, name) not in FOLLOWS_A_LINK:
            ids = [
                parameter.name
                for parameter in inspect.signature(method).parameters.values()
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
                and parameter.name != "self"
                and parameter.default is parameter.empty
            ]
            assert len(ids) <= 1, name


@pytest.mark.parametrize("group", GROUPS)
def test_every_method_says_what_it_does(group):
    """Every group and every method has a docstring."""
    methods = [value for name, value in vars(GROUPS[group]).items() if not name.startswith("_")]

    assert all(inspect.getdoc(documented) for documented in [GROUPS[group], *methods])
