"""What one request looks like on the wire."""

import json

import pytest

from pinwheel_async._version import library_version
from pinwheel_async.errors import RequestError


async def test_headers_of_an_ordinary_call(serve, connect, row, ask, answer):
    """A call sends the secret, the version, what it accepts and who it is."""
    site = await serve(answer())
    caller = await connect(site.base_url, version="2023-11-22")

    await caller.call(row(), ask())

    headers = site.arrivals[0].headers
    assert headers["x-api-secret"] == "planted-secret-4711"
    assert headers["pinwheel-version"] == "2023-11-22"
    assert headers["accept"] == "application/json"
    assert headers["user-agent"] == f"pinwheel-async/{library_version()}"
    assert "authorization" not in headers
    assert "content-type" not in headers


async def test_target_is_sent_as_it_is(serve, connect, row, ask, answer):
    """Path and query arrive with the percent-encoding that they had."""
    site = await serve(answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask(target="/v1/a%2Fb/c%20d?cursor=x%2By%3D&type=a&type=b"))

    assert site.arrivals[0].target == "/v1/a%2Fb/c%20d?cursor=x%2By%3D&type=a&type=b"


async def test_body(serve, connect, row, ask, answer):
    """A body arrives as it was given, as JSON."""
    site = await serve(answer())
    caller = await connect(site.base_url)

    await caller.call(row("POST"), ask("POST", body=b'{"name":"x"}'))

    arrival = site.arrivals[0]
    assert arrival.method == "POST"
    assert arrival.headers["content-type"] == "application/json"
    assert json.loads(arrival.body) == {"name": "x"}


async def test_bearer_instead_of_secret(serve, connect, row, ask, answer):
    """An endpoint for administrators gets the admin token and never the secret."""
    site = await serve(answer())
    caller = await connect(site.base_url)

    await caller.call(row(auth="bearer"), ask(bearer="admin-token"))
    await caller.call(row(auth="bearer"), ask(bearer="other-token"))

    assert [one.headers["authorization"] for one in site.arrivals] == ["Bearer admin-token", "Bearer other-token"]
    assert "x-api-secret" not in site.arrivals[0].headers


async def test_no_credentials_where_none_are_wanted(serve, connect, row, ask, answer):
    """An endpoint without authentication gets neither secret nor token."""
    site = await serve(answer())
    caller = await connect(site.base_url)

    await caller.call(row(auth="none"), ask())

    assert not {"x-api-secret", "authorization"} & set(site.arrivals[0].headers)


async def test_version_of_one_request(serve, connect, row, ask, answer):
    """A request may speak another version than its client, and the next one speaks the client's again."""
    site = await serve(answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask(version="2023-11-22"))
    await caller.call(row(), ask())

    assert [one.headers["pinwheel-version"] for one in site.arrivals] == ["2023-11-22", "2025-07-08"]


@pytest.mark.parametrize("version", ["", "latest", "2025-07-08\r\nx-api-secret: other"])
async def test_version_that_is_no_date(serve, connect, row, ask, answer, version):
    """A version that is no date is refused before anything is sent, without being shown."""
    site = await serve(answer())
    caller = await connect(site.base_url)

    if version:
        with pytest.raises(RequestError, match=r"version must be a date, such as 2025-07-08$"):
            await caller.call(row(), ask(version=version))
        assert not site.arrivals
    else:
        await caller.call(row(), ask(version=version))  # empty means the client's
        assert site.arrivals[0].headers["pinwheel-version"] == "2025-07-08"


@pytest.mark.parametrize("bearer", [None, "", "tok\r\nen", "tokén"])
async def test_admin_token_that_cannot_be_sent(serve, connect, row, ask, answer, bearer):
    """An admin token that cannot stand in a header is refused before anything is sent."""
    site = await serve(answer())
    caller = await connect(site.base_url)

    with pytest.raises(RequestError, match="admin token"):
        await caller.call(row(auth="bearer"), ask(bearer=bearer))
    assert not site.arrivals


async def test_connections_are_reused(serve, connect, row, ask, answer):
    """Calls that follow one another share a connection."""
    ports = []

    async def note(request):
        ports.append(request.transport.get_extra_info("peername")[1])
        return answer()

    site = await serve(note)
    caller = await connect(site.base_url)
    for _ in range(3):
        await caller.call(row(), ask())

    assert len(set(ports)) == 1
