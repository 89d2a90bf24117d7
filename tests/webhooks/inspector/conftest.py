"""A mounted receiver with an inspector, and a Chromium that watches what its pages complain of and ask for."""

import os
import re
import shutil
from contextlib import asynccontextmanager
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, CookieJar
from attrs import Factory, define
from playwright.async_api import async_playwright, expect

from pinwheel_async.webhooks import Inspector, MemoryInbox, Router

TOKEN, REVEAL = "a-token-that-looks", "a-token-that-reveals"
ACCOUNT = "7f3e9a52-6f0e-4d0b-9a43-2f1f6a1d9c11"

CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]
DEADLINE_MS = 90_000
WIDE, NARROW = (1280, 900), (390, 844)
SCREENSHOTS = os.environ.get("PINWHEEL_ASYNC_SCREENSHOTS")
"""Folder to keep pictures in, to be looked at."""


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
    async def inspect(router=None, *, inbox=None, auth=TOKEN, reveal=REVEAL, **options):
        inspector = Inspector(auth=auth, reveal=reveal)
        inbox = MemoryInbox() if inbox is None else inbox
        async with (
            mount(router or Router(), inbox=inbox, inspector=inspector, **options) as sender,
            ClientSession(cookie_jar=CookieJar(unsafe=True)) as session,  # takes cookies of an IP address, too
        ):
            yield Client(session, f"{sender.url}/inspector", sender.send)

    return inspect


@define
class Watched:
    """A page, and what it complained of and asked for."""

    page: Any
    problems: list[str] = Factory(list)
    hosts: set[str | None] = Factory(set)

    async def keep(self, name: str) -> None:
        """Keep a picture of the whole page."""
        if SCREENSHOTS:
            await self.page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=True)


@pytest.fixture
async def browser():
    """A Chromium of the system."""
    if CHROMIUM is None:
        pytest.skip("no browser: it needs `chromium`")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=DEADLINE_MS)
        yield started
        await started.close()


@pytest.fixture
def size(request):
    """Width and height of the window."""
    return getattr(request, "param", WIDE)


@pytest.fixture
async def watched(browser, size):
    """An empty page; in the end nothing may have been complained of, or asked of another machine."""
    scheme = "dark" if size == NARROW else "light"
    context = await browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    context.set_default_timeout(DEADLINE_MS)
    expect.set_options(timeout=DEADLINE_MS)
    page = await context.new_page()
    made = Watched(page)
    page.on("console", lambda line: made.problems.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: made.problems.append(str(error)))
    page.on("request", lambda request: made.hosts.add(urlsplit(request.url).hostname))
    yield made
    assert [] == made.problems
    assert {"127.0.0.1"} == made.hosts - {None}
    await context.close()
