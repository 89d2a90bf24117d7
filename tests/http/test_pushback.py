"""Pushback, pauses and priorities: a client slows down when the server asks for it."""

import asyncio
import contextlib
import logging

import pytest
from attrs import evolve

from pinwheel_async import DeadlineError, RateLimitError, RetryPolicy, ServerError, background
from pinwheel_async._core.retry import MAX_PAUSE_S
from pinwheel_async._http.throttle import RECENT_CALLS


async def turn(times=10):
    """Let other tasks and the loopback server run."""
    for _ in range(times):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("status", [429, 503])
async def test_pushback_pauses_every_call(mock_site, connect, row, ask, answer, time, status):
    """While one call was told to wait, no other is sent."""
    site = mock_site(answer(status, Retry_After="30"), answer())
    caller = await connect(site.base_url, retry=RetryPolicy(attempts=1))
    with pytest.raises(Exception, match=str(status)):
        await caller.call(row(), ask())

    waiting = asyncio.create_task(caller.call(row(), ask()))
    await turn()
    before = len(site.arrivals)
    time.advance(31.4)
    await turn()
    still_before = len(site.arrivals)
    time.advance(0.2)  # 30 s, and half of a tenth
    await waiting

    assert (before, still_before, len(site.arrivals)) == (1, 1, 2)


async def test_unavailable_resource_does_not_pause(mock_site, connect, row, ask, answer):
    """A 503 that names no time may be the fault of one resource: no other call waits."""
    site = mock_site(answer(503))
    caller = await connect(site.base_url)
    with pytest.raises(ServerError):
        await caller.call(row(), ask())

    assert caller.paused_s == 0


async def test_resource_that_always_fails(mock_site, connect, row, ask, answer, time):
    """One resource in twenty that fails for ever costs its own calls only: all slots stay, and nothing pauses."""
    site = mock_site(answer())
    caller = await connect(site.base_url, concurrency=8)
    for number in range(200):
        site.answers[:] = [answer(503 if number % 20 == 0 else 204)]
        with contextlib.suppress(ServerError):
            await caller.call(row(), ask())

    assert caller._opened.limiter.pace.limit == 8
    assert caller.paused_s == 0


async def test_server_that_fails(mock_site, connect, row, ask, answer, caplog):
    """A server that fails as a whole gets fewer calls at once, without a pause and without a warning."""
    site = mock_site(answer(500))
    caller = await connect(site.base_url, concurrency=8, retry=RetryPolicy(attempts=1))
    caplog.set_level(logging.INFO, "pinwheel_async.http")
    for _ in range(RECENT_CALLS // 2):
        with pytest.raises(ServerError):
            await caller.call(row(), ask())

    assert caller._opened.limiter.pace.limit == 4
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert caller.paused_s == 0


async def test_repeated_refusal_pauses_no_longer(mock_site, connect, row, ask, answer, time):
    """How often one call was refused makes its own waits longer, and not those of others."""
    site = mock_site(answer(429))
    caller = await connect(site.base_url, retry=RetryPolicy(attempts=4, base_s=2.0))
    with pytest.raises(RateLimitError):
        await caller.call(row(), ask())

    assert time.slept == [1.0, 2.0, 4.0]
    assert caller.paused_s == 1.0


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504, 520, 522, 529, 530, 404])
async def test_other_errors_do_not_pause(mock_site, connect, row, ask, answer, status):
    """A failing endpoint does not stop the calls to others."""
    site = mock_site(answer(status, Retry_After="30"), answer())
    caller = await connect(site.base_url, retry=RetryPolicy(attempts=1))
    with pytest.raises(Exception, match=str(status)):
        await caller.call(row(), ask())

    await caller.call(row(), ask())

    assert caller.paused_s == 0


async def test_pushback_without_a_wish(mock_site, connect, row, ask, answer):
    """A 429 that names no time pauses for the backoff."""
    site = mock_site(answer(429))
    caller = await connect(site.base_url, retry=RetryPolicy(attempts=1, base_s=2.0))
    with pytest.raises(RateLimitError):
        await caller.call(row(), ask())

    assert caller.paused_s == 1.0


REFUSAL = (
    b'{"error": {"type": "RATE_LIMITS", "code": "TOO_MANY", "message": "planted", "fields": [{"name": "planted"}]}}'
)


