"""Counts of what the processes of a run did: together they are the report and the progress of one."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import attrs
import pytest

from pinwheel_async import DecodeError, SinkError
from pinwheel_async.sync import ProductCounts, SyncFailure, SyncReport
from pinwheel_async.sync._fleet.counts import counts_of, failures_of, progress_of, report_of
from pinwheel_async.sync._fleet.queries import RunRow

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def report(begin: int) -> SyncReport:
    """Return a report with a number of its own everywhere."""
    numbers = count(begin)
    names = [field.name for field in attrs.fields(ProductCounts)]
    failures = [
        SyncFailure(account_id=account_id, product="income", error=error)
        for account_id, error in (("a", SinkError("x", reason="y")), ("b", DecodeError(where="z", paths=("p",))))
    ]
    products: Any = {
        product: ProductCounts(**{name: next(numbers) for name in names}) for product in ("income", "shifts")
    }
    fields = ("accounts", "pages", "erased", "gone", "resumed", "lists_held_back")
    whole: Any = {name: next(numbers) for name in fields}
    return SyncReport(seconds=60, products=products, failures=tuple(failures), **whole)


def run(counts: Counter[str], **fields: Any) -> RunRow:
    """Return a run that has taken a minute."""
    values: dict[str, Any] = {
        "number": 1,
        "state": "done",
        "plan": {"products": ["income", "shifts"]},
        "began_at": BEGAN,
        "ended_at": BEGAN + timedelta(minutes=1),
        "forget_before": None,
        "cursor": None,
        "pages": 1,
        "is_whole": True,
        "partitions": 1,
        "counts": counts,
        "waiting": 0,
        "in_flight": 3,
        "leases": 0,
        "now": BEGAN + timedelta(hours=1),
    }
    return RunRow(**values | fields)


def test_a_report_of_parts():
    """What two processes count adds up, everything of it."""
    parts = [report(1), report(100)]
    documents = [document for part in parts for found in failures_of(part).values() for document in found]

    whole = report_of(run(counts_of(parts[0]) + counts_of(parts[1])), documents)

    for product, numbers in whole.products.items():
        for name, number in attrs.asdict(numbers).items():
            assert number == sum(getattr(part.products[product], name) for part in parts)
    for name in ("accounts", "pages", "erased", "gone", "resumed", "lists_held_back"):
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
    assert [failure.to_dict() for failure in whole.failures] == documents
    assert len(documents) == 4
    assert (whole.seconds, whole.stopped, whole.ended_by) == (60, False, None)


@pytest.mark.parametrize("state", ["listing", "listed", "stopping", "stopped", "abandoned"])
def test_a_report_of_what_is_not_done(state: str):
    """The report of a run that is not done says that it was stopped, or what ended the work."""
    going_on = run(Counter(), state=state, ended_at=None)

    assert report_of(going_on, []).stopped
    assert (report_of(going_on, []).seconds, report_of(going_on, [], ended_by="E").stopped) == (3_600, False)


def test_progress():
    """Progress counts what became of products of accounts, of those that are due and those that have not changed."""
    ends = ("complete", "unchanged", "missing", "failed", "overtaken")
    counts = Counter({f"income.{name}": 10**number for number, name in enumerate(ends)})
    counts.update({"units": 30_000, "accounts": 7, "pages": 5, "shifts.items": 4, "income.items": 2, "error.E": 6})

    progress = progress_of(run(counts), 1.5)

    assert (progress.units_done, progress.units_total) == (11_111, 30_010)
    assert (progress.accounts_seen, progress.accounts_total, progress.pages, progress.items) == (7, 7, 5, 6)
    assert (progress.failures, progress.errors, progress.in_flight, progress.paused_s) == (6, {"E": 6}, 3, 1.5)
    assert progress.eta_s == pytest.approx(60 * (30_010 - 11_111) / 11_111)
    listing = progress_of(run(counts, state="listing"), 0)
    assert (listing.accounts_seen, listing.accounts_total, listing.units_total, listing.eta_s) == (7, None, None, None)


@pytest.mark.parametrize("done", [5, 6])
def test_nothing_is_left(done: int):
    """Of a run that is through nothing is left to wait for, also if a unit counted twice."""
    progress = progress_of(run(Counter({"units": 5, "income.complete": done}), state="listed"), 0)

    assert (progress.units_done, progress.units_total, progress.eta_s) == (done, 5, 0)
