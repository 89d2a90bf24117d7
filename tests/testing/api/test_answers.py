"""What each operation answers: filters, limits, changes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import quote

import pytest

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
WEBHOOK = {
    "url": "https://www.example.com/hook",
    "status": "active",
    "enabled_events": ["paystubs.added"],
    "version": "2025-07-08",
}
LINK = {"org_name": "Fictional App", "solution": "Verify", "features": ["paystubs"], "end_user_id": "user 1"}


async def send(session, method, path, body=None, **headers):
    """Status and JSON of an answer; None where there is no body."""
    async with session.request(method, path, json=body, headers=headers) as response:
        return response.status, await response.json() if await response.read() else None


async def problems(session, method, path, body, **headers) -> list[str]:
    """Names of the fields that a 400 complains of."""
    status, answer = await send(session, method, path, body, **headers)
    assert 400 == status, answer
    return [field["name"] for field in answer["error"].get("fields", [])]


@pytest.mark.parametrize("connected", ["true", "false"])
async def test_connected(fake, walk, connected):
    """`connected` filters accounts."""
    fake.world.edit_account(fake.world.account_id(3), connected=False)
    found = await walk("/v1/accounts", connected=connected, limit="4")

    assert found
    assert {connected == "true"} == {account["connected"] for account in found}


async def test_monitoring_status(fake, walk):
    """`monitoring_status` filters accounts."""
    fake.world.edit_account(fake.world.account_id(3), monitoring_status="customer_disabled")

    assert [fake.world.account_id(3)] == [
        account["id"] for account in await walk("/v1/accounts", monitoring_status="customer_disabled")
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/accounts?connected=maybe", "connected"),
        ("/v1/accounts?monitoring_status=lazy", "monitoring_status"),
        ("/v1/accounts/{account}/paystubs?from_pay_date=yesterday", "from_pay_date"),
        ("/v1/accounts/{account}/tax_forms?from_year=MMXX", "from_year"),
        ("/v1/jobs?from_timestamp=now", "from_timestamp"),
        ("/v1/jobs?outcome=good", "outcome"),
        ("/v1/employers/lookup?ein=1", "ein"),
        ("/v1/employers/lookup", "ein"),
        ("/v1/search", "q"),
        ("/v1/platforms?type=piano", "type"),
    ],
)
async def test_bad_filter(fake, session, path, name):
    """A filter that makes no sense is 400 and named."""
    assert [name] == await problems(session, "GET", path.format(account=fake.world.account_id(0)), None)


async def test_pay_dates(fake, walk, busy):
    """Both limits of the pay date are inclusive."""
    dates = [stub["pay_date"] for stub in fake.world.records(busy, "paystubs")]
    found = await walk(f"/v1/accounts/{busy}/paystubs", from_pay_date=dates[20], to_pay_date=dates[5], limit="4")

    assert dates[5:21] == [stub["pay_date"] for stub in found]


@pytest.mark.parametrize("end", ["start_date", "end_date"])
async def test_shift_dates(fake, walk, busy, end):
    """All limits of shifts are inclusive."""
    shifts = fake.world.records(busy, "shifts")
    low, high = shifts[20][end], shifts[5][end]
    found = await walk(f"/v1/accounts/{busy}/shifts", **{f"from_{end}": low, f"to_{end}": high})

    assert [shift["id"] for shift in shifts if low <= shift[end] <= high] == [shift["id"] for shift in found]


async def test_years(fake, walk, busy):
    """Both limits of the year of tax forms are inclusive."""
    year = str(fake.world.records(busy, "tax_forms")[1]["year"])

    assert [int(year)] == [
        form["year"] for form in await walk(f"/v1/accounts/{busy}/tax_forms", from_year=year, to_year=year)
    ]


async def test_tax_form_list_is_short(get, busy):
    """A list of tax forms holds no documents."""
    form = (await get(f"/v1/accounts/{busy}/tax_forms"))["data"][0]

    assert {"id", "created_at", "account_id", "form_type", "year"} == set(form)


@pytest.mark.parametrize("parsed", [True, False])
async def test_parsed_data(fake, get, busy, parsed):
    """The boxes of a W-2 come only when asked for."""
    form_id = fake.world.records(busy, "tax_forms")[0]["id"]
    query = "?with_parsed_data=true" if parsed else ""
    form = (await get(f"/v1/accounts/{busy}/tax_forms/{form_id}{query}"))["data"]

    assert parsed == (form["parsed_data"] is not None)


async def test_get_paystub(get, busy):
    """A single paystub says what the list says of it, but for the link."""
    listed = (await get(f"/v1/accounts/{busy}/paystubs"))["data"][3]
    single = (await get(f"/v1/accounts/{busy}/paystubs/{listed['id']}"))["data"]

    assert {**listed, "document": None} == {**single, "document": None}


async def test_shift_offsets(get, busy):
    """Clock times of shifts have the local offset and no fraction."""
    shift = (await get(f"/v1/accounts/{busy}/shifts"))["data"][0]

    assert all(times["from"][-6] == "-" and "." not in times["from"] for times in shift["timestamps"])


async def test_document_links(fake, get, session, busy):
    """A link is new on each call, good for 900 s, and needs no header."""
    fake.world.set_clock(NOON)
    path = f"/v1/accounts/{busy}/paystubs"
    first, second = [next(stub["document"] for stub in (await get(path))["data"] if stub["document"]) for _ in range(2)]

    assert first["download_url"] != second["download_url"]
    assert NOON + timedelta(seconds=900) == datetime.fromisoformat(first["download_url_expiration"])
    async with session.get(first["download_url"], headers={"x-api-secret": "none"}) as response:
        assert (200, "application/pdf") == (response.status, response.content_type)


@pytest.mark.parametrize(
    ("mend", "after_s"),
    [
        (lambda url: url, 900),
        (lambda url: url.replace("token=", "token=0"), 0),
        (lambda url: url.replace("token=", "other="), 0),
        (lambda url: url.partition("?")[0], 0),
    ],
)
async def test_bad_document_links(fake, get, session, busy, mend, after_s):
    """A link that expired, was changed or has no token is 403."""
    fake.world.set_clock(NOON)
    stubs = (await get(f"/v1/accounts/{busy}/paystubs"))["data"]
    url = mend(next(stub["document"]["download_url"] for stub in stubs if stub["document"]))
    fake.world.set_clock(NOON + timedelta(seconds=after_s))
    async with session.get(url) as response:
        assert 403 == response.status


async def test_meta_follows_a_touch(fake, get, busy):
    """`refreshed_at` moves when a product was touched."""
    before = (await get(f"/v1/accounts/{busy}/income"))["meta"]["refreshed_at"]
    fake.world.touch(busy, "income")

    assert before < (await get(f"/v1/accounts/{busy}/income"))["meta"]["refreshed_at"]


async def test_disconnect(fake, session, get):
    """A disconnected account stays readable and is not connected; twice is as good as once."""
    path = f"/v1/accounts/{fake.world.account_id(0)}"
    assert [(204, None)] * 2 == [await send(session, "POST", f"{path}/disconnect") for _ in range(2)]

    assert not (await get(path))["data"]["connected"]
    assert (await get(f"{path}/income"))["data"]


async def test_disable_monitoring(fake, session, get):
    """Monitoring that was disabled says so."""
    path = f"/v1/accounts/{fake.world.account_id(0)}"
    assert (204, None) == await send(session, "POST", f"{path}/disable_monitoring")

    assert "customer_disabled" == (await get(path))["data"]["monitoring_status"]


async def test_sandbox_status(fake, session, get):
    """The sandbox can be told the one monitoring status that it takes."""
    account_id = fake.world.account_id(0)
    body = {"monitoring_status": "user_action_required"}
    _, answer = await send(session, "PATCH", f"/v1/sandbox/accounts/{account_id}", body)

    assert "user_action_required" == answer["data"]["monitoring_status"]
    assert "user_action_required" == (await get(f"/v1/accounts/{account_id}"))["data"]["monitoring_status"]
    assert ["monitoring_status"] == await problems(
        session, "PATCH", f"/v1/sandbox/accounts/{account_id}", {"monitoring_status": "active"}
    )


async def test_empty_sandbox_status(fake, session):
    """A sandbox override that says nothing changes nothing."""
    status, answer = await send(session, "PATCH", f"/v1/sandbox/accounts/{fake.world.account_id(0)}", {})

    assert (200, "active") == (status, answer["data"]["monitoring_status"])


async def test_end_user_accounts(fake, walk):
    """An end user's accounts are listed, encoded names and blanks at the ends included."""
    added = fake.world.add_account(end_user_id="a/b c")

    assert [added] == [account["id"] for account in await walk("/v1/end_users/%20a%2Fb%20c%20/accounts")]


