"""Time limits: what ran out of time raises `TimeoutError`, whatever happened to its task before."""

import ast
import asyncio
from pathlib import Path

import pytest

import pinwheel_async
from pinwheel_async._clock import _time_limit, time_limit

LIMITS = [time_limit, _time_limit]  # the second one is for Python before 3.11.3, and works with any


@pytest.mark.parametrize("limit", LIMITS)
async def test_time_limit_of_a_task_that_was_cancelled_before(limit):
    """A task that goes on after it was cancelled has time limits as before."""

    async def clean_up():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(TimeoutError) as caught:
                async with limit(0.01):
                    await asyncio.Event().wait()
            return type(caught.value.__context__)

    task = asyncio.create_task(clean_up())
    await asyncio.sleep(0)
    task.cancel()

    assert asyncio.CancelledError is await task


@pytest.mark.parametrize("limit", LIMITS)
async def test_cancelled_within_a_time_limit(limit):
    """A task that is cancelled within a time limit is cancelled."""

    async def wait():
        async with limit(60):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()


@pytest.mark.parametrize("limit", LIMITS)
async def test_time_that_is_enough(limit):
    """What ends in time is left as it ends, and the limit can be moved."""
    async with limit(None) as moved:
        moved.reschedule(asyncio.get_running_loop().time() + 60)
        await asyncio.sleep(0)
    with pytest.raises(ValueError, match="own"):
        async with limit(60):
            raise ValueError("own")

    assert not moved.expired()


def test_one_time_limit():
    """The package has no other one: `asyncio.timeout` cannot be trusted while a server shuts down before 3.11.3."""
    package = Path(pinwheel_async.__file__).parent
    found = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "asyncio.timeout" in path.read_text(encoding="utf-8") and "docs" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.timeout"
    ]

    assert {"_clock.py"} == {*found}
