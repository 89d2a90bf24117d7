"""For tests, yours and ours: a Pinwheel API on loopback with faults to order, and models made up from nothing.

The fake answers requests and delivers webhooks; events and signed deliveries can be made without it, too.

Importing this package starts nothing and imports no server; a name brings its file in when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinwheel_async.testing._clock import FakeClock
    from pinwheel_async.testing._deliveries import Attempt
    from pinwheel_async.testing._events import make_event
    from pinwheel_async.testing._factories import (
        make,
        make_account,
        make_direct_deposit_allocations,
        make_employment,
        make_identity,
        make_income,
        make_paystub,
        make_shift,
        make_tax_form,
    )
    from pinwheel_async.testing._faults import Fault
    from pinwheel_async.testing._server import FakePinwheel, SeenRequest
    from pinwheel_async.testing._session import LinkSession
    from pinwheel_async.testing._signed import SignedDelivery, broken_deliveries, signed_delivery
    from pinwheel_async.testing._world import World

_HOMES = {
    "Attempt": "_deliveries",
    "FakeClock": "_clock",
    "FakePinwheel": "_server",
    "Fault": "_faults",
    "LinkSession": "_session",
    "SeenRequest": "_server",
    "SignedDelivery": "_signed",
    "World": "_world",
    "broken_deliveries": "_signed",
    "make": "_factories",
    "make_account": "_factories",
    "make_direct_deposit_allocations": "_factories",
    "make_employment": "_factories",
    "make_event": "_events",
    "make_identity": "_factories",
    "make_income": "_factories",
    "make_paystub": "_factories",
    "make_shift": "_factories",
    "make_tax_form": "_factories",
    "signed_delivery": "_signed",
}

__all__ = (
    "Attempt",
    "FakeClock",
    "FakePinwheel",
    "Fault",
    "LinkSession",
    "SeenRequest",
    "SignedDelivery",
    "World",
    "broken_deliveries",
    "make",
    "make_account",
    "make_direct_deposit_allocations",
    "make_employment",
    "make_event",
    "make_identity",
    "make_income",
    "make_paystub",
    "make_shift",
    "make_tax_form",
    "signed_delivery",
)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
