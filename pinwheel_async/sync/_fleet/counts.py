"""Counts of a run that several processes share: numbers by name, which add up to its report and its progress."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from pinwheel_async.products import Product
from pinwheel_async.sync._fleet.queries import RunRow
from pinwheel_async.sync._report import ProductCounts, Progress, SyncFailure, SyncReport

_OF_THE_RUN = ("accounts", "pages", "erased", "gone", "resumed", "lists_held_back")

_OF_PRODUCTS = [field.name for field in attrs.fields(ProductCounts)]

_ENDS = ("complete", "unchanged", "missing", "failed", "overtaken")
"""What becomes of a product of an account."""

_ERROR = "error."


def counts_of(report: SyncReport) -> Counter[str]:
    """Return the counts of what one process did."""
    counts = Counter({name: getattr(report, name) for name in _OF_THE_RUN})
    for product, numbers in report.products.items():
        counts.update({f"{product}.{name}": getattr(numbers, name) for name in _OF_PRODUCTS})
    counts.update(f"{_ERROR}{type(failure.error).__name__}" for failure in report.failures)
    return +counts  # without zeros


def failures_of(report: SyncReport) -> dict[str, list[Mapping[str, Any]]]:
    """Return the failures of what one process did, as documents by account."""
    documents: dict[str, list[Mapping[str, Any]]] = {}
    for failure in report.failures:
        documents.setdefault(failure.account_id or "", []).append(failure.to_dict())
    return documents


def report_of(run: RunRow, failures: Sequence[Mapping[str, Any]], *, ended_by: str | None = None) -> SyncReport:
    """Return the report of a run as it is now; one that is not over counts as stopped."""
    counts, products = run.counts, products_of(run)
    return SyncReport(
        accounts=counts["accounts"],
        pages=counts["pages"],
        seconds=((run.ended_at or run.now) - run.began_at).total_seconds(),
        products={
            product: ProductCounts(**{name: counts[f"{product}.{name}"] for name in _OF_PRODUCTS})
            for product in products
        },
        failures=tuple([SyncFailure.from_dict(document) for document in failures]),
        erased=counts["erased"],
        gone=counts["gone"],
        resumed=counts["resumed"],
        lists_held_back=counts["lists_held_back"],
        stopped=run.state != "done" and ended_by is None,
        ended_by=ended_by,
    )


def progress_of(run: RunRow, paused_s: float) -> Progress:
    """Return how far a run is."""
    counts, products = run.counts, products_of(run)
    is_listed = run.state != "listing"
    done = sum(counts[f"{product}.{end}"] for product in products for end in _ENDS)
    unchanged = sum(counts[f"{product}.unchanged"] for product in products)
    total = counts["units"] + unchanged if is_listed else None
    elapsed_s = ((run.ended_at or run.now) - run.began_at).total_seconds()
    errors = {name.removeprefix(_ERROR): count for name, count in counts.items() if name.startswith(_ERROR)}
    return Progress(
        accounts_seen=counts["accounts"],
        accounts_total=counts["accounts"] if is_listed else None,
        units_done=done,
        units_total=total,
        items=sum(counts[f"{product}.items"] for product in products),
        pages=counts["pages"],
        failures=sum(errors.values()),
        errors=errors,
        in_flight=run.in_flight,
        paused_s=paused_s,
        elapsed_s=elapsed_s,
        eta_s=None if total is None or not done else elapsed_s * max(0, total - done) / done,
    )


def products_of(run: RunRow) -> tuple[Product, ...]:
    """Return the products that a run is about."""
    return tuple(run.plan["products"])
