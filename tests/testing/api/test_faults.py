"""Trouble on order."""

import asyncio
import math
import re

import aiohttp
import pytest

from pinwheel_async.testing import Fault
from pinwheel_async.testing._api.faults import RateLimiter

PATH = "/v1/accounts"


async def status(session, path=PATH) -> int:
    """The status of a GET."""
    async with session.get(path) as response:
        await response.read()
        return response.status


async def test_status(fake, session):
    """A fault with a status answers it, with an envelope, once."""
    fake.script(Fault(status=503))
    async with session.get(PATH) as response:
        error = (await response.json())["error"]

    assert (503, 503) == (response.status, error["status_code"])
    assert 200 == await status(session)


async def test_retry_after(fake, session):
    """Seconds to wait are named in whole ones, rounded up."""
    fake.script(Fault(status=429, retry_after_s=1.2))
    async with session.get(PATH) as response:
        assert (429, "2") == (response.status, response.headers["Retry-After"])


async def test_in_order(fake, session):
    """Faults hit one request each, in their order, as many times as asked."""
    fake.script(Fault(status=500), Fault(status=502), times=2)

    assert [500, 502, 500, 502, 200] == [await status(session) for _ in range(5)]


@pytest.mark.parametrize("target", ["operation", "path", "account_id"])
async def test_target(fake, session, target):
    """A fault hits only the requests that it is meant for."""
    account_id = fake.world.account_id(1)
    path = f"/v1/accounts/{account_id}/income"
    wanted = {"operation": "get_income", "path": path, "account_id": account_id}
    fake.script(Fault(status=500), **{target: wanted[target]})

    assert 200 == await status(session)
    assert 200 == await status(session, f"/v1/accounts/{fake.world.account_id(2)}/identity")
    assert 500 == await status(session, path)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (lambda fake: fake.script(), "at least one part"),
        (lambda fake: fake.script(Fault(status=500), times=0), "times must be 1 or more"),
        (lambda fake: fake.script(Fault(), Fault()), "at least one part"),
        (lambda fake: fake.fail_randomly(0.5, Fault()), "at least one part"),
        (lambda fake: fake.script(Fault(status=500), path="/v1/account"), "no endpoint has the path /v1/account;"),
        (lambda fake: fake.script(Fault(status=500), path="/v1/accounts?limit=1"), "without a query"),
        (lambda fake: fake.fail_randomly(0.5, account_id=f"{fake.world.account_id(3)[:-1]}x"), "did you mean"),
    ],
)
async def test_fault_that_would_never_happen(fake, order, said):
    """A fault that no request could ever have is refused, and what is wrong about it is named."""
    with pytest.raises(ValueError, match=re.escape(said)):
        order(fake)


async def test_place_in_a_script(fake, session):
    """An empty fault lets its request pass, and the one after it hits the next."""
    fake.script(Fault(), Fault(status=500))

    assert [200, 500, 200] == [await status(session) for _ in range(3)]


async def test_composed(fake, session):
    """Scripts that fit one request apply together; the first has the last word."""
    fake.script(Fault(headers=(("X-Note", "first"),)))
    fake.script(Fault(status=500, headers=(("X-Note", "second"), ("X-Other", "yes"))))
    async with session.get(PATH) as response:
        assert (500, "first", "yes") == (response.status, response.headers["X-Note"], response.headers["X-Other"])


async def test_cut_before(fake, session):
    """A connection that is cut before the answer gives none, and the request is not carried out."""
    account_id = fake.world.account_id(0)
    fake.script(Fault(cut="before"))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.post(f"/v1/accounts/{account_id}/disconnect")

    assert fake.world.entries(0, "account")[0].facts["monitoring_status"] == "active"


