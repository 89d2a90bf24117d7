"""The command `quickstart`, and the page as it is for the sandbox; nothing here calls it."""

import os
import signal
import subprocess
import sys
import urllib.request

import aiohttp
import pytest
from aiohttp import web

from pinwheel_async import Pinwheel
from pinwheel_async.cli import _quickstart
from pinwheel_async.quickstart import LINK_SCRIPT, quickstart_app
from pinwheel_async.settings import BASE_URLS

COMMAND = [sys.executable, "-m", "pinwheel_async", "quickstart", "--port", "0"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PINWHEEL_")}


def test_runs_without_a_key():
    """It says where the page is, without a key, and ends in peace."""
    with subprocess.Popen(COMMAND, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr
        url = process.stderr.readline().removeprefix("pinwheel-async: open ").strip()
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  # our own page
            text = response.read().decode()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()

    assert (0, "") == (process.returncode, rest)
    assert "/_fake/link.js" in text


@pytest.mark.parametrize("variables", [{}, {"PINWHEEL_API_SECRET": ""}])
def test_live_needs_a_key(variables):
    """With `--live` and no key it says what is missing, and the exit code is that of wrong configuration."""
    done = subprocess.run(
        [*COMMAND, "--live"], capture_output=True, text=True, env=ENVIRONMENT | variables, timeout=100, check=False
    )

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert "PINWHEEL_API_SECRET" in done.stderr


def test_folder_of_a_made_up_pinwheel(tmp_path):
    """A folder without `--live`, where it would keep nothing, is refused."""
    done = subprocess.run(
        [*COMMAND, "--folder", tmp_path], capture_output=True, text=True, env=ENVIRONMENT, timeout=100, check=False
    )

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert "--folder goes with --live" in done.stderr


@pytest.mark.parametrize("environment", ["development", "production"])
async def test_live_is_the_sandbox(tmp_path, monkeypatch, environment):
    """With `--live` the sandbox is called, whatever the variables say."""
    made = []

    def make(client, **_):
        made.append(client)
        return web.Application()

    monkeypatch.setenv("PINWHEEL_API_SECRET", "secret")
    monkeypatch.setenv("PINWHEEL_ENVIRONMENT", environment)
    monkeypatch.setenv("PINWHEEL_BASE_URL", "https://elsewhere.example.com")
    monkeypatch.setattr(_quickstart, "quickstart_app", make)
    async with _quickstart._live(tmp_path, 0):
        pass
    (client,) = made

    assert BASE_URLS["sandbox"] in repr(client)


async def test_live_page(tmp_path):
    """For the sandbox the page has Pinwheel's own script, and its policy lets in that and its frame, nothing else."""
    app = quickstart_app(Pinwheel("secret", base_url="http://127.0.0.1:9"), api_secret="secret", folder=tmp_path)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        policy, text = response.headers["Content-Security-Policy"], await response.text()
    await runner.cleanup()

    assert f'<script src="{LINK_SCRIPT}"' in text
    assert "script-src 'self' https://cdn.getpinwheel.com;" in policy
    assert "frame-src https://cdn.getpinwheel.com;" in policy
