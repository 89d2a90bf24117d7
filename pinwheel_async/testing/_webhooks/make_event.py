"""Factory of made-up events: what the fake would announce about the account of a seed."""

from typing import Any, TypeVar, cast, overload

import attrs

from pinwheel_async._core.arguments import meant
from pinwheel_async.events import EVENTS, Event, UnknownEvent, decode_event
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.testing._webhooks.body import OutgoingEvent
from pinwheel_async.testing._webhooks.payloads import Subject, payload_of
from pinwheel_async.testing._world.people import START
from pinwheel_async.testing._world.world import World

E = TypeVar("E", bound=Event)

_UNKNOWN = "some_product.changed"


@overload
def make_event(kind: type[E], seed: int = 0, **overrides: Any) -> E: ...
@overload
def make_event(kind: str, seed: int = 0, **overrides: Any) -> Event: ...
def make_event(kind: type[Event] | str, seed: int = 0, **overrides: Any) -> Event:
    """Make an event of any class; the keys are those that the API was seen to send.

    Args:
        kind: The class, no base class; or the name of the event, such as `paystubs.added`.
        seed: Another seed gives another account; `make(Paystub, 3)` and `make_event(PaystubsAdded, 3)` belong to the
            same.
        overrides: Values of fields, instead of made-up ones; they are not checked.

    Raises:
        TypeError: The class is that of no event, or has no such field.
        ValueError: There is no event of this name.
    """
    if isinstance(kind, str):
        if kind not in EVENTS:
            raise ValueError(f"there is no event {kind}{meant(kind, EVENTS)}")
        kind = EVENTS[kind]
    name = _UNKNOWN if issubclass(kind, UnknownEvent) else kind.NAME
    if not name:
        raise TypeError(f"{kind.__name__} is the class of no single event")
    world = World(accounts=1, seed=seed, api_secret="")
    account_id = world.account_id(0)
    world.recast(account_id, paystubs=4, shifts=2, tax_forms=1)
    subject = Subject(world=world, account_id=account_id, at=START, job_id=world.ids.make(f"job of {name}"))
    event = OutgoingEvent(world.ids.make(f"event {name}"), name, payload_of(name, subject))
    decoded: Any = decode_event(event.body(LATEST_VERSION), version=LATEST_VERSION).event
    return cast("Event", attrs.evolve(decoded, **overrides))
