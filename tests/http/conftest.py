"""Fixtures of the tests of the HTTP transport: rows, requests and answers."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.wire import Auth, Request

THING = "/v1/things/{thing_id}"


@pytest.fixture
def row() -> Callable[..., Endpoint[None]]:
    """Describe an endpoint that answers nothing."""

    def describe(method: str = "GET", *, repeatable: bool = True, auth: Auth = "secret") -> Endpoint[None]:
        return Endpoint(
            operation="test", method=method, path=THING, result=None, shape="nothing", repeatable=repeatable, auth=auth
        )

    return describe


@pytest.fixture
def ask() -> Callable[..., Request]:
    """Build a request for such an endpoint."""

    def build(method: str = "GET", **more: Any) -> Request:
        return Request(**{"endpoint": f"{method} {THING}", "method": method, "target": "/v1/things/1", **more})

    return build


@pytest.fixture
def answer() -> Callable[..., web.Response]:
    """Build an answer of the server."""

    def build(status: int = 204, body: bytes = b"", **headers: str) -> web.Response:
        return web.Response(
            status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    return build
