"""The hook on attempts: what it is told, when, and that it breaks nothing."""

import asyncio

import pytest

from pinwheel_async import Attempt, ConfigurationError, Pinwheel, RetryPolicy, ServerError, TransportError

ENDPOINT = "GET /v1/things/{thing_id}"


@pytest.fixture
def told():
    return []


@pytest.fixture
def watched(connect, told):
    """Open a caller that tells what it does."""

    async def start(base_url, **settings):
        caller = await connect(base_url, **settings)
        caller._on_attempt = told.append
        return caller

    return start


async def test_before_and_after(mock_site, watched, row, ask, answer, told):
    """A hook is told of an attempt before it and after it, with the status and the server's id."""
    site = mock_site(answer(X_Pinwheel_Request_Id="00000000-0000-4000-8000-000000000001"))
    caller = await watched(site.base_url)

    await caller.call(row(), ask())

    first = Attempt(endpoint=ENDPOINT, base_url=site.base_url, number=1, waited_s=0.0)
    assert told == [
        first,
        Attempt(
            endpoint=ENDPOINT,
            base_url=site.base_url,
            number=1,
            waited_s=0.0,
            took_s=0.0,
            status=204,
            request_id="00000000-0000-4000-8000-000000000001",
        ),
    ]


async def test_every_attempt(mock_site, watched, row, ask, answer, told):
    """Each attempt has its number, and the wait before it."""
    site = mock_site(answer(500), answer(503, Retry_After="7"), answer())
    caller = await watched(site.base_url)

    await caller.call(row(), ask())

    ended = told[1::2]
    assert [(attempt.number, attempt.status) for attempt in ended] == [(1, 500), (2, 503), (3, 204)]
    assert [round(attempt.waited_s, 6) for attempt in ended] == [0.0, 1.0, 7.35]
    assert told[::2] == [
        Attempt(endpoint=ENDPOINT, base_url=site.base_url, number=attempt.number, waited_s=attempt.waited_s)
        for attempt in ended
    ]


async def test_time(mock_site, watched, row, ask, answer, told, time):
    """An attempt took what passed between its beginning and its end."""

    async def slow(_request):
        time.advance(2.5)
        return answer()

    site = mock_site(slow)
    caller = await watched(site.base_url)

    await caller.call(row(), ask())

    assert [attempt.took_s for attempt in told] == [None, 2.5]


async def test_failure(watched, row, ask, told, unused_tcp_port):
    """Where no answer came, the failure has a name and there is no status."""
    caller = await watched(f"http://127.0.0.1:{unused_tcp_port}", retry=RetryPolicy(attempts=1))

    with pytest.raises(TransportError):
        await caller.call(row(), ask())
    assert [(attempt.failure, attempt.status) for attempt in told] == [
        (None, None),
        ("ClientConnectorError (ECONNREFUSED)", None),
    ]


async def test_cancellation(serve, watched, row, ask, told):
    """The end of an attempt that is cancelled is told, too."""
    asked = asyncio.Event()

    async def hang(_request):
        asked.set()
        await asyncio.Event().wait()

    site = await serve(hang)
    caller = await watched(site.base_url)
    task = asyncio.create_task(caller.call(row(), ask()))
    await asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert [attempt.failure for attempt in told] == [None, "CancelledError"]


@pytest.mark.parametrize("request_id", ["planted planted", "https://planted", "p" * 65])
async def test_request_id_that_is_none(mock_site, watched, row, ask, answer, told, request_id):
    """What does not look like an id of an exchange is not told."""
    site = mock_site(answer(X_Pinwheel_Request_Id=request_id))
    caller = await watched(site.base_url)

    await caller.call(row(), ask())

    assert told[1].request_id is None


async def test_no_value(mock_site, watched, row, ask, answer, told):
    """A hook learns nothing of target, body, token and answer."""
    site = mock_site(answer(400, b'{"error": {"message": "planted"}}'))
    caller = await watched(site.base_url)

    with pytest.raises(Exception, match="answered 400"):
        await caller.call(
            row("POST", auth="bearer"), ask("POST", target="/v1/planted?q=planted", body=b"planted", bearer="planted")
        )
    assert "planted" not in repr(told)


async def test_hook_that_raises(mock_site, connect, row, ask, answer, caplog):
    """A hook that raises is logged by the class of what it raised, and the call goes on."""
    site = mock_site(answer(500), answer())
    caller = await connect(site.base_url)

    def fail(_attempt):
        raise LookupError("planted")

    caller._on_attempt = fail
    await caller.call(row(), ask())

    assert [record.getMessage() for record in caplog.records if record.name == "pinwheel_async.http"] == [
        "the hook on_attempt raised LookupError"
    ] * 4
    assert "planted" not in caplog.text


async def test_hook_of_a_client(mock_site, answer):
    """A client takes the hook as an argument, and tells it of calls that end in errors."""
    told = []
    site = mock_site(answer(503))
    async with Pinwheel("x", base_url=site.base_url, retry=RetryPolicy(attempts=1), on_attempt=told.append) as pinwheel:
        with pytest.raises(ServerError):
            await pinwheel.accounts.get("7c2d5a3e-5ac5-4f0c-9d4a-5f1f1d3c0a11")

    assert [(attempt.endpoint, attempt.status) for attempt in told] == [
        ("GET /v1/accounts/{account_id}", None),
        ("GET /v1/accounts/{account_id}", 503),
    ]


async def _waiting(_attempt):
    pass


@pytest.mark.parametrize("hook", [_waiting, 5, "print"])
def test_hook_that_cannot_work(hook):
    """A hook that would have to be awaited, or cannot be called, is refused."""
    with pytest.raises(ConfigurationError, match="on_attempt must be a plain function"):
        Pinwheel("x", on_attempt=hook)
