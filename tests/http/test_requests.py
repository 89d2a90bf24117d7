"""Requests as they are sent: headers, target, body, credentials, version."""

import json
import time as real_time

import pytest

from pinwheel_async._version import __version__
from pinwheel_async.errors import DecodeError, RequestError


async def test_headers_of_an_ordinary_call(serve, connect, row, ask, answer):
    """A call sends the secret, the version, what it accepts and its name."""
    site = await serve(answer())
    caller = await connect(site.base_url, version="2023-11-22")

    await caller.call(row(), ask())

    headers = site.arrivals[0].headers
    assert headers["x-api-secret"] == "planted-secret-4711"
    assert headers["pinwheel-version"] == "2023-11-22"
    assert headers["accept"] == "application/json"
    assert headers["user-agent"] == f"pinwheel-async/{__version__}"
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


async def test_bearer_instead_of_secret(mock_site, connect, row, ask, answer):
    """An endpoint for administrators gets the admin token and never the secret."""
    site = mock_site(answer())
    caller = await connect(site.base_url)

    await caller.call(row(auth="bearer"), ask(bearer="admin-token"))
    await caller.call(row(auth="bearer"), ask(bearer="other-token"))

    assert [arrival.headers["authorization"] for arrival in site.arrivals] == [
        "Bearer admin-token",
        "Bearer other-token",
    ]
    assert "x-api-secret" not in site.arrivals[0].headers


async def test_no_credentials_where_none_are_wanted(mock_site, connect, row, ask, answer):
    """An endpoint without authentication gets neither secret nor token."""
    site = mock_site(answer())
    caller = await connect(site.base_url)

    await caller.call(row(auth="none"), ask())

    assert not {"x-api-secret", "authorization"} & set(site.arrivals[0].headers)


async def test_version_of_one_request(mock_site, connect, row, ask, answer):
    """A request may speak another version than its client, and the next one speaks the client's again."""
    site = mock_site(answer())
    caller = await connect(site.base_url)

    await caller.call(row(), ask(version="2023-11-22"))
    await caller.call(row(), ask())

    assert [arrival.headers["pinwheel-version"] for arrival in site.arrivals] == ["2023-11-22", "2025-07-08"]


@pytest.mark.parametrize("version", ["", "latest", "2025-07-08\r\nx-api-secret: other"])
async def test_version_that_is_no_date(mock_site, connect, row, ask, answer, version):
    """A version that is no date is refused before anything is sent, without being shown."""
    site = mock_site(answer())
    caller = await connect(site.base_url)

    if version:
        with pytest.raises(RequestError, match=r"version must be a date, such as 2025-07-08$"):
            await caller.call(row(), ask(version=version))
        assert not site.arrivals
    else:
        await caller.call(row(), ask(version=version))  # empty means the client's
        assert site.arrivals[0].headers["pinwheel-version"] == "2025-07-08"


@pytest.mark.parametrize("bearer", [None, "", "tok\r\nen", "tokén"])
async def test_admin_token_that_cannot_be_sent(mock_site, connect, row, ask, answer, bearer):
    """An admin token that cannot stand in a header is refused before anything is sent."""
    site = mock_site(answer())
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


async def test_connection_that_was_idle_for_long(serve, connect, row, ask, answer, monkeypatch):
    """A call after a pause takes no connection that the server may have closed: what creates would be lost on it."""
    used = set()

    async def close_idle(request):
        if request.transport in used:
            request.transport.abort()  # what the server closed after 5 s loses whatever is sent on it
        used.add(request.transport)
        return answer()

    site = await serve(close_idle)
    caller = await connect(site.base_url)
    await caller.call(row("POST", repeatable=False), ask("POST"))
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: real_time.monotonic() + 5.0)

    await caller.call(row("POST", repeatable=False), ask("POST"))

    assert len(site.arrivals) == 2


@pytest.mark.parametrize("body", [b"{}", b' {"data": null}\n', b'{"status":"disconnected"}'])
async def test_action_that_answers_an_object(mock_site, connect, row, ask, answer, body):
    """An action has succeeded if the answer is 200 with an object."""
    site = mock_site(answer(200, body))
    caller = await connect(site.base_url)

    assert await caller.call(row("POST"), ask("POST")) is None


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (200, b"<html>Welcome to our wireless network</html>", "(body): not a JSON object"),
        (200, b"", "(body): not a JSON object"),
        (200, b"[]", "(body): not a JSON object"),
        (200, b"null", "(body): not a JSON object"),
        (200, b"true", "(body): not a JSON object"),
        (200, b'"done"', "(body): not a JSON object"),
        (200, b'{"a":1}{', "(body): not a JSON object"),
        (200, b"\xff\xfe", "(body): not a JSON object"),
        (200, b'{"error": {"type": "INTERNAL", "message": "planted"}}', "(body): an error"),
        (200, b'{"data": {}, "error": "planted"}', "(body): an error"),
        (201, b"{}", "status: 201, neither 200 nor 204"),
        (202, b"{}", "status: 202, neither 200 nor 204"),
        (203, b"{}", "status: 203, neither 200 nor 204"),
        (205, b"", "status: 205, neither 200 nor 204"),
        (206, b"{}", "status: 206, neither 200 nor 204"),
    ],
)
async def test_action_that_may_not_have_been_done(mock_site, connect, row, ask, answer, status, body, problem):
    """Whatever the API does not document as success of an action is an error that names the endpoint."""
    site = mock_site(answer(status, body))
    caller = await connect(site.base_url)

    with pytest.raises(DecodeError) as raised:
        await caller.call(row("POST"), ask("POST"))
    assert (raised.value.where, raised.value.paths) == ("POST /v1/things/{thing_id}", (problem,))
    assert "planted" not in str(raised.value)
    assert len(site.arrivals) == 1