async def test_jobs_of_an_account(fake, walk):
    """Jobs can be filtered by account, and come exactly once."""
    account_id = fake.world.account_id(4)
    found = await walk("/v1/jobs", account_id=account_id, limit="3")

    assert [account_id] * 4 == [job["account_id"] for job in found]
    assert 4 == len({job["id"] for job in found})


async def test_every_job(walk):
    """All jobs come exactly once."""
    assert 160 == len({job["id"] for job in await walk("/v1/jobs", limit="100")})


async def test_job_filters(fake, walk):
    """Jobs can be filtered by outcome, name, link token and time."""
    everything = await walk("/v1/jobs", limit="100")
    times = sorted(job["timestamp"] for job in everything)

    assert {"error"} == {job["outcome"] for job in await walk("/v1/jobs", outcome="error")}
    assert {"income"} == {job["name"] for job in await walk("/v1/jobs", job_types="income")}
    token = everything[0]["link_token_id"]
    assert {token} == {job["link_token_id"] for job in await walk("/v1/jobs", link_token_id=token)}
    first, last = times[10].replace("+", "%2B"), times[12].replace("+", "%2B")
    found = await walk("/v1/jobs", from_timestamp=first, to_timestamp=last)
    assert times[10:13] == sorted(job["timestamp"] for job in found)


