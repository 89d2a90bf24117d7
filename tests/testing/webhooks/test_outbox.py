"""Deliveries over real sockets: what is sent, to whom, and how often."""

import asyncio
import http.client
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import get_args
from urllib.parse import urlsplit

import pytest

from pinwheel_async import Pinwheel
from pinwheel_async.events import EVENTS, IncomeAdded, PaystubsAdded, UnknownEvent, decode_event
from pinwheel_async.models import Webhook, WebhookEventName
from pinwheel_async.testing import FakePinwheel, make_event
from pinwheel_async.webhooks import KeyRing, MemoryInbox, Router

DAY_S = 86_400
WEBHOOK = {"status": "active", "enabled_events": ["income.added"], "version": "2025-07-08"}


def statuses(fake) -> list[tuple[int, int | None]]:
    """Numbers and statuses of all tries."""
    return [(attempt.attempt, attempt.status) for attempt in fake.deliveries]


async def test_verifies(fake, hook):
    """The signature is good, and was made with the API secret."""
    fake.subscribe(hook.url)
    await fake.deliver("income.added")
    (got,) = hook.arrivals
    signature, stamp = got.header("x-pinwheel-signature"), got.header("x-timestamp")

    assert KeyRing([fake.api_secret]).verify(signature=signature, timestamp=stamp, body=got.body).ok


async def test_headers(fake, hook):
    """The headers are those that the real sender was seen to send, and no others."""
    webhook = fake.subscribe(hook.url, version="2023-11-22")
    await fake.deliver("income.added")
    (got,) = hook.arrivals
    names = [name.lower() for name, _ in got.headers]

    assert len(names) == len(set(names))
    assert {
        *("host", "connection", "content-length"),
        *("x-pinwheel-signature", "x-timestamp", "x-pinwheel-webhook-id", "pinwheel-version"),
        *("content-type", "accept", "accept-encoding", "user-agent"),
        *("baggage", "sentry-trace", "traceparent", "tracestate"),
        *("x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority"),
    } == set(names)
    assert {
        "x-timestamp": str(int(fake.clock.now().timestamp())),
        "x-pinwheel-webhook-id": webhook.id,
        "pinwheel-version": "2023-11-22",
        "content-type": "application/json",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "user-agent": "python-requests/2.31.0",
        "content-length": str(len(got.body)),
    }.items() <= {name.lower(): value for name, value in got.headers}.items()


async def test_body(fake, hook):
    """The body is one line of Python's default JSON, with the id, the name and the payload in this order."""
    fake.subscribe(hook.url)
    event_id = await fake.deliver("income.added", account_id=fake.world.account_id(3))
    (got,) = hook.arrivals

    assert json.dumps(got.said).encode() == got.body
    assert ["event_id", "event", "payload"] == list(got.said)
    assert (event_id, "income.added") == (got.said["event_id"], got.said["event"])
    assert fake.world.account_id(3) == got.payload["account_id"]


@pytest.mark.parametrize("name", EVENTS)
async def test_every_event(fake, hook, name):
    """Every event can be delivered by its name, and is understood without forgiveness."""
    fake.subscribe(hook.url, [name])
    await fake.deliver(name)
    found = decode_event(hook.arrivals[0].body, version="2025-07-08")

    assert (EVENTS[name], (), ()) == (type(found.event), found.problems, found.drift)


async def test_received(fake, mounted):
    """The library's receiver takes what the fake sends, and its handlers see it."""
    router, seen = Router(), asyncio.Queue()

    @router.on(PaystubsAdded)
    async def on_paystubs(event: PaystubsAdded) -> None:
        await seen.put(event)

    async with mounted(router, secrets=[fake.api_secret], inbox=MemoryInbox(), max_age_s=300) as url:
        fake.subscribe(url)
        event_id = await fake.deliver("paystubs.added")
        async with asyncio.timeout(30):
            event = await seen.get()

    assert (event_id, 200) == (event.event_id, fake.deliveries[-1].status)


@pytest.mark.parametrize("product", ["paystubs", "shifts", "tax_forms"])
async def test_announces_what_is_there(fake, hook, get, busy, product):
    """A list's event names exactly what the list then has."""
    fake.subscribe(hook.url)
    await fake.deliver(f"{product}.added", account_id=busy)
    listed = (await get(f"/v1/accounts/{busy}/{product}?limit=100"))["data"]

    assert [item["id"] for item in listed] == [item["id"] for item in hook.arrivals[0].payload["added"]]


