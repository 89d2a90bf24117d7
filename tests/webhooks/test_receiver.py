"""Receiver without a web framework, and `parse_delivery`."""

import asyncio
import gzip
import json
import logging
import threading
import time
from http.client import HTTPMessage
from itertools import pairwise

import pytest
from aiohttp import web
from multidict import CIMultiDict

from pinwheel_async.errors import ConfigurationError, DecodeError, EnvelopeError, InboxError, SignatureError
from pinwheel_async.events import Event, IncomeAdded, UnknownEvent
from pinwheel_async.testing import make_event, signed_delivery
from pinwheel_async.webhooks import (
    KeyRing,
    MemoryInbox,
    Receiver,
    Router,
    SqliteInbox,
    StoredDelivery,
    _receiver,
    _time_limit,
)
from pinwheel_async.webhooks._delivery import parse_delivery

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
    for receiver in receivers:
        await receiver.stop()


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
    content = body(event_id="1")
    answer = await receiver.receive(shape(headers(content)), content)

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
    receiver, content = Receiver(Router(), [SECRET]), body()
    before = await receiver.receive(headers(content), content)
    await receiver.start()
    between = await receiver.receive(headers(content), content)
    await receiver.stop()
    after = await receiver.receive(headers(content), content)

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
        content = body(event_id=event_id)
        await receiver.receive(headers(content), content)
        async with asyncio.timeout(5):
            while event_id not in handled:
                await asyncio.sleep(0)
        await receiver.stop()
        await receiver.stop()

    asyncio.run(run("1"))
    asyncio.run(run("2"))

    assert ["1", "2"] == handled


async def test_stored_while_draining(receive, body, headers):
    """A delivery that comes while handlers finish is stored and acknowledged, and waits."""
    inbox = MemoryInbox()
    receiver = await receive(inbox=inbox)
    await receiver.drain()
    content = body()
    answer = await receiver.receive(headers(content), content)

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
    content = body(event_id="event-4711")
    answer = await receiver.receive(headers(content), content)

    assert 503 == answer.status
    assert "event event-4711 is not stored" in caplog.text
    assert "planted-4711" not in caplog.text


async def test_without_inbox(receive, body, headers, caplog):
    """Without an inbox a failing handler is answered 500; what cannot be read is answered 200 and logged as lost."""

    async def fail(event: Event) -> None:
        raise ValueError

    receiver = await receive(fail)
    content, odd = body(), body(event_id="odd", timestamp="planted-4711")
    statuses = [(await receiver.receive(headers(each), each)).status for each in (content, odd)]

    assert [500, 200] == statuses
    assert "event odd cannot be read and is lost: payload.timestamp" in caplog.text
    assert "planted-4711" not in caplog.text