@pytest.mark.parametrize(("version", "new"), [("2025-07-08", True), ("2023-11-22", True), ("2023-07-18", False)])
async def test_switch_params(fake, session, version, new):
    """Before 2023-11-22 a deposit switch has an amount, since then an allocation."""
    path = f"/v1/jobs?job_types=direct_deposit_switch&account_id={fake.world.account_id(0)}"
    _, answer = await send(session, "GET", path, **{"Pinwheel-Version": version})
    params = answer["data"][0]["params"]

    assert (new, not new) == ("allocation" in params, "amount" in params)


async def test_employers_changed_since(walk):
    """`last_updated` keeps what changed after that moment."""
    everything = await walk("/v1/employers")
    since = everything[30]["last_updated"].replace("+", "%2B")

    assert everything[31:] == await walk("/v1/employers", last_updated=since)


async def test_lookup_employer(get, walk):
    """An employer is found by its number."""
    employers = await walk("/v1/employers")

    assert employers[7] == (await get("/v1/employers/lookup?ein=000000007"))["data"]


async def test_platform_filters(walk):
    """Platforms can be filtered by type, and portals of employers come only when asked for."""
    few, many = await walk("/v1/platforms"), await walk("/v1/platforms", include_esps="true")

    assert len(few) < len(many)
    assert {"tax"} == {platform["type"] for platform in await walk("/v1/platforms", type="tax")}


async def test_undocumented_jobs(walk):
    """Platforms list jobs that no documentation lists there, as the real ones do."""
    jobs = {job for platform in await walk("/v1/platforms") for job in platform["supported_jobs"]}

    assert "company_paystubs" in jobs


async def test_search(get):
    """Search finds names that hold the text, in any case, without a cursor."""
    page = await get("/v1/search?q=FOODS&limit=3")

    assert {"count": 3} == page["meta"]
    assert all("Foods" in hit["name"] for hit in page["data"])


async def test_search_filters(get):
    """Search filters by kind, platform type, jobs and amounts."""
    query = "q=i&limit=100"
    kinds = await get(f"/v1/search?{query}&response_types=platform&platform_type=tax")
    jobs = await get(f"/v1/search?{query}&supported_jobs=shifts&supported_jobs=tax_forms")
    amounts = await get(f"/v1/search?{query}&amount_supported=false")

    assert {("platform", "tax")} == {(hit["response_type"], hit["platform_type"]) for hit in kinds["data"]}
    assert all({"shifts", "tax_forms"} <= set(hit["supported_jobs"]) for hit in jobs["data"])
    assert {False} == {hit["amount_supported"] for hit in amounts["data"]}


async def test_search_ignores_cursors(get):
    """Search knows no cursor, so one that is sent is not looked at."""
    assert (await get("/v1/search?q=foods&cursor=nonsense"))["data"]


