"""Registering handlers, and choosing them."""

import functools
from datetime import UTC, datetime
from typing import TypeVar

import attrs
import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.events import (
    EVENTS,
    AccountAdded,
    AccountEvent,
    Event,
    IncomeAdded,
    JobEvent,
    PaystubsAdded,
    PaystubsEvent,
    UnknownEvent,
    decode_event,
)
from pinwheel_async.webhooks import Context, Readiness, Router
from pinwheel_async.webhooks._router import Lease

E = TypeVar("E", bound=Event)


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
    """Handlers of an included router, even later ones, run at the place where it was included."""
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
    ("wanted", "options"),
    [
        ("income.added", {}),
        (str, {}),
        (None, {}),
        (Event, {"timeout_s": 0}),
        (Event, {"outcome": 7}),
        (Event, {"outcome": []}),
    ],
)
def test_what_cannot_be_wanted(wanted, options):
    """An argument that is no event class, or no time, is refused when the handler is registered."""
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
    """The same handlers match before the start and after it, however often they are asked for."""
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


def test_context_as_plain_values():
    """A context turned into plain values holds its token, and nothing of its lease."""
    values = {"event_id": "1", "attempt": 1, "received_at": datetime(2026, 1, 1, tzinfo=UTC), "key": "k", "token": 7}
    lease = Lease(ends_at=10, monotonic=lambda: 10)
    context = Context(**values, version=None, webhook_id=None, traceparent=None, app=None, lease=lease)

    assert context.lease_lost
    assert {"token": 7} == {
        name: value for name, value in context.to_dict().items() if "lease" in name or name == "token"
    }
    assert '"token":7' in context.to_json()


def test_several_events(body):
    """A handler of several event classes gets each of their events once, and no other."""
    router = Router()

    @router.on(IncomeAdded, PaystubsEvent, AccountEvent, JobEvent)
    async def on_several(event: Event) -> None: ...

    @router.on(PaystubsAdded, PaystubsEvent)
    async def on_paystubs(event: PaystubsAdded | PaystubsEvent) -> None: ...

    assert ["on_several"] == names(router, decode_event(body()).event)
    assert ["on_several", "on_paystubs"] == names(
        router, decode_event(body("paystubs.fully_synced", name="paystubs")).event
    )
    assert [] == names(router, UnknownEvent(event_id="1", event="x"))


@pytest.mark.parametrize("events", [(), (Event, str), (Event, "income.added")])
def test_what_is_no_event_among_several(events):
    """Each of several arguments must be an event class, and there must be one."""
    with pytest.raises(ConfigurationError, match="registered for event classes"):
        Router().on(*events)


@pytest.mark.parametrize(
    ("outcome", "hint"), [("succeeded", "; did you mean success?"), ("fail", ""), ("Error", "; did you mean error?")]
)
def test_an_outcome_that_there_is_not(outcome, hint):
    """A handler of an unknown outcome would never run: it is refused, and told what was probably meant."""
    with pytest.raises(ConfigurationError) as caught:
        Router().on(IncomeAdded, outcome=outcome)

    assert f"outcome must be one of pending, error, success{hint}" == str(caught.value)


WITH_OUTCOME = [kind for kind in EVENTS.values() if any(field.name == "outcome" for field in attrs.fields(kind))]


@pytest.mark.parametrize("kind", [*EVENTS.values(), UnknownEvent, AccountEvent, JobEvent, PaystubsEvent, Event])
def test_outcome_that_never_matches(kind):
    """An outcome is taken for events that have one, and for families of which some have; for others it is refused."""
    if any(issubclass(event, kind) for event in WITH_OUTCOME):
        Router().on(kind, outcome="success")
    else:
        with pytest.raises(ConfigurationError, match=f"outcome must be left out: {kind.__name__} has none"):
            Router().on(kind, outcome="success")


def test_outcome_of_some_of_several():
    """An outcome is refused if one of several event classes has none: its handler would never run for that one."""
    with pytest.raises(ConfigurationError, match="AccountAdded has none"):
        Router().on(PaystubsAdded, AccountAdded, outcome="success")


async def unannotated(event): ...
async def of_a_base(event: Event): ...
async def of_a_union(event: PaystubsAdded | IncomeAdded, context: Context): ...
async def in_text(event: "PaystubsAdded", context: "Context | None" = None): ...
async def of_unknown_names(event: "Missing"): ...  # noqa: F821
async def of_something_else(event: object): ...
async def of_a_type_variable(event: E): ...


@pytest.mark.parametrize(
    "handler",
    [unannotated, of_a_base, of_a_union, in_text, of_unknown_names, of_something_else, of_a_type_variable],
)
def test_annotations_that_fit(handler):
    """A handler may be annotated with the event, with a base of it, with a union, or with what cannot be told."""
    router = Router()
    router.on(PaystubsAdded)(handler)

    assert len(router.handlers()) == 1


async def swapped(context: Context, event: PaystubsAdded): ...
async def swapped_in_text(context: "Context", event: "PaystubsAdded"): ...
async def swapped_by_name(context, event): ...
async def swapped_by_short_name(ctx, event): ...
async def only_context(context: Context): ...


@pytest.mark.parametrize(
    "handler",
    [
        swapped,
        swapped_in_text,
        swapped_by_name,
        swapped_by_short_name,
        only_context,
        functools.partial(swapped),
    ],
)
def test_swapped_arguments(handler):
    """A handler that takes its context first is refused: it would be called with the event in its place."""
    with pytest.raises(ConfigurationError, match="must take the event first, and then its Context"):
        Router().on(PaystubsAdded)(handler)


async def of_income(event: IncomeAdded): ...
async def of_other_union(event: "IncomeAdded | AccountAdded"): ...


@pytest.mark.parametrize("handler", [of_income, of_other_union])
@pytest.mark.parametrize("events", [[PaystubsAdded], [IncomeAdded, PaystubsAdded], [PaystubsEvent]])
def test_annotated_for_another_event(handler, events):
    """A handler that is annotated for other events than those it is registered for is refused, with both names."""
    with pytest.raises(ConfigurationError, match=r"takes IncomeAdded.*registered for Paystubs"):
        Router().on(*events)(handler)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"retry": 3}, "retry must be a RetryPolicy, such as .*, not int"),
        ({"timeout_s": "3"}, "timeout_s must be more than 0, in seconds, not str"),
        ({"timeout_s": 0}, "timeout_s must be more than 0"),
    ],
)
def test_options_of_another_kind(arguments, problem):
    """Options of a handler that are of another kind are refused by name."""
    with pytest.raises(ConfigurationError, match=problem):
        Router().on(PaystubsAdded, **arguments)


def test_included_by_its_owner():
    """What has a router and is none, such as a `Readiness`, is told how to be included; other things are refused."""
    with pytest.raises(ConfigurationError, match=r"not Readiness: include its \.router"):
        Router().include(Readiness())
    with pytest.raises(ConfigurationError, match="must be a Router, not function"):
        Router().include(swapped)