@pytest.mark.parametrize("status", [429, 503])
async def test_pause_beyond_the_deadline(mock_site, connect, row, ask, answer, time, status):
    """A call that a pause outlasts raises at once the answer that began the pause, and how long that still lasts."""
    site = mock_site(
        answer(status, REFUSAL, Retry_After="100", X_Pinwheel_Request_Id="00000000-0000-4000-8000-000000000001")
    )
    caller = await connect(site.base_url, timeout_s=60)
    with pytest.raises(Exception, match=str(status)):
        await caller.call(row(), ask())
    time.advance(20)

    with pytest.raises(RateLimitError) as raised:
        await caller.call(row(), ask(endpoint="GET /v1/others"))
    error = raised.value
    assert (error.unsent, error.endpoint, error.status) == ("GET /v1/others", "GET /v1/things/{thing_id}", status)
    assert (error.type, error.code, error.request_id) == (
        "RATE_LIMITS",
        "TOO_MANY",
        "00000000-0000-4000-8000-000000000001",
    )
    assert error.retry_after_s == pytest.approx(85)
    assert str(error) == (
        f"GET /v1/others was not sent, because GET /v1/things/{{thing_id}} answered {status} RATE_LIMITS TOO_MANY, "
        "retry after 85 s (request 00000000-0000-4000-8000-000000000001)"
    )
    assert len(site.arrivals) == 1


async def test_pause_that_others_began_shows_nothing_of_them(mock_site, connect, row, ask, answer):
    """What the server wrote for humans is for the call that it answered, and for no other."""
    site = mock_site(answer(429, REFUSAL, Retry_After="100"))
    caller = await connect(site.base_url, timeout_s=60)
    for _ in range(2):
        with pytest.raises(RateLimitError) as raised:
            await caller.call(row(), ask())

    assert raised.value.unsent
    assert "planted" not in repr(vars(raised.value))


async def test_pause_while_in_line(mock_site, connect, row, ask, answer, time):
    """A call that waits in the line when a pause begins which outlasts it raises the answer that began it."""
    waiting = None

    async def refuse(_request):
        nonlocal waiting
        waiting = asyncio.create_task(caller.call(row(), ask()))
        await turn()
        return answer(429, Retry_After="100")

    site = mock_site(refuse)
    caller = await connect(site.base_url, timeout_s=60, concurrency=1)
    with pytest.raises(RateLimitError):
        await caller.call(row(), ask())
    time.advance(60)

    with pytest.raises(RateLimitError) as raised:
        await waiting
    assert raised.value.unsent
    assert raised.value.retry_after_s == pytest.approx(45)