async def test_event_of_ours(fake, hook):
    """An event is sent as it is."""
    fake.subscribe(hook.url)
    event = make_event(IncomeAdded, outcome="error", error_code="accountLocked")
    event_id = await fake.deliver(event)

    assert event_id == event.event_id
    assert event == decode_event(hook.arrivals[0].body).event


async def test_changed_event(fake, hook):
    """Keys of an event can be changed on its way, its account and id, too."""
    fake.subscribe(hook.url)
    await fake.deliver(make_event(IncomeAdded), account_id="mine", event_id="its", outcome="pending")
    (got,) = hook.arrivals

    assert ("mine", "its", "pending") == (got.payload["account_id"], got.said["event_id"], got.payload["outcome"])


async def test_event_without_id(fake, hook):
    """An event that has no id gets one."""
    fake.subscribe(hook.url)
    event_id = await fake.deliver(make_event(IncomeAdded, event_id=""))

    assert [event_id] == hook.ids


async def test_failed_job(fake, hook, busy):
    """A failed job names an error, and no data."""
    fake.subscribe(hook.url)
    await fake.deliver("paystubs.added", account_id=busy, outcome="error")
    payload = hook.arrivals[0].payload

    assert ("userActionRequired", {}, []) == (payload["error_type"], payload["params"], payload["added"])


async def test_odd_outcome(fake, hook):
    """An outcome that nobody knows is sent as it is."""
    fake.subscribe(hook.url)
    await fake.deliver("income.added", outcome="maybe")

    assert "maybe" == hook.arrivals[0].payload["outcome"]


async def test_event_of_the_future(fake, hook):
    """An event that nobody knows goes to whoever lists it."""
    fake.subscribe(hook.url, ["some_product.changed", "other.thing"])
    await fake.deliver(make_event(UnknownEvent))
    await fake.deliver("other.thing", colour="red")

    assert ["some_product.changed", "other.thing"] == hook.events
    assert "red" == hook.arrivals[1].payload["colour"]


async def test_only_subscribed(fake, hook):
    """A webhook gets the events that it lists, and no others."""
    fake.subscribe(hook.url, ["income.added"])
    for name in ("income.added", "employment.added"):
        await fake.deliver(name)

    assert ["income.added"] == hook.events


async def test_all_events(fake):
    """A webhook lists all 34 events unless told otherwise."""
    made = fake.subscribe("https://www.example.com/hook")

    assert isinstance(made, Webhook)
    assert set(get_args(WebhookEventName)) == set(made.enabled_events)
    assert 34 == len(made.enabled_events)


async def test_every_webhook(fake, hooked):
    """Every webhook gets an event, in the shape of its version, with the same id."""
    async with hooked() as old, hooked() as new:
        fake.subscribe(old.url, version="2023-07-18")
        fake.subscribe(new.url)
        await fake.deliver("direct_deposit_switch.added")

    assert old.ids == new.ids
    assert [{"amount"}, {"action", "allocation"}] == [set(hook.arrivals[0].payload["params"]) for hook in (old, new)]


async def test_made_over_the_api(fake, session, hook):
    """A webhook that a client made gets deliveries while it is active, and none after it is gone."""
    async with session.post("/v1/webhooks", json=WEBHOOK | {"url": hook.url}) as response:
        path = f"/v1/webhooks/{(await response.json())['data']['id']}"
    for body in ({"status": "active"}, {"status": "paused"}, {"status": "active"}):
        async with session.put(path, json=body) as response:
            assert 200 == response.status
        await fake.deliver("income.added")
    async with session.delete(path):
        await fake.deliver("income.added")

    assert 2 == len(hook.arrivals)


async def test_made_with_the_client(fake, hook):
    """What goes to an https URL can be had on this machine."""
    fake.forward("https://other.example.com/", "http://127.0.0.1:1/")
    fake.forward("https://app.example.com/", hook.url + "/of/")
    async with Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        await pinwheel.webhooks.create(
            url="https://app.example.com/x#mine", enabled_events=["income.added"], version="2025-07-08"
        )
    await fake.deliver("income.added")

    assert 1 == len(hook.arrivals)


