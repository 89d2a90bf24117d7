"""The receiver without a web framework, and a function for those who only verify and parse."""

import asyncio
import json
from http.client import HTTPMessage

import pytest
from multidict import CIMultiDict

from pinwheel_async.errors import ConfigurationError, DecodeError, EnvelopeError, InboxError, SignatureError
from pinwheel_async.events import Event, IncomeAdded, UnknownEvent
from pinwheel_async.webhooks import KeyRing, MemoryInbox, Receiver, Router, _receiver
from pinwheel_async.webhooks._parse import parse_delivery
from pinwheel_async.webhooks._receiver import CROWD, CROWDED_S

SECRET = "a-secret-of-tests"


@pytest.fixture
async def receive(request):
    """Start receivers; every one is stopped at the end."""
    receivers = []

    async def start(handler=None, **options):
        router = Router()
        if handler is not None:
            router.on(Event)(handler)
        receiver = Receiver(router, [SECRET], **options)
        receivers.append(receiver)
        await receiver.start()
        return receiver

    yield start
    for one in receivers:
        await one.stop()


def message(headers):
    made = HTTPMessage()
    for name, value in headers.items():
        made[name] = value
    return made


@pytest.mark.parametrize(
    "shape",
    [
        dict,
        lambda headers: {name.title(): value for name, value in headers.items()},
        lambda headers: {name.upper(): value for name, value in headers.items()},
        CIMultiDict,
        message,
    ],
    ids=["lower", "title", "upper", "multidict", "stdlib"],
)
async def test_headers_of_any_framework(receive, body, headers, shape):
    """Headers come as any mapping, with names in any case."""
    seen = []

    async def handle(event: Event, context) -> None:
        seen.append((event.event_id, context.version))

    receiver = await receive(handle)
    one = body(event_id="1")
    answer = await receiver.receive(shape(headers(one)), one)

    assert (200, [("1", "2025-07-08")]) == (answer.status, seen)


@pytest.mark.parametrize(
    "given", [{}, {"X-Timestamp": "1"}, {"x-pinwheel-signature": ""}, {"X-Pinwheel-Signature": "v2="}]
)
async def test_not_authentic(receive, body, given):
    """Headers without a good signature are answered 401."""
    receiver = await receive()

    assert 401 == (await receiver.receive(given, body())).status


async def test_outside_of_start_and_stop(body, headers):
    """Before the start and after the stop the answer is 503, so that the sender comes again."""
    receiver, one = Receiver(Router(), [SECRET]), body()
    before = await receiver.receive(headers(one), one)
    await receiver.start()
    between = await receiver.receive(headers(one), one)
    await receiver.stop()
    after = await receiver.receive(headers(one), one)

    assert [503, 200, 503] == [before.status, between.status, after.status]
    assert {"Retry-After": "5"} == after.headers


def test_again_in_another_loop(body, headers):
    """A receiver can be started again, in another event loop, too."""
    handled, inbox, router = [], MemoryInbox(), Router()

    @router.on(Event)
    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    receiver = Receiver(router, [SECRET], inbox=inbox)

    async def run(event_id):
        await receiver.start()
        await receiver.start()
        one = body(event_id=event_id)
        await receiver.receive(headers(one), one)
        async with asyncio.timeout(5):
            while event_id not in handled:
                await asyncio.sleep(0)
        await receiver.stop()
        await receiver.stop()

    asyncio.run(run("1"))
    asyncio.run(run("2"))

    assert ["1", "2"] == handled


async def test_stored_while_draining(receive, body, headers):
    """What comes while handlers finish is stored and acknowledged, and waits."""
    inbox = MemoryInbox()
    receiver = await receive(inbox=inbox)
    await receiver.drain()
    one = body()
    answer = await receiver.receive(headers(one), one)

    assert (200, 1) == (answer.status, (await inbox.counts()).waiting)


@pytest.mark.parametrize(
    "error", [InboxError("full", reason="R"), OSError("planted-4711")], ids=["InboxError", "foreign"]
)
async def test_not_stored(receive, body, headers, caplog, error):
    """When the inbox fails, whatever it raises, the answer is 503 and no words of a foreign error are logged."""

    class Broken(MemoryInbox):
        async def put(self, delivery):
            raise error

    receiver = await receive(inbox=Broken())
    one = body(event_id="event-4711")
    answer = await receiver.receive(headers(one), one)

    assert 503 == answer.status
    assert "event event-4711 is not stored" in caplog.text
    assert "planted-4711" not in caplog.text


