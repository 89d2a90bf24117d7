"""Retries: what is tried again, when, and what is raised in the end."""

import asyncio
import gzip
import json
import random
import re
import socket
import zlib

import aiohttp
import pytest
from aiohttp import web
from attrs import frozen

from pinwheel_async import (
    ApiError,
    DeadlineError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TransportError,
    capture,
)
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.model import Model


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530])
async def test_repeatable_call_is_tried_again(mock_site, connect, row, ask, answer, method, status):
    """A repeatable call outlives a status that passes, whatever its method."""
    site = mock_site(answer(status), answer())
    caller = await connect(site.base_url)

    await caller.call(row(method), ask(method))

    assert len(site.arrivals) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(408, ApiError), (425, ApiError), (500, ServerError), (502, ServerError), (503, ServerError), (522, ServerError)],
)
async def test_creating_call_is_sent_once(mock_site, connect, row, ask, answer, status, kind):
    """A call that makes something is not sent twice after a status that does not refuse it for certain."""
    site = mock_site(answer(status), answer())
    caller = await connect(site.base_url)

    with pytest.raises(kind):
        await caller.call(row("POST", repeatable=False), ask("POST"))
    assert len(site.arrivals) == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_refused_creating_call_is_repeated(mock_site, connect, row, ask, answer, time, method):
    """A call that makes something and was refused because there were too many makes it once, when the server says."""
    site = mock_site(answer(429, Retry_After="3"), answer())
    caller = await connect(site.base_url)

    await caller.call(row(method, repeatable=False), ask(method))

    assert len(site.arrivals) == 2
    assert time.slept == [pytest.approx(3.15)]


@pytest.mark.parametrize(("status", "kind"), [(400, InvalidRequestError), (404, NotFoundError), (302, ApiError)])
async def test_final_status(mock_site, connect, row, ask, answer, status, kind):
    """A status that will not pass is raised at once."""
    site = mock_site(answer(status))
    caller = await connect(site.base_url)

    with pytest.raises(kind) as raised:
        await caller.call(row(), ask())
    assert raised.value.status == status
    assert len(site.arrivals) == 1


async def test_last_error_is_raised(mock_site, connect, row, ask, answer):
    """After the last attempt the last answer is the error, with the server's id of it."""
    site = mock_site(answer(500), answer(502), answer(503, X_Pinwheel_Request_Id="req-3"))
    caller = await connect(site.base_url)

    with pytest.raises(ServerError) as raised:
        await caller.call(row(), ask())
    assert (raised.value.status, raised.value.request_id) == (503, "req-3")
    assert len(site.arrivals) == 3


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"\xff\xfe", b"[" * 100_000, b'{"error": [1]}', b"null"]
)
async def test_body_of_a_proxy(mock_site, connect, row, ask, answer, body):
    """A 502 may have any body."""
    site = mock_site(answer(502, body))
    caller = await connect(site.base_url)

    with pytest.raises(ServerError) as raised:
        await caller.call(row(), ask())
    assert raised.value.type is None


async def test_waits_have_full_jitter_and_double(mock_site, connect, row, ask, answer, time):
    """Waits are a random part of a span that doubles."""
    site = mock_site(answer(500))
    caller = await connect(site.base_url)

    with pytest.raises(ServerError):
        await caller.call(row(), ask())
    assert time.slept == [0.5 * 2.0, 0.5 * 4.0]


