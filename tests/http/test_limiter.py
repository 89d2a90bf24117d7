"""The limiter by itself: order, cancellation, deadlines. Time is fake and nothing is sent."""

import asyncio

import pytest

from pinwheel_async._http.limiter import Refusal, RequestLimiter, background
from pinwheel_async._http.throttle import Pace

GET = "GET /v1/a"


@pytest.fixture
def limiter(time):
    return RequestLimiter(Pace(ceiling=1), time.clock)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def queue(limiter, *names, order, deadline=9999):
    """Start one task per name that takes a slot, notes its name and gives the slot back."""

    async def pass_through(name):
        if await limiter.acquire(GET, deadline) is None:
            order.append(name)
            await asyncio.sleep(0)
            limiter.release()

    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(pass_through(name)))
        await asyncio.sleep(0)
    return tasks


async def test_no_waiting_when_free(limiter, time):
    """A free slot is taken without waiting."""
    assert limiter.acquire_nowait(GET, time.now)
    assert not limiter.acquire_nowait(GET, time.now)


async def test_first_come_first_served(limiter, time):
    """Waiters get slots in the order in which they came."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    tasks = await queue(limiter, *range(5), order=order)
    limiter.release()
    await asyncio.gather(*tasks)

    assert order == [0, 1, 2, 3, 4]


async def test_no_overtaking(limiter, time):
    """While a call waits, no other takes a slot before it, even one that is free."""
    limiter.acquire_nowait(GET, time.now)
    limiter.pace.pushed_back(time.now, GET, began=time.now, pause_s=5)
    await queue(limiter, "waits", order=[])
    limiter.pace.end()
    time.now += 10  # the pause is over, the timer has not fired yet

    assert not limiter.acquire_nowait(GET, time.now)


async def test_background_behind_all_others(limiter, time):
    """Background work waits behind what came later and is not background."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    with background():
        tasks = await queue(limiter, "b1", "b2", order=order)
    tasks += await queue(limiter, "a1", "a2", order=order)
    limiter.release()
    await asyncio.gather(*tasks)

    assert order == ["a1", "a2", "b1", "b2"]


async def test_background_ends_with_its_block(limiter, time):
    """After the block calls are no longer background, and an inner block does not end an outer one."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    with background():
        with background():
            pass
        tasks = await queue(limiter, "back", order=order)
    tasks += await queue(limiter, "front", order=order)
    limiter.release()
    await asyncio.gather(*tasks)

    assert order == ["front", "back"]


async def test_cancelled_waiter_leaves_the_queue(limiter, time):
    """A waiter that is cancelled is skipped; the others get slots."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    first, second = await queue(limiter, "first", "second", order=order)
    first.cancel()
    await settle()
    limiter.release()
    await second

    assert order == ["second"]
    assert limiter.pace.in_flight == 0


async def test_cancelled_and_still_queued(limiter, time):
    """A waiter that is cancelled and had no time to leave the queue gets no slot."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    first, second = await queue(limiter, "first", "second", order=order)
    first.cancel()
    limiter.release()
    await second

    assert order == ["second"]
    assert limiter.pace.in_flight == 0


async def test_cancelled_with_the_slot_in_hand(limiter, time):
    """A waiter that is cancelled at the moment it gets the slot gives it to the next."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    first, second = await queue(limiter, "first", "second", order=order)
    limiter.release()  # the slot is first's, who has not run yet
    first.cancel()
    await second

    assert order == ["second"]
    assert limiter.pace.in_flight == 0


async def test_many_cancellations_lose_no_slot(time):
    """After any mix of releasing and cancelling all slots are free again."""
    limiter = RequestLimiter(Pace(ceiling=3), time.clock)
    order = []
    for _ in range(3):
        limiter.acquire_nowait(GET, time.now)
    tasks = await queue(limiter, *range(30), order=order)
    for number, task in enumerate(tasks):
        if number % 4 == 0:
            limiter.release() if number < 12 else None
            task.cancel()
        elif number % 7 == 0:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert limiter.pace.in_flight == 0


async def test_deadline(limiter, time):
    """A waiter whose deadline comes gets no slot, and the slot is not lost."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    (task,) = await queue(limiter, "late", order=order, deadline=time.now + 5)
    time.advance(5)
    await task
    limiter.release()

    assert order == []
    assert limiter.pace.in_flight == 0


async def test_slot_and_deadline_together(limiter, time):
    """A waiter that got its slot keeps it, though its deadline comes before it runs."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    (task,) = await queue(limiter, "just in time", order=order, deadline=time.now + 5)
    limiter.release()
    time.advance(5)
    await task

    assert order == ["just in time"]
    assert limiter.pace.in_flight == 0


async def test_deadline_behind_a_pause(limiter, time):
    """A waiter whose deadline lies inside the pause is refused at once."""
    limiter.pace.pushed_back(time.now, GET, began=time.now, pause_s=10)

    assert await limiter.acquire(GET, time.now + 10) == Refusal("pause", 10)


async def test_deadline_that_has_passed(limiter, time):
    """A deadline in the past is refused even if a slot is free."""
    assert await limiter.acquire(GET, time.now) == Refusal("slots", 0)


