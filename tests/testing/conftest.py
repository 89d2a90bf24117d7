"""A fake, a bare session that talks to it, and receivers that it talks to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import aiohttp
import pytest
from aiohttp import web
from attrs import Factory, define, frozen

from pinwheel_async.testing import FakePinwheel
from pinwheel_async.webhooks import webhook_app

Get = Callable[..., Awaitable[Any]]
Reaction = int | Literal["cut", "never"] | Callable[[], Awaitable[Any]]
"""A status, or to hang up, or to say nothing, or to wait for something."""


@frozen
class Arrival:
    """One delivery as it came."""

    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return {key.lower(): value for key, value in self.headers}[name]

    @property
    def said(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def payload(self) -> dict[str, Any]:
        return self.said["payload"]


@define
class Hook:
    """A receiver that reacts as told, in order, and with 200 after that."""

    url: str
    reactions: list[Reaction] = Factory(list)
    arrivals: list[Arrival] = Factory(list)

    @property
    def events(self) -> list[str]:
        return [arrival.said["event"] for arrival in self.arrivals]

    @property
    def ids(self) -> list[str]:
        return [arrival.said["event_id"] for arrival in self.arrivals]

    @property
    def stamps(self) -> list[int]:
        return [int(arrival.header("x-timestamp")) for arrival in self.arrivals]

    async def handle(self, request: web.Request) -> web.Response:
        self.arrivals.append(Arrival(list(request.headers.items()), await request.read()))
        reaction = self.reactions.pop(0) if self.reactions else 200
        if reaction == "never":
            await asyncio.Event().wait()
        if reaction == "cut":
            request.protocol.force_close()
        if callable(reaction):
            await reaction()
        return web.Response(status=reaction if isinstance(reaction, int) else 200)


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _hooked(*reactions: Reaction) -> AsyncIterator[Hook]:
    hook = Hook("", list(reactions))
    app = web.Application()
    app.router.add_post("/{tail:.*}", hook.handle)
    async with _serving(app) as url:
        hook.url = f"{url}/hook"
        yield hook


@asynccontextmanager
async def _mounted(router, **options) -> AsyncIterator[str]:
    app = web.Application()
    app.add_subapp("/hooks", webhook_app(router, **options))
    async with _serving(app) as url:
        yield f"{url}/hooks"


@pytest.fixture
def hooked():
    """Serve a bare receiver that reacts as told."""
    return _hooked


@pytest.fixture
def mounted():
    """Serve the library's own receiver, and give its URL."""
    return _mounted


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    """A bare receiver."""
    async with _hooked() as serving:
        yield serving


@pytest.fixture
async def fake() -> AsyncIterator[FakePinwheel]:
    """A fake with 40 accounts."""
    async with FakePinwheel(accounts=40) as running:
        yield running


@pytest.fixture
async def session(fake: FakePinwheel) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that sends the secret and the version, and nothing else."""
    headers = {"x-api-secret": fake.api_secret, "Pinwheel-Version": "2025-07-08"}
    async with aiohttp.ClientSession(fake.base_url, headers=headers) as opened:
        yield opened


@pytest.fixture
def get(session: aiohttp.ClientSession) -> Get:
    """Get a path and return the JSON of a 200."""

    async def call(path: str, **headers: str) -> Any:
        async with session.get(path, headers=headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    return call


@pytest.fixture
def walk(get: Get) -> Get:
    """Read every page of a list and return the items."""

    async def call(path: str, **query: str) -> list[Any]:
        items: list[Any] = []
        page = await get(f"{path}?{_query(query)}")
        items += page["data"]
        while cursor := page["meta"]["next_cursor"]:
            page = await get(f"{path}?{_query({**query, 'cursor': cursor})}")
            items += page["data"]
        return items

    return call


@pytest.fixture
def busy(fake: FakePinwheel) -> str:
    """An account with more than one page of paystubs and of shifts, and a W-2."""
    return next(account_id for account_id in fake.world.account_ids() if _is_busy(fake, account_id))


def _is_busy(fake: FakePinwheel, account_id: str) -> bool:
    forms = fake.world.records(account_id, "tax_forms")
    lists = (fake.world.records(account_id, "paystubs"), fake.world.records(account_id, "shifts"))
    return all(len(records) > 25 for records in lists) and len(forms) > 1 and forms[0]["form_type"] == "W-2"


def _query(values: dict[str, str]) -> str:
    return "&".join(f"{name}={value.replace('=', '%3D')}" for name, value in values.items())
