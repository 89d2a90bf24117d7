"""What may go wrong between the sender and the receiver, by throws of dice that follow from a seed."""

from random import Random

from attrs import define, field, frozen

LATE_S = (30.0, 600.0)
"""How many seconds a delivery is late, if it is: from, to."""


@frozen(kw_only=True)
class Copy:
    """One copy of a delivery that goes out."""

    late_s: float = 0.0
    corrupt: bool = False
    """Whether its signature is not good any more."""


@frozen(kw_only=True)
class Fate:
    """What happens to one delivery."""

    copies: tuple[Copy, ...]
    """What goes out; nothing, if it is lost."""
    swapped: bool
    """Whether the next delivery to the same webhook overtakes it."""


@define(kw_only=True)
class Mischief:
    """Chances from 0 to 1."""

    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    corrupt: float = 0.0
    lose: float = 0.0
    seed: int = 0
    _rng: Random = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        chances = (self.duplicate, self.reorder, self.delay, self.corrupt, self.lose)
        if not all(0 <= one <= 1 for one in chances):
            raise ValueError("chances are numbers from 0 to 1")
        self._rng = Random(self.seed)  # noqa: S311  # weather, not a secret

    def fate(self) -> Fate:
        """Throw the dice for the next delivery: always as many, so that one chance does not change the others."""
        hits = [self._rng.random() < one for one in (self.lose, self.reorder, self.corrupt, self.duplicate)]
        lates = [self._late(), self._late()]
        lost, swapped, corrupt, duplicate = hits
        if lost:
            return Fate(copies=(), swapped=False)
        copies = [Copy(late_s=late) for late in lates[: 1 + duplicate]]
        return Fate(copies=(*([Copy(corrupt=True)] if corrupt else []), *copies), swapped=swapped)

    def _late(self) -> float:
        hit, seconds = self._rng.random() < self.delay, self._rng.uniform(*LATE_S)
        return seconds if hit else 0.0