@pytest.mark.parametrize("url", ["https://www.example.com/hook", "https://127.0.0.1.example.com", "https://["])
async def test_nothing_leaves(fake, monkeypatch, url):
    """Nothing is sent to another machine: not even its name is looked up."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    fake.subscribe(url)
    await fake.deliver("income.added")

    assert [(1, None)] == statuses(fake)


@pytest.mark.parametrize(
    "url",
    [
        *("http://www.example.com", "http://127.0.0.1.example.com/", "http://127.0.0.1:80@example.com", "ftp://x"),
        *("http://localhost.example.com", "http://127.0.0.1:a", "https://", "", "http://127.0.0.2/"),
    ],
)
async def test_wrong_url(fake, session, url):
    """A URL that is neither https nor this machine is refused, here and over the API."""
    with pytest.raises(ValueError, match="https"):
        fake.subscribe(url)
    async with session.post("/v1/webhooks", json=WEBHOOK | {"url": url}) as response:
        assert 400 == response.status


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a#b", "http://localhost", "http://[::1]:8080/", "https://x.y/"])
async def test_right_url(fake, session, url):
    """What is https or leads to this machine is taken, here and over the API."""
    assert url == fake.subscribe(url).url
    async with session.post("/v1/webhooks", json=WEBHOOK | {"url": url}) as response:
        assert 200 == response.status


async def test_forward_elsewhere(fake):
    """Nothing can be forwarded to another machine."""
    with pytest.raises(ValueError, match=r"127\.0\.0\.1"):
        fake.forward("https://app.example.com", "http://www.example.com")


async def test_quota(fake):
    """The eleventh webhook is refused."""
    for _ in range(10):
        fake.subscribe("https://www.example.com")
    with pytest.raises(ValueError, match="10"):
        fake.subscribe("https://www.example.com")


async def test_own_secret(fake, hook):
    """A webhook can be signed with another secret, as that of another environment."""
    fake.subscribe(hook.url, secret="another-secret")
    await fake.deliver("income.added")
    (got,) = hook.arrivals
    signature, stamp = got.header("x-pinwheel-signature"), got.header("x-timestamp")
    ring = KeyRing({"ours": fake.api_secret, "other": "another-secret"})

    assert "other" == ring.verify(signature=signature, timestamp=stamp, body=got.body).key


async def test_unknown_account(fake):
    """An event about an account that is not there is refused."""
    with pytest.raises(ValueError, match="no account nobody"):
        await fake.deliver("income.added", account_id="nobody")


async def test_empty_world():
    """In a world without accounts there is nothing to tell of."""
    async with FakePinwheel(accounts=0) as fake:
        with pytest.raises(ValueError, match="no account"):
            await fake.deliver("income.added")


@pytest.mark.parametrize("status", [500, 502, 503, 599])
async def test_server_error_is_repeated(fake, hooked, status):
    """5xx is repeated, with the same id, until there is a 200."""
    async with hooked(status, status) as hook:
        fake.subscribe(hook.url)
        event_id = await fake.deliver("income.added")
        assert [(1, status)] == statuses(fake)
        await fake.advance(15 * 60)

    assert [(1, status), (2, status), (3, 200)] == statuses(fake)
    assert [event_id] * 3 == hook.ids
    assert 1 == len({arrival.body for arrival in hook.arrivals})


async def test_no_more_than_six_tries(fake, hooked):
    """After five more tries, which begin within 15 minutes, an event is lost."""
    async with hooked(*[503] * 100) as hook:
        fake.subscribe(hook.url)
        await fake.deliver("income.added")
        await fake.advance(DAY_S)

    assert 6 == len(hook.arrivals)
    assert hook.stamps[-1] - hook.stamps[0] <= 15 * 60


async def test_backoff(fake, hooked):
    """The waits between tries grow, by chance not evenly."""
    async with hooked(*[503] * 6) as hook:
        fake.subscribe(hook.url)
        await fake.deliver("income.added")
        await fake.advance(15 * 60)
    waits = [later - sooner for sooner, later in zip(hook.stamps, hook.stamps[1:], strict=False)]

    assert all(
        low <= wait <= high + 1
        for low, high, wait in zip((12, 25, 50, 100, 200), (25, 50, 100, 200, 400), waits, strict=True)
    )


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 401, 404, 410, 413, 429])
async def test_others_are_not_repeated(fake, hooked, status):
    """What is no 5xx is not repeated, and no redirect is followed."""
    async with hooked(status) as hook:
        fake.subscribe(hook.url)
        await fake.deliver("income.added")
        await fake.advance(DAY_S)

    assert [(1, status)] == statuses(fake)
    assert 1 == len(hook.arrivals)


async def test_cut_is_repeated(fake, hooked):
    """A receiver that hangs up gets the event again."""
    async with hooked("cut") as hook:
        fake.subscribe(hook.url)
        await fake.deliver("income.added")
        await fake.advance(60)

    assert [(1, None), (2, 200)] == statuses(fake)


async def test_nobody_listens(fake, hook):
    """Where nobody listens, the event is repeated, and arrives when somebody does."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    fake.subscribe(url)
    await fake.deliver("income.added")
    fake.forward(url, hook.url)
    await fake.advance(60)

    assert [(1, None), (2, 200)] == statuses(fake)


