"""Opening and closing the SQLite inbox in any order, and a disk that hangs meanwhile."""

import asyncio
import logging
import tempfile
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks import Delivery, SqliteInbox

from .busy_thread import busy_thread
from .refusals import refusal


@contextmanager
def impatient(inbox):
    """Let an inbox give up on its disk at once, in a block; before and after, a slow machine does no harm."""
    patience_s = inbox._timeout_s
    inbox._timeout_s = inbox._group._timeout_s = 0.05
    inbox._group._cancel_timer()  # one that is set for what came before is no good for a shorter time
    try:
        yield
    finally:
        inbox._timeout_s = inbox._group._timeout_s = patience_s


@asynccontextmanager
async def hung_disk(inbox):
    """Let the disk hang for a block: the thread does not come back from what it does."""
    began, go = threading.Event(), threading.Event()
    hanging = inbox._group.submit(lambda _: (began.set(), go.wait(30)), may_take_long=True)
    async with asyncio.timeout(30):
        while not began.is_set():
            await asyncio.sleep(0)
    try:
        with impatient(inbox):
            yield
    finally:
        go.set()
        with suppress(InboxError):
            await hanging


async def test_put_while_the_disk_hangs(opened, deliver_apart):
    """What looks or stores ends with an error in time, and what was with the disk is stored once it goes on."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        (claim,) = await inbox.claim(1, lease_s=60)
        async with hung_disk(inbox):
            asked = [
                *(inbox.put(deliver_apart("2")), inbox.save("name", b""), inbox.load("name"), inbox.counts()),
                *(inbox.wait(60), inbox.claim(1, lease_s=60), inbox.extend(claim, lease_s=60)),
                *(inbox.done(claim), inbox.release(claim), inbox.fail(claim, reason="r", retry_in_s=None)),
            ]
            errors = await asyncio.gather(*map(refusal, asked))
        stored = await inbox.counts()

    assert {"Timeout"} == {error.reason for error in errors}
    assert (0, 1) == (stored.waiting, stored.claimed)  # nothing had been handed to the disk yet


async def test_what_hangs_is_not_kept_in_memory(opened, deliver_apart):
    """What was given up before the disk got it is forgotten, however much comes."""
    async with opened() as inbox:
        async with hung_disk(inbox):
            await asyncio.gather(*(refusal(inbox.put(deliver_apart(f"{number}"))) for number in range(2_000)))
            left = len(inbox._group._waiting)
        again = await inbox.put(deliver_apart("0"))

    assert (0, True) == (left, again)


async def test_put_that_nobody_waits_for(opened, deliver_apart):
    """A put that was cancelled, and is stored all the same, wakes who waits for something to be due."""
    async with opened() as inbox, asyncio.timeout(30):
        async with busy_thread(inbox):
            putting = asyncio.create_task(inbox.put(deliver_apart("1")))
            await asyncio.sleep(0)
            waiting = asyncio.create_task(inbox.wait(3_600))
            await asyncio.sleep(0)
            putting.cancel()
        await waiting

    assert putting.cancelled()


async def test_put_that_comes_too_late(opened, deliver_apart, monkeypatch):
    """A put that was given up while the disk had it is stored when it goes on, wakes who waits, and is known then."""
    async with opened() as inbox:
        go = threading.Event()
        store = await inbox._group.submit(lambda store: store)
        commit = store.commit
        monkeypatch.setattr(store, "commit", lambda: (go.wait(30), commit()))
        with impatient(inbox):
            error = await refusal(inbox.put(deliver_apart("1")))
        woken = asyncio.create_task(inbox.wait(3_600))
        await asyncio.sleep(0)
        go.set()
        async with asyncio.timeout(30):
            await woken
        known = not await inbox.put(deliver_apart("1"))

    assert ("Timeout", True) == (error.reason, known)


async def test_claim_that_comes_too_late(opened, deliver_apart, monkeypatch):
    """What was claimed after the worker was told that the disk hangs is given back, and the attempt does not count."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        go = threading.Event()
        store = await inbox._group.submit(lambda store: store)
        commit = store.commit
        monkeypatch.setattr(store, "commit", lambda: (go.wait(30), commit()))
        with impatient(inbox):
            error = await refusal(inbox.claim(1, lease_s=3_600))
        go.set()
        async with asyncio.timeout(30):
            while not (claims := await inbox.claim(1, lease_s=60)):
                await asyncio.sleep(0)

    assert ("Timeout", 1) == (error.reason, claims[0].attempt)


