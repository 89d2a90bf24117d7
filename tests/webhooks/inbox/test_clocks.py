"""Clocks that are set while an inbox is used: leases and waits take as long as they were meant to, and no longer."""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async._clock import Clock
from pinwheel_async.webhooks import Delivery, DeliveryFilter, MemoryInbox, SqliteInbox

from .claims import ids

YEAR_S = 365 * 86_400

JUMPS = st.sampled_from([-30 * YEAR_S, -3_600, -60, -1, 1, 60, 3_600, 30 * YEAR_S])
STEPS = st.lists(
    st.tuples(st.just("wall"), JUMPS)
    | st.tuples(st.just("pass"), st.integers(1, 40))
    | st.tuples(st.just("restart"), st.integers(0, 40)),
    max_size=6,
)


class Clocks:
    """Both clocks of a machine: one that goes on, and one that is set to what somebody thinks is right."""

    def __init__(self):
        self.seconds = 1_000.0
        self.ahead_s = 0.0

    @property
    def clock(self):
        return Clock(monotonic=lambda: self.seconds, now=self.now)

    def now(self):
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds + self.ahead_s)

    def deliver(self, name):
        return Delivery(event_id=name, event="e", ordering_key=name, received_at=self.now(), key="k", body=b"{}")


def inboxes(kind, clocks, path):
    return MemoryInbox(clock=clocks.clock) if kind == "memory" else SqliteInbox(path, clock=clocks.clock)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, lease_s=st.integers(1, 60), retry_in_s=st.integers(1, 60))
def test_time_that_leases_and_waits_take(kind, steps, lease_s, retry_in_s):
    """In a process both are exact, however the wall clock is set; after a restart none takes longer than it had to."""

    async def main(path):
        clocks = Clocks()
        inbox = inboxes(kind, clocks, path)
        await inbox.open()
        for name in ("leased", "retried"):
            await inbox.put(clocks.deliver(name))
        claims = {claim.delivery.event_id: claim for claim in await inbox.claim(2, lease_s=lease_s)}
        await inbox.fail(claims["retried"], reason="r", retry_in_s=retry_in_s)
        ends = {"leased": clocks.seconds + lease_s, "retried": clocks.seconds + retry_in_s}
        latest = dict(ends)
        for step, seconds in steps:
            if step == "wall":
                clocks.ahead_s += seconds
            else:
                clocks.seconds += seconds
            if step == "restart" and kind == "sqlite":
                await inbox.close()
                inbox = inboxes(kind, clocks, path)
                await inbox.open()
                ends = {"leased": 0.0, "retried": 0.0}
                latest = {"leased": clocks.seconds, "retried": clocks.seconds + retry_in_s}
            due = set(ids(await inbox.claim(2, lease_s=1_000_000)))
            assert {name for name, end in latest.items() if end <= clocks.seconds} <= due
            assert due <= {name for name, end in ends.items() if end <= clocks.seconds}
            for name in due:
                del latest[name], ends[name]
            if "retried" in due:  # then nothing is left to be seen
                break
        await inbox.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder, "inbox.db")))


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_receivers_agree_about_leases(steps):
    """A receiver that is opened after the wall clock was set takes what another has when its lease ends, not before."""

    async def main(path):
        clocks = Clocks()
        first = SqliteInbox(path, clock=clocks.clock)
        await first.open()
        await first.put(clocks.deliver("leased"))
        await first.claim(1, lease_s=60)
        end = clocks.seconds + 60
        for step, seconds in steps:
            if step == "wall":
                clocks.ahead_s += seconds
            else:
                clocks.seconds += seconds
            second = SqliteInbox(path, clock=clocks.clock)
            await second.open()
            claimed = ids(await second.claim(1, lease_s=1_000_000))
            await second.close()
            assert claimed == (["leased"] if clocks.seconds >= end else [])
            if claimed:
                break
        await first.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder, "inbox.db")))


async def test_machine_that_was_started_again_without_a_lock(path):
    """Where no receiver ever counts as alone, the monotonic clock of another start of the machine does no harm."""
    path.with_name("inbox.db-open").mkdir()
    clocks = Clocks()
    clocks.seconds, clocks.ahead_s = 1_000_000.0, 0.0
    inbox = SqliteInbox(path, clock=clocks.clock)
    await inbox.open()
    await inbox.put(clocks.deliver("1"))
    await inbox.claim(1, lease_s=60)
    await inbox.close()
    clocks.seconds, clocks.ahead_s = 5.0, 1_000_000.0
    inbox = SqliteInbox(path, clock=clocks.clock)
    await inbox.open()
    early = await inbox.claim(1, lease_s=60)
    clocks.seconds += 60
    late = await inbox.claim(1, lease_s=60)
    await inbox.close()

    assert (0, 1) == (len(early), len(late))


async def test_tool_with_a_wrong_clock(path):
    """What a tool does under a clock that is years ahead moves no lease of a receiver."""
    clocks, wrong = Clocks(), Clocks()
    wrong.ahead_s = 30 * YEAR_S
    inbox = SqliteInbox(path, clock=clocks.clock)
    await inbox.open()
    for name in ("1", "2"):
        await inbox.put(clocks.deliver(name))
    await inbox.claim(1, lease_s=60)
    tool = SqliteInbox(path, consumer=None, clock=wrong.clock)
    await tool.open()
    purged = await tool.purge(DeliveryFilter(ordering_key="2"))
    await tool.close()
    early = await inbox.claim(1, lease_s=60)
    clocks.seconds += 60
    late = ids(await inbox.claim(1, lease_s=60))
    await inbox.close()

    assert (1, 0, ["1"]) == (purged, len(early), late)


async def test_age_goes_by_the_wall_clock(path):
    """How long the oldest has waited is how long ago it arrived."""
    clocks = Clocks()
    inbox = SqliteInbox(path, clock=clocks.clock)
    await inbox.open()
    await inbox.put(clocks.deliver("1"))
    clocks.ahead_s += 100
    age_s = (await inbox.counts()).oldest_waiting_s
    await inbox.close()

    assert 100 == age_s
