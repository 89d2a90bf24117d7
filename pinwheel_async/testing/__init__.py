"""For tests, yours and ours: a Pinwheel API on loopback with faults to order, and models made up from nothing.

Importing this package starts nothing and imports no server; a name brings its file in when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from pinwheel_async.testing._world import World

_HOMES = {
    "FakePinwheel": "_server",
    "Fault": "_faults",
    "SeenRequest": "_server",
    "World": "_world",
    "make": "_factories",
    "make_account": "_factories",
    "make_direct_deposit_allocations": "_factories",
    "make_employment": "_factories",
    "make_identity": "_factories",
    "make_income": "_factories",
    "make_paystub": "_factories",
    "make_shift": "_factories",
    "make_tax_form": "_factories",
}

__all__ = (
    "FakePinwheel",
    "Fault",
    "SeenRequest",
    "World",
    "make",
    "make_account",
    "make_direct_deposit_allocations",
    "make_employment",
    "make_identity",
    "make_income",
    "make_paystub",
    "make_shift",
    "make_tax_form",
)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
