"""Refusals: counted, logged once and then in sums, and told to the application."""

import asyncio
import logging
from typing import get_args

import pytest

from pinwheel_async.webhooks import _refusals
from pinwheel_async.webhooks._hooks import Hooks
from pinwheel_async.webhooks._refusals import RefusalReason, Refusals

REASONS = get_args(RefusalReason)


@pytest.fixture
async def refusals():
    refusals = Refusals(Hooks(), None)
    yield refusals
    refusals.close()


def lines(caplog):
    return [(record.levelname, record.getMessage().partition(":")[2].strip()) for record in caplog.records]


async def until(predicate):
    async with asyncio.timeout(10):
        while not predicate():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("reason", REASONS)
async def test_first_of_a_reason(refusals, caplog, reason):
    """The first refusal of each reason is logged at once, with what to do about it."""
    refusals.add(reason, 503)
    (record,) = caplog.records

    assert record.getMessage() == f"refused a delivery: 503 {reason}: {_refusals.ADVICE[reason]}"


@pytest.mark.parametrize(
    ("reason", "level"),
    [("signature_wrong", "WARNING"), ("body_late", "WARNING"), ("body_consumed", "ERROR"), ("not_stored", "ERROR")],
)
async def test_levels(refusals, caplog, reason, level):
    """What anybody can cause is a warning; what keeps authentic deliveries out is an error."""
    refusals.add(reason, 503)

    assert [level] == [record.levelname for record in caplog.records]


async def test_detail(refusals, caplog):
    """A detail stands in place of the advice."""
    refusals.add("not_stored", 503, "event 1 is not stored")

    assert [("ERROR", "503 not_stored: event 1 is not stored")] == lines(caplog)


async def test_flood(refusals, caplog):
    """Of many refusals one line is written at once, and all are counted."""
    for _ in range(1000):
        refusals.add("signature_wrong", 401)

    assert 1 == len(caplog.records)
    assert {"signature_wrong": 1000} == refusals.counts


async def test_summary(refusals, caplog, monkeypatch):
    """What was held back is summed up by reason when the time has come, at the highest level of its reasons."""
    monkeypatch.setattr(_refusals, "SUMMARY_S", 0.01)
    for reason, count in {"signature_wrong": 4, "not_stored": 3}.items():
        for _ in range(count):
            refusals.add(reason, 401)
    await until(lambda: len(caplog.records) > 2)

    assert ("ERROR", "signature_wrong 3, not_stored 2") == lines(caplog)[2]


async def test_summaries_do_not_repeat(refusals, caplog, monkeypatch):
    """A summary counts what came since the one before it."""
    monkeypatch.setattr(_refusals, "SUMMARY_S", 0.01)
    for more in (2, 3):
        for _ in range(more):
            refusals.add("signature_wrong", 401)
        await until(lambda: not refusals._held_back)

    assert ["signature_wrong 1", "signature_wrong 3"] == [text for _, text in lines(caplog)[1:]]


async def test_quiet_again(refusals, caplog, monkeypatch):
    """After a time without refusals the next one is logged at once again."""
    monkeypatch.setattr(_refusals, "SUMMARY_S", 0.01)
    refusals.add("signature_wrong", 401)
    await until(lambda: refusals._timer is None)
    refusals.add("signature_wrong", 401)

    assert 2 == len(caplog.records)


async def test_close(refusals, caplog):
    """What was held back is not lost at the end."""
    for _ in range(3):
        refusals.add("body_late", 503)
    refusals.close()

    assert ("WARNING", "body_late 2") == lines(caplog)[-1]


def test_again_in_another_loop(caplog):
    """In another event loop refusals are logged again: the timer of the first one never fires."""
    refusals = Refusals(Hooks(), None)

    async def refuse():
        refusals.add("signature_wrong", 401)

    asyncio.run(refuse())
    asyncio.run(refuse())

    assert 2 == len(caplog.records)


async def test_hook():
    """The hook is told reason and status of each refusal, also of those that are not logged."""
    seen = []
    refusals = Refusals(Hooks(), lambda reason, status: seen.append((reason, status)))
    for _ in range(2):
        refusals.add("signature_wrong", 401)
    refusals.close()

    assert [("signature_wrong", 401)] * 2 == seen


def test_advice():
    """There is advice for each reason."""
    assert set(REASONS) == set(_refusals.ADVICE)
    assert logging.WARNING == _refusals.level_of("signature_missing")
