"""How far the data of an account is, as values: what is remembered of its events, and what follows from that.

Nothing here awaits. What is remembered of a product is only the newest of each kind of event, so that events may come
in any order and any number of times: the same events always leave the same memory.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Literal, TypeAlias, cast

import attrs
from attrs import field, frozen

from pinwheel_async._core.fields import Model, Timestamp
from pinwheel_async.errors import PinwheelError, RequestError
from pinwheel_async.events import (
    EVENTS,
    AccountAdded,
    AccountEvent,
    JobEvent,
    PaystubsAdded,
    PaystubsDocumentsAdded,
    PaystubsNinetyDaysSynced,
    PaystubsSevenDaysSynced,
    PaystubsThirtyDaysSynced,
    ShiftsAdded,
    ShiftsNinetyDaysSynced,
    ShiftsSevenDaysSynced,
    ShiftsThirtyDaysSynced,
)
from pinwheel_async.products import PRODUCTS, Product

ProductStatus: TypeAlias = Literal["waiting", "in_progress", "pending", "succeeded", "failed", "unsupported"]
"""Waiting: nothing was heard. In progress: some of it is there. Pending: it failed once, and is tried again within 24
hours. The other three are final: all of it is there, there will be none, the platform has none."""

FINAL: frozenset[ProductStatus] = frozenset({"succeeded", "failed", "unsupported"})

USUAL: tuple[Product, ...] = ("paystubs", "income")
"""What an account is ready for where nobody says otherwise."""

_MARKS: Mapping[type[AccountEvent], int] = {
    PaystubsSevenDaysSynced: 7,
    PaystubsThirtyDaysSynced: 30,
    PaystubsNinetyDaysSynced: 90,
    ShiftsSevenDaysSynced: 7,
    ShiftsThirtyDaysSynced: 30,
    ShiftsNinetyDaysSynced: 90,
}

# Documents of paystubs are made by a job of their own, after that of the paystubs, and change nothing about those.
HEARD: tuple[type[AccountEvent], ...] = (
    AccountAdded,
    *(
        kind
        for kind in EVENTS.values()
        if issubclass(kind, JobEvent) and kind.JOB in PRODUCTS and kind is not PaystubsDocumentsAdded
    ),
)
"""The events that readiness follows from."""

_LONGEST_WORD = 100
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


@frozen(kw_only=True, repr=False)
class Heard(Model):
    """What is remembered of one product: when the newest event of each kind says that it happened."""

    succeeded_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    pending_at: Timestamp | None = None
    partial_at: Timestamp | None = None
    """A batch that is not the last, or a mark."""
    error_type: str | None = None
    """Of the newest failure, as is the code."""
    error_code: str | None = None
    days_synced: int | None = None


@frozen(kw_only=True, repr=False)
class History(Model):
    """What is remembered of one account."""

    heard_at: Timestamp
    """When something new was heard last, by the clock of this machine: the inbox may have kept it for a while."""
    platform_id: str | None = None
    added_at: Timestamp | None = None
    products: Mapping[str, Heard] = field(factory=dict[str, Heard])


@frozen(kw_only=True, repr=False)
class Notes(Model):
    """What is remembered of one account beside its events; kept apart, because it is not written in its lane."""

    since: Timestamp
    """When it was noticed first."""
    platform_id: str | None = None
    """Platform as the API said."""
    waited: tuple[str, ...] = ()
    """Products that somebody waited for."""
    stalled: bool = False
    """Whether it was reported as stalled."""

    def waiting_for(self, products: Iterable[str]) -> "Notes":
        """Return the notes with these products among those that somebody waited for."""
        return attrs.evolve(self, waited=tuple(sorted({*self.waited, *products})))


def checked(products: Collection[Product]) -> tuple[Product, ...]:
    """Return the products without repetitions.

    Raises:
        RequestError: There is none, or something else among them.
    """
    if isinstance(products, str) or not products or not set(products) <= set(PRODUCTS):
        raise RequestError([f"products must be at least one of {', '.join(PRODUCTS)}"])
    return tuple(dict.fromkeys(products))


def remember(history: History | None, event: AccountEvent, now: datetime) -> History:
    """Return the history with an event in it; the same history, if the event brings nothing new."""
    before = history or History(heard_at=now)
    after = before
    if isinstance(event, AccountAdded):
        added_at = max(before.added_at or event.created_at, event.created_at)
        platform_id = event.platform_id if added_at == event.created_at else before.platform_id
        after = attrs.evolve(before, added_at=added_at, platform_id=platform_id)
    elif isinstance(event, JobEvent) and event.JOB is not None:
        heard = before.products.get(event.JOB, Heard())
        after = attrs.evolve(before, products={**before.products, event.JOB: _heard(heard, event)})
        if event.platform_id is not None and before.platform_id is None:
            after = attrs.evolve(after, platform_id=event.platform_id)
    return before if history is not None and after == before else attrs.evolve(after, heard_at=now)


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


def platform_of(history: History | None, notes: Notes | None) -> str | None:
    """Return the platform of an account, if anybody has named it."""
    told = history.platform_id if history else None
    return told or (notes.platform_id if notes else None)


def _heard(heard: Heard, event: JobEvent) -> Heard:
    at = event.timestamp
    match event.outcome:
        case "pending":
            return attrs.evolve(heard, pending_at=_later(heard.pending_at, at))
        case "error":
            new = (at, (event.error_type or "")[:_LONGEST_WORD], (event.error_code or "")[:_LONGEST_WORD])
            old = (heard.failed_at, heard.error_type or "", heard.error_code or "") if heard.failed_at else new
            # The texts decide between failures of one moment, so that the order of arrival does not.
            when, kind, code = max(old, new)
            return attrs.evolve(heard, failed_at=when, error_type=kind or None, error_code=code or None)
        case "success":
            return _heard_success(heard, event)
        case _:
            return heard


def _heard_success(heard: Heard, event: JobEvent) -> Heard:
    at = event.timestamp
    days = _MARKS.get(type(event))
    if days is not None:
        reached = max(heard.days_synced or 0, days)
        return attrs.evolve(heard, partial_at=_later(heard.partial_at, at), days_synced=reached)
    # A batch that does not say whether it is the last leaves the end to the event that says so.
    if isinstance(event, PaystubsAdded | ShiftsAdded) and _sync_status(event) != "complete":
        return attrs.evolve(heard, partial_at=_later(heard.partial_at, at))
    return attrs.evolve(heard, succeeded_at=_later(heard.succeeded_at, at))


def _sync_status(event: PaystubsAdded | ShiftsAdded) -> str | None:
    return event.params.sync_status if event.params else None


def _later(before: datetime | None, at: datetime) -> datetime:
    return at if before is None else max(before, at)


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
