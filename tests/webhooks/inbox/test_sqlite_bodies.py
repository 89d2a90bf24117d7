"""Stored bodies: read on purpose, with a record of it, and handled again."""

import asyncio
import logging
import os
import sqlite3

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.events import Event
from pinwheel_async.webhooks import BodyReading, DeliveryFilter, Router
from pinwheel_async.webhooks._inbox.administration import system_user
from pinwheel_async.webhooks._worker.dispatch import Dispatcher
from pinwheel_async.webhooks._worker.worker import Worker

from .refusals import BODY

KEY = b"k" * 32
DONE = DeliveryFilter(states="done")


@pytest.fixture
def user(monkeypatch):
    """Let the process run as somebody."""
    monkeypatch.setattr("pinwheel_async.webhooks._inbox.sqlite.system_user", lambda: "alice")
    return "alice"


async def finish(inbox, limit=64):
    """Handle what is due; return the event ids in the order in which they were handled."""
    handled = []
    while claims := await inbox.claim(limit, lease_s=60):
        for claim in claims:
            handled.append(claim.delivery.event_id)
            await inbox.done(claim)
    return handled


@pytest.mark.parametrize("key", [None, KEY])
async def test_body_is_read_and_the_reading_recorded(opened, deliver_apart, user, time, caplog, key):
    """A body is given as it came, and it is logged and kept in the file who read it, when, and of which event."""
    async with opened(key=key, keep_bodies_s=1_000) as inbox:
        await inbox.put(deliver_apart("1"))
        await finish(inbox)
        with caplog.at_level(logging.INFO, "pinwheel_async.audit"):
            body = await inbox.read_body("1")
        now = time.clock.now().timestamp()
    async with opened(key=key, keep_bodies_s=1_000) as inbox:
        readings = await inbox.readings()

    assert BODY == body
    assert (BodyReading(at=now, user=user, event_id="1"),) == readings
    assert ["the body of event 1 was read by alice"] == caplog.messages


@pytest.mark.parametrize("state", ["waiting", "claimed", "dead"])
async def test_body_of_what_is_not_done(opened, deliver_apart, user, state):
    """Whatever is not done has its body."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        for claim in await inbox.claim(1 if state != "waiting" else 0, lease_s=60):
            if state == "dead":
                await inbox.fail(claim, reason="r", retry_in_s=None)

        assert BODY == await inbox.read_body("1")


async def test_body_that_is_not_there(opened, deliver_apart, user, caplog):
    """Of an event that is not known, or whose body was dropped, there is no body and no record of a reading."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await finish(inbox)
        with caplog.at_level(logging.INFO, "pinwheel_async.audit"):
            bodies = [await inbox.read_body(event_id) for event_id in ("1", "unknown")]

        assert [None, None] == bodies
        assert ((), []) == (await inbox.readings(), caplog.messages)


async def test_damaged_body_is_not_read(opened, deliver_apart, user):
    """A body that cannot be decrypted is an error, and not recorded as read."""
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox._group.submit(lambda store: store.connection.execute("UPDATE body SET content = x'00'").rowcount)
        with pytest.raises(InboxError, match="cannot be decrypted"):
            await inbox.read_body("1")

        assert () == await inbox.readings()


async def test_reading_that_cannot_be_recorded(opened, path, deliver_apart, user):
    """Where the record cannot be written, the body is not given."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        trigger = "CREATE TRIGGER full BEFORE INSERT ON body_reading BEGIN SELECT raise(FAIL, 'full'); END"
        await inbox._group.submit(lambda store: store.connection.execute(trigger).rowcount)
        with pytest.raises(InboxError):
            await inbox.read_body("1")


def test_user_of_the_process(monkeypatch):
    """The user is the one of the process, with the one who became it by sudo."""
    import pwd

    name = pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.delenv("SUDO_USER", raising=False)
    alone = system_user()
    monkeypatch.setenv("SUDO_USER", "alice")

    assert (name, f"{name} (sudo by alice)") == (alone, system_user())


def test_user_without_a_name(monkeypatch):
    """A user who has no name is told by number."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)

    assert "uid 54321" == system_user()


async def test_replay_in_the_old_order(opened, deliver_apart, time):
    """What was done in a range of time, with its body kept, and what is dead is handled again, in order of arrival."""
    async with opened(keep_bodies_s=1_000) as inbox:
        for name in ("early", "1", "2", "3", "late"):
            time.advance(10)
            await inbox.put(deliver_apart(name, ordering_key="account"))
        start = time.clock.now()
        for _ in range(2):
            await inbox.done((await inbox.claim(1, lease_s=60))[0])
        await inbox.fail((await inbox.claim(1, lease_s=60))[0], reason="r", retry_in_s=None)
        await finish(inbox)
        first, last = [(await inbox.entries(DeliveryFilter(event_ids=name)))[0].received_at for name in ("1", "late")]
        replayed = await inbox.replay(
            DeliveryFilter(
                received_after=start.fromtimestamp(first, start.tzinfo),
                received_before=start.fromtimestamp(last, start.tzinfo),
            )
        )

        assert 3 == replayed
        assert ["1", "2", "3"] == await finish(inbox)
        assert (5, 0) == ((await inbox.counts()).done, (await inbox.counts()).dead)


