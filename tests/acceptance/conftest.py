"""A fake API in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from attrs import frozen


@frozen
class Server:
    """A FakePinwheel in another process."""

    pid: int
    base_url: str
    api_secret: str


@contextmanager
def _started(accounts: int) -> Iterator[Server]:
    command = [sys.executable, "-m", "pinwheel_async.testing", "--accounts", str(accounts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            place = json.loads(process.stdout.readline())
            yield Server(process.pid, place["base_url"], place["api_secret"])
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with 60 accounts, ended with the test."""
    with _started(60) as running:
        yield running
