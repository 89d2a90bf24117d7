"""The thread of an inbox, held up while a test asks it for more."""

import asyncio
import threading
from contextlib import asynccontextmanager


@asynccontextmanager
async def busy_thread(inbox):
    """Keep the thread busy, so that what is asked for meanwhile gathers."""
    began, go = threading.Event(), threading.Event()

    def hold(_):
        began.set()
        go.wait(30)

    holding = inbox._group.submit(hold)
    async with asyncio.timeout(30):
        while not began.is_set():
            await asyncio.sleep(0)
    try:
        yield
        await asyncio.sleep(0)
    finally:
        go.set()
    await holding
