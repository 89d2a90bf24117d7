"""Snapshot of one account: the account and its products, read at once."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol, cast

from attrs import frozen

from pinwheel_async._core.model import Model
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
from pinwheel_async.products import PRODUCTS, Product, read_products

if TYPE_CHECKING:
    from pinwheel_async.endpoints import (
        AccountEndpoints,
        DirectDepositAllocationsEndpoints,
        EmploymentEndpoints,
        IdentityEndpoints,
        IncomeEndpoints,
        PaystubEndpoints,
        ShiftEndpoints,
        TaxFormEndpoints,
    )


class AccountReader(Protocol):
    """The groups of endpoints that a snapshot is read from: a `Pinwheel` client, which imports this module."""

    accounts: "AccountEndpoints"
    identity: "IdentityEndpoints"
    income: "IncomeEndpoints"
    employment: "EmploymentEndpoints"
    direct_deposit_allocations: "DirectDepositAllocationsEndpoints"
    paystubs: "PaystubEndpoints"
    shifts: "ShiftEndpoints"
    tax_forms: "TaxFormEndpoints"


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
    pinwheel: AccountReader,
    account_id: str,
    *,
    products: Collection[Product] = PRODUCTS,
    from_pay_date: date | None = None,
    from_start_date: date | None = None,
) -> Snapshot:
    """Read an account and its products, all at once; see `Pinwheel.snapshot`."""
    problems: list[str] = []
    wanted = read_products(products, problems) if products or isinstance(products, str) else ()
    if problems:
        raise RequestError(problems)
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
        tasks = {name: group.create_task(_outcome(readers[name])) for name in ("account", *wanted)}
    outcomes = {name: task.result() for name, task in tasks.items()}
    for outcome in outcomes.values():
        if isinstance(outcome, ClosedError | RequestError):
            raise outcome  # it says nothing about the account: every read would fail in the same way
    return Snapshot(account_id=account_id, **cast("dict[str, Any]", outcomes))


async def _outcome(read: Callable[[], Coroutine[Any, Any, object]]) -> object:
    """Read, and return the error instead of raising it: in a task group an error would cancel the other reads."""
    try:
        return await read()
    except PinwheelError as error:
        return error
