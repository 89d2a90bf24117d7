"""Report of a sync."""

import json

import pytest
from attrs import evolve

from pinwheel_async import ServerError
from pinwheel_async.products import Product
from pinwheel_async.sync import ProductCounts, SyncFailure, SyncReport


@pytest.fixture
def report() -> SyncReport:
    """A run over two accounts, of which one failed."""
    error = ServerError(endpoint="GET /v1/accounts/{account_id}/income", status=502, server_message="planted value")
    return SyncReport(
        accounts=2,
        pages=3,
        seconds=1.23456,
        products={"income": ProductCounts(items=1, pages=1, complete=1, missing=0, failed=1)},
        failures=(SyncFailure(account_id="account", product="income", error=error),),
    )


def test_json(report: SyncReport):
    """A report is one line of JSON with ids, counts and kinds of errors, and no text of the server."""
    assert json.loads(report.to_json()) == {
        "ok": False,
        "accounts": 2,
        "items": 1,
        "unchanged": 0,
        "missing": 0,
        "contradicted": 0,
        "held_back": 0,
        "erased": 0,
        "lists_held_back": 0,
        "resumed": 0,
        "gone": 0,
        "stopped": False,
        "ended_by": None,
        "pages": 3,
        "seconds": 1.23456,
        "products": {
            "income": {
                "items": 1,
                "pages": 1,
                "complete": 1,
                "unchanged": 0,
                "missing": 0,
                "contradicted": 0,
                "failed": 1,
                "held_back": 0,
                "overtaken": 0,
            }
        },
        "failures": [
            {
                "account_id": "account",
                "product": "income",
                "error": "ServerError",
                "message": "GET /v1/accounts/{account_id}/income answered 502",
                "endpoint": "GET /v1/accounts/{account_id}/income",
                "status": 502,
            }
        ],
        "planned": None,
    }
    assert "\n" not in report.to_json()


def test_report_round_trip(report: SyncReport):
    """A report comes back from its JSON; a failure keeps account, product, class, text and facts of its error."""
    again = SyncReport.from_json(report.to_json())
    (failure,) = again.failures

    assert evolve(report, failures=()) == evolve(again, failures=())
    assert ("account", "income", ServerError, 502) == (
        failure.account_id,
        failure.product,
        type(failure.error),
        failure.error.status,
    )
    assert str(report.failures[0].error) == str(failure.error)


def test_one_failure(report: SyncReport):
    """A single failure is counted in the singular."""
    with pytest.raises(ExceptionGroup, match=r"1 failure$"):
        report.raise_for_errors()


def test_nothing_failed():
    """A report without failures is well, and raises nothing."""
    report = SyncReport(accounts=0, pages=0, seconds=0.0, products={})

    assert report.ok
    report.raise_for_errors()


def test_stopped():
    """A run that was stopped early is not well, but nothing failed in it."""
    report = SyncReport(accounts=0, pages=0, seconds=0.0, products={}, stopped=True)

    assert not report.ok
    report.raise_for_errors()


def test_planned_requests():
    """The report of a dry run says in JSON, too, what it counted."""
    report = SyncReport(accounts=1, pages=0, seconds=0.0, products={}, planned={"accounts": 1, "income": 1})

    assert report.to_dict()["planned"] == {"accounts": 1, "income": 1}


def test_unchanged():
    """Products that need not be fetched are summed up over all accounts and products."""
    products: dict[Product, ProductCounts] = {
        "income": ProductCounts(unchanged=2),
        "shifts": ProductCounts(unchanged=3),
    }

    assert SyncReport(accounts=3, pages=1, seconds=0.0, products=products).unchanged == 5
