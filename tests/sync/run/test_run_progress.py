"""Progress of a run, while it goes on."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pinwheel_async import Pinwheel
from pinwheel_async.sync import MemorySink, Progress, sync
from pinwheel_async.sync._run.counters import Counters
from pinwheel_async.sync._run.plan import make_plan
from pinwheel_async.sync._run.reading import Unit
from pinwheel_async.sync._run.run import Run
from pinwheel_async.testing import FakePinwheel, Fault


async def test_progress_is_told(pinwheel: Pinwheel):
    """Progress ends with everything done."""
    told: list[Progress] = []

    report = await sync(pinwheel, MemorySink(), products=["income", "shifts"], on_progress=told.append)

    last = told[-1]
    assert (last.accounts_seen, last.accounts_total, last.units_done) == (12, 12, 24)
    assert (last.items, last.failures) == (report.items, 0)
    assert last.elapsed_s > 0


async def test_progress_counts_errors(fake: FakePinwheel, pinwheel: Pinwheel):
    """Progress names the kinds of errors and how often each came."""
    told: list[Progress] = []
    fake.script(Fault(status=500), Fault(status=500), Fault(status=409), operation="get_income")

    await sync(pinwheel, MemorySink(), products=["income"], on_progress=told.append)

    assert (told[-1].errors, told[-1].failures) == ({"ServerError": 2, "ConflictError": 1}, 3)


async def test_progress_knows_what_is_in_flight(pinwheel: Pinwheel):
    """Progress says how many products are being fetched, never more than there are workers, and none at the end."""
    told: list[Progress] = []

    await sync(pinwheel, MemorySink(), concurrency=3, on_progress=told.append)

    assert max(progress.in_flight for progress in told) <= 3
    assert told[0].in_flight > 0
    assert told[-1].in_flight == 0


async def test_progress_estimates_the_rest(fake: FakePinwheel, pinwheel: Pinwheel):
    """Once all accounts are known, progress estimates by the pace so far how long the rest takes."""
    told: list[Progress] = []
    ids = [*fake.world.account_ids()]

    await sync(pinwheel, MemorySink(), accounts=ids, products=["income"], on_progress=told.append)

    first, last = next(progress for progress in told if progress.units_done), told[-1]
    assert first.eta_s == pytest.approx(first.elapsed_s * (12 - first.units_done) / first.units_done)
    assert (last.eta_s, last.units_total, last.pages) == (0.0, 12, 12)


async def test_no_estimate_without_a_total(pinwheel: Pinwheel):
    """While it is not known how many accounts there are, nothing is estimated."""
    counters = Counters(["income"], None, (told := list[Progress]()).append)

    counters.unit_ended(Unit("account", "income"), "complete")

    assert (told[0].eta_s, told[0].units_total) == (None, None)


async def test_progress_knows_of_pauses():
    """Progress says how long the client waits, because the server asked it to."""
    counters = Counters(["income"], 1, (told := list[Progress]()).append, paused_s=lambda: 1.5)

    counters.report()

    assert told[0].paused_s == 1.5


async def test_progress_while_nothing_is_done(pinwheel: Pinwheel, gated: Any, time: Any):
    """Progress is told also while nothing gets done, so that a pause can be seen."""
    told: list[Progress] = []
    plan = make_plan(
        products=["income"], accounts=["a"], concurrency=1, ceiling=1, from_pay_date=None, from_start_date=None
    )
    task = asyncio.create_task(Run(pinwheel, gated, plan, told.append, clock=time.clock).run())
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0)

    assert told[0].units_done == 0
    assert time.slept[0] == 1.0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_progress_is_told_seldom(pinwheel: Pinwheel):
    """Progress is told at most ten times a second, at the start and at the end."""
    told: list[Progress] = []

    report = await sync(pinwheel, MemorySink(), on_progress=told.append)

    assert len(told) <= report.seconds * 10 + 2
    assert len(told) < 84


async def test_total_is_unknown_while_accounts_are_listed(pinwheel: Pinwheel):
    """While accounts are still being listed, their number is not told."""
    told: list[Progress] = []

    async def come() -> AsyncIterator[str]:
        yield "11111111-1111-4111-8111-111111111111"
        while not told:
            await asyncio.sleep(0)

    await sync(pinwheel, MemorySink(), accounts=come(), products=["income"], on_progress=told.append)

    assert told[0].accounts_total is None


async def test_a_broken_progress_callback(pinwheel: Pinwheel, caplog: pytest.LogCaptureFixture):
    """A progress callback that raises does not disturb the run and is logged once."""

    def raise_it(_: Progress) -> None:
        raise RuntimeError("mistake of its author")

    with caplog.at_level(logging.WARNING):
        report = await sync(pinwheel, MemorySink(), on_progress=raise_it)

    assert report.ok
    assert len(caplog.records) == 1