@pytest.mark.parametrize("value", ["121", "3600", "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_far_wish(mock_site, connect, row, ask, answer, time, value):
    """A wait of hours or years is told to the call that got it; others wait two minutes at most."""
    site = mock_site(answer(429, Retry_After=value), answer())
    caller = await connect(site.base_url)
    with pytest.raises(RateLimitError) as raised:
        await caller.call(row(), ask())
    paused_s = caller.paused_s
    time.advance(120)
    await caller.call(row(), ask())

    assert raised.value.retry_after_s > 120
    assert 60 <= paused_s < MAX_PAUSE_S == 120


async def test_endpoint_with_a_far_wish(mock_site, connect, row, ask, answer, time):
    """An endpoint that asks for hours again and again stops the others once; its own calls raise its last answer."""
    site = mock_site(answer(429, Retry_After="3600", X_Pinwheel_Request_Id="00000000-0000-4000-8000-000000000001"))
    caller = await connect(site.base_url)
    for _ in range(2):
        with pytest.raises(RateLimitError):
            await caller.call(row(), ask())
        time.advance(120)
    with pytest.raises(RateLimitError):
        await caller.call(row(), ask())
    site.answers[:] = [answer()]
    await caller.call(row(), ask(endpoint="GET /v1/others"))

    with pytest.raises(RateLimitError) as raised:
        await caller.call(row(), ask())
    assert (raised.value.unsent, raised.value.request_id) == (
        "GET /v1/things/{thing_id}",
        "00000000-0000-4000-8000-000000000001",
    )
    assert raised.value.retry_after_s == pytest.approx(114)


async def test_background_waits_a_pause_out(mock_site, connect, row, ask, answer, time):
    """Background work waits for the end of a pause that is longer than its deadline, which begins with it."""

    async def late(_request):
        time.advance(59)  # of 60
        return answer(500)

    site = mock_site(answer(429, Retry_After="100"), late, answer())
    caller = await connect(site.base_url, timeout_s=60, attempt_timeout_s=60, retry=RetryPolicy(base_s=1.0))
    with pytest.raises(RateLimitError):
        await caller.call(row(), ask())
    with background():
        waiting = asyncio.create_task(caller.call(row(), ask()))
    await turn()
    before = len(site.arrivals)
    time.advance(110)
    await waiting

    assert (before, len(site.arrivals)) == (1, 3)


async def test_background_call_that_is_refused(mock_site, connect, row, ask, answer, time):
    """Background work that is refused itself waits as long as the server asks, whatever its deadline is."""
    site = mock_site(answer(429, Retry_After="100"), answer(429, Retry_After="90"), answer())
    caller = await connect(site.base_url, timeout_s=60)

    with background():
        await caller.call(row(), ask())

    assert time.slept == [pytest.approx(105), pytest.approx(94.5)]


async def test_background_call_with_a_far_wish(mock_site, connect, row, ask, answer, time):
    """Background work does not wait for hours because of one answer: the call fails, and the next one is sent."""
    site = mock_site(answer(429, Retry_After="3600"), answer())
    caller = await connect(site.base_url, timeout_s=60)
    with background():
        with pytest.raises(RateLimitError) as raised:
            await caller.call(row(), ask())
        waiting = asyncio.create_task(caller.call(row(), ask()))
        await turn()
        time.advance(120)
        await waiting

    assert raised.value.retry_after_s == 3600


async def test_background_behind_a_busy_foreground(mock_site, connect, row, ask, answer, time):
    """Background work that finds no slot for longer than its deadline waits on."""
    release = asyncio.Event()

    async def slow(_request):
        await release.wait()
        return answer()

    site = mock_site(slow)
    caller = await connect(site.base_url, concurrency=1, timeout_s=60)
    first = asyncio.create_task(caller.call(row(), ask()))
    await turn()
    with background():
        second = asyncio.create_task(caller.call(row(), ask()))
    await turn()
    time.advance(600)
    release.set()
    await asyncio.gather(first, second)

    assert len(site.arrivals) == 2


async def test_no_slot_in_time(mock_site, connect, row, ask, answer, time):
    """A call that found no slot says that this was the client's own limit, and how long it waited."""

    async def slow(_request):
        await asyncio.Event().wait()

    site = mock_site(slow)
    caller = await connect(site.base_url, concurrency=1, timeout_s=60)
    first = asyncio.create_task(caller.call(row(), ask()))
    second = asyncio.create_task(caller.call(row(), ask()))
    await turn()
    time.advance(60)

    with pytest.raises(DeadlineError, match="under the client's own concurrency no slot came free for 60"):
        await second
    assert (second.exception().reason, second.exception().wait_s) == ("concurrency", 60)
    first.cancel()


async def test_rate_beyond_the_deadline(mock_site, connect, row, ask, answer, time):
    """Calls that the client's own rate lets go only after their deadline say so at once, with the seconds."""
    site = mock_site(answer())
    caller = await connect(site.base_url, requests_per_s=50, timeout_s=2)
    calls = [asyncio.create_task(caller.call(row(), ask())) for _ in range(300)]
    await turn()
    refused = [call.exception() for call in calls if call.done() and call.exception()]
    for _ in range(100):
        time.advance(0.02)
        await turn(1)
    await asyncio.gather(*calls, return_exceptions=True)

    assert len(site.arrivals) + len(refused) == 300
    assert {(type(error), error.reason, error.sent) for error in refused} == {(DeadlineError, "requests_per_s", False)}
    assert str(refused[0]) == (
        "GET /v1/things/{thing_id} was not sent: under the client's own requests_per_s its turn would have come after "
        "2.0 s; give it more timeout_s, or let it wait in background()"
    )


async def test_background_under_a_rate(mock_site, connect, row, ask, answer, time):
    """Background work waits for its turn under the client's own rate, however far it is."""
    site = mock_site(answer())
    caller = await connect(site.base_url, requests_per_s=50, timeout_s=2)
    with background():
        calls = [asyncio.create_task(caller.call(row(), ask())) for _ in range(300)]
    while not all(call.done() for call in calls):
        await turn(1)
        time.advance(0.5)
    await asyncio.gather(*calls)

    assert len(site.arrivals) == 300


async def test_refused_call_keeps_its_answer(mock_site, connect, row, ask, answer, time):
    """A call whose turn does not come again before its deadline raises the answer that it had."""
    site = mock_site(answer(429, Retry_After="10"))

    async def sleep_into_a_longer_pause(seconds):
        await time.sleep(seconds)
        with pytest.raises(RateLimitError):
            await caller.call(row("POST", repeatable=False), ask("POST"))

    caller = await connect(site.base_url, timeout_s=60, clock=evolve(time.clock, sleep=sleep_into_a_longer_pause))
    site.answers.append(answer(429, Retry_After="100"))

    with pytest.raises(RateLimitError) as raised:
        await caller.call(row(), ask())
    assert raised.value.retry_after_s == 10


async def test_one_warning_per_pause(mock_site, connect, row, ask, answer, caplog):
    """A pause is one warning, however many calls were pushed back."""
    site = mock_site(answer(429, Retry_After="5"))
    caller = await connect(site.base_url, concurrency=8, retry=RetryPolicy(attempts=1))
    caplog.set_level(logging.WARNING, "pinwheel_async.http")

    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(8)], return_exceptions=True)

    assert ["GET /v1/things/{thing_id} answered 429: all calls wait 5.2 s, then at most 4 at once"] == [
        record.getMessage() for record in caplog.records
    ]


