"""Signal handling of commands that run for long: SIGINT or SIGTERM stops in order, a second signal at once."""

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress

STOPPED = 128 + signal.SIGINT
"""Exit code of a command that was told to stop, and did."""

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
