"""The protocol that every endpoint shares, over a real socket."""

import asyncio
import logging
import re

import aiohttp
import pytest

from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.testing import FakePinwheel, Fault

PATH = "/v1/accounts"


async def error(response: aiohttp.ClientResponse) -> dict:
    """The error in an envelope, with its status checked."""
    found = (await response.json())["error"]
    assert response.status == found["status_code"]
    return found


@pytest.mark.parametrize("headers", [{}, {"x-api-secret": "wrong"}, {"Authorization": "Bearer fake-secret"}])
async def test_wrong_secret(fake, headers):
    """Without the right secret everything is 401."""
    async with aiohttp.ClientSession(fake.base_url) as session, session.get(PATH, headers=headers) as response:
        assert "UNAUTHORIZED_REQUEST" == (await error(response))["type"]
        assert 401 == response.status


async def test_admin_needs_bearer(session):
    """The Admin API does not take the secret."""
    async with session.get("/v1/admin/api_keys") as response:
        assert 401 == response.status


@pytest.mark.parametrize("version", [None, "", "2021-07-28", "2030-01-01", "latest"])
async def test_wrong_version(fake, version):
    """A version that is missing, sunset or unknown is 400."""
    headers = {"x-api-secret": fake.api_secret} | ({} if version is None else {"Pinwheel-Version": version})
    async with aiohttp.ClientSession(fake.base_url) as session, session.get(PATH, headers=headers) as response:
        assert "INVALID_REQUEST_PARAMETERS" == (await error(response))["type"]
        assert 400 == response.status


async def test_version_is_echoed(session):
    """The answer names the version that was asked for."""
    async with session.get(PATH, headers={"Pinwheel-Version": "2023-11-22"}) as response:
        assert "2023-11-22" == response.headers["Pinwheel-Version"]


async def test_request_ids(session):
    """Each answer has an id of its own, errors too."""
    ids = set()
    for path in (PATH, PATH, "/v1/nowhere"):
        async with session.get(path) as response:
            ids.add(response.headers["X-Pinwheel-Request-Id"])

    assert 3 == len(ids)


async def test_json_without_charset(session):
    """Answers are JSON, said as the API says it."""
    async with session.get(PATH) as response:
        assert "application/json" == response.headers["Content-Type"]


async def test_unknown_path(session):
    """A path that the API does not have is 404."""
    async with session.get("/v1/nowhere") as response:
        assert "RECORD_NOT_FOUND" == (await error(response))["type"]


async def test_unknown_method(session):
    """A method that a path does not have is 405, and says which it has."""
    async with session.delete(PATH) as response:
        await error(response)
        assert (405, "GET") == (response.status, response.headers["Allow"])


@pytest.mark.parametrize(
    "path",
    [
        "/v1/accounts/nobody",
        "/v1/accounts/00000000-0000-4000-a000-000000000000/income",
        "/v1/accounts/{account}/paystubs/nothing",
        "/v1/accounts/{account}/tax_forms/nothing",
        "/v1/end_users/nobody/accounts",
        "/v1/end_users/end_user_000000/documents/nothing",
        "/v1/employers/nothing",
        "/v1/employers/lookup?ein=990000000",
        "/v1/platforms/nothing",
        "/v1/webhooks/nothing",
        "/v1/company_connections/nothing",
        "/v1/company_connections/nothing/census",
        "/v1/company_connections/{company}/paystubs/nobody",
        "/v1/jobs?account_id=nobody",
    ],
)
async def test_unknown_ids(fake, session, path):
    """An id of nothing is 404."""
    ids = {"account": fake.world.account_id(0), "company": next(iter(fake.world.resources.connections))}
    async with session.get(path.format_map(ids)) as response:
        assert "RECORD_NOT_FOUND" == (await error(response))["type"]
        assert 404 == response.status


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "", "1.5", "²"])
async def test_wrong_limit(session, limit):
    """A limit that is not 1 to 100 is 400 and named."""
    async with session.get(PATH, params={"limit": limit}) as response:
        assert "limit" == (await error(response))["fields"][0]["name"]


