"""Signal handling of commands that run for long: SIGINT or SIGTERM stops in order, a second signal at once."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress

from pinwheel_async._clock import time_limit

STOPPED = 128 + signal.SIGINT
"""Exit code of a command that was told to stop, and did."""

THREAD_PATIENCE_S = 1.0
"""Seconds that threads have to end after everything else has."""

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopping:
    """Whether and how a command was told to stop."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.signal: signal.Signals | None = None

    @property
    def code(self) -> int:
        """Exit code of a command that ended in order because of a signal, whichever it was; 0 if none came."""
        return 0 if self.signal is None else STOPPED

    def __str__(self) -> str:
        """Return how the command ended."""
        return "" if self.signal is None else _NAMES[self.signal]

    def note(self, number: signal.Signals) -> None:
        """Take a signal; the second one ends the process."""
        if self.signal is not None:
            from rich.console import Console  # noqa: PLC0415  # servers do without it

            Console(stderr=True).show_cursor()  # the progress bar has hidden it
            os._exit(128 + number)  # sys.exit would wait for tasks and threads that may never end
        self.signal = number
        self.event.set()


@contextmanager
def stopping() -> Generator[Stopping]:
    """Handle SIGINT and SIGTERM for the length of the block."""
    taken = Stopping()
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # on Windows, where ctrl-C ends the program as it always did
        for number in _NAMES:
            loop.add_signal_handler(number, taken.note, number)
    try:
        yield taken
    finally:
        with suppress(NotImplementedError):
            for number in _NAMES:
                loop.remove_signal_handler(number)


def on_sigterm() -> asyncio.Event:
    """Return an event that SIGTERM sets from now on, for servers; SIGINT interrupts as it always does."""
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # on Windows, which has no such signal
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


@asynccontextmanager
async def leaving_threads() -> AsyncGenerator[None]:
    """Run a block; if it ends well, so does the process, with 0, although threads of `asyncio.to_thread` still run.

    Python waits for them at its exit, however long they take, and nothing can interrupt one. Only for a block that
    leaves nothing to be done after it but to exit.
    """
    executor = ThreadPoolExecutor(thread_name_prefix="pinwheel-async-handler")
    asyncio.get_running_loop().set_default_executor(executor)
    yield
    executor.shutdown(wait=False, cancel_futures=True)
    with suppress(TimeoutError):
        async with time_limit(THREAD_PATIENCE_S):
            while _running_threads():  # noqa: ASYNC110  # nothing tells when a thread ends
                await asyncio.sleep(0.01)
    if running := _running_threads():
        text = f"pinwheel-async: ended without waiting for threads that handlers began and that did not end: {running}"
        print(text, file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(0)


def _running_threads() -> int:
    return sum(thread.name.startswith("pinwheel-async-handler") for thread in threading.enumerate())
