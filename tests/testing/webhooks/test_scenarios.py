"""Scenarios by name: which events come, and what the API says then."""

from collections import Counter
from typing import get_args

import pytest

from pinwheel_async import NotFoundError, Pinwheel
from pinwheel_async.events import EVENTS, decode_event
from pinwheel_async.link import LINK_EVENTS, UnknownLinkEvent, parse_link_event
from pinwheel_async.products import PRODUCTS
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.testing._webhooks.scenarios import SCENARIOS, ScenarioName

SINGLES = [f"{product}.added" for product in PRODUCTS if product not in {"paystubs", "shifts"}]
REPORTS = ["verification_reports.refreshed", "earnings_stream.payouts.refreshed"]

EXPECTED: dict[str, list[str]] = {
    "happy": ["account.added", *SINGLES, *REPORTS],
    "slow_platform": ["account.added", *SINGLES, *REPORTS],
    "pending_then_success": ["account.added", *SINGLES, "income.added", "paystubs.added"],
    "pending_then_error": ["account.added", *SINGLES, "income.added", "paystubs.added", "paystubs.added"],
    "error": ["account.added", *SINGLES, "paystubs.added", "shifts.added"],
    "stalled": ["account.added", *SINGLES, REPORTS[0]],
    "wrong_password": [],
    "reauthentication_needed": ["account.added", *SINGLES, *REPORTS, "account.monitoring_status.updated"],
    "monitoring_refresh": ["account.added", *SINGLES, *REPORTS, "paystubs.added", "income.added"],
    "gig_worker": ["account.added", *SINGLES, *REPORTS],
    "three_accounts": ["account.added", *SINGLES, *REPORTS] * 3,
    "disconnected_account": ["account.added", *SINGLES, *REPORTS],
    "document_uploads": ["documents.added"] * 3,
    "deposit_switch_full": ["account.added", *SINGLES, *REPORTS, "direct_deposit_switch.added"],
    "deposit_switch_partial": ["account.added", *SINGLES, *REPORTS, "direct_deposit_switch.added"],
    "card_switch": ["account.added", *SINGLES, *REPORTS, "card_switch.added"],
    "bills": [
        *("account.added", "bill.added", "bill.added", "bill.added", "bill.updated", "bill.reminder"),
        *("bill_switch.added", "bill_switch.cancelled", "bill.removed"),
    ],
    "company_connect": [
        *("company_connect.status.updated", "company_connect.status.updated", "company_connect.census.added"),
        *("company_connect.employments.added", "company_connect.incomes.added"),
    ],
    "verification_report": ["account.added", *SINGLES, "income.added", *REPORTS, REPORTS[0]],
}
"""Events of each scenario, without the batches of lists where these are complete."""


@pytest.fixture
async def fake(hook):
    """A fake that delivers every event there is."""
    async with FakePinwheel(accounts=2) as running:
        running.subscribe(hook.url, [*EVENTS])
        yield running


@pytest.fixture
async def pinwheel(fake):
    """A client."""
    async with Pinwheel(fake.api_secret, base_url=fake.base_url) as opened:
        yield opened


async def finish(fake, played) -> None:
    """Let all of a scenario happen."""
    await fake.advance(played.duration_s)


def test_table():
    """Every scenario has a name that type checkers know, a sentence, and a row in the table of this test."""
    assert list(get_args(ScenarioName)) == list(SCENARIOS)
    assert set(EXPECTED) == set(SCENARIOS)
    assert all(scenario.about.endswith(".") for scenario in SCENARIOS.values())


