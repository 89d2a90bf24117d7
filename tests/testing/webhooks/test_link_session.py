"""A Link session as it plays: what is announced is what is there."""

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from aiohttp import ClientSession

from pinwheel_async.events import decode_event
from pinwheel_async.products import PRODUCTS
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.testing._world.directory import platform

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
LISTS = ("paystubs", "shifts")
SINGLES = ("identity", "income", "employment", "direct_deposit_allocations")


@pytest.fixture
async def fake():
    """A fake at noon with no accounts yet."""
    async with FakePinwheel(accounts=0, today=NOON.date()) as running:
        yield running


@pytest.fixture
def hook(fake, hook):
    """A receiver of everything."""
    fake.subscribe(hook.url)
    return hook


def of(hook, *names: str) -> list[dict]:
    """Payloads of events, in order of arrival."""
    return [arrival.payload for arrival in hook.arrivals if arrival.said["event"] in names]


async def status(session: ClientSession, path: str) -> int:
    """The status of a GET."""
    async with session.get(path) as response:
        return response.status


async def test_account_first(fake, hook):
    """The first delivery is `account.added`, and says what the account's endpoint says."""
    made = await fake.connect(end_user_id="usr_42")

    assert ["account.added"] == hook.events
    assert ("usr_42", made.account_id) == (hook.arrivals[0].payload["end_user_id"], made.account_id)
    account = fake.world.entries(fake.world.index(made.account_id), "account")[0].facts
    assert {**hook.arrivals[0].payload}.items() >= {
        "connected": account["connected"],
        "monitoring_status": "active",
        "end_user_id": "usr_42",
        "account_id": made.account_id,
        "link_token_id": made.link_token_id,
        "created_at": "2026-04-01T12:00:00.000000+00:00",
    }.items()


async def test_all_events(fake, hook):
    """Over its duration, and no later, every product is announced."""
    made = await fake.connect()
    await fake.advance(made.duration_s)
    everything = len(hook.arrivals)
    await fake.advance(86_400)

    assert {
        *("account.added", "identity.added", "income.added", "employment.added", "tax_forms.added"),
        *("direct_deposit_allocations.added", "paystubs.added", "shifts.added"),
        *(f"{name}.{mark}_synced" for name in LISTS for mark in ("seven_days", "thirty_days", "ninety_days", "fully")),
        *("verification_reports.refreshed", "earnings_stream.payouts.refreshed"),
    } == set(hook.events)
    assert everything == len(hook.arrivals)
    assert made.duration_s < 60


async def test_understood(fake, hook):
    """Every delivery of a session is understood without forgiveness."""
    await fake.connect()
    await fake.advance(60)

    assert not [drift for arrival in hook.arrivals for drift in decode_event(arrival.body, version="2025-07-08").drift]


async def test_no_account_without_its_data(fake, hook, get, walk):
    """In the end the lists have exactly what was announced, in this order."""
    made = await fake.connect()
    await fake.advance(60)

    for product in LISTS:
        announced = [item["id"] for batch in of(hook, f"{product}.added") for item in batch["added"]]
        assert [item["id"] for item in await walk(f"/v1/accounts/{made.account_id}/{product}")] == announced
    forms = (await get(f"/v1/accounts/{made.account_id}/tax_forms"))["data"]
    assert [(form["id"], form["form_type"], form["year"]) for form in forms] == [
        (item["id"], item["document_type"], item["year"]) for item in of(hook, "tax_forms.added")[0]["added"]
    ]


@pytest.mark.parametrize("product", LISTS)
async def test_batches_as_they_come(fake, hook, walk, product):
    """Whenever a batch is announced, exactly it and the ones before it are there."""
    made = await fake.connect()
    served = []
    for _ in range(600):
        await fake.advance(0.1)
        batches = of(hook, f"{product}.added")
        if len(batches) > len(served):
            served.append(len(await walk(f"/v1/accounts/{made.account_id}/{product}")))

    totals = [sum(batch["params"]["count"] for batch in batches[: number + 1]) for number in range(len(batches))]
    assert totals == served
    assert len(served) > 2


