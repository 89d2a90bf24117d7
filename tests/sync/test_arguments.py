"""Arguments of a sync and a mirror that are something else: refused before anything is opened or sent."""

from typing import Any

import pytest

from pinwheel_async import ConfigurationError, RequestError
from pinwheel_async.sync import MemorySink, MemoryStore, Mirror, SqlSink, sync
from pinwheel_async.webhooks import MemoryInbox

NO_SINKS = [None, "sqlite:///payroll.db", MemoryInbox(), SqlSink, MemorySink, {}]


@pytest.mark.parametrize("sink", NO_SINKS)
async def test_no_sink(fake, pinwheel, sink: Any):
    """What is no sink, such as the URL of one, is refused with an example, and nothing is sent."""
    with pytest.raises(RequestError, match=r'^sink must be a sink, such as SqlSink\("sqlite:///payroll.db"\), not '):
        await sync(pinwheel, sink)

    assert not fake.counts


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"on_progress": "print"}, "on_progress must be a function, not str"),
        ({"on_report": 5}, "on_report must be a function, not int"),
        ({"stop": True}, "stop must be an asyncio.Event, not bool"),
    ],
)
async def test_other_arguments(fake, pinwheel, arguments: dict[str, Any], problem: str):
    """A callback that cannot be called, or a stop that cannot be waited for, is refused by name."""
    with pytest.raises(RequestError, match=problem):
        await sync(pinwheel, MemorySink(), **arguments)

    assert not fake.counts


@pytest.mark.parametrize("pinwheel", [None, MemorySink(), "secret"])
async def test_no_client(pinwheel: Any):
    """What is no client, such as a sink in its place, is refused by name."""
    with pytest.raises(RequestError, match="pinwheel must be an open client"):
        await sync(pinwheel, MemorySink())


@pytest.mark.parametrize("store", [*NO_SINKS, MemorySink()])
def test_no_store(pinwheel, store: Any):
    """A mirror refuses what keeps no announcements, such as a sink that remembers nothing."""
    with pytest.raises(ConfigurationError, match="store must be a store that keeps announcements, such as SqlSink"):
        Mirror(pinwheel, store)

    assert Mirror(pinwheel, MemoryStore())
