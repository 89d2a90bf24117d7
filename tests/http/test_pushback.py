"""How a client slows down when the server asks for it, and who goes first."""

import asyncio
import logging

import pytest
from attrs import evolve

from pinwheel_async import DeadlineError, RateLimitError, RetryPolicy, background


async def turn(times=10):
    """Let other tasks and the loopback server run."""
    for _ in range(times):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("status", [429, 503])
async def test_pushback_pauses_every_call(serve, connect, row, ask, answer, time, status):
    """While one call was told to wait, no other is sent."""
    site = await serve(answer(status, Retry_After="30"), answer())
    caller = await connect(site.base_url, retry=RetryPolicy(attempts=1))
    with pytest.raises(Exception, match=str(status)):
        await caller.call(row(), ask())

    waiting = asyncio.create_task(caller.call(row(), ask()))
    await turn()
    before = len(site.arrivals)
    time.advance(29.9)
    await turn()
    still_before = len(site.arrivals)
    time.advance(0.2)
    await waiting

    assert (before, still_before, len(site.arrivals)) == (1, 1, 2)


@pytest.mark.parametrize("status", [500, 502, 504, 404])
async def test_other_errors_pause_nobody(serve, connect, row, ask, answer, status):
    """A failing endpoint does not stop the calls to others."""
    site = await serve(answer(status, Retry_After="30"), answer())
    caller = await connect(site.base_url, retry=RetryPolicy(attempts=1))
    with pytest.raises(Exception, match=str(status)):
        await caller.call(row(), ask())

    await caller.call(row(), ask())

    assert caller.paused_s == 0


async def test_pushback_without_a_wish(serve, connect, row, ask, answer):
    """A 429 that names no time pauses for the backoff."""
    site = await serve(answer(429))
    caller = await connect(site.base_url, retry=RetryPolicy(attempts=1, base_s=2.0))
    with pytest.raises(RateLimitError):
        await caller.call(row(), ask())

    assert caller.paused_s == 1.0


async def test_pause_beyond_the_deadline(serve, connect, row, ask, answer):
    """A call that could not be sent before its deadline fails at once, and says that nothing was sent."""
    site = await serve(answer(429, Retry_After="100"), answer())
    caller = await connect(site.base_url, timeout_s=60)
    with pytest.raises(RateLimitError):
        await caller.call(row(), ask())

    with pytest.raises(DeadlineError) as raised:
        await caller.call(row(), ask())
    assert (raised.value.attempts, raised.value.sent) == (0, False)
    assert len(site.arrivals) == 1


async def test_refused_call_keeps_its_answer(serve, connect, row, ask, answer, time):
    """A call whose turn does not come again before its deadline raises the answer that it had."""
    site = await serve(answer(429, Retry_After="10"))

    async def sleep_into_a_longer_pause(seconds):
        await time.sleep(seconds)
        with pytest.raises(RateLimitError):
            await caller.call(row("POST", repeatable=False), ask("POST"))

    caller = await connect(site.base_url, timeout_s=60, clock=evolve(time.clock, sleep=sleep_into_a_longer_pause))
    site.answers.append(answer(429, Retry_After="100"))

    with pytest.raises(RateLimitError) as raised:
        await caller.call(row(), ask())
    assert raised.value.retry_after_s == 10


async def test_one_warning_per_pause(serve, connect, row, ask, answer, caplog):
    """A pause is one warning, however many calls were pushed back."""
    site = await serve(answer(429, Retry_After="5"))
    caller = await connect(site.base_url, concurrency=8, retry=RetryPolicy(attempts=1))
    caplog.set_level(logging.WARNING, "pinwheel_async.http")

    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(8)], return_exceptions=True)

    assert ["GET /v1/things/{thing_id} answered 429: all calls wait 5.0 s, then at most 4 at once"] == [
        record.getMessage() for record in caplog.records
    ]


async def test_fewer_in_flight_after_a_pushback(serve, connect, row, ask, answer, time):
    """After a round of pushbacks half as many requests are in flight, and successes bring back the rest."""
    in_flight, most, refuse = 0, 0, True

    async def busy(_request):
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0.005)
        in_flight -= 1
        return answer(429, Retry_After="1") if refuse else answer()

    site = await serve(busy)
    caller = await connect(site.base_url, concurrency=8, retry=RetryPolicy(attempts=1))
    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(8)], return_exceptions=True)
    before, most, refuse = most, 0, False
    time.advance(1)
    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(8)])
    halved, most = most, 0
    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(40)])

    assert (before, halved, most) == (8, 4, 8)


async def test_concurrency_is_a_ceiling(serve, connect, row, ask, answer):
    """No more requests are in flight than the settings allow."""
    in_flight, most = 0, 0

    async def busy(_request):
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0.002)
        in_flight -= 1
        return answer()

    site = await serve(busy)
    caller = await connect(site.base_url, concurrency=3)
    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(12)])

    assert most == 3


async def test_background_goes_last(serve, connect, row, ask, answer):
    """Calls made in `background()` wait behind those that are not, though they came first."""
    site = await serve(answer())
    caller = await connect(site.base_url, concurrency=1)
    async with asyncio.TaskGroup() as group:
        group.create_task(caller.call(row(), ask(target="/first")))
        await asyncio.sleep(0)
        with background():
            for number in range(2):
                group.create_task(caller.call(row(), ask(target=f"/back{number}")))
        await asyncio.sleep(0)
        for number in range(2):
            group.create_task(caller.call(row(), ask(target=f"/front{number}")))

    assert [one.target for one in site.arrivals] == ["/first", "/front0", "/front1", "/back0", "/back1"]


async def test_rate_cap(serve, connect, row, ask, answer, time):
    """Under a cap of requests per second a call waits for its turn."""
    site = await serve(answer())
    caller = await connect(site.base_url, requests_per_s=2)
    await caller.call(row(), ask())

    waiting = asyncio.create_task(caller.call(row(), ask()))
    await turn()
    before = len(site.arrivals)
    time.advance(0.5)
    await waiting

    assert (before, len(site.arrivals)) == (1, 2)
