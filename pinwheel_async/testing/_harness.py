"""Test harness of webhook handlers: a receiver on a socket whose time can be turned, and that knows when it is idle."""

import asyncio
import heapq
import itertools
import math
import time
from asyncio import TimerHandle
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs
from aiohttp import web
from attrs import define

from pinwheel_async._clock import Clock, time_limit
from pinwheel_async.events import Event
from pinwheel_async.testing._webhooks.make_event import make_event
from pinwheel_async.testing._webhooks.signed import signed_delivery
from pinwheel_async.webhooks import Answer, Entry, MemoryInbox, Receiver, Router
from pinwheel_async.webhooks._inbox.base import State

if TYPE_CHECKING:
    from pinwheel_async.testing._fake import FakePinwheel

E = TypeVar("E", bound=Event)

_POLL_S = 0.002
"""Seconds between two looks whether everything has ended: nothing says when, and a look at the memory costs nothing."""

_SECRET = "fake-secret"  # noqa: S105  # that of a `FakePinwheel`

_ALL = 10_000_000
"""Entries that are looked at: all of them."""


@define(eq=False)
class _Timer:
    """A call that is due at a moment of the turned clock."""

    due: float
    callback: Callable[[], None]
    handle: TimerHandle | None = None

    def cancel(self) -> None:
        """Stop the call from being made."""
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None

    @property
    def is_pending(self) -> bool:
        """Whether it was neither made nor stopped."""
        return self.handle is not None


