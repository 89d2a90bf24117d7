"""One delivery through its handlers: decode, run each under its time limit, say what is left to do."""

import asyncio
import logging
import types
from collections.abc import Awaitable, Generator, Mapping
from typing import Any, cast

from attrs import field, frozen

from pinwheel_async.events import DecodedEvent, Event
from pinwheel_async.events._decode import read_event
from pinwheel_async.webhooks._deadlines import Deadlines
from pinwheel_async.webhooks._delivery import Delivery, clean, make_delivery, text
from pinwheel_async.webhooks._router import Context, Done, Handler, Router

_log = logging.getLogger("pinwheel_async.webhooks")

GRACE_S = 1.0
"""Seconds that a handler has to end after it was cancelled, before it is left to itself."""


@frozen(kw_only=True)
class Failure:
    """A handler that did not return."""

    handler: Handler[Any] = field(repr=False)
    reason: str
    """Kind of the exception, or the time limit; never its text, which may hold anything."""


@frozen(kw_only=True)
class Dispatched:
    """What came of a delivery."""

    problems: tuple[str, ...] = ()
    """Why it could not be decoded; then no handler ran."""
    returned: tuple[Handler[Any], ...] = field(default=(), repr=False)
    """Handlers that are done with it."""
    failures: tuple[Failure, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do."""
        return not self.problems and not self.failures


_ALL_RETURNED = Dispatched()


class Dispatcher:
    """Runs handlers; owns the ones that would not end."""

    def __init__(self, router: Router, *, timeout_s: float, version: str | None = None, app: Any = None) -> None:
        self.router = router
        self._timeout_s = timeout_s
        self._version = version
        self._app = app
        self._deadlines = Deadlines()
        self._stuck: set[asyncio.Task[Any]] = set()

    async def dispatch(
        self, delivery: Delivery, *, attempt: int, skip: frozenset[Handler[Any]] = frozenset()
    ) -> Dispatched:
        """Decode a delivery and run its handlers one after another, those in *skip* left out.

        Each runs in a task of its own, which is left to itself if it ignores that its time is over.
        """
        event = self._read(delivery.body, delivery.version)
        if isinstance(event, Dispatched):
            return event
        context: Context | None = None
        returned: list[Handler[Any]] = []
        failures: list[Failure] = []
        for handler in self.router.matching(event):
            if handler in skip:
                continue
            if handler.takes_context and context is None:
                context = self._context(delivery, attempt)
            reason = await self._apart(handler, event, context)
            if reason is None:
                returned.append(handler)
            else:
                failures.append(Failure(handler=handler, reason=reason))
        return Dispatched(returned=tuple(returned), failures=tuple(failures))

    async def handle(self, headers: Mapping[str, str], body: bytes, *, key: str) -> Dispatched:
        """Do the same once for an authentic body that is stored nowhere, as fast as can be: in the task of the caller.

        So a handler that ignores that its time is over holds the caller up.
        """
        event = self._read(body, clean(headers.get("pinwheel-version")))
        if isinstance(event, Dispatched):
            return event
        context: Context | None = None
        failures: list[Failure] = []
        for handler in self.router.matching(event):
            if handler.takes_context and context is None:
                context = self._context(make_delivery(headers, body, key=key), 1)
            call = _started(handler, event, context)
            try:
                waits_for = call.send(None)
            except StopIteration:  # it has returned: most handlers never wait, and need no time limit
                continue
            except BaseException as error:  # noqa: BLE001  # seen to like one that comes later
                reason = await self._in_place(handler, event, _raise(error))
            else:
                reason = await self._in_place(handler, event, _go_on(call, waits_for))
            if reason is not None:
                failures.append(Failure(handler=handler, reason=reason))
        return Dispatched(failures=tuple(failures)) if failures else _ALL_RETURNED

    def _read(self, body: bytes, version: str | None) -> Event | Dispatched:
        """Decode an event; one that cannot be decoded is through with at once."""
        read = read_event(body, version or self._version)
        if not isinstance(read, DecodedEvent):
            return read
        return read.event or Dispatched(problems=read.problems or ("(body): not an event",))

    def _context(self, delivery: Delivery, attempt: int) -> Context:
        return Context(
            event_id=delivery.event_id,
            attempt=attempt,
            received_at=delivery.received_at,
            key=delivery.key,
            version=delivery.version,
            webhook_id=delivery.webhook_id,
            traceparent=delivery.traceparent,
            app=self._app,
        )

    async def _apart(self, handler: Handler[Any], event: Event, context: Context | None) -> str | None:
        """Run a handler in a task of its own; return why it failed, None if it returned."""
        limit_s = self._timeout_s if handler.timeout_s is None else handler.timeout_s
        task = asyncio.create_task(_call(handler, event, context), name=f"pinwheel handler {handler.name}")
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task.add_done_callback(lambda _: _wake(waiting))
        self._deadlines.begin(waiting, limit_s, lambda: _wake(waiting))
        late = False
        try:
            await waiting
            late = not task.done()
        finally:
            self._deadlines.end(waiting)
            if not task.done():
                await self._cancel(handler, task)
            elif not task.cancelled():
                task.exception()  # seen, so that the loop does not report it, even if nobody waits for it any more
        if task.done() and not task.cancelled():
            return task.result()
        return _timed_out(handler, event, limit_s) if late else "CancelledError"

    async def _cancel(self, handler: Handler[Any], task: "asyncio.Task[str | None]") -> None:
        task.cancel()
        self._stuck.add(task)
        task.add_done_callback(self._stuck.discard)
        await asyncio.wait({task}, timeout=GRACE_S)
        if not task.done():
            _log.error("handler %s ignores its cancellation and goes on unwatched", handler.name)

    async def _in_place(self, handler: Handler[Any], event: Event, rest: Awaitable[None]) -> str | None:
        """Run the rest of a handler in the task that is running; return why it failed, None if it returned."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        limit_s = self._timeout_s if handler.timeout_s is None else handler.timeout_s
        cancelled, reason = False, None
        self._deadlines.begin(task, limit_s, task.cancel)
        try:
            await rest
        except asyncio.CancelledError:
            cancelled = True
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # as in `_call`
            reason = _raised(handler, event, error)
        finally:
            expired = self._deadlines.end(task)
        if expired:
            task.uncancel()
        if not cancelled:
            return reason
        if task.cancelling():
            raise asyncio.CancelledError  # somebody else wants the task to end
        return _timed_out(handler, event, limit_s) if expired else "CancelledError"


def _started(handler: Handler[Any], event: Event, context: Context | None) -> Done:
    """Make the coroutine of a handler; what is raised instead, it raises."""
    try:
        return handler.start(event, context)
    except BaseException as error:  # noqa: BLE001  # as in `_call`
        return _raise(error)


@types.coroutine
def _go_on(call: Done, waits_for: Any) -> Generator[Any, None, None]:
    """Go on with a coroutine that was begun and waits for something; like `yield from`, but for its beginning."""
    try:
        while True:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  # it is the coroutine's, its cancellation above all
                waits_for = call.throw(error)
            else:
                waits_for = call.send(None)
    except StopIteration:
        return


async def _raise(error: BaseException) -> None:
    raise error


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


async def _call(handler: Handler[Any], event: Event, context: Context | None) -> str | None:
    """Call a handler; return the kind of what it raised, None if it returned.

    Whatever it raises is a failure of its own, `SystemExit` too: no delivery may end the server. Only its cancellation
    passes, and Ctrl-C.
    """
    try:
        await handler.start(event, context)
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  # see above
        return _raised(handler, event, error)
    return None


def _raised(handler: Handler[Any], event: Event, error: BaseException) -> str:
    """Log kind and place of an error, and nothing that could hold a value; return the kind."""
    kind, place = type(error).__name__, error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" at {place.tb_frame.f_code.co_name}:{place.tb_lineno}"
    _log.error("handler %s failed on event %s: %s%s", handler.name, text(event.event_id), kind, where)
    return kind


def _timed_out(handler: Handler[Any], event: Event, limit_s: float) -> str:
    _log.error("handler %s timed out on event %s after %g s", handler.name, text(event.event_id), limit_s)
    return f"timeout: no end after {limit_s:g} s"
