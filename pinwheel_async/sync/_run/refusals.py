"""Refusals: whether a key that may not read some products may read anything at all."""

from pinwheel_async.errors import ForbiddenError
from pinwheel_async.sync._run.reading import Unit

_LEAST = 2
"""Accounts, and products where there are several, that have to be refused before nothing is expected to work."""


class Refusals:
    """The units that were answered with 403, as long as every answer of the run was one.

    A key may lack the right to a product, and an account may be closed to it: that costs these units. A key that may
    read nothing ends the run, or it would send millions of requests for nothing.

    Args:
        products: How many products the run is about.
    """

    def __init__(self, products: int) -> None:
        self._products = products
        self._refused: set[Unit] | None = set()
        """None as soon as anything was read, or is known to be up to date."""
        self._error: ForbiddenError | None = None

    def add(self, unit: Unit, error: ForbiddenError) -> None:
        """Note that a unit was refused."""
        if self._refused is not None:
            self._refused.add(unit)
            self._error = error

    def other_answer(self) -> None:
        """Note that something was not refused."""
        self._refused = self._error = None

    def verdict(self, least: int = 0) -> ForbiddenError | None:
        """Return the error that ends the run, if nothing can work.

        Args:
            least: Units that have to be refused for it: the answers that are under way may be others.
        """
        if self._refused is None or len(self._refused) < least:
            return None
        accounts = {unit.account_id for unit in self._refused}
        products = {unit.product for unit in self._refused}
        is_hopeless = len(accounts) >= _LEAST and len(products) >= min(_LEAST, self._products)
        return self._error if is_hopeless else None
