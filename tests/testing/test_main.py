"""The fake in a process of its own."""

import asyncio
import io
import json
import signal
import sys

import aiohttp
import pytest

from pinwheel_async.testing.__main__ import main


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_serves_until_told_to_stop(name):
    """It says where it is in one line of JSON, serves, and ends in peace."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pinwheel_async.testing", "--accounts", "3", "--seed", "2"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    async with asyncio.timeout(30):
        said = json.loads(await process.stdout.readline())
        headers = {"x-api-secret": said["api_secret"], "Pinwheel-Version": "2025-07-08"}
        async with (
            aiohttp.ClientSession(said["base_url"], headers=headers) as session,
            session.get("/v1/accounts") as got,
        ):
            page = await got.json()
        process.send_signal(name)
        rest, errors = await process.communicate()

    assert 3 == page["meta"]["count"]
    assert (0, b"", b"") == (process.returncode, rest, errors)


def test_main(monkeypatch):
    """A signal that comes as soon as the line is out ends it in peace."""

    class Said(io.StringIO):
        def flush(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    said = Said()
    monkeypatch.setattr(sys, "stdout", said)
    monkeypatch.setattr(sys, "argv", ["testing", "--port", "0"])
    main()

    assert {"base_url", "api_secret"} == set(json.loads(said.getvalue()))