async def test_cut_mid_body(fake, session):
    """A connection that is cut in the body gives the half of it."""
    fake.script(Fault(cut="mid_body"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await status(session)


async def test_cut_mid_body_is_carried_out(fake, session):
    """A request that is cut in the answer's body was carried out."""
    fake.script(Fault(cut="mid_body"))
    body = {"company_name": "Fictional"}
    with pytest.raises(aiohttp.ClientPayloadError):
        async with session.post("/v1/company_connections", json=body) as response:
            await response.read()

    assert 4 == len(fake.world.resources.connections)


async def test_garbage(fake, session):
    """A fault's bytes stand in place of the body, whatever they are."""
    fake.script(Fault(body=b"<html>\xff", headers=(("Content-Type", "text/html"),)))
    async with session.get(PATH) as response:
        assert (200, "text/html", b"<html>\xff") == (response.status, response.content_type, await response.read())


async def test_json(fake, session):
    """A fault's value stands in place of the body as JSON."""
    fake.script(Fault(status=502, json=["not", "an", "envelope"]))
    async with session.get(PATH) as response:
        assert (502, ["not", "an", "envelope"]) == (response.status, await response.json())


async def test_delay(fake, session):
    """A delayed request is in flight while others are answered."""
    fake.script(Fault(delay_s=3_600))
    late = asyncio.create_task(status(session))
    while not fake.requests:
        await asyncio.sleep(0)

    assert 200 == await status(session)
    assert 2 == fake.peak_in_flight
    late.cancel()


async def test_delays_add_up(fake, session):
    """A delayed request is answered in the end, after the sum of its delays."""
    fake.script(Fault(delay_s=0.01))
    fake.script(Fault(delay_s=0.02))
    start = asyncio.get_running_loop().time()

    assert 200 == await status(session)
    assert asyncio.get_running_loop().time() - start >= 0.03


async def test_stop_does_not_wait(fake, session):
    """Requests that are delayed do not keep the fake from stopping."""
    fake.script(Fault(delay_s=3_600))
    late = asyncio.create_task(status(session))
    while not fake.requests:
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await fake.stop()

    with pytest.raises(aiohttp.ClientError):
        await late


async def test_random_faults(fake, session):
    """Random faults hit a share of all requests, the same ones for the same seed, until they are cleared."""
    hits = []
    for _ in range(2):
        fake.fail_randomly(0.3, Fault(status=500), seed=5)
        hits.append([await status(session) for _ in range(40)])
        fake.clear_faults()

    assert hits[0] == hits[1]
    assert 5 < hits[0].count(500) < 20
    assert {200} == {await status(session) for _ in range(20)}


async def test_default_random_fault(fake, session):
    """A random fault that is not given answers 503."""
    fake.fail_randomly(1.0, operation="list_accounts")

    assert 503 == await status(session)
    assert 200 == await status(session, "/v1/employers")


async def test_rate_limit(fake, session):
    """Above the rate requests get 429 and a time to wait; the envelope is the API's."""
    fake.rate_limit(requests_per_s=1)
    assert 200 == await status(session)
    async with session.get(PATH) as response:
        assert (429, "1") == (response.status, response.headers["Retry-After"])
        assert 429 == (await response.json())["error"]["status_code"]
    fake.clear_faults()

    assert 200 == await status(session)


async def test_in_flight_limit(fake, session):
    """Above the limit of requests in flight they get 429, and below it again 200."""
    fake.rate_limit(in_flight=1)
    fake.script(Fault(delay_s=3_600))
    late = asyncio.create_task(status(session))
    while not fake.requests:
        await asyncio.sleep(0)

    assert 429 == await status(session)
    fake.rate_limit(in_flight=2)
    assert 200 == await status(session)
    late.cancel()


@pytest.mark.parametrize("times_s", [(0.0, 0.0), (0.0, 0.4)])
def test_gate_refuses(times_s):
    """A second request within the time of one waits for the rest of it."""
    gate = RateLimiter(requests_per_s=1.0)
    assert gate.refused_for_s(0, 100 + times_s[0]) is None

    assert math.isclose(1 - times_s[1], gate.refused_for_s(0, 100 + times_s[1]) or 0, rel_tol=1e-6)


def test_gate_lets_a_burst_through():
    """One second's worth of requests may come at once; then one per share of a second."""
    gate = RateLimiter(requests_per_s=4.0)

    assert [True] * 4 + [False] == [gate.refused_for_s(0, 100.0) is None for _ in range(5)]
    assert gate.refused_for_s(0, 100.25) is None
    assert gate.refused_for_s(0, 100.25) is not None


def test_open_gate():
    """Without limits everything comes in."""
    assert RateLimiter().refused_for_s(1_000_000, 0.0) is None


def test_fault_repr():
    """The repr of a fault does not show the bytes that it sends."""
    assert "4711" not in repr(Fault(status=500, body=b"4711", json={"a": 4711}))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"operation": "list_paystub"}, "there is no operation list_paystub; did you mean list_paystubs"),
        ({"operation": "get_incomes"}, "there is no operation get_incomes; did you mean get_income[?]"),
        ({"operation": "planted"}, "there is no operation planted$"),
        ({"account_id": "7f7f7f7f-0000-4000-8000-000000000000"}, "the world has no account 7f7f7f7f"),
        ({"account_id": "nobody"}, "the world has no account nobody"),
        ({"path": "v1/accounts"}, "no endpoint has the path v1/accounts"),
    ],
)
async def test_target_that_never_fits(fake, arguments, problem):
    """A fault for what no request can be for is refused: a test with it would be green for nothing."""
    with pytest.raises(ValueError, match=problem):
        fake.script(Fault(status=500), **arguments)
    with pytest.raises(ValueError, match=problem):
        fake.fail_randomly(0.1, **arguments)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"status": "500"}, "status must be a status of HTTP, from 100 to 599, not str"),
        ({"status": 5}, "status must be a status of HTTP"),
        ({"cut": "mid_bod"}, "cut must be one of before, mid_body; did you mean mid_body"),
        ({"delay_s": -1}, "delay_s must be a number that is not negative"),
        ({"retry_after_s": "1"}, "retry_after_s must be a number that is not negative, not str"),
    ],
)
def test_parts_that_no_answer_has(arguments, problem):
    """A part of a fault that no answer can have is refused when the fault is made."""
    with pytest.raises(ValueError, match=problem):
        Fault(**arguments)


