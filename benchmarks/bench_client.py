"""Benchmark of the client: CPU time of a request, with 64 in flight, beside the same loop by hand.

"By hand" is what one would write without a library: aiohttp, and a msgspec decoder for each answer into attrs classes
with the same fields; no checks, no retries, no limits. In each job both run the same loop over the same accounts: one
small document; five endpoints of which paystubs have two pages, each page let go before the next one is fetched; the
same by item; and a `sync` without a sink, beside the loop by page. The server is a process of its own on another core,
bare enough never to be the bottleneck. Contenders take turns; times are CPU time of the process of the client.

Beside them, on the five endpoints: aiohttp with bytes and with orjson, httpx with orjson, and the Stainless SDK that is
generated for Finch, pointed at the same server and given the same fields to fill.

Targets, in µs over by hand: document 8, five endpoints 20, by item 23, `sync` 40.

    pip install '.[bench]' && python -m benchmarks client
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from random import Random
from time import process_time
from typing import Any, cast

import aiohttp
import httpx
import msgspec
import orjson
from _bench import Nowhere, report
from _peers import stainless_model
from _static import CURSOR, PRODUCTS, REQUESTS, static_server
from finch import AsyncFinch
from pydantic import create_model

from pinwheel_async import Pinwheel
from pinwheel_async._core.convert import Envelope
from pinwheel_async._core.page import RefreshableMeta, RefreshablePaginationMeta
from pinwheel_async.models import DirectDepositAllocations, Employment, Identity, Income, Paystub
from pinwheel_async.sync import sync

IN_FLIGHT = 64
"""The client's default of `concurrency`."""

ROUNDS = 9
"""Odd, so that the median is a measured round."""

ACCOUNTS = 192
"""Accounts of a turn where each takes six requests, three for each worker; slow peers have one for each."""

KINDS = (Identity, Income, Employment, DirectDepositAllocations)
OURS, HAND = "pinwheel_async", "by hand"
HEADERS = {"x-api-secret": "secret", "Pinwheel-Version": "2025-07-08", "Accept": "application/json"}

Read = Callable[[str], Awaitable[object]]
Job = Callable[[int], Awaitable[object]]


