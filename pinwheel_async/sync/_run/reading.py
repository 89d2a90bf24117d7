"""Pagination of one product of one account into a sink, with checkpoint, resume and restart."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias, assert_never

from attrs import define, field

from pinwheel_async._clock import Clock
from pinwheel_async._core.model import Model
from pinwheel_async._core.page import ListMeta, Page, PageWithoutEnd
from pinwheel_async._privacy import Discreet
from pinwheel_async.client import Pinwheel
from pinwheel_async.endpoints._paged import OnError, Paged
from pinwheel_async.errors import (
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    SupersededError,
    UnconfirmedRemovalError,
)
from pinwheel_async.products import Product
from pinwheel_async.sync._page_formats import UndecodedPage
from pinwheel_async.sync._sink import Batch, Checkpoint, Kind, Reached

logger = logging.getLogger("pinwheel_async.sync")

Ended: TypeAlias = Literal["complete", "missing", "contradicted"]
"""How a reading ends, unless it fails. `contradicted`: the answer was 404 although the account says that there is data,
so it is asked again later."""

Write: TypeAlias = Callable[[Batch], Awaitable[None]]
"""Stores a page."""

PAGE_LIMIT = 100
"""The most that the API gives: the fewest requests."""

MAX_REMOVED = 0.2
"""Largest share of a list that one reading may remove, unless told otherwise. A list of a year of weekly paystubs loses
one when a new one comes; what loses a fifth of its objects at once is a rare correction, or an answer cut short."""

_PAUSE_S = 1.0
"""Seconds before a reading that is in doubt is repeated: for a replica, or a proxy, to come to itself."""

_GOES_ON = timedelta(hours=24)
"""How long after its beginning a list can be gone on with: a nightly run goes on with that of the night before. The
cursors that were seen are tokens with a time in them, of which nobody says how long they last; one that is refused
costs a request, but pages of weeks ago may be about objects that have changed since without another moment."""

RESTARTS = 3
"""How often a reading begins again: a cursor that was refused three times will be refused again."""


_SINGLE = ListMeta()
"""Stands for the meta of an answer that is a single object, and no list."""

_ID = attrgetter("id")


class Unit(NamedTuple):
    """One product of one account: what a worker does at a time, and what fails on its own."""

    account_id: str
    product: Product


@define(kw_only=True)  # attrs fills what is frozen half as fast, and a nightly run makes one for each unit
class Reading(Discreet):
    """What to read of a unit, and what is known of it before."""

    unit: Unit
    data_updated_at: datetime | None = field(default=None, repr=False)
    """When the data last changed, as the account says."""
    from_day: date | None = None
    """Only paystubs or shifts after this day."""
    to_day: date | None = None
    """Only paystubs up to this day; with it, the reading is a patch."""
    checkpoint: Checkpoint | None = None
    """Where an earlier reading stopped."""
    expected: bool = False
    """Whether an event says that there is data."""
    max_removed: float | None = MAX_REMOVED
    """Largest share of what is stored that one reading may remove; null for any."""
    repeats: bool = True
    """Whether a reading in doubt is repeated: a sink that does not remember would keep its objects twice."""

    def goes_on(self, now: datetime) -> bool:
        """Whether the earlier reading can be gone on with: only if it is still about the same, and young.

        Where the account says no moment, what came since the first page would be missed: such a list begins again.
        """
        checkpoint = self.checkpoint
        return (
            checkpoint is not None
            and checkpoint.cursor is not None
            and checkpoint.reached == "reading"
            and checkpoint.from_day == self.from_day
            and checkpoint.data_updated_at == self.data_updated_at
            and self.data_updated_at is not None
            and timedelta(0) <= now - checkpoint.begun_at <= _GOES_ON
        )


async def read(
    pinwheel: Pinwheel,
    write: Write,
    reading: Reading,
    *,
    clock: Clock,
    on_doubt: Callable[[], object] = lambda: None,
) -> Ended:
    """Read a unit to its end, each page when the one before it is stored.

    A cursor that is refused, and a newer reading by another process, let it begin again. A 404 is kept as such, and
    raised only if an event said that there is data.

    Args:
        pinwheel: An open client.
        write: Stores a page.
        reading: What to read.
        clock: Where time comes from.
        on_doubt: Called for each reading that was held back.

    Raises:
        UnconfirmedRemovalError: Each reading would remove much, and no two of them said the same.
        DecodeError: Each reading contradicted itself, and no two of them said the same.
        PinwheelError: It could not be read, or not be stored.
    """
    doubted: Objects | None = None
    now = clock.now()  # before the first request: what changes while it is read counts as newer
    resumed = reading.checkpoint if reading.goes_on(now) else None
    for restarts in range(RESTARTS + 1):
        attempt = _Attempt(write, reading, now, resumed, doubted)
        doubted = None  # one that ends otherwise may have met something else: only two in a row can agree
        try:
            return await _read(pinwheel, reading, attempt)
        except _RefusedCursorError as error:
            refused: Exception = error.error
        except SupersededError as error:
            refused = error
        except (UnconfirmedRemovalError, _DoubtError) as error:
            refused = error.error if isinstance(error, _DoubtError) else error
            doubted = attempt.objects
            on_doubt()
            logger.warning(
                "account %s: a reading of %s is held back until another one says the same",
                *reading.unit,
                extra={"event": "sync_held_back"},
            )
            if not reading.repeats:
                raise refused from None
            if restarts < RESTARTS:
                await pause(clock)
        if restarts == RESTARTS:
            raise refused
        # From the first page, and with a new `begun_at`, which supersedes the reading that was newer.
        now, resumed = clock.now(), None
    raise AssertionError  # the last round returns or raises


async def pause(clock: Clock) -> None:
    """Wait before a reading that is in doubt is repeated."""
    await clock.sleep(_PAUSE_S)


class _RefusedCursorError(Exception):
    """The server did not take a cursor."""

    def __init__(self, error: InvalidRequestError | NotFoundError) -> None:
        self.error = error
        super().__init__()


class _DoubtError(Exception):
    """A list contradicts itself."""

    def __init__(self, error: DecodeError) -> None:
        self.error = error
        super().__init__()


class Objects:
    """Which objects a reading has met, in whatever order: as many bytes for a long list as for a short one."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0

    def add(self, data: Any) -> None:
        """Add the objects of a page."""
        ids = (data.ids or ()) if isinstance(data, UndecodedPage) else map(_ID, data)
        self.count += len(data)
        self.sum += sum(map(hash, map(str, ids)))

    def agrees(self, other: "Objects | None") -> bool:
        """Whether another reading has met the same."""
        return other is not None and (self.count, self.sum) == (other.count, other.sum)


