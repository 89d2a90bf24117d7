"""Router: registry of handlers, by event class."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import datetime
from itertools import chain
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, get_args, overload

from attrs import define, field, fields, frozen

from pinwheel_async._core.arguments import is_more_than, meant, text_of, wrong
from pinwheel_async._core.model import Model
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._privacy import Discreet
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.events import EVENTS, Event
from pinwheel_async.models.job import JobOutcome
from pinwheel_async.webhooks._inbox.base import Entry

E = TypeVar("E", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
_OUTCOMES: tuple[str, ...] = get_args(JobOutcome)

HandlerCoroutine: TypeAlias = Coroutine[Any, Any, None]


@define(eq=False, kw_only=True, repr=False)
class Lease(Discreet):
    """Right to work on a delivery: until it ends, or another worker has the delivery."""

    ends_at: float
    """By *monotonic*."""
    monotonic: Callable[[], float]
    taken: bool = False
    """Whether another worker is known to have the delivery."""

    @property
    def lost(self) -> bool:
        """Whether another worker has the delivery, or may have: a process that was paused does not know."""
        return self.taken or self.monotonic() >= self.ends_at


@frozen(kw_only=True, repr=False)
class Context(Model):
    """Delivery of the event that a handler is called with: attempt, time, secret, subscription."""

    event_id: str
    """Id of the event; use it to make what the handler does repeatable."""
    attempt: int
    """Number of this attempt, from 1."""
    received_at: datetime
    """When the delivery arrived here, in UTC."""
    key: str
    """Name of the secret that signed the delivery."""
    version: str | None
    """Version of the webhook that delivered it."""
    webhook_id: str | None
    """Id of the subscription that delivered it."""
    traceparent: str | None
    """The sender's trace context, to link spans to."""
    app: Any
    """The aiohttp application given as `root`, else the sub-application; None without aiohttp."""
    token: int = 0
    """Fencing token of this run. Of the deliveries of one account a later run has a greater token, so they can be
    compared; tokens from different inboxes cannot. 0 without an inbox."""
    _lease: Lease | None = field(default=None, alias="lease")

    @property
    def lease_lost(self) -> bool:
        """Whether another run of this account may have begun beside this one, so that it should stop writing.

        It is so from the end of a lease that could not be renewed, as when the process or its event loop stood still
        for that long. To be asked in threads, too, which no cancellation reaches. Never so without an inbox.
        """
        return self._lease is not None and self._lease.lost

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name != "_lease"}


ErrorCallback: TypeAlias = Callable[[Event, Context, BaseException], Awaitable[None] | None]
DeathCallback: TypeAlias = Callable[[Entry], Awaitable[None] | None]


class Registrar(Protocol[E]):
    """Takes a handler of an event, or of the event and its context, and gives it back."""

    @overload
    def __call__(self, handler: Callable[[E], HandlerCoroutine], /) -> Callable[[E], HandlerCoroutine]: ...
    @overload
    def __call__(
        self, handler: Callable[[E, Context], HandlerCoroutine], /
    ) -> Callable[[E, Context], HandlerCoroutine]: ...


@frozen(eq=False)
class Handler(Generic[E]):
    """One registration; the same function registered twice is two handlers."""

    events: tuple[type[E], ...]
    call: Callable[..., HandlerCoroutine]
    name: str
    takes_context: bool
    outcome: JobOutcome | None
    retry: RetryPolicy | None
    timeout_s: float | None

    def start(self, event: Event, context: Context | None) -> HandlerCoroutine:
        """Make the coroutine that handles the event."""
        return self.call(event, context) if self.takes_context else self.call(event)


class Router:
    """Sends events to the handlers that were registered for them.

    ```python
    router = Router()

    @router.on(PaystubsFullySynced)
    async def on_paystubs(event: PaystubsFullySynced) -> None: ...
    ```

    Handlers of an event run one after another in the order of registration; a handler that fails does not keep the
    others from running. A delivery whose handlers did not all return comes again, and then only those run that have not
    returned yet, unless the process ended while it was handled. So handlers see an event **at least once**.
    """

    def __init__(self) -> None:
        self._entries: list[Handler[Any] | Router] = []
        self._error_callbacks: list[ErrorCallback] = []
        self._death_callbacks: list[DeathCallback] = []
        self._frozen: tuple[Handler[Any], ...] | None = None
        self._by_kind: dict[type[Event], tuple[tuple[Handler[Any], ...], bool]] = {}

    def __repr__(self) -> str:
        """Return how many handlers there are."""
        return f"<Router handlers={len(self.handlers())}>"

    @overload
    def on(
        self,
        event: type[E],
        /,
        *,
        outcome: JobOutcome | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Registrar[E]: ...
    @overload
    def on(
        self,
        first: type[E],
        second: type[E2],
        /,
        *,
        outcome: JobOutcome | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Registrar[E | E2]: ...
    @overload
    def on(
        self,
        first: type[E],
        second: type[E2],
        third: type[E3],
        /,
        *,
        outcome: JobOutcome | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Registrar[E | E2 | E3]: ...
    @overload
    def on(
        self,
        first: type[Event],
        second: type[Event],
        third: type[Event],
        fourth: type[Event],
        /,
        *more: type[Event],
        outcome: JobOutcome | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Registrar[Any]: ...
    def on(
        self,
        *events: type[Event],
        outcome: JobOutcome | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Registrar[Any]:
        """Register the decorated coroutine function for event classes and their subclasses.

        ```python
        @router.on(PaystubsFullySynced, outcome="success")
        async def on_paystubs(event: PaystubsFullySynced, context: Context) -> None: ...
        ```

        It takes the event, or the event and its `Context`, and returns when the event is done: what it raises lets the
        event come again.

        Args:
            events: Event classes such as `PaystubsAdded`, families such as `PaystubsEvent`, or `Event` for all. A
                handler of several takes their union; from four on its argument is not checked.
            outcome: Only events with this outcome; events that have none do not match.
            retry: How often and how patiently a failed event comes again; the receiver's policy if not given. Waits are
                at least half of what the policy allows.
            timeout_s: Seconds that one run may take; the receiver's limit if not given.

        Raises:
            ConfigurationError: *events* are no event classes, there is no such outcome, or one of *events* has none,
                the limit is not more than 0, the handler is no coroutine function, takes other arguments than the
                event, or the event and its `Context`, in this order, or is annotated for another event, or the receiver
                has started.
        """
        if self._frozen is not None:
            raise ConfigurationError("register handlers before the receiver starts: it has started")
        given: tuple[Any, ...] = events
        if not given or not all(isinstance(event, type) and issubclass(event, Event) for event in given):
            raise ConfigurationError("a handler is registered for event classes, such as PaystubsAdded")
        if outcome is not None and outcome not in _OUTCOMES:
            hint = meant(text_of(outcome) or "", _OUTCOMES)
            raise ConfigurationError(f"outcome must be one of {', '.join(_OUTCOMES)}{hint}")
        if outcome is not None and not all(map(_has_outcome, events)):
            without = [event.__name__ for event in events if not _has_outcome(event)]
            raise ConfigurationError(f"outcome must be left out: {', '.join(without)} has none, and would never match")
        given_retry: Any = retry
        if not isinstance(given_retry, RetryPolicy | None):
            raise ConfigurationError(wrong("retry", "a RetryPolicy, such as RetryPolicy(attempts=3)", given_retry))
        if timeout_s is not None and not is_more_than(timeout_s, 0):
            raise ConfigurationError(wrong("timeout_s", "more than 0, in seconds", timeout_s, float))

        def register(call: Callable[..., HandlerCoroutine]) -> Callable[..., HandlerCoroutine]:
            name = getattr(call, "__qualname__", type(call).__qualname__)
            takes_context = _takes_context(name, call)
            _check_annotations(name, call, events)
            self._entries.append(Handler(events, call, name, takes_context, outcome, retry, timeout_s))
            return call

        return cast("Registrar[Any]", register)

    def on_error(self, callback: ErrorCallback) -> ErrorCallback:
        """Register the decorated function to be called whenever a handler fails, for an error tracker.

        It is called with the event, its context and the exception: that of the handler, or a `TimeoutError` if its time
        was over. The exception may hold values, in its text and its frames. It may be a coroutine function, has five
        seconds, and what it raises is logged and changes nothing. It hears of all handlers of the receiver, whichever
        of its routers they belong to.

        Raises:
            ConfigurationError: It cannot be called, or the receiver has started.
        """
        self._register(self._error_callbacks, callback)
        return callback

    def on_dead(self, callback: DeathCallback) -> DeathCallback:
        """Register the decorated function to be called whenever a delivery is dead, to alarm somebody.

        It is called with an `Entry`: event, ids, attempts and reason, and nothing of the payload. See `on_error`.

        Raises:
            ConfigurationError: It cannot be called, or the receiver has started.
        """
        self._register(self._death_callbacks, callback)
        return callback

    def _register(self, callbacks: list[Any], callback: Any) -> None:
        if self._frozen is not None:
            raise ConfigurationError("register callbacks before the receiver starts: it has started")
        if not callable(callback):
            raise ConfigurationError(f"a callback must be a function, not {type(callback).__name__}")
        callbacks.append(callback)

    def error_callbacks(self) -> list[ErrorCallback]:
        """Return what is called when a handler fails, of this router and all it includes."""
        included = [router.error_callbacks() for router in self._entries if isinstance(router, Router)]
        return [*self._error_callbacks, *chain.from_iterable(included)]

    def death_callbacks(self) -> list[DeathCallback]:
        """Return what is called when a delivery is dead, of this router and all it includes."""
        included = [router.death_callbacks() for router in self._entries if isinstance(router, Router)]
        return [*self._death_callbacks, *chain.from_iterable(included)]

    def include(self, router: "Router") -> None:
        """Take over the handlers of another router, at this place in the order; it may get more until the start.

        Raises:
            ConfigurationError: It is no router, would include itself, or the receiver has started.
        """
        if self._frozen is not None:
            raise ConfigurationError("include routers before the receiver starts: it has started")
        given: Any = router
        if not isinstance(given, Router):
            raise ConfigurationError(wrong("what is included", "a Router", given) + _router_of(given))
        if any(included is self for included in router.routers()):
            raise ConfigurationError("a router cannot include itself")
        self._entries.append(router)

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return every handler in the order of registration, those of included routers at their place."""
        if self._frozen is not None:
            return self._frozen
        found: list[Handler[Any]] = []
        for entry in self._entries:
            found.extend(entry.handlers() if isinstance(entry, Router) else [entry])
        return tuple(found)

    def routers(self) -> "Iterator[Router]":
        """Iterate over this router and all it includes."""
        yield self
        for entry in self._entries:
            if isinstance(entry, Router):
                yield from entry.routers()

    def freeze(self) -> None:
        """Refuse registrations from now on; the receiver calls it at its start."""
        self._frozen = self.handlers()
        for entry in self._entries:
            if isinstance(entry, Router):
                entry.freeze()

    def matching(self, event: Event) -> tuple[Handler[Any], ...]:
        """Return the handlers of an event, in the order they run."""
        kind = type(event)
        found, by_outcome = self._by_kind.get(kind) or self._find(kind)
        if not by_outcome:
            return found
        outcome = getattr(event, "outcome", None)
        return tuple([handler for handler in found if handler.outcome is None or handler.outcome == outcome])

    def _find(self, kind: type[Event]) -> tuple[tuple[Handler[Any], ...], bool]:
        """Return the handlers of an event class, and whether any of them is for a single outcome."""
        handlers = tuple([handler for handler in self.handlers() if issubclass(kind, handler.events)])
        found = handlers, any(handler.outcome is not None for handler in handlers)
        if self._frozen is not None:
            self._by_kind[kind] = found  # not before: handlers may still be registered
        return found


def _takes_context(name: str, call: Callable[..., Any]) -> bool:
    if not inspect.iscoroutinefunction(call) and not inspect.iscoroutinefunction(type(call).__call__):
        raise ConfigurationError(f"handler {name} must be an async function")
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = inspect.signature(call).parameters.values()
    positional = [parameter for parameter in parameters if parameter.kind in kinds]
    required = [
        parameter
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind not in _VARIADIC
    ]
    if len(positional) < 1 or len(required) > 2 or any(parameter not in positional[:2] for parameter in required):
        raise ConfigurationError(f"handler {name} must take the event, or the event and its Context")
    return len([parameter for parameter in positional[:2] if parameter.default is parameter.empty]) == 2


def _router_of(given: object) -> str:
    """Return the end of a sentence about what has a router and is none, such as a `Readiness`."""
    return ": include its .router" if isinstance(getattr(given, "router", None), Router) else ""


def _has_outcome(event: type[Event]) -> bool:
    """Whether events of a class, or of one below it, have an outcome."""
    kinds = (kind for kind in (event, *EVENTS.values()) if issubclass(kind, event))
    return any(attribute.name == "outcome" for kind in kinds for attribute in fields(kind))


_CONTEXT_NAMES = frozenset(("context", "ctx"))


def _check_annotations(name: str, call: Callable[..., Any], events: tuple[type[Event], ...]) -> None:
    """Refuse a handler that expects something else in the place of the event, as far as its parameters say so."""
    try:
        parameters = list(inspect.signature(call, eval_str=True).parameters.values())
    except Exception:  # noqa: BLE001  # an annotation may be any expression, of names that are there for type checkers only
        parameters = list(inspect.signature(call).parameters.values())
    first = parameters[0]
    swapped = first.annotation is first.empty and first.name in _CONTEXT_NAMES and len(parameters) > 1
    if first.annotation is Context or swapped:
        raise ConfigurationError(f"handler {name} must take the event first, and then its Context")
    wanted = [kind for kind in get_args(first.annotation) or (first.annotation,) if _is_event(kind)]
    unmet = [
        event for event in events if not any(issubclass(event, kind) or issubclass(kind, event) for kind in wanted)
    ]
    if wanted and unmet:
        kinds = " | ".join(kind.__name__ for kind in wanted)
        raise ConfigurationError(f"handler {name} takes {kinds}, and is registered for {unmet[0].__name__}")


def _is_event(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event)


_VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
