"""Everything about one account at once."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from pinwheel_async._core.fields import Model
from pinwheel_async.errors import ClosedError, PinwheelError, RequestError
from pinwheel_async.models import (
    Account,
    DirectDepositAllocations,
    Employment,
    Identity,
    Income,
    Paystub,
    Shift,
    TaxFormSummary,
)
from pinwheel_async.products import PRODUCTS, Product

if TYPE_CHECKING:
    from pinwheel_async.client import Pinwheel


@frozen(kw_only=True, repr=False)
class Snapshot(Model):
    """One account and its products, read at about the same time.

    Each field holds what was read, or the error that came instead, or None where it was not asked for.
    """

    account_id: str
    account: Account | PinwheelError
    identity: Identity | PinwheelError | None = None
    income: Income | PinwheelError | None = None
    employment: Employment | PinwheelError | None = None
    direct_deposit_allocations: DirectDepositAllocations | PinwheelError | None = None
    paystubs: tuple[Paystub, ...] | PinwheelError | None = None
    """All pages, newest pay date first."""
    shifts: tuple[Shift, ...] | PinwheelError | None = None
    """All pages, newest end date first."""
    tax_forms: tuple[TaxFormSummary, ...] | PinwheelError | None = None
    """All pages, newest year first."""

    @property
    def errors(self) -> Mapping[str, PinwheelError]:
        """What could not be read, by name of the field."""
        values = ((name, getattr(self, name)) for name in ("account", *PRODUCTS))
        return {name: value for name, value in values if isinstance(value, PinwheelError)}

    def raise_for_errors(self) -> None:
        """Raise what could not be read.

        Raises:
            ExceptionGroup: One `PinwheelError` per field that could not be read.
        """
        errors = self.errors
        if errors:
            raise ExceptionGroup(f"could not read {', '.join(errors)}", list(errors.values()))


async def read_snapshot(
    pinwheel: "Pinwheel",
    account_id: str,
    *,
    products: Collection[Product] = PRODUCTS,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
) -> Snapshot:
    """Read an account and its products, all at once; see `Pinwheel.snapshot`."""
    if not set(products) <= set(PRODUCTS):
        raise RequestError([f"products must be among {', '.join(PRODUCTS)}"])
    readers: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "account": lambda: pinwheel.accounts.get(account_id),
        "identity": lambda: pinwheel.identity.get(account_id),
        "income": lambda: pinwheel.income.get(account_id),
        "employment": lambda: pinwheel.employment.get(account_id),
        "direct_deposit_allocations": lambda: pinwheel.direct_deposit_allocations.get(account_id),
        "paystubs": lambda: pinwheel.paystubs.list(account_id, from_pay_date=from_pay_date, limit=100).all(),
        "shifts": lambda: pinwheel.shifts.list(account_id, from_start_date=from_start_date, limit=100).all(),
        "tax_forms": lambda: pinwheel.tax_forms.list(account_id, limit=100).all(),
    }
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_outcome(readers[name])) for name in ("account", *dict.fromkeys(products))}
    outcomes = {name: task.result() for name, task in tasks.items()}
    for outcome in outcomes.values():
        if isinstance(outcome, ClosedError | RequestError):
            raise outcome  # nothing of the account's: the call itself was wrong
    return Snapshot(account_id=account_id, **cast("dict[str, Any]", outcomes))


async def _outcome(read: Callable[[], Coroutine[Any, Any, object]]) -> object:
    """Read, and return the error instead of raising it, so that it ends nobody else's reading."""
    try:
        return await read()
    except PinwheelError as error:
        return error
