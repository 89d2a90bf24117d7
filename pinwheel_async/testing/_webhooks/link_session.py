"""Timetable of a Link session: when its data becomes visible, and when it is announced, as it was recorded.

The account comes first, then identity and income. Paystubs and shifts come in batches, newest first and mixed with each
other, with the marks of seven, thirty and ninety days as they are reached. Each list ends with a batch that is
`complete` and with `fully_synced`, which repeats that batch's id, time and numbers and may overtake it. Employment is
late. What the platform does not support never comes.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any, Literal, TypeAlias

from attrs import Factory, define, field, frozen

from pinwheel_async._privacy import Discreet
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.testing._webhooks.payloads import Facts, JobResult, Subject, payload_of
from pinwheel_async.testing._world import directory as _directory
from pinwheel_async.testing._world.records import Record
from pinwheel_async.testing._world.world import World

Ending: TypeAlias = Literal["success", "error", "pending", "pending_error", "stalled"]
"""How the job of a product ends: `pending` is announced as pending first and as a success within 24 hours,
`pending_error` as an error; `stalled` is never announced."""

_SINGLES_AT_S: Mapping[Product, float] = {
    "income": 0.9,
    "identity": 1.6,
    "direct_deposit_allocations": 2.3,
    "employment": 14.8,
    "tax_forms": 38.8,
}
_BATCHES_AT_S: Mapping[Product, tuple[float, ...]] = {
    "paystubs": (2.7, 4.2, 6.1, 7.8),
    "shifts": (3.3, 5.6, 8.9, 12.3),
}
_DAY_OF = {"paystubs": "pay_date", "shifts": "start_date"}
_MARKS = ("seven_days_synced", "thirty_days_synced", "ninety_days_synced")
_MARK_DAYS = (7, 30, 90)


@frozen(kw_only=True)
class Pace:
    """How fast a session goes on."""

    factor: float = 1.0
    """How many times as long as recorded everything takes."""
    resolved_after_s: tuple[float, float] = (3_600.0, 23 * 3_600.0)
    """Seconds from a pending outcome to the last one: from, to."""
    products: tuple[Product, ...] = PRODUCTS
    """Products that have jobs, if the platform supports them."""


USUAL_PACE = Pace()


@frozen(kw_only=True)
class LinkSession(Discreet):
    """A Link session that is going on."""

    account_id: str
    end_user_id: str = field(repr=False)
    """Whose account it is."""
    link_token_id: str
    duration_s: float
    """Seconds from its beginning to its last event, those of pending jobs included."""


@frozen(kw_only=True)
class ScheduledEvent(Discreet):
    """One event of a session, and the data that the world shows from then on."""

    ends_s: float
    """Seconds from the beginning to the end of the job, when its data is there."""
    announced_s: float
    """Seconds from the beginning to the announcement."""
    event: str
    payload: Record = field(repr=False)
    product: Product | None = None
    """Product whose data becomes visible; null for none."""
    unseen: int = 0
    """How many of its oldest items stay invisible."""


def plan_session(
    world: World,
    account_id: str,
    endings: Mapping[Product, Ending],
    new_id: Callable[[], str],
    rng: Random,
    pace: Pace = USUAL_PACE,
) -> list[ScheduledEvent]:
    """Plan the session of an account that was just connected; it begins now.

    Args:
        world: Where the account is.
        account_id: The account.
        endings: How the job of a product ends; a success where none is given.
        new_id: Makes ids of jobs.
        rng: Source of every choice.
        pace: How fast it goes on.
    """
    plan = _SessionPlan(world=world, account_id=account_id, began=world.now(), new_id=new_id, rng=rng, pace=pace)
    plan.announce("account.added", 0.0, lag_s=0.0)
    jobs = _directory.platform(world.ids, world.profile(world.index(account_id)).platform)["supported_jobs"]
    supported: set[Product] = {product for product in pace.products if product in jobs}
    for product in PRODUCTS:
        if product in supported:
            plan.job(product, endings.get(product, "success"))
    plan.reports({product for product in supported if endings.get(product, "success") == "success"})
    return sorted(plan.events, key=lambda event: event.announced_s)


@define(kw_only=True)
class _SessionPlan:
    """Events of a session, as far as they are planned."""

    world: World
    account_id: str
    began: datetime
    new_id: Callable[[], str]
    rng: Random
    pace: Pace
    events: list[ScheduledEvent] = Factory(list[ScheduledEvent])

    def announce(
        self,
        event: str,
        ends_s: float,
        *,
        lag_s: float,
        shows: tuple[Product, int] | None = None,
        job_id: str | None = None,
        **facts: Any,
    ) -> None:
        """Plan one event, so many seconds after the beginning at the recorded pace."""
        ends_s *= self.pace.factor
        at = self.began + timedelta(seconds=ends_s)
        subject = Subject(world=self.world, account_id=self.account_id, at=at, job_id=job_id or self.new_id(), **facts)
        self.events.append(
            ScheduledEvent(
                ends_s=ends_s,
                announced_s=ends_s + lag_s,
                event=event,
                payload=payload_of(event, subject),
                product=shows and shows[0],
                unseen=shows[1] if shows else 0,
            )
        )

    def job(self, product: Product, ending: Ending) -> None:
        """Plan all events of a product."""
        first_s = _SINGLES_AT_S.get(product) or _BATCHES_AT_S[product][0]
        after_s = 0.0
        if ending in {"pending", "pending_error"}:
            self._end(product, first_s, "pending")
            after_s = self.rng.uniform(*self.pace.resolved_after_s)
        if ending in {"error", "pending_error"}:
            self._end(product, first_s + after_s, "error")
        elif ending != "stalled" and product in _BATCHES_AT_S:
            self._batches(product, after_s)
        elif ending != "stalled":
            self._single(product, first_s + after_s)

    def reports(self, complete: set[Product]) -> None:
        """Plan the events that follow from several products."""
        if {"identity", "income", "employment"} <= complete:
            self.announce("verification_reports.refreshed", 40.0, lag_s=self._lag_s())
        if "paystubs" in complete:
            self.announce("earnings_stream.payouts.refreshed", 41.0, lag_s=self._lag_s())

    def _end(self, product: Product, ends_s: float, outcome: JobResult) -> None:
        self.announce(f"{product}.added", ends_s, lag_s=self._lag_s(), outcome=outcome)

    def _single(self, product: Product, ends_s: float) -> None:
        items = self._items(product) if product == "tax_forms" else None
        self.announce(f"{product}.added", ends_s, lag_s=self._lag_s(), shows=(product, 0), items=items)

    def _batches(self, product: Product, after_s: float) -> None:
        """Plan the batches of a list, its marks, and its end."""
        items = self._items(product)
        windows = _windows(items, _DAY_OF[product])
        last = max([number for number, window in enumerate(windows) if window], default=0)
        shown, batch, lag_s = 0, windows[0], 0.0
        for number, window in enumerate(windows[: last + 1]):
            ends_s = after_s + _BATCHES_AT_S[product][number]
            if window or not items:
                shown, batch = shown + len(window), window
                lag_s = self._batch(product, ends_s, window, unseen=len(items) - shown, is_last=number == last)
            # The end of the list reaches every mark that is left; a mark tells of the newest batch there is.
            reached = _MARKS[number:] if number == last else _MARKS[number : number + 1]
            for place, mark in enumerate(reached if items else (), 1):
                self.announce(f"{product}.{mark}", ends_s + place / 10, lag_s=lag_s, items=batch)

    def _batch(
        self, product: Product, ends_s: float, window: tuple[Facts, ...], *, unseen: int, is_last: bool
    ) -> float:
        """Plan one batch, and the end of the list with the last one; return how late they are announced."""
        job_id, lag_s = self.new_id(), self._lag_s()
        batch: Record = {"job_id": job_id, "items": window, "shows": (product, unseen)}
        status = "complete" if is_last else "in_progress"
        self.announce(f"{product}.added", ends_s, lag_s=lag_s, sync_status=status, **batch)
        if is_last:
            # Before the last batch or after it, because receivers must not rely on their order.
            self.announce(f"{product}.fully_synced", ends_s, lag_s=lag_s + self.rng.choice((-0.2, 0.2)), **batch)
        return lag_s

    def _items(self, product: Product) -> tuple[Facts, ...]:
        """Return what will be there in the end, newest first."""
        found = self.world.all_entries(self.world.index(self.account_id), product)
        return tuple([entry.facts for entry in found])

    def _lag_s(self) -> float:
        """Return seconds between the end of a job and its announcement."""
        return self.rng.uniform(0.3, 0.9)


def _windows(items: tuple[Facts, ...], day: str) -> list[tuple[Facts, ...]]:
    """Split a list, newest first, at seven, thirty and ninety days before its newest item."""
    if not items:
        return [()]
    newest = date.fromisoformat(items[0][day])
    ages = [(newest - date.fromisoformat(item[day])).days for item in items]
    edges = [0, *(sum(age < days for age in ages) for days in _MARK_DAYS), len(items)]
    return [items[begin:end] for begin, end in pairwise(edges)]