@pytest.mark.parametrize("name", SCENARIOS)
async def test_events(fake, hook, name):
    """The events of a scenario come within its duration, each is understood whole, and no other ones come."""
    played = await fake.play(name)
    await finish(fake, played)
    in_time = len(hook.arrivals)
    await fake.advance(30 * 86_400)
    decoded = [decode_event(arrival.body, version="2025-07-08") for arrival in hook.arrivals]
    came = Counter(arrival.said["event"] for arrival in hook.arrivals)
    batches = {event for event in came if event.startswith(("paystubs.", "shifts."))}
    expected = Counter(EXPECTED[name])

    assert in_time == len(hook.arrivals)
    assert not [drift for found in decoded for drift in found.drift]
    assert {event: number for event, number in expected.items() if event not in batches} == {
        event: number for event, number in came.items() if event not in batches
    }
    assert all(came[event] >= expected[event] for event in batches)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_link_events(fake, name):
    """What Link tells the page is of the documented shape, and names the account that webhooks name."""
    played = await fake.play(name)
    parsed = [parse_link_event(event, payload) for event, payload in played.link_events]
    named = {event.account_id for event in parsed if hasattr(event, "account_id")}

    assert all(event in LINK_EVENTS for event, _ in played.link_events)
    assert not [event for event in parsed if isinstance(event, UnknownLinkEvent) or event.extra]
    assert named == set(played.account_ids[:1])


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_is_announced_is_there(fake, hook, pinwheel, name):
    """At the end everything that a job announced as a success can be fetched."""
    played = await fake.play(name)
    await finish(fake, played)
    for arrival in hook.arrivals:
        payload, event = arrival.payload, arrival.said["event"]
        if payload.get("outcome") != "success":
            continue
        account_id = payload.get("account_id")
        match event.partition(".")[0]:
            case "identity" | "income" | "employment" | "direct_deposit_allocations" as product:
                await getattr(pinwheel, product).get(account_id)
            case "paystubs" | "shifts" if event.endswith("y_synced"):
                product = event.partition(".")[0]
                ids = {item.id async for item in getattr(pinwheel, product).list(account_id)}
                named = [hooked.payload for hooked in hook.arrivals if hooked.said["event"] == f"{product}.added"]
                assert ids >= {
                    item["id"] for payload in named if payload["account_id"] == account_id for item in payload["added"]
                }
            case "documents":
                await pinwheel.documents.get(end_user_id=payload["end_user_id"], document_id=payload["document_id"])


async def test_slow_platform(fake, hook):
    """After a minute hardly anything has come from a slow platform."""
    await fake.play("slow_platform")
    await fake.advance(60)

    assert {"account.added", "income.added", "identity.added", "direct_deposit_allocations.added"} >= {
        event for event in hook.events if not event.startswith("paystubs.")
    }
    assert "paystubs.fully_synced" not in hook.events


@pytest.mark.parametrize(("name", "last"), [("pending_then_success", "success"), ("pending_then_error", "error")])
async def test_pending(fake, hook, name, last):
    """Income is announced as pending, and a minute later as what came of it."""
    await fake.play(name)
    await fake.advance(30)
    before = [arrival.payload["outcome"] for arrival in hook.arrivals if arrival.said["event"] == "income.added"]
    await fake.advance(60)
    after = [arrival.payload["outcome"] for arrival in hook.arrivals if arrival.said["event"] == "income.added"]

    assert (["pending"], ["pending", last]) == (before, after)


async def test_error(fake, pinwheel, hook):
    """Every job fails, and there is no data."""
    played = await fake.play("error")
    await finish(fake, played)

    assert {"error"} == {arrival.payload["outcome"] for arrival in hook.arrivals[1:]}
    with pytest.raises(NotFoundError):
        await pinwheel.income.get(played.account_ids[0])


async def test_stalled(fake, hook):
    """Of paystubs nothing comes, not even after a month."""
    await fake.play("stalled")
    await fake.advance(30 * 86_400)

    assert "income.added" in hook.events
    assert not [event for event in hook.events if event.startswith("paystubs.")]


async def test_wrong_password(fake, pinwheel):
    """Nobody connects, and only Link says why."""
    played = await fake.play("wrong_password", end_user_id="user_42")

    assert ((), "error") == (played.account_ids, played.link_events[-1][0])
    assert "invalidCredentials" == played.link_events[-1][1]["code"]
    with pytest.raises(NotFoundError):
        await pinwheel.accounts.list_for_end_user("user_42")


async def test_reauthentication(fake, pinwheel):
    """The account asks for a login, and is active again after one with a Link token for it."""
    played = await fake.play("reauthentication_needed", end_user_id="user_42")
    (account_id,) = played.account_ids
    await finish(fake, played)
    before = await pinwheel.accounts.get(account_id)
    token = await pinwheel.link_tokens.create(org_name="Example", solution="Verify", account_id=account_id)
    again = await fake.play("happy", link_token_id=token.id)
    after = await pinwheel.accounts.get(account_id)

    assert ("user_action_required", "active") == (before.monitoring_status, after.monitoring_status)
    assert (account_id, "user_42") == (again.account_ids[0], again.end_user_id)


async def test_monitoring_refresh(fake, hook, pinwheel):
    """What monitoring finds is announced without a Link token, and is there."""
    played = await fake.play("monitoring_refresh")
    await fake.advance(50)
    before = await pinwheel.income.get(played.account_ids[0])
    known = len(hook.arrivals)
    await fake.advance(50)
    after = await pinwheel.income.get(played.account_ids[0])

    assert ["paystubs.added", "income.added"] == hook.events[known:]
    assert [None, None] == [arrival.payload["link_token_id"] for arrival in hook.arrivals[known:]]
    assert before.compensation_amount < after.compensation_amount


