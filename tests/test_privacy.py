"""Privacy: no payload value, secret, token, cursor or signed URL in a log, a message, a repr or a traceback.

Every answer here is full of planted values, and so is everything that is sent. What any logger then writes at DEBUG,
asyncio's debug mode included, and everything that an error shows must be free of them. UUIDs may appear: they are ids.
"""

import asyncio
import json
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import structlog
from aiohttp import web
from attrs import frozen

from pinwheel_async import (
    ApiError,
    ClosedError,
    ConfigurationError,
    CursorError,
    DeadlineError,
    DecodeError,
    Pinwheel,
    PinwheelError,
    RequestError,
    RetryPolicy,
    SinkError,
    TransportError,
    capture,
)
from pinwheel_async._core.converter import encode
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.model import Model
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.models import LinkTokenAllocation, LinkTokenBankAccount
from pinwheel_async.sync import JsonLinesSink, MemorySink, SqlSink, sync
from pinwheel_async.testing import make

SECRET = "planted-secret"
UUID = "00000000-0000-4000-8000-000000000001"
NUMBER, FRACTION, DAY = 47114711, 4711.4711, "1951-07-31"
PLANTED = re.compile(r"planted|47114711|4711\.4711|1951-07-31|1951, 7, 31")
HEADERS = {"x-pinwheel-request-id": "planted request", "Pinwheel-Version": "planted", "Set-Cookie": "planted=planted"}
ROWS = {row.operation: row for row in ENDPOINTS}
ONE_ATTEMPT = RetryPolicy(attempts=1)

Serve = Callable[..., Awaitable[Any]]


@frozen(repr=False)
class Body(Model):
    """What is sent."""

    text: str = "planted body"
    number: int = NUMBER


