"""Dispatcher: one delivery through its handlers, each in a task of its own; whatever they do, it ends."""

import asyncio
import os
import signal

import pytest

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import Context, MemoryInbox, Router
from pinwheel_async.webhooks._delivery import make_delivery
from pinwheel_async.webhooks._worker.dispatch import Deadlines, Dispatcher
from pinwheel_async.webhooks._worker.worker import Worker


@pytest.fixture(params=["delivery", "headers"])
def dispatch(request, body):
    """Take a delivery through handlers: one that was stored, or headers and body as they came."""

    async def run(*handlers, raw=None, timeout_s=5, headers=None):
        router, content = Router(), body(event_id="1") if raw is None else raw
        for given in handlers:
            handler, settings = given if isinstance(given, tuple) else (given, {})
            router.on(Event, **settings)(handler)
        dispatcher = Dispatcher(router, timeout_s=timeout_s, app="the app")
        delivery = make_delivery(headers or {}, content, key="k")
        source = delivery if request.param == "delivery" else (headers or {}, content, "k")
        return await dispatcher.run(source, content, delivery.version)

    return run


async def endless(event: Event) -> None:
    await asyncio.Event().wait()


async def fine(event: Event) -> None: ...


async def until(predicate):
    async with asyncio.timeout(5):
        while not predicate():
            await asyncio.sleep(0)


def reasons(result):
    """Return why handlers failed, without the places."""
    return [failure.reason.partition(" at ")[0].partition(" of ")[0] for failure in result.failures]


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


async def test_names_of_tasks(dispatch):
    """The task of a handler that waits is named after it, for whoever lists the tasks of a program."""
    names = []

    async def handle(event: Event) -> None:
        await asyncio.sleep(0)
        names.append(asyncio.current_task().get_name())

    await dispatch(handle)

    assert [f"pinwheel handler {handle.__qualname__}"] == names


async def test_context(dispatch):
    """A handler that takes the context finds the facts of the delivery in it."""
    seen = []

    async def handle(event: Event, context: Context) -> None:
        seen.append(context)

    await dispatch(handle, headers={"pinwheel-version": "2025-07-08", "traceparent": "00-1-1-00"})
    (context,) = seen

    assert ("1", 1, "k", "2025-07-08") == (context.event_id, context.attempt, context.key, context.version)
    assert ("00-1-1-00", None, "the app") == (context.traceparent, context.webhook_id, context.app)


async def test_not_decodable(dispatch):
    """A delivery that cannot be decoded comes back with its problems, and no handler runs."""
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

    (reason,) = reasons(result)
    assert (type(raised).__name__, ["1"]) == (reason.rpartition(".")[2], handled)
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
    run = await dispatcher.run(({}, b"", "k"), b'{"event_id": "1", "event": "x.y", "payload": {}}', None)

    assert not run.ok


async def test_a_handler_that_waits_again_and_again(dispatch):
    """A handler may wait for anything, and as often as it wants."""
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
    assert "handler endless failed on event 1: timeout: no end after 0.01 s at" in caplog.text


async def test_the_shortest_limit_comes_first(dispatch):
    """A handler with a short limit is not kept waiting by one with a long limit that runs at the same time."""
    slow = asyncio.create_task(dispatch((endless, {"timeout_s": 600})))
    await asyncio.sleep(0)
    quick = await dispatch((endless, {"timeout_s": 0.01}))
    slow.cancel()
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
    task.cancel()
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
    task.cancel()
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


async def test_abandoned_without_a_worker(dispatch, grace, caplog):
    """A handler that ignores that its time is over holds up neither the next one nor the caller."""
    release, handled = asyncio.Event(), []

    async def stuck(event: Event) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        handled.append("stuck")

    async def after(event: Event) -> None:
        handled.append("after")

    result = await dispatch((stuck, {"timeout_s": 0.01}), after)
    before = list(handled)
    release.set()
    await until(lambda: len(handled) == 2)

    assert (["timeout: no end after 0.01 s"], ["after"]) == (reasons(result), before)
    assert "ignores its cancellation and goes on: event 1" in caplog.text


async def test_cancelled_twice(dispatch, caplog):
    """A caller that is cancelled again while a handler has its grace waits no longer."""
    release, told = asyncio.Event(), asyncio.Event()

    async def stuck(event: Event) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                told.set()

    task = asyncio.create_task(dispatch((stuck, {"timeout_s": 0.01})))
    await told.wait()
    task.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait({task})
    release.set()

    assert task.cancelled()
    assert "ignores its cancellation" in caplog.text