async def test_no_answer_is_repeated(hooked):
    """A receiver that does not answer in 15 seconds gets the event again, and nobody really waits for it."""
    async with FakePinwheel(patience_s=0.5) as fake, hooked("never") as hook:
        fake.subscribe(hook.url)
        event_id = await fake.deliver("income.added")
        await fake.advance(14)
        assert [] == statuses(fake)
        await fake.advance(60)

    assert [(1, None), (2, 200)] == statuses(fake)
    assert [event_id] * 2 == hook.ids
    assert 15 <= hook.stamps[1] - hook.stamps[0] <= 15 + 25 + 1


async def test_others_do_not_wait(hooked):
    """A receiver that does not answer keeps nothing from the others, nor from itself."""
    async with FakePinwheel(patience_s=0.5) as fake, hooked("never") as slow, hooked() as quick:
        fake.subscribe(slow.url)
        fake.subscribe(quick.url)
        await fake.deliver("income.added")
        await fake.advance(1)
        await fake.deliver("employment.added")

    assert ["income.added", "employment.added"] == slow.events == quick.events


async def test_parallel(fake, hooked):
    """Deliveries of one moment are under way at the same time."""
    both = asyncio.Barrier(2)
    async with hooked(both.wait, both.wait) as hook, asyncio.timeout(30):
        fake.subscribe(hook.url)
        await asyncio.gather(fake.deliver("income.added"), fake.deliver("employment.added"))

    assert [(1, 200)] * 2 == statuses(fake)


async def test_signed_anew(fake, hooked):
    """A repeated delivery has a timestamp and a signature of its own, and both are good."""
    async with hooked(500) as hook:
        fake.subscribe(hook.url)
        await fake.deliver("income.added")
        await fake.advance(60)
    first, second = hook.stamps
    ring = KeyRing([fake.api_secret])

    assert first < second
    assert all(
        ring.verify(
            signature=arrival.header("x-pinwheel-signature"), timestamp=arrival.header("x-timestamp"), body=arrival.body
        ).ok
        for arrival in hook.arrivals
    )


async def test_signed_once(hooked):
    """With `resign_retries=False` every try has the timestamp and signature of the first."""
    async with FakePinwheel(resign_retries=False) as fake, hooked(500, 500) as hook:
        fake.subscribe(hook.url)
        await fake.deliver("income.added")
        await fake.advance(300)

    assert (3, 1) == (len(hook.stamps), len(set(hook.stamps)))


async def test_paused_after_30_days(fake, hooked):
    """A webhook that did not answer 200 for 30 days is paused and gets nothing more, nor any repetition."""
    async with hooked(*[500] * 100) as hook:
        made = fake.subscribe(hook.url)
        await fake.deliver("income.added")
        await fake.advance(29 * DAY_S)
        assert "active" == fake.world.resources.webhook(made.id)["status"]
        await fake.advance(DAY_S)
        await fake.deliver("income.added")
        assert "paused" == fake.world.resources.webhook(made.id)["status"]
        before = len(hook.arrivals)
        await fake.advance(DAY_S)
        await fake.deliver("income.added")

    assert 7 == before == len(hook.arrivals)


async def test_good_answers_keep_it_active(fake, hooked):
    """One 200 in 30 days is enough."""
    async with hooked(404, 200, 404) as hook:
        made = fake.subscribe(hook.url)
        for _ in range(3):
            await fake.deliver("income.added")
            await fake.advance(20 * DAY_S)

    assert "active" == fake.world.resources.webhook(made.id)["status"]


async def test_put_back(fake, session, hooked):
    """A webhook that was put back has another 30 days."""
    async with hooked(404, 404) as hook:
        made = fake.subscribe(hook.url)
        await fake.advance(31 * DAY_S)
        await fake.deliver("income.added")
        async with session.put(f"/v1/webhooks/{made.id}", json={"status": "active"}):
            await fake.deliver("income.added")

    assert "active" == fake.world.resources.webhook(made.id)["status"]


async def test_deleted_under_way(hooked):
    """A webhook may go while a delivery to it is under way."""
    async with FakePinwheel(patience_s=0.05) as fake, hooked("never") as hook:
        made = fake.subscribe(hook.url)
        await fake.deliver("income.added")
        fake.world.resources.delete_webhook(made.id)
        await fake.advance(DAY_S)

    assert [(1, None)] == statuses(fake)


