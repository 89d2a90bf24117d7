"""Callbacks of the router: told of failures and deaths, and without any influence on them."""

import asyncio

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import DeliveryFilter, Entry, Receiver, Router
from pinwheel_async.webhooks._worker import dispatch as _dispatch
from pinwheel_async.webhooks._worker.worker import MAX_INTERRUPTIONS

ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2, base_s=1.0)


async def fail(event: Event) -> None:
    raise ValueError("planted-4711")


async def fine(event: Event) -> None: ...


async def hang(event: Event) -> None:
    await asyncio.Event().wait()


async def test_on_error(work):
    """A callback, coroutine function or not, is told event, context and exception of each failure only."""
    told = []

    def prepare(router):
        @router.on_error
        def note(event, context, exception):
            told.append((type(event), context.event_id, context.attempt, type(exception)))

        @router.on_error
        async def note_later(event, context, exception):
            await asyncio.sleep(0)
            told.append(type(exception))

    await work(fine, fail, (hang, {"timeout_s": 0.01}), prepare=prepare, retry=ONCE)
    await work.put("1")
    await work.settled()

    assert [
        (IncomeAdded, "1", 1, ValueError),
        ValueError,
        (IncomeAdded, "1", 1, TimeoutError),
        TimeoutError,
    ] == told


async def test_on_dead(work):
    """A callback is told once that a delivery is dead, after it is, and nothing of its payload."""
    told = []

    async def note(entry):
        told.append((entry, await work.inbox.entries(DeliveryFilter(states="dead"))))

    await work(fail, prepare=lambda router: router.on_dead(note), retry=TWICE)
    await work.put("1")
    await work.retry(1.0)
    await work.settled()
    await work.until(lambda: told)

    ((entry, dead),) = told
    assert isinstance(entry, Entry)
    assert (2, "dead", (entry,)) == (entry.attempts, entry.state, dead)


async def test_on_dead_of_crashes_and_odd_bodies(work, inbox):
    """A callback is also told of what is dead because it ended the process, or cannot be decoded."""
    told = []
    await inbox.open()
    await work.put("crashes", account_id="a")
    for _ in range(MAX_INTERRUPTIONS + 1):
        await inbox.claim(1, lease_s=0)
    await work.put("odd", account_id="b", timestamp="not a moment")
    await work(fine, prepare=lambda router: router.on_dead(told.append))
    await work.settled()

    reasons = {entry.event_id: entry.reason for entry in told}
    assert {"crashes", "odd"} == reasons.keys()
    assert reasons["crashes"].startswith("the process ended ")


def raise_text(*arguments):
    raise OSError("planted-4711")


async def raise_later(*arguments):
    await asyncio.sleep(0)
    raise SystemExit("planted-4711")


@pytest.mark.parametrize("callback", [raise_text, raise_later])
async def test_a_callback_that_fails(work, caplog, callback):
    """What a callback raises is logged without its text, and changes nothing."""

    def prepare(router):
        router.on_error(callback)
        router.on_dead(callback)

    await work(fail, prepare=prepare, retry=TWICE)
    await work.put("1")
    await work.retry(1.0)
    counts = await work.settled()

    assert 1 == counts.dead
    assert 3 == caplog.text.count("a callback of the router failed: ")
    assert callback.__name__ in caplog.text
    assert "planted-4711" not in caplog.text


async def test_a_callback_that_hangs(work, caplog, monkeypatch):
    """A callback that does not end is cancelled after its time."""
    monkeypatch.setattr(_dispatch, "CALLBACK_S", 0.01)
    cancelled = asyncio.Event()

    async def hang(*arguments):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await work(fail, prepare=lambda router: router.on_error(hang), retry=ONCE)
    await work.put("1")
    counts = await work.settled()
    await work.until(cancelled.is_set)

    assert 1 == counts.dead
    assert "a callback of the router is cancelled: no end after 0.01 s" in caplog.text


async def test_callbacks_of_included_routers(work):
    """Callbacks hear of all handlers, whichever router they are registered with."""
    told = []
    inner, innermost = Router(), Router()
    inner.include(innermost)
    inner.on_error(lambda *arguments: told.append("inner"))
    innermost.on_dead(lambda entry: told.append("innermost"))

    def prepare(router):
        router.include(inner)
        router.on_error(lambda *arguments: told.append("outer"))

    await work(fail, prepare=prepare, retry=ONCE)
    await work.put("1")
    await work.settled()
    await work.until(lambda: len(told) == 3)

    assert ["outer", "inner", "innermost"] == told


@pytest.mark.parametrize("register", [Router.on_error, Router.on_dead])
def test_what_cannot_be_registered(register):
    """What cannot be called, or comes after the start, is refused."""
    router = Router()
    with pytest.raises(ConfigurationError, match="must be a function, not str"):
        register(router, "callback")
    router.freeze()
    with pytest.raises(ConfigurationError, match="has started"):
        register(router, fail)


@pytest.mark.parametrize("log_exceptions", [False, True])
async def test_exceptions_in_the_log(body, headers, caplog, log_exceptions):
    """Texts and tracebacks of exceptions are logged only if that is asked for."""
    router, content = Router(), body()
    router.on(Event)(fail)
    receiver = Receiver(router, ["a-secret-of-tests"], log_exceptions=log_exceptions)
    await receiver.start()
    answer = await receiver.receive(headers(content), content)
    await receiver.stop()

    assert 500 == answer.status
    assert ("planted-4711" in caplog.text, "Traceback" in caplog.text) == (log_exceptions, log_exceptions)