async def test_paystub_batches(fake, hook):
    """Batches of paystubs have windows that do not overlap, newest first, numbers of their own, and one id each."""
    await fake.connect()
    await fake.advance(60)
    batches = of(hook, "paystubs.added")

    windows = [(batch["params"]["from_pay_date"], batch["params"]["to_pay_date"]) for batch in batches]
    assert all(older[1] < newer[0] for newer, older in pairwise(windows))
    assert [len(batch["added"]) for batch in batches] == [batch["params"]["count"] for batch in batches]
    assert len(batches) == len({batch["id"] for batch in batches})
    assert ["in_progress"] * (len(batches) - 1) + ["complete"] == [batch["params"]["sync_status"] for batch in batches]


async def test_window_of_a_batch(fake, hook, get):
    """To list the window that a batch announces gives that batch."""
    made = await fake.connect()
    await fake.advance(60)
    for batch in of(hook, "paystubs.added"):
        params = batch["params"]
        window = f"from_pay_date={params['from_pay_date']}&to_pay_date={params['to_pay_date']}&limit=100"
        listed = (await get(f"/v1/accounts/{made.account_id}/paystubs?{window}"))["data"]

        assert [item["id"] for item in listed] == [item["id"] for item in batch["added"]]


async def test_batches_interleave(fake, hook):
    """Batches of paystubs and of shifts come mixed."""
    await fake.connect()
    await fake.advance(60)
    kinds = [name for name in hook.events if name in {"paystubs.added", "shifts.added"}]

    assert kinds != sorted(kinds)
    assert kinds != sorted(kinds, reverse=True)


@pytest.mark.parametrize(("mark", "days"), [("seven_days", 7), ("thirty_days", 30), ("ninety_days", 90)])
async def test_marks(fake, hook, walk, mark, days):
    """A mark comes when all of those days are there, counted from the newest paystub."""
    made = await fake.connect()
    name = f"paystubs.{mark}_synced"
    while name not in hook.events:
        await fake.advance(0.1)
    there = [stub["id"] for stub in await walk(f"/v1/accounts/{made.account_id}/paystubs")]
    await fake.advance(60)
    everything = await walk(f"/v1/accounts/{made.account_id}/paystubs")

    newest = date.fromisoformat(everything[0]["pay_date"])
    young = [stub["id"] for stub in everything if (newest - date.fromisoformat(stub["pay_date"])).days < days]
    assert young == there[: len(young)]
    assert len(there) < len(everything)


@pytest.mark.parametrize("product", LISTS)
async def test_fully_synced(fake, hook, product):
    """The end of a list repeats id, time and numbers of its last batch."""
    await fake.connect()
    await fake.advance(60)
    last, end = of(hook, f"{product}.added")[-1], of(hook, f"{product}.fully_synced")[0]

    assert (last["id"], last["timestamp"]) == (end["id"], end["timestamp"])
    numbers = {"count", "from_pay_date", "to_pay_date"}
    assert {name: value for name, value in last["params"].items() if name in numbers} == end["params"]


async def test_overtakes(hooked):
    """The end of a list overtakes its last batch with some seeds, and follows it with others."""
    orders = set()
    for seed in range(8):
        async with FakePinwheel(seed=seed) as fake, hooked() as hook:
            fake.subscribe(hook.url, ["paystubs.added", "paystubs.fully_synced"])
            await fake.connect()
            await fake.advance(60)
            orders.add(tuple(hook.events[-2:]))

    assert 2 == len(orders)


async def test_employment_is_late(fake, hook):
    """Employment comes after the last paystubs and shifts."""
    await fake.connect()
    await fake.advance(30)

    assert "employment.added" == hook.events[-1]


async def test_singles_as_they_come(fake, hook, session):
    """What is no list is 404 until its job has ended, and is there when it is announced."""
    made = await fake.connect()
    for product in SINGLES:
        assert 404 == await status(session, f"/v1/accounts/{made.account_id}/{product}")
    while len(left := {f"{product}.added" for product in SINGLES} - set(hook.events)):
        await fake.advance(0.1)
        there = {f"{product}.added" for product in SINGLES if await is_there(session, made, product)}
        assert {f"{product}.added" for product in SINGLES} - left <= there


async def is_there(session, made, product) -> bool:
    """Whether a product is served."""
    return 200 == await status(session, f"/v1/accounts/{made.account_id}/{product}")


async def test_account_tells_what_is_there(fake, hook, get):
    """`data_updated_at` has the products that are there, with the time when that happened."""
    made = await fake.connect()
    path = f"/v1/accounts/{made.account_id}"
    assert {} == (await get(path))["data"]["data_updated_at"] == (await get(path))["data"]["data_refreshed_at"]
    await fake.advance(5)
    some = (await get(path))["data"]["data_updated_at"]
    await fake.advance(60)
    times = (await get(path))["data"]["data_updated_at"]

    assert {"identity", "income", "paystubs"} <= set(some) < set(times)
    assert of(hook, "income.added")[0]["timestamp"] == times["income"]
    assert "2026-04-01T12:00:00" < min(times.values()) <= max(times.values()) < "2026-04-01T12:01:05"


