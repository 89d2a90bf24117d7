"""Commands that serve the inspector, as processes of their own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, CookieJar

import pinwheel_async
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._delivery import make_delivery

ROOT = Path(pinwheel_async.__file__).parents[1]


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[str]:
    """Run a command for a block, which is given the URL of the inspector; SIGTERM ends it with 0."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PINWHEEL_API_SECRET": "secret-of-a-test"}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "pinwheel_async", *arguments],
        env=variables,
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        lines = iter(process.stderr)
        while "inspector" not in (line := next(lines)):
            pass
        yield re.search(r"http://\S+", line)[0]
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(60)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
async def session():
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield session


async def page(session, url):
    async with session.get(url) as answer:
        return answer.status, (await answer.text()).replace("<wbr>", "")


async def test_inbox_inspect(tmp_path, session, body):
    """`inbox inspect` shows an inbox to who opens the URL that it prints, once, and to nobody else."""
    inbox = SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    await inbox.put(make_delivery({}, body("shifts.added", event_id="event-1"), key="secret-1"))
    await inbox.close()
    with running(tmp_path, "inbox", "inspect", "--inbox", "inbox.db") as url:
        root = url.partition("login")[0]
        status, _ = await page(session, root)
        assert 401 == status

        status, text = await page(session, url)
        assert (200, "127.0.0.1") == (status, urlsplit(url).hostname)
        assert "shifts.added" in text
        status, text = await page(session, f"{root}?id=event-1")
        assert (200, True) == (status, "Reveal the values" in text)

        session.cookie_jar.clear()
        status, text = await page(session, url)
        assert (403, True) == (status, "used before" in text)


async def test_listen_inspect(tmp_path, session):
    """`listen --inspect` serves the inspector on a port of its own, which no tunnel to the receiver reaches."""
    with running(tmp_path, "listen", "--port", "0", "--inspect") as url:
        status, text = await page(session, url)

        assert (200, True) == (status, "Nothing is stored yet" in text)
