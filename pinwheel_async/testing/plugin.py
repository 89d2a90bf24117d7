"""Pytest plugin, which loads itself: the fixtures `fake_pinwheel`, `pinwheel` and `pinwheel_receiver`.

The first is an ordinary fixture: the fake serves from a thread with a loop of its own, so it works with any async
plugin and with none. The other two are async ones, for pytest-asyncio or anyio.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pytest

try:
    import pytest_asyncio
except ModuleNotFoundError:  # pragma: no cover  # then anyio runs async fixtures
    _async_fixture = pytest.fixture
else:
    _async_fixture = cast("Any", pytest_asyncio.fixture)

if TYPE_CHECKING:
    from pinwheel_async.client import Pinwheel
    from pinwheel_async.testing import FakePinwheel, ReceiverHarness

MakeReceiver: TypeAlias = "Callable[..., Awaitable[ReceiverHarness]]"

_MARKER = "fake_pinwheel(**options): arguments of FakePinwheel for the fixture fake_pinwheel, such as accounts=5"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def fake_pinwheel(request: pytest.FixtureRequest) -> "Iterator[FakePinwheel]":
    """Start a `FakePinwheel` for one test; `@pytest.mark.fake_pinwheel(accounts=5)` gives it arguments."""
    from pinwheel_async.testing import FakePinwheel  # noqa: PLC0415  # every pytest run would pay for the server

    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("fake_pinwheel"))):  # the closest one last, so that it wins
        options |= marker.kwargs
    with FakePinwheel(**options) as fake:
        yield fake


@_async_fixture
async def pinwheel(fake_pinwheel: "FakePinwheel") -> "AsyncIterator[Pinwheel]":
    """Open a client of the test's fake, which repeats failed calls without waiting."""
    from pinwheel_async._core.retry import RetryPolicy  # noqa: PLC0415  # as above
    from pinwheel_async.client import Pinwheel  # noqa: PLC0415  # as above

    retry = RetryPolicy(base_s=0)
    async with Pinwheel(fake_pinwheel.api_secret, base_url=fake_pinwheel.base_url, retry=retry) as opened:
        yield opened


@_async_fixture
async def pinwheel_receiver(request: pytest.FixtureRequest) -> AsyncIterator[MakeReceiver]:
    """Give a function that starts a `ReceiverHarness` for a router, to be awaited.

    A test that has the fixture `fake_pinwheel`, too, gets the events of that fake. All receivers stop with the test.
    """
    from pinwheel_async.testing import ReceiverHarness  # noqa: PLC0415  # as above

    fake: FakePinwheel | None = None
    if "fake_pinwheel" in request.fixturenames:
        fake = request.getfixturevalue("fake_pinwheel")
    async with AsyncExitStack() as exits:

        async def start(router: Any, **options: Any) -> ReceiverHarness:
            return await exits.enter_async_context(ReceiverHarness(router, fake=fake, **options))

        yield start
