"""Programs of the tutorial as modules, and a real server for ASGI applications."""

import asyncio
import importlib.util
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
import uvicorn

from pinwheel_async.docs._build import PAGES

TUTORIAL = PAGES / "tutorial"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Load a program of the tutorial, as Python does where it stands."""
    monkeypatch.syspath_prepend(str(TUTORIAL))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, TUTORIAL / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def serve() -> Callable[[Any], AbstractAsyncContextManager[str]]:
    """Serve an ASGI application on loopback with uvicorn, lifespan included; its base URL."""

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[str]:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_config=None, access_log=False))
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            task = asyncio.create_task(server.serve([listening]))
            async with asyncio.timeout(60):
                while not server.started:
                    assert not task.done(), "the server did not start"
                    await asyncio.sleep(0.01)
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
                await task

    return run
