"""Reads one product of one account into a sink: page by page, from where an earlier reading stopped."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from datetime import date, datetime
from typing import Any, Literal, TypeAlias, assert_never, cast

import attrs
from attrs import field, frozen

from pinwheel_async._core.fields import Model
from pinwheel_async._core.page import ListMeta, Page
from pinwheel_async.client import Pinwheel
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.errors import InvalidRequestError, NotFoundError, SupersededError
from pinwheel_async.products import Product
from pinwheel_async.sync._lean import Sealed
from pinwheel_async.sync._sink import Batch, Mark

Ended: TypeAlias = Literal["complete", "missing"]
"""How a reading ends, unless it fails."""

Write: TypeAlias = Callable[[Batch], Awaitable[None]]
"""Stores a page."""

PAGE_LIMIT = 100
"""The most that the API gives: the fewest requests."""

RESTARTS = 3
"""How often a reading begins anew: a cursor that was refused three times will be refused again."""


@frozen
class Unit:
    """One product of one account: what a worker does at a time, and what fails on its own."""

    account_id: str
    product: Product


@frozen(kw_only=True)
class Reading:
    """What to read of a unit, and what is known of it before."""

    unit: Unit
    data_updated_at: datetime | None = field(default=None, repr=False)
    """When the data last changed, as the account says."""
    from_day: date | None = None
    """Only paystubs or shifts after this day."""
    to_day: date | None = None
    """Only paystubs up to this day; with it, the reading is a patch."""
    mark: Mark | None = None
    """Where an earlier reading stopped."""

    @property
    def cursor(self) -> str | None:
        """Where the earlier reading can be gone on with: only if it is still about the same."""
        mark = self.mark
        same = (
            mark is not None
            and mark.reached == "reading"
            and mark.from_day == self.from_day
            and mark.data_updated_at == self.data_updated_at
        )
        return mark.cursor if mark is not None and same else None


async def read(pinwheel: Pinwheel, write: Write, reading: Reading, *, now: Callable[[], datetime]) -> Ended:
    """Read a unit to its end, each page when the one before it is stored.

    A cursor that is refused, and a newer reading of somebody else, let it begin anew.

    Args:
        pinwheel: An open client.
        write: Stores a page.
        reading: What to read.
        now: The wall clock.

    Raises:
        PinwheelError: It could not be read, or not be stored.
    """
    cursor, begun = reading.cursor, reading.mark
    for restarts in range(RESTARTS + 1):
        if cursor is None or begun is None:
            begun = Mark(
                begun_at=now(),
                reached="reading" if reading.to_day is None else "patch",
                data_updated_at=reading.data_updated_at,
                from_day=reading.from_day,
            )
        try:
            return await _read(pinwheel, write, reading, begun, cursor)
        except _RefusedCursorError as error:
            refused: Exception = error.error
        except SupersededError as error:
            refused = error
        if restarts == RESTARTS:
            raise refused
        cursor = None
    raise AssertionError  # the last round returns or raises


class _RefusedCursorError(Exception):
    """The server did not take a cursor."""

    def __init__(self, error: InvalidRequestError | NotFoundError) -> None:
        self.error = error
        super().__init__()


async def _read(pinwheel: Pinwheel, write: Write, reading: Reading, begun: Mark, cursor: str | None) -> Ended:
    unit, mark, first = reading.unit, begun, cursor is None
    try:
        async with aclosing(_pages(pinwheel, reading, cursor)) as found:
            async for page in found:
                mark = _moved(mark, page)
                batch = Batch(
                    kind=unit.product,
                    account_id=unit.account_id,
                    items=page.data,
                    first=first,
                    last=not page.next_cursor,
                    mark=mark,
                )
                await write(batch)
                first = False
    except NotFoundError as error:
        if cursor is not None and mark is begun:  # what an earlier run had read of may be gone altogether
            raise _RefusedCursorError(error) from None
        if not first or mark.reached == "patch":
            raise
        missing = attrs.evolve(mark, reached="missing")
        await write(Batch(kind=unit.product, account_id=unit.account_id, items=(), mark=missing))
        return "missing"
    except InvalidRequestError as error:
        if first:
            raise
        raise _RefusedCursorError(error) from None
    return "complete"


def _moved(mark: Mark, page: Page[Any]) -> Mark:
    """Return the mark after a page."""
    items = mark.items + len(page.data)
    if mark.reached == "patch":
        return attrs.evolve(mark, items=items)
    return attrs.evolve(
        mark, reached="reading" if page.next_cursor else "complete", cursor=page.next_cursor or None, items=items
    )


async def _pages(pinwheel: Pinwheel, reading: Reading, cursor: str | None) -> AsyncGenerator[Page[Any], None]:
    source = _source(pinwheel, reading, cursor)
    if isinstance(source, Paged):
        async with aclosing(pages(source)) as found:
            async for page in found:
                yield page
    else:
        one: Any = await source
        data: Any = one if isinstance(one, Sealed) else (one,)
        yield Page(data=data, meta=ListMeta())


def pages(source: Paged[Any]) -> AsyncGenerator[Page[Any], None]:
    """Return the pages of a list as the generator that they are, so that it can be closed when a run ends early."""
    return cast("AsyncGenerator[Page[Any], None]", source.pages())


def _source(  # noqa: PLR0911  # a table
    pinwheel: Pinwheel, reading: Reading, cursor: str | None
) -> Paged[Any] | Coroutine[Any, Any, Model]:
    account_id, from_day = reading.unit.account_id, reading.from_day
    match reading.unit.product:
        case "identity":
            return pinwheel.identity.get(account_id)
        case "income":
            return pinwheel.income.get(account_id)
        case "employment":
            return pinwheel.employment.get(account_id)
        case "direct_deposit_allocations":
            return pinwheel.direct_deposit_allocations.get(account_id)
        case "paystubs":
            return pinwheel.paystubs.list(
                account_id, from_pay_date=from_day, to_pay_date=reading.to_day, limit=PAGE_LIMIT, cursor=cursor
            )
        case "shifts":
            return pinwheel.shifts.list(account_id, from_start_date=from_day, limit=PAGE_LIMIT, cursor=cursor)
        case "tax_forms":
            # Summaries only: every call for a form with its document is billed.
            return pinwheel.tax_forms.list(account_id, limit=PAGE_LIMIT, cursor=cursor)
        case _:
            assert_never(reading.unit.product)