async def test_turn_beyond_the_deadline(time):
    """Under a rate cap a call whose turn comes too late is refused at once, and told when it would have come."""
    limiter = RequestLimiter(Pace(ceiling=10, interval_s=1.0), time.clock)
    limiter.acquire_nowait(GET, time.now)
    tasks = await queue(limiter, "a", "b", order=[])

    assert await limiter.acquire(GET, time.now + 2.9) == Refusal("rate", pytest.approx(3, abs=0.06))
    for task in tasks:
        task.cancel()
    await settle()


async def test_last_turn_before_the_deadline(time):
    """Under a rate cap a call whose turn comes in time waits for it."""
    limiter = RequestLimiter(Pace(ceiling=10, interval_s=1.0), time.clock)
    order = []
    limiter.acquire_nowait(GET, time.now)
    tasks = await queue(limiter, "a", "b", order=order, deadline=time.now + 2.1)
    for _ in range(2):
        time.advance(1)
        await settle()
    await asyncio.gather(*tasks)

    assert order == ["a", "b"]


async def test_no_slot_before_the_deadline(limiter, time):
    """A call that got no slot is told how long it waited."""
    limiter.acquire_nowait(GET, time.now)
    waiting = asyncio.create_task(limiter.acquire(GET, time.now + 5))
    await settle()
    time.advance(5)

    assert await waiting == Refusal("slots", 5)


async def test_no_turn_before_the_deadline(time):
    """A call in the line that others keep from its turn under a rate cap is told how long it waited, and would."""
    limiter = RequestLimiter(Pace(ceiling=10, interval_s=4.0), time.clock)
    limiter.acquire_nowait(GET, time.now)
    waiting = asyncio.create_task(limiter.acquire(GET, time.now + 5))
    await settle()
    limiter.pace._due = time.now + 20  # as when another took the turn meanwhile
    time.advance(5)

    assert await waiting == Refusal("rate", 20)


async def test_pause_while_waiting(limiter, time):
    """A call in the line whose deadline comes in a pause is told how long that still lasts."""
    limiter.acquire_nowait(GET, time.now)
    waiting = asyncio.create_task(limiter.acquire(GET, time.now + 5))
    await settle()
    limiter.pace.pushed_back(time.now, GET, began=time.now, pause_s=30)
    time.advance(5)

    assert await waiting == Refusal("pause", 25)


async def test_background_has_no_deadline(limiter, time):
    """Background work waits for a slot as long as it takes, beyond its deadline and a pause."""
    order = []
    limiter.acquire_nowait(GET, time.now)
    limiter.pace.pushed_back(time.now, GET, began=time.now, pause_s=100)
    with background():
        (task,) = await queue(limiter, "late", order=order, deadline=time.now)
    time.advance(500)
    limiter.release()
    await task

    assert order == ["late"]


async def test_background_under_a_rate(time):
    """Background work waits for its turn under a rate cap, however far it is."""
    limiter = RequestLimiter(Pace(ceiling=10, interval_s=1.0), time.clock)
    order = []
    with background():
        tasks = await queue(limiter, *range(20), order=order, deadline=time.now + 1)
    for _ in range(20):
        time.advance(1)
        await settle()
    await asyncio.gather(*tasks)

    assert order == [*range(20)]


async def test_pause_of_an_endpoint(time):
    """Calls of an endpoint that is paused alone are refused or wait; those of others go on."""
    limiter = RequestLimiter(Pace(ceiling=10), time.clock)
    limiter.pace.endpoints_paused[GET] = time.now + 10

    assert limiter.acquire_nowait("GET /v1/b", time.now)
    assert not limiter.acquire_nowait(GET, time.now)
    assert await limiter.acquire(GET, time.now + 10) == Refusal("endpoint_pause", 10)
    assert await limiter.acquire(GET, time.now + 11) is None
    assert time.slept == [10]


async def test_end_of_a_pause(time):
    """When a pause ends, as many waiters as there are slots get one, though none was given back."""
    limiter = RequestLimiter(Pace(ceiling=4), time.clock)
    order = []
    limiter.pace.pushed_back(time.now, GET, began=time.now, pause_s=10)
    tasks = await queue(limiter, "a", "b", order=order)
    time.advance(10)
    await asyncio.gather(*tasks)

    assert order == ["a", "b"]


async def test_pause_that_grows(limiter, time):
    """A pause that was made longer while waiting is waited for whole."""
    order = []
    limiter.pace.pushed_back(time.now, GET, began=time.now, pause_s=10)
    (task,) = await queue(limiter, "a", order=order)
    limiter.pace.pushed_back(time.now, GET, began=time.now, pause_s=20)
    time.advance(10)
    await settle()
    early = list(order)
    time.advance(10)
    await task

    assert (early, order) == ([], ["a"])


async def test_rate_cap_wakes_one_after_another(time):
    """Under a rate cap the waiters get slots one interval apart."""
    limiter = RequestLimiter(Pace(ceiling=10, interval_s=1.0), time.clock)
    order = []
    assert limiter.acquire_nowait(GET, time.now)
    tasks = await queue(limiter, "a", "b", order=order)
    counts = []
    for _ in range(3):
        await settle()
        counts.append(len(order))
        time.advance(1.0)
    await asyncio.gather(*tasks)

    assert counts == [0, 1, 2]


async def test_close_stops_the_timer(limiter, time):
    """After closing no timer is left."""
    limiter.pace.pushed_back(time.now, GET, began=time.now, pause_s=10)
    (task,) = await queue(limiter, "a", order=[])
    limiter.close()
    limiter.close()
    task.cancel()
    await settle()

    assert not [alarm for alarm in time._alarms if alarm.callback]
