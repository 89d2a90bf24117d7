"""The router: which handlers want which events."""

import inspect
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, overload

from attrs import frozen

from pinwheel_async._core.fields import Model
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.events import Event
from pinwheel_async.models.job import JobOutcome

E = TypeVar("E", bound=Event)
Done: TypeAlias = Coroutine[Any, Any, None]


@frozen(kw_only=True, repr=False)
class Context(Model):
    """What a handler may want to know beside the event."""

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
    """The aiohttp application: the one given as `root`, else the sub-app; None where there is none."""


class Registrar(Protocol[E]):
    """Takes a handler of an event, or of the event and its context, and gives it back."""

    @overload
    def __call__(self, handler: Callable[[E], Done], /) -> Callable[[E], Done]: ...
    @overload
    def __call__(self, handler: Callable[[E, Context], Done], /) -> Callable[[E, Context], Done]: ...


@frozen(eq=False)
class Handler(Generic[E]):
    """One registration; the same function registered twice is two handlers."""

    event: type[E]
    call: Callable[..., Done]
    name: str
    takes_context: bool
    outcome: JobOutcome | None
    retry: RetryPolicy | None
    timeout_s: float | None

    def start(self, event: Event, context: Context | None) -> Done:
        """Make the coroutine that handles the event."""
        return self.call(event, context) if self.takes_context else self.call(event)


class Router:
    """Sends events to the handlers that were registered for them.

    ```python
    router = Router()

    @router.on(PaystubsFullySynced)
    async def on_paystubs(event: PaystubsFullySynced) -> None: ...
    ```

    Handlers of one event run one after another in the order of registration; one that fails does not keep the others
    from running. A delivery whose handlers did not all return comes again, and then only those run that have not
    returned yet, unless the process ended in between. So handlers see an event **at least once**.
    """

    def __init__(self) -> None:
        self._entries: list[Handler[Any] | Router] = []
        self._frozen: tuple[Handler[Any], ...] | None = None
        self._of_kind: dict[type[Event], tuple[tuple[Handler[Any], ...], bool]] = {}

    def __repr__(self) -> str:
        """Return how many handlers there are."""
        return f"<Router handlers={len(self.handlers())}>"

    def on(
        self,
        event: type[E],
        *,
        outcome: JobOutcome | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Registrar[E]:
        """Register the decorated coroutine function for an event class and its subclasses.

        Args:
            event: An event class such as `PaystubsAdded`, a family such as `PaystubsEvent`, or `Event` for all.
            outcome: Only events with this outcome; events that have none do not match.
            retry: How often and how patiently a failed event comes again; the receiver's policy if not given.
            timeout_s: Seconds that one run may take; the receiver's limit if not given.

        Raises:
            ConfigurationError: What is wanted is no event class, the limit is not more than 0, the handler is no
                coroutine function or takes other arguments than the event, or the event and its `Context`, or the
                receiver has started.
        """
        if self._frozen is not None:
            raise ConfigurationError("register handlers before the receiver starts: it has started")
        given: Any = event
        if not isinstance(given, type) or not issubclass(given, Event):
            raise ConfigurationError("a handler is registered for an event class, such as PaystubsAdded")
        if timeout_s is not None and timeout_s <= 0:
            raise ConfigurationError("timeout_s must be more than 0")

        def register(call: Callable[..., Done]) -> Callable[..., Done]:
            name = getattr(call, "__qualname__", type(call).__qualname__)
            takes_context = _takes_context(name, call)
            self._entries.append(Handler(event, call, name, takes_context, outcome, retry, timeout_s))
            return call

        return cast("Registrar[E]", register)

    def include(self, router: "Router") -> None:
        """Take over the handlers of another router, at this place in the order; it may get more until the start.

        Raises:
            ConfigurationError: A router would include itself, or the receiver has started.
        """
        if self._frozen is not None:
            raise ConfigurationError("include routers before the receiver starts: it has started")
        if any(one is self for one in router.routers()):
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
        found, choosy = self._of_kind.get(kind) or self._find(kind)
        if not choosy:
            return found
        outcome = getattr(event, "outcome", None)
        return tuple([one for one in found if one.outcome is None or one.outcome == outcome])

    def _find(self, kind: type[Event]) -> tuple[tuple[Handler[Any], ...], bool]:
        """Return the handlers of a class, and whether any of them wants one outcome only."""
        handlers = tuple([one for one in self.handlers() if issubclass(kind, one.event)])
        found = handlers, any(one.outcome is not None for one in handlers)
        if self._frozen is not None:
            self._of_kind[kind] = found
        return found


def _takes_context(name: str, call: Callable[..., Any]) -> bool:
    if not inspect.iscoroutinefunction(call) and not inspect.iscoroutinefunction(type(call).__call__):
        raise ConfigurationError(f"handler {name} must be an async function")
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = inspect.signature(call).parameters.values()
    positional = [one for one in parameters if one.kind in kinds]
    needed = [one for one in parameters if one.default is one.empty and one.kind not in _VARIADIC]
    if len(positional) < 1 or len(needed) > 2 or any(one not in positional[:2] for one in needed):
        raise ConfigurationError(f"handler {name} must take the event, or the event and its Context")
    return len([one for one in positional[:2] if one.default is one.empty]) == 2


_VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
