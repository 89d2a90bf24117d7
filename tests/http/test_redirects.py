"""Redirects: which are followed, and which credentials are dropped."""

import asyncio
from time import perf_counter

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from pinwheel_async import ApiError, DeadlineError, RetryPolicy, TransportError
from pinwheel_async._clock import Clock
from pinwheel_async._core.wire import Response
from pinwheel_async._http.prepare import PreparedRequest, prepare_redirect


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    "location", ["/v1/elsewhere?a=1", "{base}/v1/elsewhere?a=1", "elsewhere?a=1", "../elsewhere?a=1"]
)
async def test_same_origin(serve, connect, row, ask, answer, status, location):
    """On the same origin a redirect keeps method, body and secret, whether its location is relative or absolute."""
    site = await serve()
    site.answers = [answer(status, Location=location.format(base=site.base_url)), answer()]
    caller = await connect(site.base_url)

    await caller.call(row("POST", repeatable=False), ask("POST", body=b'{"a":1}'))

    second = site.arrivals[1]
    assert (second.method, second.body) == ("POST", b'{"a":1}')
    assert second.headers["x-api-secret"] == "planted-secret-4711"
    assert second.target in {"/v1/elsewhere?a=1", "/v1/things/elsewhere?a=1"}


@pytest.mark.parametrize("auth", ["secret", "bearer", "none"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_other_host(serve, connect, row, ask, answer, method, auth):
    """Another host gets method and version of a call without a body, but neither secret nor token."""
    other = await serve(answer())
    site = await serve(answer(307, Location=f"{other.base_url}/v1/things/1"))
    caller = await connect(site.base_url)

    await caller.call(row(method, auth=auth), ask(method, bearer="admin-token"))

    arrival = other.arrivals[0]
    assert (arrival.method, arrival.body, arrival.headers["pinwheel-version"]) == (method, b"", "2025-07-08")
    assert not {"x-api-secret", "authorization", "cookie"} & set(arrival.headers)
    assert "planted-secret-4711" not in repr(arrival)


async def test_secret_does_not_come_back(serve, connect, row, ask, answer):
    """A way that leads over another host and home again stays without the secret."""
    site, other = await serve(), await serve()
    site.answers = [answer(307, Location=f"{other.base_url}/a"), answer()]
    other.answers = [answer(307, Location=f"{site.base_url}/b")]
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert "x-api-secret" not in site.arrivals[1].headers


OWN = {"X-Api-Secret": "own", "Authorization": "Bearer own", "X-Gateway-Key": "own", "Cookie": "a=own", "Host": "own"}


async def _add_login(request, handler):
    request.headers["X-Signed"] = "own"
    return await handler(request)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "own",
    [
        {"headers": OWN},
        {"headers": {name.lower(): value for name, value in OWN.items()}},
        {"cookies": {"session": "own"}},
        {"middlewares": [_add_login]},
        {},
    ],
    ids=["headers", "lower case", "cookies", "middleware", "nothing"],
)
async def test_callers_own_session(serve, connect, row, ask, answer, method, own):
    """Neither the secret nor anything that a session of the caller's own adds reaches another host."""
    other = await serve(answer(307, Location="/v1/things/2"), answer())
    site = await serve(answer(307, Location=f"{other.base_url}/v1/things/1"))
    async with aiohttp.ClientSession(**own) as session:
        caller = await connect(site.base_url, session=session)
        await caller.call(row(method), ask(method))
        await caller.close()

    for arrival in other.arrivals:
        assert not {"x-api-secret", "authorization", "cookie", "x-gateway-key", "x-signed"} & set(arrival.headers)
        assert "own" not in arrival.headers.values()
        assert arrival.headers["host"] == other.base_url.removeprefix("http://")
        assert arrival.headers["pinwheel-version"] == "2025-07-08"
    assert len(other.arrivals) == 2


@pytest.mark.filterwarnings("ignore:.*auth.*:DeprecationWarning")
async def test_login_of_an_own_session(serve, connect, row, ask, answer):
    """The login of a session of the caller's own does not reach another host."""
    other = await serve(answer())
    site = await serve(answer(307, Location=f"{other.base_url}/v1/things/1"))
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("me", "own")) as session:
        caller = await connect(site.base_url, session=session)
        await caller.call(row(), ask())
        await caller.close()

    assert "authorization" in site.arrivals[0].headers
    assert "authorization" not in other.arrivals[0].headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("auth", ["secret", "bearer", "none"])
async def test_body_stays(serve, connect, row, ask, answer, method, auth):
    """A body holds personal data, card data or credentials: it does not go to another host."""
    other = await serve(answer())
    site = await serve(answer(307, Location=f"{other.base_url}/v1/things/1"))
    caller = await connect(site.base_url)

    with pytest.raises(ApiError) as raised:
        await caller.call(row(method, auth=auth), ask(method, body=b'{"password":"x"}', bearer="admin-token"))
    assert raised.value.status == 307
    assert not other.arrivals


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("location", [None, "", "  "])
@pytest.mark.parametrize("repeatable", [True, False])
async def test_redirect_to_nowhere(mock_site, connect, row, ask, answer, status, location, repeatable):
    """A redirect that does not say where to is final."""
    site = mock_site(answer(status) if location is None else answer(status, Location=location))
    caller = await connect(site.base_url)

    with pytest.raises(ApiError) as raised:
        await caller.call(row("POST", repeatable=repeatable), ask("POST", body=b"{}"))
    assert raised.value.status == status
    assert len(site.arrivals) == 1