async def test_nothing_from_the_future(fake, get, walk):
    """No item was fetched later than it was seen."""
    made = await fake.connect()
    await fake.advance(4)
    there = [*await walk(f"/v1/accounts/{made.account_id}/paystubs")]
    there.append((await get(f"/v1/accounts/{made.account_id}/income"))["data"])

    assert all(datetime.fromisoformat(item["created_at"]) <= fake.clock.now() for item in there)


async def test_nothing_before(fake, get, session):
    """Before the jobs end there are no lists, no payouts and no reports."""
    made = await fake.connect(end_user_id="usr_42")
    for product in (*LISTS, "tax_forms"):
        assert [] == (await get(f"/v1/accounts/{made.account_id}/{product}"))["data"]
    assert 404 == await status(session, "/v1/end_users/usr_42/verification_reports/voie")
    assert 2 == len((await get("/v1/end_users/usr_42/earnings_stream/payouts"))["data"])
    await fake.advance(60)

    assert 200 == await status(session, "/v1/end_users/usr_42/verification_reports/voie")
    assert 2 < len((await get("/v1/end_users/usr_42/earnings_stream/payouts"))["data"])


async def test_error(fake, hook, get, session):
    """A failed product is announced as an error, and is not there."""
    made = await fake.connect(outcome={"income": "error", "paystubs": "error"})
    await fake.advance(86_400)
    (income,), (paystubs,) = of(hook, "income.added"), of(hook, "paystubs.added")

    assert ("error", "accountLocked", "userActionRequired") == tuple(
        income[name] for name in ("outcome", "error_code", "error_type")
    )
    assert ("error", [], {}) == (paystubs["outcome"], paystubs["added"], paystubs["params"])
    assert 404 == await status(session, f"/v1/accounts/{made.account_id}/income")
    assert [] == (await get(f"/v1/accounts/{made.account_id}/paystubs"))["data"]
    assert not of(hook, "paystubs.fully_synced", "verification_reports.refreshed")


@pytest.mark.parametrize(
    ("ending", "outcome", "answer"), [("pending", "success", 200), ("pending_error", "error", 404)]
)
async def test_pending(fake, hook, session, ending, outcome, answer):
    """A pending product is announced as pending, and within 24 hours as a success or an error, as a new event."""
    made = await fake.connect(outcome={"income": ending})
    await fake.advance(60)
    assert ["pending"] == [job["outcome"] for job in of(hook, "income.added")]
    assert 404 == await status(session, f"/v1/accounts/{made.account_id}/income")
    await fake.advance(86_400 - 60)

    assert ["pending", outcome] == [job["outcome"] for job in of(hook, "income.added")]
    assert len(hook.ids) == len(set(hook.ids))
    assert answer == await status(session, f"/v1/accounts/{made.account_id}/income")
    assert 3_600 < made.duration_s < 86_400


async def test_pending_list(fake, hook, walk):
    """A pending list comes in batches later on."""
    made = await fake.connect(outcome={"paystubs": "pending"})
    await fake.advance(60)
    (pending,) = of(hook, "paystubs.added")
    await fake.advance(86_400)
    batches = of(hook, "paystubs.added")[1:]

    assert ("pending", []) == (pending["outcome"], pending["added"])
    announced = [item["id"] for batch in batches for item in batch["added"]]
    assert [stub["id"] for stub in await walk(f"/v1/accounts/{made.account_id}/paystubs")] == announced


async def test_stalled(fake, hook, session):
    """Of a stalled product nothing is ever heard or seen."""
    made = await fake.connect(outcome={"income": "stalled", "shifts": "stalled"})
    await fake.advance(30 * 86_400)

    assert not [name for name in hook.events if name.startswith(("income", "shifts"))]
    assert 404 == await status(session, f"/v1/accounts/{made.account_id}/income")


@pytest.mark.parametrize("wrong", [{"income": "perhaps"}, {"wages": "success"}])
async def test_wrong_outcome(fake, wrong):
    """What cannot happen is refused."""
    with pytest.raises(ValueError, match="unknown product or outcome"):
        await fake.connect(outcome=wrong)