@pytest.mark.parametrize("probability", [-0.1, 1.1, 2, "0.5", None])
async def test_no_probability(fake, probability):
    """What is no probability is refused."""
    with pytest.raises(ValueError, match="probability must be from 0 to 1"):
        fake.fail_randomly(probability)


@pytest.mark.parametrize("limits", [{"requests_per_s": 0}, {"in_flight": 0}, {"requests_per_s": "5"}])
async def test_limit_that_lets_nothing_through(fake, limits):
    """A limit of 0, or one that is no number, is refused."""
    with pytest.raises(ValueError, match="must be more than 0"):
        fake.rate_limit(**limits)


async def test_misspelt_event(fake):
    """An event that is nearly one of the API's is refused by both; an unknown one is sent if a webhook lists it."""
    for name in ("paystub.added", "paystubs.fully_syncd", "acount.added"):
        with pytest.raises(ValueError, match=f"there is no event {name}; did you mean "):
            await fake.deliver(name)
        with pytest.raises(ValueError, match=f"there is no event {name}; did you mean "):
            fake.subscribe("http://127.0.0.1:1/webhooks", [name])
    with pytest.raises(ValueError, match="events must be several names"):
        fake.subscribe("http://127.0.0.1:1/webhooks", "paystubs.added")
    fake.subscribe("http://127.0.0.1:1/webhooks", ["paystubs.vanished"])
    assert await fake.deliver("paystubs.vanished")


async def test_touched_product(fake):
    """A product that is misspelt is refused where the world is changed, with the one that was meant."""
    with pytest.raises(ValueError, match=r"product must be one of .*; did you mean income"):
        fake.world.touch(fake.world.account_id(0), "incom")