class TurnedClock:
    """Clock that goes with the real time, and further ahead by each turn."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = itertools.count()
        self.clock: Clock = Clock(
            monotonic=self._monotonic, now=self._now, sleep=self._sleep, call_later=self._call_later
        )

    def next_due_in_s(self) -> float | None:
        """Return in how many seconds the next timer is due; None if there is none."""
        while self._timers and not self._timers[0][2].is_pending:
            heapq.heappop(self._timers)
        return self._timers[0][0] - self._monotonic() if self._timers else None

    def turn(self, seconds: float) -> None:
        """Go ahead, and let what is due then be done very soon."""
        self._ahead_s += seconds
        for _, _, timer in self._timers:
            if timer.handle is not None:
                timer.handle.cancel()
                self._start(timer)

    def _monotonic(self) -> float:
        return time.monotonic() + self._ahead_s

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead_s)

    async def _sleep(self, seconds: float) -> None:
        over = asyncio.get_running_loop().create_future()
        timer = self._call_later(seconds, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(self._monotonic() + delay_s, callback)
        heapq.heappush(self._timers, (timer.due, next(self._numbers), timer))
        self._start(timer)
        return timer

    def _start(self, timer: _Timer) -> None:
        def call() -> None:
            timer.handle = None
            timer.callback()

        timer.handle = asyncio.get_running_loop().call_later(max(0.0, timer.due - self._monotonic()), call)


class _Inbox(MemoryInbox):
    """An inbox that says whether anything in it is due or being handled."""

    async def is_idle(self) -> bool:
        """Whether no handler runs, and none has to now; what waits for another attempt may wait."""
        if (await self.counts()).claimed:
            return False
        due_in_s = await self._due_in_s()
        return due_in_s is None or due_in_s > 0

    async def due_in_s(self) -> float:
        """Return in how many seconds something that waits is due; infinitely many if nothing waits."""
        due_in_s = await self._due_in_s()
        return math.inf if due_in_s is None else max(due_in_s, 0.0)

    def states(self) -> dict[str, State]:
        """Return the state of each delivery by event id."""
        return {event_id: row.state for event_id, row in self._queue.rows.items()}

    def describe(self) -> str:
        """Return a line for each delivery."""
        entries = [row.entry for row in self._queue.rows.values()]
        return "\n".join(
            [f"  {entry.event} {entry.event_id} {entry.state} {entry.reason or ''}".rstrip() for entry in entries]
        )


class ReceiverHarness:
    """A receiver for tests of handlers, with an inbox in memory, a URL on this machine, and a clock that can be turned.

    ```python
    async with ReceiverHarness(router) as receiver:
        await receiver.deliver(PaystubsAdded, outcome="success")
        await receiver.idle()
        assert_handled(receiver, PaystubsAdded)
    ```

    With pytest the fixture `pinwheel_receiver` makes them.

    Args:
        router: Router with the handlers.
        secret: Secret that signs; that of a `FakePinwheel`, unless told otherwise.
        fake: A fake whose events are delivered here.
        log_exceptions: See `Receiver`.
        options: Further arguments of `Receiver`, such as `retry`, `timeout_s` and `app`.

    Attributes:
        url: Where deliveries are to be sent; only while it runs.
        receiver: The receiver itself.
    """

    def __init__(
        self,
        router: Router,
        *,
        secret: str = _SECRET,
        fake: "FakePinwheel | None" = None,
        log_exceptions: bool = True,
        **options: Any,
    ) -> None:
        self.url: str = ""
        self._fake = fake
        self._secret = secret if fake is None else fake.api_secret
        self._clock = TurnedClock()
        self._inbox = _Inbox(clock=self._clock.clock)
        self._events: dict[str, Event] = {}
        self._handlers = router
        recording = Router()
        recording.include(router)
        recording.on(Event)(self._record)
        self.receiver: Receiver = Receiver(
            recording,
            [self._secret],
            inbox=self._inbox,
            clock=self._clock.clock,
            log_exceptions=log_exceptions,
            **options,
        )
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to receive."""
        await self._exits.enter_async_context(self.receiver)
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.01)
        await runner.setup()
        self._exits.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/pinwheel"
        if self._fake is not None:
            self._fake.subscribe(self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let running handlers finish, and stop."""
        await self._exits.aclose()

    async def deliver(self, event: Event | type[Event] | str, seed: int = 0, **overrides: Any) -> Answer:
        """Deliver an event, signed; `idle()` waits for its handlers.

        Args:
            event: An event; or a class or a name, such as `paystubs.added`, of which one is made up.
            seed: Seed of what is made up.
            overrides: Values of fields, instead of its own.

        Returns:
            What the sender is answered.
        """
        if not isinstance(event, Event):
            # Two calls with the same class mean two events: an id that is known would not be handled again.
            event = attrs.evolve(
                make_event(event, seed), event_id=f"{len(self._events):08x}-harness-{time.monotonic_ns()}"
            )
        made = attrs.evolve(event, **overrides)
        signed = signed_delivery(made, secret=self._secret, timestamp=int(self._clock.clock.now().timestamp()))
        return await self.receiver.receive(signed.headers, signed.body)

    async def idle(self, *, timeout_s: float = 30.0) -> None:
        """Wait until all handlers have ended: nothing is being delivered, handled, or due to be.

        What failed and waits for another attempt counts as ended until `advance` has come to that.

        Raises:
            TimeoutError: It takes longer than *timeout_s* real seconds.
        """
        async with time_limit(timeout_s):
            if self._fake is not None:
                await self._fake.settle()
            while not await self._inbox.is_idle():  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(_POLL_S)

    async def advance(self, seconds: float, *, timeout_s: float = 30.0) -> None:
        """Turn the clock of the receiver, and that of the fake, and let everything happen that is due on the way.

        Events that failed are handled again at their times, as often as they are due.

        Args:
            seconds: How far.
            timeout_s: Real seconds that all of it may take.

        Raises:
            TimeoutError: It takes longer.
        """
        async with time_limit(timeout_s):
            if self._fake is not None:
                await self._fake.advance(seconds)
            left_s = seconds
            while left_s > 0:
                await self.idle(timeout_s=timeout_s)
                due_in_s = self._clock.next_due_in_s()
                if due_in_s is None or due_in_s <= 0:
                    # What is due is called in the loop's next turn; a receiver that runs always waits for something,
                    # at least for the end of its leases, so that without a timer it is about to set one.
                    await asyncio.sleep(0)
                    continue
                step_s = min(left_s, due_in_s, await self._inbox.due_in_s())
                self._clock.turn(step_s)
                left_s -= step_s
            await asyncio.sleep(0)
            await self.idle(timeout_s=timeout_s)

    async def entries(self) -> tuple[Entry, ...]:
        """Return what became of each delivery: state, attempts, reason of the last failure; newest first."""
        return tuple(await self._inbox.entries(limit=_ALL))

    def handled(self, kind: type[E], **fields: Any) -> list[E]:
        """Return the events of a class that a handler has handled to its end, in the order of arrival."""
        states = self._inbox.states()
        return [
            event
            for event in self._events.values()
            if isinstance(event, kind)
            and states.get(event.event_id) == "done"
            and self._handlers.matching(event)
            and all(getattr(event, name) == value for name, value in fields.items())
        ]

    def describe(self) -> str:
        """Return a line for each delivery: event, id, state, and why it failed."""
        return self._inbox.describe() or "nothing was delivered"

    async def _record(self, event: Event) -> None:
        self._events.setdefault(event.event_id, event)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self.receiver.receive(request.headers, await request.read())
        return web.Response(status=answer.status, headers=answer.headers)


def assert_handled(receiver: ReceiverHarness, kind: type[E], *, times: int | None = None, **fields: Any) -> list[E]:
    """Assert that handlers have handled events of a class to their end, and return these events.

    An event that no handler is registered for was not handled, nor was one whose handler has failed so far.

    Args:
        receiver: Where they were delivered.
        kind: Class of the events, or a family of them.
        times: How many there must be; at least one, if None.
        fields: What their fields must be, such as `account_id=...`.

    Raises:
        AssertionError: There are others, or none; it says what became of every delivery.
    """
    found = receiver.handled(kind, **fields)
    if len(found) == times or (times is None and found):
        return found
    wanted = "at least one event" if times is None else f"{times} event{'' if times == 1 else 's'}"
    which = f" with {', '.join(fields)} as given" if fields else ""
    raise AssertionError(
        f"{wanted} of {kind.__name__}{which} should have been handled, not {len(found)}; what was delivered:\n"
        f"{receiver.describe()}"
    )
