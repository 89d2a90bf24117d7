"""The line in which work waits for workers."""

import asyncio
from contextlib import suppress
from functools import partial

from pinwheel_async.sync._line import Line


async def test_what_follows_comes_first():
    """What follows from a step is done before the steps that were appended earlier."""
    line, done = Line(1), list[str]()

    async def do(name: str) -> None:
        done.append(name)

    async def begin() -> None:
        done.append("first")
        line.insert(partial(do, "follows"))

    await line.append(begin)
    await line.append(partial(do, "second"))
    worker = asyncio.create_task(line.work())
    await line.finish()
    worker.cancel()

    assert done == ["first", "follows", "second"]


async def test_room():
    """No more steps are appended than the workers are about to take."""
    line, appended = Line(2), 0
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    async def append() -> None:
        nonlocal appended
        for _ in range(100):
            await line.append(wait)
            appended += 1

    tasks = [asyncio.create_task(one) for one in (line.work(), line.work(), append())]
    for _ in range(200):
        await asyncio.sleep(0)

    assert appended == 2 + 8
    gate.set()
    await tasks[2]
    await line.finish()
    assert appended == 100
    for one in tasks:
        one.cancel()


async def test_the_end_waits_for_what_follows():
    """The line is finished when nothing waits, nothing is being done, and nothing can follow."""
    line, depth = Line(3), 0

    async def dig() -> None:
        nonlocal depth
        await asyncio.sleep(0)
        depth += 1
        if depth < 10:
            line.insert(dig)

    workers = [asyncio.create_task(line.work()) for _ in range(3)]
    await line.append(dig)
    await line.finish()

    assert depth == 10
    for one in workers:
        one.cancel()


async def test_others_go_on_while_one_rests():
    """While a worker rests, another one takes its turn; there are never more turns than were given."""
    line, busy, peak = Line(1, resting=2), 0, 0
    gate = asyncio.Event()

    async def do(*, last: bool) -> None:
        nonlocal busy, peak
        busy += 1
        peak = max(peak, busy)
        await asyncio.sleep(0)
        busy -= 1
        async with line.rest(last=last):
            await gate.wait()
        if not last:
            busy += 1
            peak = max(peak, busy)
            await asyncio.sleep(0)
            busy -= 1

    for last in (False, True, False):
        await line.append(partial(do, last=last))
    workers = [asyncio.create_task(line.work()) for _ in range(line.workers)]
    async with asyncio.timeout(10):
        while line._waiting.qsize():
            await asyncio.sleep(0)
        gate.set()
        await line.finish()
    for one in workers:
        one.cancel()

    assert peak == 1
    assert line._turns._value == 1


async def test_who_fails_at_rest_has_a_turn_again():
    """A worker whose rest fails goes on in its turn, and gives it back once."""
    line = Line(1, resting=1)

    async def fail() -> None:
        with suppress(ValueError):
            async with line.rest(last=True):
                raise ValueError

    await line.append(fail)
    worker = asyncio.create_task(line.work())
    async with asyncio.timeout(10):
        await line.finish()
    worker.cancel()

    assert line._turns._value == 1
