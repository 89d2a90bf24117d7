"""One delivery through its handlers, each in a task of its own or all in the caller's: whatever they do, it ends."""

import asyncio

import pytest

from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import Context, MemoryInbox, Router
from pinwheel_async.webhooks._delivery import make_delivery
from pinwheel_async.webhooks._dispatch import Dispatcher
from pinwheel_async.webhooks._worker import Worker


class Watch:
    """Somebody who may stop handlers, and would rescue the others from a stuck one."""

    def __init__(self):
        self.stopped = False

    def rescue(self, rest):
        raise AssertionError


@pytest.fixture(params=["alone", "watched"])
def dispatch(request, body):
    """Take a delivery through handlers, in either way."""

    async def run(*handlers, raw=None, timeout_s=5, headers=None):
        router, content = Router(), body(event_id="1") if raw is None else raw
        for handler, settings in [one if isinstance(one, tuple) else (one, {}) for one in handlers]:
            router.on(Event, **settings)(handler)
        dispatcher = Dispatcher(router, timeout_s=timeout_s, app="the app")
        delivery = make_delivery(headers or {}, content, key="k")
        source = delivery if run.watch else (headers or {}, content, "k")
        course = dispatcher.begin(source, content, delivery.version, watch=run.watch)
        await dispatcher.follow(course)
        return course

    run.watch = None if request.param == "alone" else Watch()
    return run


def cancel(dispatch, task):
    """Cancel from outside: who watches says so."""
    if dispatch.watch is not None:
        dispatch.watch.stopped = True
    task.cancel()


async def endless(event: Event) -> None:
    await asyncio.Event().wait()


async def fine(event: Event) -> None: ...


def reasons(result):
    return [failure.reason for failure in result.failures]


async def test_all_run_in_order(dispatch):
    """Handlers run one after another in the order of registration; one that fails keeps none from running."""
    order = []

    async def first(event: Event) -> None:
        await asyncio.sleep(0)
        order.append("first")

    async def second(event: Event) -> None:
        order.append("second")
        raise ValueError

    async def third(event: Event) -> None:
        order.append("third")

    result = await dispatch(first, second, third)

    assert ["first", "second", "third"] == order
    assert (["ValueError"], False) == (reasons(result), result.ok)


async def test_context(dispatch):
    """Who takes the context finds in it what the delivery says of itself."""
    seen = []

    async def handle(event: Event, context: Context) -> None:
        seen.append(context)

    await dispatch(handle, headers={"pinwheel-version": "2025-07-08", "traceparent": "00-1-1-00"})
    (context,) = seen

    assert ("1", 1, "k", "2025-07-08") == (context.event_id, context.attempt, context.key, context.version)
    assert ("00-1-1-00", None, "the app") == (context.traceparent, context.webhook_id, context.app)


async def test_not_decodable(dispatch):
    """What cannot be decoded comes back with its problems, and no handler runs."""
    result = await dispatch(fine, raw=b"[]")

    assert (("(body): not a JSON object",), ()) == (result.problems, result.failures)


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("planted-4711"),
        asyncio.CancelledError(),
        SystemExit(2),
        GeneratorExit(),
        BaseExceptionGroup("planted-4711", [asyncio.CancelledError()]),
        type("Odd", (BaseException,), {})("planted-4711"),
    ],
    ids=lambda raised: type(raised).__name__,
)
async def test_whatever_a_handler_raises_is_a_failure(dispatch, caplog, raised):
    """Not even what usually ends a task or the program keeps the next handler from running; no words are logged."""
    handled = []

    async def fail(event: Event) -> None:
        raise raised

    async def after(event: Event) -> None:
        handled.append(event.event_id)

    result = await dispatch(fail, after)

    assert ([type(raised).__name__], ["1"]) == (reasons(result), handled)
    assert "planted-4711" not in caplog.text


async def test_a_handler_that_fails_when_it_is_called(dispatch):
    """A handler that raises before there is anything to await has failed like any other."""

    class Fickle:
        async def __call__(self, event: Event) -> None: ...

    async def spoil(event: Event) -> None:
        Fickle.__call__ = lambda self: None

    assert ["TypeError"] == reasons(await dispatch(spoil, Fickle()))


async def test_a_handler_that_runs_out_when_it_is_called():
    """A handler that raises `StopIteration` when it is called has not returned."""

    async def real(event: Event) -> None: ...

    def call(event):
        return next(iter(()))

    router = Router()
    router.on(Event)(real)
    handler = router.handlers()[0]
    object.__setattr__(handler, "call", call)
    dispatcher = Dispatcher(router, timeout_s=5)
    course = dispatcher.begin(({}, b"", "k"), b'{"event_id": "1", "event": "x.y", "payload": {}}', None)
    await dispatcher.follow(course)

    assert not course.ok