@pytest.fixture
async def logs(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return all that was logged, with the attributes of the records; asyncio logs every callback."""
    caplog.set_level(logging.DEBUG)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0

    def read() -> str:
        records = caplog.get_records("call")
        return caplog.text + "".join(repr(sorted(vars(record).items(), key=lambda pair: pair[0])) for record in records)

    return read


@pytest.mark.parametrize("operation", ROWS)
async def test_success(serve: Serve, logs, operation):
    """A call that succeeds shows nothing of what was sent and what came."""
    row = ROWS[operation]
    site = await serve(web.Response(body=_answer(row), headers=HEADERS))
    async with _client(site) as pinwheel:
        request = _request(row)
        with capture() as replies:
            value = await pinwheel._caller.call(row, request)
        shown = [repr(part) for part in (pinwheel, request, value, *replies, replies[0].response, replies[0].meta)]
        shown += [repr(item) for item in getattr(value, "data", ())]

        assert_clean(*shown, *map(repr, pinwheel.drift), logs())
        assert "attempt" in logs()


ANSWERS: dict[str, tuple[int, bytes, type[PinwheelError]]] = {
    "no JSON": (200, b"planted <html>", DecodeError),
    "no UTF-8": (200, b'{"data": "planted \xff"}', DecodeError),
    "another shape": (200, b'["planted", 47114711]', DecodeError),
    "text everywhere": (200, b'{"data": {"planted": {"planted": 47114711}}}', DecodeError),
    **{
        f"{status}": (status, json.dumps({"error": error}).encode(), ApiError)
        for status in (400, 401, 403, 404, 409, 418, 422, 429, 500, 503)
        for error in [
            {
                "type": "planted type",
                "code": "planted code",
                "message": "planted message",
                "fields": [{"name": "planted", "message": "planted"}],
            }
        ]
    },
    "a proxy": (502, b"<html>planted</html>", ApiError),
}


@pytest.mark.parametrize("operation", ["list_paystubs", "get_identity", "create_link_token", "create_api_key"])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_refusal(serve: Serve, logs, operation, answer):
    """An answer that is no success, or not of the documented shape, shows nothing of it in its error."""
    status, body, kind = ANSWERS[answer]
    site = await serve(web.Response(status=status, body=body, headers=HEADERS))
    async with _client(site) as pinwheel:
        error = await _error(_call(pinwheel, operation), kind)

        assert_clean(*_shown(error), logs())


@pytest.mark.parametrize("row", [row for row in ENDPOINTS if row.result], ids=lambda row: row.operation)
async def test_wrong_types(serve: Serve, logs, row):
    """Values of the wrong type in every field give paths, not values."""
    wrong = _wrong(json.loads(_answer(row)))
    site = await serve(web.Response(body=json.dumps(wrong).encode(), headers=HEADERS))
    async with _client(site) as pinwheel:
        error = await _error(_call(pinwheel, row.operation), DecodeError)

        assert_clean(*_shown(error), logs())


async def test_redirect(serve: Serve, logs):
    """A redirect shows neither where it leads nor what is sent there."""
    there = await serve(web.Response(status=500, body=b"planted"))
    location = f"{there.base_url}/planted?signature=planted"
    here = await serve(web.Response(status=307, headers={"Location": location}))
    async with _client(here) as pinwheel:
        error = await _error(_call(pinwheel, "get_identity"), ApiError)

        assert there.arrivals
        assert_clean(*_shown(error), logs())


@pytest.mark.parametrize(
    "location", ["planted", "ftp://planted/", "http://planted:planted@127.0.0.1:1/planted", "http://["]
)
async def test_broken_redirect(serve: Serve, logs, location):
    """A redirect that leads nowhere does not show where it leads."""
    site = await serve(web.Response(status=307, headers={"Location": location}))
    async with _client(site) as pinwheel:
        error = await _error(_call(pinwheel, "get_identity"), PinwheelError)

        assert_clean(*_shown(error), logs())


async def test_no_connection(logs):
    """A refused connection shows the endpoint's template only."""
    async with Pinwheel(SECRET, base_url="http://127.0.0.1:1", retry=ONE_ATTEMPT) as pinwheel:
        error = await _error(_call(pinwheel, "create_link_token"), TransportError)

        assert_clean(*_shown(error), logs())


async def test_cut(serve: Serve, logs):
    """A connection that is cut in the middle of a body shows nothing of it."""

    async def cut(request: web.Request) -> web.StreamResponse:
        half = web.StreamResponse(headers={"Content-Length": "1000"})
        await half.prepare(request)
        await half.write(b'{"data": "planted')
        assert request.transport is not None
        request.transport.close()
        return half

    site = await serve(cut)
    async with _client(site) as pinwheel:
        error = await _error(_call(pinwheel, "list_paystubs"), TransportError)

        assert_clean(*_shown(error), logs())


async def test_deadline(serve: Serve, logs):
    """A call that takes too long shows nothing of what it waited for."""
    site = await serve(_never)
    async with Pinwheel(SECRET, base_url=site.base_url, timeout_s=0.1, retry=ONE_ATTEMPT) as pinwheel:
        error = await _error(_call(pinwheel, "create_link_token"), DeadlineError)

        assert_clean(*_shown(error), logs())


async def test_close(serve: Serve, logs):
    """A call that is interrupted because its client closes shows nothing of what was sent."""
    arrived = asyncio.Event()
    site = await serve(_hanging(arrived))
    async with _client(site) as pinwheel:
        call = asyncio.create_task(_call(pinwheel, "create_link_token"))
        await arrived.wait()
        await pinwheel.close()
        error = await _error(call, ClosedError)

        assert_clean(*_shown(error), repr(call), logs())


async def test_cancellation(serve: Serve, logs):
    """The traceback of a call that is cancelled shows nothing of what was sent."""
    arrived = asyncio.Event()
    site = await serve(_hanging(arrived))
    async with _client(site) as pinwheel:
        call = asyncio.create_task(_call(pinwheel, "create_link_token"))
        await arrived.wait()
        call.cancel()
        error = await _error(call, asyncio.CancelledError)

        assert_clean(*_shown(error), repr(call), logs())


async def test_repeated_cursor(serve: Serve, logs):
    """A cursor that comes twice is not shown."""
    site = await serve(web.Response(body=_answer(ROWS["list_paystubs"], cursor="planted cursor")))
    async with _client(site) as pinwheel:
        paged = pinwheel.paystubs.list(UUID)
        error = await _error(paged.all(), CursorError)

        assert_clean(*_shown(error), repr(paged), logs())


@pytest.mark.parametrize(
    "call",
    [
        lambda pinwheel: pinwheel.webhooks.create(url="planted://planted", enabled_events=[], version="planted"),
        lambda pinwheel: pinwheel.identity.get("planted\ud800"),
        lambda pinwheel: pinwheel.paystubs.list(UUID, limit=NUMBER).all(),
        lambda pinwheel: pinwheel.accounts.list(connected=["planted"]).all(),
        lambda pinwheel: pinwheel.search.list("planted" * 1000, supported_jobs="planted").all(),
    ],
    ids=["url", "id", "limit", "flag", "list"],
)
async def test_bad_argument(serve: Serve, logs, call):
    """An argument that is refused is named without its value."""
    site = await serve(web.Response(status=500))
    async with _client(site) as pinwheel:
        error = await _error(_late(lambda: call(pinwheel)), RequestError)

        assert not site.arrivals
        assert_clean(str(error), repr(error), repr(error.args), logs())


@pytest.mark.parametrize("status", [None, 400])
async def test_personal_argument(serve: Serve, logs, status):
    """Personal data and bank accounts that are refused, here or there, are in no frame of the library either."""
    site = await serve(web.Response(status=400, body=b"planted"))
    account = LinkTokenBankAccount(
        name="planted", type="checking", routing_number="123456789", account_number="47114711" if status else "planted"
    )
    async with _client(site) as pinwheel:
        call = pinwheel.link_tokens.create(
            org_name="planted",
            solution="Deposit Switch",
            features=["direct_deposit_switch"],
            end_user_id="planted",
            allocation=LinkTokenAllocation(targets=(account,)),
            tags={"planted": "planted"},
        )
        error = await _error(call, ApiError if status else RequestError)

        assert bool(status) == bool(site.arrivals)
        assert_clean(*_shown(error), logs())


@pytest.mark.parametrize("secret", ["planted\nsecret", " planted", "plantéd planted"])
def test_bad_secret(secret):
    """A secret that cannot be sent is not shown."""
    with pytest.raises(ConfigurationError) as caught:
        Pinwheel(secret)

    assert_clean(*_shown(caught.value))


def test_request_models():
    """What is sent is not shown by its repr."""
    account = LinkTokenBankAccount(name="planted", type="checking", routing_number="planted", account_number="planted")

    assert_clean(repr(account), str(account), f"{account}", repr([account]))


async def test_snapshot(serve: Serve, logs):
    """A snapshot shows neither what was read nor why something could not be."""
    site = await serve(_world({"income": 500, "shifts": 200}))
    async with _client(site) as pinwheel:
        snapshot = await pinwheel.snapshot(UUID)

    assert {"income", "shifts"} == set(snapshot.errors)
    with pytest.raises(ExceptionGroup) as caught:
        snapshot.raise_for_errors()
    assert_clean(repr(snapshot), str(snapshot), repr(snapshot.errors), *_shown(caught.value), logs())


@pytest.mark.parametrize("sink", ["memory", "jsonl", "sqlite"])
async def test_sync(serve: Serve, logs, tmp_path, sink):
    """A sync shows nothing of what it stored, nor of what it could not fetch."""
    sinks = {
        "memory": MemorySink(),
        "jsonl": JsonLinesSink(tmp_path),
        "sqlite": SqlSink(f"sqlite:///{tmp_path}/planted.db"),
    }
    site = await serve(_world({"income": 500, "shifts": 200}))
    seen: list[Any] = []
    async with _client(site) as pinwheel:
        report = await sync(pinwheel, sinks[sink], on_progress=seen.append)

    assert {"income", "shifts"} == {failure.product for failure in report.failures}
    with pytest.raises(PinwheelError) as caught:
        report.raise_for_errors()
    batches = getattr(sinks[sink], "batches", [])
    assert_clean(
        repr(report), report.to_json(), repr(sinks[sink]), *map(repr, [*seen, *batches]), *_shown(caught.value)
    )
    assert_clean(logs())


async def test_sink_that_fails(serve: Serve, logs, tmp_path):
    """A database that does not take a page does not show it."""
    file = tmp_path / "payroll.db"
    site = await serve(_world({}))
    async with _client(site) as pinwheel:
        await sync(pinwheel, SqlSink(f"sqlite:///{file}"))
        file.unlink()
        file.write_bytes(b"planted, and no database at all" * 100)
        error = await _error(sync(pinwheel, SqlSink(f"sqlite:///{file}")), SinkError)

        assert_clean(*_shown(error), logs())


async def test_planted_values_are_found(serve: Serve, logs):
    """What this file looks for is there: in the body that came, in the models, and in a careless log line."""
    site = await serve(web.Response(body=_answer(ROWS["get_identity"])))
    async with _client(site) as pinwheel:
        with capture() as replies:
            identity = await pinwheel.identity.get(UUID)
    logging.getLogger("careless").info("read %s", identity.full_name)

    assert PLANTED.search(replies[0].response.body.decode())
    assert PLANTED.search(identity.full_name)
    with pytest.raises(AssertionError, match="shows"):
        assert_clean(logs())


def assert_clean(*texts: str) -> None:
    """Fail with the surroundings of the first planted value, if there is one."""
    for text in texts:
        found = PLANTED.search(text)
        assert found is None, f"shows {text[max(0, found.start() - 200) : found.end() + 50]}"


def _client(site: Any) -> Pinwheel:
    return Pinwheel(SECRET, base_url=site.base_url, retry=ONE_ATTEMPT)


async def _call(pinwheel: Pinwheel, operation: str) -> Any:
    row = ROWS[operation]
    return await pinwheel._caller.call(row, _request(row))


def _request(row: Endpoint[Any]) -> Any:
    names = re.findall(r"{(\w+)}", row.path)
    texts = [name for name in row.query if name != "limit" and name not in row.kinds]
    query = dict.fromkeys(texts, "planted")
    return row.request(
        path=dict.fromkeys(names, "planted/path"),
        query=query,
        body=Body() if row.body else None,
        bearer="planted-bearer" if row.auth == "bearer" else None,
    )


async def _late(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


async def _error(call: Awaitable[Any], kind: Any) -> BaseException:
    with pytest.raises(kind) as caught:
        await call
    return caught.value


def _shown(error: BaseException) -> list[str]:
    """Return all that an error shows: text, repr, notes, and the traceback with the locals of every frame but ours.

    With the locals as `traceback` shows them, and as rich and structlog do, which walk through fields.
    """
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    pending, texts = [whole], [str(error), repr(error), repr(error.args)]
    while pending:
        shown = pending.pop()
        frames = [frame for frame in shown.stack if Path(frame.filename) != Path(__file__)]
        texts += [f"{frame.name}: {frame.locals}" for frame in frames]
        texts += list(shown.format_exception_only())
        pending += [inner for inner in (shown.__cause__, shown.__context__, *(shown.exceptions or ())) if inner]
    structured = structlog.tracebacks.extract(type(error), error, error.__traceback__, show_locals=True)
    stacks = [stack for trace in _traces(structured) for stack in trace.stacks]
    return texts + [repr(frame) for stack in stacks for frame in stack.frames if Path(frame.filename) != Path(__file__)]


def _traces(trace: structlog.tracebacks.Trace) -> Iterator[structlog.tracebacks.Trace]:
    yield trace
    for stack in trace.stacks:
        for inner in stack.exceptions:
            yield from _traces(inner)


def _answer(row: Endpoint[Any], cursor: str | None = None) -> bytes:
    """Return a whole answer for a row, every value of it planted."""
    if row.result is None:
        return b'{"planted": "planted"}'
    item = _planted(json.loads(encode(make(row.result), nulls=True)))
    data: Any = [item, item] if row.shape == "page" else item
    return json.dumps({"data": data, "meta": {"next_cursor": cursor, "refreshed_at": f"{DAY}T00:00:00Z"}}).encode()


def _planted(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _planted(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_planted(inner, name) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return _planted_text(value, name)
    return NUMBER if isinstance(value, int) else FRACTION


def _planted_text(value: str, name: str) -> str:
    if name in {"id", "account_id"}:
        return UUID
    if re.match(r"\d{4}-\d\d-\d\d", value):
        return f"{DAY}{value[10:]}"
    return f"planted {name}"


def _wrong(value: Any) -> Any:
    """Turn every value into one of another type that is just as telling."""
    if isinstance(value, dict):
        return {key: _wrong(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_wrong(inner) for inner in value]
    return {"planted": NUMBER} if isinstance(value, str) else "planted"


def _world(statuses: dict[str, int]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answer for one account with planted values; the products that are named get this status and an odd body."""
    rows = [(re.compile(re.sub(r"{\w+}", "[^/]+", row.path)), row) for row in ENDPOINTS if row.method == "GET"]

    async def answer(request: web.Request) -> web.StreamResponse:
        status = statuses.get(request.path.rpartition("/")[2])
        if status is not None:
            return web.Response(status=status, body=b'{"data": ["planted"]}')
        row = next(row for pattern, row in rows if pattern.fullmatch(unquote(request.path)))
        return web.Response(body=_answer(row), headers=HEADERS)

    return answer


def _hanging(arrived: asyncio.Event) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return what says that a request has arrived, and never answers it."""

    async def hang(request: web.Request) -> web.StreamResponse:
        arrived.set()
        return await _never(request)

    return hang


async def _never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError
