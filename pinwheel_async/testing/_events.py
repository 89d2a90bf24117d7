"""Events for tests, made up: what the fake would announce about the account of a seed."""

from typing import Any, TypeVar, cast

import attrs

from pinwheel_async.events import Event, UnknownEvent, decode_event
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.testing._bodies import Letter
from pinwheel_async.testing._payloads import Subject, payload_of
from pinwheel_async.testing._people import START
from pinwheel_async.testing._world import World

E = TypeVar("E", bound=Event)

_UNKNOWN = "some_product.changed"


def make_event(kind: type[E], seed: int = 0, **overrides: Any) -> E:
    """Make an event of any class; the keys are those that the API was seen to send.

    Args:
        kind: The class; no base class.
        seed: Another seed gives another account; `make(Paystub, 3)` and `make_event(PaystubsAdded, 3)` belong to the
            same.
        overrides: Values of fields, instead of made-up ones; they are not checked.

    Raises:
        TypeError: The class is that of no event, or has no such field.
    """
    name = _UNKNOWN if issubclass(kind, UnknownEvent) else kind.NAME
    if not name:
        raise TypeError(f"{kind.__name__} is the class of no single event")
    world = World(accounts=1, seed=seed, api_secret="")
    account_id = world.account_id(0)
    world.recast(account_id, paystubs=4, shifts=2, tax_forms=1)
    subject = Subject(world=world, account_id=account_id, at=START, job_id=world.ids.make(f"job of {name}"))
    letter = Letter(world.ids.make(f"event {name}"), name, payload_of(name, subject))
    found: Any = decode_event(letter.body(LATEST_VERSION), version=LATEST_VERSION).event
    return cast("E", attrs.evolve(found, **overrides))