async def test_close_while_the_disk_hangs(path, deliver_apart, caplog, time):
    """Closing gives up in time and says so; what waits gets an error, and the inbox can be opened again."""
    inbox = SqliteInbox(path, clock=time.clock)
    await inbox.open()
    await inbox.put(deliver_apart("1"))
    group = inbox._group
    async with hung_disk(inbox):
        claiming = asyncio.create_task(inbox.claim(1, lease_s=60))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await inbox.close()
        claimed = await asyncio.gather(claiming, return_exceptions=True)
        closed = await refusal(inbox.counts())
    await asyncio.to_thread(group.join, 30)
    ended = not group.is_alive
    await inbox.open()
    counts = await inbox.counts()
    await inbox.close()

    assert ["Timeout"] == [error.reason for error in claimed]
    assert ("Closed", True, 1) == (closed.reason, ended, counts.waiting)
    assert [(logging.ERROR, True)] == [(record.levelno, "disk hangs" in record.message) for record in caplog.records]


async def test_close_while_opening_hangs(path, time, monkeypatch):
    """An opening that hangs is given up by closing, and ends with an error."""
    go = threading.Event()

    def hang(*_):
        go.wait(30)
        raise InboxError("it failed in the end", reason="Late")

    monkeypatch.setattr("pinwheel_async.webhooks._inbox.sqlite._open", hang)
    inbox = SqliteInbox(path, clock=time.clock)
    opening = asyncio.create_task(inbox.open())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        with impatient(inbox):
            await inbox.close()
        error = await refusal(opening)
    go.set()
    await asyncio.to_thread(inbox._group.join, 30)

    assert ("Timeout", False) == (error.reason, inbox._group.is_alive)


async def run(inbox, actions):
    """Do all at the same time, beginning in this order."""

    async def cancelled_opening():
        task = asyncio.create_task(inbox.open())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def put():
        now = datetime.now(UTC)
        with suppress(InboxError):
            await inbox.put(
                Delivery(event_id=f"{now}", event="e", ordering_key="k", received_at=now, key="k", body=b"")
            )

    doing = {"open": inbox.open, "close": inbox.close, "put": put, "cancelled": cancelled_opening}
    tasks = []
    for turns, action in actions:
        tasks.append(asyncio.ensure_future(doing[action]()))
        for _ in range(turns):
            await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["open", "close", "put", "cancelled"])), min_size=2, max_size=6
    )
)
def test_any_order_of_opening_and_closing(actions):
    """However openings and closings overlap, all of them end, the last one counts, and no thread is left."""

    async def main():
        async with asyncio.timeout(60):
            await run(inbox, actions)
            is_open = True
            try:
                await inbox.counts()
            except InboxError as error:
                is_open = error.reason != "Closed"
            await inbox.close()
            await inbox.open()
            await inbox.counts()
            await inbox.close()
        return is_open

    with tempfile.TemporaryDirectory() as folder:
        inbox = SqliteInbox(Path(folder, "inbox.db"), synchronous="NORMAL")
        is_open = asyncio.run(main())
        left = [thread for thread in threading.enumerate() if thread.name == "pinwheel-inbox"]
        for thread in left:
            thread.join(30)

    last = next((action for _, action in reversed(actions) if action in {"open", "close"}), "close")
    if "cancelled" not in {action for _, action in actions}:
        assert is_open == (last == "open")
    assert not any(thread.is_alive() for thread in left)


async def test_opening_again_after_a_cancelled_opening(path, time, deliver_apart):
    """An opening that was cancelled leaves nothing behind that counts as another receiver."""
    inbox = SqliteInbox(path, clock=time.clock)
    await inbox.open()
    await inbox.put(deliver_apart("1"))
    await inbox.claim(1, lease_s=60)
    await inbox.close()
    opening = asyncio.create_task(inbox.open())
    await asyncio.sleep(0)
    group = inbox._group
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    closed = await refusal(inbox.counts())
    await asyncio.to_thread(group.join, 30)
    await inbox.open()
    claimed = await inbox.claim(1, lease_s=60)
    await inbox.close()

    assert ("Closed", False, 1) == (closed.reason, group.is_alive, len(claimed))


async def test_timeout_is_that_of_every_operation(opened):
    """The seconds that were given hold for what is asked for, and ten if none were."""
    async with opened(timeout_s=3) as given, opened() as default:
        assert (3, 10) == (given._group._timeout_s, default._group._timeout_s)


def test_timeout_that_is_negative(path):
    """There is no time before now."""
    with pytest.raises(ConfigurationError):
        SqliteInbox(path, timeout_s=-1)