async def test_documents(walk, get):
    """Documents of end users can be filtered by type and read one by one."""
    owners = [f"end_user_{number:06d}" for number in range(8)]
    found = [document for owner in owners for document in await walk(f"/v1/end_users/{owner}/documents")]
    uploads = [document for document in found if document["document_type"] == "paystub"]

    assert uploads
    for upload in uploads:
        path = f"/v1/end_users/{upload['end_user_id']}/documents"
        assert {"paystub"} == {each["document_type"] for each in await walk(path, type="paystub")}
        assert "paystub" == (await get(f"{path}/{upload['id']}"))["data"]["parsed_data"]["document_type"]


async def test_payouts(fake, walk, busy):
    """Payouts come newest first: two estimated ones, then those that were paid."""
    owner = fake.world.profile(fake.world.index(busy)).end_user_id
    found = await walk(f"/v1/end_users/{owner}/earnings_stream/payouts", limit="5")

    assert ["estimated", "estimated", "processed"] == [payout["status"] for payout in found[:3]]
    assert all(payout["pay_date"] > other["pay_date"] for payout, other in pairwise(found))


@pytest.mark.parametrize("kind", ["voe", "voie"])
async def test_reports(fake, get, busy, kind):
    """A report says its kind; only the one on income has incomes."""
    owner = fake.world.profile(fake.world.index(busy)).end_user_id
    report = (await get(f"/v1/end_users/{owner}/verification_reports/{kind}"))["data"]

    assert kind == report["report_type"]
    assert (kind == "voie") == ("income" in report["employments"][0])


async def test_report_incomes(fake, get, busy):
    """A report holds the two newest paystubs and at most three years, newest first."""
    owner = fake.world.profile(fake.world.index(busy)).end_user_id
    income = (await get(f"/v1/end_users/{owner}/verification_reports/voie"))["data"]["employments"][0]["income"]
    stubs = fake.world.records(busy, "paystubs")

    assert [stub["id"] for stub in stubs[:2]] == [stub["id"] for stub in income["paystubs"]]
    years = [total["year"] for total in income["annual_incomes"]]
    assert sorted({stub["pay_date"][:4] for stub in stubs}, reverse=True)[:3] == years
    assert stubs[0]["gross_pay_ytd"] == income["annual_incomes"][0]["gross_pay_ytd"]


async def test_bill_navigator(session):
    """An end user can be terminated in Bill Navigator; other words are refused."""
    path = "/v1/end_users/end_user_000001/bill_navigator/status"

    assert (204, None) == await send(session, "PUT", path, {"action": "terminated"})
    assert ["action"] == await problems(session, "PUT", path, {"action": "forget"})


async def test_companies(walk, get):
    """A company with data lists its people, and each has the paystubs of its own number."""
    company = (await walk("/v1/company_connections"))[0]["id"]
    path = f"/v1/company_connections/{company}"
    people = await walk(f"{path}/census")
    numbers = [person["employee_external_id"] for person in people]

    assert len(set(numbers)) == len(numbers) > 25
    assert numbers == [person["employee_external_id"] for person in await walk(f"{path}/employments")]
    assert numbers == [person["employee_external_id"] for person in await walk(f"{path}/incomes")]
    stubs = [stub for number in numbers[:5] for stub in await walk(f"{path}/paystubs/{quote(number, safe='')}")]
    assert {*numbers[:5]} >= {stub["employee_external_id"] for stub in stubs}
    assert company == (await get(path))["data"]["id"]


async def test_company_pay_dates(walk):
    """Paystubs of a company can be filtered by pay date, both limits inclusive."""
    company = (await walk("/v1/company_connections"))[0]["id"]
    people = await walk(f"/v1/company_connections/{company}/census")
    paths = [
        f"/v1/company_connections/{company}/paystubs/{quote(person['employee_external_id'], safe='')}"
        for person in people
    ]
    dates = {path: [stub["pay_date"] for stub in await walk(path)] for path in paths[:10]}
    path, dates = max(dates.items(), key=lambda pair: len(pair[1]))

    assert dates[1:4] == [stub["pay_date"] for stub in await walk(path, from_pay_date=dates[3], to_pay_date=dates[1])]


async def test_new_company(session, walk):
    """A new company connection is listed, not connected, and has no people."""
    _, answer = await send(session, "POST", "/v1/company_connections", {"company_name": "Fictional Foods"})
    made = answer["data"]

    assert "ready_to_connect" == made["status"]
    assert made in await walk("/v1/company_connections")
    assert [] == await walk(f"/v1/company_connections/{made['id']}/census")