class _Attempt:
    """One reading among several, and how far it is.

    Args:
        write: Stores a page.
        reading: What to read.
        now: The time, before the first request.
        resumed: Checkpoint of the reading that is gone on with; null to begin with the first page.
        doubted: Objects of a reading before, of which there are doubts; null if there are none.
    """

    def __init__(
        self, write: Write, reading: Reading, now: datetime, resumed: Checkpoint | None, doubted: "Objects | None"
    ) -> None:
        self.resumed = resumed
        self.pages = 0
        """Pages that have come."""
        # What came before a cursor of an earlier run is not known: such a reading agrees with none. Where all may be
        # removed, none is doubted.
        self.objects = None if resumed is not None or reading.max_removed is None else Objects()
        self._write = write
        self._reading = reading
        self._begun_at = now if resumed is None else resumed.begun_at
        self._items = 0 if resumed is None else resumed.items
        self._doubted = doubted
        self._doubt: DecodeError | None = None

    async def store(self, page: Page[Any]) -> None:
        """Store a page with its checkpoint.

        Raises:
            _DoubtError: It is the last one, and the reading contradicts itself.
        """
        unit, first = self._reading.unit, self.is_first
        self.pages += 1
        self._items += len(page.data)
        if page.meta is not _SINGLE:  # an object that has no list cannot contradict one
            if self.objects is not None:
                self.objects.add(page.data)
            self._doubt = self._doubt or contradiction(unit.product, page)
        batch = Batch(
            kind=unit.product,
            account_id=unit.account_id,
            items=page.data,
            first=first,
            last=not page.next_cursor,
            checkpoint=self._checkpoint(page),
        )
        await self._write(batch)

    @property
    def cursor(self) -> str | None:
        """Where to begin; null for the first page."""
        return None if self.resumed is None else self.resumed.cursor

    @property
    def is_first(self) -> bool:
        """Whether the page to come is the first of the list."""
        return not self.pages and self.resumed is None

    async def write_missing(self, misses: int) -> None:
        """Store that the server answered 404."""
        reading = self._reading
        missing = Checkpoint(
            begun_at=self._begun_at,
            reached="missing",
            data_updated_at=reading.data_updated_at,
            from_day=reading.from_day,
            misses=misses,
        )
        await self._write(
            Batch(kind=reading.unit.product, account_id=reading.unit.account_id, items=(), checkpoint=missing)
        )

    def _checkpoint(self, page: Page[Any]) -> Checkpoint:
        """Return the checkpoint after a page.

        Raises:
            _DoubtError: It is the last one, and the reading contradicts itself, and no other one agrees with it.
        """
        reading, cursor, max_removed = self._reading, page.next_cursor or None, None
        reached: Reached = "reading" if cursor else "complete"
        if reading.to_day is not None:
            reached, cursor = "patch", None
        elif reached == "complete" and (self.objects is None or not self.objects.agrees(self._doubted)):
            max_removed = reading.max_removed
            if self._doubt is not None and max_removed is not None:
                raise _DoubtError(self._doubt)
        return Checkpoint(
            begun_at=self._begun_at,
            reached=reached,
            data_updated_at=reading.data_updated_at,
            from_day=reading.from_day,
            cursor=cursor,
            items=self._items,
            max_removed=max_removed,
        )


