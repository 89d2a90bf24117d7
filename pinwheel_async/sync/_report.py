"""What a sync did: while it runs, and when it is over. Ids and counts, never a payload value."""

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from pinwheel_async.errors import PinwheelError, SyncError
from pinwheel_async.products import Product


@frozen(kw_only=True)
class Failure:
    """One product of one account that could not be fetched to its end."""

    account_id: str
    product: Product
    error: PinwheelError
    """Why, without traceback: the frames of a run that is over would keep its pages in memory."""


@frozen(kw_only=True)
class ProductCounts:
    """What became of one product over all accounts."""

    items: int = 0
    """Objects that reached the sink, those of a list that failed later included."""
    pages: int = 0
    """Pages that reached the sink."""
    complete: int = 0
    """Accounts whose data reached the sink to its end."""
    missing: int = 0
    """Accounts that do not have the data, or not yet: the server answered 404."""
    failed: int = 0
    """Accounts that failed."""


@frozen(kw_only=True)
class SyncReport:
    """What a finished run did."""

    accounts: int
    """Accounts that were visited."""
    pages: int
    """Pages that were fetched, those that list the accounts included. Retries are not counted."""
    seconds: float
    """How long the run took."""
    products: Mapping[Product, ProductCounts]
    """One entry for each product that was asked for."""
    failures: tuple[Failure, ...] = ()
    """Everything that failed, about half a kilobyte each; all are kept, so that all can be tried again."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed. Data that is missing is no failure."""
        return not self.failures

    @property
    def items(self) -> int:
        """Objects that reached the sink, over all products; the accounts themselves are not counted."""
        return sum(one.items for one in self.products.values())

    @property
    def missing(self) -> int:
        """How many times an account did not have a product, or not yet."""
        return sum(one.missing for one in self.products.values())

    def raise_for_errors(self) -> None:
        """Raise everything that failed as one group; do nothing if nothing did.

        Raises:
            SyncError: One leaf per account and product, with a note that names both.
        """
        if self.failures:
            what = "1 failure" if len(self.failures) == 1 else f"{len(self.failures)} failures"
            raise SyncError(f"the sync ended with {what}", [one.error for one in self.failures])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "ok": self.ok,
            "accounts": self.accounts,
            "items": self.items,
            "missing": self.missing,
            "pages": self.pages,
            "seconds": round(self.seconds, 3),
            "products": {name: _counts(one) for name, one in self.products.items()},
            "failures": [_failure(one) for one in self.failures],
        }

    def to_json(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps(self.to_dict())


@frozen(kw_only=True)
class Progress:
    """How far a run is. Counts only, so it can be shown and logged."""

    accounts_seen: int
    """Accounts that were taken up."""
    accounts_total: int | None
    """Accounts there are; null until all of them are known."""
    units_done: int
    """Products of accounts that are over, whatever became of them."""
    items: int
    """Objects that reached the sink."""
    failures: int
    """Products of accounts that failed."""
    elapsed_s: float
    """Seconds since the start."""


def _counts(counts: ProductCounts) -> dict[str, int]:
    names = ("items", "pages", "complete", "missing", "failed")
    return {name: getattr(counts, name) for name in names}


def _failure(failure: Failure) -> dict[str, str]:
    return {
        "account_id": failure.account_id,
        "product": failure.product,
        "error": type(failure.error).__name__,
        "message": str(failure.error),
    }