async def test_unknown_account(fake):
    """An account that is not there cannot be connected."""
    with pytest.raises(ValueError, match="no account nobody"):
        await fake.connect("nobody")


@pytest.mark.parametrize("index", range(12))
async def test_any_account(index, hooked):
    """Whatever an account has, what its platform supports is announced and there, and the rest is neither."""
    async with FakePinwheel(accounts=40, seed=5) as fake, hooked() as hook:
        fake.subscribe(hook.url)
        account_id = fake.world.account_id(index)
        there = {product: len(fake.world.records(account_id, product)) for product in PRODUCTS}
        await fake.connect(account_id)
        await fake.advance(60)
        supported = platform(fake.world.ids, fake.world.profile(index).platform)["supported_jobs"]

        for product in PRODUCTS:
            batches = of(hook, f"{product}.added")
            assert bool(batches) == (product in supported)
            expected = there[product] if product in supported else 0
            assert expected == len(fake.world.records(account_id, product))
            if product in {*LISTS, "tax_forms"}:
                assert expected == sum(len(batch["added"]) for batch in batches)
        for product in (name for name in LISTS if name in supported):
            assert 1 == len(of(hook, f"{product}.fully_synced"))
            assert bool(there[product]) == bool(of(hook, f"{product}.seven_days_synced"))
            assert "complete" == of(hook, f"{product}.added")[-1]["params"]["sync_status"]


async def test_gap(fake, hook):
    """Where a window has no paystubs, its mark comes all the same, with the numbers of the batch before."""
    account_id = fake.world.add_account()
    fake.world.recast(account_id, paystubs=3, period_days=35)
    await fake.connect(account_id)
    await fake.advance(60)
    seven, thirty = of(hook, "paystubs.seven_days_synced", "paystubs.thirty_days_synced")

    assert [1, 2] == [batch["params"]["count"] for batch in of(hook, "paystubs.added")]
    assert seven["params"] == thirty["params"]
    assert seven["timestamp"] < thirty["timestamp"]


async def test_connected_again(fake, hook):
    """A second session of an account begins anew, and ends the first."""
    first = await fake.connect()
    await fake.advance(3)
    second = await fake.connect(first.account_id)
    assert [] == fake.world.records(first.account_id, "income")
    await fake.advance(60)

    assert first.link_token_id != second.link_token_id
    assert [second.link_token_id] == [job["link_token_id"] for job in of(hook, "employment.added")]
    assert fake.world.records(first.account_id, "income")


async def test_link_token_names_the_user(fake, session, hook):
    """A Link token that a client made names the end user of the session."""
    body = {"org_name": "Acme", "solution": "Verify", "features": ["paystubs"], "end_user_id": "usr_42"}
    async with session.post("/v1/link_tokens", json=body) as response:
        token = (await response.json())["data"]
    made = await fake.connect(link_token_id=token["id"])

    assert ("usr_42", token["id"]) == (made.end_user_id, made.link_token_id)
    assert [("usr_42", token["id"])] == [
        (account["end_user_id"], account["link_token_id"]) for account in of(hook, "account.added")
    ]


async def test_accounts_of_the_user(fake, get):
    """The end user's accounts have the new one."""
    made = await fake.connect(end_user_id="a/b")

    assert [made.account_id] == [account["id"] for account in (await get("/v1/end_users/a%2Fb/accounts"))["data"]]


async def test_jobs(fake, hook, get):
    """The list of jobs has the jobs that were announced; of a pending one only its end."""
    made = await fake.connect(outcome={"income": "pending", "identity": "error"})
    await fake.advance(86_400)
    listed = (await get(f"/v1/jobs?account_id={made.account_id}&limit=100"))["data"]
    ended = [
        arrival.payload
        for arrival in hook.arrivals
        if arrival.said["event"].endswith(".added") and arrival.payload.get("outcome", "pending") != "pending"
    ]

    assert {job["id"]: job["outcome"] for job in ended} == {job["id"]: job["outcome"] for job in listed}
    assert {"identity"} == {job["name"] for job in listed if job["outcome"] == "error"}


async def test_jobs_in_pages(fake, get, walk, session):
    """The list of all jobs can be walked, whatever accounts have; older versions have an `amount`."""
    fake.world.add_account()
    made = await fake.connect()
    await fake.advance(60)
    walked = [job["id"] for job in await walk("/v1/jobs", limit="3")]
    old = await get(f"/v1/jobs?account_id={made.account_id}", **{"Pinwheel-Version": "2023-07-18"})

    assert walked == [job["id"] for job in (await get("/v1/jobs?limit=100"))["data"]]
    assert len(walked) == len(set(walked)) > 4
    assert all("amount" in job["params"] and "action" not in job["params"] for job in old["data"])