async def test_record(fake, hook):
    """Every try is on record, and `clear_records()` empties the record."""
    webhook = fake.subscribe(hook.url)
    event_id = await fake.deliver("income.added")
    (attempt,) = fake.deliveries

    assert (event_id, "income.added", webhook.id) == (attempt.event_id, attempt.event, attempt.webhook_id)
    assert (1, 200, fake.clock.now(), False) == (attempt.attempt, attempt.status, attempt.at, attempt.corrupt)
    fake.clear_records()
    assert not fake.deliveries


async def test_record_is_bounded(fake):
    """However much is sent, only so many tries are kept."""
    assert 10_000 == fake.deliveries.maxlen


async def test_same_seed(hooked):
    """The same seed and moment give the same bytes, ids and waits."""
    runs = []
    for _ in range(2):
        async with FakePinwheel(seed=7) as fake, hooked(503, 503, 503) as hook:
            fake.clock.set(datetime(2026, 4, 1, tzinfo=UTC))
            fake.subscribe(hook.url)
            await fake.deliver("paystubs.added")
            await fake.advance(900)
            runs.append(
                [
                    (arrival.body, arrival.header("x-timestamp"), arrival.header("x-pinwheel-signature"))
                    for arrival in hook.arrivals
                ]
            )

    assert runs[0] == runs[1]


async def test_stop_under_way(hooked):
    """A fake can be stopped while a delivery is under way and another one is due."""
    async with hooked("never", 500) as hook:
        async with FakePinwheel(patience_s=0.5) as fake:
            fake.subscribe(hook.url)
            await fake.deliver("income.added")
            await fake.deliver("employment.added")
        tasks = {task for task in asyncio.all_tasks() if "Outbox" in repr(task.get_coro())}

    assert not tasks
    assert [(1, 500)] == statuses(fake)


async def test_stop_while_somebody_settles(hooked):
    """Whoever waits for a delivery when the fake stops goes on."""
    arrived = asyncio.Event()

    async def hang() -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with hooked(hang) as hook:
        async with FakePinwheel(patience_s=60) as fake:
            fake.subscribe(hook.url)
            waiting = asyncio.create_task(fake.deliver("income.added"))
            await arrived.wait()
        await waiting

    assert [] == statuses(fake)


async def test_started_again(hook):
    """A fake that was started again knows its webhooks, and forgot what was due."""
    fake = FakePinwheel()
    async with fake:
        fake.subscribe(hook.url)
        fake.webhook_faults(delay=1)
        await fake.deliver("income.added")
        fake.clear_faults()
    async with fake:
        await fake.advance(DAY_S)
        await fake.deliver("employment.added")

    assert ["employment.added"] == hook.events


async def test_not_started(fake):
    """A fake that does not run delivers nothing."""
    with pytest.raises(RuntimeError, match="not started"):
        await FakePinwheel().deliver("income.added")
    with pytest.raises(RuntimeError, match="not started"):
        await FakePinwheel().advance(1)


async def test_real_time(hook):
    """With the real time, a session plays by itself."""
    async with FakePinwheel(speed=1) as fake:
        fake.subscribe(hook.url, ["account.added", "income.added"])
        await fake.connect()
        async with asyncio.timeout(30):
            while len(hook.arrivals) < 2:
                await asyncio.sleep(0.05)

    assert ["account.added", "income.added"] == hook.events


async def test_from_another_loop(hook):
    """A fake that serves from a thread of its own can be told from any loop."""
    with FakePinwheel() as fake:
        fake.subscribe(hook.url)
        await fake.deliver("income.added")
        fake.clock.advance(1)
        await fake.settle()

    assert ["income.added"] == hook.events


def test_from_blocking_code():
    """Blocking code can tell it, too."""
    seen = []

    def listen(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            seen.append(connection.recv(65_536).partition(b" ")[0])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server, FakePinwheel() as fake:
        thread = threading.Thread(target=listen, args=(server,))
        thread.start()
        fake.subscribe(f"http://127.0.0.1:{server.getsockname()[1]}/")
        asyncio.run(fake.deliver("income.added"))
        thread.join()

    assert ([b"POST"], [(1, 200)]) == (seen, statuses(fake))


def test_time_over_the_api():
    """What the API answers goes by the same clock."""
    with FakePinwheel() as fake:
        before = fake.world.now()
        fake.clock.advance(3_600)
        connection = http.client.HTTPConnection(urlsplit(fake.base_url).netloc)
        headers = {"x-api-secret": fake.api_secret, "Pinwheel-Version": "2025-07-08"}
        connection.request("POST", "/v1/webhooks", json.dumps(WEBHOOK | {"url": "https://x.example.com"}), headers)
        made = json.loads(connection.getresponse().read())["data"]
        connection.close()

    assert before + timedelta(hours=1) == datetime.fromisoformat(made["created_at"])
