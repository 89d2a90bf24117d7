"""Fixtures of the commands' tests: a fake in a thread, and commands as processes of their own, or in this one."""

import inspect
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pinwheel_async
from pinwheel_async.cli._app import app
from pinwheel_async.testing import FakePinwheel

from .fork_server import ForkServer

ROOT = Path(pinwheel_async.__file__).parents[1]

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture
def fake() -> Iterator[FakePinwheel]:
    """A fake with 8 accounts, in a thread."""
    with FakePinwheel(accounts=8) as running:
        yield running


@pytest.fixture
def environment(fake: FakePinwheel) -> dict[str, str]:
    """The environment of a process that has the fake's secret."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PINWHEEL_API_SECRET": fake.api_secret, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A server that forks commands."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, fork_server: ForkServer) -> Run:
    """Run a command line in an empty folder."""

    def call(*arguments: str, **variables: str) -> Done:
        return fork_server.run(arguments, environment | variables, tmp_path)

    return call


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Any]]:
    """Run a command line in this process, in an empty folder; return what the command returns, or raise its error."""
    for name in [name for name in os.environ if name.startswith("PINWHEEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str) -> Any:
        command, bound, _ = app.parse_args(arguments, print_error=False, exit_on_error=False)
        result = command(*bound.args, **bound.kwargs)
        return await result if inspect.isawaitable(result) else result

    return run
