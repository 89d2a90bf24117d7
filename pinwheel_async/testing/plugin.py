"""A pytest plugin with one fixture; switch it on with `pytest_plugins = ["pinwheel_async.testing.plugin"]`.

The fixture is an ordinary one: the fake serves from a thread with a loop of its own, so it works with any async plugin
and with none.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pinwheel_async.testing import FakePinwheel


@pytest.fixture
def fake_pinwheel() -> "Iterator[FakePinwheel]":
    """Start a `FakePinwheel` with 20 accounts for one test."""
    from pinwheel_async.testing import FakePinwheel  # noqa: PLC0415  # every pytest run would pay for the server

    with FakePinwheel() as fake:
        yield fake