async def test_replay_gives_the_body_and_counts_anew(opened, deliver_apart):
    """What is replayed comes with its body, its attempts counted from 0, and keeps its body once more."""
    async with opened(keep_bodies_s=1_000, key=KEY) as inbox:
        await inbox.put(deliver_apart("1"))
        await finish(inbox)
        await inbox.replay(DONE)
        (claim,) = await inbox.claim(1, lease_s=60)
        await inbox.done(claim)

        assert (1, BODY) == (claim.attempt, claim.delivery.body)
        assert 1 == await inbox.replay(DONE)


@pytest.mark.parametrize(("named", "ran"), [(["store"], ["store"]), ([], ["store", "mail"]), (["other"], [])])
async def test_replay_by_some_handlers(opened, deliver_apart, caplog, named, ran):
    """Only the handlers that are named run, all if none is; the log names those that are not there."""
    async with opened(keep_bodies_s=1_000) as inbox:
        calls, router = [], Router()

        @router.on(Event)
        async def store(event: Event) -> None:
            calls.append("store")

        @router.on(Event)
        async def mail(event: Event) -> None:
            calls.append("mail")

        await inbox.put(deliver_apart("1", body=b'{"event_id": "1", "event": "moon.risen", "payload": {}}'))
        await finish(inbox)
        names = {"store": store.__qualname__, "other": "other"}
        await inbox.replay(DONE, handlers=[names[name] for name in named])
        worker = Worker(inbox, Dispatcher(router, timeout_s=30))
        worker.start()
        async with asyncio.timeout(60):
            while not (await inbox.counts()).done:
                await asyncio.sleep(0.01)
        await worker.stop(10)

    assert ran == calls
    assert (named == ["other"]) == ("event 1 is replayed without: other" in caplog.text)


async def test_replay_by_no_list(opened):
    """Handlers are a list of names: a text, or an empty name, is refused."""
    async with opened() as inbox:
        for handlers in ("store", [""]):
            with pytest.raises(ConfigurationError, match="list of names"):
                await inbox.replay(DONE, handlers=handlers)


async def test_replay_needs_a_body(opened, deliver_apart):
    """What was done and has lost its body is left alone."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        await finish(inbox)

        assert 0 == await inbox.replay(DeliveryFilter())
        assert 1 == (await inbox.counts()).done


async def test_replay_beside_what_waits(opened, deliver_apart):
    """What is replayed comes before what arrived later, but not while that is claimed."""
    async with opened(keep_bodies_s=1_000) as inbox:
        await inbox.put(deliver_apart("1", ordering_key="account"))
        await finish(inbox)
        for name in ("2", "3"):
            await inbox.put(deliver_apart(name, ordering_key="account"))
        (second,) = await inbox.claim(1, lease_s=60)
        await inbox.replay(DONE)
        meanwhile = await inbox.claim(1, lease_s=60)
        await inbox.done(second)

        assert () == meanwhile
        assert ["1", "3"] == await finish(inbox)


async def test_replay_does_not_fill_the_inbox(opened, deliver_apart):
    """A replay after which more would wait than may changes nothing: deliveries that come would be refused."""
    async with opened(keep_bodies_s=1_000, max_waiting=3) as inbox:
        for name in ("1", "2"):
            await inbox.put(deliver_apart(name))
        await finish(inbox)
        for name in ("3", "4"):
            await inbox.put(deliver_apart(name))
        with pytest.raises(InboxError, match="replay fewer") as caught:
            await inbox.replay(DONE)

        assert ("MaxWaiting", 2) == (caught.value.reason, (await inbox.counts()).waiting)
        assert 1 == await inbox.replay(DeliveryFilter(event_ids="1"))


async def test_replay_counts_only_what_has_a_body(opened, deliver_apart):
    """What has no body takes no room when a replay asks how much may wait."""
    async with opened(max_waiting=1) as inbox:
        for name in "123":
            await inbox.put(deliver_apart(name))
            for claim in await inbox.claim(1, lease_s=60):
                await (inbox.fail(claim, reason="r", retry_in_s=None) if name == "3" else inbox.done(claim))

        assert 1 == await inbox.replay(DeliveryFilter())


async def test_replay_of_what_has_not_ended(opened):
    """Only what is done or dead can be asked for."""
    async with opened() as inbox:
        with pytest.raises(ConfigurationError, match="done or dead"):
            await inbox.replay(DeliveryFilter(states="waiting"))


async def test_books_after_a_replay(opened, path, deliver_apart):
    """After a replay that is handled in part, states, firsts and bodies agree."""
    async with opened(keep_bodies_s=1_000) as inbox:
        for number in range(6):
            await inbox.put(deliver_apart(f"{number}", ordering_key=f"{number % 2}"))
        await finish(inbox)
        await inbox.replay(DONE)
        for claim in await inbox.claim(2, lease_s=60):
            await inbox.done(claim)
        counts = await inbox.counts()
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT first, state FROM delivery ORDER BY seq").fetchall()
    (bodies,) = connection.execute("SELECT count(*) FROM body").fetchone()
    connection.close()

    assert (4, 2) == (counts.waiting, counts.done)
    assert [(0, "kept")] * 2 + [(1, "ready")] * 2 + [(0, "behind")] * 2 == rows
    assert 6 == bodies
