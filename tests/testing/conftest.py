"""A fake and a bare session that talks to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from pinwheel_async.testing import FakePinwheel

Get = Callable[..., Awaitable[Any]]


@pytest.fixture
async def fake() -> AsyncIterator[FakePinwheel]:
    """A fake with 40 accounts."""
    async with FakePinwheel(accounts=40) as running:
        yield running


@pytest.fixture
async def session(fake: FakePinwheel) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that sends the secret and the version, and nothing else."""
    headers = {"x-api-secret": fake.api_secret, "Pinwheel-Version": "2025-07-08"}
    async with aiohttp.ClientSession(fake.base_url, headers=headers) as opened:
        yield opened


@pytest.fixture
def get(session: aiohttp.ClientSession) -> Get:
    """Get a path and return the JSON of a 200."""

    async def call(path: str, **headers: str) -> Any:
        async with session.get(path, headers=headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    return call


@pytest.fixture
def walk(get: Get) -> Get:
    """Read every page of a list and return the items."""

    async def call(path: str, **query: str) -> list[Any]:
        items: list[Any] = []
        page = await get(f"{path}?{_query(query)}")
        items += page["data"]
        while cursor := page["meta"]["next_cursor"]:
            page = await get(f"{path}?{_query({**query, 'cursor': cursor})}")
            items += page["data"]
        return items

    return call


@pytest.fixture
def busy(fake: FakePinwheel) -> str:
    """An account with more than one page of paystubs and of shifts, and a W-2."""
    return next(one for one in fake.world.account_ids() if _is_busy(fake, one))


def _is_busy(fake: FakePinwheel, account_id: str) -> bool:
    forms = fake.world.records(account_id, "tax_forms")
    lists = (fake.world.records(account_id, "paystubs"), fake.world.records(account_id, "shifts"))
    return all(len(one) > 25 for one in lists) and len(forms) > 1 and forms[0]["form_type"] == "W-2"


def _query(values: dict[str, str]) -> str:
    return "&".join(f"{name}={value.replace('=', '%3D')}" for name, value in values.items())
