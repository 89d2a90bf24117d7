"""Time limits that share one timer."""

import asyncio

from pinwheel_async.webhooks._deadlines import Deadlines


def futures(count):
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


async def test_each_at_its_time():
    """Limits come to their end in their order, whatever the order in which they began."""
    deadlines, order, over = Deadlines(), [], asyncio.Event()
    slow, quick, quicker, last = futures(4)
    deadlines.begin(slow, 0.03, lambda: order.append("slow"))
    deadlines.begin(quick, 0.02, lambda: order.append("quick"))
    deadlines.begin(quicker, 0.01, lambda: order.append("quicker"))
    deadlines.begin(last, 0.04, over.set)
    async with asyncio.timeout(5):
        await over.wait()

    assert ["quicker", "quick", "slow"] == order
    assert [True] * 4 == [deadlines.end(one) for one in (slow, quick, quicker, last)]


async def test_ended_in_time():
    """What ended in time is not called back, and the next limit has its timer all the same."""
    deadlines, called, over = Deadlines(), [], asyncio.Event()
    first, second = futures(2)
    deadlines.begin(first, 0.01, lambda: called.append("first"))
    in_time = not deadlines.end(first)
    deadlines.begin(second, 0.02, over.set)
    async with asyncio.timeout(5):
        await over.wait()
    again = asyncio.Event()
    deadlines.begin(first, 0.01, again.set)
    async with asyncio.timeout(5):
        await again.wait()

    assert (True, []) == (in_time, called)


def test_in_another_loop():
    """A timer that was left behind in a loop that is over does not keep the next loop from having its own."""
    deadlines = Deadlines()

    async def leave():
        deadlines.begin(futures(1)[0], 600, lambda: None)

    async def run():
        over = asyncio.Event()
        deadlines.begin(futures(1)[0], 0.01, over.set)
        async with asyncio.timeout(5):
            await over.wait()

    asyncio.run(leave())
    asyncio.run(run())