async def test_short_pause_is_no_warning(mock_site, connect, row, ask, answer, caplog):
    """A pause of less than a second is no warning."""
    site = mock_site(answer(429, Retry_After="0.5"))
    caller = await connect(site.base_url, retry=RetryPolicy(attempts=1, base_s=0.5))
    caplog.set_level(logging.INFO, "pinwheel_async.http")
    with pytest.raises(RateLimitError):
        await caller.call(row(), ask())

    assert not caplog.records


async def test_fewer_in_flight_after_a_pushback(mock_site, connect, row, ask, answer, time):
    """After a round of pushbacks half as many requests are in flight, and successes bring back the rest."""
    in_flight, most, refuse = 0, 0, True

    async def busy(_request):
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await turn()
        in_flight -= 1
        return answer(429, Retry_After="1") if refuse else answer()

    site = mock_site(busy)
    caller = await connect(site.base_url, concurrency=8, retry=RetryPolicy(attempts=1))
    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(8)], return_exceptions=True)
    before, most, refuse = most, 0, False
    time.advance(1.1)
    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(8)])
    halved, most = most, 0
    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(40)])

    assert (before, halved, most) == (8, 4, 8)


async def test_concurrency_is_a_ceiling(mock_site, connect, row, ask, answer):
    """No more requests are in flight than the settings allow."""
    in_flight, most = 0, 0

    async def busy(_request):
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await turn()
        in_flight -= 1
        return answer()

    site = mock_site(busy)
    caller = await connect(site.base_url, concurrency=3)
    await asyncio.gather(*[caller.call(row(), ask()) for _ in range(12)])

    assert most == 3


async def test_background_goes_last(mock_site, connect, row, ask, answer):
    """Calls made in `background()` wait behind those that are not, though they came first."""

    async def slow(_request):
        await turn()
        return answer()

    site = mock_site(slow)
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

    assert [arrival.target for arrival in site.arrivals] == ["/first", "/front0", "/front1", "/back0", "/back1"]


async def test_rate_cap(mock_site, connect, row, ask, answer, time):
    """Under a cap of requests per second a call waits for its turn."""
    site = mock_site(answer())
    caller = await connect(site.base_url, requests_per_s=2)
    await caller.call(row(), ask())

    waiting = asyncio.create_task(caller.call(row(), ask()))
    await turn()
    before = len(site.arrivals)
    time.advance(0.5)
    await waiting

    assert (before, len(site.arrivals)) == (1, 2)
