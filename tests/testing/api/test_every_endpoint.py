"""Every row of the API table is served, and what comes is what the row promises."""

import re
from typing import Any

import aiohttp
import attrs
import pytest

from pinwheel_async._core.endpoint import item, nothing, page
from pinwheel_async._core.model import Model
from pinwheel_async._core.reply import read_reply
from pinwheel_async._core.wire import Response
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.models.company_connect import CompanyConnectLinkTokenRequest
from pinwheel_async.models.document import Document
from pinwheel_async.models.paystub import Paystub
from pinwheel_async.testing import FakePinwheel, make
from pinwheel_async.testing._api.handlers import HANDLERS

BODIES: dict[str, dict[str, Any]] = {
    "WebhookRequest": {"url": "https://www.example.com/hook", "enabled_events": ("paystubs.added",)},
    "SandboxMonitoringStatusRequest": {"monitoring_status": "user_action_required"},
}
READABLE = [row for row in ENDPOINTS if row.method == "GET" and row.auth == "secret" and not row.deprecated]
QUERIES = {"search": {"q": "foods"}, "lookup_employer": {"ein": "000000003"}}


async def reply(session, row, *, values=None, bearer=None) -> Any:
    """What the library makes of the answer to a good request for a row."""
    names = re.findall(r"{(\w+)}", row.path)
    body = make(row.body, **BODIES.get(row.body.__name__, {})) if row.body else None
    request = row.request(
        path={name: (values or {}).get(name, name) for name in names}, query=QUERIES.get(row.operation), body=body
    )
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with session.request(row.method, request.target, data=request.body, headers=headers) as response:
        lower = {name.lower(): value for name, value in response.headers.items()}
        answer = Response(status=response.status, headers=lower, body=await response.read())
    return read_reply(row, answer, version="2025-07-08")


@pytest.fixture
async def values(fake, session, get, busy) -> dict[str, str]:
    """An existing id for every placeholder."""
    profile = fake.world.profile(fake.world.index(busy))
    owners = [f"end_user_{number:06d}" for number in range(8)]
    documents = [document for owner in owners for document in (await get(f"/v1/end_users/{owner}/documents"))["data"]]
    company = (await get("/v1/company_connections"))["data"][0]["id"]
    person = (await get(f"/v1/company_connections/{company}/census"))["data"][0]
    hook = {"url": "https://www.example.com", "status": "active", "version": "2025-07-08"}
    body = hook | {"enabled_events": ["paystubs.added"]}
    async with session.post("/v1/webhooks", json=body) as response:
        webhook = (await response.json())["data"]["id"]
    return {
        "account_id": busy,
        "end_user_id": documents[0]["end_user_id"],
        "document_id": documents[0]["id"],
        "paystub_id": fake.world.records(busy, "paystubs")[0]["id"],
        "tax_form_id": fake.world.records(busy, "tax_forms")[0]["id"],
        "employer_id": fake.world.ids.make("employer", profile.employer),
        "platform_id": fake.world.ids.make("platform", profile.platform),
        "company_connection_id": company,
        "employee_external_id": person["employee_external_id"],
        "webhook_id": webhook,
        "api_key": next(iter(fake.world.resources.keys)),
        "token_id": fake.world.ids.make("link_token", 0),
    }


@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: row.operation)
async def test_every_row(session, values, row):
    """A good request gets a success that decodes into the row's result, with nothing to forgive."""
    token = None
    if row.auth == "bearer":
        async with session.post("/v1/admin/token", json={"username": "a", "password": "b"}) as response:
            token = (await response.json())["data"]["token"]
    answer = await reply(session, row, values=values, bearer=token)

    assert () == answer.drift
    assert (row.result is None) == (answer.value is None)


@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: row.operation)
def test_every_row_has_a_handler(row):
    """No row is left to the made-up answers; those are for rows to come."""
    assert row.operation in HANDLERS


def test_no_handler_without_a_row():
    """Every handler answers a row."""
    assert {row.operation for row in ENDPOINTS} == set(HANDLERS)


@pytest.mark.parametrize("row", READABLE, ids=lambda row: row.operation)
async def test_every_field_is_there(session, values, get, row):
    """No field is left out of an answer, unless its absence is documented: what has no value is null."""
    query = "".join(f"?{name}={value}" for name, value in QUERIES.get(row.operation, {}).items())
    quoted = {name: value.replace("/", "%2F") for name, value in values.items()}
    answer = await get(row.path.format_map(quoted) + query)
    first = answer["data"][0] if row.shape == "page" else answer["data"]

    assert {attribute.metadata.get("wire", attribute.name) for attribute in attrs.fields(row.result)} == set(first)
    if row.meta:
        documented = {attribute.name for attribute in attrs.fields(row.meta)}
        assert documented - ({"next_cursor"} if row.ends_silently else set()) == set(answer["meta"])


NEW: tuple[Any, ...] = (
    page("list_new_things", "/v1/new_things", Paystub),
    item("get_new_thing", "GET", "/v1/new_things/{thing_id}", Document),
    item("create_new_thing", "POST", "/v1/new_things", Document, body=CompanyConnectLinkTokenRequest),
    nothing("end_new_thing", "POST", "/v1/new_things/{thing_id}/end"),
)


@pytest.mark.parametrize("row", NEW, ids=lambda row: row.operation)
async def test_new_row(row):
    """A row without a handler gets a made-up answer of the right shape, the same each time."""
    async with FakePinwheel(endpoints=NEW) as fake:
        headers = {"x-api-secret": fake.api_secret, "Pinwheel-Version": "2025-07-08"}
        async with aiohttp.ClientSession(fake.base_url, headers=headers) as session:
            first, second = await reply(session, row), await reply(session, row)

    assert first.value == second.value
    assert isinstance(first.value, Model) == (row.result is not None)
