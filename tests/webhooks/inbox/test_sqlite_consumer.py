"""Consumers of an inbox: a file is received into by those of one name only."""

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import Receiver, Router, SqliteInbox

from .refusals import refusal


@pytest.mark.parametrize("first_is_open", [True, False])
async def test_another_consumer_is_refused(opened, path, deliver_apart, time, first_is_open):
    """A receiver with another name cannot open the file, now or later; the error names both, and the cure."""
    other = SqliteInbox(path, consumer="listen", keep_bodies_s=9, clock=time.clock)
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox.claim(1, lease_s=60)
        if first_is_open:
            error = await refusal(other.open())
    if not first_is_open:
        error = await refusal(other.open())
    async with opened(consumer=None) as tool:
        left = await tool._group.submit(
            lambda store: store.connection.execute(
                "SELECT consumer, keep_bodies_s, min(at) > 0 FROM terms, delivery"
            ).fetchone()
        )

    assert "OtherConsumer" == error.reason
    assert ("'receiver'" in str(error), "'listen'" in str(error), "choose another file" in str(error)) == (True,) * 3
    assert ("receiver", 0, 1) == left


@pytest.mark.parametrize("settings", [{"read_only": True}, {"consumer": None}])
async def test_receiver_with_an_inbox_that_cannot_receive(opened, path, settings):
    """A receiver does not start with an inbox that is only looked at, or that is a tool's."""
    async with opened():
        pass
    inbox = SqliteInbox(path, **settings)
    with pytest.raises(ConfigurationError, match="with a consumer"):
        await Receiver(Router(), ["a-secret-of-tests"], inbox=inbox).start()
    await inbox.close()


async def test_refused_consumer_holds_no_lock(opened, path, deliver_apart, time):
    """One that was refused does not count as one that has the file open."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox.claim(1, lease_s=60)
    other = SqliteInbox(path, consumer="listen", clock=time.clock)
    await refusal(other.open())
    async with opened() as inbox:
        assert 1 == len(await inbox.claim(1, lease_s=60))


async def test_consumers_of_one_name(opened, deliver_apart):
    """Any number of receivers with the same name share the file."""
    async with opened(consumer="lending") as first, opened(consumer="lending") as second:
        await first.put(deliver_apart("1"))

        assert 1 == len(await second.claim(1, lease_s=60))
