"""One delivery through its handlers: decode, run each under its time limit, say what is left to do."""

import asyncio
import logging
import types
from collections.abc import Awaitable, Collection, Generator, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

import attrs
from attrs import define, field, frozen

from pinwheel_async.events import DecodedEvent, Event
from pinwheel_async.events._decode import read_event
from pinwheel_async.webhooks._deadlines import Deadlines
from pinwheel_async.webhooks._delivery import Delivery, make_delivery, text
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


class Watch(Protocol):
    """Who watches over a delivery that is taken through its handlers."""

    stopped: bool
    """Whether it has cancelled the task; any other cancellation is the handler's own doing, and a failure of it."""

    def rescue(self, rest: "Course") -> None:
        """Go on with the other handlers in another task, because the one that runs ignores its cancellation.

        What the task of that one brings, if it ever ends, is of no interest any more.
        """
        ...


Source: TypeAlias = Delivery | tuple[Mapping[str, str], bytes, str]
"""A delivery; or headers, body and name of the secret, to make one of where a handler asks for its context."""


@define(eq=False, repr=False)
class Course:
    """A delivery on its way through its handlers, and what came of it."""

    event: Any
    handlers: Iterator[Handler[Any]]
    """Those that have not begun."""
    source: Source | None = None
    attempt: int = 1
    watch: Watch | None = None
    """Null if a handler that ignores that its time is over is to hold up who runs it."""
    problems: tuple[str, ...] = ()
    """Why it could not be decoded; then there are no handlers."""
    returned: tuple[Handler[Any], ...] = ()
    """Handlers that are done with it; only for who watches."""
    failures: tuple[Failure, ...] = ()
    context: Context | None = None
    """Made when the first handler asks for it."""
    left: bool = False
    """Whether another task goes on with it."""

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do."""
        return not self.problems and not self.failures


Waiting: TypeAlias = tuple[Handler[Any], Awaitable[None]]
"""A handler that has begun, and the rest of it."""


class Dispatcher:
    """Runs handlers, in the task of the caller."""

    def __init__(self, router: Router, *, timeout_s: float, version: str | None = None, app: Any = None) -> None:
        self.router = router
        self._timeout_s = timeout_s
        self._version = version
        self._app = app
        self._deadlines = Deadlines()

    def begin(
        self,
        source: Source,
        body: bytes,
        version: str | None,
        *,
        attempt: int = 1,
        watch: Watch | None = None,
        skip: Collection[Handler[Any]] = (),
    ) -> Course:
        """Decode an event and find its handlers, but those in *skip*."""
        event = read_event(body, version or self._version)
        if isinstance(event, DecodedEvent):
            if event.event is None:
                return unreadable(*event.problems or ("(body): not an event",))
            event = event.event
        handlers = self.router.matching(event)
        if skip:
            handlers = tuple([one for one in handlers if one not in skip])
        return Course(event, iter(handlers), source, attempt, watch)

    def advance(self, course: Course) -> Waiting | None:
        """Run handlers until one waits for something or raises; return that one, None if all have returned.

        It belongs to the task that is running, which has to `follow`. Most handlers never wait, and need no time limit.
        """
        event, watch = course.event, course.watch
        for handler in course.handlers:
            if watch is not None and watch.stopped:
                raise asyncio.CancelledError
            if handler.takes_context and course.context is None:
                course.context = self._context(course)
            try:
                call = handler.start(event, course.context)
            except BaseException as error:  # noqa: BLE001  # seen to like one that comes later
                return handler, _raise(error)
            try:
                waits_for = call.send(None)
            except StopIteration:
                if watch is not None:
                    course.returned += (handler,)
            except BaseException as error:  # noqa: BLE001  # seen to like one that comes later
                return handler, _raise(error)
            else:
                return handler, _go_on(call, waits_for)
        return None

    async def follow(self, course: Course, waiting: Waiting | None = None) -> None:
        """Run the handlers that are left, one after another, beginning with the one that waits."""
        while waiting := waiting or self.advance(course):
            handler, rest = waiting
            waiting, reason = None, await self._in_place(course, handler, rest)
            if course.left:
                return
            if reason is None:
                course.returned += (handler,)
            else:
                course.failures += (Failure(handler=handler, reason=reason),)

    def _context(self, course: Course) -> Context:
        source = cast("Source", course.source)
        delivery = source if isinstance(source, Delivery) else make_delivery(source[0], source[1], key=source[2])
        return Context(
            event_id=delivery.event_id,
            attempt=course.attempt,
            received_at=delivery.received_at,
            key=delivery.key,
            version=delivery.version,
            webhook_id=delivery.webhook_id,
            traceparent=delivery.traceparent,
            app=self._app,
        )

    async def _in_place(self, course: Course, handler: Handler[Any], rest: Awaitable[None]) -> str | None:
        """Run the rest of a handler in the task that is running; return why it failed, None if it returned."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        limit_s = self._timeout_s if handler.timeout_s is None else handler.timeout_s
        watch, cancelled, late, reason = course.watch, False, False, None

        def over() -> None:
            nonlocal late
            late = True
            task.cancel()
            if watch is not None:
                self._deadlines.begin(task, GRACE_S, partial(self._leave, course, handler, limit_s))

        self._deadlines.begin(task, limit_s, over)
        try:
            await rest
        except asyncio.CancelledError:
            cancelled = True
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # no delivery may end the server, not even by `SystemExit`
            reason = _raised(handler, course.event, error)
        finally:
            self._deadlines.end(task)
        if late:
            task.uncancel()
        if not cancelled or course.left:
            return reason
        _let_pass(task, watch)
        return _timed_out(handler, course.event, limit_s) if late else "CancelledError"

    def _leave(self, course: Course, handler: Handler[Any], limit_s: float) -> None:
        """Leave a handler to itself and have somebody go on with the others."""
        if course.watch is None or course.watch.stopped:
            return  # who has cancelled it looks after it
        _log.error("handler %s ignores its cancellation and goes on unwatched", handler.name)
        course.left = True
        failure = Failure(handler=handler, reason=_timed_out(handler, course.event, limit_s))
        course.watch.rescue(attrs.evolve(course, left=False, failures=(*course.failures, failure)))


def unreadable(*problems: str) -> Course:
    """Make the course of a delivery that cannot be decoded: it is over."""
    return Course(None, iter(()), problems=problems)


def _let_pass(task: "asyncio.Task[Any]", watch: Watch | None) -> None:
    """Raise if somebody else wants the task to end; with a watch, that is nobody but the watch."""
    if watch is not None and not watch.stopped:
        while task.cancelling():
            task.uncancel()
    if task.cancelling():
        raise asyncio.CancelledError


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