async def test_a_task_of_its_own(dispatch):
    """A handler is in a task of its own, before and after it has waited; cancelling that cancels nothing else."""
    tasks = []

    async def handle(event: Event) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(5):
            tasks[0].cancel()
            await asyncio.sleep(0)

    result = await dispatch(handle, fine)

    assert tasks[0] is tasks[1] is not asyncio.current_task()
    assert ["CancelledError"] == reasons(result)
    assert 0 == asyncio.current_task().cancelling()


async def test_context_variables(dispatch, variable):
    """Handlers of one delivery see each other's context variables; their caller does not."""
    seen = []

    async def first(event: Event) -> None:
        variable.set("first")
        await asyncio.sleep(0)
        variable.set("second")

    async def second(event: Event) -> None:
        seen.append(variable.get())
        await asyncio.sleep(0)
        seen.append(variable.get())

    variable.set("outside")
    await dispatch(first, second)

    assert (["second", "second"], "outside") == (seen, variable.get())


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


def run_with(handler, body, times):
    """Run a worker with a handler until the program ends, or the handler was called so often."""
    inbox, router, calls = MemoryInbox(), Router(), []

    @router.on(IncomeAdded, retry=RetryPolicy(attempts=1))
    async def handle(event: IncomeAdded) -> None:
        calls.append(event.event_id)
        await handler()

    async def main():
        await inbox.open()
        for number in range(times):
            await inbox.put(make_delivery({}, body(account_id=f"{number}"), key="k"))
        worker = Worker(inbox, Dispatcher(router, timeout_s=5))
        worker.start()
        await until(lambda: len(calls) == times)
        await asyncio.sleep(0.01)
        await worker.stop(1)
        return await inbox.counts()

    return main, inbox


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_a_handler_that_wants_to_end_the_program(body, raised):
    """A handler that raises what usually ends the program has failed, and the server goes on."""

    async def fail():
        raise raised

    main, _ = run_with(fail, body, 3)

    assert 3 == asyncio.run(main()).dead


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(body, times):
    """Ctrl-C while a handler runs ends the program, however often it is pressed, and the delivery waits."""

    async def press():
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    main, inbox = run_with(press, body, 1)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    counts = asyncio.run(inbox.counts())

    assert 1 == counts.waiting + counts.claimed


def test_ctrl_c_without_a_runner(body):
    """Where nobody handles the signal, Ctrl-C raises in the handler, and ends the program from there."""

    async def press():
        os.kill(os.getpid(), signal.SIGINT)

    main, inbox = run_with(press, body, 1)
    loop = asyncio.new_event_loop()
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(main())
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.wait(left))
    counts = loop.run_until_complete(inbox.counts())
    loop.close()

    assert 1 == counts.waiting + counts.claimed


def started(*seconds):
    """Start tasks that last so long."""
    return [asyncio.create_task(asyncio.sleep(duration)) for duration in seconds]


async def test_limits_end_in_their_order():
    """Limits come to their end in their order, whatever the order in which they began; the tasks go on."""
    deadlines, order = Deadlines(), []

    async def wait(limit_s):
        in_time = await deadlines.wait(task, limit_s)
        order.append((limit_s, in_time))

    (task,) = started(600)
    async with asyncio.timeout(5):
        await asyncio.gather(*[wait(limit_s) for limit_s in (0.03, 0.02, 0.01, 0.04)])
    running = not task.done()
    task.cancel()

    assert [(0.01, False), (0.02, False), (0.03, False), (0.04, False)] == order
    assert running


async def test_a_limit_after_one_that_was_kept():
    """A task that ends in time is told apart, and the next limit has its timer all the same."""
    deadlines = Deadlines()
    quick, slow = started(0, 600)
    async with asyncio.timeout(5):
        in_time = [
            await deadlines.wait(quick, 0.01),
            await deadlines.wait(slow, 0.02),
            await deadlines.wait(slow, 0.01),
        ]
    slow.cancel()

    assert [True, False, False] == in_time


async def test_a_wait_that_is_cancelled():
    """A cancelled wait ends at once, leaves its task alone and no limit behind."""
    deadlines = Deadlines()
    (task,) = started(600)
    waiting = asyncio.create_task(deadlines.wait(task, 600))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    running = not task.done()
    task.cancel()
    await asyncio.wait({task})

    assert (True, True, {}) == (waiting.cancelled(), running, deadlines._ends)


def test_limits_in_another_loop():
    """A timer that was left behind in a loop that is over does not keep the next loop from having its own."""
    deadlines = Deadlines()

    async def leave():
        waiting = asyncio.create_task(deadlines.wait(started(600)[0], 600))
        await asyncio.sleep(0)
        waiting.cancel()

    async def run():
        async with asyncio.timeout(5):
            return await deadlines.wait(started(600)[0], 0.01)

    asyncio.run(leave())

    assert not asyncio.run(run())
