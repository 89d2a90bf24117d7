"""Registering handlers, and choosing them."""

import functools

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.events import (
    AccountEvent,
    Event,
    IncomeAdded,
    JobEvent,
    PaystubsAdded,
    PaystubsEvent,
    UnknownEvent,
    decode_event,
)
from pinwheel_async.webhooks import Context, Router


def names(router, event):
    return [handler.name.rpartition(".")[2] for handler in router.matching(event)]


def test_order_is_that_of_registration(body):
    """Handlers of the class and of its bases run in the order in which they were registered."""
    router = Router()

    @router.on(Event)
    async def first(event: Event) -> None: ...

    @router.on(IncomeAdded)
    async def second(event: IncomeAdded) -> None: ...

    @router.on(JobEvent)
    async def third(event: JobEvent) -> None: ...

    @router.on(PaystubsAdded)
    async def other(event: PaystubsAdded) -> None: ...

    assert ["first", "second", "third"] == names(router, decode_event(body()).event)


def test_included_handlers_stand_at_their_place(body):
    """What an included router registers, even later, runs at the place where it was included."""
    router, inner = Router(), Router()

    @router.on(Event)
    async def before(event: Event) -> None: ...

    router.include(inner)

    @router.on(Event)
    async def after(event: Event) -> None: ...

    @inner.on(AccountEvent)
    async def inside(event: AccountEvent) -> None: ...

    assert ["before", "inside", "after"] == names(router, decode_event(body()).event)


@pytest.mark.parametrize(("outcome", "expected"), [("success", ["on_success"]), ("error", []), ("pending", [])])
def test_outcome_filter(body, outcome, expected):
    """A handler for one outcome gets events of that outcome only."""
    router = Router()

    @router.on(IncomeAdded, outcome="success")
    async def on_success(event: IncomeAdded) -> None: ...

    assert expected == names(router, decode_event(body(outcome=outcome)).event)


def test_outcome_filter_and_events_without_outcome(body):
    """An event that has no outcome does not match a handler that wants one."""
    router = Router()

    @router.on(Event, outcome="success")
    async def on_success(event: Event) -> None: ...

    assert [] == names(router, UnknownEvent(event_id="1", event="x"))


def test_family(body):
    """A handler of a family gets every event of it and no other."""
    router = Router()

    @router.on(PaystubsEvent)
    async def on_paystubs(event: PaystubsEvent) -> None: ...

    assert [] == names(router, decode_event(body()).event)
    assert ["on_paystubs"] == names(router, decode_event(body("paystubs.fully_synced", name="paystubs")).event)


def test_context_is_given_to_those_who_take_it():
    """Whether a handler takes the context is read from its signature; a partial or a callable object will do."""
    router = Router()

    class Callable:
        async def __call__(self, event: Event, context: Context) -> None: ...

    async def three(extra: int, event: Event) -> None: ...

    async def optional(event: Event, shade: str = "grey") -> None: ...

    router.on(Event)(Callable())
    router.on(Event)(functools.partial(three, 1))
    router.on(Event)(optional)

    assert [True, False, False] == [handler.takes_context for handler in router.handlers()]


def not_async(event):
    """Do nothing."""


async def no_argument():
    """Do nothing."""


async def too_many(event, context, more):
    """Do nothing."""


async def keyword_only(event, *, more):
    """Do nothing."""


@pytest.mark.parametrize("handler", [not_async, no_argument, too_many, keyword_only])
def test_handlers_that_cannot_be_called(handler):
    """A function that could not be called with an event is refused when it is registered, by its name."""
    with pytest.raises(ConfigurationError, match=handler.__name__):
        Router().on(Event)(handler)


def test_registering_after_the_start():
    """After the start a registration, also one in an included router, is refused, because it would be missed."""
    router, inner = Router(), Router()
    router.include(inner)
    router.freeze()

    for late in (router, inner):
        with pytest.raises(ConfigurationError, match="has started"):
            late.on(Event)
        with pytest.raises(ConfigurationError, match="has started"):
            late.include(Router())


def test_a_circle_of_routers():
    """A router cannot include itself, not even around a corner."""
    router, inner = Router(), Router()

    @inner.on(Event)
    async def handle(event: Event) -> None: ...

    router.include(inner)

    with pytest.raises(ConfigurationError, match="itself"):
        inner.include(router)
    with pytest.raises(ConfigurationError, match="itself"):
        router.include(router)


def test_repr():
    """The repr counts the handlers."""
    assert "<Router handlers=0>" == repr(Router())


@pytest.mark.parametrize(
    ("wanted", "options"), [("income.added", {}), (str, {}), (None, {}), (Event, {"timeout_s": 0})]
)
def test_what_cannot_be_wanted(wanted, options):
    """What is no event class, or no time, is refused when the handler is registered."""
    with pytest.raises(ConfigurationError):
        Router().on(wanted, **options)


def test_handlers_need_no_hash():
    """Any object that can be called may be a handler, also one that has no hash."""

    class Handler:
        __hash__ = None

        async def __call__(self, event: Event) -> None: ...

    router = Router()
    router.on(Event)(Handler())
    router.on(Event)(Handler())

    assert 2 == len(set(router.handlers()))


def test_before_and_after_the_freeze(body):
    """What matches is the same before the start and, however often it is asked for, after it."""
    router = Router()
    event = decode_event(body()).event

    @router.on(IncomeAdded)
    async def first(event: IncomeAdded) -> None: ...

    before = names(router, event)

    @router.on(JobEvent, outcome="success")
    async def second(event: JobEvent) -> None: ...

    router.freeze()

    assert ["first"] == before
    assert [["first", "second"]] * 2 == [names(router, event) for _ in range(2)]
    assert ["first"] == names(router, decode_event(body(outcome="error")).event)