async def _read(pinwheel: Pinwheel, reading: Reading, attempt: _Attempt) -> Ended:
    """Read once, from the first page on, or from where a reading is gone on with."""
    try:
        source = _source(pinwheel, reading, attempt)
        if isinstance(source, Paged):
            async with aclosing(pages(source)) as found:
                async for page in found:
                    await attempt.store(page)
                    del page  # before the next one is fetched, see `Paged`
        else:
            await attempt.store(_single(await source))
    except NotFoundError as error:
        # Nothing came since the cursor of an earlier run: what that had read a part of may be gone altogether.
        if attempt.resumed is not None and not attempt.pages:
            raise _RefusedCursorError(error) from None
        # In the middle of a list, or for a part of one that is stored, it does not say that the account lacks the data.
        if not attempt.is_first or reading.to_day is not None:
            raise
        misses = _misses(reading)
        await attempt.write_missing(misses)
        if reading.expected:
            raise
        return "contradicted" if misses else "missing"
    except InvalidRequestError as error:
        if attempt.is_first:
            raise  # there was no cursor to be refused
        raise _RefusedCursorError(error) from None
    return "complete"


def contradiction(kind: Kind | Literal["jobs"], page: Page[Any], *, left_out: int = 0) -> DecodeError | None:
    """Return what is odd about a page of a list, so that it is not believed at once.

    Args:
        kind: What is listed.
        page: The page.
        left_out: Objects that were on it and could not be read.
    """
    if isinstance(page, PageWithoutEnd):
        return DecodeError(where=kind, paths=["meta.next_cursor: missing"])
    if page.meta.count not in {None, len(page.data) + left_out}:
        return DecodeError(where=kind, paths=["meta.count: not the number of objects"])
    return None


def _misses(reading: Reading) -> int:
    """Count a 404 if it contradicts what the account or an event says: a replica may lag behind, a gateway be down."""
    if reading.data_updated_at is None and not reading.expected:
        return 0
    before = reading.checkpoint
    return 1 + (before.misses if before is not None and before.reached == "missing" else 0)


def _single(answer: Any) -> Page[Any]:
    """Return the answer that is a single object as a page."""
    data: Any = answer if isinstance(answer, UndecodedPage) else (answer,)
    return Page(data=data, meta=_SINGLE)


def pages(source: Paged[Any], *, on_error: OnError | None = None) -> AsyncGenerator[Page[Any], None]:
    """Return the pages of a list as the generator that they are, so that it can be closed when a run ends early.

    A generator that is left open is closed by the event loop some time later, and its request with it.
    """
    return source.pages(on_error=on_error)


def _source(  # noqa: PLR0911  # a table
    pinwheel: Pinwheel, reading: Reading, attempt: _Attempt
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
                account_id,
                from_pay_date=from_day,
                to_pay_date=reading.to_day,
                limit=PAGE_LIMIT,
                cursor=attempt.cursor,
            )
        case "shifts":
            return pinwheel.shifts.list(account_id, from_start_date=from_day, limit=PAGE_LIMIT, cursor=attempt.cursor)
        case "tax_forms":
            # Summaries only: every call for a form with its document is billed.
            return pinwheel.tax_forms.list(account_id, limit=PAGE_LIMIT, cursor=attempt.cursor)
        case _:
            assert_never(reading.unit.product)
