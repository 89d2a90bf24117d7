"""Dispatcher: decodes one delivery and runs its handlers, each in a task of its own with a time limit."""

import asyncio
import contextvars
import inspect
import logging
import re
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from attrs import define, field, frozen

from pinwheel_async._privacy import Discreet
from pinwheel_async.events import DecodedEvent, Event
from pinwheel_async.events._decode import read_event
from pinwheel_async.webhooks._ctrl_c import is_ctrl_c
from pinwheel_async.webhooks._delivery import Delivery, clean, make_delivery, text
from pinwheel_async.webhooks._metrics import DeliveryCounters, Run, Telemetry, label_of
from pinwheel_async.webhooks._router import Context, Handler, Lease, Router
from pinwheel_async.webhooks._worker.error_chain import error_chain, suspended_at
from pinwheel_async.webhooks._worker.start_task import start_task

_log = logging.getLogger("pinwheel_async.webhooks")

CALLBACK_S = 5.0
"""Seconds that a callback of the router has. Its delivery waits for it, so that a report is not lost at a stop."""

GRACE_S = 1.0
"""Seconds that a handler has to end after it was cancelled, before it counts as stuck."""

Source: TypeAlias = Delivery | tuple[Mapping[str, str], bytes, str]
"""A delivery; or headers, body and name of the secret, to make one of where a handler asks for its context."""


@frozen(kw_only=True)
class HandlerFailure(Discreet):
    """A handler that did not return."""

    handler: Handler[Any] = field(repr=False)
    reason: str
    """Types and places of the exception and its causes, or the time limit; never a text, which may hold anything."""


