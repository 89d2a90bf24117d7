"""Worker process: handles what an inbox holds, and receives nothing."""

import asyncio
import logging
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from pinwheel_async._clock import time_limit
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._arguments import check_arguments, check_at_least, check_more_than_0
from pinwheel_async.webhooks._inbox.base import Inbox, check_inbox_argument
from pinwheel_async.webhooks._router import Router
from pinwheel_async.webhooks._worker.dispatch import Dispatcher
from pinwheel_async.webhooks._worker.worker import DEFAULT_RETRY, Worker

_log = logging.getLogger("pinwheel_async.webhooks")

OPEN_RETRY_S = 1.0
"""Seconds until an inbox that cannot be opened yet, as another process holds it, is tried again; then twice as many."""

MAX_OPEN_RETRY_S = 15.0
"""Most seconds between two tries: the sender repeats for 15 minutes, so nothing is lost to that pause."""


async def work(
    router: Router,
    *,
    inbox: Inbox,
    version: str | None = None,
    concurrency: int = 16,
    lease_s: float = 15.0,
    retry: RetryPolicy = DEFAULT_RETRY,
    timeout_s: float = 30.0,
    shutdown_timeout_s: float = 10.0,
    hold_stuck: bool = False,
    log_exceptions: bool = False,
    app: Any = None,
) -> None:
    """Handle what an inbox holds, until SIGTERM or SIGINT comes or the caller is cancelled; then finish in order.

    Running handlers get *shutdown_timeout_s* to finish; the rest stays in the inbox. While the inbox cannot be opened
    for a reason that may pass, such as a database that is away, it is tried again.

    ```python
    await work(router, inbox=PostgresInbox("postgresql://app@db/pinwheel"))
    ```

    Args:
        router: Router with the handlers to run.
        inbox: Where receivers store; several processes may work on one.
        version: See `Receiver`.
        concurrency: See `Receiver`.
        lease_s: See `Receiver`.
        retry: See `Receiver`.
        timeout_s: See `Receiver`.
        shutdown_timeout_s: See `Receiver`.
        hold_stuck: See `Receiver`.
        log_exceptions: See `Receiver`.
        app: See `Receiver`.

    Raises:
        ConfigurationError: An argument is of another kind, a number does not fit, or the inbox is in use with another
            router.
        InboxError: The inbox cannot be opened, for a reason that time does not cure.
    """
    check_inbox_argument(inbox)
    check_arguments(router, retry, version)
    check_at_least(0, shutdown_timeout_s=shutdown_timeout_s)
    check_at_least(1, concurrency=concurrency)
    check_more_than_0(lease_s=lease_s, timeout_s=timeout_s)
    router.freeze()
    dispatcher = Dispatcher(
        router, timeout_s=timeout_s, version=version, app=app, hold_stuck=hold_stuck, log_exceptions=log_exceptions
    )
    worker = Worker(inbox, dispatcher, concurrency=concurrency, lease_s=lease_s, retry=retry)
    stop = asyncio.Event()
    with _stopped_by_signals(stop):
        if not await _open(inbox, stop):
            return
        try:
            inbox.attach(router)
            try:
                worker.start()
                _log.info("handling what the inbox holds")
                await stop.wait()
            finally:
                await worker.stop(shutdown_timeout_s)
                inbox.detach(router)
        finally:
            await inbox.close()


async def _open(inbox: Inbox, stop: asyncio.Event) -> bool:
    """Open the inbox; return False if it is time to stop before that succeeds."""
    pause_s = OPEN_RETRY_S
    while not stop.is_set():
        try:
            await inbox.open()
        except InboxError as error:
            if not error.is_transient:
                raise
            _log.error("the inbox cannot be opened yet: %s", error)  # nobody needs the traceback
        else:
            return True
        with suppress(TimeoutError):
            async with time_limit(pause_s):
                await stop.wait()
        pause_s = min(2 * pause_s, MAX_OPEN_RETRY_S)
    return False


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Generator[None]:
    """Let SIGTERM and SIGINT set an event, where that can be had: not on Windows, and in the main thread only."""
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