@pytest.mark.parametrize(
    "location",
    [
        "/v1/things/1",
        "{base}/v1/things/1",
        "1",
        "?",
        "#here",
        "/v1/things/1#here",
        "./1",
        "/v1/other/../things/1",
        "/v1/%74hings/1",
    ],
)
async def test_creating_call_is_not_sent_to_a_url_twice(serve, connect, row, ask, answer, location):
    """A call that makes something and is redirected to where it was is final, however the URL is spelled."""
    site = await serve()
    site.answers = [answer(307, Location=location.format(base=site.base_url))]
    caller = await connect(site.base_url)

    with pytest.raises(ApiError) as raised:
        await caller.call(row("POST", repeatable=False), ask("POST", body=b"{}"))
    assert raised.value.status == 307
    assert len(site.arrivals) == 1


async def test_creating_call_in_a_circle(serve, connect, row, ask, answer):
    """A call that makes something goes round a circle of redirects once."""
    site = await serve(*[answer(307, Location=f"/v1/things/{number % 2}") for number in range(2, 9)])
    caller = await connect(site.base_url)

    with pytest.raises(ApiError):
        await caller.call(row("POST", repeatable=False), ask("POST", body=b"{}"))
    assert [arrival.target for arrival in site.arrivals] == ["/v1/things/1", "/v1/things/0"]


async def test_redirects_share_the_time_of_an_attempt(serve, connect, row, ask, answer):
    """All steps of a redirect together take no longer than one attempt may."""

    async def slow(_request):
        await asyncio.sleep(0.15)
        return answer(307, Location="/v1/things/1")

    site = await serve(slow)
    caller = await connect(site.base_url, clock=Clock(), attempt_timeout_s=0.4, retry=RetryPolicy(attempts=1))
    began = perf_counter()

    with pytest.raises(DeadlineError):
        await caller.call(row(), ask())
    assert perf_counter() - began < 0.6  # five steps and the first would take 0.9


async def test_five_redirects(mock_site, connect, row, ask, answer):
    """Five redirects are followed."""
    site = mock_site(*[answer(307, Location=f"/{number}") for number in range(5)], answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert len(site.arrivals) == 6


async def test_sixth_redirect(mock_site, connect, row, ask, answer):
    """The sixth redirect in a row is an error, and not tried again."""
    site = mock_site(answer(308, Location="/again"))
    caller = await connect(site.base_url)

    with pytest.raises(ApiError) as raised:
        await caller.call(row(), ask())
    assert raised.value.status == 308
    assert len(site.arrivals) == 6


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305])
async def test_other_redirects(mock_site, connect, row, ask, answer, status):
    """Redirects that would change the method are errors, not followed."""
    site = mock_site(answer(status, Location="/elsewhere"))
    caller = await connect(site.base_url)

    with pytest.raises(ApiError) as raised:
        await caller.call(row("POST"), ask("POST"))
    assert raised.value.status == status
    assert len(site.arrivals) == 1


async def test_redirects_are_no_attempts(mock_site, connect, row, ask, answer, time):
    """What fails behind a redirect is tried again from the start, with all attempts."""
    passes = [answer(307, Location="/b"), answer(503)]
    site = mock_site(*passes, *passes, answer(307, Location="/b"), answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert len(site.arrivals) == 6
    assert len(time.slept) == 2


async def test_dead_end(serve, connect, row, ask, answer, unused_tcp_port):
    """A call that makes something and was redirected to nowhere is not repeated: the first host had it."""
    site = await serve(answer(307, Location=f"http://127.0.0.1:{unused_tcp_port}/"))
    caller = await connect(site.base_url)

    with pytest.raises(TransportError) as raised:
        await caller.call(row("POST", repeatable=False), ask("POST"))
    assert raised.value.sent
    assert len(site.arrivals) == 1


HOME = PreparedRequest(URL("https://home.example/v1/a"), CIMultiDict({"X-Api-Secret": "s", "Pinwheel-Version": "v"}))


@pytest.mark.parametrize(
    "location",
    [
        None,
        "http://home.example/v1/a",
        "http://other.example/",
        "ftp://home.example/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https://[::1",
        "https://home.example:99999/",
    ],
)
def test_not_followed(location):
    """Nowhere, downgrades to plain HTTP and other schemes are not followed."""
    headers = {} if location is None else {"location": location}
    response = Response(status=307, headers=headers, body=b"")

    assert prepare_redirect(HOME, response, has_body=False) is None


@pytest.mark.parametrize(
    "location",
    [
        "https://other.example/",
        "//other.example/",
        "https://home.example:444/",
        "https://home.example.other.example/",
        "https://home.example@other.example/",
        "https://other.example\\@home.example/",
        "https://sub.home.example/",
    ],
)
def test_foreign_origin(location):
    """An origin that only looks like the first one gets no secret."""
    response = Response(status=307, headers={"location": location}, body=b"")
    following = prepare_redirect(HOME, response, has_body=False)

    assert prepare_redirect(HOME, response, has_body=True) is None
    assert following is None or (dict(following.headers) == {"Pinwheel-Version": "v"} and following.url.user is None)


@pytest.mark.parametrize(
    "location", ["/b", "https://home.example/b", "https://HOME.example:443/b", "https://me:pw@home.example/b"]
)
def test_home_origin(location):
    """Other spellings of home keep the secret; credentials in the location are dropped."""
    following = prepare_redirect(HOME, Response(status=307, headers={"location": location}, body=b""), has_body=True)

    assert following is not None
    assert following.headers == HOME.headers
    assert str(following.url).replace(":443", "") == "https://home.example/b"
