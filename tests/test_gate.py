"""The gate by itself: order, cancellation, deadlines. Time is fake and nothing is sent."""

import asyncio

import pytest

from pinwheel_async._core.pacing import Pace
from pinwheel_async._gate import Gate, background


@pytest.fixture
def gate(time):
    return Gate(Pace(ceiling=1), time.clock)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def queue(gate, *names, order, deadline=9999):
    """Start one task per name that enters, notes its name and leaves."""

    async def pass_through(name):
        if await gate.enter(deadline):
            order.append(name)
            await asyncio.sleep(0)
            gate.leave()

    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(pass_through(name)))
        await asyncio.sleep(0)
    return tasks


async def test_no_waiting_when_free(gate, time):
    """A free slot is taken without waiting."""
    assert gate.enter_nowait(time.now)
    assert not gate.enter_nowait(time.now)


async def test_first_come_first_served(gate, time):
    """Waiters enter in the order in which they came."""
    order = []
    gate.enter_nowait(time.now)
    tasks = await queue(gate, *range(5), order=order)
    gate.leave()
    await asyncio.gather(*tasks)

    assert order == [0, 1, 2, 3, 4]


async def test_no_overtaking(gate, time):
    """While somebody waits, nobody takes a slot in passing, even one that is free."""
    gate.enter_nowait(time.now)
    gate.pace.pushed_back(time.now, began=time.now, pause_s=5)
    await queue(gate, "waits", order=[])
    gate.pace.end()
    time.now += 10  # the pause is over, the timer has not fired yet

    assert not gate.enter_nowait(time.now)


async def test_background_behind_all_others(gate, time):
    """Background work waits behind what came later and is not background."""
    order = []
    gate.enter_nowait(time.now)
    with background():
        tasks = await queue(gate, "b1", "b2", order=order)
    tasks += await queue(gate, "a1", "a2", order=order)
    gate.leave()
    await asyncio.gather(*tasks)

    assert order == ["a1", "a2", "b1", "b2"]


async def test_background_ends_with_its_block(gate, time):
    """After the block calls are no longer background, and an inner block does not end an outer one."""
    order = []
    gate.enter_nowait(time.now)
    with background():
        with background():
            pass
        tasks = await queue(gate, "back", order=order)
    tasks += await queue(gate, "front", order=order)
    gate.leave()
    await asyncio.gather(*tasks)

    assert order == ["front", "back"]


async def test_cancelled_waiter_leaves_the_line(gate, time):
    """A waiter that is cancelled is skipped; the others enter."""
    order = []
    gate.enter_nowait(time.now)
    first, second = await queue(gate, "first", "second", order=order)
    first.cancel()
    await settle()
    gate.leave()
    await second

    assert order == ["second"]
    assert gate.pace.in_flight == 0


async def test_cancelled_and_still_in_line(gate, time):
    """A waiter that is cancelled and had no time to leave the line gets no slot."""
    order = []
    gate.enter_nowait(time.now)
    first, second = await queue(gate, "first", "second", order=order)
    first.cancel()
    gate.leave()
    await second

    assert order == ["second"]
    assert gate.pace.in_flight == 0


async def test_cancelled_with_the_slot_in_hand(gate, time):
    """A waiter that is cancelled at the moment it gets the slot gives it to the next."""
    order = []
    gate.enter_nowait(time.now)
    first, second = await queue(gate, "first", "second", order=order)
    gate.leave()  # the slot is first's, who has not run yet
    first.cancel()
    await second

    assert order == ["second"]
    assert gate.pace.in_flight == 0


async def test_many_cancellations_lose_no_slot(time):
    """After any mix of leaving and cancelling all slots are free again."""
    gate = Gate(Pace(ceiling=3), time.clock)
    order = []
    for _ in range(3):
        gate.enter_nowait(time.now)
    tasks = await queue(gate, *range(30), order=order)
    for number, task in enumerate(tasks):
        if number % 4 == 0:
            gate.leave() if number < 12 else None
            task.cancel()
        elif number % 7 == 0:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert gate.pace.in_flight == 0


async def test_deadline(gate, time):
    """A waiter whose deadline comes gets no slot, and the slot is not lost."""
    order = []
    gate.enter_nowait(time.now)
    (task,) = await queue(gate, "late", order=order, deadline=time.now + 5)
    time.advance(5)
    await task
    gate.leave()

    assert order == []
    assert gate.pace.in_flight == 0


async def test_slot_and_deadline_together(gate, time):
    """A waiter that got its slot keeps it, though its deadline comes before it runs."""
    order = []
    gate.enter_nowait(time.now)
    (task,) = await queue(gate, "just in time", order=order, deadline=time.now + 5)
    gate.leave()
    time.advance(5)
    await task

    assert order == ["just in time"]
    assert gate.pace.in_flight == 0


async def test_deadline_behind_a_pause(gate, time):
    """Who could only be refused is refused at once."""
    gate.pace.pushed_back(time.now, began=time.now, pause_s=10)

    assert not await gate.enter(time.now + 10)


async def test_deadline_that_has_passed(gate, time):
    """A deadline in the past is refused even if a slot is free."""
    assert not await gate.enter(time.now)


async def test_end_of_a_pause_lets_all_in(time):
    """When a pause ends, as many enter as there are slots, without anybody's leaving."""
    gate = Gate(Pace(ceiling=4), time.clock)
    order = []
    gate.pace.pushed_back(time.now, began=time.now, pause_s=10)
    tasks = await queue(gate, "a", "b", order=order)
    time.advance(10)
    await asyncio.gather(*tasks)

    assert order == ["a", "b"]


async def test_pause_that_grows(gate, time):
    """A pause that was made longer while waiting is waited for whole."""
    order = []
    gate.pace.pushed_back(time.now, began=time.now, pause_s=10)
    (task,) = await queue(gate, "a", order=order)
    gate.pace.pushed_back(time.now, began=time.now, pause_s=20)
    time.advance(10)
    await settle()
    early = list(order)
    time.advance(10)
    await task

    assert (early, order) == ([], ["a"])


async def test_rate_cap_wakes_one_after_another(time):
    """Under a rate cap the waiters enter one interval apart."""
    gate = Gate(Pace(ceiling=10, interval_s=1.0), time.clock)
    order = []
    assert gate.enter_nowait(time.now)
    tasks = await queue(gate, "a", "b", order=order)
    counts = []
    for _ in range(3):
        await settle()
        counts.append(len(order))
        time.advance(1.0)
    await asyncio.gather(*tasks)

    assert counts == [0, 1, 2]


async def test_close_stops_the_timer(gate, time):
    """After closing no timer is left."""
    gate.pace.pushed_back(time.now, began=time.now, pause_s=10)
    (task,) = await queue(gate, "a", order=[])
    gate.close()
    gate.close()
    task.cancel()
    await settle()

    assert not [one for one in time._alarms if one.callback]