async def test_without_inbox(receive, body, headers, caplog):
    """Without an inbox a failing handler is answered 500; what cannot be read is answered 200 and logged as lost."""

    async def fail(event: Event) -> None:
        raise ValueError

    receiver = await receive(fail)
    one, odd = body(), body(event_id="odd", timestamp="planted-4711")
    statuses = [(await receiver.receive(headers(each), each)).status for each in (one, odd)]

    assert [500, 200] == statuses
    assert "event odd cannot be read and is lost: payload.timestamp" in caplog.text
    assert "planted-4711" not in caplog.text


async def test_health(receive):
    """Health counts what the inbox holds; without an inbox there is nothing to count."""
    assert await (await receive()).health() is None
    assert 0 == (await (await receive(inbox=MemoryInbox())).health()).waiting


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"lease_s": 0}, {"drain_s": -1}, {"timeout_s": 0}, {"secrets": []}], ids=str
)
def test_settings_that_cannot_work(options):
    """A receiver that could not work is refused when it is made."""
    with pytest.raises(ConfigurationError):
        Receiver(Router(), **({"secrets": [SECRET]} | options))


@pytest.mark.parametrize("secrets", [[SECRET], ["other", SECRET], {"mine": SECRET}, KeyRing([SECRET])], ids=str)
def test_parse(body, headers, secrets):
    """A delivery with a good signature is parsed to its event, whatever the secrets come in."""
    one = body(event_id="1")
    event = parse_delivery(headers(one), one, secrets=secrets)

    assert (IncomeAdded, "1") == (type(event), event.event_id)


def test_parse_unknown(body, headers):
    """An event that nobody knows is parsed as such."""
    one = body("moon.risen")

    assert UnknownEvent is type(parse_delivery(headers(one), one, secrets=[SECRET]))


@pytest.mark.parametrize("max_age_s", [None, 1])
def test_parse_not_authentic(body, headers, max_age_s):
    """A body that is not authentic, or too old, is refused with the kind of what is wrong, and no more."""
    one = body(error_code="planted-4711")
    given = headers(one) if max_age_s else headers(body())

    with pytest.raises(SignatureError, match=r"not authentic: signature (wrong|stale)") as caught:
        parse_delivery(given, one, secrets=[SECRET], max_age_s=max_age_s)

    assert "planted-4711" not in repr(caught.value)


@pytest.mark.parametrize("odd", [b"", b"[]", b"\xff", b"{}", b'{"event": 7}', b'{"event": "moon.risen", "payload": 7}'])
def test_parse_no_event(headers, odd):
    """An authentic body that is no event is an error of its own."""
    with pytest.raises(EnvelopeError, match="authentic, but not an event: "):
        parse_delivery(headers(odd), odd, secrets=[SECRET])


def test_parse_not_decodable(body, headers):
    """A known event whose payload cannot be read is an error with the places, and without the values."""
    one = json.dumps(json.loads(body(timestamp="planted-4711"))).encode()

    with pytest.raises(DecodeError) as caught:
        parse_delivery(headers(one), one, secrets=[SECRET])

    assert ("income.added", ("payload.timestamp: not a moment in time",)) == (caught.value.where, caught.value.paths)


async def test_a_crowd(receive, body, headers, monkeypatch):
    """Many deliveries that wait to be stored are a crowd, which is taken to last for a moment; few are none."""
    now, release = [1000.0], asyncio.Event()
    monkeypatch.setattr(_receiver, "monotonic", lambda: now[0])

    class Slow(MemoryInbox):
        async def put(self, delivery):
            await release.wait()
            return await super().put(delivery)

    receiver = await receive(inbox=Slow())
    contents = [body(event_id=f"{number}") for number in range(CROWD)]
    arriving = [asyncio.create_task(receiver.receive(headers(one), one)) for one in contents[1:]]
    await asyncio.sleep(0)
    few = receiver._is_crowded()
    arriving.append(asyncio.create_task(receiver.receive(headers(contents[0]), contents[0])))
    await asyncio.sleep(0)
    many = receiver._is_crowded()
    release.set()
    answers = await asyncio.gather(*arriving)
    stored = receiver._is_crowded()
    now[0] += 2 * CROWDED_S

    assert {200} == {one.status for one in answers}
    assert (False, True, True, False) == (few, many, stored, receiver._is_crowded())
