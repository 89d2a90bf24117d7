"""Readiness of an account and its products: a state machine's outcome, derived from the history; pure functions."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Literal, TypeAlias, cast

from attrs import frozen

from pinwheel_async._core.model import Model
from pinwheel_async.errors import PinwheelError, RequestError
from pinwheel_async.products import PRODUCTS, Product, read_products
from pinwheel_async.webhooks._readiness.history import AccountHistory, Notes, ProductHistory, merged, platform_of

ProductStatus: TypeAlias = Literal["waiting", "in_progress", "pending", "succeeded", "failed", "unsupported"]
"""Waiting: nothing is known of it. In progress: some of the data is there. Pending: it failed once, and is retried
within 24 hours. The other three are final: all data is there, there will be none, the platform has none."""

FINAL: frozenset[ProductStatus] = frozenset({"succeeded", "failed", "unsupported"})

DEFAULT_PRODUCTS: tuple[Product, ...] = ("paystubs", "income")
"""Products that make an account ready if no others are named."""

_PROGRESS: Mapping[int | None, float] = {None: 0.1, 7: 0.25, 30: 0.5, 90: 0.75}


@frozen(kw_only=True, repr=False)
class ProductReadiness(Model):
    """Readiness of one product of an account."""

    status: ProductStatus
    """Status, derived from the events that came and from what the API knew of the account."""
    updated_at: datetime | None = None
    """When the newest of its events happened; null if none has come."""
    error_type: str | None = None
    """Broad class of the error, see `JobEvent`; null unless it failed."""
    error_code: str | None = None
    """Specific error, stable for programs; null unless it failed."""
    days_synced: int | None = None
    """Days of history that are there, counted from the newest item: 7, 30 or 90; null before the first such milestone,
    and for products that are no lists."""

    def _shown(self) -> Iterator[tuple[str, object]]:
        """Yield the status, which is ours, and nothing of what the events said."""
        yield "status", self.status

    @property
    def final(self) -> bool:
        """Whether it stays so: succeeded, failed or unsupported."""
        return self.status in FINAL

    @property
    def progress(self) -> float:
        """Share that is done, 0 to 1: an estimate by the milestones that were reached, 1 if it is final."""
        if self.final:
            return 1.0
        return _PROGRESS[self.days_synced] if self.status == "in_progress" else 0.0


@frozen(kw_only=True, repr=False)
class AccountReadiness(Model):
    """Readiness of the products of an account, at a moment."""

    account_id: str
    wanted: tuple[Product, ...]
    """Products that were asked about; the properties count only these, unless others are named."""
    products: Mapping[Product, ProductReadiness]
    """Every product, asked about or not."""
    platform_id: str | None = None
    """Platform of the account; null while it is not known."""
    added_at: datetime | None = None
    """When the account was added; null until that event has come."""

    def _shown(self) -> Iterator[tuple[str, object]]:
        """Yield the account's id and the statuses, which are ours."""
        yield from super()._shown()
        yield from ((name, self.products[name].status) for name in self.wanted)

    def ready(self, products: Iterable[Product] | None = None) -> bool:
        """Whether there is nothing left to wait for: each of these products is succeeded, failed or unsupported."""
        return all(self.products[name].final for name in (self.wanted if products is None else products))

    @property
    def progress(self) -> float:
        """Share that is done, 0 to 1: the mean over the products. It may go back when the user connects again."""
        return sum(self.products[name].progress for name in self.wanted) / max(len(self.wanted), 1)

    @property
    def succeeded(self) -> tuple[Product, ...]:
        """Products that are there."""
        return self._with("succeeded")

    @property
    def failed(self) -> tuple[Product, ...]:
        """Products that could not be fetched."""
        return self._with("failed")

    @property
    def unsupported(self) -> tuple[Product, ...]:
        """Products that the platform does not have."""
        return self._with("unsupported")

    @property
    def pending(self) -> tuple[Product, ...]:
        """Products that failed once and are tried again, within 24 hours."""
        return self._with("pending")

    @property
    def unfinished(self) -> tuple[Product, ...]:
        """Products that may still change: pending, in progress, or without any event."""
        return tuple([name for name in self.wanted if not self.products[name].final])

    def _with(self, status: ProductStatus) -> tuple[Product, ...]:
        return tuple([name for name in self.wanted if self.products[name].status == status])


class NotReadyError(PinwheelError, TimeoutError):
    """The account, or an account of the end user, was not ready in time.

    Attributes:
        states: Readiness of each account at that moment; empty if the end user has none.
    """

    def __init__(self, states: Collection[AccountReadiness], *, timeout_s: float) -> None:
        self.states: tuple[AccountReadiness, ...] = tuple(states)
        missing = [f"{name} ({state.products[name].status})" for state in self.states for name in state.unfinished]
        what = ", ".join(missing) if self.states else "the end user has no account"
        super().__init__(f"not ready after {timeout_s:g} s: {what}")


def checked(products: Collection[Product]) -> tuple[Product, ...]:
    """Return the products without repetitions.

    Raises:
        RequestError: There is none, or something else among them.
    """
    problems: list[str] = []
    wanted = read_products(products, problems)
    if problems:
        raise RequestError(problems)
    return wanted


def readiness_of(
    account_id: str,
    history: AccountHistory | None,
    notes: Notes | None,
    *,
    wanted: tuple[Product, ...],
    supported: Collection[str] | None,
) -> AccountReadiness:
    """Derive the readiness of an account.

    Args:
        account_id: The account.
        history: History of its events.
        notes: Notes beside it, and what the API knew.
        wanted: The products that are asked about.
        supported: Names of the jobs that the platform supports; None if that is not known.
    """
    heard: Mapping[str, ProductHistory] = history.products if history else {}
    seen: Mapping[str, ProductHistory] = notes.seen if notes else {}
    products = {
        name: merged(heard.get(name, ProductHistory()), seen.get(name, ProductHistory())) for name in {*heard, *seen}
    }
    return AccountReadiness(
        account_id=account_id,
        wanted=wanted,
        products={name: _product(products.get(name), supported is None or name in supported) for name in PRODUCTS},
        platform_id=platform_of(history, notes),
        added_at=history.added_at if history else None,
    )


def expected(notes: Notes | None, supported: Collection[str] | None) -> tuple[Product, ...]:
    """Return the products that an account should have in the end: those waited for, else those of its platform."""
    wanted: Collection[str] = (
        notes.waited if notes and notes.waited else DEFAULT_PRODUCTS if supported is None else supported
    )
    return tuple([name for name in PRODUCTS if name in set(wanted)])


def _product(product: ProductHistory | None, supported: bool) -> ProductReadiness:
    if product is None or product == ProductHistory():
        return ProductReadiness(status="waiting" if supported else "unsupported")
    status = _status(product)
    failed = status == "failed"
    moments = (product.succeeded_at, product.failed_at, product.pending_at, product.partial_at)
    return ProductReadiness(
        status=status,
        updated_at=max(moment for moment in moments if moment is not None),
        error_type=product.error_type if failed else None,
        error_code=product.error_code if failed else None,
        days_synced=product.days_synced,
    )


def _status(product: ProductHistory) -> ProductStatus:
    if product.succeeded_at is not None:  # data that is there stays there, even if a later refresh fails
        return "succeeded"
    moments = ((product.partial_at, "in_progress"), (product.pending_at, "pending"), (product.failed_at, "failed"))
    known = [(at, status) for at, status in moments if at is not None]
    newest = max(at for at, _ in known)
    # Of the same moment the last in this order counts: final before not final.
    return cast("ProductStatus", [status for at, status in known if at == newest][-1])
