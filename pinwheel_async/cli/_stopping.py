"""How a command that runs for long is told to stop: by SIGINT or SIGTERM, and at once by a second one."""

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress

from rich.console import Console

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
            Console(stderr=True).show_cursor()
            os._exit(128 + number)
        self.signal = number
        self.event.set()


@contextmanager
def stopping() -> Generator[Stopping]:
    """Take signals, for as long as the block lasts."""
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
