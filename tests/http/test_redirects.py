"""Where a redirect is followed, and what does not come along."""

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from pinwheel_async import ApiError, TransportError
from pinwheel_async._core.wire import Response
from pinwheel_async._hop import Hop, next_hop


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


@pytest.mark.parametrize("auth", ["secret", "bearer"])
async def test_other_host(serve, connect, row, ask, answer, auth):
    """Another host gets method, body and version, but neither secret nor token."""
    other = await serve(answer())
    site = await serve(answer(307, Location=f"{other.base_url}/v1/things/1"))
    caller = await connect(site.base_url)

    await caller.call(row("POST", auth=auth), ask("POST", body=b"{}", bearer="admin-token"))

    arrival = other.arrivals[0]
    assert (arrival.method, arrival.body, arrival.headers["pinwheel-version"]) == ("POST", b"{}", "2025-07-08")
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


async def test_callers_own_session(serve, connect, row, ask, answer):
    """The secret does not reach another host through a session of the caller's own, either."""
    other = await serve(answer())
    site = await serve(answer(307, Location=f"{other.base_url}/v1/things/1"))
    async with aiohttp.ClientSession() as session:
        caller = await connect(site.base_url, session=session)
        await caller.call(row(), ask())
        await caller.close()

    assert "x-api-secret" not in other.arrivals[0].headers


async def test_credentials_in_the_body_stay(serve, connect, row, ask, answer):
    """A body that is itself the credentials, as for an admin token, does not go to another host."""
    other = await serve(answer())
    site = await serve(answer(307, Location=f"{other.base_url}/v1/admin/token"))
    caller = await connect(site.base_url)

    with pytest.raises(ApiError) as raised:
        await caller.call(row("POST", auth="none"), ask("POST", body=b'{"password":"x"}'))
    assert raised.value.status == 307
    assert not other.arrivals


async def test_five_hops(serve, connect, row, ask, answer):
    """Five redirects are followed."""
    site = await serve(*[answer(307, Location=f"/{hop}") for hop in range(5)], answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert len(site.arrivals) == 6


async def test_sixth_hop(serve, connect, row, ask, answer):
    """The sixth redirect in a row is an error, and not tried again."""
    site = await serve(answer(308, Location="/again"))
    caller = await connect(site.base_url)

    with pytest.raises(ApiError) as raised:
        await caller.call(row(), ask())
    assert raised.value.status == 308
    assert len(site.arrivals) == 6


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305])
async def test_other_redirects(serve, connect, row, ask, answer, status):
    """Redirects that would change the method are errors, not followed."""
    site = await serve(answer(status, Location="/elsewhere"))
    caller = await connect(site.base_url)

    with pytest.raises(ApiError) as raised:
        await caller.call(row("POST"), ask("POST"))
    assert raised.value.status == status
    assert len(site.arrivals) == 1


async def test_redirects_are_no_attempts(serve, connect, row, ask, answer, time):
    """What fails behind a redirect is tried again from the start, with all attempts."""
    passes = [answer(307, Location="/b"), answer(503)]
    site = await serve(*passes, *passes, answer(307, Location="/b"), answer())
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


HOME = Hop(URL("https://home.example/v1/a"), CIMultiDict({"X-Api-Secret": "s", "Pinwheel-Version": "v"}))


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
def test_not_followed(row, location):
    """Nowhere, downgrades to plain HTTP and other schemes are not followed."""
    headers = {} if location is None else {"location": location}
    response = Response(status=307, headers=headers, body=b"")
    following = next_hop(HOME, response, row=row(), has_body=False)

    assert following is None or following == HOME


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
def test_foreign_origin(row, location):
    """What only looks like home gets no secret."""
    following = next_hop(HOME, Response(status=307, headers={"location": location}, body=b""), row=row(), has_body=True)

    assert following is None or (dict(following.headers) == {"Pinwheel-Version": "v"} and following.url.user is None)


@pytest.mark.parametrize(
    "location", ["/b", "https://home.example/b", "https://HOME.example:443/b", "https://me:pw@home.example/b"]
)
def test_home_origin(row, location):
    """Other spellings of home keep the secret; credentials in the location are dropped."""
    following = next_hop(HOME, Response(status=307, headers={"location": location}, body=b""), row=row(), has_body=True)

    assert following is not None
    assert following.headers == HOME.headers
    assert str(following.url).replace(":443", "") == "https://home.example/b"
