"""Hooks: called, awaited, bounded, and unable to do harm."""

import asyncio
import os
import signal

import pytest

from pinwheel_async.webhooks import _hooks
from pinwheel_async.webhooks._hooks import Hooks


async def test_function():
    """A function is called with what it is to be told."""
    seen = []
    Hooks().call("h", lambda *told: seen.append(told), 1, "a")

    assert [(1, "a")] == seen


async def test_asynchronous_function():
    """What a function returns to be awaited is awaited beside everything else."""
    hooks, seen, go_on = Hooks(), [], asyncio.Event()

    async def hook(told):
        await go_on.wait()
        seen.append(told)

    hooks.call("h", hook, 1)
    assert [] == seen
    go_on.set()
    await hooks.finish(10)

    assert [1] == seen


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError], ids=lambda kind: kind.__name__
)
async def test_failure(caplog, error, sigint_handled):
    """What a function raises is logged by its kind, and not raised."""

    def hook():
        raise error("planted")

    Hooks().call("on_stored", hook)

    assert f"hook on_stored failed: {error.__name__}" in caplog.text
    assert "planted" not in caplog.text


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt], ids=lambda kind: kind.__name__)
async def test_failure_of_an_asynchronous_function(caplog, error, sigint_handled):
    """What an asynchronous function raises is logged by its kind, and does not end the event loop."""
    hooks = Hooks()

    async def hook():
        raise error("planted")

    hooks.call("on_stored", hook)
    await hooks.finish(10)

    assert f"hook on_stored failed: {error.__name__}" in caplog.text
    assert "planted" not in caplog.text


async def test_hanging(caplog, monkeypatch):
    """Calls that hang are bounded in number, and cancelled at the end."""
    monkeypatch.setattr(_hooks, "MAX_RUNNING", 2)
    hooks, begun = Hooks(), []

    async def hang():
        begun.append(1)
        await asyncio.Event().wait()

    for _ in range(3):
        hooks.call("h", hang)
        await asyncio.sleep(0)
    await hooks.finish(0.01)
    async with asyncio.timeout(10):
        while hooks._running:
            await asyncio.sleep(0)

    assert 2 == len(begun)
    assert "hook h is not called: 2 calls are under way" in caplog.text


def test_no_hook():
    """Where there is no function, nothing happens."""
    Hooks().call("h", None, 1)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("is_asynchronous", [False, True])
def test_ctrl_c(is_asynchronous, times):
    """Ctrl-C while a function runs ends the program, however often it is pressed."""

    def press():
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)

    async def press_later():
        press()

    async def main():
        hooks = Hooks()
        hooks.call("h", press_later if is_asynchronous else press)
        await asyncio.sleep(30)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
