"""A mounted receiver with an inspector, and a Chromium that watches what its pages complain of and ask for."""

import re
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar
from attrs import define

from pinwheel_async.webhooks import Inspector, MemoryInbox, Router
from tests.browser import WIDE, chromium, watching

TOKEN, REVEAL = "a-token-that-looks", "a-token-that-reveals"
ACCOUNT = "7f3e9a52-6f0e-4d0b-9a43-2f1f6a1d9c11"


@define
class Client:
    """Somebody who asks without a browser."""

    session: Any
    url: str
    send: Any
    """Sends a delivery to the receiver."""

    async def get(self, path="", **options):
        async with self.session.get(f"{self.url}/{path}", allow_redirects=False, **options) as answer:
            await answer.read()
            return answer

    async def post(self, path, data=None, **options):
        async with self.session.post(f"{self.url}/{path}", data=data, allow_redirects=False, **options) as answer:
            await answer.read()
            return answer

    async def log_in(self, token=TOKEN):
        """Log in, and return the token of the forms."""
        self.session.cookie_jar.clear()
        answer = await self.post("login", {"token": token})
        assert 303 == answer.status
        return await self.csrf()

    async def csrf(self):
        page = await (await self.get()).text()
        return unescape(re.search(r'name="csrf" value="([^"]*)"', page)[1])


@pytest.fixture
def inspect(mount):
    """Mount a receiver with an inspector, and give a client of it, for a block."""

    @asynccontextmanager
    async def inspect(router=None, *, inbox=None, auth=TOKEN, reveal=REVEAL, readiness=None, **options):
        inspector = Inspector(auth=auth, reveal=reveal, readiness=readiness)
        inbox = MemoryInbox() if inbox is None else inbox
        async with (
            mount(router or Router(), inbox=inbox, inspector=inspector, **options) as sender,
            ClientSession(cookie_jar=CookieJar(unsafe=True)) as session,  # takes cookies of an IP address, too
        ):
            yield Client(session, f"{sender.url}/inspector", sender.send)

    return inspect


@pytest.fixture
async def browser():
    """A Chromium of the system."""
    async with chromium() as started:
        yield started


@pytest.fixture
def size(request):
    """Width and height of the window."""
    return getattr(request, "param", WIDE)


@pytest.fixture
async def watched(browser, size):
    """An empty page; in the end nothing may have been complained of, or asked of another machine."""
    async with watching(browser, size) as made:
        yield made