async def test_same_seed(hooked):
    """Two fakes of one seed and one moment play the same session, byte for byte."""
    plays = []
    for _ in range(2):
        async with FakePinwheel(seed=4, today=NOON.date()) as fake, hooked() as hook:
            fake.subscribe(hook.url)
            await fake.connect(outcome={"shifts": "pending"})
            await fake.advance(86_400)
            plays.append([(arrival.body, arrival.header("x-timestamp")) for arrival in hook.arrivals])

    assert plays[0] == plays[1]


async def test_steps_do_not_matter(hooked):
    """To turn the clock at once or little by little comes to the same."""
    plays = []
    for step in (60, 0.5):
        async with FakePinwheel(seed=4, today=NOON.date()) as fake, hooked() as hook:
            fake.subscribe(hook.url)
            await fake.connect()
            for _ in range(int(60 / step)):
                await fake.advance(step)
            plays.append([(arrival.body, arrival.header("x-timestamp")) for arrival in hook.arrivals])

    assert plays[0] == plays[1]


@pytest.mark.parametrize("product", PRODUCTS)
async def test_refresh(fake, hook, product):
    """A refresh changes the data, and announces it without a Link token."""
    made = await fake.connect()
    await fake.advance(60)
    before = fake.world.records(made.account_id, product)
    event_id = await fake.refresh(made.account_id, product)
    got, after = hook.arrivals[-1], fake.world.records(made.account_id, product)

    assert (event_id, f"{product}.added", None) == (
        got.said["event_id"], got.said["event"], got.payload["link_token_id"]
    )  # fmt: skip
    assert before != after
    if product in {*LISTS, "tax_forms"}:
        assert [after[0]["id"]] == [item["id"] for item in got.payload["added"]]
        assert before == after[1:]


@pytest.mark.parametrize("product", ["paystubs", "shifts", "tax_forms"])
async def test_delete(fake, hook, product):
    """A deletion takes the item out of the list, and announces it as deleted, with nothing added."""
    made = await fake.connect()
    await fake.advance(60)
    first, *others = fake.world.records(made.account_id, product)
    await fake.delete(made.account_id, product, first["id"])
    said = hook.arrivals[-1].payload

    assert others == fake.world.records(made.account_id, product)
    assert ([], [first["id"]]) == (said["added"], [item["id"] for item in said["deleted"]])


async def test_delete_nothing(fake):
    """An item that is not there cannot be deleted."""
    made = await fake.connect()
    with pytest.raises(ValueError, match="no such item among its shifts"):
        await fake.delete(made.account_id, "shifts", "nothing")


async def test_refresh_window(fake, hook):
    """The refreshed batch is one paystub, and complete."""
    made = await fake.connect()
    await fake.advance(60)
    await fake.refresh(made.account_id, "paystubs")
    params = hook.arrivals[-1].payload["params"]
    newest = fake.world.records(made.account_id, "paystubs")[0]["pay_date"]

    assert (1, newest, newest, "complete") == tuple(
        params[name] for name in ("count", "from_pay_date", "to_pay_date", "sync_status")
    )


async def test_refresh_after_error(fake, hook, session):
    """A product that failed may be there after a refresh."""
    made = await fake.connect(outcome={"income": "error"})
    await fake.advance(60)
    await fake.refresh(made.account_id, "income")

    assert 200 == await status(session, f"/v1/accounts/{made.account_id}/income")


async def test_refresh_is_no_job_of_link(fake, get):
    """The list of jobs does not have what a refresh did."""
    made = await fake.connect()
    await fake.advance(60)
    before = await get(f"/v1/jobs?account_id={made.account_id}&limit=100")
    await fake.refresh(made.account_id, "income")

    assert before["data"] == (await get(f"/v1/jobs?account_id={made.account_id}&limit=100"))["data"]


async def test_refresh_of_nothing(fake):
    """What is no product or no account cannot be refreshed."""
    with pytest.raises(ValueError, match="unknown product or outcome"):
        await fake.refresh("nobody", "wages")
    with pytest.raises(ValueError, match="no account nobody"):
        await fake.refresh("nobody", "income")
