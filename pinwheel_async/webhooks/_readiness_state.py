"""How far the data of an account is, as values: what follows from what is remembered of it. Nothing here awaits."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Literal, TypeAlias, cast

from attrs import frozen

from pinwheel_async._core.fields import Model
from pinwheel_async.errors import PinwheelError, RequestError
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.webhooks._readiness_history import Heard, History, Notes, platform_of

ProductStatus: TypeAlias = Literal["waiting", "in_progress", "pending", "succeeded", "failed", "unsupported"]
"""Waiting: nothing was heard. In progress: some of it is there. Pending: it failed once, and is tried again within 24
hours. The other three are final: all of it is there, there will be none, the platform has none."""

FINAL: frozenset[ProductStatus] = frozenset({"succeeded", "failed", "unsupported"})

USUAL: tuple[Product, ...] = ("paystubs", "income")
"""What an account is ready for where nobody says otherwise."""

_SHARES: Mapping[int | None, float] = {None: 0.1, 7: 0.25, 30: 0.5, 90: 0.75}


@frozen(kw_only=True, repr=False)
class ProductReadiness(Model):
    """How far one product of an account is."""

    status: ProductStatus
    """How far it is."""
    updated_at: datetime | None = None
    """When the newest thing happened that was heard of it; null if nothing was."""
    error_type: str | None = None
    """Broad class of the error, see `JobEvent`; null unless it failed."""
    error_code: str | None = None
    """Specific error, stable for programs; null unless it failed."""
    days_synced: int | None = None
    """Days of history that are there, counted from the newest item: 7, 30 or 90; null before the first such mark, and
    for what is no list."""

    def __repr__(self) -> str:
        """Return the status, which is ours, and nothing of what the events said."""
        return f"<ProductReadiness {self.status}>"

    @property
    def final(self) -> bool:
        """Whether it stays so: succeeded, failed or unsupported."""
        return self.status in FINAL

    @property
    def progress(self) -> float:
        """Share that is done, 0 to 1: an estimate by the marks that were reached, 1 for whatever is final."""
        if self.final:
            return 1.0
        return _SHARES[self.days_synced] if self.status == "in_progress" else 0.0


@frozen(kw_only=True, repr=False)
class AccountReadiness(Model):
    """How far the products of an account are, at one moment."""

    account_id: str
    wanted: tuple[Product, ...]
    """The products that were asked about; what follows counts these only, unless other ones are named."""
    products: Mapping[Product, ProductReadiness]
    """Every product, asked about or not."""
    platform_id: str | None = None
    """Platform of the account; null while it is not known."""
    added_at: datetime | None = None
    """When the account was added; null while that was not heard."""

    def __repr__(self) -> str:
        """Return the account's id and the statuses, which are ours."""
        statuses = " ".join(f"{name}={self.products[name].status}" for name in self.wanted)
        return f"{super().__repr__()[:-1]} {statuses}>"

    def ready(self, products: Iterable[Product] | None = None) -> bool:
        """Whether nothing more is to be waited for: each of these products is succeeded, failed or unsupported."""
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
        """Products that may still change: pending, in progress, or never heard of."""
        return tuple([name for name in self.wanted if not self.products[name].final])

    def _with(self, status: ProductStatus) -> tuple[Product, ...]:
        return tuple([name for name in self.wanted if self.products[name].status == status])


class NotReadyError(PinwheelError, TimeoutError):
    """The account was not ready in time.

    Attributes:
        state: How far it was then.
    """

    def __init__(self, state: AccountReadiness, *, timeout_s: float) -> None:
        self.state = state
        missing = ", ".join(f"{name} ({state.products[name].status})" for name in state.unfinished)
        super().__init__(f"not ready after {timeout_s:g} s: {missing}")


def checked(products: Collection[Product]) -> tuple[Product, ...]:
    """Return the products without repetitions.

    Raises:
        RequestError: There is none, or something else among them.
    """
    if isinstance(products, str) or not products or not set(products) <= set(PRODUCTS):
        raise RequestError([f"products must be at least one of {', '.join(PRODUCTS)}"])
    return tuple(dict.fromkeys(products))


def readiness_of(
    account_id: str,
    history: History | None,
    notes: Notes | None,
    *,
    wanted: tuple[Product, ...],
    supported: Collection[str] | None,
) -> AccountReadiness:
    """Say what follows from what is remembered.

    Args:
        account_id: The account.
        history: What is remembered of its events.
        notes: What is remembered beside them.
        wanted: The products that are asked about.
        supported: Names of the jobs that the platform can do; None where that is not known.
    """
    heard: Mapping[str, Heard] = history.products if history else {}
    return AccountReadiness(
        account_id=account_id,
        wanted=wanted,
        products={name: _product(heard.get(name), supported is None or name in supported) for name in PRODUCTS},
        platform_id=platform_of(history, notes),
        added_at=history.added_at if history else None,
    )


def expected(notes: Notes | None, supported: Collection[str] | None) -> tuple[Product, ...]:
    """Return what an account should come to have: what was waited for, else what its platform has."""
    wanted: Collection[str] = notes.waited if notes and notes.waited else USUAL if supported is None else supported
    return tuple([name for name in PRODUCTS if name in set(wanted)])


def _product(heard: Heard | None, supported: bool) -> ProductReadiness:
    if heard is None or heard == Heard():
        return ProductReadiness(status="waiting" if supported else "unsupported")
    status = _status(heard)
    failed = status == "failed"
    moments = (heard.succeeded_at, heard.failed_at, heard.pending_at, heard.partial_at)
    return ProductReadiness(
        status=status,
        updated_at=max(moment for moment in moments if moment is not None),
        error_type=heard.error_type if failed else None,
        error_code=heard.error_code if failed else None,
        days_synced=heard.days_synced,
    )


def _status(heard: Heard) -> ProductStatus:
    if heard.succeeded_at is not None:  # once there, data stays there: a later refresh that fails takes nothing away
        return "succeeded"
    rest = ((heard.partial_at, "in_progress"), (heard.pending_at, "pending"), (heard.failed_at, "failed"))
    known = [(at, status) for at, status in rest if at is not None]
    newest = max(at for at, _ in known)
    # Of one moment, the last named counts: what is final, before what is not.
    return cast("ProductStatus", [status for at, status in known if at == newest][-1])
