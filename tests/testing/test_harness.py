"""The harness of handlers, the pytest plugin that brings it, and factories by name."""

import asyncio
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import pinwheel_async
from pinwheel_async import RetryPolicy, events, models
from pinwheel_async._core.model import Model
from pinwheel_async.events import EVENTS, AccountAdded, Event, IncomeAdded, PaystubsAdded, PaystubsEvent
from pinwheel_async.testing import FakePinwheel, ReceiverHarness, assert_handled, make, make_event
from pinwheel_async.webhooks import Context, Router

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "pinwheel_async.testing.plugin")


def loaded() -> bool:
    """Whether the installed package has the entry point, as it has after `pip install`."""
    return any(point.value == PLUGIN[1] for point in entry_points(group="pytest11"))


async def test_idle():
    """After `idle()` every handler has ended, however long it took."""
    router, ended = Router(), []

    @router.on(PaystubsAdded)
    async def handle(event: PaystubsAdded) -> None:
        await asyncio.sleep(0.05)
        ended.append(event.account_id)

    async with ReceiverHarness(router) as receiver:
        for number in range(5):
            assert 200 == (await receiver.deliver(PaystubsAdded, number)).status
        await receiver.idle()

        assert 5 == len(ended)
        assert set(ended) == {event.account_id for event in assert_handled(receiver, PaystubsAdded, times=5)}


async def test_turned_clock():
    """A failed handler runs again when the clock has been turned so far, and not before."""
    router, attempts = Router(), []

    @router.on(IncomeAdded)
    async def handle(_: IncomeAdded, context: Context) -> None:
        attempts.append(context.attempt)
        if context.attempt < 3:
            raise RuntimeError

    async with ReceiverHarness(router, log_exceptions=False) as receiver:
        await receiver.deliver("income.added")
        await receiver.idle()
        first = list(attempts)
        await receiver.advance(1)
        early = list(attempts)
        await receiver.advance(60)

        assert ([1], [1], [1, 2, 3]) == (first, early, attempts)
        assert_handled(receiver, IncomeAdded, times=1)


async def test_all_attempts():
    """Hours go by in one call: all attempts are made, at their times, and the delivery is dead."""
    router, dead = Router(), []

    @router.on(IncomeAdded, retry=RetryPolicy(attempts=6, base_s=60.0, cap_s=7_200.0))
    async def handle(_: IncomeAdded) -> None:
        raise RuntimeError

    router.on_dead(dead.append)
    async with ReceiverHarness(router, log_exceptions=False) as receiver:
        await receiver.deliver(IncomeAdded)
        await receiver.advance(3_600)
        (entry,) = await receiver.entries()

        assert ("dead", 6, 1) == (entry.state, entry.attempts, len(dead))
        with pytest.raises(AssertionError, match=r"(?s)at least one event of IncomeAdded.*dead.*RuntimeError"):
            assert_handled(receiver, IncomeAdded)


async def test_not_handled():
    """An event without a handler, of other fields, or more often than wanted, was not handled as wanted."""
    router = Router()

    @router.on(PaystubsEvent)
    async def handle(_: PaystubsEvent) -> None:
        pass

    async with ReceiverHarness(router) as receiver:
        await receiver.deliver(IncomeAdded)
        await receiver.deliver(PaystubsAdded, account_id="a")
        await receiver.idle()
        for kind, options in (
            (IncomeAdded, {}),
            (PaystubsAdded, {"account_id": "b"}),
            (PaystubsAdded, {"times": 2}),
            (PaystubsAdded, {"times": 0}),
        ):
            with pytest.raises(AssertionError, match=r"(?s)should have been handled.*income\.added"):
                assert_handled(receiver, kind, **options)

        assert ["a"] == [event.account_id for event in assert_handled(receiver, PaystubsEvent, account_id="a")]


