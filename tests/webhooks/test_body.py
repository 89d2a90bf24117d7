"""Bodies of requests: whole or not at all, in time and in bounds, and nothing authentic is answered with a 4xx."""

import asyncio
import gzip
import threading
import time
from contextlib import suppress

import pytest
from aiohttp import web

from pinwheel_async.events import Event
from pinwheel_async.webhooks import MemoryInbox, Router, _body, sign
from pinwheel_async.webhooks._body import CATCH_UP_TURNS, ByteBudget, _Reader

SECRET = "a-secret-of-tests"
GOOD = b'{"event_id": "good", "event": "moon.risen", "payload": {"account_id": "a"}}'
MEBI = 1024 * 1024


@pytest.fixture
def router():
    router = Router()

    @router.on(Event)
    async def handle(event: Event) -> None: ...

    return router


@pytest.fixture
def refused():
    """What the hook was told."""
    return []


@pytest.fixture
def receive(mount, router, refused):
    """Mount a receiver that tells what it refuses."""

    def start(**options):
        inbox = options.pop("inbox", None) or MemoryInbox()
        return mount(router, inbox=inbox, on_refused=lambda *told: refused.append(told), **options)

    return start


def head(body=GOOD, *, length=None, lines=(), signed=True):
    """Write the head of a request, signed over *body*."""
    written = ["POST /hooks HTTP/1.1", "Host: x", f"Content-Length: {len(body) if length is None else length}", *lines]
    if signed:
        written += [f"X-Pinwheel-Signature: {sign(SECRET, '1', body)}", "X-Timestamp: 1"]
    return "\r\n".join([*written, "", ""]).encode()


async def status_of(reader):
    async with asyncio.timeout(10):
        return int((await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])


