"""Event loops in which the worker is tested."""

import asyncio

import pytest

EAGER = getattr(asyncio, "eager_task_factory", None)
"""Begins every task at once; from Python 3.12 on."""


@pytest.fixture(params=["lazy"] + ["eager"] * (EAGER is not None), autouse=True)
async def tasks(request):
    """How the event loop begins tasks: every test here is for both."""
    asyncio.get_running_loop().set_task_factory(EAGER if request.param == "eager" else None)