async def test_with_a_fake():
    """Events of a fake come over a socket, and one turn moves the clock of both."""
    router, seen = Router(), []

    @router.on(Event)
    async def handle(event: Event) -> None:
        seen.append(event.event)

    async with FakePinwheel(accounts=1) as fake, ReceiverHarness(router, fake=fake) as receiver:
        session = await fake.connect()
        await receiver.idle()
        first = list(seen)
        await receiver.advance(session.duration_s)

        assert ["account.added"] == first
        assert_handled(receiver, AccountAdded, times=1, account_id=session.account_id)
        assert "paystubs.fully_synced" in seen


async def test_wrong_secret():
    """What another secret signs is refused."""
    async with ReceiverHarness(Router(), secret="right") as receiver:
        receiver._secret = "wrong"

        assert 401 == (await receiver.deliver(IncomeAdded)).status


TESTS = """
    import pytest
    from pinwheel_async.events import AccountAdded, IncomeAdded
    from pinwheel_async.testing import assert_handled
    from pinwheel_async.webhooks import Router

    router = Router()
    seen = []

    @router.on(AccountAdded)
    async def on_account(event):
        seen.append(event.account_id)

    @pytest.mark.fake_pinwheel(accounts=7, seed=3)
    async def test_marker(fake_pinwheel, pinwheel):
        assert len(await pinwheel.accounts.list(limit=100).all()) == 7

    async def test_no_marker(fake_pinwheel, pinwheel):
        assert len(await pinwheel.accounts.list(limit=100).all()) == 20

    @pytest.mark.parametrize("number", [1, 2])
    async def test_receiver(fake_pinwheel, pinwheel_receiver, number):
        receiver = await pinwheel_receiver(router)
        session = await fake_pinwheel.connect()
        await receiver.idle()
        assert seen[-1] == session.account_id
        assert_handled(receiver, AccountAdded, times=1)

    async def test_without_fake(pinwheel_receiver):
        receiver = await pinwheel_receiver(router)
        await receiver.deliver("account.added")
        await receiver.idle()
        assert_handled(receiver, AccountAdded)
"""


def test_plugin(pytester):
    """The plugin gives the fake with arguments by a marker, the client, and receivers that hear of the fake."""
    pytester.makepyfile(TESTS)
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\naddopts = --strict-markers\n"
    )
    result = pytester.runpytest_subprocess(*(() if loaded() else PLUGIN), "-p", "no:anyio", "-W", "error")

    result.assert_outcomes(passed=5)


def test_loads_itself():
    """The package has the entry point by which pytest finds the plugin."""
    project = Path(pinwheel_async.__file__).parents[1] / "pyproject.toml"
    if not loaded() and project.exists() and PLUGIN[1] in project.read_text(encoding="utf-8"):
        pytest.skip("the package was installed before it had the entry point: install it again")

    assert loaded()


def test_strict_mode(pytester):
    """The async fixtures work where pytest-asyncio demands that they are marked."""
    pytester.makepyfile("""
        import pytest

        @pytest.mark.asyncio
        async def test_client(pinwheel):
            assert await pinwheel.accounts.list().first(1)
    """)
    pytester.makeini("[pytest]\nasyncio_mode = strict\nasyncio_default_fixture_loop_scope = function\n")
    result = pytester.runpytest_subprocess(*(() if loaded() else PLUGIN), "-p", "no:anyio", "-W", "error")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("name", EVENTS)
def test_make_by_event_name(name):
    """Every event can be made by its name."""
    assert make(name) == make_event(name) == make(EVENTS[name])


def test_make_by_class_name():
    """Every model can be made by the name of its class."""
    names = [
        name
        for name in models.__all__
        if isinstance(getattr(models, name), type) and issubclass(getattr(models, name), Model)
    ]

    assert len(names) > 90
    for name in names:
        assert type(make(name)) is getattr(models, name)
    assert make("PaystubsAdded", 3) == make(events.PaystubsAdded, 3)


@pytest.mark.parametrize(
    ("name", "meant"), [("paystub.added", "paystubs.added"), ("Paystb", "Paystub"), ("PaystubAdded", "PaystubsAdded")]
)
def test_misspelt(name, meant):
    """A name of nothing is refused with the one that was meant."""
    with pytest.raises(ValueError, match=f"{name}; did you mean {meant}"):
        make(name)
