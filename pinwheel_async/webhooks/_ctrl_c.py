"""Ctrl-C, told from a `KeyboardInterrupt` that a function of the application raises by itself."""

import asyncio
import signal
import threading
import traceback


def is_ctrl_c(error: BaseException) -> bool:
    """Whether an exception comes from the keyboard or another SIGINT, and not from the function that it ended.

    Where `asyncio.run` or a server has its own signal handler, the first SIGINT cancels the main task and raises
    nothing; the second one of `asyncio.run` raises in whatever runs. Without such, Python's own raises in whatever
    runs, always; then the two cannot be told apart.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    if threading.current_thread() is not threading.main_thread():
        return False  # signals are handled in the main thread only
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    by_runner = frames[-1].co_filename == asyncio.runners.__file__
    return by_runner or signal.getsignal(signal.SIGINT) is signal.default_int_handler