async def test_a_handler_that_waits_again_and_again(dispatch):
    """What a handler waits for reaches it, whatever it waits for, and as often as it does."""
    loop, got = asyncio.get_running_loop(), []

    async def numbers():
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    async def patient(event: Event) -> None:
        future = loop.create_future()
        loop.call_soon(future.set_result, "future")
        got.append(await future)
        failing = loop.create_future()
        loop.call_soon(failing.set_exception, KeyError("planted"))
        try:
            await failing
        except KeyError:
            got.append("raised")
        got.append(await asyncio.create_task(asyncio.sleep(0, "task")))
        got.extend([number async for number in numbers()])
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))

    result = await dispatch(patient)

    assert (True, ["future", "raised", "task", 0, 1, 2]) == (result.ok, got)


async def test_a_handler_that_clears_up(dispatch):
    """A handler whose time is over may wait again while it clears up, within its grace."""
    cleared = []

    async def careful(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            cleared.append(True)

    result = await dispatch((careful, {"timeout_s": 0.01}))

    assert [True] == cleared
    assert ["timeout: no end after 0.01 s"] == reasons(result)


async def test_time_limit(dispatch, caplog):
    """A handler that hangs is cancelled when its time is over, and the next one runs."""
    handled = []

    async def after(event: Event) -> None:
        handled.append(event.event_id)

    result = await dispatch((endless, {"timeout_s": 0.01}), after)

    assert (["timeout: no end after 0.01 s"], ["1"]) == (reasons(result), handled)
    assert "handler endless timed out on event 1 after 0.01 s" in caplog.text


async def test_the_shortest_limit_comes_first(dispatch):
    """A handler with a short limit is not kept waiting by one with a long limit that runs at the same time."""
    slow = asyncio.create_task(dispatch((endless, {"timeout_s": 600})))
    await asyncio.sleep(0)
    quick = await dispatch((endless, {"timeout_s": 0.01}))
    cancel(dispatch, slow)
    await asyncio.wait({slow})

    assert ["timeout: no end after 0.01 s"] == reasons(quick)
    assert slow.cancelled()


async def test_cancelled_from_outside(dispatch):
    """When the caller is cancelled so is the handler that runs, and the cancellation passes."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def handle(event: Event) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(dispatch(handle))
    await started.wait()
    cancel(dispatch, task)
    await asyncio.wait({task})

    assert task.cancelled()
    assert ended.is_set()


async def test_cancelled_from_outside_when_the_time_is_over(dispatch):
    """A cancellation from outside passes even if it comes while a late handler is ending."""
    ending = asyncio.Event()

    async def handle(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(dispatch((handle, {"timeout_s": 0.01})))
    await ending.wait()
    cancel(dispatch, task)
    await asyncio.wait({task})

    assert task.cancelled()


async def test_nothing_of_a_limit_is_left(dispatch):
    """After a handler was late its caller can still be cancelled, and has not been."""
    await dispatch((endless, {"timeout_s": 0.01}))
    await dispatch((fine, {"timeout_s": 0.01}))
    await asyncio.sleep(0.03)

    assert 0 == asyncio.current_task().cancelling()


async def test_a_late_handler_that_returns_after_all(dispatch):
    """A handler that returns although it was cancelled has returned."""

    async def stubborn(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    result = await dispatch((stubborn, {"timeout_s": 0.01}))

    assert [] == reasons(result)


async def test_asyncio_timeouts_inside(dispatch):
    """A handler may use the timeouts and task groups of asyncio: they are about itself."""
    seen = []

    async def handle(event: Event) -> None:
        try:
            async with asyncio.timeout(0.01), asyncio.TaskGroup() as group:
                group.create_task(asyncio.Event().wait())
        except TimeoutError:
            seen.append("timeout")

    result = await dispatch(handle)

    assert (True, ["timeout"]) == (result.ok, seen)


def test_ctrl_c(body):
    """Ctrl-C in a handler ends the program, and the delivery waits in the inbox."""
    inbox, router = MemoryInbox(), Router()

    @router.on(IncomeAdded)
    async def handle(event: IncomeAdded) -> None:
        raise KeyboardInterrupt

    async def main():
        await inbox.open()
        await inbox.put(make_delivery({}, body(), key="k"))
        Worker(inbox, Dispatcher(router, timeout_s=5)).start()
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    counts = asyncio.run(inbox.counts())

    assert 1 == counts.waiting + counts.claimed