@define(eq=False, repr=False)
class HandlerRun(Discreet):
    """Outcome of one run of a delivery through its handlers."""

    problems: tuple[str, ...] = ()
    """Why no handler ran."""
    is_unreadable: bool = False
    """Whether that is the reason: another version of the library might decode it."""
    returned: tuple[Handler[Any], ...] = ()
    failures: tuple[HandlerFailure, ...] = ()
    is_held: bool = False
    """Whether a handler goes on for which the account was to wait, though the run was cut short."""
    is_over: bool = False
    """Whether the last handler has ended; false if the run was cut short, and then some may not have run."""

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do."""
        return not self.problems and not self.failures


class Deadlines:
    """Waits for tasks within time limits.

    `asyncio.wait` with a timeout would do, but takes 17 µs where this takes 9: here one timer serves all limits. All
    that a delivery takes is about 40 µs.
    """

    def __init__(self) -> None:
        self._ends: dict[asyncio.Future[bool], float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer_at = 0.0

    async def wait(self, task: "asyncio.Future[Any]", limit_s: float) -> bool:
        """Return whether a task ends within so many seconds; neither the limit nor a cancellation reaches the task."""
        loop = task.get_loop()
        # A future of our own, because a cancelled `await task` cancels the task and then waits for it without limit.
        in_time: asyncio.Future[bool] = loop.create_future()
        task.add_done_callback(partial(_set_true, in_time))
        end = self._ends[in_time] = loop.time() + limit_s
        if loop is not self._loop or end < self._timer_at:
            self._set_timer(loop, end)
        try:
            return await in_time
        finally:
            self._ends.pop(in_time, None)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        # A later timer that was set before is not cancelled: it finds that it is not the current one.
        self._loop, self._timer_at = loop, at
        loop.call_at(at, self._expire, loop, at)

    def _expire(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._loop is not loop or self._timer_at != at:
            return
        for in_time in [in_time for in_time, end in self._ends.items() if end <= at]:
            del self._ends[in_time]
            if not in_time.done():
                in_time.set_result(False)
        self._loop = None
        if self._ends:
            self._set_timer(loop, min(self._ends.values()))


def _has_ended(task: "asyncio.Future[Any]") -> bool:
    """Whether a handler has come to an end by itself, so that its task has a result.

    Raises:
        CancelledError: Ctrl-C ended it, and is on its way to end the program, too.
    """
    if not task.done() or task.cancelled():
        return False
    if task.exception() is not None:
        raise asyncio.CancelledError
    return True


def _set_true(in_time: "asyncio.Future[bool]", _: "asyncio.Future[Any]") -> None:
    if not in_time.done():
        in_time.set_result(True)


class Dispatcher:
    """Runs the handlers of a delivery one after another.

    Each handler has a task of its own, so what it does to its task (cancel it, or ignore a cancellation) cannot reach
    the worker or the server.
    """

    def __init__(
        self,
        router: Router,
        *,
        timeout_s: float,
        version: str | None = None,
        app: Any = None,
        hold_stuck: bool = False,
        log_exceptions: bool = False,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.router = router
        self.counters = DeliveryCounters()
        self._telemetry = telemetry
        self.stuck: set[asyncio.Future[Any]] = set()
        """Tasks of handlers that ignored their cancellation; kept, because an event loop holds weak references only."""
        self.held = 0
        """Deliveries that wait for one of these."""
        self._hold_stuck = hold_stuck
        self._log_exceptions = log_exceptions
        self._timeout_s = timeout_s
        self._version = version
        self._app = app
        self._deadlines = Deadlines()

    async def run(
        self,
        source: Source,
        body: bytes,
        version: str | None,
        *,
        attempt: int = 1,
        token: int = 0,
        lease: Lease | None = None,
        skip: Collection[Handler[Any]] = (),
        into: HandlerRun | None = None,
    ) -> HandlerRun:
        """Decode an event and run its handlers, but those in *skip*.

        If it is cancelled, the handler that runs is cancelled, too, and has its grace to end.

        Args:
            source: What a context is made of.
            body: The raw bytes.
            version: Version of the webhook, if it is known.
            attempt: Number of the attempt.
            token: Fencing token.
            lease: What a context tells of it.
            skip: Handlers to leave out.
            into: Where the outcome is noted, for a caller that wants to know it after a cancellation, too.
        """
        run = HandlerRun() if into is None else into
        began_at = time.monotonic()
        event = read_event(body, version or self._version)
        if isinstance(event, DecodedEvent):
            if event.event is None:
                run.problems = event.problems or ("(body): not an event",)
                run.is_unreadable = True
                self.counters.add_run("", 0.0, ok=False)
                return run
            event = event.event
        variables = contextvars.copy_context()  # shared by the handlers of a delivery, and by no other delivery
        traced = None if self._telemetry is None else variables.run(self._begin, event, source, attempt)
        try:
            await self._run_handlers(run, event, variables, source, attempt, token, lease, skip)
        finally:
            if traced is not None:
                variables.run(_end, traced, run)
        self.counters.add_run(event.event, time.monotonic() - began_at, ok=run.ok)
        return run

    def _begin(self, event: Event, source: Source, attempt: int) -> Run | None:
        if self._telemetry is None:
            return None
        traceparent = source.traceparent if isinstance(source, Delivery) else source[0].get("traceparent")
        try:
            return self._telemetry.begin(label_of(event.event), text(event.event_id), attempt, clean(traceparent))
        except Exception as error:  # noqa: BLE001  # what only observes may not keep a handler from running
            _log.error("telemetry failed: %s", error_chain(error))
            return None

    async def _run_handlers(
        self,
        run: HandlerRun,
        event: Event,
        variables: contextvars.Context,
        source: Source,
        attempt: int,
        token: int,
        lease: Lease | None,
        skip: Collection[Handler[Any]],
    ) -> None:
        context: Context | None = None
        handlers = self.router.matching(event)
        if skip:
            handlers = tuple([handler for handler in handlers if handler not in skip])
        for handler in handlers:
            if handler.takes_context and context is None:
                context = self._context(source, attempt, token, lease)
            call = _call(handler, event, context)
            late_at: str | None = None
            task = start_task(call, name=f"pinwheel handler {handler.name}", context=variables)
            try:
                if not task.done():
                    late_at = await self._wait(task, call, handler, event)
            except asyncio.CancelledError:
                if _has_ended(task) and task.result() is None:  # it returned all the same
                    run.returned += (handler,)
                    run.is_over = handler is handlers[-1]
                run.is_held = self._hold_stuck and not task.done()
                raise
            failed = self._failure(task, handler, late_at)
            if failed is None:
                run.returned += (handler,)
                continue
            run.failures += (HandlerFailure(handler=handler, reason=failed[1]),)
            self._log_failure(handler, event, *failed)
            if error_callbacks := self.router.error_callbacks():
                context = context or self._context(source, attempt, token, lease)
                await self.tell(error_callbacks, event, context, failed[0])
        run.is_over = True

    def _context(self, source: Source, attempt: int, token: int, lease: Lease | None) -> Context:
        delivery = source if isinstance(source, Delivery) else make_delivery(source[0], source[1], key=source[2])
        return Context(
            event_id=delivery.event_id,
            attempt=attempt,
            received_at=delivery.received_at,
            key=delivery.key,
            version=delivery.version,
            webhook_id=delivery.webhook_id,
            traceparent=delivery.traceparent,
            app=self._app,
            token=token,
            lease=lease,
        )

    async def _wait(
        self, task: "asyncio.Future[Any]", call: Coroutine[Any, Any, Any], handler: Handler[Any], event: Event
    ) -> str | None:
        """Wait for a handler; cancel it when its time is over, or if the waiting task is cancelled.

        Returns:
            Where it was when its time was over; None if it ended in time.
        """
        late_at: str | None = None
        try:
            if not await self._deadlines.wait(task, self._limit_s(handler)):
                late_at = suspended_at(call)
        finally:
            if not task.done():
                await self._cancel(task, handler, event)
        if not task.done() and self._hold_stuck:
            self.held += 1
            try:
                await asyncio.wait({task})
            finally:
                self.held -= 1
        return late_at

    async def _cancel(self, task: "asyncio.Future[Any]", handler: Handler[Any], event: Event) -> None:
        """Cancel a handler; let go of it if it does not end within the grace, or if a cancellation cuts that short."""
        task.cancel()
        try:
            await self._deadlines.wait(task, GRACE_S)
        finally:
            if not task.done():
                message = "handler %s ignores its cancellation and goes on: event %s"
                _log.error(message, handler.name, text(event.event_id))
                self.stuck.add(task)
                task.add_done_callback(self.stuck.discard)

    def _limit_s(self, handler: Handler[Any]) -> float:
        return self._timeout_s if handler.timeout_s is None else handler.timeout_s

    def _failure(
        self, task: "asyncio.Future[BaseException | None]", handler: Handler[Any], late_at: str | None
    ) -> tuple[BaseException, str] | None:
        """Return what a handler failed with, and the reason that is shown for it; None if it returned."""
        if _has_ended(task):
            error = task.result()  # a late handler that returned after all has returned
            return None if error is None else (error, error_chain(error))
        if late_at is None:
            return asyncio.CancelledError(), "CancelledError"
        late = f"no end after {self._limit_s(handler):g} s"
        return TimeoutError(late), f"timeout: {late}{late_at}"

    def _log_failure(self, handler: Handler[Any], event: Event, error: BaseException, reason: str) -> None:
        trace = error if self._log_exceptions else None
        _log.error("handler %s failed on event %s: %s", handler.name, text(event.event_id), reason, exc_info=trace)

    def let_go(self) -> None:
        """Keep stuck handlers from holding up the end of the program.

        `asyncio.run` and servers cancel all tasks at the end and wait for them without limit; these ignore that.
        """
        for task in self.stuck:
            if isinstance(task, asyncio.Task):  # as whatever goes on is
                asyncio.tasks._unregister_task(task)  # noqa: SLF001  # documented, for libraries that extend asyncio

    async def tell(self, callbacks: Sequence[Callable[..., Any]], *arguments: Any) -> None:
        """Call callbacks one after another; what they raise, or that they take too long, is logged and no more."""
        for callback in callbacks:
            task = start_task(_call_back(callback, arguments), name="pinwheel callback")
            try:
                if not task.done() and not await self._deadlines.wait(task, CALLBACK_S):
                    _log.error("a callback of the router is cancelled: no end after %g s", CALLBACK_S)
            finally:
                task.cancel()


def _end(traced: Run, run: HandlerRun) -> None:
    """End the trace of a run with the type of the first failure."""
    reason = run.failures[0].reason if run.failures else "" if run.is_over else "CancelledError"
    try:
        traced.end(re.split(r"[^\w.]", reason, maxsplit=1)[0] or None)
    except Exception as error:  # noqa: BLE001  # what only observes may change nothing about a delivery
        _log.error("telemetry failed: %s", error_chain(error))


async def _call_back(callback: Callable[..., Any], arguments: Sequence[Any]) -> None:
    try:
        outcome = callback(*arguments)
        if inspect.isawaitable(outcome):
            await outcome
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # no callback may end the server
        if is_ctrl_c(error):
            raise
        _log.error("a callback of the router failed: %s", error_chain(error))


async def _call(handler: Handler[Any], event: Event, context: Context | None) -> BaseException | None:
    """Call a handler; return what it raised, None if it returned."""
    try:
        await handler.start(event, context)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # no delivery may end the server, not even by `SystemExit`
        if is_ctrl_c(error):
            raise
        return error
    return None
