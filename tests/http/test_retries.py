"""What is tried again, when, and what is raised in the end."""

import asyncio
import socket

import pytest
from aiohttp import web

from pinwheel_async import (
    ApiError,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TransportError,
    capture,
)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_repeatable_call_is_tried_again(serve, connect, row, ask, answer, method, status):
    """A repeatable call outlives a status that passes, whatever its method."""
    site = await serve(answer(status), answer())
    caller = await connect(site.base_url)

    await caller.call(row(method), ask(method))

    assert len(site.arrivals) == 2


@pytest.mark.parametrize(
    ("status", "kind"), [(429, RateLimitError), (500, ServerError), (502, ServerError), (503, ServerError)]
)
async def test_creating_call_is_sent_once(serve, connect, row, ask, answer, status, kind):
    """A call that makes something is not sent twice, whatever status it met."""
    site = await serve(answer(status), answer())
    caller = await connect(site.base_url)

    with pytest.raises(kind):
        await caller.call(row("POST", repeatable=False), ask("POST"))
    assert len(site.arrivals) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, InvalidRequestError), (404, NotFoundError), (302, ApiError)])
async def test_final_status(serve, connect, row, ask, answer, status, kind):
    """A status that will not pass is raised at once."""
    site = await serve(answer(status))
    caller = await connect(site.base_url)

    with pytest.raises(kind) as raised:
        await caller.call(row(), ask())
    assert raised.value.status == status
    assert len(site.arrivals) == 1


async def test_last_error_is_raised(serve, connect, row, ask, answer):
    """After the last attempt the last answer is the error, with the server's id of it."""
    site = await serve(answer(500), answer(502), answer(503, X_Pinwheel_Request_Id="req-3"))
    caller = await connect(site.base_url)

    with pytest.raises(ServerError) as raised:
        await caller.call(row(), ask())
    assert (raised.value.status, raised.value.request_id) == (503, "req-3")
    assert len(site.arrivals) == 3


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"\xff\xfe", b"[" * 100_000, b'{"error": [1]}', b"null"]
)
async def test_body_of_a_proxy(serve, connect, row, ask, answer, body):
    """A 502 may have any body."""
    site = await serve(answer(502, body))
    caller = await connect(site.base_url)

    with pytest.raises(ServerError) as raised:
        await caller.call(row(), ask())
    assert raised.value.type is None


async def test_waits_have_full_jitter_and_double(serve, connect, row, ask, answer, time):
    """Waits are a random part of a span that doubles."""
    site = await serve(answer(500))
    caller = await connect(site.base_url)

    with pytest.raises(ServerError):
        await caller.call(row(), ask())
    assert time.slept == [0.5 * 2.0, 0.5 * 4.0]


@pytest.mark.parametrize("value", ["7", "Thu, 01 Jan 2026 00:00:07 GMT"])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_retry_after_is_honoured_whole(serve, connect, row, ask, answer, time, value, status):
    """The server's wish, as seconds or as a date, is waited for exactly."""
    site = await serve(answer(status, Retry_After=value), answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert time.slept == [7.0]


async def test_retry_after_beyond_the_deadline(serve, connect, row, ask, answer, time):
    """A wish that would overrun the deadline is reported at once instead of waited for."""
    site = await serve(answer(429, Retry_After="61"))
    caller = await connect(site.base_url, timeout_s=60)

    with pytest.raises(RateLimitError) as raised:
        await caller.call(row(), ask())
    assert raised.value.retry_after_s == 61
    assert (time.slept, len(site.arrivals)) == ([], 1)


async def test_no_attempt_after_the_deadline(serve, connect, row, ask, answer, time):
    """Waits and attempts together end before the deadline."""
    site = await serve(answer(500))
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
    """A port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]


@pytest.mark.parametrize("repeatable", [True, False])
async def test_refused_connection(connect, row, ask, time, closed_port, repeatable):
    """Where no connection can be made every call is repeated, and the error says that nothing was sent."""
    caller = await connect(f"http://127.0.0.1:{closed_port}")

    with pytest.raises(TransportError) as raised:
        await caller.call(row("POST", repeatable=repeatable), ask("POST"))
    assert (raised.value.sent, raised.value.attempts, raised.value.reason) == (False, 3, "ClientConnectorError")
    assert len(time.slept) == 2


async def test_name_that_does_not_resolve(connect, row, ask):
    """A host without an address is a TransportError that says nothing was sent."""
    caller = await connect("https://nowhere.invalid", retry=RetryPolicy(attempts=1))

    with pytest.raises(TransportError) as raised:
        await caller.call(row(), ask())
    assert not raised.value.sent


async def test_no_tls(serve, connect, row, ask, answer):
    """A server that does not speak TLS never got the request."""
    site = await serve(answer())
    caller = await connect(site.base_url.replace("http:", "https:"), retry=RetryPolicy(attempts=1))

    with pytest.raises(TransportError) as raised:
        await caller.call(row(), ask())
    assert not raised.value.sent


@pytest.fixture
def deaf_port():
    """A port whose listener accepts nobody: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in fillers:
            one.close()


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
    assert raised.value.reason == "ClientConnectorError"
    assert raised.value.sent


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_what_aiohttp_repeats_by_itself(connect, row, ask, closed_port, method):
    """Of a change that aiohttp may have sent twice, the error never says that it was not sent."""
    caller = await connect(f"http://127.0.0.1:{closed_port}")

    with pytest.raises(TransportError) as raised:
        await caller.call(row(method), ask(method))
    assert raised.value.sent


async def test_reply_too_large(serve, connect, row, ask, monkeypatch):
    """A reply without end is given up, and not asked for again."""
    monkeypatch.setattr("pinwheel_async._http.MAX_REPLY_BYTES", 1000)

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


async def test_reply_in_many_pieces(serve, connect, row, ask, monkeypatch):
    """A compressed and chunked reply of allowed size is read whole."""

    async def pieces(request):
        response = web.StreamResponse()
        response.enable_compression()
        await response.prepare(request)
        for number in range(50):
            await response.write(bytes([number]) * 1000)
            await asyncio.sleep(0)
        return response

    site = await serve(pieces)
    caller = await connect(site.base_url)

    with capture() as replies:
        await caller.call(row(), ask())
    assert replies[0].response.body == b"".join(bytes([number]) * 1000 for number in range(50))
