"""HTTP transport against aioresponses, as users of aiohttp test their code."""

import pytest

from pinwheel_async import ServerError, TransportError


async def test_arguments(mocked, connect, row, ask):
    """One request goes to aiohttp with URL, method, body and headers as they should be."""
    mocked.put("https://a.example/v1/things/1?x=%2F", status=204)
    caller = await connect("https://a.example")

    await caller.call(row("PUT"), ask("PUT", target="/v1/things/1?x=%2F", body=b"{}"))

    (((method, url), (sent,)),) = mocked.requests.items()
    assert (method, str(url)) == ("PUT", "https://a.example/v1/things/1?x=/")
    assert sent.kwargs["data"] == b"{}"
    assert sent.kwargs["allow_redirects"] is False
    assert sent.kwargs["headers"]["x-api-secret"] == "planted-secret-4711"


async def test_retry(mocked, connect, row, ask):
    """A mocked failure is tried again."""
    mocked.get("https://a.example/v1/things/1", status=503)
    mocked.get("https://a.example/v1/things/1", status=204)
    caller = await connect("https://a.example")

    await caller.call(row(), ask())

    assert [2] == [len(calls) for calls in mocked.requests.values()]


async def test_exception(mocked, connect, row, ask):
    """A mocked exception of an unexpected kind is not tried again."""
    mocked.get("https://a.example/v1/things/1", exception=ValueError("planted"))
    caller = await connect("https://a.example")

    with pytest.raises(TransportError, match="ValueError, after 1 attempt"):
        await caller.call(row(), ask())


async def test_error(mocked, connect, row, ask):
    """A mocked error keeps its type and code."""
    mocked.get(
        "https://a.example/v1/things/1",
        status=500,
        payload={"error": {"type": "UNKNOWN_ERROR", "code": "OUT_OF_ORDER", "message": "m", "status_code": 500}},
        repeat=True,
    )
    caller = await connect("https://a.example")

    with pytest.raises(ServerError, match="answered 500 UNKNOWN_ERROR OUT_OF_ORDER"):
        await caller.call(row(), ask())
