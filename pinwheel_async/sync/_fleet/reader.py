"""Reader of a partition: the engine of a sync over units that somebody else has listed."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import cast

from attrs import evolve

from pinwheel_async._clock import Clock
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import SinkError
from pinwheel_async.products import Product
from pinwheel_async.sync._fleet.queries import RunRow, Units
from pinwheel_async.sync._run.plan import Ids, Plan, chunks, from_day
from pinwheel_async.sync._run.reading import PAGE_LIMIT, Reading, Unit
from pinwheel_async.sync._run.run import Run
from pinwheel_async.sync._run.state import FailureLog
from pinwheel_async.sync._run.work_queue import Slot
from pinwheel_async.sync._sink import Batch, Checkpoint, Store
from pinwheel_async.sync._store_clock import StoreClock

_NEXT = timedelta(microseconds=1)
"""The least difference between two moments."""


class LostLeaseError(SinkError):
    """What was claimed belongs to another process by now."""


class Reader(Run):
    """A run of the units of one partition."""

    def __init__(
        self,
        pinwheel: Pinwheel,
        store: Store,
        plan: Plan,
        run: RunRow,
        units: Units,
        *,
        is_held: Callable[[], bool],
        stop: asyncio.Event,
        clock: Clock | StoreClock,
    ) -> None:
        """Prepare it.

        Args:
            pinwheel: An open client.
            store: The open copy.
            plan: What to fetch.
            run: The run that the partition is of.
            units: What to read.
            is_held: Whether the lease lasts.
            stop: Ends it.
            clock: The time of the database.
        """
        super().__init__(pinwheel, store, plan, None, stop=stop, clock=clock)
        self._units_given = units
        self._is_held = is_held
        self._began = run.began_at
        self._rule = evolve(self._rule, forget_before=run.forget_before)
        # They are kept when the partition ends, if it is still held then.
        self._failures = FailureLog(None, self._now)
        # A key that could read something, or once could, may read anything.
        if any(name.endswith((".complete", ".unchanged", ".missing")) for name in run.counts):
            self._refusals.other_answer()

    @property
    def failures(self) -> FailureLog:
        """What failed."""
        return self._failures

    async def _load_state(self) -> Ids | None:
        return None

    async def _save_state(self, error: BaseException | None) -> None:
        pass

    async def _store_page(self, slot: Slot, batch: Batch) -> None:
        # A process that was paused looks at the clock first: what it has in memory may be old by now.
        if not self._is_held():
            raise LostLeaseError("the partition was taken over", reason="paused for too long")
        await super()._store_page(slot, batch)

    async def _enqueue_accounts(self, accounts: Ids | None, tasks: Sequence[asyncio.Task[None]]) -> None:  # noqa: ARG002
        """Enqueue what nobody has read yet in this run."""
        async for ids in chunks(self._units_given, PAGE_LIMIT):
            checkpoints = await self._checkpoints(ids)
            now = self._now()
            for account_id in ids:
                for product, moment in self._units_given[account_id].items():
                    unit = Unit(account_id, cast("Product", product))
                    checkpoint = self._rule.valid(checkpoints.get(unit), now)
                    reading = Reading(
                        unit=unit,
                        data_updated_at=None if moment is None else datetime.fromisoformat(moment),
                        from_day=from_day(self._plan, unit.product),
                        max_removed=self._plan.max_removed,
                        checkpoint=checkpoint,
                    )
                    if checkpoint is not None and self._is_of_this_run(reading, checkpoint):
                        if checkpoint.reached in {"complete", "missing"}:
                            self._refusals.other_answer()
                            self.counters.unit_found(unit, checkpoint)
                            continue
                        if reading.goes_on(self._now()):
                            # A newer reading than that of the process whose place this one takes: should that one still
                            # be about to store a page, it is refused.
                            self.counters.items_found(unit, checkpoint)
                            reading = evolve(
                                reading, checkpoint=evolve(checkpoint, begun_at=checkpoint.begun_at + _NEXT)
                            )
                    await self._queue.put(partial(self._fetch, reading))
        await self._queue.join()
        for task in tasks:  # none of them ends by itself, and the group waits for all
            task.cancel()

    def _is_of_this_run(self, reading: Reading, checkpoint: Checkpoint) -> bool:
        """Whether a process that had the partition before has read what is to be read, or a part of it."""
        return (
            checkpoint.begun_at >= self._began
            and checkpoint.from_day == reading.from_day
            and checkpoint.data_updated_at == reading.data_updated_at
        )