class Gated(MemoryInbox):
    """Stores when it is told to."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()

    async def put(self, delivery):
        self.begun.set()
        await self.gate.wait()
        return await super().put(delivery)


class Broken(MemoryInbox):
    """Fails to save."""

    def __init__(self):
        super().__init__()
        self.failed = asyncio.Event()

    async def save(self, key, value):
        self.failed.set()
        raise InboxError("the disk failed", reason="SQLITE_IOERR")


class Queued(Gated):
    """Carries out what it was asked for, in order, also if nobody waits for it any more, as `SqliteInbox` does."""

    def __init__(self):
        super().__init__()
        self.tasks = []

    async def put(self, delivery):
        self.tasks.append(asyncio.create_task(super().put(delivery)))
        return await asyncio.shield(self.tasks[-1])

    async def save(self, key, value):
        await self.gate.wait()
        await super().save(key, value)


@pytest.fixture
def short(monkeypatch):
    """Deliveries have to be stored within a hundredth of a second."""
    monkeypatch.setattr(_receiver, "ANSWER_S", 0.01)
    monkeypatch.setattr(_receiver, "MIN_PUT_S", 0.01)
    monkeypatch.setattr(_receiver, "RECOVERY_S", 0.01)
    monkeypatch.setattr(_time_limit, "SWEEP_S", 0.01)


async def test_hanging_inbox(receive, body, headers, short, caplog):
    """What an inbox does not store in time is answered 503, and known when it was stored all the same."""
    inbox = Queued()
    receiver = await receive(inbox=inbox)
    content = body(event_id="event-4711")
    answer = await receiver.receive(headers(content), content)
    inbox.gate.set()
    await asyncio.gather(*inbox.tasks)

    assert (503, "5") == (answer.status, answer.headers["Retry-After"])
    assert "503 not_stored_in_time: event event-4711 is not stored within 0.01 s" in caplog.text
    assert 200 == (await receiver.receive(headers(content), content)).status
    assert ["event-4711"] == [entry.event_id for entry in await inbox.entries()]


async def test_a_repetition_is_noted(receive, body, headers, caplog):
    """The log says at DEBUG which event is known already, and of none else."""
    caplog.set_level(logging.DEBUG, logger="pinwheel_async.webhooks")
    receiver = await receive(inbox=MemoryInbox())
    for event_id in ("event-1", "event-2", "event-1"):
        content = body(event_id=event_id)
        await receiver.receive(headers(content), content)

    assert ["event event-1 is known already"] == [
        record.getMessage() for record in caplog.records if "known" in record.getMessage()
    ]


async def test_inbox_with_a_limit_of_its_own(receive, body, headers):
    """What an inbox itself gives up waiting for counts as late, too."""
    refused = []

    class Limited(Gated):
        async def put(self, delivery):
            raise InboxError("the disk does not answer", reason="Timeout")

        async def save(self, key, value):
            await self.gate.wait()

    receiver = await receive(inbox=Limited(), on_refused=lambda *told: refused.append(told))
    content = body()
    await receiver.receive(headers(content), content)

    assert [("not_stored_in_time", 503)] == refused
    assert receiver._late_bytes > 0


@pytest.mark.parametrize("fails", [False, True])
async def test_what_hangs_is_bounded(receive, body, headers, short, fails):
    """What a hanging inbox was given counts until it stores again, so that it cannot fill the memory."""
    inbox, refused = Queued(), []
    options = {"max_body_bytes": 1000, "max_buffered_bytes": 35_000, "on_refused": lambda *told: refused.append(told)}
    receiver = await receive(inbox=inbox, **options)
    contents = [body(event_id=f"{number}") for number in range(5)]
    for content in contents:
        await receiver.receive(headers(content), content)
    hung = [reason for reason, _ in refused]
    if fails:
        broken, save = Broken(), inbox.save
        inbox.save = broken.save
        receiver._recovering.cancel()
        await asyncio.wait({receiver._recovering})
        receiver._recovering = asyncio.create_task(receiver._recover(inbox))
        await broken.failed.wait()
        inbox.save = save
    inbox.gate.set()
    async with asyncio.timeout(10):
        while receiver._late_bytes:
            await asyncio.sleep(0)
    again = [(await receiver.receive(headers(content), content)).status for content in contents]

    assert ["not_stored_in_time"] * 3 + ["overloaded"] * 2 == hung
    assert [200] * 5 == again


async def test_stopped_while_it_hangs(body, headers, short):
    """A receiver can be stopped while its inbox hangs, and started again with all its memory."""
    inbox = Queued()
    receiver = Receiver(Router(), [SECRET], inbox=inbox, max_body_bytes=1000, max_buffered_bytes=12_000)
    content = body()
    await receiver.start()
    await receiver.receive(headers(content), content)
    async with asyncio.timeout(10):
        await receiver.stop()
    inbox.gate.set()
    await receiver.start()

    assert 200 == (await receiver.receive(headers(content), content)).status
    await receiver.stop()


async def test_time_that_the_body_took(receive, body, headers, short, monkeypatch):
    """The time that the body took is no longer there to store it, but for a rest."""
    monkeypatch.setattr(_receiver, "ANSWER_S", 10.0)
    receiver = await receive(inbox=Gated())
    content = body()
    async with asyncio.timeout(5):
        assert 503 == (await receiver.receive(headers(content), content, waited_s=10.0)).status


async def test_blocked_loop(receive, body, headers, monkeypatch):
    """What was stored while the event loop was blocked is answered 200, although its time is over."""
    monkeypatch.setattr(_receiver, "ANSWER_S", 0.05)
    monkeypatch.setattr(_receiver, "MIN_PUT_S", 0.05)
    monkeypatch.setattr(_time_limit, "SWEEP_S", 0.01)
    inbox = Gated()
    receiver = await receive(inbox=inbox)
    content = body()
    receiving = asyncio.create_task(receiver.receive(headers(content), content))
    await inbox.begun.wait()
    loop = asyncio.get_running_loop()
    threading.Timer(0, loop.call_soon_threadsafe, [loop.call_soon, inbox.gate.set]).start()  # one turn late
    time.sleep(0.1)  # this is what the test is about: a handler that blocks the event loop

    assert 200 == (await receiving).status


async def test_too_much_at_once(receive, body, headers):
    """Deliveries that wait to be stored are bounded, and what they took is given back."""
    inbox, refused = Gated(), []
    receiver = await receive(
        inbox=inbox, max_body_bytes=1000, max_buffered_bytes=35_000, on_refused=lambda *told: refused.append(told)
    )
    contents = [body(event_id=f"{number}") for number in range(5)]
    receiving = [asyncio.create_task(receiver.receive(headers(content), content)) for content in contents]
    async with asyncio.timeout(10):
        while len(refused) < 2:
            await asyncio.sleep(0)
    inbox.gate.set()
    statuses = [(await task).status for task in receiving]
    again = [(await receiver.receive(headers(content), content)).status for content in contents]

    assert [200, 200, 200, 503, 503] == statuses
    assert [200] * 5 == again
    assert [("overloaded", 503)] * 2 == refused


async def test_body_over_the_limit(receive, body, headers):
    """A body over the limit is answered 503 if its headers look signed, else 401."""
    receiver = await receive(max_body_bytes=10)
    content = body()

    assert 503 == (await receiver.receive(headers(content), content)).status
    assert 401 == (await receiver.receive({}, content)).status


@pytest.mark.parametrize(
    "form",
    [
        lambda given: [(name.title().encode(), value.encode()) for name, value in given.items()],
        lambda given: list(given.items()),
    ],
    ids=["asgi", "pairs"],
)
async def test_pairs_of_headers(receive, body, headers, form):
    """Headers come as pairs, too, as in ASGI."""
    receiver = await receive()
    content = body()

    assert 200 == (await receiver.receive(form(headers(content)), content)).status


@pytest.mark.parametrize(("given", "content"), [({}, "text"), (None, b""), ({}, None)])
async def test_wrong_arguments(receive, given, content):
    """Arguments of other types are errors of the program, and no answer: it would keep deliveries out."""
    receiver = await receive()

    with pytest.raises(ConfigurationError):
        await receiver.receive(given, content)


async def test_headers_alone(receive, headers):
    """Headers are refused before the body is read, and only those that no body can make good."""
    receiver = await receive()

    assert 401 == receiver.check_headers({"x-timestamp": "1"}).status
    assert receiver.check_headers(headers(b"")) is None


async def test_headers_before_the_start():
    """Before the start the answer is 503, whatever the headers are."""
    assert 503 == Receiver(Router(), [SECRET]).check_headers({}).status


@pytest.mark.parametrize("new", [True, False])
async def test_on_stored(receive, body, headers, new):
    """The hook is told what was stored or known, before the answer, and nothing of the payload."""
    stored = []
    receiver = await receive(inbox=MemoryInbox(), on_stored=stored.append)
    content = body(event_id="1", account_id="a")
    for _ in range(1 if new else 2):
        await receiver.receive(headers(content), content)

    assert StoredDelivery(event_id="1", event="income.added", ordering_key="a", new=new) == stored[-1]


async def test_not_stored_is_not_told(receive, body, headers):
    """Of what is not stored, the hook is not told."""
    stored = []
    receiver = await receive(inbox=MemoryInbox(max_waiting=0), on_stored=stored.append)
    content = body()

    assert 503 == (await receiver.receive(headers(content), content)).status
    assert [] == stored


async def test_hooks_finish(body, headers):
    """Asynchronous hooks that are under way at the end finish before the receiver has stopped."""
    told = []

    async def hook(delivery):
        await asyncio.sleep(0.01)
        told.append(delivery.event_id)

    receiver = Receiver(Router(), [SECRET], inbox=MemoryInbox(), on_stored=hook)
    await receiver.start()
    content = body(event_id="1")
    await receiver.receive(headers(content), content)
    await receiver.stop()

    assert ["1"] == told


async def test_sum_of_refusals_at_the_end(caplog):
    """What was refused and not logged yet is logged when the receiver stops."""
    receiver = Receiver(Router(), [SECRET])
    await receiver.start()
    for _ in range(3):
        await receiver.receive({}, b"")
    await receiver.stop()

    assert "refused 2 more deliveries: signature_missing 2" in caplog.text


@pytest.mark.parametrize("encoding", ["gzip", "br", "x"])
async def test_unsigned_and_compressed(receive, encoding):
    """A body without a signature is answered 401, whatever its encoding."""
    receiver = await receive()

    assert 401 == (await receiver.receive({"content-encoding": encoding}, b"\x1f\x8b")).status


async def test_hooks_that_fail(receive, body, headers, caplog):
    """What hooks raise changes no answer."""

    def fail(*_):
        raise ValueError("planted-4711")

    receiver = await receive(inbox=MemoryInbox(), on_stored=fail, on_refused=fail)
    content = body()
    statuses = [(await receiver.receive(given, content)).status for given in (headers(content), {})]

    assert [200, 401] == statuses
    assert "hook on_stored failed: ValueError" in caplog.text
    assert "planted-4711" not in caplog.text


class Held(MemoryInbox):
    """Cannot be opened as long as it is held."""

    def __init__(self, *reasons):
        super().__init__()
        self.reasons = list(reasons)

    async def open(self):
        if self.reasons:
            raise InboxError("another process holds the inbox", reason=self.reasons.pop(0))
        await super().open()


async def test_opened_later(receive, body, headers, monkeypatch, caplog):
    """While another process holds the inbox, deliveries are answered 503; after that they are stored and handled."""
    monkeypatch.setattr(_receiver, "OPEN_RETRY_S", 0.01)
    handled = []

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    receiver = await receive(handle, inbox=Held("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_RECOVERY"))
    content = body(event_id="1")
    first = await receiver.receive(headers(content), content)
    async with asyncio.timeout(10):
        while (await receiver.receive(headers(content), content)).status != 200:
            await asyncio.sleep(0)
        while not handled:
            await asyncio.sleep(0)

    assert 503 == first.status
    assert ["1"] == handled
    assert 3 == caplog.text.count("the inbox cannot be opened yet")


@pytest.mark.parametrize("reason", ["WrongKey", "Foreign", "SQLITE_CORRUPT", "SQLITE_CANTOPEN"])
async def test_never_opened(reason):
    """An inbox that time does not cure fails the start."""
    receiver = Receiver(Router(), [SECRET], inbox=Held(reason))

    with pytest.raises(InboxError):
        await receiver.start()
    assert 503 == (await receiver.receive({}, b"")).status


async def test_tries_to_open(receive, monkeypatch):
    """The pauses between two tries double, up to a limit."""
    monkeypatch.setattr(_receiver, "OPEN_RETRY_S", 0.01)
    monkeypatch.setattr(_receiver, "MAX_OPEN_RETRY_S", 0.04)
    tried = []

    class Watched(Held):
        async def open(self):
            tried.append(asyncio.get_running_loop().time())
            await super().open()

    receiver = await receive(inbox=Watched(*["SQLITE_BUSY"] * 5))
    async with asyncio.timeout(10):
        while not receiver._is_open:
            await asyncio.sleep(0)
    pauses = [after - before for before, after in pairwise(tried)]

    assert all(pause >= least for pause, least in zip(pauses, (0.0099, 0.0199, 0.0399, 0.0399, 0.0399), strict=True))


async def test_stopped_before_it_is_open():
    """A receiver can be stopped while it waits for its inbox, and started again."""
    inbox = Held(*["SQLITE_BUSY"] * 3)
    receiver = Receiver(Router(), [SECRET], inbox=inbox)
    async with asyncio.timeout(0.9):  # before the next try
        await receiver.start()
        await receiver.stop()
    inbox.reasons.clear()
    await receiver.start()

    assert "ok" == (await receiver.health()).status
    await receiver.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"lease_s": 0},
        {"shutdown_timeout_s": -1},
        {"timeout_s": 0},
        {"secrets": []},
        {"max_body_bytes": 0},
        {"max_body_bytes": 2**30},
    ],
    ids=str,
)
def test_settings_that_cannot_work(options):
    """A receiver that could not work is refused when it is made."""
    with pytest.raises(ConfigurationError):
        Receiver(Router(), **({"secrets": [SECRET]} | options))


@pytest.mark.parametrize("secrets", [[SECRET], ["other", SECRET], {"mine": SECRET}, KeyRing([SECRET])], ids=str)
def test_parse(body, headers, secrets):
    """A delivery with a good signature is parsed to its event, whatever the secrets come in."""
    content = body(event_id="1")
    event = parse_delivery(headers(content), content, secrets=secrets)

    assert (IncomeAdded, "1") == (type(event), event.event_id)


def test_parse_unknown(body, headers):
    """An unknown event is parsed as such."""
    content = body("moon.risen")

    assert UnknownEvent is type(parse_delivery(headers(content), content, secrets=[SECRET]))


@pytest.mark.parametrize("max_age_s", [None, 1])
def test_parse_not_authentic(body, headers, max_age_s):
    """A body that is not authentic, or too old, is refused with the kind of what is wrong, and no more."""
    content = body(error_code="planted-4711")
    given = headers(content) if max_age_s else headers(body())

    with pytest.raises(SignatureError, match=r"not authentic: signature (wrong|stale)") as caught:
        parse_delivery(given, content, secrets=[SECRET], max_age_s=max_age_s)

    assert "planted-4711" not in repr(caught.value)


@pytest.mark.parametrize("compressed_first", [True, False])
def test_parse_compressed(body, headers, compressed_first):
    """A compressed delivery is parsed, whichever bytes were signed."""
    plain = body(event_id="1")
    content = gzip.compress(plain)
    given = headers(content if compressed_first else plain) | {"Content-Encoding": "gzip"}

    assert "1" == parse_delivery(given, content, secrets=[SECRET]).event_id


def test_parse_inflated(body, headers):
    """A delivery whose signature may be over bytes that are gone is no 401, and the error says so."""
    content = body()
    given = headers(gzip.compress(content)) | {"Content-Encoding": "gzip"}

    with pytest.raises(SignatureError, match="may be authentic, but cannot be verified, answer 503"):
        parse_delivery(given, content, secrets=[SECRET])


@pytest.mark.parametrize("odd", [b"", b"[]", b"\xff", b"{}", b'{"event": 7}', b'{"event": "moon.risen", "payload": 7}'])
def test_parse_no_event(headers, odd):
    """An authentic body that is no event is an error of its own."""
    with pytest.raises(EnvelopeError, match="authentic, but not an event: "):
        parse_delivery(headers(odd), odd, secrets=[SECRET])


def test_parse_not_decodable(body, headers):
    """A known event whose payload cannot be read is an error with the places, and without the values."""
    content = json.dumps(json.loads(body(timestamp="planted-4711"))).encode()

    with pytest.raises(DecodeError) as caught:
        parse_delivery(headers(content), content, secrets=[SECRET])

    assert ("income.added", ("payload.timestamp: not a moment in time",)) == (caught.value.where, caught.value.paths)


async def test_a_steady_crowd_is_handled(receive, body, headers, tmp_path):
    """While many deliveries keep arriving, each when another is acknowledged, the worker keeps claiming."""
    handled, sent = [], []

    async def handle(event: Event) -> None:
        handled.append(event.event_id)

    receiver = await receive(handle, inbox=SqliteInbox(tmp_path / "inbox.db", synchronous="NORMAL"))

    async def send():
        while len(sent) < 4000:
            content = body(event_id=f"{len(sent)}", account_id=f"account-{len(sent)}")
            sent.append(content)
            await receiver.receive(headers(content), content)

    async with asyncio.TaskGroup() as group:
        for _ in range(32):
            group.create_task(send())

    assert len(handled) > 450  # 976; 336 if the worker stands back for 50 ms before each claim


@pytest.mark.parametrize("kind", [MemoryInbox, SqliteInbox])
async def test_two_routers_on_one_inbox(tmp_path, kind):
    """A receiver whose inbox another router empties does not start; once the other one has stopped, it does."""
    inbox = SqliteInbox(tmp_path / "inbox.db") if kind is SqliteInbox else MemoryInbox()
    first, second = (Receiver(Router(), [SECRET], inbox=inbox) for _ in range(2))
    await first.start()
    with pytest.raises(ConfigurationError, match="an inbox of its own"):
        await second.start()
    await second.stop()
    still_open = (await inbox.counts()).waiting
    await first.stop()
    await second.start()
    await second.stop()

    assert 0 == still_open


async def test_two_receivers_with_one_router():
    """Receivers with the same router share an inbox."""
    inbox, router = MemoryInbox(), Router()
    receivers = [Receiver(router, [SECRET], inbox=inbox) for _ in range(2)]
    for receiver in receivers:
        await receiver.start()
    for receiver in receivers:
        await receiver.stop()


async def test_inbox_that_cannot_be_opened_belongs_to_nobody(tmp_path):
    """A receiver that did not start leaves the inbox to another router."""
    inbox = SqliteInbox(tmp_path / "missing" / "inbox.db")
    with pytest.raises(InboxError):
        await Receiver(Router(), [SECRET], inbox=inbox).start()
    (tmp_path / "missing").mkdir()
    receiver = Receiver(Router(), [SECRET], inbox=inbox)
    await receiver.start()
    await receiver.stop()


async def test_context_manager():
    """`async with` starts and stops a receiver."""
    receiver = Receiver(Router(), [SECRET], inbox=MemoryInbox())
    signed = signed_delivery(make_event(IncomeAdded), secret=SECRET)
    async with receiver as entered:
        open_status = (await entered.receive(signed.headers, signed.body)).status
    closed = await receiver.receive(signed.headers, signed.body)

    assert (200, 503) == (open_status, closed.status)


async def test_cleanup_ctx():
    """A receiver runs as long as the aiohttp application that it is given to."""
    receiver = Receiver(Router(), [SECRET], inbox=MemoryInbox())
    app = web.Application()
    app.cleanup_ctx.append(receiver.cleanup_ctx)
    runner = web.AppRunner(app)
    await runner.setup()
    running = (await receiver.health()).status
    await runner.cleanup()

    assert ("ok", False) == (running, receiver._started)
