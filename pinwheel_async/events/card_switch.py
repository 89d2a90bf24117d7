"""Payout cards, and switches of them: retired, webhooks can no longer ask for these events."""

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import frozen

from pinwheel_async._core.model import Model
from pinwheel_async.events._base import JobEvent, JobName, event


@frozen(kw_only=True, repr=False)
class CardSwitchParams(Model):
    """What a card switch did."""

    card_name: str | None = None
    """Name of the card that was added."""


@event("payout_cards.added")
@frozen(kw_only=True, repr=False)
class PayoutCardsAdded(JobEvent):
    """The payout cards of an account were fetched. Retired."""

    JOB: ClassVar[JobName | None] = "payout_cards"

    params: Mapping[str, Any] | None = None
    """Parameters of the job; none are documented."""


@event("card_switch.added")
@frozen(kw_only=True, repr=False)
class CardSwitchAdded(JobEvent):
    """The card that receives the pay was switched, or could not be. Retired."""

    JOB: ClassVar[JobName | None] = "card_switch"

    params: CardSwitchParams | None = None
    """What the switch did."""