async def test_gig_worker(fake, pinwheel):
    """There are hundreds of shifts."""
    played = await fake.play("gig_worker")
    await finish(fake, played)

    assert 420 == len(await pinwheel.shifts.list(played.account_ids[0], limit=100).all())


async def test_three_accounts(fake, pinwheel):
    """One person has three accounts, on three platforms."""
    played = await fake.play("three_accounts", end_user_id="user_42")
    accounts = await pinwheel.accounts.list_for_end_user("user_42").all()

    assert {*played.account_ids} == {account.id for account in accounts}
    assert 3 == len({account.platform_id for account in accounts})


async def test_disconnected(fake, pinwheel):
    """The account is connected at first, and not any more after a minute."""
    played = await fake.play("disconnected_account")
    before = await pinwheel.accounts.get(played.account_ids[0])
    await finish(fake, played)
    after = await pinwheel.accounts.get(played.account_ids[0])

    assert (True, False) == (before.connected, after.connected)


async def test_documents(fake, pinwheel):
    """An end user without an account has three documents."""
    await fake.play("document_uploads", end_user_id="user_42")
    await fake.advance(5)
    documents = await pinwheel.documents.list("user_42").all()

    assert ["bank_statement", "w2", "paystub"] == [document.document_type for document in documents]


@pytest.mark.parametrize(("name", "kinds"), [("deposit_switch_full", ["remainder"]), ("deposit_switch_partial", None)])
async def test_deposit_switch(fake, hook, pinwheel, name, kinds):
    """The setup of the pay is as the switch says, and the job is listed."""
    played = await fake.play(name)
    await finish(fake, played)
    (account_id,) = played.account_ids
    found = (await pinwheel.direct_deposit_allocations.get(account_id)).allocations
    switch = next(arrival.payload for arrival in hook.arrivals if "switch" in arrival.said["event"])
    jobs = await pinwheel.jobs.list(account_id=account_id, job_types=["direct_deposit_switch"]).all()

    assert "Example Checking" == found[0].account_name == switch["params"]["allocation"]["target"]["account_name"]
    assert kinds is None or kinds == [allocation.allocation_type for allocation in found]
    assert name.removeprefix("deposit_switch_") == switch["params"]["action"].removesuffix("_switch")
    assert [switch["id"]] == [job.id for job in jobs]


async def test_bills(fake, hook):
    """Three bills are told apart, and one that is updated is one that was added."""
    played = await fake.play("bills", end_user_id="user_42")
    await finish(fake, played)
    bills = [arrival.payload for arrival in hook.arrivals if arrival.said["event"].startswith("bill.")]
    switches = [arrival.payload for arrival in hook.arrivals if arrival.said["event"].startswith("bill_switch.")]

    assert {"user_42"} == {bill["end_user_id"] for bill in bills}
    assert 3 == len({bill["id"] for bill in bills})
    assert {bills[0]["id"]} == {switch["params"]["bill_id"] for switch in switches}


async def test_company(fake, pinwheel):
    """The employees can be read when the connection says that data is available, and not before."""
    played = await fake.play("company_connect")
    company = next(iter(fake.world.resources.connections))
    await fake.advance(5)
    before = (await pinwheel.company_connections.get(company)).status
    nobody = await pinwheel.company_connections.list_census(company).all()
    await finish(fake, played)
    after = (await pinwheel.company_connections.get(company)).status

    assert ("processing", (), "data_available") == (before, nobody, after)
    assert await pinwheel.company_connections.list_census(company).all()


async def test_verification_report(fake, pinwheel):
    """The report about the employment comes first, and the one with the income after the income."""
    await fake.play("verification_report", end_user_id="user_42")
    await fake.advance(25)
    await pinwheel.verification_reports.get_voe("user_42")
    with pytest.raises(NotFoundError):
        await pinwheel.verification_reports.get_voie("user_42")
    await fake.advance(60)

    assert await pinwheel.verification_reports.get_voie("user_42")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scenario": "hapy"}, "there is no scenario hapy; did you mean happy?"),
        ({"account_id": "nobody"}, "no account nobody"),
        ({"employer_id": "nobody"}, "no employer nobody"),
    ],
)
async def test_unknown(fake, arguments, said):
    """An unknown scenario, account or employer is named."""
    with pytest.raises(ValueError, match=said.replace("?", "[?]")):
        await fake.play(**arguments)


async def test_chosen_employer(fake, pinwheel):
    """The employer that is chosen is the one on the paystubs' account."""
    employer = await pinwheel.employers.list().first(1)
    played = await fake.play("happy", employer_id=employer[0].id)
    await finish(fake, played)

    assert employer[0].name == (await pinwheel.employment.get(played.account_ids[0])).employer_name