async def test_default_page(get):
    """A page has 25 items unless asked otherwise, and says how many."""
    page = await get(PATH)

    assert (25, 25) == (len(page["data"]), page["meta"]["count"])


@pytest.mark.parametrize("limit", ["1", "7", "25", "100"])
async def test_walk(fake, walk, limit):
    """Page by page every account comes exactly once, in order."""
    assert list(fake.world.account_ids()) == [account["id"] for account in await walk(PATH, limit=limit)]


async def test_last_page(get):
    """A page that happens to be full and last has no cursor."""
    page = await get(f"{PATH}?limit=40")

    assert (40, None) == (page["meta"]["count"], page["meta"]["next_cursor"])


async def test_cursors_differ(get):
    """The same page has another cursor on each call."""
    cursors = {(await get(PATH))["meta"]["next_cursor"] for _ in range(5)}

    assert 5 == len(cursors)


async def test_cursor_of_another_list(get, session):
    """A cursor works only where it came from, with the same filters."""
    cursor = (await get(PATH))["meta"]["next_cursor"]
    for path, query in (("/v1/employers", {}), (PATH, {"connected": "true"})):
        async with session.get(path, params={**query, "cursor": cursor}) as response:
            assert "INVALID_REQUEST_PARAMETERS" == (await error(response))["type"]
            assert 400 == response.status


async def test_limit_may_change(get, session):
    """The limit may change from page to page."""
    cursor = (await get(f"{PATH}?limit=2"))["meta"]["next_cursor"]
    async with session.get(PATH, params={"limit": "3", "cursor": cursor}) as response:
        assert 3 == len((await response.json())["data"])


async def test_expired_cursors(fake, get, session):
    """Cursors can be made to expire; then they are 400."""
    cursor = (await get(PATH))["meta"]["next_cursor"]
    fake.expire_cursors()
    async with session.get(PATH, params={"cursor": cursor}) as response:
        assert "cursor" == (await error(response))["fields"][0]["name"]


async def test_list_grows_between_pages(fake, get, session, busy):
    """What is added in front while a list is read neither repeats nor hides what follows."""
    path = f"/v1/accounts/{busy}/paystubs"
    expected = [stub["id"] for stub in fake.world.records(busy, "paystubs")]
    first = await get(f"{path}?limit=10")
    fake.world.touch(busy, "paystubs")
    fake.world.delete(busy, "paystubs", expected[9])
    async with session.get(path, params={"limit": "100", "cursor": first["meta"]["next_cursor"]}) as response:
        rest = (await response.json())["data"]

    assert expected == [stub["id"] for stub in first["data"] + rest]


async def test_order_varies(fake, session):
    """`data` comes first in some answers and `meta` in others, as with the real API."""
    starts = set()
    for account_id in list(fake.world.account_ids())[:20]:
        async with session.get(f"/v1/accounts/{account_id}/income") as response:
            starts.add((await response.text())[:7])

    assert {'{"data"', '{"meta"'} == starts


async def test_requests_are_recorded(fake, session):
    """The fake remembers what came, by operation, and whether it had a secret."""
    await get_status(session, f"{PATH}?limit=2&connected=true")
    async with session.post("/v1/company_connections", data=b'{"company_name":"x"}') as response:
        await response.read()
    await get_status(session, "/v1/nowhere")

    first, second, third = fake.requests
    assert ("GET", PATH, ("limit", "connected")) == (first.method, first.path, first.query)
    assert ("list_accounts", "2025-07-08", True) == (first.operation, first.version, first.has_secret)
    assert b'{"company_name":"x"}' == second.body
    assert third.operation is None
    assert {"list_accounts": 1, "create_company_connection": 1, "unknown": 1} == fake.counts


async def get_status(session, path: str) -> int:
    """The status of a GET."""
    async with session.get(path) as response:
        return response.status


