"""Report and progress of a sync: ids and counts, never a payload value."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from pinwheel_async._core.converter import Serializable
from pinwheel_async.errors import PinwheelError, SyncError
from pinwheel_async.products import Product
from pinwheel_async.sync._sink import Kind


@frozen(kw_only=True)
class SyncFailure(Serializable):
    """One product of one account that could not be fetched to its end, or an account that could not be stored."""

    account_id: str | None
    """Null where an account was listed in a way that not even its id could be read, and where the list of accounts
    itself is not believed."""
    product: Kind
    """`accounts` where the account itself could not be read, or not be stored."""
    error: PinwheelError
    """Why, without traceback: the frames of a run that is over would keep its pages in memory."""

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Put class, message and facts of the error beside account and product."""
        return {**fields, **fields["error"]}

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> "tuple[type[SyncFailure], Any, str] | str":
        return cls, {**document, "error": document}, ""


@frozen(kw_only=True)
class ProductCounts(Serializable):
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
    contradicted: int = 0
    """Accounts among those that are missing or unchanged that say that they have the data, and answered 404: they are
    asked again, less and less often."""
    failed: int = 0
    """Accounts that failed."""
    held_back: int = 0
    """Readings that would have removed much, or contradicted themselves, and were repeated. What came of it is counted
    as complete, or as failed if no two of them said the same."""
    overtaken: int = 0
    """Accounts of which another process began a newer reading meanwhile: no failure, its data is newer."""


@frozen(kw_only=True)
class SyncReport(Serializable):
    """What a run did, whatever ended it."""

    accounts: int
    """Accounts that were visited."""
    pages: int
    """Pages that were fetched, those that list the accounts included. Retries are not counted."""
    seconds: float
    """How long the run took."""
    products: Mapping[Product, ProductCounts]
    """One entry for each product that was asked for."""
    failures: tuple[SyncFailure, ...] = ()
    """Everything that failed, about half a kilobyte each; all are kept, so that all can be tried again."""
    erased: int = 0
    """Accounts that were left out, because they were erased from the copy."""
    gone: int = 0
    """Accounts that neither this run's list nor the whole list before it named: they are marked as deleted, and what is
    stored of them stays."""
    lists_held_back: int = 0
    """Readings of the list of accounts that lacked much of what is stored, or contradicted themselves, and were
    repeated. If no two in a row said the same, it is a failure without an account."""
    resumed: int = 0
    """How many times a list was gone on with where an earlier run had stopped."""
    stopped: bool = False
    """Whether the run was asked to stop before its end."""
    ended_by: str | None = None
    """Name of the error that ended the run; null if it came to its end, or was asked to stop."""
    planned: Mapping[Kind, int] | None = None
    """Of a dry run, the requests that a run makes at least, by kind: one for each product of an account that is to be
    read, and under `accounts` what it takes to list or to look up the accounts. Null if the run was no dry run."""

    @property
    def ok(self) -> bool:
        """Whether the run came to its end and nothing failed. Data that is missing is no failure."""
        return not (self.failures or self.stopped or self.ended_by)

    @property
    def items(self) -> int:
        """Objects that reached the sink, over all products; the accounts themselves are not counted."""
        return sum(counts.items for counts in self.products.values())

    @property
    def missing(self) -> int:
        """How many times an account did not have a product, or not yet."""
        return sum(counts.missing for counts in self.products.values())

    @property
    def contradicted(self) -> int:
        """How many times an account says that there is data and the copy has none, because the server answered 404."""
        return sum(counts.contradicted for counts in self.products.values())

    @property
    def held_back(self) -> int:
        """How many readings were not believed at once, those of the list of accounts included."""
        return self.lists_held_back + sum(counts.held_back for counts in self.products.values())

    @property
    def unchanged(self) -> int:
        """How many times a product of an account was not fetched, because the sink is up to date."""
        return sum(counts.unchanged for counts in self.products.values())

    def raise_for_errors(self) -> None:
        """Raise everything that failed as one group; do nothing if nothing did.

        Raises:
            SyncError: One leaf per account and product, with a note that names both.
        """
        if self.failures:
            what = "1 failure" if len(self.failures) == 1 else f"{len(self.failures)} failures"
            raise SyncError(f"the sync ended with {what}", [failure.error for failure in self.failures])

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Put what follows from the fields before them."""
        totals = {
            "items": self.items,
            "unchanged": self.unchanged,
            "missing": self.missing,
            "contradicted": self.contradicted,
            "held_back": self.held_back,
        }
        return {"ok": self.ok, **totals, **fields}


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
