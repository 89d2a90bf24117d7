"""Lifecycle of a client: opening, closing, and what happens to calls meanwhile."""

import asyncio
import gc
import warnings

import aiohttp
import pytest

from pinwheel_async import ClosedError, NotFoundError, RetryPolicy
from pinwheel_async._http.caller import HttpCaller
from pinwheel_async._http.prepare import Secret
from pinwheel_async.settings import Settings


@pytest.fixture
def hanging(serve):
    """A server that never answers, and says when it was asked."""

    async def start():
        asked = asyncio.Event()

        async def hang(_request):
            asked.set()
            await asyncio.Event().wait()

        site = await serve(hang)
        return site, asked

    return start


async def test_before_opening(row, ask):
    """A call before opening is refused."""
    caller = HttpCaller(Secret("x"), Settings(base_url="https://a.example"))

    with pytest.raises(ClosedError, match="open it with"):
        await caller.call(row(), ask())


async def test_after_closing(mock_site, connect, row, ask, answer):
    """A call after closing is refused."""
    site = mock_site(answer())
    caller = await connect(site.base_url)
    await caller.close()

    with pytest.raises(ClosedError):
        await caller.call(row(), ask())
    assert not site.arrivals


async def test_reopening(mock_site, connect, row, ask, answer):
    """A closed client can be opened again."""
    site = mock_site(answer())
    caller = await connect(site.base_url)
    await caller.close()
    await caller.open()

    await caller.call(row(), ask())

    assert len(site.arrivals) == 1


async def test_opening_and_closing_twice(serve, connect, row, ask, answer):
    """Opening an open client and closing a closed one change nothing."""
    site = await serve(answer())
    caller = await connect(site.base_url)
    session = caller._opened.session
    await caller.open()
    assert caller._opened.session is session

    await caller.close()
    await caller.close()

    assert not caller.is_open


async def test_closing_while_calls_run(hanging, connect, row, ask):
    """Calls that run when the client closes raise ClosedError, and their tasks are not cancelled."""
    site, asked = await hanging()
    caller = await connect(site.base_url)
    tasks = [asyncio.create_task(caller.call(row(), ask())) for _ in range(5)]
    await asked.wait()

    await caller.close()

    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [ClosedError] * 5 == [type(result) for result in results]
    assert not any(task.cancelled() or task.cancelling() for task in tasks)


async def test_closing_while_calls_wait_for_a_slot(hanging, connect, row, ask):
    """Calls that have not been sent yet are closed, too."""
    site, asked = await hanging()
    caller = await connect(site.base_url, concurrency=1)
    tasks = [asyncio.create_task(caller.call(row(), ask())) for _ in range(5)]
    await asked.wait()

    await caller.close()

    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [ClosedError] * 5 == [type(result) for result in results]
    assert len(site.arrivals) == 1


async def test_closing_waits_until_the_calls_are_out(hanging, connect, row, ask):
    """When close returns no call is on its way any more, even where there is no session to close."""
    site, asked = await hanging()
    async with aiohttp.ClientSession() as session:
        caller = await connect(site.base_url, session=session)
        task = asyncio.create_task(caller.call(row(), ask()))
        await asked.wait()
        opened = caller._opened

        await caller.close()

        assert not opened.calls
        with pytest.raises(ClosedError):
            await task


async def test_cancelled_and_closed(hanging, connect, row, ask):
    """A call that is cancelled by its owner while the client closes stays cancelled."""
    site, asked = await hanging()
    caller = await connect(site.base_url)
    task = asyncio.create_task(caller.call(row(), ask()))
    await asked.wait()
    task.cancel()

    await caller.close()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_cancelled_call(hanging, connect, row, ask):
    """A cancelled call ends at once and gives its slot back."""
    site, asked = await hanging()
    caller = await connect(site.base_url)
    task = asyncio.create_task(caller.call(row(), ask()))
    await asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert caller._opened.limiter.pace.in_flight == 0
    assert not caller._opened.calls


async def test_timeout_of_the_callers_own(hanging, connect, row, ask):
    """`asyncio.timeout` around a call works as around anything else."""
    site, _ = await hanging()
    caller = await connect(site.base_url)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await caller.call(row(), ask())


async def test_own_session_stays_open(serve, connect, row, ask, answer):
    """A session of the caller's own is used and not closed."""
    site = await serve(answer())
    async with aiohttp.ClientSession(headers={"X-Mine": "1"}) as session:
        caller = await connect(site.base_url, session=session)
        await caller.call(row(), ask())
        await caller.close()

        assert not session.closed
    assert site.arrivals[0].headers["x-mine"] == "1"


async def test_own_session_that_raises_for_status(serve, connect, row, ask, answer):
    """A session that would raise by itself does not change what a call raises."""
    site = await serve(answer(404))
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        caller = await connect(site.base_url, session=session)
        with pytest.raises(NotFoundError):
            await caller.call(row(), ask())
        await caller.close()


@pytest.mark.parametrize("limits", [{"limit": 1}, {"limit_per_host": 1}, {"limit": 0, "limit_per_host": 1}])
async def test_own_session_with_few_connections(serve, row, ask, answer, limits):
    """Calls that wait for one of few connections of an own session have not begun, so no attempt of theirs ends."""

    async def slow(_request):
        await asyncio.sleep(0.5)
        return answer()

    site = await serve(slow)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(**limits)) as session:
        settings = Settings(base_url=site.base_url, attempt_timeout_s=1.2, retry=RetryPolicy(attempts=1))
        caller = HttpCaller(Secret("x"), settings, session=session)
        await caller.open()
        await asyncio.gather(*[caller.call(row(), ask()) for _ in range(3)])
        await caller.close()

    assert len(site.arrivals) == 3


async def test_own_session_that_was_closed(serve, connect, row, ask, answer):
    """A call on a session that its owner closed says so."""
    site = await serve(answer())
    session = aiohttp.ClientSession()
    caller = await connect(site.base_url, session=session)
    await session.close()

    with pytest.raises(ClosedError, match="the session that was given"):
        await caller.call(row(), ask())


async def test_nothing_is_left_unclosed(serve, row, ask, answer):
    """After closing, nothing of aiohttp's complains that it was left open."""
    site = await serve(answer())
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context["message"]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        caller = HttpCaller(Secret("x"), Settings(base_url=site.base_url))
        await caller.open()
        await asyncio.gather(*[caller.call(row(), ask()) for _ in range(4)])
        await caller.close()
        del caller
        gc.collect()

    assert not complaints
    assert not caught


def test_two_loops(row, ask):
    """A client that is open in one loop refuses to work in another, and says why."""
    caller = HttpCaller(Secret("x"), Settings(base_url="https://a.example"))
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(caller.open())

        with pytest.raises(ClosedError, match="another event loop"):
            second.run(caller.call(row(), ask()))
        with pytest.raises(ClosedError, match="another event loop"):
            second.run(caller.open())
        with pytest.raises(ClosedError, match="another event loop"):
            second.run(caller.close())
        first.run(caller.close())
        second.run(caller.open())
        second.run(caller.close())


def test_loop_that_is_gone(row, ask):
    """A client whose loop ended without closing it can be opened in the next one."""
    caller = HttpCaller(Secret("x"), Settings(base_url="https://a.example"))

    async def leave_open():
        session = aiohttp.ClientSession()
        caller._session = session
        await caller.open()
        await session.close()

    asyncio.run(leave_open())

    async def use_again():
        caller._session = None
        await caller.open()
        await caller.close()

    asyncio.run(use_again())