async def send(sender, *pieces):
    """Send bytes as they are; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sender.port)
    for piece in pieces:
        writer.write(piece)
    try:
        return await status_of(reader)
    finally:
        writer.close()


async def read(request):
    await request.read()


async def parse(request):
    with suppress(ValueError):
        await request.json()


async def post(request):
    await request.post()


@pytest.mark.parametrize("look", [read, parse, post], ids=lambda look: look.__name__)
@pytest.mark.parametrize("size", [100, 900_000])
async def test_read_by_a_middleware(receive, look, size, body, refused):
    """A delivery whose body a middleware has read, and kept as aiohttp does, is taken."""

    @web.middleware
    async def audit(request, handler):
        await look(request)
        return await handler(request)

    async with receive(middlewares=[audit]) as sender:
        assert 200 == (await sender.send(body(note="x" * size))).status
    assert [] == refused


async def consume(content):
    await content.read()


async def consume_some(content):
    await content.readexactly(10)


@pytest.mark.parametrize("look", [consume, consume_some], ids=["whole", "a part"])
@pytest.mark.parametrize("size", [100, 900_000])
async def test_consumed_by_a_middleware(receive, look, size, body, refused, caplog):
    """A body of which a middleware has kept nothing, or a part, is answered 503, and the log says what to do."""

    @web.middleware
    async def audit(request, handler):
        await look(request.content)
        return await handler(request)

    async with receive(middlewares=[audit]) as sender:
        assert 503 == (await sender.send(body(note="x" * size))).status
    assert [("body_consumed", 503)] == refused
    assert "ERROR" in caplog.text
    assert "let it use `await request.read()`" in caplog.text


async def test_not_authentic_behind_a_middleware(receive, body, headers, refused):
    """A body that a middleware has read and kept is 401 if it is not the one that was signed."""

    @web.middleware
    async def audit(request, handler):
        await request.read()
        return await handler(request)

    async with receive(middlewares=[audit]) as sender:
        assert 401 == (await sender.send(body(), headers(body()))).status
    assert [("signature_wrong", 401)] == refused


@pytest.mark.parametrize("lines", [["X-Timestamp: 1"], ["X-Timestamp: 1", "X-Pinwheel-Signature: v2=0"]])
async def test_headers_before_the_body(receive, lines, refused):
    """A request whose headers cannot be good is answered 401 before its body has come, and the connection is closed."""
    async with receive() as sender:
        reader, writer = await asyncio.open_connection("127.0.0.1", sender.port)
        writer.write(head(length=MEBI, lines=lines, signed=False))
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"Connection: close" in answer
    assert 1 == len(refused)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("signed", "expected"), [(True, ("body_too_large", 503)), (False, ("signature_missing", 401))])
async def test_too_large(receive, body, headers, refused, chunked, signed, expected):
    """A body over the limit is answered 503 if its headers look signed, as it may be authentic, else 401."""
    content = body(note="x" * 900_000)

    async def chunks():
        yield content

    async with receive(max_body_bytes=200_000) as sender:
        with suppress(OSError):  # it may hang up while the rest is being sent
            await sender.send(chunks() if chunked else content, headers(content) if signed else {})
    assert [expected] == refused


async def test_census(receive, body):
    """The largest delivery that the API documents is within the default limit: a census of 120,000 employees."""
    content = body("company_connect.census.added", added=[f"{number:06d}" for number in range(120_000)])
    async with receive() as sender:
        assert 200 == await send(sender, head(content), content)


async def test_too_slow(receive, refused):
    """A body that does not come in time is answered 503: 408 would keep the sender from coming again."""
    async with receive(read_timeout_s=0.05) as sender:
        assert 503 == await send(sender, head(), GOOD[:5])
    assert [("body_late", 503)] == refused


@pytest.mark.parametrize("size", [100, 900_000])
async def test_late_because_of_us(receive, body, size, refused, monkeypatch):
    """A body that lay in the socket while the event loop was blocked is taken, although its time is over."""
    reading, wait = asyncio.Event(), _Reader.read

    async def note(reader):
        reading.set()
        await wait(reader)

    monkeypatch.setattr(_Reader, "read", note)
    content = body(note="x" * size)
    async with receive(read_timeout_s=0.2) as sender:
        reader, writer = await asyncio.open_connection("127.0.0.1", sender.port)
        writer.write(head(content))
        await writer.drain()
        connection = writer.get_extra_info("socket").dup()
        connection.setblocking(True)
        await reading.wait()
        thread = threading.Thread(target=connection.sendall, args=(content,))
        thread.start()
        time.sleep(0.5)  # this is what the test is about: a handler that blocks the event loop
        status = await status_of(reader)
        thread.join()
        connection.close()
        writer.close()

    assert 200 == status
    assert [] == refused


class Content:
    """Gives one piece in each turn of the event loop."""

    def __init__(self, pieces, *, endless=False):
        self.pieces = list(pieces)
        self.endless = endless

    def at_eof(self):
        return not self.pieces and not self.endless

    def read_nowait(self):
        return self.pieces.pop(0) if self.pieces else b"x"


@pytest.mark.parametrize("idle_turns", [0, 1, CATCH_UP_TURNS])
async def test_what_takes_turns(idle_turns):
    """What lies in the socket is read, although it takes some turns of the event loop until it is there."""
    reader = _Reader(Content([b"a", *[b""] * idle_turns, b"b", *[b""] * idle_turns]), 10, ByteBudget(10))
    await reader.catch_up()

    assert (None, b"ab") == (reader.refusal, b"".join(reader.chunks))


async def test_time_is_not_stretched(monkeypatch):
    """Whoever sends byte by byte does not get more time for it."""
    monkeypatch.setattr(_body, "CATCH_UP_S", 0.01)
    reader = _Reader(Content([], endless=True), MEBI, ByteBudget(MEBI))
    async with asyncio.timeout(10):
        await reader.catch_up()

    assert "body_late" == reader.refusal


async def test_the_limit_is_inclusive(receive, body, refused):
    """A body of exactly the limit is taken, also if it comes in pieces."""
    content = body(note="x" * 900_000)
    async with receive(max_body_bytes=len(content)) as sender:
        assert 200 == await send(sender, head(content), content[:10], content[10:])
    assert [] == refused


async def test_broken(receive, refused):
    """A body that breaks on its way is answered 503."""
    async with receive() as sender:
        framed = head(lines=["Transfer-Encoding: chunked"]).replace(b"Content-Length", b"X-Length")
        assert await send(sender, framed, b"zz\r\nx\r\n") in {400, 503}  # 400 is the server's own
    assert refused in ([("body_broken", 503)], [])


async def test_budget(receive, refused):
    """Bodies that are read at once take no more than their budget: what goes beyond is answered 503."""
    size = 100_000
    async with receive(max_body_bytes=size, max_buffered_bytes=2 * size, read_timeout_s=5) as sender:
        opened = []
        while not refused:  # each sends all but the last byte, and holds what it sent
            reader, writer = await asyncio.open_connection("127.0.0.1", sender.port)
            opened.append((reader, writer))
            writer.write(head(b"x" * size) + b"x" * (size - 1))
            async with asyncio.timeout(10):
                await writer.drain()
                await asyncio.sleep(0.01)
        for _, writer in opened:
            writer.close()

    assert ("overloaded", 503) == refused[0]
    assert len(opened) < 6


async def test_budget_is_given_back(receive, body, refused):
    """What a body has taken is given back, however it ended."""
    options = {"max_body_bytes": 150_000, "max_buffered_bytes": 200_000, "read_timeout_s": 0.02}
    good = body(note="x" * 140_000)
    async with receive(**options) as sender:
        for _ in range(3):
            assert 503 == await send(sender, head(good), good[:-1])
        for _ in range(3):
            assert 503 == await send(sender, head(good, length=150_001), good)
        assert [200, 401, 200] == [
            (await sender.send(good)).status,
            await send(sender, head(good), good[:-1] + b" "),
            (await sender.send(good)).status,
        ]
    assert {"body_late", "body_too_large", "signature_wrong"} == {reason for reason, _ in refused}


def test_byte_budget():
    """A budget gives what is left, and no more."""
    budget = ByteBudget(10)

    assert [True, False, True] == [budget.take(6), budget.take(5), budget.take(4)]
    budget.give(5)
    assert [False, True] == [budget.take(6), budget.take(5)]


@pytest.mark.parametrize("compressed_first", [True, False])
async def test_compressed(receive, compressed_first, headers):
    """On a server that leaves bodies as they are, a compressed delivery is taken, whichever bytes were signed."""
    content = gzip.compress(GOOD)
    given = headers(content if compressed_first else GOOD) | {"Content-Encoding": "gzip"}
    inbox = MemoryInbox()
    async with receive(inbox=inbox, server={"auto_decompress": False}) as sender:
        assert 200 == (await sender.send(content, given)).status
        assert ["good"] == [entry.event_id for entry in await inbox.entries()]


async def test_compressed_after_it_was_signed(receive, headers):
    """On a server that inflates bodies, a delivery that was signed before it was compressed is taken."""
    async with receive() as sender:
        given = headers(GOOD) | {"Content-Encoding": "gzip"}
        assert 200 == (await sender.send(gzip.compress(GOOD), given)).status


async def test_signed_after_it_was_compressed(receive, headers, refused, caplog):
    """On a server that inflates bodies, one that was signed as it came is answered 503, and the log has the cure."""
    content = gzip.compress(GOOD)
    async with receive() as sender:
        assert 503 == (await sender.send(content, headers(content) | {"Content-Encoding": "gzip"})).status
    assert [("encoding_unreadable", 503)] == refused
    assert "auto_decompress=False" in caplog.text