async def test_link_token(fake, session):
    """A link token lives for an hour and is as long as a real one."""
    fake.world.set_clock(NOON)
    status, answer = await send(session, "POST", "/v1/link_tokens", LINK)

    assert (200, NOON + timedelta(hours=1)) == (status, datetime.fromisoformat(answer["data"]["expires"]))
    assert 1_000 < len(answer["data"]["token"]) < 2_000


async def test_link_token_for_account(fake, session):
    """A link token for a known account needs neither end user nor features; the account must exist."""
    body = {"org_name": "Fictional App", "solution": "Verify"}

    assert 200 == (await send(session, "POST", "/v1/link_tokens", body | {"account_id": fake.world.account_id(0)}))[0]
    missing = body | {"account_id": "00000000-0000-4000-a000-000000000000"}
    assert 404 == (await send(session, "POST", "/v1/link_tokens", missing))[0]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"org_name": "No"}, ["org_name"]),
        ({"org_name": "x" * 31}, ["org_name"]),
        ({"org_name": None, "solution": None}, ["org_name", "solution"]),
        ({"solution": "Guess"}, ["solution"]),
        ({"features": None}, ["features"]),
        ({"features": []}, ["features"]),
        ({"features": ["piano"]}, ["features"]),
        ({"features": "paystubs"}, ["features"]),
        ({"end_user_id": None}, ["end_user_id"]),
        ({"end_user_id": "  "}, ["end_user_id"]),
        ({"platform_id": "x"}, ["platform_id"]),
        ({"skip_intro_screen": "yes"}, ["skip_intro_screen"]),
        ({"tags": []}, ["tags"]),
        ({"reseller_customer_id": "x"}, ["reseller_customer_id"]),
        ({"language": "de", "use_case": "fun"}, ["language", "use_case"]),
    ],
)
async def test_wrong_link_token(session, change, names):
    """A link token body that breaks the documented limits is 400, and every wrong field is named."""
    assert names == await problems(session, "POST", "/v1/link_tokens", LINK | change)


async def test_older_link_token(session):
    """In 2023-11-22 a link token needs `required_jobs` instead of `solution` and `features`."""
    body = {"org_name": "Fictional App", "end_user_id": "user 1"}
    version = {"Pinwheel-Version": "2023-11-22"}

    assert ["required_jobs"] == await problems(session, "POST", "/v1/link_tokens", body, **version)
    right = body | {"required_jobs": ["paystubs"]}
    assert 200 == (await send(session, "POST", "/v1/link_tokens", right, **version))[0]


async def test_oldest_link_token(session):
    """The flat body of before 2021-04-29 gets the bare answer of that time."""
    body = {"job": "direct_deposit_switch", "org_name": "Fictional App", "account_type": "checking"}
    status, answer = await send(
        session, "POST", "/v1/link_tokens", body | {"account_number": "000000", "routing_number": "000000000"}
    )

    assert (200, {"mode", "token", "expires", "token_id"}) == (status, set(answer))
    assert isinstance(answer["expires"], int)


async def test_company_link_token(session):
    """A Company Connect link token has no `smart_branch_url`."""
    status, answer = await send(session, "POST", "/v1/company_connect/link_tokens", {"org_name": "Fictional App"})

    assert (200, {"mode", "id", "token", "expires"}) == (status, set(answer["data"]))


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"[" * 10_000])
async def test_not_json(session, body):
    """A body that is no JSON object is 400."""
    for path in ("/v1/company_connections", "/v1/link_tokens"):
        async with session.post(path, data=body) as response:
            assert 400 == response.status


async def test_webhook_life(session, get):
    """A webhook can be made, read, changed in part and deleted."""
    _, answer = await send(session, "POST", "/v1/webhooks", WEBHOOK)
    made = answer["data"]
    path = f"/v1/webhooks/{made['id']}"
    assert made == (await get(path))["data"]
    _, answer = await send(session, "PUT", path, {"status": "paused"})

    assert {**made, "status": "paused", "last_updated": None} == {**answer["data"], "last_updated": None}
    assert (200, {}) == await send(session, "DELETE", path)
    assert 404 == (await send(session, "DELETE", path))[0]
    assert [] == (await get("/v1/webhooks"))["data"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"url": "http://www.example.com"}, ["url"]),
        ({"status": "ACTIVE"}, ["status"]),
        ({"enabled_events": []}, ["enabled_events"]),
        ({"enabled_events": ["nothing.happened"]}, ["enabled_events"]),
        ({"version": None}, ["version"]),
        ({"version": "2021-07-28"}, ["version"]),
    ],
)
async def test_wrong_webhook(session, change, names):
    """A webhook that breaks the documented limits is 400."""
    assert names == await problems(session, "POST", "/v1/webhooks", WEBHOOK | change)