async def test_clear_records(fake, session):
    """The records can be emptied; the world stays."""
    account_id = fake.world.add_account()
    await get_status(session, PATH)
    fake.clear_records()

    assert (0, 0, 0) == (len(fake.requests), sum(fake.counts.values()), fake.peak_in_flight)
    assert 200 == await get_status(session, f"{PATH}/{account_id}")


async def test_peak_in_flight(fake, session):
    """The most requests at the same time are counted."""
    await asyncio.gather(*(get_status(session, PATH) for _ in range(8)))

    assert 1 <= fake.peak_in_flight <= 8


async def test_reprs_show_nothing(fake, session):
    """The reprs of the fake and its records show no id, value or secret."""
    account_id = fake.world.account_id(0)
    await get_status(session, f"{PATH}/{account_id}/paystubs?from_pay_date=2026-01-01")
    shown = repr(fake.requests[0]) + repr(fake)

    assert not [text for text in (account_id, "2026-01-01", fake.api_secret) if text in shown]


async def test_no_logs(fake, session, caplog):
    """Nothing is logged, not even the paths."""
    caplog.set_level(logging.DEBUG, "aiohttp")
    await get_status(session, f"{PATH}/{fake.world.account_id(0)}")

    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


@pytest.mark.parametrize("cut", ["before", "mid_body"])
async def test_no_logs_of_cuts(fake, session, caplog, cut):
    """A connection that is cut on order is no error to log."""
    fake.script(Fault(cut=cut))
    with pytest.raises(aiohttp.ClientError):
        # A POST, because aiohttp itself sends a GET again.
        async with session.post("/v1/company_connections", json={"company_name": "Fictional"}) as response:
            await response.read()

    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


async def test_own_port():
    """A port can be chosen, and a stopped fake can be started again on it."""
    async with FakePinwheel() as first:
        port = int(first.base_url.rpartition(":")[2])
    async with FakePinwheel(port=port) as second:
        assert f"http://127.0.0.1:{port}" == second.base_url


def test_not_started():
    """A fake that does not run has no address."""
    with pytest.raises(RuntimeError, match="not started"):
        assert FakePinwheel().base_url
    with pytest.raises(RuntimeError, match="not started"):
        FakePinwheel().expire_cursors()
    assert "not started" in repr(FakePinwheel())


async def test_stop_twice():
    """To stop a fake that does not run does nothing."""
    await FakePinwheel().stop()


async def test_same_bytes():
    """Two fakes of one seed answer the same bytes, but for what is new on each call."""
    bodies = []
    for _ in range(2):
        async with FakePinwheel(accounts=3, seed=9) as fake:
            headers = {"x-api-secret": fake.api_secret, "Pinwheel-Version": "2025-07-08"}
            async with aiohttp.ClientSession(fake.base_url, headers=headers) as session:
                bodies.append([await scrubbed(session, path) for path in readable(fake)])

    assert bodies[0] == bodies[1]


async def scrubbed(session, path: str) -> str:
    """The body of a 200 without links, their expiry, and cursors."""
    async with session.get(path) as response:
        assert 200 == response.status, path
        text = await response.text()
    return re.sub(r'"(download_url|download_url_expiration|next_cursor)":"[^"]*"', r'"\1":""', text)


def readable(fake: FakePinwheel) -> list[str]:
    """Every path of a GET that needs no more than an account or an end user."""
    values = {"account_id": fake.world.account_id(1), "end_user_id": "end_user_000001"}
    rows = [row for row in ENDPOINTS if row.method == "GET" and row.auth == "secret"]
    paths = [row.path for row in rows if set(re.findall(r"{(\w+)}", row.path)) <= set(values)]
    exact = {"/v1/search": "/v1/search?q=food", "/v1/employers/lookup": "/v1/employers/lookup?ein=000000001"}
    return [exact.get(path, path).format_map(values) for path in paths]
