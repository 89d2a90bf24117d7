"""What a sync did: while it runs, and when it is over. Ids and counts, never a payload value."""

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from pinwheel_async.errors import PinwheelError, SyncError
from pinwheel_async.products import Product
from pinwheel_async.sync._sink import Kind


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
    unchanged: int = 0
    """Accounts whose data was not fetched, because what the sink holds of it is up to date."""
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
    resumed: int = 0
    """How many times a list was gone on with where an earlier run had stopped."""
    stopped: bool = False
    """Whether the run was asked to stop before its end."""
    planned: Mapping[Kind, int] | None = None
    """Of a dry run, the requests that a run makes at least, by kind: one for each product of an account that is to be
    read, and under `accounts` what it takes to list or to look up the accounts. Null if the run was no dry run."""

    @property
    def ok(self) -> bool:
        """Whether the run came to its end and nothing failed. Data that is missing is no failure."""
        return not self.failures and not self.stopped

    @property
    def items(self) -> int:
        """Objects that reached the sink, over all products; the accounts themselves are not counted."""
        return sum(one.items for one in self.products.values())

    @property
    def missing(self) -> int:
        """How many times an account did not have a product, or not yet."""
        return sum(one.missing for one in self.products.values())

    @property
    def unchanged(self) -> int:
        """How many times a product of an account was not fetched, because the sink is up to date."""
        return sum(one.unchanged for one in self.products.values())

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
            "unchanged": self.unchanged,
            "missing": self.missing,
            "resumed": self.resumed,
            "stopped": self.stopped,
            "pages": self.pages,
            "seconds": round(self.seconds, 3),
            "products": {name: _counts(one) for name, one in self.products.items()},
            "failures": [_failure(one) for one in self.failures],
            "planned": None if self.planned is None else dict(self.planned),
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
    """Products of accounts that are over, whatever became of them; those that need not be fetched included."""
    units_total: int | None
    """Products of accounts there are; null until all accounts are known."""
    items: int
    """Objects that reached the sink."""
    pages: int
    """Pages that reached the sink, those that list the accounts included."""
    failures: int
    """Products of accounts that failed."""
    errors: Mapping[str, int]
    """How often each kind of error ended a product of an account, by the name of its class."""
    in_flight: int
    """Products of accounts that are being fetched now."""
    paused_s: float
    """Seconds until calls are sent again after the server asked to slow down; 0 when nothing waits for that."""
    elapsed_s: float
    """Seconds since the start."""
    eta_s: float | None
    """Seconds that the rest takes at the pace so far; null until all accounts are known."""


def _counts(counts: ProductCounts) -> dict[str, int]:
    names = ("items", "pages", "complete", "unchanged", "missing", "failed")
    return {name: getattr(counts, name) for name in names}


def _failure(failure: Failure) -> dict[str, str]:
    return {
        "account_id": failure.account_id,
        "product": failure.product,
        "error": type(failure.error).__name__,
        "message": str(failure.error),
    }
