"""One Link session as a play: what becomes visible when, and what is announced when, as it was recorded.

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

from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.testing import _directory
from pinwheel_async.testing._payloads import Facts, JobResult, Subject, payload_of
from pinwheel_async.testing._people import Record
from pinwheel_async.testing._world import World

Ending: TypeAlias = Literal["success", "error", "pending", "pending_error", "stalled"]
"""How the job of a product ends: `pending` is announced as pending first and as a success within 24 hours,
`pending_error` as an error; `stalled` never says anything."""

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
_RESOLVED_AFTER_S = (3_600.0, 23 * 3_600.0)


@frozen(kw_only=True)
class LinkSession:
    """A Link session that plays."""

    account_id: str
    end_user_id: str = field(repr=False)
    """Whose account it is."""
    link_token_id: str
    duration_s: float
    """Seconds from its beginning to its last event, those of pending jobs included."""


@frozen(kw_only=True)
class Scene:
    """One event of the play, and what the world shows from then on."""

    ends_s: float
    """Seconds from the beginning to the end of the job, when its data is there."""
    announced_s: float
    """Seconds from the beginning to the announcement."""
    event: str
    payload: Record = field(repr=False)
    product: Product | None = None
    """What becomes visible; null for nothing."""
    unseen: int = 0
    """How many of its oldest items stay invisible."""


def play(
    world: World, account_id: str, endings: Mapping[Product, Ending], new_id: Callable[[], str], rng: Random
) -> list[Scene]:
    """Write the play of an account that was just connected; it begins now.

    Args:
        world: Where the account is.
        account_id: The account.
        endings: How the job of a product ends; a success where nothing is said.
        new_id: Makes ids of jobs.
        rng: Every choice there is.
    """
    script = _Script(world=world, account_id=account_id, began=world.now(), new_id=new_id, rng=rng)
    script.announce("account.added", 0.0, lag_s=0.0)
    supported = _directory.platform(world.ids, world.profile(world.index(account_id)).platform)["supported_jobs"]
    for product in PRODUCTS:
        if product in supported:
            script.job(product, endings.get(product, "success"))
    script.reports({product for product in supported if endings.get(product, "success") == "success"})
    return sorted(script.scenes, key=lambda one: one.announced_s)


@define(kw_only=True)
class _Script:
    """The play as far as it is written."""

    world: World
    account_id: str
    began: datetime
    new_id: Callable[[], str]
    rng: Random
    scenes: list[Scene] = Factory(list[Scene])

    def announce(
        self,
        event: str,
        ends_s: float,
        *,
        lag_s: float,
        shows: tuple[Product, int] | None = None,
        job_id: str | None = None,
        **said: Any,
    ) -> None:
        """Write one scene."""
        at = self.began + timedelta(seconds=ends_s)
        subject = Subject(world=self.world, account_id=self.account_id, at=at, job_id=job_id or self.new_id(), **said)
        self.scenes.append(
            Scene(
                ends_s=ends_s,
                announced_s=ends_s + lag_s,
                event=event,
                payload=payload_of(event, subject),
                product=shows and shows[0],
                unseen=shows[1] if shows else 0,
            )
        )

    def job(self, product: Product, ending: Ending) -> None:
        """Write all scenes of a product."""
        first_s = _SINGLES_AT_S.get(product) or _BATCHES_AT_S[product][0]
        after_s = 0.0
        if ending in {"pending", "pending_error"}:
            self._end(product, first_s, "pending")
            after_s = self.rng.uniform(*_RESOLVED_AFTER_S)
        if ending in {"error", "pending_error"}:
            self._end(product, first_s + after_s, "error")
        elif ending != "stalled" and product in _BATCHES_AT_S:
            self._batches(product, after_s)
        elif ending != "stalled":
            self._single(product, first_s + after_s)

    def reports(self, complete: set[Product]) -> None:
        """Write the scenes that follow from several products."""
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
        """Write the batches of a list, its marks, and its end."""
        items = self._items(product)
        windows = _windows(items, _DAY_OF[product])
        last = max([number for number, window in enumerate(windows) if window], default=0)
        shown, said, lag_s = 0, windows[0], 0.0
        for number, window in enumerate(windows[: last + 1]):
            ends_s = after_s + _BATCHES_AT_S[product][number]
            if window or not items:
                shown, said = shown + len(window), window
                lag_s = self._batch(product, ends_s, window, unseen=len(items) - shown, is_last=number == last)
            reached = _MARKS[number:] if number == last else _MARKS[number : number + 1]
            for place, mark in enumerate(reached if items else (), 1):
                self.announce(f"{product}.{mark}", ends_s + place / 10, lag_s=lag_s, items=said)

    def _batch(
        self, product: Product, ends_s: float, window: tuple[Facts, ...], *, unseen: int, is_last: bool
    ) -> float:
        """Write one batch, and the end of the list with the last one; return how late they are announced."""
        job_id, lag_s = self.new_id(), self._lag_s()
        batch: Record = {"job_id": job_id, "items": window, "shows": (product, unseen)}
        status = "complete" if is_last else "in_progress"
        self.announce(f"{product}.added", ends_s, lag_s=lag_s, sync_status=status, **batch)
        if is_last:
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
    """Part a list, newest first, where seven, thirty and ninety days from its newest item are over."""
    if not items:
        return [()]
    newest = date.fromisoformat(items[0][day])
    ages = [(newest - date.fromisoformat(one[day])).days for one in items]
    edges = [0, *(sum(age < days for age in ages) for days in _MARK_DAYS), len(items)]
    return [items[begin:end] for begin, end in pairwise(edges)]
