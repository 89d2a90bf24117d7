"""Fault injection for webhooks: repeated, reordered, late, corrupt and lost deliveries, chosen at random by a seed."""

from random import Random

from attrs import define, field, frozen

from pinwheel_async._privacy import Discreet

LATE_S = (30.0, 600.0)
"""How many seconds a delivery is late, if it is: from, to."""


@frozen(kw_only=True)
class Copy:
    """One copy of a delivery that goes out."""

    late_s: float = 0.0
    corrupt: bool = False
    """Whether its signature is not good any more."""


@frozen(kw_only=True)
class DeliveryPlan:
    """Faults of one delivery."""

    copies: tuple[Copy, ...]
    """Copies that go out; none, if it is lost."""
    is_reordered: bool
    """Whether the next delivery to the same webhook overtakes it."""


@define(kw_only=True)
class DeliveryFaults(Discreet):
    """Chance of each fault, from 0 to 1."""

    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    corrupt: float = 0.0
    lose: float = 0.0
    seed: int = 0
    _rng: Random = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        chances = (self.duplicate, self.reorder, self.delay, self.corrupt, self.lose)
        if not all(0 <= chance <= 1 for chance in chances):
            raise ValueError("chances are numbers from 0 to 1")
        self._rng = Random(self.seed)  # noqa: S311  # chance, not a secret

    def plan(self) -> DeliveryPlan:
        """Choose the faults of the next delivery.

        The same number of random values is drawn for each, so that the chance of one fault does not change the others.
        """
        chances = (self.lose, self.reorder, self.corrupt, self.duplicate)
        is_lost, is_reordered, is_corrupt, is_repeated = [self._rng.random() < chance for chance in chances]
        delays_s = [self._delay_s(), self._delay_s()]
        if is_lost:
            return DeliveryPlan(copies=(), is_reordered=False)
        copies = [Copy(late_s=delay_s) for delay_s in delays_s[: 1 + is_repeated]]
        spoiled = [Copy(corrupt=True)] if is_corrupt else []
        return DeliveryPlan(copies=(*spoiled, *copies), is_reordered=is_reordered)

    def _delay_s(self) -> float:
        hit, seconds = self._rng.random() < self.delay, self._rng.uniform(*LATE_S)
        return seconds if hit else 0.0