async def test_webhook_pages(session, get):
    """A page of webhooks has a cursor if there is another page, and none at all if there is not, as documented."""
    for _ in range(2):
        await send(session, "POST", "/v1/webhooks", WEBHOOK)
    first = await get("/v1/webhooks?limit=1")
    last = await get(f"/v1/webhooks?limit=1&cursor={quote(first['meta']['next_cursor'])}")

    assert {"count": 1} == last["meta"]


async def test_older_webhook(session):
    """Before 2023-04-18 a webhook needs no version."""
    body = {name: value for name, value in WEBHOOK.items() if name != "version"}

    assert 200 == (await send(session, "POST", "/v1/webhooks", body, **{"Pinwheel-Version": "2022-09-09"}))[0]


async def test_webhook_quota(session):
    """The eleventh webhook is 400; when one is gone there is room again."""
    made = [await send(session, "POST", "/v1/webhooks", WEBHOOK) for _ in range(11)]
    assert [200] * 10 + [400] == [status for status, _ in made]
    await send(session, "DELETE", f"/v1/webhooks/{made[0][1]['data']['id']}")

    assert 200 == (await send(session, "POST", "/v1/webhooks", WEBHOOK))[0]


async def admin(session) -> dict[str, str]:
    """The header of somebody who logged in."""
    _, answer = await send(session, "POST", "/v1/admin/token", {"username": "testina", "password": "none"})
    return {"Authorization": f"Bearer {answer['data']['token']}"}


async def test_api_key_life(session):
    """A new key's secret works until the key is revoked; the list shows no secrets."""
    bearer = await admin(session)
    _, answer = await send(session, "POST", "/v1/admin/api_keys", **bearer)
    key, secret = answer["data"]["key"], answer["data"]["secret"]
    assert 200 == (await send(session, "GET", "/v1/accounts", **{"x-api-secret": secret}))[0]
    status, answer = await send(session, "POST", f"/v1/admin/api_keys/{key}/revoke", **bearer)
    _, keys = await send(session, "GET", "/v1/admin/api_keys", **bearer)

    assert (200, key) == (status, answer["data"]["key"])
    assert 401 == (await send(session, "GET", "/v1/accounts", **{"x-api-secret": secret}))[0]
    assert [True, False] == [key["is_active"] for key in keys["data"]]
    assert not [key for key in keys["data"] if "secret" in key]
    assert 404 == (await send(session, "POST", "/v1/admin/api_keys/none/revoke", **bearer))[0]


async def test_api_key_expires(fake, session):
    """A key with an end stops working then."""
    fake.world.set_clock(NOON)
    bearer = await admin(session)
    body = {"expires_at": (NOON + timedelta(minutes=5)).isoformat()}
    _, answer = await send(session, "POST", "/v1/admin/api_keys", body, **bearer)
    secret = {"x-api-secret": answer["data"]["secret"]}
    assert 200 == (await send(session, "GET", "/v1/accounts", **secret))[0]
    fake.world.set_clock(NOON + timedelta(minutes=5))

    assert 401 == (await send(session, "GET", "/v1/accounts", **secret))[0]


async def test_admin_token_expires(fake, session):
    """An admin token stops working when it says."""
    fake.world.set_clock(NOON)
    bearer = await admin(session)
    assert 200 == (await send(session, "GET", "/v1/admin/api_keys", **bearer))[0]
    fake.world.set_clock(NOON + timedelta(hours=1))

    assert 401 == (await send(session, "GET", "/v1/admin/api_keys", **bearer))[0]


async def test_wrong_admin_bodies(session):
    """A login needs name and password; an end must be a moment."""
    assert ["username", "password"] == await problems(session, "POST", "/v1/admin/token", {})
    assert ["expires_at"] == await problems(
        session, "POST", "/v1/admin/api_keys", {"expires_at": "soon"}, **await admin(session)
    )


async def test_site(session):
    """The oldest pages can still be made."""
    status, answer = await send(session, "POST", "/v1/sites", {"job": "direct_deposit_switch"})

    assert (200, {"url", "expires", "token_id"}) == (status, set(answer))
