"""Test helpers: a fake server of the Pinwheel API with fault injection, and factories of models and events.

The fake answers requests and delivers webhooks; events and signed deliveries can be made without it, too.

Importing this package starts nothing and imports no server; a name brings its file in when it is first asked for.
"""

from typing import TYPE_CHECKING

from pinwheel_async import _lazy

if TYPE_CHECKING:
    from pinwheel_async.testing._api.faults import Fault
    from pinwheel_async.testing._clock import FakeClock
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
    from pinwheel_async.testing._fake import FakePinwheel, SeenRequest
    from pinwheel_async.testing._harness import ReceiverHarness, assert_handled
    from pinwheel_async.testing._recorder.recorder import CassettePlayer, Recorder
    from pinwheel_async.testing._webhooks.link_session import LinkSession
    from pinwheel_async.testing._webhooks.make_event import make_event
    from pinwheel_async.testing._webhooks.outbox import Attempt
    from pinwheel_async.testing._webhooks.scenarios import PlayedScenario, ScenarioName
    from pinwheel_async.testing._webhooks.signed import SignedDelivery, broken_deliveries, signed_delivery
    from pinwheel_async.testing._world.world import World

_HOMES = {
    "Attempt": "_webhooks.outbox",
    "CassettePlayer": "_recorder.recorder",
    "FakeClock": "_clock",
    "FakePinwheel": "_fake",
    "Fault": "_api.faults",
    "LinkSession": "_webhooks.link_session",
    "PlayedScenario": "_webhooks.scenarios",
    "ReceiverHarness": "_harness",
    "Recorder": "_recorder.recorder",
    "ScenarioName": "_webhooks.scenarios",
    "SeenRequest": "_fake",
    "SignedDelivery": "_webhooks.signed",
    "World": "_world.world",
    "assert_handled": "_harness",
    "broken_deliveries": "_webhooks.signed",
    "make": "_factories",
    "make_account": "_factories",
    "make_direct_deposit_allocations": "_factories",
    "make_employment": "_factories",
    "make_event": "_webhooks.make_event",
    "make_identity": "_factories",
    "make_income": "_factories",
    "make_paystub": "_factories",
    "make_shift": "_factories",
    "make_tax_form": "_factories",
    "signed_delivery": "_webhooks.signed",
}

__all__ = (
    "Attempt",
    "CassettePlayer",
    "FakeClock",
    "FakePinwheel",
    "Fault",
    "LinkSession",
    "PlayedScenario",
    "ReceiverHarness",
    "Recorder",
    "ScenarioName",
    "SeenRequest",
    "SignedDelivery",
    "World",
    "assert_handled",
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

if not TYPE_CHECKING:  # a checker that saw this would let misspelt names pass
    __getattr__, __dir__ = _lazy.attach(__name__, {name: f"{__name__}.{home}" for name, home in _HOMES.items()})
