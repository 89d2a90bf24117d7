"""How many requests per second does one client process make, with 64 in flight?

Each contender reads the same accounts: identity, income, employment, direct deposit setup and two pages of paystubs,
29 kB in six requests, and keeps it until the account is read; 64 workers share one iterator. The server is a process
of its own on another core, bare enough never to be the bottleneck. Contenders take turns; the ratios are of CPU time
per request (user and system of the client process), which is what one core can do, and they hardly move when the
machine is busy elsewhere.

The floor is aiohttp and orjson by hand: bytes to dicts, no checks, no retries, no types. Stainless is the runtime of
the SDK generated for Finch (on httpx, its default), pointed at the same server and given the same fields to fill.
Targets: at least 0.75 of the floor's requests per second, and at least 10 times those of Stainless.

    pip install '.[bench]' && python benchmarks/bench_client.py
"""

import asyncio
import gc
import statistics
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from random import Random
from time import perf_counter, process_time
from typing import Any

import aiohttp
import orjson
from _bench import ratio, show
from _peers import stainless_model
from _static import CURSOR, PRODUCTS, REQUESTS, static_server
from finch import AsyncFinch
from pydantic import create_model

from pinwheel_async import Pinwheel
from pinwheel_async._core.page import RefreshableMeta, RefreshablePaginationMeta
from pinwheel_async.models import DirectDepositAllocations, Employment, Identity, Income, Paystub

IN_FLIGHT = 64
ROUNDS = 9
ACCOUNTS = {"aiohttp, bytes": 320, "aiohttp + orjson, dicts": 320, "pinwheel_async": 320, "Stainless on httpx": 64}

Read = Callable[[str], Awaitable[list[Any]]]


async def _aiohttp(stack: AsyncExitStack, base_url: str, decode: Callable[[bytes], Any] | None) -> Read:
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    headers = {"x-api-secret": "secret", "Pinwheel-Version": "2025-07-08", "Accept": "application/json"}

    async def get(target: str) -> Any:
        async with session.get(base_url + target, headers=headers) as response:
            body = await response.read()
            return decode(body) if decode else body

    async def read(account_id: str) -> list[Any]:
        answers = [await get(f"/v1/accounts/{account_id}/{product}") for product in PRODUCTS]
        cursor = answers[-1]["meta"]["next_cursor"] if decode else CURSOR
        return [*answers, await get(f"/v1/accounts/{account_id}/paystubs?cursor={cursor}")]

    return read


async def _ours(stack: AsyncExitStack, base_url: str) -> Read:
    pinwheel = await stack.enter_async_context(Pinwheel("secret", base_url=base_url, concurrency=IN_FLIGHT))

    async def read(account_id: str) -> list[Any]:
        return [
            await pinwheel.identity.get(account_id),
            await pinwheel.income.get(account_id),
            await pinwheel.employment.get(account_id),
            await pinwheel.direct_deposit_allocations.get(account_id),
            [one async for one in pinwheel.paystubs.list(account_id)],
        ]

    return read


async def _stainless(stack: AsyncExitStack, base_url: str) -> Read:
    base = stainless_model(Income).__base__

    def envelope(data: object, meta: object) -> type:
        return create_model("Envelope", __base__=base, data=(data, ...), meta=(stainless_model(meta), ...))

    kinds = dict(zip(PRODUCTS, (Identity, Income, Employment, DirectDepositAllocations), strict=False))
    models = {name: envelope(stainless_model(kind), RefreshableMeta) for name, kind in kinds.items()}
    paystub_page = envelope(list[stainless_model(Paystub)], RefreshablePaginationMeta)
    finch = await stack.enter_async_context(AsyncFinch(access_token="secret", base_url=base_url, max_retries=0))

    async def read(account_id: str) -> list[Any]:
        ones = [await finch.get(f"/v1/accounts/{account_id}/{name}", cast_to=model) for name, model in models.items()]
        first = await finch.get(f"/v1/accounts/{account_id}/paystubs", cast_to=paystub_page)
        target = f"/v1/accounts/{account_id}/paystubs?cursor={first.meta.next_cursor}"
        return [*ones, first, await finch.get(target, cast_to=paystub_page)]

    return read


async def _run(read: Read, accounts: int) -> None:
    ids: Iterator[str] = (f"account-{number}" for number in range(accounts))

    async def work() -> None:
        for account_id in ids:
            await read(account_id)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())


async def _measure(base_url: str) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    async with AsyncExitStack() as stack:
        readers = {
            "aiohttp, bytes": await _aiohttp(stack, base_url, None),
            "aiohttp + orjson, dicts": await _aiohttp(stack, base_url, orjson.loads),
            "pinwheel_async": await _ours(stack, base_url),
            "Stainless on httpx": await _stainless(stack, base_url),
        }
        for name, read in readers.items():
            await _run(read, ACCOUNTS[name])
        wall: dict[str, list[float]] = {name: [] for name in readers}
        cpu: dict[str, list[float]] = {name: [] for name in readers}
        order, rng = list(readers), Random(0)
        for _ in range(ROUNDS):
            rng.shuffle(order)
            for name in order:
                gc.collect()
                began, began_cpu = perf_counter(), process_time()
                await _run(readers[name], ACCOUNTS[name])
                requests = ACCOUNTS[name] * REQUESTS
                wall[name].append((perf_counter() - began) / requests)
                cpu[name].append((process_time() - began_cpu) / requests)
        return wall, cpu


def main() -> None:
    """Run the rounds and print the table."""
    with static_server() as base_url:
        wall, cpu = asyncio.run(_measure(base_url))
    floor = "aiohttp + orjson, dicts"
    per_second = {name: 1 / statistics.median(found) for name, found in wall.items()}
    cpu_us = {name: statistics.median(found) * 1e6 for name, found in cpu.items()}
    of_floor = {name: 1 / ratio(wall, name, floor) for name in wall}
    of_floor_cpu = {name: 1 / ratio(cpu, name, floor) for name in cpu}
    show(
        f"Read accounts with {IN_FLIGHT} requests in flight",
        ("contender", "requests/s", "CPU µs each", "of the floor, wall", "of the floor, CPU"),
        [(name, per_second[name], cpu_us[name], of_floor[name], of_floor_cpu[name]) for name in wall],
        {
            "benchmark": "client",
            "requests_per_second": {name: round(one) for name, one in per_second.items()},
            "cpu_microseconds": {name: round(one, 1) for name, one in cpu_us.items()},
            "of_floor_wall": round(of_floor["pinwheel_async"], 3),
            "of_floor_cpu": round(of_floor_cpu["pinwheel_async"], 3),
            "times_stainless": round(ratio(wall, "Stainless on httpx", "pinwheel_async"), 1),
            "target": {"of_floor": 0.75, "times_stainless": 10},
        },
    )


if __name__ == "__main__":
    main()
