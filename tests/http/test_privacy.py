"""Privacy of calls: no secret, cursor, body or URL gets into an error, a traceback or a log."""

import asyncio
import logging
import traceback
from types import SimpleNamespace

import pytest
from aiohttp import web

from pinwheel_async import RateLimitError, RetryPolicy, capture
from pinwheel_async._core.endpoint import page
from pinwheel_async._core.page import RefreshablePaginationMeta
from pinwheel_async.models import Paystub

ROW = page("list_paystubs", "/v1/things/{thing_id}", Paystub, meta=RefreshablePaginationMeta)
PLANTED = "planted"  # all planted values begin with it, the secret of `connect` too


async def hang(_request):
    await asyncio.Event().wait()


async def cut(request):
    request.transport.abort()
    await asyncio.Event().wait()


async def half(request):
    response = web.StreamResponse(headers={"Content-Length": "100", "X-Pinwheel-Request-Id": "planted id"})
    await response.prepare(request)
    await response.write(b"planted")
    request.transport.abort()
    return response


async def not_http(request):
    request.transport.write(b"planted-nonsense\r\n\r\n")
    request.transport.close()
    await asyncio.Event().wait()


async def bad_encoding(request):
    return web.Response(body=b"planted", headers={"Content-Encoding": "gzip"})


def error(status):
    return web.Response(
        status=status,
        text='{"error": {"type": "planted type", "code": "planted code", "message": "planted", "status_code": 400,'
        ' "fields": [{"name": "planted", "message": "planted"}]}}',
        headers={"X-Pinwheel-Request-Id": "planted id", "Retry-After": "planted"},
    )


ANSWERS = {
    "hangs": hang,
    "cuts": cut,
    "cuts in the answer": half,
    "no HTTP": not_http,
    "bad encoding": bad_encoding,
    "400": error(400),
    "404": error(404),
    "429": error(429),
    "500": error(500),
    "wrong type": web.Response(text='{"data": [{"id": {"planted": 1}, "gross_pay_amount": "planted"}], "meta": {}}'),
    "no JSON": web.Response(text="planted"),
    "no UTF-8": web.Response(body=b'{"data": "planted\xff'),
    "deep": web.Response(body=b'["planted",' * 5000),
    "other version": web.Response(text='{"data": 1}', headers={"Pinwheel-Version": "planted"}),
    "redirect to nowhere": web.Response(status=307, headers={"Location": "https://planted.invalid/planted"}),
    "redirect to nonsense": web.Response(status=307, headers={"Location": "https://[planted"}),
    "redirect to a closed port": web.Response(status=307, headers={"Location": "http://127.0.0.1:1/planted"}),
}


def written(problem):
    """Everything that a logging framework might write about an exception, except the test's own frames."""
    lines = [str(problem), repr(problem)]
    while problem:
        entry = problem.__traceback__
        while entry and "/tests/" in entry.tb_frame.f_code.co_filename:
            entry = entry.tb_next
        lines += traceback.TracebackException(type(problem), problem, entry, capture_locals=True).format(chain=False)
        lines += [repr(argument) for argument in problem.args]
        problem = problem.__cause__ or problem.__context__
    return "\n".join(lines)


async def outcome(call):
    try:
        return await call
    except (Exception, asyncio.CancelledError) as problem:  # noqa: BLE001  # to look at it
        return problem


@pytest.fixture
def call(connect, ask):
    """Make a call that carries planted values everywhere."""

    async def make(site, **settings):
        settings.setdefault("retry", RetryPolicy(attempts=2))
        caller = await connect(site.base_url, attempt_timeout_s=0.05, **settings)
        request = ask("POST", target="/v1/things/planted?cursor=planted", body=b'{"a":"planted"}')
        return caller, caller.call(ROW, request)

    return make


@pytest.mark.parametrize("name", ANSWERS)
async def test_errors_and_logs(serve, call, caplog, name):
    """Whatever the server does, neither error nor traceback (with locals) nor DEBUG log shows a planted value."""
    caplog.set_level(logging.DEBUG)
    site = await serve(ANSWERS[name])
    _, coroutine = await call(site)

    problem = await outcome(coroutine)

    assert isinstance(problem, Exception)
    assert PLANTED not in written(problem)
    assert problem.__cause__ is problem.__context__ is None
    assert PLANTED not in caplog.text
    assert "attempt 1" in caplog.text


async def test_refused_connection(call, caplog, unused_tcp_port):
    """A connection that cannot be made shows nothing of what it was for."""
    caplog.set_level(logging.DEBUG)
    _, coroutine = await call(SimpleNamespace(base_url=f"http://127.0.0.1:{unused_tcp_port}"))

    problem = await outcome(coroutine)

    assert problem.__cause__ is problem.__context__ is None
    assert PLANTED not in written(problem) + caplog.text


async def test_timeout_of_the_callers_own(serve, connect, ask):
    """Not even a cancellation, which `asyncio.timeout` keeps beside its error, brings frames that hold headers."""
    site = await serve(hang)
    caller = await connect(site.base_url)
    coroutine = caller.call(ROW, ask(target="/v1/things/planted?cursor=planted"))

    async def hurry():
        async with asyncio.timeout(0.03):
            await coroutine

    problem = await outcome(hurry())

    assert isinstance(problem, TimeoutError)
    assert isinstance(problem.__context__, asyncio.CancelledError)  # as the cause, too, in later patches of 3.11
    assert PLANTED not in written(problem)


async def test_closing(serve, call):
    """A call that was closed shows nothing of what it sent."""
    site = await serve(hang)
    caller, coroutine = await call(site)
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0.01)
    await caller.close()

    problem = await outcome(task)

    assert problem.__cause__ is problem.__context__ is None
    assert PLANTED not in written(problem)


async def test_pause(serve, call, ask):
    """A call that a pause outlasts shows nothing of what it would have sent, nor of what the pause's answer said."""
    planted = b'{"error": {"message": "planted", "code": "planted words"}}'
    site = await serve(web.Response(status=429, headers={"Retry-After": "999"}, body=planted))
    caller, coroutine = await call(site)
    await outcome(coroutine)

    problem = await outcome(caller.call(ROW, ask(target="/v1/things/planted", bearer="planted")))

    assert isinstance(problem, RateLimitError)
    assert PLANTED not in written(problem)


async def test_reprs(serve, connect, ask, row, answer):
    """Nothing that a call handles shows what it holds."""
    site = await serve(answer(200, b'{"data": "planted"}', X_Planted="planted"))
    caller = await connect(site.base_url)
    with capture() as replies:
        await caller.call(row(), ask(target="/v1/things/planted", bearer="planted"))

    shown = [
        caller,
        caller._opened,
        caller._preparer,
        caller._preparer._secret,
        ask(bearer="planted"),
        replies,
        caller.drift,
    ]
    assert PLANTED not in repr(shown)