class ByHand:
    """What one would write without a library."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url
        self._decoders = {
            name: msgspec.json.Decoder(cast("Any", Envelope)[kind, RefreshableMeta])
            for name, kind in zip(PRODUCTS, KINDS, strict=False)
        }
        self._page = msgspec.json.Decoder(cast("Any", Envelope)[tuple[Paystub, ...], RefreshablePaginationMeta])

    async def body(self, target: str) -> bytes:
        async with self._session.get(self._base_url + target, headers=HEADERS) as response:
            response.raise_for_status()
            return await response.read()

    async def get(self, account_id: str, name: str) -> Any:
        return self._decoders[name].decode(await self.body(f"/v1/accounts/{account_id}/{name}")).data

    async def pages(self, account_id: str) -> AsyncIterator[Any]:
        target = f"/v1/accounts/{account_id}/paystubs"
        cursor: str | None = ""
        while cursor is not None:
            page = self._page.decode(await self.body(f"{target}?cursor={cursor}" if cursor else target))
            cursor = page.meta.next_cursor
            yield page
            del page


def _hand_jobs(client: ByHand) -> dict[str, Read]:
    async def by_page(account_id: str) -> None:
        for name in PRODUCTS[:-1]:
            await client.get(account_id, name)
        async for page in client.pages(account_id):
            del page

    async def by_item(account_id: str) -> None:
        for name in PRODUCTS[:-1]:
            await client.get(account_id, name)
        async for page in client.pages(account_id):
            for _ in page.data:
                pass
            del page

    return {"document": lambda account_id: client.get(account_id, "income"), "page": by_page, "item": by_item}


def _our_jobs(pinwheel: Pinwheel) -> dict[str, Read]:
    async def documents(account_id: str) -> None:
        await pinwheel.identity.get(account_id)
        await pinwheel.income.get(account_id)
        await pinwheel.employment.get(account_id)
        await pinwheel.direct_deposit_allocations.get(account_id)

    async def by_page(account_id: str) -> None:
        await documents(account_id)
        async for page in pinwheel.paystubs.list(account_id).pages():
            del page

    async def by_item(account_id: str) -> None:
        await documents(account_id)
        async for _ in pinwheel.paystubs.list(account_id):
            pass

    return {"document": pinwheel.income.get, "page": by_page, "item": by_item}


def _each(read: Read) -> Job:
    """Read accounts with 64 workers on one iterator."""

    async def job(accounts: int) -> None:
        ids: Iterator[str] = (f"account-{number}" for number in range(accounts))

        async def work() -> None:
            for account_id in ids:
                await read(account_id)

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())

    return job


def _sync(pinwheel: Pinwheel) -> Job:
    async def job(accounts: int) -> None:
        ids = [f"account-{number}" for number in range(accounts)]
        report = await sync(pinwheel, Nowhere(), accounts=ids, products=PRODUCTS)
        assert report.ok

    return job


async def _peers(stack: AsyncExitStack, base_url: str, session: aiohttp.ClientSession) -> dict[str, Read]:
    hand = ByHand(session, base_url)
    limits = httpx.Limits(max_connections=IN_FLIGHT)
    fetcher = await stack.enter_async_context(httpx.AsyncClient(base_url=base_url, headers=HEADERS, limits=limits))
    finch = await stack.enter_async_context(AsyncFinch(access_token="secret", base_url=base_url, max_retries=0))
    base = stainless_model(Income).__base__

    def envelope(data: object, meta: object) -> type:
        return create_model("Envelope", __base__=base, data=(data, ...), meta=(stainless_model(meta), ...))

    models = {
        name: envelope(stainless_model(kind), RefreshableMeta) for name, kind in zip(PRODUCTS, KINDS, strict=False)
    }
    models["paystubs"] = envelope(list[stainless_model(Paystub)], RefreshablePaginationMeta)

    def reader(get: Callable[[str], Awaitable[object]]) -> Read:
        async def read(account_id: str) -> None:
            for name in PRODUCTS:
                await get(f"/v1/accounts/{account_id}/{name}")
            await get(f"/v1/accounts/{account_id}/paystubs?cursor={CURSOR}")

        return read

    async def dicts(target: str) -> object:
        return orjson.loads(await hand.body(target))

    async def by_httpx(target: str) -> object:
        return orjson.loads((await fetcher.get(target)).content)

    async def by_stainless(target: str) -> object:
        name = target.partition("?")[0].rpartition("/")[2]
        return await finch.get(target, cast_to=models[name])

    return {
        "aiohttp, bytes": reader(hand.body),
        "aiohttp + orjson, dicts": reader(dicts),
        "httpx + orjson, dicts": reader(by_httpx),
        "Stainless on httpx": reader(by_stainless),
    }


async def _measure(jobs: Mapping[str, Job], requests: int, few: Mapping[str, int]) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in jobs}
    order, rng = list(jobs), Random(0)
    for _ in range(ROUNDS):
        rng.shuffle(order)
        for name in order:
            accounts = few.get(name, ACCOUNTS * REQUESTS // requests)
            await jobs[name](IN_FLIGHT)  # opens the connections that were idle for too long during the others' turns
            gc.collect()
            began = process_time()
            await jobs[name](accounts)
            figures[name].append((process_time() - began) / (accounts * requests) * 1e6)
    return figures


async def _run(base_url: str) -> None:
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        pinwheel = await stack.enter_async_context(Pinwheel("secret", base_url=base_url, concurrency=IN_FLIGHT))
        hand, ours = _hand_jobs(ByHand(session, base_url)), _our_jobs(pinwheel)
        peers = {name: _each(read) for name, read in (await _peers(stack, base_url, session)).items()}
        slow = {"httpx + orjson, dicts": IN_FLIGHT, "Stainless on httpx": IN_FLIGHT}
        for title, requests, jobs, target in (
            ("A small document", 1, {HAND: _each(hand["document"]), OURS: _each(ours["document"])}, 8),
            ("Five endpoints, by page", REQUESTS, {HAND: _each(hand["page"]), OURS: _each(ours["page"])}, 20),
            ("Five endpoints, by item", REQUESTS, {HAND: _each(hand["item"]), OURS: _each(ours["item"])}, 23),
            ("sync without a sink", REQUESTS, {HAND: _each(hand["page"]), f"{OURS}.sync": _sync(pinwheel)}, 40),
            ("Five endpoints, beside peers", REQUESTS, peers | {OURS: _each(ours["item"])}, None),
        ):
            figures = await _measure(jobs, requests, slow)
            floor = HAND if HAND in jobs else "aiohttp, bytes"
            over = [a - b for a, b in zip([*figures.values()][-1], figures[floor], strict=True)]
            over_floor = sorted(over)[len(over) // 2]
            facts = {} if target is None else {"target": {"over_by_hand": target}}
            report(title, "CPU µs a request", figures, floor, over_by_hand=round(over_floor, 1), **facts)


def main() -> None:
    """Run the rounds and print the tables."""
    with static_server() as base_url:
        asyncio.run(_run(base_url))


if __name__ == "__main__":
    main()