@pytest.mark.parametrize("value", ["7", "7.0", "Thu, 01 Jan 2026 00:00:07 GMT"])
@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
@pytest.mark.parametrize(("luck", "slept"), [(0.0, 7.0), (0.5, 7.35), (1.0, 7.7)])
async def test_retry_after_is_honoured_whole(mock_site, connect, row, ask, answer, time, value, status, luck, slept):
    """The server's wish, as seconds or as a date, is waited for, and up to a tenth longer."""
    time.luck = luck
    site = mock_site(answer(status, Retry_After=value), answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert time.slept == [pytest.approx(slept)]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", ["0", "0.0", "0.001", "Wed, 31 Dec 2025 23:59:59 GMT"])
async def test_retry_after_nothing_backs_off(mock_site, connect, row, ask, answer, time, status, value):
    """A server that asks for no wait, or next to none, is not asked again at once."""
    site = mock_site(answer(status, Retry_After=value), answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert time.slept == [1.0]


async def test_retry_after_beyond_the_deadline(mock_site, connect, row, ask, answer, time):
    """A wish that would overrun the deadline is reported at once instead of waited for."""
    site = mock_site(answer(429, Retry_After="61"))
    caller = await connect(site.base_url, timeout_s=60)

    with pytest.raises(RateLimitError) as raised:
        await caller.call(row(), ask())
    assert raised.value.retry_after_s == 61
    assert (time.slept, len(site.arrivals)) == ([], 1)


async def test_no_attempt_after_the_deadline(mock_site, connect, row, ask, answer, time):
    """Waits and attempts together end before the deadline."""
    site = mock_site(answer(500))
    caller = await connect(site.base_url, timeout_s=3, retry=RetryPolicy(attempts=10, base_s=2.0))

    with pytest.raises(ServerError):
        await caller.call(row(), ask())
    assert time.slept == [1.0]  # the next wait of 2 s would end at the deadline


async def _hang(_request):
    await asyncio.Event().wait()


async def test_slow_server(serve, connect, row, ask):
    """A server that does not answer in time is a DeadlineError, which says that it may have been reached."""
    site = await serve(_hang)
    caller = await connect(site.base_url, attempt_timeout_s=0.05, retry=RetryPolicy(attempts=1))

    with pytest.raises(DeadlineError) as raised:
        await caller.call(row(), ask())
    assert (raised.value.sent, raised.value.attempts) == (True, 1)
    assert isinstance(raised.value, TimeoutError)


async def test_slow_attempt_is_repeated(serve, connect, row, ask, answer):
    """One slow attempt is not the end of a repeatable call."""
    site = await serve(_hang, answer())
    caller = await connect(site.base_url, attempt_timeout_s=0.05)

    await caller.call(row(), ask())

    assert len(site.arrivals) == 2


async def test_attempt_gets_what_the_deadline_leaves(serve, connect, row, ask):
    """An attempt's timeout is cut to the deadline."""
    site = await serve(_hang)
    caller = await connect(site.base_url, timeout_s=0.05, attempt_timeout_s=600)

    async with asyncio.timeout(5):
        with pytest.raises(DeadlineError):
            await caller.call(row(), ask())


async def _cut(request):
    request.transport.abort()
    await asyncio.Event().wait()


async def _cut_in_the_answer(request):
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"half")
    request.transport.abort()
    return response


@pytest.mark.parametrize("cut", [_cut, _cut_in_the_answer])
async def test_creating_call_that_was_cut(serve, connect, row, ask, cut):
    """A call that makes something and lost its connection is not repeated, and the error says it may have arrived."""
    site = await serve(cut)
    caller = await connect(site.base_url)

    with pytest.raises(TransportError) as raised:
        await caller.call(row("POST", repeatable=False), ask("POST"))
    assert (raised.value.sent, raised.value.attempts) == (True, 1)
    assert len(site.arrivals) == 1


@pytest.mark.parametrize("cut", [_cut, _cut_in_the_answer])
async def test_repeatable_call_that_was_cut(serve, connect, row, ask, answer, cut):
    """A repeatable call that lost its connection is repeated."""
    site = await serve(cut, cut, answer())
    caller = await connect(site.base_url)

    await caller.call(row("POST"), ask("POST"))

    assert len(site.arrivals) == 3


@pytest.fixture
def closed_port():
    """A port without a listener."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@pytest.mark.parametrize("repeatable", [True, False])
async def test_refused_connection(connect, row, ask, time, closed_port, repeatable):
    """Where no connection can be made every call is repeated, and the error says that nothing was sent."""
    caller = await connect(f"http://127.0.0.1:{closed_port}")

    with pytest.raises(TransportError) as raised:
        await caller.call(row("POST", repeatable=repeatable), ask("POST"))
    assert (raised.value.sent, raised.value.attempts) == (False, 3)
    assert raised.value.reason == "ClientConnectorError (ECONNREFUSED)"
    assert len(time.slept) == 2


async def test_name_that_does_not_resolve(connect, row, ask):
    """A host without an address is a TransportError that says nothing was sent."""
    caller = await connect("https://nowhere.invalid", retry=RetryPolicy(attempts=1))

    with pytest.raises(TransportError) as raised:
        await caller.call(row(), ask())
    assert not raised.value.sent
    assert re.fullmatch(r"ClientConnectorDNSError \(EAI_[A-Z]+\)", raised.value.reason)


async def test_no_tls(serve, connect, row, ask, answer):
    """A server that does not speak TLS never got the request."""
    site = await serve(answer())
    caller = await connect(site.base_url.replace("http:", "https:"), retry=RetryPolicy(attempts=1))

    with pytest.raises(TransportError) as raised:
        await caller.call(row(), ask())
    assert not raised.value.sent


@pytest.fixture
def deaf_port():
    """A port whose listener accepts no connection: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


async def test_connecting_takes_too_long(connect, row, ask, deaf_port):
    """A connection that is not made in time is a DeadlineError that says nothing was sent."""
    caller = await connect(f"http://127.0.0.1:{deaf_port}", attempt_timeout_s=0.1)

    with pytest.raises(DeadlineError) as raised:
        await caller.call(row("POST", repeatable=False), ask("POST"))
    assert (raised.value.sent, raised.value.attempts) == (False, 3)


async def test_sent_is_remembered(connect, row, ask):
    """If an earlier attempt may have arrived, the error says so, even if the last one did not."""

    async def take_and_leave(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        server.close()
        writer.transport.abort()

    server = await asyncio.start_server(take_and_leave, "127.0.0.1", 0)
    caller = await connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    with pytest.raises(TransportError) as raised:
        await caller.call(row("POST"), ask("POST"))
    assert raised.value.reason == "ClientConnectorError (ECONNREFUSED)"
    assert raised.value.sent


@pytest.mark.parametrize("own_session", [True, False])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_change_is_repeated_by_the_policy_alone(serve, connect, row, ask, method, own_session):
    """A change that lost its connection is sent as often as the policy says, and not once more by aiohttp."""
    site = await serve(_cut)
    async with aiohttp.ClientSession() as session:
        caller = await connect(site.base_url, retry=RetryPolicy(attempts=1), session=session if own_session else None)
        with pytest.raises(TransportError) as raised:
            await caller.call(row(method), ask(method, body=b"{}"))
        await caller.close()
    assert (raised.value.reason, raised.value.sent) == ("ServerDisconnectedError", True)
    assert len(site.arrivals) == 1


async def test_middleware_of_an_own_session(serve, connect, row, ask, answer):
    """A session's own middlewares run for every method, also where the client has one of its own."""
    site = await serve(answer())

    async def sign(request, handler):
        request.headers["X-Signed"] = "yes"
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[sign]) as session:
        caller = await connect(site.base_url, session=session)
        for method in ("GET", "PUT", "DELETE"):
            await caller.call(row(method), ask(method))
        await caller.close()

    assert [arrival.headers["x-signed"] for arrival in site.arrivals] == ["yes"] * 3


async def test_change_that_was_not_sent(connect, row, ask, closed_port):
    """Of a change that found no server, the error says that it was not sent."""
    caller = await connect(f"http://127.0.0.1:{closed_port}")

    with pytest.raises(TransportError) as raised:
        await caller.call(row("DELETE"), ask("DELETE"))
    assert not raised.value.sent


@pytest.mark.parametrize("first", [_cut, _cut_in_the_answer, 500, 502, 503, 504])
async def test_deletion_whose_reply_was_lost(serve, connect, row, ask, answer, first):
    """A DELETE that may have been done and then finds nothing to delete has succeeded."""
    site = await serve(answer(first) if isinstance(first, int) else first, answer(404))
    caller = await connect(site.base_url)

    await caller.call(row("DELETE"), ask("DELETE"))

    assert len(site.arrivals) == 2


@pytest.mark.parametrize(("method", "first"), [("DELETE", 429), ("DELETE", 404), ("PUT", 503), ("GET", 503)])
async def test_nothing_there(mock_site, connect, row, ask, answer, method, first):
    """A 404 is an error for a DELETE that was not done before, and for every other method."""
    site = mock_site(answer(first), answer(404))
    caller = await connect(site.base_url)

    with pytest.raises(NotFoundError):
        await caller.call(row(method), ask(method))


async def test_reply_too_large(serve, connect, row, ask, monkeypatch):
    """A reply without end is given up, and not asked for again."""
    monkeypatch.setattr("pinwheel_async._http.caller.MAX_REPLY_BYTES", 1000)

    async def flood(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 100)
        return response

    site = await serve(flood)
    caller = await connect(site.base_url)

    with pytest.raises(TransportError, match="reply too large") as raised:
        await caller.call(row(), ask())
    assert raised.value.sent
    assert len(site.arrivals) == 1


@frozen(kw_only=True, repr=False)
class Thing(Model):
    """Something that holds a text."""

    text: str


VALUE = Endpoint(operation="test", method="GET", path="/v1/things/{thing_id}", result=Thing, shape="object")

_JSON = json.dumps({"data": {"text": random.Random(4).randbytes(5000).hex()}}).encode()
_GZIP, _DEFLATE = gzip.compress(_JSON), zlib.compress(_JSON)


def _packed(body, encoding="gzip", status=200):
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    return web.Response(status=status, body=body, headers=headers)


_BROKEN = [
    pytest.param(_packed(b""), id="empty"),
    pytest.param(_packed(_GZIP[:5]), id="cut in the head"),
    pytest.param(_packed(_GZIP[: len(_GZIP) // 2]), id="cut"),
    pytest.param(_packed(_GZIP[:-30]), id="cut at the end"),
    pytest.param(_packed(_GZIP[:30] + b"\xff" * 20 + _GZIP[50:]), id="broken"),
    pytest.param(_packed(_GZIP[:-8] + bytes(8)), id="wrong checksum"),
    pytest.param(_packed(_JSON), id="not packed"),
    pytest.param(_packed(_DEFLATE[: len(_DEFLATE) // 2], "deflate"), id="cut deflate"),
    pytest.param(_packed(_DEFLATE[:30] + b"\xff" * 20 + _DEFLATE[50:], "deflate"), id="broken deflate"),
]


@pytest.mark.parametrize("broken", _BROKEN)
async def test_body_that_does_not_unpack(serve, connect, ask, broken):
    """A packed answer that is broken or cut off is asked for again, and pauses nobody."""
    site = await serve(broken, _packed(_GZIP))
    caller = await connect(site.base_url)

    await caller.call(VALUE, ask())

    assert len(site.arrivals) == 2
    assert caller.paused_s == 0


@pytest.mark.parametrize("broken", _BROKEN)
async def test_body_that_never_unpacks(serve, connect, ask, broken):
    """A packed answer that is never whole is a TransportError, which says that the call arrived."""
    site = await serve(broken)
    caller = await connect(site.base_url)

    with pytest.raises(TransportError) as raised:
        await caller.call(VALUE, ask())
    assert (raised.value.sent, raised.value.attempts) == (True, 3)


@pytest.mark.parametrize("body", [b"<html>planted</html>", b'{"data": NaN}', b'{"data": {"text": ""}}}'])
async def test_packed_body_that_is_no_json(serve, connect, ask, body):
    """A packed answer that is whole and no JSON is not asked for again."""
    site = await serve(_packed(gzip.compress(body)))
    caller = await connect(site.base_url)

    with pytest.raises(DecodeError):
        await caller.call(VALUE, ask())
    assert len(site.arrivals) == 1


async def test_reply_in_many_pieces(serve, connect, row, ask, monkeypatch):
    """A compressed and chunked reply of allowed size is read whole."""

    async def pieces(request):
        response = web.StreamResponse()
        response.enable_compression()
        await response.prepare(request)
        for piece in (b"{", *[b" " * 1000] * 50, b"}"):
            await response.write(piece)
            await asyncio.sleep(0)
        return response

    site = await serve(pieces)
    caller = await connect(site.base_url)

    with capture() as replies:
        await caller.call(row(), ask())
    assert replies[0].response.body == b"{" + b" " * 50_000 + b"}"
